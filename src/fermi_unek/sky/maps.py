"""Maps of the whole sky at several energies: mapcubes of diffuse models, exposure maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from ..errors import InputError


def nested_lonlat(nside: int) -> tuple[np.ndarray, np.ndarray]:
    """Galactic longitude and latitude (npix,), degrees, of the NESTED pixel centres."""
    return hp.pix2ang(nside, np.arange(hp.nside2npix(nside)), nest=True, lonlat=True)


def read_mapcube(
    path: str | Path,
    lowest_mev: float = 0.0,
    nside: int = 256,
    unnamed_frame: str = "GAL",
    kind: str = "diffuse",
) -> tuple[np.ndarray, np.ndarray]:
    """Energies and NESTED Galactic maps of a mapcube.

    Parameters
    ----------
    path : path
        FITS file with the cube in a WCS projection (first HDU) or HEALPIX (a table with
        PIXTYPE), Galactic or equatorial; energies, MeV, in an ENERGIES table.
    lowest_mev : float
        Energies at or below are left out.
    nside : int
    unnamed_frame : {"GAL", "EQU"}
        Frame of a HEALPIX file that does not say its own.
    kind : str
        What it is a map of, as errors name it.

    Returns
    -------
    energies_mev : float array (K,)
    maps : float32 array (K, 12 * nside**2)

    Raises
    ------
    InputError
        No such file, or not of the whole sky.
    """
    try:
        with fits.open(path) as hdus:
            table = next((h for h in hdus if h.header.get("PIXTYPE") == "HEALPIX"), None)
            if table is not None:
                planes, sample = _healpix_planes(table, nside, unnamed_frame)
            else:
                cube = next((h for h in hdus if h.is_image and h.header.get("NAXIS") == 3), None)
                if cube is None:
                    raise InputError(f"{path}: holds no {kind} cube: neither HEALPIX nor 3 axes")
                planes, sample = cube.data, _WcsSampler(cube.header, nside, f"{path}: {kind} map")
            energies = _energies(hdus, len(planes), str(path))
            keep = np.flatnonzero(energies > lowest_mev)
            maps = np.empty((len(keep), hp.nside2npix(nside)), np.float32)
            for row, k in enumerate(keep):
                maps[row] = sample(planes[k])
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a {kind} mapcube: {error}") from error
    return energies[keep], maps


def _energies(hdus: fits.HDUList, n_planes: int, path: str) -> np.ndarray:
    """Energies (n_planes,) in MeV, from where gtlike looks or where gammapy writes them."""
    for name, column in (("ENERGIES", 0), ("PRIMARY_BANDS", 1), ("SKYMAP_BANDS", 1)):
        if name in hdus:
            energies = np.asarray(hdus[name].data.field(column), float)
            break
    else:
        raise InputError(f"{path}: has no ENERGIES table")
    if len(energies) != n_planes:
        raise InputError(f"{path}: {len(energies)} energies for {n_planes} maps")
    return energies


def _healpix_planes(table: Any, nside: int, unnamed_frame: str) -> tuple[list[np.ndarray], Any]:
    """Planes of a HEALPIX table and the function that brings one to NESTED Galactic."""
    header = table.header
    if header.get("INDXSCHM", "IMPLICIT").strip() == "EXPLICIT":
        raise ValueError("HEALPIX with explicit index, expected the whole sky")
    data = table.data
    if len(table.columns) == 1:
        planes = list(np.asarray(data.field(0)).reshape(len(data), -1).T)
    else:
        planes = [np.asarray(data.field(i)).ravel() for i in range(len(table.columns))]
    nested = header["ORDERING"].strip().upper().startswith("NEST")
    galactic = str(header.get("COORDSYS", unnamed_frame)).strip().upper().startswith("G")
    lon, lat = nested_lonlat(nside)
    if not galactic:
        lon, lat = _to_equatorial(lon, lat)

    def sample(plane: np.ndarray) -> np.ndarray:
        ring = plane.astype(float)
        own = hp.npix2nside(len(ring))
        if own > nside or nested:
            order = "NESTED" if nested else "RING"
            ring = hp.ud_grade(ring, min(own, nside), order_in=order, order_out="RING")
        if galactic and own >= nside:
            return hp.reorder(ring, r2n=True)
        return hp.get_interp_val(ring, lon, lat, lonlat=True)

    return planes, sample


def _to_equatorial(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    return place.ra.deg, place.dec.deg


class _WcsSampler:
    """Bilinear sampling of whole-sky images of one WCS at NESTED Galactic pixels.

    An image finer than the pixels is sampled at their four children.
    """

    def __init__(self, header: fits.Header, nside: int, name: str) -> None:
        wcs = WCS(header).celestial
        step = abs(float(wcs.wcs.cdelt[0]))
        self._fine = 1.5 * step < np.degrees(hp.nside2resol(nside))
        lon, lat = nested_lonlat(2 * nside if self._fine else nside)
        if str(wcs.wcs.ctype[0]).startswith("RA"):
            lon, lat = _to_equatorial(lon, lat)
        x, y = wcs.all_world2pix(lon, lat, 0)
        width, height = header["NAXIS1"], header["NAXIS2"]
        turn = 360.0 / step
        self._closed = "CAR" in wcs.wcs.ctype[0] and width > turn - 1.5
        if self._closed:
            x %= turn
            # with 0 and 360 deg both in the image the last column repeats the first
            self._period = int(round(turn))
        inside = (y > -1.5) & (y < height + 0.5)
        if not self._closed:
            inside &= (x > -1.5) & (x < width + 0.5)
        if not np.all(inside):
            raise InputError(
                f"{name} that covers {np.mean(inside):.0%} of the sky, expected the whole sky"
            )
        self._at = np.stack([np.clip(y, 0, height - 1), x]).astype(np.float32)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        image = np.asarray(image, np.float32)
        if self._closed:
            image = image[:, : self._period]
            image = np.concatenate([image, image[:, :1]], axis=1)
        values = map_coordinates(image, self._at, order=1, mode="nearest")
        return values.reshape(-1, 4).mean(1) if self._fine else values
