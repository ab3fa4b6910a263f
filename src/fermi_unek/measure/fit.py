"""The fit of one candidate: Minuit, through gammapy, on the window around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from gammapy.modeling import Covariance
from gammapy.modeling.iminuit import covariance_iminuit, optimize_iminuit
from gammapy.modeling.models import SpectralModel

from ..catalog import equatorial_position_angle
from .bands import fit_bands, upper_limit
from .dataset import ModelledSource, WindowDataset
from .scatter import with_scatter
from .spectra import MAX_INDEX, cutoff_power_law, log_parabola, power_law
from .state import SourceResult, SourceState, SpectrumFit
from .window import POSITION_SLACK_DEG, RegionSky

TS_FREE_INDEX = 9.0
"""A fainter candidate keeps the index it came with."""

TS_LOCALISE = 16.0
"""A fainter candidate keeps its position."""

TS_CURVED = 9.0
"""What a log parabola must gain over a power law to be taken, as in 4FGL."""

TS_SHAPED = 100.0
"""A brighter candidate is a log parabola while positions and neighbours are being found.

The light of a pulsar that is taken for a power law is wrong at both ends of the spectrum, which
moves its neighbours and the place where it is seen itself."""

TS_LIMIT = 25.0
"""Below it the flux has an upper limit; 4FGL's threshold."""

NEIGHBOUR_DEG, MAX_NEIGHBOURS = 2.0, 8
"""Candidates this close are fitted together, the brightest so many of them."""

RADIUS_68 = np.sqrt(-2.0 * np.log(0.32))
"""Radius that holds 68% of a two-dimensional Gaussian, in sigma."""

Ellipse = tuple[float, float, float]
"""68% semimajor and semiminor axis, position angle from celestial north, degrees."""


def neighbours_of(sky: RegionSky, number: int) -> list[int]:
    """Sources that are fitted together with one, the brightest first."""
    separation = sky.separations_deg(number)
    near = [int(k) for k in np.flatnonzero(separation < NEIGHBOUR_DEG) if k != number]
    bright = {k: sky.counts_of(k).sum() / (0.2 + separation[k]) for k in near}
    return sorted(near, key=lambda k: (-bright[k], k))[:MAX_NEIGHBOURS]


def fit_roughly(sky: RegionSky, number: int, *, together: bool, localise: bool) -> SourceState:
    """Improved spectrum of a source, and its position where asked for and where it is bright.

    Parameters
    ----------
    sky : RegionSky
    number : int
    together : bool
        Whether the fluxes of the neighbours are free too, and a bright source's curvature.
    localise : bool
    """
    dataset, sources = sky.window(number, neighbours_of(sky, number) if together else ())
    _prepare(sources)
    ts = _gain(dataset, sources[0])
    if together and ts > TS_SHAPED:
        values = {p.name: p.value for p in sources[0].spectral.parameters}
        sources[0].set_spectrum(
            log_parabola(values["amplitude"], values["index"], 0.05, values["reference"])
        )
        _set_steps(sources[0])
    else:
        sources[0].spectral.index.frozen = ts < TS_FREE_INDEX
    if localise and ts > TS_LOCALISE:
        _free_position(sources[0])
    optimize(dataset)
    return _state(sources[0], sky.states[number])


def fit_fully(sky: RegionSky, number: int, row: int) -> SourceResult:
    """Everything the catalog wants to know of a source.

    Parameters
    ----------
    sky : RegionSky
    number : int
        Of the source in it.
    row : int
        Of the source in the catalog.
    """
    dataset, sources = sky.window(number, neighbours_of(sky, number))
    source = sources[0]
    _prepare(sources)
    ellipse = _localise(dataset, source)
    # judged before a curved spectrum gives way to a power law that is not yet fitted
    faint = _gain(dataset, source) < TS_FREE_INDEX
    if sky.states[number].beta:
        state = _state(source, sky.states[number])
        index = float(np.clip(state.index, 1.0, MAX_INDEX - 1.0))
        source.set_spectrum(power_law(state.amplitude, index, state.reference_mev))
        _set_steps(source)
    source.spectral.index.frozen = faint
    power = _fit_power_law(dataset, source, sky.scatter)
    plain, best = source.spectral, _Snapshot(dataset)
    null = _null(dataset, sources)
    best.restore()
    curved = cutoff = None
    if null - power.stat > TS_LIMIT:
        start = power.values["amplitude"], power.values["index"]
        pivot = power.values["reference"]
        cutoff = _fit_form(dataset, source, cutoff_power_law(*start, 0.1, pivot), sky.scatter)
        best.restore()
        curved = _fit_form(dataset, source, log_parabola(*start, 0.05, pivot), sky.scatter)
    chosen = power
    if curved is not None and power.stat - curved.stat > TS_CURVED:
        chosen = curved
    else:
        source.set_spectrum(plain)
        best.restore()
    ts = max(null - chosen.stat, 0.0)
    return SourceResult(
        row=row,
        state=_state(source, sky.states[number]),
        ts=ts,
        power_law=power,
        log_parabola=curved,
        cutoff=cutoff,
        ellipse_deg=ellipse,
        bands=fit_bands(dataset, source, sky.data.grouping, sky.scatter),
        upper_limit=upper_limit(dataset, source, sky.scatter) if ts < TS_LIMIT else np.nan,
        npred=float(source.counts().sum()),
    )


def optimize(dataset: WindowDataset) -> float:
    """Fit what is free; the Cash statistic at the best fit."""
    dataset.norm.error = dataset.tilt.error = 0.02
    parameters = dataset.parameters
    parameters.autoscale()
    factors, _, _ = optimize_iminuit(parameters, dataset.objective, strategy=0, tol=0.1)
    parameters.set_parameter_factors(factors)
    return dataset.stat_sum()


def covariance(dataset: WindowDataset) -> Covariance:
    """Covariance of all parameters at the best fit, from the second derivatives there."""
    parameters = dataset.parameters
    matrix, _ = covariance_iminuit(parameters, dataset.objective)
    return Covariance.from_factor_matrix(parameters, matrix)


def _state(source: ModelledSource, old: SourceState) -> SourceState:
    values = {p.name: p.value for p in source.parameters}
    return replace(
        old,
        lon_deg=values["lon_0"],
        lat_deg=values["lat_0"],
        amplitude=values["amplitude"],
        index=values["index"] if "index" in values else values["alpha"],
        beta=values.get("beta", 0.0),
        reference_mev=values["reference"],
    )


def _prepare(sources: Sequence[ModelledSource]) -> None:
    """Steps for Minuit, and of the neighbours only the fluxes free."""
    for place, source in enumerate(sources):
        if place:
            for parameter in source.parameters:
                parameter.frozen = parameter is not source.amplitude
        _set_steps(source)


def _set_steps(source: ModelledSource) -> None:
    expected = max(source.counts().sum(), 1e-6)
    if expected < 3.0:  # Minuit would not find its way back from the bound at 0
        source.amplitude.value *= 3.0 / expected
        expected = 3.0
    source.amplitude.error = 2.0 * source.amplitude.value / np.sqrt(expected)
    for parameter in source.parameters:
        if parameter.name in ("index", "alpha", "beta", "expfactor", "index_1"):
            parameter.error = 0.1


def _gain(dataset: WindowDataset, source: ModelledSource) -> float:
    """TS of a source at the present models, nothing refitted."""
    return dataset.stat_sum(without=source) - dataset.stat_sum()


def _free_position(source: ModelledSource) -> None:
    """Free the position within a box of `POSITION_SLACK_DEG`."""
    stretch = np.cos(np.radians(source.lat.value))
    for parameter, scale in ((source.lon, stretch), (source.lat, 1.0)):
        parameter.frozen = False
        parameter.error = 0.02 / scale
        parameter.min = parameter.value - POSITION_SLACK_DEG / scale
        parameter.max = parameter.value + POSITION_SLACK_DEG / scale


def _localise(dataset: WindowDataset, source: ModelledSource) -> Ellipse | None:
    """Fit the position of a source that is bright enough, with the spectrum that it has."""
    if _gain(dataset, source) <= TS_LOCALISE:
        return None
    before = _Snapshot(dataset)
    _free_position(source)
    optimize(dataset)
    ellipse = _ellipse(source, covariance(dataset))
    source.lon.frozen = source.lat.frozen = True
    if ellipse is None:
        before.restore()
    return ellipse


def _fit_power_law(
    dataset: WindowDataset, source: ModelledSource, scatter: np.ndarray
) -> SpectrumFit:
    """Fit a power law, where its index is free at its pivot energy."""
    optimize(dataset)
    errors = covariance(dataset)
    if not source.spectral.index.frozen and _move_to_pivot(source, errors):
        _set_steps(source)
        optimize(dataset)
        errors = covariance(dataset)
    return _spectrum_fit(dataset, source, with_scatter(dataset, source, errors, scatter))


def _ellipse(source: ModelledSource, errors: Covariance) -> Ellipse | None:
    """Error ellipse of a position that was fitted.

    None where it lies at the bounds of the fit or the error is larger than they are wide.
    """
    for parameter in (source.lon, source.lat):
        room = min(parameter.value - parameter.min, parameter.max - parameter.value)
        if room < 0.02 * (parameter.max - parameter.min):
            return None
    matrix = errors.get_subcovariance([source.lon, source.lat]).data
    stretch = np.array([np.cos(np.radians(source.lat.value)), 1.0])
    matrix = matrix * np.outer(stretch, stretch)
    if not np.all(np.isfinite(matrix)):
        return None
    variances, axes = np.linalg.eigh(matrix)
    if variances[0] <= 0 or np.sqrt(variances[1]) > POSITION_SLACK_DEG:
        return None
    minor, major = RADIUS_68 * np.sqrt(variances)
    east, north = axes[:, 1]
    angle = equatorial_position_angle(
        np.array([source.lon.value]),
        np.array([source.lat.value]),
        np.degrees(np.arctan2([east], [north])),
    )
    return float(major), float(minor), float(angle[0])


def _move_to_pivot(source: ModelledSource, errors: Covariance) -> bool:
    """Give a power law the reference energy at which flux and index do not depend.

    The error of the flux density is smallest there (Abdo et al. 2009, ApJS 183, 46, eq. 3).

    Returns
    -------
    bool
        False where the errors do not tell.
    """
    spectral = source.spectral
    matrix = errors.get_subcovariance([spectral.amplitude, spectral.index]).data
    amplitude = spectral.amplitude.value
    if not (np.all(np.isfinite(matrix)) and matrix[1, 1] > 0 and amplitude > 0):
        return False
    shift = np.clip(matrix[0, 1] / (amplitude * matrix[1, 1]), -3.0, 3.0)
    pivot = float(np.clip(spectral.reference.value * np.exp(shift), 300.0, 3e5))
    spectral.amplitude.value *= (pivot / spectral.reference.value) ** -spectral.index.value
    spectral.reference.value = pivot
    return True


def _spectrum_fit(
    dataset: WindowDataset, source: ModelledSource, errors: Covariance
) -> SpectrumFit:
    """The present best fit of a source's spectrum with its errors."""
    parameters = list(source.spectral.parameters)
    free = [p for p in parameters if not p.frozen]
    matrix = errors.get_subcovariance(free).data
    with np.errstate(invalid="ignore"):
        found = np.sqrt(np.diag(matrix))
    return SpectrumFit(
        {p.name: float(p.value) for p in parameters},
        {p.name: np.nan for p in parameters}
        | {p.name: float(error) for p, error in zip(free, found, strict=True)},
        matrix.copy(),
        tuple(p.name for p in free),
        dataset.stat_sum(),
    )


class _Snapshot:
    """Values of all parameters of a dataset, to go back to."""

    def __init__(self, dataset: WindowDataset) -> None:
        self._values = [(p, p.value) for p in dataset.parameters]

    def restore(self) -> None:
        for parameter, value in self._values:
            parameter.value = value


def _null(dataset: WindowDataset, sources: list[ModelledSource]) -> float:
    """Cash statistic of the best fit without the first source."""
    dataset.sources = sources[1:]
    stat = optimize(dataset)
    dataset.sources = sources
    return stat


def _fit_form(
    dataset: WindowDataset, source: ModelledSource, spectral: SpectralModel, scatter: np.ndarray
) -> SpectrumFit:
    """Fit another form of spectrum of a source at its place."""
    source.set_spectrum(spectral)
    _set_steps(source)
    optimize(dataset)
    errors = with_scatter(dataset, source, covariance(dataset), scatter)
    return _spectrum_fit(dataset, source, errors)
