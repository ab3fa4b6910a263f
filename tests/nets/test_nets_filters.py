"""Smoothing with banded matrices against a plain convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from fermi_unek.nets.filters import banded_factors, matched_filter, pixel_kernel, smooth


def gaussian_kernel(sigma_deg: float, pixel_deg: float, radius_deg: float) -> np.ndarray:
    angles = np.radians(np.linspace(0.0, 3.0 * radius_deg, 400))
    return pixel_kernel(
        angles, np.exp(-0.5 * (angles / np.radians(sigma_deg)) ** 2), pixel_deg, radius_deg
    )


def smoothed(planes: np.ndarray, kernel: np.ndarray, rank: int) -> np.ndarray:
    factors = banded_factors(kernel, planes.shape[-1], rank)
    return smooth(torch.from_numpy(planes.astype(np.float32)), *factors).numpy()


def test_all_eigenvectors_together_are_the_exact_convolution():
    rng = np.random.default_rng(1)
    kernel = rng.random((9, 9))
    kernel = kernel + kernel.T
    planes = rng.random((3, 24, 24))
    exact = np.stack([fftconvolve(plane, kernel, mode="same") for plane in planes])
    np.testing.assert_allclose(smoothed(planes, kernel, 9), exact, rtol=1e-4)


def test_a_gaussian_kernel_needs_one_factor_only():
    kernel = gaussian_kernel(0.2, 0.1, 1.2)
    planes = np.random.default_rng(2).random((1, 40, 40))
    exact = fftconvolve(planes[0], kernel, mode="same")
    np.testing.assert_allclose(smoothed(planes, kernel, 1)[0], exact, rtol=2e-3)


def test_a_matched_filter_smooths_with_both_kernels_and_knows_the_noise_that_is_left():
    core, wide = gaussian_kernel(0.2, 0.1, 1.0), gaussian_kernel(0.6, 0.1, 2.5)
    matched = matched_filter(core, wide, 48)
    planes = np.random.default_rng(3).poisson(1.0, (400, 48, 48)).astype(np.float32)
    for kernel, factors in ((core, matched[:2]), (wide, matched[2:4])):
        found = smooth(torch.from_numpy(planes[:1]), *factors)[0].numpy()
        np.testing.assert_allclose(found, fftconvolve(planes[0], kernel, mode="same"), rtol=5e-3)
    seen = smooth(torch.from_numpy(planes), *matched[:2])[:, 24, 24]
    assert float(matched.noise) == pytest.approx(float(seen.var()), rel=0.2)


@pytest.mark.parametrize("pixel_deg", [0.05, 0.1, 0.3])
def test_a_pixel_kernel_sums_to_one_and_is_symmetric_and_odd_sided(pixel_deg):
    kernel = gaussian_kernel(0.15, pixel_deg, 0.7)
    assert kernel.sum() == pytest.approx(1.0)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, turned, atol=1e-12)


def test_a_pixel_kernel_has_the_width_of_its_profile_and_ends_at_its_radius():
    sigma, pixel, radius = 0.2, 0.05, 1.0
    kernel = gaussian_kernel(sigma, pixel, radius)
    place = (np.arange(len(kernel)) - len(kernel) // 2) * pixel
    # a square pixel adds a twelfth of its side squared
    variance = (kernel.sum(axis=0) * place**2).sum()
    assert variance == pytest.approx(sigma**2 + pixel**2 / 12.0, rel=0.01)
    beyond = np.hypot(place[:, None], place[None]) > radius + pixel
    assert np.all(kernel[beyond] == 0.0)
