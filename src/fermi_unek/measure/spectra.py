"""gammapy's spectral models of 4FGL, evaluated as plain numbers where speed counts."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from gammapy.modeling.models import (
    LogParabolaSpectralModel,
    PowerLawSpectralModel,
    SpectralModel,
    SuperExpCutoffPowerLaw4FGLDR3SpectralModel,
)

from ..irf.instrument import FINE_EDGES_MEV

PLEC_INDEX_2 = 2.0 / 3.0
"""Exponential index at which 4FGL-DR3 fixes all but the brightest pulsars."""

MAX_INDEX, MAX_CURVATURE = 5.0, 1.0
"""Bounds of photon index and LP_beta, as in 4FGL."""

INDEX_MEAN = 2.3
"""Mean of PL_Index in 4FGL-DR2; its standard deviation is 0.3."""

USUAL_BETA = 0.28
"""Root mean square of LP_beta in 4FGL-DR2, that at its bound apart."""

_POINTS = 5
_WIDTH = np.diff(np.log(FINE_EDGES_MEV))
_INSIDE_MEV = np.exp(
    np.log(FINE_EDGES_MEV[:-1, None]) + (np.arange(_POINTS) + 0.5) / _POINTS * _WIDTH[:, None]
).ravel()

AMPLITUDE_UNIT = u.Unit("cm-2 s-1 MeV-1")


def power_law(amplitude: float, index: float, reference_mev: float) -> PowerLawSpectralModel:
    """Power law with 4FGL's bounds."""
    model = PowerLawSpectralModel(
        index=index, amplitude=amplitude * AMPLITUDE_UNIT, reference=reference_mev * u.MeV
    )
    model.index.min, model.index.max = 0.0, MAX_INDEX
    model.amplitude.min = 0.0
    return model


def log_parabola(
    amplitude: float, alpha: float, beta: float, reference_mev: float
) -> LogParabolaSpectralModel:
    """Log parabola with 4FGL's bounds."""
    model = LogParabolaSpectralModel(
        amplitude=amplitude * AMPLITUDE_UNIT,
        reference=reference_mev * u.MeV,
        alpha=alpha,
        beta=beta,
    )
    model.alpha.min, model.alpha.max = -1.0, MAX_INDEX
    model.beta.min, model.beta.max = -0.2, MAX_CURVATURE
    model.amplitude.min = 0.0
    return model


def cutoff_power_law(
    amplitude: float, index: float, expfactor: float, reference_mev: float
) -> SuperExpCutoffPowerLaw4FGLDR3SpectralModel:
    """4FGL-DR3's power law with a sub-exponential cutoff of fixed exponential index."""
    model = SuperExpCutoffPowerLaw4FGLDR3SpectralModel(
        amplitude=amplitude * AMPLITUDE_UNIT,
        reference=reference_mev * u.MeV,
        expfactor=expfactor,
        index_1=index,
        index_2=PLEC_INDEX_2,
    )
    model.index_2.frozen = True
    model.index_1.min, model.index_1.max = -1.0, MAX_INDEX
    model.expfactor.min, model.expfactor.max = -0.2, 3.0
    model.amplitude.min = 0.0
    return model


def model_of(values: dict[str, float]) -> SpectralModel:
    """The model of some values by gammapy's names of its parameters."""
    amplitude, reference_mev = values["amplitude"], values["reference"]
    if "alpha" in values:
        return log_parabola(amplitude, values["alpha"], values["beta"], reference_mev)
    if "expfactor" in values:
        return cutoff_power_law(amplitude, values["index_1"], values["expfactor"], reference_mev)
    return power_law(amplitude, values["index"], reference_mev)


class SpectrumValues:
    """A gammapy spectrum as plain numbers, by gammapy's own formula without its units.

    The model must keep its parameters in MeV and cm-2 s-1 MeV-1, as those of this module do.
    """

    def __init__(self, model: SpectralModel) -> None:
        self._evaluate = model.evaluate
        self.parameters = list(model.parameters)
        self.amplitude = next(p for p in self.parameters if p.name == "amplitude")
        self._others = [p for p in self.parameters if p is not self.amplitude]

    def shape(self) -> tuple[float, ...]:
        """Present values of all parameters but the amplitude."""
        return tuple(p.value for p in self._others)

    def unit_flux(self) -> np.ndarray:
        """Photon flux (45,) in the true-energy bins, cm-2 s-1, at an amplitude of 1."""
        values = self._evaluate(
            _INSIDE_MEV, amplitude=1.0, **{p.name: p.value for p in self._others}
        )
        return (values * _INSIDE_MEV).reshape(-1, _POINTS).mean(axis=1) * _WIDTH

    def fine_flux(self) -> np.ndarray:
        """Photon flux (45,) in the true-energy bins, cm-2 s-1."""
        return self.unit_flux() * self.amplitude.value


def fine_flux(amplitude: float, index: float, beta: float, reference_mev: float) -> np.ndarray:
    """Photon flux (45,), cm-2 s-1, of a log parabola in the true-energy bins; gammapy's formula."""
    values = LogParabolaSpectralModel.evaluate(_INSIDE_MEV, amplitude, reference_mev, index, beta)
    return (values * _INSIDE_MEV).reshape(-1, _POINTS).mean(axis=1) * _WIDTH
