"""`bin`, and the photons of every command: with the cuts and the years that it asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..config import BinConfig, FindConfig
from ..errors import ConfigError, InputError
from ..outputs import check_file
from ..progress import Progress, silent
from ..sky.counts import SkyCounts
from ..sky.io.readers import read_sky
from ..sky.io.skyfile import write_sky
from ..sky.layers import with_layers

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
    for it, or where `config` names yearly cubes; and by event type, which files say or `config`.
    """
    config = config or FindConfig()
    if isinstance(config, FindConfig) and (config.front or config.back):
        return _front_and_back(inputs, config, progress, for_report)

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


def _front_and_back(
    inputs: Inputs, config: FindConfig, progress: Progress, for_report: bool
) -> SkyCounts:
    """Photons of files that do not say whether they are FRONT or BACK, but `config` does."""
    if inputs or config.evtype or config.yearly:
        raise ConfigError(
            "front and back name all the inputs, with the event type of each: expected no other "
            "inputs, no evtype and no yearly beside them"
        )
    layers = []
    for event_type, paths in (("front", config.front), ("back", config.back)):
        if paths:
            alone = config.model_copy(update={"front": (), "back": (), "evtype": event_type})
            layers.append(read_photons(paths, alone, progress, for_report=for_report))
    return with_layers(layers)


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
    return replace(
        sky,
        years=tuple(years),
        layers=tuple(_with_own_years(layer, years) for layer in sky.layers),
    )


def _with_own_years(layer: SkyCounts, years: Sequence[SkyCounts]) -> SkyCounts:
    """A layer with its part of each year, where all years keep it apart."""
    own = [part for year in years for part in year.layers if part.event_type == layer.event_type]
    return replace(layer, years=tuple(own)) if len(own) == len(years) else layer


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
