"""Source lists: the real 4FGL-DR2 sky, new skies resampled from it, and their faint tail.

A population is an astropy table with the spectral columns of 4FGL. Faint sources continue the
counts of DR2 at abs(b) > 20 deg, where N(>S) = 3.4e-7 / S per 27,140 square degrees holds from
5e-9 down to DR2's threshold near 2e-10 ph cm-2 s-1 (1 to 100 GeV).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack

from ..catalog.releases import load_release
from ..catalog.spectra import SPECTRUM_TYPES, energy_flux, photon_flux
from ..catalog.tables import column_names, source_table
from ..errors import InputError, UnekWarning
from ..sky.io.files import open_fits

SPECTRAL_COLUMNS = (
    "Pivot_Energy", "SpectrumType", "PL_Flux_Density", "PL_Index", "LP_Flux_Density", "LP_Index",
    "LP_beta", "PLEC_Flux_Density", "PLEC_Index", "PLEC_Expfactor", "PLEC_Exp_Index",
)  # fmt: skip
PLEC_COLUMNS_DR3 = ("PLEC_IndexS", "PLEC_ExpfactorS")
"""What DR3 and later have instead of PLEC_Index and PLEC_Expfactor."""
COLUMNS = ("Source_Name", "GLON", "GLAT", "Signif_Avg", *SPECTRAL_COLUMNS, "CLASS1")
_NORMS = ("PL_Flux_Density", "LP_Flux_Density", "PLEC_Flux_Density")
_GALACTIC = ("psr", "msp", "pwn", "snr", "spp", "glc", "hmb", "lmb", "bin", "sfr", "nov", "unk")
_UNLIKE = 100.0  # factor on a flux that no edit of a spectrum explains
_COUNTS_AT_1 = 3.4e-7 / 0.658
_TAIL_FLUX = (2e-11, 6e-10)
_BREAK_FLUX, _SLOPE_BELOW = 1e-10, 0.9


def dr2_table() -> Table:
    """The rows of 4FGL-DR2 with the columns of `COLUMNS`, extended sources left out."""
    table = load_release("4FGL-DR2")
    return select_columns(table[np.asarray(table["Extended_Source_Name"]) == ""], COLUMNS)


def select_columns(table: Table, names: tuple[str, ...]) -> Table:
    """Columns of a LAT catalog that it has, classes in lower case."""
    clean = Table({name: np.asarray(table[name]) for name in names if name in table.colnames})
    for name in {"Source_Name", "SpectrumType", "CLASS1"} & set(clean.colnames):
        clean[name] = np.char.strip(np.asarray(clean[name]).astype("U24"))
    if "CLASS1" in clean.colnames:
        clean["CLASS1"] = np.char.lower(np.asarray(clean["CLASS1"]))
    if "SpectrumType" in clean.colnames:
        # what the first 4FGL called by gtlike's name, DR2 calls by its own
        kinds = np.asarray(clean["SpectrumType"])
        clean["SpectrumType"] = np.where(kinds == "PLSuperExpCutoff2", "PLSuperExpCutoff", kinds)
    return clean


def read_population(path: str | Path) -> Table:
    """A user's own source list: a FITS table with the spectral columns of 4FGL.

    Any 4FGL release, a part of one, or the truth.fits of another simulation. Extended sources
    are left out; CLASS1, Signif_Avg and names may be missing.

    Parameters
    ----------
    path : path

    Returns
    -------
    Table
        A population, made `complete`; of no row when the list is empty.

    Raises
    ------
    InputError
        No such file, not FITS (`userlist` reads XML and YAML), no table of sources in it, a
        column missing or of no known unit, or no source that can be used.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        number = next((i for i, hdu in enumerate(hdus) if _lists_sources(hdu)), None)
        if number is None:
            raise InputError(
                f"{path}: no table with a column SpectrumType, expected a source list like 4FGL"
            )
        table = source_table(hdus[number], path)
        _add_missing(table)
        names: tuple[str, ...] = COLUMNS
        if "PLEC_Expfactor" not in table.colnames:
            later = dict(zip(("PLEC_Index", "PLEC_Expfactor"), PLEC_COLUMNS_DR3, strict=True))
            names = tuple(later.get(name, name) for name in COLUMNS)
        missing = [name for name in names if name not in table.colnames]
        if missing:
            raise InputError(f"{path}: the source list has no column {', '.join(missing)}")
        clean = select_columns(table, (*names, "Flux1000"))
        if "Extended_Source_Name" in table.colnames:
            extended = np.char.strip(np.asarray(table["Extended_Source_Name"]).astype(str)) != ""
            clean = clean[~extended]
        return complete(_usable(path, clean))


def _check_level(path: Path, table: Table, flux: np.ndarray) -> None:
    """InputError where Flux1000 is of another unit than the spectra: neither need state one."""
    if "Flux1000" not in table.colnames:
        return
    with np.errstate(all="ignore"):
        ratio = np.asarray(table["Flux1000"], float) / flux
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if len(ratio) and not 1 / _UNLIKE < np.median(ratio) < _UNLIKE:
        raise InputError(
            f"{path}: Flux1000 and the flux of the spectra (their flux densities, cm-2 s-1 MeV-1) "
            f"contradict each other by a factor of {np.median(ratio):.3g}; are the units right?"
        )


def _lists_sources(hdu: fits.BinTableHDU) -> bool:
    return "SpectrumType" in column_names(hdu)


def _add_missing(table: Table) -> None:
    """Columns that can be done without, and Galactic positions from celestial ones."""
    if "GLON" not in table.colnames and {"RAJ2000", "DEJ2000"} <= set(table.colnames):
        ra, dec = (np.asarray(table[name], float) for name in ("RAJ2000", "DEJ2000"))
        dec[np.abs(dec) > 90.0] = np.nan  # costs that source, not the list
        place = SkyCoord(ra, dec, unit="deg", frame="icrs").galactic
        table["GLON"], table["GLAT"] = place.l.deg, place.b.deg
    for name, value in (("Source_Name", ""), ("CLASS1", ""), ("Signif_Avg", np.nan)):
        if name not in table.colnames:
            table[name] = np.full(len(table), value)


def _usable(path: Path, table: Table) -> Table:
    """The sources that have a place, and a spectrum of 4FGL with flux from 1 to 100 GeV.

    What is wrong with one costs that one, with a warning; `InputError` where none is left.
    """
    known = np.isin(np.asarray(table["SpectrumType"]), SPECTRUM_TYPES)
    with np.errstate(all="ignore"):
        flux = photon_flux(table)
    _check_level(path, table, flux)
    good = known & np.isfinite(flux) & (flux > 0)
    good &= np.isfinite(table["GLON"]) & (np.abs(table["GLAT"]) <= 90.0)
    if good.all():
        return table
    first = int(np.flatnonzero(~good)[0])
    reason = (
        "no position or no flux between 1 and 100 GeV"
        if known[first]
        else f"SpectrumType {str(table['SpectrumType'][first])!r}, which is none of "
        + ", ".join(SPECTRUM_TYPES)
    )
    told = f"{np.sum(~good)} of {len(table)} sources, the first in row {first}, have {reason}"
    if not good.any():
        raise InputError(f"{path}: {told}")
    warnings.warn(f"{path}: left out {told}", UnekWarning, stacklevel=4)
    return table[good]


def dr2_population(rng: np.random.Generator, tail: bool = True) -> Table:
    """The real DR2 sources at their places, with the faint sources DR2 does not list.

    Parameters
    ----------
    rng : Generator
        Draws the tail.
    tail : bool
        False leaves the catalog alone.
    """
    real = dr2_table()
    return complete(vstack([real, faint_tail(real, rng)]) if tail else real)


def resampled_population(rng: np.random.Generator) -> Table:
    """A new sky: DR2's spectra at new places and slightly other fluxes, and a faint tail."""
    real = dr2_table()
    galactic = is_galactic(real)
    high = ~galactic & (np.abs(real["GLAT"]) > 10.0)
    number = rng.poisson(high.sum() / (1.0 - np.sin(np.radians(10.0))))
    isotropic = real[rng.choice(np.flatnonzero(high), number)]
    isotropic["GLON"], isotropic["GLAT"] = isotropic_positions(number, rng)
    plane = real[rng.choice(np.flatnonzero(galactic), rng.poisson(galactic.sum()))]
    plane["GLON"], plane["GLAT"] = plane_positions(plane, rng)
    fresh = vstack([isotropic, plane])
    scale(fresh, np.exp(rng.normal(0.0, 0.25, len(fresh))))
    fresh["Signif_Avg"] = np.nan
    # at another place it is another source
    fresh["Source_Name"] = ""
    return complete(vstack([fresh, faint_tail(real, rng)]))


def is_galactic(table: Table) -> np.ndarray:
    """Rows that follow the Milky Way: Galactic classes, and anything unnamed near the plane."""
    named = np.isin(table["CLASS1"], _GALACTIC)
    return named | ((table["CLASS1"] == "") & (np.abs(table["GLAT"]) < 10.0))


def isotropic_positions(number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes, degrees, uniform on the sphere."""
    return rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))


def plane_positions(table: Table, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """New places for Galactic rows: mirrored at random, moved along, latitude rescaled."""
    signs = rng.choice([-1.0, 1.0], (2, len(table)))
    lon = signs[0] * np.asarray(table["GLON"], float) + rng.normal(0.0, 8.0, len(table))
    stretched = np.asarray(table["GLAT"], float) * np.exp(rng.normal(0.0, 0.3, len(table)))
    lat = signs[1] * stretched + rng.normal(0.0, 0.1, len(table))
    return lon % 360.0, np.clip(lat, -89.9, 89.9)


def scale(table: Table, factor: np.ndarray) -> None:
    """Multiply the flux of each row in place."""
    for name in _NORMS:
        table[name] = np.asarray(table[name], float) * factor


def faint_tail(real: Table, rng: np.random.Generator) -> Table:
    """Sources below DR2's threshold: what the counts law predicts less what DR2 lists.

    Spectra are those of DR2's faint isotropic sources; uniform over the sphere, and one in
    eight along the plane.
    """
    edges = np.geomspace(*_TAIL_FLUX, 36)
    flux = photon_flux(real)
    high = (np.abs(real["GLAT"]) > 20.0) & ~is_galactic(real)
    listed = np.histogram(flux[high], edges)[0] / (1.0 - np.sin(np.radians(20.0)))
    missing = np.clip(-np.diff(_cumulative_counts(edges)) - listed, 0.0, None)
    numbers = rng.poisson(missing * 9.0 / 8.0)
    wanted = np.concatenate(
        [np.exp(rng.uniform(np.log(lo), np.log(hi), n))
         for lo, hi, n in zip(edges[:-1], edges[1:], numbers, strict=True)]
    )  # fmt: skip
    faint = np.flatnonzero(high & (flux < np.median(flux[high])))
    tail = real[rng.choice(faint, wanted.size)]
    scale(tail, wanted / photon_flux(tail))
    along_plane = rng.random(wanted.size) < 1.0 / 9.0
    tail["GLON"], tail["GLAT"] = isotropic_positions(wanted.size, rng)
    hosts = real[rng.choice(np.flatnonzero(is_galactic(real)), int(along_plane.sum()))]
    tail["GLON"][along_plane], tail["GLAT"][along_plane] = plane_positions(hosts, rng)
    tail["Signif_Avg"] = np.nan
    tail["Source_Name"] = ""
    return tail


def _cumulative_counts(flux: np.ndarray) -> np.ndarray:
    """Sources on the whole sphere above a flux (1 to 100 GeV, ph cm-2 s-1)."""
    above = _COUNTS_AT_1 / np.maximum(flux, _BREAK_FLUX)
    below = (np.minimum(flux, _BREAK_FLUX) / _BREAK_FLUX) ** -_SLOPE_BELOW - 1.0
    return above + _COUNTS_AT_1 / _BREAK_FLUX / _SLOPE_BELOW * below


def complete(table: Table) -> Table:
    """Add celestial positions, fluxes and names of unnamed rows to a population."""
    sky = SkyCoord(table["GLON"], table["GLAT"], unit="deg", frame="galactic").icrs
    table["RAJ2000"], table["DEJ2000"] = sky.ra.deg, sky.dec.deg
    table["Flux1000"] = photon_flux(table)
    table["Energy_Flux100"] = energy_flux(table)
    names = np.asarray(table["Source_Name"]).astype("U24")
    blank = names == ""
    names[blank] = [f"SIM {i:05d}" for i in np.flatnonzero(blank)]
    table["Source_Name"] = names
    return table
