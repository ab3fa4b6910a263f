"""`fermi-unek refit`: a catalog and its photons in, the catalog with likelihood results out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
from scipy.spatial import cKDTree

from .. import __version__
from ..catalog import Catalog, write_catalog
from ..catalog.io import check_catalog, read_source_list
from ..catalog.provenance import below_one_folder, without_folders
from ..catalog.releases import release_path
from ..config import RefitConfig
from ..diffuse.named import DiffuseModel, choose, official
from ..errors import ConfigError, InputError, UnekWarning
from ..memory import need_memory
from ..parallel import task_workers
from ..progress import Progress, silent
from ..sky.bins import COVERAGE_ORDER, MISSION_START_MET, YEAR_S
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from ..sky.io.readers import read_sky
from . import flags
from .columns import refitted
from .first import first_states, in_coarse_bins
from .kept import KeptRegions, forget_regions
from .region import REGION_NSIDE, Region, RegionTask, divide, make_task, try_region
from .response import Response, build_response
from .spectra import INDEX_MEAN
from .start import start_states, states_beyond
from .state import SourceResult, SourceState

# memory beside photons and images, of each worker process, and of a source in a pixel
_FIT_GB, _WORKER_GB, _IMAGE_GB = 0.3, 0.35, 4e-9
_ONE_PLACE_DEG = 0.01  # far below the PSF at any energy


def refit_to_file(
    catalog: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    config: RefitConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Catalog:
    """Refit a catalog file on the photons it was found in, and write it anew.

    Parameters
    ----------
    catalog : path
        Written by `find`, or any list in the manner of 4FGL.
    inputs : paths
        Photon files or count cubes.
    output : path
    config : RefitConfig, optional
    overwrite : bool
    progress : Progress

    Raises
    ------
    OutputError
        Before anything is read, when the output exists and may not be replaced, or cannot be
        written.
    InputError, ConfigError
        What cannot be used.
    """
    output = check_catalog(output, overwrite)
    config = config or RefitConfig()
    before = read_source_list(catalog)
    # a name that is wrong is told at once
    chosen_rows(before, config.rows)
    _surroundings_path(config)
    read = partial(
        read_sky,
        list(inputs),
        event_type=config.evtype,
        zmax_deg=config.zmax,
        event_class=config.evclass,
        fine=True,
    )
    rng = partial(np.random.default_rng, config.seed)
    sky = read(rng=rng(), yearly=False if config.history == "none" else None)
    periods = None
    if config.period_s is not None:
        if not sky.years:
            raise InputError(
                f"{inputs[0]}: holds no times of photons, of which --history {config.history} is "
                "made; expected photon files"
            )
        periods = read(rng=rng(), yearly=True, year_s=config.period_s)
    after = refit_catalog(before, sky, config, periods=periods, output=output, progress=progress)
    write_catalog(after, output, overwrite=overwrite)
    forget_regions(output)
    return after


def refit_catalog(
    catalog: Catalog,
    sky: SkyCounts,
    config: RefitConfig | None = None,
    *,
    diffuse: DiffuseModel | None = None,
    periods: SkyCounts | None = None,
    output: Path | None = None,
    progress: Progress = silent,
) -> Catalog:
    """A catalog with the results of a likelihood fit of its sources.

    Parameters
    ----------
    catalog : Catalog
        N rows; N may be 0.
    sky : SkyCounts
        The photons.
    config : RefitConfig, optional
    diffuse : DiffuseModel, optional
        Takes the place of what the configuration names.
    periods : SkyCounts, optional
        The same photons with years of another length, `config.period_s`, for light curves.
    output : Path, optional
        File that the catalog will go to: finished regions are kept beside it until
        `forget_regions`, for another call that does the same.
    progress : Progress

    Returns
    -------
    Catalog
        The same rows in the same order under the same names; positions may have moved.

    Raises
    ------
    InputError, ConfigError
        A response or diffuse file cannot be used, or the live time is not known.
    """
    config = config or RefitConfig()
    diffuse = diffuse or find_diffuse(config, sky.event_type)
    beyond = _beyond(catalog, sky, config)
    after = _fitted(catalog, sky, config, diffuse, progress, beyond, periods, output)
    if config.alternative_diffuse is not None:
        other = _fitted(
            catalog,
            sky,
            config,
            choose(config.alternative_diffuse, sky.event_type),
            progress,
            beyond,
            output=output,
        )
        after.table["Flags"] |= flags.judge_change(after.table, other.table)
    told = _provenance(config, sky, diffuse) | {
        "refit surroundings": f"{len(beyond)} sources of {Path(config.surroundings).name}"
    }
    return replace(after, header={**catalog.header, **told})


def _fitted(
    catalog: Catalog,
    sky: SkyCounts,
    config: RefitConfig,
    diffuse: DiffuseModel,
    progress: Progress,
    beyond: Sequence[SourceState],
    periods: SkyCounts | None = None,
    output: Path | None = None,
) -> Catalog:
    """The catalog refitted with one diffuse model."""
    vectors = _vectors(catalog)
    inside = _covered(sky, vectors)
    _tell_twins(catalog, vectors)
    chosen = frozenset(chosen_rows(catalog, config.rows))
    middle = _middle(vectors)
    responses = find_responses(sky, config, middle)
    dated = () if periods is None else find_responses(periods, config, middle)
    coarse = [
        in_coarse_bins(response, layer)
        for response, layer in zip(responses, sky.layers or (sky,), strict=True)
    ]
    widened = chosen if config.extension else frozenset()
    states = [
        # what is to be fitted begins as a point
        state.changed(extent=None) if row in widened else state
        for row, state in enumerate([*start_states(catalog, coarse, diffuse), *beyond])
    ]
    regions = divide(
        np.array([*vectors, *(state.vector for state in beyond)]),
        np.array([state.amplitude for state in states]),
        np.concatenate([inside, np.zeros(len(beyond), bool)]),
    )
    need_memory(_fit_gb(sky, regions, config), f"the fit of {len(regions)} regions")
    alike: dict[str, Any] = {
        "diffuse": diffuse,
        "prior": None if config.index_prior is None else (INDEX_MEAN, config.index_prior),
    }
    with task_workers(
        len(regions), workers=config.workers, scheduler=config.scheduler
    ) as over_regions:
        run = partial(over_regions, progress=progress)
        settings: dict[str, Any] = {
            "states": first_states(states, regions, run, responses=coarse, **alike),
            "responses": responses,
            **alike,
            "moving": config.localize,
            "scatter": config.scatter,
            "widened": widened,
            "dated": chosen if dated else frozenset(),
            "periods": dated,
        }
        kept = None
        if output is not None:
            kept = KeptRegions(output, [__version__, regions, settings])
            kept.begin()
        results = _fit_all(regions, partial(make_task, **settings), run, kept)
    return refitted(
        catalog,
        [result for of_region in results for result in of_region],
        regions,
        year_edges_met=_year_edges(sky),
        period_edges_met=None if periods is None else _year_edges(periods, config.period_s),
        fake_ts=config.fake_ts,
    )


def _fit_gb(sky: SkyCounts, regions: Sequence[Region], config: RefitConfig) -> float:
    """Memory that a fit takes here, GB; `studies/trust_memory.py` compares it.

    The largest regions are fitted at once; each holds an image of each source in its pixels.
    """
    if config.scheduler is not None or not regions:
        return _FIT_GB
    number, order = 12 * REGION_NSIDE**2, hp.nside2order(REGION_NSIDE)
    lit = np.zeros(number)
    for layer in sky.layers or (sky,):
        for part in [fine.counts for fine in layer.fine] or [part for part in layer.bins if part]:
            if part.order >= order:
                lit += np.bincount(part.pixels >> 2 * (part.order - order), minlength=number)
    seen = 1.0 if sky.coverage is None else sky.coverage.reshape(number, -1).mean(axis=1)
    cell_deg2 = hp.nside2pixarea(REGION_NSIDE, degrees=True)
    density = lit / np.maximum(seen * cell_deg2, 1.0)
    sizes = [
        len(region.own + region.border)
        * density[hp.vec2pix(REGION_NSIDE, *region.centre, nest=True)]
        * np.pi * region.radius_deg**2
        for region in regions
    ]  # fmt: skip
    workers = min(config.workers, len(regions))
    apart = _WORKER_GB * workers if workers > 1 else 0.0
    return float(_FIT_GB + apart + _IMAGE_GB * sum(sorted(sizes)[-workers:]))


def _beyond(catalog: Catalog, sky: SkyCounts, config: RefitConfig) -> list[SourceState]:
    """Sources that shine into the field from where no photons were taken.

    Of simulated photons, and beside a catalog that has such sources itself, only where asked.
    """
    path, vectors = _surroundings_path(config), _vectors(catalog)
    complete = sky.selection.simulated or not np.all(_inside(sky, vectors))
    if path is None or (complete and "surroundings" not in config.model_fields_set):
        return []
    return states_beyond(read_source_list(path), sky, vectors)


def _vectors(catalog: Catalog) -> np.ndarray:
    """Galactic unit vectors (N, 3)."""
    lon, lat = (np.asarray(catalog.table[name], float) for name in ("GLON", "GLAT"))
    return lonlat_to_vectors(lon, lat).reshape(-1, 3)


def _surroundings_path(config: RefitConfig) -> Path | None:
    name = config.surroundings
    if name == "none":
        return None
    return Path(name) if Path(name).is_file() else release_path(name)


def chosen_rows(catalog: Catalog, names: Sequence[str]) -> list[int]:
    """Rows of some sources, all unless any are named.

    Raises
    ------
    ConfigError
        The catalog has no source of that name.
    """
    rows = {str(name).strip(): row for row, name in enumerate(catalog.table["Source_Name"])}
    for name in names:
        if name not in rows:
            raise ConfigError(f"--rows: the catalog has no source {name!r}")
    return [rows[name] for name in names] or list(rows.values())


def _fit_all(
    regions: Sequence[Region],
    make: Callable[[Region], RegionTask],
    run: Callable[..., list[Any]],
    kept: KeptRegions | None,
) -> list[list[SourceResult]]:
    """Results of all regions, in their order; none of one whose fit failed, with a warning."""
    before = [None if kept is None else kept.load(region) for region in regions]
    left = [region for region, known in zip(regions, before, strict=True) if known is None]
    fit = try_region if kept is None else kept.fit
    new = run(fit, map(make, left), total=len(left), label="regions")
    fresh = iter(new)
    found = [next(fresh) if known is None else known for known in before]
    results = []
    for region, of_region in zip(regions, found, strict=True):
        if isinstance(of_region, str):
            lon, lat = vectors_to_lonlat(region.centre)
            warnings.warn(
                f"the fit of region {region.number} around {float(lon):.2f},{float(lat):.2f} "
                f"(Galactic degrees) failed ({of_region}); its {len(region.own)} sources stay "
                "as they are",
                UnekWarning,
                stacklevel=4,
            )
            of_region = []
        results.append(of_region)
    return results


def find_responses(
    sky: SkyCounts, config: RefitConfig, centre: np.ndarray | None = None
) -> tuple[Response, ...]:
    """Response of each event type of a sky; files for each, where as many are given.

    One map for several event types is shared out among them.

    Parameters
    ----------
    sky : SkyCounts
    config : RefitConfig
    centre : array (3,), optional
        Where PSF files were made for.

    Raises
    ------
    InputError
        A file cannot be used.
    """
    layers = sky.layers or (sky,)
    if _year_edges(sky) is None:
        layers = tuple(replace(layer, years=()) for layer in layers)

    def of_layer(paths: tuple[Path, ...], number: int) -> tuple[Path, ...]:
        return paths[number : number + 1] if len(paths) == len(layers) else paths

    return tuple(
        build_response(
            layer,
            exposure=of_layer(config.exposure, number),
            psf=of_layer(config.psf, number),
            caldb=config.caldb,
            years=config.years,
            centre=centre,
            shared=len(layers) > 1 and len(config.exposure) == 1,
        )
        for number, layer in enumerate(layers)
    )


def find_diffuse(config: RefitConfig, event_type: str) -> DiffuseModel:
    """The diffuse model of a configuration: the user's files, or one by name.

    Raises
    ------
    ConfigError
        Only one of the two files is given, or the name is not known.
    """
    if (config.diffuse is None) != (config.iso is None):
        given, missing = ("diffuse", "iso") if config.diffuse else ("iso", "diffuse")
        raise ConfigError(
            f"--{given} was given without --{missing}; expected a Galactic mapcube and an "
            "isotropic spectrum together"
        )
    if config.diffuse is not None and config.iso is not None:
        return official(config.diffuse, config.iso)
    model = choose(config.background, event_type)
    if config.background == "auto" and model.name.startswith("own"):
        warnings.warn(
            "the diffuse emission is the package's own approximate model; give --diffuse and --iso "
            "(gll_iem_v07.fits, iso_P8R3_SOURCE_V3_*_v1.txt) for results on real data",
            UnekWarning,
            stacklevel=2,
        )
    return model


def _year_edges(sky: SkyCounts, length_s: float | None = None) -> np.ndarray | None:
    """Edges (Y + 1,) of the years, MET; None where all event types do not know the same ones."""
    layers = sky.layers or (sky,)
    first = layers[0].years[0].mission_year if layers[0].years else None
    if first is None:
        return None
    numbers = [first + number for number in range(len(layers[0].years))]
    if any([year.mission_year for year in layer.years] != numbers for layer in layers):
        return None
    return MISSION_START_MET + (length_s or YEAR_S) * np.arange(first, first + len(numbers) + 1.0)


def _covered(sky: SkyCounts, vectors: np.ndarray) -> np.ndarray:
    """Bool (N,): which candidates (N, 3) lie where photons were taken.

    Raises
    ------
    InputError
        None does.

    Warns
    -----
    UnekWarning
        Some do not.
    """
    inside = _inside(sky, vectors)
    if len(vectors) and not inside.any():
        raise InputError(
            f"the photons cover none of the {len(vectors)} sources of the catalog; expected the "
            "photons that it was found in"
        )
    if not inside.all():
        warnings.warn(
            f"the photons do not cover {np.sum(~inside)} of the {len(vectors)} sources of the "
            "catalog, which stay as they are and shine into the others",
            UnekWarning,
            stacklevel=3,
        )
    return inside


def _inside(sky: SkyCounts, vectors: np.ndarray) -> np.ndarray:
    """Bool (N,): which directions (N, 3) lie where photons were taken."""
    inside = np.isfinite(vectors).all(axis=1)
    if sky.coverage is not None:
        places = hp.vec2pix(2**COVERAGE_ORDER, *vectors[inside].T, nest=True)
        inside[inside] = sky.coverage[places]
    return inside


def _tell_twins(catalog: Catalog, vectors: np.ndarray) -> None:
    """Warn of sources (N, 3) at one place: their photons are shared out at will."""
    placed = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    pairs = set()
    if len(placed):
        pairs = cKDTree(vectors[placed]).query_pairs(np.radians(_ONE_PLACE_DEG))
    if pairs:
        first, second = (
            str(catalog.table["Source_Name"][row]).strip() for row in placed[list(min(pairs))]
        )
        warnings.warn(
            f"{len(pairs)} pairs of sources lie within {_ONE_PLACE_DEG:g} deg of each other, the "
            f"first {first} and {second}; no more than the sum of their fluxes is known",
            UnekWarning,
            stacklevel=3,
        )


def _middle(vectors: np.ndarray) -> np.ndarray | None:
    if not len(vectors):
        return None
    total = vectors.sum(axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-9)


_UNTOLD = {"output", "overwrite", "workers", "scheduler"}
"""Settings that say nothing of the numbers in a catalog."""


def _provenance(config: RefitConfig, sky: SkyCounts, diffuse: DiffuseModel) -> dict[str, str]:
    """What the header says of the refit."""
    told = {"refit diffuse model": f"{diffuse.name} ({diffuse.origin})"}
    told |= {
        f"refit {name}": str(without_folders(value))
        for name, value in config.model_dump(exclude=_UNTOLD).items()
        if value not in (None, ())
    }
    told |= {f"refit input {name}": text for name, text in below_one_folder(sky.origin).items()}
    return told
