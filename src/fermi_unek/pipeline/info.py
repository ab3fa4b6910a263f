"""`info`: what a file is."""

from __future__ import annotations

from pathlib import Path

from ..catalog.io import SOURCES_HDU, read_catalog
from ..sky.io.files import open_fits, resolve_inputs
from .inputs import read_photons


def describe(item: str) -> str:
    """What a catalog, a model (by name or file) or an input holds, in lines for people.

    Raises
    ------
    InputError
        When it is none of these.
    """
    from ..report import describe_catalog, describe_sky

    path = Path(item)
    if not item.startswith("@") and (not path.exists() or _is_safetensors(path)):
        return _describe_model(item)
    with open_fits(resolve_inputs(item)[0]) as hdus:
        is_catalog = SOURCES_HDU in hdus
    return describe_catalog(read_catalog(path)) if is_catalog else describe_sky(read_photons(item))


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then JSON."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _describe_model(item: str) -> str:
    from ..nets.classifier_weights import load_classifier
    from ..nets.weights import DEFAULT_LOCALIZER, find_model, kind_of, load_localizer

    path = find_model(item, DEFAULT_LOCALIZER)
    load = load_classifier if kind_of(path) == "classifier" else load_localizer
    return "\n".join(f"{key}: {value}" for key, value in load(path).provenance.items())
