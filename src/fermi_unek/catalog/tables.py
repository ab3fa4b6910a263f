"""Tables of sources as files have them, in the names, shapes and units of the schema.

Other programs spell columns in lower case, write numbers as text, rows of one number, or list a
source twice; one reader for catalogs, source lists, releases and truth.
"""

from __future__ import annotations

import warnings

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import InputError, UnekWarning
from ..sky import units
from .places import COLUMNS as PLACES
from .places import check_places, warn_of_hours
from .schema import (
    COLUMNS,
    COUNTERPART_COLUMNS,
    EXTENDED_COLUMNS,
    EXTENSION_COLUMNS,
    PERIOD_COLUMNS,
    UNITS,
    ColumnSpec,
)

_SPECS = {
    spec.name: spec
    for spec in (
        *EXTENDED_COLUMNS, *PERIOD_COLUMNS, *EXTENSION_COLUMNS, *COUNTERPART_COLUMNS, *COLUMNS
    )
}  # fmt: skip
_SPELLED = {name.lower(): name for name in (*_SPECS, "PLEC_Index", "PLEC_Expfactor", "Ideal_TS")}
_BY_BIN = ("Npred",)  # of a truth, one a bin
_TRUE = ("T", "True", "true", "1")


def column_names(hdu: fits.BinTableHDU) -> set[str]:
    """Names of the columns of a table, in the schema's case; none of an HDU that is no table."""
    return {
        _SPELLED.get(name.lower(), name) for name in getattr(hdu, "columns", fits.ColDefs([])).names
    }


def source_table(hdu: fits.BinTableHDU, where: object) -> Table:
    """A table of sources.

    Parameters
    ----------
    hdu : BinTableHDU
    where : str or Path
        File, for errors.

    Returns
    -------
    astropy Table
        Columns of the schema in its spelling and units and the machine's byte order, with its
        meanings, text as str; others as they are. A source that is there twice, by name and place,
        is taken once.

    Raises
    ------
    InputError
        Places of another equinox or that contradict each other, a unit of another kind, or a
        column whose values are none of its kind.

    Warns
    -----
    UnekWarning
        Of sources that are there twice, and of right ascensions that look like hours.
    """
    units.check_frame(hdu.header, str(where))
    table = Table.read(hdu, mask_invalid=False)
    tidy = Table()
    for index, column in enumerate(table.itercols(), start=1):
        spelled = _SPELLED.get(column.name.lower(), column.name)
        name = column.name if spelled in table.colnames else spelled
        spec = _SPECS.get(name)
        values = _values(column, spec, f"{where}: column {column.name}")
        if values is None:
            continue
        tidy[name] = values
        stated = column.unit
        if spec and spec.unit == "deg" and values.dtype.kind == "U":
            place = f"{where}: column {column.name}"
            tidy[name] = units.degrees(values, stated, place, hours="RA" in name)
            stated = "deg"
        tidy[name].unit = stated
        # astropy passes over TCOMM
        tidy[name].description = spec.description if spec else hdu.header.get(f"TCOMM{index}")
    units.bring_columns(tidy, UNITS | dict.fromkeys(("PLEC_Index", "PLEC_Expfactor")), str(where))
    check_places(tidy, where)
    if {"RAJ2000", "DEJ2000"} <= set(tidy.colnames):
        warn_of_hours(tidy["RAJ2000"], tidy["DEJ2000"], where)
    return _once(tidy, where)


def _values(column: np.ndarray, spec: ColumnSpec | None, where: str) -> np.ndarray | None:
    """Values of a column in the shape and kind of the schema; None of one that has no shape."""
    values = np.asarray(column)
    if values.dtype.kind == "O":  # of variable length
        if spec is None:
            return None
        try:
            values = np.stack([np.asarray(row) for row in values])
        except ValueError:
            raise InputError(f"{where}: rows of different lengths, expected numbers") from None
    if spec and not spec.per_row and values.ndim > 1 and spec.name not in _BY_BIN:
        if values.size != len(values):
            raise InputError(f"{where}: {values[0].size} values a source, expected one")
        values = values.reshape(-1)
    if values.dtype.kind not in "US":
        return values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "ascii", "replace")
    values = np.char.strip(values)
    if spec is None or spec.unit == "deg":
        return values
    if spec.kind[0] == "U":
        return values.astype(np.promote_types(values.dtype, spec.kind))
    if spec.kind == "?":
        return np.isin(values, _TRUE)
    try:
        return np.where(values == "", "nan", values).astype(float)
    except ValueError:
        raise InputError(f"{where} holds no numbers") from None


def with_places(table: Table, where: object, lon: str = "RAJ2000", lat: str = "DEJ2000") -> Table:
    """The rows whose place is one; what is wrong with a place costs that row.

    Raises
    ------
    InputError
        No row has a place.

    Warns
    -----
    UnekWarning
        Of those that are left out.
    """
    place = np.isfinite(table[lon]) & (np.abs(table[lat]) <= 90.0)
    if place.all():
        return table
    first = int(np.flatnonzero(~place)[0])
    told = (
        f"{where}: {np.sum(~place)} of {len(table)} sources, the first in row {first}, have no "
        "position"
    )
    if not place.any():
        raise InputError(told)
    warnings.warn(f"{told} and are left out", UnekWarning, stacklevel=3)
    return table[place]


def _once(table: Table, where: object) -> Table:
    """The table without rows that repeat the name and the place of another."""
    told = [name for name in ("Source_Name", *PLACES) if name in table.colnames]
    if len(told) < 3 or "Source_Name" not in told:
        return table
    rows = np.stack([table[name].astype(str) for name in told], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    if len(first) == len(table):
        return table
    again = np.setdiff1d(np.arange(len(table)), first)
    warnings.warn(
        f"{where}: {len(again)} of {len(table)} rows repeat the name and place of another, the "
        f"first is {table['Source_Name'][again[0]]}; each source is taken once",
        UnekWarning,
        stacklevel=4,
    )
    return table[np.sort(first)]
