"""The published LAT catalogs: tables of the package's own, or a file of the user's.

The tables are those of the collaboration with the columns that the package uses; they are made
from the full files by `scripts/trim_releases.py`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import InputError
from ..sky.io.files import open_fits
from .tables import column_names, source_table

RELEASES = {
    "3FGL": "gll_psc_v16.fit",
    "FL8Y": "gll_psc_8year_v5.fit",
    "4FGL": "gll_psc_v20.fit",
    "4FGL-DR2": "gll_psc_v27.fit",
    "4FGL-DR3": "gll_psc_v29.fit",
    "4FGL-DR4": "gll_psc_v35.fit",
    "FL16Y": "gll_psc_v41.fit",
}
"""Release name to the FSSC's file of it: 4, 8, 8, 10, 12, 14 and 16 years."""

DATA_FOLDER = Path(__file__).parents[1] / "data" / "catalogs"

LIGHT_HDU = "EXTENDED_LIGHT"
"""In the table of DR2: where the light of its extended sources falls, pixel by pixel."""

REQUIRED = ("Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Signif_Avg")


def release_path(name: str) -> Path:
    """Path of the package's table of a release; `InputError` for another name."""
    if name not in RELEASES:
        raise InputError(
            f"reference {name!r} is neither a file nor one of {', '.join(sorted(RELEASES))}"
        )
    return DATA_FOLDER / f"{name}.fits.gz"


def load_release(name: str | Path) -> Table:
    """The point source table of a LAT catalog.

    Parameters
    ----------
    name : str or Path
        One of `RELEASES`, or a FITS file with the columns of `REQUIRED`.

    Returns
    -------
    astropy Table
        As in the file, text without trailing blanks, nothing masked (blank or NaN instead);
        `meta["RELEASE"]` holds the name asked for, `meta["EXTENTS"]` the semimajor axis in
        degrees of each extended source by its Extended_Source_Name. The caller's own copy.

    Raises
    ------
    InputError
        When there is no such release or file, or the file is no LAT catalog.
    """
    is_file = str(name) not in RELEASES and Path(name).is_file()
    path = Path(name) if is_file else release_path(str(name))
    table = _read(path, path.stat().st_mtime_ns).copy()
    table.meta["RELEASE"] = path.name if is_file else str(name)
    return table


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int) -> Table:
    with open_fits(path) as hdus:
        names = column_names(hdus[1]) if len(hdus) > 1 else set()
        missing = [c for c in REQUIRED if c not in names]
        if missing:
            raise InputError(
                f"{path}: HDU 1 is no LAT source table, it has no column {', '.join(missing)}"
            )
        table = source_table(hdus[1], path)
        for column in table.itercols():
            column.unit = column.description = None
        if "ExtendedSources" in hdus:
            shapes = source_table(hdus["ExtendedSources"], path)
            extents = np.asarray(shapes["Model_SemiMajor"], float).tolist()
            table.meta["EXTENTS"] = dict(zip(shapes["Source_Name"].tolist(), extents, strict=True))
    return table


def native_table(data: fits.FITS_rec) -> Table:
    """Columns in the machine's byte order, text without blanks around it."""
    table = Table()
    for name in data.names:
        values = np.asarray(data[name])
        is_text = values.dtype.kind in "US"
        table[name] = (
            np.char.strip(values.astype(str))
            if is_text
            else values.astype(values.dtype.newbyteorder("="))
        )
    return table


def release_hdu(name: str, hdu: str) -> Table:
    """Another HDU of one of `RELEASES`, as `native_table`."""
    with open_fits(release_path(name)) as hdus:
        return native_table(hdus[hdu].data)


def later_releases(name: str) -> list[str]:
    """Releases after one of `RELEASES`, in order of time; empty for a file."""
    names = list(RELEASES)
    return names[names.index(name) + 1 :] if name in RELEASES else []
