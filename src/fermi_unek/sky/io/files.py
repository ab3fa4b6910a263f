"""Opening what the user named, with one clear error for whatever is wrong with it."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import math
import os
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from ...errors import InputError
from ...outputs import check_file, replacing

_GZIP = b"\x1f\x8b"
_FITS = b"SIMPLE"
_BLOCK = 2880
_BLOCK_BYTES = 32 * 2**20
_MOST_UNPACKED_BYTES = 16 * 2**30
_MOST_COMPRESSION = 2000  # of a compressed image, whose blank tiles shrink most
_STANDARD = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU, fits.TableHDU, fits.BinTableHDU)
_MOST_AXES = 999  # of an image, and columns of a table, in the FITS standard
_BITPIX = (8, 16, 32, 64, -32, -64)
# what astropy and numpy raise where a header or the data are not what they should be
_BROKEN = (
    OSError, EOFError, zlib.error, fits.VerifyError, ArithmeticError, AssertionError,
    AttributeError, LookupError, NameError, TypeError, ValueError,
)  # fmt: skip


def resolve_inputs(inputs: Sequence[str | Path] | str | Path) -> tuple[Path, ...]:
    """Files behind a list of inputs, `@list` files opened.

    A list file holds one path a line, perhaps quoted, in UTF-8 with or without a byte order mark,
    UTF-16 or Latin-1. Blank lines and what follows a ``#`` are skipped, unless a file of that name
    exists. ``~`` and ``$VARIABLES`` are expanded, ``[EVENTS]`` behind a name is left off. Paths are
    taken relative to the working directory, as the Fermi tools do, or else to the list itself.

    Raises
    ------
    InputError
        No input at all, an empty list, a file that does not exist, a directory, or one file
        named twice.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    paths: list[Path] = []
    for given in map(str, inputs):
        paths += _read_list(_find(given[1:])) if given.startswith("@") else [_find(given)]
    if not paths:
        raise InputError(
            "no input file was given, expected photon files or count cubes (see fermi-unek find "
            "--help)"
        )
    seen = set()
    for path in paths:
        _check_file(path)
        if path.resolve() in seen:
            raise InputError(f"{path}: given twice, its photons would be counted twice")
        seen.add(path.resolve())
    return tuple(paths)


def _find(name: str, folder: Path = Path()) -> Path:
    """The file that a name means, in the working directory or else in `folder`."""
    bare = name.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1]
    plain = bare.split("#")[0].strip()
    spellings = [bare, plain, re.sub(r"\[[^\]]*\]$", "", plain)]
    spellings += [os.path.expanduser(os.path.expandvars(spelling)) for spelling in spellings]
    for spelling in filter(None, spellings):
        for path in (Path(spelling), folder / spelling):
            if os.path.exists(path):  # Path.exists raises where a name is too long
                return path
    return Path(plain)


def decoded(path: Path) -> str:
    """A text file in UTF-8, UTF-16 or Latin-1, without its byte order mark.

    Raises
    ------
    InputError
        It holds bytes that no text has, or cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        raise InputError(f"{path}: not a text file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _read_list(path: Path) -> list[Path]:
    _check_file(path)
    lines = [line.strip() for line in decoded(path).splitlines()]
    found = [_find(line, path.parent) for line in lines if line and line[0] != "#"]
    if not found:
        raise InputError(f"@{path}: the list is empty, expected one file name a line")
    return found


def _check_file(path: Path) -> None:
    if os.path.isdir(path):
        raise InputError(
            f"{path}: is a directory, expected a FITS file; name those in it, {path}/*.fits, or an "
            "@list of them"
        )
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """A FITS file, plain or gzipped, whose every header was read and which is complete.

    Raises
    ------
    InputError
        Not a FITS file, truncated or corrupt, or larger than the memory; also when something that
        is read inside the ``with`` block is not what was expected.
    """
    _check_file(path)
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not magic.startswith(_GZIP) and magic != _FITS:
        raise InputError(f"{path}: not a FITS file, or damaged at its start")
    opened = False
    with ExitStack() as stack:
        try:
            total = _unpacked_bytes(path) if magic.startswith(_GZIP) else path.stat().st_size
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                _check_counts(path)
                hdus = stack.enter_context(fits.open(path, mode="readonly", memmap=False))
                len(hdus)  # reads every header
                _check_sizes(path, hdus, total)
            told = [
                str(each.message) for each in caught if issubclass(each.category, AstropyWarning)
            ]
            told = [text for text in told if re.search("truncated|corrupt|Error validating", text)]
            if told:
                raise InputError(
                    f"{path}: the file is truncated or corrupt ({told[0].split(':')[0]})"
                )
            opened = True
            yield hdus
        except _BROKEN as error:
            kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
            reason = " ".join(f"{kind}{error}".split())
            # headers and sizes were right, so that it may as well be an unusual file
            what = "corrupt, or holds what was not expected" if opened else "truncated or corrupt"
            raise InputError(f"{path}: the file is {what} ({reason})") from error
        except MemoryError as error:
            raise InputError(f"{path}: is corrupt, or larger than the memory") from error


def _unpacked_bytes(path: Path) -> int:
    """Size of a gzipped file, unpacked: astropy takes a stream that breaks off for its end."""
    total = 0
    with gzip.open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            total += len(block)
            if total > _MOST_UNPACKED_BYTES:
                raise InputError(
                    f"{path}: unpacks to more than {_MOST_UNPACKED_BYTES / 2**30:g} GiB; unpack "
                    "it first, if it is what it should be"
                )
    return total


def _check_counts(path: Path) -> None:
    """InputError where a header counts more axes or columns than FITS has: astropy lists them."""
    with _open_raw(path) as file:
        while True:
            try:
                header = fits.Header.fromfile(file)
            except EOFError:
                return
            counts = (header["NAXIS"], header.get("TFIELDS", 0))
            if not (
                header["BITPIX"] in _BITPIX and all(n in range(_MOST_AXES + 1) for n in counts)
            ):
                raise InputError(
                    f"{path}: the file is truncated or corrupt (BITPIX, NAXIS or TFIELDS that no "
                    "FITS file has)"
                )
            sizes = [header[f"NAXIS{number}"] for number in range(1, counts[0] + 1)]
            more, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
            if any(type(n) is not int or n < 0 for n in (*sizes, more, groups)):
                # a negative one would send the reader back to where it came from, for ever
                raise InputError(
                    f"{path}: the file is truncated or corrupt (NAXISn, PCOUNT or GCOUNT that is "
                    "no count)"
                )
            values = more + math.prod(sizes) if sizes else 0
            size = abs(header["BITPIX"]) // 8 * groups * values
            file.seek(-(-size // _BLOCK) * _BLOCK, os.SEEK_CUR)


def _check_sizes(path: Path, hdus: fits.HDUList, total: int) -> None:
    """InputError where headers claim more than the file holds, before memory is taken for it."""
    for hdu in hdus:
        if not isinstance(hdu, _STANDARD):
            raise InputError(f"{path}: the file is truncated or corrupt (it holds no standard HDU)")
        name = hdu.name or type(hdu).__name__
        if isinstance(hdu, fits.CompImageHDU):
            claimed = int(np.prod(hdu.shape, dtype=float)) * abs(hdu.header["BITPIX"]) // 8
            fits_in = claimed <= _MOST_COMPRESSION * total
        else:
            claimed = hdu.fileinfo()["datSpan"]
            fits_in = hdu.fileinfo()["datLoc"] + claimed <= total
        if not fits_in:
            raise InputError(
                f"{path}: the file is truncated or corrupt ({name} claims {claimed:,} bytes, the "
                f"whole file has {total:,})"
            )
        if isinstance(hdu, fits.BinTableHDU) and not isinstance(hdu, fits.CompImageHDU):
            width = hdu.columns.dtype.itemsize
            if width != hdu.header["NAXIS1"] and hdu.header["NAXIS2"]:
                raise InputError(
                    f"{path}: the columns of {name} take {width} bytes a row, its header says "
                    f"{hdu.header['NAXIS1']} (NAXIS1)"
                )


def stream_table(
    path: Path, table: fits.BinTableHDU, columns: Sequence[str], block_bytes: int = _BLOCK_BYTES
) -> Iterator[dict[str, np.ndarray]]:
    """Columns of a table, some rows at a time, so that no table need fit into memory.

    Yields
    ------
    dict of str to array
        Native byte order, ``TSCAL`` and ``TZERO`` applied; bit columns as their bytes.

    Raises
    ------
    InputError
        The file ends before the table does.
    """
    dtype = table.columns.dtype.newbyteorder(">")
    total = table.header["NAXIS2"]
    numbers = {name: table.columns.names.index(name) for name in columns}
    rows = max(1, block_bytes // dtype.itemsize)
    with _open_raw(path) as file:
        file.seek(table.fileinfo()["datLoc"])
        for start in range(0, total, rows):
            size = min(rows, total - start) * dtype.itemsize
            raw = file.read(size)
            if len(raw) < size:
                raise InputError(f"{path}: the file is truncated (table {table.name})")
            block = np.frombuffer(raw, dtype=dtype)
            yield {name: _scaled(table, number, block) for name, number in numbers.items()}


def _scaled(table: fits.BinTableHDU, number: int, block: np.ndarray) -> np.ndarray:
    """Values of a column by its number, whatever the reader calls it."""
    assert block.dtype.names is not None
    values = block[block.dtype.names[number]]
    scale = table.header.get(f"TSCAL{number + 1}", 1)
    zero = table.header.get(f"TZERO{number + 1}", 0)
    values = values.astype(values.dtype.newbyteorder("="))
    return values if (scale, zero) == (1, 0) else values * float(scale) + float(zero)


def _open_raw(path: Path) -> IO[bytes]:
    with open(path, "rb") as file:
        zipped = file.read(2) == _GZIP
    return gzip.open(path, "rb") if zipped else open(path, "rb")  # type: ignore[return-value]


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_fits(hdus: Sequence[Any], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write HDUs to a temporary name beside `path` and move them there once complete.

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or it cannot be written.
    """
    path = check_file(path, overwrite)
    with replacing(path) as temporary:
        if path.suffix != ".gz":
            fits.HDUList(list(hdus)).writeto(temporary)
            return path
        with (
            open(temporary, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as zipped,
        ):
            fits.HDUList(list(hdus)).writeto(zipped)
    return path
