"""Commands that have files and no settings: `demo`, `export`, `info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .base import Config, Option
from .fields import CatalogFile, Folder, Overwrite


class Demo(Config):
    """Run `find` on a simulated field that ships inside the package, and score it."""

    output: Folder = Path("demo_output")
    overwrite: Overwrite = False


class Export(Config):
    """Write a catalog as VOTable, CSV or DS9 regions."""

    catalog: CatalogFile
    output: Annotated[Path, Option("-o", "--output", metavar="FILE")] = Field(
        description="Its suffix gives the form: .vot, .csv, .ecsv, .reg."
    )
    samp: bool = Field(False, description="Send the VOTable to TOPCAT, Aladin, DS9 too.")
    overwrite: Overwrite = False


class Info(Config):
    """Tell what a catalog, a model, photons or any other file of an analysis is."""

    item: Annotated[str, Option(metavar="CATALOG.fits|MODEL|INPUT", argument=True)] = Field(
        description="A file, a fermipy folder, or the name of a shipped model."
    )
