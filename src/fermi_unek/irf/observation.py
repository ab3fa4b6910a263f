"""`Observation`: what the photons of one layer were seen through."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ..sky.bins import N_BINS
from ..sky.counts import SkyCounts
from .instrument import Instrument, ResponseTables, load_instrument, mixed_psf

_PER_SIDE = 9
_DIRECTIONS = np.radians([0.0, 15.0, 30.0, 45.0])


@dataclass(frozen=True)
class Observation:
    """Response and pixels of the photons of one layer of a sky.

    Attributes
    ----------
    event_type : str
        One of `EVENT_TYPES`.
    parts : tuple of ResponseTables
        Of the event types that were added up.
    pixels_deg : tuple of six float
        Side of the pixels in which the photons of each energy bin were counted; 0 for photons.
    """

    event_type: str
    parts: tuple[ResponseTables, ...]
    pixels_deg: tuple[float, ...] = (0.0,) * N_BINS
    _psf: dict[int, tuple[np.ndarray, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def psf(self, b: int) -> tuple[np.ndarray, np.ndarray]:
        """PSF of energy bin `b` through the pixels: angles in rad, density per sr."""
        if b not in self._psf:
            angles, density = mixed_psf(self.parts, b)
            self._psf[b] = angles, through_pixels(angles, density, self.pixels_deg[b])
        return self._psf[b]


def observations(sky: SkyCounts, instrument: Instrument | None = None) -> tuple[Observation, ...]:
    """What each layer of a sky was seen through, the sharper first; of one layer where it has none.

    Parameters
    ----------
    sky : SkyCounts
    instrument : Instrument, optional
        The shipped tables unless given.
    """

    def seen(layer: SkyCounts) -> Observation:
        pixels_deg = tuple(pixels.side_deg for pixels in layer.counted_in)
        if instrument is None:
            return shipped_observation(layer.event_type, pixels_deg)
        return Observation(layer.event_type, instrument.parts(layer.event_type), pixels_deg)

    return tuple(seen(layer) for layer in sky.layers or (sky,))


def through_pixels(angles_rad: np.ndarray, density: np.ndarray, side_deg: float) -> np.ndarray:
    """A radial profile as seen when photons get a random place in the square pixel they fell into.

    A photon then moves by the difference of two places in the pixel, in each axis.

    Parameters
    ----------
    angles_rad, density : arrays (A,)
    side_deg : float
        Side of the pixels; 0 leaves the profile.

    Returns
    -------
    array (A,)
        Mean over the directions in which the pixels may lie.
    """
    if side_deg <= 0:
        return density
    step = np.radians(side_deg) * np.arange(1 - _PER_SIDE, _PER_SIDE) / _PER_SIDE
    weight = _PER_SIDE - np.abs(np.arange(1 - _PER_SIDE, _PER_SIDE))
    total = np.zeros_like(density)
    for direction in _DIRECTIONS:
        x = angles_rad[:, None, None] * np.cos(direction) + step[:, None]
        y = angles_rad[:, None, None] * np.sin(direction) + step
        seen = np.interp(np.hypot(x, y), angles_rad, density, right=0.0)
        total += np.einsum("aij,i,j->a", seen, weight, weight)
    return total / (_DIRECTIONS.size * weight.sum() ** 2)


@lru_cache(maxsize=32)
def shipped_observation(
    event_type: str, pixels_deg: tuple[float, ...] = (0.0,) * N_BINS
) -> Observation:
    """An event type seen through the shipped tables."""
    return Observation(event_type, load_instrument().parts(event_type), pixels_deg)
