"""The numbers a finder is judged by: what it finds, and how well it points, at one purity.

The list is cut at the lowest probability at which it is pure enough, once for the whole sky
and once for each part of it by itself. Every probability in the list is tried.
"""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from .positions import offsets, pair_table
from .rates import bin_name, binned, curve_columns, point_of_curve, thresholds_of, with_error
from .truth_comparison import Cut, TruthComparison

TS_EDGES = (9.0, 16.0, 25.0, 36.0, 64.0, 100.0, np.inf)
POINTING_TS_EDGES = (25.0, 100.0, 1000.0, np.inf)


def parts_of_sky(lat_deg: np.ndarray) -> dict[str, np.ndarray]:
    """The two halves by latitude, the plane and the whole, as bool arrays."""
    height = np.abs(lat_deg)
    return {
        "|b|>20": height >= 20,
        "|b|<20": height < 20,
        "|b|<5": height < 5,
        "all": np.ones(len(height), dtype=bool),
    }


def threshold_at_purity(curve: Table, wanted: float) -> float:
    """Lowest threshold of a `curve` table whose purity is at least `wanted`; NaN if none."""
    if len(curve) == 0:
        return float("nan")
    enough = np.asarray(curve["purity"]) >= wanted
    return float(np.min(curve["threshold"][enough])) if enough.any() else float("nan")


def cut_for(comparison: TruthComparison, counted: np.ndarray, wanted: float) -> float:
    """Lowest probability at which the detections of a bool mask (M,) are pure enough, or NaN."""
    thresholds = thresholds_of(comparison.probability[counted])
    curve = curve_columns("purity", comparison.visible_scan.detection_rate(counted, thresholds))
    return threshold_at_purity(Table(curve | {"threshold": thresholds}), wanted)


def headline_tables(comparison: TruthComparison, wanted: float) -> dict[str, Table]:
    """Completeness and position errors at a purity.

    Parameters
    ----------
    comparison : TruthComparison
    wanted : float
        Purity, counted against true sources of ideal TS above 9.

    Returns
    -------
    dict
        headline: one row for each part of the sky, way to cut ("whole": the threshold that
        makes the whole list pure enough; "part": that of the part alone) and bin of ideal TS.
        pointing: position errors of the list cut for the whole, by part and ideal TS.
    """
    truths = parts_of_sky(comparison.true_place[1])
    detections = {
        part: mask & comparison.counted_detections
        for part, mask in parts_of_sky(comparison.found_place[1]).items()
    }
    whole = cut_for(comparison, detections["all"], wanted)
    rows = []
    for part, mask in truths.items():
        alone = cut_for(comparison, detections[part], wanted)
        for cut, threshold in (("whole", whole), ("part", alone)):
            rows += completeness_rows(
                comparison, mask & comparison.counted_truth, detections[part], threshold,
                {"part": part, "cut": cut},
            )  # fmt: skip
    return {"headline": Table(rows=rows), "pointing": _pointing(comparison, whole)}


def completeness_rows(
    comparison: TruthComparison,
    truths: np.ndarray,
    detections: np.ndarray,
    threshold: float,
    labels: dict[str, object],
) -> list[dict[str, object]]:
    """One row a bin of ideal TS: completeness of some true sources in a list cut at a threshold.

    Parameters
    ----------
    comparison : TruthComparison
    truths : bool array (N,)
        True sources that are counted.
    detections : bool array (M,)
        Detections by which the purity is counted.
    threshold : float
        Least probability; NaN leaves completeness undefined.
    labels : dict
        First cells of each row.
    """
    at = np.array([np.inf if np.isnan(threshold) else threshold])
    pure = comparison.visible_scan.detection_rate(detections, at)
    purity = point_of_curve("purity", pure)
    rows = []
    for edges, inside in binned(comparison.ts, TS_EDGES, "TS"):
        curve = comparison.scan.truth_rate(truths & inside, at)
        cells = point_of_curve("completeness", curve)
        if np.isnan(threshold):
            # such a purity cannot be had: there is no completeness at it
            cells = dict.fromkeys(cells, np.nan)
        told = {"threshold": threshold, "n_detections": pure.total[0]} | purity
        rows.append(labels | told | edges | {"n": curve.total[0], "found": curve.found[0]} | cells)
    return rows


def _pointing(comparison: TruthComparison, threshold: float) -> Table:
    """Containment radii and mean offsets of the list cut at a threshold."""
    pairs = pair_table(Cut(comparison, -np.inf if np.isnan(threshold) else threshold))
    ts = np.asarray(pairs["Ideal_TS"])
    bins = binned(ts, POINTING_TS_EDGES, "TS") + binned(ts, (9.0, np.inf), "TS")
    return Table(
        rows=[
            {"part": part} | edges | offsets(pairs[mask & inside])
            for part, mask in parts_of_sky(np.asarray(pairs["GLAT"])).items()
            for edges, inside in bins
        ]
    )


def headline_text(tables: dict[str, Table], wanted: float) -> str:
    """Both tables as a page of text."""
    edges = list(zip(TS_EDGES[:-1], TS_EDGES[1:], strict=True))
    names = [bin_name(*pair) for pair in edges]
    lines = [
        f"completeness at purity {wanted:g} by ideal TS",
        f"  {'':<28}" + "".join(f"{name:>15}" for name in names) + "   probability  purity",
    ]
    table = tables["headline"]
    for part in dict.fromkeys(table["part"].tolist()):
        for cut in ("whole", "part") if part != "all" else ("whole",):
            rows = table[(table["part"] == part) & (table["cut"] == cut)]
            label = part if part == "all" else f"{part}, cut for the {cut}"
            lines.append(
                f"  {label:<28}"
                + "".join(f"{with_error(row, 'completeness'):>15}" for row in rows)
                + f"   {rows['threshold'][0]:>11.4f}  {rows['purity'][0]:.4f}"
            )
    lines.append("position errors of the list cut for the whole, deg")
    for row in tables["pointing"][tables["pointing"]["n"] > 0]:
        if row["part"] not in ("|b|>20", "all"):
            continue
        high = row["TS_high_edge"]
        bin_ = f"{row['TS_low_edge']:g}" + (f"-{high:g}" if np.isfinite(high) else " and up")
        lines.append(
            f"  {row['part']:<7} TS {bin_:<12} {row['n']:>5} matches  r68 {row['r68_deg']:.4f} "
            f"({row['r68_low_deg']:.4f}-{row['r68_high_deg']:.4f})  "
            f"mean lon {row['lon_mean_deg']:+.4f}+-{row['lon_mean_error_deg']:.4f}  "
            f"lat {row['lat_mean_deg']:+.4f}+-{row['lat_mean_error_deg']:.4f}"
        )
    return "\n".join(lines)
