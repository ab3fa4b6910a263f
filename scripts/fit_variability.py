"""Fit the yearly light curves of 4FGL-DR2's bright sources; writes data/variability.json.

    PYTHONPATH=src python scripts/fit_variability.py

The correlation of the years, rho, maximises the likelihood of the sources' ten log fluxes:
Gaussian process plus measurement errors, each mean integrated out. The logarithm of a measured
flux near zero is no Gaussian, and sigma from that likelihood comes out 15% low for FSRQ; so median
sigma, scatter and slope are those with which simulated histories, with errors like DR2's, have the
Frac_Variability of the real ones.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from fermi_unek.catalog import load_release
from fermi_unek.simulate.population import select_columns
from fermi_unek.simulate.variability import (
    N_HISTORY,
    Process,
    draw_factors,
    fractional_variability,
    histories,
    yearly_errors,
)

OUT = Path(__file__).parents[1] / "src" / "fermi_unek" / "data" / "variability.json"
CLASSES = {"bll": ("bll",), "fsrq": ("fsrq",), "bcu": ("bcu",), "unassociated": ("", "unk")}
ERROR_EDGES = (0.0, 0.1, 0.15, 0.25, 0.4)
"""Bins in the relative error of a yearly flux, root mean square, in which sources are fitted."""
RHO_ERROR = 0.25
"""Relative error up to which a source takes part in the fit of rho."""
REPEATS = 3
QUANTILES = np.linspace(0.05, 0.95, 19)
SIGMAS = np.geomspace(0.03, 2.5, 20)
RHOS = np.round(np.arange(0.0, 0.95, 0.05), 2)
MEDIANS = np.geomspace(0.01, 1.5, 51)
SCATTERS = np.arange(0.1, 1.25, 0.1)
SLOPES = np.arange(0.0, 0.3, 0.05)


def log_likelihoods(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Restricted log-likelihood (N, sigma, rho) of yearly fluxes (N, years)."""
    floored = np.maximum(flux, error)
    logs = np.log(floored / floored.mean(axis=1, keepdims=True))
    noise = (error / floored) ** 2
    lag = np.abs(np.subtract.outer(np.arange(N_HISTORY), np.arange(N_HISTORY)))
    result = np.empty((len(flux), SIGMAS.size, RHOS.size))
    for (i, sigma), (j, rho) in product(enumerate(SIGMAS), enumerate(RHOS)):
        covariance = sigma**2 * rho**lag + np.einsum("ni,ij->nij", noise, np.eye(N_HISTORY))
        inverse = np.linalg.inv(covariance)
        weights = inverse.sum(axis=2)
        total = weights.sum(axis=1)
        square = np.einsum("ni,nij,nj->n", logs, inverse, logs)
        square -= (weights * logs).sum(axis=1) ** 2 / total
        result[:, i, j] = -0.5 * (np.linalg.slogdet(covariance)[1] + np.log(total) + square)
    return result


def best_rho(flux: np.ndarray, error: np.ndarray) -> float:
    """The most likely correlation, marginal over a log-normal distribution of sigma."""
    likelihood = log_likelihoods(flux, error)
    best, top = 0.0, -np.inf
    for median, scatter in product(MEDIANS, SCATTERS):
        prior = -0.5 * (np.log(SIGMAS / median) / scatter) ** 2
        prior -= logsumexp(prior)
        total = logsumexp(likelihood + prior[:, None], axis=1).sum(axis=0)
        if total.max() > top:
            top, best = total.max(), float(RHOS[total.argmax()])
    return best


def simulated_variability(
    process: Process, flux1000: np.ndarray, relative_error: np.ndarray
) -> np.ndarray:
    """Frac_Variability of simulated sources, always of the same random numbers."""
    rng = np.random.default_rng(1)
    factors = draw_factors(process, flux1000, N_HISTORY, rng)
    errors = yearly_errors(factors, relative_error)
    measured = np.clip(factors + errors * rng.standard_normal(factors.shape), 0.0, None)
    return fractional_variability(measured, yearly_errors(measured, relative_error))


def fit(flux1000: np.ndarray, flux: np.ndarray, error: np.ndarray) -> Process:
    """The process of a class from its precise sources."""
    real = fractional_variability(flux, error)
    relative_error = np.sqrt((error**2).mean(axis=1)) / flux.mean(axis=1)
    precise = relative_error < RHO_ERROR
    groups = [
        np.flatnonzero((relative_error >= low) & (relative_error < high))
        for low, high in pairwise(ERROR_EDGES)
    ]
    groups = [rows for rows in groups if rows.size >= 20]
    start = Process(
        sigma=0.0, scatter=0.0, slope=0.0, flux_pivot=float(f"{np.median(flux1000):.3g}"),
        flux_range=tuple(float(f"{one:.3g}") for one in np.quantile(flux1000, [0.02, 0.98])),
        rho=best_rho(flux[precise], error[precise]), n_sources=len(flux1000),
    )  # fmt: skip
    best, least = start, np.inf
    for sigma, scatter, slope in product(MEDIANS, SCATTERS, SLOPES):
        process = replace(start, sigma=float(sigma), scatter=float(scatter), slope=float(slope))
        distance = 0.0
        for rows in groups:
            many = np.tile(rows, REPEATS)
            mock = simulated_variability(process, flux1000[many], relative_error[many])
            apart = np.quantile(mock, QUANTILES) - np.quantile(real[rows], QUANTILES)
            distance += rows.size * float(np.abs(apart).mean())
        if distance < least:
            best, least = process, distance
    return replace(
        best, sigma=round(best.sigma, 3), scatter=round(best.scatter, 2), slope=round(best.slope, 2)
    )


def main() -> None:
    """Fit every class and write the numbers."""
    names = ("CLASS1", "Flux1000", "Flux_History", "Unc_Flux_History")
    table = select_columns(load_release("4FGL-DR2"), names)
    flux, error = histories(table)
    precise = np.sqrt((error**2).mean(axis=1)) < ERROR_EDGES[-1] * flux.mean(axis=1)
    fitted = {}
    for name, classes in CLASSES.items():
        rows = np.flatnonzero(precise & np.isin(table["CLASS1"], classes))
        fitted[name] = asdict(fit(np.asarray(table["Flux1000"])[rows], flux[rows], error[rows]))
        print(name, fitted[name])
    record = {
        "origin": "4FGL-DR2 (gll_psc_v27.fit, Abdollahi et al. 2020, ApJS 247, 33; Ballet et al. "
        "2020, arXiv:2005.11208), Flux_History of the sources whose yearly relative error is "
        f"below {ERROR_EDGES[-1]}; written by scripts/fit_variability.py",
        "processes": fitted,
    }
    temporary = OUT.with_suffix(".part")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, OUT)


if __name__ == "__main__":
    main()
