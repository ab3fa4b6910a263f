"""DS9 region file of a catalog's error ellipses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Row

from ..outputs import check_file, replacing
from .record import Catalog

_HEADER = (
    "# Region file format: DS9 version 4.1\n"
    "# fermi_unek candidates, 95% error ellipses, not a Fermi-LAT collaboration product\n"
    "icrs\n"
)


def write_regions(catalog: Catalog, path: str | Path, overwrite: bool = False) -> None:
    """Write the 95% error ellipses with the sources' names for DS9.

    Sources without an ellipse become crosses; what is flagged fake is red, the rest green.

    Parameters
    ----------
    catalog : Catalog
        May have no rows; the file then has a header only.
    path : str or Path
        Usually ends in .reg.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        When the file exists or cannot be written.
    """
    path = check_file(path, overwrite)
    with replacing(path) as temporary:
        temporary.write_text(ds9_text(catalog), encoding="ascii")


def ds9_text(catalog: Catalog) -> str:
    """What `write_regions` writes."""
    return _HEADER + "".join(_line(row) for row in catalog.table)


def _line(row: Row) -> str:
    ra, dec = float(row["RAJ2000"]), float(row["DEJ2000"])
    minor, major = float(row["Conf_95_SemiMinor"]), float(row["Conf_95_SemiMajor"])
    angle = float(row["Conf_95_PosAng"])
    colour = "red" if row["Fake"] else "green"
    notes = f"# color={colour} text={{{row['Source_Name']}}}"
    if not np.all(np.isfinite([minor, major, angle])):
        return f"point({ra:.5f},{dec:.5f}) # point=cross {notes[2:]}\n"
    # DS9 takes semi-axes, the first along right ascension at angle 0: the minor one goes
    # first so that the angle is the position angle of the major one
    return (
        f'ellipse({ra:.5f},{dec:.5f},{minor * 3600:.2f}",{major * 3600:.2f}",{angle:.2f}) {notes}\n'
    )
