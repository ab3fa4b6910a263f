"""Expected diffuse photons in the pixels of a region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve

from ..diffuse.named import DiffuseModel
from ..irf.instrument import FINE_EDGES_MEV, FINE_ENERGIES_MEV, PROFILE_DEG
from ..sky.bins import N_BINS, PATCH_DEG
from ..sky.geometry.frame import PatchFrame, vectors_to_lonlat
from .response import Grouping, Response

GRID_DEG = 0.2
"""Step of the tangent-plane grid on which the diffuse emission is blurred; the models have 0.23."""

_MARGIN_DEG = 5.0  # what is blurred into the region from outside
_PER_PATCH = round(PATCH_DEG / GRID_DEG)


def diffuse_per_sr(
    diffuse: DiffuseModel,
    response: Response,
    grouping: Grouping,
    centre: np.ndarray,
    radius_deg: float,
    vectors: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Expected photons of the diffuse emission per sr, in directions given for each energy bin.

    The emission is sampled on a tangent-plane grid, weighted with the exposure, and blurred with
    the mean PSF of each bin unless the model has the PSF in it.

    Parameters
    ----------
    diffuse : DiffuseModel
    response : Response
    grouping : Grouping
        For the middle of the region.
    centre : array (3,)
        Middle of the region.
    radius_deg : float
        Within which the directions lie; at most 35.
    vectors : sequence of six arrays (P_b, 3)
        Galactic unit vectors.

    Returns
    -------
    list of six arrays (P_b,)
    """
    lon, lat = vectors_to_lonlat(centre)
    frame = PatchFrame(float(lon), float(lat))
    half = int(np.ceil(np.degrees(np.tan(np.radians(radius_deg + _MARGIN_DEG))) / GRID_DEG))
    middle = (_PER_PATCH - 1) / 2.0
    offsets = np.arange(-half, half + 1)
    x, y = np.meshgrid(offsets + middle, offsets + middle)
    rates = _rates(diffuse, response, frame.unproject(x, y, _PER_PATCH))
    result = []
    for b, directions in enumerate(vectors):
        image = rates[b]
        if not diffuse.psf_included:
            image = _blurred(image, grouping.mean_profile(b))
        x, y = frame.project(directions, _PER_PATCH)
        at = np.stack([y, x]) - middle + half
        # cubic: a linear one flattens the ridge of the Galactic plane
        result.append(np.maximum(map_coordinates(image, at, order=3, mode="nearest"), 0.0))
    return result


def _rates(diffuse: DiffuseModel, response: Response, vectors: np.ndarray) -> np.ndarray:
    """Diffuse photons per sr (6, rows, columns), not blurred."""
    flat = vectors.reshape(-1, 3)
    flux = diffuse.intensity_at(FINE_ENERGIES_MEV, flat)
    flux *= (FINE_ENERGIES_MEV * np.log(FINE_EDGES_MEV[1:] / FINE_EDGES_MEV[:-1]))[:, None]
    total = np.zeros((N_BINS, len(flat)))
    for component, fractions in zip(response.components, response.fractions, strict=True):
        total += fractions.T @ (flux * component.exposure(flat))
    return total.reshape(N_BINS, *vectors.shape[:-1])


def _blurred(image: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """An image convolved with a radial profile, which is cut off at the margin."""
    reach = int(_MARGIN_DEG / GRID_DEG)
    # a step holds the core of the PSF at high energy: average it over a finer grid
    fine = 5
    steps = (np.arange(-reach * fine - fine // 2, reach * fine + fine // 2 + 1)) / fine
    angle = GRID_DEG * np.hypot(*np.meshgrid(steps, steps))
    kernel = np.interp(angle, PROFILE_DEG, profile)
    side = 2 * reach + 1
    kernel = kernel.reshape(side, fine, side, fine).mean(axis=(1, 3))
    kernel /= max(kernel.sum(), 1e-300)
    padded = np.pad(image, reach, mode="edge")
    return fftconvolve(padded, kernel, mode="valid")
