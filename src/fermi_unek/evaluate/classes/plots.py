"""Figures of `ClassScores`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes

from ...catalog.schema import CLASSES
from ...plots import BLACK, BLUE, GRAY, GREEN, PURPLE, VERMILION, Look, panels, save, style
from ..plots import BANDS
from .scores import ClassScores

LOOKS = {
    "bll": Look(BLUE, "o"),
    "fsrq": Look(VERMILION, "s"),
    "psr": Look(GREEN, "^"),
    "pwn": Look(PURPLE, "D"),
    "fake": Look(GRAY, "X"),
}
"""How each class is drawn, in every panel."""

CONTESTS = {"pulsar": "psr", "BLL": "bll", "PWN": "pwn", "Fake": "fake"}
"""The class that a contest is drawn as, by the first word of its name."""


def plot_classes(scores: ClassScores, path: str | Path) -> None:
    """Confusion matrices, ROC, accuracy against flux, calibration and Fake in one figure."""
    tables = scores.tables
    with style():
        figure, axes = panels(3, 2)
        _confusion(axes[0], tables["confusion"], "most probable class")
        _confusion(axes[1], tables["confusion_even"], "even decision")
        _roc(axes[2], tables["roc"])
        _accuracy(axes[3], tables["accuracy_flux"])
        _reliability(axes[4], tables["reliability"])
        _fake(axes[5], tables["fake_curve"])
        for axis in axes[2:]:
            if axis.get_legend_handles_labels()[1]:
                axis.legend(fontsize=10)
        save(figure, Path(path))


def _confusion(axis: Axes, table: Table, title: str) -> None:
    counts = np.array([[row[name] for name in CLASSES[:4]] for row in table], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), share in np.ndenumerate(shares):
        axis.text(column, row, f"{share:.2f}\n{counts[row, column]:.0f}", ha="center", va="center",
                  fontsize=11, color="white" if share > 0.6 else "black")  # fmt: skip
    axis.set(xticks=range(4), yticks=range(4), xticklabels=CLASSES[:4], yticklabels=CLASSES[:4])
    axis.set(xlabel="decided", ylabel="true", title=title)
    axis.grid(False)


def _roc(axis: Axes, table: Table) -> None:
    for name in dict.fromkeys(table["contest"]):
        part, look = table[table["contest"] == name], LOOKS[CONTESTS[str(name).split()[0]]]
        axis.plot(part["false_rate"], part["true_rate"], color=look.color, marker=look.marker,
                  markevery=0.2, label=str(name))  # fmt: skip
    axis.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")


def _accuracy(axis: Axes, table: Table) -> None:
    low = np.maximum(np.asarray(table["flux_low"], float), 1e-10)
    high = np.minimum(np.asarray(table["flux_high"], float), 2e-8)
    middle = np.sqrt(low * high)
    axis.plot(middle, table["balanced_accuracy"], color=BLACK, lw=2.5, label="balanced")
    for name in CLASSES[:4]:
        look = LOOKS[name]
        axis.plot(middle, table[f"right_{name}"], look.marker + "--", color=look.color, label=name)
    axis.set(xscale="log", xlabel="photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)", ylim=(0, 1.03),
             ylabel="share right", title="even decision")  # fmt: skip


def _reliability(axis: Axes, table: Table) -> None:
    axis.plot([0, 1], [0, 1], color=GRAY, ls=":")
    for name in CLASSES:
        part, look = table[(table["class"] == name) & (table["n"] >= 10)], LOOKS[name]
        axis.plot(part["probability"], part["share"], look.marker + "-", color=look.color,
                  label=name)  # fmt: skip
    axis.set(xlabel="probability", ylabel="true share", title="calibration (bins of 10 or more)")


def _fake(axis: Axes, table: Table) -> None:
    for band in dict.fromkeys(table["band"]):
        part, look = table[table["band"] == band], BANDS[str(band)]
        axis.plot(part["false_removed"], part["true_kept"], color=look.color, marker=look.marker,
                  markevery=0.15, label=str(band))  # fmt: skip
    axis.axhline(0.98, color=GRAY, lw=1)
    axis.set(xlabel="false detections removed", ylabel="sources of TS > 25 kept",
             ylim=(0.8, 1.005), title="Fake")  # fmt: skip
