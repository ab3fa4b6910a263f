#!/usr/bin/env python
"""The classifier's table of results: each step's gain, its rivals and the ceiling, on one sky.

    studies/classifier_study.py BANK TEST.npz --weights classifier-v5 -o FOLDER [--only gains]

BANK holds what one localizer finds on training skies (`fermi-unek train classifier` makes a folder
for each localizer in its bank), TEST the candidates
of a simulated DR2 sky that was neither trained nor calibrated on (`--make-test` makes it). Every
number is of sources whose row of DR2 the network or forest in question was trained without.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold
from torch import nn

from fermi_unek.catalog import load_release
from fermi_unek.catalog.schema import CLASSES
from fermi_unek.classify.calibration import FAKE, ClassCalibration
from fermi_unek.classify.stamps import Geometry, cut_stamps, geometry_of
from fermi_unek.config import TrainClassifierConfig
from fermi_unek.evaluate.classes import ClassifiedDetections, score_classes, write_class_scores
from fermi_unek.evaluate.classes.scores import calibration_error
from fermi_unek.nets.classifier_weights import load_classifier
from fermi_unek.nets.weights import load_localizer
from fermi_unek.simulate.population import select_columns
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.geometry.latitude import latitude_masks
from fermi_unek.training.classifier.augment import UNCHANGED, Changes
from fermi_unek.training.classifier.calibrate import (
    LISTED,
    held_out_logits,
)
from fermi_unek.training.classifier.dataset import (
    DOUBTFUL,
    SHAPE,
    Examples,
    fold_of,
    load_examples,
    make_examples,
)
from fermi_unek.training.classifier.loss import classifier_loss
from fermi_unek.training.classifier.population import UNCLASSED
from fermi_unek.training.classifier.skies import YEARS, ClassSky, load_class_sky
from fermi_unek.training.classifier.train import class_weights, run_training
from fermi_unek.training.classifier.views import View

FOLDS = 2
SHOWN = (
    "4-class balanced accuracy",
    "4-class balanced accuracy, <10 sigma",
    "4-class balanced accuracy, >20 sigma",
    "AUC pulsar against AGN",
    "AUC BLL against FSRQ",
    "AUC Fake against sources above ideal TS 25",
)


GOALS = {
    "4-class balanced accuracy": 0.79,
    "4-class balanced accuracy, <10 sigma": 0.60,
    "4-class balanced accuracy, >20 sigma": 0.86,
    "AUC pulsar against AGN": 0.98,
    "AUC BLL against FSRQ": 0.91,
    "AUC Fake against sources above ideal TS 25": 0.96,
    "share of the impurity removed": 0.50,
    "sources above ideal TS 25 lost to Fake": 0.02,
}
LARGEST_ERROR = 0.04
DRAWS = 200


def goals_table(judged: ClassifiedDetections) -> list[str]:
    """The model card's table of scores: what was asked for, and what came out.

    The calibration error of a perfect classifier is not zero; its mean and the 95% quantile, labels
    drawn from the probabilities, stand behind the error.
    """
    numbers = score_classes(judged).numbers
    lines = ["| | goal | reached |", "|---|---|---|"]
    lines += [f"| {name} | {goal:.2f} | {numbers[name]:.3f} |" for name, goal in GOALS.items()]
    for band, inside in latitude_masks(judged.lat_deg).items():
        part = judged.select(inside)
        perfect = errors_of_a_perfect_one(part)
        told = ", ".join(
            f"{name} {numbers[f'calibration error {name}, {band}']:.3f} ({mean:.3f}, {most:.3f})"
            for name, (mean, most) in perfect.items()
        )
        lines.append(f"| calibration error, {band} (perfect) | {LARGEST_ERROR} | {told} |")
    return lines


def errors_of_a_perfect_one(judged: ClassifiedDetections) -> dict[str, tuple[float, float]]:
    """Mean and 95% quantile of the calibration error were the probabilities true, per class."""
    rng = np.random.default_rng(0)
    known = judged.chances[judged.label <= 3, :4]
    known = known / known.sum(axis=1, keepdims=True)
    chances = {name: known[:, k] for k, name in enumerate(CLASSES[:4])}
    chances["fake"] = judged.chances[:, FAKE]
    result = {}
    for name, chance in chances.items():
        errors = [calibration_error(chance, rng.random(len(chance)) < chance) for _ in range(DRAWS)]
        result[name] = (float(np.mean(errors)), float(np.quantile(errors, 0.95)))
    return result


def judged_of(
    examples: Examples, chances: np.ndarray, fake: np.ndarray | None = None
) -> ClassifiedDetections:
    """What `find` would list at its default threshold, doubtful candidates left out."""
    listed = (examples.label != DOUBTFUL) & (examples.features.probability >= LISTED)
    return ClassifiedDetections(
        chances,
        chances[:, FAKE] >= 0.5 if fake is None else fake,
        examples.label,
        examples.ts,
        examples.signif,
        examples.flux,
        examples.lat_deg,
    ).select(listed)


def row_of(name: str, judged: ClassifiedDetections) -> str:
    numbers = score_classes(judged).numbers
    return f"| {name} | " + " | ".join(f"{numbers[key]:.3f}" for key in SHOWN) + " |"


# ---- the first study's network on 1 x 1 degree, step by step


@dataclass(frozen=True)
class Step:
    """Which of the first study's steps are taken."""

    time: bool = False
    sort: bool = False
    subtract: bool = False
    weighted: bool = False
    augment: bool = False


STEPS = {
    "1 deg stamps, years summed": Step(),
    "+ years and energies as axes": Step(time=True),
    "+ years sorted by counts": Step(time=True, sort=True),
    "+ mean subtracted, kept as a plane": Step(time=True, sort=True, subtract=True),
    "+ weighted loss": Step(time=True, sort=True, subtract=True, weighted=True),
    "+ augmentation": Step(time=True, sort=True, subtract=True, weighted=True, augment=True),
}


class StampNetwork(nn.Module):
    """Stamps of (planes, 6, n, n): pixels to features, then convolutions over plane and energy."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = nn.Sequential(nn.Linear(pixels, 24), nn.SiLU(), nn.Linear(24, 16), nn.SiLU())
        self.grid = nn.Sequential(
            nn.Conv2d(16, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1), nn.SiLU()
        )
        self.head = nn.Sequential(nn.LazyLinear(96), nn.SiLU(), nn.Dropout(0.2), nn.Linear(96, 5))

    def forward(self, stamps: torch.Tensor) -> torch.Tensor:
        features = self.pixels(stamps.flatten(3)).permute(0, 3, 1, 2)
        return self.head(self.grid(features).flatten(1))


class PlainNetwork(nn.Module):
    """The ancestor's: 7 x 7 pixels, five energies as channels, no time (Panes et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(5, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 9, 128), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(128, 5),
        )  # fmt: skip

    def forward(self, stamps: torch.Tensor) -> torch.Tensor:
        return self.layers(stamps)


def study_planes(stamps: torch.Tensor, step: Step) -> torch.Tensor:
    """(B, planes, 6, n, n) of yearly counts (B, Y, 6, n, n)."""
    if not step.time:
        return _squeezed(stamps.sum(dim=1, keepdim=True))
    if step.sort:
        order = stamps.sum(dim=(2, 3, 4)).argsort(dim=1, descending=True)
        stamps = torch.stack([one[rows] for one, rows in zip(stamps, order, strict=True)])
    if not step.subtract:
        return _squeezed(stamps)
    mean = stamps.mean(dim=1, keepdim=True)
    deviation = (stamps - mean) / torch.sqrt(mean + 0.3)
    return torch.cat([deviation, _squeezed(mean * stamps.shape[1])], dim=1)


def _squeezed(counts: torch.Tensor) -> torch.Tensor:
    return torch.log1p(counts)


def train_stamps(
    make: Callable[[], nn.Module],
    planes: Callable[[torch.Tensor], torch.Tensor],
    stamps: np.ndarray,
    examples: Examples,
    test_stamps: np.ndarray,
    test: Examples,
    step: Step,
    epochs: int,
) -> np.ndarray:
    """Held-out logits on the test candidates of a network over stamps."""
    logits = np.zeros((len(test), 5))
    fold = fold_of(test.template, FOLDS)
    fold[fold < 0] = np.arange(np.sum(fold < 0)) % FOLDS
    for k in range(FOLDS):
        torch.manual_seed(k)
        kept = (examples.label != DOUBTFUL) & (fold_of(examples.template, FOLDS) != k)
        rows = np.flatnonzero(kept)
        network = make()
        network(planes(torch.from_numpy(stamps[:2].astype(np.float32))))
        balance = 0.5 if step.weighted else 0.0
        weights = torch.from_numpy(class_weights(examples.label[rows], balance)).float()
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
        total = epochs * (len(rows) // 256)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=total + 1)
        rng = np.random.default_rng(k)
        network.train()
        for _ in range(epochs):
            for part in np.array_split(rng.permutation(rows), len(rows) // 256):
                given = torch.from_numpy(stamps[part].astype(np.float32))
                if step.augment:
                    given = _augmented(given, rng)
                loss = classifier_loss(
                    network(planes(given)), torch.from_numpy(examples.label[part]), weights
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        network.eval()
        mine = np.flatnonzero(fold == k)
        with torch.inference_mode():
            for part in np.array_split(mine, max(len(mine) // 512, 1)):
                given = torch.from_numpy(test_stamps[part].astype(np.float32))
                logits[part] = network(planes(given)).numpy()
    return logits


def _augmented(stamps: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    turn = int(rng.integers(8))
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
    stamps = stamps.flip(axes) if axes else stamps
    stamps = stamps.transpose(-1, -2) if turn & 4 else stamps
    if rng.random() < 0.5:
        share = torch.full_like(stamps, float(rng.uniform(0.4, 1.0)))
        return torch.binomial(stamps, share)
    return stamps


NARROW = Geometry(6, (1.0,) * N_BINS)
"""The first study's: 6 x 6 pixels over one degree in all bins."""

ANCESTOR = Geometry(7, (7 * 10.0 / 64.0,) * N_BINS)
"""7 x 7 pixels of 0.16 degrees (Panes et al. 2021)."""


def stamps_of(examples: Examples, skies: Path, geometry: Geometry) -> np.ndarray:
    """Stamps (N, Y, 6, n, n) around examples, cut from the skies that they were found on."""
    n = geometry.pixels
    stamps = np.zeros((len(examples), YEARS, N_BINS, n, n), np.uint16)
    for seed in np.unique(examples.sky).tolist():
        (path,) = skies.glob(f"class{seed:07d}-*.npz")
        here = examples.sky == seed
        (front,), _ = load_class_sky(path, ("front",))
        stamps[here] = cut_stamps(front.years, examples.vectors[here], geometry)
    return stamps


def gains(train: Examples, test: Examples, skies: Path, epochs: int) -> list[str]:
    """One row a step."""
    lines = []
    narrow = [stamps_of(examples, skies, NARROW) for examples in (train, test)]
    for name, step in STEPS.items():
        logits = train_stamps(
            lambda: StampNetwork(36),
            lambda stamps, step=step: study_planes(stamps, step),
            narrow[0], train, narrow[1], test, step, epochs,
        )  # fmt: skip
        lines.append(row_of(name, judged_of(test, softmax(logits))))
        print(lines[-1], flush=True)
    for name, more, changes in (
        ("PSF-scaled stamps: fitted spectrum alone", {"filters": 0, "year_units": 0}, Changes()),
        ("+ years (pooled)", {"filters": 0}, Changes()),
        ("+ image", {"filters": 24}, Changes()),
        ("without image and augmentation", {}, UNCHANGED),
        ("without image and weighted loss", {"balance": 0.0}, Changes()),
        ("without image, with focal loss", {"focus": 1.5}, Changes()),
    ):
        config = TrainClassifierConfig(members=FOLDS, epochs=epochs, **more)
        network = run_training(config, train, changes=changes)
        logits = held_out_logits(network, test)
        lines.append(row_of(name, judged_of(test, softmax(logits))))
        print(lines[-1], flush=True)
    return lines


def softmax(logits: np.ndarray) -> np.ndarray:
    even = np.full(len(logits), 0.5)
    return ClassCalibration().probabilities(logits, even, np.zeros(len(logits)))


# ---- rivals


def aperture_features(examples: Examples) -> np.ndarray:
    """Simple aperture photometry: core less ring, per bin and year; no fit, no neighbours."""
    features = examples.features
    core = features.core.astype(float)
    columns = []
    net = np.zeros_like(features.error, dtype=float)
    for b in range(6):
        centres = geometry_of(SHAPE).centres_deg(b)
        distance = np.hypot(*np.meshgrid(centres, centres))
        ring = (distance > 1.8 * SHAPE.core_deg[b]) & (distance <= SHAPE.stamp_deg[b] / 2)
        share = (distance <= SHAPE.core_deg[b]).sum() / ring.sum()
        behind = features.image[:, b, ring].sum(axis=1) * share
        net[:, b] = core[:, :, b].sum(axis=1) - behind
        columns += [net[:, b], np.sqrt(core[:, :, b].sum(axis=1) + behind * share + 1.0)]
    columns += [net[:, b] / np.maximum(net[:, 2] + net[:, 3], 1.0) for b in range(6)]
    years = core[:, :, :4].sum(axis=2)
    mean = years.mean(axis=1, keepdims=True)
    light = years - mean + np.maximum(net[:, :4].sum(axis=1, keepdims=True) / years.shape[1], 1.0)
    columns += list((-np.sort(-light, axis=1) / np.maximum(light.mean(axis=1), 1.0)[:, None]).T)
    columns += [((years - mean) ** 2 / np.maximum(mean, 1.0)).sum(axis=1), features.probability]
    return np.stack(columns, axis=-1)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(
        200, min_samples_leaf=3, class_weight="balanced_subsample", random_state=0, n_jobs=1
    )


def forest_from_training_skies(train: Examples, test: Examples) -> np.ndarray:
    """Held-out chances (N, 5) of a forest on aperture photometry."""
    x, x_test = aperture_features(train), aperture_features(test)
    chances = np.zeros((len(test), 5))
    fold = fold_of(test.template, FOLDS)
    fold[fold < 0] = np.arange(np.sum(fold < 0)) % FOLDS
    for k in range(FOLDS):
        kept = (train.label < UNCLASSED) & (fold_of(train.template, FOLDS) != k)
        model = forest().fit(x[kept], train.label[kept])
        chances[fold == k] = model.predict_proba(x_test[fold == k])
    return chances


def forest_on_the_sky(test: Examples, x: np.ndarray) -> np.ndarray:
    """Ten-fold chances (N, 5) of a forest trained on the test sky itself.

    Sources without a class are judged by a forest of all others; candidates without numbers get
    even chances.
    """
    usable = np.isfinite(x).all(axis=1)
    rows = np.flatnonzero((test.label < UNCLASSED) & usable)
    others = np.flatnonzero((test.label >= UNCLASSED) & usable)
    chances = np.where(usable[:, None], 0.0, 0.2) * np.ones((1, 5))
    model = forest().fit(x[rows], test.label[rows])
    if others.size:
        chances[np.ix_(others, model.classes_)] = model.predict_proba(x[others])
    label = test.label[rows]
    for fit, judge in StratifiedKFold(10, shuffle=True, random_state=0).split(rows, label):
        model = forest().fit(x[rows[fit]], label[fit])
        chances[np.ix_(rows[judge], model.classes_)] = model.predict_proba(x[rows[judge]])
    return chances


def catalog_features(test: Examples) -> np.ndarray:
    """DR2's own columns of each true source: spectrum, curvature, variability; no position."""
    names = ("PL_Index", "LP_Index", "LP_beta", "LP_SigCurv", "PLEC_SigCurv", "Pivot_Energy",
             "Flux1000", "Energy_Flux100", "Variability_Index", "Frac_Variability",
             "Signif_Avg", "Extended_Source_Name")  # fmt: skip
    table = select_columns(load_release("4FGL-DR2"), names)
    table = table[np.asarray(table["Extended_Source_Name"]) == ""]
    bands = select_columns(load_release("4FGL-DR2"), ("Flux_Band", "Extended_Source_Name"))
    bands = np.asarray(bands["Flux_Band"])[np.asarray(bands["Extended_Source_Name"]) == ""]
    columns = np.stack([np.asarray(table[name], float) for name in names[:-1]], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(np.maximum(bands[:, 1:], 1e-16) / np.maximum(bands[:, :-1], 1e-16))
    x = np.concatenate([columns, ratios], axis=1)
    known = test.template >= 0
    return np.where(known[:, None], x[np.maximum(test.template, 0)], np.nan)


def three_classes(test: Examples, chances: np.ndarray) -> str:
    """The ancestor's own measure: AGN, PSR and Fake, balanced accuracy and accuracy."""
    judged = judged_of(test, chances)
    label = np.array([0, 0, 1, -1, 2, -1])[judged.label]
    rows = (label >= 0) & ((judged.ts > 25.0) | (label == 2))
    p = np.stack([judged.chances[:, :2].sum(axis=1), judged.chances[:, 2], judged.chances[:, 4]], 1)
    decided = np.argmax(p / p[rows].mean(axis=0), axis=1)
    right = decided == label
    balanced = np.mean([right[rows & (label == one)].mean() for one in range(3)])
    return f"{balanced:.3f} balanced, {right[rows].mean():.3f} accuracy"


def rivals(train: Examples, test: Examples, skies: Path, epochs: int) -> list[str]:
    lines = []

    def add(name: str, chances: np.ndarray) -> None:
        lines.append(row_of(name, judged_of(test, chances)))
        print(lines[-1], "three classes:", three_classes(test, chances), flush=True)

    add("random forest, aperture photometry, same training skies",
        forest_from_training_skies(train, test))  # fmt: skip
    add("random forest, aperture photometry, ten-fold on the test sky",
        forest_on_the_sky(test, aperture_features(test)))  # fmt: skip
    ancestor = [stamps_of(examples, skies, ANCESTOR).sum(axis=1) for examples in (train, test)]
    logits = train_stamps(
        PlainNetwork, lambda stamps: torch.log1p(stamps[:, 1:]), ancestor[0], train,
        ancestor[1], test, Step(weighted=True), epochs,
    )  # fmt: skip
    add("plain CNN, 7 x 7 x 5, no time", softmax(logits))
    add("ceiling: random forest on DR2's own columns, ten-fold",
        forest_on_the_sky(test, catalog_features(test)))  # fmt: skip
    return lines


def shipped(weights: str, bank: Path, test: Examples, folder: Path) -> list[str]:
    """A weights file: full scores into FOLDER, and its row of the table.

    As in `classify`, a network that was made with another localizer than that of the BANK (whose
    folder ends with the checksum) is not shown the numbers of the mask.
    """
    file = load_classifier(weights)
    if file.provenance.get("localizer sha256", "")[:8] != bank.resolve().name.rpartition("-")[2]:
        features = test.features
        withheld = np.full_like(features.mask, np.nan)
        test = replace(test, features=replace(features, mask=withheld))
    logits = held_out_logits(file.network, test)
    calibration = ClassCalibration.from_mapping(file.calibration)
    chances = calibration.probabilities(logits, test.features.probability, test.lat_deg)
    against = calibration.against_bright(chances, logits, test.features.probability)
    fake = calibration.fake(against, test.lat_deg, test.bins, test.layers)
    judged = judged_of(test, chances, fake)
    scores = score_classes(judged)
    write_class_scores(scores, folder)
    (folder / "numbers.json").write_text(json.dumps(dict(scores.numbers), indent=1))
    (folder / "goals.md").write_text("\n".join(goals_table(judged)) + "\n")
    print(scores.to_text(), flush=True)
    line = row_of(f"{Path(weights).stem} (held-out members)", judged)
    print(line, "three classes:", three_classes(test, chances), flush=True)
    return [line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="test skies beside TEST")
    parser.add_argument("--weights", default="classifier-v5")
    parser.add_argument("-o", "--output", type=Path, default=Path("classifier-study"))
    parser.add_argument("--only", choices=["shipped", "gains", "rivals"])
    parser.add_argument("--epochs", type=int, default=4, help="of the short runs")
    parser.add_argument("--most", type=int, default=40_000, help="training candidates of them")
    parser.add_argument("--make-test", metavar="SEED:BACKGROUND", help="simulate TEST first")
    parser.add_argument("--layers", type=int, default=1, help="2: FRONT and BACK, for that")
    parser.add_argument("--bins", type=int, default=N_BINS, help="highest energy bins, for that")
    parser.add_argument("--data", type=Path, help="folder with the diffuse files, for that")
    parser.add_argument("--localizer", help="model that finds the candidates, for that")
    parser.add_argument("--skies", type=Path, required=True, help="folder of the simulated skies")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.make_test and not args.test.exists():
        seed, background = args.make_test.split(":")
        sky = ClassSky(int(seed), background, "dr2")
        localizer, folder = load_localizer(args.localizer), args.test.parent
        view = View(args.layers, args.bins)
        made = make_examples(sky, view, localizer, folder, args.data, skies=args.skies)
        made.replace(args.test)
    args.output.mkdir(parents=True, exist_ok=True)
    test = load_examples([args.test, *args.more])
    lines = ["| | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    if args.only in (None, "shipped"):
        lines += shipped(args.weights, args.bank, test, args.output)
    if args.only in (None, "gains", "rivals"):
        train = load_examples(sorted(args.bank.glob("class*-boosted-*-front-????????.npz")))
        train = train.select(np.random.default_rng(0).permutation(len(train))[: args.most])
        if args.only in (None, "rivals"):
            lines += rivals(train, test, args.skies, args.epochs)
        if args.only in (None, "gains"):
            lines += gains(train, test, args.skies, args.epochs)
    (args.output / f"table{'-' + args.only if args.only else ''}.md").write_text(
        "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
