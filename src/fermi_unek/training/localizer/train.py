"""Training of the localizer: resumable, with averaged weights and a log of every run."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ...config import TrainConfig
from ...diffuse.named import by_name
from ...diffuse.template import SkyTemplate, template_from_maps
from ...errors import ConfigError
from ...irf.instrument import ResponseTables, load_instrument, mean_psf
from ...nets.filters import pixel_kernel
from ...nets.localizer import BIN_PIXELS, BinInput, Localizer, LocalizerShape
from ...nets.precision import half_precision
from ...nets.weights import load_localizer, save_localizer
from ...progress import silent
from ...simulate.population import complete, dr2_table
from ...simulate.skymodel import build_sky_model
from ...sky.bins import PATCH_DEG
from ..loss import localizer_loss
from .calibrate import calibrate_weights
from .dataset import Batch, Shares, batches
from .skies import BANK_YEARS, Shard, ShardRecipe, default_recipes, make_bank, open_bank

CHECKPOINT_EVERY = 200
_UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError)
_CALIBRATION_SEEDS = 1_000_000
_WARM_UP = 200
_AVERAGE = 0.998
_WIDE = 3.0
_FIRST_CONVOLUTIONS = ("down0.0.weight", "down1.0.weight")
_KERNEL_RADIUS_DEG = (3.0, 1.8, 1.2, 0.8, 0.5, 0.4)


def train_localizer(
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: Callable[..., Iterable[Any]] = silent,
) -> Path:
    """Train a localizer and write `weights.safetensors` into the run's folder.

    Patches are simulated first where the bank lacks them. A checkpoint is written every 200
    steps; `resume` goes on from the last.

    Returns
    -------
    Path
        The weights file, calibrated on skies of their own (see `training.calibrate`).

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
    recipes = default_recipes(
        config.skies,
        config.patches,
        config.sky_seed,
        config.backgrounds,
        config.coarse,
        config.structure,
    )
    for recipe in progress(recipes, total=len(recipes), label="skies"):
        make_bank([recipe], config.bank, config.data)
    weights = run_training(config, checkpoint, progress)
    if config.calibration_skies:
        calibrate_weights(weights, calibration_recipes(config), config.data, progress=progress)
    return weights


def calibration_recipes(config: TrainConfig) -> list[tuple[ShardRecipe, float]]:
    """Skies of ten years of FRONT photons, backgrounds in turn, seeds far from the training's."""
    first = config.sky_seed + _CALIBRATION_SEEDS
    return [
        (replace(recipe, event_type="front"), 10.0)
        for recipe in default_recipes(
            config.calibration_skies, 0, first, config.backgrounds, config.coarse
        )
    ]


def run_training(
    config: TrainConfig, checkpoint: Path, progress: Callable[..., Iterable[Any]] = silent
) -> Path:
    """Train on the shards that are in the bank; see `train_localizer`."""
    trainer = Trainer(config, open_bank(config.bank))
    if checkpoint.exists():
        trainer.load(checkpoint)
    shares = Shares(ten_years=config.ten_years, absent=config.absent, fields=config.fields)
    feed = batches(
        lambda: open_bank(config.bank),
        trainer.step,
        config.steps,
        config.batch,
        config.seed,
        shares,
        template_of(trainer.network),
    )
    log = checkpoint.with_name("log.jsonl")
    for batch in progress(feed, total=config.steps - trainer.step, label="training"):
        trainer.train_step(batch)
        if trainer.step % CHECKPOINT_EVERY == 0 or trainer.step == config.steps:
            trainer.save(checkpoint)
            with log.open("a") as lines:
                lines.write(json.dumps(trainer.report()) + "\n")
    history = {
        "skies": str(len(open_bank(config.bank))),
        "steps": str(trainer.step),
        "batch": str(config.batch),
        "seed": str(config.seed),
        "started from": str(config.start or "random weights"),
        "template": config.template or "none",
        "seconds": f"{trainer.seconds:.0f}",
    }
    return save_localizer(trainer.averaged, checkpoint.with_name("weights.safetensors"), history)


class Trainer:
    """Network, averaged network, optimizer and schedule, saved and loaded as one."""

    def __init__(self, config: TrainConfig, shards: list[Shard]) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        shape = LocalizerShape(config.widths, bool(config.template))
        self.network = Localizer(shape)
        # torch's type hints do not know the keyword
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.start is None:
            fit_inputs(self.network, shards, np.random.default_rng(config.seed))
        else:
            start_from(self.network, load_localizer(config.start).network)
        if config.template:
            fit_template(self.network, config.template, config.data)
        self.averaged = Localizer(shape)
        self.averaged.load_state_dict(self.network.state_dict())
        self.averaged.eval()
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=1e-2, betas=(0.9, 0.99)
        )
        self.step = 0
        self.seconds = 0.0
        self._sums: dict[str, float] = {}
        self._last_report = 0

    def train_step(self, batch: Batch) -> None:
        """One optimizer step."""
        start = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * schedule(self.step, self.config.steps)
        self.network.train()
        with half_precision():
            output = self.network(batch.counts, batch.masks, batch.template)
        loss, parts = localizer_loss(output.float(), batch.target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average()
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self.seconds += time.monotonic() - start

    def _average(self) -> None:
        decay = min(_AVERAGE, (self.step + 1) / (self.step + 10))
        pairs = zip(
            self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        with torch.no_grad():
            for mean, current in pairs:
                # the template, in half precision, does not change
                if mean.dtype == torch.float32:
                    mean.lerp_(current, 1.0 - decay)
                else:
                    mean.copy_(current)

    def report(self) -> dict[str, float]:
        """Mean loss parts since the last report, with step, seconds and learning rate."""
        steps = max(self.step - self._last_report, 1)
        parts = {name: round(value / steps, 5) for name, value in self._sums.items()}
        self._sums, self._last_report = {}, self.step
        rate = self.optimizer.param_groups[0]["lr"]
        return {"step": self.step, "seconds": round(self.seconds), "lr": rate, **parts}

    def save(self, path: Path) -> None:
        """Checkpoint (temporary name, then moved)."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = path.with_name(path.name + ".part")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ConfigError
            When it cannot be read or is of a network of other widths.
        """
        try:
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        except (*_UNREADABLE, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is no checkpoint of a network of widths {self.config.widths}; train into "
                "another out folder, or with the configuration it was made with"
            ) from error
        self._last_report = self.step


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a short rise, then a cosine down to one percent."""
    rise = min(1.0, (step + 1) / min(_WARM_UP, max(steps // 5, 1)))
    return rise * (0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * step / steps))))


def start_from(network: Localizer, start: Localizer) -> None:
    """Give a network the weights of another, which may lack the template.

    What the first convolutions are given beside what the other knew weighs nothing at first.

    Raises
    ------
    ConfigError
        When the two differ otherwise.
    """
    state = network.state_dict()
    given = dict(start.state_dict())
    for name in () if start.shape.template else _FIRST_CONVOLUTIONS:
        old, more = given[name], state[name].shape[1] - given[name].shape[1]
        given[name] = torch.cat([old, old.new_zeros(old.shape[0], more, *old.shape[2:])], dim=1)
    try:
        network.load_state_dict({**state, **given})
    except RuntimeError as error:
        raise ConfigError(
            f"a network of shape {network.shape} cannot start from one of {start.shape}"
        ) from error


def fit_template(network: Localizer, name: str, data_dir: Path | None) -> None:
    """Set the diffuse template: a diffuse model as FRONT sees it, without any source."""
    diffuse = by_name(name, data_dir)
    model = build_sky_model(complete(dr2_table()[:0]), diffuse, load_instrument(), "front")
    for own, one in zip(network.template, template_from_maps(model.background).maps, strict=True):
        own.copy_(torch.from_numpy(one))


def template_of(network: Localizer) -> SkyTemplate | None:
    """The network's template as the feed wants it."""
    maps = tuple(one.numpy() for one in network.template)
    return SkyTemplate(maps) if maps else None


def fit_inputs(network: Localizer, shards: list[Shard], rng: np.random.Generator) -> None:
    """Set the matched filters from the FRONT PSF and the scaling from ten years of the bank."""
    front = load_instrument().front
    for b, n_pixels in enumerate(BIN_PIXELS):
        sample = np.concatenate(
            [s.counts[b][rng.integers(len(s), size=8)].astype(float) for s in shards]
        )
        stable = 2.0 * np.sqrt(sample * 10.0 / BANK_YEARS + 0.375)
        core, wide = input_kernels(front, b, PATCH_DEG / n_pixels)
        module = cast(BinInput, network.inputs[b])
        module.fit(core, wide, float(stable.mean()), float(stable.std()))


def input_kernels(
    response: ResponseTables, b: int, pixel_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """PSF of energy bin `b` on its pixels, and the same stretched three times."""
    angles, profile = mean_psf(response, b)
    radius = _KERNEL_RADIUS_DEG[b]
    core = pixel_kernel(angles, profile, pixel_deg, radius)
    return core, pixel_kernel(angles * _WIDE, profile, pixel_deg, radius * _WIDE / 1.5)
