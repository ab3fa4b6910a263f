"""Derived instrument tables from the Fermi-LAT calibration (CALDB) files and a livetime cube.

The formulas are those of the Fermi-LAT Cicerone, section "LAT instrument response
functions" (PSF, energy dispersion, livetime-dependent efficiency).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from scipy.special import gamma as gamma_function

from ..errors import InputError
from ..sky.geometry.coverage import icrs_to_galactic
from ..sky.geometry.frame import vectors_to_lonlat
from ..sky.io.files import open_fits
from .instrument import (
    FINE_ENERGIES_MEV,
    PSF_X,
    Instrument,
    ResponseTables,
    psf_scale_deg,
    sin_declination,
)
from .livetime import LivetimeCube, read_livetime

IRF_NAME = "P8R3_SOURCE_V3"
_SIN_DEC = np.linspace(-1.0, 1.0, 41)
_DISPERSION_QUANTILES = 65

REFERENCE_MEV = 3000.0
"""Energy at which it is seen how the exposure differs along a parallel."""

SPLIT = 16
"""Parts of each inclination bin of a livetime cube; with one the PSF is up to 4% too wide."""

_JOINED = 4
"""Of these parts, so many together serve the energy dispersion, which takes most of the time; its
quantiles move by less than 0.4% between 16 and 84%, by 0.7% at the ends."""


def find_caldb_file(
    kind: str, irf: str = IRF_NAME, path: str | Path | None = None, types: str = "FB"
) -> Path:
    """Path of a CALDB file such as ``psf_P8R3_SOURCE_V3_FB.fits``.

    Looked for in `path`, then below $CALDB and below $FERMI_DIR.

    Raises
    ------
    InputError
        When it is in none of them.
    """
    name = f"{kind}_{irf}_{types}.fits"
    roots = [Path(p) for p in (path, os.environ.get("CALDB"), os.environ.get("FERMI_DIR")) if p]
    for root in roots:
        if (root / name).is_file():
            return root / name
        for found in sorted(root.rglob(name)):
            return found
    raise InputError(
        f"{name} not found in {[str(r) for r in roots] or 'any folder'}; "
        "give a folder, or set CALDB or FERMI_DIR"
    )


def instrument_from_caldb(
    caldb: str | Path | None,
    livetime: str | Path | LivetimeCube,
    irf: str = IRF_NAME,
    by_position: bool = False,
) -> Instrument:
    """`Instrument` computed from calibration files and a gtltcube file.

    Parameters
    ----------
    caldb : path or None
        Folder with the aeff, psf and edisp files (None: $CALDB, $FERMI_DIR).
    livetime : path or LivetimeCube
        Averaged over right ascension.
    irf : str
        Name of the response, e.g. P8R3_SOURCE_V3.
    by_position : bool
        Keep how the exposure differs along each parallel, at `REFERENCE_MEV` of FRONT.
    """
    files = _files(caldb, irf, "FB")
    cube = livetime if isinstance(livetime, LivetimeCube) else read_livetime(livetime)
    per_year = livetime_per_year(cube)
    relative = _relative_exposure(files["aeff"], cube) if by_position else None

    def tables(files: dict[str, Path], *event_types: str) -> list[ResponseTables]:
        found = (_response(files, name, *per_year) for name in event_types)
        return [replace(table, relative_exposure=relative) for table in found]

    front, back = tables(files, "FRONT", "BACK")
    try:
        quartiles = _files(caldb, irf, "PSF")
    except InputError:  # FRONT and BACK are all that many need
        return Instrument(irf, front, back)
    return Instrument(irf, front, back, tuple(tables(quartiles, "PSF0", "PSF1", "PSF2", "PSF3")))


def _files(caldb: str | Path | None, irf: str, types: str) -> dict[str, Path]:
    return {kind: find_caldb_file(kind, irf, caldb, types) for kind in ("aeff", "psf", "edisp")}


def _relative_exposure(aeff: Path, cube: LivetimeCube) -> np.ndarray:
    """Exposure over that of its parallel, NESTED Galactic, of a livetime cube."""
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / REFERENCE_MEV)).argmin())
    values = cube.seconds @ _effective_area(aeff, "FRONT", cube.cosines)[k]
    nside = hp.npix2nside(values.size)
    vectors = np.array(hp.pix2vec(nside, np.arange(values.size), nest=True)).T
    return over_parallel(vectors, cube.at(values, *vectors_to_lonlat(vectors @ icrs_to_galactic())))


def over_parallel(vectors: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values over their mean at their declination; vectors (N, 3) are Galactic."""
    sine = sin_declination(vectors)
    mean = np.interp(sine, _SIN_DEC, smooth_in_dec(sine, values))
    # a pointed observation leaves parallels without exposure
    return np.divide(values, mean, out=np.ones_like(mean), where=mean > 0)


def livetime_per_year(cube: LivetimeCube) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Livetime per calendar year against inclination and declination.

    Returns
    -------
    cosines : array (C,)
        Centers of bins in cos(inclination), `SPLIT` of them for each of the file's, which are too
        wide to average a PSF over.
    livetime, weighted : arrays (C, 41)
        Seconds per year in each inclination bin on a grid of sin(declination) from -1 to 1,
        and the same weighted by the livetime fraction.
    """
    sin_dec = np.sin(np.radians(cube.dec_deg))
    per_year = [
        np.array([smooth_in_dec(sin_dec, column) for column in seconds.T]) / cube.years
        for seconds in (cube.seconds, cube.weighted)
    ]
    inside = (np.arange(SPLIT) + 0.5) / SPLIT
    cosines = (cube.low[:, None] + (cube.high - cube.low)[:, None] * inside).ravel()
    livetime, weighted = (np.repeat(values / SPLIT, SPLIT, axis=0) for values in per_year)
    return cosines, livetime, weighted


def smooth_in_dec(sin_dec: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of `values` around each node of the declination grid (triangular window)."""
    step = _SIN_DEC[1] - _SIN_DEC[0]
    weight = np.clip(1.0 - np.abs(sin_dec[None] - _SIN_DEC[:, None]) / step, 0.0, None)
    return (weight @ values) / weight.sum(axis=1)


def _response(
    files: dict[str, Path],
    event_type: str,
    cosines: np.ndarray,
    livetime: np.ndarray,
    weighted: np.ndarray,
) -> ResponseTables:
    area = _effective_area(files["aeff"], event_type, cosines)
    lowered, constant = _efficiency(files["aeff"], event_type)
    # (energy, inclination, declination) cm2 s per year
    parts = area[:, :, None] * (
        lowered[:, None, None] * weighted[None] + constant[:, None, None] * livetime[None]
    )
    weights = parts.mean(axis=2)
    weights /= weights.sum(axis=1, keepdims=True)
    scale, density = _psf(files["psf"], event_type, cosines, weights)
    return ResponseTables(
        sin_dec=_SIN_DEC,
        exposure_per_year=parts.sum(axis=1).astype(np.float32),
        psf_scale_deg=scale,
        psf_density=density.astype(np.float32),
        dispersion=_dispersion(files["edisp"], event_type, cosines, weights).astype(np.float32),
    )


def _grid(row: fits.FITS_record) -> tuple[np.ndarray, np.ndarray]:
    log_energy = 0.5 * np.log10(row["ENERG_LO"].astype(float) * row["ENERG_HI"].astype(float))
    return log_energy, 0.5 * (row["CTHETA_LO"].astype(float) + row["CTHETA_HI"].astype(float))


def _effective_area(path: Path, event_type: str, cosines: np.ndarray) -> np.ndarray:
    """Effective area (energy, inclination) in cm2, bilinear in log energy and cosine."""
    with open_fits(path) as hdus:
        row = hdus[f"EFFECTIVE AREA_{event_type}"].data[0]
        log_energy, centres = _grid(row)
        table = row["EFFAREA"].astype(float) * 1e4
        lowest = float(row["CTHETA_LO"][0])
    along = np.array([np.interp(np.log10(FINE_ENERGIES_MEV), log_energy, t) for t in table])
    area = np.array([np.interp(cosines, centres, a) for a in along.T])
    area[:, cosines < lowest] = 0.0
    return area


def _efficiency(path: Path, event_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Factors of livetime-weighted and plain livetime in the exposure, per energy."""
    with open_fits(path) as hdus:
        rows = hdus[f"EFFICIENCY_PARAMS_{event_type}"].data["EFFICIENCY_PARS"].astype(float)
    factors = []
    for a0, b0, a1, break1, a2, break2 in rows:
        b1 = (a0 - a1) * break1 + b0
        b2 = (a1 - a2) * break2 + b1
        x = np.log10(FINE_ENERGIES_MEV)
        factors.append(
            np.where(x < break1, a0 * x + b0, np.where(x < break2, a1 * x + b1, a2 * x + b2))
        )
    return factors[0], factors[1]


def king(x: np.ndarray, sigma: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """King function without its norm, as the LAT tables use it (amplitude form)."""
    return (1.0 - 1.0 / gamma) * (1.0 + 0.5 * (x / sigma) ** 2 / gamma) ** -gamma


def _psf(
    path: Path, event_type: str, cosines: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inclination-averaged PSF: scale (energy,) in deg, density (energy, x) per unit x area."""
    with open_fits(path) as hdus:
        row = hdus[f"RPSF_{event_type}"].data[0]
        log_energy, centres = _grid(row)
        table = {name: row[name].astype(float) for name in row.array.names[4:]}
        c0, c1, index = hdus[f"PSF_SCALING_PARAMS_{event_type}"].data["PSFSCALE"][0].astype(float)
    x = PSF_X[None, None, :]
    core = king(x, table["SCORE"][..., None], table["GCORE"][..., None])
    tail = king(x, table["STAIL"][..., None], table["GTAIL"][..., None])
    shapes = core + table["NTAIL"][..., None] * tail
    shapes /= np.trapezoid(shapes * 2.0 * np.pi * PSF_X, PSF_X, axis=-1)[..., None]
    nearest = np.abs(cosines[:, None] - centres[None]).argmin(axis=1)
    density = np.empty((len(FINE_ENERGIES_MEV), PSF_X.size))
    for k, energy in enumerate(np.log10(FINE_ENERGIES_MEV)):
        j = int(np.clip(np.searchsorted(log_energy, energy) - 1, 0, log_energy.size - 2))
        f = float(np.clip((energy - log_energy[j]) / (log_energy[j + 1] - log_energy[j]), 0, 1))
        averaged = (1 - f) * shapes[nearest, j] + f * shapes[nearest, j + 1]
        density[k] = weights[k] @ averaged
    return psf_scale_deg(FINE_ENERGIES_MEV, c0, c1, index), density


def _dispersion(
    path: Path, event_type: str, cosines: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Quantiles (energy, 65) of reconstructed over true energy, averaged over inclination.

    The outermost two lie where an even draw between them and their neighbours has the mean of the
    tail. At the ends of the table they would move a percent of a steep spectrum to energies where
    it has no photons.
    """
    with open_fits(path) as hdus:
        row = hdus[f"ENERGY DISPERSION_{event_type}"].data[0]
        log_energy, centres = _grid(row)
        table = {name: row[name].astype(float) for name in row.array.names[4:]}
        scale = hdus[f"EDISP_SCALING_PARAMS_{event_type}"].data["EDISPSCALE"][0].astype(float)
    cosines = cosines.reshape(-1, _JOINED).mean(axis=1)
    weights = weights.reshape(len(weights), -1, _JOINED).sum(axis=2)
    ratio = np.linspace(0.2, 2.5, 2301)
    levels = np.linspace(0.0, 1.0, _DISPERSION_QUANTILES)
    nearest = np.abs(cosines[:, None] - centres[None]).argmin(axis=1)
    quantiles = np.empty((len(FINE_ENERGIES_MEV), levels.size))
    for k, energy in enumerate(np.log10(FINE_ENERGIES_MEV)):
        j = int(np.clip(np.searchsorted(log_energy, energy) - 1, 0, log_energy.size - 2))
        f = float(np.clip((energy - log_energy[j]) / (log_energy[j + 1] - log_energy[j]), 0, 1))
        width = (
            scale[0] * energy**2
            + scale[1] * cosines**2
            + scale[2] * energy
            + scale[3] * cosines
            + scale[4] * energy * cosines
            + scale[5]
        )
        density = np.zeros((len(cosines), len(ratio)))
        for node, share in ((j, 1.0 - f), (j + 1, f)):
            entry = {name: t[nearest, node][:, None] for name, t in table.items()}
            part = _dispersion_density((ratio[None] - 1.0) / width[:, None], entry)
            density += share * part / np.trapezoid(part, ratio, axis=1)[:, None]
        averaged = weights[k] @ density
        steps = 0.5 * np.diff(ratio) * (averaged[1:] + averaged[:-1])
        cumulative = np.concatenate([[0.0], np.cumsum(steps)])
        cumulative /= cumulative[-1]
        unique, first = np.unique(cumulative, return_index=True)
        quantiles[k] = np.interp(levels, unique, ratio[first])
        moment = np.concatenate([[0.0], np.cumsum(0.5 * (ratio[1:] + ratio[:-1]) * steps)])
        moment = np.interp(quantiles[k], ratio, moment / steps.sum())
        lowest, highest = np.diff(moment)[[0, -1]] / levels[1]
        quantiles[k, [0, -1]] = 2.0 * np.array([lowest, highest]) - quantiles[k, [1, -2]]
    return quantiles


def _dispersion_density(x: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    def lobe(s: np.ndarray, k: np.ndarray, b: np.ndarray, index: np.ndarray) -> np.ndarray:
        norm = index / (s * gamma_function(1.0 / index)) * k / (1.0 + k**2)
        distance = np.abs(x - b)
        side = np.where(x >= b, k, 1.0 / k)
        return norm * np.exp(-((side * distance / s) ** index))

    first = lobe(p["S1"], p["K1"], p["BIAS"], p["PINDEX1"])
    second = lobe(p["S2"], p["K2"], p["BIAS2"], p["PINDEX2"])
    return p["F"] * first + (1.0 - p["F"]) * second
