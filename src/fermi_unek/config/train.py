"""Settings of `train`: of a localizer and of a classifier, as they stand in YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices

from .base import Config, argument, setting


class _Training(Config):
    """What the training of any network takes."""

    data: Path | None = setting(
        None,
        "Folder with the shared diffuse files; without it only the package's own model works.",
    )
    backgrounds: tuple[str, ...] = setting(("own",), "Diffuse models that the skies take in turn.")
    calibration_skies: int = setting(
        3, "Further whole skies on which the output is calibrated; 0 leaves it raw.", ge=0
    )
    lr: float = setting(2e-3, "Peak learning rate of the cosine schedule.", gt=0.0)
    threads: int = setting(0, "CPU threads torch may use; 0 leaves it to torch.", ge=0)
    seed: int = setting(0, "Of the network's start and of the order of examples.", ge=0)
    workers: int = setting(1, "Processes that simulate and search skies.", ge=1)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "auto takes a GPU where there is one.")


class TrainConfig(_Training):
    """How a localizer is trained."""

    out: Path = setting(
        Path("runs/localizer"), "Folder of the run: checkpoints, log, final weights."
    )
    dataset: Path = setting(
        Path("runs/dataset"),
        "Folder in which simulated training patches are kept between runs.",
        validation_alias=AliasChoices("dataset", "bank"),
    )
    skies: int = setting(24, "Independent simulated skies.", ge=1)
    patches: int = setting(700, "Patches rendered from each sky.", ge=1)
    sky_seed: int = setting(1000, "Seed of the first sky; the others count on from it.", ge=0)
    steps: int = setting(5000, "Optimizer steps.", ge=1)
    minutes: float = setting(
        0.0,
        "Time after which a run in one process ends, its learning rate low by then, though it has "
        "not taken all steps; 0 for no limit.",
        ge=0.0,
    )
    batch: int = setting(16, "Patches in a step.", ge=1)
    widths: tuple[int, int, int, int] = setting(
        (48, 80, 112, 160), "Filters of the U-Net at 64, 32, 16 and 8 pixels."
    )
    start: Path | None = setting(
        None,
        "Shipped network or weights file to go on from, with a fresh optimizer; else random.",
    )
    frozen_norm: bool = setting(
        False,
        "Batch norm uses the running means of the network that the run starts from, as a search "
        "does; for the end of a training, since a batch of one sky and view has others.",
    )
    template: str = setting(
        "v07", "Diffuse shape that the network is told of; blank for a network without."
    )
    ten_years: float = setting(0.5, "Share of examples at ten years.", ge=0.0, le=1.0)
    absent: float = setting(0.28, "Share of examples without some energy bins.", ge=0.0, le=1.0)
    fields: float = setting(0.25, "Share of examples cut to a field.", ge=0.0, le=1.0)
    structure: float = setting(
        0.1,
        "Scatter, on scales below ten degrees, of the Galactic emission of every other sky about "
        "its diffuse model; of the others a third.",
        ge=0.0,
        le=1.0,
    )
    loaders: int = setting(0, "Processes that draw patches beside the one that trains.", ge=0)


class TrainClassifierConfig(_Training):
    """How a classifier is trained."""

    out: Path = setting(Path("runs/classifier"), "Folder of the run.")
    dataset: Path = setting(
        Path("runs/classifier-dataset"),
        "Folder of the candidates found on simulated skies, kept between runs.",
        validation_alias=AliasChoices("dataset", "bank"),
    )
    sky_dataset: Path | None = setting(
        None,
        "Folder in which the simulated skies are kept, half a GB each, whatever localizer "
        "searches them; unless given `skies` in the dataset.",
        validation_alias=AliasChoices("sky_dataset", "sky_bank"),
    )
    localizer: str | None = setting(
        None, "Model or weights file that finds the candidates; the shipped one unless given."
    )
    skies: int = setting(
        10,
        "Simulated skies, each searched in FRONT, in FRONT and BACK, and in few energy bins.",
        ge=1,
    )
    sky_seed: int = setting(3_000_001, "Seed of the first sky; the others count on from it.", ge=0)
    epochs: int = setting(14, "Passes through the candidates.", ge=1)
    batch: int = setting(256, "Candidates in a step.", ge=1)
    weight_decay: float = setting(2e-2, "Of AdamW.", ge=0.0)
    hidden: int = setting(128, "Units of the hidden layers.", ge=1)
    filters: int = setting(0, "Filters that see the image; 0 for none.", ge=0)
    year_units: int = setting(48, "Units that see the years; 0 for none.", ge=0)
    members: int = setting(4, "Networks, each without a part of DR2.", ge=1)
    finder: bool = setting(True, "Whether the classifier is given the localizer's raw numbers.")
    balance: float = setting(
        0.5,
        "Power of one over the number of its examples by which a class is weighted.",
        ge=0.0,
        le=1.0,
    )
    focus: float = setting(0.0, "Power of the focal loss.", ge=0.0)

    @property
    def sky_folder(self) -> Path:
        """Where the simulated skies are."""
        return self.sky_dataset or self.dataset / "skies"


class Train(Config):
    """Train a network as a YAML file says."""

    network: Literal["localizer", "classifier"] = argument("What is trained.")
    settings: Path = argument("Settings of the training.", "CONFIG.yaml")
    resume: bool = setting(False, "Go on from the last checkpoint.")
    skies_only: bool = setting(
        False,
        "Simulate a classifier's skies and stop, before there is a localizer to search them.",
    )
