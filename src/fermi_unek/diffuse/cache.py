"""Templates that were made before: of a diffuse shape as an observation sees it."""

from __future__ import annotations

import hashlib
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from ..errors import InputError, OutputError
from ..irf.observation import Observation
from ..outputs import replacing
from .template import DiffuseShape, SkyTemplate, expected_template

_IN_MEMORY = 8
_memory: dict[str, SkyTemplate] = {}
_one_at_a_time = Lock()


def cached_template(shape: DiffuseShape, observation: Observation) -> SkyTemplate:
    """As `expected_template`, made once and kept, in memory and in `cache_folder`.

    A folder that cannot be written is done without.
    """
    key = _checksum(shape, observation)
    with _one_at_a_time:  # threads that search at once want the same
        if key not in _memory:
            path = cache_folder() / f"template-{key}.npz"
            template = _read(path, shape)
            if template is None:
                template = expected_template(shape, observation)
                _write(path, template)
            while len(_memory) >= _IN_MEMORY:
                _memory.pop(next(iter(_memory)))
            _memory[key] = template
        return _memory[key]


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """$XDG_CACHE_HOME/fermi_unek, or .cache/fermi_unek in the home folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fermi_unek"


def _checksum(shape: DiffuseShape, observation: Observation) -> str:
    digest = hashlib.sha256()
    for plane in shape.galactic:
        digest.update(plane.tobytes())
    made_with = shape.isotropic[observation.event_type], shape.psf_included, shape.binning
    digest.update(repr((made_with, observation.pixels_deg, observation.event_type)).encode())
    for part in observation.parts:
        for values in vars(part).values():
            if isinstance(values, np.ndarray):
                digest.update(values.tobytes())
    return digest.hexdigest()[:24]


def _read(path: Path, shape: DiffuseShape) -> SkyTemplate | None:
    try:
        with np.load(path) as maps:
            return SkyTemplate(tuple(maps[name] for name in sorted(maps.files)), shape.binning)
    except (OSError, ValueError, EOFError, InputError, zipfile.BadZipFile):
        return None


def _write(path: Path, template: SkyTemplate) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **{f"bin{b}": plane for b, plane in enumerate(template.maps)})  # type: ignore[arg-type]
    except (OSError, OutputError):
        return
