"""The likelihood of one source, all else held: gammapy's models and Minuit on the pixels it lights.

gammapy's `MapDataset` projects, convolves and interpolates on every call. Here the photons of a
spectrum in each channel are a small product, and only pixels in which the source is seen are gone
through: in all others it changes so little that the statistic is a straight line in its photons.
What is fitted are gammapy's models and parameters, and Minuit is called through gammapy. Tests
compare with a MapDataset of the same photons.
"""

from __future__ import annotations

import numpy as np
from gammapy.modeling import Parameter, Parameters
from gammapy.modeling.iminuit import optimize_iminuit
from gammapy.modeling.models import SpectralModel

from .extent import Extent
from .model import RegionModel
from .spectra import SpectrumValues

POSITION_SLACK_DEG = 0.3
"""How far a position may move from where it was handed in."""

_SEEN = 1e-3  # part of the expected photons from which a pixel is gone through
_LEAST_PHOTONS = 3.0
_LEAST_SIGMAS, _LEAST_IN_CHANNEL = 3.0, 1.0
_WINDOW_RADII, _WINDOW_SIZES = 4.0, 1.5
_COST_STEP_DEG = 0.1


class SourceLikelihood:
    """The statistic of one free source of a region as a function of its spectrum.

    Parameters
    ----------
    model : RegionModel
        With the source in it.
    number : int
    expected : array (P,)
        Of the model.
    moving : bool
        Whether position or extent will change: all pixels around are gone through.
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
        own = model.light_of(number)
        others = np.maximum(expected - own, 1e-12)
        # where the spectrum has next to nothing now the fit may put photons; and in bright
        # surroundings a few are seen nowhere, but the fit may come to some sigmas
        sigmas = np.sqrt(data.counts @ (own / expected) ** 2)
        scale = max(_LEAST_SIGMAS / max(sigmas, 1e-300), 1.0)
        likely = np.maximum(photons * scale, _LEAST_IN_CHANNEL)
        state = model.states[number]
        if moving:
            largest = max(largest_deg, state.size_deg)
            slack = POSITION_SLACK_DEG + _WINDOW_SIZES * largest
            reach = np.cos(np.radians(_WINDOW_RADII * data.radii_deg + slack))
            seen = data.vectors @ state.vector > reach[data.channel]
        else:
            seen = likely[data.channel] * model.images[number] > _SEEN * expected
        self.rows = np.flatnonzero(seen)
        self.channel = data.channel[self.rows]
        self.counts = data.counts[self.rows]
        self.others = others[self.rows]
        self.image = model.images[number][self.rows]
        self._rest = np.flatnonzero(~seen)
        self._ratio = data.counts[self._rest] / others[self._rest]
        self.cost = self._cost(model.contained[number], model.images[number][self._rest])
        self.base = float(self.counts @ np.log(self.others))
        self.per_flux = model.per_flux(number)
        self.prior = model.prior
        self.vector = state.vector
        self._extent = state.extent
        self.set_spectrum(state.spectral_model())

    def set_spectrum(self, spectral: SpectralModel) -> None:
        """Take another spectrum, free as it comes."""
        self.spectral = spectral
        self._values = SpectrumValues(spectral)
        self.amplitude = self._values.amplitude
        self._shape_at: tuple[float, ...] | None = None
        self._unit = np.zeros(0)

    def photons(self) -> np.ndarray:
        """Photons (C,) of the present spectrum, all over the sky."""
        shape = self._values.shape()
        if shape != self._shape_at:
            self._unit, self._shape_at = self._values.unit_flux() @ self.per_flux, shape
        return self._unit * self.amplitude.value

    def stat(self, photons: np.ndarray | None = None) -> float:
        """Twice the negative log-likelihood over that without the source."""
        photons = self.photons() if photons is None else photons
        light = photons[self.channel] * self.image
        gain = self.counts @ np.log(self.others + light) - self.base
        return float(2.0 * (photons @ self.cost - gain))

    def profiles(self) -> np.ndarray:
        """Profiles (C, 2048) of the present spectrum and extent."""
        return self._model.data.profiles(self._values.fine_flux(), self._extent)

    def image_at(self, vector: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """The image (n,) as it were somewhere else."""
        return self._model.data.image(vector, profiles, self.rows, self._size_deg)

    def _cost(self, contained: np.ndarray, image: np.ndarray) -> np.ndarray:
        """What a photon more in each channel (C,) costs, but for the pixels gone through.

        In all others the likelihood is a straight line in the photons.
        """
        channel = self._model.data.channel[self._rest]
        return contained - np.bincount(channel, self._ratio * image, len(contained))

    def cost_slopes(self, sides: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """Change (2, C) of `cost` a degree towards two sides (2, 3), unit vectors across.

        Nearer to the rim less of the light is inside.
        """
        data, size = self._model.data, self._size_deg
        contained = np.array(
            [
                data.contained(self.vector + step * side, profiles, size)
                for side in sides
                for step in np.radians([_COST_STEP_DEG, -_COST_STEP_DEG])
            ]
        )
        images = data.image_slopes(self.vector, sides, profiles, self._rest, size)
        inside = (contained[::2] - contained[1::2]) / (2.0 * _COST_STEP_DEG)
        return np.array([self._cost(*side) for side in zip(inside, images, strict=True)])

    def set_extent(self, extent: Extent | None) -> None:
        """Take another extent."""
        self._extent = extent
        profiles = self.profiles()
        self.image = self.image_at(self.vector, profiles)
        data, size = self._model.data, self._size_deg
        contained = data.contained(self.vector, profiles, size)
        self.cost = self._cost(contained, data.image(self.vector, profiles, self._rest, size))

    @property
    def _size_deg(self) -> float:
        return 0.0 if self._extent is None else self._extent.radius_deg

    def fit(self) -> None:
        """Fit the spectrum, as far as it is free."""
        self._set_steps()
        parameters = Parameters(self._values.parameters)
        parameters.autoscale()
        prior = self.prior

        def objective() -> float:
            index = getattr(self.spectral, "index", None)
            if prior is None or index is None or index.frozen:
                return self.stat()
            return self.stat() + float(((index.value - prior[0]) / prior[1]) ** 2)

        factors, _, _ = optimize_iminuit(parameters, objective, strategy=0, tol=0.1)
        parameters.set_parameter_factors(factors)

    def _set_steps(self) -> None:
        expected = max(float(self.photons().sum()), 1e-6)
        if expected < _LEAST_PHOTONS:  # Minuit would not find its way back from the bound at 0
            self.amplitude.value *= _LEAST_PHOTONS / expected
            expected = _LEAST_PHOTONS
        self.amplitude.error = 2.0 * self.amplitude.value / np.sqrt(expected)
        for parameter in self._values.parameters:
            if parameter.name in ("index", "alpha", "beta", "expfactor", "index_1"):
                parameter.error = 0.1


def values_of(parameters: list[Parameter]) -> dict[str, float]:
    """Values by gammapy's names."""
    return {p.name: float(p.value) for p in parameters}
