"""Extensions in the catalog: columns of the rows, and 4FGL's table of extended sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table, vstack

from ..catalog.schema import EXTENDED_COLUMNS, EXTENSION_COLUMNS, blank_table
from .extent import FORMS, Extent, better
from .state import SourceResult

_COLUMN = {"Disk": ("TS_ext_Disk", "Disk_Radius"), "2D Gaussian": ("TS_ext_Gauss", "Gauss_R68")}
_FUNCTION = {"Disk": "RadialDisk", "2D Gaussian": "RadialGauss"}


def extents_of(table: Table, extended: Table | None) -> list[Extent | None]:
    """Shapes of the rows (N,) of a catalog; None of points and of 4FGL's rings and maps."""
    if extended is None:
        return [None] * len(table)
    known: Mapping[str, Extent] = {
        str(shape["Source_Name"]): Extent(
            str(shape["Model_Form"]),  # type: ignore[arg-type]
            float(np.sqrt(shape["Model_SemiMajor"] * shape["Model_SemiMinor"])),
        )
        for shape in extended
        if str(shape["Model_Form"]) in FORMS
    }
    return [known.get(str(name)) for name in table["Extended_Source_Name"]]


def fill(table: Table, results: Sequence[SourceResult], before: Table | None) -> Table | None:
    """Fill the columns of extensions, and give the shapes of the extended sources.

    Parameters
    ----------
    table : Table
        Of the catalog, with the new positions.
    results : sequence of SourceResult
    before : Table or None
        Shapes that the catalog came with; those of sources that were looked at anew are dropped.
    """
    for column in blank_table(len(table), 1, EXTENSION_COLUMNS).itercols():
        table[column.name] = column
    looked_at = [result for result in results if result.extension is not None]
    for result in looked_at:
        _fill_row(table, result)
    rows = [result.row for result in looked_at if result.state.extent is not None]
    names = np.asarray(table["Source_Name"])
    old = np.asarray(table["Extended_Source_Name"])[[result.row for result in looked_at]]
    table["Extended_Source_Name"][[result.row for result in looked_at]] = ""
    table["Extended_Source_Name"][rows] = names[rows]
    shapes = blank_table(len(rows), 1, EXTENDED_COLUMNS)
    for shape, row, result in zip(
        shapes, rows, [r for r in looked_at if r.state.extent is not None], strict=True
    ):
        extent = result.state.extent
        assert extent is not None
        shape["Source_Name"] = names[row]
        for name in ("RAJ2000", "DEJ2000", "GLON", "GLAT"):
            shape[name] = table[name][row]
        shape["Model_Form"], shape["Spatial_Function"] = extent.form, _FUNCTION[extent.form]
        shape["Model_SemiMajor"] = shape["Model_SemiMinor"] = extent.radius_deg
        shape["Model_PosAng"] = 0.0
    kept = None if before is None else before[~np.isin(before["Source_Name"], old)]
    found = shapes if kept is None else vstack([kept, shapes])
    return found if len(found) else None


def _fill_row(table: Table, result: SourceResult) -> None:
    assert result.extension is not None
    table["TS_ext"][result.row] = result.extension[better(result.extension)].ts
    for form, fit in result.extension.items():
        significance, radius = _COLUMN[form]
        table[significance][result.row] = fit.ts
        table[radius][result.row] = 0.0 if fit.extent is None else fit.extent.radius_deg
        table[f"Unc_{radius}"][result.row] = -fit.lower, fit.upper
        table[f"{radius}_UL95"][result.row] = fit.upper_limit
