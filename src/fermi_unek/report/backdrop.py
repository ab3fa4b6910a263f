"""The photons behind the maps of the page: one grid of brightness, of a field or of the sky."""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np
from scipy.ndimage import gaussian_filter

from ..sky.bins import COVERAGE_ORDER
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from .photons import WIDEST_FIELD_DEG, covered_cone, field_image, field_wcs, photons_to_draw

SKY_ORDER = 8
"""HEALPIX order (0.23 deg) whole skies are drawn at."""

SKY_SHAPE = (720, 1440)
"""Rows and columns of the grid of a whole sky: 0.25 degrees."""

FIELD_PIXELS = 400
"""Pixels along the side of the grid of a field, whatever its size."""

SMOOTHING_DEG = 0.1
"""Sigma of the smoothing of a field: the 68% containment radius at 10 GeV."""


@dataclass(frozen=True)
class Backdrop:
    """Brightness of the counts on a grid of Galactic coordinates.

    Attributes
    ----------
    kind : {"car", "zea"}
        Whole sky in longitude (180 to -180 degrees from the first column to the last) and
        latitude, or zenithal equal-area around a middle, longitude growing to the left.
    brightness : uint8 array (rows, columns)
        1 to 255, the logarithm of one plus the counts over their median; 0 where nothing was
        observed. The first row is the one of lowest latitude.
    lon_deg, lat_deg : float
        Middle of the grid, Galactic degrees.
    pixel_deg : float
        Side of a pixel at the middle.
    lowest_mev : float
        Energy above which the counts are shown.
    """

    kind: str
    brightness: np.ndarray
    lon_deg: float
    lat_deg: float
    pixel_deg: float
    lowest_mev: float


def backdrop(sky: SkyCounts) -> Backdrop:
    """Brightness of a field's counts, or of a whole sky's where it is wider than 40 degrees."""
    lon_deg, lat_deg, radius_deg = covered_cone(sky.coverage)
    vectors, counts, lowest_mev = photons_to_draw(sky)
    if radius_deg > WIDEST_FIELD_DEG:
        image, places = _whole_sky(vectors, counts)
        kind, pixel_deg = "car", 360.0 / SKY_SHAPE[1]
    else:
        pixel_deg = 2.0 * (radius_deg + 0.2) / FIELD_PIXELS
        image, places = _field(vectors, counts, lon_deg, lat_deg, pixel_deg)
        kind = "zea"
    seen = _seen(sky, places)
    # logarithmic, so that the plane and the pole both keep their contrast in one byte
    typical = np.median(image[seen]) if seen.any() else 0.0
    shown = np.log1p(np.where(seen, image, 0.0) / max(float(typical), 1e-3 * image.max(), 1e-9))
    scaled = 1 + np.round(254 * shown / max(float(shown.max()), 1e-9))
    brightness = np.where(seen, scaled, 0).astype(np.uint8)
    return Backdrop(kind, brightness, lon_deg, lat_deg, pixel_deg, lowest_mev)


def _whole_sky(vectors: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts per equal area (rows, columns) and the unit vectors of the grid."""
    pixels = hp.vec2pix(2**SKY_ORDER, *vectors.T, nest=True)
    total = np.bincount(pixels, weights=counts, minlength=12 * 4**SKY_ORDER)
    rows, columns = SKY_SHAPE
    lat = -90.0 + (np.arange(rows) + 0.5) * 180.0 / rows
    lon = (180.0 - (np.arange(columns) + 0.5) * 360.0 / columns) % 360.0
    lon, lat = np.meshgrid(lon, lat)
    image = hp.get_interp_val(total, lon, lat, nest=True, lonlat=True)
    return image, lonlat_to_vectors(lon, lat)


def _field(
    vectors: np.ndarray, counts: np.ndarray, lon_deg: float, lat_deg: float, pixel_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed counts (rows, columns) around a middle and the unit vectors of the grid."""
    wcs = field_wcs(lon_deg, lat_deg, pixel_deg, FIELD_PIXELS)
    image = field_image(wcs, FIELD_PIXELS, vectors, counts)
    rows, columns = np.indices(image.shape)
    places = lonlat_to_vectors(*wcs.wcs_pix2world(columns, rows, 0))
    return gaussian_filter(image, SMOOTHING_DEG / pixel_deg), places


def _seen(sky: SkyCounts, vectors: np.ndarray) -> np.ndarray:
    """Whether any bin covers each of unit vectors (rows, columns, 3)."""
    coverage = sky.coverage
    if coverage is None:
        return np.ones(vectors.shape[:-1], dtype=bool)
    lon, lat = vectors_to_lonlat(vectors)
    return coverage[hp.ang2pix(2**COVERAGE_ORDER, lon, lat, nest=True, lonlat=True)]
