"""Training of the classifier: several members, each without a part of DR2, resumable."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import __version__
from ...classify.classes import as_input
from ...config import TrainClassifierConfig
from ...errors import ConfigError, InputError
from ...nets.classifier import N_CLASSES, Classifier, ClassifierInput, ClassifierShape, Member
from ...nets.classifier_weights import save_classifier
from ...nets.weights import load_localizer
from ...parallel import map_tasks
from ...progress import Progress, silent
from ...sky.bins import N_BINS
from ..localizer.train import schedule
from ..loss import brightness_loss, classifier_loss
from .augment import Changes, batch_of
from .calibrate import fit_class_calibration, held_out_logits
from .dataset import DOUBTFUL, Examples, load_examples, make_examples
from .population import UNCLASSED
from .skies import ClassSky, make_class_sky

_BACKGROUNDS_OWN = "own"
_CALIBRATION_SEEDS = 600_000
_AVERAGE = 0.995
_BRIGHT_SHARE = 0.5
_UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError,
)  # fmt: skip


def train_classifier(
    config: TrainClassifierConfig,
    *,
    resume: bool = False,
    progress: Callable[..., Iterable[Any]] = silent,
) -> Path:
    """Train a classifier and write `weights.safetensors` into the run's folder.

    Skies that the bank lacks are simulated and searched first, with the localizer of the
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
    out = Path(config.out)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{checkpoint} exists; give --resume to go on, or another out folder")
    out.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    localizer = load_localizer(config.localizer)
    train, calibrate = training_skies(config), calibration_skies(config)
    paths = search_skies(config, [*train, *calibrate], progress)
    examples = load_examples(paths[: len(train)])
    # a file that cannot be read should be known before the training
    kept = load_examples(paths[len(train) :]) if calibrate else None
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
    return save_classifier(network, out / "weights.safetensors", history, calibration)


def simulate_skies(config: TrainClassifierConfig, progress: Progress = silent) -> list[Path]:
    """Make the skies that a configuration needs and that are missing; no localizer is asked."""
    skies = [*training_skies(config), *calibration_skies(config)]
    work = partial(make_class_sky, folder=config.sky_folder, data_dir=config.data)
    return map_tasks(
        work, skies, workers=config.workers, label="simulating skies", progress=progress
    )


def search_skies(
    config: TrainClassifierConfig, skies: Sequence[ClassSky], progress: Progress = silent
) -> list[Path]:
    """Files of what the localizer finds on some skies; those of before are not searched again."""
    work = partial(_search, config=config)
    return map_tasks(
        work, skies, workers=config.workers, label="searching skies", progress=progress
    )


def _search(sky: ClassSky, config: TrainClassifierConfig) -> Path:
    # a process of its own loads its own network
    localizer = load_localizer(config.localizer)
    return make_examples(sky, localizer, config.bank, config.data, skies=config.sky_folder)


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
    progress: Callable[..., Iterable[Any]] = silent,
    changes: Changes | None = None,
) -> Classifier:
    """Train the members one after the other; member k without the rows of fold k."""
    shape = ClassifierShape(
        config.hidden,
        config.filters,
        config.year_units,
        members=config.members,
        finder=config.finder,
    )
    torch.manual_seed(config.seed)
    network = Classifier(shape)
    state = Checkpoint(0, 0)
    if checkpoint is not None and checkpoint.exists():
        state = _load(network, checkpoint)
    usable = examples.label != DOUBTFUL
    for k in range(state.member, config.members):
        kept = usable & (fold_of(examples.template, config.members) != k)
        trainer = MemberTrainer(network, k, config, examples.select(kept), changes or Changes())
        if k == state.member and state.trainer is not None:
            trainer.restore(state.trainer)
        epochs = range(trainer.epoch, config.epochs)
        for _ in progress(epochs, total=len(epochs), label=f"member {k + 1}"):
            report = trainer.run_epoch()
            if checkpoint is not None:
                _save(network, trainer, checkpoint)
                with checkpoint.with_name("log.jsonl").open("a") as lines:
                    lines.write(json.dumps({"member": k, **report}) + "\n")
        trainer.finish()
    return network.eval()


def fold_of(template: np.ndarray, folds: int) -> np.ndarray:
    """Fold (N,) of rows of DR2, mixed so that neighbours differ; -1 where there is no row.

    With one fold nothing is left out.
    """
    template = np.asarray(template, np.int64)
    mixed = (template.astype(np.uint64) * np.uint64(2654435761)) >> np.uint64(7)
    fold = (mixed % np.uint64(max(folds, 1))).astype(np.int64)
    return np.where((template >= 0) & (folds > 1), fold, -1)


@dataclass
class Checkpoint:
    """How far a run has come: member, epoch, and what its trainer needs to go on."""

    member: int
    epoch: int
    trainer: dict[str, Any] | None = None


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
        self.member: Member = network.members[k]  # type: ignore[assignment]
        self.k, self.config, self.examples, self.changes = k, config, examples, changes
        self.rng = np.random.default_rng([config.seed, k])
        torch.manual_seed(config.seed + 100 * k)
        sample = self.rng.permutation(len(examples))[:4096]
        self.member.fit(as_input(examples.evidence.select(sample)))
        self.weights = torch.from_numpy(class_weights(examples.label, config.balance)).float()
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
        for rows in _portions(rng.permutation(len(self.examples)), self._batches()):
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * schedule(self.step, self.steps)
            given = batch_of(self.examples.evidence, rows, rng, self.changes)
            loss = self._loss(self.member(given), given, rows)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.member.parameters(), 2.0)
            self.optimizer.step()
            self.step += 1
            self._average()
            total += float(loss.detach())
        self.epoch += 1
        seconds = time.monotonic() - start
        return {"epoch": self.epoch, "loss": total / self._batches(), "seconds": round(seconds, 1)}

    def _loss(self, logits: Tensor, given: ClassifierInput, rows: np.ndarray) -> Tensor:
        label = torch.from_numpy(self.examples.label[rows])
        loss = classifier_loss(logits[:, :N_CLASSES], label, self.weights, self.config.focus)
        if self.config.finder:
            exposure = torch.from_numpy(self.examples.evidence.exposure[rows])
            ts = torch.from_numpy(self.examples.ts[rows]) * share_shown(given.exposure, exposure)
            loss = loss + _BRIGHT_SHARE * brightness_loss(logits[:, N_CLASSES], ts)
        return loss

    def _average(self) -> None:
        decay = min(_AVERAGE, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.member.named_parameters():
                self.average[name].lerp_(value, 1.0 - decay)

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
    evidence = replace(examples.evidence, image=np.zeros((len(examples), N_BINS, 1, 1), np.float32))
    return replace(examples, evidence=evidence)


def share_shown(shown: Tensor, whole: Tensor) -> Tensor:
    """Share (B,) of the ideal TS in what is left of exposures (B, Y, 6); NaN without a bin."""
    left, before = shown.sum(dim=1), whole.sum(dim=1)
    share = (left / before).mean(dim=1)
    return share.masked_fill((left <= 0.0).any(dim=1), float("nan"))


def _portions(order: np.ndarray, number: int) -> Iterator[np.ndarray]:
    yield from np.array_split(order, number)


def class_weights(label: np.ndarray, balance: float) -> np.ndarray:
    """Weight (6,) of each label: frequency to the power -balance, mean one over the examples."""
    number = np.bincount(label, minlength=UNCLASSED + 1)[: UNCLASSED + 1].astype(float)
    weight = np.where(number > 0, np.maximum(number, 1.0), np.inf) ** -balance
    # what has no class says only that it is no fake
    weight[UNCLASSED] = min(weight[UNCLASSED], weight[:4].min())
    return weight / ((weight * number).sum() / number.sum())


def _save(network: Classifier, trainer: MemberTrainer, path: Path) -> None:
    state = {"network": network.state_dict(), "member": trainer.k, "trainer": trainer.state()}
    temporary = path.with_name(path.name + ".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _load(network: Classifier, path: Path) -> Checkpoint:
    try:
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        return Checkpoint(state["member"], state["trainer"]["epoch"], state["trainer"])
    except _UNREADABLE as error:
        raise ConfigError(
            f"{path} is no checkpoint of a classifier of this configuration; train into another "
            "out folder, or with the configuration it was made with"
        ) from error


__all__: Sequence[str] = ("fold_of", "run_training", "simulate_skies", "train_classifier")
