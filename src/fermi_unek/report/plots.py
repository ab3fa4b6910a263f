"""The picture of a sky with what was found in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..outputs import replacing
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import vectors_to_lonlat
from .photons import WIDEST_FIELD_DEG, covered_cone, photons_to_draw

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.axes import Axes

Positions = tuple[np.ndarray, np.ndarray]
"""Galactic longitudes and latitudes, degrees."""

FIELD_PIXEL_DEG = 0.1
"""Pixel of a field's picture: the 68% containment radius at 10 GeV."""


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
    lon_deg, lat_deg, radius_deg = covered_cone(sky.coverage)
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
