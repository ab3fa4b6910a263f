"""Figures of the scores of a simulated sky."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import BAND_COLOURS, binned_rate, curve_with_band, edges_as_ticks, error_bars, save
from .rates import bin_name
from .scores import Scores

FGL_ENERGY_FLUX = 2e-12
"""erg cm-2 s-1, 100 MeV to 100 GeV: threshold of 4FGL at high latitude (arXiv:1902.10045)."""

TS_COLOURS = {(9, 25): "tab:purple", (25, 100): "tab:green", (100, 1000): "tab:orange",
              (1000, np.inf): "tab:red"}  # fmt: skip

_TITLES = {
    "flux": ("Flux1000", "photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)"),
    "energy_flux": ("Energy_Flux100", "energy flux 0.1 to 100 GeV (erg cm$^{-2}$ s$^{-1}$)"),
    "ts": ("TS", "ideal TS"),
    "signif": ("Signif", "4FGL significance (sigma)"),
}


def plot_scores(scores: Scores, folder: Path) -> list[Path]:
    """Draw the figures of a sky into a folder; their paths."""
    drawn = {
        "completeness": _completeness(scores, ""),
        "completeness_cut": _completeness(scores, "_cut"),
        "purity": _purity(scores, ""),
        "purity_cut": _purity(scores, "_cut"),
        "curve": _curve(scores),
        "calibration": _calibration(scores),
        "offsets": _offsets(scores),
        "coverage": _coverage(scores),
        "radius": _radius(scores),
        "neighbours": _neighbours(scores),
    }
    return [save(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def _of_list(scores: Scores, suffix: str) -> str:
    if not suffix:
        return "all detections"
    if np.isnan(scores.threshold):
        return f"purity {scores.purity_wanted:g} is not reached at any probability"
    return (
        f"detections of probability above {scores.threshold:.3f}, purity {scores.purity_wanted:g}"
    )


def _completeness(scores: Scores, suffix: str) -> Figure:
    figure = Figure(figsize=(16, 9), layout="constrained")
    axes = figure.subplots(2, 3)
    for axis, name in zip(axes.flat, _TITLES, strict=False):
        _by_band(axis, scores.tables[f"completeness_{name}{suffix}"], name, "completeness")
    _by_sample(axes[1, 1], scores.tables[f"completeness_b{suffix}"])
    _samples_by_band(axes[1, 2], scores.tables[f"completeness_latitude{suffix}"])
    figure.suptitle(
        f"{_of_list(scores, suffix)}; {scores.n_truth} true sources, matched within "
        f"{scores.radius_deg:g} deg; dotted: by chance"
    )
    return figure


def _by_band(axis: Axes, table: Table, name: str, rate: str) -> None:
    """A rate against a quantity of the true sources, one colour a band of latitude."""
    label, title = _TITLES[name]
    if len(table):
        for band in BAND_COLOURS:
            binned_rate(axis, table[table["band"] == band], label, rate, BAND_COLOURS, band)
        if name in ("ts", "signif"):
            edges_as_ticks(axis, dict.fromkeys(table[f"{label}_low_edge"].tolist()))
    if name == "energy_flux":
        axis.axvline(FGL_ENERGY_FLUX, color="0.4", ls="--", lw=1, label="4FGL threshold")
    axis.set(xlabel=title, ylabel=rate)
    _legend(
        axis, loc="upper left" if rate == "completeness" and name != "signif" else "lower right"
    )


def _by_sample(axis: Axes, table: Table) -> None:
    """Completeness against abs(b), one colour a sample."""
    samples = list(dict.fromkeys(table["sample"].tolist())) if len(table) else []
    colours = {sample: f"C{number}" for number, sample in enumerate(samples)}
    for sample in samples:
        rows = table[table["sample"] == sample]
        binned_rate(axis, rows, "b", "completeness", colours, sample, log=False)
    axis.set(xlabel="|b| (deg)", ylabel="completeness", xlim=(0, 90))
    _legend(axis, loc="lower right")


def _samples_by_band(axis: Axes, table: Table) -> None:
    samples = list(dict.fromkeys(table["sample"].tolist())) if len(table) else []
    for offset, (band, colour) in zip(
        np.linspace(-0.24, 0.24, len(BAND_COLOURS)), BAND_COLOURS.items(), strict=True
    ):
        if not samples:
            break
        rows = table[table["band"] == band]
        where = np.arange(len(samples)) + offset
        axis.errorbar(
            where,
            rows["completeness"],
            yerr=error_bars(rows, "completeness"),
            fmt="o",
            ms=4,
            color=colour,
            label=band,
        )
        axis.plot(where, rows["completeness_chance"], ".", color=colour, ms=3)
    axis.set(xticks=range(len(samples)), ylabel="completeness", ylim=(-0.03, 1.05))
    axis.set_xticklabels(samples, rotation=15, fontsize=8)
    axis.grid(alpha=0.3)
    _legend(axis, loc="lower right")


def _purity(scores: Scores, suffix: str) -> Figure:
    figure = Figure(figsize=(12, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    for axis, name in zip(axes.flat, ("flux", "energy_flux", "ts"), strict=False):
        _by_band(axis, scores.tables[f"purity_{name}{suffix}"], name, "purity")
    table = scores.tables[f"purity_b{suffix}"]
    if len(table):
        binned_rate(axes[1, 1], table, "b", "purity", {"all": "black"}, "all", log=False)
    axes[1, 1].set(xlabel="|b| (deg)", ylabel="purity", xlim=(0, 90))
    figure.suptitle(
        f"{_of_list(scores, suffix)}; a false one is counted at the flux or TS of the true one "
        "nearest in probability; dotted: by chance",
        fontsize=10,
    )
    return figure


def _curve(scores: Scores) -> Figure:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = scores.tables["curve"]
    names = [n.removesuffix("_low") for n in curve.colnames if n.endswith("_low")]
    colours = {name: "black" if name == "purity" else f"C{i}" for i, name in enumerate(names)}
    for name in names if len(curve) else ():
        curve_with_band(left, curve, name, colours[name])
        if name != "purity":
            right.plot(curve[name], curve["purity"], color=colours[name], label=name)
    left.axhline(scores.purity_wanted, color="0.6", lw=0.8, ls="--")
    right.axhline(scores.purity_wanted, color="0.6", lw=0.8, ls="--")
    if np.isfinite(scores.threshold):
        left.axvline(scores.threshold, color="0.6", lw=0.8, ls="--")
    left.set(xlabel="probability threshold", ylabel="rate", ylim=(-0.03, 1.05))
    left.set_title(f"dashed: purity {scores.purity_wanted:g}; dotted: by chance", fontsize=9)
    right.set(xlabel="completeness", ylabel="purity", xlim=(0, 1.02), ylim=(0.5, 1.01))
    for axis, loc in ((left, "center left"), (right, "lower left")):
        axis.grid(alpha=0.3)
        _legend(axis, loc=loc)
    return figure


def _calibration(scores: Scores) -> Figure:
    """Purity within bins of probability, whose diagonal is an honest probability."""
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    table = scores.tables["calibration"]
    for axis, (band, colour) in zip(
        figure.subplots(1, len(BAND_COLOURS), sharey=True), BAND_COLOURS.items(), strict=True
    ):
        rows = table[(table["band"] == band) & (table["n"] > 0)]
        axis.errorbar(
            rows["probability_mean"],
            rows["purity"],
            yerr=error_bars(rows, "purity"),
            fmt="o",
            ms=4,
            color=colour,
            label="found",
        )
        axis.plot(rows["probability_mean"], rows["purity_chance"], ":", color=colour, lw=1,
                  label="by chance")  # fmt: skip
        axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--", label="honest probability")
        axis.set(xlabel="mean probability in the bin", title=f"{band}: {rows['n'].sum()}",
                 xlim=(-0.03, 1.03), ylim=(-0.03, 1.05))  # fmt: skip
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of true detections")
    figure.axes[0].legend(fontsize=8, loc="upper left")
    return figure


def _offsets(scores: Scores) -> Figure:
    figure = Figure(figsize=(17, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    pairs = scores.tables["pairs"]
    bright = pairs[np.asarray(pairs["Ideal_TS"]) > 9]
    _radii_by_ts(left, scores.tables["offsets"], bright)
    _offset_distribution(middle, bright, scores.radius_deg)
    _offset_plane(right, bright, scores.radius_deg)
    return figure


def _radii_by_ts(axis: Axes, table: Table, pairs: Table) -> None:
    axis.plot(pairs["Ideal_TS"], pairs["separation_deg"], ",", color="0.6")
    bins = table[np.isfinite(table["TS_high_edge"]) | (table["TS_low_edge"] == 1000.0)]
    for band in ("all", "|b|>20"):
        rows = bins[bins["band"] == band]
        high = np.where(np.isfinite(rows["TS_high_edge"]), rows["TS_high_edge"], 3000.0)
        for name, line in (("r68", "-"), ("r95", "--")):
            value = np.asarray(rows[f"{name}_deg"], float)
            low, top = rows[f"{name}_low_deg"], rows[f"{name}_high_deg"]
            axis.errorbar(
                np.sqrt(rows["TS_low_edge"] * high),
                value,
                yerr=np.maximum([value - low, top - value], 0),
                fmt="o" + line,
                ms=4,
                color=BAND_COLOURS[band],
                label=f"{name}, {band}",
            )
    axis.set(xscale="log", yscale="log", xlabel="ideal TS", ylabel="offset (deg)", ylim=(1e-3, 1))
    axis.grid(alpha=0.3)
    _legend(axis, loc="lower left")


def _offset_distribution(axis: Axes, pairs: Table, radius_deg: float) -> None:
    """Offsets on the sphere by class of TS; chance matches would grow with the radius."""
    edges = np.linspace(0.0, radius_deg, 61)
    ts, separation = np.asarray(pairs["Ideal_TS"]), np.asarray(pairs["separation_deg"])
    for (low, high), colour in TS_COLOURS.items():
        chosen = separation[(ts >= low) & (ts < high)]
        if chosen.size:
            name = f"TS {low}-{high}" if np.isfinite(high) else f"TS > {low}"
            axis.hist(
                chosen, edges.tolist(), density=True, histtype="step", color=colour, label=name
            )
    axis.plot(edges, 2.0 * edges / radius_deg**2, ":", color="0.5", label="places at random")
    axis.set(xlabel="offset on the sphere (deg)", ylabel="density (per deg)", yscale="log")
    axis.grid(alpha=0.3)
    _legend(axis, loc="upper right")


def _offset_plane(axis: Axes, pairs: Table, radius_deg: float) -> None:
    """Offsets in longitude and latitude with their mean."""
    lon, lat = np.asarray(pairs["lon_offset_deg"]), np.asarray(pairs["lat_offset_deg"])
    axis.plot(lon, lat, ".", ms=2, alpha=0.4, color="tab:blue")
    axis.axhline(0, color="0.6", lw=0.8)
    axis.axvline(0, color="0.6", lw=0.8)
    if len(pairs):
        axis.plot(lon.mean(), lat.mean(), "+", color="tab:red", ms=12)
        axis.set_title(f"mean {lon.mean():+.4f}, {lat.mean():+.4f} deg (red cross)", fontsize=9)
    axis.set(
        xlim=(radius_deg, -radius_deg),
        ylim=(-radius_deg, radius_deg),
        xlabel="longitude offset times cos b (deg)",
        ylabel="latitude offset (deg)",
        aspect="equal",
    )


def _coverage(scores: Scores) -> Figure:
    """Share of true sources inside the error ellipses, which should be 68 and 95%."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    table = scores.tables["coverage"]
    bins = table[~((table["TS_low_edge"] == 9.0) & np.isinf(table["TS_high_edge"]))]
    edges = list(dict.fromkeys(bins["TS_low_edge"].tolist()))
    for axis, (percent, margin) in zip(
        figure.subplots(1, 2), ((68, 0.02), (95, 0.015)), strict=True
    ):
        axis.axhspan(percent / 100 - margin, percent / 100 + margin, color="0.85")
        axis.axhline(percent / 100, color="0.5", lw=0.8)
        for number, (band, colour) in enumerate(BAND_COLOURS.items()):
            rows = bins[bins["band"] == band]
            axis.errorbar(
                np.arange(len(rows)) + 0.12 * (number - 1.5),
                rows[f"in{percent}"],
                yerr=error_bars(rows, f"in{percent}"),
                fmt="o",
                ms=4,
                color=colour,
                label=band,
            )
        axis.set(xlabel="ideal TS", ylabel=f"true sources within the {percent}% ellipse",
                 xticks=range(len(edges)))  # fmt: skip
        axis.set_xticklabels(
            [bin_name(*pair) for pair in zip(edges, [*edges[1:], np.inf], strict=True)], fontsize=8
        )
        axis.grid(alpha=0.3)
        _legend(axis, loc="best")
    figure.suptitle(f"grey: 68+-2% and 95+-1.5%; matched within {scores.radius_deg:g} deg")
    return figure


def _radius(scores: Scores) -> Figure:
    table = scores.tables["radius"]
    lists = list(dict.fromkeys(table["list"].tolist()))
    figure = Figure(figsize=(6.5 * max(len(lists), 1), 5), layout="constrained")
    for axis, name in zip(
        np.atleast_1d(figure.subplots(1, max(len(lists), 1), sharey=True)), lists, strict=False
    ):
        rows = table[table["list"] == name]
        rates = [n.removesuffix("_low") for n in rows.colnames if n.endswith("_low")]
        for number, rate in enumerate(rates):
            colour = "black" if rate == "purity" else f"C{number}"
            curve_with_band(axis, rows, rate, colour, against="radius_deg")
        axis.set(xlabel="matching radius (deg)", ylabel="rate (dotted: by chance)",
                 ylim=(-0.03, 1.05), title=name)  # fmt: skip
        axis.grid(alpha=0.3)
        _legend(axis, loc="center right")
    return figure


def _neighbours(scores: Scores) -> Figure:
    """Completeness against the distance to the nearest source of higher ideal TS."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, suffix in zip(axes, ("", "_cut"), strict=True):
        table = scores.tables[f"completeness_neighbour{suffix}"]
        samples = list(dict.fromkeys(table["sample"].tolist())) if len(table) else []
        for sample, band in ((s, b) for s in samples for b in ("all", "|b|<5")):
            rows = table[(table["sample"] == sample) & (table["band"] == band)]
            colours = {f"{sample}, {band}": f"C{2 * samples.index(sample) + (band != 'all')}"}
            binned_rate(axis, rows, "neighbour_deg", "completeness", colours, *colours)
        if samples:
            edges_as_ticks(axis, dict.fromkeys(table["neighbour_deg_high_edge"].tolist()))
        axis.set(xlabel="distance to the nearest brighter source (deg)", ylabel="completeness")
        axis.set_title(_of_list(scores, suffix), fontsize=9)
        _legend(axis, loc="upper left")
    return figure


def _legend(axis: Axes, loc: Any) -> None:
    """A legend where there is anything to name."""
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8, loc=loc)
