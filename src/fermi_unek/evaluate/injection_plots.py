"""Figure of what was found of the sources added to a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..plots import LOOKS, SKY_BLUE, legend_below, panels, save, style
from .injection import Injection
from .plots import points


def plot_injection(injection: Injection, folder: Path) -> list[Path]:
    """Draw injection.png into a folder: completeness and position errors against flux."""
    with style():
        figure, (left, right) = panels(1, 2)
        table = injection.completeness
        flux = np.asarray(table["Flux1000"])
        points(left, flux, table, "completeness", LOOKS[0], "found")
        left.plot(flux, table["completeness_chance"], "k:", label="by chance")
        left.set(ylabel="share of the added sources", ylim=(-0.03, 1.05))
        right.plot(injection.sources["Flux1000"], injection.sources["Sep_deg"], ".", ms=3,
                   color=SKY_BLUE, label="each source")  # fmt: skip
        for name, look in zip(("r68", "r95"), LOOKS[1:3], strict=True):
            value = np.asarray(table[f"{name}_deg"], float)
            ends = [value - table[f"{name}_low_deg"], table[f"{name}_high_deg"] - value]
            right.errorbar(flux, value, yerr=np.maximum(ends, 0), fmt=look.marker + "-",
                           color=look.color, label=name)  # fmt: skip
        right.set(ylabel="offset (deg)", ylim=(0, None))
        for axis in (left, right):
            axis.set(xscale="log", xlabel="photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)")
        figure.suptitle(
            f"{len(injection.sources)} sources added, matched within {injection.radius_deg:g} deg"
        )
        legend_below(figure, columns=5)
        return [save(figure, folder / "injection.png")]
