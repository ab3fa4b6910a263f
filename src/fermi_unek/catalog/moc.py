"""Coverage masks as multi-order coverage maps (MOC 2.0 of the IVOA), which are in ICRS."""

from __future__ import annotations

import healpy as hp
import numpy as np
from astropy import units as u
from mocpy import MOC

from ..sky.bins import COVERAGE_ORDER
from ..sky.geometry.coverage import N_COVERAGE, coverage_vectors, icrs_to_galactic

MOC_ORDER = COVERAGE_ORDER + 2
"""A quarter of a coverage pixel wide: the center of each pixel survives the change of frame."""

_CELL_ORDER = 7
_WIDE_ORDER = 6  # pixels whose 3 x 3 hold any cell of order 7 that touches the middle one
_PART = 4096


def mask_to_moc(mask: np.ndarray) -> MOC:
    """The MOC of a coverage mask: cells of order `MOC_ORDER` whose centers it covers.

    Parameters
    ----------
    mask : bool array (12 * 4**COVERAGE_ORDER,)
        NESTED and Galactic.
    """
    wide = mask.reshape(12 * 4**_WIDE_ORDER, -1)
    full, touched = np.all(wide, axis=1), np.any(wide, axis=1)
    cells = np.arange(12 * 4**_CELL_ORDER)
    around = _wide_pixels(cells)
    inside = np.all(full[around], axis=0)
    mixed = cells[np.any(touched[around], axis=0) & ~inside]
    fine = np.arange(4 ** (MOC_ORDER - _CELL_ORDER))
    covered = [np.zeros(0, int)]
    for part in np.array_split(mixed, mixed.size // _PART + 1):
        pixels = (part[:, None] * fine.size + fine).ravel()
        covered.append(pixels[mask[_galactic_pixels(MOC_ORDER, pixels, COVERAGE_ORDER)]])
    rims = np.concatenate(covered)
    orders = np.repeat([_CELL_ORDER, MOC_ORDER], [inside.sum(), rims.size])
    pixels = np.concatenate([cells[inside], rims])
    return MOC.from_healpix_cells(pixels.astype(np.uint64), orders.astype(np.uint8), MOC_ORDER)


def moc_to_mask(moc: MOC) -> np.ndarray:
    """Bool (12 * 4**COVERAGE_ORDER,), NESTED and Galactic: pixels whose centers a MOC covers.

    Raises
    ------
    ValueError
        It has cells beyond the last of the sky.
    """
    mask = np.zeros(N_COVERAGE, bool)
    if moc.empty():
        return mask
    touched = moc.degrade_to_order(min(moc.max_order, _CELL_ORDER))
    cells = touched.to_order(_CELL_ORDER).flatten().astype(int)
    if cells.max() >= 12 * 4**_CELL_ORDER:
        raise ValueError("it has cells that the sky has not")
    wide = np.unique(_wide_pixels(cells))
    fine = np.arange(4 ** (COVERAGE_ORDER - _WIDE_ORDER))
    pixels = (wide[:, None] * fine.size + fine).ravel()
    # a row vector times the matrix turns the other way, to ICRS
    places = hp.vec2ang(coverage_vectors(pixels) @ icrs_to_galactic(), lonlat=True)
    mask[pixels] = moc.contains_lonlat(*(angle * u.deg for angle in places))
    return mask


def _galactic_pixels(order: int, pixels: np.ndarray, galactic_order: int) -> np.ndarray:
    """Galactic pixels in which the centers of ICRS ones lie, all NESTED."""
    centers = icrs_to_galactic() @ np.array(hp.pix2vec(2**order, pixels, nest=True))
    return hp.vec2pix(2**galactic_order, *centers, nest=True)


def _wide_pixels(cells: np.ndarray) -> np.ndarray:
    """Galactic pixels (9, N) of `_WIDE_ORDER` that ICRS cells (N,) of `_CELL_ORDER` may touch."""
    home = _galactic_pixels(_CELL_ORDER, cells, _WIDE_ORDER)
    beside = hp.get_all_neighbours(2**_WIDE_ORDER, home, nest=True)
    # some corners of HEALPIX have seven neighbours, the eighth is -1
    return np.vstack([home, np.where(beside < 0, home, beside)])
