"""All sources of a region and its diffuse emission in one likelihood, and their joint fit.

What is expected of a source in a channel is a number of photons times an image, and the image does
not change while spectra are fitted. So all that a step of a fit needs of the pixels is, in each
channel, the sum over pixels of the product of every two images: small matrices, with which the
second derivatives for the parameters of all spectra follow by the chain rule. Newton's steps with
them find the joint maximum in a few passes over the photons, and their inverse is the covariance
of everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
_STAT_NOISE = 1e-3  # of the sums in single precision
_RIDGE = 1e-5  # by which two parameters are known apart that the photons cannot tell apart
_PIVOTS = 20  # of what is at its bound in a step; few are needed
_LEAST_BETA = 1e-4
_BACKGROUND_BOUNDS = (0.2, 5.0), (-1.0, 1.0), (0.0, 5.0)


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
        # single precision: the products of every two of them are most of a fit's time and memory
        self.light = np.zeros((free + len(data.diffuse), len(data.counts)), np.float32)
        self.light[free:] = data.diffuse
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
        return self._shining(0)

    def others(self) -> np.ndarray:
        """Photons (P,) of all but the free sources."""
        return self._shining(self.free)

    def _shining(self, first: int) -> np.ndarray:
        """Photons (P,) of what is frozen, and of the components from a number on."""
        total, factors = self.frozen.copy(), self._factors()[first:].astype(np.float32)
        for c in range(self.data.n_channels):
            part = slice(*self.data.edges[c : c + 2])
            total[part] += factors[:, c] @ self.light[first:, part]
        return np.maximum(total, _LEAST)

    def light_of(self, number: int) -> np.ndarray:
        """Photons (P,) of a free source in each pixel."""
        return np.asarray(self.photons[number][self.data.channel] * self.images[number])

    def light_of_sources(self, pixels: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Photons (free, n) of each free source in some pixels, rising, in single precision.

        The share (C,) is of the photons of each channel.
        """
        light = self.images[:, pixels]  # of a whole sky the largest array beside the images
        parts = np.searchsorted(pixels, self.data.edges)
        factors = (self.photons * share).astype(np.float32)
        for c in range(self.data.n_channels):
            light[:, parts[c] : parts[c + 1]] *= factors[:, c, None]
        return np.asarray(light)

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
        counts, result = self.data.counts, np.zeros(self.free)
        for s in range(self.free):
            share = self.light_of(s) / expected
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
        ratio = (self.data.counts / expected).astype(np.float32)
        root = (np.sqrt(self.data.counts) / expected).astype(np.float32)
        curvature = np.empty((self.data.n_channels, len(self.light), len(self.light)))
        slope = np.empty((self.data.n_channels, len(self.light)))
        for c in range(self.data.n_channels):
            part = slice(*self.data.edges[c : c + 2])
            block = self.light[:, part]
            weighted = block * root[part]
            curvature[c] = weighted @ weighted.T  # numpy makes one half of it
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

    def fit(self, most: int = 12, step_sigma: float = _STEP_SIGMA) -> None:
        """Newton's steps to the joint maximum."""
        damping = 0.0
        expected = self.expected()
        value = self.stat(expected) + self.penalty()
        for _ in range(most):
            curvature, slope = self.grams(expected)
            matrix, gradient = self.system(curvature), self._gradient(slope)
            bent = matrix + self._bending(slope, matrix)
            errors = np.sqrt(np.diag(inverse(matrix)))
            before = self.states[: self.free], self.background.copy()
            for _ in range(8):
                damped = bent + np.diag(damping * np.diag(bent))
                step = bounded_step(damped, gradient, *self._room())
                self._take(step)
                expected = self.expected()
                new = self.stat(expected) + self.penalty()
                if new <= value + _STAT_NOISE:
                    damping *= 0.2 if damping > 1e-3 else 0.0
                    break
                damping = max(4.0 * damping, 0.05)
                self.restore(*before)
            else:
                return
            value = new
            if np.all(np.abs(step) < step_sigma * errors):
                return

    def informations(self, curvature: np.ndarray, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """What is known of the photons of sources in each channel, all else free, each (C, C).

        The inverse of a covariance: second derivatives for the photons, less what the free
        parameters of everything else could make up for.
        """
        owners, slopes = self.derivatives()
        covariance = inverse(_products(curvature, owners, slopes))
        for number in numbers:
            mine = np.array(owners) == number
            across = curvature[:, number, owners] * slopes
            across[:, mine] = 0.0
            shared = across @ covariance
            # the covariance of all else while those of the source are held
            held = np.linalg.solve(covariance[np.ix_(mine, mine)], shared[:, mine].T)
            taken = shared @ across.T - shared[:, mine] @ held
            yield np.diag(curvature[:, number, number]) - taken

    def diffuse_per_sr(self) -> np.ndarray:
        """Photons (C,) of the diffuse emission per sr, on average over the domain."""
        area = np.array([domain.observed_sr.sum() for domain in self.data.domains])
        total = (self.diffuse_factors() * self.data.diffuse_total).sum(axis=0)
        return total / np.maximum(area, 1e-300)

    def system(self, curvature: np.ndarray) -> np.ndarray:
        """Second derivatives (J, J) for the free parameters, from those for the photons."""
        owners, slopes = self.derivatives()
        matrix = _products(curvature, owners, slopes)
        # a source that is not there has no slope to fit, and a region may have no photons
        return matrix + np.diag(self._priors()[1] + 1e-12 * np.abs(matrix).max() + 1e-30)

    def _bending(self, slope: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """What the photons' second derivatives for each spectrum add to a matrix of `system`.

        Of faint sources they are as large as the products of first ones; a step without them goes
        twice as far as it should, to and fro. Only what makes steps shorter is taken, by which the
        matrix stays one of a maximum.
        """
        result = np.zeros_like(matrix)
        first = 0
        for s, shape in enumerate(self.shapes):
            rows = slice(first, first + shape)
            first += shape
            if shape == 1:  # photons are proportional to a flux
                continue
            state = self.states[s]
            powers = np.log(FINE_ENERGIES_MEV / state.reference_mev) ** np.arange(5.0)[:, None]
            t = powers * state.fine_flux() @ self._per_flux[s] @ slope[:, s]
            bent = np.array([[0.0, t[1], t[2]], [t[1], -t[2], -t[3]], [t[2], -t[3], -t[4]]])
            scale = np.sqrt(np.diag(matrix)[rows])
            values, axes = np.linalg.eigh(bent[:shape, :shape] / np.outer(scale, scale))
            more = (axes * np.maximum(values, 0.0)) @ axes.T
            result[rows, rows] = more * np.outer(scale, scale)
        return result

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

    def _room(self) -> tuple[np.ndarray, np.ndarray]:
        """How far (J,) down and up each free parameter may go in one step."""
        low, high = [], []
        for s, name in self.names():
            if s < 0:
                place = ("norm", "tilt", "isotropic").index(name)
                value, bounds, most = self.background[place], _BACKGROUND_BOUNDS[place], np.inf
            elif name == "norm":  # relative: at most to a tenth, and tenfold
                floor = _FLOOR / max(self.photons[s].sum(), 1e-300)
                low.append(min(max(floor - 1.0, -0.9), 0.0))
                high.append(9.0)
                continue
            elif name == "index":
                value, bounds, most = self.states[s].index, (0.0, MAX_INDEX), 0.5
            else:
                value, bounds, most = self.states[s].beta, (_LEAST_BETA, MAX_CURVATURE), 0.2
            low.append(max(bounds[0] - value, -most))
            high.append(min(bounds[1] - value, most))
        return np.array(low), np.array(high)

    def _take(self, step: np.ndarray) -> None:
        """Go a step (J,)."""
        new = list(self.states[: self.free])
        for (s, name), change in zip(self.names(), step.tolist(), strict=True):
            if s < 0:
                self.background[("norm", "tilt", "isotropic").index(name)] += change
            elif name == "norm":
                new[s] = new[s].scaled(new[s].amplitude * (1.0 + change))
            elif name == "index":
                new[s] = new[s].changed(index=new[s].index + change)
            else:
                new[s] = new[s].changed(beta=new[s].beta + change)
        for s, state in enumerate(new):
            if state is not self.states[s]:
                self.set_state(s, state)

    def restore(self, states: Sequence[SourceState], background: np.ndarray) -> None:
        """Go back to some states of the free sources, whose images are as they were."""
        self.background = background.copy()
        for s, state in enumerate(states):
            if state is not self.states[s]:
                self.set_state(s, state)


def bounded_step(
    matrix: np.ndarray, gradient: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Newton's step (J,) within bounds.

    What would go beyond one goes to it, and all else as is best with that: a step that is cut
    afterwards leaves the others where they were to make up for it.
    """
    step, held = np.zeros(len(gradient)), np.zeros(len(gradient), bool)
    for _ in range(_PIVOTS):
        free = ~held
        pull = gradient[free] - matrix[np.ix_(free, held)] @ step[held]
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], pull)
        beyond = free & ((step < low) | (step > high))
        step = np.clip(step, low, high)
        pull = gradient - matrix @ step
        inward = held & np.where(step <= low, pull > 0, pull < 0)
        if not (beyond.any() or inward.any()):
            break
        held = (held & ~inward) | beyond
    return step


def spectral_slopes(state: SourceState, shape: int, per_flux: np.ndarray) -> list[np.ndarray]:
    """Change of the photons (C,) with the relative flux, the index and beta of a source.

    For the energies inside of a true-energy bin the middle one stands.
    """
    flux = state.fine_flux()
    log_energy = np.log(FINE_ENERGIES_MEV / state.reference_mev)
    slopes = [flux, -log_energy * flux, -(log_energy**2) * flux]
    return [slope @ per_flux for slope in slopes[:shape]]


def _products(curvature: np.ndarray, owners: Sequence[int], slopes: np.ndarray) -> np.ndarray:
    """Second derivatives (J, J) for parameters, from those for the photons of their owners."""
    by_owner = curvature[:, owners][:, :, owners]
    return np.asarray(np.einsum("cij,ci,cj->ij", by_owner, slopes, slopes, optimize=True))


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a matrix of second derivatives, in units in which it is well conditioned."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    units = np.outer(scale, scale)
    return np.asarray(np.linalg.inv(matrix * units + _RIDGE * np.eye(len(matrix))) * units)
