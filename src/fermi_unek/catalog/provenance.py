"""What a catalog's header says of files: their names, since others will read it elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def below_one_folder(origin: Mapping[str, str]) -> dict[str, str]:
    """Origin of photons with the names of files below the folder that holds them all."""
    folders = [os.path.dirname(key) for key in origin if os.sep in key]
    common = os.path.commonpath(folders) if folders else ""
    return {
        os.path.relpath(key, common) if os.sep in key else key: value
        for key, value in origin.items()
    }


def without_folders(value: object) -> object:
    """A setting with the names of files alone."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, tuple):
        return " ".join(str(without_folders(item)) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return Path(value).name if isinstance(value, str) and Path(value).is_file() else value
