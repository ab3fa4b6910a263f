"""Matched filters of an observation against a direct convolution with its PSF."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from fermi_unek.detect.filters import kernels, matched_filters
from fermi_unek.irf.instrument import containment_deg, mixed_psf
from fermi_unek.irf.observation import Observation, shipped_observation
from fermi_unek.nets.filters import smooth
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, PATCH_DEG

FRONT, BACK = shipped_observation("front"), shipped_observation("back")
COARSE = shipped_observation("front", (0.3,) * N_BINS)


def mean_square_deg2(kernel: np.ndarray, pixel_deg: float) -> float:
    place = (np.arange(len(kernel)) - len(kernel) // 2) * pixel_deg
    return float((kernel.sum(axis=0) * place**2).sum())


def direct(counts: np.ndarray, observation: Observation, b: int, pixel_deg: float) -> np.ndarray:
    """Counts convolved with the PSF at the middle of each of 7 x 7 parts of the pixels."""
    angles, density = observation.psf(b)
    half = counts.shape[0] // 2
    parts = (np.arange(7) - 3.0) / 7.0
    place = (np.arange(-half, half + 1)[:, None] + parts).ravel() * pixel_deg
    away = np.hypot(place[:, None], place)
    values = np.interp(np.radians(away), angles, density)
    kernel = values.reshape(2 * half + 1, 7, 2 * half + 1, 7).sum(axis=(1, 3))
    return fftconvolve(counts, kernel / kernel.sum(), mode="same")


@pytest.mark.parametrize("observation", [FRONT, BACK, COARSE], ids=["front", "back", "coarse"])
@pytest.mark.parametrize("b", range(N_BINS))
def test_the_filter_of_an_observation_is_the_convolution_with_its_psf(observation, b):
    n_pixels = NATIVE_PIXELS[b]
    ((*of_bins,),) = matched_filters((observation,), ModelSpec())
    counts = np.random.default_rng(b).poisson(3.0, (n_pixels, n_pixels)).astype(np.float32)
    counts[n_pixels // 3, n_pixels // 2] += 500.0
    planes = torch.from_numpy(counts)[None]
    found = smooth(planes, of_bins[b].core, of_bins[b].core_signs)[0].numpy()
    expected = direct(counts, observation, b, PATCH_DEG / n_pixels)
    # the filter ends where it holds nine tenths, and has three factors
    margin = n_pixels // 6
    inner = (slice(margin, -margin),) * 2
    assert np.abs(found - expected)[inner].max() < 0.15 * expected.max()
    assert np.corrcoef(found[inner].ravel(), expected[inner].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("b", range(N_BINS))
def test_kernels_hold_everything_and_the_background_is_wider(b):
    for observation, pixels in ((FRONT, NATIVE_PIXELS), (BACK, BINNING.blurred_pixels)):
        pixel = PATCH_DEG / pixels[b]
        core, wide = kernels(observation, b, pixel)
        for kernel in (core, wide):
            assert kernel.sum() == pytest.approx(1.0)
        assert mean_square_deg2(wide, pixel) > 2.0 * mean_square_deg2(core, pixel)
        assert core.max() > wide.max()


def test_the_second_layer_has_filters_on_the_pixels_it_is_shown_in():
    sharp, blurred = matched_filters((FRONT, BACK), ModelSpec())
    assert tuple(matched.core.shape[-1] for matched in sharp) == NATIVE_PIXELS
    assert tuple(matched.core.shape[-1] for matched in blurred) == BINNING.blurred_pixels


@pytest.mark.parametrize("b", range(N_BINS))
def test_a_wider_psf_has_a_wider_filter(b):
    pixel = PATCH_DEG / NATIVE_PIXELS[b]
    names = ("psf3", "psf2", "psf1", "psf0")
    observed = [shipped_observation(name) for name in names]
    r68 = [containment_deg(*mixed_psf(one.parts, b)) for one in observed]
    assert np.all(np.diff(r68) > 0)
    spread = [mean_square_deg2(kernels(one, b, pixel)[0], pixel) for one in observed]
    assert np.all(np.diff(spread) > 0)
    assert spread[0] < mean_square_deg2(kernels(COARSE, b, pixel)[0], pixel)
