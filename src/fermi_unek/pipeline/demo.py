"""`demo`: a search of the simulated field that ships inside the package."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..catalog import Catalog, write_catalog
from ..config import FindConfig
from ..errors import InputError, UnekWarning
from ..evaluate import Scores, read_truth_table, score
from ..outputs import check_folder, staging
from ..progress import Progress, silent
from .inputs import read_photons
from .report import REPORT_FILES, fill_report, positions
from .search import search

DEMO_FILES = ("catalog.fits", *REPORT_FILES)

BRIGHT_TS = 25.0
"""Ideal TS of the faintest true sources the demo's picture marks."""


@dataclass(frozen=True)
class Demo:
    """What `run_demo` made: the catalog, its scores and those of the selected, where they lie."""

    catalog: Catalog
    scores: Scores
    selected: Scores
    folder: Path

    @property
    def summary(self) -> str:
        """A few lines for people."""
        from ..report import summary_line

        rates = {name: rate for name, rate in self.scores.summary.items() if rate.total}
        width = max(map(len, rates))
        lines = [f"found {summary_line(self.catalog)} in the sample field", self._selected]
        lines += ["all candidates against its truth:"]
        lines += [f"  {name:<{width}} {rate}" for name, rate in rates.items()]
        lines += [f"{', '.join(DEMO_FILES)} written to {self.folder}"]
        return "\n".join([*lines, f"open {self.folder / 'report.html'} in a browser"])

    @property
    def _selected(self) -> str:
        """How pure the list is that is met first."""
        rate = self.selected.summary["purity"]
        return f"of the selected {rate} are true sources"


def run_demo(folder: str | Path, *, overwrite: bool = False, progress: Progress = silent) -> Demo:
    """The main job on the simulated field that ships with the package.

    Writes the catalog and the files of a report into `folder`, which is made.

    Raises
    ------
    OutputError
        When one of them exists and `overwrite` is false, or they cannot be written.
    """
    folder = check_folder(folder, DEMO_FILES, overwrite)
    cubes, truth_file = demo_sample()
    truth = read_truth_table(truth_file)
    # a simulated sky has nothing to do with the real sources of a release
    settings = FindConfig(reference="none")
    sky = read_photons(cubes, settings, progress)
    with warnings.catch_warnings():
        # that the sample has no times is not for who tries it to mend
        warnings.simplefilter("ignore", UnekWarning)
        catalog = search(sky, settings, progress=progress)
    bright = truth[np.asarray(truth["Ideal_TS"]) > BRIGHT_TS]
    with staging(folder) as temporary:
        write_catalog(catalog, temporary / "catalog.fits")
        fill_report(temporary, sky, catalog, None, progress, true=positions(bright))
    return Demo(catalog, score(catalog, truth), score(catalog.selected, truth), folder)


def demo_sample() -> tuple[list[Path], Path]:
    """Count files and truth of the sample inside the package; `InputError` where it is not."""
    folder = Path(str(files("fermi_unek") / "data" / "demo"))
    truth = folder / "truth.fits"
    cubes = sorted(path for path in folder.glob("*.fits*") if path != truth)
    if not cubes or not truth.is_file():
        raise InputError(f"{folder}: the sample field is missing; was the package installed whole?")
    return cubes, truth
