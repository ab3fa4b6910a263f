"""Settings of `report`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Option
from .bin import BinConfig
from .fields import CatalogFile, Folder, Overwrite


class ReportConfig(BinConfig):
    """What a report is made of."""

    reference: Annotated[str | None, Option(metavar="NAME|FILE")] = Field(
        None,
        description="4FGL release or file to compare with, 'none' for none; the one that the "
        "catalog was made with unless given.",
    )


class Report(ReportConfig):
    """Write the page of a catalog, with what a refit or an association has added to it.

    INPUT is the photons it was made from, as for `find`; without them the page has no counts.
    """

    catalog: CatalogFile
    inputs: Annotated[tuple[str, ...], Option(metavar="[INPUT...]", argument=True)] = Field(
        (), description="The photons or cubes that the catalog was found in."
    )
    output: Folder
    overwrite: Overwrite = False
