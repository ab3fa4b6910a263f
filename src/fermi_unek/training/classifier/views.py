"""Views of a simulated sky: the layers and energies that an analyst may have of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...sky.bins import N_BINS
from ...sky.counts import SkyCounts
from ...sky.layers import with_layers
from .skies import EVENT_TYPES, ClassTruth


@dataclass(frozen=True)
class View:
    """What is shown of a sky.

    Attributes
    ----------
    layers : int
        1: FRONT photons alone; 2: FRONT and BACK, kept apart.
    bins : int
        Number of energy bins; those that are left out are the lowest.
    """

    layers: int
    bins: int = N_BINS

    @property
    def event_types(self) -> tuple[str, ...]:
        """Layers that are shown."""
        return EVENT_TYPES[: self.layers]

    @property
    def name(self) -> str:
        """In names of files."""
        return "+".join(self.event_types) + ("" if self.bins == N_BINS else f"-{self.bins}bins")

    def of(self, layers: Sequence[SkyCounts]) -> SkyCounts:
        """What is shown of the layers (of this view's event types) of a sky."""
        absent = N_BINS - self.bins
        return with_layers([_above(layer, absent) for layer in layers])

    def ts(self, truth: ClassTruth) -> np.ndarray:
        """Ideal TS (N, 6) of the sources in the photons of each bin; 0 where it is left out."""
        shown = np.arange(N_BINS) >= N_BINS - self.bins
        ts: np.ndarray = truth.ts[:, : self.layers].sum(axis=1) * shown
        return ts


def _above(sky: SkyCounts, absent: int) -> SkyCounts:
    """A sky without its lowest bins."""
    years = tuple(_above(year, absent) for year in sky.years)
    return replace(sky, bins=(None,) * absent + sky.bins[absent:], years=years)


WHOLE = tuple(View(layers) for layers in (1, 2))

ABOVE_1_GEV, ABOVE_7_GEV = (tuple(View(layers, bins) for layers in (1, 2)) for bins in (4, 2))


def views_to_train(number: int) -> tuple[View, ...]:
    """Views of training sky `number`: one and two layers, and few bins, another way each sky."""
    few = ABOVE_1_GEV + ABOVE_7_GEV
    return (*WHOLE, few[number % len(few)])


def views_to_calibrate(number: int) -> tuple[View, ...]:
    """Views of calibration sky `number`: one and two layers, of all bins and of few."""
    return WHOLE + (ABOVE_1_GEV, ABOVE_7_GEV)[number % 2]
