"""The instrument of an observation: shipped tables, CALDB files, and the analyst's exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np

from ..errors import InputError
from ..sky.bins import YEAR_S
from ..sky.io.files import open_fits
from ..sky.maps import read_mapcube
from .caldb import REFERENCE_MEV, instrument_from_caldb, over_parallel, smooth_in_dec
from .instrument import FINE_ENERGIES_MEV, Instrument, load_instrument, sin_declination

_NSIDE = 64
_LEAST_CM2_S = 1.0


@dataclass(frozen=True)
class ExposureFile:
    """A gtltcube or gtexpcube2 file that was read.

    Attributes
    ----------
    response : Instrument
        What the CALDB files make of a gtltcube file; else the shipped tables.
    years : float
        Time that a gtltcube file spans, calendar years; NaN for a gtexpcube2 file, which does
        not say.
    energies_mev : array (K,) or None
        Of a gtexpcube2 file.
    maps : float32 array (K, npix) or None
        cm2 s of the whole observation, NESTED Galactic.
    """

    response: Instrument
    years: float = float("nan")
    energies_mev: np.ndarray | None = None
    maps: np.ndarray | None = None

    def instrument(self, years: float, event_type: str) -> Instrument:
        """The instrument of an observation; see `with_exposure`.

        Parameters
        ----------
        years : float
            Live time that a gtexpcube2 file is the exposure of.
        event_type : {"front", "back", "all"}
            Events it was made for.
        """
        if self.energies_mev is None or self.maps is None:
            return self.response
        return _scaled(self.response, self.energies_mev, self.maps, years, event_type)


def read_exposure(path: str | Path, caldb: str | Path | None = None) -> ExposureFile:
    """A gtltcube or a gtexpcube2 file.

    Parameters
    ----------
    path : path
    caldb : path or None
        Folder with the CALDB files that a gtltcube file needs; None is $CALDB or $FERMI_DIR.

    Raises
    ------
    InputError
        Neither of the two, damaged, or not of the whole sky; or the CALDB files are not found.
    """
    with open_fits(Path(path)) as hdus:
        is_livetime = "CTHETABOUNDS" in hdus
    if is_livetime:
        return _read_livetime(Path(path), caldb)
    return ExposureFile(load_instrument(), float("nan"), *_read_maps(path))


def _read_livetime(path: Path, caldb: str | Path | None) -> ExposureFile:
    try:
        with open_fits(path) as hdus:
            header = hdus["EXPOSURE"].header
            years = (header["TSTOP"] - header["TSTART"]) / YEAR_S
        if not years > 0:
            raise ValueError(f"it spans {years:g} years")
        response = instrument_from_caldb(caldb, path, by_position=True)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a livetime cube: {error}") from error
    return ExposureFile(response, years)


def _read_maps(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies (K,), MeV, and maps (K, npix), cm2 s, of a gtexpcube2 file."""
    # gtexpcube2 writes equatorial pixels and does not say so
    energies, maps = read_mapcube(path, 0.0, _NSIDE, unnamed_frame="EQU", kind="exposure")
    if not np.isfinite(maps).all() or maps.max(initial=0.0) < _LEAST_CM2_S:
        raise InputError(
            f"{path}: no exposure map: its values reach {maps.max(initial=0.0):.3g} and must be "
            f"finite, expected cm2 s, {_LEAST_CM2_S:g} at least"
        )
    return energies, maps


def instrument_for(
    exposure: str | Path | None = None,
    caldb: str | Path | None = None,
    years: float = 10.0,
    event_type: str = "front",
) -> Instrument:
    """The instrument of an observation.

    The shipped tables unless an exposure file is named. A gtltcube file takes the CALDB files of
    `caldb`, $CALDB or $FERMI_DIR; a gtexpcube2 file is the exposure of the whole live time and
    leaves PSF and energy dispersion as they are.

    Parameters
    ----------
    exposure, caldb : path, optional
    years : float
        Live time that a gtexpcube2 file is the exposure of.
    event_type : {"front", "back", "all"}
        Events it was made for.

    Raises
    ------
    InputError
        A CALDB folder without a gtltcube file, or files that cannot be used.
    """
    if exposure is None:
        if caldb is not None:
            raise InputError(
                f"{caldb}: calibration files alone give no exposure; name the gtltcube file "
                "of the observation as --exposure"
            )
        return load_instrument()
    return read_exposure(exposure, caldb).instrument(years, event_type)


def with_exposure(
    instrument: Instrument, path: str | Path, years: float, event_type: str
) -> Instrument:
    """An instrument with the exposure of a gtexpcube2 file.

    How it differs along a parallel is taken from the file's map nearest to 3 GeV, and it is
    continued beyond the energies of the file in proportion to the instrument's own. A file of
    both event types is shared out in proportion.

    Parameters
    ----------
    instrument : Instrument
    path : path
        Whole sky, HEALPIX or WCS, cm2 s.
    years : float
        Live time that it is the exposure of.
    event_type : {"front", "back", "all"}
        Events it was made for.

    Raises
    ------
    InputError
        Not such a file, or not of the whole sky.
    """
    return _scaled(instrument, *_read_maps(path), years, event_type)


def _scaled(
    instrument: Instrument,
    energies: np.ndarray,
    maps: np.ndarray,
    years: float,
    event_type: str,
) -> Instrument:
    pixels = np.array(hp.pix2vec(_NSIDE, np.arange(maps.shape[1]), nest=True)).T
    sine = sin_declination(pixels)
    parts = instrument.parts(event_type)
    own = np.sum([part.exposure_per_year for part in parts], axis=0)
    per_year = np.array([smooth_in_dec(sine, one) for one in maps.astype(float)]) / years
    log_nodes, log_fine = np.log(energies), np.log(FINE_ENERGIES_MEV)
    at_nodes = np.array([np.interp(log_nodes, log_fine, column) for column in own.T]).T
    ratio = per_year / at_nodes
    factor = np.array([np.interp(log_fine, log_nodes, column) for column in ratio.T]).T
    nearest = int(np.abs(np.log(energies / REFERENCE_MEV)).argmin())
    relative = over_parallel(pixels, maps[nearest].astype(float))
    scaled = {
        name: replace(
            part,
            exposure_per_year=(part.exposure_per_year * factor).astype(np.float32),
            relative_exposure=relative,
        )
        for name, part in (("front", instrument.front), ("back", instrument.back))
    }
    return replace(instrument, front=scaled["front"], back=scaled["back"])
