"""Settings of `train`: of a localizer and of a classifier, as they stand in YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from .base import Config, Option

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Data = Annotated[
    Path | None,
    Field(
        description="Folder with the shared diffuse files; without it only the package's own model "
        "works."
    ),
]
Backgrounds = Annotated[
    tuple[str, ...], Field(description="Diffuse models that the skies take in turn.")
]
CalibrationSkies = Annotated[
    int,
    Field(
        ge=0,
        description="Further whole skies on which the output is calibrated afterwards; 0 leaves "
        "it raw.",
    ),
]
FirstSeed = Annotated[
    int, Field(ge=0, description="Seed of the first sky; the others count on from it.")
]
Rate = Annotated[float, Field(gt=0.0, description="Peak learning rate of the cosine schedule.")]
Threads = Annotated[
    int, Field(ge=0, description="CPU threads torch may use; 0 leaves it to torch.")
]
TrainingSeed = Annotated[
    int, Field(ge=0, description="Of the network's start and of the order of examples.")
]
TrainingDevice = Annotated[
    Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU where there is one.")
]


class TrainConfig(Config):
    """How a localizer is trained."""

    out: Path = Field(
        Path("runs/localizer"), description="Folder of the run: checkpoints, log, final weights."
    )
    dataset: Path = Field(
        Path("runs/dataset"),
        validation_alias=AliasChoices("dataset", "bank"),
        description="Folder in which simulated training patches are kept between runs.",
    )
    data: Data = None
    backgrounds: Backgrounds = ("own",)
    skies: int = Field(24, ge=1, description="Independent simulated skies.")
    patches: int = Field(700, ge=1, description="Patches rendered from each sky.")
    steps: int = Field(5000, ge=1, description="Optimizer steps.")
    batch: int = Field(16, ge=1, description="Patches in a step.")
    lr: Rate = 2e-3
    widths: tuple[int, int, int, int] = Field(
        (48, 80, 112, 160), description="Filters of the U-Net at 64, 32, 16 and 8 pixels."
    )
    threads: Threads = 0
    seed: TrainingSeed = 0
    sky_seed: FirstSeed = 1000
    start: Path | None = Field(
        None,
        description="Shipped network or weights file to go on from, with a fresh optimizer; else random.",
    )
    template: str = Field(
        "",
        description="Diffuse model of which the network keeps a template; blank for a network "
        "without.",
    )
    ten_years: Share = Field(0.5, description="Share of examples at ten years.")
    absent: Share = Field(0.28, description="Share of examples without some energy bins.")
    fields: Share = Field(0.25, description="Share of examples cut to a field.")
    coarse: Share = Field(
        0.5,
        description="Share of the patches whose photons are placed as coarse count files would "
        "give them.",
    )
    structure: Share = Field(
        0.1,
        description="Scatter, on scales below ten degrees, of the Galactic emission of the skies "
        "about their diffuse model.",
    )
    calibration_skies: CalibrationSkies = 3
    device: TrainingDevice = "auto"
    loaders: int = Field(
        0, ge=0, description="Processes that draw patches beside the one that trains."
    )


class TrainClassifierConfig(Config):
    """How a classifier is trained."""

    out: Path = Field(Path("runs/classifier"), description="Folder of the run.")
    dataset: Path = Field(
        Path("runs/classifier-dataset"),
        validation_alias=AliasChoices("dataset", "bank"),
        description="Folder of the candidates found on simulated skies, kept between runs.",
    )
    sky_dataset: Path | None = Field(
        None,
        validation_alias=AliasChoices("sky_dataset", "sky_bank"),
        description="Folder in which the simulated skies are kept, a quarter of a GB each, "
        "whatever localizer searches them; unless given `skies` in the dataset.",
    )
    data: Data = None
    localizer: str | None = Field(
        None,
        description="Model or weights file that finds the candidates; the shipped one unless "
        "given.",
    )
    backgrounds: Backgrounds = ("own",)
    skies: int = Field(10, ge=1, description="Simulated skies.")
    sky_seed: FirstSeed = 3_000_001
    calibration_skies: CalibrationSkies = 3
    workers: int = Field(1, ge=1, description="Processes that simulate and search skies.")
    epochs: int = Field(14, ge=1, description="Passes through the candidates.")
    batch: int = Field(256, ge=1, description="Candidates in a step.")
    lr: Rate = 2e-3
    weight_decay: float = Field(2e-2, ge=0.0, description="Of AdamW.")
    hidden: int = Field(128, ge=1, description="Units of the hidden layers.")
    filters: int = Field(0, ge=0, description="Filters that see the image; 0 for none.")
    year_units: int = Field(48, ge=0, description="Units that see the years; 0 for none.")
    members: int = Field(4, ge=1, description="Networks, each without a part of DR2.")
    finder: bool = Field(
        True, description="Whether the classifier is given the localizer's raw numbers."
    )
    balance: Share = Field(
        0.5,
        description="Power of one over the number of its examples by which a class is weighted.",
    )
    focus: float = Field(0.0, ge=0.0, description="Power of the focal loss.")
    threads: Threads = 0
    seed: TrainingSeed = 0
    device: TrainingDevice = "auto"

    @property
    def sky_folder(self) -> Path:
        """Where the simulated skies are."""
        return self.sky_dataset or self.dataset / "skies"


class Train(Config):
    """Train a network as a YAML file says."""

    network: Annotated[Literal["localizer", "classifier"], Option(argument=True)] = Field(
        description="What is trained."
    )
    settings: Annotated[Path, Option(metavar="CONFIG.yaml", argument=True)] = Field(
        description="Settings of the training."
    )
    resume: bool = Field(False, description="Go on from the last checkpoint.")
    skies_only: bool = Field(
        False,
        description="Simulate a classifier's skies and stop, before there is a localizer to "
        "search them.",
    )
