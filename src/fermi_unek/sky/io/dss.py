"""The data sub-space (DSS) keywords: which cuts the Fermi tools have made on a file already."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..selection import BACK, EVENT_TYPES, FRONT, LONG_GAP_S, Selection, Span, merged_spans
from ..units import column, factor

MJDREF = 51910 + 7.428703703703703e-4
"""Zero of mission elapsed time."""

SIMULATED = "simulated"
"""OBSERVER of photons that are no real ones."""

_DAY_S = 86400.0
_SAME_ZERO_D = 1e-3  # MJDREF is often written with four digits
_WHOLE_PHASE = 1.0 - 1e-6
_LEAST_ZENITH_DEG = 1.0  # fewer than one in a thousand photons come from below it
_NO_CUTS = ("", "IRF_VERSION")


def read_selection(path: Path, hdus: fits.HDUList, index: int) -> Selection:
    """Selection of the data in HDU `index`, from its own keywords and the primary header's.

    Raises
    ------
    InputError
        A cut that cannot be read, in a unit of another kind, or of ranges of energy with a gap
        between them; good time intervals that end before they begin.
    """
    headers = hdus[0].header, hdus[index].header
    selection = Selection(simulated=any(h.get("OBSERVER") == SIMULATED for h in headers))
    for header in headers:
        cards = len(header["DSTYP*"])
        if header.get("NDSKEYS", cards) != cards:
            raise InputError(
                f"{path}: NDSKEYS says {header['NDSKEYS']} DSS cuts, the header has {cards} (DSTYP)"
            )
        for number in range(1, cards + 1):
            kind = str(header.get(f"DSTYP{number}", "")).upper().replace(" ", "")
            value = str(header.get(f"DSVAL{number}", "")).strip()
            unit = str(header.get(f"DSUNI{number}", "") or "")
            shift = met_shift(header, str(path)) if kind == "TIME" else 0.0
            selection = _apply(selection, kind, value, unit, f"{path}: DSS cut {kind}", shift)
    return _with_times(path, selection, hdus, index)


def write_cuts(header: fits.Header, cuts: Sequence[tuple[str, str, str]]) -> None:
    """Add cuts (type, unit, value) to a header, and last the one on time, which is in the GTI."""
    cuts = [*cuts, ("TIME", "s", "TABLE")]
    for number, (kind, unit, value) in enumerate(cuts, 1):
        header[f"DSTYP{number}"] = kind
        header[f"DSUNI{number}"] = unit
        header[f"DSVAL{number}"] = value
    header[f"DSREF{len(cuts)}"] = ":GTI"
    header["NDSKEYS"] = len(cuts)


def event_type_cut(event_type: str) -> tuple[str, str, str]:
    """The cut on an event type of `EVENT_TYPES`, as `write_cuts` takes it."""
    return f"BIT_MASK(EVENT_TYPE,{EVENT_TYPES[event_type]},P8R3)", "DIMENSIONLESS", "1:1"


def _apply(
    selection: Selection, kind: str, value: str, unit: str, where: str, shift_s: float
) -> Selection:
    mask = re.match(r"BIT_MASK\((EVENT_CLASS|EVENT_TYPE),(\d+)(?:,(\w+))?", kind)
    if mask:
        if value.replace(" ", "") != "1:1":
            raise InputError(f"{where}: its value is {value!r}, expected 1:1")
        bits = int(mask[2])
        selection = replace(selection, release=mask[3] or selection.release)
        # of a file that was cut twice the bits of both cuts are left
        if mask[1] == "EVENT_CLASS":
            return replace(selection, event_class=(selection.event_class or bits) & bits or bits)
        before = selection.event_type or bits
        if not before & bits:
            raise InputError(f"{where}: contradicts the cut on {selection.label} photons before it")
        return replace(selection, event_type=before & bits)
    if kind == "TIME":  # a table, which `_with_times` reads, or one range and a table
        ranges = () if value.upper() == "TABLE" else _ranges(value, where)
        scale = factor(unit, "s", where, "s")
        spans = tuple((start * scale + shift_s, stop * scale + shift_s) for start, stop in ranges)
        return replace(selection, spans_met=spans) if spans else selection
    if kind == "POS(RA,DEC)":
        return _apply_circle(selection, value, unit, where)
    if kind == "CONVERSION_TYPE":  # how Pass 7 files and gtselect convtype say it
        ranges = _ranges(value, where)
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
            kind = f"BIT_MASK(EVENT_TYPE,{FRONT if ranges[0][0] == 0 else BACK})"
            return _apply(selection, kind, "1:1", unit, where, shift_s)
        return selection
    if kind == "ENERGY":
        scale = factor(unit, "MeV", where, "MeV")
        return replace(
            selection, energy_mev=_both(selection.energy_mev, _one_range(value, where), scale)
        )
    if kind == "ZENITH_ANGLE":
        scale = factor(unit, "deg", where, "deg")
        cut = _one_range(value, where)
        if cut[0] * scale > _LEAST_ZENITH_DEG:
            _tell_ignored(f"{where}: the lower end of {value}")
        return replace(selection, zenith_deg=_both(selection.zenith_deg, cut, scale))
    if kind.endswith("PHASE"):
        kept = sum(stop - start for start, stop in merged_spans(_ranges(value, where)))
        if not kept:
            raise InputError(f"{where}: {value} is no part of the phase, expected a range")
        return replace(selection, phase=kept if kept < _WHOLE_PHASE else 1.0)
    if kind not in _NO_CUTS:
        _tell_ignored(f"{where}: {value}")
    return selection


def _tell_ignored(what: str) -> None:
    """Warn of a cut that changes exposure or field in a way that nothing here follows."""
    warnings.warn(
        f"{what} is not taken into account, exposure and field are those without it",
        UnekWarning,
        stacklevel=5,
    )


def _apply_circle(selection: Selection, value: str, unit: str, where: str) -> Selection:
    number = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:E[-+]?\d+)?)\s*"
    circle = re.fullmatch(rf"(?:CIRCLE|ACCEPTCONE)\({number},{number},{number}\)", value.upper())
    if not circle:
        _tell_ignored(f"{where}: {value}")
        return selection
    scale = factor(unit, "deg", where, "deg")
    ra, dec, radius = (float(part) * scale for part in circle.groups())
    if radius >= 180.0:
        return replace(selection, whole_sky=not selection.circles)
    if (ra, dec, radius) in selection.circles:
        return selection
    return replace(selection, circles=(*selection.circles, (ra, dec, radius)), whole_sky=False)


def _ranges(value: str, where: str) -> list[Span]:
    """The ranges of a DSVAL such as ``1000:500000``, ``0:1,2:3`` or ``0``."""
    try:
        ends = [[float(end) for end in part.split(":")] for part in value.split(",")]
    except ValueError:
        ends = []
    if not ends or not all(pair[0] <= pair[-1] for pair in ends):
        raise InputError(f"{where}: its value is {value!r}, expected rising ranges of numbers")
    return [(pair[0], pair[-1]) for pair in ends]


def _one_range(value: str, where: str) -> Span:
    joined = merged_spans(_ranges(value, where))
    if len(joined) > 1:
        raise InputError(f"{where}: {value} are ranges with a gap, expected one without")
    return joined[0]


def _both(before: Span | None, cut: Span, scale: float) -> Span:
    """What two cuts leave."""
    low, high = cut[0] * scale, cut[1] * scale
    if before is None or max(low, before[0]) >= min(high, before[1]):
        return low, high
    return max(low, before[0]), min(high, before[1])


def good_times(path: Path, hdus: fits.HDUList) -> np.ndarray | None:
    """Good time intervals (N, 2), s, rising and apart; None where a file has no such table.

    Raises
    ------
    InputError
        One that ends before it begins, or has no end.
    """
    for hdu in hdus:
        names = {name.upper() for name in getattr(hdu, "columns", fits.ColDefs([])).names}
        if hdu.name == "GTI" and {"START", "STOP"} <= names:
            shift = met_shift(hdu.header, str(path))
            ends = [column(hdu, end, "s", str(path), "s") + shift for end in ("START", "STOP")]
            if not np.all(ends[0] <= ends[1]):
                raise InputError(f"{path}: good time intervals (GTI) end before they begin")
            good = merged_spans((a, z) for a, z in np.transpose(ends).tolist() if z > a)
            return np.array(good, dtype=float).reshape(-1, 2)
    return None


def _with_times(path: Path, selection: Selection, hdus: fits.HDUList, index: int) -> Selection:
    """The selection with its times: of the good time intervals, the cut, or TSTART and TSTOP."""
    headers = hdus[index].header, hdus[0].header
    good = good_times(path, hdus)
    if good is not None:  # orbits and the Anomaly leave thousands of intervals
        spans = merged_spans(((a, z) for a, z in good.tolist()), LONG_GAP_S)
        return replace(selection, spans_met=spans, good_s=float(np.sum(np.diff(good))))
    if "GTI" not in hdus and ":GTI" in [
        headers[0].get(f"DSREF{n}") for n in range(1, int(headers[0].get("NDSKEYS", 0) or 0) + 1)
    ]:
        warnings.warn(
            f"{path}: the good time intervals (GTI) that its header names are missing, all the "
            "time from its begin to its end is taken for good",
            UnekWarning,
            stacklevel=4,
        )
    for header in headers if not selection.spans_met else ():
        start, stop = header.get("TSTART"), header.get("TSTOP")
        if isinstance(start, int | float) and isinstance(stop, int | float) and stop > start:
            shift = met_shift(header, str(path))
            return replace(selection, spans_met=((start + shift, stop + shift),))
    return selection


def met_shift(header: fits.Header, where: str) -> float:
    """Seconds to add to times of a header's MJDREF and TIMEZERO to count from the mission's.

    Raises
    ------
    InputError
        MJDREF is another time than MJDREFI and MJDREFF.
    """
    whole = float(header.get("MJDREF", 0.0) or 0.0)  # astropy's WCS writes 0 where it knows none
    zero = whole or MJDREF
    if "MJDREFI" in header:
        zero = float(header["MJDREFI"]) + float(header.get("MJDREFF", 0.0))
        if whole and abs(whole - zero) > _SAME_ZERO_D:
            raise InputError(
                f"{where}: MJDREF {whole:g} and MJDREFI + MJDREFF {zero:g} contradict each other"
            )
    days, shift = zero - MJDREF, float(header.get("TIMEZERO", 0.0) or 0.0)
    return shift + (days * _DAY_S if abs(days) > 1e-6 else 0.0)


def met_seconds(
    values: np.ndarray, unit: str | None, header: fits.Header, where: str
) -> np.ndarray:
    """Times (N,) or, as two parts of a Julian date, (N, 2), in mission elapsed seconds.

    Raises
    ------
    InputError
        A unit that is none of time.
    """
    scale = factor(unit, "s", where, str(header.get("TIMEUNIT", "s") or "s"))
    if values.ndim == 2 and values.shape[1] == 2:  # as gammapy and astropy write a Time
        days = values[:, 0] * (scale / _DAY_S) - 2400000.5 - MJDREF
        return days * _DAY_S + values[:, 1] * scale
    if values.ndim != 1:
        raise InputError(f"{where}: {values.shape[1]} numbers a photon, expected one time")
    times = values.astype(float) * scale
    if scale == 1.0 or not len(times):
        return times + met_shift(header, where)
    first = float(np.min(times)) / _DAY_S
    # a date counts from the zero of its own scale, not from MJDREF
    zero = 2400000.5 + MJDREF if first > 2.4e6 else MJDREF if first > 4e4 else 0.0
    return times - zero * _DAY_S + (0.0 if zero else met_shift(header, where))
