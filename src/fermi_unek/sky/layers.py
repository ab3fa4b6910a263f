"""Layers of a sky: photons of each event type kept apart, and their sum."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

import numpy as np

from ..errors import InputError, UnekWarning
from .bins import N_BINS, NATIVE_ORDERS
from .counts import BinCounts, SkyCounts
from .geometry.coverage import intersect, unite
from .io.parts import merge_pixels
from .selection import EVENT_TYPES, LAYERS, merged_spans, name_of, united_times

_SAME = 0.02
_SAME_FIELD = 0.8  # pixels of two shapes along the rims of small fields


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
        Of one pair of `LAYERS`, or of parts of them.

    Raises
    ------
    InputError
        They have no part of the sky in common.

    Warns
    -----
    UnekWarning
        They are of other times, event classes or parts of the sky.
    """
    if len(layers) == 1:
        return layers[0]
    order = [name for pair in LAYERS.values() for name in pair]
    layers = sorted(layers, key=lambda layer: order.index(layer_of(layer.event_type)))
    for layer in layers[1:]:
        _compare(layers[0], layer)
    total = added(layers)
    by_year: dict[int, list[SkyCounts]] = defaultdict(list)
    for layer in layers:
        for place, year in enumerate(layer.years):
            by_year[place if year.mission_year is None else year.mission_year].append(year)
    years = tuple(added(by_year[number]) for number in sorted(by_year))
    return replace(total, years=years, layers=tuple(layers))


def _compare(one: SkyCounts, other: SkyCounts) -> None:
    """Say where two layers are not of the same photons but for their event types."""
    kinds = one.event_type.upper(), other.event_type.upper()
    common = intersect(one.coverage, other.coverage)
    if common is not None:
        whole = unite(one.coverage, other.coverage)
        part = common.sum() / (common.size if whole is None else whole.sum())
        if not part:
            raise InputError(f"{kinds[0]} and {kinds[1]} photons are of different fields")
        if part < _SAME_FIELD:
            _tell(kinds, f"have {part:.0%} of the sky that they cover in common")
    for what, values in (
        ("years", tuple(layer.livetime_years for layer in (one, other))),
        ("event class", tuple(layer.selection.event_class or np.nan for layer in (one, other))),
    ):
        if abs(values[1] / values[0] - 1.0) > _SAME:  # NaN where not known
            _tell(kinds, f"are of {what} {values[0]:.4g} and {values[1]:.4g}")


def _tell(kinds: tuple[str, str], what: str) -> None:
    warnings.warn(
        f"{kinds[0]} and {kinds[1]} photons {what}; expected the same photons, parted by event "
        "type alone",
        UnekWarning,
        stacklevel=4,
    )


def added(skies: Sequence[SkyCounts]) -> SkyCounts:
    """Photons of several skies of one time as those of one, of all their event types."""
    bits = reduce(or_, (EVENT_TYPES[sky.event_type] for sky in skies))
    selections = [sky.selection for sky in skies]
    types = [selection.event_type for selection in selections]
    spans, good = united_times(selections)
    return replace(
        skies[0],
        bins=tuple(_bin(index, [sky.bins[index] for sky in skies]) for index in range(N_BINS)),
        event_type=name_of(bits) or "psf",
        livetime_years=max((sky.livetime_years for sky in skies), key=np.nan_to_num),
        years=(),
        fine=(),
        origin={key: text for sky in skies for key, text in sky.origin.items()},
        selection=replace(
            selections[0],
            event_type=None if None in types else reduce(or_, filter(None, types)),
            spans_met=spans,
            good_s=good,
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
