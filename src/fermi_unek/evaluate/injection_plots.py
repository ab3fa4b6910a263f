"""Figure of what was found of the sources added to a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .injection import Injection
from .plots import error_bars, save


def plot_injection(injection: Injection, folder: Path) -> list[Path]:
    """Draw injection.png into a folder: completeness and position errors against flux."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    table = injection.completeness
    flux = np.asarray(table["Flux1000"])
    left.errorbar(flux, table["completeness"], yerr=error_bars(table, "completeness"), fmt="o-",
                  color="black", label="found")  # fmt: skip
    left.plot(flux, table["completeness_chance"], ":", color="black", label="by chance")
    left.set(ylabel="share of the added sources", ylim=(-0.03, 1.05))
    for name, line in (("r68", "o-"), ("r95", "s--")):
        value = np.asarray(table[f"{name}_deg"], float)
        ends = [value - table[f"{name}_low_deg"], table[f"{name}_high_deg"] - value]
        right.errorbar(flux, value, yerr=np.maximum(ends, 0), fmt=line, color="black", label=name)
    right.plot(injection.sources["Flux1000"], injection.sources["Sep_deg"], ".", ms=2,
               color="tab:blue", label="each")  # fmt: skip
    right.set(ylabel="offset (deg)", ylim=(0, None))
    for axis in (left, right):
        axis.set(xscale="log", xlabel="photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(
        f"{len(injection.sources)} sources added, matched within {injection.radius_deg:g} deg"
    )
    return [save(figure, folder / "injection.png")]
