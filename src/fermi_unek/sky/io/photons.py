"""FT1 photon files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..bins import (
    COVERAGE_ORDER,
    ENERGY_EDGES_MEV,
    MISSION_START_MET,
    N_BINS,
    NATIVE_ORDERS,
    YEAR_S,
)
from ..geometry.coverage import (
    N_COVERAGE,
    check_circle,
    icrs_circles_coverage,
    icrs_to_galactic,
    inside_circle,
)
from ..geometry.frame import lonlat_to_vectors
from .dss import BACK, FRONT, Selection, read_selection
from .files import stream_table
from .parts import PixelSum, SkyPart

ZMAX_LOW_DEG, ZMAX_HIGH_DEG = 100.0, 105.0
"""Zenith cuts below and above 1 GeV for files that were not cut in zenith angle."""


@dataclass(frozen=True)
class PhotonCuts:
    """Cuts to be made on photons while reading; None leaves a quantity as it is in the file.

    Attributes
    ----------
    event_type : {"front", "back", "all"} or None
        None selects FRONT where a file holds both, since that is what the models are made for.
    zmax_deg : float or None
        Largest zenith angle. None: 100 degrees below and 105 above 1 GeV in files that were not
        cut already.
    event_class : int or None
        Bit mask as in gtselect (128 is SOURCE); a photon needs one of the bits.
    energy_mev, time_met : (float, float) or None
        Lowest (included) and highest (excluded) energy in MeV and mission elapsed time in s.
    region : (float, float, float) or None
        Galactic longitude, latitude and radius of a circle, degrees.
    """

    event_type: str | None = None
    zmax_deg: float | None = None
    event_class: int | None = None
    energy_mev: tuple[float, float] | None = None
    time_met: tuple[float, float] | None = None
    region: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.event_type not in (None, "front", "back", "all"):
            raise InputError(f"event type {self.event_type!r}: expected front, back or all")
        if self.zmax_deg is not None and not 0.0 < self.zmax_deg <= 180.0:
            raise InputError(f"zmax {self.zmax_deg:g}: expected degrees between 0 and 180")
        for name, pair in (("energy", self.energy_mev), ("time", self.time_met)):
            if pair is not None and not pair[0] < pair[1]:
                raise InputError(f"{name} range {pair[0]:g} to {pair[1]:g} is empty")
        if self.region is not None:
            check_circle(*self.region)


def read_photons(
    path: Path, hdus: fits.HDUList, index: int, cuts: PhotonCuts, *, yearly: bool = False
) -> SkyPart:
    """The photons of one FT1 file.

    Parameters
    ----------
    path : Path
    hdus, index
        The opened file and its EVENTS table.
    cuts : PhotonCuts
    yearly : bool
        Also keep the counts of each mission year apart.

    Raises
    ------
    InputError
        Columns that a cut needs are missing.
    """
    table = hdus[index]
    stated = read_selection(hdus, index)
    names = _columns(path, table, cuts, yearly)
    chosen = _choose_event_type(path, stated, cuts.event_type, names)
    energy_mev = _energy_range(stated, cuts)
    needs_zenith = cuts.zmax_deg is None and stated.zenith_deg is None
    if needs_zenith and "ZENITH_ANGLE" in names:
        warnings.warn(
            f"{path}: no zenith cut was made on this file; photons beyond {ZMAX_LOW_DEG:g} deg "
            f"(below 1 GeV) and {ZMAX_HIGH_DEG:g} deg are left out against the Earth limb",
            UnekWarning,
            stacklevel=2,
        )
    sums = [PixelSum() for _ in range(N_BINS)]
    years: dict[int, list[PixelSum]] = {}
    seen = np.zeros(N_COVERAGE, dtype=bool)
    back = kept = 0
    lowest, highest = np.inf, 0.0
    for rows in stream_table(path, table, names):
        vectors = _vectors(rows)
        seen[hp.vec2pix(2**COVERAGE_ORDER, *vectors.T, nest=True)] = True
        if len(vectors):
            lowest = min(lowest, float(rows["ENERGY"].min()))
            highest = max(highest, float(rows["ENERGY"].max()))
        conversion = _conversion(rows)
        keep = _passes(rows, vectors, cuts, energy_mev, needs_zenith)
        if chosen in ("front", "back") and conversion is not None:
            wanted = conversion == (0 if chosen == "front" else 1)
            back += int(np.sum(keep & ~wanted))
            keep &= wanted
        kept += int(keep.sum())
        number = np.searchsorted(ENERGY_EDGES_MEV, rows["ENERGY"], side="right") - 1
        for one in range(N_BINS):
            here = keep & (number == one)
            pixels = hp.vec2pix(2 ** NATIVE_ORDERS[one], *vectors[here].T, nest=True)
            sums[one].add(pixels)
            if yearly:
                _add_years(years, one, rows["TIME"][here], pixels)
    if cuts.event_type is None and stated.kind in (None, "all") and chosen == "front" and back:
        warnings.warn(
            f"{path}: holds FRONT and BACK events; the {kept:,} FRONT ones of {kept + back:,} are "
            "used, since the models are made for them (event type 'all' takes both)",
            UnekWarning,
            stacklevel=2,
        )
    if stated.energy_mev is None and energy_mev is None and highest > 0:
        energy_mev = (lowest, max(highest, float(ENERGY_EDGES_MEV[-1])))
    says_where = bool(stated.circles) or stated.whole_sky
    return SkyPart(
        name=str(path),
        kind="photons",
        event_type=chosen,
        selection=_made(stated, cuts, chosen, energy_mev),
        intervals_mev=() if energy_mev is None else (energy_mev,),
        counts=tuple(one.result() for one in sums),
        coverage=icrs_circles_coverage(stated.circles) if says_where else None,
        seen=None if says_where else np.packbits(seen),
        years={year: tuple(one.result() for one in year_sums) for year, year_sums in years.items()},
    )


def _columns(path: Path, table: fits.BinTableHDU, cuts: PhotonCuts, yearly: bool) -> list[str]:
    """Columns to read; InputError when one is missing that is needed."""
    present = set(table.columns.names)
    needed = ["ENERGY"]
    needed += ["RA", "DEC"] if {"RA", "DEC"} <= present else ["L", "B"]
    if yearly or cuts.time_met is not None:
        needed.append("TIME")
    if cuts.zmax_deg is not None:
        needed.append("ZENITH_ANGLE")
    if cuts.event_class is not None:
        needed.append("EVENT_CLASS")
    missing = [name for name in needed if name not in present]
    if missing:
        raise InputError(f"{path}: the events have no column {', '.join(missing)}")
    optional = ["ZENITH_ANGLE", "CONVERSION_TYPE", "EVENT_TYPE"]
    return needed + [name for name in optional if name in present and name not in needed]


def _choose_event_type(
    path: Path, stated: Selection, requested: str | None, names: list[str]
) -> str:
    """Which events to take; warns unless they are FRONT."""
    known = "CONVERSION_TYPE" in names or "EVENT_TYPE" in names
    if requested is not None:
        if requested != "all" and not known and stated.kind != requested:
            raise InputError(
                f"{path}: no column CONVERSION_TYPE or EVENT_TYPE to select {requested} events by"
            )
        if stated.kind in ("front", "back") and requested not in (stated.kind, "all"):
            raise InputError(
                f"{path}: holds {stated.label} events only, {requested} were asked for"
            )
        return stated.kind if requested == "all" and stated.kind == "front" else requested
    if stated.kind == "front":
        return "front"
    if stated.kind in (None, "all") and known:
        return "front"
    chosen = "back" if stated.kind == "back" else "all"
    warnings.warn(
        f"{path}: holds {stated.label} events, the models are made for FRONT; "
        "positions and probabilities are less certain",
        UnekWarning,
        stacklevel=3,
    )
    return chosen


def _energy_range(stated: Selection, cuts: PhotonCuts) -> tuple[float, float] | None:
    """Energies of the file after the cut; None when nothing is known."""
    if stated.energy_mev is None or cuts.energy_mev is None:
        return stated.energy_mev or cuts.energy_mev
    low = max(stated.energy_mev[0], cuts.energy_mev[0])
    high = min(stated.energy_mev[1], cuts.energy_mev[1])
    return (low, high) if low < high else None


def _vectors(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Galactic unit vectors (N, 3)."""
    if "RA" in rows:
        icrs = lonlat_to_vectors(rows["RA"].astype(float), rows["DEC"].astype(float))
        return icrs @ icrs_to_galactic().T
    return lonlat_to_vectors(rows["L"].astype(float), rows["B"].astype(float))


def _bits(values: np.ndarray) -> np.ndarray:
    """Bit columns (32X, as four bytes, highest first) or integers as int64."""
    if values.ndim == 1:
        return values.astype(np.int64)
    result = np.zeros(len(values), dtype=np.int64)
    for byte in values.T:
        result = result << 8 | byte
    return result


def _conversion(rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """0 for FRONT and 1 for BACK events; None when the file does not say."""
    if "CONVERSION_TYPE" in rows:
        return rows["CONVERSION_TYPE"]
    if "EVENT_TYPE" in rows:
        bits = _bits(rows["EVENT_TYPE"])
        return np.where(bits & FRONT, 0, np.where(bits & BACK, 1, -1))
    return None


def _passes(
    rows: Mapping[str, np.ndarray],
    vectors: np.ndarray,
    cuts: PhotonCuts,
    energy_mev: tuple[float, float] | None,
    needs_zenith: bool,
) -> np.ndarray:
    """Bool (N,): photons that survive all cuts but the one on event type."""
    energy = rows["ENERGY"]
    keep = np.ones(len(energy), dtype=bool)
    if cuts.energy_mev is not None:
        keep &= (energy >= cuts.energy_mev[0]) & (energy < cuts.energy_mev[1])
    if cuts.zmax_deg is not None:
        keep &= rows["ZENITH_ANGLE"] < cuts.zmax_deg
    elif needs_zenith and "ZENITH_ANGLE" in rows:
        limit = np.where(energy < 1000.0, ZMAX_LOW_DEG, ZMAX_HIGH_DEG)
        keep &= rows["ZENITH_ANGLE"] < limit
    if cuts.event_class is not None:
        keep &= (_bits(rows["EVENT_CLASS"]) & cuts.event_class) != 0
    if cuts.time_met is not None:
        keep &= (rows["TIME"] >= cuts.time_met[0]) & (rows["TIME"] < cuts.time_met[1])
    if cuts.region is not None:
        keep &= inside_circle(vectors, cuts.region)
    return keep


def _add_years(
    years: dict[int, list[PixelSum]], index: int, times: np.ndarray, pixels: np.ndarray
) -> None:
    number = np.floor((times - MISSION_START_MET) / YEAR_S).astype(int)
    for year in np.unique(number).tolist():
        sums = years.setdefault(year, [PixelSum() for _ in range(N_BINS)])
        sums[index].add(pixels[number == year])


def _made(
    stated: Selection, cuts: PhotonCuts, chosen: str, energy_mev: tuple[float, float] | None
) -> Selection:
    """The selection of the file and the cuts of this reading together."""
    zenith = stated.zenith_deg if cuts.zmax_deg is None else (0.0, cuts.zmax_deg)
    times = stated.times_met
    if times is not None and cuts.time_met is not None:
        start, stop = max(times[0], cuts.time_met[0]), min(times[1], cuts.time_met[1])
        times = (start, stop) if start < stop else None
    event_type = {"front": FRONT, "back": BACK}.get(chosen, stated.event_type)
    event_class = stated.event_class if cuts.event_class is None else cuts.event_class
    return replace(
        stated,
        event_class=event_class,
        event_type=event_type,
        energy_mev=energy_mev,
        zenith_deg=zenith,
        times_met=times,
    )
