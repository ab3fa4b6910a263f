"""`Evidence`: everything the classifier is told of some candidates."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields

import numpy as np

from ..errors import InputError, UnekWarning
from ..simulate.instrument import FINE_ENERGIES_MEV, load_instrument, sin_declination
from ..sky.bins import N_BINS
from ..sky.counts import SkyCounts
from .photometry import Photometry, measure
from .stamps import coverage_of, cut_stamps, layers_of

NEIGHBOUR_PROBABILITY = 0.5
"""Candidates at least this sure are fitted as neighbours of the others."""

MOST_YEARS = 16
_UNKNOWN_YEARS = 10.0
_REFERENCE_INDEX = 2.4


@dataclass(frozen=True)
class Evidence:
    """What the network sees of N candidates in Y years and six bins.

    Attributes
    ----------
    image : float32 array (N, 6, 12, 12)
        Photons of all years on the pixels of `stamps.WIDE`.
    observed : float32 array (N, 6)
        Share of the stamp that was observed; zero where the bin is absent.
    net, core : float32 arrays (N, Y, 6)
    error, net_alone, error_alone, core_background : as in `photometry.Photometry`
    exposure : float32 array (N, Y, 6)
        cm2 s of each year, mean over the bin.
    probability : float32 array (N,)
        The localizer's.
    """

    image: np.ndarray
    observed: np.ndarray
    net: np.ndarray
    core: np.ndarray
    error: np.ndarray
    net_alone: np.ndarray
    error_alone: np.ndarray
    core_background: np.ndarray
    exposure: np.ndarray
    probability: np.ndarray

    def __post_init__(self) -> None:
        lengths = {one.name: len(getattr(self, one.name)) for one in fields(self)}
        if len(set(lengths.values())) > 1:
            raise InputError(f"evidence of different numbers of candidates: {lengths}")

    def __len__(self) -> int:
        return len(self.probability)

    def select(self, rows: np.ndarray) -> Evidence:
        """That of some candidates, by mask or index."""
        return Evidence(*(getattr(self, one.name)[rows] for one in fields(self)))


def gather(sky: SkyCounts, vectors: np.ndarray, probability: np.ndarray) -> Evidence:
    """Evidence on candidates in a sky.

    Parameters
    ----------
    sky : SkyCounts
        Its `years` are the layers in time; without them there is one layer.
    vectors : array (N, 3)
        Galactic unit vectors of the candidates; N may be 0.
    probability : array (N,)
        The localizer's calibrated probability; the sure ones are fitted as neighbours.
    """
    layers = layers_of(sky)
    stamps = cut_stamps(sky, vectors)[0]
    covered = coverage_of(sky, vectors)
    neighbours = vectors[probability >= NEIGHBOUR_PROBABILITY]
    found = measure(stamps, covered, vectors, neighbours, sky.event_type)
    years = layer_years(sky)
    per_year = exposure_per_year(vectors, sky.event_type)
    present = np.stack([layer.present for layer in layers])
    exposure = per_year[:, None] * years[:, None] * present
    image = stamps.sum(axis=1, dtype=np.float32) * covered
    return assemble(image, covered, found, exposure, probability)


def assemble(
    image: np.ndarray,
    covered: np.ndarray,
    found: Photometry,
    exposure: np.ndarray,
    probability: np.ndarray,
) -> Evidence:
    """Evidence out of its parts."""
    return Evidence(
        image=image.astype(np.float32),
        observed=covered.mean(axis=(2, 3), dtype=np.float32),
        net=found.net,
        core=found.core,
        error=found.error,
        net_alone=found.net_alone,
        error_alone=found.error_alone,
        core_background=found.core_background,
        exposure=exposure.astype(np.float32),
        probability=probability.astype(np.float32),
    )


def layer_years(sky: SkyCounts) -> np.ndarray:
    """Live time (Y,) of each layer, years.

    Warns
    -----
    UnekWarning
        Where neither the layer nor the sky says: a year a layer, or ten in all, are taken.
    """
    layers = layers_of(sky)
    years = np.array([layer.livetime_years for layer in layers], float)
    known = np.isfinite(years) & (years > 0.0)
    if known.all():
        return years
    total = sky.livetime_years
    each = total / len(layers) if np.isfinite(total) and total > 0.0 else np.nan
    if not np.isfinite(each):
        each = 1.0 if sky.years else _UNKNOWN_YEARS
        warnings.warn(
            f"the counts do not say how long was observed; {each:g} year(s) a layer are taken to "
            "classify them",
            UnekWarning,
            stacklevel=3,
        )
    return np.where(known, years, each)


def exposure_per_year(vectors: np.ndarray, event_type: str) -> np.ndarray:
    """Exposure (N, 6) of a year, cm2 s, mean over each bin for a power law of index 2.4."""
    total = np.zeros((len(vectors), N_BINS))
    for response in load_instrument().parts(event_type):
        weights = FINE_ENERGIES_MEV[:, None] ** (1.0 - _REFERENCE_INDEX) * response.bin_fractions
        total += response.exposure(sin_declination(vectors)).T @ (weights / weights.sum(axis=0))
    return total
