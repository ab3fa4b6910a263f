"""The 75 extended sources of 4FGL-DR2, as intensity maps that join the diffuse emission.

Supernova remnants, halos and small galaxies are what a finder of point sources must not break
up. They are steady and stand at their real places in every sky. Resolution is that of the diffuse
maps, 0.23 deg; finer structure is blurred to it. The two that are much smaller than that are
points to the LAT and count as such (`split_compact`).
"""

from __future__ import annotations

from functools import lru_cache

import healpy as hp
import numpy as np
from astropy.table import Table

from ..catalog.releases import LIGHT_HDU, load_release, release_hdu
from ..catalog.spectra import differential_flux
from ..diffuse.model import DIFFUSE_NSIDE, DiffuseModel
from .population import COLUMNS, complete, select_columns

SHAPE_COLUMNS = (
    "Extended_Source_Name", "Model_Form", "Model_SemiMajor", "Model_SemiMinor", "Model_PosAng",
    "Spatial_Function", "Spatial_Filename",
)  # fmt: skip

COMPACT_DEG = 0.1

_NODES_MEV = np.geomspace(100.0, 1e6, 33)
_DARK = 1e-30


def extended_table() -> Table:
    """Spectra and shapes of DR2's extended sources.

    Returns
    -------
    Table
        A `complete` population of 75 rows with `SHAPE_COLUMNS` beside: semi-axes in degrees
        (radius of a disk, 68% radius of a Gaussian), the name of a template map or blank.
    """
    sources = select_columns(load_release("4FGL-DR2"), (*COLUMNS, "Extended_Source_Name"))
    sources = sources[np.asarray(sources["Extended_Source_Name"]) != ""]
    shapes = release_hdu("4FGL-DR2", "ExtendedSources")
    row_of = {name: row for row, name in enumerate(shapes["Source_Name"].tolist())}
    rows = [row_of[name] for name in sources["Extended_Source_Name"].tolist()]
    for name in ("GLON", "GLAT", *SHAPE_COLUMNS[1:]):
        sources[name] = shapes[name][rows]
    return complete(sources)


def split_compact(table: Table) -> tuple[Table, Table]:
    """Sources that are points to the LAT, as a population, and the extended ones.

    Parameters
    ----------
    table : Table
        From `extended_table`; points have a semi-axis below `COMPACT_DEG`.
    """
    compact = np.asarray(table["Model_SemiMajor"], float) < COMPACT_DEG
    points = table[[name for name in table.colnames if name not in SHAPE_COLUMNS]][compact]
    return points, table[~compact]


def source_pixels(row: Table.Row) -> tuple[np.ndarray, np.ndarray]:
    """Where the light of an extended source falls.

    Parameters
    ----------
    row : Table.Row
        Of `extended_table`.

    Returns
    -------
    pixels : int array (n,)
        NESTED Galactic pixels of nside `DIFFUSE_NSIDE`, each once.
    share : float array (n,)
        Part of the flux in each; they sum to one.
    """
    return _light()[str(row["Extended_Source_Name"])]


@lru_cache(maxsize=1)
def _light() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels and shares by source; `scripts/trim_releases.py` made them of shapes and templates."""
    names = release_hdu("4FGL-DR2", "ExtendedSources")["Source_Name"].tolist()
    light = release_hdu("4FGL-DR2", LIGHT_HDU)
    ends = np.cumsum(np.bincount(light["SHAPE_ROW"], minlength=len(names)))[:-1]
    parts = (np.split(np.asarray(light[column]), ends) for column in ("PIXEL", "SHARE"))
    return dict(zip(names, zip(*parts, strict=True), strict=True))


def extended_model(table: Table) -> DiffuseModel:
    """Extended sources as a diffuse model without an isotropic part; the PSF is not in it.

    Parameters
    ----------
    table : Table
        `extended_table()` or rows of it; none makes a dark model.

    Returns
    -------
    DiffuseModel
        Its maps hold the sources' intensities, to be added to a background's.
    """
    maps = np.zeros((_NODES_MEV.size, 12 * DIFFUSE_NSIDE**2), np.float32)
    flux = differential_flux(table, _NODES_MEV) / hp.nside2pixarea(DIFFUSE_NSIDE)
    for row, spectrum in zip(table, flux, strict=True):
        pixels, share = source_pixels(row)
        maps[:, pixels] += (spectrum[:, None] * share).astype(np.float32)
    return DiffuseModel(
        "extended",
        _NODES_MEV,
        maps,
        _NODES_MEV,
        np.full(_NODES_MEV.size, _DARK),
        origin="extended sources of 4FGL-DR2 with their templates",
    )
