"""Disks and Gaussians seen through the PSF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import i0e

from ..irf.instrument import PROFILE_DEG

Form = Literal["Disk", "2D Gaussian"]
"""Shapes, by 4FGL's names in Model_Form."""

FORMS: tuple[Form, ...] = get_args(Form)

TS_EXTENDED = 16.0
"""From which a source is extended, as in 4FGL."""

LARGEST_DEG = 2.0
"""Largest radius that is looked at."""

RADIUS_68 = float(np.sqrt(-2.0 * np.log(0.32)))
"""Radius that holds 68% of a two-dimensional Gaussian, in sigma."""

REACH_RADII = 10.0
"""Further out a profile is as that of a point."""

_ANGLE_STEP = 4  # of the nodes of a profile
_SMALL_DEG = 0.2  # below it all nodes are rings, above every second one
_LEVEL = 0.1  # of the radius, where a disk is as bright as in the middle
_GAUSSIAN_RADII = 3.5  # that hold all of it


@dataclass(frozen=True)
class Extent:
    """A round source that is no point.

    Attributes
    ----------
    form : Form
    radius_deg : float
        Of a disk of even brightness, or that holds 68% of a Gaussian; above zero.
    """

    form: Form
    radius_deg: float

    def spread(self, profiles: np.ndarray) -> np.ndarray:
        """Profiles (C, 2048) per sr of such a source, from those of a point."""
        step = 1 if self.radius_deg < _SMALL_DEG else 2
        near = int(np.searchsorted(PROFILE_DEG, REACH_RADII * self.radius_deg))
        beyond = (REACH_RADII + _GAUSSIAN_RADII) * self.radius_deg
        last = int(np.searchsorted(PROFILE_DEG, beyond)) + step
        nodes = np.radians(PROFILE_DEG[:last:step])
        density = profiles[:, :last:step] * (2.0 * np.pi * np.sin(nodes))
        rings = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(nodes)
        at = np.arange(0, near + _ANGLE_STEP, _ANGLE_STEP)
        angles = np.radians(PROFILE_DEG[at])
        found = rings @ self._on_circles(angles, 0.5 * (nodes[1:] + nodes[:-1])).T
        result = profiles.copy()
        for row, values in zip(result, found, strict=True):
            row[:near] = np.interp(np.arange(near), at, values)
        return result

    def _on_circles(self, angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Mean brightness per sr (A, R) on circles around points at some angles (A,) from it."""
        angles, radii = angles[:, None], radii[None, :]
        size = np.radians(self.radius_deg)
        if self.form == "Disk":
            # closer to the middle a disk's edge would fall between two circles
            angles = np.maximum(angles, _LEVEL * size)
            across = np.sin(radii) * np.sin(angles)
            cosine = (np.cos(size) - np.cos(radii) * np.cos(angles)) / across
            inside = np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi
            return np.asarray(inside / (2.0 * np.pi * (1.0 - np.cos(size))))
        variance = (size / RADIUS_68) ** 2
        falling = np.exp(-0.5 * (angles - radii) ** 2 / variance) / (2.0 * np.pi * variance)
        return np.asarray(falling * i0e(angles * radii / variance))


@dataclass(frozen=True)
class ExtensionFit:
    """Best radius of one shape.

    Attributes
    ----------
    extent : Extent or None
        None where a point is best.
    lower, upper : float
        1 sigma errors of the radius, degrees, both positive.
    upper_limit : float
        95%, degrees; at most `LARGEST_DEG`.
    ts : float
        Twice the gain in log-likelihood over a point.
    """

    extent: Extent | None
    lower: float
    upper: float
    upper_limit: float
    ts: float


Extension = dict[Form, ExtensionFit]
"""Of each shape."""


def better(extension: Extension) -> Form:
    """The shape of the higher TS."""
    return max(FORMS, key=lambda form: extension[form].ts)
