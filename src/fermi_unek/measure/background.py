"""Expected diffuse photons in the pixels of a region."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter
from scipy.signal import fftconvolve

from ..diffuse.named import DiffuseModel
from ..irf.instrument import FINE_EDGES_MEV, FINE_ENERGIES_MEV
from ..sky.bins import PATCH_DEG
from ..sky.geometry.frame import PatchFrame, vectors_to_lonlat
from .response import Response, profile_place

GRID_DEG = 0.2
"""Step of the tangent-plane grid on which the diffuse emission is blurred; the models have 0.23."""

_INDEX = 2.4
_EXPOSURE_STEP = 5
_BLUR_RADII = 8.0
_MARGIN_DEG = 5.0  # what is blurred into the region from outside
_PER_PATCH = round(PATCH_DEG / GRID_DEG)


class DiffuseImages:
    """Expected photons of the Galactic and the isotropic emission around a place.

    The emission is sampled on a tangent-plane grid, weighted with the exposure, and its Galactic
    part is blurred with the mean PSF of each channel unless the model has the PSF in it.

    Parameters
    ----------
    diffuse : DiffuseModel
    response : Response
    centre : array (3,)
        Galactic unit vector.
    radius_deg : float
        Within which it will be asked for; at most 35.
    """

    def __init__(
        self, diffuse: DiffuseModel, response: Response, centre: np.ndarray, radius_deg: float
    ) -> None:
        lon, lat = vectors_to_lonlat(centre)
        self._frame = PatchFrame(float(lon), float(lat))
        half = int(np.ceil(np.degrees(np.tan(np.radians(radius_deg + _MARGIN_DEG))) / GRID_DEG))
        self._origin = half - (_PER_PATCH - 1) / 2.0
        offsets = np.arange(-half, half + 1) + (_PER_PATCH - 1) / 2.0
        x, y = np.meshgrid(offsets, offsets)
        vectors = self._frame.unproject(x, y, _PER_PATCH)
        galactic, isotropic = _rates(diffuse, response, vectors)
        if not diffuse.psf_included:
            flux = FINE_ENERGIES_MEV ** (1.0 - _INDEX)
            profiles = response.profiles(flux, response.exposures(centre))
            galactic = np.array(
                [
                    _blurred(*channel)
                    for channel in zip(galactic, profiles, response.radii_deg, strict=True)
                ]
            )
        # cubic: a linear interpolation flattens the ridge of the Galactic plane
        self._images = [
            tuple(spline_filter(image) for image in pair)
            for pair in zip(galactic, isotropic, strict=True)
        ]

    def per_sr(self, channel: int, vectors: np.ndarray) -> np.ndarray:
        """Galactic and isotropic photons per sr (2, P) of a channel in directions (P, 3)."""
        x, y = self._frame.project(vectors, _PER_PATCH)
        at = np.stack([y, x]) + self._origin
        found = [
            map_coordinates(image, at, mode="nearest", prefilter=False)
            for image in self._images[channel]
        ]
        return np.maximum(found, 0.0)


def _rates(
    diffuse: DiffuseModel, response: Response, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Galactic and isotropic photons per sr, each (C, rows, columns), not blurred."""
    shape = vectors.shape[:-1]
    coarse = vectors[::_EXPOSURE_STEP, ::_EXPOSURE_STEP]
    at = np.indices(shape).reshape(2, -1) / _EXPOSURE_STEP
    width = FINE_ENERGIES_MEV * np.log(FINE_EDGES_MEV[1:] / FINE_EDGES_MEV[:-1])
    isotropic = diffuse.isotropic_intensity(FINE_ENERGIES_MEV)
    flat = vectors.reshape(-1, 3)
    galactic = diffuse.intensity_at(FINE_ENERGIES_MEV, flat) - isotropic[:, None]
    rates = np.zeros((2, len(response.channels), len(flat)))
    for component, fractions in zip(response.components, response.fractions, strict=True):
        exposure = component.exposure(coarse.reshape(-1, 3)) * width[:, None]
        planes = exposure.reshape(-1, *coarse.shape[:2])
        # smooth over degrees
        exposure = np.array([map_coordinates(p, at, order=1, mode="nearest") for p in planes])
        rates[0] += fractions.T @ (galactic * exposure)
        rates[1] += fractions.T @ (isotropic[:, None] * exposure)
    return rates[0].reshape(-1, *shape), rates[1].reshape(-1, *shape)


def _blurred(image: np.ndarray, profile: np.ndarray, radius_deg: float) -> np.ndarray:
    """An image convolved with a radial profile, of which ``radius_deg`` holds 68%."""
    reach = int(np.ceil(min(_MARGIN_DEG, _BLUR_RADII * radius_deg) / GRID_DEG))
    # a step holds the core of the PSF at high energy: average it over a finer grid
    fine = 5
    steps = (np.arange(-reach * fine - fine // 2, reach * fine + fine // 2 + 1)) / fine
    low, part = profile_place(GRID_DEG * np.hypot(*np.meshgrid(steps, steps)))
    kernel = profile[low] * (1.0 - part) + profile[low + 1] * part
    side = 2 * reach + 1
    kernel = kernel.reshape(side, fine, side, fine).mean(axis=(1, 3))
    kernel /= max(kernel.sum(), 1e-300)
    return fftconvolve(np.pad(image, reach, mode="edge"), kernel, mode="valid")
