"""Lines for people about skies and catalogs."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Row

from ..catalog.record import Catalog
from ..catalog.schema import FLAG_NEAR_EDGE
from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.counts import SkyCounts
from .photons import covered_cone

_LINES = 10
_OF_NETWORKS = {
    "model model": "localizer",
    "model sha256": "localizer sha256",
    "class model": "classifier",
    "class sha256": "classifier sha256",
}
"""What `info` tells of the history of the networks: which they are."""


def summary_line(catalog: Catalog) -> str:
    """Number of candidates, of those selected, and of those that ask for care, in one line."""
    chosen = int(np.count_nonzero(catalog.table["Selected"]))
    edge = int(np.count_nonzero(np.asarray(catalog.table["Flags"]) & FLAG_NEAR_EDGE))
    fake = int(np.count_nonzero(catalog.table["Fake"]))
    plural = "" if len(catalog) == 1 else "s"
    purity = catalog.header.get("purity asked for")
    told = f"{chosen} selected" + (f" for a purity of {purity:g}" if purity else "")
    notes = [f"{n} {what}" for n, what in ((edge, "near an edge"), (fake, "likely fake")) if n]
    return f"{len(catalog)} candidate{plural} ({', '.join([told, *notes])})"


def describe_catalog(catalog: Catalog) -> str:
    """The summary line, the most probable sources, and how the catalog was made."""
    table = catalog.table
    lines = [summary_line(catalog)]
    if len(table):
        for name, some in (("selected", catalog.selected.table), ("all", table)):
            real = float(np.sum(np.asarray(some["Probability"], float)))
            share = f" ({real / len(some):.2f})" if len(some) else ""
            lines.append(f"{name}: {real:.1f} of {len(some)} expected to be real{share}")
        lines.append(
            f"  {'name':<18} {'GLON':>8} {'GLAT':>8} {'r95':>6}  {'prob.':<6} {'class':<5} fake  "
            "nearest 4FGL (not associated)"
        )
    order = np.argsort(-np.asarray(table["Probability"], float), kind="stable")
    order = order[np.asarray(table["Selected"], bool)[order]] if catalog.selected else order
    lines += [_source_line(table[int(row)]) for row in order[:_LINES]]
    if more := len(table) - len(order[:_LINES]):
        lines.append(f"  and {more} more")
    return "\n".join(lines + _provenance_lines(catalog))


def _source_line(source: Row) -> str:
    r95 = 60 * float(np.sqrt(source["Conf_95_SemiMajor"] * source["Conf_95_SemiMinor"]))
    associated, nearest = str(source["ASSOC_FGL"]), str(source["Nearest_FGL"])
    neighbor = f"{nearest} at {60 * float(source['Sep_FGL']):.1f}'" if nearest else "-"
    if associated != nearest:
        neighbor = associated or f"({neighbor})"
    return (
        f"  {str(source['Source_Name']):<18} {source['GLON']:8.3f} {source['GLAT']:+8.3f} "
        f"{r95:5.1f}'  {source['Probability']:.3f}  {str(source['CLASS1']) or '-':<5} "
        f"{'yes' if source['Fake'] else 'no':<4}  {neighbor}"
    )


def _provenance_lines(catalog: Catalog) -> list[str]:
    """The header without the training of the networks and without folders."""
    lines, versions = [], []
    for key, value in catalog.header.items():
        if key.startswith(("model ", "class ")):
            if key not in _OF_NETWORKS:
                continue
            key = _OF_NETWORKS[key]
        if key.startswith("version "):
            versions.append(f"{key.removeprefix('version ')} {value}")
        else:
            lines.append(without_folders(f"{key}: {value}"))
    return lines + ([f"made with: {', '.join(versions)}"] if versions else [])


def without_folders(text: str) -> str:
    """Text with the names of files and not where they lay on the machine of whoever wrote it."""
    return re.sub(r"/(?:[^/\s]+/)+", "", text)


def describe_sky(sky: SkyCounts) -> str:
    """Where the photons lie, how many there are in each energy bin, and in how many years."""
    lon_deg, lat_deg, radius_deg = covered_cone(sky.coverage)
    where = (
        "the whole sky"
        if radius_deg >= 180.0
        else f"within {radius_deg:.1f} deg of ({lon_deg:.2f}, {lat_deg:+.2f}) Galactic"
    )
    known = np.isfinite(sky.livetime_years)
    names = ", ".join(layer.event_type for layer in sky.layers or (sky,))
    lines = [
        f"{sky.totals.sum():,d} photons ({names}), {where}"
        + (f", {sky.livetime_years:.2f} years" if known else "")
    ]
    for index in range(len(sky.bins)):
        low, high = ENERGY_EDGES_MEV[index : index + 2] / 1000.0
        numbers = [
            f"{layer.totals[index]:,d}" + (f" {layer.event_type}" if sky.layers else "")
            for layer in sky.layers or (sky,)
            if layer.present[index]
        ]
        lines.append(f"  {low:g} to {high:g} GeV: {', '.join(numbers) or 'absent'}")
    return "\n".join(lines)
