"""Figures of the comparison with a LAT catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots import (
    GRAY,
    GREEN,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    Look,
    legend_below,
    panels,
    save,
    style,
)
from .compare import Comparison
from .plots import BANDS, binned_rate, curve_with_band, edges_as_ticks, looks_of, rates_in

Projection = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From Galactic longitude and latitude in degrees to the axes' own coordinates."""

SAMPLES = {
    "all": BANDS["all"],
    "associated": Look(GREEN, "v"),
    "Flags==0": Look(PURPLE, "P"),
    "without c": Look(SKY_BLUE, "X"),
}

LEAST_DRAWN = 50
"""Fewer reference sources leave one to four a bin: `detected.ecsv` tells as much."""


def plot_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Draw curve.png, radius.png, missed.png and, of a large field, detected.png; their paths."""
    with style():
        drawn = {
            "curve": _curve_figure(comparison),
            "radius": _radius_figure(comparison),
            "missed": _missed_figure(comparison),
        }
        if comparison.n_reference >= LEAST_DRAWN:
            drawn = {"detected": _detected_figure(comparison)} | drawn
        return [save(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def _detected_figure(comparison: Comparison) -> Figure:
    figure, axes = panels(2, 2)
    table, by_b = comparison.tables["detected"], comparison.tables["detected_b"]
    for sample in SAMPLES:
        rows = table[(table["sample"] == sample) & (table["band"] == "all")]
        binned_rate(axes[0], rows, "Signif", "detected", SAMPLES, sample)
        for axis, group in zip(axes[2:], ("detected", "detected below 10 sigma"), strict=True):
            rows = by_b[(by_b["sample"] == sample) & (by_b["group"] == group)]
            binned_rate(axis, rows, "b", "detected", SAMPLES, sample, log=False)
            axis.set(xlabel="|b| (deg)", xlim=(0, 90))
    for band in BANDS:
        rows = table[(table["sample"] == "all") & (table["band"] == band)]
        binned_rate(axes[1], rows, "Signif", "detected", BANDS, band)
    for axis in axes[:2]:
        edges_as_ticks(axis, dict.fromkeys(table["Signif_low_edge"].tolist()))
        axis.set(xlabel=f"Signif_Avg in {comparison.release}")
    titles = ("samples", "all, by latitude", "any significance", "below 10 sigma")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(ylabel="detected fraction", title=title)
    figure.suptitle(
        f"{comparison.n_reference} {comparison.release} sources, matched within "
        f"{comparison.radius_deg:g} deg; dotted: by chance"
    )
    legend_below(figure)
    return figure


def _radius_figure(comparison: Comparison) -> Figure:
    figure, (axis,) = panels(1, 1)
    figure.set_size_inches(6.4, 4.8)
    table = comparison.tables["radius"]
    for name, look in looks_of(rates_in(table)).items():
        curve_with_band(axis, table, name, look.color, against="radius_deg")
    axis.set(xlabel="matching radius (deg)", ylabel="rate (dotted: by chance)", ylim=(-0.03, 1.05))
    legend_below(figure, columns=2)
    return figure


def _curve_figure(comparison: Comparison) -> Figure:
    figure, (left, right) = panels(1, 2)
    curve = comparison.tables["curve"]
    if len(curve):
        left.plot(curve["threshold"], curve["n_detections"], "k--", label="detections")
        left.plot(curve["threshold"], curve["n_matched"], "k-", label="matched")
        left.set_yscale("log")
        for name, look in looks_of(rates_in(curve)).items():
            curve_with_band(right, curve, name, look.color)
    left.set(xlabel="probability threshold", ylabel="number of detections")
    right.set(xlabel="probability threshold", ylabel="rate (dotted: by chance)", ylim=(-0.03, 1.05))
    figure.suptitle(f"against {comparison.release}")
    legend_below(figure, columns=2)
    return figure


def _missed_figure(comparison: Comparison) -> Figure:
    """Map of the reference sources above 10 sigma without a detection, and of detections."""
    table, missed = comparison.tables["side_by_side"], comparison.tables["missed"]
    places = [(table["LON"], table["LAT"]), (missed["GLON"], missed["GLAT"])]
    lon = np.concatenate([np.asarray(lon, float) for lon, _ in places])
    lat = np.concatenate([np.asarray(lat, float) for _, lat in places])
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    figure = Figure(figsize=(7.0, 4.6))
    middle = _middle(lon, lat)
    if middle is None:
        axis = figure.add_subplot(projection="aitoff")
        _mark_missed(axis, comparison, lambda x, y: (np.radians(-_wrap(x)), np.radians(y)))
        ticks = np.arange(-120, 121, 60)
        box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
        axis.set_xticks(np.radians(ticks), [f"{-tick % 360}°" for tick in ticks], bbox=box)
        axis.set_axisbelow(False)
        axis.tick_params(labelsize=10)
    else:
        axis = figure.add_subplot()
        _mark_missed(axis, comparison, lambda x, y: (middle + _wrap(x - middle), y))
        axis.invert_xaxis()
        axis.set_aspect(1.0 / max(np.cos(np.radians(np.mean(lat))), 0.1))
        axis.set(xlabel="Galactic longitude (deg)", ylabel="Galactic latitude (deg)")
    axis.set_title(f"{len(missed)} {comparison.release} sources above 10 sigma missed", pad=16)
    legend_below(figure)
    return figure


def _mark_missed(axis: Axes, comparison: Comparison, project: Projection) -> None:
    table, missed = comparison.tables["side_by_side"], comparison.tables["missed"]
    found = table[np.isfinite(table["LON"])]
    x, y = project(np.asarray(found["LON"], float), np.asarray(found["LAT"], float))
    axis.plot(x, y, ".", ms=4 if len(found) < 300 else 1.5, color=GRAY, label="detections")
    x, y = project(np.asarray(missed["GLON"], float), np.asarray(missed["GLAT"], float))
    size = 8.0 * np.sqrt(np.asarray(missed["Signif_Avg"], float)) ** 1.5
    axis.scatter(x, y, s=size, marker="s", facecolors="none", edgecolors=VERMILION, lw=1.5,
                 label="missed, size by significance")  # fmt: skip


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
