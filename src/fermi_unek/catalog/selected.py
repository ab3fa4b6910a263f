"""Which candidates belong to a list of some purity, by their calibrated probabilities."""

from __future__ import annotations

import numpy as np

from ..sky.geometry.latitude import N_BANDS, latitude_band


def select_by_purity(
    probability: np.ndarray, lat_deg: np.ndarray, purity: float = 0.95
) -> np.ndarray:
    """The longest list, most probable first, whose mean probability is the purity or more.

    Each band of Galactic latitude has a list of its own: in the plane a probability is worth less.

    Parameters
    ----------
    probability : array (N,)
        Calibrated; 0 to 1.
    lat_deg : array (N,)
        Galactic latitude.
    purity : float
        Between 0 and 1.

    Returns
    -------
    bool array (N,)
    """
    chosen = np.zeros(len(probability), bool)
    band = latitude_band(lat_deg)
    for number in range(N_BANDS):
        rows = np.flatnonzero(band == number)
        rows = rows[np.argsort(-probability[rows], kind="stable")]
        mean = np.cumsum(probability[rows]) / np.arange(1, len(rows) + 1)
        chosen[rows[mean >= purity]] = True
    return chosen
