"""Places of a table that are said twice, in two frames, must be the same."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.table import Table

from ..errors import InputError, UnekWarning
from ..sky.geometry.coverage import icrs_to_galactic
from ..sky.geometry.frame import lonlat_to_vectors

COLUMNS = ("RAJ2000", "DEJ2000", "GLON", "GLAT")
_A_LIST = 20  # sources of which chance does not make such a range
_OF_EXTENDED_DEG = 0.1  # 4FGL-DR3 has two centers of MSH 15-56
_MOST_APART_DEG = 0.02  # rounding of columns; a place that was edited in one frame is further off


def check_places(table: Table, where: object) -> None:
    """InputError where equatorial and Galactic places of a source contradict each other."""
    if not len(table) or not set(COLUMNS) <= set(table.colnames):
        return
    ra, dec, lon, lat = (np.asarray(table[name], float) for name in COLUMNS)
    chord = np.linalg.norm(
        lonlat_to_vectors(ra, dec) @ icrs_to_galactic().T - lonlat_to_vectors(lon, lat), axis=-1
    )
    apart = np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)))
    apart[(np.abs(dec) > 90.0) | (np.abs(lat) > 90.0)] = np.nan  # is no place
    most = _OF_EXTENDED_DEG if "Model_SemiMajor" in table.colnames else _MOST_APART_DEG
    if np.any(apart > most):  # not where one of them is NaN
        row = int(np.nanargmax(apart))
        name = table["Source_Name"][row] if "Source_Name" in table.colnames else f"row {row}"
        raise InputError(
            f"{where}: RAJ2000, DEJ2000 and GLON, GLAT of {str(name).strip()} "
            f"are {apart[row]:.3g} degrees apart, expected one place"
        )


def warn_of_hours(ra_deg: np.ndarray, dec_deg: np.ndarray, where: object) -> None:
    """Warn of a list all over the sky whose right ascensions (N,) would fit hours, or radians."""
    ra, dec = (np.asarray(values, float) for values in (ra_deg, dec_deg))
    known = np.isfinite(ra) & np.isfinite(dec)
    if known.sum() < _A_LIST:
        return
    low, high, span = ra[known].min(), ra[known].max(), np.ptp(dec[known])
    for unit, turn, wide in (("radians", 2 * np.pi, 1.0), ("hours", 24.0, 60.0)):
        if 0.0 <= low < 0.2 * turn and 0.8 * turn < high <= turn and span > wide:
            warnings.warn(
                f"{where}: right ascensions from {low:.3g} to {high:.3g}, declinations over "
                f"{span:.3g}, are taken as degrees; if they are {unit}, state that unit",
                UnekWarning,
                stacklevel=4,
            )
            return
