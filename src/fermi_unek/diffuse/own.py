"""The package's own diffuse model: smooth components, made-up fine structure, no file needed.

The gas disc is a sum of layers of different thickness whose strength varies along the
Galaxy; inverse Compton halo, Fermi bubbles and the arc of Loop I are smooth shapes. Layers,
strengths and spectra are the few hundred numbers of data/own_diffuse.json, fitted to
gll_iem_v07 by scripts/fit_own_diffuse.py. Structure below ten degrees is a random field
with the power spectrum of interstellar gas, another one for each seed: a network that is
trained on it cannot learn where the clouds of the real sky are, only what clouds look like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import healpy as hp
import numpy as np

from ..errors import ConfigError
from .model import DIFFUSE_NSIDE, DiffuseModel

COMPONENTS = ("disc_inner", "disc_outer", "local", "halo", "bubbles", "loop")
"""Parts that carry a spectrum of their own; the first three are gas and have structure."""

DISC_LAYERS = ((0.5, 48), (1.5, 48))
"""Thickness (sech^2 scale, degrees of latitude) and number of longitude knots of the disc."""

LOCAL_LAYERS = ((4.0, 30), (10.0, 12), (25.0, 12), (80.0, 6))
"""The same for the gas around the Sun, with knots of its own north and south."""

N_HALO = 9
"""Shapes of the inverse Compton halo: three latitude scales times three longitude shapes."""

CLOUD_LEVEL = 3.0e-5
"""C_l at l = 60 of the log of the gas; gll_iem_v07 has 2e-5 in the log of all its emission
at |b| > 15 deg, of which gas is two thirds."""

CLOUD_SLOPE = -2.8
"""Slope of C_l: Kolmogorov turbulence integrated along the line of sight gives -11/3 to -8/3."""

CLUMP_LEVEL = 6.0e-5
"""The same at l = 60 for the dense clouds of the disc, whose spectrum is flatter."""

CLUMP_SLOPE = -2.5

RESOLUTION_DEG = 0.4
"""FWHM to which the fields are blurred: no finer than the surveys gll_iem_v07 is made of."""

LOWEST_CLOUD_L, LOWEST_CLUMP_L = 12, 24
"""Larger scales (15 and 7.5 degrees) belong to the fitted layers."""


def sech2(lat_deg: np.ndarray, scale_deg: float) -> np.ndarray:
    """Latitude profile of a layer, 1 in the plane."""
    return 1.0 / np.cosh(np.clip(lat_deg / scale_deg, -40, 40)) ** 2


def knot_weight(lon_deg: np.ndarray, knot: int, n_knots: int) -> np.ndarray:
    """Smooth bump (cos^2) around knot longitude; all `n_knots` of them add up to one."""
    step = 360.0 / n_knots
    distance = np.abs((lon_deg - knot * step + 180.0) % 360.0 - 180.0) / step
    return np.where(distance < 1, np.cos(np.pi / 2 * np.minimum(distance, 1)) ** 2, 0.0)


def northern(lat_deg: np.ndarray) -> np.ndarray:
    """Weight of the northern half of a layer, with a soft border in the plane."""
    return 0.5 * (1.0 + np.tanh(np.asarray(lat_deg) / 3.0))


def inner_weight(lon_deg: np.ndarray) -> np.ndarray:
    """Share of the disc that counts as the inner Galaxy, whose cosmic rays are harder."""
    return (0.5 * (1.0 + np.cos(np.radians(lon_deg)))) ** 2


def halo_shape(index: int, lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """One of the `N_HALO` smooth shapes of the inverse Compton halo."""
    scale = (6.0, 20.0, 60.0)[index // 3]
    power = (0, 1, 4)[index % 3]
    # flat-topped in latitude, so that the halo does not compete with the disc for its ridge
    profile = np.exp(1.0 - np.sqrt(1.0 + (lat_deg / scale) ** 2))
    return profile * (0.5 * (1.0 + np.cos(np.radians(lon_deg)))) ** power


def bubbles_shape(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """The two Fermi bubbles: flat lobes out to |b| = 51 degrees with edges of 1.5 degrees."""
    lon = (np.asarray(lon_deg) + 180.0) % 360.0 - 180.0
    lat = np.abs(lat_deg)
    # narrow where they leave the plane, widest at 30 degrees
    across = lon * np.cos(np.radians(lat_deg)) / (20.0 - 8.0 * np.exp(-lat / 8.0))
    radius = np.hypot(across, (lat - 26.0) / 25.0)
    return 1.0 / (1.0 + np.exp(np.clip((radius - 1.0) * 22.0 / 1.5, -40, 40)))


def loop_shape(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """Loop I: a shell of radius 58 degrees around (329, 17.5), limb-brightened, mostly north."""
    centre = hp.ang2vec(329.0, 17.5, lonlat=True)
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    distance = np.sin(np.arccos(np.clip(np.tensordot(centre, vectors, 1), -1, 1)))
    behind = np.tensordot(centre, vectors, 1) < 0
    outer, inner = np.sin(np.radians(58.0)), np.sin(np.radians(48.0))
    depth = np.sqrt(np.maximum(outer**2 - distance**2, 0))
    depth -= np.sqrt(np.maximum(inner**2 - distance**2, 0))
    return np.where(behind, 0.0, depth) * (0.15 + 0.85 * northern(np.asarray(lat_deg) - 5.0))


@cache
def _parameters() -> Mapping[str, Any]:
    text = resources.files("fermi_unek").joinpath("data/own_diffuse.json").read_text()
    return json.loads(text)


def _layered(
    layers: tuple[tuple[float, int], ...],
    strengths: np.ndarray,
    lon: np.ndarray,
    lat: np.ndarray,
    halves: bool,
) -> np.ndarray:
    """Sum of layers; `strengths` are in order of layer, half (north, south), knot."""
    total = np.zeros_like(lat)
    sides = (northern(lat), 1.0 - northern(lat)) if halves else (np.ones_like(lat),)
    at = 0
    for scale, n_knots in layers:
        profile = sech2(lat, scale)
        for side in sides:
            along = _along(lon, strengths[at : at + n_knots])
            total += along * profile * side
            at += n_knots
    return total


def _along(lon: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Strength at each longitude: the knots joined by half waves, as `knot_weight` sums them."""
    n_knots = len(strengths)
    place = (lon / 360.0 * n_knots) % n_knots
    low = np.floor(place).astype(int) % n_knots
    weight = np.cos(np.pi / 2 * (place - np.floor(place))) ** 2
    return strengths[low] * weight + strengths[(low + 1) % n_knots] * (1.0 - weight)


def smooth_components(nside: int = DIFFUSE_NSIDE) -> dict[str, np.ndarray]:
    """Float32 maps (npix,), NESTED Galactic, of every one of `COMPONENTS` without structure."""
    parameters = _parameters()
    lon, lat = hp.pix2ang(nside, np.arange(hp.nside2npix(nside)), nest=True, lonlat=True)
    disc = _layered(DISC_LAYERS, np.array(parameters["disc"]), lon, lat, halves=False)
    local = _layered(LOCAL_LAYERS, np.array(parameters["local"]), lon, lat, halves=True)
    halo = sum(a * halo_shape(i, lon, lat) for i, a in enumerate(parameters["halo"]) if a > 0)
    inner = inner_weight(lon)
    maps = {
        "disc_inner": disc * inner,
        "disc_outer": disc * (1.0 - inner),
        "local": local,
        "halo": halo,
        "bubbles": bubbles_shape(lon, lat) * parameters["bubbles"],
        "loop": loop_shape(lon, lat) * parameters["loop"],
    }
    return {name: np.asarray(maps[name], np.float32) for name in COMPONENTS}


def gaussian_field(power: np.ndarray, nside: int, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian random field on the sphere.

    Parameters
    ----------
    power : array (lmax + 1,)
        C_l.
    nside : int
    rng : numpy Generator

    Returns
    -------
    float32 array (npix,)
        NESTED, of the variance sum (2l + 1) C_l / 4 pi.
    """
    lmax = len(power) - 1
    ell, m = hp.Alm.getlm(lmax)
    amplitude = np.sqrt(power[ell])
    alm = rng.standard_normal(len(ell)) + 1j * rng.standard_normal(len(ell))
    # m = 0 is real, the others share their variance between both parts
    alm = np.where(m == 0, alm.real, alm / np.sqrt(2.0)) * amplitude
    return hp.reorder(hp.alm2map(alm, nside), r2n=True).astype(np.float32)


def power_law_spectrum(
    level: float, slope: float, lowest: int, nside: int, at: float = 60.0
) -> np.ndarray:
    """C_l (3 nside,): power law, `level` at l = `at`, 0 below `lowest`, blurred to 0.4 deg."""
    ell = np.arange(3 * nside)
    power = np.where(ell >= lowest, level * (np.maximum(ell, 1) / at) ** slope, 0.0)
    return power * hp.gauss_beam(np.radians(RESOLUTION_DEG), lmax=3 * nside - 1) ** 2


def log_normal(power: np.ndarray, nside: int, rng: np.random.Generator) -> np.ndarray:
    """Exponential of a `gaussian_field`, float32 (npix,), NESTED, of mean one."""
    field = np.exp(gaussian_field(power, nside, rng))
    return field / field.mean(dtype=float).astype(np.float32)


def _structured(parts: dict[str, np.ndarray], names: tuple[str, ...], factor: np.ndarray) -> None:
    """Multiply some parts with a field, keeping the total of each over the sky."""
    for name in names:
        total = parts[name].sum(dtype=float)
        parts[name] *= factor
        parts[name] *= np.float32(total / parts[name].sum(dtype=float))


def own_model(
    seed: int = 0, structure: float = 1.0, nside: int = DIFFUSE_NSIDE, name: str | None = None
) -> DiffuseModel:
    """The package's own diffuse model, one sky for each seed.

    Parameters
    ----------
    seed : int
        Of the fine structure; layers and spectra are the same for all.
    structure : float
        Power of the fine structure relative to that of gll_iem_v07; 0 gives the smooth model.
    nside : int
    name : str, optional
        "own" (seed 0) or "own-SEED" when left out.

    Returns
    -------
    DiffuseModel
        Not blurred with any PSF.
    """
    if structure < 0:
        raise ConfigError(f"structure is {structure}, expected 0 or more")
    rng = np.random.default_rng(seed)
    parts = smooth_components(nside)
    if structure > 0:
        clouds = power_law_spectrum(CLOUD_LEVEL * structure, CLOUD_SLOPE, LOWEST_CLOUD_L, nside)
        clumps = power_law_spectrum(CLUMP_LEVEL * structure, CLUMP_SLOPE, LOWEST_CLUMP_L, nside)
        _structured(parts, ("local",), log_normal(clouds, nside, rng))
        _structured(parts, ("disc_inner", "disc_outer"), log_normal(clumps, nside, rng))
    parameters = _parameters()
    spectra = np.array([parameters["spectra"][part] for part in COMPONENTS], np.float32)
    maps = spectra.T @ np.stack([parts[part] for part in COMPONENTS])
    return DiffuseModel(
        name or ("own" if seed == 0 else f"own-{seed}"),
        np.array(parameters["energies_mev"]),
        maps,
        np.array(parameters["iso_energies_mev"]),
        np.array(parameters["isotropic"]),
        origin=parameters["origin"],
    )
