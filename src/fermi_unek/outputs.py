"""Where results go: refused before the work starts, and never left half-written."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


def check_file(path: str | Path, overwrite: bool = False) -> Path:
    """`path`, once it is sure that a file can be written there.

    Raises
    ------
    OutputError
        When it exists and `overwrite` is false, is a folder, or its folder is missing or
        takes no files.
    """
    path = Path(path)
    _check_name(path, overwrite)
    _check_folder_takes_files(path.parent, f"{path}: cannot be written")
    return path


def check_folder(path: str | Path, names: Iterable[str], overwrite: bool = False) -> Path:
    """`path`, once it is sure that files of these `names` can be written in that folder.

    The folder itself need not exist, the one above it must; nothing is made yet.

    Raises
    ------
    OutputError
        When one of the files exists and `overwrite` is false, or the folder cannot be had.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file, expected a folder to write in")
    for name in names:
        _check_name(path / name, overwrite)
    _check_folder_takes_files(path if path.exists() else path.parent, f"{path}: cannot be made")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, moved onto it when the block succeeds.

    The name keeps the suffix, by which some writers choose the format. When the block
    raises, what was written is removed and `path` stays as it was.

    Raises
    ------
    OutputError
        The disk is full, or the folder has been removed meanwhile.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staging(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside `path`, whose files are moved into `path` on success.

    `path` is made when it does not exist; other files in it stay. When the block raises,
    the temporary folder is removed and `path` stays as it was. Raises as `replacing`.
    """
    path = Path(path)
    temporary = path.parent  # until it is made
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        yield temporary
        path.mkdir(exist_ok=True)
        for written in sorted(temporary.iterdir()):
            os.replace(written, path / written.name)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        if temporary != path.parent:
            shutil.rmtree(temporary, ignore_errors=True)


def _reason(error: OSError) -> str:
    """What the system said; of writers that add words at each level the first sentence."""
    told = error.strerror or re.sub(r"^\[Errno \d+\] ", "", str(error)).split(". ")[0]
    # numpy counts bytes where the system took fewer
    return f"no room, {told}" if "requested" in told else told


def _check_name(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, expected the name of a file to write")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; give --overwrite to replace it")


def _check_folder_takes_files(folder: Path, complaint: str) -> None:
    if not folder.is_dir():
        raise OutputError(f"{complaint}, there is no folder {folder}")
    try:
        # permission bits do not tell the whole story (read-only disks, the super-user)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{complaint} in {folder} ({error.strerror})") from None
