"""The instrument of an observation: shipped tables, CALDB files, and the analyst's exposure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np

from ..config import SimulateConfig
from ..errors import InputError
from ..sky.files import open_fits
from .caldb import REFERENCE_MEV, instrument_from_caldb, over_parallel, smooth_in_dec
from .diffuse_files import read_mapcube
from .instrument import FINE_ENERGIES_MEV, Instrument, load_instrument, sin_declination

_NSIDE = 64


def instrument_for(config: SimulateConfig) -> Instrument:
    """The instrument that a configuration asks for.

    The shipped tables unless it names a CALDB folder or an exposure file. A gtltcube file takes
    the CALDB files of `caldb`, $CALDB or $FERMI_DIR; a gtexpcube2 file is the exposure of the
    whole live time and leaves PSF and energy dispersion as they are.

    Raises
    ------
    InputError
        A CALDB folder without a gtltcube file, or files that cannot be used.
    """
    if config.exposure is None:
        if config.caldb is not None:
            raise InputError(
                f"{config.caldb}: calibration files alone give no exposure; name the gtltcube file "
                "of the observation as --exposure"
            )
        return load_instrument()
    with open_fits(config.exposure) as hdus:
        is_livetime = "CTHETABOUNDS" in hdus
    if is_livetime:
        return instrument_from_caldb(config.caldb, config.exposure, by_position=True)
    return with_exposure(load_instrument(), config.exposure, config.years, config.evtype)


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
    # gtexpcube2 writes equatorial pixels and does not say so
    energies, maps = read_mapcube(path, 0.0, _NSIDE, unnamed_frame="EQU")
    pixels = np.array(hp.pix2vec(_NSIDE, np.arange(maps.shape[1]), nest=True)).T
    sine = sin_declination(pixels)
    parts = instrument.parts(event_type)
    own = np.sum([part.exposure_per_year for part in parts], axis=0)
    per_year = np.array([smooth_in_dec(sine, one) for one in maps.astype(float)]) / years
    log_nodes, log_fine = np.log(energies), np.log(FINE_ENERGIES_MEV)
    at_nodes = np.array([np.interp(log_nodes, log_fine, column) for column in own.T]).T
    ratio = per_year / at_nodes
    if not (np.isfinite(ratio).all() and (ratio > 0).any()):
        raise InputError(f"{path}: the exposure is nowhere above zero, expected cm2 s")
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
