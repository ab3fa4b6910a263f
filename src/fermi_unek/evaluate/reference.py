"""A catalog and a published one as arrays, matched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.table import Table

from .match import Matcher, Matches
from .truth_comparison import EDGE_MARGIN_DEG, Detections, column, place

BRIGHT_SIGMA = 10.0
"""Sources above this that are missed are listed and mapped."""


@dataclass(frozen=True)
class ReferenceComparison(Detections):
    """Columns of a catalog and a reference, and their matches.

    Attributes
    ----------
    reference : astropy Table
        From `load_release`.
    radius_deg : float
        Matching radius.
    """

    reference: Table
    radius_deg: float

    @cached_property
    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """Galactic longitude and latitude of the reference sources, degrees."""
        return place(self.reference)

    @cached_property
    def signif(self) -> np.ndarray:
        """Signif_Avg (N,) of the reference sources."""
        return column(self.reference, "Signif_Avg")

    @cached_property
    def counted_reference(self) -> np.ndarray:
        """Bool array (N,): well inside what was looked at."""
        return self.catalog.covers(*self.place, EDGE_MARGIN_DEG)

    @cached_property
    def matcher(self) -> Matcher:
        """The most significant reference source chooses first."""
        return self.matcher_with(self.place, self.signif, self.radius_deg)

    @cached_property
    def matches(self) -> Matches:
        """Of all detections."""
        return self.matcher.match()

    @cached_property
    def chance_reference(self) -> np.ndarray:
        """How often (N,) chance alone would match each reference source."""
        return self.matcher.chance()[0]

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

    def text(self, name: str) -> np.ndarray:
        """A column of text of the reference, blank where it does not have it."""
        if name not in self.reference.colnames:
            return np.full(len(self.reference), "", dtype="U24")
        return np.asarray(self.reference[name], dtype="U24")
