"""Positions from the photons themselves.

The network sees pixels of 0.08 degrees and coarser; the photons are kept finer than that. Around
each candidate the photons of an energy bin are a mixture of a flat background and of the PSF of
every candidate in reach, and expectation maximisation finds the most likely places and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import healpy as hp
import numpy as np

from ..simulate.instrument import ResponseTables, load_instrument
from ..simulate.skymodel import mean_psf
from ..sky.counts import BinCounts, SkyCounts
from .centers import Centers

RADIUS_DEG = (0.0, 0.0, 0.6, 0.5, 0.3, 0.25)
"""Radius around a candidate inside which photons count; bins of 0 say too little of its place."""

_ROUNDS = 10
_FASTER = 1.8  # steps of expectation maximisation are short; longer ones converge as surely
_CELL_ORDER = 8
_PROFILE_NODES = 4096
_LEAST_PER_DEG2 = 1e-3
_TINY = 1e-20


@dataclass(frozen=True)
class Refined:
    """What the photons around N candidates say.

    Attributes
    ----------
    vectors : array (N, 3)
        Most likely place, Galactic unit vector; the given one where no photon tells.
    error_deg : array (N,)
        Statistical error of that place per axis; inf where no photon tells.
    """

    vectors: np.ndarray
    error_deg: np.ndarray


def refine_centers(sky: SkyCounts, centers: Centers) -> Centers:
    """Centres moved towards the most likely places of their photons.

    The two places, of the network and of the photons, are weighted with the inverse squares of
    their errors, which is also how the errors are combined.
    """
    if not len(centers):
        return centers
    photons = most_likely_places(sky, centers.vectors)
    network, likely = centers.error_deg**-2.0, photons.error_deg**-2.0
    share = (likely / (network + likely))[:, None]
    moved = (1.0 - share) * centers.vectors + share * photons.vectors
    return replace(
        centers,
        vectors=moved / np.linalg.norm(moved, axis=1)[:, None],
        error_deg=(network + likely) ** -0.5,
    )


def most_likely_places(sky: SkyCounts, vectors: np.ndarray) -> Refined:
    """Places of candidates that make the photons around them most likely.

    Parameters
    ----------
    sky : SkyCounts
    vectors : array (N, 3)
        Galactic unit vectors of all candidates, to within a tenth of a degree or so. They share
        the photons where they are near each other.
    """
    axes = tangent_axes(vectors)
    responses = load_instrument().parts(sky.event_type)
    bins = [
        _Bin(one, vectors, axes, radius, responses, b)
        for b, (one, radius) in enumerate(zip(sky.bins, RADIUS_DEG, strict=True))
        if one is not None and radius > 0
    ]
    place = np.zeros((2, len(vectors)))
    for _ in range(_ROUNDS):
        weight, shift = np.zeros(len(vectors)), np.zeros_like(place)
        for one in bins:
            own_weight, own_shift = one.maximise(place)
            weight += own_weight
            shift += own_shift
        place += _FASTER * shift / np.maximum(weight, 1e-9)
    information = sum((one.information(place) for one in bins), np.zeros(len(vectors)))
    told = information > 0
    angle = np.radians(np.where(told, place, 0.0))[..., None]
    moved = vectors + angle[0] * axes[0] + angle[1] * axes[1]
    error = np.full(len(vectors), np.inf)
    error[told] = information[told] ** -0.5
    return Refined(moved / np.linalg.norm(moved, axis=1)[:, None], error)


class _Bin:
    """Photons of one energy bin around all candidates, and the current mixture.

    Entries are pairs of a candidate and an occupied pixel within the radius, at x and y degrees
    from where the candidate was at first.
    """

    def __init__(
        self,
        counts: BinCounts,
        vectors: np.ndarray,
        axes: np.ndarray,
        radius_deg: float,
        responses: Sequence[ResponseTables],
        b: int,
    ) -> None:
        self.n = len(vectors)
        self.area_deg2 = np.pi * radius_deg**2
        self._set_profile(responses, b, radius_deg)
        candidate, index = near_pixels(counts, vectors, radius_deg)
        pixels, place = np.unique(index, return_inverse=True)
        centre = np.stack(
            hp.pix2vec(2**counts.order, counts.pixels[pixels].astype(np.int64), nest=True), axis=-1
        ).astype(np.float32)
        # differences of near places keep single precision exact
        away = centre[place] - vectors[candidate].astype(np.float32)
        x, y = (np.degrees((away * axis[candidate]).sum(axis=1)) for axis in axes)
        inside = x * x + y * y < radius_deg**2
        self.candidate, self.pixel = candidate[inside], place[inside]
        self.x, self.y = x[inside], y[inside]
        self.photons = counts.counts[pixels][self.pixel].astype(np.float32)
        self.n_pixels = len(pixels)
        total = self._sum(self.photons)
        self.source = (0.2 * total + 0.1).astype(np.float32)
        self.ground = (0.8 * total / self.area_deg2 + _LEAST_PER_DEG2).astype(np.float32)

    def _set_profile(self, responses: Sequence[ResponseTables], b: int, radius_deg: float) -> None:
        """Density per square degree and its pull, -2 dln(density)/d(r^2), over r^2."""
        self.step = (2.0 * radius_deg) ** 2 / _PROFILE_NODES
        squared = (np.arange(_PROFILE_NODES) + 0.5) * self.step
        weights = [response.exposure_per_year.mean() for response in responses]
        profiles = [mean_psf(response, b) for response in responses]
        angle = np.radians(np.sqrt(squared))
        density = np.average([np.interp(angle, *p) for p in profiles], axis=0, weights=weights)
        density *= np.radians(1.0) ** 2
        self.density = density.astype(np.float32)
        pull = np.maximum(-2.0 * np.gradient(np.log(density), self.step), 0.0)
        self.pull = pull.astype(np.float32)
        self.share = float(density[squared < radius_deg**2].sum() * self.step * np.pi)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.candidate, values, minlength=self.n)

    def _mixture(self, place: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each entry: offset from the candidate, pull, share of source and of background."""
        near = place.astype(np.float32)[:, self.candidate]
        dx, dy = self.x - near[0], self.y - near[1]
        index = np.minimum((dx * dx + dy * dy) / self.step, _PROFILE_NODES - 1).astype(np.int32)
        light = self.source[self.candidate] * self.density[index]
        ground = self.ground[self.candidate]
        of_all = np.bincount(self.pixel, light, minlength=self.n_pixels).astype(np.float32)
        total = ground + of_all[self.pixel]
        return dx, dy, self.pull[index], light / total, ground / total

    def maximise(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Better numbers, kept; weight (N,) and weighted shift (2, N) towards a better place."""
        dx, dy, pull, of_source, of_ground = self._mixture(place)
        mine = self.photons * of_source
        source = self._sum(mine) / self.share
        ground = self._sum(self.photons * of_ground) / self.area_deg2
        self.source = _stretched(self.source, source)
        self.ground = np.maximum(_stretched(self.ground, ground), np.float32(_LEAST_PER_DEG2))
        weight = mine * pull
        return self._sum(weight), np.stack([self._sum(weight * dx), self._sum(weight * dy)])

    def information(self, place: np.ndarray) -> np.ndarray:
        """Inverse square of the error per axis (N,): mean square of the slope of the likelihood."""
        dx, dy, pull, of_source, _ = self._mixture(place)
        return self._sum(self.photons * (of_source * pull) ** 2 * (dx * dx + dy * dy) / 2.0)


def _stretched(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The step from old to new numbers, all above zero, lengthened."""
    ratio = new / np.maximum(old, _TINY)
    stretched: np.ndarray = (old * ratio**_FASTER).astype(np.float32)
    return stretched


def near_pixels(
    counts: BinCounts, vectors: np.ndarray, radius_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a candidate (row of `vectors`) and an occupied pixel (place in the list).

    All pixels within the radius of each candidate, and some beyond.
    """
    radius = np.radians(radius_deg)
    cells = [
        hp.query_disc(2**_CELL_ORDER, v, radius, inclusive=True, fact=4, nest=True) for v in vectors
    ]
    owner = np.repeat(np.arange(len(cells)), [len(c) for c in cells])
    cell = np.concatenate([np.zeros(0, np.int64), *cells])
    shift = 2 * (counts.order - _CELL_ORDER)
    start, stop = (
        np.searchsorted(counts.pixels, (edge << shift).astype(np.uint32))
        for edge in (cell, cell + 1)
    )
    length = stop - start
    index = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - start, length)
    return np.repeat(owner, length), index


def tangent_axes(vectors: np.ndarray) -> np.ndarray:
    """Two unit vectors (2, N, 3) at right angles to each of N unit vectors and to each other."""
    pole = np.where(np.abs(vectors[:, 2:]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    first = np.cross(pole, vectors)
    first /= np.linalg.norm(first, axis=1)[:, None]
    return np.stack([first, np.cross(vectors, first)])
