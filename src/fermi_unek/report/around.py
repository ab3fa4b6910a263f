"""Counts around candidates: stamps per energy bin, and light curves year by year."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..sky.bins import COVERAGE_ORDER, ENERGY_EDGES_MEV, NATIVE_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame, lonlat_to_vectors
from ..sky.geometry.patches import PatchCutter
from .photons import observed_mev

STAMP_PIXELS = tuple(n * 5 // 16 for n in NATIVE_PIXELS)
"""Pixels along the side of a stamp per energy bin, of the network's own size."""

STAMP_DEG = PATCH_DEG * 5 / 16
"""Side of a stamp: twice the 68% containment radius at 300 MeV, about 3 degrees."""

CIRCLE_DEG = 0.5
RING_DEG = (1.0, 2.0)
LIGHT_CURVE_MEV = 1000.0
"""Light curves count photons above this energy in a circle, and the background in a ring."""

MISSION_START_YEAR = 2008.593
"""`MISSION_START_MET` as a decimal calendar year."""


def stamps(
    sky: SkyCounts, lon_deg: np.ndarray, lat_deg: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Photons around places, one after the other.

    Parameters
    ----------
    sky : SkyCounts
    lon_deg, lat_deg : arrays (N,)
        Galactic degrees.

    Yields
    ------
    tuple of six int arrays (n_b, n_b)
        Photons per pixel [row, column] in a tangent plane, ``n_b = STAMP_PIXELS[b]``, rows
        towards larger latitude and columns towards smaller longitude; -1 where nothing was
        observed or the bin is absent.
    """
    cutter = PatchCutter(sky, cache=False, within_deg=STAMP_DEG / 2.0)
    for lon, lat in zip(lon_deg, lat_deg, strict=True):
        patch = cutter.cut(PatchFrame(float(lon), float(lat)))
        planes = []
        for n, counts, mask in zip(STAMP_PIXELS, patch.counts, patch.mask, strict=True):
            first = (len(counts) - n) // 2
            middle = slice(first, first + n), slice(first, first + n)
            planes.append(np.where(mask[middle], counts[middle], -1).astype(int))
        yield tuple(planes)


def packed_stamp(planes: tuple[np.ndarray, ...]) -> str:
    """A stamp as base64 text: deflated, counts plus one, all low bytes and then all high ones."""
    values = np.concatenate([plane.ravel() for plane in planes]) + 1
    values = np.clip(values, 0, 65535).astype("<u2")
    octets = values.view(np.uint8).reshape(-1, 2).T
    return packed(octets)


def packed(octets: np.ndarray) -> str:
    """Bytes as base64 of a zlib stream, as the page unpacks them."""
    return base64.b64encode(zlib.compress(octets.tobytes(), 9)).decode("ascii")


@dataclass(frozen=True)
class LightCurves:
    """Photons of N places year by year.

    Attributes
    ----------
    start_year : float array (Y,)
        Begin of each year as a decimal calendar year; NaN for years of cubes, in their order.
    livetime_years : float array (Y,)
        Part of each year that the data span; NaN when not known.
    counts : int array (N, Y)
        Photons in the circle.
    background : float array (N, Y)
        Photons in the ring, scaled to the area of the circle; NaN where none of it was seen.
    lowest_mev : float
        Energy above which photons are counted.
    """

    start_year: np.ndarray
    livetime_years: np.ndarray
    counts: np.ndarray
    background: np.ndarray
    lowest_mev: float


def light_curves(sky: SkyCounts, lon_deg: np.ndarray, lat_deg: np.ndarray) -> LightCurves | None:
    """Photons year by year around places, where their times are known.

    Parameters
    ----------
    sky : SkyCounts
    lon_deg, lat_deg : arrays (N,)
        Galactic degrees.

    Returns
    -------
    LightCurves or None
        None when the sky has no years.
    """
    if not sky.years:
        return None
    vectors = lonlat_to_vectors(np.asarray(lon_deg, float), np.asarray(lat_deg, float))
    circles = [_disc(vector, CIRCLE_DEG) for vector in vectors]
    rings = [np.setdiff1d(_disc(v, RING_DEG[1]), _disc(v, RING_DEG[0])) for v in vectors]
    seen = sky.coverage
    if seen is not None:
        circles = [pixels[seen[pixels]] for pixels in circles]
        rings = [pixels[seen[pixels]] for pixels in rings]
    sizes = np.array([[len(disc) for disc in discs] for discs in (circles, rings)], dtype=float)
    share = np.divide(sizes[0], sizes[1], out=np.full(len(vectors), np.nan), where=sizes[1] > 0)
    wanted = _bins_above(sky, LIGHT_CURVE_MEV)
    counts = np.zeros((len(vectors), len(sky.years)), dtype=int)
    background = np.zeros(counts.shape)
    for year, layer in enumerate(sky.years):
        there = _coarse_map(layer, wanted)
        counts[:, year] = [there[pixels].sum() for pixels in circles]
        background[:, year] = share * np.array([there[pixels].sum() for pixels in rings])
    numbers = [layer.mission_year for layer in sky.years]
    starts = [np.nan if year is None else MISSION_START_YEAR + year for year in numbers]
    return LightCurves(
        np.array(starts),
        np.array([layer.livetime_years for layer in sky.years]),
        counts,
        background,
        observed_mev(sky, wanted)[0],
    )


def _disc(vector: np.ndarray, radius_deg: float) -> np.ndarray:
    return hp.query_disc(2**COVERAGE_ORDER, vector, np.radians(radius_deg), nest=True)


def _bins_above(sky: SkyCounts, energy_mev: float) -> np.ndarray:
    """Present bins above an energy, or all present ones where none is."""
    present = np.flatnonzero(sky.present)
    above = present[ENERGY_EDGES_MEV[present] >= energy_mev]
    return above if above.size else present


def _coarse_map(sky: SkyCounts, wanted: np.ndarray) -> np.ndarray:
    """Photons of some bins at the order of the coverage masks, int array."""
    total = np.zeros(12 * 4**COVERAGE_ORDER, dtype=np.int64)
    for index in wanted:
        of_bin = sky.bins[index]
        if of_bin is not None:
            pixels = of_bin.pixels.astype(np.int64) >> 2 * (of_bin.order - COVERAGE_ORDER)
            total += np.bincount(pixels, weights=of_bin.counts, minlength=total.size).astype(
                np.int64
            )
    return total
