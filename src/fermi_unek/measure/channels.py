"""Channels: the energy bins of each event type in which a likelihood compares photons.

Photons that were read for a fit come in narrow bins (`SkyCounts.fine`); where an input knows less,
the six bins of the networks serve. Counts are kept in finer HEALPIX pixels than a likelihood
needs. Coarser ones of the same scheme are sums of them, so that nothing is resampled, and a whole
sky needs no seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..sky.bins import COVERAGE_ORDER, ENERGY_EDGES_MEV, N_BINS
from ..sky.counts import BinCounts, FineBin, SkyCounts
from ..sky.selection import Span

_INDEX = 2.4  # of the photons inside of a bin


@dataclass(frozen=True)
class Channel:
    """Photons of one event type in one energy bin.

    Attributes
    ----------
    energies_mev : (float, float)
        What was observed of it.
    counts : BinCounts
    years : tuple of BinCounts
        The same year by year; empty when times are not known.
    side_deg : float
        Side of the pixels of an input that is not Galactic HEALPIX, which act like a wider PSF.
    finest : int
        HEALPIX order beyond which the input does not tell where a photon fell.
    centered : bool
        Photons are in the middles of such pixels, and are compared there.
    """

    energies_mev: Span
    counts: BinCounts
    years: tuple[BinCounts, ...]
    side_deg: float
    finest: int
    centered: bool = False

    @property
    def mean_mev(self) -> float:
        """Mean energy of the photons of an ordinary spectrum."""
        low, high = self.energies_mev
        number = (low ** (1 - _INDEX) - high ** (1 - _INDEX)) / (_INDEX - 1)
        return (low ** (2 - _INDEX) - high ** (2 - _INDEX)) / (_INDEX - 2) / number


def channels_of(layer: SkyCounts) -> tuple[Channel, ...]:
    """The channels of one event type, rising in energy."""
    bins = layer.fine or _network_bins(layer)
    yearly = [year.fine or _network_bins(year) for year in layer.years]
    spans = [of_bin.energies_mev for of_bin in bins]
    if any([of_bin.energies_mev for of_bin in year] != spans for year in yearly):
        yearly = []  # years that were read apart, in other bins
    channels = []
    for place, of_bin in enumerate(bins):
        pixels, order = of_bin.counted_in, of_bin.counts.order
        galactic = pixels.galactic_order
        channels.append(
            Channel(
                of_bin.energies_mev,
                of_bin.counts,
                tuple(year[place].counts for year in yearly),
                pixels.side_deg if galactic is None else 0.0,
                order if galactic is None else min(order, galactic),
                of_bin.centered,
            )
        )
    return tuple(channels)


def _network_bins(sky: SkyCounts) -> tuple[FineBin, ...]:
    """The bins of the networks that were observed, cut to the energies that were."""
    bins = []
    for b in range(N_BINS):
        counts = sky.bins[b]
        if counts is None:
            continue
        low, high = ENERGY_EDGES_MEV[b : b + 2].tolist()
        inside = [
            (max(low, a), min(high, z)) for a, z in sky.intervals_mev if min(high, z) > max(low, a)
        ]
        if inside:
            low, high = min(a for a, _ in inside), max(z for _, z in inside)
        bins.append(FineBin((low, high), counts, sky.counted_in[b]))
    return tuple(bins)


@dataclass(frozen=True)
class Domain:
    """Part of the sky on which a channel is compared: what was observed of a disc.

    Attributes
    ----------
    radius_deg : float
    pixels : int array (D,)
        Observed pixels at `COVERAGE_ORDER`, NESTED Galactic, rising.
    observed, missing : arrays (Q, 3), (M, 3)
        Points for integrals over the domain, and over what it lacks of the disc.
    observed_sr, missing_sr : arrays (Q,), (M,)
        Solid angle that each of them stands for.
    """

    radius_deg: float
    pixels: np.ndarray
    observed: np.ndarray
    observed_sr: np.ndarray
    missing: np.ndarray
    missing_sr: np.ndarray


def domain(
    coverage: np.ndarray | None, centre: np.ndarray, radius_deg: float, order: int
) -> Domain:
    """The domain of a channel that is fitted in pixels of some order."""
    disc = np.sort(hp.query_disc(2**COVERAGE_ORDER, centre, np.radians(radius_deg), nest=True))
    seen = np.ones(len(disc), bool) if coverage is None else coverage[disc]
    shift = 2 * (COVERAGE_ORDER - min(order, COVERAGE_ORDER))
    parents, place = np.unique(disc >> shift, return_inverse=True)
    nside = 2 ** (COVERAGE_ORDER - shift // 2)
    points = np.stack(hp.pix2vec(nside, parents, nest=True), axis=-1)
    lit, dark = (
        np.bincount(place, some, len(parents)) * hp.nside2pixarea(2**COVERAGE_ORDER)
        for some in (seen, ~seen)
    )
    return Domain(
        radius_deg, disc[seen], points[lit > 0], lit[lit > 0], points[dark > 0], dark[dark > 0]
    )


def counts_within(counts: BinCounts, area: Domain, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (P,) of an order that hold photons of a domain, rising, and the photons in each."""
    shift = 2 * (counts.order - COVERAGE_ORDER)
    breaks = np.flatnonzero(np.diff(area.pixels) > 1) + 1
    firsts = area.pixels[np.concatenate([[0], breaks])] if len(area.pixels) else area.pixels
    lasts = area.pixels[np.concatenate([breaks - 1, [-1]])] if len(area.pixels) else area.pixels
    starts = np.searchsorted(counts.pixels, firsts.astype(np.int64) << shift)
    stops = np.searchsorted(counts.pixels, (lasts.astype(np.int64) + 1) << shift)
    rows = _ranges(starts, stops)
    parents = counts.pixels[rows].astype(np.int64) >> 2 * (counts.order - order)
    pixels, place = np.unique(parents, return_inverse=True)
    return pixels, np.bincount(place, counts.counts[rows], len(pixels))


def no_counts(order: int) -> BinCounts:
    """No photon in pixels of an order."""
    return BinCounts(order, np.zeros(0, np.uint32), np.zeros(0, np.uint32))


def _ranges(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """All whole numbers of ranges, one range after the other."""
    lengths = stops - starts
    offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return offsets + np.arange(lengths.sum())
