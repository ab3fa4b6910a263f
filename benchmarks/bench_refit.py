"""Pulls, TS and speed of the refit on a simulated field.

Run with ``PYTHONPATH=src python benchmarks/bench_refit.py [--region LON,LAT,RADIUS] [--seed N]
[--population NAME] [--keep DIR]``. A field is simulated as photons, searched with the shipped
network and refitted with the diffuse model it was made with; ``--keep`` keeps the files and uses
what is there. ``--listed TS`` refits the true sources of at least that ideal TS instead of what the
network found. True sources within ``--margin`` degrees of the rim are not counted: what shines in
from outside is in no list. Robust widths are half of what holds 68%. The goals: a flux pull of
mean 0 +- 0.2 and width 1 +- 0.2, sqrt(TS) within 15% of the ideal one in the median, 1.5 s a
candidate.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import Candidates, Catalog, build_catalog, read_catalog, write_catalog
from fermi_unek.catalog.spectra import differential_flux
from fermi_unek.config import RefitConfig, SimulateConfig
from fermi_unek.evaluate import read_truth_table
from fermi_unek.evaluate.match import match
from fermi_unek.measure import refit_to_file
from fermi_unek.pipeline import find_to_file
from fermi_unek.simulate.command import simulate_to_dir
from fermi_unek.sky.bins import BAND_EDGES_MEV
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

FOUND_TS = (9.0, 16.0, 25.0, 36.0, 64.0, 100.0, np.inf)
IDEAL_TS = ((25.0, 50.0), (50.0, 100.0), (100.0, np.inf), (25.0, np.inf))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--region", default="60,50,12")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--population", default="dr2")
    parser.add_argument("--background", default="v07")
    parser.add_argument("--listed", type=float)
    parser.add_argument("--margin", type=float, default=1.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        run(options, options.keep or Path(temporary))


def run(options: argparse.Namespace, folder: Path) -> None:
    photons, truth_file = folder / "sky" / "photons.fits", folder / "sky" / "truth.fits"
    if not photons.exists():
        folder.mkdir(exist_ok=True)
        config = SimulateConfig(
            region=options.region,
            seed=options.seed,
            population=options.population,
            background=options.background,
            format="photons",
        )
        simulate_to_dir(config, folder / "sky")
    truth = read_truth_table(truth_file)
    found = folder / ("found.fits" if options.listed is None else "listed.fits")
    if not found.exists() and options.listed is None:
        find_to_file([photons], found)
    elif not found.exists():
        write_catalog(listed(truth[truth["Ideal_TS"] >= options.listed]), found)
    number = len(read_catalog(found))
    new = found.with_name(f"{found.stem}_refitted.fits")
    start, wall = time.process_time(), time.perf_counter()
    config = RefitConfig(background=options.background)
    after = refit_to_file(found, [photons], new, config, overwrite=True)
    spent, wall = time.process_time() - start, time.perf_counter() - wall
    print(
        f"{number} candidates: {spent / max(number, 1):.2f} s of one core each "
        f"({wall:.0f} s on the clock)"
    )
    report(after.table, truth, [float(one) for one in options.region.split(",")], options.margin)


def listed(truth: Table) -> Catalog:
    """The true sources as if a search had found them exactly."""
    n = len(truth)
    size = np.full(n, 0.03)
    return build_catalog(
        Candidates(
            np.asarray(truth["GLON"], float), np.asarray(truth["GLAT"], float),
            np.ones(n), size, size, np.zeros(n), np.zeros(n, bool),
        )
    )  # fmt: skip


def report(table: Table, truth: Table, centre: Sequence[float], margin_deg: float) -> None:
    """Print pulls and TS ratios of the true sources that were listed, by ideal TS and by bin."""
    pairs = match(
        *(np.asarray(truth[name], float) for name in ("GLON", "GLAT", "Flux1000")),
        *(np.asarray(table[name], float) for name in ("GLON", "GLAT")),
    )
    true, rows = truth[pairs.truth], table[pairs.detection]
    ideal, ts = np.asarray(true["Ideal_TS"], float), np.asarray(rows["TS"], float)
    inside = from_centre(true, centre) < centre[2] - margin_deg
    pull = np.asarray(rows["Flux1000"] - true["Flux1000"]) / np.asarray(rows["Unc_Flux1000"])
    ratio = np.sqrt(ts / ideal)
    radius = np.sqrt(np.asarray(rows["Conf_68_SemiMajor"]) * np.asarray(rows["Conf_68_SemiMinor"]))
    within = pairs.separation_deg < radius
    print("                   n   pull mean   width  median  robust   sqrt(TS)/ideal  in r68")
    for low, high in IDEAL_TS:
        chosen = inside & (ideal > low) & (ideal <= high)
        line(f"ideal TS {low:g}-{high:g}", pull[chosen], ratio[chosen], within[chosen])
    for low, high in IDEAL_TS:
        chosen = inside & (ts > low) & (ts <= high)
        line(f"refit TS {low:g}-{high:g}", pull[chosen], ratio[chosen], within[chosen])
    flux = np.asarray(rows["Flux1000"] / true["Flux1000"], float)
    print(
        "Flux1000 over the true one by refit TS (what fluctuates up is found, and listed higher):"
    )
    for low, high in itertools.pairwise(FOUND_TS):
        some = flux[inside & (ts > low) & (ts <= high) & np.isfinite(flux)]
        if len(some) > 2:
            low68, middle, high68 = np.percentile(some, [15.87, 50.0, 84.13])
            spread = f"{middle:.2f} ({low68:.2f}-{high68:.2f})"
            print(f"  TS {low:g}-{high:g}: {len(some)}, median {spread}")
    for b, of_bin in enumerate(band_pulls(rows, true).T):
        chosen = inside & (ideal > IDEAL_TS[-1][0])
        line("{:g}-{:g} MeV".format(*BAND_EDGES_MEV[b : b + 2]), of_bin[chosen])


def from_centre(true: Table, centre: Sequence[float]) -> np.ndarray:
    """Degrees (N,) of true sources from the middle of the field."""
    vectors = lonlat_to_vectors(np.asarray(true["GLON"], float), np.asarray(true["GLAT"], float))
    middle = lonlat_to_vectors(np.asarray(centre[0], float), np.asarray(centre[1], float))
    return np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0)))


def band_pulls(rows: Table, true: Table) -> np.ndarray:
    """Pulls (N, 8) of the fluxes in 4FGL's bands."""
    flux = []
    for low, high in zip(BAND_EDGES_MEV[:-1], BAND_EDGES_MEV[1:], strict=True):
        energies = np.geomspace(low, high, 400)
        values = differential_flux(true, energies)
        flux.append(np.trapezoid(values * energies, np.log(energies), axis=-1))
    off = np.asarray(rows["Flux_Band"], float) - np.array(flux).T
    lower, upper = np.moveaxis(np.asarray(rows["Unc_Flux_Band"], float), -1, 0)
    # where the lower error is not given the upper one is half of the limit's distance
    return off / np.where((off > 0) & np.isfinite(lower), -lower, upper)


def line(
    name: str, pull: np.ndarray, ratio: np.ndarray | None = None, within: np.ndarray | None = None
) -> None:
    """One row of the table; nothing for fewer than three sources."""
    good = np.isfinite(pull)
    if good.sum() < 3:
        return
    values = pull[good]
    low, middle, high = np.percentile(values, [15.87, 50.0, 84.13])
    error = values.std() / np.sqrt(len(values))
    text = (
        f"{name:<16} {good.sum():4d}   {values.mean():+.2f}+-{error:.2f}   {values.std(ddof=1):.2f}"
        f"   {middle:+.2f}    {(high - low) / 2:.2f}"
    )
    if ratio is not None and within is not None:
        text += f"     {np.median(ratio[good]):.3f}           {within[good].mean():.2f}"
    print(text)


if __name__ == "__main__":
    main()
