"""`bin`, and the photons of every command: with the cuts and the years that it asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..config import BinConfig, FindConfig
from ..errors import InputError
from ..outputs import check_file
from ..progress import Progress, silent
from ..sky.counts import SkyCounts
from ..sky.io.readers import read_sky
from ..sky.io.skyfile import write_sky

Inputs = str | Path | Sequence[str | Path]
"""A photon file, cube, or @list, or several that belong together."""


def read_photons(
    inputs: Inputs,
    config: BinConfig | None = None,
    progress: Progress = silent,
    *,
    for_report: bool = False,
) -> SkyCounts:
    """The photons of some files, with the cuts of `config`; errors as `find_sources`.

    They are kept year by year where the files hold times and a report or a classification asks
    for it, or where `config` names yearly cubes.
    """
    config = config or FindConfig()

    def read(paths: Inputs, yearly: bool | None) -> SkyCounts:
        return read_sky(
            paths,
            rng=np.random.default_rng(config.seed),
            event_type=config.evtype,
            zmax_deg=config.zmax,
            event_class=config.evclass,
            yearly=yearly,
            fine=isinstance(config, FindConfig) and config.measure,
            progress=progress,
        )

    if not isinstance(config, FindConfig):
        return read(inputs, None)
    years_wanted = for_report or config.classify or config.measure
    if not (config.yearly and years_wanted):
        return read(inputs, None if years_wanted else False)
    years = [read(paths, False) for paths in by_year(config.yearly)]
    return with_years(read(inputs, False), years)


def by_year(paths: Sequence[Path]) -> list[list[Path]]:
    """Inputs of each year: files whose names differ in a final _bin and digits are of one."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.with_name(re.sub(r"_bin\d+(?=\.)", "", path.name)), []).append(path)
    return list(groups.values())


def with_years(sky: SkyCounts, years: Sequence[SkyCounts]) -> SkyCounts:
    """A sky with the counts of its years, which were read apart.

    Raises
    ------
    InputError
        When the years hold other photons than the sky: their sum differs by more than a tenth in
        an energy bin that both have.
    """
    total = np.sum([year.totals for year in years], axis=0)
    both = sky.present & np.any([year.present for year in years], axis=0)
    far = both & (np.abs(total - sky.totals) > 0.1 * sky.totals + 10)
    if far.any() or not both.any():
        b = int(np.argmax(far))
        raise InputError(
            f"the {len(years)} yearly inputs hold {total[b]:,} photons in energy bin {b}, the "
            f"inputs {sky.totals[b]:,}: expected the same photons, one yearly input a year (an "
            "@list where a year has several files)"
        )
    return replace(sky, years=tuple(years))


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
