"""Counts of gammapy's datasets, through the reader that takes count cubes from files.

A dataset is written to a temporary cube and read back: the rules for projections, HEALPIX
schemes, energy axes and values that are no counts are then the same for both.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import FindConfig
from ..errors import InputError
from ..pipeline import read_photons

if TYPE_CHECKING:
    from ..sky.counts import SkyCounts

_DOUBLED = "counted twice"
"""Datasets are fitted together because they hold different photons; no warning of that."""


def read_datasets(datasets: Sequence[Any], config: FindConfig) -> SkyCounts:
    """The photons of some `MapDataset`, added up.

    Pixels outside of a dataset's mask count as not observed, in the energies in which they are
    masked; energies masked everywhere are left out.

    Parameters
    ----------
    datasets : sequence of MapDataset
        WCS of any projection or HEALPIX; finer in energy than the network.
    config : FindConfig
        `evtype` says what the counts are, since a dataset does not; `seed` places them.

    Raises
    ------
    InputError
        Not a dataset of counts on a map, counts that are no whole numbers, an energy axis
        coarser than the network or outside of it, everything masked.
    """
    with tempfile.TemporaryDirectory(prefix="fermi_unek-") as folder:
        cubes = [
            _write_cubes(dataset, Path(folder), index) for index, dataset in enumerate(datasets)
        ]
        paths = [path for several in cubes for path in several]
        if not paths:
            raise InputError("no dataset was given, or their masks leave nothing of the counts")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                sky = read_photons(paths, config)
            except InputError as error:
                raise InputError(str(error).replace(f"{folder}/", "")) from error
    for warning in caught:
        text = str(warning.message).replace(f"{folder}/", "")
        if _DOUBLED not in text:
            warnings.warn(text, warning.category, stacklevel=3)
    origin = {key.replace(f"{folder}/", ""): value for key, value in sky.origin.items()}
    return replace(sky, origin=origin)


def _write_cubes(dataset: Any, folder: Path, number: int) -> list[Path]:
    """One file for each run of energies that are masked alike; none where all is masked."""
    counts = _counts_map(dataset)
    keep = np.ones(counts.data.shape, bool) if dataset.mask is None else dataset.mask.data
    keep = np.broadcast_to(keep, counts.data.shape)
    changes = 1 + np.flatnonzero([np.any(a != b) for a, b in itertools.pairwise(keep)])
    safe = "".join(letter if letter.isalnum() else "_" for letter in dataset.name)
    paths = []
    for first, end in itertools.pairwise([0, *changes.tolist(), len(keep)]):
        if not keep[first].any():
            continue
        part = counts.slice_by_idx({"energy": slice(first, end)})
        part.data = np.where(keep[first:end], part.data, np.nan)
        paths.append(folder / f"dataset_{number}_{safe}_{first}.fits")
        _write_cube(part, dataset.gti, paths[-1])
    return paths


def _counts_map(dataset: Any) -> Any:
    """The counts of a dataset; `InputError` for a dataset without them on a map."""
    from gammapy.maps import HpxNDMap, WcsNDMap

    counts = getattr(dataset, "counts", None)
    kind = type(dataset).__name__
    if not isinstance(counts, WcsNDMap | HpxNDMap):
        held = "no counts" if counts is None else f"counts in a {type(counts).__name__}"
        raise InputError(
            f"{kind} {dataset.name}: holds {held}, expected a MapDataset with counts in WCS or "
            "HEALPIX pixels"
        )
    axes = counts.geom.axes.names
    if axes != ["energy"] or not counts.geom.is_regular:
        raise InputError(
            f"{kind} {dataset.name}: its counts have the axes {', '.join(axes) or 'none'}, "
            "expected energy alone, the same pixels at each"
        )
    return counts


def _write_cube(counts: Any, gti: Any, path: Path) -> None:
    hdus = counts.to_hdulist(format="fgst-ccube")
    for hdu in hdus:
        # a circle given by name would count as observed, masked pixels or not
        hdu.header.remove("HPX_REG", ignore_missing=True)
    if gti is not None:
        hdus.append(gti.to_table_hdu())
    hdus.writeto(path)
