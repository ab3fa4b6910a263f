"""Training of the classifier: several members, each without a part of DR2, resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import __version__
from ...classify.classes import as_input
from ...config import TrainClassifierConfig
from ...errors import InputError
from ...nets.classifier import N_CLASSES, Classifier, ClassifierInput, ClassifierShape, Member
from ...nets.classifier_weights import save_classifier
from ...nets.weights import load_localizer
from ...parallel import map_tasks
from ...progress import Progress, silent
from ...sky.bins import N_BINS
from ..checkpoint import (
    UNREADABLE,
    no_checkpoint,
    read_checkpoint,
    save_checkpoint,
    start_folder,
)
from ..loop import accelerator_for, average_into, learning_rate, set_learning_rate
from .augment import Changes, batch_of
from .calibrate import fit_class_calibration, held_out_logits
from .dataset import DOUBTFUL, Examples, fold_of, load_examples, make_examples
from .loss import brightness_loss, classifier_loss
from .population import UNCLASSED
from .skies import ClassSky, make_class_sky
from .views import View, views_to_calibrate, views_to_train

_BACKGROUNDS_OWN = "own"
_CALIBRATION_SEEDS = 100_000
_AVERAGE = 0.995
_BRIGHT_SHARE = 0.5


def train_classifier(
    config: TrainClassifierConfig,
    *,
    resume: bool = False,
    progress: Progress = silent,
) -> Path:
    """Train a classifier and write `weights.safetensors` into the run's folder.

    Skies that the dataset lacks are simulated and searched first, with the localizer of the
    configuration. A checkpoint is written at the end of every epoch; `resume` goes on from the
    last.

    Returns
    -------
    Path
        The weights file, calibrated on skies of their own.

    Raises
    ------
    ConfigError
        When the run's folder holds a checkpoint and `resume` was not asked for.
    """
    checkpoint = start_folder(Path(config.out), resume)
    localizer = load_localizer(config.localizer)
    train, calibrate = training_skies(config), calibration_skies(config)
    shown = [(sky, view) for number, sky in enumerate(train) for view in views_to_train(number)]
    aside = [(sky, v) for number, sky in enumerate(calibrate) for v in views_to_calibrate(number)]
    paths = search_skies(config, [*shown, *aside], progress)
    examples = load_examples(paths[: len(shown)])
    # a file that cannot be read should be known before the training
    kept = load_examples(paths[len(shown) :]) if aside else None
    network = run_training(config, examples, checkpoint, progress)
    calibration = {}
    if kept is not None:
        calibration = fit_class_calibration(held_out_logits(network, kept), kept).as_mapping()
    history = {
        "skies": ", ".join(sky.name for sky in train),
        "examples": str(len(examples)),
        "config": config.model_dump_json(),
        "members": f"{config.members}, each without its own part of the rows of DR2",
        "localizer": localizer.provenance.get("model", ""),
        "localizer sha256": localizer.provenance.get("sha256", ""),
        "calibration skies": ", ".join(sky.name for sky in calibrate),
        "fermi_unek": __version__,
    }
    return save_classifier(
        network, checkpoint.with_name("weights.safetensors"), history, calibration
    )


def simulate_skies(config: TrainClassifierConfig, progress: Progress = silent) -> list[Path]:
    """Make the skies that a configuration needs and that are missing; no localizer is asked."""
    skies = [*training_skies(config), *calibration_skies(config)]
    work = partial(make_class_sky, folder=config.sky_folder, data_dir=config.data)
    return map_tasks(
        work, skies, workers=config.workers, label="simulating skies", progress=progress
    )


def search_skies(
    config: TrainClassifierConfig,
    shown: Sequence[tuple[ClassSky, View]],
    progress: Progress = silent,
) -> list[Path]:
    """Files of what the localizer finds in views of skies; those that are there are kept."""
    work = partial(_search, config=config)
    return map_tasks(
        work, shown, workers=config.workers, label="searching skies", progress=progress
    )


def _search(shown: tuple[ClassSky, View], config: TrainClassifierConfig) -> Path:
    # a process of its own loads its own network
    localizer = load_localizer(config.localizer)
    return make_examples(*shown, localizer, config.dataset, config.data, skies=config.sky_folder)


def training_skies(config: TrainClassifierConfig) -> list[ClassSky]:
    """The skies to train on, backgrounds in turn."""
    return [
        ClassSky(config.sky_seed + i, _seeded(config, i, config.sky_seed + i))
        for i in range(config.skies)
    ]


def calibration_skies(config: TrainClassifierConfig) -> list[ClassSky]:
    """Skies of DR2 as it is, for the calibration alone."""
    first = config.sky_seed + _CALIBRATION_SEEDS
    return [
        ClassSky(first + i, _seeded(config, i + 1, first + i), "dr2")
        for i in range(config.calibration_skies)
    ]


def _seeded(config: TrainClassifierConfig, index: int, seed: int) -> str:
    background = config.backgrounds[index % len(config.backgrounds)]
    # the small-scale structure of the package's own model is drawn anew for each sky
    return f"own-{seed}" if background == _BACKGROUNDS_OWN else background


def run_training(
    config: TrainClassifierConfig,
    examples: Examples,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    changes: Changes | None = None,
) -> Classifier:
    """Train the members one after the other; member k without the rows of fold k."""
    shape = ClassifierShape(
        config.hidden,
        config.filters,
        config.year_units,
        members=config.members,
        finder=config.finder,
        layers=True,
    )
    torch.manual_seed(config.seed)
    network = Classifier(shape)
    first, state = 0, None
    if checkpoint is not None and checkpoint.exists():
        first, state = _load(network, checkpoint)
    usable = examples.label != DOUBTFUL
    for k in range(first, config.members):
        kept = usable & (fold_of(examples.template, config.members) != k)
        trainer = MemberTrainer(network, k, config, examples.select(kept), changes or Changes())
        if k == first and state is not None:
            trainer.restore(state)
        epochs = range(trainer.epoch, config.epochs)
        for _ in progress(epochs, total=len(epochs), label=f"member {k + 1}"):
            report = trainer.run_epoch()
            if checkpoint is not None:
                state = {"network": network.state_dict(), "member": k, "trainer": trainer.state()}
                save_checkpoint(state, checkpoint)
                with checkpoint.with_name("log.jsonl").open("a") as lines:
                    lines.write(json.dumps({"member": k, **report}) + "\n")
        trainer.finish()
    return network.cpu().eval()


def _load(network: Classifier, path: Path) -> tuple[int, dict[str, Any]]:
    """The member that was being trained, and the state of its trainer."""
    try:
        state = read_checkpoint(path)
        network.load_state_dict(state["network"])
        return state["member"], state["trainer"]
    except UNREADABLE as error:
        raise no_checkpoint(path, "a classifier of this configuration", error) from error


class MemberTrainer:
    """One member with its optimizer and averaged weights."""

    def __init__(
        self,
        network: Classifier,
        k: int,
        config: TrainClassifierConfig,
        examples: Examples,
        changes: Changes,
    ) -> None:
        if not len(examples):
            raise InputError("there are no examples to train the classifier on")
        if not network.shape.filters:
            examples = without_images(examples)
        self.accelerator = accelerator_for(config.device, config.threads)
        self.device = self.accelerator.device
        self.member: Member = network.to(self.device).members[k]  # type: ignore[assignment]
        self.k, self.config, self.examples, self.changes = k, config, examples, changes
        self.rng = np.random.default_rng([config.seed, k])
        torch.manual_seed(config.seed + 100 * k)
        sample = self.rng.permutation(len(examples))[:4096]
        self.member.fit(self._on_device(as_input(examples.features.select(sample))))
        weights = torch.from_numpy(class_weights(examples.label, config.balance))
        self.weights = weights.float().to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.member.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self.average = {n: p.detach().clone() for n, p in self.member.named_parameters()}
        self.epoch = 0
        self.step = 0

    @property
    def steps(self) -> int:
        """Optimizer steps of all epochs."""
        return self.config.epochs * self._batches()

    def _batches(self) -> int:
        return max(len(self.examples) // self.config.batch, 1)

    def run_epoch(self) -> dict[str, float]:
        """One pass through the examples; mean loss and seconds."""
        start, total = time.monotonic(), 0.0
        self.member.train()
        rng = np.random.default_rng([self.config.seed, self.k, self.epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        for rows in np.array_split(rng.permutation(len(self.examples)), self._batches()):
            rate = self.config.lr * learning_rate(self.step, self.steps)
            set_learning_rate(self.optimizer, rate)
            given = self._on_device(batch_of(self.examples.features, rows, rng, self.changes))
            loss = self._loss(self.member(given), given, rows)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.member.parameters(), 2.0)
            self.optimizer.step()
            self.step += 1
            average_into(self.average, self.member.named_parameters(), self.step, _AVERAGE)
            total += float(loss.detach())
        self.epoch += 1
        seconds = time.monotonic() - start
        return {"epoch": self.epoch, "loss": total / self._batches(), "seconds": round(seconds, 1)}

    def _loss(self, logits: Tensor, given: ClassifierInput, rows: np.ndarray) -> Tensor:
        label = torch.from_numpy(self.examples.label[rows]).to(self.device)
        loss = classifier_loss(logits[:, :N_CLASSES], label, self.weights, self.config.focus)
        if self.config.finder:
            exposure = torch.from_numpy(self.examples.features.exposure[rows]).to(self.device)
            ts = torch.from_numpy(self.examples.ts_bins[rows]).to(self.device)
            ts = (ts * share_shown(given.exposure, exposure)).sum(dim=1)
            loss = loss + _BRIGHT_SHARE * brightness_loss(logits[:, N_CLASSES], ts)
        return loss

    def _on_device(self, given: ClassifierInput) -> ClassifierInput:
        return ClassifierInput(*(values.to(self.device) for values in given))

    def finish(self) -> None:
        """Put the averaged weights into the member."""
        with torch.no_grad():
            for name, value in self.member.named_parameters():
                value.copy_(self.average[name])

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "epoch": self.epoch,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.epoch, self.step = state["epoch"], state["step"]


def without_images(examples: Examples) -> Examples:
    """The same with images of one pixel: what is not looked at need not be turned and thinned."""
    features = replace(examples.features, image=np.zeros((len(examples), N_BINS, 1, 1), np.float32))
    return replace(examples, features=features)


def share_shown(shown: Tensor, whole: Tensor) -> Tensor:
    """Share (B, 6) of the ideal TS of each bin in what is left of exposures (B, Y, 6)."""
    return shown.sum(dim=1) / whole.sum(dim=1).clamp_min(1.0)


def class_weights(label: np.ndarray, balance: float) -> np.ndarray:
    """Weight (6,) of each label: frequency to the power -balance, mean one over the examples."""
    number = np.bincount(label, minlength=UNCLASSED + 1)[: UNCLASSED + 1].astype(float)
    weight = np.where(number > 0, np.maximum(number, 1.0), np.inf) ** -balance
    # what has no class says only that it is no fake
    weight[UNCLASSED] = min(weight[UNCLASSED], weight[:4].min())
    return weight / ((weight * number).sum() / number.sum())
