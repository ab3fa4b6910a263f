"""Energy channels, event types and whole numbers of count cubes, whatever their geometry."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits

from ...errors import InputError, UnekWarning
from .dss import Selection
from .photons import PhotonCuts
from .rebin import RebinPlan, plan_rebin

_WHOLE_TOLERANCE = 1e-3
_HEALPIX_UNSEEN = -1.6375e30


def read_channels(
    path: Path, hdus: fits.HDUList, index: int, n_channels: int, selection: Selection
) -> RebinPlan:
    """Plan for the channels of a cube, from its EBOUNDS or ``*_BANDS`` table.

    The energies of an image of one channel may also come from the DSS keywords.

    Raises
    ------
    InputError
        No energy bounds, another number of them than of channels, an unknown unit, or as
        `plan_rebin`.
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
    low, high = (_energies_mev(path, table, name) for name in ("E_MIN", "E_MAX"))
    if len(low) != n_channels:
        raise InputError(
            f"{path}: {len(low)} energy bounds in {table.name} for {n_channels} channels"
        )
    return plan_rebin(np.stack([low, high], axis=-1), str(path))


def _bounds_table(hdus: fits.HDUList, index: int) -> fits.BinTableHDU | None:
    """The table with columns E_MIN and E_MAX that goes with the data in HDU `index`."""
    names = [f"{hdus[index].name or 'PRIMARY'}_BANDS", "EBOUNDS"]
    bands = hdus[index].header.get("BANDSHDU")
    for name in [bands, *names] if bands else names:
        if name in hdus and {"E_MIN", "E_MAX"} <= set(hdus[name].columns.names):
            return hdus[name]
    return None


def _energies_mev(path: Path, table: fits.BinTableHDU, name: str) -> np.ndarray:
    unit = table.columns[name].unit or "keV"  # what the OGIP standard and gtbin use
    try:
        return (np.array(table.data[name], dtype=float) * u.Unit(unit)).to_value("MeV")
    except (ValueError, u.UnitConversionError):
        raise InputError(f"{path}: unit {unit!r} of the energy bounds is none of energy") from None


def cube_event_type(path: Path, selection: Selection, cuts: PhotonCuts) -> str:
    """Event type of a cube's counts: front, back or all; warns unless they are FRONT.

    Raises
    ------
    InputError
        FRONT or BACK were asked for and the cube says that it holds something else.
    """
    stated = selection.kind
    asked = cuts.event_type
    if asked in ("front", "back"):
        if stated not in (None, asked):
            raise InputError(
                f"{path}: holds {selection.label} counts, {asked} cannot be selected from a cube"
            )
        return asked
    if stated == "front":
        return "front"
    if asked is None:
        held = "a cube of unknown event type, taken as FRONT and BACK together"
        warnings.warn(
            f"{path}: {held if stated is None else f'a cube of {selection.label} events'}; "
            "the models are made for FRONT, positions and probabilities are less certain",
            UnekWarning,
            stacklevel=3,
        )
    return "back" if stated == "back" else "all"


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


def whole_counts(path: Path, values: np.ndarray) -> np.ndarray:
    """Counts as int64; zero where not observed (NaN or HEALPIX "unseen").

    Raises
    ------
    InputError
        A negative or not a whole number.
    """
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
