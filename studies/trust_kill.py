"""Commands that are stopped at random moments: nothing half-written, and the rerun is complete.

Each command runs undisturbed once. Then it is started again and again and stopped by kill -9 (or
SIGTERM, SIGINT) at a random moment of its run; what then lies under the final names must be whole
files, and the rerun (--overwrite, or --resume of a training) must give what the undisturbed run
gave, dates and the checksums that FITS makes of them aside.

    python studies/trust_kill.py [--times 10] [--signals KILL TERM INT] [--seed 0]
                                 [--commands bin simulate find refit associate train classify]

`train` is a localizer from its patches on, `classify` a classifier from candidates on that are
drawn as in the tests: skies and their search would take an hour.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from safetensors.numpy import load_file

DEMO = Path(__file__).resolve().parents[1] / "src" / "fermi_unek" / "data" / "demo"
PROGRAM = [sys.executable, "-m", "fermi_unek"]
CIRCLE = "80,18,2"
_SUMS = {"DATE", "CHECKSUM", "DATASUM"}
_CHANGES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
TRAINING = """dataset: {data}
out: {out}
skies: 1
patches: 4
steps: 4
batch: 2
widths: [8, 8, 8, 8]
template: v07
backgrounds: [own]
calibration_skies: 0
structure: 0
threads: 1
"""
CLASSIFIER = """dataset: {data}
out: {out}
skies: 1
calibration_skies: 1
epochs: 30
batch: 40
members: 2
hidden: 8
filters: 4
year_units: 4
device: cpu
"""


@dataclass(frozen=True)
class Case:
    """A command, the files it writes (names in `out`), and what a rerun is given besides."""

    arguments: Callable[[Path], list[str]]
    outputs: tuple[str, ...]
    again: str = "--overwrite"


CASES = {
    "bin": Case(
        lambda out: ["bin", str(DEMO / "counts.fits.gz"), "-o", str(out / "sky.fits")],
        ("sky.fits",),
    ),
    "simulate": Case(
        lambda out: [
            "simulate", "--region", CIRCLE, "--years", "1", "--seed", "3", "--format", "photons",
            "-o", str(out / "sky"),
        ],
        ("sky/photons.fits", "sky/truth.fits"),
    ),
    "find": Case(
        lambda out: ["find", str(DEMO / "counts.fits.gz"), "--region", CIRCLE, "-o",
                     str(out / "found.fits")],
        ("found.fits",),
    ),
    "refit": Case(
        lambda out: ["refit", str(out.parent / "found.fits"), str(DEMO / "counts.fits.gz"), "-o",
                     str(out / "fitted.fits")],
        ("fitted.fits",),
    ),
    "associate": Case(
        lambda out: ["associate", str(out.parent / "found.fits"), "--services", "none",
                     "--catalogs", "4FGL-DR3", "-o", str(out / "named.fits")],
        ("named.fits",),
    ),
    "train": Case(
        lambda out: ["train", "localizer", str(out.parent / f"{out.name}.yaml")],
        ("run/weights.safetensors",),
        "--resume",
    ),
    "classify": Case(
        lambda out: ["train", "classifier", str(out.parent / f"{out.name}.yaml")],
        ("run/weights.safetensors",),
        "--resume",
    ),
}  # fmt: skip


def content(path: Path) -> dict[str, object]:
    """Data and headers of a FITS or weights file; raises where it is not whole."""
    if path.suffix == ".safetensors":
        return {name: tensor.tobytes() for name, tensor in load_file(path).items()}
    found: dict[str, object] = {}
    with fits.open(path, memmap=False) as hdus:
        for number, hdu in enumerate(hdus):
            cards = [(key, str(value)) for key, value in hdu.header.items() if key not in _SUMS]
            found[f"header {number}"] = [card for card in cards if not _CHANGES.search(card[1])]
            found[f"data {number}"] = b"" if hdu.data is None else hdu.data.tobytes()
    return found


def prepare(name: str, out: Path) -> list[str]:
    """Arguments of a run into a fresh folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if name in ("train", "classify"):
        text = {"train": TRAINING, "classify": CLASSIFIER}[name]
        settings = out.parent / f"{out.name}.yaml"
        settings.write_text(text.format(data=out / "data", out=out / "run"))
        if name == "classify":
            draw_candidates(settings, out / "data")
    return CASES[name].arguments(out)


def draw_candidates(settings: Path, folder: Path) -> None:
    """Write what a search of the skies of a classifier's configuration would have found."""
    sys.path.insert(0, str(DEMO.parents[3] / "tests" / "training"))
    from test_classifier_training import examples

    from fermi_unek.config import TrainClassifierConfig, load_yaml
    from fermi_unek.nets.weights import load_localizer
    from fermi_unek.training.classifier.dataset import examples_path, save_examples
    from fermi_unek.training.classifier.train import calibration_skies, training_skies
    from fermi_unek.training.classifier.views import views_to_calibrate, views_to_train

    config = load_yaml(settings, TrainClassifierConfig)
    for skies, views_of in (
        (training_skies(config), views_to_train),
        (calibration_skies(config), views_to_calibrate),
    ):
        for number, sky in enumerate(skies):
            for view in views_of(number):
                path = examples_path(folder, sky, view, load_localizer())
                path.parent.mkdir(parents=True, exist_ok=True)
                save_examples(examples(), path)


def run(arguments: list[str]) -> str:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"status {done.returncode}: {done.stderr.strip()[-300:]}"


def disturbed(arguments: list[str], number: signal.Signals, after_s: float) -> str:
    """Blank where a run ends as it should when it is sent a signal."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(after_s)
    process.send_signal(number)
    told = process.communicate()[1]
    if number == signal.SIGKILL or process.returncode == 0:
        return ""
    lines = [line for line in told.splitlines() if "\r" not in line and "%" not in line]
    if process.returncode != 128 + number or lines != ["fermi-unek: interrupted"]:
        return f"status {process.returncode} after {after_s:.1f} s: {told[-300:]!r}"
    return ""


def try_command(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Print what came of one command."""
    case, rng, out = CASES[name], np.random.default_rng([options.seed, len(name)]), folder / "out"
    start = time.monotonic()
    fault = run(prepare(name, out))
    if fault:
        print(f"{name:10s} does not run: {fault}")
        return
    lasts_s = time.monotonic() - start
    whole = {part: content(out / part) for part in case.outputs}
    written = left = 0
    faults = []
    for turn in range(options.times):
        number = signal.Signals[f"SIG{options.signals[turn % len(options.signals)]}"]
        arguments = prepare(name, out)
        # the first part of a run is imports
        faults.append(disturbed(arguments, number, lasts_s * rng.uniform(0.2, 1.0)))
        for part in case.outputs:
            if (out / part).exists():
                written += 1
                try:
                    if content(out / part) != whole[part]:
                        faults.append(f"{part} is not that of the undisturbed run")
                except Exception as error:
                    faults.append(f"{part} is half-written: {error}")
        left += sum(".part" in path.name for path in out.rglob("*"))
        faults.append(run([*arguments, case.again]))
        for part in case.outputs:
            if not (out / part).exists() or content(out / part) != whole[part]:
                faults.append(f"{part} of the rerun is not that of the undisturbed run")
    faults = [fault for fault in faults if fault]
    print(
        f"{name:10s} {options.times:3d} stops of a run of {lasts_s:.1f} s, {len(faults)} faults; "
        f"{written} outputs were there and whole, {left} temporary names left",
        flush=True,
    )
    for fault in faults:
        print(f"    {fault}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", nargs="+", default=["KILL"], choices=["KILL", "TERM", "INT"])
    parser.add_argument("--commands", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        if {"refit", "associate"} & set(options.commands):
            run([*CASES["find"].arguments(Path(folder))])
        for name in options.commands:
            try_command(name, Path(folder), options)


if __name__ == "__main__":
    main()
