"""All figures have one style, which can be read on a phone and by the color-blind."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import fermi_unek
from fermi_unek.evaluate.classes.plots import LOOKS as CLASS_LOOKS
from fermi_unek.evaluate.compare_plots import SAMPLES as REFERENCE_SAMPLES
from fermi_unek.evaluate.plots import BANDS, SAMPLES
from fermi_unek.plots import LOOKS, PANEL_IN, STYLE, legend_below, panels, style

PHONE_PIXELS = 420

# Viénot, Brettel and Mollon (1999): linear RGB as those without red or green cones see it
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
PROTANOPE = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])


def seen(color, matrix):
    """A color as the color-blind see it, in CIE xyz-like steps of brightness and hue."""
    return (matrix @ np.array(to_rgb(color)) ** 2.2).clip(0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("matrix", [np.eye(3), DEUTERANOPE, PROTANOPE])
@pytest.mark.parametrize(
    "looks",
    [LOOKS, [*BANDS.values(), *SAMPLES.values()], [*CLASS_LOOKS.values()],
     [*BANDS.values(), *REFERENCE_SAMPLES.values()]],
)  # fmt: skip
def test_things_of_one_figure_differ_in_marker_or_clearly_in_color(looks, matrix):
    for one, other in itertools.combinations(dict.fromkeys(looks), 2):
        apart = np.linalg.norm(seen(one.color, matrix) - seen(other.color, matrix))
        assert one.marker != other.marker, (one, other)
        assert apart > 0.04, (one, other)


def test_two_panels_side_by_side_are_readable_on_a_phone():
    sizes = [STYLE[key] for key in ("font.size", "axes.titlesize", "legend.fontsize")]
    assert min(sizes) * PHONE_PIXELS / (72.0 * 2 * PANEL_IN[0]) > 7.0


def test_one_legend_names_what_all_panels_show_and_hides_none_of_it():
    with style():
        figure, axes = panels(1, 2)
        for axis in axes:
            axis.plot([0, 1], [0, 1], label="both")
        axes[1].plot([0, 1], [1, 0], label="right")
        legend_below(figure)
        figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["both", "right"]
    assert all(axis.get_window_extent().y0 > legend.get_window_extent().y1 for axis in axes)


def test_no_legend_is_drawn_where_nothing_is_named():
    figure, _ = panels(1, 1)
    legend_below(figure)
    assert figure.legends == []


def test_no_module_has_colors_of_its_own():
    root = Path(fermi_unek.__file__).parent
    named = {
        str(path.relative_to(root)): found
        for path in root.rglob("*plots.py")
        if (found := re.findall(r"[\"'](?:tab:\w+|C\d|red|green|lime)[\"']", path.read_text()))
    }
    assert named == {}
