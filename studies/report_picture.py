"""The picture of the report page in docs/guide/report.md, from a simulated field.

    python studies/report_picture.py [--work DIR]

Simulates the field, searches it, and opens the page in Chromium at the card of the most probable
candidate that is in no 4FGL release. Two minutes; needs chromium on the path.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from fermi_unek.catalog.io import read_catalog
from fermi_unek.report.content import NEW_BEYOND_DEG

PICTURE = Path(__file__).parents[1] / "docs" / "guide" / "report.png"

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --window-size=1400,1860 --virtual-time-budget=6000"
)


def main() -> None:
    """Simulate, search, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder to keep the files in")
    work = parser.parse_args().work or Path(tempfile.mkdtemp())
    work.mkdir(exist_ok=True)
    field, catalog, report = work / "field", work / "catalog.fits", work / "report"
    simulate = "simulate --years 10 --seed 5 --region 80,35,9 --format photons --overwrite -o"
    unek(*simulate.split(), field)
    unek("find", field / "photons.fits", "-o", catalog, "--report", report, "--overwrite")
    table = read_catalog(catalog).table
    new = table[np.asarray(table["Sep_FGL"]) > NEW_BEYOND_DEG]
    name = str(new["Source_Name"][np.argmax(new["Probability"])])
    address = f"{(report / 'report.html').resolve().as_uri()}#{quote(name)}"
    picture = work / "report.png"
    profile = f"--user-data-dir={work / 'profile'}"
    command = ["chromium", *FLAGS.split(), profile, f"--screenshot={picture}", address]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    # a third of the size; this method keeps colors that are rare, and pale greys
    small = Image.open(picture).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=0)
    small.save(PICTURE, optimize=True)
    print(f"{name}, written to {PICTURE}")


def unek(*args: object) -> None:
    """Run `fermi-unek` with some arguments."""
    subprocess.run([sys.executable, "-m", "fermi_unek", *map(str, args)], check=True)


if __name__ == "__main__":
    main()
