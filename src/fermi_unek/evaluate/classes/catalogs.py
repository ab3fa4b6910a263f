"""Judged detections out of a catalog and the truth of its sky."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ...catalog.record import Catalog
from ...catalog.schema import CLASS_OF, PROBABILITY_COLUMNS
from ...errors import InputError
from ..match import match
from .scores import FAKE, UNCLASSED, ClassifiedDetections

REAL_TS = 9.0
_FAINTEST_TS, _EDGE_DEG = 4.0, 0.5


def classified_from_catalog(
    catalog: Catalog, truth: Table, radius_deg: float = 0.3
) -> ClassifiedDetections:
    """Classified detections of a catalog with what they are.

    Detections that match no source of ideal TS above 9 but lie at one of 4 to 9 are left out.

    Parameters
    ----------
    catalog : Catalog
    truth : Table
        GLON, GLAT, Flux1000, Ideal_TS, CLASS1, and where known Signif_Avg.
    radius_deg : float

    Raises
    ------
    InputError
        When nothing in the catalog is classified, or the truth has no CLASS1.
    """
    table = catalog.table
    chances = np.stack([np.asarray(table[name], float) for name in PROBABILITY_COLUMNS], axis=-1)
    lon, lat = (np.asarray(table[name], float) for name in ("GLON", "GLAT"))
    known = np.isfinite(chances).all(axis=1) & catalog.covers(lon, lat, _EDGE_DEG)
    if len(table) and not np.isfinite(chances).all(axis=1).any():
        raise InputError("nothing in the catalog is classified: it was made with --no-classify")
    if "CLASS1" not in truth.colnames:
        raise InputError("the truth has no column CLASS1 to judge classes by")
    ts = np.asarray(truth["Ideal_TS"], float)
    place = {name: np.asarray(truth[name], float) for name in ("GLON", "GLAT")}
    visible, faint = np.flatnonzero(ts > REAL_TS), (ts > _FAINTEST_TS) & (ts <= REAL_TS)

    def of(rows: np.ndarray) -> np.ndarray:
        found = match(place["GLON"][rows], place["GLAT"][rows], ts[rows], lon, lat, radius_deg)
        return found.truth_of_detection

    source = of(visible)
    real = source >= 0
    source = visible[np.maximum(source, 0)] if len(visible) else np.zeros(len(lon), int)
    doubtful = ~real & (of(np.flatnonzero(faint)) >= 0)
    names = [str(name).strip().lower() for name in np.asarray(truth["CLASS1"])]
    classes = np.array([CLASS_OF.get(name, UNCLASSED) for name in names] or [UNCLASSED])

    def known_of(name: str) -> np.ndarray:
        if name not in truth.colnames or not len(truth):
            return np.full(len(lon), np.nan)
        return np.where(real, np.asarray(truth[name], float)[source], np.nan)

    judged = ClassifiedDetections(
        chances,
        np.asarray(table["Fake"], bool),
        np.where(real, classes[source], FAKE),
        known_of("Ideal_TS"),
        known_of("Signif_Avg"),
        known_of("Flux1000"),
        lat,
    )
    return judged.select(known & ~doubtful)
