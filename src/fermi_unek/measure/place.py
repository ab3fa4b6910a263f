"""The place of a source, and its error ellipse.

Newton's steps in place and flux, all else held. The second derivatives are the products of first
ones, as in the joint fit: those of an image of interpolated profiles are noise.
"""

from __future__ import annotations

import numpy as np

from ..catalog import equatorial_position_angle
from ..catalog.build import RATIO_95_TO_68
from ..sky.geometry.frame import vectors_to_lonlat
from .extent import RADIUS_68
from .model import RegionModel
from .source import POSITION_SLACK_DEG, SourceLikelihood
from .state import SourceState

TS_LOCALISE = 16.0
"""A fainter candidate keeps its position."""

Ellipse = tuple[float, float, float]
"""68% semimajor and semiminor axis, position angle from celestial north, degrees."""

# of simulated fields (studies/measured_rows.py, seeds 2 to 4): 95% of true places inside
_UNLISTED_TS, _LISTED_TS = 10.0, 25.0
_STEPS, _HALVINGS = 20, 6
_CONVERGED_SIGMA = 0.05
_DIFFERENCE_DEG = 0.01


def localise(
    model: RegionModel, number: int, expected: np.ndarray
) -> tuple[SourceState, Ellipse | None]:
    """Best position of a source with its flux free, and its error ellipse.

    The ellipse is None, and the position as it was, where the fit ends further off than
    `POSITION_SLACK_DEG`, or knows the place no better than that.
    """
    state = model.states[number]
    source = SourceLikelihood(model, number, expected=expected, moving=True)
    light = _LightAround(source, state)
    place, covariance = _best(source, light)
    variances = np.linalg.eigvalsh(covariance)
    if (
        not 0.0 < variances[0] <= variances[1] < POSITION_SLACK_DEG**2
        or np.hypot(*place[:2]) > POSITION_SLACK_DEG
    ):
        return state, None
    lon, lat = (float(angle) for angle in vectors_to_lonlat(light.vector(place)))
    moved = state.changed(lon_deg=lon, lat_deg=lat, amplitude=state.amplitude * float(place[2]))
    return moved, _ellipse(covariance, lon, lat)


def widened(
    ellipse: Ellipse, photons: np.ndarray, alone: np.ndarray, information: np.ndarray
) -> Ellipse:
    """An ellipse of the noise of photons, as large as neighbours and unlisted sources make it.

    Their light is uneven on the scale of the PSF, to which a place is less sensitive than a flux:
    of a Gaussian PSF, what is added to the variance by half as much.

    Parameters
    ----------
    ellipse : Ellipse
    photons : array (C,)
        Of the source.
    alone : array (C,)
        What is known of them, all else held.
    information : array (C, C)
        The same with all that may be wrong; see `RegionModel.information`.
    """
    more = (alone @ photons**2) / max(float(photons @ information @ photons), 1e-300)
    scale = float(np.sqrt(0.5 * (1.0 + max(more, 1.0))))
    return ellipse[0] * scale, ellipse[1] * scale, ellipse[2]


def ratio_95(ts: float) -> float:
    """95% axes over 68% ones of a source of some TS in a list.

    What is wrong of a Gaussian's tail comes of sources that are too faint to be listed: one that is
    close by moves a bright source little, and a faint one far.
    """
    return RATIO_95_TO_68 * (1.0 + _UNLISTED_TS / max(ts, _LISTED_TS))


class _LightAround:
    """Photons of a source in the pixels around it, moved to the east and north of its place."""

    def __init__(self, source: SourceLikelihood, state: SourceState) -> None:
        lon = np.radians(state.lon_deg)
        self._here = state.vector
        self._east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        self._north = np.cross(self._here, self._east)
        self._source, self._profiles = source, source.profiles()
        photons = source.photons()
        self._photons = photons[source.channel]
        self._cost = float(photons @ source.cost)
        sides = np.array([self._east, self._north])
        self._cost_slopes = source.cost_slopes(sides, self._profiles) @ photons

    def vector(self, place: np.ndarray) -> np.ndarray:
        """Galactic unit vector (3,) so many degrees east and north."""
        east, north = np.radians(place[:2])
        moved = self._here + east * self._east + north * self._north
        return np.asarray(moved / np.linalg.norm(moved))

    def __call__(self, place: np.ndarray) -> np.ndarray:
        """Photons (n,) at degrees east and north, times a factor: place is (3,)."""
        image = self._source.image_at(self.vector(place), self._profiles)
        return np.asarray(place[2] * self._photons * image)

    def cost(self, place: np.ndarray) -> float:
        """Photons that are expected inside of the data, less what faint pixels make up for."""
        return float(place[2] * (self._cost + self._cost_slopes @ place[:2]))

    def cost_slopes(self, place: np.ndarray) -> np.ndarray:
        """Change (3,) of the cost with each part of a place."""
        return np.array([*(place[2] * self._cost_slopes), self.cost(place) / place[2]])

    def slopes(self, place: np.ndarray) -> np.ndarray:
        """Change (3, n) of the photons with each part of a place."""
        sides = _DIFFERENCE_DEG * np.eye(3)[:2]
        moved = [
            (self(place + side) - self(place - side)) / (2 * _DIFFERENCE_DEG) for side in sides
        ]
        return np.array([*moved, self(place) / place[2]])


def _best(source: SourceLikelihood, light: _LightAround) -> tuple[np.ndarray, np.ndarray]:
    """Degrees east and north and factor of the flux (3,); covariance (2, 2) of the first two."""

    def gain(place: np.ndarray) -> float:
        """Logarithm of the likelihood, up to a constant."""
        return float(source.counts @ np.log(source.others + light(place))) - light.cost(place)

    place = np.array([0.0, 0.0, 1.0])
    value = gain(place)
    for _ in range(_STEPS):
        slopes = light.slopes(place)
        ratio = source.counts / (source.others + light(place))
        information = (slopes * ratio**2 / np.maximum(source.counts, 1.0)) @ slopes.T
        covariance = np.linalg.pinv(information)
        step = covariance @ (slopes @ ratio - light.cost_slopes(place))
        step[:2] *= min(1.0, 0.5 * POSITION_SLACK_DEG / max(np.hypot(*step[:2]), 1e-12))
        for _ in range(_HALVINGS):
            new = place + step
            if new[2] > 0.1 * place[2] and gain(new) > value:
                break
            step = 0.5 * step
        else:
            break
        place, value = new, gain(new)
        lost = np.hypot(*place[:2]) > POSITION_SLACK_DEG
        if lost or np.all(np.abs(step) < _CONVERGED_SIGMA * np.sqrt(np.diag(covariance))):
            break
    return place, covariance[:2, :2]


def _ellipse(covariance: np.ndarray, lon: float, lat: float) -> Ellipse:
    variances, axes = np.linalg.eigh(covariance)
    minor, major = RADIUS_68 * np.sqrt(variances)
    east, north = axes[:, 1]
    angle = equatorial_position_angle(
        np.array([lon]), np.array([lat]), np.degrees(np.arctan2([east], [north]))
    )
    return float(major), float(minor), float(angle[0])
