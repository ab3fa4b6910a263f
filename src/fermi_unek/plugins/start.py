"""The spectrum a model starts from where a catalog holds no fitted one.

A search measures no flux, and the catalog says so with NaN; a model must have numbers. Both
faces put in the power law with which fermipy's own source finder starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table

START: dict[str, float] = {
    "Pivot_Energy": 1000.0,
    "PL_Flux_Density": 1e-13,
    "PL_Index": 2.0,
}
"""MeV, photons / cm2 / MeV / s, and photon index: about 1e-10 / cm2 / s from 1 to 100 GeV."""

_PARAMETERS = {
    "PowerLaw": ("PL_Flux_Density", "PL_Index"),
    "LogParabola": ("LP_Flux_Density", "LP_Index", "LP_beta"),
    "PLSuperExpCutoff": (
        "PLEC_Flux_Density",
        "PLEC_IndexS",
        "PLEC_ExpfactorS",
        "PLEC_Exp_Index",
    ),
}
"""Columns that a model of each form is made of, beside Pivot_Energy."""


def has_spectrum(row: Mapping[str, Any]) -> bool:
    """Whether a row of a catalog holds all numbers of the spectrum it names."""
    columns = ("Pivot_Energy", *_PARAMETERS.get(str(row["SpectrumType"]).strip(), ()))
    # a quantity of any unit, or a bare number
    values = [float(getattr(row[name], "value", row[name])) for name in columns]
    return len(columns) > 1 and bool(np.all(np.isfinite(values)))


def with_start_spectra(table: Table) -> Table:
    """A copy of a catalog's table in which every row without a spectrum has the start one.

    Parameters
    ----------
    table : astropy Table
        In the schema of `catalog.schema`; may have no rows.
    """
    table = table.copy()
    unknown = np.array([not has_spectrum(row) for row in table], dtype=bool)
    table["SpectrumType"][unknown] = "PowerLaw"
    for name, value in START.items():
        table[name][unknown] = value
    return table
