"""Opening what the user named, with one clear error for whatever is wrong with it."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from ...errors import InputError, OutputError

_GZIP = b"\x1f\x8b"
_FITS = b"SIMPLE"
_BLOCK_BYTES = 32 * 2**20


def resolve_inputs(inputs: Sequence[str | Path] | str | Path) -> tuple[Path, ...]:
    """Files behind a list of inputs, `@list` files opened.

    A list file holds one path a line; blank lines and what follows a ``#`` are skipped. Paths are
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
    for one in inputs:
        if str(one).startswith("@"):
            paths += _read_list(Path(str(one)[1:]))
        else:
            paths.append(Path(one))
    if not paths:
        raise InputError("no input file was given, expected photon files or count cubes")
    seen = set()
    for path in paths:
        _check_file(path)
        if path.resolve() in seen:
            raise InputError(f"{path}: given twice, its photons would be counted twice")
        seen.add(path.resolve())
    return tuple(paths)


def _read_list(path: Path) -> list[Path]:
    _check_file(path)
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"@{path}: not a text file, expected one file name a line") from None
    names = [line.split("#")[0].strip() for line in lines]
    found = [Path(name) for name in names if name]
    if not found:
        raise InputError(f"@{path}: the list is empty, expected one file name a line")
    return [one if one.exists() else path.parent / one for one in found]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a directory, expected a FITS file")
    if not path.exists():
        raise InputError(f"{path}: no such file")


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """A FITS file, plain or gzipped, whose every header was read and which is complete.

    Raises
    ------
    InputError
        Not a FITS file, truncated or corrupt (also when that shows only later, while data are
        read inside the ``with`` block).
    """
    _check_file(path)
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not magic.startswith(_GZIP) and magic != _FITS:
        raise InputError(f"{path}: not a FITS file, or damaged at its start")
    try:
        if magic.startswith(_GZIP):
            _check_gzip(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            hdus = fits.open(path, mode="readonly", memmap=False)
            len(hdus)  # reads every header
        broken = [
            str(one.message)
            for one in caught
            if issubclass(one.category, AstropyWarning)
            and ("truncated" in str(one.message) or "corrupt" in str(one.message).lower())
        ]
        if broken:
            hdus.close()
            reason = broken[0].split(":")[0]
            raise InputError(f"{path}: the file is truncated or corrupt ({reason})")
    except (OSError, EOFError, zlib.error, fits.VerifyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: the file is truncated or corrupt ({error})") from error
    with hdus:
        try:
            yield hdus
        except (OSError, EOFError, zlib.error, fits.VerifyError) as error:
            raise InputError(f"{path}: the file is truncated or corrupt ({error})") from error


def _check_gzip(path: Path) -> None:
    """Unpack a file once: astropy takes a stream that breaks off for the end of the file."""
    with gzip.open(path, "rb") as file:
        while file.read(_BLOCK_BYTES):
            pass


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
    rows = max(1, block_bytes // dtype.itemsize)
    with _open_raw(path) as file:
        file.seek(table.fileinfo()["datLoc"])
        for start in range(0, total, rows):
            number = min(rows, total - start)
            raw = file.read(number * dtype.itemsize)
            if len(raw) < number * dtype.itemsize:
                raise InputError(f"{path}: the file is truncated (table {table.name})")
            block = np.frombuffer(raw, dtype=dtype)
            yield {name: _scaled(table, name, block[name]) for name in columns}


def _scaled(table: fits.BinTableHDU, name: str, values: np.ndarray) -> np.ndarray:
    number = table.columns.names.index(name) + 1
    scale = table.header.get(f"TSCAL{number}", 1)
    zero = table.header.get(f"TZERO{number}", 0)
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
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already, choose another name or allow overwriting")
    if path.is_dir():
        raise OutputError(f"{path}: is a directory, expected the name of a file")
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        # a temporary file is private by default; give it the rights any new file would have
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        with os.fdopen(handle, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as zipped:
                    fits.HDUList(list(hdus)).writeto(zipped)
            else:
                fits.HDUList(list(hdus)).writeto(raw)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path
