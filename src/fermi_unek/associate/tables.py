"""Objects of any table: which of its columns hold names, positions, errors and classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from astropy.table import Column, Table

from ..catalog.places import warn_of_hours
from ..errors import InputError, UnekWarning
from ..sky import units
from .records import Objects

RA_COLUMNS = ("_RAJ2000", "RAJ2000", "RA_ICRS", "RA(deg)", "RA", "ra", "_RA", "RAdeg")
DEC_COLUMNS = ("_DEJ2000", "DEJ2000", "DE_ICRS", "DEC(deg)", "DEC", "dec", "_DE", "DEdeg", "Dec")
NAME_COLUMNS = ("Source_Name", "Object Name", "main_id", "Name", "NAME", "name", "ID", "id")
CLASS_COLUMNS = ("CLASS1", "CLASS", "Class", "class", "otype", "Type", "type")
ERROR_COLUMNS = ("error95_deg", "r95", "Unc_Counterpart", "pos_err_95")
_LARGE_ERROR_DEG = 0.7  # few gamma-ray sources have such, and nothing else

ClassOf = Callable[[Table, np.ndarray], np.ndarray]
"""From a table and the names of its objects to their classes, in 4FGL's abbreviations."""


def objects_of(
    table: Table,
    where: str,
    *,
    name_column: str | None = None,
    class_of: ClassOf | str | None = None,
    prefix: str = "",
) -> Objects:
    """The objects a table lists; rows without a position are left out.

    Parameters
    ----------
    table : astropy Table
        Positions and errors in degrees unless a column's unit or form (sexagesimal text) says
        otherwise.
    where : str
        File or service, for the message.
    name_column : str, optional
        Column of names; otherwise a common name, a column marked as the main identifier
        (UCD meta.id;meta.main), or the first column of text.
    class_of : callable or str, optional
        How classes are told, or the one class of all; a common class column otherwise.
    prefix : str
        Put before names that do not begin with it.

    Returns
    -------
    Objects

    Raises
    ------
    InputError
        When the table has no columns of position or of names, or they are of no known unit.
    """
    ra_name, dec_name = (
        _find(table, RA_COLUMNS, "pos.eq.ra"),
        _find(table, DEC_COLUMNS, "pos.eq.dec"),
    )
    if ra_name is None or dec_name is None:
        raise InputError(
            f"{where}: no columns of right ascension and declination, such as RAJ2000 and DEJ2000; "
            f"it has {', '.join(table.colnames[:12])}"
        )
    names = _names(table, name_column, prefix, where)
    ra = angles(table[ra_name], where, hours=True)
    dec = angles(table[dec_name], where)
    warn_of_hours(ra, dec, where)
    objects = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    error = np.nan_to_num(_error95(table, where), nan=0.0, posinf=0.0).clip(0.0)
    if callable(class_of):
        classes = np.asarray(class_of(table, names), dtype="U10")
    elif class_of is not None:
        classes = np.full(len(table), class_of, dtype="U10")
    else:
        classes = _common_classes(table)
    return Objects(
        names[objects], ra[objects] % 360.0, dec[objects], error[objects], classes[objects]
    )


def has_places(names: Sequence[str]) -> bool:
    """Whether a table with columns of some names lists places."""
    lower = {name.lower() for name in names}
    return all(lower & {name.lower() for name in known} for known in (RA_COLUMNS, DEC_COLUMNS))


def text(column: Column) -> np.ndarray:
    """Values (N,) as text with single blanks and none at the ends; masked ones are blank.

    Of several in a row the first.
    """
    column = column if column.ndim == 1 else column.reshape(len(column), -1)[:, 0]
    values = np.ma.filled(np.ma.asarray(column).astype(object), "")
    decoded = [v.decode("ascii", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return np.array([" ".join(value.split()) for value in decoded], dtype=str).reshape(len(values))


def numbers(column: Column) -> np.ndarray:
    """Values (N,) as floats; masked ones are NaN."""
    return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)


def _find(table: Table, known: Sequence[str], ucd: str) -> str | None:
    spelled = {name.lower(): name for name in reversed(table.colnames)}
    for name in known:
        if name in table.colnames or name.lower() in spelled:
            return name if name in table.colnames else spelled[name.lower()]
    for name in table.colnames:
        if str(table[name].meta.get("ucd", "")).startswith(ucd):
            return str(name)
    return None


def _names(table: Table, name_column: str | None, prefix: str, where: str) -> np.ndarray:
    name = name_column if name_column in table.colnames else _find(table, NAME_COLUMNS, "meta.id")
    for candidate in table.colnames:
        if name is None and table[candidate].dtype.kind in "USO":
            name = candidate
    if name is None:
        raise InputError(f"{where}: no column of names; it has {', '.join(table.colnames[:12])}")
    names = text(table[name])
    bare = np.char.startswith(names, prefix.strip()) | (names == "")
    return np.where(bare, names, np.char.add(prefix, names))


def angles(column: Column, where: str, *, hours: bool = False) -> np.ndarray:
    """Values (N,) of a column of angles in degrees; see `units.degrees`."""
    place = f"{where}: column {column.name}"
    values = np.ma.asarray(column)
    if values.ndim != 1:
        if values.size != len(values):
            raise InputError(f"{place}: {values[0].size} values a row, expected one")
        values = values.reshape(-1)
    return units.degrees(values, column.unit, place, hours=hours)


def _error95(table: Table, where: str) -> np.ndarray:
    """95% position errors, degrees; NaN where the table has none."""
    if "Conf_95_SemiMajor" in table.colnames:
        major = minor = _errors(table["Conf_95_SemiMajor"], where)
        if "Conf_95_SemiMinor" in table.colnames:
            minor = _errors(table["Conf_95_SemiMinor"], where)
        return np.sqrt(np.abs(major * minor))
    spelled = {name.lower(): name for name in reversed(table.colnames)}
    for name in ERROR_COLUMNS:
        if name.lower() in spelled:
            return _errors(table[spelled[name.lower()]], where)
    for name in table.colnames:
        ucd = str(table[name].meta.get("ucd", "")).lower()
        if "pos.errorellipse" in ucd and "smajaxis" in ucd and "95" in name:
            return _errors(table[name], where)
    return np.full(len(table), np.nan)


def _errors(column: Column, where: str) -> np.ndarray:
    """Errors (N,), degrees; such as minutes or seconds of arc would be are told."""
    found = angles(column, where)
    known = found[np.isfinite(found)]
    if not column.unit and len(known) and np.median(known) > _LARGE_ERROR_DEG:
        warnings.warn(
            f"{where}: column {column.name} states no unit; its values (median "
            f"{np.median(known):.3g}) are taken as degrees",
            UnekWarning,
            stacklevel=4,
        )
    return found


def _common_classes(table: Table) -> np.ndarray:
    for name in CLASS_COLUMNS:
        if name in table.colnames and table[name].dtype.kind in "USO":
            return np.char.lower(text(table[name])).astype("U10")
    return np.full(len(table), "", dtype="U10")
