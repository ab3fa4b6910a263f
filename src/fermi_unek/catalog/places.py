"""Places of a table that are said twice, in two frames, must be the same."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..sky.geometry.coverage import icrs_to_galactic
from ..sky.geometry.frame import lonlat_to_vectors

COLUMNS = ("RAJ2000", "DEJ2000", "GLON", "GLAT")
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
    if np.any(apart > _MOST_APART_DEG):  # not where one of them is NaN
        row = int(np.nanargmax(apart))
        raise InputError(
            f"{where}: RAJ2000, DEJ2000 and GLON, GLAT of {str(table['Source_Name'][row]).strip()} "
            f"are {apart[row]:.3g} degrees apart, expected one place"
        )
