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
from ..sky.io.rebin import covered_fraction
from .photometry import LayerStamps, exposure_shares, measure, psf_spread
from .stamps import coverage_of, cut_stamps, geometry_of, years_by_layer

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
        Photons of all years and layers on the pixels of the stamps.
    observed : float32 array (N, 6)
        Share of the stamp that was observed, mean over the layers by their exposure; zero where
        the bin is absent.
    spread : float32 array (N, 6)
        How much wider the PSF is than that of FRONT photons, see `photometry.psf_spread`; zero
        where the bin is absent.
    net, core : float32 arrays (N, Y, 6)
    error, net_alone, error_alone, core_background : as in `photometry.Photometry`
    exposure : float32 array (N, Y, 6)
        cm2 s of each year and all layers, mean over the bin.
    probability : float32 array (N,)
        The localizer's.
    mask : float32 array (N, 2)
        Peak and area in the localizer's mask; NaN where not known.
    """

    image: np.ndarray
    observed: np.ndarray
    spread: np.ndarray
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
        Its `years` tell how a candidate varies; its `layers`, where there are some, are fitted
        together.
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
    layers = [
        LayerStamps(
            cut_stamps(years, vectors, geometry),
            coverage_of(layer, vectors, geometry),
            of_layer,
            layer.event_type,
        )
        for layer, years, of_layer in zip(
            sky.layers or (sky,),
            years_by_layer(sky),
            exposure_of_layers(sky, vectors, exposure),
            strict=True,
        )
    ]
    found = measure(layers, vectors, vectors[probability >= NEIGHBOUR_PROBABILITY], shape)
    shown = np.stack([layer.covered.mean(axis=(2, 3)) for layer in layers])
    observed = (shown * exposure_shares(layers)).sum(axis=0)
    arrays = {
        "image": sum(layer.counts.sum(axis=1) * layer.covered for layer in layers),
        "observed": observed,
        "spread": psf_spread(layers) * (observed > 0.0),
        "exposure": sum(layer.exposure for layer in layers),
        "probability": probability,
        "mask": np.full((len(vectors), 2), np.nan) if mask is None else mask,
        **vars(found),
    }
    return CandidateFeatures(**{name: np.asarray(v, np.float32) for name, v in arrays.items()})


def exposure_of_layers(
    sky: SkyCounts, vectors: np.ndarray, given: ExposureFile | None = None
) -> np.ndarray:
    """Exposure (L, N, Y, 6), cm2 s, of each layer and year at Galactic unit vectors (N, 3).

    A bin of which a part was observed has as much of its exposure. A gtexpcube2 file is shared out
    among the years by their live times, and among layers as the shipped tables have it.
    """
    if given is None:
        years, instrument = layer_years(sky), None
    else:
        # a map is the exposure of the whole, however long that was
        of_file = given.years if np.isfinite(given.years) else 1.0
        years = layer_years(sky, of_file)
        whole = sky.livetime_years if sky.livetime_years > 0.0 else float(years.sum())
        instrument = given.instrument_of(sky, whole, component=bool(sky.layers), shared=True)
    part = covered_fraction(sky.intervals_mev) if sky.intervals_mev else np.ones(N_BINS)
    present = [
        [np.zeros(N_BINS, bool) if year is None else year.present for year in of_layer]
        for of_layer in years_by_layer(sky)
    ]
    per_year = np.stack(
        [exposure_per_year(vectors, layer.event_type, instrument) for layer in sky.layers or (sky,)]
    )
    return per_year[:, :, None] * (years[:, None] * part * np.array(present))[:, None]


def layer_years(sky: SkyCounts, otherwise: float = float("nan")) -> np.ndarray:
    """Live time (Y,) of each year of photons, in years; of all where times are not known.

    Parameters
    ----------
    sky : SkyCounts
    otherwise : float
        Live time of the sky where it does not say.

    Warns
    -----
    UnekWarning
        Where neither the year nor the sky nor `otherwise` says: ones, or ten in all, are taken.
    """
    layers = sky.years or (sky,)
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
