"""Figures of `ClassScores`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...catalog.schema import CLASSES
from .scores import ClassScores


def plot_classes(scores: ClassScores, path: str | Path) -> None:
    """Confusion matrix, ROC, accuracy against flux, calibration and the Fake curve on one page."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    _confusion(axes[0, 0], scores.tables["confusion"], "most probable class")
    _confusion(axes[0, 1], scores.tables["confusion_even"], "even decision")
    _roc(axes[0, 2], scores.tables["roc"])
    _accuracy(axes[1, 0], scores.tables["accuracy_flux"])
    _reliability(axes[1, 1], scores.tables["reliability"])
    _fake(axes[1, 2], scores.tables["fake_curve"])
    figure.savefig(path, dpi=110)


def _confusion(ax: Axes, table: Table, title: str) -> None:
    counts = np.array([[row[name] for name in CLASSES[:4]] for row in table], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), share in np.ndenumerate(shares):
        ax.text(column, row, f"{share:.2f}\n{counts[row, column]:.0f}", ha="center", va="center",
                color="white" if share > 0.6 else "black")  # fmt: skip
    ax.set(xticks=range(4), yticks=range(4), xticklabels=CLASSES[:4], yticklabels=CLASSES[:4])
    ax.set(xlabel="decided", ylabel="true", title=title)


def _roc(ax: Axes, table: Table) -> None:
    for name in dict.fromkeys(table["contest"]):
        part = table[table["contest"] == name]
        ax.plot(part["false_rate"], part["true_rate"], label=str(name))
    ax.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    if len(table):
        ax.legend(loc="lower right", fontsize=8)


def _accuracy(ax: Axes, table: Table) -> None:
    low = np.maximum(np.asarray(table["flux_low"], float), 1e-10)
    high = np.minimum(np.asarray(table["flux_high"], float), 2e-8)
    middle = np.sqrt(low * high)
    ax.plot(middle, table["balanced_accuracy"], "ko-", label="balanced (even decision)")
    for name in CLASSES[:4]:
        ax.plot(middle, table[f"right_{name}"], ".--", label=name)
    ax.set(xscale="log", xlabel="flux 1-100 GeV (cm-2 s-1)", ylabel="share right", ylim=(0, 1))
    ax.legend(fontsize=8)


def _reliability(ax: Axes, table: Table) -> None:
    ax.plot([0, 1], [0, 1], "k:")
    for name in CLASSES:
        part = table[(table["class"] == name) & (table["n"] >= 10)]
        ax.plot(part["probability"], part["share"], ".-", label=name)
    ax.set(xlabel="probability", ylabel="share", title="calibration (bins of 10 or more)")
    ax.legend(fontsize=8)


def _fake(ax: Axes, table: Table) -> None:
    for band in dict.fromkeys(table["band"]):
        part = table[table["band"] == band]
        ax.plot(part["false_removed"], part["true_kept"], label=str(band))
    ax.axhline(0.98, color="gray", lw=0.8)
    ax.set(xlabel="false ones removed", ylabel="sources above ideal TS 25 kept", ylim=(0.8, 1.005))
    ax.legend(fontsize=8, title="Fake")
