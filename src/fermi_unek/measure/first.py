"""First fits, in the six bins of the networks: what shines into a region from outside of it.

The flux in an aperture holds the light of neighbors as well, in the plane several times that of
the source. Were the surroundings of a region to shine so, its diffuse emission would make up for
them, and its own sources for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..sky.counts import SkyCounts
from .channels import channels_of
from .model import RegionModel
from .region import FIT_ERRORS, Region, RegionTask, make_task, set_shapes
from .response import Response
from .state import SourceState

PASSES = 2
"""After these the diffuse emission of crowded regions moves by no more than a percent."""

_PIXELS_A_RADIUS = 2.0  # places are held
_STEP_SIGMA = 0.3  # that no parameter may still want to move by


def in_coarse_bins(response: Response, layer: SkyCounts) -> Response:
    """The response of the same photons in the bins of the networks, of all time together."""
    channels = channels_of(replace(layer, fine=(), years=())) or response.channels
    return replace(response, channels=channels, year_shares=(), pixels_a_radius=_PIXELS_A_RADIUS)


def first_states(
    states: Sequence[SourceState],
    regions: Sequence[Region],
    run: Callable[..., list[list[SourceState] | None]],
    **settings: Any,
) -> list[SourceState]:
    """Spectra of all sources, fitted `PASSES` times.

    Parameters
    ----------
    states : sequence of SourceState
        To begin with.
    regions : sequence of Region
    run : callable
        Of `parallel.task_workers`.
    **settings
        As of `make_task`, with responses of `in_coarse_bins`.
    """
    for _ in range(PASSES):
        tasks = map(partial(make_task, states=states, **settings), regions)
        found = run(first_fit, tasks, total=len(regions), label="first fluxes")
        states = with_found(states, regions, found)
    return list(states)


def first_fit(task: RegionTask) -> list[SourceState] | None:
    """Spectra of a region's own sources at their places; None where the numbers do not allow it."""
    region = task.region
    try:
        model = RegionModel(
            task.data, task.states, len(region.own) + len(region.border), task.prior
        )
        model.fit(step_sigma=_STEP_SIGMA)
        set_shapes(model)
        model.fit(step_sigma=_STEP_SIGMA)
    except FIT_ERRORS:
        return None  # the fit itself will tell
    return [
        # what is too faint for an index keeps the one it came with
        state if shape > 1 else state.changed(index=before.index, beta=before.beta)
        for state, shape, before in zip(
            model.states, model.shapes, task.states[: len(region.own)], strict=False
        )
    ]


def with_found(
    states: Sequence[SourceState],
    regions: Sequence[Region],
    found: Sequence[list[SourceState] | None],
) -> list[SourceState]:
    """States of all sources, with those that `first_fit` found of the own ones of each region."""
    result = list(states)
    for region, of_region in zip(regions, found, strict=True):
        for row, state in zip(region.own, of_region or (), strict=False):
            result[row] = state
    return result
