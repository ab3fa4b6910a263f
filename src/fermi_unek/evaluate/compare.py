"""A catalog against a published one: what is found again, what is missed, what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalog.build import nearest
from ..catalog.record import Catalog
from ..sky.frame import lonlat_to_vectors
from .bench import EDGE_MARGIN_DEG
from .counting import SIGNIF_EDGES
from .match import Matcher, Matches, field_shifts
from .rates import Rate, binned, curve_columns, latitude_bands, rate_of, rate_table, thresholds_of

BRIGHT_SIGMA = 10.0
"""Sources above this that are missed are listed and mapped."""


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
        detected (by sample, latitude and Signif_Avg), curve (against the probability
        threshold), missed (above 10 sigma), side_by_side.
    """

    release: str
    radius_deg: float
    n_detections: int
    n_reference: int
    summary: Mapping[str, Rate]
    tables: Mapping[str, Table]

    def to_tables(self) -> dict[str, Table]:
        """The tables by name."""
        return dict(self.tables)

    def to_text(self, brief: bool = False) -> str:
        """A page of text for the analyst; `brief` leaves out what was missed."""
        lines = [
            f"against {self.release} within {self.radius_deg:g} deg: {self.n_detections} "
            f"detections, {self.n_reference} {self.release} sources"
        ]
        lines += [f"  {name:<42} {rate}" for name, rate in self.summary.items()]
        missed = self.tables["missed"]
        lines.append(f"  missed above {BRIGHT_SIGMA:g} sigma: {len(missed)}")
        for row in () if brief else missed[:10]:
            lines.append(
                f"    {row['Name']:<19} {row['Signif_Avg']:6.1f} sigma at "
                f"({row['GLON']:.2f}, {row['GLAT']:+.2f}), nearest detection "
                f"{_degrees(row['Sep_detection_deg'])}, nearest brighter source "
                f"{_degrees(row['Sep_brighter_deg'])}"
            )
        return "\n".join(lines)


def _degrees(separation: float) -> str:
    return f"at {separation:.2f} deg" if np.isfinite(separation) else "none"


def compare(catalog: Catalog, reference: Table, radius_deg: float = 0.3) -> Comparison:
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

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        When the radius is out of range.
    """
    bench = _Bench(catalog, reference, radius_deg)
    return Comparison(
        release=str(reference.meta.get("RELEASE", "the reference")),
        radius_deg=radius_deg,
        n_detections=int(bench.counted_detections.sum()),
        n_reference=int(bench.counted_reference.sum()),
        summary=_rates_at(bench, -np.inf),
        tables={
            "detected": _detected_table(bench),
            "curve": _curve(bench),
            "missed": _missed_table(bench),
            "side_by_side": _side_by_side(bench),
        },
    )


class _Bench:
    """Columns of both catalogs as arrays, matched."""

    def __init__(self, catalog: Catalog, reference: Table, radius_deg: float) -> None:
        self.catalog, self.reference = catalog, reference
        self.probability = np.asarray(catalog.table["Probability"], float)
        self.det_lon, self.det_lat = _place(catalog.table)
        self.lon, self.lat = _place(reference)
        self.signif = np.asarray(reference["Signif_Avg"], float)
        self.counted_reference = catalog.covers(self.lon, self.lat, EDGE_MARGIN_DEG)
        self.counted_detections = catalog.covers(self.det_lon, self.det_lat, EDGE_MARGIN_DEG)
        self.matcher = Matcher(
            self.lon,
            self.lat,
            self.signif,
            self.det_lon,
            self.det_lat,
            radius_deg,
            field_shifts(catalog.coverage),
            None if catalog.coverage is None else catalog.covers,
        )
        self.matches: Matches = self.matcher.match()
        self.chance_reference, _ = self.matcher.chance()

    def groups(self) -> dict[str, np.ndarray]:
        """Counted reference sources: all, and those above and below 10 sigma."""
        counted = self.counted_reference
        return {
            "detected": counted,
            "detected above 10 sigma": counted & (self.signif > BRIGHT_SIGMA),
            "detected below 10 sigma": counted & (self.signif <= BRIGHT_SIGMA),
        }

    def samples(self) -> dict[str, np.ndarray]:
        """The four samples, those left out whose column the reference does not have."""
        table = self.reference
        names = np.asarray(table["Source_Name"], dtype=str)
        samples = {"all": np.ones(len(table), dtype=bool)}
        if "ASSOC1" in table.colnames:
            samples["associated"] = np.asarray(table["ASSOC1"], dtype=str) != ""
        if "Flags" in table.colnames:
            samples["Flags==0"] = np.asarray(table["Flags"]) == 0
        samples["without c"] = ~np.char.endswith(names, "c")
        return samples


def _place(table: Table) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float)


def _rates_at(bench: _Bench, threshold: float) -> dict[str, Rate]:
    keep = bench.probability >= threshold
    matches = bench.matcher.match(keep)
    chance_reference, chance_detection = bench.matcher.chance(keep)
    matched = matches.truth_of_detection >= 0
    rates = {"matched": rate_of(matched, bench.counted_detections & keep, chance_detection)}
    for name, group in bench.groups().items():
        rates[name] = rate_of(matches.truth_found, group, chance_reference)
    return rates


def _curve(bench: _Bench) -> Table:
    """One row for every probability: detections, those matched, and sources detected."""
    thresholds = thresholds_of(bench.probability[bench.counted_detections])
    ladder = bench.matcher.ladder(bench.probability)
    matched = ladder.detection_rate(bench.counted_detections, thresholds)
    columns = {
        "threshold": thresholds, "n_detections": matched.total, "n_matched": matched.found,
        **curve_columns("matched", matched),
    }  # fmt: skip
    for name, group in bench.groups().items():
        columns |= curve_columns(name, ladder.truth_rate(group, thresholds))
    return Table(columns)


def _detected_table(bench: _Bench) -> Table:
    rows = [
        (
            {"sample": sample, "band": band} | labels,
            chosen & mask & inside & bench.counted_reference,
        )
        for sample, chosen in bench.samples().items()
        for band, mask in latitude_bands(bench.lat).items()
        for labels, inside in binned(bench.signif, SIGNIF_EDGES, "Signif")
    ]
    return rate_table(rows, bench.matches.truth_found, bench.chance_reference, "detected")


def _missed_table(bench: _Bench) -> Table:
    """Counted reference sources above 10 sigma without a detection, brightest first."""
    missed = bench.counted_reference & ~bench.matches.truth_found & (bench.signif > BRIGHT_SIGMA)
    index = np.flatnonzero(missed)
    index = index[np.argsort(-bench.signif[index], kind="stable")]
    lon, lat = bench.lon[index], bench.lat[index]
    to_detection = np.full(len(index), np.nan)
    if len(index) and len(bench.det_lon):
        _, to_detection = nearest(lon, lat, bench.det_lon, bench.det_lat)
    reference = bench.reference[index]
    return Table(
        {
            "Name": np.asarray(reference["Source_Name"], dtype="U19"),
            "GLON": lon,
            "GLAT": lat,
            "Signif_Avg": bench.signif[index],
            "Class": _text(reference, "CLASS1"),
            "Extended_Source_Name": _text(reference, "Extended_Source_Name"),
            "Flags": (
                np.asarray(reference["Flags"])
                if "Flags" in reference.colnames
                else np.zeros(len(index), int)
            ),
            "Sep_detection_deg": to_detection,
            "Sep_brighter_deg": _to_brighter(bench, index),
        }
    )


def _to_brighter(bench: _Bench, index: np.ndarray) -> np.ndarray:
    """Distances (M,) of reference sources to their nearest brighter one; NaN where none is."""
    vectors = lonlat_to_vectors(bench.lon, bench.lat)
    nearest_deg = np.full(len(index), np.nan)
    for place, one in enumerate(index):
        brighter = vectors[bench.signif > bench.signif[one]]
        if len(brighter):
            chord = np.sqrt(((brighter - vectors[one]) ** 2).sum(axis=1).min())
            nearest_deg[place] = np.degrees(2.0 * np.arcsin(chord / 2.0))
    return nearest_deg


def _side_by_side(bench: _Bench) -> Table:
    """Detections in falling probability with their 4FGL partner, then what was missed.

    LON and LAT are the detection's, GLON, GLAT and Name the reference's; blank or NaN where
    the other list has nothing.
    """
    table, reference = bench.catalog.table, bench.reference
    partner = bench.matches.truth_of_detection
    ours = np.flatnonzero(bench.counted_detections)
    ours = ours[np.argsort(-bench.probability[ours], kind="stable")]
    alone = np.flatnonzero(bench.counted_reference & ~bench.matches.truth_found)
    alone = alone[np.argsort(-bench.signif[alone], kind="stable")]
    theirs = np.concatenate([partner[ours], alone]).astype(int)
    has_partner = theirs >= 0
    blank = np.full(len(alone), np.nan)
    separation = np.full(len(bench.det_lon), np.nan)
    separation[bench.matches.detection] = bench.matches.separation_deg

    def of_reference(values: np.ndarray, empty: float | str) -> np.ndarray:
        filled = np.full(len(theirs), empty, dtype=values.dtype)
        filled[has_partner] = values[theirs[has_partner]]
        return filled

    return Table(
        {
            "Probability": np.concatenate([bench.probability[ours], blank]),
            "LON": np.concatenate([bench.det_lon[ours], blank]),
            "LAT": np.concatenate([bench.det_lat[ours], blank]),
            "GLON": of_reference(bench.lon, np.nan),
            "GLAT": of_reference(bench.lat, np.nan),
            "Name": of_reference(np.asarray(reference["Source_Name"], dtype=str), ""),
            "Class": np.concatenate(
                [np.asarray(table["CLASS1"], dtype="U5")[ours], np.full(len(alone), "", "U5")]
            ),
            "Fake": np.concatenate(
                [np.asarray(table["Fake"], dtype=bool)[ours], np.zeros(len(alone), bool)]
            ),
            "Sep_deg": np.concatenate([separation[ours], blank]),
            "Signif_Avg": of_reference(bench.signif, np.nan),
            "Class_4FGL": of_reference(_text(reference, "CLASS1"), ""),
        }
    )


def _text(table: Table, name: str) -> np.ndarray:
    """A column of text, blank where the table does not have it."""
    if name not in table.colnames:
        return np.full(len(table), "", dtype="U18")
    return np.asarray(table[name], dtype="U18")
