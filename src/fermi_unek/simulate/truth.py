"""The sources behind a simulated sky, with what a perfect analysis could know of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.io.files import write_fits
from .population import PLEC_COLUMNS_DR3, SPECTRAL_COLUMNS
from .skymodel import SkyModel

LOWEST_TS = 1.0
"""Sources of less ideal TS are left out of the truth: nine in ten of the faint tail, which
nothing can detect; what counts as a true source begins at 9."""

_FIRST = ("Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Signif_Avg", "Flux1000",
          "Energy_Flux100")  # fmt: skip
_UNITS = {
    "RAJ2000": "deg", "DEJ2000": "deg", "GLON": "deg", "GLAT": "deg", "Flux1000": "cm-2 s-1",
    "Energy_Flux100": "erg cm-2 s-1", "Pivot_Energy": "MeV",
    **dict.fromkeys(("PL_Flux_Density", "LP_Flux_Density", "PLEC_Flux_Density"),
                    "cm-2 MeV-1 s-1"),
}  # fmt: skip


def truth_table(
    model: SkyModel,
    years: float,
    inside: np.ndarray | None = None,
    factors: np.ndarray | None = None,
) -> Table:
    """The sources of a model that a simulation of it may be judged by.

    Parameters
    ----------
    model : SkyModel
    years : float
        Live time in calendar years.
    inside : bool array (N,) or None
        Sources that lie in the simulated field; None is all of them.
    factors : array (N, number of years) or None
        Flux of each source in each year over its mean, where it varies.

    Returns
    -------
    Table
        Source_Name, RAJ2000, DEJ2000, GLON, GLAT, Signif_Avg (4FGL-DR2's, NaN for sources it
        does not have), Flux1000, Energy_Flux100, the spectral columns of 4FGL, CLASS1,
        Ideal_TS, Ideal_TS_Bin (6,) and Npred (6,), the expected photons, and of a sky that varies
        Flux_Factor (years,), the yearly flux over its mean; in order of falling Ideal_TS, from
        `LOWEST_TS` on. Of no row where there is none.
    """
    ideal_ts = model.ideal_ts * years
    total = ideal_ts.sum(axis=1)
    rows = np.flatnonzero(total > LOWEST_TS if inside is None else (total > LOWEST_TS) & inside)
    rows = rows[np.argsort(-total[rows], kind="stable")]
    names = [*_FIRST, *SPECTRAL_COLUMNS, *PLEC_COLUMNS_DR3, "CLASS1"]
    table = model.sources[[name for name in names if name in model.sources.colnames]][rows]
    for name in table.colnames:
        table[name].unit = _UNITS.get(name)
    table["Ideal_TS"] = total[rows]
    table["Ideal_TS_Bin"] = ideal_ts[rows]
    table["Npred"] = (model.expected_counts * years)[rows]
    if factors is not None:
        table["Flux_Factor"] = factors[rows].astype(np.float32)
    return table


def write_truth(
    table: Table,
    path: str | Path,
    keywords: Mapping[str, str | int | float],
    *,
    extended: Table | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a truth table as the first extension of a FITS file, in Fermi's manner.

    Parameters
    ----------
    table : Table
        From `truth_table`.
    path : path
    keywords : mapping
        What goes into the header: how the sky was made.
    extended : Table or None
        Extended sources that are in the sky as well, for a second extension EXTENDED.
    overwrite : bool

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or it cannot be written.
    """
    hdu = fits.table_to_hdu(table)
    hdu.name = "TRUTH"
    hdu.header["TSMIN"] = (LOWEST_TS, "least Ideal_TS of the sources listed")
    hdu.header["EDGES"] = (
        ",".join(f"{edge:g}" for edge in ENERGY_EDGES_MEV),
        "MeV",
    )
    for key, value in keywords.items():
        hdu.header[key] = value
    hdu.header["COMMENT"] = "Simulated by fermi-unek; not a Fermi-LAT collaboration product."
    hdus = [fits.PrimaryHDU(), hdu]
    if extended is not None:
        hdus.append(fits.table_to_hdu(extended))
        hdus[-1].name = "EXTENDED"
    return write_fits(hdus, path, overwrite=overwrite)
