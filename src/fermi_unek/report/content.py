"""What the page shows, as plain data that fits into a bounded number of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from ..catalog.build import name_neighbours, nearest
from ..catalog.export import name_with_unit
from ..catalog.record import Catalog
from ..catalog.schema import (
    COLUMNS,
    FLAG_IN_EXTENDED,
    FLAG_NEAR_EDGE,
    PROBABILITY_COLUMNS,
    band_edges_mev,
)
from ..progress import Progress, silent
from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.counts import SkyCounts
from .around import (
    CIRCLE_DEG,
    RING_DEG,
    STAMP_DEG,
    STAMP_PIXELS,
    LightCurves,
    light_curves,
    packed,
    packed_stamp,
    stamps,
)
from .backdrop import Backdrop, backdrop
from .photons import covered_cone

NEW_BEYOND_DEG = 0.3
"""A candidate with no source of the 4FGL release this near is called new."""

MAX_SOURCES = 20_000
"""Candidates a page lists; of more, the most probable ones."""

STAMP_BYTES = 16_000_000
"""Text all stamps together may take; the most probable candidates have theirs first."""

_PLACES = ("lon", "lat", "ra", "dec")
_POSITIONS = {"lon": "GLON", "lat": "GLAT", "ra": "RAJ2000", "dec": "DEJ2000"}
_ELLIPSE = {
    "major": "Conf_95_SemiMajor",
    "minor": "Conf_95_SemiMinor",
    "angle": "Conf_95_PosAng",
}
_TEXTS = {
    "name": "Source_Name",
    "fgl": "Nearest_FGL",
    "fgl_assoc": "ASSOC_FGL",
    "class": "CLASS1",
    "class2": "CLASS2",
    "assoc": "ASSOC1",
    "assoc2": "ASSOC2",
    "assoc_class": "ASSOC_CLASS",
    "assoc_catalog": "ASSOC_CAT",
    "gamma": "ASSOC_4FGL",
    "gamma2": "ASSOC_FHL",
    "gamma3": "ASSOC_GAM1",
    "tev": "ASSOC_TEV",
    "spectrum": "SpectrumType",
}
_NUMBERS = {
    "signif": "Signif_Avg",
    "flux": "Flux1000",
    "flux_error": "Unc_Flux1000",
    "pivot": "Pivot_Energy",
    "variability": "Variability_Index",
    "bayes": "ASSOC_PROB_BAY",
    "ratio": "ASSOC_PROB_LR",
    "assoc_ra": "RA_Counterpart",
    "assoc_dec": "DEC_Counterpart",
    "assoc_separation": "ASSOC_SEP",
    "assoc_chance": "ASSOC_CHANCE",
    "npred": "Npred",
}
_IN_THE_CSV = {
    "name": "Source_Name",
    **{key: _POSITIONS[key] for key in ("ra", "dec", "lon", "lat")},
    **_ELLIPSE,
    **{"probability": "Probability", "selected": "Selected", "fake": "Fake"},
    **{"flags": "Flags", "class": "CLASS1"},
    **{key: _NUMBERS[key] for key in ("signif", "flux", "flux_error", "variability")},
    **{"fgl_assoc": "ASSOC_FGL", "fgl": "Nearest_FGL", "separation": "Sep_FGL"},
    **{"assoc": "ASSOC1", "bayes": "ASSOC_PROB_BAY"},
}
"""Columns of the CSV file that the page saves, in their order."""

_FORMS = {
    "PL": ("Flux_Density", "Index"),
    "LP": ("Flux_Density", "Index", "beta"),
    "PLEC": ("Flux_Density", "IndexS", "ExpfactorS", "Exp_Index"),
}


def page_data(
    catalog: Catalog,
    sky: SkyCounts | None = None,
    reference: Table | None = None,
    *,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Everything the page's script draws from.

    Parameters
    ----------
    catalog : Catalog
        May have no rows. Of more than `MAX_SOURCES` the most probable are taken.
    sky : SkyCounts, optional
        The photons; without them there are no stamps, light curves, or counts on the maps.
    reference : astropy Table, optional
        4FGL release of `load_release`, for the maps and for what is called new.
    progress : Progress
        Wraps the cutting of stamps.

    Returns
    -------
    dict
        Of numbers, text, lists and None only, ready for JSON; None where nothing was measured.
    """
    table = _most_probable(catalog.table)
    release = "" if reference is None else str(reference.meta.get("RELEASE", "reference"))
    if reference is not None and release != catalog.header.get("reference catalog"):
        table = table.copy()
        name_neighbours(table, reference)
    lon, lat = (np.asarray(table[name], float) for name in ("GLON", "GLAT"))
    data: dict[str, Any] = {
        "view": [round(value, 3) for value in covered_cone(catalog.coverage)],
        "energies_gev": (ENERGY_EDGES_MEV / 1000.0).tolist(),
        "bands_gev": (band_edges_mev(catalog.table) / 1000.0).tolist(),
        "new_beyond_deg": NEW_BEYOND_DEG,
        "found": len(catalog),
        "purity": catalog.header.get("purity asked for"),
        "flags": {"edge": FLAG_NEAR_EDGE, "extended": FLAG_IN_EXTENDED},
        "columns": _csv_heads(),
        "release": release,
        "sources": source_columns(table),
        "reference": None if reference is None else reference_columns(catalog, reference),
        "backdrop": None,
        "stamps": None,
        "years": None,
    }
    if sky is not None:
        data["backdrop"] = _backdrop_data(backdrop(sky))
        data["stamps"] = _stamp_data(sky, lon, lat, np.asarray(table["Probability"]), progress)
        data["years"] = _year_data(light_curves(sky, lon, lat))
    return data


def source_columns(table: Table) -> dict[str, list[Any]]:
    """Columns of the catalog by short names; those in which nothing is filled are left out.

    ASSOC_CLASS, ASSOC_CAT, ASSOC_SEP and ASSOC_CHANCE are there after an association only.
    """
    columns: dict[str, list[Any]] = {}
    for short, name in _TEXTS.items():
        if name in table.colnames:
            columns[short] = [str(text) for text in table[name]]
    for short, name in _POSITIONS.items():
        columns[short] = decimals(table[name], 6)
    for short, name in _ELLIPSE.items():
        columns[short] = decimals(table[name], 1 if short == "angle" else 4)
    columns["probability"] = decimals(table["Probability"], 4)
    columns["separation"] = decimals(table["Sep_FGL"], 4)
    columns["flags"] = np.asarray(table["Flags"]).astype(int).tolist()
    columns["fake"] = np.asarray(table["Fake"]).astype(int).tolist()
    columns["selected"] = np.asarray(table["Selected"]).astype(int).tolist()
    columns["counts"] = decimals(table["Counts_Band"], 1)
    for short, name in _NUMBERS.items():
        if name in table.colnames:
            columns[short] = digits(table[name], 7 if name.endswith("Counterpart") else 4)
    columns["classes"] = _stacked(table, PROBABILITY_COLUMNS, 3)
    columns["bands"] = digits(table["nuFnu_Band"], 3)
    columns["bands_flux"] = digits(table["Flux_Band"], 3)
    columns["bands_error"] = digits(table["Unc_Flux_Band"], 3)
    columns["bands_sqrt_ts"] = decimals(table["Sqrt_TS_Band"], 1)
    for form, parts in _FORMS.items():
        columns[form] = _stacked(table, [f"{form}_{part}" for part in parts], 5)
    always = {"name", "probability", *_PLACES}
    return {k: v for k, v in columns.items() if k in always or _filled(v)}


def reference_columns(catalog: Catalog, reference: Table) -> dict[str, list[Any]]:
    """Sources of a 4FGL release in the field of a catalog, and whether one was found near."""
    lon, lat = (np.asarray(reference[name], float) for name in ("GLON", "GLAT"))
    inside = catalog.covers(lon, lat)
    rows = reference[inside]
    columns = {
        "name": [str(name) for name in rows["Source_Name"]],
        "lon": decimals(rows["GLON"], 4),
        "lat": decimals(rows["GLAT"], 4),
        "signif": decimals(rows["Signif_Avg"], 1),
        "near": _near(catalog, lon[inside], lat[inside]).astype(int).tolist(),
    }
    if "Extended_Source_Name" in rows.colnames:
        extents = reference.meta.get("EXTENTS", {})
        names = np.asarray(rows["Extended_Source_Name"], dtype=str)
        columns["extent"] = decimals([extents.get(name, np.nan) for name in names], 3)
    for short, name in (("class", "CLASS1"), ("assoc", "ASSOC1")):
        if name in rows.colnames:
            columns[short] = [str(text).strip() for text in rows[name]]
    return columns


def _csv_heads() -> dict[str, str]:
    """Short names of columns to the catalog's names with their units."""
    units = {column.name: column.unit for column in COLUMNS}
    return {short: name_with_unit(name, units[name]) for short, name in _IN_THE_CSV.items()}


def decimals(values: Any, places: int) -> list[Any]:
    """Nested lists of numbers rounded to decimal places; None where not finite."""
    return _plain(np.round(np.asarray(values, float), places))


def digits(values: Any, significant: int) -> list[Any]:
    """Nested lists of numbers rounded to significant digits; None where not finite."""
    array = np.asarray(values, float)
    rounded = [float(f"{value:.{significant}g}") for value in array.ravel()]
    return _plain(np.array(rounded).reshape(array.shape))


def _plain(values: np.ndarray) -> list[Any]:
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _filled(values: Sequence[Any]) -> bool:
    """Whether any text or number of nested lists says something."""
    return any(_filled(item) if isinstance(item, list) else bool(item) for item in values)


def _stacked(table: Table, names: Sequence[str], significant: int) -> list[Any]:
    columns = [np.asarray(table[name], float) for name in names]
    return digits(np.stack(columns, axis=-1), significant)


def _most_probable(table: Table) -> Table:
    if len(table) <= MAX_SOURCES:
        return table
    order = np.argsort(-np.asarray(table["Probability"], float), kind="stable")
    return table[np.sort(order[:MAX_SOURCES])]


def _near(catalog: Catalog, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Whether a candidate lies within `NEW_BEYOND_DEG` of each place."""
    if len(catalog) == 0 or len(lon) == 0:
        return np.zeros(len(lon), dtype=bool)
    ours = (np.asarray(catalog.table[name], float) for name in ("GLON", "GLAT"))
    _, separation = nearest(lon, lat, *ours)
    return separation <= NEW_BEYOND_DEG


def _backdrop_data(made: Backdrop) -> dict[str, Any]:
    rows, columns = made.brightness.shape
    return {
        "kind": made.kind,
        "rows": rows,
        "columns": columns,
        "lon": made.lon_deg,
        "lat": made.lat_deg,
        "pixel": made.pixel_deg,
        "lowest_gev": made.lowest_mev / 1000.0,
        "packed": packed(made.brightness),
    }


def _stamp_data(
    sky: SkyCounts, lon: np.ndarray, lat: np.ndarray, probability: np.ndarray, progress: Progress
) -> dict[str, Any]:
    """Packed stamps, most probable candidates first while there is room; None for the others."""
    order = np.argsort(-probability, kind="stable")
    texts: list[str | None] = [None] * len(lon)
    room = STAMP_BYTES
    cut = stamps(sky, lon[order], lat[order])
    for row, planes in zip(order, progress(cut, total=len(lon), label="stamps"), strict=True):
        text = packed_stamp(planes)
        room -= len(text)
        if room < 0:
            break
        texts[int(row)] = text
    return {"pixels": list(STAMP_PIXELS), "side_deg": STAMP_DEG, "packed": texts}


def _year_data(curves: LightCurves | None) -> Mapping[str, Any] | None:
    if curves is None:
        return None
    return {
        "start": decimals(curves.start_year, 3),
        "livetime": decimals(curves.livetime_years, 4),
        "counts": curves.counts.tolist(),
        "background": decimals(curves.background, 1),
        "lowest_gev": curves.lowest_mev / 1000.0,
        "circle_deg": CIRCLE_DEG,
        "ring_deg": list(RING_DEG),
    }
