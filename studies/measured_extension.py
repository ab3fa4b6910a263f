"""How well `refit --extension` tells disks from points, on simulated fields off the plane.

    PYTHONPATH=src python studies/measured_extension.py [--fields 8] [--seed 1] [--radii 0.3 1.0]

Each field is ten years of FRONT photons of a circle of 8 degrees, 4FGL-DR2 with its faint tail
over v07, and a disk of each radius, log-uniform in flux. The fit is given the sources of ideal TS
above 25 and the disks, all as points at their places. Printed are the disks (points) of a TS above
100 (25) with TS_ext > 16, and the radii over the true ones.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from fields import listed, photons_of, separation_deg

from fermi_unek.config import RefitConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure import refit_catalog
from fermi_unek.simulate.population import complete, dr2_population, scale
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.simulate.truth import truth_table

YEARS, RADIUS_DEG, BACKGROUND = 10.0, 8.0, "v07"
POINTS_A_DISK = 400
FLUX = (5e-10, 3e-9)
LEAST_TS, LEAST_DISK_TS = 25.0, 100.0
APART_DEG, INSIDE_DEG, FAR_DEG = 2.5, 6.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--radii", type=float, nargs="+", default=[0.3, 0.5, 1.0])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, seconds = [], 0.0
    for field in range(options.fields):
        rng = np.random.default_rng([options.seed, field])
        start = time.process_time()
        rows.append(fit_field(rng, options.radii))
        seconds += time.process_time() - start
        print(f"field {field}: {len(rows[-1])} sources", flush=True)
    report(vstack(rows))
    print(f"{seconds / options.fields:.0f} core-seconds a field, its simulation included")


def fit_field(rng: np.random.Generator, radii: list[float]) -> Table:
    """True radius, 0 of points, and what was measured, of the sources of one field."""
    lon = rng.uniform(0.0, 360.0)
    lat = rng.choice([-1.0, 1.0]) * rng.uniform(30.0, 70.0)
    sources = dr2_population(rng)
    places = disk_places(rng, lon, lat, len(radii))
    disks = [disk(sources, place, radius, rng) for place, radius in zip(places, radii, strict=True)]
    diffuse = choose(BACKGROUND)
    model = build_sky_model(vstack([sources, *disks]), diffuse, load_instrument())
    truth = truth_table(model, YEARS)
    inside = separation_deg(truth, (lon, lat)) < RADIUS_DEG
    points = truth[inside & (truth["Ideal_TS"] > LEAST_TS)]
    points = points[~np.char.startswith(np.asarray(points["Source_Name"], str), "disk")]
    known = [*zip(points["GLON"], points["GLAT"], strict=True), *places]
    with tempfile.TemporaryDirectory() as folder:
        sky = photons_of(model, YEARS, (lon, lat, RADIUS_DEG), rng, Path(folder))
    config = RefitConfig(extension=True, history="none", background=BACKGROUND)
    found = refit_catalog(listed(known), sky, config, diffuse=diffuse).table
    found["true"] = 0.0
    away = np.array([separation_deg(found, place) for place in places])
    found["true"][np.argmin(away, axis=1)] = radii
    found["away"] = away.min(axis=0)
    return found[["true", "away", "TS", "TS_ext", "TS_ext_Disk", "Disk_Radius", "Disk_Radius_UL95"]]


def disk_places(
    rng: np.random.Generator, lon: float, lat: float, number: int
) -> list[tuple[float, float]]:
    """Galactic places in a field that are apart from each other."""
    places: list[tuple[float, float]] = []
    while len(places) < number:
        east, north = rng.uniform(-INSIDE_DEG, INSIDE_DEG, 2)
        place = (lon + east / np.cos(np.radians(lat + north)), lat + north)
        table = Table(rows=places or [(0.0, -90.0)], names=("GLON", "GLAT"))
        if np.hypot(east, north) < INSIDE_DEG and separation_deg(table, place).min() > APART_DEG:
            places.append(place)
    return places


def disk(
    sources: Table, place: tuple[float, float], radius_deg: float, rng: np.random.Generator
) -> Table:
    """A disk as many points of like flux, with the spectrum of some power law of the list."""
    likes = np.flatnonzero((sources["SpectrumType"] == "PowerLaw") & (sources["GLAT"] > 20.0))
    table = sources[np.full(POINTS_A_DISK, rng.choice(likes))]
    flux = np.exp(rng.uniform(*np.log(FLUX)))
    scale(table, flux / POINTS_A_DISK / np.asarray(table["Flux1000"]))
    # a sunflower: as many points in every part of the disk
    number = np.arange(POINTS_A_DISK) + 0.5
    distance = radius_deg * np.sqrt(number / POINTS_A_DISK)
    angle = number * np.pi * (3.0 - np.sqrt(5.0))
    table["GLAT"] = place[1] + distance * np.sin(angle)
    table["GLON"] = place[0] + distance * np.cos(angle) / np.cos(np.radians(table["GLAT"]))
    table["Source_Name"] = f"disk {radius_deg:g}"
    table["Signif_Avg"] = 10.0  # else its light were taken out of the isotropic emission
    return complete(table)


def report(found: Table) -> None:
    """Print what became of disks and points."""
    for radius in np.unique(found["true"]).tolist():
        least = LEAST_DISK_TS if radius else LEAST_TS
        some = found[(found["true"] == radius) & (found["TS"] > least)]
        extended = np.asarray(some["TS_ext"]) > 16.0
        text = f"TS > {least:g}: {len(some)} ({np.median(some['TS']):.0f} in the median)"
        if not radius:
            limit, far = np.median(some["Disk_Radius_UL95"]), np.asarray(some["away"]) > FAR_DEG
            print(
                f"points of {text}, TS_ext > 16: {extended.sum()}, median limit {limit:.2f} deg; "
                f"further than {FAR_DEG:g} deg from a disk {extended[far].sum()} of {far.sum()}"
            )
            continue
        ratio = np.asarray(some["Disk_Radius"]) / radius
        good = np.abs(ratio - 1.0) < 0.15
        print(
            f"disks of {radius:g} deg, {text}: TS_ext > 16 of {extended.sum()}, radius within 15% "
            f"of {good.sum()}, both of {np.sum(extended & good)}; radius over the true one: median "
            f"{np.median(ratio):.3f}, {ratio.min():.2f} to {ratio.max():.2f}"
        )


if __name__ == "__main__":
    main()
