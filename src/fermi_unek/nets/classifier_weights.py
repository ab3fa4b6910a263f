"""Weights files of classifiers; their format is that of `nets.weights`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .classifier import Classifier, ClassifierShape
from .tables import from_header
from .weights import find_model, read_weights, write_weights

DEFAULT_CLASSIFIER = "classifier-v5"


@dataclass(frozen=True)
class ClassifierFile:
    """A classifier as it was loaded.

    Attributes
    ----------
    network : Classifier
        In evaluation mode.
    calibration : mapping
        Tables that turn logits into probabilities and Fake (see `classify.calibration`).
    provenance : mapping
        Name, SHA-256 and training history, for headers and `info`.
    """

    network: Classifier
    calibration: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)


def save_classifier(
    network: Classifier,
    path: str | Path,
    history: Mapping[str, str],
    calibration: Mapping[str, object] | None = None,
) -> Path:
    """Write weights, shape, history and calibration to one file (temporary name, then moved)."""
    tensors, shape = network.state_dict(), asdict(network.shape)
    return write_weights("classifier", tensors, shape, path, history, calibration)


def load_classifier(name_or_path: str | Path | None = None) -> ClassifierFile:
    """A classifier that ships with the package, or one of a weights file.

    Raises
    ------
    InputError
        When there is no such model, or the file is no classifier.
    """
    path = find_model(name_or_path, DEFAULT_CLASSIFIER)
    read = read_weights(
        "classifier", lambda shape, _: Classifier(from_header(ClassifierShape, shape)), path
    )
    return ClassifierFile(*read)
