"""Count cubes and maps in a WCS projection: gtbin CCUBE and CMAP, fermipy, gammapy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_area

from ...errors import InputError
from ..bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from ..geometry.coverage import (
    N_COVERAGE,
    coverage_vectors,
    icrs_circles_coverage,
    icrs_to_galactic,
    inside_circle,
    intersect,
)
from ..geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from .channels import check_cube_cuts, cube_event_type, read_channels, unobserved, whole_counts
from .dss import read_selection
from .parts import PixelSum, SkyPart
from .photons import PhotonCuts
from .rebin import warn_moved

_CHUNK = 1_000_000


def read_wcs(
    path: Path, hdus: fits.HDUList, index: int, cuts: PhotonCuts, rng: np.random.Generator
) -> SkyPart:
    """The photons of one count cube.

    Each photon gets a random place inside its pixel: the pixels of a cube are coarser than the
    HEALPIX pixels the photons go to, or of like size, and laying one grid on the other by the
    pixel centres would leave stripes.

    Raises
    ------
    InputError
        No celestial WCS, no energy bounds, channels coarser than the network, values that are no
        counts, or a cut that cannot be made on a cube.
    """
    hdu = hdus[index]
    wcs = celestial_wcs(path, hdu.header)
    selection = read_selection(hdus, index)
    check_cube_cuts(path, selection, cuts)
    shape = hdu.shape[-2:]
    planes = int(np.prod(hdu.shape[:-2], dtype=int))
    plan = read_channels(path, hdus, index, planes, selection)
    event_type = cube_event_type(path, selection, cuts)
    sums = [PixelSum() for _ in range(N_BINS)]
    moved = total = 0
    observed = np.zeros(shape, dtype=bool)
    for channel in range(planes):
        values = _plane(hdu, channel)
        observed |= ~unobserved(values)
        if not plan.shares[channel, 1:-1].any():
            continue  # wholly outside of the network's energies
        counts = whole_counts(path, values)
        rows, columns = np.nonzero(counts)
        slots = plan.split(channel, counts[rows, columns], rng)
        total += int(slots.sum())
        if plan.straddles(channel):
            moved += int(slots.sum() - slots[np.argmax(plan.shares[channel])].sum())
        for one in range(N_BINS):
            for vectors in _scatter(wcs, rows, columns, slots[one + 1], rng):
                if cuts.region is not None:
                    vectors = vectors[inside_circle(vectors, cuts.region)]
                sums[one].add(hp.vec2pix(2 ** NATIVE_ORDERS[one], *vectors.T, nest=True))
    warn_moved(moved, total, str(path))
    coverage = wcs_coverage(wcs, shape, None if observed.all() else observed)
    energies = float(plan.edges_mev.min()), float(plan.edges_mev.max())
    return SkyPart(
        name=str(path),
        kind="wcs",
        event_type=event_type,
        selection=replace(selection, energy_mev=energies),
        intervals_mev=tuple((float(low), float(high)) for low, high in plan.edges_mev),
        counts=tuple(one.result() for one in sums),
        coverage=intersect(coverage, icrs_circles_coverage(selection.circles)),
        pixel_deg=float(np.sqrt(proj_plane_pixel_area(wcs))),
    )


def celestial_wcs(path: Path, header: fits.Header) -> WCS:
    """The two celestial axes of an image, which must be its first two.

    Raises
    ------
    InputError
        Other axes, or neither Galactic nor equatorial.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(header, naxis=2)
    except (ValueError, KeyError, MemoryError) as error:  # wcslib raises all of these
        raise InputError(f"{path}: the WCS of the image cannot be read ({error})") from error
    if wcs.wcs.lng != 0 or wcs.wcs.lat != 1 or wcs.wcs.lngtyp not in ("GLON", "RA"):
        raise InputError(
            f"{path}: the first two axes are {wcs.wcs.ctype[0]!r} and {wcs.wcs.ctype[1]!r}, "
            "expected Galactic or equatorial longitude and latitude"
        )
    if _is_cylindrical(wcs):
        # columns more than 180 degrees from the reference point are still on the sky
        wcs.wcs.bounds_check(False, True)
    return wcs


def _is_cylindrical(wcs: WCS) -> bool:
    return wcs.wcs.ctype[0].endswith(("CAR", "MER", "CEA", "CYP"))


def _plane(hdu: fits.ImageHDU | fits.PrimaryHDU, channel: int) -> np.ndarray:
    """One channel (rows, columns), read from the file by itself."""
    leading = hdu.shape[:-2]
    where = np.unravel_index(channel, leading) if leading else ()
    values = np.asarray(hdu.section[(*(int(k) for k in where), slice(None), slice(None))])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def pixels_to_vectors(wcs: WCS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Galactic unit vectors (N, 3) of pixel coordinates counted from 0; NaN off the sky."""
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    with np.errstate(invalid="ignore"):
        lat = np.where(np.abs(lat) > 90.0 + 1e-9, np.nan, lat)  # rows beyond a pole
        vectors = lonlat_to_vectors(lon, lat)
    return vectors if wcs.wcs.lngtyp == "GLON" else vectors @ icrs_to_galactic().T


def vectors_to_pixels(
    wcs: WCS, vectors: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows, int (N,), of the pixels Galactic vectors fall into; -1 outside."""
    if wcs.wcs.lngtyp != "GLON":
        vectors = vectors @ icrs_to_galactic()
    lon, lat = vectors_to_lonlat(vectors)
    x, y = wcs.wcs_world2pix(lon, lat, 0)
    # a cylindrical map may reach beyond 180 degrees from its reference point, where the same
    # place has a second column one turn away
    turn = 360.0 / abs(wcs.wcs.cdelt[0]) if _is_cylindrical(wcs) else 0.0
    columns = np.full(len(x), -1, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        for shift in (0.0, turn, -turn) if turn else (0.0,):
            inside = (x + shift >= -0.5) & (x + shift < shape[1] - 0.5) & (columns < 0)
            columns[inside] = np.floor(x[inside] + shift + 0.5).astype(np.int64)
        rows = np.where((y >= -0.5) & (y < shape[0] - 0.5), np.floor(y + 0.5), -1)
    rows = np.where(np.isfinite(rows), rows, -1).astype(np.int64)
    return np.where(rows < 0, -1, columns), np.where(columns < 0, -1, rows)


def _scatter(
    wcs: WCS, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Vectors of photons at random places inside their pixels, about a million at a time."""
    filled = np.flatnonzero(counts)
    rows, columns, counts = rows[filled], columns[filled], counts[filled]
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK)))
        y = np.repeat(rows[start:stop], counts[start:stop]).astype(float)
        x = np.repeat(columns[start:stop], counts[start:stop]).astype(float)
        yield _place(wcs, x, y, rng)
        start = stop


def _place(wcs: WCS, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random places in pixels (x, y); pixels cut by the edge of the sky are tried again."""
    vectors = np.full((len(x), 3), np.nan)
    left = np.arange(len(x))
    for attempt in range(21):
        spread = 0.0 if attempt == 20 else 1.0  # at last the centre, should all else be off the sky
        dx, dy = (rng.random((2, len(left))) - 0.5) * spread
        vectors[left] = pixels_to_vectors(wcs, x[left] + dx, y[left] + dy)
        left = left[~np.isfinite(vectors[left]).all(axis=1)]
        if not len(left):
            return vectors
    raise InputError(
        f"{len(left)} counts lie in pixels off the sky, the first at column {x[left[0]]:.0f}, "
        f"row {y[left[0]]:.0f}: the WCS does not belong to the image"
    )


def wcs_coverage(
    wcs: WCS, shape: tuple[int, int], observed: np.ndarray | None = None
) -> np.ndarray | None:
    """Coverage mask of a map: where a pixel of it was observed; None for the whole sky.

    Parameters
    ----------
    wcs : WCS
    shape : (int, int)
        Rows, columns.
    observed : bool array (rows, columns) or None
        None when all pixels were.
    """
    nearby = _nearby(wcs, shape)
    columns, rows = vectors_to_pixels(wcs, coverage_vectors(nearby), shape)
    inside = columns >= 0
    if observed is not None:
        inside[inside] = observed[rows[inside], columns[inside]]
    if nearby is None:
        return None if inside.all() else inside
    mask = np.zeros(N_COVERAGE, dtype=bool)
    mask[nearby[inside]] = True
    return mask


def _nearby(wcs: WCS, shape: tuple[int, int]) -> np.ndarray | None:
    """Coverage pixels around a small map; None when it may reach all over the sky."""
    y = np.linspace(-0.5, shape[0] - 0.5, 33)
    x = np.linspace(-0.5, shape[1] - 0.5, 33)
    vectors = pixels_to_vectors(wcs, *(g.ravel() for g in np.meshgrid(x, y)))
    if not np.isfinite(vectors).all():
        return None
    centre = vectors.mean(axis=0)
    length = np.linalg.norm(centre)
    radius = np.arccos(np.clip(np.min(vectors @ centre) / max(length, 1e-9), -1.0, 1.0))
    if length < 0.5 or radius > np.radians(60.0):
        return None
    # samples of the border may miss its farthest point by the distance between them
    return hp.query_disc(
        2**COVERAGE_ORDER, centre / length, 1.1 * radius + 0.01, inclusive=True, nest=True
    )
