"""Spectra of 4FGL as functions of energy, and their photon flux in the true-energy bins."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..irf.instrument import FINE_EDGES_MEV

SPECTRUM_TYPES = ("PowerLaw", "LogParabola", "PLSuperExpCutoff")
"""What SpectrumType may say; another one is taken for a power law."""

MEV_TO_ERG = 1.602176634e-6
_POINTS_PER_BIN = 5


def differential_flux(table: Table, energies_mev: np.ndarray) -> np.ndarray:
    """dN/dE of each row of a 4FGL table by its own SpectrumType.

    Formulas as in Abdollahi et al. 2020, ApJS 247, 33, eq. 2-4 (DR1 and DR2), and
    Abdollahi et al. 2022, ApJS 260, 53, eq. 4 for the PLEC of DR3 and later
    (columns PLEC_IndexS and PLEC_ExpfactorS).

    Parameters
    ----------
    table : Table
        N rows with the columns of 4FGL.
    energies_mev : array (E,)

    Returns
    -------
    array (N, E), ph cm-2 s-1 MeV-1
    """
    kind = np.char.strip(np.asarray(table["SpectrumType"]).astype(str))
    ratio = np.asarray(energies_mev, float)[None] / _column(table, "Pivot_Energy")
    flux = _column(table, "PL_Flux_Density") * ratio ** -_column(table, "PL_Index")
    curved = kind == "LogParabola"
    if curved.any():
        rows, x = table[curved], ratio[curved]
        index = _column(rows, "LP_Index") + _column(rows, "LP_beta") * np.log(x)
        flux[curved] = _column(rows, "LP_Flux_Density") * x**-index
    cut = kind == "PLSuperExpCutoff"
    if cut.any():
        flux[cut] = _plec(table[cut], ratio[cut])
    return flux


def _column(table: Table, name: str) -> np.ndarray:
    return np.asarray(table[name], float)[:, None]


def _plec(rows: Table, x: np.ndarray) -> np.ndarray:
    norm, b = _column(rows, "PLEC_Flux_Density"), _column(rows, "PLEC_Exp_Index")
    if "PLEC_Expfactor" in rows.colnames:
        pivot = _column(rows, "Pivot_Energy")
        factor = _column(rows, "PLEC_Expfactor")
        exponent = factor * (pivot**b - (x * pivot) ** b)
        return norm * x ** -_column(rows, "PLEC_Index") * np.exp(exponent)
    d = _column(rows, "PLEC_ExpfactorS")
    index = -_column(rows, "PLEC_IndexS") + d / b
    return norm * x**index * np.exp(d / b**2 * (1.0 - x**b))


def fine_flux(table: Table) -> np.ndarray:
    """Photon flux (N, 45) of each row in the true-energy bins, ph cm-2 s-1."""
    inside = (np.arange(_POINTS_PER_BIN) + 0.5) / _POINTS_PER_BIN
    log_edges = np.log(FINE_EDGES_MEV)
    width = np.diff(log_edges)
    energies = np.exp(log_edges[:-1, None] + inside * width[:, None])
    values = differential_flux(table, energies.ravel()) * energies.ravel()
    return values.reshape(len(table), *energies.shape).mean(axis=2) * width


def photon_flux(table: Table, low_mev: float = 1e3, high_mev: float = 1e5) -> np.ndarray:
    """Photon flux (N,) between two energies, ph cm-2 s-1; 4FGL's Flux1000 by default."""
    edges = np.linspace(np.log(low_mev), np.log(high_mev), 201)
    energies = np.exp(0.5 * (edges[1:] + edges[:-1]))
    return (differential_flux(table, energies) * energies).sum(axis=1) * (edges[1] - edges[0])


def energy_flux(table: Table, low_mev: float = 1e2, high_mev: float = 1e5) -> np.ndarray:
    """Energy flux (N,) between two energies, erg cm-2 s-1; Energy_Flux100 by default."""
    edges = np.linspace(np.log(low_mev), np.log(high_mev), 301)
    energies = np.exp(0.5 * (edges[1:] + edges[:-1]))
    total = (differential_flux(table, energies) * energies**2).sum(axis=1)
    return total * (edges[1] - edges[0]) * MEV_TO_ERG
