"""Count cubes, whatever their pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError
from ..bins import ENERGY_EDGES_MEV, N_BINS, NATIVE_ORDERS, native_order
from ..geometry.coverage import icrs_circles_coverage, inside_circle, intersect
from ..units import factor
from .channels import (
    check_cube_cuts,
    count_unit,
    cube_event_type,
    observed_energies,
    read_channels,
    unobserved,
    whole_counts,
)
from .dss import read_selection
from .healpix import HealpixCells
from .parts import CENTERED_MEV, PixelCounts, PixelSum, SkyPart
from .photons import PhotonCuts
from .rebin import warn_moved
from .wcs import WcsCells, check_energy_axis

_LOWEST_MEV, _HIGHEST_MEV = 0.9 * ENERGY_EDGES_MEV[0], 1.1 * ENERGY_EDGES_MEV[-1]
"""Narrow bins that reach further lack a part of their response."""


def read_cube(
    path: Path,
    hdus: fits.HDUList,
    index: int,
    cuts: PhotonCuts,
    rng: np.random.Generator,
    *,
    fine: bool = False,
) -> SkyPart:
    """The photons of one count cube, in HEALPIX pixels (a table) or a WCS projection (an image).

    It is read piece by piece and only filled pixels are kept. Photons of pixels coarser than
    `NATIVE_ORDERS`, of another frame or another projection get a random place inside theirs, so
    that cutting patches leaves no pattern of the pixels. `fine` also keeps the channels apart.

    Raises
    ------
    InputError
        Keywords that make no pixels or contradict each other, no energy bounds, channels coarser
        than the network, values that are no counts, or a cut that cannot be made on a cube.
    """
    hdu = hdus[index]
    selection = read_selection(path, hdus, index)
    check_cube_cuts(path, selection, cuts)
    cells = WcsCells(path, hdu) if hdu.is_image else HealpixCells(path, hdus, index)
    plan = read_channels(path, hdus, index, cells.n_channels, selection)
    if hdu.is_image:
        check_energy_axis(path, hdu.header, plan.edges_mev, "EBOUNDS")
        factor(count_unit(hdu.header.get("BUNIT")), "", f"{path}: BUNIT of counts", "")
    event_type = cube_event_type(path, selection, cuts)
    sums = [PixelSum() for _ in range(N_BINS)]
    narrow = [PixelSum() for _ in plan.edges_mev]
    fine_rng = rng.spawn(1)[0]  # what networks see must not depend on it
    seen = np.zeros(cells.n_channels, dtype=bool)
    moved = total = 0
    for where, channel, values in cells.blocks():
        seen[channel] |= not unobserved(values).all()
        if not plan.shares[channel, 1:-1].any():
            continue  # wholly outside of the network's energies
        counts = whole_counts(path, values)
        filled = np.flatnonzero(counts)
        slots = plan.split(channel, counts[filled], rng)
        total += int(slots.sum())
        if plan.straddles(channel):
            moved += int(slots.sum() - slots[np.argmax(plan.shares[channel])].sum())
        for b in np.flatnonzero(plan.shares[channel, 1:-1]):
            order = NATIVE_ORDERS[b]
            for pixels, number in cells.place(where[filled], slots[b + 1], order, rng):
                sums[b].add(*_inside(pixels, number, order, cuts))
        if fine:
            order = native_order(plan.edges_mev[channel, 0])
            pieces = (
                [cells.centers(where[filled], counts[filled], order)]
                if isinstance(cells, WcsCells) and plan.edges_mev[channel, 0] > CENTERED_MEV
                else cells.place(where[filled], counts[filled], order, fine_rng)
            )
            for pixels, number in pieces:
                narrow[channel].add(*_inside(pixels, number, order, cuts))
    warn_moved(moved, total, str(path))
    if not seen.any():
        raise InputError(f"{path}: no pixel of any channel was observed")
    intervals = observed_energies(plan, selection, seen)
    return SkyPart(
        name=str(path),
        kind=cells.kind,
        event_type=event_type,
        selection=replace(selection, energy_mev=(intervals[0][0], intervals[-1][1])),
        intervals_mev=intervals,
        counts=tuple(bin_sum.result() for bin_sum in sums),
        fine={
            (float(low), float(high)): bin_sum.result()
            for (low, high), bin_sum in zip(
                plan.edges_mev[seen], compress(narrow, seen), strict=True
            )
            if fine and low > _LOWEST_MEV and high < _HIGHEST_MEV
        },
        coverage=intersect(cells.coverage(), icrs_circles_coverage(selection.circles)),
        counted_in=cells.counted_in,
    )


def _inside(pixels: np.ndarray, number: np.ndarray, order: int, cuts: PhotonCuts) -> PixelCounts:
    """Counts of the pixels inside the region of the cuts."""
    if cuts.region is None:
        return pixels, number
    vectors = hp.pix2vec(2**order, pixels.astype(np.int64), nest=True)
    keep = inside_circle(np.stack(vectors, axis=-1), cuts.region)
    return pixels[keep], number[keep]
