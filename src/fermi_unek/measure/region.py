"""Regions of interest: which candidates are fitted in which, and the fit of one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..diffuse.named import DiffuseModel
from .background import diffuse_per_sr
from .fit import fit_fully, fit_roughly
from .pixels import PixelCounts
from .response import Response
from .scatter import scatter_of
from .state import SourceResult, SourceState
from .window import WINDOW_DEG, RegionData, RegionSky

REGION_NSIDE = 8
"""HEALPIX nside (7.3 deg) of the cells that hold the candidates of one region."""

BORDER_DEG = 2.5
"""Candidates this far outside a region are fitted with it, roughly, for the sake of its own."""

SURROUNDINGS_DEG = 9.0
"""Candidates this far outside shine into it as they are."""


LEAST_RADIUS_DEG = 4.0
"""Of the part of the sky on which a region's residuals are looked at, however few candidates."""


@dataclass(frozen=True)
class Region:
    """Candidates that are fitted as one piece of work.

    Attributes
    ----------
    number : int
        Counted from 1, as ROI_num of 4FGL.
    centre : array (3,)
        Galactic unit vector.
    radius_deg : float
        Within which its own candidates lie, at least `LEAST_RADIUS_DEG`.
    own, border, surroundings : tuples of int
        Rows of the candidates; the brightest first.
    """

    number: int
    centre: np.ndarray
    radius_deg: float
    own: tuple[int, ...]
    border: tuple[int, ...]
    surroundings: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """All candidates that the region knows."""
        return self.own + self.border + self.surroundings


@dataclass(frozen=True)
class RegionTask:
    """A region with all that its fit needs and nothing else, to be sent to a worker.

    Attributes
    ----------
    region : Region
    states : tuple of SourceState
        Of ``region.rows``.
    data : RegionData
    """

    region: Region
    states: tuple[SourceState, ...]
    data: RegionData


def divide(vectors: np.ndarray, brightness: np.ndarray) -> list[Region]:
    """Regions of all candidates (N, 3), each of which is some region's own; brightness (N,)."""
    cells = hp.vec2pix(REGION_NSIDE, *np.asarray(vectors).reshape(-1, 3).T, nest=True)
    order = np.argsort(-brightness, kind="stable")
    regions = []
    for number, cell in enumerate(np.unique(cells), start=1):
        own = order[cells[order] == cell]
        centre = vectors[own].sum(axis=0)
        centre /= np.linalg.norm(centre)
        distance = np.degrees(np.arccos(np.clip(vectors @ centre, -1.0, 1.0)))
        taken = float(distance[own].max())
        radius = max(taken, LEAST_RADIUS_DEG)
        others = order[cells[order] != cell]
        border = distance[others] < taken + BORDER_DEG
        surroundings = ~border & (distance[others] < radius + SURROUNDINGS_DEG)
        regions.append(
            Region(
                number,
                centre,
                radius,
                tuple(own.tolist()),
                tuple(others[border].tolist()),
                tuple(others[surroundings].tolist()),
            )
        )
    return regions


def make_task(
    region: Region,
    states: Sequence[SourceState],
    counts: PixelCounts,
    response: Response,
    diffuse: DiffuseModel,
) -> RegionTask:
    """The photons of a region, what is expected of the diffuse emission, and its sources."""
    pixels = tuple(
        counts.pixels(b, region.centre, region.radius_deg + radius)
        for b, radius in enumerate(WINDOW_DEG)
    )
    grouping = response.grouping(region.centre)
    reach = region.radius_deg + max(WINDOW_DEG)
    per_sr = diffuse_per_sr(
        diffuse,
        response,
        grouping,
        region.centre,
        reach,
        [bin_pixels.vectors for bin_pixels in pixels],
    )
    expected = tuple(
        rate * bin_pixels.area_sr for rate, bin_pixels in zip(per_sr, pixels, strict=True)
    )
    seen = tuple(counts.at(bin_pixels) for bin_pixels in pixels)
    data = RegionData(pixels, seen, expected, response, grouping)
    return RegionTask(region, tuple(states[row] for row in region.rows), data)


def fit_region(task: RegionTask) -> list[SourceResult]:
    """Fit all candidates of a region, from the brightest to the faintest, three times.

    First each by itself, then with its neighbours and its position free, then once more for
    the results, with errors that hold how much the residuals of the region scatter.

    Returns
    -------
    list of SourceResult
        Of its own candidates, in the order of ``region.own``.
    """
    region = task.region
    sky = RegionSky(task.data, task.states)
    own = range(len(region.own))
    fitted = sorted(
        range(len(region.own) + len(region.border)),
        key=lambda number: (-sky.counts_of(number).sum(), number),
    )
    for together in (False, True):
        for number in fitted:
            localise = together and number in own
            sky.update(number, fit_roughly(sky, number, together=together, localise=localise))
    sky.scatter = scatter_of(sky, region.centre, region.radius_deg + BORDER_DEG)
    results = {}
    for number in [number for number in fitted if number in own]:
        results[number] = fit_fully(sky, number, region.own[number])
        sky.update(number, results[number].state)
    return [results[number] for number in own]
