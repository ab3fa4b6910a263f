"""The results of one source, once everything around it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from gammapy.modeling.models import SpectralModel

from ..sky.bins import BAND_EDGES_MEV
from .extent import Extension
from .history import History
from .model import RegionModel
from .place import Ellipse
from .profile import norm_profile
from .source import SourceLikelihood, values_of
from .spectra import SpectrumValues, cutoff_power_law, log_parabola, model_of, power_law
from .state import BandFit, SourceResult, SourceState, SpectrumFit, SpectrumForm

TS_FREE_INDEX = 9.0
"""A fainter candidate keeps the index it came with."""

TS_CURVED = 9.0
"""What a log parabola must gain over a power law to be taken, as in 4FGL; a cutoff over both."""

TS_LIMIT = 25.0
"""Below it the flux has an upper limit; 4FGL's threshold."""

N_BANDS = len(BAND_EDGES_MEV) - 1
_SQUARE_DEGREE_RADIUS_DEG = np.sqrt(1.0 / np.pi)
_INSIDE_68 = 0.68
_LARGEST = float(np.finfo(np.float32).max)  # that a column holds
_WORSE = 1.0  # than a power law: a fit that did not get anywhere
_ABSENT = BandFit(*[np.nan] * 7)


def fit_fully(
    model: RegionModel,
    number: int,
    row: int,
    *,
    expected: np.ndarray,
    information: np.ndarray,
    ellipse: Ellipse | None,
    usual_beta: float | None = None,
    history: History | None = None,
    periods: History | None = None,
    extension: Extension | None = None,
) -> SourceResult:
    """Everything the catalog wants to know of a source.

    Parameters
    ----------
    model : RegionModel
        Fitted.
    number : int
        Of the source in it.
    row : int
        Of the source in the catalog.
    expected : array (P,)
        Of the model.
    information : array (C, C)
        What is known of the photons of the source; see `RegionModel.information`.
    ellipse : Ellipse or None
    usual_beta : float, optional
        How curved spectra usually are, standard deviation of LP_beta: a power law's error of
        Flux1000 holds that it may be as curved.
    history, periods : History, optional
        Of years and of other spans of time.
    extension : Extension, optional
    """
    state = model.states[number]
    source = SourceLikelihood(model, number, expected=expected)
    faint = -source.stat() < TS_FREE_INDEX
    power = _fit_power_law(source, state, information, faint)
    curved = cutoff = None
    straight = power.stat
    if -power.stat > TS_LIMIT:
        straight = _straight_stat(source, power)
        cutoff = _fit_curved(source, cutoff_power_law, 0.1, power, information)
        curved = _fit_curved(source, log_parabola, 0.05, power, information)
    form, chosen = _chosen(power, straight, curved, cutoff)
    loose = None
    if form == "PowerLaw" and usual_beta is not None and not faint:
        loose = _loose(source, power, information, usual_beta)
    source.set_spectrum(model_of(chosen.values))
    ts = max(-chosen.stat, 0.0)
    return SourceResult(
        row=row,
        state=_state(state, power if form == "PowerLaw" else curved or power),
        ts=ts,
        form=form,
        power_law=power,
        straight_stat=straight,
        log_parabola=curved,
        cutoff=cutoff,
        loose=loose,
        ellipse_deg=ellipse,
        bands=fit_bands(model, number, source, expected),
        upper_limit=_upper_limit(source) if ts < TS_LIMIT else np.nan,
        npred=float(source.photons().sum()),
        history=history,
        periods=periods,
        extension=extension,
    )


def _straight_stat(source: SourceLikelihood, power: SpectrumFit) -> float:
    """Statistic of the power law that the photons alone want.

    Over one that the prior of its index holds, a curved form would gain without being curved.
    """
    if source.prior is None:
        return power.stat
    prior, source.prior = source.prior, None
    source.set_spectrum(model_of(power.values))
    source.fit()
    source.prior = prior
    return min(source.stat(), power.stat)


def _chosen(
    power: SpectrumFit,
    straight: float,
    curved: SpectrumFit | None,
    cutoff: SpectrumFit | None,
) -> tuple[SpectrumForm, SpectrumFit]:
    """The form that a catalog states: each must gain `TS_CURVED` over those that are tried before.

    A log parabola over the statistic of a straight spectrum without prior.

    The brightest pulsars fall off otherwise than a log parabola does: by many of their errors.
    """
    form: SpectrumForm = "PowerLaw"
    chosen, least = power, straight
    if curved is not None:
        if least - curved.stat > TS_CURVED:
            form, chosen = "LogParabola", curved
        least = min(least, curved.stat)
    if cutoff is not None and least - cutoff.stat > TS_CURVED:
        form, chosen = "PLSuperExpCutoff", cutoff
    return form, chosen


def _loose(
    source: SourceLikelihood, power: SpectrumFit, information: np.ndarray, usual_beta: float
) -> SpectrumFit:
    """A power law as a log parabola that is not curved, but may be."""
    amplitude, index, pivot = (power.values[name] for name in ("amplitude", "index", "reference"))
    source.set_spectrum(log_parabola(amplitude, index, 0.0, pivot))
    spreads = {"beta": usual_beta}
    if source.prior is not None:
        spreads["alpha"] = source.prior[1]
    return spectrum_fit(source, information, spreads)


def _state(old: SourceState, fit: SpectrumFit) -> SourceState:
    """A source with the power law or log parabola of a fit."""
    values = fit.values
    return replace(
        old,
        amplitude=values["amplitude"],
        index=values["index"] if "index" in values else values["alpha"],
        beta=values.get("beta", 0.0),
        reference_mev=values["reference"],
    )


def _fit_power_law(
    source: SourceLikelihood, state: SourceState, information: np.ndarray, faint: bool
) -> SpectrumFit:
    """Fit a power law, where its index is free at its pivot energy."""
    plain = power_law(state.amplitude, state.index, state.reference_mev)
    plain.index.frozen = faint
    found = _fit_form(source, plain, information)
    if faint:
        return found
    # flux and index do not depend on each other there (Abdo et al. 2009, ApJS 183, 46, eq. 3)
    values = found.values
    names = list(found.free)
    a, i = names.index("amplitude"), names.index("index")
    shift = found.covariance[a, i] / (values["amplitude"] * found.covariance[i, i])
    if not np.isfinite(shift):
        return found
    pivot = float(np.clip(values["reference"] * np.exp(np.clip(shift, -3.0, 3.0)), 300.0, 3e5))
    amplitude = values["amplitude"] * (pivot / values["reference"]) ** -values["index"]
    source.set_spectrum(power_law(amplitude, values["index"], pivot))
    return spectrum_fit(source, information)


def _fit_form(
    source: SourceLikelihood, spectral: SpectralModel, information: np.ndarray
) -> SpectrumFit:
    """Fit another form of spectrum of a source."""
    source.set_spectrum(spectral)
    source.fit()
    return spectrum_fit(source, information)


def _fit_curved(
    source: SourceLikelihood,
    form: Callable[[float, float, float, float], SpectralModel],
    curvature: float,
    power: SpectrumFit,
    information: np.ndarray,
) -> SpectrumFit | None:
    """Fit a form of which a power law is a case; None where the fit runs away from it twice."""
    amplitude, index, pivot = (power.values[name] for name in ("amplitude", "index", "reference"))
    for start in (curvature, 0.0):
        fit = _fit_form(source, form(amplitude, index, start, pivot), information)
        if fit.stat < power.stat + _WORSE and max(map(abs, fit.values.values())) < _LARGEST:
            return fit
    return None


def spectrum_fit(
    source: SourceLikelihood, information: np.ndarray, spreads: Mapping[str, float] | None = None
) -> SpectrumFit:
    """The present spectrum of a source with its errors, all else free.

    What is known of its photons, by the change of the photons with its parameters, is what is
    known of these; spreads are standard deviations of parameters that are known beforehand.
    """
    parameters = list(source.spectral.parameters)
    free = [p for p in parameters if not p.frozen]
    values = SpectrumValues(source.spectral)
    slopes = []
    for parameter in free:
        kept = parameter.value
        step = 1e-3 * max(abs(kept), 1e-30) if parameter.name == "amplitude" else 1e-3
        sides = []
        for sign in (1.0, -1.0):
            parameter.value = kept + sign * step
            sides.append(values.fine_flux() @ source.per_flux)
        parameter.value = kept
        slopes.append((sides[0] - sides[1]) / (2.0 * step))
    matrix = np.array(slopes) @ information @ np.array(slopes).T
    spreads = spreads or ({} if source.prior is None else {"index": source.prior[1]})
    for k, parameter in enumerate(free):
        matrix[k, k] += spreads.get(parameter.name, np.inf) ** -2.0
    scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    with np.errstate(over="ignore"):
        scaled = matrix * np.outer(scale, scale)
    known = bool(np.isfinite(scaled).all())  # a fit that ran away has no second derivatives
    covariance = np.linalg.pinv(scaled) if known else np.full(matrix.shape, np.nan)
    covariance *= np.outer(scale, scale)
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(covariance))
        # of a parameter that no photon depends on nothing is known
        errors[~((errors > 0) & (errors < _LARGEST))] = np.nan
    return SpectrumFit(
        values_of(parameters),
        {p.name: np.nan for p in parameters}
        | {p.name: float(error) for p, error in zip(free, errors, strict=True)},
        covariance,
        tuple(p.name for p in free),
        source.stat(),
    )


def bands_of(model: RegionModel) -> np.ndarray:
    """Which of 4FGL's bands each channel belongs to, int (C,), by its mean energy."""
    return np.searchsorted(BAND_EDGES_MEV, model.energies_mev, side="right") - 1


def fit_bands(
    model: RegionModel, number: int, source: SourceLikelihood, expected: np.ndarray
) -> tuple[BandFit, ...]:
    """Flux of a source in each band of 4FGL, all else fixed at the best fit."""
    bands = bands_of(model)
    radii = np.minimum(model.data.radii_deg, _SQUARE_DEGREE_RADIUS_DEG)
    result = []
    for b in range(N_BANDS):
        member, looked = bands == b, source
        if member.any() and not source.photons()[member] @ source.cost[member] > 0:
            # its spectrum has next to nothing there, and the photons next to it say otherwise
            looked = SourceLikelihood(model, number, expected=expected, moving=True)
            looked.set_spectrum(source.spectral)
        photons = looked.photons()
        total, rows = float(photons[member] @ looked.cost[member]), member[looked.channel]
        if not total > 0:
            result.append(_ABSENT)
            continue
        light = photons[looked.channel[rows]] * looked.image[rows]
        profile = norm_profile(looked.counts[rows], looked.others[rows], light, total)
        core = _light_and_background(model, looked, member, radii)
        result.append(BandFit(*profile[:5], *core))
    return tuple(result)


def _light_and_background(
    model: RegionModel, source: SourceLikelihood, member: np.ndarray, radii: np.ndarray
) -> tuple[float, float]:
    """Photons of a source within some radii (C,) of some channels, and of all else there."""
    data = model.data
    rows = member[source.channel]
    channel, vectors = source.channel[rows], data.vectors[source.rows[rows]]
    near = vectors @ source.vector > np.cos(np.radians(radii))[channel]
    density = source.others[rows][near] / data.area_sr[channel[near]]
    number = np.bincount(channel[near], minlength=data.n_channels)
    summed = np.bincount(channel[near], density, data.n_channels)
    # where no photon was counted close by, that of the whole domain
    per_sr = np.where(number > 0, summed / np.maximum(number, 1), model.diffuse_per_sr())
    area = 2.0 * np.pi * (1.0 - np.cos(np.radians(radii)))
    inside = _INSIDE_68 * source.photons()[member].sum()
    return float(inside), float((per_sr * area)[member].sum())


def _upper_limit(source: SourceLikelihood) -> float:
    """95% upper limit of a source's flux over its present value, all else fixed."""
    photons = source.photons()
    own = photons[source.channel] * source.image
    total = float(photons @ source.cost)
    if total <= 0:
        return np.nan
    return norm_profile(source.counts, source.others, own, total)[3]
