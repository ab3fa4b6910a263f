"""Weights files: safetensors with the network's shape and its history in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import InputError
from ..outputs import replacing
from . import localizer  # noqa: F401  registers the architecture
from .spec import ModelSpec, SourceNetwork, build_network

DEFAULT_LOCALIZER = "localizer-v7"

_DATA = Path(str(files("fermi_unek") / "data"))

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@dataclass(frozen=True)
class LocalizerFile:
    """A localizer as it was loaded.

    Attributes
    ----------
    network : SourceNetwork
        In evaluation mode.
    calibration : mapping
        Tables that turn raw numbers into probability and position error (see `detect`).
    provenance : mapping
        Name, SHA-256 and training history, for headers and `info`.
    """

    network: SourceNetwork
    calibration: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)


def save_localizer(
    network: nn.Module,
    path: str | Path,
    history: Mapping[str, str],
    calibration: Mapping[str, object] | None = None,
) -> Path:
    """Write weights, spec, history and calibration to one file (temporary name, then moved).

    Kernels of convolutions are kept in half precision, in which the network may run anyway;
    scaling and running means stay as they are.
    """
    kernels = {name for name, t in network.named_parameters() if t.ndim == 4}
    tensors = {
        name: t.detach().half() if name in kernels else t.detach()
        for name, t in network.state_dict().items()
    }
    spec: ModelSpec = network.spec  # type: ignore[assignment]
    return write_weights("localizer", tensors, spec.as_mapping(), path, history, calibration)


def load_localizer(name_or_path: str | Path | None = None) -> LocalizerFile:
    """A localizer that ships with the package, or one of a weights file.

    Raises
    ------
    InputError
        When there is no such model, or the file is no localizer.
    """

    def build(shape: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
        return build_network(ModelSpec.from_mapping(shape))

    path = find_model(name_or_path, DEFAULT_LOCALIZER)
    network, calibration, provenance = read_weights("localizer", build, path)
    # torch's type hints do not know the keyword
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    source_network: SourceNetwork = network  # type: ignore[assignment]
    return LocalizerFile(source_network, calibration, provenance)


def write_weights(
    kind: str,
    tensors: Mapping[str, Tensor],
    shape: Mapping[str, object],
    path: str | Path,
    history: Mapping[str, str],
    calibration: Mapping[str, object] | None = None,
) -> Path:
    """Write the tensors of a network to one safetensors file (temporary name, then moved)."""
    path = Path(path)
    metadata = {
        "kind": kind,
        "shape": json.dumps(dict(shape)),
        "history": json.dumps(dict(history)),
        "calibration": json.dumps(dict(calibration or {})),
    }
    whole = {name: t.detach().contiguous() for name, t in tensors.items()}
    with replacing(path) as temporary:
        # not save_file, which leaves a file that only its owner may read
        Path(temporary).write_bytes(save(whole, metadata=metadata))
    return path


def read_weights(
    kind: str, build: Callable[[dict[str, Any], dict[str, Tensor]], AnyModule], path: Path
) -> tuple[AnyModule, dict[str, object], dict[str, str]]:
    """Network in evaluation mode, calibration and provenance of a weights file.

    Parameters
    ----------
    kind : str
        What the file must say it is.
    build : callable
        Makes the network from the shape in the file's header; may take tensors that are not
        the network's out of those of the file.

    Raises
    ------
    InputError
        When the file is no network of the kind.
    """
    try:
        with safe_open(path, framework="pt") as source:
            metadata = source.metadata() or {}
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
        found = metadata.get("kind", "weights of unknown kind")
        if found != kind:
            raise InputError(f"{path} holds no {kind} but {found!r}")
        shape = json.loads(metadata["shape"])
        with torch.device("meta"):  # takes no memory, whatever sizes the header claims
            claimed = build(shape, dict(tensors)).state_dict()
        held = {name: tensor.shape for name, tensor in tensors.items()}
        if wrong := [name for name, tensor in claimed.items() if held.get(name) != tensor.shape]:
            raise ValueError(f"tensor {wrong[0]} is not of the shape that its header tells")
        network = build(shape, tensors)
        network.load_state_dict(tensors)
        history = json.loads(metadata["history"])
        calibration = json.loads(metadata["calibration"])
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no weights file of a {kind}: {reason}") from error
    network.eval()
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    check_shipped(path, checksum)
    return network, calibration, {**history, "model": path.stem, "sha256": checksum}


def check_shipped(path: Path, checksum: str) -> None:
    """InputError where a file that ships with the package is not as it was released."""
    sums = path.parent / "SHA256SUMS"
    if path.parent.parent == _DATA and f"{checksum}  {path.name}" not in sums.read_text():
        raise InputError(f"{path}: is not the file that the package was released with, see {sums}")


def find_model(name_or_path: str | Path | None, default: str) -> Path:
    """File of a model that ships with the package, or the path itself.

    Raises
    ------
    InputError
        When it is neither.
    """
    shipped = Path(str(files("fermi_unek") / "data" / "models"))
    name = str(name_or_path or default)
    candidates = [Path(name), shipped / f"{name}.safetensors"]
    for candidate in candidates if name_or_path else candidates[1:]:
        if candidate.is_file():
            return candidate
    known = sorted(p.stem for p in shipped.glob("*.safetensors"))
    raise InputError(f"no model {name!r}: neither a file nor one of {known}")


def kind_of(path: Path) -> str:
    """What network a weights file says it holds; blank where it does not say.

    Raises
    ------
    InputError
        When it is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as source:
            return str((source.metadata() or {}).get("kind", ""))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no weights file: {error}") from error
