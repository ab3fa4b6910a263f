"""A diffuse model made another: levels and fine structure varied, or blurred with a PSF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import healpy as hp
import numpy as np

from ..errors import InputError
from .model import DiffuseModel
from .own import log_normal, power_law_spectrum

STRUCTURE_SLOPE = -2.8
"""C_l slope of the structure that `vary` puts in."""

_LEAST_WINDOW = 1e-3


def vary(
    model: DiffuseModel,
    rng: np.random.Generator,
    galactic_sigma: float = 0.05,
    iso_sigma: float = 0.1,
    structure_sigma: float = 0.1,
) -> DiffuseModel:
    """The model with other levels and other fine structure.

    Parameters
    ----------
    model : DiffuseModel
    rng : numpy Generator
    galactic_sigma, iso_sigma : float
        Log-normal scatter of the two levels; 0 leaves them.
    structure_sigma : float
        Standard deviation of the log of a random field on scales from 0.5 to 10 degrees with
        which the Galactic maps are multiplied, the same at all energies; 0 leaves them.
    """
    for label, sigma in (
        ("galactic_sigma", galactic_sigma),
        ("iso_sigma", iso_sigma),
        ("structure_sigma", structure_sigma),
    ):
        if not sigma >= 0:
            raise InputError(f"{label} is {sigma}, expected 0 or more")
    factor: np.ndarray = np.full(
        model.maps.shape[1], np.exp(galactic_sigma * rng.standard_normal()), np.float32
    )
    iso = model.iso_intensity * np.exp(iso_sigma * rng.standard_normal())
    if structure_sigma > 0:
        power = power_law_spectrum(1.0, STRUCTURE_SLOPE, 18, model.nside)
        power[361:] = 0.0
        ell = np.arange(len(power))
        variance = np.sum((2 * ell + 1) * power) / (4 * np.pi)
        if variance == 0:
            raise InputError(f"nside {model.nside} is too coarse for structure below 10 degrees")
        factor *= log_normal(power * structure_sigma**2 / variance, model.nside, rng)
    return replace(model, maps=model.maps * factor, iso_intensity=iso)


Profile = tuple[np.ndarray, np.ndarray]
"""Angles in rad and the PSF per sr there."""


def smear(
    maps: np.ndarray, beam_profiles: Sequence[Profile], included: Sequence[Profile] = ()
) -> np.ndarray:
    """Convolve maps with radially symmetric point spread functions.

    Parameters
    ----------
    maps : array (n_maps, npix)
        NESTED, not negative; any unit.
    beam_profiles : sequence of (theta_rad, profile)
        One for each map: angles in rad from 0 upwards and the PSF per sr there, of any
        normalisation; taken as zero beyond the last angle.
    included : sequence of (theta_rad, profile)
        The PSF that each map has been convolved with before; what the other is sharper than it
        is not undone.

    Returns
    -------
    float32 array (n_maps, npix)
        Nowhere below the lowest or above the highest value that went in, each map with its
        own sum kept. What the profile does below the pixels' size is kept as it was.
    """
    if len(maps) != len(beam_profiles):
        raise InputError(f"{len(maps)} maps but {len(beam_profiles)} PSF profiles")
    lmax = 3 * hp.npix2nside(maps.shape[1]) - 1
    windows = [beam_window(*profile, lmax) for profile in beam_profiles]
    for window, before in zip(windows, included, strict=False):
        window /= np.maximum(beam_window(*before, lmax), _LEAST_WINDOW)
        np.clip(window, 0.0, 1.0, out=window)
        np.minimum.accumulate(window, out=window)
    return np.stack([_smeared(*pair) for pair in zip(maps, windows, strict=True)])


def _smeared(nested: np.ndarray, window: np.ndarray) -> np.ndarray:
    if window[-1] == 1.0:
        return nested.astype(np.float32)
    nside, lmax = hp.npix2nside(len(nested)), len(window) - 1
    ring = hp.reorder(nested.astype(float), n2r=True)
    alm = hp.map2alm(ring, lmax=lmax, iter=0)
    if window[-1] > 0.3:
        # a narrow PSF: change what it changes and leave to the map what no alm can hold
        blurred = ring + hp.alm2map(hp.almxfl(alm, window - 1.0), nside, lmax=lmax)
    else:
        blurred = hp.alm2map(hp.almxfl(alm, window), nside, lmax=lmax)
    blurred = np.clip(blurred, ring.min(), ring.max())
    total = blurred.sum()
    if total > 0:
        blurred *= ring.sum() / total
    return hp.reorder(blurred, r2n=True).astype(np.float32)


def beam_window(theta_rad: np.ndarray, profile: np.ndarray, lmax: int) -> np.ndarray:
    """Legendre coefficients B_l (lmax + 1,) of a radial profile, B_0 = 1.

    Parameters
    ----------
    theta_rad : array (n,)
        Angles, increasing, at most pi.
    profile : array (n,)
        Value per sr at each angle, linear in between.
    lmax : int
    """
    theta = np.asarray(theta_rad, float)
    values = np.asarray(profile, float)
    if theta.ndim != 1 or theta.shape != values.shape or len(theta) < 2:
        raise InputError(f"PSF profile: {theta.shape} angles for {values.shape} values")
    if np.any(np.diff(theta) <= 0) or theta[0] < 0 or theta[-1] > np.pi:
        raise InputError("PSF profile: angles must increase from 0 to at most pi")
    window = hp.beam2bl(values, theta, lmax)
    if not (np.all(np.isfinite(window)) and window[0] > 0):
        raise InputError("PSF profile: has no finite positive integral")
    return window / window[0]
