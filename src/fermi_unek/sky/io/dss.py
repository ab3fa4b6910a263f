"""The data sub-space (DSS) keywords: which cuts the Fermi tools have made on a file already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.io import fits

FRONT, BACK = 1, 2
_PSF_TYPES = {4: "PSF0", 8: "PSF1", 16: "PSF2", 32: "PSF3"}


@dataclass(frozen=True)
class Selection:
    """Cuts a file says were made on its photons.

    Attributes
    ----------
    event_class, event_type : int or None
        Bit masks; None when the file does not say.
    energy_mev, zenith_deg : (float, float) or None
        Lowest and highest value kept.
    circles : tuple of (ra, dec, radius)
        ICRS degrees; all of them apply. Whole-sky circles are left out.
    whole_sky : bool
        The file says that it holds the whole sky.
    times_met : (float, float) or None
        Begin of the first and end of the last good time, seconds.
    """

    event_class: int | None = None
    event_type: int | None = None
    energy_mev: tuple[float, float] | None = None
    zenith_deg: tuple[float, float] | None = None
    circles: tuple[tuple[float, float, float], ...] = ()
    whole_sky: bool = False
    times_met: tuple[float, float] | None = None

    @property
    def kind(self) -> str | None:
        """ "front", "back", "all", "psf" (PSF or energy quartiles), None when not known."""
        if not self.event_type:
            return None
        conversion = self.event_type & (FRONT | BACK)
        if not conversion:
            return "psf"
        return {FRONT: "front", BACK: "back", FRONT | BACK: "all"}[conversion]

    @property
    def label(self) -> str:
        """The event types in words."""
        if not self.event_type:
            return "unknown"
        names = {FRONT: "FRONT", BACK: "BACK"} | _PSF_TYPES
        found = [name for bit, name in names.items() if self.event_type & bit]
        return "+".join(found) or f"event type mask {self.event_type}"


def read_selection(hdus: fits.HDUList, index: int) -> Selection:
    """Selection of the data in HDU `index`, from its own keywords or else the primary header's."""
    selection = Selection()
    for header in (hdus[0].header, hdus[index].header):
        for number in range(1, int(header.get("NDSKEYS", 0) or 0) + 1):
            kind = str(header.get(f"DSTYP{number}", "")).upper().replace(" ", "")
            value = str(header.get(f"DSVAL{number}", "")).strip()
            selection = _apply(selection, kind, value)
    return replace(selection, times_met=_read_times(hdus, index))


def _apply(selection: Selection, kind: str, value: str) -> Selection:
    mask = re.match(r"BIT_MASK\((EVENT_CLASS|EVENT_TYPE),(\d+)", kind)
    if mask:
        bits = int(mask[2])
        if mask[1] == "EVENT_CLASS":
            return replace(selection, event_class=bits)
        return replace(selection, event_type=bits)
    if kind == "CONVERSION_TYPE":  # how Pass 7 files and gtselect convtype say it
        bounds = _bounds(value)
        if bounds is not None and bounds[0] == bounds[1]:
            return replace(selection, event_type=FRONT if bounds[0] == 0 else BACK)
    if kind == "ENERGY":
        return replace(selection, energy_mev=_bounds(value))
    if kind == "ZENITH_ANGLE":
        return replace(selection, zenith_deg=_bounds(value))
    if kind.startswith("POS("):
        number = r"\s*([-+]?[\d.]+(?:E[-+]?\d+)?)\s*"
        circle = re.match(rf"(?:CIRCLE|ACCEPTCONE)\({number},{number},{number}\)", value.upper())
        if circle:
            ra, dec, radius = (float(part) for part in circle.groups())
            if radius >= 180.0:
                return replace(selection, whole_sky=not selection.circles)
            if (ra, dec, radius) not in selection.circles:
                circles = (*selection.circles, (ra, dec, radius))
                return replace(selection, circles=circles, whole_sky=False)
    return selection


def _bounds(value: str) -> tuple[float, float] | None:
    """Lowest and highest number of a DSVAL such as ``1000:500000`` or ``0:1,2:3``."""
    try:
        numbers = [float(part) for part in re.split("[:,]", value)]
    except ValueError:
        return None
    return (min(numbers), max(numbers))


def _read_times(hdus: fits.HDUList, index: int) -> tuple[float, float] | None:
    for hdu in hdus:
        if hdu.name != "GTI" or not hdu.header.get("NAXIS2", 0):
            continue
        if {"START", "STOP"} <= set(hdu.columns.names):
            start, stop = hdu.data["START"], hdu.data["STOP"]
            return float(np.min(start)), float(np.max(stop))
    for header in (hdus[index].header, hdus[0].header):
        start, stop = header.get("TSTART"), header.get("TSTOP")
        if isinstance(start, int | float) and isinstance(stop, int | float) and stop > start:
            return float(start), float(stop)
    return None


def merged_years(
    spans: Sequence[tuple[float, float]], year_s: float, window: tuple[float, float] | None = None
) -> float:
    """Length, years, of the union of time spans (seconds), inside a window when one is given.

    The calendar length: gaps between good time intervals of one file are not taken off. NaN when
    there is no span.
    """
    if not spans:
        return float("nan")
    low, high = window or (-np.inf, np.inf)
    total, end = 0.0, -np.inf
    for start, stop in sorted(spans):
        start, stop = max(start, low, end), min(stop, high)
        total += max(stop - start, 0.0)
        end = max(end, stop)
    return total / year_s
