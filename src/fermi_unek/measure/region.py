"""Regions of interest: which candidates are fitted in which, and the fit of one region."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace

import healpy as hp
import numpy as np

from ..diffuse.named import DiffuseModel
from ..memory import give_back
from .data import RegionData, region_data
from .extension import fit_extension
from .extent import Extension
from .fit import TS_FREE_INDEX, fit_fully
from .history import histories
from .model import RegionModel
from .place import TS_LOCALISE, Ellipse, localise, ratio_95, widened
from .response import Response
from .scatter import scatter_of
from .spectra import USUAL_BETA
from .state import SourceResult, SourceState

REGION_NSIDE = 4
"""HEALPIX nside (14.7 deg) of the cells that hold the candidates of one region."""

BORDER_DEG = 3.0
"""Candidates this far outside a region are fitted with it, for the sake of its own."""

SURROUNDINGS_DEG = 9.0
"""Candidates this far outside shine into it as they are."""

LEAST_RADIUS_DEG = 6.0
"""Of the part of the sky on which a region is fitted, however few candidates."""

TS_SHAPED, TS_SHAPED_FREELY = 25.0, 100.0
"""A brighter candidate is a log parabola while all are fitted together.

The light of a pulsar that is taken for a power law is wrong at both ends of the spectrum, which
moves its neighbours and the place where it is seen itself. Of the curvature of a faint one the
photons tell little: without a prior the second is the threshold."""


FIT_ERRORS = ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError
"""Of a region whose numbers do not allow a fit."""


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
    prior : (float, float) or None
        Mean and standard deviation of a power law's index.
    moving : bool
        Whether positions are fitted.
    scatter : bool
        Whether errors hold how much the residuals of the region scatter, and that a power law
        may be curved.
    widened, dated : frozenset of int
        Rows of which the extension is fitted, and those with light curves of other periods.
    """

    region: Region
    states: tuple[SourceState, ...]
    data: RegionData
    prior: tuple[float, float] | None = None
    moving: bool = True
    scatter: bool = True
    widened: frozenset[int] = frozenset()
    dated: frozenset[int] = frozenset()


def divide(
    vectors: np.ndarray, brightness: np.ndarray, inside: np.ndarray | None = None
) -> list[Region]:
    """Regions of candidates.

    Parameters
    ----------
    vectors : array (N, 3)
    brightness : array (N,)
        In any unit.
    inside : bool array (N,), optional
        Which lie where photons were taken: each of them is some region's own, and the others are
        surroundings; all unless given.

    Returns
    -------
    list of Region
    """
    vectors = np.asarray(vectors).reshape(-1, 3)
    inside = np.ones(len(vectors), bool) if inside is None else inside
    cells = hp.vec2pix(REGION_NSIDE, *vectors.T, nest=True)
    order = np.argsort(-brightness, kind="stable")
    regions = []
    for number, cell in enumerate(np.unique(cells[inside]), start=1):
        mine = (cells == cell) & inside
        own = order[mine[order]]
        centre = vectors[own].sum(axis=0)
        centre /= np.linalg.norm(centre)
        distance = np.degrees(np.arccos(np.clip(vectors @ centre, -1.0, 1.0)))
        taken = float(distance[own].max())
        radius = max(taken, LEAST_RADIUS_DEG)
        border = ~mine & inside & (distance < taken + BORDER_DEG)
        around = ~mine & ~border & (distance < radius + SURROUNDINGS_DEG)
        regions.append(
            Region(
                number,
                centre,
                radius,
                tuple(own.tolist()),
                tuple(order[border[order]].tolist()),
                tuple(order[around[order]].tolist()),
            )
        )
    return regions


def make_task(
    region: Region,
    states: Sequence[SourceState],
    responses: Sequence[Response],
    diffuse: DiffuseModel,
    prior: tuple[float, float] | None = None,
    moving: bool = True,
    scatter: bool = True,
    widened: frozenset[int] = frozenset(),
    dated: frozenset[int] = frozenset(),
    periods: Sequence[Response] = (),
) -> RegionTask:
    """The photons of a region, what is expected of the diffuse emission, and its sources."""
    data = region_data(
        region.centre,
        region.radius_deg,
        responses,
        diffuse,
        periods if dated.intersection(region.own) else (),
    )
    give_back()  # before the next one is made beside it
    rows = tuple(states[row] for row in region.rows)
    return RegionTask(region, rows, data, prior, moving, scatter, widened, dated)


def try_region(task: RegionTask) -> list[SourceResult] | str:
    """`fit_region`, or what went wrong with the numbers of a region."""
    try:
        return fit_region(task)
    except FIT_ERRORS as error:
        return f"{type(error).__name__}: {error}"
    finally:
        gc.collect()  # a fit leaves circles that hold its images: gigabytes in a whole sky
        give_back()


def fit_region(task: RegionTask) -> list[SourceResult]:
    """Fit all candidates of a region, and give the results of its own.

    First all fluxes together with the diffuse emission, then spectra, then positions one by one
    and everything together again, then extensions where they were asked for. At the end each of
    its own by itself, all else held, with errors for all else free.

    Returns
    -------
    list of SourceResult
        Of its own candidates, in the order of ``region.own``.
    """
    region = task.region
    model = RegionModel(task.data, task.states, len(region.own) + len(region.border), task.prior)
    set_shapes(model)
    model.fit()
    ellipses: list[Ellipse | None] = [None] * model.free
    if task.moving:
        gains = model.gains()
        for number in np.argsort(-gains, kind="stable").tolist():
            if number < len(region.own) and gains[number] > TS_LOCALISE:
                state, ellipses[number] = localise(model, number, model.expected())
                model.move(number, state)
    for number in range(model.free):
        model.place(number)
    set_shapes(model)
    model.fit()
    extensions = _extensions(model, task, ellipses)
    expected = model.expected()
    curvature, _ = model.grams(expected)
    scatter = None
    if task.scatter:
        scatter = scatter_of(model, region.radius_deg, expected, curvature)
    yearly = histories(model, task.data.years, range(len(region.own)), curvature)
    dated = [number for number, row in enumerate(region.own) if row in task.dated]
    periods = histories(model, task.data.periods, dated, curvature)
    results = []
    known = model.informations(curvature, range(len(region.own)))
    for number, (row, information) in enumerate(zip(region.own, known, strict=True)):
        ellipse = ellipses[number]
        if scatter is not None:
            information = scatter.lowered(information)
            alone = curvature[:, number, number]
            ellipse = ellipse and widened(ellipse, model.photons[number], alone, information)
        result = fit_fully(
            model,
            number,
            row,
            expected=expected,
            information=information,
            ellipse=ellipse,
            usual_beta=USUAL_BETA if task.scatter else None,
            history=yearly.get(number),
            periods=periods.get(number),
            extension=extensions.get(number),
        )
        results.append(result if scatter is None else replace(result, ratio95=ratio_95(result.ts)))
    return results


def _extensions(
    model: RegionModel, task: RegionTask, ellipses: list[Ellipse | None]
) -> dict[int, Extension]:
    """Extensions by the number of the source, the brightest first; new ellipses are taken over."""
    found: dict[int, Extension] = {}
    gains = model.gains()
    for number in np.argsort(-gains, kind="stable").tolist():
        own = number < len(task.region.own) and task.region.own[number] in task.widened
        if own and gains[number] > TS_LOCALISE:
            found[number], ellipse = fit_extension(model, number)
            ellipses[number] = ellipse or ellipses[number]
    return found


def set_shapes(model: RegionModel) -> None:
    """Which parameters of the spectra are free, by the TS of the sources."""
    shaped = TS_SHAPED_FREELY if model.prior is None else TS_SHAPED
    for number, ts in enumerate(model.gains()):
        shape = 1 + int(ts > TS_FREE_INDEX) + int(ts > shaped)
        state = model.states[number]
        if shape < 3 and state.beta:
            state = state.changed(beta=0.0)
        elif shape == 3 and not state.beta:
            state = state.changed(beta=0.02)
        model.shapes[number] = shape
        model.set_state(number, state)
