"""The picture of a sky with what was found in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from ..outputs import replacing
from ..plots import FOUND, TRUE, style
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import vectors_to_lonlat
from .photons import WIDEST_FIELD_DEG, covered_cone, field_image, field_wcs, photons_to_draw

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

Positions = tuple[np.ndarray, np.ndarray]
"""Galactic longitudes and latitudes, degrees."""

Place = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From Galactic longitudes and latitudes in degrees to the coordinates of axes."""

FIELD_PIXEL_DEG = 0.1
"""Pixel of a field's picture: the 68% containment radius at 10 GeV."""

MANY = 300
"""Candidates above which the improbable ones are drawn fainter."""


def draw_sky(
    sky: SkyCounts, path: str | Path, *, found: Table, true: Positions | None = None
) -> None:
    """Picture of the counts with the candidates and, where they are known, what is true.

    A field is drawn around its middle, north (Galactic) up and east left; anything wider than 40
    degrees in radius as a whole sky in Mollweide's projection. Candidates of a field have the
    circle of their 95% error; what is not selected or likely fake is hollow.

    Parameters
    ----------
    sky : SkyCounts
        The photons. Those above 1 GeV are drawn, or all where there are none.
    path : path
        Picture file; the suffix gives the format (png, pdf, svg).
    found : Table
        Of a catalog; may have no rows.
    true : (lon, lat) arrays in Galactic degrees, optional
        May be empty.
    """
    with style():
        figure = _sky_figure(sky, found, true)
        with replacing(path) as temporary:
            figure.savefig(temporary)


def _sky_figure(sky: SkyCounts, found: Table, true: Positions | None) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 8))
    lon_deg, lat_deg, radius_deg = covered_cone(sky.coverage)
    vectors, counts, lowest_mev = photons_to_draw(sky)
    place: Place
    if whole := radius_deg > WIDEST_FIELD_DEG:
        figure.set_size_inches(10, 6.3)
        axes = figure.add_subplot(projection="mollweide")
        image = _draw_whole_sky(axes, vectors, counts)
        place, size = _on_the_sky, 2.5
    else:
        n_pixels = int(np.ceil(2.0 * radius_deg / FIELD_PIXEL_DEG)) + 4
        wcs = field_wcs(lon_deg, lat_deg, FIELD_PIXEL_DEG, n_pixels)
        axes = figure.add_subplot(projection=wcs)
        image = _draw_field(axes, wcs, n_pixels, vectors, counts)
        place, size = partial(_in_pixels, wcs), 5.0
        _draw_errors(axes, place, found)
    _mark(axes, place, size, found, true)
    title = f"{counts.sum():,.0f} photons above {lowest_mev / 1000:g} GeV"
    axes.set_title(title + ("" if whole else "; circles: 95% errors"), pad=14)
    figure.colorbar(image[0], ax=axes, shrink=0.7, label=image[1], ticks=MaxNLocator(4))
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3)
    return figure


_DOUBTFUL = "not selected or fake"


def _mark(axes: Axes, place: Place, size: float, found: Table, true: Positions | None) -> None:
    """Marks of true sources, doubtful and selected candidates, those that are there."""
    from matplotlib.colors import to_rgba_array

    if true is not None and len(true[0]):
        label = f"{len(true[0]):,} true sources"
        axes.scatter(*place(*true), s=(3 * size) ** 2, c=TRUE, marker="+", zorder=1.9, label=label)
    sure = np.asarray(found["Selected"], dtype=bool) & ~np.asarray(found["Fake"], dtype=bool)
    for rows, what in ((found[~sure], _DOUBTFUL), (found[sure], "selected candidates")):
        if not len(rows):
            continue
        # of thousands the improbable ones are faint, so that the sky is seen
        chance = np.asarray(rows["Probability"], float)
        colors = to_rgba_array([FOUND] * len(rows), chance**2 if len(found) > MANY else None)
        where = place(np.asarray(rows["GLON"], float), np.asarray(rows["GLAT"], float))
        style: dict[str, Any] = {"s": size**2, "marker": "D", "linewidths": 0.8, "zorder": 1.8}
        hollow = what == _DOUBTFUL
        axes.scatter(*where, ec=colors, fc="none" if hollow else colors, **style)
        style |= {"label": f"{len(rows):,} {what}"}
        axes.scatter([], [], ec=FOUND, fc="none" if hollow else FOUND, **style)


def _draw_errors(axes: Axes, place: Place, found: Table) -> None:
    """Circles of the area of the 95% error ellipses."""
    from matplotlib.collections import EllipseCollection

    r95 = np.sqrt(np.asarray(found["Conf_95_SemiMajor"] * found["Conf_95_SemiMinor"], float))
    known = np.isfinite(r95)
    centers = np.stack(place(np.asarray(found["GLON"], float), np.asarray(found["GLAT"], float)))
    width = 2.0 * r95[known] / FIELD_PIXEL_DEG
    shape: dict[str, Any] = {
        "units": "xy",
        "offsets": centers.T[known],
        "offset_transform": axes.transData,
    }
    circles = EllipseCollection(
        width, width, 0 * width, ec=FOUND, fc="none", lw=1.0, zorder=1.7, **shape
    )
    axes.add_collection(circles)


def _draw_field(
    axes: Axes, wcs: WCS, n_pixels: int, vectors: np.ndarray, counts: np.ndarray
) -> tuple[ScalarMappable, str]:
    """What was drawn, and what its color says."""
    from scipy.ndimage import gaussian_filter

    counted = field_image(wcs, n_pixels, vectors, counts)
    image = gaussian_filter(counted, 1.0)
    drawn = axes.imshow(image, origin="lower", cmap="Greys", norm=_stretch(image))
    occupied = np.argwhere(counted > 0)
    if occupied.size:
        (low_y, low_x), (high_y, high_x) = occupied.min(axis=0), occupied.max(axis=0)
        axes.set(xlim=(low_x - 2, high_x + 2), ylim=(low_y - 2, high_y + 2))
    axes.grid(color="0.5", alpha=0.3)
    axes.set(xlabel="Galactic longitude", ylabel="Galactic latitude")
    return drawn, f"photons in {FIELD_PIXEL_DEG:g} x {FIELD_PIXEL_DEG:g} deg, smoothed"


def _draw_whole_sky(
    axes: Axes, vectors: np.ndarray, counts: np.ndarray
) -> tuple[ScalarMappable, str]:
    """What was drawn, and what its color says."""
    lon, lat = vectors_to_lonlat(vectors)
    edges = np.linspace(-180.0, 180.0, 721), np.linspace(-90.0, 90.0, 361)
    image, _, _ = np.histogram2d(_east_left(lon), lat, bins=edges, weights=counts)
    middle = np.radians((edges[1][1:] + edges[1][:-1]) / 2.0)
    brightness = (image / np.cos(middle)).T
    shape: dict[str, Any] = {"cmap": "Greys", "norm": _stretch(brightness), "rasterized": True}
    drawn = axes.pcolormesh(np.radians(edges[0]), np.radians(edges[1]), brightness, **shape)
    ticks = np.arange(-120, 121, 60)
    box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
    axes.set_xticks(np.radians(ticks), [f"{-tick % 360}°" for tick in ticks], bbox=box)
    axes.set_axisbelow(False)
    axes.grid(alpha=0.3)
    axes.set(xlabel="Galactic longitude", ylabel="Galactic latitude")
    return drawn, "photons in 0.25 square degrees"


def _in_pixels(wcs: WCS, lon_deg: np.ndarray, lat_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = wcs.wcs_world2pix(lon_deg, lat_deg, 0)
    return x, y


def _on_the_sky(lon_deg: np.ndarray, lat_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.radians(_east_left(lon_deg)), np.radians(lat_deg)


def _east_left(lon_deg: np.ndarray) -> np.ndarray:
    """Longitudes turned so that they grow to the left of a plot centred on zero, degrees."""
    return -((np.asarray(lon_deg) + 180.0) % 360.0 - 180.0)


def _stretch(image: np.ndarray) -> PowerNorm:
    """Square root, cut at the 99.5th percentile, so that faint sources show."""
    from matplotlib.colors import PowerNorm

    high = np.percentile(image, 99.5)
    return PowerNorm(0.5, 0.0, high if high > 0 else max(float(image.max()), 1.0), clip=True)
