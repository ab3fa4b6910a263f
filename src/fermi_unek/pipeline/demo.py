"""`demo`: a search of the simulated field that ships inside the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..catalog import Catalog, write_catalog, write_regions
from ..config import FindConfig
from ..errors import InputError
from ..evaluate import Scores, read_truth_table, score
from ..outputs import check_folder, staging
from ..progress import Progress, silent
from .inputs import read_photons
from .report import positions
from .search import search

DEMO_FILES = ("catalog.fits", "catalog.reg", "field.png")

BRIGHT_TS = 25.0
"""Ideal TS of the faintest true sources the demo's picture marks."""


@dataclass(frozen=True)
class Demo:
    """What `run_demo` made: the catalog, its score against the truth, and where they lie."""

    catalog: Catalog
    scores: Scores
    folder: Path

    @property
    def summary(self) -> str:
        """A few lines for people."""
        from ..report import summary_line

        lines = [f"found {summary_line(self.catalog)} in the sample field; against its truth:"]
        lines += [f"  {name:<28} {rate}" for name, rate in self.scores.summary.items()]
        return "\n".join([*lines, f"{', '.join(DEMO_FILES)} written to {self.folder}"])


def run_demo(folder: str | Path, *, overwrite: bool = False, progress: Progress = silent) -> Demo:
    """The main job on the simulated field that ships with the package.

    Writes ``catalog.fits``, ``catalog.reg`` and ``field.png`` into `folder`, which is made.

    Raises
    ------
    OutputError
        When one of them exists and `overwrite` is false, or they cannot be written.
    """
    from ..report import draw_sky

    folder = check_folder(folder, DEMO_FILES, overwrite)
    cubes, truth_file = demo_sample()
    truth = read_truth_table(truth_file)
    sky = read_photons(cubes)
    catalog = search(sky, FindConfig(), progress=progress)
    bright = truth[np.asarray(truth["Ideal_TS"]) > BRIGHT_TS]
    with staging(folder) as temporary:
        write_catalog(catalog, temporary / "catalog.fits")
        write_regions(catalog, temporary / "catalog.reg")
        found, true = positions(catalog.table), positions(bright)
        draw_sky(sky, temporary / "field.png", found=found, true=true)
    return Demo(catalog, score(catalog, truth), folder)


def demo_sample() -> tuple[list[Path], Path]:
    """Count files and truth of the sample inside the package; `InputError` where it is not."""
    folder = Path(str(files("fermi_unek") / "data" / "demo"))
    truth = folder / "truth.fits"
    cubes = sorted(path for path in folder.glob("*.fits*") if path != truth)
    if not cubes or not truth.is_file():
        raise InputError(f"{folder}: the sample field is missing; was the package installed whole?")
    return cubes, truth
