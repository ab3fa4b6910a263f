"""Simulated skies for the classifier, kept on disk: photons of ten years, and what shone.

They do not depend on a localizer: they are made ahead, and searched again when there is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ...diffuse.named import by_name, vary
from ...errors import InputError
from ...irf.instrument import load_instrument
from ...outputs import replacing
from ...progress import Progress, silent
from ...simulate.sky import simulate_counts
from ...simulate.skymodel import SkyModel, build_sky_model
from ...sky.bins import N_BINS, NATIVE_ORDERS
from ...sky.counts import BinCounts, SkyCounts
from ...sky.io.parts import merge_pixels
from .population import histories, labels_of, real_population, training_population

YEARS = 10
"""Live time of every sky, years, and its layers."""

_EVENT_TYPE = "front"


@dataclass(frozen=True)
class ClassSky:
    """What the examples of one file come from.

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
        """Stem of the files of this sky."""
        return f"class{self.seed:07d}-{self.background}-{self.kind}"


@dataclass(frozen=True)
class ClassTruth:
    """The N sources of a sky.

    Attributes
    ----------
    vectors : float array (N, 3)
        Galactic unit vectors.
    ts : float array (N,)
        Ideal TS of all years.
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


def sky_model(sky: ClassSky, data_dir: str | Path | None, rng: np.random.Generator) -> SkyModel:
    """Sources over a background; that of a training sky is varied."""
    diffuse = by_name(sky.background, data_dir, _EVENT_TYPE)
    if sky.kind == "dr2":
        sources = real_population(rng)
    else:
        diffuse = vary(diffuse, rng)
        sources = training_population(rng, boosted=sky.kind == "boosted")
    return build_sky_model(sources, diffuse, load_instrument(), _EVENT_TYPE)


def truth_of(model: SkyModel) -> ClassTruth:
    """What is kept of a sky's model."""
    sources = model.sources
    return ClassTruth(
        model.vectors,
        model.ideal_ts.sum(axis=1) * YEARS,
        labels_of(np.asarray(sources["CLASS1"])),
        np.asarray(sources["Template"], int),
        np.asarray(sources["Flux1000"], float),
        np.asarray(sources["Signif_Avg"], float),
    )


def make_class_sky(
    sky: ClassSky, folder: str | Path, data_dir: str | Path | None, progress: Progress = silent
) -> Path:
    """Simulate a sky of ten years and keep it; no work if it is there."""
    path = Path(folder) / f"{sky.name}.npz"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([sky.seed, 7])
    model = sky_model(sky, data_dir, rng)
    factors = histories(model.sources, YEARS, rng, real=sky.kind == "dr2")
    counts = simulate_counts(
        model, float(YEARS), rng, yearly=True, factors=factors, progress=progress
    )
    save_class_sky(counts, truth_of(model), path)
    return path


def save_class_sky(counts: SkyCounts, truth: ClassTruth, path: str | Path) -> None:
    """Write the yearly photons of a sky and its sources to one .npz.

    Pixels of all years and bins follow each other, with their counts; nothing is compressed,
    which would cost as much time as a search and gain a third.
    """
    planes = [counts for year in counts.years for counts in _bins_of(year)]
    columns = {f.name: getattr(truth, f.name) for f in fields(truth)}
    with replacing(path) as temporary:
        np.savez(
            temporary,
            length=np.array([len(counts.pixels) for counts in planes]),
            pixels=np.concatenate([counts.pixels for counts in planes]),
            counts=np.concatenate([np.minimum(counts.counts, 65535) for counts in planes]).astype(
                "u2"
            ),
            **columns,
        )


def _bins_of(layer: SkyCounts) -> Sequence[BinCounts]:
    return [counts for counts in layer.bins if counts is not None]


def load_class_sky(path: str | Path) -> tuple[SkyCounts, ClassTruth]:
    """A sky as it was simulated.

    Raises
    ------
    InputError
        When the file is no such sky.
    """
    try:
        with np.load(path) as columns:
            truth = ClassTruth(*(columns[f.name] for f in fields(ClassTruth)))
            cuts = np.cumsum(columns["length"])[:-1]
            planes = list(
                zip(
                    np.split(columns["pixels"], cuts),
                    np.split(columns["counts"].astype(np.uint32), cuts),
                    strict=True,
                )
            )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is no simulated sky for the classifier") from error
    if len(planes) != YEARS * N_BINS:
        raise InputError(f"{path}: holds {len(planes)} planes, expected {YEARS * N_BINS}")
    layers = [planes[first : first + N_BINS] for first in range(0, len(planes), N_BINS)]
    years = tuple(_counts_of(layer, 1.0) for layer in layers)
    whole = [merge_pixels(layer[b] for layer in layers) for b in range(N_BINS)]
    return _counts_of(whole, float(YEARS), years), truth


def _counts_of(
    planes: Sequence[tuple[np.ndarray, np.ndarray]],
    livetime_years: float,
    years: tuple[SkyCounts, ...] = (),
) -> SkyCounts:
    bins = tuple(
        BinCounts(order, *plane) for order, plane in zip(NATIVE_ORDERS, planes, strict=True)
    )
    return SkyCounts(bins, _EVENT_TYPE, livetime_years, years, origin={"kind": "simulated"})
