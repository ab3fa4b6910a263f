"""Fluxes of candidates out of their stamps: least squares with the PSF, neighbours and background.

In each energy bin the counts of a stamp, summed over the years, are fitted with the PSF at the
candidate, the PSF at each near candidate, and a background that may slope. The solution is linear
in the counts, so that its weights serve every year alike: the same sum over the pixels of a year
is the flux of that year.
"""

from __future__ import annotations

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

_FIXED = 4  # columns of the fit that are always there
_RIDGE = 1e-6
_CHUNK = 256
_FLOOR = 0.02  # photons a pixel below which the background of a stamp is not believed
_NEIGHBOUR_RIDGE = 0.05  # pulls a neighbour too close to be told apart to nothing


@dataclass(frozen=True)
class Photometry:
    """Counts of N candidates in Y years and six bins; zero where a bin is absent.

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
    stamps: np.ndarray,
    covered: np.ndarray,
    vectors: np.ndarray,
    neighbours: np.ndarray,
    event_type: str,
    shape: ClassifierShape,
) -> Photometry:
    """Photometry in stamps.

    Parameters
    ----------
    stamps : array (N, Y, 6, n, n)
        As `cut_stamps` returns it.
    covered : bool array (N, 6, n, n)
        As `coverage_of` returns it.
    vectors : array (N, 3)
        Where the stamps are centred.
    neighbours : array (M, 3)
        Positions of what may shine into a stamp; candidates themselves are among them.
    event_type : str
        Whose PSF.
    shape : ClassifierShape
        Sides of the stamps and radii of the apertures.
    """
    geometry = geometry_of(shape)
    offsets = neighbour_offsets_deg(vectors, neighbours)
    net, core = np.zeros((2, *stamps.shape[:3]), np.float32)
    alone, error, error_alone, background = (
        np.zeros((len(stamps), N_BINS), np.float32) for _ in range(4)
    )
    for b in range(N_BINS):
        profile = pixel_profile(b, geometry.sides_deg[b] / geometry.pixels, event_type)
        design = _Design(geometry.centres_deg(b), profile)
        for first in range(0, len(stamps), _CHUNK):
            rows = slice(first, first + _CHUNK)
            counts = (
                stamps[rows, :, b]
                .reshape(len(stamps[rows]), stamps.shape[1], -1)
                .astype(np.float32)
            )
            seen = covered[rows, b].reshape(len(counts), -1)
            total = counts.sum(axis=1)
            matrix = design.matrix(offsets[rows])
            weights, fitted = _solve(matrix, total, seen)
            net[rows, :, b] = np.einsum("nyp,np->ny", counts, weights)
            error[rows, b] = np.sqrt(np.einsum("np,np->n", fitted, weights**2))
            own = np.einsum("np,np->n", weights, total)[:, None] * matrix[..., 0]
            inside = design.inside(shape.core_deg[b])
            background[rows, b] = np.clip(fitted - own, 0.0, None) @ inside
            core[rows, :, b] = counts @ inside
            weights, fitted = _solve(matrix[..., :_FIXED], total, seen)
            alone[rows, b] = np.einsum("np,np->n", weights, total)
            error_alone[rows, b] = np.sqrt(np.einsum("np,np->n", fitted, weights**2))
    return Photometry(net, error, alone, error_alone, core, background)


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


def _solve(
    matrix: np.ndarray, total: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, P) that give the candidate's photons, and the fitted counts (n, P).

    Least squares weighted with the inverse of the expected counts: twice, the expectation being
    first the mean of the stamp and then the first fit.
    """
    seen = seen.astype(float)
    mean = (total * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1.0)
    expected = np.broadcast_to(np.maximum(mean, _FLOOR)[:, None], total.shape)
    weights = np.zeros(total.shape)
    for _ in range(2):
        scaled = matrix * (seen / expected)[..., None]
        normal = np.swapaxes(scaled, 1, 2) @ matrix
        size = np.einsum("nii->ni", normal)
        ridge = np.full(size.shape, _RIDGE)
        ridge[:, _FIXED:] = _NEIGHBOUR_RIDGE
        damped = normal + np.einsum(
            "ni,ij->nij", size * ridge + (size <= 0.0), np.eye(size.shape[1])
        )
        inverse = np.linalg.inv(damped)
        weights = np.einsum("nk,npk->np", inverse[:, 0], scaled)
        solution = np.einsum("nij,npj,np->ni", inverse, scaled, total)
        fitted = np.einsum("npi,ni->np", matrix, solution)
        expected = np.maximum(fitted, 0.1 * np.maximum(mean, _FLOOR)[:, None])
    return weights, expected * seen
