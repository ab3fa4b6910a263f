"""Tables of HEALPIX pixels: how their rows stand for pixels, and the counts in them.

Counts are those of gtbin's HEALPIX algorithm, gammapy and healpy; `read_scheme` reads exposure maps
and diffuse models as well.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ..bins import COVERAGE_ORDER
from ..counts import Pixels
from ..geometry.coverage import (
    N_COVERAGE,
    coverage_vectors,
    estimated_coverage,
    icrs_circles_coverage,
    icrs_to_galactic,
    unite,
)
from ..geometry.frame import lonlat_to_vectors
from ..geometry.resample import transfer
from ..units import check_frame, factor
from .channels import count_unit, unobserved
from .files import stream_table
from .parts import PixelCounts

_PRESENT_ORDER = 11  # finest order at which the list of pixels in a file is remembered
_INDEX_NAMES = ("PIX", "PIXEL", "HPX_INDEX", "IPIX", "INDEX", "HPXINDEX", "HPX_PIX", "PIXELS")
_FRAMES = dict.fromkeys(("GAL", "G", "GALACTIC"), True)
_FRAMES |= dict.fromkeys(("CEL", "C", "CELESTIAL", "EQU", "EQ", "Q", "EQUATORIAL", "ICRS"), False)


@dataclass(frozen=True)
class Scheme:
    """How the rows of a table stand for pixels.

    Attributes
    ----------
    order : int
        HEALPIX order.
    nested, galactic : bool
        Numbering, and whether the frame is Galactic or equatorial.
    index_column : str or None
        Column of the pixels' numbers; without it rows count from `first`.
    first : int
    channels : tuple of str
        Columns of values.
    sparse : bool
        One row for each filled pixel of each channel.
    whole : bool
        What a list does not name was observed, and is empty.
    """

    order: int
    nested: bool
    galactic: bool
    index_column: str | None
    first: int
    channels: tuple[str, ...]
    sparse: bool
    whole: bool

    @property
    def n_pixels(self) -> int:
        """Pixels of the whole sky."""
        return int(12 * 4**self.order)

    def to_nested(self, pixels: np.ndarray) -> np.ndarray:
        """Numbers of the file as nested ones."""
        return pixels if self.nested else hp.ring2nest(2**self.order, pixels)


def read_scheme(path: Path, table: fits.BinTableHDU, unnamed: str | None = None) -> Scheme:
    """How the rows of a table stand for pixels.

    Parameters
    ----------
    path : Path
    table : BinTableHDU
        With PIXTYPE HEALPIX.
    unnamed : {"GAL", "CEL"} or None
        Frame of a file that names none, where its makers are known for it; None takes it as
        Galactic, with a warning.

    Raises
    ------
    InputError
        Keywords that are missing, or contradict each other or the columns.
    """
    header = table.header
    nside = header.get("NSIDE")
    if nside is None and isinstance(header.get("ORDER"), int) and 0 <= header["ORDER"] < 30:
        nside = 2 ** header["ORDER"]
    if nside is None and unnamed is not None and hp.isnpixok(header["NAXIS2"]):
        nside = hp.npix2nside(header["NAXIS2"])  # a map of the whole sky, a row a pixel
    if not isinstance(nside, int) or not hp.isnsideok(nside, nest=True):
        raise InputError(f"{path}: NSIDE {nside!r} is no power of two")
    order = nside.bit_length() - 1
    if header.get("ORDER", -1) not in (-1, order):
        raise InputError(f"{path}: NSIDE {nside} and ORDER {header['ORDER']} contradict each other")
    ordering = str(header.get("ORDERING", "")).strip().upper()
    if ordering not in ("RING", "NESTED", "NEST"):
        raise InputError(f"{path}: ORDERING is {ordering!r}, expected RING or NESTED")
    last = header.get("LASTPIX", -1) + 1
    if last > 12 * nside**2 or (
        not header.get("FIRSTPIX") and last != 12 * nside**2 and last > 0 and hp.isnpixok(last)
    ):
        raise InputError(
            f"{path}: NSIDE {nside} and LASTPIX {last - 1}, the last of NSIDE "
            f"{np.sqrt(last / 12):g}, contradict each other"
        )
    names = table.columns.names
    index = _index_column(path, table, 12 * nside**2)
    numbered = [name for name in names if re.fullmatch(r"(CHANNEL|ENERGY)\d+", name.upper())]
    numbered.sort(key=lambda name: int(re.sub(r"\D", "", name)))
    kind = str(header.get("INDXSCHM", "")).strip().upper()
    scheme = Scheme(
        order=order,
        nested=ordering != "RING",
        galactic=_is_galactic(path, header, unnamed),
        index_column=index,
        first=int(header.get("FIRSTPIX", 0)),
        # healpy gives the columns any name
        channels=tuple(numbered or [name for name in names if name != index]),
        sparse={"CHANNEL", "VALUE"} <= {name.upper() for name in names},
        # gammapy names the region of a sparse table that has one
        whole=kind == "SPARSE" and "HPX_REG" not in header,
    )
    if not scheme.channels:
        raise InputError(f"{path}: table {table.name} has no column of values")
    return scheme


def _is_galactic(path: Path, header: fits.Header, unnamed: str | None) -> bool:
    frame = str(header.get("COORDSYS", "")).strip().upper()
    equinox = header.get("RADESYS", header.get("RADECSYS", ""))
    check_frame(header, str(path))
    if frame and frame not in _FRAMES:
        raise InputError(f"{path}: COORDSYS {frame!r}, expected GAL or CEL")
    if equinox and _FRAMES.get(frame, False):
        raise InputError(f"{path}: COORDSYS {frame} and RADESYS {equinox} contradict each other")
    if not frame and not equinox and unnamed is None:
        warnings.warn(f"{path}: no COORDSYS, taken as Galactic", UnekWarning, stacklevel=4)
    return _FRAMES[frame] if frame else unnamed != "CEL" and not equinox


def _index_column(path: Path, table: fits.BinTableHDU, n_pixels: int) -> str | None:
    """The column of pixel numbers, None where the rows are all pixels or follow each other."""
    header, names = table.header, table.columns.names
    kind = str(header.get("INDXSCHM", "")).strip().upper()
    named = next((name for name in names if name.upper() in _INDEX_NAMES), None)
    listed = kind in ("EXPLICIT", "LOCAL", "PARTIAL", "SPARSE")
    if not listed and kind not in ("", "IMPLICIT"):
        raise InputError(f"{path}: INDXSCHM is {kind}, expected IMPLICIT or EXPLICIT")
    if listed and named is None:
        # healpy has the numbers in the first column, whatever its name
        named = names[0] if re.fullmatch(r"1?[IJK]", table.columns[0].format) else None
        if named is None or re.fullmatch(r"CHANNEL\d*|VALUE|ENERGY\d*", named.upper()):
            raise InputError(
                f"{path}: INDXSCHM is {kind}, and none of the columns {', '.join(names[:6])} "
                "holds pixel numbers; expected one called PIX"
            )
    if listed:
        return str(named)
    if named is not None and kind == "IMPLICIT":
        raise InputError(f"{path}: INDXSCHM is IMPLICIT, and column {named} holds pixel numbers")
    if named is not None:
        return str(named)
    cell = re.match(r"\d*", table.columns[0].format)
    rows = header["NAXIS2"] * int((cell and cell[0]) or 1)
    first = int(header.get("FIRSTPIX", 0))
    last = int(header.get("LASTPIX", n_pixels - 1))
    if header["NAXIS2"] not in (last + 1 - first, n_pixels) and rows != last + 1 - first:
        raise InputError(
            f"{path}: {rows} pixels in the table, and FIRSTPIX {first}, LASTPIX {last} of NSIDE "
            f"{hp.npix2nside(n_pixels)} are {last + 1 - first}; expected INDXSCHM EXPLICIT and a "
            "column PIX for a part of them"
        )
    return None


class HealpixCells:
    """The pixels of a HEALPIX count file, and what is in them; see `cubes.read_cube`.

    Parameters
    ----------
    path : Path
    hdus, index
        The opened file and its table of pixels.

    Raises
    ------
    InputError
        As `read_scheme`.
    """

    kind = "healpix"

    def __init__(self, path: Path, hdus: fits.HDUList, index: int) -> None:
        self._path, self._table = path, hdus[index]
        self._scheme = scheme = read_scheme(path, self._table)
        for name in scheme.channels:
            factor(count_unit(self._table.columns[name].unit), "", f"{path}: column {name}", "")
        self._listing = _Listing(scheme)
        self._rotation = None if scheme.galactic else icrs_to_galactic()
        self.n_channels = len(scheme.channels)
        if scheme.sparse:
            self.n_channels = hdus["EBOUNDS"].header["NAXIS2"] if "EBOUNDS" in hdus else 1
        pixels = Pixels.of_order(scheme.order)
        self.counted_in = pixels if scheme.galactic else Pixels(pixels.side_deg)

    def blocks(self) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
        """Nested pixels, channel and values (N,), some at a time."""
        scheme = self._scheme
        columns = list(scheme.channels)
        if scheme.index_column is not None and scheme.index_column not in columns:
            columns.append(scheme.index_column)
        next_pixel = scheme.first
        for rows in stream_table(self._path, self._table, columns):
            if scheme.index_column is None:
                number = rows[columns[0]].size
                pixels = np.arange(next_pixel, next_pixel + number)
                next_pixel += number
            else:
                pixels = rows[scheme.index_column].ravel().astype(np.int64)
            if pixels.size and not 0 <= pixels.min() <= pixels.max() < scheme.n_pixels:
                raise InputError(f"{self._path}: pixel numbers beyond NSIDE {2**scheme.order}")
            nested = scheme.to_nested(pixels)
            self._listing.add(nested, [values for _, _, values in self._channels(rows)])
            for channel, here, values in self._channels(rows):
                yield nested[here], channel, values

    def _channels(
        self, rows: dict[str, np.ndarray]
    ) -> Iterator[tuple[int, np.ndarray | slice, np.ndarray]]:
        if not self._scheme.sparse:
            for channel, name in enumerate(self._scheme.channels):
                yield channel, slice(None), rows[name].ravel()
            return
        upper = {name.upper(): values.ravel() for name, values in rows.items()}
        for channel in range(self.n_channels):
            here = upper["CHANNEL"] == channel
            yield channel, here, upper["VALUE"][here]

    def place(
        self, cells: np.ndarray, counts: np.ndarray, order: int, rng: np.random.Generator
    ) -> Iterator[PixelCounts]:
        """Counts of nested pixels as counts of nested Galactic pixels of an order."""
        return transfer(cells, counts, self._scheme.order, order, rng, self._rotation)

    def coverage(self) -> np.ndarray | None:
        """Mask of what was observed, None is the whole sky; after all `blocks`."""
        disk = _disk_region(self._path, self._table.header, self._scheme.galactic)
        listed = self._listing.coverage()
        if disk is None or listed is None:
            return listed if disk is None else disk
        if np.mean(disk[listed]) < 0.5:
            raise InputError(
                f"{self._path}: HPX_REG {self._table.header['HPX_REG']} and the pixels in the "
                "table, most of which lie outside of it, contradict each other"
            )
        return disk


class _Listing:
    """Which pixels of the sky a file lists as observed."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._order = min(scheme.order, _PRESENT_ORDER)
        self._zero = False
        self._listed: np.ndarray | None = None
        self._holes: np.ndarray | None = None
        if (scheme.index_column is not None or scheme.first > 0) and not scheme.whole:
            self._listed = np.zeros(12 * 4**self._order, dtype=bool)

    def add(self, pixels: np.ndarray, channels: Sequence[np.ndarray]) -> None:
        """Take note of the nested pixels (N,) of one block and their values in each channel."""
        if self._scheme.whole:
            return
        coarse = pixels >> 2 * (self._scheme.order - self._order)
        seen = np.ones(len(pixels), dtype=bool)
        if not self._scheme.sparse:
            seen = ~np.all([unobserved(values) for values in channels], axis=0)
            self._zero = self._zero or any((values == 0).any() for values in channels)
        if self._listed is not None:
            self._listed[coarse[seen]] = True
        elif not seen.all():  # of a table of all pixels, those without a value
            if self._holes is None:
                self._holes = np.zeros(12 * 4**self._order, dtype=bool)
            self._holes[coarse[~seen]] = True

    def coverage(self) -> np.ndarray | None:
        """Coverage mask, None for the whole sky.

        A list without a single empty pixel is taken for a list of the filled pixels only; the
        convex hull of these then counts as observed, too.
        """
        present = self._listed if self._holes is None else ~self._holes
        if present is None or present.all():
            return None
        turn = np.eye(3) if self._scheme.galactic else icrs_to_galactic()
        # Galactic to ICRS is the transpose
        pixels = hp.vec2pix(2**self._order, *(coverage_vectors() @ turn).T, nest=True)
        listed = present[pixels]
        if self._zero:
            return listed
        seen = np.zeros(N_COVERAGE, dtype=bool)
        filled = hp.pix2vec(2**self._order, np.flatnonzero(present), nest=True)
        galactic = np.stack(filled, axis=-1) @ turn.T
        seen[hp.vec2pix(2**COVERAGE_ORDER, *galactic.T, nest=True)] = True
        return unite(listed, estimated_coverage(seen))


def _disk_region(path: Path, header: fits.Header, galactic: bool) -> np.ndarray | None:
    """Mask of gtbin's HPX_REG keyword, ``DISK(lon,lat,radius)``; None for anything else."""
    stated = str(header.get("HPX_REG", "")).replace(" ", "")
    match = re.fullmatch(r"DISK\(([^,]+),([^,]+),([^,)]+)\)", stated)
    if not match:
        return None
    try:
        lon, lat, radius = (float(part) for part in match.groups())
    except ValueError:
        raise InputError(f"{path}: HPX_REG is {stated}, expected DISK(lon,lat,radius)") from None
    if not galactic:
        return icrs_circles_coverage(((lon, lat, radius),))
    mask = np.zeros(N_COVERAGE, dtype=bool)
    center = lonlat_to_vectors(np.asarray(lon), np.asarray(lat))
    mask[hp.query_disc(2**COVERAGE_ORDER, center, np.radians(radius), nest=True)] = True
    return mask
