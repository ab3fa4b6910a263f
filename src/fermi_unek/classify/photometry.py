"""Fluxes of candidates out of their stamps: least squares with the PSF, neighbours and background.

In each energy bin the counts of a stamp, summed over the years, are fitted with the PSF at the
candidate, the PSF at each near candidate, and a background that may slope. Photons of event types
that are kept apart are fitted together, each layer on pixels of its own: the candidate has the PSF
of each, in proportion to their exposures, and the background is free in each. The solution is
linear in the counts, so that its weights serve every year alike: the same sum over the pixels of a
year is the flux of that year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from ..irf.instrument import load_instrument, mixed_psf
from ..nets.classifier import ClassifierShape
from ..sky.bins import N_BINS
from ..sky.geometry.frame import PatchFrame, vectors_to_lonlat
from .stamps import geometry_of

NEIGHBOURS = 6
"""Most neighbours that are fitted beside a candidate."""

_BACKGROUND = 3  # columns of a layer's background: its level and two slopes
_RIDGE = 1e-6
_CHUNK = 256
_FLOOR = 0.02  # photons a pixel below which the background of a stamp is not believed
_NEIGHBOUR_RIDGE = 0.05  # pulls a neighbour too close to be told apart to nothing


@dataclass(frozen=True)
class LayerStamps:
    """What one layer of a sky shows around N candidates in Y years and six bins.

    Attributes
    ----------
    counts : array (N, Y, 6, n, n)
        As `cut_stamps` returns it.
    covered : bool array (N, 6, n, n)
        As `coverage_of` returns it.
    exposure : array (N, Y, 6)
        cm2 s.
    event_type : str
        Whose PSF.
    """

    counts: np.ndarray
    covered: np.ndarray
    exposure: np.ndarray
    event_type: str


@dataclass(frozen=True)
class Photometry:
    """Counts of N candidates in Y years and six bins, of all layers; zero where a bin is absent.

    Attributes
    ----------
    net : float32 array (N, Y, 6)
        Photons of the candidate, neighbours fitted beside it.
    error : float32 array (N, 6)
        Standard deviation of its sum over the years.
    net_alone, error_alone : float32 arrays (N, 6)
        The same of all years, without neighbours.
    core : float32 array (N, Y, 6)
        Photons within `ClassifierShape.core_deg`.
    core_background : float32 array (N, 6)
        What background and neighbours of the fit put there in all years.
    """

    net: np.ndarray
    error: np.ndarray
    net_alone: np.ndarray
    error_alone: np.ndarray
    core: np.ndarray
    core_background: np.ndarray


def measure(
    layers: Sequence[LayerStamps],
    vectors: np.ndarray,
    neighbours: np.ndarray,
    shape: ClassifierShape,
) -> Photometry:
    """Photometry in stamps of one layer, or of several together.

    Parameters
    ----------
    layers : sequence of L LayerStamps
        Around the same candidates in the same years.
    vectors : array (N, 3)
        Where the stamps are centred.
    neighbours : array (M, 3)
        Positions of what may shine into a stamp; candidates themselves are among them.
    shape : ClassifierShape
        Sides of the stamps and radii of the apertures.
    """
    geometry = geometry_of(shape)
    offsets = neighbour_offsets_deg(vectors, neighbours)
    shares = exposure_shares(layers)
    number, n_years = layers[0].counts.shape[:2]
    net, core = np.zeros((2, number, n_years, N_BINS), np.float32)
    alone, error, error_alone, background = np.zeros((4, number, N_BINS), np.float32)
    fixed = 1 + _BACKGROUND * len(layers)
    for b in range(N_BINS):
        step = geometry.sides_deg[b] / geometry.pixels
        designs = [
            _Design(geometry.centres_deg(b), pixel_profile(b, step, layer.event_type))
            for layer in layers
        ]
        inside = np.tile(designs[0].inside(shape.core_deg[b]), len(layers))
        for first in range(0, number, _CHUNK):
            rows = slice(first, first + _CHUNK)
            counts = np.concatenate(
                [_by_pixel(layer.counts[rows, :, b]).astype(np.float32) for layer in layers], -1
            )
            seen = np.concatenate([_by_pixel(layer.covered[rows, b]) for layer in layers], -1)
            total = counts.sum(axis=1)
            matrix = _joint_matrix(designs, shares[:, rows, b], offsets[rows])
            weights, fitted = _solve(matrix, total, seen, fixed)
            net[rows, :, b] = np.einsum("nyp,np->ny", counts, weights)
            error[rows, b] = np.sqrt(np.einsum("np,np->n", fitted, weights**2))
            own = np.einsum("np,np->n", weights, total)[:, None] * matrix[..., 0]
            background[rows, b] = np.clip(fitted - own, 0.0, None) @ inside
            core[rows, :, b] = counts @ inside
            weights, fitted = _solve(matrix[..., :fixed], total, seen, fixed)
            alone[rows, b] = np.einsum("np,np->n", weights, total)
            error_alone[rows, b] = np.sqrt(np.einsum("np,np->n", fitted, weights**2))
    return Photometry(net, error, alone, error_alone, core, background)


def exposure_shares(layers: Sequence[LayerStamps]) -> np.ndarray:
    """Part (L, N, 6) that each layer has in the exposure of a bin; even where there is none."""
    exposure = np.stack([layer.exposure.sum(axis=1) for layer in layers])
    total = exposure.sum(axis=0)
    even = np.full(exposure.shape, 1.0 / len(layers))
    return np.divide(exposure, total, out=even, where=total > 0)


def psf_spread(layers: Sequence[LayerStamps]) -> np.ndarray:
    """How much wider the PSF is than that of FRONT photons, as a classifier is told it: (N, 6).

    Logarithm of the ratio of two radii, each that of the Gaussian PSF with which a faint source
    stands out as much above its background. Layers that are kept apart are sharper together than
    their sum: what counts is the mean over the layers of the integral of the PSF squared.
    """
    peaks = np.array([[_squared(b, layer.event_type) for b in range(N_BINS)] for layer in layers])
    front = np.array([_squared(b, "front") for b in range(N_BINS)])
    together = np.einsum("lnb,lb->nb", exposure_shares(layers), peaks)
    spread: np.ndarray = -0.5 * np.log(together / front)
    return spread


@lru_cache(maxsize=64)
def _squared(b: int, event_type: str) -> float:
    """Integral of the squared PSF over the plane, per sr."""
    angles, density = mixed_psf(load_instrument().parts(event_type), b)
    return float(np.trapezoid(2.0 * np.pi * angles * density**2, angles))


def neighbour_offsets_deg(vectors: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Offsets (N, K, 2), columns and rows in degrees, of the nearest neighbours.

    Those within 0.05 degrees are the candidate itself; places of the K that stay empty are NaN.
    """
    found = np.full((len(vectors), NEIGHBOURS, 2), np.nan)
    if not len(neighbours) or not len(vectors):
        return found
    wanted = min(NEIGHBOURS + 1, len(neighbours))
    chord, index = cKDTree(neighbours).query(vectors, k=wanted)
    chord, index = chord.reshape(len(vectors), -1), index.reshape(len(vectors), -1)
    for i, (lon, lat) in enumerate(zip(*vectors_to_lonlat(vectors), strict=True)):
        others = index[i][chord[i] > np.radians(0.05)][:NEIGHBOURS]
        axes = PatchFrame(lon, lat).axes
        local = neighbours[others] @ axes.T
        near = local[:, 2] > 0.95
        plane = np.degrees(local[:, :2] / np.where(near, local[:, 2], 1.0)[:, None])
        found[i, : len(others)] = np.where(near[:, None], plane, np.nan)
    return found


@lru_cache(maxsize=64)
def pixel_profile(b: int, pixel_deg: float, event_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Share of a source's photons in a pixel, against the distance of its centre in degrees."""
    angles, density = mixed_psf(load_instrument().parts(event_type), b)
    distance = np.concatenate([[0.0], np.geomspace(0.02, 8.0, 120)])
    inside = (np.arange(7) - 3.0) / 7.0 * pixel_deg
    # mean over the pixel, its sides along and across the way to the source
    far = np.hypot(distance[:, None, None] + inside[None, :, None], inside[None, None, :])
    mean = np.interp(np.radians(far), angles, density).mean(axis=(1, 2))
    return distance, mean * np.radians(pixel_deg) ** 2


class _Design:
    """Columns of the fit of one bin: candidate, background, its slopes, neighbours."""

    def __init__(self, centres: np.ndarray, profile: tuple[np.ndarray, np.ndarray]) -> None:
        columns, rows = np.meshgrid(centres, centres)
        self.places = np.stack([columns.ravel(), rows.ravel()], axis=-1)
        self._profile = profile
        half = max(float(np.abs(centres).max()), 1e-9)
        self._fixed = np.stack(
            [self.light(np.zeros(2)), np.ones(len(self.places)), *(self.places.T / half)], axis=-1
        )

    def light(self, offset: np.ndarray) -> np.ndarray:
        """Share of the photons of sources at offsets (..., 2) in each pixel (..., P)."""
        distance = np.linalg.norm(self.places - np.asarray(offset)[..., None, :], axis=-1)
        light = np.interp(distance, *self._profile)
        return np.where(np.isfinite(light), light, 0.0)

    def matrix(self, offsets: np.ndarray) -> np.ndarray:
        """(n, P, 4 + K) for offsets (n, K, 2); a column of zeros where an offset is NaN."""
        fixed = np.broadcast_to(self._fixed, (len(offsets), *self._fixed.shape))
        others = np.moveaxis(self.light(offsets), 1, 2)
        return np.concatenate([fixed, others], axis=2).astype(np.float64)

    def inside(self, radius_deg: float) -> np.ndarray:
        """One within a radius, else zero (P,)."""
        within = np.hypot(*self.places.T) <= radius_deg
        return within.astype(np.float32)


def _by_pixel(stamps: np.ndarray) -> np.ndarray:
    """Stamps (..., n, n) as (..., n n)."""
    return stamps.reshape(*stamps.shape[:-2], -1)


def _joint_matrix(
    designs: Sequence[_Design], shares: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Columns (n, L P, 1 + 3 L + K): candidate, the layers' backgrounds in turn, neighbours.

    The light of candidate and neighbours is parted among the layers by their `shares` (L, n).
    """
    blocks = []
    for number, (design, share) in enumerate(zip(designs, shares, strict=True)):
        own, background, others = np.split(design.matrix(offsets), [1, 1 + _BACKGROUND], axis=2)
        backgrounds = [np.zeros_like(background) for _ in designs]
        backgrounds[number] = background
        part = share[:, None, None]
        blocks.append(np.concatenate([own * part, *backgrounds, others * part], axis=2))
    return np.concatenate(blocks, axis=1)


def _solve(
    matrix: np.ndarray, total: np.ndarray, seen: np.ndarray, fixed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, P) that give the candidate's photons, and the fitted counts (n, P).

    Least squares weighted with the inverse of the expected counts: twice, the expectation being
    first the mean of the stamp in its layer and then the first fit. The columns after the `fixed`
    ones are neighbours.
    """
    seen = seen.astype(float)
    mean = np.maximum(_mean_by_layer(total, seen, (fixed - 1) // _BACKGROUND), _FLOOR)
    expected = mean
    weights = np.zeros(total.shape)
    for _ in range(2):
        scaled = matrix * (seen / expected)[..., None]
        normal = np.swapaxes(scaled, 1, 2) @ matrix
        size = np.einsum("nii->ni", normal)
        ridge = np.full(size.shape, _RIDGE)
        ridge[:, fixed:] = _NEIGHBOUR_RIDGE
        damped = normal + np.einsum(
            "ni,ij->nij", size * ridge + (size <= 0.0), np.eye(size.shape[1])
        )
        inverse = np.linalg.inv(damped)
        weights = np.einsum("nk,npk->np", inverse[:, 0], scaled)
        solution = np.einsum("nij,npj,np->ni", inverse, scaled, total)
        fitted = np.einsum("npi,ni->np", matrix, solution)
        expected = np.maximum(fitted, 0.1 * mean)
    return weights, expected * seen


def _mean_by_layer(total: np.ndarray, seen: np.ndarray, n_layers: int) -> np.ndarray:
    """Mean counts (n, P) of the pixels of each layer that were seen, at each of its pixels."""
    apart = len(total), n_layers, -1
    sums, numbers = (values.reshape(apart).sum(axis=2) for values in (total * seen, seen))
    return np.repeat(sums / np.maximum(numbers, 1.0), total.shape[1] // n_layers, axis=1)
