"""Training of the localizer: resumable, with averaged weights and a log of every run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ...config import TrainConfig
from ...diffuse.template import load_shape
from ...errors import ConfigError
from ...nets.localizer import BinInput, Localizer
from ...nets.spec import ModelSpec
from ...nets.weights import load_localizer, save_localizer
from ...progress import Progress, silent
from ..checkpoint import (
    UNREADABLE,
    no_checkpoint,
    read_checkpoint,
    save_checkpoint,
    start_folder,
)
from ..loop import accelerator_for, average_into, learning_rate, set_learning_rate
from .calibrate import calibrate_weights
from .dataset import Batch, PatchDataset, Shares, TargetConfig, batches
from .loss import LossConfig, localizer_loss
from .resident import ResidentDataset, ResidentSky, cut_templates
from .skies import DATASET_YEARS, SkyPatches, SkyRecipe, default_recipes, make_patches
from .widen import widened

CHECKPOINT_EVERY = 200
_CALIBRATION_SEEDS = 1_000_000
_CALIBRATION_YEARS = (10.0, 10.0, 10.0, 1.0, 10.0, 4.0, 16.0, 10.0, 1.0)
_AVERAGE = 0.998


def train_localizer(
    config: TrainConfig, *, resume: bool = False, progress: Progress = silent
) -> Path:
    """Train a localizer and write `weights.safetensors` into the run's folder.

    Patches that the dataset lacks are simulated first. A checkpoint is written every 200 steps;
    `resume` goes on from the last.

    Returns
    -------
    Path
        The weights file, calibrated on skies of their own (see `calibrate`).

    Raises
    ------
    ConfigError
        When the run's folder holds a checkpoint and `resume` was not asked for.
    """
    checkpoint = start_folder(Path(config.out), resume)
    accelerator = accelerator_for(config.device, config.threads)
    with accelerator.main_process_first():
        skies = open_skies(config, progress)
    trainer = Trainer(config, skies, checkpoint)
    weights = trainer.run(progress)
    if config.calibration_skies and accelerator.is_main_process:
        calibrate_weights(
            weights,
            calibration_recipes(config),
            config.data,
            shape=load_shape(config.template) if config.template else None,
            workers=config.workers,
            progress=progress,
        )
    accelerator.wait_for_everyone()
    return weights


def open_skies(config: TrainConfig, progress: Progress = silent) -> list[SkyPatches]:
    """The patches that a configuration trains on, made where they are not there."""
    recipes = default_recipes(
        config.skies,
        config.patches,
        config.sky_seed,
        config.backgrounds,
        config.structure,
    )
    return [
        SkyPatches(make_patches(recipe, config.dataset, config.data))
        for recipe in progress(recipes, total=len(recipes), label="skies")
    ]


def calibration_recipes(config: TrainConfig) -> list[tuple[SkyRecipe, float]]:
    """Skies of several live times and layers, seeds far from the training's."""
    first = config.sky_seed + _CALIBRATION_SEEDS
    recipes = default_recipes(config.calibration_skies, 0, first, config.backgrounds)
    return [
        (replace(recipe, coarse=None), _CALIBRATION_YEARS[k % len(_CALIBRATION_YEARS)])
        for k, recipe in enumerate(recipes)
    ]


class Trainer:
    """Network, averaged network, optimizer and schedule, saved and loaded as one.

    Parameters
    ----------
    config : TrainConfig
    skies : sequence of SkyPatches
    checkpoint : path
        Gone on from where it exists; log and weights are written beside it.
    loss : LossConfig, optional
    target : TargetConfig, optional

    Raises
    ------
    ConfigError
        A checkpoint that cannot be read or is of a network of other widths; minutes for several
        processes; frozen batch norm of a random network.
    """

    def __init__(
        self,
        config: TrainConfig,
        skies: Sequence[SkyPatches],
        checkpoint: Path,
        loss: LossConfig | None = None,
        target: TargetConfig | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.skies, self.checkpoint = config, skies, checkpoint
        self.loss, self.target = loss, target
        self.accelerator = accelerator_for(config.device, config.threads)
        alone = self.accelerator.num_processes == 1
        self.resident = alone and self.accelerator.device.type == "cuda"
        if config.minutes and not alone:
            raise ConfigError("minutes: several processes have no clock in common; give steps")
        if config.frozen_norm and config.start is None:
            raise ConfigError("frozen_norm: a random network has no running means; give a start")
        network = Localizer(ModelSpec(config.widths))
        # torch's type hints do not know the keyword
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shape = load_shape(config.template) if config.template else None
        if config.start is None:
            fit_inputs(network, skies, np.random.default_rng(config.seed))
        else:
            start_from(network, load_localizer(config.start).network)
        self.averaged = Localizer(network.spec)
        self.averaged.load_state_dict(network.state_dict())
        self.averaged.eval()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.lr, weight_decay=1e-2, betas=(0.9, 0.99)
        )
        self.step, self.seconds = 0, 0.0
        if checkpoint.exists():
            self._load(network, optimizer)
        self._began = time.monotonic() - self.seconds
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.averaged.to(self.accelerator.device)
        self._sums: dict[str, torch.Tensor] = {}
        self._last_report = self.step

    def run(self, progress: Progress = silent) -> Path:
        """Train to the last step; the path of the weights, written by the main process."""
        config = self.config
        loader = self._batches()
        for batch in progress(loader, total=config.steps - self.step, label="training"):
            self.train_step(batch)
            ended = self.step >= self.steps()
            if self.step % CHECKPOINT_EVERY == 0 or ended:
                report = self.report()
                if self.accelerator.is_main_process:
                    save_checkpoint(self._state(), self.checkpoint)
                    with self.checkpoint.with_name("log.jsonl").open("a") as lines:
                        lines.write(json.dumps(report) + "\n")
            if ended:
                break
        weights = self.checkpoint.with_name("weights.safetensors")
        if self.accelerator.is_main_process:
            save_localizer(self.averaged, weights, self._history())
        self.accelerator.wait_for_everyone()
        return weights

    def _batches(self) -> Iterable[Batch]:
        """The batches that are left, drawn by other processes or where the network is."""
        config, spec = self.config, self.averaged.spec
        shares = Shares(ten_years=config.ten_years, absent=config.absent, fields=config.fields)
        if self.resident:
            return ResidentDataset(
                self.resident_skies(),
                config.steps,
                config.batch,
                config.seed,
                spec,
                shares,
                self.target,
                first=self.step,
            )
        dataset = PatchDataset(
            self.skies,
            config.steps * config.batch,
            config.batch,
            config.seed,
            shares,
            self.shape,
            self.target,
            first=self.step * config.batch,
        )
        loader: Iterable[Batch] = self.accelerator.prepare(batches(dataset, spec, config.loaders))
        return loader

    def resident_skies(self) -> list[ResidentSky]:
        """The skies in the memory of the device."""
        device = self.accelerator.device
        return [
            ResidentSky(sky, cut_templates(sky, self.shape) if self.shape else {}, device)
            for sky in self.skies
        ]

    def _history(self) -> dict[str, str]:
        return {
            "skies": str(len(self.skies)),
            "steps": str(self.step),
            "batch": str(self.config.batch),
            "seed": str(self.config.seed),
            "started from": str(self.config.start or "random weights"),
            "batch norm": "frozen" if self.config.frozen_norm else "of the batch",
            "template": self.config.template or "none",
            "seconds": f"{self.seconds:.0f}",
        }

    def train_step(self, batch: Batch) -> None:
        """One optimizer step."""
        rate = self.config.lr * learning_rate(self.step, self.steps())
        set_learning_rate(self.optimizer, rate)
        self.network.train()
        if self.config.frozen_norm:
            freeze_norm(self.network)
        loss, parts = localizer_loss(self.network(batch.given).float(), batch.target, self.loss)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        network = self.accelerator.unwrap_model(self.network)
        average_into(self.averaged.state_dict(), network.state_dict().items(), self.step, _AVERAGE)
        for name, value in parts.items():
            # summed where it is: a GPU would be waited for
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self.seconds = time.monotonic() - self._began

    def steps(self) -> int:
        """Steps of the whole run, as many as its minutes will allow at the speed so far."""
        if not self.config.minutes or not self.step:
            return self.config.steps
        allowed = self.step * self.config.minutes * 60.0 / max(self.seconds, 1e-3)
        return min(self.config.steps, int(allowed))

    def report(self) -> dict[str, float]:
        """Mean loss parts since the last report, with step, seconds and learning rate."""
        steps = max(self.step - self._last_report, 1)
        sums = torch.stack(list(self._sums.values()))
        means = self.accelerator.reduce(sums, "mean") / steps
        parts = dict(zip(self._sums, [round(value, 5) for value in means.tolist()], strict=True))
        self._sums, self._last_report = {}, self.step
        rate = self.optimizer.param_groups[0]["lr"]
        return {"step": self.step, "seconds": round(self.seconds), "lr": rate, **parts}

    def _state(self) -> dict[str, object]:
        return {
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def _load(self, network: Localizer, optimizer: torch.optim.Optimizer) -> None:
        try:
            state = read_checkpoint(self.checkpoint)
            network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        except UNREADABLE as error:
            what = f"a network of widths {self.config.widths}"
            raise no_checkpoint(self.checkpoint, what, error) from error


def start_from(network: Localizer, start: object) -> None:
    """Give a network the weights of another of the same spec, or of one with fewer filters.

    Raises
    ------
    ConfigError
        When the two differ in more than that.
    """
    try:
        if not isinstance(start, Localizer):
            raise RuntimeError("another architecture")
        if start.spec.binning == network.spec.binning:
            start = widened(start, network.spec.widths)
        network.load_state_dict(start.state_dict())
    except (RuntimeError, ValueError) as error:
        spec = getattr(start, "spec", None)
        raise ConfigError(
            f"a network of spec {network.spec} cannot start from one of {spec}"
        ) from error


def freeze_norm(network: torch.nn.Module) -> None:
    """Let batch norm take its running means for those of a batch, which stay as they are."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def fit_inputs(network: Localizer, skies: Sequence[SkyPatches], rng: np.random.Generator) -> None:
    """Set the scaling of the inputs from ten years of the patches, in the pixels they are shown."""
    n_bins = network.spec.binning.n_bins
    for number, module in enumerate(network.inputs):
        k, b = divmod(number, n_bins)
        n_pixels = network.pixels[k][b]
        counts = np.concatenate(
            [sky.counts[k][b][rng.integers(len(sky), size=8)].astype(float) for sky in skies]
        )
        factor = counts.shape[-1] // n_pixels
        counts = counts.reshape(-1, n_pixels, factor, n_pixels, factor).sum(axis=(2, 4))
        stable = 2.0 * np.sqrt(counts * 10.0 / DATASET_YEARS + 0.375)
        cast(BinInput, module).fit(float(stable.mean()), float(stable.std()))
