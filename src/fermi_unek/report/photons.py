"""Where the photons of a sky lie, for pictures of them."""

from __future__ import annotations

import healpy
import numpy as np
from astropy.wcs import WCS

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


def field_wcs(lon_deg: float, lat_deg: float, pixel_deg: float, n_pixels: int) -> WCS:
    """A zenithal equal-area frame of square shape around a Galactic place."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-ZEA", "GLAT-ZEA"]
    wcs.wcs.crval = [lon_deg, lat_deg]
    wcs.wcs.crpix = [(n_pixels + 1) / 2.0] * 2
    wcs.wcs.cdelt = [-pixel_deg, pixel_deg]
    return wcs


def field_image(wcs: WCS, n_pixels: int, vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Counts (n, n) in the pixels of a frame, indexed [row, column]."""
    x, y = wcs.wcs_world2pix(*vectors_to_lonlat(vectors), 0)
    edges = np.arange(n_pixels + 1) - 0.5
    image, _, _ = np.histogram2d(y, x, bins=(edges, edges), weights=counts)
    return image


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
