"""A catalog and its truth as arrays, and lists cut from it with their matches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.table import Table

from ..catalog.build import nearest
from ..catalog.record import Catalog
from .extended import Extended
from .match import Matcher, Matches, field_shifts
from .threshold_scan import ThresholdScan

VISIBLE_TS = 9.0
"""A detection of a source above this is no false one."""

EDGE_MARGIN_DEG = 0.5
"""What lies nearer to the edge of a field is not counted: the catalog flags it."""


@dataclass(frozen=True)
class Detections:
    """Columns of a catalog, and what may be matched with it.

    Attributes
    ----------
    catalog : Catalog
    """

    catalog: Catalog

    @cached_property
    def probability(self) -> np.ndarray:
        """Probability (M,) of each detection."""
        return column(self.catalog.table, "Probability")

    @cached_property
    def found_place(self) -> tuple[np.ndarray, np.ndarray]:
        """Galactic longitude and latitude of the detections, degrees."""
        return place(self.catalog.table)

    @cached_property
    def counted_detections(self) -> np.ndarray:
        """Bool array (M,): well inside what was looked at."""
        return self.catalog.covers(*self.found_place, EDGE_MARGIN_DEG)

    def matcher_with(
        self,
        where: tuple[np.ndarray, np.ndarray],
        brightness: np.ndarray,
        radius_deg: float,
    ) -> Matcher:
        """Of the detections with sources at Galactic places, the brightest choosing first."""
        coverage = self.catalog.coverage
        return Matcher(
            *where,
            brightness,
            *self.found_place,
            radius_deg,
            field_shifts(coverage),
            None if coverage is None else self.catalog.covers,
        )


@dataclass(frozen=True)
class TruthComparison(Detections):
    """Columns of catalog and truth, and what matches them.

    Attributes
    ----------
    truth : astropy Table
    radius_deg : float
        Matching radius.
    """

    truth: Table
    radius_deg: float

    @cached_property
    def true_place(self) -> tuple[np.ndarray, np.ndarray]:
        """Galactic longitude and latitude of the true sources, degrees."""
        return place(self.truth)

    @cached_property
    def ts(self) -> np.ndarray:
        """Ideal TS (N,) of the true sources."""
        return column(self.truth, "Ideal_TS")

    @cached_property
    def visible(self) -> np.ndarray:
        """Int array: the true sources whose detections are no false ones."""
        return np.flatnonzero(self.ts > VISIBLE_TS)

    @cached_property
    def counted_truth(self) -> np.ndarray:
        """Bool array (N,): well inside what was looked at."""
        return self.catalog.covers(*self.true_place, EDGE_MARGIN_DEG)

    @cached_property
    def extended(self) -> Extended:
        """The extended sources that the truth lists."""
        return Extended.of_truth(self.truth)

    @cached_property
    def counted_detections(self) -> np.ndarray:
        """Bool array (M,): well inside what was looked at, and not of extended sources.

        A detection inside an extended source is neither true nor false, unless a visible point
        source is within the radius as well: the swarms have a table of their own.
        """
        counted = super().counted_detections
        inside = self.extended.holds(*self.found_place, 0.0).any(axis=0)
        if inside.any() and self.visible.size:
            points = (values[self.visible] for values in self.true_place)
            inside &= nearest(*self.found_place, *points)[1] > self.radius_deg
        return counted & ~inside

    # brightest by ideal TS: then no invisible source takes the detection of a visible one,
    # and the same matches serve purity and completeness

    @cached_property
    def matcher(self) -> Matcher:
        """Of all true sources."""
        return self.matcher_with(self.true_place, self.ts, self.radius_deg)

    @cached_property
    def visible_matcher(self) -> Matcher:
        """Of those above `VISIBLE_TS` alone."""
        lon, lat = (values[self.visible] for values in self.true_place)
        return self.matcher_with((lon, lat), self.ts[self.visible], self.radius_deg)

    @cached_property
    def scan(self) -> ThresholdScan:
        """Matches of all true sources at every threshold."""
        return self.matcher.scan(self.probability)

    @cached_property
    def visible_scan(self) -> ThresholdScan:
        """Matches of the visible ones at every threshold."""
        return self.visible_matcher.scan(self.probability)

    def with_radius(self, radius_deg: float) -> TruthComparison:
        """The same lists matched within another radius."""
        return TruthComparison(self.catalog, self.truth, radius_deg)

    def samples(self) -> dict[str, np.ndarray]:
        """Groups of true sources whose completeness is followed."""
        signif = column(self.truth, "Signif_Avg")
        groups = {f"ideal TS > {ts:g}": self.ts > ts for ts in (9, 25, 100)}
        return groups | {"4FGL sigma > 10": signif > 10, "4FGL sigma < 10": signif <= 10}


@dataclass(frozen=True)
class Cut:
    """The detections from a probability up, and what they match; -inf takes them all.

    Attributes
    ----------
    comparison : TruthComparison
    threshold : float
    """

    comparison: TruthComparison
    threshold: float = -np.inf

    @cached_property
    def kept(self) -> np.ndarray:
        """Bool array (M,): which detections are on the list."""
        return self.comparison.probability >= self.threshold

    @cached_property
    def counted(self) -> np.ndarray:
        """Bool array (M,): which of them count."""
        return self.kept & self.comparison.counted_detections

    @cached_property
    def matches(self) -> Matches:
        """With all true sources."""
        return self.comparison.matcher.match(self.kept)

    @cached_property
    def chance_truth(self) -> np.ndarray:
        """How often (N,) chance alone would match each true source."""
        return self.comparison.matcher.chance(self.kept)[0]

    @cached_property
    def source_of_detection(self) -> np.ndarray:
        """Int array (M,): row of the visible true source each detection is of, -1 for false."""
        found = self.comparison.visible_matcher.match(self.kept)
        source = np.full(found.n_detections, -1)
        source[found.detection] = self.comparison.visible[found.truth]
        return source

    @cached_property
    def true_detection(self) -> np.ndarray:
        """Bool array (M,): matched to a visible source."""
        return self.source_of_detection >= 0

    @cached_property
    def chance_detection(self) -> np.ndarray:
        """How often (M,) chance alone would make each detection a true one."""
        return self.comparison.visible_matcher.chance(self.kept)[1]


def place(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Columns GLON and GLAT of a table, degrees."""
    return column(table, "GLON"), column(table, "GLAT")


def column(table: Table, name: str) -> np.ndarray:
    """A column as plain floats, masked or absent values as NaN."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    values = table[name]
    values = values.filled(np.nan) if hasattr(values, "filled") else values
    return np.asarray(values, dtype=float)
