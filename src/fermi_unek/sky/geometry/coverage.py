"""Coverage masks: which part of the sky was observed.

A mask is a bool array (12 * 4**COVERAGE_ORDER,), NESTED and Galactic, true where the centre of
the HEALPIX pixel was observed; None stands for the whole sky.
"""

from __future__ import annotations

from functools import lru_cache

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import ConvexHull, QhullError

from ...errors import InputError
from ..bins import COVERAGE_ORDER
from .frame import lonlat_to_vectors

N_COVERAGE = 12 * 4**COVERAGE_ORDER
_NSIDE = 2**COVERAGE_ORDER
_SKY_ORDER = 2  # 15 degrees: cells none of which is empty on a whole sky
_CELL_ORDER = 4  # 3.7 degrees: cells that stand for a region of unknown, not convex shape


@lru_cache(maxsize=1)
def icrs_to_galactic() -> np.ndarray:
    """Rotation (3, 3): Galactic vector = matrix @ ICRS vector."""
    axes = SkyCoord(ra=[0, 90, 0], dec=[0, 0, 90], unit="deg", frame="icrs").galactic
    return lonlat_to_vectors(axes.l.deg, axes.b.deg).T


def coverage_vectors(pixels: np.ndarray | None = None) -> np.ndarray:
    """Centres (N, 3) of coverage pixels, of all of them when none are named."""
    if pixels is None:
        pixels = np.arange(N_COVERAGE)
    return np.stack(hp.pix2vec(_NSIDE, pixels, nest=True), axis=-1)


def intersect(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """What both masks cover."""
    if first is None or second is None:
        return first if second is None else second
    return first & second


def unite(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """What either mask covers."""
    if first is second:
        return first
    return None if first is None or second is None else first | second


def check_circle(lon_deg: float, lat_deg: float, radius_deg: float) -> None:
    """InputError unless the three numbers describe a circle on the sky."""
    if not (
        np.isfinite([lon_deg, lat_deg, radius_deg]).all()
        and abs(lat_deg) <= 90.0
        and radius_deg > 0.0
    ):
        raise InputError(
            f"region {lon_deg},{lat_deg},{radius_deg} is no circle: expected Galactic longitude, "
            "latitude between -90 and 90 and a positive radius, all in degrees"
        )


def circle_coverage(lon_deg: float, lat_deg: float, radius_deg: float) -> np.ndarray | None:
    """Mask of a circle, Galactic degrees; None (the whole sky) from 180 degrees on.

    Raises
    ------
    InputError
        Radius not positive or not finite, latitude beyond a pole.
    """
    check_circle(lon_deg, lat_deg, radius_deg)
    return _disc(lonlat_to_vectors(np.asarray(lon_deg), np.asarray(lat_deg)), radius_deg)


def inside_circle(vectors: np.ndarray, circle: tuple[float, float, float]) -> np.ndarray:
    """Bool (N,): whether Galactic unit vectors (N, 3) lie in a circle (lon, lat, radius), deg."""
    lon, lat, radius = circle
    if radius >= 180.0:
        return np.ones(len(vectors), dtype=bool)
    centre = lonlat_to_vectors(np.asarray(lon), np.asarray(lat))
    return vectors @ centre >= np.cos(np.radians(radius))


@lru_cache(maxsize=8)
def icrs_circles_coverage(circles: tuple[tuple[float, float, float], ...]) -> np.ndarray | None:
    """Mask of what lies in all of some circles (ra, dec, radius), ICRS degrees.

    Files of one field share the mask: it must not be written to.
    """
    mask = None
    for ra, dec, radius in circles:
        vector = icrs_to_galactic() @ lonlat_to_vectors(np.asarray(ra), np.asarray(dec))
        mask = intersect(mask, _disc(vector, radius))
    return mask


def _disc(centre: np.ndarray, radius_deg: float) -> np.ndarray | None:
    if radius_deg >= 180.0:
        return None
    mask = np.zeros(N_COVERAGE, dtype=bool)
    mask[hp.query_disc(_NSIDE, centre, np.radians(radius_deg), nest=True)] = True
    mask.flags.writeable = False
    return mask


def estimated_coverage(seen: np.ndarray) -> np.ndarray | None:
    """What was probably observed, from where photons were seen.

    For files that do not say which part of the sky they hold. Photons in all 192 cells of 15
    degrees: the whole sky. All within 60 degrees of one point: their convex hull on the
    sphere, which is right for circles and for boxes and too large for other shapes. Otherwise
    the cells of 3.7 degrees that hold a photon.

    Parameters
    ----------
    seen : bool array (12 * 4**COVERAGE_ORDER,)
        Where at least one photon lies; any cuts not yet made.

    Returns
    -------
    mask or None
        All False when no photon was seen.
    """
    pixels = np.flatnonzero(seen)
    if not pixels.size:
        return seen.copy()
    if len(np.unique(pixels >> 2 * (COVERAGE_ORDER - _SKY_ORDER))) == 12 * 4**_SKY_ORDER:
        return None
    vectors = coverage_vectors(pixels)
    centre = vectors.mean(axis=0)
    if np.linalg.norm(centre) > 0.1:
        centre /= np.linalg.norm(centre)
        if np.min(vectors @ centre) > np.cos(np.radians(60.0)):
            return _hull(centre, vectors)
    shift = 2 * (COVERAGE_ORDER - _CELL_ORDER)
    cells = np.zeros(N_COVERAGE >> shift, dtype=bool)
    cells[pixels >> shift] = True
    return np.repeat(cells, 1 << shift)


def _hull(centre: np.ndarray, vectors: np.ndarray) -> np.ndarray | None:
    """Mask of the convex hull of `vectors` (N, 3), all within 60 degrees of `centre`."""
    slack = hp.max_pixrad(_NSIDE)
    radius = np.arccos(np.clip(np.min(vectors @ centre), -1.0, 1.0)) + 2 * slack
    disc = hp.query_disc(_NSIDE, centre, radius, nest=True)
    try:
        # straight lines of the tangent plane are great circles of the sphere
        hull = ConvexHull(_tangent(centre, vectors))
    except (QhullError, ValueError):  # fewer than three points, or all on one line
        return _disc(centre, max(np.degrees(radius), 1.0))
    points = _tangent(centre, coverage_vectors(disc))
    for *normal, offset in hull.equations:
        keep = points @ np.array(normal) + offset <= slack
        disc, points = disc[keep], points[keep]
    mask = np.zeros(N_COVERAGE, dtype=bool)
    mask[disc] = True
    return mask


def _tangent(centre: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Gnomonic projection (N, 2) about `centre`."""
    helper = np.eye(3)[np.argmin(np.abs(centre))]
    first = np.cross(centre, helper)
    first /= np.linalg.norm(first)
    second = np.cross(centre, first)
    depth = vectors @ centre
    return np.stack([vectors @ first / depth, vectors @ second / depth], axis=-1)
