"""Extensions in the catalog: columns of the rows, and 4FGL's table of extended sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table, vstack

from ..catalog.schema import EXTENDED_COLUMNS, EXTENSION_COLUMNS, blank_table
from .extent import FORMS, Extent, better
from .state import SourceResult

_COLUMN = {"Disk": ("TS_ext_Disk", "Disk_Radius"), "2D Gaussian": ("TS_ext_Gauss", "Gauss_R68")}
_WIDTH = 17  # of a name in 4FGL's table of extended sources
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


def renewed(table: Table, results: Sequence[SourceResult], before: Table | None) -> Table | None:
    """Shapes of the extended sources after a fit; the rows of the catalog name them.

    Parameters
    ----------
    table : Table
        Of the catalog, with the new positions; its Extended_Source_Name is brought up to date.
    results : sequence of SourceResult
    before : Table or None
        Shapes that the catalog came with. Those that were not fitted stay, and so do 4FGL's rings
        and maps.
    """
    names = table["Extended_Source_Name"]
    kept = blank_table(0, 1, EXTENDED_COLUMNS) if before is None else before
    fitted = {str(names[result.row]) for result in results} - {""}
    round_ones = np.isin(kept["Model_Form"], FORMS)
    kept = kept[~(round_ones & np.isin(kept["Source_Name"], sorted(fitted)))]
    extended = [result for result in results if result.state.extent is not None]
    shapes = blank_table(len(extended), 1, EXTENDED_COLUMNS)
    for result in results:
        if str(names[result.row]) not in set(kept["Source_Name"]):
            names[result.row] = ""
    for shape, result in zip(shapes, extended, strict=True):
        extent = result.state.extent
        assert extent is not None
        names[result.row] = shape["Source_Name"] = str(table["Source_Name"][result.row])[:_WIDTH]
        for name in ("RAJ2000", "DEJ2000", "GLON", "GLAT"):
            shape[name] = table[name][result.row]
        shape["Model_Form"], shape["Spatial_Function"] = extent.form, _FUNCTION[extent.form]
        shape["Model_SemiMajor"] = shape["Model_SemiMinor"] = extent.radius_deg
        shape["Model_PosAng"] = 0.0
    found = vstack([kept, shapes]) if len(kept) else shapes
    return found if len(found) else None


def fill(table: Table, results: Sequence[SourceResult]) -> None:
    """Fill the columns of extensions, which are added where there are any."""
    looked_at = [result for result in results if result.extension is not None]
    if not looked_at:
        return
    for column in blank_table(len(table), 1, EXTENSION_COLUMNS).itercols():
        table[column.name] = column
    for result in looked_at:
        assert result.extension is not None
        table["TS_ext"][result.row] = result.extension[better(result.extension)].ts
        for form, fit in result.extension.items():
            significance, radius = _COLUMN[form]
            table[significance][result.row] = fit.ts
            table[radius][result.row] = 0.0 if fit.extent is None else fit.extent.radius_deg
            table[f"Unc_{radius}"][result.row] = -fit.lower, fit.upper
            table[f"{radius}_UL95"][result.row] = fit.upper_limit
