"""A catalog against a published one: what is found again, what is missed, what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalog.build import nearest
from ..catalog.record import Catalog
from ..sky.geometry.frame import lonlat_to_vectors
from ..sky.geometry.latitude import latitude_masks
from .counting import LATITUDE_EDGES, RADII_DEG, SIGNIF_EDGES
from .extended import Extended, extended_lines
from .later import Confirmations, confirm, new_table
from .rates import (
    Rate,
    binned,
    curve_columns,
    point_of_curve,
    rate_of,
    rate_table,
    thresholds_of,
)
from .reference import BRIGHT_SIGMA, ReferenceComparison
from .truth_comparison import EDGE_MARGIN_DEG, place


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`; rates that have nothing to count are NaN.

    Attributes
    ----------
    release : str
        Name of the reference.
    radius_deg : float
        Matching radius.
    n_detections, n_reference : int
        Counted (inside the field).
    summary : mapping of str to Rate
        Matched detections, and detected sources above and below 10 sigma.
    tables : mapping of str to Table
        detected (by sample, latitude and Signif_Avg), detected_b (by sample and abs(b)), curve
        (against the probability threshold), radius (against the matching radius), missed (above
        10 sigma), extended (detections inside extended sources), new (what the reference does
        not have), later (how many of these later releases have), side_by_side.
    """

    release: str
    radius_deg: float
    n_detections: int
    n_reference: int
    summary: Mapping[str, Rate]
    tables: Mapping[str, Table]

    def to_text(self) -> str:
        """A page of text for the analyst."""
        lines = [_summary_text(self.release, self.radius_deg, self.summary)]
        lines += [
            f"  of {row['n']} that are not in {self.release}, {row['release']} adds {row['found']} "
            f"({row['confirmed']:.3f}; by chance {row['confirmed_chance']:.3f})"
            for row in self.tables["later"]
        ]
        lines += extended_lines(self.tables["extended"])
        missed = self.tables["missed"]
        lines.append(f"  missed above {BRIGHT_SIGMA:g} sigma: {len(missed)}")
        for row in missed[:10]:
            lines.append(
                f"    {row['Name']:<19} {row['Signif_Avg']:6.1f} sigma at "
                f"({row['GLON']:.2f}, {row['GLAT']:+.2f}), nearest detection "
                f"{_degrees(row['Sep_detection_deg'])}, nearest brighter source "
                f"{_degrees(row['Sep_brighter_deg'])}"
            )
        return "\n".join(lines)


def _summary_text(release: str, radius_deg: float, summary: Mapping[str, Rate]) -> str:
    matched, detected = summary["matched"], summary["detected"]
    lines = [
        f"against {release} within {radius_deg:g} deg: {matched.total} "
        f"detections, {detected.total} {release} sources"
    ]
    return "\n".join([*lines, *(f"  {name:<42} {rate}" for name, rate in summary.items())])


def _degrees(separation: float) -> str:
    return f"at {separation:.2f} deg" if np.isfinite(separation) else "none"


def compare(
    catalog: Catalog,
    reference: Table,
    radius_deg: float = 0.3,
    later: Sequence[Table] = (),
) -> Comparison:
    """Compare a catalog of the real sky with a LAT catalog.

    Parameters
    ----------
    catalog : Catalog
        May be empty. Where it covers a field only, reference sources and detections outside
        it or within half a degree of its edge are not counted.
    reference : astropy Table
        From `load_release`.
    radius_deg : float
        Matching radius.
    later : sequence of astropy Table
        Later releases in order of time, in which detections that the reference does not have
        are looked up.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        When the radius is out of range.
    """
    comparison = ReferenceComparison(catalog, reference, radius_deg)
    confirmed = confirm(comparison, later)
    return Comparison(
        release=_name_of(reference),
        radius_deg=radius_deg,
        n_detections=int(comparison.counted_detections.sum()),
        n_reference=int(comparison.counted_reference.sum()),
        summary=_rates_at(comparison, -np.inf),
        tables={
            **_detected_tables(comparison),
            "curve": _curve(comparison),
            "radius": _radius_table(comparison),
            "missed": _missed_table(comparison),
            "extended": _extended(reference).table(catalog, radius_deg, EDGE_MARGIN_DEG),
            "new": new_table(comparison, confirmed),
            "later": confirmed.table,
            "side_by_side": _side_by_side(comparison, confirmed),
        },
    )


def comparison_text(catalog: Catalog, reference: Table, radius_deg: float) -> str:
    """The matched shares within a radius; errors as `compare`."""
    comparison = ReferenceComparison(catalog, reference, radius_deg)
    return _summary_text(_name_of(reference), radius_deg, _rates_at(comparison, -np.inf))


def _name_of(reference: Table) -> str:
    return str(reference.meta.get("RELEASE", "the reference"))


def _rates_at(comparison: ReferenceComparison, threshold: float) -> dict[str, Rate]:
    keep = comparison.probability >= threshold
    matches = comparison.matcher.match(keep)
    chance_reference, chance_detection = comparison.matcher.chance(keep)
    matched = matches.truth_of_detection >= 0
    rates = {"matched": rate_of(matched, comparison.counted_detections & keep, chance_detection)}
    for name, group in comparison.groups().items():
        rates[name] = rate_of(matches.truth_found, group, chance_reference)
    return rates


def _curve(comparison: ReferenceComparison) -> Table:
    """One row for every probability: detections, those matched, and sources detected."""
    thresholds = thresholds_of(comparison.probability[comparison.counted_detections])
    scan = comparison.matcher.scan(comparison.probability)
    matched = scan.detection_rate(comparison.counted_detections, thresholds)
    columns = {
        "threshold": thresholds, "n_detections": matched.total, "n_matched": matched.found,
        **curve_columns("matched", matched),
    }  # fmt: skip
    for name, group in comparison.groups().items():
        columns |= curve_columns(name, scan.truth_rate(group, thresholds))
    return Table(columns)


def _radius_table(comparison: ReferenceComparison) -> Table:
    """Matched shares against the matching radius, one row a radius."""
    rows = []
    everything = np.array([-np.inf])
    for radius in RADII_DEG:
        scan = ReferenceComparison(comparison.catalog, comparison.reference, radius).matcher.scan(
            comparison.probability
        )
        matched = scan.detection_rate(comparison.counted_detections, everything)
        cells = point_of_curve("matched", matched)
        for name, group in comparison.groups().items():
            cells |= point_of_curve(name, scan.truth_rate(group, everything))
        rows.append({"radius_deg": radius} | cells)
    return Table(rows=rows)


def _detected_tables(comparison: ReferenceComparison) -> dict[str, Table]:
    """Detected shares by sample, band and Signif_Avg, and by sample, brightness and abs(b)."""
    lat = comparison.place[1]
    rows = {
        "detected": [
            (
                {"sample": sample, "band": band} | labels,
                chosen & mask & inside & comparison.counted_reference,
            )
            for sample, chosen in comparison.samples().items()
            for band, mask in latitude_masks(lat).items()
            for labels, inside in binned(comparison.signif, SIGNIF_EDGES, "Signif")
        ],
        "detected_b": [
            ({"sample": sample, "group": group} | labels, chosen & mask & inside)
            for sample, chosen in comparison.samples().items()
            for group, mask in comparison.groups().items()
            for labels, inside in binned(np.abs(lat), LATITUDE_EDGES, "b")
        ],
    }
    found, chance = comparison.matches.truth_found, comparison.chance_reference
    return {name: rate_table(some, found, chance, "detected") for name, some in rows.items()}


def _missed_table(comparison: ReferenceComparison) -> Table:
    """Counted reference sources above 10 sigma without a detection, brightest first."""
    missed = (
        comparison.counted_reference
        & ~comparison.matches.truth_found
        & (comparison.signif > BRIGHT_SIGMA)
    )
    index = np.flatnonzero(missed)
    index = index[np.argsort(-comparison.signif[index], kind="stable")]
    lon, lat = (values[index] for values in comparison.place)
    to_detection = np.full(len(index), np.nan)
    if len(index) and len(comparison.probability):
        _, to_detection = nearest(lon, lat, *comparison.found_place)
    reference = comparison.reference[index]
    return Table(
        {
            "Name": comparison.text("Source_Name")[index],
            "GLON": lon,
            "GLAT": lat,
            "Signif_Avg": comparison.signif[index],
            "Class": comparison.text("CLASS1")[index],
            "Extended_Source_Name": comparison.text("Extended_Source_Name")[index],
            "Flags": (
                np.asarray(reference["Flags"])
                if "Flags" in reference.colnames
                else np.zeros(len(index), int)
            ),
            "Sep_detection_deg": to_detection,
            "Sep_brighter_deg": _to_brighter(comparison, index),
        }
    )


def _to_brighter(comparison: ReferenceComparison, index: np.ndarray) -> np.ndarray:
    """Distances (M,) of reference sources to their nearest brighter one; NaN where none is."""
    vectors = lonlat_to_vectors(*comparison.place)
    nearest_deg = np.full(len(index), np.nan)
    for row, source in enumerate(index):
        brighter = vectors[comparison.signif > comparison.signif[source]]
        if len(brighter):
            chord = np.sqrt(((brighter - vectors[source]) ** 2).sum(axis=1).min())
            nearest_deg[row] = np.degrees(2.0 * np.arcsin(chord / 2.0))
    return nearest_deg


def _extended(reference: Table) -> Extended:
    """The extended sources of a release; none where it describes none."""
    extents = reference.meta.get("EXTENTS", {})
    if "Extended_Source_Name" not in reference.colnames:
        extents = {}
    names = np.array([""] * len(reference), dtype="U24")
    if extents:
        names = np.char.strip(np.asarray(reference["Extended_Source_Name"]).astype("U24"))
    index = np.flatnonzero(np.isin(names, list(extents)))
    extent = np.array([extents[name] for name in names[index].tolist()], dtype=float)
    lon, lat = (values[index] for values in place(reference))
    return Extended(names[index], lon, lat, extent)


def _side_by_side(comparison: ReferenceComparison, confirmed: Confirmations) -> Table:
    """Detections in falling probability with their 4FGL partner, then what was missed.

    LON and LAT are the detection's, GLON, GLAT and Name the reference's; blank or NaN where
    the other list has nothing. Later_Release and Later_Name tell who lists a detection that the
    reference does not have.
    """
    partner = comparison.matches.truth_of_detection
    ours = np.flatnonzero(comparison.counted_detections)
    ours = ours[np.argsort(-comparison.probability[ours], kind="stable")]
    alone = np.flatnonzero(comparison.counted_reference & ~comparison.matches.truth_found)
    alone = alone[np.argsort(-comparison.signif[alone], kind="stable")]
    theirs = np.concatenate([partner[ours], alone]).astype(int)
    separation = np.full(len(comparison.probability), np.nan)
    separation[comparison.matches.detection] = comparison.matches.separation_deg

    def of_detection(values: np.ndarray, empty: float | str | bool) -> np.ndarray:
        return np.concatenate([values[ours], np.full(len(alone), empty, dtype=values.dtype)])

    def of_reference(values: np.ndarray, empty: float | str) -> np.ndarray:
        filled = np.full(len(theirs), empty, dtype=values.dtype)
        filled[theirs >= 0] = values[theirs[theirs >= 0]]
        return filled

    table = comparison.catalog.table
    return Table(
        {
            "Probability": of_detection(comparison.probability, np.nan),
            "LON": of_detection(comparison.found_place[0], np.nan),
            "LAT": of_detection(comparison.found_place[1], np.nan),
            "GLON": of_reference(comparison.place[0], np.nan),
            "GLAT": of_reference(comparison.place[1], np.nan),
            "Name": of_reference(comparison.text("Source_Name"), ""),
            "Class": of_detection(np.asarray(table["CLASS1"], dtype="U5"), ""),
            "Fake": of_detection(np.asarray(table["Fake"], dtype=bool), False),
            "Sep_deg": of_detection(separation, np.nan),
            "Signif_Avg": of_reference(comparison.signif, np.nan),
            "Class_4FGL": of_reference(comparison.text("CLASS1"), ""),
            "Later_Release": of_detection(confirmed.release, ""),
            "Later_Name": of_detection(confirmed.name, ""),
        }
    )
