"""`CandidateFeatures`: everything the classifier is told of some candidates."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields

import numpy as np

from ..errors import InputError, UnekWarning
from ..irf.exposure import ExposureFile
from ..irf.instrument import FINE_ENERGIES_MEV, Instrument, load_instrument
from ..nets.classifier import ClassifierShape
from ..sky.bins import N_BINS
from ..sky.counts import SkyCounts
from .photometry import Photometry, measure
from .stamps import coverage_of, cut_stamps, geometry_of, layers_of

NEIGHBOUR_PROBABILITY = 0.5
"""Candidates at least this sure are fitted as neighbours of the others."""

MOST_YEARS = 16
_UNKNOWN_YEARS = 10.0
_REFERENCE_INDEX = 2.4


@dataclass(frozen=True)
class CandidateFeatures:
    """What the network sees of N candidates in Y years and six bins.

    Attributes
    ----------
    image : float32 array (N, 6, 12, 12)
        Photons of all years on the pixels of the stamps.
    observed : float32 array (N, 6)
        Share of the stamp that was observed; zero where the bin is absent.
    net, core : float32 arrays (N, Y, 6)
    error, net_alone, error_alone, core_background : as in `photometry.Photometry`
    exposure : float32 array (N, Y, 6)
        cm2 s of each year, mean over the bin.
    probability : float32 array (N,)
        The localizer's.
    mask : float32 array (N, 2)
        Peak and area in the localizer's mask; NaN where not known.
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
    mask: np.ndarray

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise InputError(f"features of different numbers of candidates: {lengths}")

    def __len__(self) -> int:
        return len(self.probability)

    def select(self, rows: np.ndarray) -> CandidateFeatures:
        """That of some candidates, by mask or index."""
        return CandidateFeatures(*(getattr(self, field.name)[rows] for field in fields(self)))


def gather(
    sky: SkyCounts,
    vectors: np.ndarray,
    probability: np.ndarray,
    mask: np.ndarray | None = None,
    exposure: ExposureFile | None = None,
    *,
    shape: ClassifierShape,
) -> CandidateFeatures:
    """Features of candidates in a sky.

    Parameters
    ----------
    sky : SkyCounts
        Its `years` are the layers in time; without them there is one layer.
    vectors : array (N, 3)
        Galactic unit vectors of the candidates; N may be 0.
    probability : array (N,)
        The localizer's calibrated probability; the sure ones are fitted as neighbours.
    mask : array (N, 2) or None
        Peak and area in the localizer's mask; None where not known.
    exposure : ExposureFile or None
        Of these photons; None is the package's table times the live time.
    shape : ClassifierShape
        Of the classifier that is to look at them.
    """
    geometry = geometry_of(shape)
    stamps = cut_stamps(sky, vectors, geometry)
    covered = coverage_of(sky, vectors, geometry)
    neighbours = vectors[probability >= NEIGHBOUR_PROBABILITY]
    found = measure(stamps, covered, vectors, neighbours, sky.event_type, shape)
    image = stamps.sum(axis=1, dtype=np.float32) * covered
    of_layers = exposure_of_layers(sky, vectors, exposure)
    if mask is None:
        mask = np.full((len(vectors), 2), np.nan)
    return assemble(image, covered, found, of_layers, probability, mask)


def assemble(
    image: np.ndarray,
    covered: np.ndarray,
    found: Photometry,
    exposure: np.ndarray,
    probability: np.ndarray,
    mask: np.ndarray,
) -> CandidateFeatures:
    """Features out of their parts."""
    return CandidateFeatures(
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
        mask=mask.astype(np.float32),
    )


def exposure_of_layers(
    sky: SkyCounts, vectors: np.ndarray, given: ExposureFile | None = None
) -> np.ndarray:
    """Exposure (N, Y, 6), cm2 s, of each layer of a sky at Galactic unit vectors (N, 3).

    A gtexpcube2 file is shared out among the layers by their live times.
    """
    if given is None:
        years, instrument = layer_years(sky), None
    else:
        # a map is the exposure of the whole, however long that was
        of_file = given.years if np.isfinite(given.years) else 1.0
        years = layer_years(sky, of_file)
        whole = sky.livetime_years if sky.livetime_years > 0.0 else float(years.sum())
        instrument = given.instrument_of(sky, whole, shared=True)
    per_year = exposure_per_year(vectors, sky.event_type, instrument)
    present = np.stack([layer.present for layer in layers_of(sky)])
    return per_year[:, None] * years[:, None] * present


def layer_years(sky: SkyCounts, otherwise: float = float("nan")) -> np.ndarray:
    """Live time (Y,) of each layer, years.

    Parameters
    ----------
    sky : SkyCounts
    otherwise : float
        Live time of the sky where it does not say.

    Warns
    -----
    UnekWarning
        Where neither the layer nor the sky nor `otherwise` says: a year a layer, or ten in all,
        are taken.
    """
    layers = layers_of(sky)
    years = np.array([layer.livetime_years for layer in layers], float)
    known = np.isfinite(years) & (years > 0.0)
    if known.all():
        return years
    total = sky.livetime_years if sky.livetime_years > 0.0 else otherwise
    each = total / len(layers)
    if not np.isfinite(each):
        each = 1.0 if sky.years else _UNKNOWN_YEARS
        warnings.warn(
            f"the counts do not say how long was observed; {each:g} year(s) a layer are taken to "
            "classify them",
            UnekWarning,
            stacklevel=3,
        )
    return np.where(known, years, each)


def exposure_per_year(
    vectors: np.ndarray, event_type: str, instrument: Instrument | None = None
) -> np.ndarray:
    """Exposure (N, 6) of a year, cm2 s, mean over each bin for a power law of index 2.4.

    That of the package's table, or of another instrument.
    """
    total = np.zeros((len(vectors), N_BINS))
    for response in (instrument or load_instrument()).parts(event_type):
        weights = FINE_ENERGIES_MEV[:, None] ** (1.0 - _REFERENCE_INDEX) * response.bin_fractions
        total += response.exposure_at(vectors).T @ (weights / weights.sum(axis=0))
    return total
