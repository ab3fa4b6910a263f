"""What `refit` says of sources whose truth is known: fluxes, ellipses, steadiness.

    PYTHONPATH=src python studies/measured_rows.py [--off 4] [--plane 2] [--seed 1] [--margin 2]
        [--sky] [--workers 2] [--output FILE] [--rows FILE]

Fields of ten years of FRONT photons, circles of 8 degrees off the plane and on it: 4FGL-DR2 with
its faint tail over v07, all of it steady. The fit starts from the sources of ideal TS above 25 at
their true places, has the diffuse model that the field was made with, and holds such sources beyond
the rim as they are, which shine into the field. Sources within ``--margin`` degrees of the rim are
not counted. With ``--sky`` it is the whole sky at once, by the command, and what that took is
printed.
``--rows`` prints the figures of a table that ``--output`` wrote.
Printed are, off the plane and at |b| < 5, the pulls of Flux1000 by ideal TS, the share of true
places inside of the ellipses that the fit made, TS over the ideal one, of Variability_Index the
probability (Kolmogorov-Smirnov) of a chi-square of one degree less than there are years, and
fluxes of bands and years without an upper error.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
from astropy.coordinates import SkyCoord
from astropy.table import Table, hstack, vstack
from fields import ERROR_DEG, listed, photons_of, separation_deg
from scipy.stats import chi2, kstest
from trust_memory import resident_gb

from fermi_unek.catalog import Catalog, read_catalog, write_catalog
from fermi_unek.config import RefitConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure import refit_catalog
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.sky import simulate_photons
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.simulate.variability import dr2_yearly_factors

WHO = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
YEARS, RADIUS_DEG, BACKGROUND = 10.0, 8.0, "v07"
LEAST_TS = 25.0
PLANE_DEG = 5.0
TS_EDGES = (25.0, 50.0, 100.0, np.inf)
COLUMNS = ("TS", "Flux1000", "Unc_Flux1000", "PL_Index", "Unc_PL_Index", "Variability_Index",
           "RAJ2000", "DEJ2000", "Conf_68_SemiMajor", "Conf_68_SemiMinor", "Conf_68_PosAng",
           "Conf_95_SemiMajor", "Conf_95_SemiMinor", "Unc_Flux_Band",
           "Unc_Flux_History")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--off", type=int, default=4)
    parser.add_argument("--plane", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--margin", type=float, default=2.0)
    parser.add_argument("--sky", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, help="table of the rows beside the truth (.ecsv)")
    parser.add_argument("--rows", type=Path, help="such a table of before")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.rows is not None:
        rows = Table.read(options.rows)
    elif options.sky:
        rows = fit_sky(np.random.default_rng([options.seed, 10**6]), options.workers)
    else:
        rows = fit_fields(options)
    if options.output is not None:
        rows.write(options.output, overwrite=True)
    on_plane = np.abs(rows["true_GLAT"]) < PLANE_DEG
    report("off the plane", rows[np.abs(rows["true_GLAT"]) > 15.0])
    report(f"|b| < {PLANE_DEG:g}", rows[on_plane])


def fit_fields(options: argparse.Namespace) -> Table:
    """What was measured of the sources of all fields beside what is true."""
    found = []
    for number in range(options.off + options.plane):
        rng = np.random.default_rng([options.seed, number])
        lon, lat = off_plane(rng)
        if number >= options.off:
            lat = rng.uniform(-1.0, 1.0)
        found.append(fit_field(rng, (lon, lat), options.margin))
        print(f"field {number} at b = {lat:.0f}: {len(found[-1])} sources", flush=True)
    return vstack(found)


def off_plane(rng: np.random.Generator) -> tuple[float, float]:
    """The middle of a field off the plane, Galactic degrees."""
    lat = rng.choice([-1.0, 1.0]) * rng.uniform(25.0, 75.0)
    return rng.uniform(0.0, 360.0), lat


def fit_sky(rng: np.random.Generator, workers: int) -> Table:
    """The same of a whole sky, by the command; prints what it took."""
    model = build_sky_model(dr2_population(rng), choose(BACKGROUND), load_instrument())
    truth = true_sources(model)
    catalog = listed(places_of(truth))
    with tempfile.TemporaryDirectory() as folder:
        photons = simulate_photons(model, YEARS, rng)
        path = write_ft1(photons, Path(folder) / "photons.fits", rng)
        before, after = path.with_name("before.fits"), path.with_name("after.fits")
        write_catalog(catalog, before)
        del model, photons
        command = [sys.executable, "-m", "fermi_unek", "--log-level", "info", "refit", before, path]
        command += ["-o", after, "--background", BACKGROUND, "--workers", str(workers)]
        start, used = time.time(), core_seconds()
        process = subprocess.Popen([str(part) for part in command])
        most_gb = 0.0
        while process.poll() is None:
            most_gb = max(most_gb, resident_gb(psutil.Process(process.pid)))
            time.sleep(0.5)
        used = core_seconds() - used
        print(
            f"{len(truth)} sources, {workers} workers: {(time.time() - start) / 60:.1f} minutes, "
            f"{used / len(truth):.2f} core-seconds a source, reading included; at most "
            f"{most_gb:.1f} GB, workers included"
        )
        return beside_truth(read_catalog(after), truth, catalog)


def fit_field(
    rng: np.random.Generator,
    centre: tuple[float, float],
    margin_deg: float,
    *,
    event_type: str = "front",
    variable: bool = False,
) -> Table:
    """What was measured of the sources of one field beside what is true."""
    diffuse = choose(BACKGROUND)
    model = build_sky_model(dr2_population(rng), diffuse, load_instrument(), event_type)
    factors = dr2_yearly_factors(model.sources, round(YEARS), rng) if variable else None
    truth = true_sources(model)
    away = separation_deg(truth, centre)
    around, truth = truth[(away > RADIUS_DEG) & (away < 3.0 * RADIUS_DEG)], truth[away < RADIUS_DEG]
    catalog = listed(places_of(truth))
    with tempfile.TemporaryDirectory() as folder:
        circle = (*centre, RADIUS_DEG)
        sky = photons_of(model, YEARS, circle, rng, Path(folder), factors=factors, yearly=True)
        beyond = Path(folder) / "around.fits"
        around.write(beyond)
        config = RefitConfig(background=BACKGROUND, surroundings=str(beyond))
        after = refit_catalog(catalog, sky, config, diffuse=diffuse)
    rows = beside_truth(after, truth, catalog)
    return rows[separation_deg(truth, centre) < RADIUS_DEG - margin_deg]


def true_sources(model: SkyModel) -> Table:
    """Those of a sky that are listed."""
    truth = truth_table(model, YEARS)
    truth.meta.clear()
    return truth[truth["Ideal_TS"] > LEAST_TS]


def places_of(truth: Table) -> list[tuple[float, float]]:
    """Galactic degrees of true sources."""
    return list(zip(truth["GLON"].tolist(), truth["GLAT"].tolist(), strict=True))


def beside_truth(after: Catalog, truth: Table, before: Catalog) -> Table:
    """Measured rows and true ones in columns ``true_*``, in the order of the truth."""
    order = [int(np.argmin(separation_deg(before.table, place))) for place in places_of(truth)]
    true = truth[["Source_Name", "GLON", "GLAT", "RAJ2000", "DEJ2000", "Flux1000", "Ideal_TS"]]
    for name in true.colnames:
        true.rename_column(name, f"true_{name}")
    return hstack([after.table[list(COLUMNS)][order], true])


def core_seconds() -> float:
    """Of this process and those that it started, so far."""
    used = [resource.getrusage(who) for who in WHO]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def report(name: str, rows: Table) -> None:
    """Print the figures of some sources."""
    if len(rows) < 3:
        return
    pull = np.asarray((rows["Flux1000"] - rows["true_Flux1000"]) / rows["Unc_Flux1000"], float)
    ideal = np.asarray(rows["true_Ideal_TS"], float)
    print(f"{name}: {len(rows)} sources")
    for low, high in [*zip(TS_EDGES[:-1], TS_EDGES[1:], strict=True), (LEAST_TS, np.inf)]:
        some = pull[(ideal > low) & (ideal <= high) & np.isfinite(pull)]
        if len(some) < 3:
            continue
        low68, middle, high68 = np.percentile(some, [15.87, 50.0, 84.13])
        print(
            f"  flux pull, ideal TS {low:g} to {high:g}: {len(some)}, mean {some.mean():+.2f} +- "
            f"{some.std(ddof=1) / np.sqrt(len(some)):.2f}, width {some.std(ddof=1):.2f}, median "
            f"{middle:+.2f}, half of the central 68% {(high68 - low68) / 2.0:.2f}"
        )
    print(f"  TS over the ideal one: median {np.median(np.asarray(rows['TS']) / ideal):.3f}")
    away68, away95 = off_axes(rows)
    fitted = np.abs(np.asarray(rows["Conf_68_SemiMajor"]) - ERROR_DEG) > 1e-6
    print(
        f"  {fitted.sum()} ellipses hold {np.mean(away68[fitted] < 1.0):.2f} (68%) and "
        f"{np.mean(away95[fitted] < 1.0):.2f} (95%) of the true places"
    )
    report_steadiness(np.asarray(rows["Variability_Index"], float), ideal)

    # 4FGL's bands from 300 MeV on
    for of, errors in (
        ("bands", rows["Unc_Flux_Band"][:, 2:]),
        ("years", rows["Unc_Flux_History"]),
    ):
        print(f"  {np.sum(~np.isfinite(errors[..., 1]))} fluxes of {of} without an upper error")


def report_steadiness(index: np.ndarray, ideal: np.ndarray) -> None:
    """Print how far `Variability_Index` (N,) is a chi-square, by ideal TS (N,)."""
    degrees = YEARS - 1.0
    for low, high in ((LEAST_TS, np.inf), (LEAST_TS, 100.0), (100.0, np.inf)):
        some = index[np.isfinite(index) & (ideal > low) & (ideal <= high)]
        if len(some) < 3:
            continue
        print(
            f"  Variability_Index, ideal TS {low:g} to {high:g}: KS p "
            f"{kstest(some, 'chi2', args=(degrees,)).pvalue:.3f}, mean {some.mean():.1f} "
            f"(chi-square {degrees:.0f}), variance {some.var():.1f} ({2.0 * degrees:.0f}), above "
            f"the 99% of a steady source {np.mean(some > chi2.isf(0.01, degrees)):.3f}"
        )


def off_axes(rows: Table) -> tuple[np.ndarray, np.ndarray]:
    """Distances (N,) of the true places from those fitted, in units of the axes of 68% and 95%."""
    here, there = (
        SkyCoord(rows[f"{mark}RAJ2000"], rows[f"{mark}DEJ2000"], unit="deg")
        for mark in ("", "true_")
    )
    distance = here.separation(there).deg
    turn = here.position_angle(there).rad - np.radians(np.asarray(rows["Conf_68_PosAng"], float))
    along, across = distance * np.cos(turn), distance * np.sin(turn)
    found = [
        np.hypot(along / rows[f"Conf_{level}_SemiMajor"], across / rows[f"Conf_{level}_SemiMinor"])
        for level in (68, 95)
    ]
    return np.asarray(found[0], float), np.asarray(found[1], float)


if __name__ == "__main__":
    main()
