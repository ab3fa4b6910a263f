"""What the figures of this room share: rates with errors, in bins and along curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ..plots import BLACK, BLUE, GRAY, GREEN, LOOKS, ORANGE, PURPLE, SKY_BLUE, VERMILION, Look

BANDS = {
    "all": Look(BLACK, "o"),
    "|b|<5": Look(VERMILION, "s"),
    "5<|b|<20": Look(ORANGE, "^"),
    "|b|>20": Look(BLUE, "D"),
}
"""Bands of latitude."""

SAMPLES = {
    "ideal TS > 9": Look(SKY_BLUE, "v"),
    "ideal TS > 25": Look(GREEN, "P"),
    "ideal TS > 100": Look(PURPLE, "X"),
    "4FGL sigma > 10": Look(GRAY, "<"),
    "4FGL sigma < 10": Look("#7a4b00", ">"),
}
"""Samples of true sources, in other colors than the bands beside them."""


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each of up to seven names, in order."""
    return dict(zip(names, LOOKS, strict=False))


def points(
    axis: Axes,
    x: np.ndarray,
    table: Table,
    rate: str,
    look: Look,
    label: str,
    xerr: ArrayLike | None = None,
) -> None:
    """A rate of each row of a table with its error."""
    axis.errorbar(
        x, table[rate], yerr=error_bars(table, rate), fmt=look.marker, lw=1, color=look.color,
        label=label, xerr=xerr,
    )  # fmt: skip


def binned_rate(
    axis: Axes,
    table: Table,
    label: str,
    rate: str,
    looks: Mapping[str, Look],
    name: str,
    *,
    log: bool = True,
) -> None:
    """Points with errors near the middle of bins, chance as dots below.

    Groups lie a little apart from one another so that none hides the next. Open bins are
    drawn as wide as looks well beside their neighbors, empty ones not at all.
    """
    axis.set(ylim=(-0.03, 1.05), xscale="log" if log else "linear")
    table = table[np.asarray(table["n"]) > 0] if len(table) else table
    if not len(table):
        return
    low = np.asarray(table[f"{label}_low_edge"], float)
    high = np.asarray(table[f"{label}_high_edge"], float)
    apart = 0.12 * (list(looks).index(name) - (len(looks) - 1) / 2.0)
    if log:
        low = np.where(low <= 0, high / 1.5, low)
        high = np.where(np.isfinite(high), high, low * 1.5)
        middle = np.sqrt(low * high) * (high / low) ** apart
    else:
        high = np.where(np.isfinite(high), high, low + (low[-1:] - low[-2:-1]).sum())
        middle = (low + high) / 2.0 + (high - low) * apart
    points(axis, middle, table, rate, looks[name], name, xerr=[middle - low, high - middle])
    axis.plot(middle, table[f"{rate}_chance"], ":", color=looks[name].color, lw=1)


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


def rates_in(table: Table) -> list[str]:
    """The rates that a table of curves has columns of."""
    return [name.removesuffix("_low") for name in table.colnames if name.endswith("_low")]


def curve_with_band(
    axis: Axes, curve: Table, name: str, color: str, *, against: str = "threshold"
) -> None:
    """A rate along a column, its error as a band, chance dotted."""
    x = curve[against]
    axis.plot(x, curve[name], color=color, label=name)
    axis.fill_between(x, curve[f"{name}_low"], curve[f"{name}_high"], color=color, alpha=0.2, lw=0)
    axis.plot(x, curve[f"{name}_chance"], ":", color=color, lw=1)
