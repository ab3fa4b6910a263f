"""Simulated skies for the classifier, kept on disk: ten years of photons, and what shone.

They do not depend on a localizer: they are made ahead, and searched again when there is another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ...diffuse.named import by_name, vary
from ...errors import InputError
from ...irf.instrument import SHIPPED, load_instrument
from ...outputs import replacing
from ...progress import Progress, silent
from ...simulate.sky import simulate_counts
from ...simulate.skymodel import SkyModel, build_sky_model
from ...sky.binning import BINNING
from ...sky.bins import N_BINS, NATIVE_ORDERS
from ...sky.counts import BinCounts, SkyCounts
from ...sky.io.files import checksum
from ...sky.io.parts import PixelCounts, merge_pixels
from ...sky.selection import LAYERS, Selection
from .population import histories, labels_of, real_population, training_population

YEARS = 10
"""Live time of every sky, years, which are kept apart."""

EVENT_TYPES = LAYERS["fb"]
"""Event types that are kept apart, the sharper first."""


@dataclass(frozen=True)
class ClassSky:
    """A sky on which examples are found.

    Attributes
    ----------
    seed : int
    background : str
        As `diffuse.named.by_name` knows it.
    kind : {"boosted", "resampled", "dr2"}
        See `population`; "dr2" keeps places, spectra and histories as they are.
    """

    seed: int
    background: str
    kind: str = "boosted"

    def __post_init__(self) -> None:
        if self.kind not in ("boosted", "resampled", "dr2"):
            raise InputError(f"sky {self.kind!r} is none of boosted, resampled, dr2")

    @property
    def name(self) -> str:
        """Stem of its file: what it is at a glance, and a checksum of all that it is made with."""
        made_with = [asdict(self), YEARS, EVENT_TYPES, NATIVE_ORDERS, BINNING.as_mapping()]
        made_with.append(checksum(SHIPPED))
        digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
        return f"class{self.seed:07d}-{self.background}-{self.kind}-{digest[:8]}"


@dataclass(frozen=True)
class ClassTruth:
    """The N sources of a sky.

    Attributes
    ----------
    vectors : float array (N, 3)
        Galactic unit vectors.
    ts : float array (N, 2, 6)
        Ideal TS of all years in each layer and energy bin.
    label : int array (N,)
        Index in `catalog.schema.CLASSES`, or `UNCLASSED`.
    template : int array (N,)
        Row of DR2 the source was made from, -1 where there is none.
    flux, signif : float arrays (N,)
        Photon flux from 1 to 100 GeV, cm-2 s-1; Signif_Avg of DR2, NaN where not known.
    """

    vectors: np.ndarray
    ts: np.ndarray
    label: np.ndarray
    template: np.ndarray
    flux: np.ndarray
    signif: np.ndarray


def sources_of(sky: ClassSky) -> Table:
    """Who shines on a sky; the same in each layer."""
    rng = np.random.default_rng([sky.seed, 4])
    if sky.kind == "dr2":
        return real_population(rng)
    return training_population(rng, boosted=sky.kind == "boosted")


def sky_model(
    sky: ClassSky, sources: Table, event_type: str, data_dir: str | Path | None
) -> SkyModel:
    """Sources over a background as one layer sees them; that of a training sky is varied."""
    diffuse = by_name(sky.background, data_dir, event_type)
    if sky.kind != "dr2":
        diffuse = vary(diffuse, np.random.default_rng([sky.seed, 7]))  # alike in each layer
    return build_sky_model(sources, diffuse, load_instrument(), event_type)


def make_class_sky(
    sky: ClassSky, folder: str | Path, data_dir: str | Path | None, progress: Progress = silent
) -> Path:
    """Simulate a sky of ten years, event types apart, and keep it; no work if it is there."""
    path = Path(folder) / f"{sky.name}.npz"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = sources_of(sky)
    factors = histories(
        sources, YEARS, np.random.default_rng([sky.seed, 5]), real=sky.kind == "dr2"
    )
    columns: dict[str, Any] = {}
    ts = []
    for number, event_type in enumerate(EVENT_TYPES):
        model = sky_model(sky, sources, event_type, data_dir)
        rng = np.random.default_rng([sky.seed, 6, number])
        counts = simulate_counts(
            model, float(YEARS), rng, yearly=True, factors=factors, progress=progress
        )
        columns |= {f"{event_type}.{name}": v for name, v in _columns_of(counts.years).items()}
        ts.append(model.ideal_ts * YEARS)
    truth = ClassTruth(
        model.vectors,
        np.stack(ts, axis=1),
        labels_of(np.asarray(sources["CLASS1"])),
        np.asarray(sources["Template"], int),
        np.asarray(sources["Flux1000"], float),
        np.asarray(sources["Signif_Avg"], float),
    )
    with replacing(path) as temporary:
        np.savez(temporary, **columns, **{f.name: getattr(truth, f.name) for f in fields(truth)})
    return path


def _columns_of(years: Sequence[SkyCounts]) -> dict[str, np.ndarray]:
    """Pixels of all years and bins after each other, with their counts.

    Nothing is compressed, which would cost as much time as a search and gain a third.
    """
    planes = [counts for year in years for counts in year.bins if counts is not None]
    return {
        "length": np.array([len(counts.pixels) for counts in planes]),
        "pixels": np.concatenate([counts.pixels for counts in planes]),
        "counts": np.concatenate(
            [np.minimum(counts.counts, 65535).astype("u2") for counts in planes]
        ),
    }


def load_class_sky(
    path: str | Path, event_types: Sequence[str] = EVENT_TYPES
) -> tuple[tuple[SkyCounts, ...], ClassTruth]:
    """A sky as it was simulated: its layers, each with its years, and what shone.

    Parameters
    ----------
    path : path
    event_types : sequence of str
        Layers that are read.

    Raises
    ------
    InputError
        When the file is no such sky.
    """
    try:
        with np.load(path) as columns:
            truth = ClassTruth(*(columns[f.name] for f in fields(ClassTruth)))
            planes = {name: _planes_in(columns, name) for name in event_types}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is no simulated sky for the classifier") from error
    for name, found in planes.items():
        if len(found) != YEARS * N_BINS:
            raise InputError(
                f"{path}: holds {len(found)} planes of {name.upper()} photons, expected "
                f"{YEARS * N_BINS}"
            )
    return tuple(_layer(planes.pop(name), name) for name in event_types), truth


def _planes_in(columns: np.lib.npyio.NpzFile, event_type: str) -> list[PixelCounts]:
    length, pixels, counts = (
        columns[f"{event_type}.{name}"] for name in ("length", "pixels", "counts")
    )
    cuts = np.cumsum(length)[:-1]
    counts = counts.astype(np.uint32)
    return list(zip(np.split(pixels, cuts), np.split(counts, cuts), strict=True))


def _layer(planes: list[PixelCounts], event_type: str) -> SkyCounts:
    """One layer with its years, of planes that follow each other by year and bin."""
    years = [planes[first : first + N_BINS] for first in range(0, len(planes), N_BINS)]
    whole = [merge_pixels(year[b] for year in years) for b in range(N_BINS)]
    dated = tuple(
        _counts_of(year, event_type, 1.0, mission_year=number) for number, year in enumerate(years)
    )
    return _counts_of(whole, event_type, float(YEARS), years=dated)


def _counts_of(
    planes: Sequence[PixelCounts],
    event_type: str,
    livetime_years: float,
    *,
    years: tuple[SkyCounts, ...] = (),
    mission_year: int | None = None,
) -> SkyCounts:
    bins = tuple(
        BinCounts(order, *plane) for order, plane in zip(NATIVE_ORDERS, planes, strict=True)
    )
    return SkyCounts(
        bins,
        event_type,
        livetime_years,
        years,
        origin={"kind": "simulated"},
        selection=Selection(simulated=True),
        mission_year=mission_year,
    )
