"""Position errors of the matches: how far off, to which side, and whether the ellipse says so."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..sky.geometry.latitude import latitude_masks
from .rates import bin_name, binned, rate_of, with_error
from .truth_comparison import Cut, TruthComparison, column

OFFSET_TS_EDGES = (9.0, 25.0, 64.0, 100.0, 300.0, 1000.0, np.inf)
COVERAGE_TS_EDGES = (9.0, 16.0, 25.0, 36.0, 64.0, 100.0, 1000.0, np.inf)


def pair_table(cut: Cut) -> Table:
    """One row for each match of a list that counts: offsets, TS, and place in the ellipses.

    Returns
    -------
    astropy Table
        Rows of truth and detection, Ideal_TS, GLAT (deg), Probability, the distance on the
        sphere, its parts along longitude (times cos b) and latitude, and the distance in units
        of the 68% and the 95% ellipse, NaN where there is none.
    """
    comparison, matches = cut.comparison, cut.matches
    counts = (
        comparison.counted_truth[matches.truth] & comparison.counted_detections[matches.detection]
    )
    true, found = matches.truth[counts], matches.detection[counts]
    (lon, lat), (det_lon, det_lat) = comparison.true_place, comparison.found_place
    lon_offset = (det_lon[found] - lon[true] + 180.0) % 360.0 - 180.0
    return Table(
        {
            "truth": true,
            "detection": found,
            "Ideal_TS": comparison.ts[true],
            "GLAT": lat[true],
            "Probability": comparison.probability[found],
            "separation_deg": matches.separation_deg[counts],
            "lon_offset_deg": lon_offset * np.cos(np.radians(lat[true])),
            "lat_offset_deg": det_lat[found] - lat[true],
            "ellipse68_radius": _ellipse_radius(comparison, true, found, 68),
            "ellipse95_radius": _ellipse_radius(comparison, true, found, 95),
        }
    )


def _ellipse_radius(
    comparison: TruthComparison, true: np.ndarray, found: np.ndarray, percent: int
) -> np.ndarray:
    """Distance of the truth from a detection in units of its ellipse; NaN without one."""
    table, name = comparison.catalog.table, f"Conf_{percent}"
    found_lon, found_lat = (values[found] for values in comparison.found_place)
    true_lon, true_lat = (values[true] for values in comparison.true_place)
    here = SkyCoord(found_lon, found_lat, unit="deg", frame="galactic").icrs
    there = SkyCoord(true_lon, true_lat, unit="deg", frame="galactic").icrs
    angle = here.position_angle(there).rad - np.radians(column(table, f"{name}_PosAng")[found])
    distance = here.separation(there).deg
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.hypot(
            distance * np.cos(angle) / column(table, f"{name}_SemiMajor")[found],
            distance * np.sin(angle) / column(table, f"{name}_SemiMinor")[found],
        )


def offset_table(pairs: Table) -> Table:
    """Position errors of the matches in bins of ideal TS, and for all above 9, 25, 100, 1000."""
    ts = np.asarray(pairs["Ideal_TS"])
    bins = binned(ts, OFFSET_TS_EDGES[:-1], "TS")
    # everything above an edge, the last bin among them
    bins += [row for low in (9.0, 25.0, 100.0, 1000.0) for row in binned(ts, (low, np.inf), "TS")]
    return Table(
        rows=[
            {"band": band} | labels | offsets(pairs[mask & inside])
            for band, mask in latitude_masks(np.asarray(pairs["GLAT"])).items()
            for labels, inside in bins
        ]
    )


def coverage_table(pairs: Table) -> Table:
    """Share of the true sources inside the 68% and the 95% ellipse, by latitude and ideal TS."""
    ts = np.asarray(pairs["Ideal_TS"])
    bins = binned(ts, COVERAGE_TS_EDGES, "TS") + binned(ts, (COVERAGE_TS_EDGES[0], np.inf), "TS")
    return Table(
        rows=[
            {"band": band} | labels | _inside_ellipses(pairs[mask & inside])
            for band, mask in latitude_masks(np.asarray(pairs["GLAT"])).items()
            for labels, inside in bins
        ]
    )


def coverage_text(table: Table) -> str:
    """A `coverage_table`, a line for each bin of ideal TS, shares by band of latitude."""
    bands = list(dict.fromkeys(table["band"].tolist()))
    lines = []
    for percent in (68, 95):
        lines.append(f"share of true sources inside the {percent}% ellipse, by ideal TS")
        lines.append(f"  {'':<10}" + "".join(f"{band:>20}" for band in bands))
        for row in table[table["band"] == bands[0]]:
            edges = row["TS_low_edge"], row["TS_high_edge"]
            same = (table["TS_low_edge"] == edges[0]) & (table["TS_high_edge"] == edges[1])
            cells = [
                f"{with_error(bin_row, f'in{percent}')} ({bin_row['n']})" for bin_row in table[same]
            ]
            lines.append(f"  {bin_name(*edges):<10}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def offsets(pairs: Table) -> dict[str, float]:
    """Containment radii, mean offsets and ellipse shares of some matches; NaN where too few."""
    n = len(pairs)
    separation = np.asarray(pairs["separation_deg"])
    cells: dict[str, float] = {"n": n}
    for percent in (68, 95):
        cells |= _containment(separation, percent)
    for axis in ("lon", "lat"):
        offset = np.asarray(pairs[f"{axis}_offset_deg"])
        cells[f"{axis}_mean_deg"] = float(offset.mean()) if n else float("nan")
        error = offset.std(ddof=1) / np.sqrt(n) if n > 1 else float("nan")
        cells[f"{axis}_mean_error_deg"] = float(error)
    inside = _inside_ellipses(pairs)
    return cells | {name: inside[name] for name in inside if name != "n"}


def _inside_ellipses(pairs: Table) -> dict[str, float]:
    cells: dict[str, float] = {"n": len(pairs)}
    for percent in (68, 95):
        radius = np.asarray(pairs[f"ellipse{percent}_radius"], float)
        known = np.isfinite(radius)
        rate = rate_of(radius <= 1.0, known, np.full(len(pairs), np.nan))
        low, high = rate.interval
        name = f"in{percent}"
        cells |= {name: rate.value, f"{name}_low": low, f"{name}_high": high}
    return cells


def _containment(separation: np.ndarray, percent: int) -> dict[str, float]:
    """Radius that holds a share of the matches, its error from the order statistics."""
    name, n, share = f"r{percent}", len(separation), percent / 100.0
    if n == 0:
        return {f"{name}_deg": np.nan, f"{name}_low_deg": np.nan, f"{name}_high_deg": np.nan}
    spread = np.sqrt(share * (1.0 - share) / n)
    value, low, high = np.quantile(
        separation, [share, max(share - spread, 0.0), min(share + spread, 1.0)]
    )
    return {f"{name}_deg": value, f"{name}_low_deg": low, f"{name}_high_deg": high}


def offset_line(row: Mapping[str, float]) -> str:
    """A row of `offset_table` in words."""
    return (
        f"  offsets {row['band']}, TS > {row['TS_low_edge']:g}: {row['n']} matches, "
        f"r68 {row['r68_deg']:.4f}, r95 {row['r95_deg']:.4f} deg, "
        f"mean lon {row['lon_mean_deg']:+.4f}+-{row['lon_mean_error_deg']:.4f}, "
        f"lat {row['lat_mean_deg']:+.4f}+-{row['lat_mean_error_deg']:.4f}, "
        f"within 68% ellipse {row['in68']:.2f}, 95% {row['in95']:.2f}"
    )
