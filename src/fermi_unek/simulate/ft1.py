"""Simulated photons as an FT1 file, as gtselect would leave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.time import Time

from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.geometry.coverage import icrs_to_galactic
from ..sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from ..sky.io.dss import SIMULATED, event_type_cut, write_cuts
from ..sky.io.files import write_fits
from ..sky.selection import BACK, FRONT
from .sky import Photons

SOURCE_CLASS = 128
"""Event class bit of P8R3 SOURCE."""

ZENITH_CUT_DEG = 100.0
"""Zenith angles drawn stay below it, so that every usual cut keeps all photons."""

_WEEK_S = 7 * 86400.0
_BLOCK = 2880  # bytes that the parts of a FITS file are multiples of
_MET_ZERO = {"MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4}


def write_ft1(
    photons: Photons, path: str | Path, rng: np.random.Generator, *, overwrite: bool = False
) -> Path:
    """Write an FT1 file with an EVENTS and a GTI table.

    The good times are the weeks of the observation. The zenith angle, which the simulation does
    not know, is drawn uniform in its cosine down to the cut.

    Parameters
    ----------
    photons : Photons
        Any number, none included.
    path : path
    rng : Generator
        Draws the zenith angles.
    overwrite : bool

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or it cannot be written.
    """
    events = _events(photons, rng)
    _add_times(events.header, photons)
    _add_selection(events.header, photons)
    # without these gtselect and the tools after it refuse the file
    events.header["PASS_VER"], events.header["PROC_VER"] = "P8R3", 305
    events.header["HDUCLASS"] = "OGIP"
    events.header["HDUCLAS1"] = "EVENTS"
    events.header["HDUCLAS2"] = "ALL"
    primary = fits.PrimaryHDU()
    primary.header["CREATOR"] = "fermi-unek"
    primary.header["FILENAME"] = Path(path).name
    _add_times(primary.header, photons)
    return write_fits([primary, events, _gti(photons)], path, overwrite=overwrite)


_COLUMNS = (
    fits.Column("ENERGY", "E", unit="MeV"),
    fits.Column("RA", "E", unit="deg"),
    fits.Column("DEC", "E", unit="deg"),
    fits.Column("L", "E", unit="deg"),
    fits.Column("B", "E", unit="deg"),
    fits.Column("THETA", "E", unit="deg"),
    fits.Column("PHI", "E", unit="deg"),
    fits.Column("ZENITH_ANGLE", "E", unit="deg"),
    fits.Column("EARTH_AZIMUTH_ANGLE", "E", unit="deg"),
    fits.Column("TIME", "D", unit="s"),
    fits.Column("EVENT_ID", "J"),
    fits.Column("RUN_ID", "J"),
    fits.Column("RECON_VERSION", "I"),
    fits.Column("CALIB_VERSION", "3I"),
    fits.Column("EVENT_CLASS", "32X"),
    fits.Column("EVENT_TYPE", "32X"),
    fits.Column("CONVERSION_TYPE", "I"),
    fits.Column("LIVETIME", "D", unit="s"),
)
"""As in the archive's files, in that order."""

_NOT_KNOWN = ("THETA", "PHI", "EARTH_AZIMUTH_ANGLE", "LIVETIME")
"""What depends on where the instrument pointed, which is not simulated: NaN."""


def _events(photons: Photons, rng: np.random.Generator) -> fits.BinTableHDU:
    """The table as it is on disk: astropy would take 32 bools for a column of bits.

    To pack and unpack them takes longer than all else that is done for a photon.
    """
    empty = fits.BinTableHDU.from_columns(_COLUMNS, nrows=0, name="EVENTS")
    header = empty.header
    header["NAXIS2"] = len(photons)
    rows = np.empty(len(photons), empty.columns.dtype.newbyteorder(">"))
    _fill(rows, photons, rng)
    padding = bytes(-rows.nbytes % _BLOCK)
    return fits.BinTableHDU.fromstring(b"".join((header.tostring().encode(), rows.data, padding)))


def _fill(rows: np.ndarray, photons: Photons, rng: np.random.Generator) -> None:
    rows["ENERGY"] = photons.energies_mev
    rows["L"], rows["B"] = vectors_to_lonlat(photons.vectors)
    # single precision, as the columns and the directions have it
    to_icrs = icrs_to_galactic().astype(np.float32)
    rows["RA"], rows["DEC"] = vectors_to_lonlat(photons.vectors.astype(np.float32) @ to_icrs)
    depth = np.float32((1.0 - 1e-6) * (1.0 - np.cos(np.radians(ZENITH_CUT_DEG))))
    cosine = np.float32(1.0) - depth * rng.random(len(photons), dtype=np.float32)
    rows["ZENITH_ANGLE"] = np.degrees(np.arccos(cosine))
    for name in _NOT_KNOWN:
        rows[name] = np.nan
    rows["TIME"] = photons.times_met
    rows["RUN_ID"] = photons.times_met // _WEEK_S * _WEEK_S
    rows["RECON_VERSION"], rows["CALIB_VERSION"] = 0, 0
    rows["EVENT_ID"] = np.arange(1, len(photons) + 1)
    rows["EVENT_CLASS"] = _bytes(SOURCE_CLASS)
    rows["EVENT_TYPE"] = _bytes(FRONT, BACK)[(photons.conversion != 0).astype(int)]
    rows["CONVERSION_TYPE"] = photons.conversion


def _bytes(*values: int) -> np.ndarray:
    """Numbers as FITS has 32 bits, uint8 (N, 4), highest bit first."""
    return np.array(values, ">u4").view(np.uint8).reshape(-1, 4)


def _add_times(header: fits.Header, photons: Photons) -> None:
    zero = Time(_MET_ZERO["MJDREFI"], _MET_ZERO["MJDREFF"], format="mjd", scale="tt")
    # UTC, as in the archive's files, beside a TIMESYS of TT
    start, stop = ((zero + met * u.s).utc.isot for met in photons.span_met)
    header["TELESCOP"] = "GLAST"
    header["INSTRUME"] = "LAT"
    header["OBSERVER"] = SIMULATED
    header["EQUINOX"] = 2000.0
    header["RADECSYS"] = "FK5"
    header["DATE-OBS"], header["DATE-END"] = start, stop
    header["TSTART"], header["TSTOP"] = photons.span_met
    header["MJDREFI"] = _MET_ZERO["MJDREFI"]
    header["MJDREFF"] = _MET_ZERO["MJDREFF"]
    header["TIMEUNIT"] = "s"
    header["TIMESYS"] = "TT"
    header["TIMEREF"] = "LOCAL"
    header["TIMEZERO"] = 0.0
    header["CLOCKAPP"] = False
    header["GPS_OUT"] = False


def _add_selection(header: fits.Header, photons: Photons) -> None:
    """The cuts in the DSS keywords."""
    ra, dec, radius = 0.0, 0.0, 180.0
    if photons.region is not None and photons.region[2] < 180.0:
        radius = photons.region[2]
        centre = lonlat_to_vectors(*(np.asarray(x) for x in photons.region[:2]))
        ra, dec = (float(x) for x in vectors_to_lonlat(centre @ icrs_to_galactic()))
    cuts = [
        (f"BIT_MASK(EVENT_CLASS,{SOURCE_CLASS},P8R3)", "DIMENSIONLESS", "1:1"),
        event_type_cut(photons.event_type),
        ("POS(RA,DEC)", "deg", f"CIRCLE({ra:.6f},{dec:.6f},{radius:g})"),
        ("ENERGY", "MeV", f"{ENERGY_EDGES_MEV[0]:g}:{ENERGY_EDGES_MEV[-1]:g}"),
        ("ZENITH_ANGLE", "deg", f"0:{ZENITH_CUT_DEG:g}"),
    ]
    write_cuts(header, cuts)


def _gti(photons: Photons) -> fits.BinTableHDU:
    start, stop = photons.span_met
    edges = np.append(np.arange(start, stop, _WEEK_S), stop)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("START", "D", unit="s", array=edges[:-1]),
            fits.Column("STOP", "D", unit="s", array=edges[1:]),
        ],
        name="GTI",
    )
    _add_times(table.header, photons)
    table.header["HDUCLASS"] = "OGIP"
    table.header["HDUCLAS1"] = "GTI"
    table.header["ONTIME"] = stop - start
    table.header["TELAPSE"] = stop - start
    return table
