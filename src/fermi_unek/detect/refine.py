"""Positions from the photons themselves.

The network sees pixels of 0.08 degrees and coarser; the photons are kept finer than that. Around
each candidate the photons of an energy bin are a mixture of a flat background and of the PSF of
every candidate in reach, and expectation maximisation finds the most likely places and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import healpy as hp
import numpy as np
from scipy.interpolate import CubicSpline

from ..irf.instrument import containment_deg
from ..irf.observation import Observation, observations
from ..parallel import in_threads
from ..sky.counts import BinCounts, SkyCounts
from .centers import Centers
from .ellipses import ellipses, offsets_deg, tangent_axes
from .settings import RefineConfig

_ROUNDS = 10
_FASTER = 1.8  # steps of expectation maximisation are short; longer ones converge as surely
_CELL_ORDER = 8
_PROFILE_NODES = 4096
_SPLINE_NODES = 16
_LEAST_PER_DEG2 = 1e-3
_TINY = 1e-20
_LEAST_PEAK = 0.01


@dataclass(frozen=True)
class Refined:
    """What the photons around N candidates say.

    Attributes
    ----------
    vectors : array (N, 3)
        Most likely place, Galactic unit vector; the given one where no photon tells.
    information : array (N, 2, 2)
        Inverse covariance of that place along the `tangent_axes` of the given one, per square
        degree: how the likelihood of these photons bends, where it falls off. Zero where no
        photon tells.
    """

    vectors: np.ndarray
    information: np.ndarray

    @property
    def error_deg(self) -> np.ndarray:
        """Statistical error per axis (N,), geometric mean of both; inf where one is not told."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.linalg.det(self.information), 0.0) ** -0.25


def refine_centers(
    sky: SkyCounts,
    centers: Centers,
    observed: Sequence[Observation] = (),
    config: RefineConfig | None = None,
) -> Centers:
    """Centres moved towards the most likely places of their photons, with error ellipses.

    The two places, of the network and of the photons, are weighted with their information, which
    adds up to that of the centre: the network's is the same in all directions, that of the
    photons counts by `RefineConfig.photon_share`. Errors are then stretched by `doubt`.
    `observed`, one a layer of the sky, is by the shipped tables unless given.
    """
    config = config or RefineConfig()
    if not len(centers):
        return centers
    axes = tangent_axes(centers.vectors)
    photons = most_likely_places(sky, centers.vectors, observed, config)
    likely = config.photon_share * photons.information
    total = likely + centers.error_deg[:, None, None] ** -2.0 * np.eye(2)
    place = offsets_deg(axes, centers.vectors, photons.vectors)[:, :, None]
    error, elongation, angle = ellipses(total)
    return replace(
        centers,
        vectors=_moved(centers.vectors, axes, np.linalg.solve(total, likely @ place)[:, :, 0].T),
        error_deg=error * np.maximum(centers.peak, _LEAST_PEAK) ** -config.doubt,
        elongation=elongation,
        angle_deg=angle,
    )


def most_likely_places(
    sky: SkyCounts,
    vectors: np.ndarray,
    observed: Sequence[Observation] = (),
    config: RefineConfig | None = None,
) -> Refined:
    """Places of candidates that make the photons around them most likely.

    Parameters
    ----------
    sky : SkyCounts
    vectors : array (N, 3)
        Galactic unit vectors of all candidates, to within a tenth of a degree or so. They share
        the photons where they are near each other.
    observed : sequence of Observation
        Of each layer of the sky; the shipped tables unless given.
    config : RefineConfig, optional
    """
    config = config or RefineConfig()
    axes = tangent_axes(vectors)
    told = [
        (counts, seen.psf(b))
        for layer, seen in zip(sky.layers or (sky,), observed or observations(sky), strict=True)
        for b, counts in enumerate(layer.bins)
        if counts is not None and containment_deg(*seen.psf(b)) < config.widest_deg
    ]
    bins = in_threads(lambda one: _Bin(one[0], vectors, axes, config.margin_deg, one[1]), told)
    place = np.zeros((2, len(vectors)))
    for _ in range(_ROUNDS):
        weight, shift = np.zeros(len(vectors)), np.zeros_like(place)
        steps = in_threads(partial(_Bin.maximise, place=place), bins)
        for energy_bin, (own_weight, own_shift) in zip(bins, steps, strict=True):
            trust = energy_bin.trust(config.background_error)
            weight += trust * own_weight
            shift += trust * own_shift
        place = place + _FASTER * shift / np.maximum(weight, 1e-9)
    bent = np.zeros((len(vectors), 2, 2))
    for energy_bin in bins:
        trust = energy_bin.trust(config.background_error)
        bent += trust[:, None, None] * energy_bin.information(place)
    strength, directions = np.linalg.eigh(bent)
    # where the likelihood does not fall off nothing is told
    strength = np.maximum(strength, 0.0)
    information = (directions * strength[:, None]) @ directions.transpose(0, 2, 1)
    fixed = strength.any(axis=1)
    return Refined(_moved(vectors, axes, np.where(fixed, place, 0.0)), information)


def _moved(vectors: np.ndarray, axes: np.ndarray, place_deg: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 3) moved by offsets (2, N) along axes (2, N, 3)."""
    moved = vectors + (np.radians(place_deg)[..., None] * axes).sum(axis=0)
    unit: np.ndarray = moved / np.linalg.norm(moved, axis=1)[:, None]
    return unit


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
        margin_deg: float,
        profile: tuple[np.ndarray, np.ndarray],
    ) -> None:
        radius_deg = containment_deg(*profile) + margin_deg
        self.n = len(vectors)
        self.area_deg2 = np.pi * radius_deg**2
        self._set_profile(*profile, radius_deg)
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
        self.background = (0.8 * total / self.area_deg2 + _LEAST_PER_DEG2).astype(np.float32)

    def _set_profile(self, angles: np.ndarray, density: np.ndarray, radius_deg: float) -> None:
        """Density per square degree, its pull, -2 dln(density)/d(r^2), and d(pull)/d(r^2).

        All against r^2. A King function is nearly straight in the logarithms of density and
        of r^2 and a core squared, so few nodes smooth out those of the tables.
        """
        self.step = (2.0 * radius_deg) ** 2 / _PROFILE_NODES
        squared = (np.arange(_PROFILE_NODES) + 0.5) * self.step
        density = density * np.radians(1.0) ** 2
        core = np.degrees(np.interp(-0.5 * density[0], -density, angles)) ** 2
        nodes = np.geomspace(core, core + (2.0 * radius_deg) ** 2, _SPLINE_NODES)
        at_nodes = np.interp(np.radians(np.sqrt(np.maximum(nodes - core, 0))), angles, density)
        curve = CubicSpline(np.log(nodes), np.log(at_nodes))
        shifted = squared + core
        density = np.exp(curve(np.log(shifted)))
        slope, bend = (curve(np.log(shifted), order) for order in (1, 2))
        self.density = density.astype(np.float32)
        self.pull = (-2.0 * slope / shifted).astype(np.float32)
        self.bend = (-2.0 * (bend - slope) / shifted**2).astype(np.float32)
        # as much background comes into a fit of a source's number
        self.psf_deg2 = float(1.0 / ((density**2).sum() * self.step * np.pi))
        self.share = float(density[squared < radius_deg**2].sum() * self.step * np.pi)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.candidate, values, minlength=self.n)

    def _mixture(self, place: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each entry: offset from the candidate, place in the profile, shares of the two."""
        near = place.astype(np.float32)[:, self.candidate]
        dx, dy = self.x - near[0], self.y - near[1]
        index = np.minimum((dx * dx + dy * dy) / self.step, _PROFILE_NODES - 1).astype(np.int32)
        light = self.source[self.candidate] * self.density[index]
        background = self.background[self.candidate]
        of_all = np.bincount(self.pixel, light, minlength=self.n_pixels).astype(np.float32)
        total = background + of_all[self.pixel]
        return dx, dy, index, light / total, background / total

    def maximise(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Better numbers, kept; weight (N,) and weighted shift (2, N) towards a better place."""
        dx, dy, index, of_source, of_background = self._mixture(place)
        mine = self.photons * of_source
        source = self._sum(mine) / self.share
        background = self._sum(self.photons * of_background) / self.area_deg2
        self.source = _stretched(self.source, source)
        self.background = np.maximum(
            _stretched(self.background, background), np.float32(_LEAST_PER_DEG2)
        )
        weight = mine * self.pull[index]
        return self._sum(weight), np.stack([self._sum(weight * dx), self._sum(weight * dy)])

    def trust(self, background_error: float) -> np.ndarray:
        """Weight of the photons (N,): variance of the background by number alone over all of it."""
        weight: np.ndarray = 1.0 / (1.0 + background_error**2 * self.background * self.psf_deg2)
        return weight

    def information(self, place: np.ndarray) -> np.ndarray:
        """Second derivatives (N, 2, 2) of minus the log likelihood of the photons in the place.

        They are those of the photons that came. The mean square of the slopes estimates the
        same, but it would call a place better known in the direction in which few photons happen
        to be scattered widely.
        """
        dx, dy, index, of_source, _ = self._mixture(place)
        pull = self.pull[index]
        mine = self.photons * of_source
        even = self._sum(mine * pull)
        # twice the bend of one source, less the slope squared of what may be another's
        uneven = mine * (2.0 * self.bend[index] - (1.0 - of_source) * pull**2)
        crossed = self._sum(uneven * dx * dy)
        rows = [[even + self._sum(uneven * dx * dx), crossed],
                [crossed, even + self._sum(uneven * dy * dy)]]  # fmt: skip
        return np.moveaxis(np.array(rows), -1, 0)


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
