"""Exposure maps of gtexpcube2 and PSF tables of gtpsf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from ..errors import InputError
from ..sky.bins import YEAR_S
from ..sky.geometry.coverage import icrs_to_galactic
from ..sky.geometry.frame import vectors_to_lonlat
from ..sky.io.files import open_fits
from ..sky.io.wcs import celestial_wcs
from .instrument import FINE_ENERGIES_MEV


@dataclass(frozen=True)
class ExposureMap:
    """Exposure of one kind of events over (part of) the sky.

    Attributes
    ----------
    path : Path
    energies_mev : array (M,)
    values : float32 array (M, rows, columns) or (M, npix)
        cm2 s; with one spatial axis RING HEALPIX.
    wcs : WCS or None
        Of the first kind of values; None for HEALPIX.
    galactic : bool
        Whether HEALPIX values are Galactic; else equatorial.
    """

    path: Path
    energies_mev: np.ndarray
    values: np.ndarray
    wcs: WCS | None
    galactic: bool = True

    def at(self, vectors: np.ndarray) -> np.ndarray:
        """Exposure (45, N), cm2 s, at the package's true energies; power laws in between.

        Past the ends of a map that is not of the whole sky its nearest value serves.
        """
        planes = np.log(np.maximum(self._planes(vectors), 1e-30))
        place = np.interp(
            np.log(FINE_ENERGIES_MEV), np.log(self.energies_mev), np.arange(len(planes))
        )
        low = np.minimum(place.astype(int), max(len(planes) - 2, 0))
        part = (place - low)[:, None]
        high = np.minimum(low + 1, len(planes) - 1)
        return np.exp(planes[low] * (1 - part) + planes[high] * part)

    def _planes(self, vectors: np.ndarray) -> np.ndarray:
        """Values (M, N) at Galactic unit vectors (N, 3)."""
        if self.wcs is None:
            turned = vectors if self.galactic else vectors @ icrs_to_galactic()
            theta, phi = hp.vec2ang(turned)
            return np.stack([hp.get_interp_val(plane, theta, phi) for plane in self.values])
        turned = vectors if self.wcs.wcs.lngtyp == "GLON" else vectors @ icrs_to_galactic()
        x, y = self.wcs.wcs_world2pix(*vectors_to_lonlat(turned), 0)
        height, width = self.values.shape[1:]
        turn = 360.0 / abs(self.wcs.wcs.cdelt[0])
        if width > turn - 1.5:  # a whole turn: the columns close
            x = (x + 0.5) % turn - 0.5
        at = np.stack([np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)])
        return np.stack([map_coordinates(p, at, order=1, mode="nearest") for p in self.values])


def livetime_years(path: str | Path) -> float | None:
    """Calendar years that a gtltcube file spans; None where the file is none.

    Raises
    ------
    InputError
        Such a file that does not say when it begins and ends.
    """
    with open_fits(Path(path)) as hdus:
        if "EXPOSURE" not in hdus or "CTHETABOUNDS" not in hdus:
            return None
        header = hdus["EXPOSURE"].header
        if not header.get("TSTOP", 0.0) > header.get("TSTART", 0.0):
            raise InputError(f"{path}: a livetime cube without TSTART and TSTOP in its header")
        return float(header["TSTOP"] - header["TSTART"]) / YEAR_S


def read_exposure(path: str | Path) -> ExposureMap:
    """A gtexpcube2 map, WCS or HEALPIX.

    Raises
    ------
    InputError
        The file is no such map.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        energies = _energies(hdus, path)
        table = next((h for h in hdus if h.header.get("PIXTYPE") == "HEALPIX"), None)
        if table is not None:
            return _healpix_exposure(path, table, energies)
        image = next((h for h in hdus if h.is_image and h.header.get("NAXIS") == 3), None)
        if image is None or len(energies) != image.shape[0]:
            raise InputError(
                f"{path}: holds no exposure map of {len(energies)} energies, expected what "
                "gtexpcube2 writes"
            )
        values = np.asarray(image.data, np.float32)
        return ExposureMap(path, energies, values, celestial_wcs(path, image.header))


def _energies(hdus: fits.HDUList, path: Path) -> np.ndarray:
    for name in ("ENERGIES", "EBOUNDS"):
        if name not in hdus:
            continue
        data = hdus[name].data
        if "Energy" in data.names or "ENERGY" in data.names:
            return np.asarray(data["Energy"], float)
        if name == "EBOUNDS":  # binned exposure maps of fermipy: keV
            return np.sqrt(np.asarray(data["E_MIN"], float) * data["E_MAX"]) / 1e3
    raise InputError(f"{path}: has no ENERGIES table, expected an exposure map of gtexpcube2")


def _healpix_exposure(path: Path, table: fits.BinTableHDU, energies: np.ndarray) -> ExposureMap:
    header = table.header
    names = [n for n in table.columns.names if n.upper() not in ("PIX", "PIXEL", "HPXINDEX")]
    planes = np.stack([np.asarray(table.data[n], np.float32).ravel() for n in names])
    if len(names) == 1:
        planes = np.asarray(table.data[names[0]], np.float32).reshape(len(table.data), -1).T
    if len(planes) != len(energies) or not hp.isnpixok(planes.shape[1]):
        raise InputError(
            f"{path}: {planes.shape[1]} pixels at {len(planes)} of {len(energies)} energies, "
            "expected a HEALPIX exposure map of the whole sky"
        )
    if header["ORDERING"].strip().upper().startswith("NEST"):
        planes = np.stack([hp.reorder(plane, n2r=True) for plane in planes])
    galactic = str(header.get("COORDSYS", "GAL")).strip().upper().startswith("G")
    return ExposureMap(path, energies, planes, None, galactic)


@dataclass(frozen=True)
class PsfTable:
    """A gtpsf file.

    Attributes
    ----------
    path : Path
    energies_mev : array (M,)
    theta_deg : array (T,)
    density : array (M, T)
        Per sr.
    exposure : array (M,)
        cm2 s at the place the file was made for; 0 where not told.
    """

    path: Path
    energies_mev: np.ndarray
    theta_deg: np.ndarray
    density: np.ndarray
    exposure: np.ndarray

    def at(self, energy_mev: float, theta_deg: np.ndarray) -> np.ndarray:
        """PSF per sr at an energy and angles; zero beyond the table."""
        place = np.interp(
            np.log(energy_mev), np.log(self.energies_mev), np.arange(len(self.energies_mev))
        )
        low = min(int(place), len(self.energies_mev) - 2)
        part = place - low
        row = self.density[low] * (1 - part) + self.density[low + 1] * part
        return np.interp(theta_deg, self.theta_deg, row, right=0.0)


def read_psf(path: str | Path) -> PsfTable:
    """A gtpsf file (tables PSF and THETA).

    Raises
    ------
    InputError
        The file is no such thing.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        if "PSF" not in hdus or "THETA" not in hdus:
            raise InputError(f"{path}: has no tables PSF and THETA, expected what gtpsf writes")
        psf, theta = hdus["PSF"].data, hdus["THETA"].data
        energies = np.asarray(psf["Energy"], float)
        density = np.asarray(psf["Psf"], float).reshape(len(energies), -1)
        exposure = np.asarray(psf["Exposure"], float)
        angles = np.asarray(theta["Theta"], float)
    if len(energies) < 2 or density.shape[1] != len(angles) or not np.all(density.sum(axis=1) > 0):
        raise InputError(
            f"{path}: a PSF of shape {density.shape} at {len(energies)} energies and "
            f"{len(angles)} angles, expected at least two energies and no empty one"
        )
    return PsfTable(path, energies, angles, density, exposure)
