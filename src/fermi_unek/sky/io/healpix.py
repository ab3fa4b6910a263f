"""Count cubes in HEALPIX pixels: gtbin's HEALPIX algorithm, gammapy and healpy."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from ..geometry.coverage import (
    N_COVERAGE,
    coverage_vectors,
    estimated_coverage,
    icrs_circles_coverage,
    icrs_to_galactic,
    inside_circle,
    intersect,
    unite,
)
from ..geometry.frame import lonlat_to_vectors
from ..geometry.resample import transfer
from .channels import check_cube_cuts, cube_event_type, read_channels, unobserved, whole_counts
from .dss import read_selection
from .files import stream_table
from .parts import PixelSum, SkyPart
from .photons import PhotonCuts
from .rebin import warn_moved

_PRESENT_ORDER = 11  # finest order at which the list of pixels in a file is remembered


@dataclass(frozen=True)
class _Scheme:
    """How the rows of a table stand for pixels."""

    order: int
    nested: bool
    galactic: bool
    index_column: str | None
    first: int
    channels: tuple[str, ...]
    sparse: bool
    whole: bool

    def to_nested(self, pixels: np.ndarray) -> np.ndarray:
        return pixels if self.nested else hp.ring2nest(2**self.order, pixels)


def read_healpix(
    path: Path, hdus: fits.HDUList, index: int, cuts: PhotonCuts, rng: np.random.Generator
) -> SkyPart:
    """The photons of one HEALPIX file.

    The table is read some rows at a time and only filled pixels are kept. Counts of pixels finer
    than `NATIVE_ORDERS` are summed; photons of coarser ones, and of equatorial files, get a random
    place inside their pixel, so that cutting patches leaves no pattern of the pixels.

    Raises
    ------
    InputError
        Keywords that make no HEALPIX scheme, no energy bounds, channels coarser than the
        network, values that are no counts, or a cut that cannot be made on a cube.
    """
    table = hdus[index]
    selection = read_selection(hdus, index)
    check_cube_cuts(path, selection, cuts)
    scheme = _scheme(path, table)
    n_channels = len(scheme.channels)
    if scheme.sparse:
        n_channels = hdus["EBOUNDS"].header["NAXIS2"] if "EBOUNDS" in hdus else 1
    plan = read_channels(path, hdus, index, n_channels, selection)
    event_type = cube_event_type(path, selection, cuts)
    rotation = None if scheme.galactic else icrs_to_galactic()
    sums = [PixelSum() for _ in range(N_BINS)]
    listing = _Listing(scheme)
    moved = total = 0
    for pixels, channel, values in _blocks(path, table, scheme, plan.shares.shape[0]):
        listing.add(pixels, values)
        if not plan.shares[channel, 1:-1].any():
            continue
        counts = whole_counts(path, values)
        filled = np.flatnonzero(counts)
        if not len(filled):
            continue
        slots = plan.split(channel, counts[filled], rng)
        total += int(slots.sum())
        if plan.straddles(channel):
            moved += int(slots.sum() - slots[np.argmax(plan.shares[channel])].sum())
        nested = scheme.to_nested(pixels[filled])
        for one in np.flatnonzero(plan.shares[channel, 1:-1]):
            order = NATIVE_ORDERS[one]
            for here, number in transfer(
                nested, slots[one + 1], scheme.order, order, rng, rotation
            ):
                if cuts.region is not None:
                    keep = _inside(here, order, cuts.region)
                    here, number = here[keep], number[keep]
                sums[one].add(here, number)
    warn_moved(moved, total, str(path))
    coverage = _disk_region(table.header, scheme)
    if coverage is None:
        coverage = listing.coverage()
    energies = float(plan.edges_mev.min()), float(plan.edges_mev.max())
    return SkyPart(
        name=str(path),
        kind="healpix",
        event_type=event_type,
        selection=replace(selection, energy_mev=energies),
        intervals_mev=tuple((float(low), float(high)) for low, high in plan.edges_mev),
        counts=tuple(one.result() for one in sums),
        coverage=intersect(coverage, icrs_circles_coverage(selection.circles)),
        pixel_deg=float(np.degrees(hp.nside2resol(2**scheme.order))),
        galactic_order=scheme.order if scheme.galactic else None,
    )


def _scheme(path: Path, table: fits.BinTableHDU) -> _Scheme:
    header = table.header
    nside = header.get("NSIDE", 2 ** header["ORDER"] if header.get("ORDER", -1) >= 0 else None)
    if not isinstance(nside, int) or not hp.isnsideok(nside, nest=True):
        raise InputError(f"{path}: NSIDE {nside!r} is no power of two")
    ordering = str(header.get("ORDERING", "")).upper()
    if ordering not in ("RING", "NESTED", "NEST"):
        raise InputError(f"{path}: ORDERING {ordering!r}, expected RING or NESTED")
    frame = str(header.get("COORDSYS", "")).upper()
    if frame not in ("GAL", "G", "CEL", "C", "EQU", "Q"):
        if frame:
            raise InputError(f"{path}: COORDSYS {frame!r}, expected GAL or CEL")
        warnings.warn(f"{path}: no COORDSYS, taken as Galactic", UnekWarning, stacklevel=3)
    names = table.columns.names
    index_column = next((n for n in names if n.upper() in ("PIX", "PIXEL", "HPX_INDEX")), None)
    sparse = {"CHANNEL", "VALUE"} <= {name.upper() for name in names}
    channels = [name for name in names if re.fullmatch(r"CHANNEL\d+", name.upper())]
    channels.sort(key=lambda name: int(name[7:]))
    if not channels:  # healpy gives the columns any name
        channels = [name for name in names if name != index_column]
    scheme = _Scheme(
        order=int(nside).bit_length() - 1,
        nested=ordering != "RING",
        galactic=frame in ("GAL", "G", ""),
        index_column=index_column,
        first=int(header.get("FIRSTPIX", 0)),
        channels=tuple(channels),
        sparse=sparse,
        # gammapy names the region of a sparse table that has one
        whole=header.get("INDXSCHM") == "SPARSE" and "HPX_REG" not in header,
    )
    _check_rows(path, table, scheme)
    return scheme


def _check_rows(path: Path, table: fits.BinTableHDU, scheme: _Scheme) -> None:
    if scheme.index_column is not None:
        return
    cell = table.columns[scheme.channels[0]].format.rstrip("BIJKEDL")
    rows = table.header["NAXIS2"] * int(cell or 1)
    if scheme.first + rows > 12 * 4**scheme.order:
        raise InputError(
            f"{path}: {rows} pixels from {scheme.first} on, NSIDE {2**scheme.order} has "
            f"{12 * 4**scheme.order}"
        )


def _blocks(
    path: Path, table: fits.BinTableHDU, scheme: _Scheme, n_channels: int
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Pixels (file's own numbers), channel and values, block by block."""
    columns = list(scheme.channels)
    if scheme.index_column is not None:
        columns.append(scheme.index_column)
    next_pixel = scheme.first
    for rows in stream_table(path, table, columns):
        if scheme.index_column is None:
            number = rows[columns[0]].size
            pixels = np.arange(next_pixel, next_pixel + number)
            next_pixel += number
        else:
            pixels = rows[scheme.index_column].ravel().astype(np.int64)
            if pixels.size and not 0 <= pixels.min() <= pixels.max() < 12 * 4**scheme.order:
                raise InputError(f"{path}: pixel numbers beyond NSIDE {2**scheme.order}")
        if scheme.sparse:
            channel_of = rows["CHANNEL"].ravel()
            for channel in range(n_channels):
                here = channel_of == channel
                yield pixels[here], channel, rows["VALUE"].ravel()[here]
        else:
            for channel, name in enumerate(scheme.channels):
                yield pixels, channel, rows[name].ravel()


class _Listing:
    """Which pixels of the sky a file lists as observed."""

    def __init__(self, scheme: _Scheme) -> None:
        self._scheme = scheme
        self._order = min(scheme.order, _PRESENT_ORDER)
        self._zero = False
        self._present: np.ndarray | None = None
        if (scheme.index_column is not None or scheme.first > 0) and not scheme.whole:
            self._present = np.zeros(12 * 4**self._order, dtype=bool)

    def add(self, pixels: np.ndarray, values: np.ndarray) -> None:
        """Take note of the pixels of one block."""
        if self._scheme.whole:
            return
        missing = unobserved(values)
        if missing.any() and self._present is None:
            # so far all pixels were there, from 0 to the first of this block
            self._present = np.zeros(12 * 4**self._order, dtype=bool)
            before = self._scheme.to_nested(np.arange(int(pixels[0])))
            self._mark(before)
        if self._present is not None:
            self._mark(self._scheme.to_nested(pixels[~missing]))
            self._zero = self._zero or bool((values == 0).any())

    def _mark(self, nested: np.ndarray) -> None:
        assert self._present is not None
        self._present[nested >> 2 * (self._scheme.order - self._order)] = True

    def coverage(self) -> np.ndarray | None:
        """Coverage mask, None for the whole sky.

        A list without a single empty pixel is taken for a list of the filled pixels only; the
        convex hull of these then counts as observed, too.
        """
        if self._present is None or self._present.all():
            return None
        vectors = coverage_vectors()
        if not self._scheme.galactic:
            vectors = vectors @ icrs_to_galactic()  # Galactic to ICRS is the transpose
        pixels = hp.vec2pix(2**self._order, *vectors.T, nest=True)
        listed = self._present[pixels]
        if self._zero and not self._scheme.sparse:
            return listed
        seen = np.zeros(N_COVERAGE, dtype=bool)
        filled = np.stack(
            hp.pix2vec(2**self._order, np.flatnonzero(self._present), nest=True), axis=-1
        )
        if not self._scheme.galactic:
            filled = filled @ icrs_to_galactic().T
        seen[hp.vec2pix(2**COVERAGE_ORDER, *filled.T, nest=True)] = True
        return unite(listed, estimated_coverage(seen))


def _disk_region(header: fits.Header, scheme: _Scheme) -> np.ndarray | None:
    """Mask of gtbin's HPX_REG keyword, ``DISK(lon,lat,radius)``; None for anything else."""
    match = re.fullmatch(
        r"DISK\(([^,]+),([^,]+),([^,)]+)\)", str(header.get("HPX_REG", "")).replace(" ", "")
    )
    if not match:
        return None
    lon, lat, radius = (float(part) for part in match.groups())
    if not scheme.galactic:
        return icrs_circles_coverage(((lon, lat, radius),))
    mask = np.zeros(N_COVERAGE, dtype=bool)
    centre = lonlat_to_vectors(np.asarray(lon), np.asarray(lat))
    mask[hp.query_disc(2**COVERAGE_ORDER, centre, np.radians(radius), nest=True)] = True
    return mask


def _inside(pixels: np.ndarray, order: int, circle: tuple[float, float, float]) -> np.ndarray:
    vectors = np.stack(hp.pix2vec(2**order, pixels.astype(np.int64), nest=True), axis=-1)
    return inside_circle(vectors, circle)
