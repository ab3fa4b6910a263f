"""PSF tables of gtpsf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..sky.io.files import open_fits
from ..sky.units import column


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
        psf, theta = hdus["PSF"], hdus["THETA"]
        energies = column(psf, "Energy", "MeV", str(path), "MeV")
        density = column(psf, "Psf", "sr-1", str(path), "sr-1").reshape(len(energies), -1)
        exposure = column(psf, "Exposure", "cm2 s", str(path), "cm2 s")
        angles = column(theta, "Theta", "deg", str(path), "deg")
    if len(energies) < 2 or density.shape[1] != len(angles) or not np.all(density.sum(axis=1) > 0):
        raise InputError(
            f"{path}: a PSF of shape {density.shape} at {len(energies)} energies and "
            f"{len(angles)} angles, expected at least two energies and no empty one"
        )
    return PsfTable(path, energies, angles, density, exposure)
