"""`fermi-unek simulate`: a sky of a configuration, written with its truth beside it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS

from ..config import SimulateConfig
from ..errors import ConfigError
from ..outputs import check_folder, staging
from ..progress import Progress, silent
from ..sky.bins import MISSION_START_MET, N_BINS, YEAR_S
from ..sky.coverage import inside_circle
from ..sky.wcs import vectors_to_pixels
from ..sky.writers import write_healpix_counts, write_wcs_counts
from .diffuse import DiffuseModel, by_name
from .ft1 import write_ft1
from .instrument import load_instrument
from .population import dr2_population, read_population, resampled_population
from .sky import Region, simulate_counts, simulate_photons, year_lengths
from .skymodel import SkyModel, build_sky_model
from .truth import truth_table, write_truth

TRUTH = "truth.fits"
HEALPIX_ORDERS = (7, 7, 8, 9, 10, 10)
"""HEALPIX orders of the six count files: 0.46 to 0.06 degrees."""

FIELD_PIXEL_DEG, SKY_PIXEL_DEG = 0.05, 0.1
"""Pixels of a WCS cube of a field and of the whole sky."""

WIDEST_FIELD_DEG = 60.0
"""A WCS cube of a region of more than this radius is one of the whole sky."""

_HEALPIX_MARGIN_DEG = 0.6  # what pixels of order 7 stick out of a circle that holds their centre
_MANY_PHOTONS = 1e7  # more than these become one file a year


def simulate_to_dir(
    config: SimulateConfig,
    out_dir: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """Simulate a sky and write it into a folder.

    Counts become ``counts_bin0.fits`` to ``counts_bin5.fits`` (HEALPIX) or ``counts.fits``
    (WCS: zenithal equal-area around the region's centre, or plate carree of the whole sky);
    photons become ``photons.fits``, or ``photons_year00.fits`` and so on where they are many.
    The sources behind them go into ``truth.fits``.

    The WCS cube of a region is the square around its circle, filled to the corners.

    Parameters
    ----------
    config : SimulateConfig
        One seed is one sky, with the same background and package version.
    out_dir : path
        Made when it does not exist; the folder above must.
    overwrite : bool
        Whether files of these names may be replaced.
    progress : Progress

    Returns
    -------
    tuple of Path
        The files written, the truth last.

    Raises
    ------
    OutputError
        Before the work starts, when a file exists and may not be replaced, or the folder cannot
        be had; nothing is left half-written.
    InputError
        For a source list that cannot be used.
    ConfigError
        For a background that is not known or needs files that are not there.
    """
    out_dir = Path(out_dir)
    check_folder(out_dir, output_names(config), overwrite)
    # each step has random numbers of its own
    seeds = np.random.SeedSequence(config.seed).spawn(3)
    for_sources, for_photons, for_files = (np.random.default_rng(seed) for seed in seeds)
    background = find_background(config)
    sources = find_population(config, for_sources)
    model = build_sky_model(sources, background, load_instrument(), config.evtype)
    write = {"photons": _write_photons, "healpix": _write_healpix, "wcs": _write_wcs}
    with staging(out_dir) as folder:
        inside = write[config.format](model, config, folder, for_photons, for_files, progress)
        names = sorted(path.name for path in folder.iterdir())
        table = truth_table(model, config.years, inside)
        write_truth(table, folder / TRUTH, _keywords(config, model))
    return tuple(out_dir / name for name in [*names, TRUTH])


def output_names(config: SimulateConfig) -> list[str]:
    """Names of the files a configuration may write."""
    counts = {
        "healpix": [f"counts_bin{b}.fits" for b in range(N_BINS)],
        "wcs": ["counts.fits"],
        "photons": ["photons.fits", *map(_year_name, range(len(year_lengths(config.years))))],
    }
    return [*counts[config.format], TRUTH]


def _year_name(year: int) -> str:
    return f"photons_year{year:02d}.fits"


def find_population(config: SimulateConfig, rng: np.random.Generator) -> Table:
    """The sources of ``dr2``, ``mock``, or a file; `InputError` for a file that is not usable."""
    if config.population == "dr2":
        return dr2_population(rng)
    if config.population == "mock":
        return resampled_population(rng)
    return read_population(config.population)


def find_background(config: SimulateConfig) -> DiffuseModel:
    """The diffuse model of a configuration; ``auto`` is v07 where its files are, else own.

    Raises
    ------
    ConfigError
        The name is not known, or its files are not there.
    """
    data = find_data()
    name = config.background
    if name == "auto":
        name = "own" if data is None else "v07"
    if data is None and name in ("v07", "model_O", "model_A"):
        raise ConfigError(
            f"background {name!r} needs the Fermi diffuse files; set FERMI_UNEK_DATA to the folder "
            "that holds diffuse/, or take background 'own'"
        )
    return by_name(name, data, config.evtype)


def find_data() -> Path | None:
    """Folder with the Fermi diffuse files: $FERMI_UNEK_DATA or else ../shared/data."""
    named = os.environ.get("FERMI_UNEK_DATA")
    folder = Path(named) if named else Path("../shared/data")
    return folder if (folder / "diffuse" / "gll_iem_v07_240x131.fits").is_file() else None


def _write_healpix(
    model: SkyModel,
    config: SimulateConfig,
    folder: Path,
    rng: np.random.Generator,
    for_files: np.random.Generator,
    progress: Progress,
) -> np.ndarray | None:
    """Write the files; the sources (N,) that lie in the field, None for all of them."""
    # the pixels at the edge are to be filled in full
    region = _grown(config.region, _HEALPIX_MARGIN_DEG)
    sky = simulate_counts(model, config.years, rng, region, progress=progress)
    write_healpix_counts(
        sky, folder / "counts.fits", HEALPIX_ORDERS, rng=for_files, region=_part(config.region)
    )
    return None if config.region is None else inside_circle(model.vectors, config.region)


def _write_wcs(
    model: SkyModel,
    config: SimulateConfig,
    folder: Path,
    rng: np.random.Generator,
    for_files: np.random.Generator,
    progress: Progress,
) -> np.ndarray | None:
    wcs, shape, region = cube_geometry(config.region)
    sky = simulate_counts(model, config.years, rng, region, progress=progress)
    write_wcs_counts(sky, folder / "counts.fits", wcs, shape, rng=for_files)
    return vectors_to_pixels(wcs, model.vectors, shape)[0] >= 0


def _write_photons(
    model: SkyModel,
    config: SimulateConfig,
    folder: Path,
    rng: np.random.Generator,
    for_files: np.random.Generator,
    progress: Progress,
) -> np.ndarray | None:
    lengths = year_lengths(config.years)
    if _expected_photons(model, config) < _MANY_PHOTONS:
        lengths = [config.years]
    for year, length in enumerate(lengths):
        start = MISSION_START_MET + year * YEAR_S
        photons = simulate_photons(
            model, length, rng, config.region, start_met=start, progress=progress
        )
        name = _year_name(year) if len(lengths) > 1 else "photons.fits"
        write_ft1(photons, folder / name, for_files)
    return None if config.region is None else inside_circle(model.vectors, config.region)


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


def cube_geometry(region: Region | None) -> tuple[WCS, tuple[int, int], Region | None]:
    """WCS and shape of the count cube of a region, and the circle around the cube.

    Parameters
    ----------
    region : (lon, lat, radius) or None
        Galactic degrees; None is the whole sky, as is a radius beyond `WIDEST_FIELD_DEG`.
    """
    wcs = WCS(naxis=2)
    if region is None or region[2] > WIDEST_FIELD_DEG:
        width, height = round(360.0 / SKY_PIXEL_DEG), round(180.0 / SKY_PIXEL_DEG)
        wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
        wcs.wcs.crval = [0.0, 0.0]
        pixel, circle = SKY_PIXEL_DEG, None
    else:
        lon, lat, radius = region
        width = height = max(round(2.0 * radius / FIELD_PIXEL_DEG), 1)
        wcs.wcs.ctype = ["GLON-ZEA", "GLAT-ZEA"]
        wcs.wcs.crval = [lon, lat]
        # at the pole itself the default would turn the map
        wcs.wcs.lonpole = 180.0
        pixel = FIELD_PIXEL_DEG
        # radius in the equal-area plane of a corner, and a pixel more
        corner = np.radians(np.sqrt(0.5) * (width + 2) * pixel)
        circle = (lon, lat, float(np.degrees(2.0 * np.arcsin(min(corner / 2.0, 1.0)))))
    wcs.wcs.crpix = [(width + 1) / 2.0, (height + 1) / 2.0]
    wcs.wcs.cdelt = [-pixel, pixel]
    return wcs, (height, width), circle


def _keywords(config: SimulateConfig, model: SkyModel) -> dict[str, str | int | float]:
    keywords: dict[str, str | int | float] = {
        "SEED": config.seed,
        "POPUL": Path(config.population).name,
        "BACKGR": model.background_name,
        "YEARS": config.years,
        "EVTYPE": model.event_type,
        "FORMAT": config.format,
        "REGION": "all sky" if config.region is None else "{:g},{:g},{:g}".format(*config.region),
    }
    return keywords
