"""`classify`: candidates and the photons around them into class probabilities and Fake."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import torch

from ..catalog import Candidates
from ..errors import UnekWarning
from ..irf.exposure import ExposureFile
from ..nets.classifier import Classifier, ClassifierInput
from ..nets.classifier_weights import ClassifierFile
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import lonlat_to_vectors
from .calibration import ClassCalibration
from .features import MOST_YEARS, CandidateFeatures, gather
from .priors import with_priors

_BATCH = 512


def classify(
    sky: SkyCounts,
    candidates: Candidates,
    classifier: ClassifierFile,
    *,
    exposure: ExposureFile | None = None,
    localizer: str | None = None,
    priors: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> Candidates:
    """Class probabilities and Fake of candidates.

    Parameters
    ----------
    sky : SkyCounts
        What the candidates were found in; its `years` tell how they vary, and its `layers`, where
        there are some, are measured together.
    candidates : Candidates
        May be empty.
    classifier : ClassifierFile
        As `nets.classifier_weights.load_classifier` returns it.
    exposure : ExposureFile or None
        Of these photons; None is the package's table times the live time.
    localizer : str or None
        SHA-256 of the localizer that found the candidates. The raw numbers of another than the
        classifier was trained with are not used; its probability is.
    priors : mapping of str to float, optional
        Shares of classes in place of DR2's, see `priors.with_priors`. `Fake` does not heed them.
    device : {"cpu", "cuda"}

    Returns
    -------
    Candidates
        The same with `counts`, `class_probabilities` and `fake`.

    Warns
    -----
    UnekWarning
        Without times (variability then says nothing), and beyond sixteen years, whose last are
        left out.
    """
    sky = usable_years(sky)
    if not len(candidates):
        return candidates
    vectors = lonlat_to_vectors(candidates.lon_deg, candidates.lat_deg)
    mask = None
    if localizer == classifier.provenance.get("localizer sha256"):
        mask = _mask_numbers(candidates)
    shape = classifier.network.shape
    features = gather(sky, vectors, candidates.probability, mask, exposure, shape=shape)
    logits = run_classifier(classifier.network, features, device)
    calibration = ClassCalibration.from_mapping(classifier.calibration)
    chances = calibration.probabilities(logits, candidates.probability, candidates.lat_deg)
    counts = np.where(sky.present, features.core.sum(axis=1), np.nan)
    against = calibration.against_bright(chances, logits, candidates.probability)
    bins = np.full(len(candidates), sky.present.sum())
    layers = np.full(len(candidates), len(sky.layers) or 1)
    fake = calibration.fake(against, candidates.lat_deg, bins, layers)
    if priors:
        chances = with_priors(chances, candidates.lat_deg, priors)
    return replace(candidates, counts=counts, class_probabilities=chances, fake=fake)


def _mask_numbers(candidates: Candidates) -> np.ndarray | None:
    if candidates.peak is None or candidates.area is None:
        return None
    return np.stack([candidates.peak, candidates.area], axis=-1)


def usable_years(sky: SkyCounts) -> SkyCounts:
    """The sky with at most sixteen years; see `classify` for the warnings."""
    if not sky.years:
        warnings.warn(
            "no times: the classes rest on the sum of all photons, without variability "
            "(give photon files, or --yearly cubes)",
            UnekWarning,
            stacklevel=3,
        )
    elif len(sky.years) > MOST_YEARS:
        warnings.warn(
            f"{len(sky.years)} years of photons: the first {MOST_YEARS} are used to classify",
            UnekWarning,
            stacklevel=3,
        )
        return replace(sky, years=sky.years[:MOST_YEARS])
    return sky


def run_classifier(
    network: Classifier, features: CandidateFeatures, device: str = "cpu"
) -> np.ndarray:
    """Logits, float32 (N, 5 or 6); of no row for no candidate."""
    network = network.to(device).eval()
    rows = [np.zeros((0, network.shape.outputs), np.float32)]
    with torch.inference_mode(), _one_thread():
        for batch in _batches(features):
            given = ClassifierInput(*(tensor.to(device) for tensor in as_input(batch)))
            rows.append(network(given).float().cpu().numpy())
    return np.concatenate(rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The layers are so small that threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _batches(features: CandidateFeatures) -> Iterator[CandidateFeatures]:
    for first in range(0, len(features), _BATCH):
        yield features.select(np.arange(first, min(first + _BATCH, len(features))))


def as_input(features: CandidateFeatures) -> ClassifierInput:
    """Tensors of the same names and shapes."""
    arrays = {field.name: getattr(features, field.name) for field in fields(features)}
    return ClassifierInput(
        **{name: torch.from_numpy(np.ascontiguousarray(a)).float() for name, a in arrays.items()}
    )
