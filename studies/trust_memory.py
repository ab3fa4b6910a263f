"""Memory that commands say they take, beside what they took.

    python studies/trust_memory.py [--years 10] [--radii 5 20 60] [--sky] [--types front fb]

For circles of these radii in degrees, and the whole sky, photons are simulated, searched and
measured by one process and by one with two workers, each command a process of its own. Printed are
what each said that it takes (`--log-level info`; the most of its steps), and the most that it had
in memory, workers included.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAM = [sys.executable, "-m", "fermi_unek", "--log-level", "info"]
STATED = re.compile(r"takes about ([\d.]+) GB of memory beside ([\d.]+) GB")
CENTRE = "80,30"


def resident_gb(process: psutil.Process) -> float:
    """Of a process and its children, now."""
    with suppress(psutil.NoSuchProcess):
        every = [process, *process.children(recursive=True)]
        return sum(one.memory_info().rss for one in every) / 1e9
    return 0.0


def try_command(label: str, arguments: list[str]) -> None:
    """Run a command and print its line."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(process.stderr or []))
    reader.start()
    watched, most = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        most = max(most, resident_gb(watched))
        time.sleep(0.1)
    reader.join()
    steps = [float(more) + float(taken) for more, taken in STATED.findall("".join(told))]
    stated = f"{max(steps):4.1f} GB" if steps else "nothing"
    print(f"{label:40s} said {stated}, had {most:4.1f} GB, status {process.returncode}", flush=True)


def try_sky(radius: str, kind: str, years: str, folder: Path) -> None:
    """Simulate, search and measure one circle, or the sky."""
    region = [] if radius == "sky" else ["--region", f"{CENTRE},{radius}"]
    size = radius if radius == "sky" else f"{radius} deg"
    label = f"{kind}, {size}"
    for event_type in ("front", "back") if kind == "fb" else (kind,):
        try_command(
            f"simulate {event_type}, {size}",
            ["simulate", "--seed", "7", "--years", years, "--evtype", event_type, *region,
             "--format", "photons", "-o", str(folder / event_type)],
        )  # fmt: skip
    photons = sorted(str(path) for path in folder.glob("*/photons*.fits"))
    found = str(folder / "found.fits")
    try_command(f"find {label}", ["find", *photons, "-o", found])
    for workers in ("1", "2"):
        fitted = str(folder / f"fitted{workers}.fits")
        try_command(
            f"refit --workers {workers} {label}",
            ["refit", found, *photons, "--workers", workers, "-o", fitted],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--years", default="10")
    parser.add_argument("--radii", nargs="*", default=["5", "20", "60"])
    parser.add_argument("--sky", action="store_true")
    parser.add_argument("--types", nargs="+", default=["front", "fb"])
    options = parser.parse_args()
    for radius in [*options.radii, *(["sky"] if options.sky else [])]:
        for kind in options.types:
            with tempfile.TemporaryDirectory() as folder:
                try_sky(radius, kind, options.years, Path(folder))


if __name__ == "__main__":
    main()
