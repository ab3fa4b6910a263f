"""Lines for people about skies and catalogs."""

from __future__ import annotations

import numpy as np
from astropy.table import Row

from ..catalog.record import Catalog
from ..catalog.schema import FLAG_NEAR_EDGE
from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.counts import SkyCounts
from .photons import covered_cone


def summary_line(catalog: Catalog) -> str:
    """Number of sources, and of those that ask for care, in one line."""
    edge = int(np.count_nonzero(np.asarray(catalog.table["Flags"]) & FLAG_NEAR_EDGE))
    fake = int(np.count_nonzero(catalog.table["Fake"]))
    plural = "" if len(catalog) == 1 else "s"
    notes = [f"{n} {what}" for n, what in ((edge, "near an edge"), (fake, "likely fake")) if n]
    return f"{len(catalog)} source{plural}" + (f" ({', '.join(notes)})" if notes else "")


def describe_catalog(catalog: Catalog) -> str:
    """The summary line, the brightest sources, and the header that says how it was made."""
    table = catalog.table
    lines = [summary_line(catalog)]
    for row in np.argsort(-np.asarray(table["Probability"], float), kind="stable")[:10]:
        one = table[int(row)]
        lines.append(
            f"  {str(one['Source_Name']):<19s} glon {one['GLON']:8.3f} glat {one['GLAT']:+8.3f} "
            f"probability {one['Probability']:.3f}  {_neighbour(one)}"
        )
    if len(catalog) > 10:
        lines.append(f"  and {len(catalog) - 10} more")
    return "\n".join(lines + [f"{key}: {value}" for key, value in catalog.header.items()])


def _neighbour(row: Row) -> str:
    if row["ASSOC_FGL"] or not row["Nearest_FGL"]:
        return str(row["ASSOC_FGL"])
    return f"(nearest {row['Nearest_FGL']}, {row['Sep_FGL']:.2f} deg)"


def describe_sky(sky: SkyCounts) -> str:
    """Where the photons lie, and how many there are in each energy bin."""
    lon_deg, lat_deg, radius_deg = covered_cone(sky.coverage)
    where = (
        "the whole sky"
        if radius_deg >= 180.0
        else f"within {radius_deg:.1f} deg of ({lon_deg:.2f}, {lat_deg:+.2f}) Galactic"
    )
    known = np.isfinite(sky.livetime_years)
    lines = [
        f"{sky.totals.sum():,d} photons ({sky.event_type}), {where}"
        + (f", {sky.livetime_years:.2f} years" if known else "")
    ]
    for index, total in enumerate(sky.totals):
        low, high = ENERGY_EDGES_MEV[index : index + 2] / 1000.0
        what = f"{total:,d}" if sky.present[index] else "absent"
        lines.append(f"  {low:g} to {high:g} GeV: {what}")
    return "\n".join(lines)
