"""Pulls, TS and speed of the refit on a simulated field.

Run with ``PYTHONPATH=src python benchmarks/bench_refit.py [--region LON,LAT,RADIUS] [--seed N]
[--population NAME] [--keep DIR]``. A field is simulated as photons, searched with the shipped
network and refitted with the diffuse model it was made with; ``--keep`` keeps the files and uses
what is there. ``--listed TS`` refits the true sources of at least that ideal TS instead of what the
network found. The goals: a flux pull of mean 0 +- 0.2 and width 1 +- 0.2, sqrt(TS) within
15% of the ideal one in the median, 1.5 s a candidate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import Candidates, Catalog, build_catalog, read_catalog, write_catalog
from fermi_unek.config import RefitConfig, SimulateConfig
from fermi_unek.evaluate import read_truth_table
from fermi_unek.evaluate.match import match
from fermi_unek.pipeline import find_to_file
from fermi_unek.refit import refit_to_file
from fermi_unek.simulate.command import simulate_to_dir

IDEAL_TS = (25.0, 50.0, 100.0, 1000.0, np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--region", default="120,40,8")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--population", default="dr2")
    parser.add_argument("--background", default="own")
    parser.add_argument("--listed", type=float)
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
    report(after.table, truth)


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


def report(table: Table, truth: Table) -> None:
    """Print pulls and TS ratios of what matches the truth, by ideal TS."""
    pairs = match(
        *(np.asarray(truth[name], float) for name in ("GLON", "GLAT", "Flux1000")),
        *(np.asarray(table[name], float) for name in ("GLON", "GLAT")),
    )
    true, rows = truth[pairs.truth], table[pairs.detection]
    inside = (np.asarray(rows["Flags"]) & (1 << 14)) == 0
    ideal = np.asarray(true["Ideal_TS"], float)
    ts = np.asarray(rows["TS"], float)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.asarray(rows["Flux1000"] - true["Flux1000"]) / np.asarray(rows["Unc_Flux1000"])
    print("refit TS      n   pull mean  width  median   sqrt(TS) over ideal: median  in r68")
    for low, high in [*zip(IDEAL_TS[:-1], IDEAL_TS[1:], strict=True), (25.0, np.inf)]:
        line(low, high, inside & (ts > low) & (ts <= high), pull, np.sqrt(ts / ideal), rows, pairs)
    print("ideal TS")
    for low, high in [*zip(IDEAL_TS[:-1], IDEAL_TS[1:], strict=True), (25.0, np.inf)]:
        chosen = inside & (ideal > low) & (ideal <= high)
        line(low, high, chosen, pull, np.sqrt(ts / ideal), rows, pairs)


def line(low, high, chosen, pull, ratio, rows, pairs) -> None:
    good = chosen & np.isfinite(pull)
    if good.sum() < 3:
        return
    values = pull[good]
    radius = np.sqrt(rows["Conf_68_SemiMajor"] * rows["Conf_68_SemiMinor"])[good]
    within = np.mean(pairs.separation_deg[good] < radius)
    error = values.std() / np.sqrt(len(values))
    print(
        f"{low:4g}-{high:5g} {good.sum():5d}   {values.mean():+.2f}+-{error:.2f}"
        f"   {values.std(ddof=1):.2f}   {np.median(values):+.2f}   {np.median(ratio[good]):.3f}"
        f"   {within:.2f}"
    )


if __name__ == "__main__":
    main()
