"""Scores of class probabilities against the truth.

What counts for the classes: detected sources of ideal TS above 25 that are BLL, FSRQ, PSR or
PWN/SPP/SNR. Two ways of deciding are given: the most probable class, as CLASS1 has it, and the
"even" one, the class whose probability most exceeds its share among the sources, which is what the
balanced accuracy, in which rare classes count as much as frequent ones, asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from astropy.table import Table

from ...catalog.schema import CLASSES
from ...errors import InputError
from ...sky.geometry.latitude import latitude_masks

BLL, FSRQ, PSR, PWN, FAKE = range(5)
UNCLASSED = 5
"""True class of sources that have none of the four."""

BRIGHT_TS = 25.0
SIGNIF_SAMPLES = {
    "all": (0.0, np.inf),
    "<10": (0.0, 10.0),
    "10-20": (10.0, 20.0),
    ">20": (20.0, np.inf),
}
FLUX_EDGES = (0.0, 3e-10, 5e-10, 1e-9, 2e-9, 5e-9, np.inf)
"""Photon flux 1 to 100 GeV, cm-2 s-1."""

_BINS = 10
_CURVE = 60


@dataclass(frozen=True)
class ClassifiedDetections:
    """Detections with their probabilities and what they are; arrays of N rows.

    Attributes
    ----------
    chances : float array (N, 5)
        bll, fsrq, psr, pwn, fake; rows of sum one.
    fake : bool array (N,)
        The flag.
    label : int array (N,)
        True class: 0 to 3, 4 where there is no source of ideal TS above 9, 5 for other sources.
    ts, signif, flux, lat_deg : float arrays (N,)
        Ideal TS, Signif_Avg of DR2 and photon flux of the source, NaN where not known; Galactic
        latitude.
    """

    chances: np.ndarray
    fake: np.ndarray
    label: np.ndarray
    ts: np.ndarray
    signif: np.ndarray
    flux: np.ndarray
    lat_deg: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.label)
        for field in fields(self):
            expected = (n, len(CLASSES)) if field.name == "chances" else (n,)
            if getattr(self, field.name).shape != expected:
                raise InputError(
                    f"judged detections: {field.name} has shape {getattr(self, field.name).shape}, "
                    f"expected {expected}"
                )

    def select(self, rows: np.ndarray) -> ClassifiedDetections:
        """Some of them."""
        return ClassifiedDetections(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def classed(self) -> np.ndarray:
        """Bool (N,): counts for the classes."""
        counts: np.ndarray = (self.label <= PWN) & (self.ts > BRIGHT_TS)
        return counts


@dataclass(frozen=True)
class ClassScores:
    """Result of `score_classes`: numbers by name (NaN where undefined), and tables by name."""

    numbers: Mapping[str, float]
    tables: Mapping[str, Table]

    def to_text(self) -> str:
        """A page for the analyst."""
        lines = [f"  {name:<58} {_told(value)}" for name, value in self.numbers.items()]
        for way in ("", "_even"):
            confusion = self.tables[f"confusion{way}"]
            said = "even decision" if way else "most probable class"
            lines += [f"confusion, {said} (rows are true):", *confusion.pformat(max_lines=-1)]
        return "\n".join(lines)


def _told(value: float) -> str:
    if not np.isfinite(value):
        return "undefined"
    return f"{value:.0f}" if value == int(value) and abs(value) > 1 else f"{value:.3f}"


def score_classes(judged: ClassifiedDetections) -> ClassScores:
    """Numbers, confusion matrices, ROC curves, calibration and the Fake curve.

    Parameters
    ----------
    judged : ClassifiedDetections
        May be empty: everything is NaN then.
    """
    classed = judged.select(judged.classed)
    numbers: dict[str, float] = {"sources of a class above ideal TS 25": float(len(classed.label))}
    even = even_decision(classed.chances[:, :4], classed.label)
    best = np.argmax(classed.chances[:, :4], axis=1) if len(classed.label) else even
    for name, (low, high) in SIGNIF_SAMPLES.items():
        here = (classed.signif >= low) & (classed.signif < high)
        where = "" if name == "all" else f", {name} sigma"
        if name == "all":
            here = np.ones(len(classed.label), bool)
        truth = classed.label[here]
        numbers[f"4-class balanced accuracy{where}"] = balanced_accuracy(truth, even[here])
        numbers[f"4-class balanced accuracy, most probable{where}"] = balanced_accuracy(
            truth, best[here]
        )
        numbers[f"4-class accuracy, most probable{where}"] = _mean(best[here] == truth)
    for name, (positive, score) in class_contests(classed).items():
        numbers[f"AUC {name}"] = auc(positive, score)
    numbers |= fake_numbers(judged)
    calibration = calibration_table(judged)
    for row in calibration:
        numbers[f"calibration error {row['class']}, {row['band']}"] = float(row["error"])
    return ClassScores(
        numbers,
        {
            "confusion": confusion_table(classed.label, best),
            "confusion_even": confusion_table(classed.label, even),
            "roc": roc_table(judged),
            "calibration": calibration,
            "reliability": reliability_table(judged),
            "accuracy_flux": accuracy_table(classed, best, even),
            "fake_curve": fake_curve(judged),
        },
    )


def even_decision(chances: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Class (N,) whose probability (N, 4) most exceeds the mean of its probability."""
    if not len(label):
        return np.zeros(0, int)
    shares = np.maximum(chances.mean(axis=0), 1e-9)
    decided: np.ndarray = np.argmax(chances / shares, axis=1)
    return decided


def balanced_accuracy(truth: np.ndarray, decided: np.ndarray) -> float:
    """Mean over the four classes of the share that is right; NaN when a class is missing."""
    shares = [_mean(decided[truth == number] == number) for number in range(4)]
    return float(np.mean(shares))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve; NaN without some of each kind."""
    if positive.all() or not positive.any():
        return float("nan")
    from sklearn.metrics import roc_auc_score  # takes a second, and few runs have classes

    return float(roc_auc_score(positive, score))


def class_contests(classed: ClassifiedDetections) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each contest of two kinds which sources are of the first, and the score for it."""
    p = np.maximum(classed.chances, 1e-12)
    agn = p[:, BLL] + p[:, FSRQ]
    contests = {}
    for name, first, others, score in (
        ("pulsar against AGN", (PSR,), (BLL, FSRQ), p[:, PSR] / (p[:, PSR] + agn)),
        ("BLL against FSRQ", (BLL,), (FSRQ,), p[:, BLL] / agn),
        ("PWN against the rest", (PWN,), (BLL, FSRQ, PSR), p[:, PWN] / p[:, :4].sum(axis=1)),
    ):
        rows = np.isin(classed.label, [*first, *others])
        contests[name] = (np.isin(classed.label[rows], first), score[rows])
    return contests


def fake_numbers(judged: ClassifiedDetections) -> dict[str, float]:
    """AUC of Prob_Fake, and purity and loss when what is flagged goes."""
    false, chance = judged.label == FAKE, judged.chances[:, FAKE]
    bright = judged.ts > BRIGHT_TS
    rows = false | bright
    kept = ~judged.fake
    purity, after = _mean(~false), _mean(~false[kept])
    return {
        "AUC Fake against sources above ideal TS 25": auc(false[rows], chance[rows]),
        "AUC Fake against all sources": auc(false, chance),
        "purity of the list": purity,
        "purity without Fake": after,
        "share of the impurity removed": (after - purity) / (1.0 - purity)
        if purity < 1.0
        else float("nan"),
        "share of the false ones flagged": _mean(judged.fake[false]),
        "sources above ideal TS 25 lost to Fake": _mean(judged.fake[bright]),
        "sources lost to Fake": _mean(judged.fake[~false]),
    }


def confusion_table(truth: np.ndarray, decided: np.ndarray) -> Table:
    """Rows: true class; columns: decided class, and the share that is right."""
    rows = []
    for number in range(4):
        mine = decided[truth == number]
        counts = {CLASSES[k]: int(np.sum(mine == k)) for k in range(4)}
        rows.append({"true": CLASSES[number], **counts, "right": round(_mean(mine == number), 3)})
    return Table(rows=rows)


def roc_table(judged: ClassifiedDetections) -> Table:
    """ROC curves of the class contests and of Fake, one row a point."""
    from sklearn.metrics import roc_curve

    contests = class_contests(judged.select(judged.classed))
    false = judged.label == FAKE
    rows = false | (judged.ts > BRIGHT_TS)
    contests["Fake against TS > 25"] = (false[rows], judged.chances[rows, FAKE])
    parts = []
    for name, (positive, score) in contests.items():
        if positive.all() or not positive.any():
            continue
        wrong, right, _ = roc_curve(positive, score)
        pick = np.unique(np.linspace(0, len(wrong) - 1, 200).astype(int))
        parts += [{"contest": name, "false_rate": wrong[i], "true_rate": right[i]} for i in pick]
    return Table(rows=parts) if parts else Table(names=["contest", "false_rate", "true_rate"])


def _calibrated(
    judged: ClassifiedDetections,
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each class: probability, whether it is so, and latitude of what can be judged.

    Classes are judged among sources that have one, given that they are no fakes.
    """
    known = judged.label <= PWN
    p = judged.chances[known]
    given = p[:, :4] / np.maximum(p[:, :4].sum(axis=1, keepdims=True), 1e-12)
    result = {
        CLASSES[number]: (given[:, number], judged.label[known] == number, judged.lat_deg[known])
        for number in range(4)
    }
    result["fake"] = (judged.chances[:, FAKE], judged.label == FAKE, judged.lat_deg)
    return result


def calibration_table(judged: ClassifiedDetections) -> Table:
    """Expected calibration error of each class in each latitude band (ten bins of probability)."""
    rows = []
    for name, (chance, true, lat) in _calibrated(judged).items():
        for band, inside in latitude_masks(lat).items():
            error = calibration_error(chance[inside], true[inside])
            rows.append({"class": name, "band": band, "n": int(inside.sum()), "error": error})
    return Table(rows=rows)


def calibration_error(chance: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of probability and share, over ten equal bins; NaN where there is nothing."""
    if not len(chance):
        return float("nan")
    index = np.minimum((chance * _BINS).astype(int), _BINS - 1)
    off = [abs(chance[index == b].sum() - true[index == b].sum()) for b in range(_BINS)]
    return float(np.sum(off) / len(chance))


def reliability_table(judged: ClassifiedDetections) -> Table:
    """Mean probability and true share in ten bins, per class."""
    rows = []
    for name, (chance, true, _) in _calibrated(judged).items():
        index = np.minimum((chance * _BINS).astype(int), _BINS - 1)
        for b in range(_BINS):
            here = index == b
            rows.append(
                {"class": name, "n": int(here.sum()), "probability": _mean(chance[here]),
                 "share": _mean(true[here])}
            )  # fmt: skip
    return Table(rows=rows)


def accuracy_table(classed: ClassifiedDetections, best: np.ndarray, even: np.ndarray) -> Table:
    """Accuracy of both decisions in bins of photon flux."""
    rows = []
    for low, high in zip(FLUX_EDGES[:-1], FLUX_EDGES[1:], strict=True):
        here = (classed.flux >= low) & (classed.flux < high)
        truth = classed.label[here]
        rows.append(
            {
                "flux_low": low,
                "flux_high": high,
                "n": int(here.sum()),
                "accuracy": _mean(best[here] == truth),
                "balanced_accuracy": balanced_accuracy(truth, even[here]),
                **{
                    f"right_{CLASSES[number]}": _mean(even[here][truth == number] == number)
                    for number in range(4)
                },
            }
        )
    return Table(rows=rows)


def fake_curve(judged: ClassifiedDetections) -> Table:
    """True sources kept against false ones removed, as the cut on Prob_Fake falls, by latitude."""
    rows = []
    false, bright = judged.label == FAKE, judged.ts > BRIGHT_TS
    chance = judged.chances[:, FAKE]
    for band, inside in latitude_masks(judged.lat_deg).items():
        for cut in np.linspace(0.0, 1.0, _CURVE + 1)[1:]:
            flagged = chance >= cut
            rows.append(
                {
                    "band": band,
                    "cut": float(cut),
                    "true_kept": _mean(~flagged[inside & bright]),
                    "false_removed": _mean(flagged[inside & false]),
                    "purity": _mean(~false[inside & ~flagged]),
                }
            )
    return Table(rows=rows)
