"""What people look at: lines about skies and catalogs, and pictures of a whole run."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import healpy
import numpy as np

from .catalog.record import Catalog
from .catalog.schema import FLAG_NEAR_EDGE
from .outputs import replacing
from .sky.bins import COVERAGE_ORDER, ENERGY_EDGES_MEV
from .sky.counts import SkyCounts
from .sky.coverage import unite
from .sky.frame import vectors_to_lonlat

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.axes import Axes

Positions = tuple[np.ndarray, np.ndarray]
"""Galactic longitudes and latitudes, degrees."""

FIELD_PIXEL_DEG = 0.1
"""Pixel of a field's picture: the 68% containment radius at 10 GeV."""

PICTURE_ORDER = 10
"""HEALPIX order (0.06 deg) counts are brought to before they are drawn."""

WIDEST_FIELD_DEG = 40.0
"""Radius above which the whole sky is drawn instead of a field."""


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
            f"probability {one['Probability']:.3f}  {one['ASSOC_FGL']}"
        )
    if len(catalog) > 10:
        lines.append(f"  and {len(catalog) - 10} more")
    return "\n".join(lines + [f"{key}: {value}" for key, value in catalog.header.items()])


def describe_sky(sky: SkyCounts) -> str:
    """Where the photons lie, and how many there are in each energy bin."""
    lon_deg, lat_deg, radius_deg = covered_cone(sky)
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


def draw_sky(
    sky: SkyCounts, path: str | Path, *, found: Positions, true: Positions | None = None
) -> None:
    """Picture of the counts with circles on what was found and crosses on what is true.

    A field is drawn in its tangent plane, north (Galactic) up and east left; anything
    wider than 40 degrees in radius as a whole sky in Mollweide's projection.

    Parameters
    ----------
    sky : SkyCounts
        The photons. Those above 1 GeV are drawn, or all where there are none.
    path : path
        Picture file; the suffix gives the format (png, pdf, svg).
    found, true : (lon, lat) arrays in Galactic degrees
        Candidates, and true sources where they are known. Either may be empty.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    lon_deg, lat_deg, radius_deg = covered_cone(sky)
    vectors, counts, lowest_mev = photons_to_draw(sky)
    if radius_deg > WIDEST_FIELD_DEG:
        figure.set_size_inches(13, 7)
        axes = figure.add_subplot(projection="mollweide")
        _draw_whole_sky(axes, vectors, counts, found, true)
    else:
        wcs, n_pixels = field_wcs(lon_deg, lat_deg, radius_deg)
        axes = figure.add_subplot(projection=wcs)
        _draw_field(axes, wcs, n_pixels, (vectors, counts), found, true)
    axes.set_title(f"{counts.sum():,.0f} photons above {lowest_mev / 1000:g} GeV")
    axes.legend(loc="upper right", framealpha=0.9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)


def covered_cone(sky: SkyCounts) -> tuple[float, float, float]:
    """Galactic longitude and latitude of the middle of what was observed, and its radius.

    Degrees; ``(0, 0, 180)`` for the whole sky, and where nothing is covered at all.
    """
    mask = reduce(unite, [one.coverage for one in sky.bins if one is not None])
    if mask is None or not mask.any():
        return 0.0, 0.0, 180.0
    covered = np.flatnonzero(mask)
    vectors = np.stack(healpy.pix2vec(2**COVERAGE_ORDER, covered, nest=True), axis=-1)
    middle = vectors.mean(axis=0)
    if np.linalg.norm(middle) < 0.05:
        return 0.0, 0.0, 180.0
    middle /= np.linalg.norm(middle)
    radius = np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0).min()))
    lon, lat = vectors_to_lonlat(middle)
    return float(lon), float(lat), float(radius)


def photons_to_draw(sky: SkyCounts) -> tuple[np.ndarray, np.ndarray, float]:
    """Unit vectors (N, 3) and counts (N,) above 1 GeV, or of all bins, and the lowest energy."""
    present = np.flatnonzero(sky.present)
    wanted = present[ENERGY_EDGES_MEV[present] >= 1000.0]
    if wanted.size == 0 or sky.totals[wanted].sum() == 0:
        wanted = present
    pixels, counts = [], []
    for index in wanted:
        one = sky.bins[index]
        assert one is not None
        shift = 2 * (one.order - PICTURE_ORDER)
        pixels.append(one.pixels.astype(np.int64) >> shift)
        counts.append(one.counts.astype(float))
    unique, place = np.unique(np.concatenate(pixels), return_inverse=True)
    total = np.bincount(place, weights=np.concatenate(counts), minlength=unique.size)
    vectors = np.stack(healpy.pix2vec(2**PICTURE_ORDER, unique, nest=True), axis=-1)
    return vectors.reshape(-1, 3), total, float(ENERGY_EDGES_MEV[wanted[0]])


def field_wcs(lon_deg: float, lat_deg: float, radius_deg: float) -> tuple[WCS, int]:
    """A zenithal equal-area frame around a cone, and its pixels along a side."""
    from astropy.wcs import WCS

    n_pixels = int(np.ceil(2.0 * radius_deg / FIELD_PIXEL_DEG)) + 4
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-ZEA", "GLAT-ZEA"]
    wcs.wcs.crval = [lon_deg, lat_deg]
    wcs.wcs.crpix = [(n_pixels + 1) / 2.0] * 2
    wcs.wcs.cdelt = [-FIELD_PIXEL_DEG, FIELD_PIXEL_DEG]
    return wcs, n_pixels


def field_image(wcs: WCS, n_pixels: int, vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Counts (n, n) in the pixels of a frame, indexed [row, column]."""
    x, y = wcs.wcs_world2pix(*vectors_to_lonlat(vectors), 0)
    edges = np.arange(n_pixels + 1) - 0.5
    image, _, _ = np.histogram2d(y, x, bins=(edges, edges), weights=counts)
    return image


def _draw_field(
    axes: Axes,
    wcs: WCS,
    n_pixels: int,
    photons: tuple[np.ndarray, np.ndarray],
    found: Positions,
    true: Positions | None,
) -> None:
    from scipy.ndimage import gaussian_filter

    image = field_image(wcs, n_pixels, *photons)
    axes.imshow(_stretch(gaussian_filter(image, 1.0)), origin="lower", cmap="Greys")
    if true is not None:
        axes.plot(*wcs.wcs_world2pix(*true, 0), "+", color="tab:blue", ms=9, label="true")
    x, y = wcs.wcs_world2pix(*found, 0)
    axes.plot(x, y, "o", color="tab:red", ms=13, fillstyle="none", label="found")
    occupied = np.argwhere(image > 0)
    if occupied.size:
        (low_y, low_x), (high_y, high_x) = occupied.min(axis=0), occupied.max(axis=0)
        axes.set(xlim=(low_x - 2, high_x + 2), ylim=(low_y - 2, high_y + 2))
    axes.grid(color="0.5", alpha=0.3)
    axes.set(xlabel="Galactic longitude", ylabel="Galactic latitude")


def _draw_whole_sky(
    axes: Axes,
    vectors: np.ndarray,
    counts: np.ndarray,
    found: Positions,
    true: Positions | None,
) -> None:
    lon, lat = vectors_to_lonlat(vectors)
    edges = np.linspace(-180.0, 180.0, 721), np.linspace(-90.0, 90.0, 361)
    image, _, _ = np.histogram2d(_east_left(lon), lat, bins=edges, weights=counts)
    middle = np.radians((edges[1][1:] + edges[1][:-1]) / 2.0)
    brightness = _stretch(image / np.cos(middle)).T
    x_edges, y_edges = np.radians(edges[0]), np.radians(edges[1])
    axes.pcolormesh(x_edges, y_edges, brightness, cmap="Greys", rasterized=True)
    marks = [(true, "+", "tab:blue", "true"), (found, ".", "tab:red", "found")]
    for positions, marker, color, label in marks:
        if positions is not None:
            x, y = np.radians(_east_left(positions[0])), np.radians(positions[1])
            axes.plot(x, y, marker, color=color, ms=3, alpha=0.6, label=label)
    axes.set_xticklabels([])
    axes.grid(alpha=0.3)


def _east_left(lon_deg: np.ndarray) -> np.ndarray:
    """Longitudes turned so that they grow to the left of a plot centred on zero, degrees."""
    return -((np.asarray(lon_deg) + 180.0) % 360.0 - 180.0)


def _stretch(image: np.ndarray) -> np.ndarray:
    """Square root of an image, cut at its 99.5th percentile, so that faint sources show."""
    high = np.percentile(image, 99.5)
    return np.sqrt(np.clip(image, 0.0, high if high > 0 else None))
