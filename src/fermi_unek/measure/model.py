"""All sources of a region and its diffuse emission in one likelihood, and their joint fit.

What is expected of a source in a channel is a number of photons times an image, and the image does
not change while spectra are fitted. So all that a step of a fit needs of the pixels is, in each
channel, the sum over pixels of the product of every two images: small matrices, with which the
second derivatives for the parameters of all spectra follow by the chain rule. Newton's steps with
them find the joint maximum in a few passes over the photons, and their inverse is the covariance
of everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..irf.instrument import FINE_ENERGIES_MEV
from .data import RegionData
from .spectra import MAX_CURVATURE, MAX_INDEX, USUAL_BETA
from .state import SourceState

BACKGROUND_MEV = 1000.0
"""Energy at which the slope of the Galactic emission turns."""

_STEP_SIGMA = 0.05  # converged when no parameter moves by more of its error
_LEAST = 1e-12
_FLOOR = 1e-3  # photons of a source that is not there


class RegionModel:
    """Expected photons of a region.

    Parameters
    ----------
    data : RegionData
    states : sequence of S SourceState
    free : int
        The first so many of them are fitted; the others shine as they are.
    prior : (float, float) or None
        Mean and standard deviation of a photon index. With it betas have one too, `USUAL_BETA`.

    Attributes
    ----------
    states : list of SourceState
    shapes : list of int
        Free parameters of the spectrum of each free source: 1 (flux), 2 (and index), 3 (and beta).
    background : array (3,)
        Norm and tilt of the Galactic emission, norm of the isotropic.
    light, inside : arrays (K, P), (K, C)
        Of each component, the free sources, the Galactic and the isotropic emission, what falls
        into each pixel and into all: parts of the photons of a source, photons of the diffuse.
    """

    def __init__(
        self,
        data: RegionData,
        states: Sequence[SourceState],
        free: int,
        prior: tuple[float, float] | None = None,
    ) -> None:
        self.data, self.states, self.free, self.prior = data, list(states), free, prior
        self.shapes = [1] * free
        self.background = np.array([1.0, 0.0, 1.0])
        self.background_free = True
        self.light = np.concatenate([np.zeros((free, len(data.counts))), data.diffuse])
        self.inside = np.concatenate([np.zeros((free, data.n_channels)), data.diffuse_total])
        self.images, self.contained = self.light[:free], self.inside[:free]
        self.frozen = np.zeros(len(data.counts))
        self.frozen_total = np.zeros(data.n_channels)
        vectors = np.array([state.vector for state in states]).reshape(-1, 3)
        self._per_flux = data.counts_per_flux(vectors)
        self.energies_mev = np.concatenate(
            [[channel.mean_mev for channel in r.channels] for r in data.responses]
        )
        for number in range(len(states)):
            self.place(number)
        self.photons = np.array([self.photons_of(number) for number in range(free)])

    def place(self, number: int) -> None:
        """Make the image of a source anew, for its present position and spectrum."""
        state = self.states[number]
        flux = state.fine_flux()
        profiles = self.data.profiles(flux, state.extent)
        image = self.data.image(state.vector, profiles, size_deg=state.size_deg)
        contained = self.data.contained(state.vector, profiles, state.size_deg)
        if number < self.free:
            self.images[number], self.contained[number] = image, contained
        else:
            photons = flux @ self._per_flux[number]
            self.frozen += image * photons[self.data.channel]
            self.frozen_total += contained * photons

    def move(self, number: int, state: SourceState) -> None:
        """Take over a new position and spectrum of a free source."""
        self.states[number] = state
        self._per_flux[number] = self.data.counts_per_flux(state.vector[None])[0]
        self.place(number)
        self.photons[number] = self.photons_of(number)

    def set_state(self, number: int, state: SourceState) -> None:
        """Take over a new spectrum of a free source at its place."""
        self.states[number] = state
        self.photons[number] = self.photons_of(number)

    def per_flux(self, number: int) -> np.ndarray:
        """Photons (E, C) of a source per flux in each true-energy bin."""
        return self._per_flux[number]

    def photons_of(self, number: int, state: SourceState | None = None) -> np.ndarray:
        """Photons (C,) of a source, all over the sky."""
        state = state or self.states[number]
        return state.fine_flux() @ self._per_flux[number]

    def diffuse_factors(self) -> np.ndarray:
        """Factors (2, C) on the Galactic and the isotropic emission."""
        norm, tilt, isotropic = self.background
        galactic = norm * (self.energies_mev / BACKGROUND_MEV) ** tilt
        return np.stack([galactic, np.full_like(galactic, isotropic)])

    def expected(self) -> np.ndarray:
        """Photons (P,) of everything in each pixel."""
        total, factors = self.frozen.copy(), self._factors()
        for c in range(self.data.n_channels):
            part = slice(*self.data.edges[c : c + 2])
            total[part] += factors[:, c] @ self.light[:, part]
        return np.maximum(total, _LEAST)

    def _factors(self) -> np.ndarray:
        """Factors (K, C) on the light of each component."""
        return np.concatenate(
            [self.photons.reshape(self.free, self.data.n_channels), self.diffuse_factors()]
        )

    def stat(self, expected: np.ndarray | None = None) -> float:
        """Twice the negative log-likelihood, up to a constant."""
        expected = self.expected() if expected is None else expected
        total = self.frozen_total.sum() + (self._factors() * self.inside).sum()
        return float(2.0 * (total - self.data.counts @ np.log(expected)))

    def penalty(self) -> float:
        """What free spectra pay for being unusual; see `config.RefitConfig`."""
        away, weight = self._priors()
        return float(away**2 @ weight)

    def _priors(self) -> tuple[np.ndarray, np.ndarray]:
        """How far each free parameter (J,) is from what is usual, and what is known of it."""
        names = self.names()
        away, weight = np.zeros((2, len(names)))
        if self.prior is None:
            return away, weight
        for k, (s, name) in enumerate(names):
            if name == "index":
                away[k], weight[k] = self.states[s].index - self.prior[0], self.prior[1] ** -2.0
            elif name == "beta":
                away[k], weight[k] = self.states[s].beta, USUAL_BETA**-2.0
        return away, weight

    def gains(self, expected: np.ndarray | None = None) -> np.ndarray:
        """TS (free,) of each source, all else as it is."""
        expected = self.expected() if expected is None else expected
        channel, counts = self.data.channel, self.data.counts
        result = np.zeros(self.free)
        for s in range(self.free):
            share = self.photons[s][channel] * self.images[s] / expected
            lost = np.log1p(-np.minimum(share, 1.0 - 1e-9))
            result[s] = -2.0 * (counts @ lost + self.photons[s] @ self.contained[s])
        return result

    def grams(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Second and first derivatives for the photons of each component in each channel.

        Returns
        -------
        curvature : array (C, K, K)
        slope : array (C, K)
            K are the components.
        """
        ratio = self.data.counts / expected
        weight = ratio / expected
        curvature = np.empty((self.data.n_channels, len(self.light), len(self.light)))
        slope = np.empty((self.data.n_channels, len(self.light)))
        for c in range(self.data.n_channels):
            part = slice(*self.data.edges[c : c + 2])
            block = self.light[:, part]
            curvature[c] = (block * weight[part]) @ block.T
            slope[c] = block @ ratio[part] - self.inside[:, c]
        return curvature, slope

    def derivatives(self) -> tuple[list[int], np.ndarray]:
        """Change of the photons of each component with each free parameter.

        Returns
        -------
        owners : list of J int
            Component of each parameter.
        slopes : array (C, J)
        """
        owners, slopes = [], []
        for s in range(self.free):
            for slope in spectral_slopes(self.states[s], self.shapes[s], self._per_flux[s]):
                owners.append(s)
                slopes.append(slope)
        if self.background_free:
            norm, tilt, _ = self.background
            power = (self.energies_mev / BACKGROUND_MEV) ** tilt
            owners += [self.free, self.free, self.free + 1]
            slopes += [
                power,
                norm * power * np.log(self.energies_mev / BACKGROUND_MEV),
                np.ones_like(power),
            ]
        return owners, np.array(slopes).reshape(-1, self.data.n_channels).T

    def fit(self, most: int = 12, step_sigma: float = _STEP_SIGMA) -> np.ndarray:
        """Newton's steps to the joint maximum; the covariance (J, J) of the free parameters."""
        damping = 0.0
        expected = self.expected()
        value = self.stat(expected) + self.penalty()
        for _ in range(most):
            curvature, slope = self.grams(expected)
            matrix, gradient = self.system(curvature), self._gradient(slope)
            before = self.states[: self.free], self.background.copy()
            errors = np.sqrt(np.diag(inverse(matrix)))
            for _ in range(8):
                step = np.linalg.solve(matrix + np.diag(damping * np.diag(matrix)), gradient)
                moved = self._take(step)
                expected = self.expected()
                new = self.stat(expected) + self.penalty()
                if new <= value + 1e-6:
                    damping *= 0.2 if damping > 1e-3 else 0.0
                    break
                damping = max(4.0 * damping, 0.05)
                self.restore(*before)
            else:
                expected = self.expected()
                break
            value = new
            if np.all(np.abs(moved) < step_sigma * errors):
                break
        return inverse(self.system(self.grams(expected)[0]))

    def information(self, number: int, curvature: np.ndarray) -> np.ndarray:
        """What is known of the photons of a source in each channel, all else free, (C, C).

        The inverse of a covariance: second derivatives for the photons, less what the free
        parameters of everything else could make up for.
        """
        owners, slopes = self.derivatives()
        others = [k for k, owner in enumerate(owners) if owner != number]
        own = np.diag(curvature[:, number, number])
        if not others:
            return own
        kept = [owners[k] for k in others]
        matrix = np.einsum(
            "cij,ci,cj->ij", curvature[:, kept][:, :, kept], slopes[:, others], slopes[:, others],
            optimize=True,
        )  # fmt: skip
        across = curvature[:, number, kept] * slopes[:, others]
        return own - across @ inverse(matrix) @ across.T

    def diffuse_per_sr(self) -> np.ndarray:
        """Photons (C,) of the diffuse emission per sr, on average over the domain."""
        area = np.array([domain.observed_sr.sum() for domain in self.data.domains])
        total = (self.diffuse_factors() * self.data.diffuse_total).sum(axis=0)
        return total / np.maximum(area, 1e-300)

    def system(self, curvature: np.ndarray) -> np.ndarray:
        """Second derivatives (J, J) for the free parameters, from those for the photons."""
        owners, slopes = self.derivatives()
        matrix = np.einsum(
            "cij,ci,cj->ij", curvature[:, owners][:, :, owners], slopes, slopes, optimize=True
        )
        # a source that is not there has no slope to fit
        return matrix + np.diag(self._priors()[1] + 1e-12 * np.abs(matrix).max())

    def _gradient(self, slope: np.ndarray) -> np.ndarray:
        owners, slopes = self.derivatives()
        away, weight = self._priors()
        return np.asarray(np.einsum("ci,ci->i", slope[:, owners], slopes) - away * weight)

    def names(self) -> list[tuple[int, str]]:
        """Source and name of each free parameter."""
        names = [
            (s, name)
            for s in range(self.free)
            for name in ("norm", "index", "beta")[: self.shapes[s]]
        ]
        background = [(-1, "norm"), (-1, "tilt"), (-1, "isotropic")]
        return names + (background if self.background_free else [])

    def _take(self, step: np.ndarray) -> np.ndarray:
        """Go a step, as far as the bounds let; how far (J,) it went."""
        moved = np.zeros(len(step))
        new = list(self.states[: self.free])
        for k, ((s, name), change) in enumerate(zip(self.names(), step, strict=True)):
            if s < 0:
                place = ("norm", "tilt", "isotropic").index(name)
                low, high = ((0.2, 5.0), (-1.0, 1.0), (0.0, 5.0))[place]
                old = self.background[place]
                self.background[place] = np.clip(old + change, low, high)
                moved[k] = self.background[place] - old
            else:
                new[s], moved[k] = _changed(new[s], name, change)
        for s, state in enumerate(new):
            if state is not self.states[s]:
                least = _FLOOR / max(self.photons_of(s, state.scaled(1.0)).sum(), 1e-300)
                if state.amplitude < least:
                    state = state.scaled(least)
                self.set_state(s, state)
        return moved

    def restore(self, states: Sequence[SourceState], background: np.ndarray) -> None:
        """Go back to some states of the free sources, whose images are as they were."""
        self.background = background.copy()
        for s, state in enumerate(states):
            if state is not self.states[s]:
                self.set_state(s, state)


def _changed(state: SourceState, name: str, change: float) -> tuple[SourceState, float]:
    """A state with one parameter changed, in units of the flux for the norm."""
    if name == "norm":
        factor = float(np.clip(1.0 + change, 0.1, 10.0))
        return state.scaled(state.amplitude * factor), factor - 1.0
    if name == "index":
        index = float(np.clip(state.index + np.clip(change, -0.5, 0.5), 0.0, MAX_INDEX))
        return state.changed(index=index), index - state.index
    beta = float(np.clip(state.beta + np.clip(change, -0.2, 0.2), 1e-4, MAX_CURVATURE))
    return state.changed(beta=beta), beta - state.beta


def spectral_slopes(state: SourceState, shape: int, per_flux: np.ndarray) -> list[np.ndarray]:
    """Change of the photons (C,) with the relative flux, the index and beta of a source.

    For the energies inside of a true-energy bin the middle one stands.
    """
    flux = state.fine_flux()
    log_energy = np.log(FINE_ENERGIES_MEV / state.reference_mev)
    slopes = [flux, -log_energy * flux, -(log_energy**2) * flux]
    return [slope @ per_flux for slope in slopes[:shape]]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a matrix of second derivatives, in units in which it is well conditioned."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return np.linalg.pinv(matrix * np.outer(scale, scale), rcond=1e-12) * np.outer(scale, scale)
