"""Energy channels, event types and whole numbers of count cubes, whatever their geometry."""

from __future__ import annotations

import re
import warnings
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..selection import EVENT_TYPES, LAYERS, Selection, Span
from ..units import column, factor
from .photons import PhotonCuts
from .rebin import RebinPlan, plan_rebin

_MOST_COUNTS = 1e7  # of a pixel and channel; Vela has a few million in all its years
_WHOLE_TOLERANCE = 1e-3
_PER_PIXEL = re.compile(r"(?i)[/* ]*(pix|pixel|bin)s?((\^|\*\*)?-1)?\s*$")
_HEALPIX_UNSEEN = -1.6375e30


def read_channels(
    path: Path, hdus: fits.HDUList, index: int, n_channels: int, selection: Selection
) -> RebinPlan:
    """Plan for the channels of a cube, from its EBOUNDS or ``*_BANDS`` table.

    The energies of an image of one channel may also come from the DSS keywords.

    Raises
    ------
    InputError
        No energy bounds, another number of them than of channels, bounds of no known unit or that
        contradict the DSS keywords, or as `plan_rebin`.
    """
    table = _bounds_table(hdus, index)
    if table is None:
        if n_channels == 1 and selection.energy_mev is not None:
            return plan_rebin(np.array([selection.energy_mev]), str(path))
        found = ", ".join(hdu.name or "(unnamed)" for hdu in hdus)
        hint = "; values at single energies are no counts" if "ENERGIES" in hdus else ""
        raise InputError(
            f"{path}: no energy bounds, expected a table EBOUNDS with E_MIN and E_MAX beside the "
            f"{n_channels} channel(s) (the file holds {found}{hint})"
        )
    edges = _bounds_mev(path, table, selection)
    if len(edges) != n_channels:
        raise InputError(
            f"{path}: {len(edges)} energy bounds in {table.name} for {n_channels} channels"
        )
    if selection.energy_mev is not None:
        healpix = isinstance(hdus[index], fits.BinTableHDU)
        _compare(path, edges, selection.energy_mev, uncut=healpix and n_channels == 1)
    return plan_rebin(edges, str(path))


def observed_energies(plan: RebinPlan, selection: Selection, seen: np.ndarray) -> tuple[Span, ...]:
    """What was observed: the channels `seen` (MeV), as far as the cut on energy left them."""
    lowest, highest = selection.energy_mev or (0.0, np.inf)
    spans = [(max(float(a), lowest), min(float(z), highest)) for a, z in plan.edges_mev[seen]]
    return tuple(span for span in spans if span[0] < span[1])


def _bounds_table(hdus: fits.HDUList, index: int) -> fits.BinTableHDU | None:
    """The table with columns E_MIN and E_MAX that goes with the data in HDU `index`."""
    names = [f"{hdus[index].name or 'PRIMARY'}_BANDS", "EBOUNDS"]
    bands = hdus[index].header.get("BANDSHDU")
    for name in [bands, *names] if bands else names:
        if name in hdus and {"E_MIN", "E_MAX"} <= set(hdus[name].columns.names):
            return hdus[name]
    return None


def _bounds_mev(path: Path, table: fits.BinTableHDU, selection: Selection) -> np.ndarray:
    """Edges (channels, 2), MeV. Where no unit is stated, the DSS keywords must tell it."""
    ends = ("E_MIN", "E_MAX")
    if any(table.columns[end].unit for end in ends) or selection.energy_mev is None:
        return np.stack([column(table, end, "MeV", str(path)) for end in ends], axis=-1)
    edges = np.stack([np.asarray(table.data[end], float) for end in ends], axis=-1)
    low, high = selection.energy_mev
    fitting = [
        unit
        for unit, scale in (("keV", 1e-3), ("MeV", 1.0), ("GeV", 1e3))
        if low <= edges.min() * scale * 1.01 and edges.max() * scale <= high * 1.01
    ]
    if len(fitting) != 1:
        raise InputError(
            f"{path}: E_MIN and E_MAX of {table.name} ({edges.min():g} to {edges.max():g}) have no "
            f"unit, and none follows from the cut on ENERGY ({low:g} to {high:g} MeV)"
        )
    warnings.warn(
        f"{path}: {table.name} has no unit, taken as {fitting[0]} as the cut on ENERGY "
        f"({low:g} to {high:g} MeV) tells",
        UnekWarning,
        stacklevel=5,
    )
    return edges * factor(fitting[0], "MeV", str(path))


def _compare(path: Path, edges: np.ndarray, cut: Span, *, uncut: bool) -> None:
    """InputError where energy bounds and the cut on energy contradict each other."""
    low, high = float(edges.min()), float(edges.max())
    ratios = low / cut[0] if cut[0] > 0 else 1.0, high / cut[1]
    told = f"{low:g} to {high:g} MeV in EBOUNDS, {cut[0]:g} to {cut[1]:g} MeV in the cut on ENERGY"
    if low >= cut[1] or high <= cut[0] or (max(ratios) < 2e-3 or min(ratios) > 500.0):
        raise InputError(f"{path}: {told} (DSS keywords) contradict each other")
    if uncut and (cut[0] < low * 0.99 or cut[1] > high * 1.01):
        raise InputError(
            f"{path}: {told}: gtbin makes no energy cut for HEALPIX files of one bin, and this one "
            "holds photons of all energies; run gtselect with emin and emax first, or bin all "
            "energies into one file"
        )


def cube_event_type(path: Path, selection: Selection, cuts: PhotonCuts) -> str:
    """Event type of a cube's counts, of `EVENT_TYPES`; warns where it is not known.

    Raises
    ------
    InputError
        Others were asked for than the cube says that it holds.
    """
    stated, asked = selection.kind, cuts.event_type
    wanted = LAYERS.get(asked or "", (asked or "all",))
    bits = reduce(or_, (EVENT_TYPES[name] for name in wanted))
    if stated is not None:
        if EVENT_TYPES[stated] & bits != EVENT_TYPES[stated] and wanted != ("all",):
            raise InputError(
                f"{path}: holds {selection.label} counts, {asked} cannot be selected from a cube"
            )
        return stated
    if len(wanted) == 1 and asked is not None:
        return wanted[0]
    warnings.warn(
        f"{path}: a cube of unknown event type, taken as FRONT and BACK together; say what it "
        "holds with --evtype",
        UnekWarning,
        stacklevel=3,
    )
    return "all"


def check_cube_cuts(path: Path, selection: Selection, cuts: PhotonCuts) -> None:
    """InputError when a cut is asked for that cannot be made on binned counts."""
    if cuts.zmax_deg is not None:
        stated = selection.zenith_deg
        if stated is None or stated[1] > cuts.zmax_deg + 1e-6:
            held = "of unknown" if stated is None else f"up to {stated[1]:g} deg"
            raise InputError(
                f"{path}: a zenith angle below {cuts.zmax_deg:g} deg cannot be selected from a "
                f"cube {held} zenith angle; cut the photons before binning"
            )
    if cuts.event_class is not None and selection.event_class != cuts.event_class:
        raise InputError(
            f"{path}: event class {cuts.event_class} cannot be selected from a cube of class "
            f"{selection.event_class or 'unknown'}"
        )
    for name, cut in (("energy", cuts.energy_mev), ("time", cuts.time_met)):
        if cut is not None:
            raise InputError(f"{path}: a cut on {name} cannot be made on a cube, only on photons")


def count_unit(stated: object) -> str:
    """Unit of counts without the pixel or bin that they are of."""
    return _PER_PIXEL.sub("", str(stated or ""))


def whole_counts(path: Path, values: np.ndarray) -> np.ndarray:
    """Counts as int64; zero where not observed (NaN or HEALPIX "unseen").

    Raises
    ------
    InputError
        A negative or not a whole number, or more photons than the LAT has seen from anywhere.
    """
    if (highest := np.nanmax(values, initial=0)) > _MOST_COUNTS:
        raise InputError(f"{path}: holds {highest:g} in a pixel, expected whole numbers of photons")
    if values.dtype.kind in "iu":
        if values.size and int(values.min()) < 0:
            raise InputError(f"{path}: holds negative values ({values.min()}), expected counts")
        return values.astype(np.int64)
    values = np.where(unobserved(values), 0.0, values)
    counts = np.rint(values)
    if values.size and (values.min() < -_WHOLE_TOLERANCE or not np.isfinite(values).all()):
        raise InputError(f"{path}: holds negative values ({values.min():g}), expected counts")
    wrong = np.abs(values - counts) > _WHOLE_TOLERANCE
    if wrong.any():
        raise InputError(
            f"{path}: holds {values[wrong][0]:g}, expected whole numbers of counts; is this a "
            "model, flux or exposure map?"
        )
    return counts.astype(np.int64)


def unobserved(values: np.ndarray) -> np.ndarray:
    """Bool: values that stand for a pixel that was not observed."""
    if values.dtype.kind in "iu":
        return np.zeros(values.shape, dtype=bool)
    return np.isnan(values) | (values < 0.99 * _HEALPIX_UNSEEN)
