"""Backgrounds of the simulated sky: Galactic diffuse emission plus isotropic.

Four models and more: `own_model` needs no file and differs with every seed; `official` takes
the analyst's gll_iem and iso files; `shared_v07` and `templates_model` are built from the
files kept beside the project. `vary` makes another of any of them, `smear` blurs intensity
maps of models that do not yet include the PSF.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError
from .files import ISO_FILES, official, read_isotropic, shared_v07, templates_model
from .model import DIFFUSE_NSIDE, DiffuseModel
from .own import own_model
from .structure import smear, vary

MODEL_NAMES = ("own", "v07", "model_O", "model_A")
"""What `by_name` knows; "own-SEED" is the own model with another fine structure."""

OFFICIAL = "gll_iem_v07.fits"
"""The Galactic model of the LAT team."""

__all__ = [
    "DIFFUSE_NSIDE",
    "ISO_FILES",
    "MODEL_NAMES",
    "OFFICIAL",
    "DiffuseModel",
    "by_name",
    "choose",
    "find_data",
    "find_official",
    "official",
    "own_model",
    "read_isotropic",
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
        Folder that holds diffuse/; all but the own model need it. None is $FERMI_UNEK_DATA.
    event_type : str
        Which isotropic spectrum to take (the own model has that of FRONT).
    """
    if name == "own":
        return own_model()
    if name.startswith("own-") and name[4:].isdigit():
        return own_model(int(name[4:]))
    if name not in MODEL_NAMES:
        raise ConfigError(f"diffuse model {name!r} is none of {MODEL_NAMES}, 'own-SEED'")
    data_dir = data_dir or find_data()
    if data_dir is None:
        raise ConfigError(
            f"diffuse model {name!r} needs the Fermi diffuse files; set FERMI_UNEK_DATA to the "
            "folder that holds diffuse/, or take background 'own'"
        )
    if name == "v07":
        return shared_v07(data_dir, event_type)
    return templates_model(data_dir, name[-1], event_type)


def choose(
    background: str = "auto", event_type: str = "front", isotropic: str | Path | None = None
) -> DiffuseModel:
    """The diffuse model that an analyst named, or the best that is at hand.

    ``auto`` is the analyst's own gll_iem_v07 where $FERMI_DIFFUSE_DIR or $FERMI_DIR has it, else
    v07 where the package's data are, else own.

    Parameters
    ----------
    background : str
        ``auto``, ``official``, a name that `by_name` knows, or a mapcube file.
    event_type : str
        Whose isotropic spectrum goes with it.
    isotropic : path, optional
        Isotropic spectrum that takes the place of the model's own.

    Raises
    ------
    ConfigError
        The name is not known, or its files are not there.
    InputError
        A file cannot be used.
    """
    data, found = find_data(), find_official(OFFICIAL)
    if background == "auto":
        background = str(found) if found else "v07" if data else "own"
    elif background == "official":
        if found is None:
            raise ConfigError(
                f"background 'official': {OFFICIAL} is neither in $FERMI_DIFFUSE_DIR nor in "
                "$FERMI_DIR/refdata/fermi/galdiffuse; give its path"
            )
        background = str(found)
    if Path(background).suffix in (".fits", ".fit", ".gz"):
        return official(background, isotropic or _isotropic_beside(Path(background), event_type))
    model = by_name(background, data, event_type)
    if isotropic is None:
        return model
    energies, intensity = read_isotropic(isotropic)
    return replace(model, iso_energies_mev=energies, iso_intensity=intensity)


def find_official(name: str) -> Path | None:
    """A file of the Fermi diffuse models in $FERMI_DIFFUSE_DIR or the Fermitools' folder."""
    own, fermitools = os.environ.get("FERMI_DIFFUSE_DIR"), os.environ.get("FERMI_DIR")
    folders = [Path(own)] if own else []
    folders += [Path(fermitools) / "refdata" / "fermi" / "galdiffuse"] if fermitools else []
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _isotropic_beside(galactic: Path, event_type: str) -> Path:
    """The isotropic spectrum that goes with an analyst's Galactic model."""
    name = ISO_FILES.get(event_type, ISO_FILES["psf"])
    found = galactic.parent / name if (galactic.parent / name).is_file() else find_official(name)
    if found is None:
        raise ConfigError(
            f"background {galactic}: {name} is not beside it; give --isotropic FILE (--iso of find)"
        )
    return found


def find_data() -> Path | None:
    """$FERMI_UNEK_DATA, where it is a folder with the Fermi diffuse files."""
    folder = Path(os.environ.get("FERMI_UNEK_DATA") or "/nowhere")
    return folder if (folder / "diffuse" / "gll_iem_v07_240x131.fits").is_file() else None
