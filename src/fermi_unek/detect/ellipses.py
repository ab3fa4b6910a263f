"""Error ellipses on the sphere: from an information matrix to axes and angle, and distances."""

from __future__ import annotations

import numpy as np

from ..sky.geometry.frame import vectors_to_lonlat
from .centers import Centers


def tangent_axes(vectors: np.ndarray) -> np.ndarray:
    """East and north (2, N, 3), unit vectors of the Galactic frame, at N unit vectors (N, 3).

    At a pole east is that of the longitude that `vectors_to_lonlat` gives it.
    """
    lon = np.radians(vectors_to_lonlat(vectors)[0])
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros(len(lon))], axis=1)
    return np.stack([east, np.cross(vectors, east)])


def offsets_deg(axes: np.ndarray, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Offsets (N, 2) of places from unit vectors, both (N, 3), along axes (2, N, 3), degrees."""
    return np.degrees(np.einsum("anv,nv->na", axes, places - vectors))


def ellipses(information: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, elongation and angle of information matrices (N, 2, 2) along east and north.

    Parameters
    ----------
    information : array (N, 2, 2)
        Inverse of the covariance, per square degree; positive definite.

    Returns
    -------
    error_deg : array (N,)
        Geometric mean of the errors along the axes of the ellipse.
    elongation : array (N,)
        Semimajor over semiminor axis, 1 or more.
    angle_deg : array (N,)
        Of the semimajor axis from north through east, above -90 up to 90.
    """
    strength, directions = np.linalg.eigh(information)
    # the long axis is where there is least information
    east, north = directions[:, :, 0].T
    angle = np.degrees(np.arctan2(east, north))
    least, most = strength.T
    return (least * most) ** -0.25, np.sqrt(most / least), 90.0 - (90.0 - angle) % 180.0


def round_distance_deg(centers: Centers, places: np.ndarray) -> np.ndarray:
    """Distance (N,) of a place (N, 3) from each centre, its ellipse made a circle of its area.

    A place on the 68% ellipse is as far as the radius of the 68% circle.
    """
    axes = tangent_axes(centers.vectors)
    east, north = offsets_deg(axes, centers.vectors, places).T
    angle, stretch = np.radians(centers.angle_deg), np.sqrt(centers.elongation)
    along = east * np.sin(angle) + north * np.cos(angle)
    across = east * np.cos(angle) - north * np.sin(angle)
    return np.hypot(along / stretch, across * stretch)
