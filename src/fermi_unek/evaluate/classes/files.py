"""Class scores of a catalog, as text and as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table

from ...catalog.record import Catalog
from .catalogs import classified_from_catalog
from .scores import ClassScores, score_classes

CLASS_TABLES = (
    "confusion", "confusion_even", "roc", "calibration", "reliability", "accuracy_flux",
    "fake_curve",
)  # fmt: skip
CLASS_FIGURE = "classes.png"
CLASS_FILES = ("classes.txt", *(f"class_{name}.ecsv" for name in CLASS_TABLES), CLASS_FIGURE)


def catalog_class_scores(
    catalog: Catalog, truth: Table, radius_deg: float = 0.3
) -> ClassScores | None:
    """Scores of the classes in a catalog; None where it, or the truth, has no classes."""
    classified = np.isfinite(np.asarray(catalog.table["Prob_Fake"], float)).any()
    if not classified or "CLASS1" not in truth.colnames:
        return None
    return score_classes(classified_from_catalog(catalog, truth, radius_deg))


def write_class_scores(scores: ClassScores, folder: str | Path) -> None:
    """Write the files of `CLASS_FILES` into a folder that exists."""
    from .plots import plot_classes

    folder = Path(folder)
    (folder / "classes.txt").write_text(scores.to_text() + "\n", encoding="utf-8")
    for name in CLASS_TABLES:
        scores.tables[name].write(
            folder / f"class_{name}.ecsv", format="ascii.ecsv", overwrite=True
        )
    plot_classes(scores, folder / CLASS_FIGURE)
