"""How well classes and Fake are told: confusion, ROC, calibration, accuracy against flux."""

from .catalogs import classified_from_catalog
from .files import CLASS_FILES, catalog_class_scores, write_class_scores
from .scores import ClassifiedDetections, ClassScores, score_classes

__all__ = [
    "CLASS_FILES",
    "ClassifiedDetections",
    "ClassScores",
    "catalog_class_scores",
    "classified_from_catalog",
    "score_classes",
    "write_class_scores",
]
