"""How well classes and Fake are told: confusion, ROC, calibration, accuracy against flux."""

from .catalogs import judged_from_catalog
from .scores import ClassJudged, ClassScores, score_classes

__all__ = ["ClassJudged", "ClassScores", "judged_from_catalog", "score_classes"]
