"""Small skies and files that the tests of `sky` make for themselves."""

from __future__ import annotations

from pathlib import Path

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits

from fermi_unek.sky.bins import ENERGY_EDGES_MEV, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels

MIDDLES_MEV = np.sqrt(ENERGY_EDGES_MEV[:-1] * ENERGY_EDGES_MEV[1:])


def random_vectors(rng: np.random.Generator, number: int) -> np.ndarray:
    """Points (N, 3) even over the sphere."""
    vectors = rng.normal(size=(number, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vectors_near(
    rng: np.random.Generator, number: int, lon: float, lat: float, sigma_deg: float
) -> np.ndarray:
    """Points (N, 3) scattered about a place."""
    centre = np.array(hp.ang2vec(lon, lat, lonlat=True))
    vectors = centre + np.radians(sigma_deg) * rng.normal(size=(number, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sky_of(
    vectors: np.ndarray, coverage: np.ndarray | None = None, present: range = range(N_BINS)
) -> SkyCounts:
    """A sky with the same photons in every bin of `present`."""
    bins = [
        bin_from_pixels(
            k, hp.vec2pix(2 ** NATIVE_ORDERS[k], *np.transpose(vectors), nest=True), coverage
        )
        if k in present
        else None
        for k in range(N_BINS)
    ]
    return SkyCounts(tuple(bins), livetime_years=2.0)


def write_ft1(
    path: Path,
    lon: np.ndarray,
    lat: np.ndarray,
    energy_mev: np.ndarray,
    *,
    drop: tuple[str, ...] = (),
    dss: tuple[tuple[str, str], ...] = (
        ("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"),
        ("POS(RA,DEC)", "CIRCLE(0,0,180)"),
        ("ENERGY", "100:1000000"),
        ("ZENITH_ANGLE", "0:100"),
    ),
    gti: tuple[float, float] | None = (239557417.0, 239557417.0 + 2 * 365.25 * 86400),
    **columns: np.ndarray,
) -> Path:
    """An FT1 photon file of events at Galactic positions; all FRONT unless told otherwise."""
    number = len(lon)
    place = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    data = {
        "ENERGY": (energy_mev, "E"),
        "RA": (place.ra.deg, "E"),
        "DEC": (place.dec.deg, "E"),
        "L": (lon, "E"),
        "B": (lat, "E"),
        "ZENITH_ANGLE": (columns.get("zenith", np.full(number, 50.0)), "E"),
        "TIME": (
            columns.get("time", np.full(number, 239557418.0 if gti is None else gti[0] + 1)),
            "D",
        ),
        "CONVERSION_TYPE": (columns.get("conversion", np.zeros(number)), "I"),
        "EVENT_CLASS": (_bits(columns.get("event_class", np.full(number, 128))), "32X"),
        "EVENT_TYPE": (_bits(columns.get("event_type", np.full(number, 1))), "32X"),
    }
    events = fits.BinTableHDU.from_columns(
        [fits.Column(k, form, array=v) for k, (v, form) in data.items() if k not in drop],
        name="EVENTS",
    )
    add_dss(events.header, dss)
    hdus = [fits.PrimaryHDU(), events]
    if gti is not None:
        hdus.append(
            fits.BinTableHDU.from_columns(
                [
                    fits.Column("START", "D", array=np.array([gti[0]])),
                    fits.Column("STOP", "D", array=np.array([gti[1]])),
                ],
                name="GTI",
            )
        )
    fits.HDUList(hdus).writeto(path)
    return path


def _bits(values: np.ndarray) -> np.ndarray:
    """Integers as FITS bit arrays (N, 32), highest bit first."""
    return (np.asarray(values)[:, None] >> np.arange(31, -1, -1) & 1).astype(bool)


def add_dss(header: fits.Header, entries: tuple[tuple[str, str], ...]) -> None:
    """Write DSS keywords."""
    header["NDSKEYS"] = len(entries)
    for number, (kind, value) in enumerate(entries, 1):
        header[f"DSTYP{number}"] = kind
        header[f"DSVAL{number}"] = value


FRONT_DSS = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"),)


def bounds_table(edges_mev: np.ndarray, name: str = "EBOUNDS") -> fits.BinTableHDU:
    """EBOUNDS in keV of channels (N, 2)."""
    edges = np.asarray(edges_mev, dtype=float).reshape(-1, 2) * 1e3
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(1, len(edges) + 1)),
            fits.Column("E_MIN", "E", unit="keV", array=edges[:, 0]),
            fits.Column("E_MAX", "E", unit="keV", array=edges[:, 1]),
        ],
        name=name,
    )


def write_ccube(
    path: Path,
    data: np.ndarray,
    edges_mev: np.ndarray | None,
    *,
    ctype: tuple[str, str] = ("GLON-CAR", "GLAT-CAR"),
    crval: tuple[float, float] = (30.0, 0.0),
    pixel_deg: float = 0.5,
    dss: tuple[tuple[str, str], ...] = FRONT_DSS,
    extra: tuple[fits.BinTableHDU, ...] = (),
) -> Path:
    """A gtbin-like CCUBE centred on `crval`; without EBOUNDS when there are no edges."""
    primary = fits.PrimaryHDU(data)
    for axis in (1, 2):
        primary.header[f"CTYPE{axis}"] = ctype[axis - 1]
        primary.header[f"CRVAL{axis}"] = crval[axis - 1]
        primary.header[f"CRPIX{axis}"] = (data.shape[-axis] + 1) / 2
        primary.header[f"CDELT{axis}"] = (-1) ** axis * pixel_deg
        primary.header[f"CUNIT{axis}"] = "deg"
    add_dss(primary.header, dss)
    hdus = [primary] if edges_mev is None else [primary, bounds_table(edges_mev)]
    fits.HDUList([*hdus, *extra]).writeto(path)
    return path


BIN_EDGES = np.stack([ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:]], axis=-1)
