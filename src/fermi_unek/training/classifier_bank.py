"""Examples for the classifier: what the localizer finds on simulated skies, and what it was.

One file a sky. True positives carry the class of their source and the localizer's own position
error; what matches no source of ideal TS above 9 is Fake, unless a source of ideal TS 4 to 9 lies
within the matching radius: such a candidate is neither (`DOUBTFUL`) and teaches nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..classify.evidence import Evidence, assemble, exposure_per_year
from ..classify.photometry import measure
from ..classify.stamps import ANCESTOR, NARROW, WIDE, coverage_of, cut_stamps
from ..detect import skymask
from ..detect.calibration import Calibration
from ..detect.find import raw_centers
from ..errors import InputError
from ..nets.weights import LocalizerFile
from ..progress import Progress, silent
from ..simulate.diffuse import by_name, vary
from ..simulate.instrument import load_instrument
from ..simulate.sky import simulate_counts
from ..simulate.skymodel import SkyModel, build_sky_model
from ..sky.counts import SkyCounts
from ..sky.frame import vectors_to_lonlat
from .calibrate import MATCH_DEG, Judged, judge
from .classifier_sky import (
    FAKE,
    UNCLASSED,
    histories,
    labels_of,
    real_population,
    training_population,
)

DOUBTFUL = 6
"""Label of candidates at a source of ideal TS 4 to 9."""

DOUBTFUL_TS = 4.0
LEAST_PROBABILITY = 0.1
_YEARS = 10


@dataclass(frozen=True)
class ClassSky:
    """What the examples of one file come from.

    Attributes
    ----------
    seed : int
    background : str
        As `simulate.diffuse.by_name` knows it.
    kind : {"boosted", "resampled", "dr2"}
        See `training.classifier_sky`; "dr2" keeps places, spectra and histories as they are.
    """

    seed: int
    background: str
    kind: str = "boosted"

    def __post_init__(self) -> None:
        if self.kind not in ("boosted", "resampled", "dr2"):
            raise InputError(f"sky {self.kind!r} is none of boosted, resampled, dr2")


@dataclass(frozen=True)
class Examples:
    """Candidates with what is known of them; arrays of N rows.

    Attributes
    ----------
    evidence : Evidence
    narrow : uint16 array (N, Y, 6, 6, 6)
        Stamps of the first study: [year, bin, row, column].
    ancestor : uint16 array (N, 6, 7, 7)
        Stamps of its plain network, all years.
    label : int array (N,)
        Index in `catalog.schema.CLASSES`, `UNCLASSED` or `DOUBTFUL`.
    template : int array (N,)
        Row of DR2 the source was made from, -1 where there is none.
    ts, flux, lat_deg, distance_deg : arrays (N,)
        Ideal TS, photon flux (1 to 100 GeV), Galactic latitude of the candidate, distance to
        the source as in `calibrate.Judged`; NaN where there is no source.
    signif : array (N,)
        Signif_Avg of DR2, for sources at their own flux.
    n_sources : array (N,)
        Number of true sources above ideal TS 25 on the sky, for completeness.
    sky : int array (N,)
        Seed of the sky.
    """

    evidence: Evidence
    narrow: np.ndarray
    ancestor: np.ndarray
    label: np.ndarray
    template: np.ndarray
    ts: np.ndarray
    flux: np.ndarray
    signif: np.ndarray
    lat_deg: np.ndarray
    distance_deg: np.ndarray
    n_sources: np.ndarray
    sky: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: np.ndarray) -> Examples:
        """Some of them, by mask or index."""
        names = [one.name for one in fields(self)[1:]]
        return Examples(self.evidence.select(rows), *(getattr(self, n)[rows] for n in names))


def sky_path(bank: str | Path, sky: ClassSky) -> Path:
    """File of the examples of one sky."""
    return Path(bank) / f"class{sky.seed:07d}-{sky.background}-{sky.kind}.npz"


def make_examples(
    sky: ClassSky,
    localizer: LocalizerFile,
    bank: str | Path,
    data_dir: str | Path | None,
    *,
    turns: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Path:
    """Simulate a sky of ten years, search it, and keep the candidates; no work if it is there.

    Parameters
    ----------
    turns : sequence of int or None
        Orientations in which the localizer looks; one is four times as quick as the default.
    """
    path = sky_path(bank, sky)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([sky.seed, 7])
    model = sky_model(sky, data_dir, rng)
    factors = histories(model.sources, _YEARS, rng, real=sky.kind == "dr2")
    counts = simulate_counts(
        model, float(_YEARS), rng, yearly=True, factors=factors, progress=progress
    )
    with looking(turns):
        found = raw_centers(counts, localizer, None, progress=progress)
    lat = vectors_to_lonlat(found.vectors)[1]
    calibration = Calibration.from_mapping(localizer.calibration)
    probability = calibration.probability(found, lat)
    judged = judge(found, lat, model.vectors, model.ideal_ts.sum(axis=1) * _YEARS)
    examples = examples_of(counts, model, judged, probability, sky.seed)
    save_examples(examples, path)
    return path


@contextmanager
def looking(turns: Sequence[int] | None) -> Iterator[None]:
    """Let the localizer look in other orientations than its default within a block."""
    usual = skymask.TURNS
    if turns is not None:
        # any number of orientations will do
        skymask.TURNS = tuple(turns)
    try:
        yield
    finally:
        skymask.TURNS = usual


def sky_model(sky: ClassSky, data_dir: str | Path | None, rng: np.random.Generator) -> SkyModel:
    """Sources over a background; that of a training sky is varied."""
    diffuse = by_name(sky.background, data_dir, "front")
    if sky.kind == "dr2":
        sources = real_population(rng)
    else:
        diffuse = vary(diffuse, rng)
        sources = training_population(rng, boosted=sky.kind == "boosted")
    return build_sky_model(sources, diffuse, load_instrument(), "front")


def examples_of(
    sky: SkyCounts, model: SkyModel, judged: Judged, probability: np.ndarray, seed: int
) -> Examples:
    """The examples that judged centres on a sky make."""
    kept = np.flatnonzero(probability >= LEAST_PROBABILITY)
    vectors, probability = judged.centers.vectors[kept], probability[kept]
    wide, narrow, ancestor = cut_stamps(sky, vectors, (WIDE, NARROW, ANCESTOR))
    covered = coverage_of(sky, vectors)
    found = measure(wide, covered, vectors, vectors[probability >= 0.5], sky.event_type)
    exposure = exposure_per_year(vectors, sky.event_type)[:, None] * np.ones((1, _YEARS, 1))
    image = wide.sum(axis=1, dtype=np.float32)
    source = source_of(judged.ts[kept], model.ideal_ts.sum(axis=1) * _YEARS)
    true = source >= 0
    label = np.full(len(kept), FAKE)
    label[true] = labels_of(np.asarray(model.sources["CLASS1"])[source[true]])
    label[~true & doubtful(vectors, model)] = DOUBTFUL
    total_ts = model.ideal_ts.sum(axis=1) * _YEARS
    bright = total_ts > 25.0

    def known(name: str) -> np.ndarray:
        return np.where(true, np.asarray(model.sources[name], float)[source], np.nan)

    return Examples(
        evidence=assemble(image, covered, found, exposure, probability),
        narrow=narrow,
        ancestor=ancestor.sum(axis=1).astype(np.uint16),
        label=label,
        template=np.where(true, np.asarray(model.sources["Template"])[source], -1),
        ts=judged.ts[kept],
        flux=known("Flux1000"),
        signif=known("Signif_Avg"),
        lat_deg=judged.lat_deg[kept],
        distance_deg=judged.distance_deg[kept],
        n_sources=np.full(len(kept), bright.sum()),
        sky=np.full(len(kept), seed),
    )


def source_of(matched_ts: np.ndarray, true_ts: np.ndarray) -> np.ndarray:
    """Index of the source a centre was matched to, by its ideal TS; -1 where that is NaN."""
    order = np.argsort(true_ts)
    place = np.searchsorted(true_ts[order], np.nan_to_num(matched_ts, nan=np.inf))
    found = order[np.minimum(place, len(order) - 1)]
    return np.where(np.isfinite(matched_ts), found, -1)


def doubtful(vectors: np.ndarray, model: SkyModel) -> np.ndarray:
    """Bool (N,): whether a source of ideal TS 4 to 9 lies within the matching radius."""
    ts = model.ideal_ts.sum(axis=1) * _YEARS
    faint = model.vectors[(ts > DOUBTFUL_TS) & (ts <= 9.0)]
    if not len(faint):
        return np.zeros(len(vectors), bool)
    chord: np.ndarray = cKDTree(faint).query(vectors)[0]
    return chord < 2.0 * np.sin(np.radians(MATCH_DEG) / 2.0)


_PREFIX = "evidence."


def save_examples(examples: Examples, path: str | Path) -> Path:
    """Write examples as .npz (temporary name, then moved)."""
    path = Path(path)
    evidence = examples.evidence
    columns = {_PREFIX + f.name: getattr(evidence, f.name) for f in fields(evidence)}
    columns |= {f.name: getattr(examples, f.name) for f in fields(examples)[1:]}
    temporary = path.with_name(path.name + ".part.npz")
    np.savez(temporary, allow_pickle=False, **columns)
    os.replace(temporary, path)
    return path


def load_examples(paths: Sequence[str | Path]) -> Examples:
    """Examples of several files as one.

    Raises
    ------
    InputError
        No file, or one that is not of examples.
    """
    if not paths:
        raise InputError("no file of examples for the classifier")
    parts: list[dict[str, np.ndarray]] = []
    names = [_PREFIX + f.name for f in fields(Evidence)] + [f.name for f in fields(Examples)[1:]]
    for path in paths:
        try:
            with np.load(path) as columns:
                parts.append({name: columns[name] for name in names})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: is no file of examples for the classifier") from error
    whole = {name: np.concatenate([part[name] for part in parts]) for name in names}
    evidence = Evidence(*(whole[_PREFIX + f.name] for f in fields(Evidence)))
    return Examples(evidence, *(whole[f.name] for f in fields(Examples)[1:]))


__all__ = ["FAKE", "UNCLASSED", "ClassSky", "Examples", "load_examples", "make_examples"]
