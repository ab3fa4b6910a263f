"""Time to make a training set: patches with ten yearly layers, from several skies.

Run with ``PYTHONPATH=src python benchmarks/bench_patch_set.py [--patches 10000] [--skies 4]
[--workers 1] [--folder DIR]``. The goal is 10,000 patches in 5 minutes. Where others use the
machine, the time of the processors says more than the clock's.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

from fermi_unek.config import SimulateConfig
from fermi_unek.simulate.many import simulate_skies


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=10_000)
    parser.add_argument("--skies", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--background", default="own")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    config = SimulateConfig(
        format="patches",
        population="mock",
        background=options.background,
        years=options.years,
        patches=-(-options.patches // options.skies),
        skies=options.skies,
        workers=options.workers,
    )
    start, used = time.perf_counter(), processor_seconds()
    files = simulate_skies(config, folder, overwrite=True)
    seconds, worked = time.perf_counter() - start, processor_seconds() - used
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    size = sum(path.stat().st_size for path in files)
    print(
        f"{config.patches * options.skies:,} patches of {options.years:g} years from "
        f"{options.skies} skies by {options.workers} workers: {seconds:.0f} s by the clock, "
        f"{worked:.0f} s of the processors; {size / 1e9:.1f} GB; largest process "
        f"{peak / 2**20:.2f} GB"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
