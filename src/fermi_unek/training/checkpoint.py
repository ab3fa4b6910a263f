"""Checkpoints of a training run: written whole, read without running what is in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError
from ..outputs import replacing

UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError,
)  # fmt: skip
"""What reading a foreign or damaged checkpoint, or loading it into a network, may raise."""


def start_folder(out: Path, resume: bool) -> Path:
    """Make the folder of a run; the path of its checkpoint.

    Raises
    ------
    ConfigError
        When it holds a checkpoint and `resume` was not asked for.
    """
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{checkpoint} exists; give --resume to go on, or another out folder")
    out.mkdir(parents=True, exist_ok=True)
    return checkpoint


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors and numbers (temporary name, then moved)."""
    with replacing(path) as temporary:
        torch.save(dict(state), temporary)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, on the CPU; raises one of `UNREADABLE`."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state


def no_checkpoint(path: Path, what: str, error: Exception) -> ConfigError:
    """The error of a checkpoint that cannot be used for `what`."""
    message = (
        f"{path} is no checkpoint of {what}; train into another out folder, or with the "
        "configuration it was made with"
    )
    told = ConfigError(message)
    told.__cause__ = error
    return told
