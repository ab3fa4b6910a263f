"""Time and memory to simulate FRONT photons, as counts, photons or FT1 files.

Run with ``PYTHONPATH=src python benchmarks/bench_simulate.py [--output counts|photons|ft1]
[--years 10 ...] [--radius 180 ...] [--background own]``. The goal is ten years of the whole sky in
40 s and 4 GB once the model of the sky is made, and a cost linear in years and area. Where others
use the machine, the time of the processors says more than the clock's. Memory only grows: give
one number of years and one radius to measure it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

from fermi_unek.config import SimulateConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.simulate.population import resampled_population
from fermi_unek.simulate.sky import simulate_counts, simulate_photons
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.writing import Draw, write_sky_files

CENTRE = (60.0, 40.0)
"""Galactic place of the fields."""


def make_model(background: str) -> SkyModel:
    model = build_sky_model(
        resampled_population(np.random.default_rng(0)),
        choose(background),
        load_instrument(),
    )
    model.ideal_ts  # noqa: B018  (kept in the model)
    return model


def draw(model: SkyModel, output: str, years: float, radius: float) -> int:
    """Simulate once; the number of photons."""
    region = None if radius >= 180.0 else (*CENTRE, radius)
    rng = np.random.default_rng(1)
    if output == "counts":
        return int(simulate_counts(model, years, rng, region).totals.sum())
    if output == "photons":
        return len(simulate_photons(model, years, rng, region))
    config = SimulateConfig(format="photons", years=years, region=region, background="own")
    with tempfile.TemporaryDirectory() as folder:
        write_sky_files(config, Draw(model, None, rng, rng), Path(folder))
        return sum(fits.getheader(path, "EVENTS")["NAXIS2"] for path in Path(folder).iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=("counts", "photons", "ft1"), default="counts")
    parser.add_argument("--years", type=float, nargs="+", default=[10.0])
    parser.add_argument("--radius", type=float, nargs="+", default=[180.0])
    parser.add_argument("--background", default="own")
    options = parser.parse_args()
    start = time.perf_counter(), time.process_time()
    model = make_model(options.background)
    print(f"model of the sky: {spent(start)}", flush=True)
    for radius in options.radius:
        for years in options.years:
            start = time.perf_counter(), time.process_time()
            number = draw(model, options.output, years, radius)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{options.output}, {years:g} years, radius {radius:g} deg: {number:,} photons in "
                f"{spent(start)}; peak memory {peak:.2f} GB",
                flush=True,
            )


def spent(start: tuple[float, float]) -> str:
    """Seconds since clock and processor showed `start`."""
    wall, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    return f"{wall:.1f} s by the clock, {processor:.1f} s of the processor"


if __name__ == "__main__":
    main()
