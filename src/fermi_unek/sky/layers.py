"""Layers of a sky: photons of each event type kept apart, and their sum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

import numpy as np

from .bins import N_BINS, NATIVE_ORDERS
from .counts import BinCounts, SkyCounts
from .geometry.coverage import unite
from .io.parts import merge_pixels
from .selection import EVENT_TYPES, LAYERS, merged_spans


def layer_of(event_type: str) -> str:
    """The layer in which photons of an event type are looked at, of all in `LAYERS`; else blank."""
    bits = EVENT_TYPES[event_type]
    names = [name for pair in LAYERS.values() for name in pair]
    return next((name for name in names if bits & EVENT_TYPES[name] == bits), "")


def with_layers(layers: Sequence[SkyCounts]) -> SkyCounts:
    """The sum of layers, with them beside it, the sharper first; one alone is itself.

    Parameters
    ----------
    layers : sequence of SkyCounts
        Of one pair of `LAYERS`.
    """
    if len(layers) == 1:
        return layers[0]
    order = [name for pair in LAYERS.values() for name in pair]
    layers = sorted(layers, key=lambda layer: order.index(layer.event_type))
    total = added(layers)
    by_year: dict[int, list[SkyCounts]] = defaultdict(list)
    for layer in layers:
        for place, year in enumerate(layer.years):
            by_year[place if year.mission_year is None else year.mission_year].append(year)
    years = tuple(added(by_year[number]) for number in sorted(by_year))
    return replace(total, years=years, layers=tuple(layers))


def added(skies: Sequence[SkyCounts]) -> SkyCounts:
    """Photons of several skies of one time as those of one, of all their event types."""
    bits = reduce(or_, (EVENT_TYPES[sky.event_type] for sky in skies))
    selections = [sky.selection for sky in skies]
    types = [selection.event_type for selection in selections]
    return replace(
        skies[0],
        bins=tuple(_bin(index, [sky.bins[index] for sky in skies]) for index in range(N_BINS)),
        event_type=next((name for name, known in EVENT_TYPES.items() if known == bits), "psf"),
        livetime_years=max((sky.livetime_years for sky in skies), key=np.nan_to_num),
        years=(),
        fine=(),
        origin={key: text for sky in skies for key, text in sky.origin.items()},
        selection=replace(
            selections[0],
            event_type=None if None in types else reduce(or_, filter(None, types)),
            spans_met=merged_spans(span for one in selections for span in one.spans_met),
        ),
        intervals_mev=merged_spans(span for sky in skies for span in sky.intervals_mev),
        counted_in=tuple(
            max((sky.counted_in[index] for sky in skies), key=lambda pixels: pixels.side_deg)
            for index in range(N_BINS)
        ),
    )


def _bin(index: int, parts: Sequence[BinCounts | None]) -> BinCounts | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    merged = merge_pixels((part.pixels, part.counts) for part in present)
    coverage = reduce(unite, (part.coverage for part in present))
    return BinCounts(NATIVE_ORDERS[index], *merged, coverage)
