"""`fermi-unek simulate`: a sky of a configuration, written with its truth beside it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..config import SimulateConfig
from ..diffuse.named import choose
from ..errors import InputError, UnekWarning
from ..irf.exposure import instrument_for
from ..memory import need_memory
from ..outputs import check_folder, staging
from ..progress import Progress, silent
from ..sky.selection import EVENT_TYPES
from .extended import SHAPE_COLUMNS, extended_model, extended_table, split_compact
from .mock import mock_population
from .population import dr2_population, resampled_population
from .sky import year_lengths
from .skymodel import SkyModel, build_sky_model
from .truth import truth_table, write_truth
from .userlist import read_user_list
from .variability import dr2_yearly_factors
from .writing import Draw, file_names, memory_gb, write_sky_files

TRUTH = "truth.fits"
_BRIGHTEST = 2e-6  # Flux1000; Vela has 1.4e-6
_MOST_PHOTONS = 1e7  # of a source; Vela has a few million in all its years

POPULATIONS = {
    "dr2": dr2_population,
    "mock": mock_population,
    "resampled": resampled_population,
}


def simulate_to_dir(
    config: SimulateConfig,
    out_dir: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """Simulate a sky and write it into a folder.

    Counts become ``counts_bin0.fits`` to ``counts_bin5.fits`` (HEALPIX; one ``counts.fits`` where
    one order is asked for) or ``counts.fits`` (WCS), of single years ``counts_year00...``; photons
    become ``photons.fits``, or ``photons_year00.fits`` and so on where they are many or years are
    asked for. The sources behind them go into ``truth.fits``.

    The WCS cube of a region is the square around its circle, filled to the corners.

    Parameters
    ----------
    config : SimulateConfig
        One seed is one sky, with the same background and package version; of its `skies` the
        first one only (`many.simulate_skies` makes all).
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
        For a source list, calibration or exposure file that cannot be used.
    ConfigError
        For a background that is not known or needs files that are not there, or a projection
        that cannot show the region.
    """
    out_dir = Path(out_dir)
    check_folder(out_dir, output_names(config), overwrite)
    # each step has random numbers of its own
    seeds = np.random.SeedSequence(config.seed).spawn(4)
    for_sources, for_photons, for_files, for_curves = map(np.random.default_rng, seeds)
    if config.evtype != "front":  # other photons of the same sky
        other = np.random.SeedSequence([config.seed, EVENT_TYPES[config.evtype]]).spawn(2)
        for_photons, for_files = map(np.random.default_rng, other)
    background = choose(config.background, config.evtype, config.isotropic)
    sources = find_population(config, for_sources)
    extended = None
    if config.extended:
        compact, extended = split_compact(extended_table())
        sources = vstack([sources, compact])
    model = build_sky_model(
        sources,
        background,
        instrument_for(config.exposure, config.caldb, config.years, config.evtype),
        config.evtype,
        extended=None if extended is None else extended_model(extended),
    )
    _check_brightness(config, model)
    factors = find_factors(config, model.sources, for_curves)
    need_memory(memory_gb(config, model), "the simulation")
    draw = Draw(model, factors, for_photons, for_files, progress)
    with staging(out_dir) as folder:
        inside = write_sky_files(config, draw, folder)
        if config.population not in POPULATIONS:
            _tell_unseen(config, model, inside)
        names = sorted(path.name for path in folder.iterdir())
        table = truth_table(model, config.years, inside, factors)
        shapes = None if extended is None else extended[_extended_columns(extended)]
        write_truth(table, folder / TRUTH, _keywords(config, model), extended=shapes)
    return tuple(out_dir / name for name in [*names, TRUTH])


def output_names(config: SimulateConfig) -> list[str]:
    """Names of the files a configuration may write."""
    return [*file_names(config), TRUTH]


def find_population(config: SimulateConfig, rng: np.random.Generator) -> Table:
    """The sources of a name, or of a file; `InputError` for a file that is not usable."""
    if config.population in POPULATIONS:
        return POPULATIONS[config.population](rng)
    return read_user_list(config.population)


def _check_brightness(config: SimulateConfig, model: SkyModel) -> None:
    """InputError where a source of a list has more photons than any: indices of another sign."""
    photons = config.years * sum(rates.sum(axis=1) for rates in model.rates)
    if len(photons) and (most := float(np.max(photons))) > _MOST_PHOTONS:
        name = str(model.sources["Source_Name"][int(np.argmax(photons))])
        raise InputError(
            f"{config.population}: {name} would have {most:.2g} photons, more than any source of "
            f"the sky ({_MOST_PHOTONS:.0g}); are its flux and the sign of its index right?"
        )

    flux = np.asarray(model.sources["Flux1000"], float)
    if config.population not in POPULATIONS and len(flux) and flux.max() > _BRIGHTEST:
        warnings.warn(
            f"{config.population}: {model.sources['Source_Name'][int(np.argmax(flux))]} has "
            f"{flux.max():.2g} photons cm-2 s-1 from 1 to 100 GeV, which is more than Vela, the "
            "brightest in the sky; are the units right?",
            UnekWarning,
            stacklevel=3,
        )


def _tell_unseen(config: SimulateConfig, model: SkyModel, inside: np.ndarray | None) -> None:
    """Warn where no source of a list can be seen in what is simulated."""
    photons = config.years * sum(rates.sum(axis=1) for rates in model.rates)
    there = np.ones(len(model.sources), bool) if inside is None else inside
    if not len(there) or (there.any() and np.max(photons[there]) >= 1.0):
        return
    told = "none lies in the region"
    if there.any():
        told = f"the brightest in the region has {np.max(photons[there]):.2g} photons"
    warnings.warn(
        f"{config.population}: of {len(there)} sources {told}; are the units right?",
        UnekWarning,
        stacklevel=3,
    )


def find_factors(
    config: SimulateConfig, sources: Table, rng: np.random.Generator
) -> np.ndarray | None:
    """Yearly flux over mean flux (N, years) of the sources, or None where it cannot be seen.

    Sources of 4FGL-DR2 have their own histories, the others one of their class; those of a
    user's list that are neither in 4FGL nor have a class are steady. The mean over the live time
    is one, so that counts of the whole of it are the same with and without.
    """
    timed = config.yearly or config.format == "photons"
    if not (config.variable and timed):
        return None
    lengths = np.array(year_lengths(config.years))
    factors = dr2_yearly_factors(sources, lengths.size, rng, lengths=lengths)
    if config.population not in POPULATIONS:
        names = np.asarray(sources["Source_Name"]).astype(str)
        unknown = np.asarray(sources["CLASS1"]).astype(str) == ""
        factors[unknown & ~np.char.startswith(names, "4FGL")] = 1.0
    return factors


def _extended_columns(table: Table) -> list[str]:
    first = ["Source_Name", "CLASS1", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Flux1000"]
    return [*first, *SHAPE_COLUMNS]


def _keywords(config: SimulateConfig, model: SkyModel) -> dict[str, str | int | float]:
    keywords: dict[str, str | int | float] = {
        "SEED": config.seed,
        "POPUL": Path(config.population).name,
        "BACKGR": model.background_name,
        "YEARS": config.years,
        "EVTYPE": model.event_type,
        "FORMAT": config.format,
        "REGION": "all sky" if config.region is None else "{:g},{:g},{:g}".format(*config.region),
        "EXTENDED": config.extended,
        "VARIABLE": config.variable,
    }
    return keywords
