"""Detections that a catalog does not have and a later one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..catalog.build import nearest
from .rates import rate_of
from .reference import ReferenceComparison
from .truth_comparison import place


@dataclass(frozen=True)
class Confirmations:
    """What later releases say of the detections.

    Attributes
    ----------
    release, name : str arrays (M,)
        The first later release that lists a detection the reference does not have, and the
        source's name there; blank where there is none.
    signif, separation_deg : float arrays (M,)
        Its Signif_Avg and distance; NaN where there is none.
    table : astropy Table
        One row a release: how many detections the reference does not have, and the share of
        them that are among the sources which the release adds; the same by chance.
    """

    release: np.ndarray
    name: np.ndarray
    signif: np.ndarray
    separation_deg: np.ndarray
    table: Table


def confirm(comparison: ReferenceComparison, later: Sequence[Table]) -> Confirmations:
    """Look the new detections up in later releases, the earliest first.

    Parameters
    ----------
    comparison : ReferenceComparison
        What is new is what has no match there.
    later : sequence of astropy Table
        From `load_release`, in order of time; may be empty.
    """
    n = len(comparison.probability)
    release, name = np.full(n, "", dtype="U12"), np.full(n, "", dtype="U24")
    signif, separation = np.full(n, np.nan), np.full(n, np.nan)
    new = comparison.counted_detections & (comparison.matches.truth_of_detection < 0)
    rows = []
    for table in later:
        table = _added(table, comparison)
        other = ReferenceComparison(comparison.catalog, table, comparison.radius_deg)
        matches = other.matches
        listed = matches.truth_of_detection >= 0
        rate = rate_of(listed, new, other.matcher.chance()[1])
        told = str(table.meta.get("RELEASE", "a table"))
        rows.append({"release": told, "n": rate.total, "found": rate.found}
                    | rate.columns("confirmed"))  # fmt: skip
        first = new[matches.detection] & (release[matches.detection] == "")
        who, source = matches.detection[first], matches.truth[first]
        release[who] = told
        name[who] = other.text("Source_Name")[source]
        signif[who] = other.signif[source]
        separation[who] = matches.separation_deg[first]
    columns = ("release", "n", "found", "confirmed", "confirmed_low", "confirmed_high",
               "confirmed_chance")  # fmt: skip
    summary = (
        Table(rows=rows) if rows else Table(names=columns, dtype=["U12", int, int] + 4 * [float])
    )
    return Confirmations(release, name, signif, separation, summary)


def _added(later: Table, comparison: ReferenceComparison) -> Table:
    """The sources of a later release that are farther than the radius from all of the reference."""
    if not len(later) or not len(comparison.reference):
        return later
    _, separation = nearest(*place(later), *comparison.place)
    return later[separation > comparison.radius_deg]


def new_table(comparison: ReferenceComparison, confirmed: Confirmations) -> Table:
    """The detections the reference does not have, most probable first, confirmed ones marked."""
    new = comparison.counted_detections & (comparison.matches.truth_of_detection < 0)
    index = np.flatnonzero(new)
    index = index[np.argsort(-comparison.probability[index], kind="stable")]
    lon, lat = comparison.found_place
    return Table(
        {
            "Source_Name": np.asarray(comparison.catalog.table["Source_Name"], dtype="U18")[index],
            "Probability": comparison.probability[index],
            "GLON": lon[index],
            "GLAT": lat[index],
            "Confirmed": confirmed.release[index] != "",
            "Release": confirmed.release[index],
            "Name": confirmed.name[index],
            "Signif_Avg": confirmed.signif[index],
            "Sep_deg": confirmed.separation_deg[index],
        }
    )
