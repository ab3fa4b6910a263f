"""Count cubes and maps in a WCS projection: gtbin CCUBE and CMAP, fermipy, gammapy."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_area, proj_plane_pixel_scales

from ...errors import InputError
from ..bins import COVERAGE_ORDER
from ..counts import Pixels
from ..geometry.coverage import N_COVERAGE, coverage_vectors, icrs_to_galactic
from ..geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from ..geometry.resample import repeat_pixels
from ..units import check_frame, factor
from .channels import unobserved
from .parts import PixelCounts

_ENERGY_TOLERANCE = 0.02  # of keywords that were rounded
_STEP_TOLERANCE = 0.01
_REMARKS = ("", "COMMENT", "HISTORY")
_NUMBER = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]")


class WcsCells:
    """The pixels of a count map or cube, and what is in them; see `cubes.read_cube`.

    Cells are pixels counted row by row.

    Parameters
    ----------
    path : Path
    hdu : image HDU

    Raises
    ------
    InputError
        No celestial WCS.
    """

    kind = "wcs"

    def __init__(self, path: Path, hdu: fits.ImageHDU | fits.PrimaryHDU) -> None:
        self._hdu = hdu
        self._wcs = celestial_wcs(path, hdu.header)
        self._shape = hdu.shape[-2:]
        self._observed = np.zeros(self._shape, dtype=bool)
        self.n_channels = int(np.prod(hdu.shape[:-2], dtype=int))
        self.counted_in = Pixels(float(np.sqrt(proj_plane_pixel_area(self._wcs))))

    def blocks(self) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
        """Cells, channel and values (N,), a channel at a time."""
        cells = np.arange(self._observed.size)
        leading = self._hdu.shape[:-2]
        for channel in range(self.n_channels):
            where = np.unravel_index(channel, leading) if leading else ()
            plane = self._hdu.section[(*(int(k) for k in where), slice(None), slice(None))]
            values = np.asarray(plane).astype(plane.dtype.newbyteorder("="), copy=False)
            self._observed |= ~unobserved(values)
            yield cells, channel, values.ravel()

    def place(
        self, cells: np.ndarray, counts: np.ndarray, order: int, rng: np.random.Generator
    ) -> Iterator[PixelCounts]:
        """Nested Galactic pixels of an order, one for each photon, about a million at a time.

        Each photon gets a random place inside its cell: cells are coarser than the HEALPIX pixels
        the photons go to, or of like size, and laying one grid on the other by the centers would
        leave stripes.
        """
        for photons in repeat_pixels(cells, counts):
            y, x = (axis.astype(float) for axis in np.divmod(photons, self._shape[1]))
            pixels = hp.vec2pix(2**order, *_place(self._wcs, x, y, rng).T, nest=True)
            yield pixels.astype(np.uint32), np.ones(len(pixels), np.uint32)

    def centers(self, cells: np.ndarray, counts: np.ndarray, order: int) -> PixelCounts:
        """Counts of cells as those of the nested Galactic pixels of an order in their middles."""
        y, x = (axis.astype(float) for axis in np.divmod(cells, self._shape[1]))
        vectors = pixels_to_vectors(self._wcs, x, y)
        known = np.isfinite(vectors).all(axis=1)  # middles off the sky belong to no photon
        pixels = hp.vec2pix(2**order, *vectors[known].T, nest=True)
        return pixels.astype(np.uint32), counts[known].astype(np.uint32)

    def coverage(self) -> np.ndarray | None:
        """Mask of what was observed, None is the whole sky; after all `blocks`."""
        observed = None if self._observed.all() else self._observed
        return wcs_coverage(self._wcs, self._shape, observed)


def _written_anew(header: fits.Header) -> fits.Header:
    """The same keywords in cards of our own: wcslib crashes at quotes that are not in pairs."""
    return fits.Header(
        [(card.keyword, card.value) for card in header.cards if card.keyword not in _REMARKS]
    )


def celestial_wcs(path: Path, header: fits.Header) -> WCS:
    """The two celestial axes of an image, which must be its first two.

    Raises
    ------
    InputError
        Other axes, or neither Galactic nor equatorial.
    """
    # wcslib takes zero for what is no number
    for key, value in header.items():
        if _NUMBER.fullmatch(key) and (type(value) not in (int, float) or not np.isfinite(value)):
            raise InputError(f"{path}: {key} is {value!r}, expected a number")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(_written_anew(header), naxis=2)
    except (ValueError, KeyError, MemoryError) as error:  # wcslib raises all of these
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: the WCS of the image cannot be read ({reason})") from error
    if wcs.wcs.lng != 0 or wcs.wcs.lat != 1 or wcs.wcs.lngtyp not in ("GLON", "RA"):
        raise InputError(
            f"{path}: the first two axes are {wcs.wcs.ctype[0]!r} and {wcs.wcs.ctype[1]!r}, "
            "expected Galactic or equatorial longitude and latitude"
        )
    galactic = wcs.wcs.lngtyp == "GLON"
    named = str(header.get("COORDSYS", "")).strip().upper()
    if named and named.startswith("G") != galactic:
        raise InputError(
            f"{path}: COORDSYS {named} and CTYPE1 {wcs.wcs.ctype[0]} contradict each other"
        )
    if not galactic:
        check_frame(header, str(path))
    if wcs.sip is not None:
        raise InputError(f"{path}: the WCS has SIP distortions, expected a plain projection")
    _check_matrix(path, header)
    if turn_pixels(wcs):
        # columns more than 180 degrees from the reference point are still on the sky
        wcs.wcs.bounds_check(False, True)
    return wcs


def check_energy_axis(path: Path, header: fits.Header, energies: np.ndarray, table: str) -> None:
    """InputError where the third axis of an image states other energies than its table.

    Programs write the first energy or its logarithm, and one step of either, both often not
    CTYPE3's; 0 and 1 stand for nothing.

    Parameters
    ----------
    path : Path
    header : Header
    energies : array (K,) or (K, 2)
        MeV, rising; of channels the lower and upper edge.
    table : str
        Where they are from.
    """
    name, unit = (str(header.get(key, "") or "") for key in ("CTYPE3", "CUNIT3"))
    if name.strip() and "energ" not in name.lower():
        return
    scale = factor(re.sub(r"(?i)log(10)?[ _(]*|\)", "", unit), "MeV", f"{path}: CUNIT3", "MeV")
    edges = energies.reshape(len(energies), -1)
    firsts = [edges[0, 0], np.sqrt(edges[0, 0] * edges[0, -1])]
    lasts = edges[1, :1] if len(edges) > 1 else edges[0, 1:]
    steps = [last - edges[0, 0] for last in lasts]
    ratios = [last / edges[0, 0] for last in lasts]
    for key, linear, growth in (("CRVAL3", firsts, firsts), ("CDELT3", steps, ratios)):
        value = header.get(key)
        if not isinstance(value, int | float) or value in (0, 1) or not growth:
            continue
        if key == "CRVAL3" and header.get("CRPIX3", 1) != 1:
            return
        with np.errstate(all="ignore"):
            # a logarithm is of the energy in its unit, its step has none
            per = scale if key == "CRVAL3" else 1.0
            meant = [value * scale / right for right in linear]
            meant += [
                np.power(base, float(value)) * per / right
                for base in (np.e, 10.0)
                for right in growth
            ]
        if not np.any(np.abs(np.array(meant) - 1.0) < _ENERGY_TOLERANCE):
            raise InputError(
                f"{path}: {key} {value:g} {unit or 'MeV'} and the energies in {table} (from "
                f"{edges[0, 0]:g} MeV, then {edges.flat[min(1, edges.size - 1)]:g}) contradict "
                "each other"
            )


def _check_matrix(path: Path, header: fits.Header) -> None:
    """InputError where a CD matrix and what it stands for, CDELT and PC, contradict each other."""
    matrix = [[header.get(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)]
    if not np.any(matrix):
        return
    if any(f"PC{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        raise InputError(f"{path}: the header has a CD and a PC matrix, expected one of them")
    for axis, size in enumerate(np.hypot(matrix[0], matrix[1]), 1):
        step = abs(header.get(f"CDELT{axis}", 0.0))
        # 1 and 0 are what writers leave in it that know the matrix alone
        if step not in (0.0, 1.0) and abs(step / size - 1.0) > _STEP_TOLERANCE:
            raise InputError(
                f"{path}: CDELT{axis} {step:g} and the CD matrix, pixels of {size:.4g}, contradict "
                "each other"
            )


def turn_pixels(wcs: WCS) -> float:
    """Columns of a whole turn of a cylindrical map; 0 for other projections."""
    if not wcs.wcs.ctype[0].endswith(("CAR", "MER", "CEA", "CYP")):
        return 0.0
    return float(360.0 / proj_plane_pixel_scales(wcs)[0])


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
    turn = turn_pixels(wcs)
    columns = np.full(len(x), -1, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        for shift in (0.0, turn, -turn) if turn else (0.0,):
            inside = (x + shift >= -0.5) & (x + shift < shape[1] - 0.5) & (columns < 0)
            columns[inside] = np.floor(x[inside] + shift + 0.5).astype(np.int64)
        rows = np.where((y >= -0.5) & (y < shape[0] - 0.5), np.floor(y + 0.5), -1)
    rows = np.where(np.isfinite(rows), rows, -1).astype(np.int64)
    return np.where(rows < 0, -1, columns), np.where(columns < 0, -1, rows)


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
