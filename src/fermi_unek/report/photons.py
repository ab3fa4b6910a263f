"""Where the photons of a sky lie, for pictures of them."""

from __future__ import annotations

import healpy
import numpy as np

from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.counts import SkyCounts
from ..sky.geometry.coverage import coverage_vectors
from ..sky.geometry.frame import vectors_to_lonlat

PICTURE_ORDER = 10
"""HEALPIX order (0.06 deg) counts are brought to before they are drawn."""

WIDEST_FIELD_DEG = 40.0
"""Radius above which the whole sky is drawn instead of a field."""


def covered_cone(coverage: np.ndarray | None) -> tuple[float, float, float]:
    """Galactic longitude and latitude of the middle of a coverage mask, and its radius.

    Degrees; ``(0, 0, 180)`` for the whole sky, and where nothing is covered at all.
    """
    if coverage is None or not coverage.any():
        return 0.0, 0.0, 180.0
    vectors = coverage_vectors(np.flatnonzero(coverage))
    middle = vectors.mean(axis=0)
    if np.linalg.norm(middle) < 0.05:
        return 0.0, 0.0, 180.0
    middle /= np.linalg.norm(middle)
    radius = np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0).min()))
    lon, lat = vectors_to_lonlat(middle)
    return float(lon), float(lat), float(radius)


def photons_to_draw(sky: SkyCounts) -> tuple[np.ndarray, np.ndarray, float]:
    """Unit vectors (N, 3) and counts (N,) above 1 GeV, or of all bins, and the lowest energy."""
    present = np.flatnonzero(sky.present)
    wanted = present[ENERGY_EDGES_MEV[present] >= 1000.0]
    if wanted.size == 0 or sky.totals[wanted].sum() == 0:
        wanted = present
    pixels, counts = [], []
    for index in wanted:
        of_bin = sky.bins[index]
        assert of_bin is not None
        shift = 2 * (of_bin.order - PICTURE_ORDER)
        pixels.append(of_bin.pixels.astype(np.int64) >> shift)
        counts.append(of_bin.counts.astype(float))
    unique, place = np.unique(np.concatenate(pixels), return_inverse=True)
    total = np.bincount(place, weights=np.concatenate(counts), minlength=unique.size)
    vectors = np.stack(healpy.pix2vec(2**PICTURE_ORDER, unique, nest=True), axis=-1)
    return vectors.reshape(-1, 3), total, observed_mev(sky, wanted)[0]


def observed_mev(sky: SkyCounts, bins: np.ndarray | None = None) -> tuple[float, float]:
    """Lowest and highest energy observed in some bins, or in all that have data, MeV.

    Photons may begin inside a bin: above 10 GeV, say, in the one from 7 to 20.
    """
    if bins is None:
        bins = np.flatnonzero(sky.present & (sky.totals > 0))
        bins = bins if bins.size else np.flatnonzero(sky.present)
    edges = float(ENERGY_EDGES_MEV[bins[0]]), float(ENERGY_EDGES_MEV[bins[-1] + 1])
    seen = [(low, high) for low, high in sky.intervals_mev if high > edges[0] and low < edges[1]]
    if not seen:
        return edges
    return max(edges[0], seen[0][0]), min(edges[1], seen[-1][1])
