"""Figures of the comparison with a LAT catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .compare import Comparison
from .plots import BAND_COLOURS, binned_rate, curve_with_band, edges_as_ticks, save

Projection = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From Galactic longitude and latitude in degrees to the axes' own coordinates."""

SAMPLE_COLOURS = {
    "all": "black",
    "associated": "tab:blue",
    "Flags==0": "tab:green",
    "without c": "tab:orange",
}


def plot_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Draw detected.png, curve.png, radius.png and missed.png into a folder; their paths."""
    return [
        save(_detected_figure(comparison), folder / "detected.png"),
        save(_curve_figure(comparison), folder / "curve.png"),
        save(_radius_figure(comparison), folder / "radius.png"),
        save(_missed_figure(comparison), folder / "missed.png"),
    ]


def _detected_figure(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(13, 10), layout="constrained")
    axes = figure.subplots(2, 2)
    table, by_b = comparison.tables["detected"], comparison.tables["detected_b"]
    for sample in SAMPLE_COLOURS:
        rows = table[(table["sample"] == sample) & (table["band"] == "all")]
        if len(rows):
            binned_rate(axes[0, 0], rows, "Signif", "detected", SAMPLE_COLOURS, sample)
        for axis, group in ((axes[1, 0], "detected"), (axes[1, 1], "detected below 10 sigma")):
            rows = by_b[(by_b["sample"] == sample) & (by_b["group"] == group)]
            if len(rows):
                binned_rate(axis, rows, "b", "detected", SAMPLE_COLOURS, sample, log=False)
            axis.set(xlabel="|b| (deg)", xlim=(0, 90), title=f"{group.removeprefix('detected ')}")
    axes[1, 0].set_title("at any significance")
    for band in BAND_COLOURS:
        rows = table[(table["sample"] == "all") & (table["band"] == band)]
        binned_rate(axes[0, 1], rows, "Signif", "detected", BAND_COLOURS, band)
    for axis in axes[0]:
        edges_as_ticks(axis, dict.fromkeys(table["Signif_low_edge"].tolist()))
        axis.set(xlabel=f"Signif_Avg in {comparison.release}")
    for axis in axes.flat:
        axis.set(ylabel="detected fraction")
        axis.legend(fontsize=8, loc="center right")
    figure.suptitle(
        f"{comparison.n_reference} {comparison.release} sources, matched within "
        f"{comparison.radius_deg:g} deg; dotted: by chance"
    )
    return figure


def _radius_figure(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.add_subplot()
    table = comparison.tables["radius"]
    names = [n.removesuffix("_low") for n in table.colnames if n.endswith("_low")]
    for number, name in enumerate(names):
        curve_with_band(axis, table, name, f"C{number}", against="radius_deg")
    axis.set(xlabel="matching radius (deg)", ylabel="rate (dotted: by chance)", ylim=(-0.03, 1.05))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center right")
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
            curve_with_band(right, curve, name, f"C{number}")
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
