"""Readers of text fed by atheris, which looks for inputs that reach new lines of them.

A text must be refused with a `UnekError` (ValueError for a region, which the settings turn into
one) or give a result; any other exception is a fault and is printed with its input.

    pip install atheris
    python studies/trust_fuzz.py dss|region|yaml|models|xml|header|list [--seconds 120]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

# what is imported here is followed line by line
with atheris.instrument_imports(include=["fermi_unek"]) if atheris else nullcontext():
    from fermi_unek.config import TrainConfig, load_yaml
    from fermi_unek.config.region import read_region
    from fermi_unek.errors import UnekError
    from fermi_unek.simulate.userlist import read_user_list
    from fermi_unek.sky.io.dss import read_selection
    from fermi_unek.sky.io.files import open_fits, resolve_inputs
from astropy.io import fits
from trust_mutate import MODELS, XML

FOLDER = Path(tempfile.mkdtemp())
CUTS = (
    "BIT_MASK(EVENT_CLASS,128,P8R3)|1:1|DIMENSIONLESS",
    "POS(RA,DEC)|CIRCLE(83.6,22.0,15)|deg",
    "TIME|TABLE|s",
    "ENERGY|100:500000|MeV",
    "ENERGY|0.3:1,2:3|GeV",
    "ZENITH_ANGLE|0:90|deg",
    "PULSE_PHASE|0.5:0.9|DIMENSIONLESS",
)
LOCALIZER = "out: runs/x\nskies: 3\nlearning_rate: 1e-3\nwidths: [8, 16]\nbackgrounds: [own]\n"


def written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def dss(data: bytes) -> None:
    """Cuts, a line each: type, value and unit."""
    header = fits.Header()
    for number, line in enumerate(data.decode("ascii", "ignore").splitlines()[:9], 1):
        for key, value in zip(("DSTYP", "DSVAL", "DSUNI"), line.split("|"), strict=False):
            try:
                header[f"{key}{number}"] = value
            except ValueError:  # no header can hold it
                return
    table = fits.BinTableHDU.from_columns([fits.Column("ENERGY", "E", array=[1.0])], header=header)
    read_selection(Path("f.fits"), fits.HDUList([fits.PrimaryHDU(), table]), 1)


def header_of(data: bytes) -> None:
    """Cards of a primary header and what follows."""
    with open_fits(written("f.fits", data)) as hdus:
        for hdu in hdus:
            _ = hdu.header.get("NAXIS"), hdu.name


def region(data: bytes) -> None:
    try:
        read_region(data.decode("utf-8", "ignore"))
    except ValueError:
        pass


def header_seed() -> bytes:
    path = FOLDER / "seed.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("X", "E", array=[1.0, 2.0])], name="EVENTS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path.read_bytes()


TARGETS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "dss": (dss, [cut.encode() for cut in CUTS] + ["\n".join(CUTS).encode()]),
    "region": (
        region,
        [b"80,18,5", b"icrs:13.2,-72.8,5", b"SMC,5", b"fk5:5h30m,-70d,3", b"gal:0,0,1deg"],
    ),
    "yaml": (lambda data: load_yaml(written("c.yaml", data), TrainConfig), [LOCALIZER.encode()]),
    "models": (lambda data: read_user_list(written("m.yaml", data)), [MODELS.encode()]),
    "xml": (lambda data: read_user_list(written("m.xml", data)), [XML.encode()]),
    "header": (header_of, [header_seed()]),
    "list": (
        lambda data: resolve_inputs([f"@{written('l.txt', data)}"]),
        [b"f.fits\n", b"# a\n'f.fits'[EVENTS]\r\n$HOME/f.fits\n~/f.fits"],
    ),
}


def main() -> None:
    """Feed one reader for so many seconds; the faults by the line they were raised in."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    if atheris is None:
        raise SystemExit("pip install atheris")
    warnings.simplefilter("ignore")
    read, seeds = TARGETS[options.target]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    faults: dict[str, bytes] = {}
    runs, slowest = 0, 0.0

    def once(data: bytes) -> None:
        nonlocal runs, slowest
        start = time.monotonic()
        try:
            read(data)
        except UnekError:
            pass
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults.setdefault(f"{type(error).__name__} at {place.filename}:{place.lineno}", data)
        runs, slowest = runs + 1, max(slowest, time.monotonic() - start)
        if time.monotonic() - begun > options.seconds:
            print(
                f"{options.target}: {runs} executions, corpus of {len(list(corpus.iterdir()))} "
                f"from {len(seeds)} seeds, slowest {slowest:.2f} s, {len(faults)} faults"
            )
            for fault, example in faults.items():
                print(f"    {fault}: {example[:300]!r}")
            sys.stdout.flush()
            os._exit(0)  # libFuzzer takes an exit for a crash

    begun = time.monotonic()
    atheris.Setup([sys.argv[0], str(corpus), "-max_len=20000", "-verbosity=0"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
