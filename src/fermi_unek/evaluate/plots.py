"""What the figures of this room share: colours, binned rates with errors, curves with bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BAND_COLOURS = {
    "all": "black",
    "|b|<5": "tab:red",
    "5<|b|<20": "tab:orange",
    "|b|>20": "tab:blue",
}


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; the path."""
    figure.savefig(path, dpi=120)
    return path


def binned_rate(
    axis: Axes,
    table: Table,
    label: str,
    rate: str,
    colours: Mapping[str, str],
    legend: str,
    *,
    log: bool = True,
) -> None:
    """Points with errors near the middle of bins, chance as dots below.

    Groups lie a little apart from one another so that none hides the next. Open bins are
    drawn as wide as looks well beside their neighbours, empty ones not at all.
    """
    colour, place = colours[legend], list(colours).index(legend)
    table = table[np.asarray(table["n"]) > 0]
    if not len(table):
        return
    low = np.asarray(table[f"{label}_low_edge"], float)
    high = np.asarray(table[f"{label}_high_edge"], float)
    apart = 0.12 * (place - (len(colours) - 1) / 2.0)
    if log:
        low = np.where(low <= 0, high / 1.5, low)
        high = np.where(np.isfinite(high), high, low * 1.5)
        middle = np.sqrt(low * high) * (high / low) ** apart
    else:
        high = np.where(np.isfinite(high), high, low + (low[-1:] - low[-2:-1]).sum())
        middle = (low + high) / 2.0 + (high - low) * apart
    value = np.asarray(table[rate], float)
    axis.errorbar(
        middle,
        value,
        yerr=error_bars(table, rate),
        xerr=[middle - low, high - middle],
        fmt="o",
        ms=4,
        lw=1,
        color=colour,
        label=legend,
    )
    axis.plot(middle, table[f"{rate}_chance"], ":", color=colour, lw=1)
    axis.set(ylim=(-0.03, 1.05), xscale="log" if log else "linear")
    axis.grid(alpha=0.3)


def edges_as_ticks(axis: Axes, edges: Iterable[float]) -> None:
    """Name the bin edges on a logarithmic axis, and nothing between them."""
    edges = [edge for edge in edges if np.isfinite(edge)]
    axis.set_xticks(edges, [f"{edge:g}" for edge in edges])
    axis.set_xticks([], minor=True)


def error_bars(table: Table, rate: str) -> np.ndarray:
    """Lengths (2, rows) of the errors of a rate below and above it."""
    value = np.asarray(table[rate], float)
    low, high = np.asarray(table[f"{rate}_low"]), np.asarray(table[f"{rate}_high"])
    return np.maximum([value - low, high - value], 0)


def curve_with_band(
    axis: Axes, curve: Table, name: str, colour: str, *, against: str = "threshold"
) -> None:
    """A rate along a column, its error as a band, chance dotted."""
    axis.plot(curve[against], curve[name], color=colour, label=name)
    axis.fill_between(
        curve[against], curve[f"{name}_low"], curve[f"{name}_high"], color=colour, alpha=0.2
    )
    axis.plot(curve[against], curve[f"{name}_chance"], ":", color=colour, lw=1)
