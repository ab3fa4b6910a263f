"""Weights files: safetensors with the network's shape and its history in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import InputError
from ..outputs import replacing
from .localizer import Localizer, LocalizerShape

DEFAULT_LOCALIZER = "localizer-v2"


@dataclass(frozen=True)
class LocalizerFile:
    """A localizer as it was loaded.

    Attributes
    ----------
    network : Localizer
        In evaluation mode.
    calibration : mapping
        Tables that turn raw numbers into probability and position error (see `detect`).
    provenance : mapping
        Name, SHA-256 and training history, for headers and `info`.
    """

    network: Localizer
    calibration: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)


def save_localizer(
    network: Localizer,
    path: str | Path,
    history: Mapping[str, str],
    calibration: Mapping[str, object] | None = None,
) -> Path:
    """Write weights, shape, history and calibration to one file (temporary name, then moved).

    Kernels of convolutions are kept in half precision, in which the network may run anyway;
    filters, scaling and running means stay as they are.
    """
    path = Path(path)
    metadata = {
        "kind": "localizer",
        "shape": json.dumps(asdict(network.shape)),
        "history": json.dumps(dict(history)),
        "calibration": json.dumps(dict(calibration or {})),
    }
    kernels = {name for name, t in network.named_parameters() if t.ndim == 4}
    tensors = {
        name: (t.detach().half() if name in kernels else t.detach()).contiguous()
        for name, t in network.state_dict().items()
    }
    with replacing(path) as temporary:
        # not save_file, which leaves a file that only its owner may read
        Path(temporary).write_bytes(save(tensors, metadata=metadata))
    return path


def load_localizer(name_or_path: str | Path | None = None) -> LocalizerFile:
    """A localizer that ships with the package, or one of a weights file.

    Raises
    ------
    InputError
        When there is no such model, or the file is no localizer.
    """
    path = _find(name_or_path)
    try:
        with safe_open(path, framework="pt") as source:
            metadata = source.metadata() or {}
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
        kind = metadata.get("kind", "weights of unknown kind")
        if kind != "localizer":
            raise InputError(f"{path} holds no localizer but {kind!r}")
        network = Localizer(LocalizerShape(tuple(json.loads(metadata["shape"])["widths"])))
        network.load_state_dict(tensors)
        history = json.loads(metadata["history"])
        calibration = json.loads(metadata["calibration"])
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no weights file of a localizer: {reason}") from error
    # torch's type hints do not know the keyword
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    provenance = {**history, "model": path.stem, "sha256": checksum}
    return LocalizerFile(network, calibration, provenance)


def _find(name_or_path: str | Path | None) -> Path:
    shipped = Path(str(files("fermi_unek") / "data" / "models"))
    name = str(name_or_path or DEFAULT_LOCALIZER)
    candidates = [Path(name), shipped / f"{name}.safetensors"]
    for candidate in candidates if name_or_path else candidates[1:]:
        if candidate.is_file():
            return candidate
    known = sorted(p.stem for p in shipped.glob("*.safetensors"))
    raise InputError(f"no model {name!r}: neither a file nor one of {known}")
