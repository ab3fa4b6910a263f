"""The one style of all figures: colors, markers, sizes and legends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, GRAY = "#000000", "#999999"
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY_BLUE = "#cc79a7", "#e69f00", "#56b4e9"
"""Colors of Okabe and Ito (2008), which the color-blind tell apart."""

FOUND, TRUE = "#b23c00", "#0b5aa5"
"""Candidates and true sources on maps: dark enough to be read on white, as on the page."""

PANEL_IN = (4.6, 3.9)
"""A panel's width and height: two beside each other can be read when 420 pixels wide."""

DPI = 100

STYLE: dict[Any, Any] = {
    "font.size": 13,
    "axes.titlesize": 13,
    "figure.titlesize": 13,
    "legend.fontsize": 12,
    "axes.prop_cycle": f"cycler('color', {[BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE]})",
    "lines.markersize": 5,
    "lines.linewidth": 1.3,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
}
"""Settings of matplotlib, for `style` here and `plt.style.use` in a script."""


class Look(NamedTuple):
    """How one thing is drawn in every panel: never told by its color alone."""

    color: str
    marker: str


LOOKS = (
    *(Look(BLACK, "o"), Look(VERMILION, "s"), Look(GREEN, "^"), Look(BLUE, "D")),
    *(Look(PURPLE, "v"), Look(ORANGE, "P"), Look(SKY_BLUE, "X")),
)


@contextmanager
def style() -> Iterator[None]:
    """`STYLE` for the figures that are made, drawn and saved in the block."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def panels(rows: int, columns: int, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row."""
    from matplotlib.figure import Figure

    width, height = PANEL_IN
    figure = Figure(figsize=(columns * width, rows * height))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, list(axes.flat)


def legend_below(figure: Figure, columns: int = 4) -> None:
    """One legend for all panels under them, where it hides no data; none without labels."""
    named = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if not named:
        return
    columns = min(len(named), columns)
    figure.set_figheight(figure.get_figheight() + 0.3 * -(-len(named) // columns))
    figure.legend([*named.values()], [*named], loc="outside lower center", ncols=columns)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; the path."""
    figure.savefig(path)
    return path
