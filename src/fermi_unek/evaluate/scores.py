"""Purity, completeness and position errors of a catalog whose truth is known.

Truth for purity is every simulated source of ideal TS above 9. Completeness is counted in
flux, ideal TS, latitude and, for sources taken from 4FGL-DR2, its significance there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalog.record import Catalog
from ..errors import InputError
from .counting import calibration_text, completeness_tables, purity_tables, radius_table
from .extended import extended_lines
from .headline import headline_tables, headline_text, threshold_at_purity
from .positions import coverage_table, coverage_text, offset_line, offset_table, pair_table
from .rates import Rate, curve_columns, rate_of, thresholds_of
from .truth_comparison import EDGE_MARGIN_DEG, Cut, TruthComparison

TRUTH_COLUMNS = ("GLON", "GLAT", "Flux1000", "Ideal_TS")

PURITY_WANTED = 0.95
"""What lists are cut at unless another purity is asked for."""


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
        headline and pointing (see `headline_tables`); curve; those of `completeness_tables` and
        `purity_tables` for all detections and, with _cut after their names, for those from
        `threshold` up; radius; offsets, coverage, and pairs (one row for each match); extended
        (detections inside extended sources).
    """

    radius_deg: float
    purity_wanted: float
    n_detections: int
    n_truth: int
    threshold: float
    summary: Mapping[str, Rate]
    tables: Mapping[str, Table]

    def to_text(self) -> str:
        """A page of text for the analyst."""
        lines = [_summary_text(self.radius_deg, self.n_detections, self.n_truth, self.summary)]
        if np.isfinite(self.threshold):
            lines.append(
                f"purity {self.purity_wanted:g} is reached at probability {self.threshold:.4f}"
            )
        else:
            lines.append(f"purity {self.purity_wanted:g} is not reached at any probability")
        table = self.tables["offsets"]
        for row in table[(table["TS_high_edge"] == np.inf) & (table["n"] > 0)]:
            told = row["band"] in ("all", "|b|>20") and row["TS_low_edge"] in (9, 100)
            if told:
                lines.append(offset_line(row))
        lines += extended_lines(self.tables["extended"])
        lines.append(coverage_text(self.tables["coverage"]))
        lines.append(calibration_text(self.tables["calibration"]))
        lines.append(headline_text(dict(self.tables), self.purity_wanted))
        return "\n".join(lines)


def _summary_text(
    radius_deg: float, n_detections: int, n_truth: int, summary: Mapping[str, Rate]
) -> str:
    lines = [
        f"matched within {radius_deg:g} deg: {n_detections} detections, {n_truth} true sources"
    ]
    return "\n".join([*lines, *(f"  {name:<42} {rate}" for name, rate in summary.items())])


def score(
    catalog: Catalog,
    truth: Table,
    radius_deg: float = 0.3,
    *,
    purity_wanted: float = PURITY_WANTED,
) -> Scores:
    """Score a catalog of a simulated sky.

    Parameters
    ----------
    catalog : Catalog
        May be empty. Where it covers a field only, what lies outside or within half a
        degree of the field's edge is matched but not counted.
    truth : astropy Table
        GLON, GLAT (deg), Flux1000 (cm-2 s-1), Ideal_TS, and where known Energy_Flux100
        (erg cm-2 s-1) and Signif_Avg; may be empty.
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
    comparison = _checked_bench(catalog, truth, radius_deg)
    curve = _curve(comparison)
    threshold = threshold_at_purity(curve, purity_wanted)
    whole = Cut(comparison)
    pairs = pair_table(whole)
    tables = headline_tables(comparison, purity_wanted) | {"curve": curve}
    tables |= completeness_tables(whole) | purity_tables(whole)
    known = np.isfinite(threshold)
    cut = Cut(comparison, threshold if known else np.inf)
    for name, table in (completeness_tables(cut) | purity_tables(cut)).items():
        # at a purity that cannot be had there is nothing to tell
        tables[f"{name}_cut"] = table if known else table[:0]
    lists = {"all": -np.inf, f"purity {purity_wanted:g}": threshold}
    return Scores(
        radius_deg=radius_deg,
        purity_wanted=purity_wanted,
        n_detections=int(comparison.counted_detections.sum()),
        n_truth=int(comparison.counted_truth.sum()),
        threshold=threshold,
        summary=_summary(comparison, threshold),
        tables=tables
        | {
            "radius": radius_table(comparison, lists),
            "offsets": offset_table(pairs),
            "coverage": coverage_table(pairs),
            "pairs": pairs,
            "extended": comparison.extended.table(catalog, 0.0, EDGE_MARGIN_DEG),
        },
    )


def summary_text(catalog: Catalog, truth: Table, radius_deg: float) -> str:
    """Purity and completeness of all detections within a radius; errors as `score`."""
    comparison = _checked_bench(catalog, truth, radius_deg)
    counted = int(comparison.counted_detections.sum()), int(comparison.counted_truth.sum())
    return _summary_text(radius_deg, *counted, _rates_at(comparison, -np.inf))


def _checked_bench(catalog: Catalog, truth: Table, radius_deg: float) -> TruthComparison:
    missing = [name for name in TRUTH_COLUMNS if name not in truth.colnames]
    if missing:
        raise InputError(f"the truth has no column {', '.join(missing)}")
    return TruthComparison(catalog, truth, radius_deg)


def _summary(comparison: TruthComparison, threshold: float) -> dict[str, Rate]:
    summary = _rates_at(comparison, -np.inf)
    if np.isfinite(threshold):
        cut = _rates_at(comparison, threshold)
        summary |= {f"{name} [p >= {threshold:.3f}]": rate for name, rate in cut.items()}
    return summary


def _rates_at(comparison: TruthComparison, threshold: float) -> dict[str, Rate]:
    """Purity and completeness of the detections from a probability up."""
    cut = Cut(comparison, threshold)
    rates = {"purity": rate_of(cut.true_detection, cut.counted, cut.chance_detection)}
    for name, group in comparison.samples().items():
        rates[f"completeness, {name}"] = rate_of(
            cut.matches.truth_found, group & comparison.counted_truth, cut.chance_truth
        )
    return rates


def _curve(comparison: TruthComparison) -> Table:
    """One row for every probability: number of detections, purity, completeness of samples."""
    thresholds = thresholds_of(comparison.probability[comparison.counted_detections])
    pure = comparison.visible_scan.detection_rate(comparison.counted_detections, thresholds)
    columns = {"threshold": thresholds, "n_detections": pure.total}
    columns |= curve_columns("purity", pure)
    for name, group in comparison.samples().items():
        found = comparison.scan.truth_rate(group & comparison.counted_truth, thresholds)
        columns |= curve_columns(f"completeness, {name}", found)
    return Table(columns)
