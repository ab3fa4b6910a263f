"""`report`: the page of a catalog and its photons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table

from ..catalog import Catalog, load_release, read_catalog, write_regions
from ..catalog.releases import RELEASES
from ..config import ReportConfig
from ..outputs import check_folder, staging
from ..progress import Progress, silent, stage
from ..sky.counts import SkyCounts
from .inputs import Inputs, read_photons

REPORT_FILES = ("report.html", "field.png", "catalog.reg")


def report_to_folder(
    catalog_path: str | Path,
    inputs: Inputs,
    folder: Path,
    config: ReportConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Catalog:
    """The report of a catalog that was written, and perhaps refitted or associated, before.

    Parameters
    ----------
    catalog_path : path
        Written by this package.
    inputs : path or list of paths
        The photons it was made from, as for `find_sources`; without any the report has no
        counts and no picture.
    folder : path
        Made when it does not exist.

    Raises
    ------
    OutputError
        Before anything is read, when an output exists and may not be replaced, or cannot be
        written.
    InputError
        When the catalog, the release or an input cannot be used.
    """
    config = config or ReportConfig()
    check_folder(folder, REPORT_FILES, overwrite)
    catalog = read_catalog(catalog_path)
    name = config.reference or str(catalog.header.get("reference catalog", "none"))
    if config.reference is None and name not in RELEASES:  # a file, which is not here perhaps
        name = "none"
    reference = None if name == "none" else load_release(name)
    sky = read_photons(inputs, config, progress) if inputs else None
    write_report(folder, sky, catalog, reference, progress)
    return catalog


def write_report(
    folder: str | Path,
    sky: SkyCounts | None,
    catalog: Catalog,
    reference: Table | None,
    progress: Progress,
) -> None:
    """Page, regions and, where there are photons, a picture, into a folder that is made."""
    with staging(folder) as temporary:
        fill_report(temporary, sky, catalog, reference, progress)


def fill_report(
    folder: Path,
    sky: SkyCounts | None,
    catalog: Catalog,
    reference: Table | None,
    progress: Progress,
    true: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """The files of a report; the picture marks true sources too, where they are known."""
    from ..report import draw_sky, write_page

    with stage("writing the report"):
        write_regions(catalog, folder / "catalog.reg")
        if sky is not None:
            draw_sky(sky, folder / "field.png", found=catalog.table, true=true)
        write_page(folder / "report.html", catalog, sky, reference, progress=progress)


def positions(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Galactic longitudes and latitudes of a table, degrees."""
    return np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float)
