"""A simulated sky as the files an analyst has: gtbin's count cubes, or photon lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from ..config import SimulateConfig
from ..errors import ConfigError
from ..progress import Progress, silent
from ..sky.binning import orders_by_energy
from ..sky.bins import MISSION_START_MET, N_BINS, YEAR_S
from ..sky.geometry.coverage import inside_circle
from ..sky.io.wcs import vectors_to_pixels
from ..sky.io.writers import wcs_cube, write_healpix_counts, write_wcs_counts
from .ft1 import write_ft1
from .sky import Region, simulate_counts, simulate_photons, year_lengths
from .skymodel import SkyModel

HEALPIX_ORDERS = orders_by_energy(8, 8, 9, 10, 11, 11)
"""HEALPIX orders of the six count files: 0.23 to 0.03 degrees, finer than the network's pixels."""

COARSE_ORDERS = orders_by_energy(7, 7, 8, 9, 10, 10)
"""Orders of count files as others have them: 0.46 to 0.06 degrees."""

FIELD_PIXEL_DEG, SKY_PIXEL_DEG = 0.05, 0.1
"""Pixels of a WCS cube of a field and of the whole sky, unless others are asked for."""

WIDEST_FIELD_DEG = 60.0
"""A WCS cube of a region of more than this radius is one of the whole sky."""

WHOLE_SKY_PROJECTIONS = ("CAR", "AIT", "MOL")
FIELD_PROJECTIONS = ("ZEA", "TAN", "STG", "CAR", "AIT")

_MANY_PHOTONS = 1e7  # more than these become one file a year
_LEAST_GB, _COUNTS_GB, _PHOTON_GB = 0.3, 0.5, 250e-9


@dataclass(frozen=True)
class Draw:
    """What a writer needs to draw a sky: the model, its light curves, random numbers.

    Attributes
    ----------
    model : SkyModel
    factors : array (N, number of years) or None
        Flux of each source in each mission year over its mean; None is constant light.
    rng, for_files : Generator
        Of the photons, and of what the files need beside them.
    progress : Progress
    """

    model: SkyModel
    factors: np.ndarray | None
    rng: np.random.Generator
    for_files: np.random.Generator
    progress: Progress = silent


def write_sky_files(config: SimulateConfig, draw: Draw, folder: Path) -> np.ndarray | None:
    """Draw a sky and write its count or photon files.

    Returns
    -------
    bool array (N,) or None
        Sources that lie in the field; None for all of them.

    Raises
    ------
    ConfigError
        A projection that cannot show the region.
    OutputError
        A file cannot be written.
    """
    writers: dict[str, Callable[[SimulateConfig, Draw, Path], np.ndarray | None]] = {
        "photons": _write_photons,
        "healpix": _write_healpix,
        "wcs": _write_wcs,
    }
    return writers[config.format](config, draw, folder)


def file_names(config: SimulateConfig) -> list[str]:
    """Names of the files `write_sky_files` may write."""
    n_years = len(year_lengths(config.years))
    if config.format == "photons":
        return ["photons.fits", *(f"photons{_of_year(year)}.fits" for year in range(n_years))]
    parts = ["", *map(_of_year, range(n_years))] if config.yearly else [""]
    one_file = config.format == "wcs" or isinstance(config.order, int)
    ends = [""] if one_file else [f"_bin{b}" for b in range(N_BINS)]
    return [f"counts{part}{end}.fits" for part in parts for end in ends]


def _of_year(year: int) -> str:
    return f"_year{year:02d}"


def _write_healpix(config: SimulateConfig, draw: Draw, folder: Path) -> np.ndarray | None:
    orders = _healpix_orders(config)
    coarsest = orders if isinstance(orders, int) else min(orders)
    # the pixels at the edge are to be filled in full: they stick out of the circle
    margin = 1.5 * np.degrees(hp.max_pixrad(2**coarsest))
    sky = simulate_counts(
        draw.model,
        config.years,
        draw.rng,
        _grown(config.region, margin),
        config.yearly,
        factors=draw.factors,
        progress=draw.progress,
    )
    for part, layer in [
        ("", sky),
        *((_of_year(year), layer) for year, layer in enumerate(sky.years)),
    ]:
        write_healpix_counts(
            layer,
            folder / f"counts{part}.fits",
            orders,
            rng=draw.for_files,
            coordsys=config.coordsys,
            region=_part(config.region),
            sparse=config.order is None,
        )
    return None if config.region is None else inside_circle(draw.model.vectors, config.region)


def _healpix_orders(config: SimulateConfig) -> int | tuple[int, ...]:
    if config.order is None:
        return HEALPIX_ORDERS
    return COARSE_ORDERS if config.order == "coarse" else config.order


def _write_wcs(config: SimulateConfig, draw: Draw, folder: Path) -> np.ndarray | None:
    wcs, shape, region = cube_geometry(
        config.region, config.projection, config.coordsys, config.pixel
    )
    sky = simulate_counts(
        draw.model,
        config.years,
        draw.rng,
        region,
        config.yearly,
        factors=draw.factors,
        progress=draw.progress,
    )
    total = None
    for year, layer in enumerate(sky.years):
        cube = wcs_cube(layer, wcs, shape, draw.for_files)
        total = cube if total is None else total + cube
        path = folder / f"counts{_of_year(year)}.fits"
        write_wcs_counts(layer, path, wcs, shape, rng=draw.for_files, cube=cube)
    write_wcs_counts(sky, folder / "counts.fits", wcs, shape, rng=draw.for_files, cube=total)
    return vectors_to_pixels(wcs, draw.model.vectors, shape)[0] >= 0


def _write_photons(config: SimulateConfig, draw: Draw, folder: Path) -> np.ndarray | None:
    lengths = year_lengths(config.years)
    apart = _years_apart(config, _expected_photons(draw.model, config))
    # (name, start in years, length in years, light curves)
    spans: list[tuple[str, float, float, np.ndarray | None]]
    spans = [("photons.fits", 0.0, config.years, draw.factors)]
    if apart:
        spans = [
            (
                f"photons{_of_year(year)}.fits",
                float(year),
                length,
                None if draw.factors is None else draw.factors[:, year : year + 1],
            )
            for year, length in enumerate(lengths)
        ]
    for name, start, length, factors in spans:
        photons = simulate_photons(
            draw.model,
            length,
            draw.rng,
            config.region,
            start_met=MISSION_START_MET + start * YEAR_S,
            factors=factors,
            progress=draw.progress,
        )
        write_ft1(photons, folder / name, draw.for_files)
    return None if config.region is None else inside_circle(draw.model.vectors, config.region)


def _years_apart(config: SimulateConfig, photons: float) -> bool:
    """Whether each year becomes a file of photons of its own."""
    return config.yearly or photons > _MANY_PHOTONS


def memory_gb(config: SimulateConfig, model: SkyModel) -> float:
    """Memory that drawing and writing take, GB; photons of a file are in it at once."""
    photons = _expected_photons(model, config)
    if config.format != "photons":
        return _LEAST_GB + _COUNTS_GB
    share = max(year_lengths(config.years)) / config.years if _years_apart(config, photons) else 1.0
    return _LEAST_GB + _PHOTON_GB * photons * share


def _expected_photons(model: SkyModel, config: SimulateConfig) -> float:
    """About how many photons the mean sky gives in the region."""
    per_sr = model.background.mean(axis=1).sum() + model.expected_counts.sum() / (4.0 * np.pi)
    radius = 180.0 if config.region is None else min(config.region[2], 180.0)
    return float(per_sr * 2.0 * np.pi * (1.0 - np.cos(np.radians(radius))) * config.years)


def _grown(region: Region | None, by_deg: float) -> Region | None:
    """A region with a margin around it; the whole sky from 180 degrees on."""
    if region is None or region[2] + by_deg >= 180.0:
        return None
    return region[0], region[1], region[2] + by_deg


def _part(region: Region | None) -> Region | None:
    return None if region is None or region[2] >= 180.0 else region


def cube_geometry(
    region: Region | None,
    projection: str | None = None,
    coordsys: str = "GAL",
    pixel_deg: float | None = None,
) -> tuple[WCS, tuple[int, int], Region | None]:
    """WCS and shape of the count cube of a region, and the circle around the cube.

    Parameters
    ----------
    region : (lon, lat, radius) or None
        Galactic degrees; None is the whole sky, as is a radius beyond `WIDEST_FIELD_DEG`.
    projection : str or None
        FITS code: one of `FIELD_PROJECTIONS` for a field (ZEA when None), one of
        `WHOLE_SKY_PROJECTIONS` for the whole sky (CAR when None).
    coordsys : {"GAL", "CEL"}
    pixel_deg : float or None
        Side of a pixel, degrees; None is `FIELD_PIXEL_DEG` or `SKY_PIXEL_DEG`.

    Raises
    ------
    ConfigError
        The projection cannot show the region.
    """
    whole = region is None or region[2] > WIDEST_FIELD_DEG
    known = WHOLE_SKY_PROJECTIONS if whole else FIELD_PROJECTIONS
    projection = projection or known[0]
    if projection not in known:
        what = "the whole sky" if whole else "a field"
        raise ConfigError(f"projection {projection!r}: {what} is shown in {', '.join(known)}")
    wcs = WCS(naxis=2)
    axes = ("RA---", "DEC--") if coordsys == "CEL" else ("GLON-", "GLAT-")
    wcs.wcs.ctype = [f"{axis}{projection}" for axis in axes]
    if region is None or whole:
        pixel = pixel_deg or SKY_PIXEL_DEG
        # Aitoff and Mollweide are wider than 360 degrees by the factor of their plane
        stretch = {"CAR": 1.0, "AIT": 0.9004, "MOL": 0.9004}[projection]
        width, height = (round(size * stretch / pixel) for size in (360.0, 180.0))
        wcs.wcs.crval = [0.0, 0.0]
        _set_pixels(wcs, width, height, pixel)
        return wcs, (height, width), None
    pixel = pixel_deg or FIELD_PIXEL_DEG
    lon, lat, radius = region
    half = max(radius, _plane_radius_deg(projection, radius))
    width = height = max(round(2.0 * half / pixel), 1)
    centre = SkyCoord(lon, lat, unit="deg", frame="galactic")
    place = centre.icrs.spherical if coordsys == "CEL" else centre.spherical
    wcs.wcs.crval = [place.lon.deg, place.lat.deg]
    if projection in ("ZEA", "TAN", "STG"):
        # at the pole itself the default would turn the map
        wcs.wcs.lonpole = 180.0
    _set_pixels(wcs, width, height, pixel)
    return wcs, (height, width), (lon, lat, _reach_deg(wcs, width, pixel))


def _set_pixels(wcs: WCS, width: int, height: int, pixel: float) -> None:
    wcs.wcs.crpix = [(width + 1) / 2.0, (height + 1) / 2.0]
    wcs.wcs.cdelt = [-pixel, pixel]


def _plane_radius_deg(projection: str, radius_deg: float) -> float:
    """Radius in the plane of a circle around the reference point, of the zenithal projections."""
    radius = np.radians(radius_deg)
    plane = {"TAN": np.tan(radius), "STG": 2.0 * np.tan(radius / 2.0)}
    return float(np.degrees(plane.get(projection, 0.0)))


def _reach_deg(wcs: WCS, width: int, pixel: float) -> float:
    """Greatest distance from the centre of what lies in the square of pixels, and a pixel more."""
    side = np.linspace(-0.5, width - 0.5, 65)
    first, last = np.full_like(side, side[0]), np.full_like(side, side[-1])
    x = np.concatenate([side, side, first, last])
    y = np.concatenate([first, last, side, side])
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    on_sky = np.isfinite(lon) & np.isfinite(lat)
    edge = SkyCoord(lon[on_sky], lat[on_sky], unit="deg")
    away = edge.separation(SkyCoord(*wcs.wcs.crval, unit="deg")).deg
    return float(min(away.max() + 2.0 * pixel, 180.0))
