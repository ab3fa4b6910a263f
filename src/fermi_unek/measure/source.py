"""The likelihood of one source, all else held: gammapy's models and Minuit on the pixels it lights.

gammapy's `MapDataset` projects, convolves and interpolates on every call. Here the photons of a
spectrum in each channel are a small product, and only pixels in which the source is seen are gone
through: in all others it changes so little that the statistic is a straight line in its photons.
What is fitted are gammapy's models and parameters, and Minuit is called through gammapy. Tests
compare with a MapDataset of the same photons.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from gammapy.modeling import Parameter, Parameters
from gammapy.modeling.iminuit import covariance_iminuit, optimize_iminuit
from gammapy.modeling.models import PointSpatialModel, SpectralModel

from ..sky.geometry.frame import lonlat_to_vectors
from .extent import Extent
from .model import RegionModel
from .spectra import SpectrumValues

POSITION_SLACK_DEG = 0.3
"""How far a position may move from where it was handed in."""

_SEEN = 1e-3  # part of the expected photons from which a pixel is gone through
_LEAST_PHOTONS = 3.0
_WINDOW_RADII, _WINDOW_SIZES = 4.0, 1.5


class SourceLikelihood:
    """The statistic of one free source of a region as a function of its spectrum and position.

    Parameters
    ----------
    model : RegionModel
        With the source in it.
    number : int
    expected : array (P,)
        Of the model.
    moving : bool
        Whether position or extent are to be fitted.
    largest_deg : float
        Largest radius that the source will be given.
    """

    def __init__(
        self,
        model: RegionModel,
        number: int,
        *,
        expected: np.ndarray,
        moving: bool = False,
        largest_deg: float = 0.0,
    ) -> None:
        self._model, data = model, model.data
        photons = model.photons[number]
        own = photons[data.channel] * model.images[number]
        others = np.maximum(expected - own, 1e-12)
        scale = max(_LEAST_PHOTONS / max(photons.sum(), 1e-300), 1.0)
        state = model.states[number]
        if moving:
            largest = max(largest_deg, state.size_deg)
            slack = POSITION_SLACK_DEG + _WINDOW_SIZES * largest
            reach = np.cos(np.radians(_WINDOW_RADII * data.radii_deg + slack))
            seen = data.vectors @ state.vector > reach[data.channel]
        else:
            seen = own * scale > _SEEN * expected
        self.rows = np.flatnonzero(seen)
        self.channel = data.channel[self.rows]
        self.counts = data.counts[self.rows]
        self.others = others[self.rows]
        self.image = model.images[number][self.rows]
        rest = ~seen
        faint = data.counts[rest] / others[rest] * model.images[number][rest]
        # a straight line: what a photon of the source more changes, but for the pixels gone through
        self._line = np.bincount(data.channel[rest], faint, data.n_channels)
        self.cost = model.contained[number] - self._line
        self.base = float(self.counts @ np.log(self.others))
        self.per_flux = model.per_flux(number)
        self.prior = model.prior
        self.spatial = PointSpatialModel(
            lon_0=state.lon_deg * u.deg, lat_0=state.lat_deg * u.deg, frame="galactic"
        )
        self.lon, self.lat = self.spatial.lon_0, self.spatial.lat_0
        self.lon.frozen = self.lat.frozen = True
        self._at = (self.lon.value, self.lat.value)
        self._extent = state.extent
        self._profiles: np.ndarray | None = None
        self.set_spectrum(state.spectral_model())

    def set_spectrum(self, spectral: SpectralModel) -> None:
        """Take another spectrum, free as it comes."""
        self.spectral = spectral
        self._values = SpectrumValues(spectral)
        self.amplitude = self._values.amplitude
        self._shape_at: tuple[float, ...] | None = None
        self._unit = np.zeros(0)

    @property
    def parameters(self) -> Parameters:
        """gammapy's parameters of spectrum and position."""
        return Parameters([*self._values.parameters, self.lon, self.lat])

    def vector(self) -> np.ndarray:
        """Galactic unit vector (3,) of the present position."""
        return lonlat_to_vectors(np.asarray(self.lon.value), np.asarray(self.lat.value))

    def photons(self) -> np.ndarray:
        """Photons (C,) of the present spectrum, all over the sky."""
        shape = self._values.shape()
        if shape != self._shape_at:
            self._unit, self._shape_at = self._values.unit_flux() @ self.per_flux, shape
        return self._unit * self.amplitude.value

    def stat(self, photons: np.ndarray | None = None) -> float:
        """Twice the negative log-likelihood over that without the source."""
        photons = self.photons() if photons is None else photons
        self._move()
        light = photons[self.channel] * self.image
        gain = self.counts @ np.log(self.others + light) - self.base
        return float(2.0 * (photons @ self.cost - gain))

    def _move(self) -> None:
        at = (self.lon.value, self.lat.value)
        if at == self._at:
            return
        self._at = at
        data = self._model.data
        if self._profiles is None:
            self._profiles = data.profiles(self._values.fine_flux(), self._extent)
        self.image = data.image(self.vector(), self._profiles, self.rows, self._size_deg)

    def set_extent(self, extent: Extent | None) -> None:
        """Take another extent; the profiles are those of the present spectrum."""
        self._extent, data = extent, self._model.data
        self._profiles = data.profiles(self._values.fine_flux(), extent)
        at = self.vector(), self._profiles
        self.image = data.image(*at, self.rows, self._size_deg)
        self.cost = data.contained(*at, self._size_deg) - self._line

    @property
    def _size_deg(self) -> float:
        return 0.0 if self._extent is None else self._extent.radius_deg

    def fit(self, *, covariance: bool = False) -> np.ndarray | None:
        """Fit what is free; the covariance of the free parameters where asked for."""
        self._set_steps()
        parameters = self.parameters
        parameters.autoscale()
        prior = self.prior

        def objective() -> float:
            index = getattr(self.spectral, "index", None)
            if prior is None or index is None or index.frozen:
                return self.stat()
            return self.stat() + float(((index.value - prior[0]) / prior[1]) ** 2)

        factors, _, _ = optimize_iminuit(parameters, objective, strategy=0, tol=0.1)
        parameters.set_parameter_factors(factors)
        if not covariance:
            return None
        matrix, _ = covariance_iminuit(parameters, objective)
        scales = np.array([parameter.scale for parameter in parameters if not parameter.frozen])
        return np.asarray(matrix) * np.outer(scales, scales)

    def _set_steps(self) -> None:
        expected = max(float(self.photons().sum()), 1e-6)
        if expected < _LEAST_PHOTONS:  # Minuit would not find its way back from the bound at 0
            self.amplitude.value *= _LEAST_PHOTONS / expected
            expected = _LEAST_PHOTONS
        self.amplitude.error = 2.0 * self.amplitude.value / np.sqrt(expected)
        for parameter in self._values.parameters:
            if parameter.name in ("index", "alpha", "beta", "expfactor", "index_1"):
                parameter.error = 0.1

    def free_position(self) -> None:
        """Free the position within a box of `POSITION_SLACK_DEG`."""
        stretch = np.cos(np.radians(self.lat.value))
        for parameter, scale in ((self.lon, stretch), (self.lat, 1.0)):
            parameter.frozen = False
            parameter.error = 0.02 / scale
            parameter.min = parameter.value - POSITION_SLACK_DEG / scale
            parameter.max = parameter.value + POSITION_SLACK_DEG / scale


def values_of(parameters: list[Parameter]) -> dict[str, float]:
    """Values by gammapy's names."""
    return {p.name: float(p.value) for p in parameters}
