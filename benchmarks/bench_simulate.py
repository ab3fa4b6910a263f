"""Time and memory to simulate ten years of FRONT photons over the whole sky.

Run with ``PYTHONPATH=src python benchmarks/bench_simulate.py [--background own] [--years 10]``.
The goal is 40 s and 4 GB for the photons once the model of the sky is made.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from fermi_unek.config import SimulateConfig
from fermi_unek.simulate.command import find_background
from fermi_unek.simulate.instrument import load_instrument
from fermi_unek.simulate.population import resampled_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--background", default="own")
    parser.add_argument("--years", type=float, default=10.0)
    options = parser.parse_args()
    start = time.perf_counter()
    model = build_sky_model(
        resampled_population(np.random.default_rng(0)),
        find_background(SimulateConfig(background=options.background)),
        load_instrument(),
    )
    model.ideal_ts  # noqa: B018  (kept in the model)
    print(f"model of the sky: {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    sky = simulate_counts(model, options.years, np.random.default_rng(1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{sky.totals.sum():,} photons of {options.years:g} years in "
        f"{time.perf_counter() - start:.0f} s; peak memory {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
