"""Time and memory to read six HEALPIX channels of 50 million pixels from one file.

Run with ``PYTHONPATH=src python benchmarks/bench_read.py [--order 11] [--directory /tmp]``. The
reading runs in a process of its own, so that its peak memory is that of the reading alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

from fermi_unek.sky.bins import ENERGY_EDGES_MEV
from fermi_unek.sky.io.readers import read_sky

PHOTONS = (24e6, 16e6, 8e6, 4e6, 0.7e6, 0.25e6)


def write_cube(path: Path, order: int) -> None:
    """A whole sky of Poisson counts, ten years of photons whatever the order."""
    rng = np.random.default_rng(0)
    n_pixels = 12 * 4**order
    names = [f"CHANNEL{k + 1}" for k in range(6)]
    empty = np.zeros(0, dtype=[(name, ">i4") for name in names])
    header = fits.BinTableHDU(empty, name="SKYMAP").header
    header.update(
        NAXIS2=n_pixels, PIXTYPE="HEALPIX", ORDERING="RING", ORDER=order, NSIDE=2**order,
        COORDSYS="GAL", INDXSCHM="IMPLICIT", NDSKEYS=1, DSTYP1="BIT_MASK(EVENT_TYPE,1,P8R3)",
        DSVAL1="1:1",
    )  # fmt: skip
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("E_MIN", "E", unit="keV", array=ENERGY_EDGES_MEV[:-1] * 1e3),
            fits.Column("E_MAX", "E", unit="keV", array=ENERGY_EDGES_MEV[1:] * 1e3),
        ],
        name="EBOUNDS",
    )
    fits.HDUList([fits.PrimaryHDU(), bounds]).writeto(path)
    with open(path, "ab") as file:
        file.write(header.tostring().encode("ascii"))
        for start in range(0, n_pixels, 2**20):
            block = np.empty(min(2**20, n_pixels - start), dtype=empty.dtype)
            for name, photons in zip(names, PHOTONS, strict=True):
                block[name] = rng.poisson(photons / n_pixels, len(block))
            file.write(block.tobytes())
        file.write(bytes(-file.tell() % 2880))


def read(path: Path) -> None:
    start = time.perf_counter()
    sky = read_sky(path, rng=np.random.default_rng(0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{path.stat().st_size / 1e9:.2f} GB, {sky.totals.sum():,} photons read in "
        f"{time.perf_counter() - start:.0f} s; peak memory {peak:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--order", type=int, default=11)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read)
        return
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        path = Path(folder) / "cube.fits"
        write_cube(path, options.order)
        subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)


if __name__ == "__main__":
    main()
