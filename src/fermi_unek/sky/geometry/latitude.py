"""The bands of Galactic latitude that are calibrated and scored by themselves."""

from __future__ import annotations

import numpy as np

LATITUDE_BANDS_DEG = (5.0, 20.0)
"""Degrees in abs(b) between the plane, low latitudes and the rest; an edge belongs to the upper."""

N_BANDS = len(LATITUDE_BANDS_DEG) + 1


def latitude_band(lat_deg: np.ndarray) -> np.ndarray:
    """Index (N,) 0, 1, 2 of the band in abs(b): below 5, 5 to below 20, 20 degrees and above."""
    return np.searchsorted(LATITUDE_BANDS_DEG, np.abs(lat_deg), side="right")


def latitude_masks(lat_deg: np.ndarray) -> dict[str, np.ndarray]:
    """All latitudes and the three bands by name, bool arrays (N,)."""
    band = latitude_band(lat_deg)
    names = ("|b|<5", "5<|b|<20", "|b|>20")
    masks = {name: band == number for number, name in enumerate(names)}
    return {"all": np.ones(len(band), bool)} | masks
