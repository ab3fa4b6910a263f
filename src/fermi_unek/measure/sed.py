"""Fluxes of a fitted spectrum with their errors, by linear propagation of its covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gammapy.modeling.models import (
    LogParabolaSpectralModel,
    PowerLawSpectralModel,
    SuperExpCutoffPowerLaw4FGLDR3SpectralModel,
)

from ..catalog.spectra import MEV_TO_ERG
from .state import SpectrumFit

_POINTS = 200
_PEAKS_MEV = (1.0, 1e9)
_FORMS = {
    "index": PowerLawSpectralModel.evaluate,
    "alpha": LogParabolaSpectralModel.evaluate,
    "expfactor": SuperExpCutoffPowerLaw4FGLDR3SpectralModel.evaluate,
}

Values = dict[str, float]


def differential(values: Values, energies_mev: np.ndarray) -> np.ndarray:
    """dN/dE, cm-2 s-1 MeV-1, by gammapy's formula for these parameters."""
    form = next(form for name, form in _FORMS.items() if name in values)
    return form(np.asarray(energies_mev, float), **values)


def photon_flux(values: Values, low_mev: float, high_mev: float) -> float:
    """Photons between two energies, cm-2 s-1."""
    return _integral(values, low_mev, high_mev, 1)


def energy_flux(values: Values, low_mev: float, high_mev: float) -> float:
    """Energy between two energies, erg cm-2 s-1."""
    return _integral(values, low_mev, high_mev, 2) * MEV_TO_ERG


def _integral(values: Values, low_mev: float, high_mev: float, power: int) -> float:
    """Integral over energy of E^(power - 1) dN/dE."""
    edges = np.linspace(np.log(low_mev), np.log(high_mev), _POINTS + 1)
    energies = np.exp(0.5 * (edges[1:] + edges[:-1]))
    return float(np.sum(differential(values, energies) * energies**power) * (edges[1] - edges[0]))


def with_error(fit: SpectrumFit, of: Callable[[Values], float]) -> tuple[float, float]:
    """A quantity of a spectrum and its 1 sigma error; NaN where the covariance is not known."""
    best = of(fit.values)
    slopes = []
    for name in fit.free:
        value = fit.values[name]
        step = 1e-3 * abs(value) if name == "amplitude" else 1e-3
        up, down = of(fit.values | {name: value + step}), of(fit.values | {name: value - step})
        slopes.append((up - down) / (2.0 * step))
    gradient = np.array(slopes)
    variance = float(gradient @ fit.covariance @ gradient)
    return best, float(np.sqrt(variance)) if variance >= 0 else np.nan


def peak_mev(values: Values) -> float:
    """Energy of the highest nu F nu, MeV; NaN where there is none between 1 MeV and 1 PeV."""
    peak = np.nan
    if "beta" in values:
        if values["beta"] > 0:
            with np.errstate(over="ignore"):  # of a spectrum that is hardly curved
                turn = np.exp((2.0 - values["alpha"]) / (2.0 * values["beta"]))
            peak = values["reference"] * float(turn)
    else:
        factor, b = values["expfactor"], values["index_2"]
        # Ballet et al. 2023, eq. 21 of 3PC
        if factor > 0 and values["index_1"] - factor / b < 2:
            turn = 1.0 + b / factor * (2.0 - values["index_1"])
            peak = values["reference"] * float(turn) ** (1.0 / b)
    return peak if _PEAKS_MEV[0] < peak < _PEAKS_MEV[1] else np.nan
