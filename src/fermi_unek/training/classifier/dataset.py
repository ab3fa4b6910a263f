"""Examples for the classifier: what the localizer finds on simulated skies, and what it was.

One file for each view of a sky. True positives carry the class of their source and the localizer's
own position error; what matches no source of ideal TS above 9 is Fake, unless a source of ideal TS
4 to 9 lies within the matching radius: such a candidate is neither (`DOUBTFUL`) and teaches
nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ...classify.features import CandidateFeatures, gather
from ...detect.calibration import Calibration
from ...detect.centers import Centers
from ...detect.find import raw_centers
from ...detect.scene import scene_of
from ...diffuse.template import load_shape
from ...errors import InputError
from ...nets.classifier import ClassifierShape
from ...nets.weights import LocalizerFile
from ...outputs import replacing
from ...progress import Progress, silent
from ...sky.counts import SkyCounts
from ...sky.geometry.frame import vectors_to_lonlat
from ..localizer.calibrate import MATCH_DEG, match_centers
from .population import FAKE
from .skies import ClassSky, ClassTruth, load_class_sky, make_class_sky
from .views import View

DOUBTFUL = 6
"""Label of candidates at a source of ideal TS 4 to 9."""

DOUBTFUL_TS = 4.0

SHAPE = ClassifierShape()
"""Whose stamps and apertures the examples are measured in."""

LEAST_PROBABILITY = 0.1


@dataclass(frozen=True)
class Examples:
    """Candidates with what is known of them; arrays of N rows.

    Attributes
    ----------
    features : CandidateFeatures
    label : int array (N,)
        Index in `catalog.schema.CLASSES`, `UNCLASSED` or `DOUBTFUL`.
    template : int array (N,)
        Row of DR2 the source was made from, -1 where there is none.
    ts, flux, lat_deg, distance_deg : arrays (N,)
        Ideal TS, photon flux (1 to 100 GeV), Galactic latitude of the candidate, distance to
        the source as in `calibrate.MatchedCenters`; NaN where there is no source.
    ts_bins : array (N, 6)
        Ideal TS in the photons of each energy bin.
    layers, bins : int arrays (N,)
        Number of layers and of energy bins that were searched.
    signif : array (N,)
        Signif_Avg of DR2, for sources at their own flux.
    n_sources : array (N,)
        Number of true sources above ideal TS 25 on the sky, for completeness.
    sky : int array (N,)
        Seed of the sky.
    vectors : array (N, 3)
        Galactic unit vectors of the candidates.
    """

    features: CandidateFeatures
    label: np.ndarray
    template: np.ndarray
    ts: np.ndarray
    flux: np.ndarray
    signif: np.ndarray
    lat_deg: np.ndarray
    distance_deg: np.ndarray
    ts_bins: np.ndarray
    layers: np.ndarray
    bins: np.ndarray
    n_sources: np.ndarray
    sky: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: np.ndarray) -> Examples:
        """Some of them, by mask or index."""
        names = [field.name for field in fields(self)[1:]]
        return Examples(self.features.select(rows), *(getattr(self, n)[rows] for n in names))


def examples_path(folder: str | Path, sky: ClassSky, view: View, localizer: LocalizerFile) -> Path:
    """File of what a localizer finds in one view of a sky; its name and checksum are the folder's.

    A localizer that was calibrated anew finds other probabilities, and is another. The last
    checksum is of how candidates are measured.
    """
    history = localizer.provenance
    finder = f"{history.get('model', 'localizer')}-{history.get('sha256', '')[:8]}"
    measured = json.dumps([asdict(SHAPE), LEAST_PROBABILITY], sort_keys=True)
    digest = hashlib.sha256(measured.encode()).hexdigest()
    return Path(folder) / finder / f"{sky.name}-{view.name}-{digest[:8]}.npz"


def make_examples(
    sky: ClassSky,
    view: View,
    localizer: LocalizerFile,
    folder: str | Path,
    data_dir: str | Path | None,
    *,
    skies: str | Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Search a view of a sky as `find` does and keep the candidates; no work if they are there.

    Parameters
    ----------
    skies : path or None
        Folder of simulated skies; one that is missing is made. None is ``skies`` in `folder`.
    """
    path = examples_path(folder, sky, view, localizer)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = make_class_sky(sky, skies or Path(folder) / "skies", data_dir, progress)
    found, calibration = _search(kept, view, localizer, progress)
    layers, truth = load_class_sky(kept, view.event_types)
    save_examples(examples_of(view.of(layers), truth, view, found, calibration, sky.seed), path)
    return path


def _search(
    path: Path, view: View, localizer: LocalizerFile, progress: Progress
) -> tuple[Centers, Calibration]:
    """Centres in a view of a kept sky, without its years, which take as much memory as the rest."""
    layers = load_class_sky(path, view.event_types)[0]
    counts = view.of([replace(layer, years=()) for layer in layers])
    del layers
    scene = scene_of(counts, localizer.network.spec, load_shape())
    found = raw_centers(counts, localizer, scene, progress=progress)
    return found, Calibration.of(localizer.calibration, scene.observed, counts.livetime_years)


def examples_of(
    sky: SkyCounts,
    truth: ClassTruth,
    view: View,
    found: Centers,
    calibration: Calibration,
    seed: int,
) -> Examples:
    """The examples that centres found in a view of a sky make."""
    lat = vectors_to_lonlat(found.vectors)[1]
    probability = calibration.probability(found, lat)
    ts_bins = view.ts(truth)
    ts = ts_bins.sum(axis=1)
    matched = match_centers(found, lat, truth.vectors, ts)
    kept = np.flatnonzero(probability >= LEAST_PROBABILITY)
    vectors, number = found.vectors[kept], len(kept)
    mask = np.stack([found.peak, found.area], axis=-1)[kept]
    source = source_of(matched.ts[kept], ts)
    true = source >= 0
    label = np.where(true, truth.label[source], FAKE)
    label[~true & doubtful(vectors, truth.vectors, ts)] = DOUBTFUL
    return Examples(
        features=gather(sky, vectors, probability[kept], mask, shape=SHAPE),
        label=label,
        template=np.where(true, truth.template[source], -1),
        ts=matched.ts[kept],
        flux=np.where(true, truth.flux[source], np.nan),
        signif=np.where(true, truth.signif[source], np.nan),
        lat_deg=matched.lat_deg[kept],
        distance_deg=matched.distance_deg[kept],
        ts_bins=np.where(true[:, None], ts_bins[source], np.nan),
        layers=np.full(number, view.layers),
        bins=np.full(number, view.bins),
        n_sources=np.full(number, (ts > 25.0).sum()),
        sky=np.full(number, seed),
        vectors=vectors,
    )


def source_of(matched_ts: np.ndarray, true_ts: np.ndarray) -> np.ndarray:
    """Index of the source a centre was matched to, by its ideal TS; -1 where that is NaN."""
    order = np.argsort(true_ts)
    place = np.searchsorted(true_ts[order], np.nan_to_num(matched_ts, nan=np.inf))
    found = order[np.minimum(place, len(order) - 1)]
    return np.where(np.isfinite(matched_ts), found, -1)


def doubtful(vectors: np.ndarray, sources: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Bool (N,): whether a source (S, 3) of ideal TS (S,) 4 to 9 lies within matching radius."""
    faint = sources[(ts > DOUBTFUL_TS) & (ts <= 9.0)]
    if not len(faint):
        return np.zeros(len(vectors), bool)
    chord: np.ndarray = cKDTree(faint).query(vectors)[0]
    return chord < 2.0 * np.sin(np.radians(MATCH_DEG) / 2.0)


def fold_of(template: np.ndarray, folds: int) -> np.ndarray:
    """Fold (N,) of rows of DR2, mixed so that neighbours differ; -1 where there is no row.

    With one fold nothing is left out.
    """
    template = np.asarray(template, np.int64)
    mixed = (template.astype(np.uint64) * np.uint64(2654435761)) >> np.uint64(7)
    fold = (mixed % np.uint64(max(folds, 1))).astype(np.int64)
    return np.where((template >= 0) & (folds > 1), fold, -1)


_PREFIX = "features."


def save_examples(examples: Examples, path: str | Path) -> Path:
    """Write examples as .npz (temporary name, then moved)."""
    path = Path(path)
    features = examples.features
    columns = {_PREFIX + f.name: getattr(features, f.name) for f in fields(features)}
    columns |= {f.name: getattr(examples, f.name) for f in fields(examples)[1:]}
    with replacing(path) as temporary:
        np.savez(temporary, **columns)
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
    names = [_PREFIX + f.name for f in fields(CandidateFeatures)] + [
        f.name for f in fields(Examples)[1:]
    ]
    for path in paths:
        try:
            with np.load(path) as columns:
                parts.append({name: columns[name] for name in names})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: is no file of examples for the classifier") from error
    whole = {name: np.concatenate([part[name] for part in parts]) for name in names}
    features = CandidateFeatures(*(whole[_PREFIX + f.name] for f in fields(CandidateFeatures)))
    return Examples(features, *(whole[f.name] for f in fields(Examples)[1:]))
