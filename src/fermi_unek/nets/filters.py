"""Radially symmetric smoothing of planes as a few products with banded matrices.

A symmetric kernel is the sum over its eigenvectors of outer products, and a PSF needs only
the first three of them: three products with an n x n matrix on each side replace a
convolution of a few hundred taps, which torch does slowly for a single plane.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_RANK = 3


class MatchedFilter(NamedTuple):
    """Smoothing with a PSF and with a wider one, for planes (n, n).

    Attributes
    ----------
    core, wide : Tensor (3, n, n)
        See `banded_factors`.
    core_signs, wide_signs : Tensor (3,)
    noise : Tensor ()
        Variance of counts of one a pixel after smoothing with the PSF.
    """

    core: Tensor
    core_signs: Tensor
    wide: Tensor
    wide_signs: Tensor
    noise: Tensor


def matched_filter(core: np.ndarray, wide: np.ndarray, n_pixels: int) -> MatchedFilter:
    """The filter of two kernels (k, k), k odd, sum one."""
    noise = torch.tensor(float((core**2).sum()))
    return MatchedFilter(
        *banded_factors(core, n_pixels, _RANK), *banded_factors(wide, n_pixels, _RANK), noise
    )


def banded_factors(kernel: np.ndarray, n_pixels: int, rank: int = 3) -> tuple[Tensor, Tensor]:
    """Matrices (rank, n, n) and signs (rank,) with sum_r s_r M_r X M_r^T = kernel * X.

    Parameters
    ----------
    kernel : array (k, k), k odd
        Symmetric under transposition.
    n_pixels : int
        Side of the planes; outside them is zero.
    """
    values, vectors = np.linalg.eigh(kernel)
    order = np.argsort(-np.abs(values))[:rank]
    half = kernel.shape[0] // 2
    matrices = np.zeros((len(order), n_pixels, n_pixels), np.float32)
    for r, column in enumerate(order):
        for shift in range(-min(half, n_pixels - 1), min(half, n_pixels - 1) + 1):
            value = np.sqrt(abs(values[column])) * vectors[half + shift, column]
            matrices[r] += np.diag(np.full(n_pixels - abs(shift), value), -shift).astype(np.float32)
    return torch.from_numpy(matrices), torch.from_numpy(np.sign(values[order]).astype(np.float32))


def smooth(planes: Tensor, matrices: Tensor, signs: Tensor) -> Tensor:
    """Smooth planes (B, n, n) with the factors of `banded_factors`."""
    rank, n, _ = matrices.shape
    # two large products: CPUs take three times longer over many small ones
    side_by_side = planes.transpose(0, 1).reshape(n, -1)
    left = (matrices.reshape(rank * n, n) @ side_by_side).reshape(rank, n, -1, n)
    right = (signs[:, None, None] * matrices.transpose(1, 2)).reshape(rank * n, n)
    return (left.permute(2, 1, 0, 3).reshape(-1, rank * n) @ right).reshape(-1, n, n)


def pixel_kernel(
    angles_rad: np.ndarray, profile: np.ndarray, pixel_deg: float, radius_deg: float
) -> np.ndarray:
    """A radial profile integrated over square pixels, (k, k), sum one.

    Parameters
    ----------
    angles_rad, profile : arrays
        The profile per sr; linear in between.
    pixel_deg, radius_deg : float
        Pixel side; the kernel is zero past the radius.
    """
    half = int(np.ceil(radius_deg / pixel_deg))
    sub = (np.arange((2 * half + 1) * 5) - 5 * half - 2) * pixel_deg / 5
    distance = np.hypot(sub[:, None], sub[None])
    values = np.interp(np.radians(distance), angles_rad, profile) * (distance <= radius_deg)
    kernel = values.reshape(2 * half + 1, 5, 2 * half + 1, 5).sum(axis=(1, 3))
    return kernel / kernel.sum()
