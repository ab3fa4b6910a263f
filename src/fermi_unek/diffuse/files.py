"""Diffuse models read from files: mapcubes, isotropic tables, the shared building blocks."""

from __future__ import annotations

from pathlib import Path

import healpy as hp
import numpy as np
from scipy.optimize import nnls

from ..errors import InputError
from ..sky.maps import read_map
from ..sky.units import INTENSITY
from .model import DIFFUSE_NSIDE, DiffuseModel, integrate_power_laws

ISO_FILES = {
    "front": "iso_P8R3_SOURCE_V3_FRONT_v1.txt",
    "back": "iso_P8R3_SOURCE_V3_BACK_v1.txt",
    "all": "iso_P8R3_SOURCE_V3_v1.txt",
    "psf": "iso_P8R3_SOURCE_V3_v1.txt",
}
ISO_FILES |= {f"psf{k}": f"iso_P8R3_SOURCE_V3_PSF{k}_v1.txt" for k in range(4)}

_ISO_PARTS = {"psf01": ("psf0", "psf1"), "psf23": ("psf2", "psf3")}
"""Quartiles of the PSF whose isotropic spectra are averaged: their exposures are alike."""

_LEVEL_MEV = 1000.0
_LOWEST_LEVEL, _HIGHEST_LEVEL = 4e-12, 3e-7
"""At 1 GeV, cm-2 s-1 sr-1 MeV-1: gll_iem_v07 has 3e-9 in the mean, the isotropic emission 4e-10."""

LOWEST_NODE_MEV = 100.0
"""Nodes below this energy are left out: no bin of ours reaches there."""

# The fine map holds less isotropic emission than iso_..._FRONT_v1. These are the fractions
# of it, per bin of the fine map, that make fine / exposure proportional to the table's
# Galactic part + fraction * isotropic at 8 degrees' resolution (least squares over the sky).
_FINE_ISO_FRACTION = (0.84, 0.86, 0.76, 0.65, 0.54)

_FINE_MATCH_FWHM_DEG = 8.0


def read_mapcube(
    path: str | Path, lowest_mev: float = 0.0, nside: int = DIFFUSE_NSIDE
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (K,) above `lowest_mev`, and NESTED Galactic maps, float32 (K, npix), of a mapcube.

    Raises
    ------
    InputError
        As `sky.maps.read_map`, or not of the whole sky.
    """
    return read_map(path, "diffuse", INTENSITY).whole_sky(nside, lowest_mev)


def read_isotropic(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies (M,), MeV, and intensities (M,), ph cm-2 s-1 sr-1 MeV-1, of an iso_*.txt file."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as an isotropic spectrum: {error}") from error
    if table.shape[0] < 2 or table.shape[1] < 2:
        raise InputError(f"{path}: expected two or three columns (MeV, intensity, error)")
    good = table[:, 1] > 0
    return table[good, 0], table[good, 1]


def check_level(path: str | Path, energies_mev: np.ndarray, intensity: np.ndarray) -> None:
    """Refuse a spectrum (K,) that the sky has not, in whatever units it may be meant.

    Raises
    ------
    InputError
        Its energies do not hold 1 GeV, or its mean intensity there is a hundred times that of the
        sky or a hundredth of the isotropic emission.
    """
    if not len(energies_mev) or not np.any(intensity > 0):
        return
    low, high = float(energies_mev[0]), float(energies_mev[-1])
    level = float(np.interp(_LEVEL_MEV, energies_mev, intensity))
    if not low <= _LEVEL_MEV <= high:
        raise InputError(
            f"{path}: energies from {low:g} to {high:g} MeV do not hold {_LEVEL_MEV:g}; are the "
            "units right?"
        )
    if not _LOWEST_LEVEL < level < _HIGHEST_LEVEL:
        raise InputError(
            f"{path}: {level:.2g} cm-2 s-1 sr-1 MeV-1 at 1 GeV is no diffuse emission, of which "
            "the sky has 3e-09; are the units right?"
        )


def isotropic_of(event_type: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies, MeV, and intensities of the isotropic emission of an event type (`EVENT_TYPES`)."""
    parts = _ISO_PARTS.get(event_type, (event_type,))
    if not set(parts) <= set(ISO_FILES):
        raise InputError(f"event type {event_type!r} is none of {(*ISO_FILES, *_ISO_PARTS)}")
    spectra = [read_isotropic(folder / ISO_FILES[part]) for part in parts]
    energies = spectra[0][0]
    return energies, np.mean([np.interp(energies, *spectrum) for spectrum in spectra], axis=0)


def shared_v07(data_dir: str | Path, event_type: str = "front") -> DiffuseModel:
    """gll_iem_v07 rebuilt from its coarse table and a fine, PSF-blurred shape.

    Needs diffuse/gll_iem_v07_240x131.fits, diffuse/iem_v07_igrb_nside256.npz and the
    isotropic tables in `data_dir`. At each node the table gives level and spectrum, the fine
    map of its energy bin everything below 8 degrees; the lowest bin's shape serves
    below 500 MeV too.

    Parameters
    ----------
    data_dir : path
        The shared data directory.
    event_type : str
        Which isotropic spectrum to take; the Galactic part is the same.
    """
    diffuse = Path(data_dir) / "diffuse"
    iso = isotropic_of(event_type, diffuse)
    front = read_isotropic(diffuse / ISO_FILES["front"])
    energies, coarse_maps = read_mapcube(diffuse / "gll_iem_v07_240x131.fits", LOWEST_NODE_MEV)
    try:
        with np.load(diffuse / "iem_v07_igrb_nside256.npz") as fine:
            counts, edges = fine["counts"], fine["edges_MeV"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{diffuse}: fine shape of v07 cannot be read: {error}") from error

    coarse_in_bins = integrate_power_laws(energies, coarse_maps, edges)
    iso_in_bins = integrate_power_laws(front[0], front[1][:, None], edges)[:, 0]
    ratios = [
        _fine_over_coarse(counts[b], coarse_in_bins[b], float(iso_in_bins[b]), b)
        for b in range(len(counts))
    ]
    for k, energy in enumerate(energies):
        coarse_maps[k] *= ratios[int(np.clip(np.searchsorted(edges, energy) - 1, 0, None))]
    return DiffuseModel(
        "v07",
        energies,
        coarse_maps,
        *iso,
        psf_included=True,
        origin=f"gll_iem_v07 at 1.5 x 1.375 deg times a fine shape; isotropic of {event_type}",
    )


def official(
    path: str | Path, iso_path: str | Path, name: str | None = None, nside: int = DIFFUSE_NSIDE
) -> DiffuseModel:
    """A diffuse model from the analyst's own files, as gtlike takes them.

    Parameters
    ----------
    path : path
        Mapcube FITS file such as gll_iem_v07.fits: any celestial WCS projection or HEALPIX,
        whole sky, ph cm-2 s-1 sr-1 MeV-1.
    iso_path : path
        Isotropic spectrum such as iso_P8R3_SOURCE_V3_FRONT_v1.txt.
    name : str, optional
        The file's name without its ending when left out.
    nside : int
        Resolution of the model; finer pixels of the file are averaged.
    """
    energies, maps = read_mapcube(path, nside=nside)
    iso = read_isotropic(iso_path)
    check_level(path, energies, maps.mean(axis=1, dtype=float))
    check_level(iso_path, *iso)
    label = name or Path(path).name.split(".")[0]
    return DiffuseModel(
        label, energies, maps, *iso, origin=f"{Path(path).name} and {Path(iso_path).name}"
    )


def _fine_over_coarse(
    fine_ring: np.ndarray, coarse: np.ndarray, iso: float, index: int
) -> np.ndarray:
    """Factor (npix,) that gives the smooth Galactic map `coarse` the fine map's structure.

    Both are compared at 8 degrees' resolution, which takes exposure and level out of the fine
    map without undoing its PSF, then the isotropic part is taken off.
    """
    iso = iso * _FINE_ISO_FRACTION[index]
    fine = hp.reorder(fine_ring.astype(np.float32), r2n=True)
    level = _blurred(coarse + np.float32(iso)) / _blurred(fine)
    lon, lat = hp.pix2ang(DIFFUSE_NSIDE, np.arange(12 * DIFFUSE_NSIDE**2), nest=True, lonlat=True)
    scale = hp.get_interp_val(level, lon, lat, lonlat=True).astype(np.float32)
    # the isotropic part is never so large as to leave a hole
    galactic = np.maximum(fine * scale - np.float32(iso), 0.1 * coarse)
    return galactic / coarse


def _blurred(nested: np.ndarray, nside: int = 64) -> np.ndarray:
    """RING map of low resolution, blurred to 8 degrees."""
    small = hp.ud_grade(nested.astype(float), nside, order_in="NESTED", order_out="RING")
    return hp.smoothing(small, fwhm=np.radians(_FINE_MATCH_FWHM_DEG), lmax=2 * nside, iter=1)


# Spectra of the components from 0.1 to 1000 GeV, E^2 dN/dE relative to 1 GeV: power laws
# with the bump of pi0 decay and bremsstrahlung, the softening of inverse Compton light above
# 100 GeV and the cutoff of the bubbles (Ackermann et al. 2014, ApJ 793, 64).
def _gas_spectrum(energy_mev: np.ndarray) -> np.ndarray:
    gev = energy_mev / 1e3
    return gev**-2.7 / (1.0 + (gev / 0.6) ** -1.6) * 2.0


def _inverse_compton_spectrum(energy_mev: np.ndarray) -> np.ndarray:
    gev = energy_mev / 1e3
    return gev**-2.3 / np.sqrt(1.0 + gev / 100.0)


def _bubble_spectrum(energy_mev: np.ndarray) -> np.ndarray:
    gev = energy_mev / 1e3
    return gev**-1.9 * np.exp(-gev / 110.0)


TEMPLATE_EDGES_MEV = np.array([2000.0, 20000.0])
"""The one bin of the nside 128 templates."""


def templates_model(data_dir: str | Path, which: str, event_type: str = "front") -> DiffuseModel:
    """Model O or A: gas, inverse Compton and bubble templates, each with its own spectrum.

    The templates are counts from 2 to 20 GeV; divided by their exposure they are fitted
    together, non-negative, to gll_iem_v07 in that bin, and at every energy the mean over the
    sky is made that of gll_iem_v07. They were blurred, if at all, by the PSF3 events' 0.2
    degrees only, less than their 0.46 degree pixels, so they count as not blurred.

    Parameters
    ----------
    data_dir : path
        The shared data directory.
    which : {"O", "A"}
    event_type : str
        Which isotropic spectrum to take.
    """
    if which not in ("O", "A"):
        raise InputError(f"template model {which!r} is none of 'O', 'A'")
    folder = Path(data_dir) / "diffuse" / "nside128"
    try:
        exposure = np.load(folder / "fermidata_exposure.npy")
        shapes = np.stack(
            [np.load(folder / f"template_{c}.npy") for c in (f"{which}pi", f"{which}ic", "bub")]
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: templates cannot be read: {error}") from error
    shapes = shapes / exposure
    shapes /= shapes.mean(1, keepdims=True)
    v07_at, v07 = read_mapcube(
        folder.parent / "gll_iem_v07_240x131.fits", LOWEST_NODE_MEV, nside=64
    )
    target = integrate_power_laws(v07_at, v07, TEMPLATE_EDGES_MEV)[0].astype(float)
    coarse = np.stack([hp.reorder(hp.ud_grade(s, 64), r2n=True) for s in shapes])
    # relative errors, so that the plane does not decide alone
    strengths = nnls((coarse / target).T, np.ones(len(target)))[0]

    lon, lat = hp.pix2ang(DIFFUSE_NSIDE, np.arange(12 * DIFFUSE_NSIDE**2), nest=True, lonlat=True)
    fine = np.stack([hp.get_interp_val(s, lon, lat, lonlat=True) for s in shapes])
    spectra = np.stack(
        [
            f(v07_at) / integrate_power_laws(v07_at, f(v07_at)[:, None], TEMPLATE_EDGES_MEV)
            for f in (_gas_spectrum, _inverse_compton_spectrum, _bubble_spectrum)
        ]
    )[:, 0]
    maps = ((strengths[:, None] * spectra).T @ fine).astype(np.float32)
    maps *= (v07.mean(1, dtype=float) / maps.mean(1, dtype=float)).astype(np.float32)[:, None]
    return DiffuseModel(
        f"model_{which}",
        v07_at,
        maps,
        *isotropic_of(event_type, folder.parent),
        origin=f"nside 128 templates of model {which}, level of gll_iem_v07; isotropic of "
        + event_type,
    )
