"""Where patches lie: the grid of the whole sky, the part of it a field needs, and who owns what.

Grid patches are unrotated squares in rings of constant Galactic latitude with a patch on either
pole. Their side is 10 degrees, yet every point of the sky lies within `GridConfig.reach_deg` of the
tangent point of some patch along both axes: a patch that sees more than one degree around
it. On the mean one other sees it too, and what a network says is their mean. With FRONT photons a
network that is told of the diffuse emission finds as much here as on `DENSE_GRID`; with BACK
photons beside them it finds a percent more there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from ...errors import InputError
from ..bins import PATCH_DEG
from .coverage import coverage_vectors
from .frame import PatchFrame, lonlat_to_vectors, vectors_to_lonlat

SINGLE_REACH_DEG = 4.8
"""A field within this of one tangent point, along both axes, is searched as a single patch."""


@dataclass(frozen=True)
class GridConfig:
    """How densely patches cover the sky.

    Attributes
    ----------
    reach_deg : float
        Largest tangent-plane offset along either axis from a point to its owner's center.
    rings : int
        Rings of patches from pole to pole, two of which are the poles: 6.67 degrees apart.
    """

    reach_deg: float = 3.7
    rings: int = 28


DENSE_GRID = GridConfig(2.5, 42)
"""Twice as many patches: each place has one that sees two and a half degrees around it, as far as
BACK photons of a GeV spread."""


@lru_cache(maxsize=4)
def sky_grid(config: GridConfig = GridConfig()) -> tuple[PatchFrame, ...]:  # noqa: B008  frozen
    """Patches that cover the whole sky with overlap and without gaps, south to north."""
    latitudes = np.linspace(-90.0, 90.0, config.rings)
    half_step = 90.0 / (config.rings - 1)
    frames: list[PatchFrame] = []
    for ring, lat in enumerate(latitudes):
        pole = ring in (0, config.rings - 1)
        number = 1 if pole else _patches_in_ring(float(lat), half_step, config.reach_deg)
        # neighbouring rings are staggered, so that corners of patches do not pile up at l = 0
        start = 0.5 * (ring % 2)
        frames += [
            PatchFrame(float((k + start) * 360.0 / number), float(lat)) for k in range(number)
        ]
    return tuple(frames)


def _patches_in_ring(lat_deg: float, half_step_deg: float, reach_deg: float) -> int:
    """Fewest patches of a ring that reach every point within `half_step_deg` of its latitude."""
    number = max(2, int(360.0 * np.cos(np.radians(abs(lat_deg))) / (2 * reach_deg)))
    # the poles are seen by their own patch; a ring need not reach across them
    lats = np.linspace(lat_deg - half_step_deg, lat_deg + half_step_deg, 41)
    frame = PatchFrame(0.0, lat_deg)
    while True:
        lons = np.linspace(0.0, 180.0 / number, 41)
        points = lonlat_to_vectors(*np.meshgrid(lons, lats)).reshape(-1, 3)
        if np.all(tangent_distance(frame, points) <= reach_deg):
            return number
        number += 1


def tangent_distance(frame: PatchFrame, vectors: np.ndarray) -> np.ndarray:
    """Larger of the two tangent-plane offsets, degrees, of unit vectors (N, 3); inf behind."""
    x, y = frame.project(vectors, 1)
    offset = PATCH_DEG * np.maximum(np.abs(x), np.abs(y))
    return np.where(np.isnan(offset), np.inf, offset)


def owner(grid: tuple[PatchFrame, ...], vectors: np.ndarray) -> np.ndarray:
    """Which patch of a grid a point belongs to.

    The owner is the patch whose centre is nearest in the sense of `tangent_distance`, the first
    of the grid on a tie. On `sky_grid` it always sees the point `GridConfig.reach_deg` or less
    from its centre.

    Parameters
    ----------
    grid : tuple of PatchFrame
    vectors : array (N, 3)
        Galactic unit vectors.

    Returns
    -------
    int array (N,)
        Index into `grid`.

    Raises
    ------
    InputError
        The grid is empty.
    """
    if not grid:
        raise InputError("an empty grid owns nothing: at least one patch is needed")
    vectors = np.asarray(vectors, dtype=float).reshape(-1, 3)
    axes = np.stack([frame.axes for frame in grid])
    # the owner need not be the nearest centre along the arc, but is among the nearest few
    near = min(len(grid), 12)
    result = np.empty(len(vectors), dtype=np.int64)
    tree = cKDTree(axes[:, 2])
    for start in range(0, len(vectors), 200_000):
        part = vectors[start : start + 200_000]
        candidates = np.sort(tree.query(part, k=near)[1].reshape(len(part), near), axis=1)
        local = np.einsum("nkij,nj->nki", axes[candidates], part)
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = np.abs(local[..., :2]).max(axis=-1) / local[..., 2]
        offset = np.where(local[..., 2] > 0.01, offset, 100.0 - local[..., 2])
        best = np.argmin(offset, axis=1)
        result[start : start + len(part)] = candidates[np.arange(len(part)), best]
    return result


def covering_grid(
    coverage: np.ndarray | None, config: GridConfig | None = None
) -> tuple[PatchFrame, ...]:
    """Patches for a field given by its coverage mask.

    Parameters
    ----------
    coverage : bool array (12 * 4**COVERAGE_ORDER,) or None
        NESTED Galactic mask; None is the whole sky.
    config : GridConfig, optional

    Returns
    -------
    tuple of PatchFrame
        The whole grid for the whole sky; one patch centred on the field, and turned along its
        sides when only that lets it fit, for a field up to about 9.6 degrees across; otherwise
        the patches of `sky_grid` that own a covered point. Empty when nothing is covered.
    """
    whole = sky_grid(config or GridConfig())
    if coverage is None:
        return whole
    covered = np.flatnonzero(coverage)
    if not covered.size:
        return ()
    vectors = coverage_vectors(covered)
    single = _single_patch(vectors)
    if single is not None:
        return (single,)
    return tuple(whole[index] for index in np.unique(owner(whole, vectors)))


def _single_patch(vectors: np.ndarray) -> PatchFrame | None:
    """One patch that holds all `vectors` within SINGLE_REACH_DEG, or None."""
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    # quickly dismiss what is too large for any square, whose corners are sqrt(2) times away
    if length < 0.9 or np.min(vectors @ mean) < length * np.cos(np.radians(2 * SINGLE_REACH_DEG)):
        return None
    for rotation in range(0, 90, 5):
        lon, lat = (float(v) for v in vectors_to_lonlat(mean))
        for _ in range(2):  # the middle of the extremes, not the mean, gives the best fit
            frame = PatchFrame(lon, lat, float(rotation))
            x, y = frame.project(vectors, 1)
            middle = frame.unproject(
                0.5 * (np.nanmin(x) + np.nanmax(x)), 0.5 * (np.nanmin(y) + np.nanmax(y)), 1
            )
            lon, lat = (float(v) for v in vectors_to_lonlat(middle))
        frame = PatchFrame(lon, lat, float(rotation))
        if np.all(tangent_distance(frame, vectors) <= SINGLE_REACH_DEG):
            return frame
    return None
