"""The 75 extended sources of 4FGL-DR2, as intensity maps that join the diffuse emission.

Supernova remnants, halos and small galaxies are what a finder of point sources must not break
up. They are steady and stand at their real places in every sky. Resolution is that of the diffuse
maps, 0.23 deg; finer structure is blurred to it. The two that are much smaller than that are
points to the LAT and count as such (`split_compact`).
"""

from __future__ import annotations

import warnings

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from ..catalog.shipped import DR2_FILE, shipped_columns, shipped_path
from ..catalog.spectra import differential_flux
from ..diffuse.model import DIFFUSE_NSIDE, DiffuseModel
from ..sky.geometry.frame import lonlat_to_vectors
from .population import COLUMNS, complete

TEMPLATES = "Extended_8years/Templates"
"""Where fermipy has the maps that 4FGL-DR2 names."""

SHAPE_COLUMNS = (
    "Extended_Source_Name", "Model_Form", "Model_SemiMajor", "Model_SemiMinor", "Model_PosAng",
    "Spatial_Function", "Spatial_Filename",
)  # fmt: skip

COMPACT_DEG = 0.1

_NODES_MEV = np.geomspace(100.0, 1e6, 33)
_FINE_NSIDE = 2048
_R68_OF_SIGMA = 1.5096  # sqrt(-2 ln 0.32)
_REACH_SIGMA = 5.0
_DARK = 1e-30


def extended_table() -> Table:
    """Spectra and shapes of DR2's extended sources.

    Returns
    -------
    Table
        A `complete` population of 75 rows with `SHAPE_COLUMNS` beside: semi-axes in degrees
        (radius of a disk, 68% radius of a Gaussian), the name of a template map or blank.

    Raises
    ------
    InputError
        When the fermipy package, which ships the files, is not installed.
    """
    names = (*COLUMNS, "Extended_Source_Name")
    sources = shipped_columns(DR2_FILE, names)
    sources = sources[np.asarray(sources["Extended_Source_Name"]) != ""]
    shapes = shipped_columns(DR2_FILE, ("Source_Name", "GLON", "GLAT", *SHAPE_COLUMNS[1:]), hdu=2)
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
    if row["Spatial_Filename"]:
        vectors, light = _template(str(row["Spatial_Filename"]))
        fine = hp.vec2pix(DIFFUSE_NSIDE, *vectors.T, nest=True)
    else:
        fine, light = _round_shape(row)
        fine = fine >> 2 * int(np.log2(_FINE_NSIDE // DIFFUSE_NSIDE))
    pixels, inverse = np.unique(fine, return_inverse=True)
    share = np.bincount(inverse, light)
    return pixels, share / share.sum()


def _round_shape(row: Table.Row) -> tuple[np.ndarray, np.ndarray]:
    """Fine pixels and brightness of a disk, or of a Gaussian out to five sigma."""
    centre = lonlat_to_vectors(np.asarray(float(row["GLON"])), np.asarray(float(row["GLAT"])))
    size = np.radians(float(row["Model_SemiMajor"]))
    if row["Spatial_Function"] == "RadialDisk":
        pixels = hp.query_disc(_FINE_NSIDE, centre, size, nest=True)
        return pixels, np.ones(pixels.size)
    sigma = size / _R68_OF_SIGMA
    pixels = hp.query_disc(_FINE_NSIDE, centre, _REACH_SIGMA * sigma, nest=True)
    away = np.array(hp.pix2vec(_FINE_NSIDE, pixels, nest=True)).T - centre
    return pixels, np.exp(-0.5 * (away**2).sum(axis=1) / sigma**2)


def _template(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Galactic unit vectors and brightness of a map's pixels that are not dark."""
    path = shipped_path(f"{TEMPLATES}/{name}")
    # old headers: GLS projections, EPOCH for EQUINOX
    with warnings.catch_warnings(action="ignore"), fits.open(path) as hdus:
        image = np.nan_to_num(np.asarray(hdus[0].data, float))
        wcs = WCS(hdus[0].header)
    y, x = np.nonzero(image > 0)
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    frame = "galactic" if wcs.wcs.ctype[0].startswith("GLON") else "icrs"
    place = SkyCoord(lon, lat, unit="deg", frame=frame).galactic
    return lonlat_to_vectors(place.l.deg, place.b.deg), image[y, x]


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
        origin="extended sources of 4FGL-DR2 with the templates in fermipy",
    )
