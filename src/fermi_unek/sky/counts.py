"""`SkyCounts`: the photons of a sky or a field, ready to be cut into patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import healpy as hp
import numpy as np

from ..errors import InputError
from .bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from .geometry.coverage import unite
from .selection import EVENT_TYPES, Selection, Span

_HIGHEST_ORDER = 29  # of HEALPIX; the number of pixels of a thousandth takes minutes to compute


@dataclass(frozen=True)
class BinCounts:
    """Counts of one energy bin, sparse and sorted by HEALPIX index.

    Attributes
    ----------
    order : int
        HEALPIX order (nside = 2**order), NESTED, Galactic.
    pixels : uint32 array (N,)
        Occupied pixels, strictly increasing.
    counts : uint32 array (N,)
        Photons in each, at least one.
    coverage : bool array (12 * 4**COVERAGE_ORDER,) or None
        NESTED Galactic mask of what was observed; None is the whole sky.
    """

    order: int
    pixels: np.ndarray
    counts: np.ndarray
    coverage: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.order <= _HIGHEST_ORDER:
            raise InputError(f"order of HEALPIX pixels is {self.order}, expected 0 to 29")
        if self.pixels.shape != self.counts.shape or self.pixels.ndim != 1:
            raise InputError(
                f"pixels {self.pixels.shape} and counts {self.counts.shape} must be two lists "
                "of one length"
            )
        if self.pixels.size and (
            np.any(self.pixels[1:] <= self.pixels[:-1])
            or int(self.pixels[-1]) >= 12 * 4**self.order
        ):
            raise InputError(f"pixels must increase and lie below 12 * 4**{self.order}")
        if self.coverage is not None and self.coverage.shape != (12 * 4**COVERAGE_ORDER,):
            raise InputError(
                f"coverage has shape {self.coverage.shape}, expected {(12 * 4**COVERAGE_ORDER,)}"
            )

    @property
    def total(self) -> int:
        """All photons of the bin."""
        return int(self.counts.sum(dtype=np.int64))


@dataclass(frozen=True)
class Pixels:
    """Pixels that photons were counted in.

    Attributes
    ----------
    side_deg : float
        0 for photons, and where it is not known.
    galactic_order : int or None
        HEALPIX order, where they are Galactic.
    """

    side_deg: float = 0.0
    galactic_order: int | None = None

    @classmethod
    def of_order(cls, order: int) -> Pixels:
        """Galactic HEALPIX pixels."""
        return cls(float(np.degrees(hp.nside2resol(2**order))), order)


@dataclass(frozen=True)
class FineBin:
    """Counts of a narrow energy bin; likelihoods use them, networks do not.

    Attributes
    ----------
    energies_mev : (float, float)
    counts : BinCounts
        Of any order.
    counted_in : Pixels
        As in `SkyCounts`.
    centered : bool
        Photons are in the middles of these pixels, not anywhere inside.
    """

    energies_mev: Span
    counts: BinCounts
    counted_in: Pixels = Pixels()
    centered: bool = False


@dataclass(frozen=True)
class SkyCounts:
    """Photons in the six energy bins, one `BinCounts` a bin, None where a bin is absent.

    Attributes
    ----------
    bins : tuple of six BinCounts or None
    event_type : str
        One of `EVENT_TYPES`.
    livetime_years : float
        Calendar years of data (of 365.25 d) the photons were taken in, without gaps of more than a
        day and times the part of the pulse phase that was kept; NaN when not known.
    years : tuple of SkyCounts
        The same photons year by year, or empty when times are not known.
    layers : tuple of SkyCounts
        The same photons by event type, the sharper PSF first, or empty when not kept apart.
    origin : mapping
        What the counts came from: file names with checksums, cuts; text for the header that
        nothing reads back.
    selection : Selection
        Cuts that were made on the photons, where known.
    intervals_mev : tuple of (float, float)
        Energies observed, rising; empty when not known.
    counted_in : tuple of six Pixels
        In which pixels the photons of each bin were counted before they came here.
    mission_year : int or None
        Number of the year, from the start of the mission, of a layer of one year.
    fine : tuple of FineBin
        The same photons in narrow bins, rising, where they were asked for.
    """

    bins: tuple[BinCounts | None, ...]
    event_type: str = "front"
    livetime_years: float = float("nan")
    years: tuple[SkyCounts, ...] = ()
    layers: tuple[SkyCounts, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    selection: Selection = Selection()
    intervals_mev: tuple[Span, ...] = ()
    counted_in: tuple[Pixels, ...] = (Pixels(),) * N_BINS
    mission_year: int | None = None
    fine: tuple[FineBin, ...] = ()

    def __post_init__(self) -> None:
        for name, found in (("energy bins", self.bins), ("sizes of pixels", self.counted_in)):
            if len(found) != N_BINS:
                raise InputError(f"got {len(found)} {name}, expected {N_BINS}")
        if any(not 0 < low < high for low, high in self.intervals_mev):
            raise InputError(f"energies observed {self.intervals_mev}: expected rising pairs, MeV")
        if all(b is None for b in self.bins):
            raise InputError("no energy bin has data")
        if self.event_type not in EVENT_TYPES:
            raise InputError(f"event type {self.event_type!r} is none of {tuple(EVENT_TYPES)}")
        for index, counts in enumerate(self.bins):
            if counts is not None and counts.order != NATIVE_ORDERS[index]:
                raise InputError(
                    f"bin {index} is kept at HEALPIX order {counts.order}, expected "
                    f"{NATIVE_ORDERS[index]}"
                )

    @property
    def present(self) -> np.ndarray:
        """Bool array (6,): which energy bins have data."""
        return np.array([b is not None for b in self.bins])

    @property
    def coverage(self) -> np.ndarray | None:
        """What any bin covers: NESTED Galactic mask, None is the whole sky."""
        masks = [counts.coverage for counts in self.bins if counts is not None]
        total = masks[0]
        for mask in masks[1:]:
            total = unite(total, mask)
        return total

    @property
    def totals(self) -> np.ndarray:
        """Photons per bin, int array (6,); 0 where a bin is absent."""
        return np.array([0 if b is None else b.total for b in self.bins], dtype=np.int64)


def bin_from_pixels(
    index: int, pixels: np.ndarray, coverage: np.ndarray | None = None
) -> BinCounts:
    """`BinCounts` of energy bin `index` from one HEALPIX pixel a photon, in any order."""
    unique, counts = np.unique(np.asarray(pixels, dtype=np.uint32), return_counts=True)
    return BinCounts(NATIVE_ORDERS[index], unique, counts.astype(np.uint32), coverage)
