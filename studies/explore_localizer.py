"""What matters in training a localizer: short runs that differ in one thing, judged alike.

Every run starts from random weights, draws the same patches of a bank and ends with the same step.
Each is calibrated on one simulated DR2 sky and judged on another, neither of them trained on:
completeness of DR2 and by ideal TS where the list is as pure as 0.95, and positions. Short runs
tell what is learnt faster, not what is best in the end.

    python studies/explore_localizer.py BANK FOLDER [--only NAME,NAME] [--steps 1500] [--list]

A run that is in the folder already is not repeated; the table of all is printed at the end and kept
as FOLDER/runs.ecsv. `--also localizer-v4` judges a network that was trained elsewhere likewise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor
from torch.nn import functional as F

from fermi_unek.catalog import build_catalog
from fermi_unek.config import SimulateConfig, TrainConfig
from fermi_unek.detect.find import find_candidates, raw_centers
from fermi_unek.diffuse.named import choose, find_data
from fermi_unek.evaluate.bench import Bench
from fermi_unek.evaluate.counting import completeness_tables
from fermi_unek.evaluate.headline import Cut, cut_for, headline_tables
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets import localizer as nets_localizer
from fermi_unek.nets.weights import LocalizerFile, load_localizer
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import vectors_to_lonlat
from fermi_unek.training import loss as losses
from fermi_unek.training.localizer import dataset as feed
from fermi_unek.training.localizer import train as localizer
from fermi_unek.training.localizer.calibrate import fit_calibration, judge

PURITY = 0.95
YEARS = 10.0
_HEAT_PIXELS = 1.3
_FOCUS = 2.0


@dataclass(frozen=True)
class Run:
    """One line of the table: what is set in the configuration, and what in the modules."""

    told: str
    config: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[tuple[Any, str, Any], ...] = ()


def heat_map(x: np.ndarray, y: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Target whose mask is a Gaussian about each source instead of a disc."""
    planes = _discs(x, y, ts)
    planes[0] *= np.exp(-(planes[2] ** 2 + planes[3] ** 2) / (2.0 * _HEAT_PIXELS**2))
    return planes


_discs = feed.target_planes
_usual_loss = losses.localizer_loss
_usual_input = nets_localizer.BinInput.forward
_usual_judge = nets_localizer.Localizer.judge


def focal_loss(output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The usual loss, in whose cross entropy a pixel weighs less the surer the network is right."""
    wrong = (torch.sigmoid(output[:, 0].detach()) - target[:, 0]).abs()
    weight = target[:, 1] * wrong**_FOCUS
    # as much in all as before, so that the shares of the other parts stay
    weight = weight * (target[:, 1].sum() / weight.sum().clamp_min(1e-6))
    focal = F.binary_cross_entropy_with_logits(
        output[:, 0], target[:, 0], weight=weight, reduction="sum"
    ) / target[:, 1].sum().clamp_min(1.0)
    plain = F.binary_cross_entropy_with_logits(
        output[:, 0], target[:, 0], weight=target[:, 1], reduction="sum"
    ) / target[:, 1].sum().clamp_min(1.0)
    loss, parts = _usual_loss(output, target)
    return loss - plain + focal, parts


Template = Tensor | None


def without_contrast(
    module: nets_localizer.BinInput, counts: Tensor, mask: Tensor, template: Template = None
) -> Tensor:
    """Input planes of a bin whose matched filter is left out."""
    planes = _usual_input(module, counts, mask, template)
    return torch.stack([planes[:, 0], torch.zeros_like(planes[:, 1]), planes[:, 2]], dim=1)


def by_exposure(
    module: nets_localizer.BinInput, counts: Tensor, mask: Tensor, template: Template = None
) -> Tensor:
    """Input planes of a bin whose stabilised counts are less those of the patch's mean.

    That takes out live time and exposure, of which the mean tells all but the isotropic level.
    """
    planes = _usual_input(module, counts, mask, template)
    even = nets_localizer.expected_counts(counts * mask, mask, torch.ones_like(counts))
    above = torch.sqrt(counts * mask + 0.375) - torch.sqrt(even + 0.375)
    return torch.stack([torch.asinh(2.0 * above) * mask, planes[:, 1], planes[:, 2]], dim=1)


def coarse_pixels(
    module: nets_localizer.BinInput, counts: Tensor, mask: Tensor, template: Template = None
) -> Tensor:
    """Input planes of a bin whose pixels are 0.16 degrees at the least."""
    if counts.shape[-1] == 128:
        counts, mask = (F.avg_pool2d(one, 2) for one in (counts * mask, mask))
        counts, mask = (
            one.repeat_interleave(2, -1).repeat_interleave(2, -2) for one in (counts, mask)
        )
        mask = (mask == 1.0).to(mask.dtype)
    return _usual_input(module, counts, mask, template)


def shallow_judge(network: nets_localizer.Localizer, planes: Sequence[Tensor]) -> Tensor:
    """What the network says without its lowest level, which sees furthest."""
    lowest = network.down3.register_forward_hook(lambda module, given, out: torch.zeros_like(out))
    try:
        return _usual_judge(network, planes)
    finally:
        lowest.remove()


def _input(function: Callable[..., Tensor]) -> tuple[Any, str, Any]:
    return nets_localizer.BinInput, "forward", function


RUNS = {
    "usual": Run("as localizer-v4: cross entropy, a little dice, discs of 0.22 deg, TS above 9"),
    "narrow": Run("half the filters", {"widths": (24, 40, 56, 80)}),
    "wide": Run("1.35 times the filters", {"widths": (64, 108, 152, 216)}),
    "no_filter": Run("no matched filter among the inputs", changes=(_input(without_contrast),)),
    "no_dice": Run("no dice", changes=((losses, "DICE_SHARE", 0.0),)),
    "dice": Run("as much dice as cross entropy", changes=((losses, "DICE_SHARE", 0.2),)),
    "focal": Run("focal loss", changes=((localizer, "localizer_loss", focal_loss),)),
    "heat": Run("Gaussians of 0.1 deg for discs", changes=((feed, "target_planes", heat_map),)),
    "small": Run(
        "discs of 0.15 deg", changes=((feed, "DISC_PIXELS", feed.DISC_PIXELS * 0.15 / 0.22),)
    ),
    "large": Run(
        "discs of 0.30 deg", changes=((feed, "DISC_PIXELS", feed.DISC_PIXELS * 0.30 / 0.22),)
    ),
    "bright": Run("sources above TS 16 marked", changes=((feed, "LOWEST_TS", 16.0),)),
    "faint": Run("sources above TS 4 marked", changes=((feed, "LOWEST_TS", 4.0),)),
    "template": Run("a template of the diffuse emission, v07", {"template": "v07"}),
    "exposure": Run("counts relative to the mean of the patch", changes=(_input(by_exposure),)),
    "pixels": Run("pixels of 0.16 deg above 2 GeV too", changes=(_input(coarse_pixels),)),
    "shallow": Run(
        "no level of 8 pixels, half the context",
        changes=((nets_localizer.Localizer, "judge", shallow_judge),),
    ),
    "ten_years": Run(
        "ten years of whole patches only", {"ten_years": 1.0, "absent": 0.0, "fields": 0.0}
    ),
}


@contextmanager
def changed(changes: tuple[tuple[Any, str, Any], ...]) -> Iterator[None]:
    """The modules as the run wants them, and as they were afterwards."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


class Judge:
    """Two skies: probabilities are calibrated on the first, the second is counted."""

    def __init__(self, seeds: tuple[int, int], background: str) -> None:
        self.models = [self._model(seed, background) for seed in seeds]
        self.skies = [
            simulate_counts(model, YEARS, np.random.default_rng([seed, 1]))
            for model, seed in zip(self.models, seeds, strict=True)
        ]

    @staticmethod
    def _model(seed: int, background: str) -> SkyModel:
        config = SimulateConfig(seed=seed, background=background)
        sources = find_population(config, np.random.default_rng([seed, 0]))
        return build_sky_model(
            sources,
            choose(config.background, config.evtype, config.isotropic),
            load_instrument(),
            "front",
        )

    def scores(self, weights: Path | str) -> dict[str, float]:
        """Completeness and positions of a weights file on the second sky."""
        raw = load_localizer(weights)
        calibrated = replace(raw, calibration=self._calibration(raw, self.skies[0]))
        found = find_candidates(self.skies[1], calibrated, threshold=0.02)
        bench = Bench(build_catalog(found), truth_table(self.models[1], YEARS), 0.3)
        cut = Cut(bench, cut_for(bench, bench.counted_detections, PURITY))
        tables = completeness_tables(cut) | headline_tables(bench, PURITY)
        signif = tables["completeness_signif"]
        edge = next(name for name in signif.colnames if name.endswith("_low_edge"))
        signif = signif[(signif["band"] == "all") & (signif[edge] < 10.0)]
        line = {"DR2 4-10 sigma": float(np.average(signif["completeness"], weights=signif["n"]))}
        for part in ("|b|>20", "|b|<20"):
            table = tables["headline"]
            rows = table[(table["part"] == part) & (table["cut"] == "whole")]
            line |= {f"{part} TS {r['TS_low_edge']:g}": float(r["completeness"]) for r in rows}
        places = tables["pointing"]
        return line | {
            f"r68 TS {row['TS_low_edge']:g}": float(row["r68_deg"])
            for row in places[places["part"] == "|b|>20"]
        }

    def _calibration(self, raw: LocalizerFile, sky: SkyCounts) -> Mapping[str, object]:
        centers = raw_centers(sky, raw, None)
        lat = vectors_to_lonlat(centers.vectors)[1]
        model = self.models[0]
        told = judge(centers, lat, model.vectors, model.ideal_ts.sum(axis=1) * YEARS)
        return fit_calibration([told]).as_mapping()


def train(run: Run, folder: Path, options: argparse.Namespace) -> Path:
    """Train a run, or go on with it."""
    shares = {"ten_years": 0.7, "absent": 0.15, "fields": 0.12}
    config = TrainConfig(
        **{"out": folder, "bank": options.bank, "steps": options.steps, "batch": 12, "lr": 2e-3,
           "seed": 5, "data": find_data(), **shares, **run.config}
    )  # fmt: skip
    return localizer.run_training(config, folder / "checkpoint.pt")


def table_of(folder: Path) -> Table:
    """Table of all runs in a folder, in the order of `RUNS`, and what else was judged."""
    others = sorted(one.parent.name for one in folder.glob("*/scores.json"))
    names = dict.fromkeys([*RUNS, *others])
    lines = [folder / name / "scores.json" for name in names]
    return Table(rows=[json.loads(path.read_text()) for path in lines if path.exists()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="names of runs, with commas")
    parser.add_argument("--also", nargs="*", default=[], help="names of localizers to judge too")
    parser.add_argument("--list", action="store_true", help="print what is there and stop")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--background", default="v07")
    parser.add_argument("--seeds", type=int, nargs=2, default=(8101, 8102))
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [] if options.also else list(RUNS)
    judge_of_runs = None
    for name in () if options.list else (*wanted, *options.also):
        run, folder = RUNS.get(name, Run("trained elsewhere")), options.folder / name
        if (folder / "scores.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with changed(run.changes):
            weights = train(run, folder, options) if name in RUNS else name
            if judge_of_runs is None:
                judge_of_runs = Judge(tuple(options.seeds), options.background)
            line = {"run": name, "what": run.told} | judge_of_runs.scores(weights)
        history = load_localizer(weights).provenance
        minutes = round(float(history["seconds"]) / 60.0, 1)
        line |= {"steps": int(history["steps"]), "minutes": minutes}
        (folder / "scores.json").write_text(json.dumps(line))
        print(json.dumps(line), flush=True)
    table = table_of(options.folder)
    if len(table):
        table.write(options.folder / "runs.ecsv", format="ascii.ecsv", overwrite=True)
        table.pprint_all()


if __name__ == "__main__":
    main()
