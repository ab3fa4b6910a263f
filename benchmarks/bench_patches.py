"""How many patches a second are cut from a sky of ten years, and how much memory that takes.

Run with ``PYTHONPATH=src python benchmarks/bench_patches.py [--scale 1.0]``.
"""

from __future__ import annotations

import argparse
import resource
import time

import healpy as hp
import numpy as np

from fermi_unek.sky.bins import NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.grid import sky_grid
from fermi_unek.sky.geometry.patches import PatchCutter

PHOTONS = (24e6, 16e6, 8e6, 4e6, 0.7e6, 0.25e6)


def fake_sky(rng: np.random.Generator, scale: float) -> SkyCounts:
    """Half of the photons even over the sky, half along the Galactic plane."""
    bins = []
    for index, photons in enumerate(PHOTONS):
        number = int(photons * scale)
        sine = rng.uniform(-1.0, 1.0, number)
        plane = rng.random(number) < 0.5
        sine[plane] = np.clip(rng.laplace(0.0, 0.1, int(plane.sum())), -1.0, 1.0)
        lon = rng.uniform(0.0, 2 * np.pi, number)
        pixels = hp.ang2pix(2 ** NATIVE_ORDERS[index], np.arccos(sine), lon, nest=True)
        bins.append(bin_from_pixels(index, pixels))
    return SkyCounts(tuple(bins), livetime_years=10.0)


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of ten years of photons")
    scale = parser.parse_args().scale
    sky = fake_sky(np.random.default_rng(0), scale)
    rows = sum(0 if b is None else len(b.pixels) for b in sky.bins)
    print(f"sky: {sky.totals.sum():,} photons in {rows:,} rows; peak memory {peak_gb():.2f} GB")
    start = time.perf_counter()
    cutter = PatchCutter(sky)
    print(f"cutter ready in {time.perf_counter() - start:.1f} s; peak memory {peak_gb():.2f} GB")
    grid = sky_grid()
    start = time.perf_counter()
    photons = sum(float(plane.sum()) for frame in grid for plane in cutter.cut(frame).counts)
    seconds = time.perf_counter() - start
    print(
        f"{len(grid)} patches in {seconds:.2f} s: {len(grid) / seconds:.0f} patches a second "
        f"({photons / len(grid):,.0f} photons a patch)"
    )


if __name__ == "__main__":
    main()
