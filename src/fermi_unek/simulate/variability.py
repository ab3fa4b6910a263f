"""Yearly fluxes over their mean: blazars flare, pulsars and remnants shine steadily.

The logarithm of a blazar's yearly flux is a Gaussian process whose years are correlated as
rho ** lag (an Ornstein-Uhlenbeck process seen once a year). Its standard deviation differs from
source to source: log-normal about a median that grows with flux as the bright DR2 sources have
it. The numbers are in data/variability.json; scripts/fit_variability.py fits them anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from astropy.table import Table
from scipy.signal import lfilter

from ..catalog.releases import load_release

N_HISTORY = 10
"""Years of 4FGL-DR2."""

PROCESS_OF_CLASS = {
    "bll": "bll", "fsrq": "fsrq", "bcu": "bcu", "": "unassociated", "unk": "unassociated",
    "rdg": "bcu", "agn": "bcu", "sey": "bcu", "nlsy1": "fsrq", "ssrq": "fsrq", "css": "fsrq",
}  # fmt: skip
"""Whose light curve a class follows; classes that are not here are steady."""

_DROP = 0.01  # of the mean: where the logarithm of a real history ends


@dataclass(frozen=True)
class Process:
    """Light curves of one class.

    Attributes
    ----------
    sigma : float
        Median over sources of the standard deviation of ln(yearly flux), at `flux_pivot`.
    scatter : float
        Standard deviation of ln(sigma) from source to source.
    slope : float
        Power of Flux1000 with which the median of sigma grows.
    flux_pivot : float
        Flux1000, ph cm-2 s-1.
    flux_range : (float, float)
        Flux1000 of the sources fitted; the slope ends there.
    rho : float
        Correlation of ln(flux) between one year and the next, 0 to 1.
    n_sources : int
        Sources fitted.
    """

    sigma: float
    scatter: float
    slope: float
    flux_pivot: float
    flux_range: tuple[float, float]
    rho: float
    n_sources: int


@lru_cache(maxsize=1)
def processes() -> dict[str, Process]:
    """The fitted processes: bll, fsrq, bcu and unassociated."""
    text = (files("fermi_unek") / "data" / "variability.json").read_text(encoding="utf-8")
    return {
        name: Process(**{**values, "flux_range": tuple(values["flux_range"])})
        for name, values in json.loads(text)["processes"].items()
    }


def yearly_factors(
    classes: np.ndarray,
    n_years: int,
    rng: np.random.Generator,
    *,
    flux: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
) -> np.ndarray:
    """Flux of each source in each year over its mean.

    Parameters
    ----------
    classes : array of str (N,)
        CLASS1; see `PROCESS_OF_CLASS`.
    n_years : int
        At least one; one year has factor one.
    rng : Generator
    flux : array (N,) or None
        Flux1000, ph cm-2 s-1: bright FSRQ vary more. None takes that of the fitted sample.
    lengths : array (n_years,) or None
        Weight of each year in the mean; None is equal years.

    Returns
    -------
    float64 array (N, n_years)
        Not negative, (weighted) mean of each row one. Of no row for no class.
    """
    kinds = np.array([PROCESS_OF_CLASS.get(name, "") for name in np.asarray(classes).tolist()])
    factors = np.ones((kinds.size, n_years))
    for kind, process in processes().items():
        rows = np.flatnonzero(kinds == kind)
        bright = np.full(rows.size, process.flux_pivot) if flux is None else np.asarray(flux)[rows]
        factors[rows] = draw_factors(process, bright, n_years, rng, lengths)
    return factors


def draw_factors(
    process: Process,
    flux: np.ndarray,
    n_years: int,
    rng: np.random.Generator,
    lengths: np.ndarray | None = None,
) -> np.ndarray:
    """`yearly_factors` (N, n_years) of sources of one process and Flux1000 `flux` (N,)."""
    bright = np.clip(flux, *process.flux_range) / process.flux_pivot
    scatter = np.exp(process.scatter * rng.standard_normal(bright.size))
    sigma = process.sigma * bright**process.slope * scatter
    noise = rng.standard_normal((bright.size, n_years))
    return _mean_one(np.exp(sigma[:, None] * _ornstein_uhlenbeck(noise, process.rho)), lengths)


def _ornstein_uhlenbeck(
    noise: np.ndarray, rho: float, before: np.ndarray | None = None
) -> np.ndarray:
    """Series (N, years) of unit variance out of white noise, after the value `before` (N,)."""
    if noise.size == 0:
        return noise
    drive = noise * np.sqrt(1.0 - rho**2)
    if before is None:
        drive[:, 0] = noise[:, 0]
    else:
        drive[:, 0] += rho * before
    return lfilter([1.0], [1.0, -rho], drive, axis=1)


def _mean_one(factors: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    weights = np.ones(factors.shape[1]) if lengths is None else np.asarray(lengths, float)
    return factors / (factors @ (weights / weights.sum()))[:, None]


def dr2_yearly_factors(
    table: Table,
    n_years: int,
    rng: np.random.Generator,
    *,
    lengths: np.ndarray | None = None,
) -> np.ndarray:
    """As `yearly_factors`, with the real histories of the sources that 4FGL-DR2 has.

    What the measurement errors add to the variance of a history is taken away by drawing it
    towards its mean; a source whose history is all noise becomes steady. Years after the tenth
    continue the process of the source's class with the source's own standard deviation.

    Parameters
    ----------
    table : Table
        Population with Source_Name, CLASS1 and Flux1000; rows that are not of DR2 follow the
        process of their class.
    """
    classes, flux = np.asarray(table["CLASS1"]), np.asarray(table["Flux1000"], float)
    factors = yearly_factors(classes, n_years, rng, flux=flux, lengths=lengths)
    names, histories = _dr2_histories()
    order = np.argsort(names)
    wanted = np.asarray(table["Source_Name"]).astype(names.dtype)
    place = order[np.minimum(np.searchsorted(names, wanted, sorter=order), names.size - 1)]
    rows = np.flatnonzero(names[place] == wanted)
    real = histories[place[rows]]
    later = _continued(real, classes[rows], n_years - N_HISTORY, rng)
    series = np.concatenate([real, later], axis=1)[:, :n_years]
    dark = series.sum(axis=1) <= 0.0
    series[dark] = 1.0
    factors[rows] = _mean_one(series, lengths)
    return factors


@lru_cache(maxsize=1)
def _dr2_histories() -> tuple[np.ndarray, np.ndarray]:
    """Names and yearly fluxes over their mean (N, 10), freed of noise, not negative."""
    table = load_release("4FGL-DR2")
    flux, error = histories(table)
    mean = flux.mean(axis=1, keepdims=True)
    variance = flux.var(axis=1, ddof=1)
    excess = np.clip(variance - (error**2).mean(axis=1), 0.0, None)
    kept = np.sqrt(excess / np.maximum(variance, np.finfo(float).tiny))[:, None]
    relative = np.divide(flux, mean, out=np.ones_like(flux), where=mean > 0)
    freed = np.clip(1.0 + kept * (relative - 1.0), 0.0, None)
    # sources that were held fixed in DR2's fit, such as the Crab's nebula, have no history
    known = np.isfinite(freed).all(axis=1)
    return np.asarray(table["Source_Name"])[known], freed[known]


def _continued(
    real: np.ndarray, classes: np.ndarray, n_more: int, rng: np.random.Generator
) -> np.ndarray:
    """Years (N, n_more) after real ones; none when `n_more` is not above zero."""
    logs = np.log(np.maximum(real, _DROP))
    sigma, middle = logs.std(axis=1), logs.mean(axis=1)
    more = np.ones((len(real), max(n_more, 0)))
    fitted = processes()
    for kind in set(PROCESS_OF_CLASS.values()) | {"steady"}:
        # a class without a process may still have a history: it wanders as the unassociated do
        process = fitted.get(kind, fitted["unassociated"])
        mine = [PROCESS_OF_CLASS.get(name, "steady") == kind for name in classes.tolist()]
        rows = np.flatnonzero(mine)
        last = (logs[rows, -1] - middle[rows]) / np.maximum(sigma[rows], 1e-9)
        noise = rng.standard_normal((rows.size, more.shape[1]))
        series = _ornstein_uhlenbeck(noise, process.rho, last)
        more[rows] = np.exp(middle[rows, None] + sigma[rows, None] * series)
    return more


def histories(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Yearly fluxes of 4FGL and symmetric errors, both (N, years), ph cm-2 s-1.

    The error is half the width of the 68% interval; for an upper limit its upper half.
    """
    flux = np.asarray(table["Flux_History"], float)
    interval = np.asarray(table["Unc_Flux_History"], float)
    low, high = interval[..., 0], interval[..., 1]
    return flux, np.where(np.isfinite(low), 0.5 * (high - low), high)


def fractional_variability(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Frac_Variability (N,) of 4FGL: root of the excess variance over the mean flux.

    Abdollahi et al. 2020, ApJS 247, 33, eq. 5. Zero where the errors explain the scatter.
    From DR2's own histories it gives DR2's column to 2% for two sources in three.

    Parameters
    ----------
    flux, error : array (N, years)
    """
    excess = flux.var(axis=1, ddof=1) - (error**2).mean(axis=1)
    return np.sqrt(np.clip(excess, 0.0, None)) / flux.mean(axis=1)


def variability_index(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Chi-squared (N,) of yearly fluxes about their mean, near 4FGL's Variability_Index.

    4FGL takes twice the difference of log-likelihoods (Abdollahi et al. 2020, eq. 4); from DR2's
    own histories this approximation is within a few percent of it for the median source.

    Parameters
    ----------
    flux, error : array (N, years)
    """
    return (((flux - flux.mean(axis=1, keepdims=True)) / error) ** 2).sum(axis=1)


def yearly_errors(factors: np.ndarray, relative_error: np.ndarray) -> np.ndarray:
    """Errors (N, years), over the mean flux, as DR2 would have them for yearly factors.

    The photons of the source are a part of the variance, so that it grows with the flux of the
    year: error**2 = mean error**2 * (1 + a * (factor - 1)) with a = 0.15 - 0.16 ln(relative
    error), fitted to DR2 (0.69 at a relative error of 3%, 0.23 at 60%).

    Parameters
    ----------
    factors : array (N, years)
        Flux over mean flux.
    relative_error : array (N,)
        Root mean square error of a yearly flux, over the mean flux.
    """
    share = np.clip(0.15 - 0.16 * np.log(relative_error), 0.0, 1.0)[:, None]
    return relative_error[:, None] * np.sqrt(1.0 + share * (factors - 1.0))


def measured_variability(
    classes: np.ndarray, flux: np.ndarray, relative_error: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Frac_Variability and Variability_Index (N,) of simulated sources as DR2 would measure them.

    Parameters
    ----------
    classes, flux : arrays (N,)
        CLASS1 and Flux1000, ph cm-2 s-1.
    relative_error : array (N,)
        Root mean square error of a yearly flux, over the mean flux.
    rng : Generator
    """
    factors = yearly_factors(classes, N_HISTORY, rng, flux=flux)
    noise = yearly_errors(factors, relative_error) * rng.standard_normal(factors.shape)
    measured = np.clip(factors + noise, 0.0, None)
    errors = yearly_errors(measured, relative_error)
    return fractional_variability(measured, errors), variability_index(measured, errors)
