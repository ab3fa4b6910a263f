"""FT1 photon files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..bins import (
    COVERAGE_ORDER,
    ENERGY_EDGES_MEV,
    LIKELIHOOD_EDGES_MEV,
    NATIVE_ORDERS,
    YEAR_S,
    native_order,
)
from ..geometry.coverage import (
    N_COVERAGE,
    check_circle,
    icrs_circles_coverage,
    icrs_to_galactic,
    inside_circle,
)
from ..geometry.frame import lonlat_to_vectors
from ..selection import (
    BACK,
    EVENT_TYPES,
    FRONT,
    LAYERS,
    TYPE_FAMILIES,
    ZMAX_HIGH_DEG,
    ZMAX_LOW_DEG,
    Selection,
    Span,
)
from ..units import check_frame, factor
from .dss import good_times, met_seconds, read_selection
from .files import stream_table
from .parts import BinSums, PixelCounts, SkyPart

_POSSIBLE = {"ENERGY": (0.0, 2e7), "DEC": (-90.0, 90.0), "B": (-90.0, 90.0)}
_POSSIBLE |= {"RA": (-360.0, 360.0), "L": (-360.0, 360.0), "ZENITH_ANGLE": (0.0, 180.0)}
"""Least and greatest value of a column; 20 TeV is more than any photon of the LAT has."""

_SAMPLE = 1000  # photons of a block of which RA, DEC and L, B are compared
_UNITS = {"ENERGY": "MeV"} | dict.fromkeys(("RA", "DEC", "L", "B", "ZENITH_ANGLE"), "deg")
_MOST_PIECES = 16
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class PhotonCuts:
    """Cuts to be made on photons while reading; None leaves a quantity as it is in the file.

    Attributes
    ----------
    event_type : str or None
        One of `EVENT_TYPES`, or of `LAYERS` for photons that are kept apart; None is "fb" where a
        file holds both FRONT and BACK events, else what it holds.
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
        known = (*LAYERS, *EVENT_TYPES)
        if self.event_type not in (None, *known):
            raise InputError(f"event type {self.event_type!r}: expected one of {known}")
        if self.zmax_deg is not None and not 0.0 < self.zmax_deg <= 180.0:
            raise InputError(f"zmax {self.zmax_deg:g}: expected degrees between 0 and 180")
        for name, pair in (("energy", self.energy_mev), ("time", self.time_met)):
            if pair is not None and not pair[0] < pair[1]:
                raise InputError(f"{name} range {pair[0]:g} to {pair[1]:g} is empty")
        if self.region is not None:
            check_circle(*self.region)


class PhotonIds:
    """The photons read so far, so that those of several files, or twice in one, count once.

    A photon is told by RUN_ID, EVENT_ID and TIME; without the first two by time, energy and place.
    Where a file has no RA and DEC, all in it are taken for different.
    """

    def __init__(self) -> None:
        self._pieces: list[tuple[float, float, str, np.ndarray]] = []
        self.doubles = 0

    def fresh(self, rows: Mapping[str, np.ndarray], keep: np.ndarray, name: str) -> np.ndarray:
        """`keep` (N,) without the photons seen before; `name` is that of the file."""
        if "TIME" not in rows or not keep.any():
            return keep
        named = {"RUN_ID", "EVENT_ID"} <= set(rows)
        told = ("RUN_ID", "EVENT_ID") if named else ("ENERGY", *(set(rows) & {"RA", "DEC"}))
        known = named or {"RA", "DEC"} <= set(rows)
        keys = np.zeros(int(keep.sum()), np.uint64)
        for column in ("TIME", *sorted(told)):
            keys = (keys ^ (keys >> np.uint64(31))) * _MIX
            keys ^= rows[column][keep].astype(float).view(np.uint64)
        times = rows["TIME"][keep]
        start, stop = float(times.min()), float(times.max())
        new = np.ones(len(keys), dtype=bool)
        if known:
            new[:] = False
            new[np.unique(keys, return_index=True)[1]] = True
        for first, last, file, there in self._pieces:
            if first <= stop and start <= last and (known or file != name):
                place = np.minimum(np.searchsorted(there, keys), len(there) - 1)
                new &= there[place] != keys
        self._add(start, stop, name, np.sort(keys[new]))
        self.doubles += int(np.sum(~new))
        result = keep.copy()
        result[keep] = new
        return result

    def _add(self, start: float, stop: float, name: str, keys: np.ndarray) -> None:
        if not len(keys):
            return
        self._pieces.append((start, stop, name, keys))
        own = [piece for piece in self._pieces if piece[2] == name]
        if len(own) > _MOST_PIECES:
            others = [piece for piece in self._pieces if piece[2] != name]
            starts, stops, _, parts = zip(*own, strict=True)
            together = np.sort(np.concatenate(parts))
            self._pieces = [*others, (min(starts), max(stops), name, together)]


def read_photons(
    path: Path,
    hdus: fits.HDUList,
    index: int,
    cuts: PhotonCuts,
    ids: PhotonIds,
    *,
    yearly: bool = False,
    year_s: float = YEAR_S,
    fine: bool = False,
) -> SkyPart:
    """The photons of one FT1 file.

    Parameters
    ----------
    path : Path
    hdus, index
        The opened file and its EVENTS table.
    cuts : PhotonCuts
    ids : PhotonIds
        Of the files read before.
    yearly : bool
        Also keep the counts of each mission year apart.
    year_s : float
        Length of a year.
    fine : bool
        Also count them in the narrow bins of `LIKELIHOOD_EDGES_MEV` inside what was observed.

    Raises
    ------
    InputError
        Columns that a cut needs are missing, of no known unit, or contradict the header.
    """
    table = hdus[index]
    check_frame(table.header, str(path))
    stated = read_selection(path, hdus, index)
    names = _columns(path, table, cuts, yearly)
    assert cuts.event_type in EVENT_TYPES
    chosen = cuts.event_type
    energy_mev = _energy_range(stated, cuts)
    uncut = stated.zenith_deg is None or stated.zenith_deg[1] > ZMAX_HIGH_DEG
    needs_zenith = cuts.zmax_deg is None and uncut and "ZENITH_ANGLE" in names
    if needs_zenith:
        made = "no zenith cut" if stated.zenith_deg is None else "no zenith cut against the limb"
        warnings.warn(
            f"{path}: {made} was made on this file; photons beyond {ZMAX_LOW_DEG:g} deg "
            f"(below 1 GeV) and {ZMAX_HIGH_DEG:g} deg are left out against the Earth limb",
            UnekWarning,
            stacklevel=2,
        )
    sums = BinSums(ENERGY_EDGES_MEV, NATIVE_ORDERS, yearly, year_s)
    narrow = BinSums(
        LIKELIHOOD_EDGES_MEV if fine else LIKELIHOOD_EDGES_MEV[:1],
        [native_order(low) for low in LIKELIHOOD_EDGES_MEV[:-1]] if fine else (),
        yearly,
        year_s,
    )
    seen = np.zeros(N_COVERAGE, dtype=bool)
    tally = _Tally(path, stated)
    good = good_times(path, hdus)
    for raw in stream_table(path, table, names):
        rows = tally.numbers(_physical(path, table, raw))
        vectors = _vectors(rows)
        seen[hp.vec2pix(2**COVERAGE_ORDER, *vectors.T, nest=True)] = True
        tally.add(rows, vectors)
        bits = _event_bits(rows)
        keep = _passes(rows, vectors, cuts, energy_mev, needs_zenith)
        if chosen not in ("all", stated.kind) and bits is not None:
            keep &= (bits & EVENT_TYPES[chosen]) != 0
        if good is not None and len(good) and "TIME" in rows:
            during = _during(rows["TIME"], good)
            tally.bad_times += int(np.sum(keep & ~during))
            keep &= during
        keep = ids.fresh(rows, keep, str(path))
        tally.kept += int(keep.sum())
        times = rows["TIME"][keep] if yearly else None
        for bin_sums in (sums, narrow):
            bin_sums.add(rows["ENERGY"][keep], vectors[keep], times)
    tally.check(good)
    if stated.energy_mev is None and energy_mev is None and tally.highest > 0:
        energy_mev = (tally.lowest, max(tally.highest, float(ENERGY_EDGES_MEV[-1])))
    says_where = bool(stated.circles) or stated.whole_sky
    return SkyPart(
        name=str(path),
        kind="photons",
        event_type=chosen,
        selection=_made(stated, cuts, chosen, energy_mev, needs_zenith),
        intervals_mev=() if energy_mev is None else (energy_mev,),
        counts=sums.result(),
        coverage=icrs_circles_coverage(stated.circles) if says_where else None,
        seen=None if says_where else np.packbits(seen),
        years=sums.years(),
        fine=_observed(narrow.result(), energy_mev),
        fine_years={y: _observed(counts, energy_mev) for y, counts in narrow.years().items()},
        year_s=year_s,
    )


class _Tally:
    """What the photons of a file are, against what its header says."""

    def __init__(self, path: Path, stated: Selection) -> None:
        self._path, self._stated = path, stated
        self._outside = Counter[str]()
        self._places = self._astray = 0
        self._total = self.kept = self.bad_times = self._blank = self._other_class = 0
        self.lowest, self.highest = np.inf, 0.0

    def numbers(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The photons of one block whose every number is one."""
        known = np.logical_and.reduce([~np.isnan(rows[name]) for name in _UNITS if name in rows])
        if known.all():
            return rows
        self._blank += int(np.sum(~known))
        return {name: values[known] for name, values in rows.items()}

    def add(self, rows: Mapping[str, np.ndarray], vectors: np.ndarray) -> None:
        """Take note of the photons of one block, all of them."""
        if not len(vectors):
            return
        self._total += len(vectors)
        energy, stated = rows["ENERGY"], self._stated
        self.lowest = min(self.lowest, float(np.nanmin(energy)))
        self.highest = max(self.highest, float(np.nanmax(energy)))
        if stated.energy_mev is not None:
            low, high = stated.energy_mev
            self._outside["ENERGY"] += int(np.sum((energy < 0.99 * low) | (energy > 1.01 * high)))
        if stated.spans_met and "TIME" in rows:
            first, last = stated.spans_met[0][0], stated.spans_met[-1][1]
            self._outside["TIME"] += int(np.sum((rows["TIME"] < first) | (rows["TIME"] > last)))
        if stated.zenith_deg is not None and "ZENITH_ANGLE" in rows:
            beyond = rows["ZENITH_ANGLE"] > stated.zenith_deg[1] + 0.5
            self._outside["ZENITH_ANGLE"] += int(np.sum(beyond))
        bits = _event_bits(rows)
        if bits is not None and stated.kind is not None:
            stated_bits = EVENT_TYPES[stated.kind]
            # a file may have the one of CONVERSION_TYPE and EVENT_TYPE that the cut is not of
            family = next(bits_of for bits_of in TYPE_FAMILIES if bits_of & stated_bits)
            known = (bits & family) != 0
            self._outside["event types"] += int(np.sum(known & ((bits & stated_bits) == 0)))
        if stated.event_class and "EVENT_CLASS" in rows and stated.release.startswith("P8"):
            # what class they are of instead is not known: told, as other classes are
            self._other_class += int(np.sum((rows["EVENT_CLASS"] & stated.event_class) == 0))
        for ra, dec, radius in stated.circles:
            center = icrs_to_galactic() @ lonlat_to_vectors(np.asarray(ra), np.asarray(dec))
            away = vectors @ center < np.cos(np.radians(min(radius + 0.5, 180.0)))
            self._outside["RA, DEC"] += int(np.sum(away))
        if {"RA", "L"} <= set(rows):
            other = lonlat_to_vectors(*(rows[name][:_SAMPLE].astype(float) for name in ("L", "B")))
            self._places += len(other)
            near = np.sum(other * vectors[:_SAMPLE], axis=1) > np.cos(np.radians(0.5))
            self._astray += int(np.sum(~near))

    def check(self, good: np.ndarray | None) -> None:
        """Say what was left out of the good time intervals (N, 2).

        Raises
        ------
        InputError
            Most photons lie outside of the cuts that the header states, or places of theirs
            contradict each other, or no time was good.
        """
        if self._blank > 0.5 * (self._blank + self._total):
            raise InputError(
                f"{self._path}: {self._blank:,} photons have an energy, place or zenith angle that "
                "is no number"
            )
        if self._blank:
            warnings.warn(
                f"{self._path}: {self._blank:,} photons whose energy, place or zenith angle is no "
                "number are left out",
                UnekWarning,
                stacklevel=3,
            )
        if self._total and good is not None and not len(good):
            raise InputError(
                f"{self._path}: holds {self._total:,} photons and no good time interval (GTI)"
            )
        if self._astray > 0.5 * self._places:
            raise InputError(
                f"{self._path}: columns RA, DEC and L, B contradict each other; are the units "
                "right?"
            )
        for name, outside in self._outside.items():
            if outside > 0.5 * self._total:
                raise InputError(
                    f"{self._path}: {name} of {outside:,} of {self._total:,} photons contradict "
                    "the cuts in the header (DSS keywords, GTI); are the units right?"
                )
        if self._other_class:
            warnings.warn(
                f"{self._path}: EVENT_CLASS of {self._other_class:,} of {self._total:,} photons "
                f"and the cut in the header (DSS), class {self._stated.event_class}, contradict "
                "each other",
                UnekWarning,
                stacklevel=3,
            )
        if self.bad_times:
            warnings.warn(
                f"{self._path}: {self.bad_times:,} photons outside of the good time intervals "
                "(GTI) are left out",
                UnekWarning,
                stacklevel=3,
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
    optional = ["ZENITH_ANGLE", "CONVERSION_TYPE", "EVENT_TYPE", "TIME", "RUN_ID", "EVENT_ID"]
    optional += ["EVENT_CLASS"]
    optional += ["L", "B"] if {"L", "B"} <= present else []
    return needed + [name for name in optional if name in present and name not in needed]


def event_types(
    path: Path, hdus: fits.HDUList, index: int, requested: str | None
) -> tuple[str, ...]:
    """Event types of a photon file that are kept apart, of `EVENT_TYPES`, by what was requested.

    Raises
    ------
    InputError
        The file holds no such events, or does not say which of its events are.
    """
    stated = read_selection(path, hdus, index)
    columns = set(hdus[index].columns.names)
    known = {"front", "back"} if "CONVERSION_TYPE" in columns else set()
    known |= set(EVENT_TYPES) if "EVENT_TYPE" in columns else set()
    held = stated.kind or "all"
    if requested is None:
        return LAYERS["fb"] if held == "all" and known else (held,)
    wanted = LAYERS.get(requested, (requested,))
    bits = EVENT_TYPES[held]
    # photons of either conversion type are of some quartile of the PSF, and the other way round
    apart = [
        name
        for name in wanted
        if EVENT_TYPES[name] & bits or (name[:3] == "psf") != (held[:3] == "psf")
    ]
    if not apart:
        raise InputError(f"{path}: holds {stated.label} events only, {requested} were asked for")
    if missing := [name for name in apart if name not in (*known, held, "all")]:
        raise InputError(
            f"{path}: no column CONVERSION_TYPE or EVENT_TYPE to select {missing[0]} events by"
        )
    return (held,) if apart == ["all"] else tuple(apart)


def _energy_range(stated: Selection, cuts: PhotonCuts) -> Span | None:
    """Energies of the file after the cut; None when nothing is known."""
    if stated.energy_mev is None or cuts.energy_mev is None:
        return stated.energy_mev or cuts.energy_mev
    low = max(stated.energy_mev[0], cuts.energy_mev[0])
    high = min(stated.energy_mev[1], cuts.energy_mev[1])
    return (low, high) if low < high else None


def _physical(
    path: Path, table: fits.BinTableHDU, raw: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Columns as they are in the file in MeV, degrees and seconds, and bits as integers.

    Raises
    ------
    InputError
        What no photon can have: units not stated, or damage.
    """
    rows = {}
    for name, values in raw.items():
        unit, where = table.columns[name].unit, f"{path}: column {name}"
        if name == "TIME":
            rows[name] = met_seconds(values, unit, table.header, where)
        elif name in ("EVENT_CLASS", "EVENT_TYPE"):
            rows[name] = _bits(values, table.columns[name].format)
        elif name in _UNITS:
            if values.dtype.kind not in "iuf":
                raise InputError(f"{where} holds no numbers")
            scale = factor(unit, _UNITS[name], where, _UNITS[name])
            rows[name] = values if scale == 1.0 else values * scale
            low, high = _POSSIBLE[name]
            wrong = rows[name][(rows[name] < low) | (rows[name] > high)]  # NaN: see _Tally
            if len(wrong):
                raise InputError(
                    f"{where} holds {wrong[0]:g}, expected {low:g} to {high:g} {_UNITS[name]}"
                )
        else:
            rows[name] = values
    return rows


def _bits(values: np.ndarray, form: str) -> np.ndarray:
    """Bit columns, or what other programs made of them, as int64.

    32X are four bytes, highest bit first; astropy's tables write them as logicals, 32L.
    """
    if values.ndim == 1:
        return values.astype(np.int64)
    if not form.endswith("X"):
        values = np.packbits((values == 1) | (values == ord("T")), axis=1)
    result = np.zeros(len(values), dtype=np.int64)
    for byte in values.T:
        result = result << 8 | byte
    return result


def _vectors(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Galactic unit vectors (N, 3)."""
    if "RA" in rows:
        icrs = lonlat_to_vectors(rows["RA"].astype(float), rows["DEC"].astype(float))
        return icrs @ icrs_to_galactic().T
    return lonlat_to_vectors(rows["L"].astype(float), rows["B"].astype(float))


def _event_bits(rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Event types (N,) as `EVENT_TYPES` has them; None when the file does not say."""
    bits = rows.get("EVENT_TYPE")
    if "CONVERSION_TYPE" in rows:
        conversion = np.where(rows["CONVERSION_TYPE"] == 0, FRONT, BACK)
        return conversion if bits is None else bits & ~(FRONT | BACK) | conversion
    return bits


def _passes(
    rows: Mapping[str, np.ndarray],
    vectors: np.ndarray,
    cuts: PhotonCuts,
    energy_mev: Span | None,
    needs_zenith: bool,
) -> np.ndarray:
    """Bool (N,): photons that survive all cuts but the one on event type."""
    energy = rows["ENERGY"]
    keep = np.ones(len(energy), dtype=bool)
    if cuts.energy_mev is not None:
        keep &= (energy >= cuts.energy_mev[0]) & (energy < cuts.energy_mev[1])
    if cuts.zmax_deg is not None:
        keep &= rows["ZENITH_ANGLE"] < cuts.zmax_deg
    elif needs_zenith:
        limit = np.where(energy < 1000.0, ZMAX_LOW_DEG, ZMAX_HIGH_DEG)
        keep &= rows["ZENITH_ANGLE"] < limit
    if cuts.event_class is not None:
        keep &= (rows["EVENT_CLASS"] & cuts.event_class) != 0
    if cuts.time_met is not None:
        keep &= (rows["TIME"] >= cuts.time_met[0]) & (rows["TIME"] < cuts.time_met[1])
    if cuts.region is not None:
        keep &= inside_circle(vectors, cuts.region)
    return keep


def _during(times: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Bool (N,): whether times lie in intervals (M, 2), ends included as gtselect has it."""
    place = np.maximum(np.searchsorted(good[:, 0], times, side="right") - 1, 0)
    return (times >= good[place, 0]) & (times <= good[place, 1])


def _observed(counts: Sequence[PixelCounts], energy_mev: Span | None) -> dict[Span, PixelCounts]:
    """Narrow bins by their energies, cut to those that were observed."""
    lowest, highest = energy_mev or (0.0, np.inf)
    spans = zip(LIKELIHOOD_EDGES_MEV[:-1].tolist(), LIKELIHOOD_EDGES_MEV[1:].tolist(), strict=True)
    found = {
        (max(low, lowest), min(high, highest)): of_bin
        for (low, high), of_bin in zip(spans, counts, strict=False)
    }
    return {span: of_bin for span, of_bin in found.items() if span[1] > 1.01 * span[0]}


def _made(
    stated: Selection,
    cuts: PhotonCuts,
    chosen: str,
    energy_mev: Span | None,
    needs_zenith: bool,
) -> Selection:
    """The selection of the file and the cuts of this reading together."""
    zenith = (0.0, ZMAX_LOW_DEG) if needs_zenith else stated.zenith_deg
    made = stated if cuts.time_met is None else stated.within(cuts.time_met)
    return replace(
        made,
        event_class=stated.event_class if cuts.event_class is None else cuts.event_class,
        event_type=stated.event_type if chosen == "all" else EVENT_TYPES[chosen],
        energy_mev=energy_mev,
        zenith_deg=zenith if cuts.zmax_deg is None else (0.0, cuts.zmax_deg),
    )
