"""`info`: what a file is."""

from __future__ import annotations

from pathlib import Path

from ..catalog.io import read_catalog, sources_hdu
from ..config import BinConfig
from ..errors import InputError
from ..sky.io.files import open_fits, resolve_inputs
from .inputs import read_photons
from .kinds import kind_of_fits, kind_of_folder, kind_of_text

_MAGIC_BYTES = 9


def describe(item: str) -> str:
    """What a catalog, a model, photons or another file of an analysis is, in lines for people.

    Parameters
    ----------
    item : str
        A path, an @list, or the name of a shipped model.

    Raises
    ------
    InputError
        When it is nothing that is known, or damaged.
    """
    from ..report import describe_catalog, describe_sky

    path = Path(item)
    if path.is_dir():
        return kind_of_folder(path)
    magic = _first_bytes(path) if path.is_file() else b""
    if not item.startswith("@"):
        # safetensors begin with eight bytes of length, then JSON
        if not path.exists() or magic[8:] == b"{":
            return _describe_model(item)
        if not magic.startswith((b"SIMPLE", b"\x1f\x8b")):
            return kind_of_text(path)
    with open_fits(resolve_inputs(item)[0]) as hdus:
        ours = sources_hdu(hdus) is not None
        kind = "" if ours else kind_of_fits(hdus)
    if kind.startswith("livetime cube"):  # most often given for the counts that it goes with
        raise InputError(f"{item}: no counts but a {' '.join(kind.split())}")
    if ours:
        return describe_catalog(read_catalog(path))
    return kind or describe_sky(read_photons(item, BinConfig()))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAGIC_BYTES)


def _describe_model(item: str) -> str:
    from ..nets.classifier_weights import load_classifier
    from ..nets.weights import DEFAULT_LOCALIZER, find_model, kind_of, load_localizer

    path = find_model(item, DEFAULT_LOCALIZER)
    kind = kind_of(path)
    load = load_classifier if kind == "classifier" else load_localizer
    option = "--classifier of find" if kind == "classifier" else "--model of find and inject"
    # the settings of its training name folders of the machine that it was trained on
    history = {key: value for key, value in load(path).provenance.items() if key != "config"}
    return "\n".join([f"{kind}; {option}", *(f"{key}: {value}" for key, value in history.items())])
