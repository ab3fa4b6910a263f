"""Radially symmetric smoothing of planes as a few products with banded matrices.

A symmetric kernel is the sum over its eigenvectors of outer products, and a PSF needs only
the first three of them: three products with an n x n matrix on each side replace a
convolution of a few hundred taps, which torch does slowly for a single plane.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


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
        for shift in range(-half, half + 1):
            value = np.sqrt(abs(values[column])) * vectors[half + shift, column]
            matrices[r] += np.diag(np.full(n_pixels - abs(shift), value), -shift).astype(np.float32)
    return torch.from_numpy(matrices), torch.from_numpy(np.sign(values[order]).astype(np.float32))


def smooth(planes: Tensor, matrices: Tensor, signs: Tensor) -> Tensor:
    """Smooth planes (B, n, n) with the factors of `banded_factors`."""
    left = torch.matmul(matrices[:, None], planes[None])
    both = torch.matmul(left, matrices[:, None].transpose(-1, -2))
    return (both * signs[:, None, None, None]).sum(dim=0)


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
