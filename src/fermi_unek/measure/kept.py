"""Finished regions on disk, so that a fit that was killed goes on where it stopped.

They lie in a hidden folder beside the output, whose name ends in a checksum of all that the fit is
made of: other photons, sources or settings never meet old results. JSON keeps every digit of a
number.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..outputs import replacing
from .extent import ExtensionFit, Extent
from .history import History
from .region import Region, RegionTask, try_region
from .state import BandFit, SourceResult, SourceState, SpectrumFit

_KINDS = {
    kind.__name__: kind
    for kind in (SourceResult, SourceState, SpectrumFit, BandFit, History, Extent, ExtensionFit)
}
_KIND, _ARRAY, _TUPLE = "kind", "array", "tuple"


class KeptRegions:
    """Results of the regions of one fit.

    Parameters
    ----------
    output : path
        What the fit will be written to.
    made_of : anything
        Dataclasses, arrays and plain values that the results follow from.
    """

    def __init__(self, output: Path, made_of: object) -> None:
        digest = hashlib.blake2b(digest_size=12)
        _feed(digest, made_of)
        self._folder = output.with_name(_folder_name(output.name, digest.hexdigest()))

    def begin(self) -> None:
        """Make the folder.

        Raises
        ------
        OutputError
            It cannot be made.
        """
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be made ({error.strerror})") from None

    def load(self, region: Region) -> list[SourceResult] | None:
        """Results of a region; None where it was not finished."""
        try:
            text = self._path(region).read_text(encoding="utf-8")
            found: list[SourceResult] = json.loads(text, object_hook=_thing)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found

    def fit(self, task: RegionTask) -> list[SourceResult] | str:
        """`try_region`, and keep what it finds where the folder is."""
        found = try_region(task)
        if not isinstance(found, str) and self._folder.is_dir():
            with replacing(self._path(task.region)) as temporary:
                temporary.write_text(json.dumps(_plain(found)), encoding="utf-8")
        return found

    def _path(self, region: Region) -> Path:
        return self._folder / f"{region.number}.json"


def _folder_name(output: str, key: str) -> str:
    return f".{output}.{key}.regions"


def forget_regions(output: Path) -> None:
    """Remove what was kept for an output, by fits with other settings too."""
    for folder in output.parent.glob(_folder_name(escape(output.name), "*")):
        shutil.rmtree(folder, ignore_errors=True)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if is_dataclass(value):
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {_KIND: type(value).__name__, **named}
    if isinstance(value, np.ndarray):
        return {_ARRAY: value.tolist()}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(one) for one in value]}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _thing(found: dict[str, Any]) -> Any:
    """What `_plain` made a JSON object of."""
    if _KIND in found:
        return _KINDS[found.pop(_KIND)](**found)
    if _ARRAY in found:
        return np.array(found[_ARRAY])
    return tuple(found[_TUPLE]) if _TUPLE in found else found


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a checksum, arrays by their content."""
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, Mapping):
        _feed(digest, sorted(value.items()))
    elif isinstance(value, Set):
        _feed(digest, sorted(value))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        digest.update(f"[{len(value)}]".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{value!r};".encode())
