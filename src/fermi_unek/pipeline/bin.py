"""`bin`: photon files into one file that is read quickly."""

from __future__ import annotations

from pathlib import Path

from ..config import BinConfig
from ..outputs import check_file
from ..progress import Progress, silent
from ..sky.counts import SkyCounts
from ..sky.io.skyfile import write_sky
from .inputs import Inputs, read_photons


def bin_to_file(
    photons: Inputs,
    output: str | Path,
    config: BinConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> SkyCounts:
    """Photon files binned into one file that `find_sources` reads quickly.

    Raises
    ------
    OutputError
        Before anything is read, when the file exists and may not be replaced, or cannot be
        written.
    InputError
        As `find_sources`.
    """
    output = check_file(output, overwrite)
    sky = read_photons(photons, config or BinConfig(), progress)
    write_sky(sky, output, overwrite=overwrite)
    return sky
