"""Backgrounds of the simulated sky: Galactic diffuse emission plus isotropic.

Four models and more: `own_model` needs no file and differs with every seed; `official` takes
the analyst's gll_iem and iso files; `shared_v07` and `templates_model` are built from the
files kept beside the project. `vary` makes another of any of them, `smear` blurs intensity
maps of models that do not yet include the PSF.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from .diffuse_files import (
    ISO_FILES,
    official,
    read_isotropic,
    read_mapcube,
    shared_v07,
    templates_model,
)
from .diffuse_model import DIFFUSE_NSIDE, DiffuseModel
from .diffuse_own import own_model
from .diffuse_vary import smear, vary

MODEL_NAMES = ("own", "v07", "model_O", "model_A")
"""What `by_name` knows; "own-SEED" is the own model with another fine structure."""

__all__ = [
    "DIFFUSE_NSIDE",
    "ISO_FILES",
    "MODEL_NAMES",
    "DiffuseModel",
    "by_name",
    "official",
    "own_model",
    "read_isotropic",
    "read_mapcube",
    "shared_v07",
    "smear",
    "templates_model",
    "vary",
]


def by_name(
    name: str, data_dir: str | Path | None = None, event_type: str = "front"
) -> DiffuseModel:
    """The diffuse model of a name.

    Parameters
    ----------
    name : str
        One of `MODEL_NAMES`, or "own-SEED".
    data_dir : path, optional
        The shared data directory; all but the own model need it.
    event_type : {"front", "back", "all"}
        Which isotropic spectrum to take (the own model has that of FRONT).
    """
    if name == "own":
        return own_model()
    if name.startswith("own-") and name[4:].isdigit():
        return own_model(int(name[4:]))
    if name not in MODEL_NAMES:
        raise ConfigError(f"diffuse model {name!r} is none of {MODEL_NAMES}, 'own-SEED'")
    if data_dir is None:
        raise ConfigError(f"diffuse model {name!r} needs the shared data directory")
    if name == "v07":
        return shared_v07(data_dir, event_type)
    return templates_model(data_dir, name[-1], event_type)
