"""Purity, completeness and position errors of a catalog whose truth is known.

Truth for purity is every simulated source of ideal TS above 9. Completeness is counted in
flux, ideal TS, latitude and, for sources taken from 4FGL-DR2, its significance there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..catalog.record import Catalog
from ..errors import InputError
from .match import Matcher, Matches, field_shifts
from .rates import Rate, binned, latitude_bands, rate_of, rate_table, thresholds_of

VISIBLE_TS = 9.0
"""A detection of a source above this is no false one."""

FLUX_EDGES = (0.0, *(float(f) for f in 10.0 ** np.arange(-11.0, -7.9, 0.25)), np.inf)
"""Photon flux 1 to 100 GeV, cm-2 s-1."""

TS_EDGES = (9.0, 16.0, 25.0, 36.0, 64.0, 100.0, np.inf)
SIGNIF_EDGES = (4.0, 5.0, 7.0, 10.0, 20.0, 40.0, np.inf)
OFFSET_TS_EDGES = (9.0, 25.0, 64.0, 100.0, 300.0, 1000.0, np.inf)
PROBABILITY_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)

EDGE_MARGIN_DEG = 0.5
"""What lies nearer to the edge of a field is not counted: the catalog flags it."""

TRUTH_COLUMNS = ("GLON", "GLAT", "Flux1000", "Ideal_TS")


@dataclass(frozen=True)
class Scores:
    """Result of `score`; rates that have nothing to count are NaN.

    Attributes
    ----------
    radius_deg : float
        Matching radius.
    n_detections, n_truth : int
        Counted (inside the field) and matched against each other.
    threshold : float
        Lowest probability at which the purity reaches `purity_wanted`; NaN where never.
    summary : mapping of str to Rate
        Purity and completeness of the list as it is and cut at `threshold`.
    tables : mapping of str to Table
        completeness_flux, completeness_ts, completeness_latitude, completeness_signif,
        purity, curve, offsets, and pairs (one row for each match).
    """

    radius_deg: float
    purity_wanted: float
    n_detections: int
    n_truth: int
    threshold: float
    summary: Mapping[str, Rate]
    tables: Mapping[str, Table]

    def to_tables(self) -> dict[str, Table]:
        """The tables by name."""
        return dict(self.tables)

    def to_text(self, brief: bool = False) -> str:
        """A page of text for the analyst; `brief` leaves out the offsets."""
        lines = [
            f"matched within {self.radius_deg:g} deg: {self.n_detections} detections, "
            f"{self.n_truth} true sources"
        ]
        lines += [f"  {name:<42} {rate}" for name, rate in self.summary.items()]
        if np.isfinite(self.threshold):
            lines.append(
                f"purity {self.purity_wanted:g} is reached at probability {self.threshold:.3f}"
            )
        else:
            lines.append(f"purity {self.purity_wanted:g} is not reached at any probability")
        table = self.tables["offsets"]
        for row in table[(table["TS_high_edge"] == np.inf) & (table["n"] > 0)]:
            told = row["band"] in ("all", "|b|>20") and row["TS_low_edge"] in (9, 100)
            if told and not brief:
                lines.append(_offset_line(row))
        return "\n".join(lines)


def score(
    catalog: Catalog, truth: Table, radius_deg: float = 0.3, *, purity_wanted: float = 0.95
) -> Scores:
    """Score a catalog of a simulated sky.

    Parameters
    ----------
    catalog : Catalog
        May be empty. Where it covers a field only, what lies outside or within half a
        degree of the field's edge is matched but not counted.
    truth : astropy Table
        GLON, GLAT (deg), Flux1000 (cm-2 s-1), Ideal_TS, and where known Signif_Avg; may be
        empty.
    radius_deg : float
        Matching radius.
    purity_wanted : float
        For which the probability threshold is sought.

    Returns
    -------
    Scores

    Raises
    ------
    InputError
        When the truth lacks a column or the radius is out of range.
    """
    missing = [name for name in TRUTH_COLUMNS if name not in truth.colnames]
    if missing:
        raise InputError(f"the truth has no column {', '.join(missing)}")
    bench = _Bench(catalog, truth, radius_deg)
    curve = _curve(bench)
    threshold = threshold_at_purity(curve, purity_wanted)
    return Scores(
        radius_deg=radius_deg,
        purity_wanted=purity_wanted,
        n_detections=int(bench.counted_detections.sum()),
        n_truth=int(bench.counted_truth.sum()),
        threshold=threshold,
        summary=_summary(bench, threshold),
        tables={
            **_completeness_tables(bench),
            "purity": _purity_table(bench),
            "curve": curve,
            "offsets": _offset_table(bench),
            "pairs": _pair_table(bench),
        },
    )


def threshold_at_purity(curve: Table, wanted: float) -> float:
    """Lowest threshold of a `curve` table whose purity is at least `wanted`; NaN if none."""
    if len(curve) == 0:
        return float("nan")
    enough = np.flatnonzero(np.asarray(curve["purity"]) >= wanted)
    return float(curve["threshold"][enough[0]]) if enough.size else float("nan")


class _Bench:
    """Columns of catalog and truth as arrays, matched once and for all thresholds."""

    def __init__(self, catalog: Catalog, truth: Table, radius_deg: float) -> None:
        table = catalog.table
        self.catalog = catalog
        self.probability = _column(table, "Probability")
        self.det_lon, self.det_lat = _column(table, "GLON"), _column(table, "GLAT")
        self.lon, self.lat = _column(truth, "GLON"), _column(truth, "GLAT")
        self.flux, self.ts = _column(truth, "Flux1000"), _column(truth, "Ideal_TS")
        self.signif = _column(truth, "Signif_Avg")
        self.counted_truth = catalog.covers(self.lon, self.lat, EDGE_MARGIN_DEG)
        self.counted_detections = catalog.covers(self.det_lon, self.det_lat, EDGE_MARGIN_DEG)
        # brightest by ideal TS: then no invisible source takes the detection of a visible
        # one, and the same matches serve purity and completeness
        self.matcher = Matcher(
            self.lon,
            self.lat,
            self.ts,
            self.det_lon,
            self.det_lat,
            radius_deg,
            field_shifts(catalog.coverage),
            None if catalog.coverage is None else catalog.covers,
        )
        self.visible_matcher = Matcher(
            self.lon[self.ts > VISIBLE_TS],
            self.lat[self.ts > VISIBLE_TS],
            self.ts[self.ts > VISIBLE_TS],
            self.det_lon,
            self.det_lat,
            radius_deg,
            self.matcher.shifts_deg,
            self.matcher.inside,
        )
        self.matches: Matches = self.matcher.match()
        self.chance_truth, _ = self.matcher.chance()
        self.true_detection = self.visible_matcher.match().truth_of_detection >= 0
        _, self.chance_detection = self.visible_matcher.chance()

    def samples(self) -> dict[str, np.ndarray]:
        """Groups of true sources whose completeness is followed."""
        groups = {f"ideal TS > {ts:g}": self.ts > ts for ts in (9, 25, 100)}
        return groups | {
            "4FGL sigma > 10": self.signif > 10,
            "4FGL sigma < 10": self.signif <= 10,
        }


def _summary(bench: _Bench, threshold: float) -> dict[str, Rate]:
    summary = _rates_at(bench, -np.inf)
    if np.isfinite(threshold):
        cut = _rates_at(bench, threshold)
        summary |= {f"{name} [p >= {threshold:.3f}]": rate for name, rate in cut.items()}
    return summary


def _rates_at(bench: _Bench, threshold: float) -> dict[str, Rate]:
    """Purity and completeness of the detections from a probability up."""
    keep = bench.probability >= threshold
    true = bench.visible_matcher.match(keep).truth_of_detection >= 0
    _, chance_detection = bench.visible_matcher.chance(keep)
    rates = {"purity": rate_of(true, bench.counted_detections & keep, chance_detection)}
    found = bench.matcher.match(keep).truth_found
    chance_truth, _ = bench.matcher.chance(keep)
    for name, group in bench.samples().items():
        rates[f"completeness, {name}"] = rate_of(found, group & bench.counted_truth, chance_truth)
    return rates


def _curve(bench: _Bench) -> Table:
    """One row a threshold: number of detections, purity, completeness of each sample."""
    rows = []
    for threshold in thresholds_of(bench.probability[bench.counted_detections]):
        rates = _rates_at(bench, threshold)
        row: dict[str, float] = {"threshold": threshold, "n_detections": rates["purity"].total}
        for name, rate in rates.items():
            row |= rate.columns(name)
        rows.append(row)
    return Table(rows=rows) if rows else Table(names=["threshold", "n_detections", "purity"])


def _completeness_tables(bench: _Bench) -> dict[str, Table]:
    bands = {k: v & bench.counted_truth for k, v in latitude_bands(bench.lat).items()}
    tables = {}
    for name, label, values, edges in (
        ("completeness_flux", "Flux1000", bench.flux, FLUX_EDGES),
        ("completeness_ts", "TS", bench.ts, TS_EDGES),
        ("completeness_signif", "Signif", bench.signif, SIGNIF_EDGES),
    ):
        rows = [
            ({"band": band} | labels, inside & mask)
            for band, mask in bands.items()
            for labels, inside in binned(values, edges, label)
        ]
        tables[name] = rate_table(
            rows, bench.matches.truth_found, bench.chance_truth, "completeness"
        )
    rows = [
        ({"band": band, "sample": sample}, mask & group)
        for sample, group in bench.samples().items()
        for band, mask in bands.items()
    ]
    tables["completeness_latitude"] = rate_table(
        rows, bench.matches.truth_found, bench.chance_truth, "completeness"
    )
    return tables


def _purity_table(bench: _Bench) -> Table:
    """Purity by latitude, and within bins of probability."""
    rows = [
        (
            {"band": band, "probability_low_edge": 0.0, "probability_high_edge": 1.01},
            mask & bench.counted_detections,
        )
        for band, mask in latitude_bands(bench.det_lat).items()
    ]
    rows += [
        ({"band": "all"} | labels, inside & bench.counted_detections)
        for labels, inside in binned(bench.probability, PROBABILITY_EDGES, "probability")
    ]
    return rate_table(rows, bench.true_detection, bench.chance_detection, "purity")


def _pair_table(bench: _Bench) -> Table:
    """One row for each match that counts: offsets, TS, and the place in the error ellipse."""
    matches = bench.matches
    counts = bench.counted_truth[matches.truth] & bench.counted_detections[matches.detection]
    true, found = matches.truth[counts], matches.detection[counts]
    lon_offset = (bench.det_lon[found] - bench.lon[true] + 180.0) % 360.0 - 180.0
    return Table(
        {
            "truth": true,
            "detection": found,
            "Ideal_TS": bench.ts[true],
            "GLAT": bench.lat[true],
            "separation_deg": matches.separation_deg[counts],
            "lon_offset_deg": lon_offset * np.cos(np.radians(bench.lat[true])),
            "lat_offset_deg": bench.det_lat[found] - bench.lat[true],
            "ellipse68_radius": _ellipse_radius(bench, true, found),
        }
    )


def _ellipse_radius(bench: _Bench, true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Distance of the truth from a detection in units of the 68% ellipse; NaN without one."""
    table = bench.catalog.table
    here = SkyCoord(bench.det_lon[found], bench.det_lat[found], unit="deg", frame="galactic").icrs
    there = SkyCoord(bench.lon[true], bench.lat[true], unit="deg", frame="galactic").icrs
    angle = here.position_angle(there).rad - np.radians(_column(table, "Conf_68_PosAng")[found])
    distance = here.separation(there).deg
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.hypot(
            distance * np.cos(angle) / _column(table, "Conf_68_SemiMajor")[found],
            distance * np.sin(angle) / _column(table, "Conf_68_SemiMinor")[found],
        )


def _offset_table(bench: _Bench) -> Table:
    """Position errors of the matches in bins of ideal TS, and for all above 9, 25, 100."""
    pairs = _pair_table(bench)
    ts = np.asarray(pairs["Ideal_TS"])
    bins = binned(ts, OFFSET_TS_EDGES[:-1], "TS")
    # everything above an edge, the last bin among them
    bins += [row for low in (9.0, 25.0, 100.0, 1000.0) for row in binned(ts, (low, np.inf), "TS")]
    bands = latitude_bands(np.asarray(pairs["GLAT"]))
    rows = []
    for band, mask in bands.items():
        for labels, inside in bins:
            rows.append({"band": band} | labels | _offsets(pairs[mask & inside]))
    return Table(rows=rows)


def _offsets(pairs: Table) -> dict[str, float]:
    """Containment radii and mean offsets of some matches; NaN where too few."""
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
    radius = np.asarray(pairs["ellipse68_radius"])
    known = np.isfinite(radius)
    # a 2D Gaussian holds 1 - 0.32**(r**2) within r of its 68% ellipses
    for percent, limit in ((68, 1.0), (95, float(np.sqrt(np.log(0.05) / np.log(0.32))))):
        rate = Rate(int((radius[known] <= limit).sum()), int(known.sum()))
        low, high = rate.interval
        cells |= {f"in{percent}": rate.value, f"in{percent}_low": low, f"in{percent}_high": high}
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


def _offset_line(row: Mapping[str, float]) -> str:
    return (
        f"  offsets {row['band']}, TS > {row['TS_low_edge']:g}: {row['n']} matches, "
        f"r68 {row['r68_deg']:.4f}, r95 {row['r95_deg']:.4f} deg, "
        f"mean lon {row['lon_mean_deg']:+.4f}+-{row['lon_mean_error_deg']:.4f}, "
        f"lat {row['lat_mean_deg']:+.4f}+-{row['lat_mean_error_deg']:.4f}, "
        f"within 68% ellipse {row['in68']:.2f}, 95% {row['in95']:.2f}"
    )


def _column(table: Table, name: str) -> np.ndarray:
    """A column as plain floats, masked or absent values as NaN."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    values = table[name]
    values = values.filled(np.nan) if hasattr(values, "filled") else values
    return np.asarray(values, dtype=float)
