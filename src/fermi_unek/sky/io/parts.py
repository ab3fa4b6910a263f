"""What one file contributes to a sky, and how the parts of several files become one sky."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

import healpy as hp
import numpy as np

from ...errors import InputError, UnekWarning
from ..bins import MISSION_START_MET, N_BINS, NATIVE_ORDERS, YEAR_S, native_order
from ..counts import BinCounts, FineBin, Pixels, SkyCounts
from ..geometry.coverage import N_COVERAGE, estimated_coverage, intersect, unite
from ..selection import TYPE_FAMILIES, Selection, Span, merged_spans, united_times
from .rebin import covered_fraction, observed_bins

_TOUCHING_MEV = 0.3  # energies this close touch: edges are rounded, to a tenth at 1 TeV

CENTERED_MEV = 900.0
"""From here on photons of an image stay in the middles of its pixels in narrow bins.

There the PSF is not much wider than the pixels, and a random place would blur it once more. Below,
a likelihood compares wider pixels, on which the pattern of the middles would be seen.
"""

PixelCounts = tuple[np.ndarray, np.ndarray]
"""Occupied pixels, uint32, rising, and the photons in each, uint32."""


def merge_pixels(pieces: Iterable[PixelCounts]) -> PixelCounts:
    """Sum of sparse counts; the pixels of each piece may come in any order and repeat."""
    pieces = [piece for piece in pieces if len(piece[0])]
    if not pieces:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    pixels = np.concatenate([piece[0] for piece in pieces]).astype(np.uint32, copy=False)
    counts = np.concatenate([piece[1] for piece in pieces]).astype(np.uint32, copy=False)
    del pieces
    if np.any(pixels[1:] < pixels[:-1]):
        order = np.argsort(pixels, kind="stable")
        pixels, counts = pixels[order], counts[order]
        del order
    first = np.flatnonzero(np.concatenate([[True], pixels[1:] != pixels[:-1]]))
    return pixels[first], np.add.reduceat(counts, first, dtype=np.uint32)


class PixelSum:
    """Collects counts of one energy bin, merging now and then to bound the memory."""

    def __init__(self, limit: int = 20_000_000) -> None:
        self._pieces: list[PixelCounts] = []
        self._loose = 0
        self._limit = limit

    def add(self, pixels: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Add photons: one a pixel named when `counts` is not given."""
        if not len(pixels):
            return
        if counts is None:
            unique, number = np.unique(np.asarray(pixels, np.uint32), return_counts=True)
            piece = unique, number.astype(np.uint32)
        else:
            piece = merge_pixels([(np.asarray(pixels, np.uint32), np.asarray(counts, np.uint32))])
        self._pieces.append(piece)
        self._loose += len(piece[0])
        if self._loose > self._limit:
            self._pieces = [merge_pixels(self._pieces)]
            self._loose = 0

    def result(self) -> PixelCounts:
        """Everything added so far."""
        self._pieces = [merge_pixels(self._pieces)]
        return self._pieces[0]


class BinSums:
    """Collects photons by energy, and year by year where asked for.

    Parameters
    ----------
    edges_mev : array (B + 1,)
    orders : sequence of B int
        HEALPIX orders.
    yearly : bool
    year_s : float
        Length of a year.
    """

    def __init__(
        self,
        edges_mev: np.ndarray,
        orders: Sequence[int],
        yearly: bool = False,
        year_s: float = YEAR_S,
    ) -> None:
        self._edges, self._orders, self._yearly = edges_mev, orders, yearly
        self._year_s = year_s
        self._sums = [PixelSum() for _ in orders]
        self._years: dict[int, list[PixelSum]] = {}

    def add(self, energy: np.ndarray, vectors: np.ndarray, times: np.ndarray | None) -> None:
        """Add photons of energies (N,), MeV, Galactic vectors (N, 3) and times (N,), MET."""
        number = np.searchsorted(self._edges, energy, side="right") - 1
        for b, order in enumerate(self._orders):
            here = number == b
            pixels = hp.vec2pix(2**order, *vectors[here].T, nest=True)
            self._sums[b].add(pixels)
            if self._yearly and times is not None:
                year_of = np.floor((times[here] - MISSION_START_MET) / self._year_s).astype(int)
                for year in np.unique(year_of).tolist():
                    sums = self._years.setdefault(year, [PixelSum() for _ in self._orders])
                    sums[b].add(pixels[year_of == year])

    def result(self) -> tuple[PixelCounts, ...]:
        """Counts of each bin."""
        return tuple(bin_sum.result() for bin_sum in self._sums)

    def years(self) -> dict[int, tuple[PixelCounts, ...]]:
        """The same by mission year."""
        return {
            year: tuple(bin_sum.result() for bin_sum in sums) for year, sums in self._years.items()
        }


@dataclass(frozen=True)
class SkyPart:
    """Photons of one input file.

    Attributes
    ----------
    name : str
        File name, for messages.
    kind : {"photons", "healpix", "wcs", "sky"}
    event_type : str
    selection : Selection
        Cuts made on the photons, those of this reading included.
    intervals_mev : tuple of (float, float)
        Energies observed.
    counts : tuple of six PixelCounts
        At the orders of `NATIVE_ORDERS`; empty where no photon.
    coverage : mask or None
    seen : uint8 array or None
        Packed bits of the mask of pixels with a photon, for a file that does not say what part
        of the sky it holds; its coverage is then estimated together with that of the others.
    years : mapping of int to tuple of six PixelCounts
        The same by mission year, for photons read with their times.
    fine : mapping of (float, float) to PixelCounts
        Counts in narrow bins of energy (MeV), where asked for, at the order of `native_order`.
    fine_years : mapping of int to the like of `fine`
    year_s : float
        Length of the years.
    checksum : str
        SHA-256 of the file.
    counted_in : Pixels
    """

    name: str
    kind: str
    event_type: str
    selection: Selection
    intervals_mev: tuple[tuple[float, float], ...]
    counts: tuple[PixelCounts, ...]
    coverage: np.ndarray | None = None
    seen: np.ndarray | None = None
    years: Mapping[int, tuple[PixelCounts, ...]] = field(default_factory=dict)
    fine: Mapping[Span, PixelCounts] = field(default_factory=dict)
    fine_years: Mapping[int, Mapping[Span, PixelCounts]] = field(default_factory=dict)
    year_s: float = YEAR_S
    checksum: str = ""
    counted_in: Pixels = Pixels()

    @property
    def total(self) -> int:
        """All photons."""
        return sum(int(number.sum(dtype=np.int64)) for _, number in self.counts)


def join_parts(parts: Sequence[SkyPart], region: np.ndarray | None = None) -> SkyCounts:
    """One sky from the parts of several files of one kind.

    The counts of a bin are the sum over the files, its coverage is what any of the files that
    hold some of its energies covers, the live time is the union of their spans.

    Parameters
    ----------
    parts : sequence of SkyPart
    region : mask or None
        Coverage is cut down to this; the photons must have been cut already.

    Raises
    ------
    InputError
        Files of different kinds, or no photon in any of them.
    """
    where = parts[0].name if len(parts) == 1 else f"{parts[0].name} and {len(parts) - 1} more"
    kinds = sorted({part.kind for part in parts})
    if len(kinds) > 1:
        raise InputError(
            f"{where}: the inputs are of different kinds ({', '.join(kinds)}), expected photon "
            "files only or cubes of one kind only, since photons might be counted twice"
        )
    if not any(part.total for part in parts):
        cuts = _describe(parts)
        raise InputError(f"{where}: no events are left after the cuts ({cuts})")
    _warn_doubles(parts)
    observed = observed_bins([span for part in parts for span in part.intervals_mev], where)
    coverages = _coverages(parts, observed, region)
    bins = tuple(
        _bin(index, merge_pixels(part.counts[index] for part in parts), coverages[index])
        if observed[index]
        else None
        for index in range(N_BINS)
    )
    if not any(counts is not None and len(counts.pixels) for counts in bins):
        raise InputError(f"{where}: no events are left after the cuts ({_describe(parts)})")
    types = {part.event_type for part in parts}
    selection = _joined(parts)
    sky = SkyCounts(
        bins,
        event_type=types.pop() if len(types) == 1 else "all",
        livetime_years=selection.years,
        origin=_origin(parts),
        selection=selection,
        intervals_mev=merged_spans(
            (span for part in parts for span in part.intervals_mev), _TOUCHING_MEV
        ),
        counted_in=tuple(_counted_in(parts, index) for index in range(N_BINS)),
        fine=_fine(parts, [part.fine for part in parts], region),
    )
    return replace(sky, years=_year_layers(sky, parts, region))


def _joined(parts: Sequence[SkyPart]) -> Selection:
    """What the selections of several files are together."""
    found = [part.selection for part in parts]
    where = f"{parts[0].name} and {len(parts) - 1} more"
    phases = {selection.phase for selection in found}
    if len(phases) > 1:
        raise InputError(
            f"{where}: cut to different parts of the pulse phase "
            f"({', '.join(f'{phase:.0%}' for phase in sorted(phases))}), expected one"
        )
    classes = {selection.event_class for selection in found} - {None}
    releases = {selection.release for selection in found} - {""}
    zenith = [selection.zenith_deg for selection in found]
    differing: list[tuple[str, set[Any]]] = [
        ("event classes", classes),
        ("event reconstructions", releases),
    ]
    for energies in {part.intervals_mev for part in parts}:  # other energies may have other cuts
        alike = [part.selection.zenith_deg for part in parts if part.intervals_mev == energies]
        differing.append(("zenith cuts at like energies", {cut and cut[1] for cut in alike}))
    for name, values in differing:
        if len(values) > 1:
            told = ", ".join(sorted(map(str, values)))
            warnings.warn(f"{where}: of different {name} ({told})", UnekWarning, stacklevel=4)
    types = [selection.event_type for selection in found]
    spans, good = united_times(found)
    return Selection(
        event_class=classes.pop() if len(classes) == 1 else None,
        event_type=None if None in types else reduce(or_, filter(None, types)),
        zenith_deg=None if None in zenith else max(filter(None, zenith), key=lambda cut: cut[1]),
        spans_met=spans,
        good_s=good,
        phase=phases.pop(),
        release=releases.pop() if len(releases) == 1 else "",
        simulated=any(selection.simulated for selection in found),
    )


def _bin(index: int, pixel_counts: PixelCounts, coverage: np.ndarray | None) -> BinCounts:
    return BinCounts(NATIVE_ORDERS[index], *pixel_counts, coverage)


def _coverages(
    parts: Sequence[SkyPart], observed: np.ndarray, region: np.ndarray | None
) -> list[np.ndarray | None]:
    """Coverage a bin; bins that are covered alike share one array."""
    known: dict[tuple[int, ...], np.ndarray | None] = {}
    result: list[np.ndarray | None] = []
    for index in range(N_BINS):
        if not observed[index]:
            result.append(None)
            continue
        which = tuple(k for k, part in enumerate(parts) if _holds(part, index))
        if which not in known:
            known[which] = intersect(_union([parts[k] for k in which]), region)
        result.append(known[which])
    return result


def _union(parts: Sequence[SkyPart]) -> np.ndarray | None:
    """What any of the parts covers."""
    masks = [part.coverage for part in parts if part.seen is None]
    if len(masks) < len(parts):
        seen = np.zeros(N_COVERAGE // 8, dtype=np.uint8)
        for part in parts:
            if part.seen is not None:
                seen |= part.seen
        masks.append(estimated_coverage(np.unpackbits(seen).astype(bool)))
    total = masks[0]
    for mask in masks[1:]:
        total = unite(total, mask)
    return total


def _holds(part: SkyPart, index: int) -> bool:
    return bool(covered_fraction(part.intervals_mev)[index] > 0)


def _fine(
    parts: Sequence[SkyPart],
    counts: Sequence[Mapping[Span, PixelCounts]],
    region: np.ndarray | None,
) -> tuple[FineBin, ...]:
    """Narrow bins of all parts together, those of one span added up."""
    coverages: dict[tuple[int, ...], np.ndarray | None] = {}
    result = []
    for span in sorted({span for part in parts for span in part.fine}):
        which = tuple(k for k, part in enumerate(parts) if span in part.fine)
        if which not in coverages:
            coverages[which] = intersect(_union([parts[k] for k in which]), region)
        merged = merge_pixels(counts[k][span] for k in which if span in counts[k])
        pixels = max((parts[k].counted_in for k in which), key=lambda pixels: pixels.side_deg)
        bin_counts = BinCounts(native_order(span[0]), *merged, coverages[which])
        images = all(parts[k].kind == "wcs" for k in which)
        result.append(FineBin(span, bin_counts, pixels, images and span[0] > CENTERED_MEV))
    return tuple(result)


def _year_layers(
    sky: SkyCounts, parts: Sequence[SkyPart], region: np.ndarray | None
) -> tuple[SkyCounts, ...]:
    numbers = sorted({number for part in parts for number in part.years})
    if not numbers:
        return ()
    empty = merge_pixels([])
    layers = []
    for number in range(numbers[0], numbers[-1] + 1):
        bins = tuple(
            None
            if counts is None
            else _bin(
                index,
                merge_pixels(
                    part.years[number][index] if number in part.years else empty for part in parts
                ),
                counts.coverage,
            )
            for index, counts in enumerate(sky.bins)
        )
        start = MISSION_START_MET + number * parts[0].year_s
        selection = sky.selection.within((start, start + parts[0].year_s))
        known = bool(sky.selection.spans_met)
        layers.append(
            replace(
                sky,
                bins=bins,
                livetime_years=np.nan_to_num(selection.years) if known else np.nan,
                selection=selection,
                mission_year=number,
                fine=_fine(parts, [part.fine_years.get(number, {}) for part in parts], region),
            )
        )
    return tuple(layers)


def _warn_doubles(parts: Sequence[SkyPart]) -> None:
    """Warn of two cubes that seem to hold the same photons."""
    for k, part in enumerate(parts):
        for other in parts[:k]:
            if part.kind in ("photons", "sky") or not _same_photons(part, other):
                continue
            warnings.warn(
                f"{other.name} and {part.name} overlap in energy, event type, time and position; "
                "if they hold the same photons, these are counted twice",
                UnekWarning,
                stacklevel=3,
            )


def _same_photons(one: SkyPart, other: SkyPart) -> bool:
    if not any(
        min(a[1], b[1]) > max(a[0], b[0]) * 1.001
        for a in one.intervals_mev
        for b in other.intervals_mev
    ):
        return False
    first, second = one.selection, other.selection
    if first.event_type and second.event_type and not first.event_type & second.event_type:
        # a FRONT photon is of some PSF type, too
        types = first.event_type | second.event_type
        if any(types & family == types for family in TYPE_FAMILIES):
            return False
    if first.spans_met and second.spans_met:
        if not any(
            min(a[1], b[1]) > max(a[0], b[0]) for a in first.spans_met for b in second.spans_met
        ):
            return False
    common = intersect(one.coverage, other.coverage)
    return common is None or bool(common.any())


def _describe(parts: Sequence[SkyPart]) -> str:
    one = parts[0].selection
    texts = [f"event type {parts[0].event_type}"]
    if one.energy_mev:
        texts.append(f"energy {one.energy_mev[0]:g} to {one.energy_mev[1]:g} MeV")
    if one.zenith_deg:
        texts.append(f"zenith angle up to {one.zenith_deg[1]:g} deg")
    if one.spans_met:
        texts.append(f"time {one.spans_met[0][0]:.0f} to {one.spans_met[-1][1]:.0f} s")
    return ", ".join(texts)


def _origin(parts: Sequence[SkyPart]) -> dict[str, str]:
    origin = {part.name: f"sha256 {part.checksum}" for part in parts}
    origin["kind"] = parts[0].kind
    origin["cuts"] = _describe(parts)
    return origin


def _counted_in(parts: Sequence[SkyPart], index: int) -> Pixels:
    """The coarsest pixels in which photons of a bin were counted."""
    holding = [part.counted_in for part in parts if _holds(part, index)]
    return max(holding, key=lambda pixels: pixels.side_deg, default=Pixels())
