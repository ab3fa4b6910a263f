"""From the energy channels of a file to the six bins of the networks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InputError, UnekWarning
from ..bins import ENERGY_EDGES_MEV, N_BINS

INDEX = 2.4
"""Photon index of the power law by which counts are shared inside a channel."""

ALIGNED = 1e-3
"""Channel and bin edges this close, relative, are the same edge."""

MIN_COVERED = 0.4
"""A network bin counts as observed when this part of its expected counts was; about half."""

WHOLE = 0.95
"""From this part on a bin passes as wholly observed."""

_MAX_ELSEWHERE = 0.1


@dataclass(frozen=True)
class RebinPlan:
    """How the channels of one file go into the network's bins.

    Attributes
    ----------
    edges_mev : array (channels, 2)
    shares : array (channels, 8)
        Expected part of a channel's counts below 300 MeV, in the six bins, and above 1 TeV;
        each row sums to one.
    """

    edges_mev: np.ndarray
    shares: np.ndarray

    def split(self, channel: int, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Counts (N,) of one channel shared among the slots, integer array (8, N).

        Whole photons: each goes to one slot, drawn by its share, so that the sum over the slots
        is exactly what was given.
        """
        shares = self.shares[channel]
        if shares.max() == 1.0:
            result = np.zeros((len(shares), len(counts)), dtype=np.int64)
            result[np.argmax(shares)] = counts
            return result
        return rng.multinomial(counts, shares).T

    def straddles(self, channel: int) -> bool:
        """Whether a channel has parts in more than one slot."""
        return bool(self.shares[channel].max() < 1.0)


def plan_rebin(edges_mev: np.ndarray, where: str) -> RebinPlan:
    """Plan for energy channels.

    Parameters
    ----------
    edges_mev : array (channels, 2)
        Lower and upper edge of each channel, MeV, in any order, gaps allowed.
    where : str
        What to call the file in errors.

    Raises
    ------
    InputError
        Edges that are not positive and rising, no channel inside 300 MeV to 1 TeV, or a channel
        coarser than the network: one that holds a whole bin of the network and more than a
        tenth of its expected counts elsewhere.
    """
    edges = np.array(edges_mev, dtype=float).reshape(-1, 2)
    if not (np.isfinite(edges).all() and (edges[:, 0] > 0).all() and np.all(np.diff(edges) > 0)):
        raise InputError(f"{where}: energy bounds must be positive and rising, MeV")
    for edge in ENERGY_EDGES_MEV:
        edges[np.abs(edges / edge - 1.0) < ALIGNED] = edge
    slots = np.concatenate([[0.0], ENERGY_EDGES_MEV, [np.inf]])
    low = np.clip(edges[:, :1], slots[:-1], slots[1:])
    high = np.clip(edges[:, 1:], slots[:-1], slots[1:])
    weights = np.where(high > low, _power(low) - _power(high), 0.0)
    shares = weights / weights.sum(axis=1, keepdims=True)
    if not shares[:, 1:-1].any():
        raise InputError(
            f"{where}: energies {edges.min():g} to {edges.max():g} MeV lie outside of the "
            f"network's {ENERGY_EDGES_MEV[0]:g} to {ENERGY_EDGES_MEV[-1]:g} MeV"
        )
    whole = (edges[:, :1] <= ENERGY_EDGES_MEV[:-1]) & (edges[:, 1:] >= ENERGY_EDGES_MEV[1:])
    coarse = (whole & (1.0 - shares[:, 1:-1] > _MAX_ELSEWHERE)).any(axis=1)
    if coarse.any():
        first = edges[np.argmax(coarse)]
        raise InputError(
            f"{where}: the channel {first[0]:g} to {first[1]:g} MeV is coarser than the network's "
            f"energy bins ({' '.join(f'{e:g}' for e in ENERGY_EDGES_MEV)} MeV); bin more finely"
        )
    return RebinPlan(edges, shares)


def _power(energy_mev: np.ndarray) -> np.ndarray:
    """Expected counts above an energy, up to a constant; below 1 MeV nothing is added."""
    return np.maximum(energy_mev, 1.0) ** (1.0 - INDEX)


def warn_moved(moved: int, total: int, where: str) -> None:
    """Say what part of the counts was put into a bin by the power law and not by the data."""
    if moved:
        warnings.warn(
            f"{where}: energy edges do not line up with the network's; {moved / total:.2%} of the "
            f"counts were moved to a neighbouring bin by a power law of index {INDEX:g}",
            UnekWarning,
            stacklevel=2,
        )


def covered_fraction(intervals: Sequence[tuple[float, float]]) -> np.ndarray:
    """Part of each bin's expected power-law counts that energy intervals (MeV) cover, (6,)."""
    covered = np.zeros(N_BINS)
    end = 0.0
    for start, stop in sorted(intervals):
        start, end = max(start, end), max(stop, end)
        low = np.clip(start, ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:])
        high = np.clip(end, ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:])
        covered += np.where(high > low, _power(low) - _power(high), 0.0)
    return covered / (_power(ENERGY_EDGES_MEV[:-1]) - _power(ENERGY_EDGES_MEV[1:]))


def observed_bins(intervals: Sequence[tuple[float, float]], where: str) -> np.ndarray:
    """Which network bins count as observed.

    A bin is kept when energies that hold at least `MIN_COVERED` of its expected counts (power
    law of index 2.4) were observed, with a warning unless that is nearly all of it; a bin covered
    less is dropped, also with a warning, since a network would take it for a bin of little
    exposure. When no bin reaches that, the best covered one is kept.

    Returns
    -------
    bool array (6,)

    Raises
    ------
    InputError
        Nothing inside 300 MeV to 1 TeV.
    """
    fraction = covered_fraction(intervals)
    if not fraction.any():
        raise InputError(
            f"{where}: no energies between {ENERGY_EDGES_MEV[0]:g} and {ENERGY_EDGES_MEV[-1]:g} MeV"
        )
    observed = fraction >= MIN_COVERED
    if not observed.any():
        observed[np.argmax(fraction)] = True
    partly = (fraction < WHOLE) & (observed | (fraction > 1.0 - WHOLE))
    for index in np.flatnonzero(partly):
        low, high = ENERGY_EDGES_MEV[index : index + 2]
        verdict = "kept as it is" if observed[index] else "left out"
        warnings.warn(
            f"{where}: only {fraction[index]:.0%} of the counts expected in the network's bin "
            f"{low:g} to {high:g} MeV are covered; the bin is {verdict}",
            UnekWarning,
            stacklevel=2,
        )
    return observed
