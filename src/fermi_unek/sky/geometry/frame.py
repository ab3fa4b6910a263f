"""The tangent plane of one patch: where its pixels lie on the sky and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS

from ..bins import PATCH_DEG


@dataclass(frozen=True)
class PatchFrame:
    """A 10 x 10 degree gnomonic (TAN) square on the sky.

    Columns grow towards smaller Galactic longitude (east is left), rows towards larger
    latitude, both turned by `rotation_deg`. Pixel centres are integers: with `n` pixels a
    side the tangent point lies at ((n - 1) / 2, (n - 1) / 2).

    Attributes
    ----------
    lon_deg, lat_deg : float
        Tangent point, Galactic degrees.
    rotation_deg : float
        Angle from Galactic north to the direction of growing rows, counted through east
        (growing longitude).
    """

    lon_deg: float
    lat_deg: float
    rotation_deg: float = 0.0

    @cached_property
    def axes(self) -> np.ndarray:
        """Unit vectors (3, 3): growing column, growing row, tangent point."""
        lon, lat, rot = np.radians([self.lon_deg, self.lat_deg, self.rotation_deg])
        centre = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        north = np.cross(centre, east)
        row = north * np.cos(rot) + east * np.sin(rot)
        column = -east * np.cos(rot) + north * np.sin(rot)
        return np.stack([column, row, centre])

    def project(self, vectors: np.ndarray, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates of unit vectors.

        Parameters
        ----------
        vectors : array (N, 3)
            Galactic unit vectors.
        n_pixels : int
            Pixels along the side of the patch.

        Returns
        -------
        x, y : arrays (N,)
            Column and row, pixel centres at integers; NaN behind the tangent plane.
        """
        column, row, depth = (vectors @ self.axes.T.astype(vectors.dtype, copy=False)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            # a plain float keeps single precision where the vectors have it
            per_radian = float(np.degrees(1.0)) * n_pixels / PATCH_DEG
            scale = np.where(depth > 0.01, per_radian / depth, np.nan)
        middle = (n_pixels - 1) / 2.0
        return column * scale + middle, row * scale + middle

    def unproject(self, x: np.ndarray, y: np.ndarray, n_pixels: int) -> np.ndarray:
        """Galactic unit vectors (..., 3) of pixel coordinates; inverse of `project`."""
        middle = (n_pixels - 1) / 2.0
        scale = np.radians(PATCH_DEG / n_pixels)
        plane = np.stack(
            [
                (np.asarray(x, float) - middle) * scale,
                (np.asarray(y, float) - middle) * scale,
                np.ones(np.broadcast(x, y).shape),
            ],
            axis=-1,
        )
        vectors = plane @ self.axes
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def pixel_vectors(self, n_pixels: int) -> np.ndarray:
        """Unit vectors (n, n, 3) of the pixel centres, indexed [row, column]."""
        rows, columns = np.mgrid[:n_pixels, :n_pixels]
        return self.unproject(columns, rows, n_pixels)

    def solid_angle_sr(self, n_pixels: int) -> np.ndarray:
        """Solid angle (n, n) of each pixel in sr; falls as cos^3 from the tangent point."""
        cosine = self.pixel_vectors(n_pixels) @ self.axes[2]
        return np.radians(PATCH_DEG / n_pixels) ** 2 * cosine**3

    def wcs(self, n_pixels: int) -> WCS:
        """The same frame as an astropy celestial WCS (GLON-TAN, GLAT-TAN)."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
        wcs.wcs.crval = [self.lon_deg, self.lat_deg]
        # the default flips to 0 where the tangent point is the pole itself
        wcs.wcs.lonpole = 180.0
        wcs.wcs.crpix = [(n_pixels + 1) / 2.0] * 2
        wcs.wcs.cdelt = [-PATCH_DEG / n_pixels, PATCH_DEG / n_pixels]
        turn = np.radians(self.rotation_deg)
        # intermediate east is -column*cos + row*sin, north is column*sin + row*cos
        wcs.wcs.pc = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        return wcs


def lonlat_to_vectors(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) of longitudes and latitudes in degrees."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def vectors_to_lonlat(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude in [0, 360) and latitude, degrees, of unit vectors (..., 3)."""
    lon = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])) % 360.0
    lat = np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1])))
    return lon, lat
