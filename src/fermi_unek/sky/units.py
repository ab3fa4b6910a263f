"""Numbers of files brought to the package's units: what a file states is obeyed or refused.

Spellings differ from program to program: keV, KeV and KEV; ``ph cm-2 s-1 sr-1 MeV-1`` and
``1/cm**2/s/sr/MeV``; deg and degrees. A case that could mean two things is read as gamma rays
have it: mev is a million electronvolts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.table import Table

from ..errors import InputError, UnekWarning

INTENSITY = "cm-2 s-1 sr-1 MeV-1"
"""Unit of diffuse emission."""

_ENERGY = {"ev": "eV", "kev": "keV", "mev": "MeV", "gev": "GeV", "tev": "TeV", "erg": "erg"}
_WORDS = _ENERGY | {
    **dict.fromkeys(("ph", "photon", "photons", "count", "counts", "ct", "cts"), "ph"),
    **dict.fromkeys(("sigma", "sigmas", "none", "unitless", "dimensionless"), "1"),
    **dict.fromkeys(("deg", "degree", "degrees", "degs"), "deg"),
    **dict.fromkeys(("arcmin", "arcmins", "amin", "arcminute", "arcminutes"), "arcmin"),
    **dict.fromkeys(("arcsec", "arcsecs", "asec", "arcsecond", "arcseconds"), "arcsec"),
    **dict.fromkeys(("rad", "radian", "radians"), "rad"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("day", "days"), "d"),
}
_WORDS |= {"j": "J"}
_MINUS = str.maketrans(dict.fromkeys("\u2212\u2013\u2010", "-"))  # as word processors write it
_HOURS = ("h", "hr", "hrs", "hour", "hours", "hourangle")


def factor(stated: object, unit: str, where: str, default: str | None = None) -> float:
    """What values are multiplied with to be in `unit`.

    Parameters
    ----------
    stated : str, astropy unit or None
        As the file has it; any case.
    unit : str
        What is wanted.
    where : str
        File and column, for the error.
    default : str, optional
        Unit of values whose file states none, where a standard says so.

    Raises
    ------
    InputError
        No unit is stated and there is no default, or one of another kind or not known.
    """
    text = str("" if stated is None else stated).strip()
    if not text:
        if unit == default == "":
            return 1.0
        if default is None:
            raise InputError(f"{where}: has no unit, expected {unit} or the like")
        text = default
    if text.lower() in _HOURS and u.Unit(unit).is_equivalent("deg"):
        text = "hourangle"
    try:
        return float(_parsed(text).to(_parsed(unit)))
    except (ValueError, TypeError, u.UnitConversionError):
        wanted = unit or "a plain number"
        raise InputError(f"{where}: unit {text!r} cannot be brought to {wanted}") from None


def _spelled(word: str) -> str:
    """A word of a unit as astropy has it: its case counts only where prefixes differ, as in Ms."""
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    return word if not word.isupper() and word in u.__dict__ else word.lower()


def _parsed(text: str) -> u.UnitBase:
    """A unit without its photons: 4FGL has ``ph cm-2 s-1``, others ``cm-2 s-1``."""
    words = re.sub(r"[A-Za-z]+", lambda word: _spelled(word[0]), text)
    above, *below = words.split("/")
    if len(below) > 1 and "(" not in words:  # 1/cm2/s, which astropy refuses
        words = f"{above or 1}/({' '.join(below)})"
    unit = u.Unit(words)
    if not isinstance(unit, u.UnitBase):  # of a logarithm, or of several columns
        raise ValueError(text)
    photons = dict(zip(unit.bases, unit.powers, strict=True)).get(u.ph, 0)
    return unit / u.ph**photons if photons else unit


def check_frame(header: Mapping[str, Any], where: str) -> None:
    """Refuse places of another equinox than J2000, which ICRS and FK5 mean.

    Parameters
    ----------
    header : mapping
        Of the table or image that holds them.
    where : str

    Raises
    ------
    InputError
        RADESYS is FK4, or EQUINOX (EPOCH in old files) is not 2000.
    """
    frame = str(header.get("RADESYS", header.get("RADECSYS", "")) or "").strip().upper()
    stated = header.get("EQUINOX", header.get("EPOCH"))
    year = str(2000.0 if stated is None else stated).strip().lstrip("JjBb") or "2000"
    try:
        other = float(year) != 2000.0
    except ValueError:
        other = True
    # EPOCH is also that of proper motions; only FK4's tells a frame
    if frame.startswith("FK4") or (other and ("EQUINOX" in header or year.startswith("1950"))):
        key = f"RADESYS {frame}" if frame.startswith("FK4") else f"EQUINOX {stated}"
        raise InputError(f"{where}: {key} is not J2000, expected ICRS or FK5")


def bring_columns(table: Table, units: Mapping[str, str | None], where: str) -> None:
    """Columns of numbers that state a unit brought to another, in place; see `factor`.

    Parameters
    ----------
    table : astropy Table
    units : mapping
        By name of column; None and blank for plain numbers. Columns that are not in it stay.
    where : str
        File, for the error.

    Raises
    ------
    InputError
        A unit of another kind, or not known.
    """
    for name in set(units) & set(table.colnames):
        stated, unit = table[name].unit, units[name] or ""
        if stated in (None, "") or table[name].dtype.kind not in "iuf":
            continue
        scale = factor(stated, unit, f"{where}: column {name}")
        if scale != 1.0:
            values = np.asarray(table[name])
            kind = values.dtype if values.dtype.kind == "f" else float
            table[name] = (values * scale).astype(kind)
        table[name].unit = unit or None


def column(
    table: fits.BinTableHDU, name: str, unit: str, where: str, default: str | None = None
) -> np.ndarray:
    """A column of a FITS table as floats in `unit`; see `factor`.

    The column is found in any case.

    Raises
    ------
    InputError
        No such column, one that holds no numbers, or as `factor`.
    """
    names = {found.upper(): found for found in table.columns.names}
    if name.upper() not in names:
        raise InputError(f"{where}: table {table.name} has no column {name}")
    found = table.columns[names[name.upper()]]
    place = f"{where}: column {found.name} of {table.name}"
    try:
        values = np.asarray(table.data[found.name], dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{place} holds no numbers") from None
    return values * factor(found.unit, unit, place, default)


def degrees(values: Any, stated: object, where: str, *, hours: bool = False) -> np.ndarray:
    """Angles (N,) in degrees from numbers or text; masked and blank ones are NaN.

    Text is decimal degrees, or sexagesimal, then in hours where `hours` says so (right
    ascensions), unless the unit or letters in it (``12h16m``) say otherwise.

    Parameters
    ----------
    values : array (N,)
    stated : str, astropy unit or None
        Unit of the column; degrees where it is blank, ``h:m:s`` and ``d:m:s`` of text.
    where : str
    hours : bool

    Raises
    ------
    InputError
        None of the text is an angle, or a unit that is none of angle.

    Warns
    -----
    UnekWarning
        Some of the text is no angle, which is NaN.
    """
    text = re.sub(r'["\s]', "", str("" if stated is None else stated))
    masked = np.ma.asarray(values)
    if masked.dtype.kind not in "USO":
        plain = np.ma.filled(masked.astype(float), np.nan)
        return plain * factor(text, "deg", where, "deg")
    words = [
        " ".join(
            (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).split()
        ).translate(_MINUS)
        for value in np.ma.filled(masked.astype(object), "")
    ]
    result = np.full(len(words), np.nan)
    given = [row for row, word in enumerate(words) if word not in ("", "--", "nan")]
    sexagesimal = u.hourangle if hours else u.deg
    if re.fullmatch(r"[hd]:m:s|[hd]ms", text.lower()):
        sexagesimal, text = (u.hourangle if text[0].lower() == "h" else u.deg), ""
    scale = factor(text, "deg", where, "deg")
    wrong = []
    for row in given:
        try:
            if re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", words[row]):
                result[row] = float(words[row]) * scale
            else:
                result[row] = Angle(words[row], unit=sexagesimal).deg
        except (ValueError, u.UnitsError):
            wrong.append(words[row])
    if wrong and len(wrong) == len(given):
        raise InputError(f"{where} holds no angles, but {wrong[0]!r}")
    if wrong:
        warnings.warn(
            f"{where}: {len(wrong)} of {len(words)} are no angles, the first {wrong[0]!r}; what "
            "they are of is left out",
            UnekWarning,
            stacklevel=3,
        )
    return result
