"""Figures of the scores and of the comparison with a LAT catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .compare import Comparison
from .scores import Scores

Projection = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From Galactic longitude and latitude in degrees to the axes' own coordinates."""

BAND_COLOURS = {
    "all": "black",
    "|b|<5": "tab:red",
    "5<|b|<20": "tab:orange",
    "|b|>20": "tab:blue",
}
SAMPLE_COLOURS = {
    "all": "black",
    "associated": "tab:blue",
    "Flags==0": "tab:green",
    "without c": "tab:orange",
}


def plot_scores(scores: Scores, folder: Path) -> list[Path]:
    """Draw completeness.png, purity.png and offsets.png into a folder; their paths."""
    return [
        _save(_completeness_figure(scores), folder / "completeness.png"),
        _save(_purity_figure(scores), folder / "purity.png"),
        _save(_offset_figure(scores), folder / "offsets.png"),
    ]


def plot_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Draw detected.png, curve.png and missed.png into a folder; their paths."""
    return [
        _save(_detected_figure(comparison), folder / "detected.png"),
        _save(_curve_figure(comparison), folder / "curve.png"),
        _save(_missed_figure(comparison), folder / "missed.png"),
    ]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path


def _completeness_figure(scores: Scores) -> Figure:
    figure = Figure(figsize=(12, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    panels = (
        ("completeness_flux", "Flux1000", "photon flux 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)"),
        ("completeness_ts", "TS", "ideal TS"),
        ("completeness_signif", "Signif", "4FGL significance (sigma)"),
    )
    for axis, (name, label, title) in zip(axes.flat, panels, strict=False):
        table = scores.tables[name]
        for band in BAND_COLOURS:
            rows = table[table["band"] == band]
            _binned_rate(axis, rows, label, "completeness", BAND_COLOURS, band)
        axis.set(xlabel=title, ylabel="completeness")
        axis.legend(fontsize=8, loc="center right")
    _latitude_bars(axes[1, 1], scores.tables["completeness_latitude"])
    figure.suptitle(
        f"{scores.n_truth} true sources, matched within {scores.radius_deg:g} deg; "
        "dotted: by chance"
    )
    return figure


def _binned_rate(
    axis: Axes, table: Table, label: str, rate: str, colours: dict[str, str], legend: str
) -> None:
    """Points with errors near the middle of logarithmic bins, chance as dots below.

    Groups lie a little apart from one another so that none hides the next.
    """
    colour, place = colours[legend], list(colours).index(legend)
    low = np.asarray(table[f"{label}_low_edge"], float)
    high = np.asarray(table[f"{label}_high_edge"], float)
    # open bins are drawn as wide as their neighbours
    low = np.where(low <= 0, high / 1.5, low)
    high = np.where(np.isfinite(high), high, low * 1.5)
    middle = np.sqrt(low * high) * (high / low) ** (0.12 * (place - 1.5))
    value = np.asarray(table[rate], float)
    errors = [value - table[f"{rate}_low"], np.asarray(table[f"{rate}_high"]) - value]
    axis.errorbar(
        middle,
        value,
        yerr=np.maximum(errors, 0),
        xerr=[middle - low, high - middle],
        fmt="o",
        ms=4,
        lw=1,
        color=colour,
        label=legend,
    )
    axis.plot(middle, table[f"{rate}_chance"], ":", color=colour, lw=1)
    axis.set(xscale="log", ylim=(-0.03, 1.05))
    if label != "Flux1000":
        axis.set_xticks(low, [f"{edge:g}" for edge in low])
        axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)


def _latitude_bars(axis: Axes, table: Table) -> None:
    samples = list(dict.fromkeys(table["sample"]))
    for offset, (band, colour) in zip(
        np.linspace(-0.24, 0.24, len(BAND_COLOURS)), BAND_COLOURS.items(), strict=True
    ):
        rows = table[table["band"] == band]
        where = np.arange(len(samples)) + offset
        value = np.asarray(rows["completeness"], float)
        errors = [value - rows["completeness_low"], rows["completeness_high"] - value]
        axis.errorbar(where, value, yerr=np.maximum(errors, 0), fmt="o", color=colour, label=band)
        axis.plot(where, rows["completeness_chance"], ".", color=colour, ms=3)
    axis.set(
        xticks=range(len(samples)),
        ylabel="completeness",
        ylim=(-0.03, 1.05),
    )
    axis.set_xticklabels(samples, rotation=15, fontsize=8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _purity_figure(scores: Scores) -> Figure:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = scores.tables["curve"]
    if len(curve):
        samples = [n.removesuffix("_low") for n in curve.colnames if n.endswith("_low")]
        for number, name in enumerate(samples):
            colour = "black" if name == "purity" else f"C{number}"
            _curve_with_band(left, curve, name, colour)
    left.axhline(scores.purity_wanted, color="0.6", lw=0.8, ls="--")
    if np.isfinite(scores.threshold):
        left.axvline(scores.threshold, color="0.6", lw=0.8, ls="--")
    left.set(xlabel="probability threshold", ylabel="rate", ylim=(-0.03, 1.05))
    left.set_title(f"dashed: purity {scores.purity_wanted:g}; dotted: by chance", fontsize=9)
    if len(curve):
        left.legend(fontsize=8, loc="center left", bbox_to_anchor=(0, 0.35))
    left.grid(alpha=0.3)
    _reliability(right, scores.tables["calibration"])
    return figure


def _curve_with_band(axis: Axes, curve: Table, name: str, colour: str) -> None:
    axis.plot(curve["threshold"], curve[name], color=colour, label=name)
    axis.fill_between(
        curve["threshold"], curve[f"{name}_low"], curve[f"{name}_high"], color=colour, alpha=0.2
    )
    axis.plot(curve["threshold"], curve[f"{name}_chance"], ":", color=colour, lw=1)


def _reliability(axis: Axes, table: Table) -> None:
    """Purity within bins of probability, whose diagonal is an honest probability."""
    rows = table[table["band"] == "all"]
    middle = (rows["probability_low_edge"] + np.minimum(rows["probability_high_edge"], 1)) / 2
    value = np.asarray(rows["purity"], float)
    errors = np.maximum([value - rows["purity_low"], rows["purity_high"] - value], 0)
    axis.errorbar(middle, value, yerr=errors, fmt="o", color="black", label="all latitudes")
    axis.plot(middle, rows["purity_chance"], ":", color="black", lw=1, label="by chance")
    axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--", label="honest probability")
    axis.set(xlabel="probability", ylabel="purity within the bin", ylim=(-0.03, 1.05))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")


def _offset_figure(scores: Scores) -> Figure:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    pairs, table = scores.tables["pairs"], scores.tables["offsets"]
    ts, separation = np.asarray(pairs["Ideal_TS"], float), np.asarray(pairs["separation_deg"])
    bright = ts > 9
    left.plot(ts[bright], separation[bright], ",", color="0.6")
    bins = table[np.isfinite(table["TS_high_edge"]) | (table["TS_low_edge"] == 1000.0)]
    for band in ("all", "|b|>20"):
        rows = bins[bins["band"] == band]
        middle = np.sqrt(
            rows["TS_low_edge"]
            * np.where(np.isfinite(rows["TS_high_edge"]), rows["TS_high_edge"], 3000.0)
        )
        for name, line in (("r68", "-"), ("r95", "--")):
            value = np.asarray(rows[f"{name}_deg"], float)
            low, high = rows[f"{name}_low_deg"], rows[f"{name}_high_deg"]
            left.errorbar(
                middle,
                value,
                yerr=np.maximum([value - low, high - value], 0),
                fmt="o" + line,
                ms=4,
                color=BAND_COLOURS[band],
                label=f"{name}, {band}",
            )
    left.set(xscale="log", yscale="log", xlabel="ideal TS", ylabel="offset (deg)", ylim=(1e-3, 1))
    left.grid(alpha=0.3)
    left.legend(fontsize=8)
    _offset_plane(right, pairs[bright], scores.radius_deg)
    return figure


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


def _detected_figure(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    table = comparison.tables["detected"]
    for sample in SAMPLE_COLOURS:
        rows = table[(table["sample"] == sample) & (table["band"] == "all")]
        if len(rows):
            _binned_rate(left, rows, "Signif", "detected", SAMPLE_COLOURS, sample)
    for band in BAND_COLOURS:
        rows = table[(table["sample"] == "all") & (table["band"] == band)]
        _binned_rate(right, rows, "Signif", "detected", BAND_COLOURS, band)
    for axis in (left, right):
        axis.set(xlabel=f"Signif_Avg in {comparison.release}", ylabel="detected fraction")
        axis.legend(fontsize=8, loc="center right")
    figure.suptitle(
        f"{comparison.n_reference} {comparison.release} sources, matched within "
        f"{comparison.radius_deg:g} deg; dotted: by chance"
    )
    return figure


def _curve_figure(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = comparison.tables["curve"]
    if len(curve):
        left.plot(curve["threshold"], curve["n_detections"], color="black", label="detections")
        left.plot(curve["threshold"], curve["n_matched"], label=f"in {comparison.release}")
        left.set_yscale("log")
        left.legend(fontsize=8)
        names = [n.removesuffix("_low") for n in curve.colnames if n.endswith("_low")]
        for number, name in enumerate(names):
            _curve_with_band(right, curve, name, f"C{number}")
        right.legend(fontsize=8, loc="center left", bbox_to_anchor=(0, 0.35))
    left.set(xlabel="probability threshold", ylabel="number")
    right.set(xlabel="probability threshold", ylabel="rate (dotted: by chance)", ylim=(-0.03, 1.05))
    for axis in (left, right):
        axis.grid(alpha=0.3)
    return figure


def _missed_figure(comparison: Comparison) -> Figure:
    """Map of the reference sources above 10 sigma without a detection, and of detections."""
    table, missed = comparison.tables["side_by_side"], comparison.tables["missed"]
    places = [(table["LON"], table["LAT"]), (missed["GLON"], missed["GLAT"])]
    lon = np.concatenate([np.asarray(lon, float) for lon, _ in places])
    lat = np.concatenate([np.asarray(lat, float) for _, lat in places])
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    figure = Figure(figsize=(11, 6), layout="constrained")
    middle = _middle(lon, lat)
    if middle is None:
        axis = figure.add_subplot(projection="aitoff")
        _mark_missed(axis, comparison, lambda x, y: (np.radians(_east_left(x)), np.radians(y)))
        axis.set_xticklabels([f"{h}°" for h in (150, 120, 90, 60, 30, 0, 330, 300, 270, 240, 210)])
        axis.tick_params(labelsize=8)
    else:
        axis = figure.add_subplot()
        _mark_missed(axis, comparison, lambda x, y: (middle + _wrap(x - middle), y))
        axis.invert_xaxis()
        axis.set(xlabel="Galactic longitude (deg)", ylabel="Galactic latitude (deg)")
        axis.set_aspect(1.0 / max(np.cos(np.radians(np.mean(lat))), 0.1))
    axis.grid(alpha=0.3)
    axis.set_title(f"{len(missed)} {comparison.release} sources above 10 sigma missed", pad=20)
    axis.legend(fontsize=8, loc="lower right")
    return figure


def _mark_missed(axis: Axes, comparison: Comparison, project: Projection) -> None:
    table, missed = comparison.tables["side_by_side"], comparison.tables["missed"]
    found = table[np.isfinite(table["LON"])]
    axis.plot(
        *project(np.asarray(found["LON"], float), np.asarray(found["LAT"], float)),
        ".",
        ms=2,
        color="0.7",
        label="detections",
    )
    x, y = project(np.asarray(missed["GLON"], float), np.asarray(missed["GLAT"], float))
    axis.scatter(
        x,
        y,
        s=4 * np.sqrt(np.asarray(missed["Signif_Avg"], float)) ** 1.5,
        facecolors="none",
        edgecolors="tab:red",
        label="missed, size by significance",
    )


def _middle(lon: np.ndarray, lat: np.ndarray) -> float | None:
    """Middle longitude of a field; None where places are spread over the sky or there are none."""
    if lon.size == 0:
        return None
    angle = np.radians(lon)
    middle = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())) % 360)
    wide = np.abs(_wrap(lon - middle)).max() > 60 or np.ptp(lat) > 60
    return None if wide else middle


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + 180.0) % 360.0 - 180.0


def _east_left(lon: np.ndarray) -> np.ndarray:
    """Longitudes for a map on which they grow to the left of its middle."""
    return -_wrap(np.asarray(lon, float))
