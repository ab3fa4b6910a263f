"""Count cubes as gtbin writes them, for simulated skies and for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from ...errors import OutputError
from ..bins import COVERAGE_ORDER, ENERGY_EDGES_MEV, MISSION_START_MET, N_BINS, YEAR_S
from ..counts import BinCounts, SkyCounts
from ..geometry.coverage import check_circle, icrs_to_galactic, unite
from ..geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from ..geometry.resample import places_in_pixels, repeat_pixels, transfer
from .dss import SIMULATED, event_type_cut, write_cuts
from .files import write_fits
from .parts import merge_pixels
from .wcs import vectors_to_pixels


def write_healpix_counts(
    sky: SkyCounts,
    path: str | Path,
    orders: int | Sequence[int],
    *,
    rng: np.random.Generator,
    ordering: str = "NESTED",
    coordsys: str = "GAL",
    region: tuple[float, float, float] | None = None,
    sparse: bool = False,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write counts as gtbin's HEALPIX algorithm does, or fewer rows where most pixels are empty.

    A whole sky becomes an implicit table of all pixels; a region an explicit list of those whose
    centre it holds, named by HPX_REG, without which gammapy cannot read a list; a sky with
    coverage masks and no region a list of the pixels covered. Equal or coarser pixels are exact
    sums; photons that go to finer pixels, or to the equatorial frame, get a random place in
    theirs.

    Parameters
    ----------
    sky : SkyCounts
    path : path
    orders : int or six ints
        One order: one file with a channel for each bin that is present. Six: one file a bin,
        ``_bin0`` to ``_bin5`` put before the suffix.
    rng : numpy Generator
    ordering : {"NESTED", "RING"}
    coordsys : {"GAL", "CEL"}
    region : (float, float, float) or None
        Galactic longitude, latitude and radius, degrees; photons in pixels outside are left out.
    sparse : bool
        Whether a whole sky lists its filled pixels only, where that makes the file smaller
        (INDXSCHM SPARSE, which gammapy reads and gtbin does not write).
    overwrite : bool

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    OutputError
        Unknown ordering or frame, orders that are not six, a file that exists (then none is
        written) or cannot be written.
    """
    path = Path(path)
    if ordering not in ("NESTED", "RING") or coordsys not in ("GAL", "CEL"):
        raise OutputError(
            f"{path}: ordering {ordering!r} and frame {coordsys!r}, expected NESTED or RING and "
            "GAL or CEL"
        )
    present = np.flatnonzero(sky.present).tolist()
    if isinstance(orders, int):
        plan = [(path, orders, present)]
    elif len(orders) == N_BINS:
        plan = [
            (path.with_name(f"{path.stem}_bin{index}{path.suffix}"), int(orders[index]), [index])
            for index in present
        ]
    else:
        raise OutputError(f"{path}: {len(orders)} orders, expected one or {N_BINS}")
    for name, _, _ in plan:
        if name.exists() and not overwrite:
            raise OutputError(f"{name}: exists already, choose another name or allow overwriting")
    for name, order, indices in plan:
        table = _healpix_table(sky, indices, order, rng, ordering, coordsys, region, sparse)
        _add_selection(table.header, sky, indices)
        primary = fits.PrimaryHDU()
        write_fits([primary, table, _energy_bounds(indices), _gti(sky)], name, overwrite=overwrite)
    return tuple(name for name, _, _ in plan)


def _healpix_table(
    sky: SkyCounts,
    indices: Sequence[int],
    order: int,
    rng: np.random.Generator,
    ordering: str,
    coordsys: str,
    region: tuple[float, float, float] | None,
    sparse: bool,
) -> fits.BinTableHDU:
    rotation = None if coordsys == "GAL" else icrs_to_galactic().T
    counts = [
        merge_pixels(transfer(counts.pixels, counts.counts, counts.order, order, rng, rotation))
        for counts in (_bin(sky, index) for index in indices)
    ]
    disk, nested = "", None
    if region is not None:
        disk, nested = _disk(region, order, coordsys)
        inside = [np.isin(pixels, nested) for pixels, _ in counts]
        counts = [(p[keep], n[keep]) for (p, n), keep in zip(counts, inside, strict=True)]
    elif all(_bin(sky, index).coverage is not None for index in indices):
        keep = _covered([_bin(sky, index).coverage for index in indices], order, coordsys)
        for pixels, _ in counts:
            keep[pixels] = True  # a photon just over the edge must not get lost
        nested = np.flatnonzero(keep)
    if ordering == "RING":
        counts = [(hp.nest2ring(2**order, pixels), number) for pixels, number in counts]
        nested = None if nested is None else hp.nest2ring(2**order, nested)
    if nested is not None:
        scheme, columns = "EXPLICIT", _listed_columns(counts, np.sort(nested))
    elif sparse and _is_smaller_as_a_list(counts, order):
        scheme, columns = "SPARSE", _filled_columns(counts)
    else:
        scheme, columns = "IMPLICIT", _all_columns(counts, order)
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    header = table.header
    header["PIXTYPE"] = "HEALPIX"
    header["ORDERING"] = ordering
    header["ORDER"] = order
    header["NSIDE"] = 2**order
    header["FIRSTPIX"] = 0
    header["LASTPIX"] = 12 * 4**order - 1
    header["COORDSYS"] = coordsys
    header["INDXSCHM"] = scheme
    header["HPX_CONV"] = "FGST-CCUBE"
    if scheme == "SPARSE":
        header["BANDSHDU"] = "EBOUNDS"  # gammapy looks for it there in the other schemes only
    if disk:
        header["HPX_REG"] = disk
    return table


_Counts = list[tuple[np.ndarray, np.ndarray]]  # pixels in the file's numbers, photons: a channel


def _all_columns(counts: _Counts, order: int) -> list[fits.Column]:
    """A row for each pixel of the sky."""
    columns = []
    for channel, (pixels, number) in enumerate(counts):
        values = np.zeros(12 * 4**order, dtype=np.int32)
        values[pixels] = number
        columns.append(fits.Column(f"CHANNEL{channel + 1}", "J", array=values))
    return columns


def _listed_columns(counts: _Counts, listed: np.ndarray) -> list[fits.Column]:
    """A row for each of some pixels, rising."""
    columns = [fits.Column("PIX", "J", array=listed.astype(np.int32))]
    for channel, (pixels, number) in enumerate(counts):
        values = np.zeros(len(listed), dtype=np.int32)
        values[np.searchsorted(listed, pixels)] = number
        columns.append(fits.Column(f"CHANNEL{channel + 1}", "J", array=values))
    return columns


def _filled_columns(counts: _Counts) -> list[fits.Column]:
    """A row for each filled pixel of each channel; channels count from 0."""
    rising = [np.argsort(pixels) for pixels, _ in counts]
    pixels, values = (
        np.concatenate([columns[part][rows] for columns, rows in zip(counts, rising, strict=True)])
        for part in (0, 1)
    )
    channels = np.repeat(np.arange(len(counts)), [len(rows) for rows in rising])
    return [
        fits.Column("PIX", "J", array=pixels.astype(np.int32)),
        fits.Column("CHANNEL", "I", array=channels.astype(np.int16)),
        fits.Column("VALUE", "J", array=values.astype(np.int32)),
    ]


def _is_smaller_as_a_list(counts: _Counts, order: int) -> bool:
    """Whether `_filled_columns`, of 10 bytes a row, need less than the 4 bytes of any pixel."""
    return 10 * sum(len(pixels) for pixels, _ in counts) < 4 * len(counts) * 12 * 4**order


def _disk(region: tuple[float, float, float], order: int, coordsys: str) -> tuple[str, np.ndarray]:
    """The HPX_REG keyword of a circle and its pixels, nested, rising, in the file's frame."""
    check_circle(*region)
    vector = lonlat_to_vectors(np.asarray(region[0]), np.asarray(region[1]))
    if coordsys == "CEL":
        vector = vector @ icrs_to_galactic()
    lon, lat = (float(value) for value in vectors_to_lonlat(vector))
    disk = f"DISK({lon:.6f},{lat:.6f},{region[2]:.6f})"
    # from the rounded numbers, so that readers of the keyword find the very same pixels
    lon, lat, radius = (float(part) for part in disk[5:-1].split(","))
    centre = lonlat_to_vectors(np.asarray(lon), np.asarray(lat))
    pixels = hp.query_disc(2**order, centre, np.radians(radius), inclusive=False, nest=True)
    return disk, np.sort(pixels)


def _bin(sky: SkyCounts, index: int) -> BinCounts:
    counts = sky.bins[index]
    assert counts is not None
    return counts


def _covered(masks: Sequence[np.ndarray | None], order: int, coordsys: str) -> np.ndarray:
    """Bool (12 * 4**order,), nested: pixels whose centre any of the masks covers."""
    mask = masks[0]
    for other in masks[1:]:
        mask = unite(mask, other)
    assert mask is not None
    vectors = np.stack(hp.pix2vec(2**order, np.arange(12 * 4**order), nest=True), axis=-1)
    if coordsys == "CEL":
        vectors = vectors @ icrs_to_galactic().T
    return mask[hp.vec2pix(2**COVERAGE_ORDER, *vectors.T, nest=True)].copy()


def write_wcs_counts(
    sky: SkyCounts,
    path: str | Path,
    wcs: WCS,
    shape: tuple[int, int],
    *,
    rng: np.random.Generator,
    cube: np.ndarray | None = None,
    overwrite: bool = False,
) -> Path:
    """Write counts as gtbin's CCUBE algorithm does, one channel for each bin that is present.

    Parameters
    ----------
    sky : SkyCounts
    path : path
    wcs : astropy WCS
        Two celestial axes, Galactic or equatorial.
    shape : (int, int)
        Rows, columns.
    rng : numpy Generator
        For `wcs_cube`.
    cube : int array or None
        What `wcs_cube` made of this sky, so that years add up to the whole; None makes it.
    overwrite : bool

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or it cannot be written.
    """
    indices = np.flatnonzero(sky.present).tolist()
    if cube is None:
        cube = wcs_cube(sky, wcs, shape, rng)
    primary = fits.PrimaryHDU(cube, header=wcs.to_header())
    header = primary.header
    header["CTYPE3"] = "Energy"
    header["CRPIX3"] = 1.0
    header["CRVAL3"] = ENERGY_EDGES_MEV[indices[0]]
    header["CDELT3"] = ENERGY_EDGES_MEV[indices[0] + 1] - ENERGY_EDGES_MEV[indices[0]]
    header["CUNIT3"] = "MeV"
    _add_selection(header, sky, indices)
    return write_fits([primary, _energy_bounds(indices), _gti(sky)], path, overwrite=overwrite)


def wcs_cube(
    sky: SkyCounts, wcs: WCS, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Counts of the bins that are present on a map, int32 (channels, rows, columns).

    Photons get a random place in their HEALPIX pixel before they are put on the map; those
    outside of the map are left out.
    """
    indices = np.flatnonzero(sky.present).tolist()
    cube = np.zeros((len(indices), *shape), dtype=np.int32)
    for channel, index in enumerate(indices):
        counts = _bin(sky, index)
        for photons in repeat_pixels(counts.pixels, counts.counts):
            vectors = places_in_pixels(photons, counts.order, counts.order, rng)
            columns, rows = vectors_to_pixels(wcs, vectors, shape)
            inside = columns >= 0
            np.add.at(cube[channel], (rows[inside], columns[inside]), 1)
    return cube


def _energy_bounds(indices: Sequence[int]) -> fits.BinTableHDU:
    edges = ENERGY_EDGES_MEV * 1e3
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(1, len(indices) + 1)),
            fits.Column("E_MIN", "E", unit="keV", array=edges[list(indices)]),
            fits.Column("E_MAX", "E", unit="keV", array=edges[[i + 1 for i in indices]]),
        ],
        name="EBOUNDS",
    )
    table.header["HDUCLASS"] = "OGIP"
    table.header["HDUCLAS1"] = "RESPONSE"
    table.header["HDUCLAS2"] = "EBOUNDS"
    return table


def _gti(sky: SkyCounts) -> fits.BinTableHDU:
    """One good time as long as the live time, none if that is unknown.

    It begins with the mission, or with the mission year of the layer.
    """
    spans = []
    if np.isfinite(sky.livetime_years):
        begin = MISSION_START_MET + (sky.mission_year or 0) * YEAR_S
        spans = [(begin, begin + sky.livetime_years * YEAR_S)]
    start, stop = np.array(spans, dtype=float).reshape(-1, 2).T
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("START", "D", unit="s", array=start),
            fits.Column("STOP", "D", unit="s", array=stop),
        ],
        name="GTI",
    )
    table.header["HDUCLASS"] = "OGIP"
    table.header["HDUCLAS1"] = "GTI"
    return table


def _add_selection(header: fits.Header, sky: SkyCounts, indices: Sequence[int]) -> None:
    """The DSS keywords of the photons in some bins."""
    low, high = ENERGY_EDGES_MEV[indices[0]], ENERGY_EDGES_MEV[indices[-1] + 1]
    energies = ("ENERGY", "MeV", f"{low:g}:{high:g}")
    write_cuts(header, [event_type_cut(sky.event_type), energies])
    if sky.selection.simulated:
        header["OBSERVER"] = SIMULATED
    header["CREATOR"] = "fermi-unek"
