"""Figures of the scores of a simulated sky."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..plots import BLACK, GRAY, VERMILION, Look, legend_below, panels, save, style
from .plots import (
    BANDS,
    SAMPLES,
    binned_rate,
    curve_with_band,
    edges_as_ticks,
    looks_of,
    points,
    rates_in,
)
from .rates import bin_name
from .scores import Scores

FGL_ENERGY_FLUX = 2e-12
"""erg cm-2 s-1, 100 MeV to 100 GeV: threshold of 4FGL at high latitude (arXiv:1902.10045)."""

OFFSET_CLASSES = ((9.0, 25.0), (25.0, 100.0), (100.0, 1000.0), (1000.0, np.inf))
"""Bins of ideal TS whose offsets are drawn."""

_TITLES = {
    "flux": ("Flux1000", "photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)"),
    "energy_flux": ("Energy_Flux100", "energy flux 0.1 to 100 GeV (erg cm$^{-2}$ s$^{-1}$)"),
    "ts": ("TS", "ideal TS"),
    "signif": ("Signif", "4FGL significance (sigma)"),
}


def plot_scores(scores: Scores, folder: Path) -> list[Path]:
    """Draw the figures of a sky into a folder; their paths."""
    with style():
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
            "neighbours": _neighbors(scores),
        }
        return [save(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def _of_list(scores: Scores, suffix: str) -> str:
    if not suffix:
        return "all detections"
    if np.isnan(scores.threshold):
        return f"purity {scores.purity_wanted:g} is not reached at any probability"
    return f"probability above {scores.threshold:.3f}, purity {scores.purity_wanted:g}"


def _completeness(scores: Scores, suffix: str) -> Figure:
    figure, axes = panels(3, 2)
    for axis, name in zip(axes, _TITLES, strict=False):
        _by_band(axis, scores.tables[f"completeness_{name}{suffix}"], name, "completeness")
    _by_sample(axes[4], scores.tables[f"completeness_b{suffix}"])
    _samples_by_band(axes[5], scores.tables[f"completeness_latitude{suffix}"])
    figure.suptitle(
        f"{_of_list(scores, suffix)}; {scores.n_truth} true sources,\n"
        f"matched within {scores.radius_deg:g} deg; dotted: by chance"
    )
    legend_below(figure)
    return figure


def _by_band(axis: Axes, table: Table, name: str, rate: str) -> None:
    """A rate against a quantity of the true sources, one look a band of latitude."""
    label, title = _TITLES[name]
    if len(table):
        for band in BANDS:
            binned_rate(axis, table[table["band"] == band], label, rate, BANDS, band)
        if name in ("ts", "signif"):
            edges_as_ticks(axis, dict.fromkeys(table[f"{label}_low_edge"].tolist()))
    if name == "energy_flux":
        axis.axvline(FGL_ENERGY_FLUX, color=GRAY, ls="--", lw=1, label="4FGL threshold")
    axis.set(xlabel=title, ylabel=rate)


def _by_sample(axis: Axes, table: Table) -> None:
    """Completeness against abs(b), one look a sample."""
    for sample in SAMPLES if len(table) else ():
        rows = table[table["sample"] == sample]
        binned_rate(axis, rows, "b", "completeness", SAMPLES, sample, log=False)
    axis.set(xlabel="|b| (deg)", ylabel="completeness", xlim=(0, 90))


def _samples_by_band(axis: Axes, table: Table) -> None:
    for number, (band, look) in enumerate(BANDS.items() if len(table) else ()):
        rows = table[table["band"] == band]
        where = np.arange(len(rows)) + 0.16 * (number - 1.5)
        points(axis, where, rows, "completeness", look, band)
        axis.plot(where, rows["completeness_chance"], ".", color=look.color, ms=3)
    short = [sample.replace("ideal ", "").replace("4FGL ", "") for sample in SAMPLES]
    axis.set(ylabel="completeness", ylim=(-0.03, 1.05))
    axis.set_xticks(range(len(SAMPLES)), short, rotation=25)


def _purity(scores: Scores, suffix: str) -> Figure:
    figure, axes = panels(2, 2)
    for axis, name in zip(axes, ("flux", "energy_flux", "ts"), strict=False):
        _by_band(axis, scores.tables[f"purity_{name}{suffix}"], name, "purity")
    table = scores.tables[f"purity_b{suffix}"]
    binned_rate(axes[3], table, "b", "purity", {"all": BANDS["all"]}, "all", log=False)
    axes[3].set(xlabel="|b| (deg)", ylabel="purity", xlim=(0, 90))
    figure.suptitle(
        f"{_of_list(scores, suffix)}; dotted: by chance\n"
        "a false detection is counted where the true one nearest in probability is"
    )
    legend_below(figure)
    return figure


def _curve(scores: Scores) -> Figure:
    figure, (left, right) = panels(1, 2)
    curve = scores.tables["curve"]
    for name in rates_in(curve) if len(curve) else ():
        color = _color_of_rate(name)
        curve_with_band(left, curve, name, color)
        if name != "purity":
            right.plot(curve[name], curve["purity"], color=color)
    for axis in (left, right):
        axis.axhline(scores.purity_wanted, color=GRAY, lw=1, ls="--")
    if np.isfinite(scores.threshold):
        left.axvline(scores.threshold, color=GRAY, lw=1, ls="--")
    left.set(xlabel="probability threshold", ylabel="rate", ylim=(-0.03, 1.05))
    right.set(xlabel="completeness", ylabel="purity", xlim=(0, 1.02), ylim=(0.5, 1.01))
    figure.suptitle(f"dashed: purity {scores.purity_wanted:g}; dotted: by chance")
    legend_below(figure, columns=2)
    return figure


def _color_of_rate(name: str) -> str:
    return SAMPLES.get(name.removeprefix("completeness, "), Look(BLACK, "o")).color


def _calibration(scores: Scores) -> Figure:
    """Purity within bins of probability, whose diagonal is an honest probability."""
    figure, axes = panels(2, 2, share_y=True)
    table = scores.tables["calibration"]
    for axis, (band, look) in zip(axes, BANDS.items(), strict=True):
        rows = table[(table["band"] == band) & (table["n"] > 0)]
        points(axis, rows["probability_mean"], rows, "purity", look, band)
        axis.plot(rows["probability_mean"], rows["purity_chance"], ":", color=look.color, lw=1)
        axis.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--", label="honest probability")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.05), xlabel="mean probability in the bin",
                 ylabel="share of true ones", title=f"{rows['n'].sum()} detections")  # fmt: skip
    figure.suptitle("dotted: by chance")
    legend_below(figure, columns=5)
    return figure


def _offsets(scores: Scores) -> Figure:
    figure, (radii, distribution, plane) = panels(3, 1)
    pairs = scores.tables["pairs"]
    bright = pairs[np.asarray(pairs["Ideal_TS"]) > 9]
    _radii_by_ts(radii, scores.tables["offsets"], bright)
    _offset_distribution(distribution, bright, scores.radius_deg)
    _offset_plane(plane, bright, scores.radius_deg)
    for axis in (radii, distribution):
        if axis.get_legend_handles_labels()[1]:
            axis.legend(loc="upper right", fontsize=10)
    return figure


def _radii_by_ts(axis: Axes, table: Table, pairs: Table) -> None:
    axis.plot(pairs["Ideal_TS"], pairs["separation_deg"], ",", color=GRAY)
    bins = table[np.isfinite(table["TS_high_edge"]) | (table["TS_low_edge"] == 1000.0)]
    for band in ("all", "|b|>20"):
        rows = bins[bins["band"] == band]
        high = np.where(np.isfinite(rows["TS_high_edge"]), rows["TS_high_edge"], 3000.0)
        for name, line in (("r68", "-"), ("r95", "--")):
            value = np.asarray(rows[f"{name}_deg"], float)
            low, top = rows[f"{name}_low_deg"], rows[f"{name}_high_deg"]
            axis.errorbar(
                np.sqrt(rows["TS_low_edge"] * high), value,
                yerr=np.maximum([value - low, top - value], 0),
                fmt=BANDS[band].marker + line, color=BANDS[band].color, label=f"{name}, {band}",
            )  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="ideal TS", ylabel="offset (deg)", ylim=(1e-3, 1))


def _offset_distribution(axis: Axes, pairs: Table, radius_deg: float) -> None:
    """Offsets on the sphere by class of TS; chance matches would grow with the radius."""
    edges = np.linspace(0.0, radius_deg, 31)
    ts, separation = np.asarray(pairs["Ideal_TS"]), np.asarray(pairs["separation_deg"])
    lines = ("-", "--", "-.", (0, (1, 1)))
    names = {f"TS {bin_name(*edges_)}": edges_ for edges_ in OFFSET_CLASSES}
    for (name, look), line in zip(looks_of(names).items(), lines, strict=True):
        low, high = names[name]
        chosen = separation[(ts >= low) & (ts < high)]
        if chosen.size:
            axis.hist(chosen, edges.tolist(), density=True, histtype="step", lw=1.5, ls=line,
                      color=look.color, label=name)  # fmt: skip
    axis.plot(edges, 2.0 * edges / radius_deg**2, ":", color=GRAY, label="places at random")
    axis.set(xlabel="offset on the sphere (deg)", ylabel="density (per deg)", yscale="log")


def _offset_plane(axis: Axes, pairs: Table, radius_deg: float) -> None:
    """Offsets in longitude and latitude, as a density, with their mean."""
    lon, lat = np.asarray(pairs["lon_offset_deg"]), np.asarray(pairs["lat_offset_deg"])
    if len(pairs):
        edges = np.linspace(-radius_deg, radius_deg, 61)
        axis.hist2d(lon, lat, [edges, edges], cmap="Blues", norm=LogNorm(vmin=0.5))
        axis.plot(lon.mean(), lat.mean(), "+", color=VERMILION, ms=14, mew=2)
        axis.set_title(f"mean (cross) {lon.mean():+.4f}, {lat.mean():+.4f} deg")
    axis.set(
        xlim=(radius_deg, -radius_deg), ylim=(-radius_deg, radius_deg), aspect="equal",
        xlabel="longitude offset times cos b (deg)", ylabel="latitude offset (deg)",
    )  # fmt: skip


def _coverage(scores: Scores) -> Figure:
    """Share of true sources inside the error ellipses, which should be 68 and 95%."""
    figure, axes = panels(1, 2)
    table = scores.tables["coverage"]
    bins = table[~((table["TS_low_edge"] == 9.0) & np.isinf(table["TS_high_edge"]))]
    edges = list(dict.fromkeys(bins["TS_low_edge"].tolist()))
    names = [bin_name(*pair) for pair in zip(edges, [*edges[1:], np.inf], strict=True)]
    for axis, (percent, margin) in zip(axes, ((68, 0.02), (95, 0.015)), strict=True):
        axis.axhspan(percent / 100 - margin, percent / 100 + margin, color="0.85")
        axis.axhline(percent / 100, color=GRAY, lw=1)
        for number, (band, look) in enumerate(BANDS.items()):
            rows = bins[bins["band"] == band]
            points(axis, np.arange(len(rows)) + 0.14 * (number - 1.5), rows, f"in{percent}", look,
                   band)  # fmt: skip
        axis.set(xlabel="ideal TS", ylabel=f"share within the {percent}% ellipse")
        axis.set_xticks(range(len(edges)), names, rotation=35)
    figure.suptitle(
        f"true sources, matched within {scores.radius_deg:g} deg; gray: 68 ± 2% and 95 ± 1.5%"
    )
    legend_below(figure)
    return figure


def _radius(scores: Scores) -> Figure:
    table = scores.tables["radius"]
    lists = list(dict.fromkeys(table["list"].tolist()))
    figure, axes = panels(1, max(len(lists), 1), share_y=True)
    for axis, name in zip(axes, lists, strict=False):
        rows = table[table["list"] == name]
        for rate in rates_in(rows):
            curve_with_band(axis, rows, rate, _color_of_rate(rate), against="radius_deg")
        axis.set(xlabel="matching radius (deg)", ylabel="rate (dotted: by chance)",
                 ylim=(-0.03, 1.05), title=name)  # fmt: skip
    legend_below(figure, columns=2)
    return figure


def _neighbors(scores: Scores) -> Figure:
    """Completeness against the distance to the nearest source of higher ideal TS."""
    figure, axes = panels(1, 2, share_y=True)
    for axis, suffix in zip(axes, ("", "_cut"), strict=True):
        table = scores.tables[f"completeness_neighbour{suffix}"]
        samples = list(dict.fromkeys(table["sample"].tolist())) if len(table) else []
        groups = {f"{s}, {b}": (s, b) for s in samples for b in ("all", "|b|<5")}
        looks = looks_of(groups)
        for name, (sample, band) in groups.items():
            rows = table[(table["sample"] == sample) & (table["band"] == band)]
            binned_rate(axis, rows, "neighbour_deg", "completeness", looks, name)
        if samples:
            edges_as_ticks(axis, (0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0))
        axis.set(xlabel="nearest brighter source (deg)", ylabel="completeness",
                 title="all detections" if not suffix else "cut")  # fmt: skip
    figure.suptitle(f"cut: {_of_list(scores, '_cut')}; dotted: by chance")
    legend_below(figure, columns=2)
    return figure
