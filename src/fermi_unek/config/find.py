"""Settings of `find`, and what every search shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .base import Config, Option
from .fields import (
    EventClass,
    EventType,
    Exposure,
    Inputs,
    NewCatalog,
    Overwrite,
    Scheduler,
    Seed,
    ZenithCut,
)
from .region import Region


class SearchSettings(Config):
    """How a network looks for sources."""

    threshold: float = Field(
        0.2, gt=0.0, lt=1.0, description="Source probability that a candidate must reach."
    )
    centers: Literal["kmeans", "peaks"] = Field(
        "kmeans", description="How centers are found in the source mask."
    )
    region: Region = None
    model: Annotated[str | None, Option(metavar="NAME|FILE")] = Field(
        None,
        description="Localizer, by name or weights file; unless given the shipped one that was "
        "trained for pixels such as the photons were counted in.",
    )
    evtype: EventType = None
    zmax: ZenithCut = None
    evclass: EventClass = None
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where the network runs.")
    scheduler: Scheduler = None
    seed: Seed = 0


class FindConfig(SearchSettings):
    """How sources are sought and described."""

    yearly: Annotated[tuple[Path, ...], Option(metavar="INPUT...")] = Field(
        (),
        description="The same photons year by year, for classification: a cube a year, an @list "
        "of the files of a year, or files whose names differ in _bin0 to _bin5 alone. Photon files "
        "need none, they hold the times.",
    )
    exposure: Exposure = Field(
        None,
        description="gtexpcube2 map of these photons or gtltcube file of their time (with the "
        "CALDB files of $CALDB or $FERMI_DIR), to classify with; the package's own table unless "
        "given.",
    )
    classify: bool = Field(True, description="Give each candidate probabilities of classes.")
    classifier: Annotated[str | None, Option(metavar="NAME|FILE")] = Field(
        None, description="Classifier, by name or weights file; the shipped one unless given."
    )
    reference: Annotated[str, Option(metavar="NAME|FILE")] = Field(
        "4FGL-DR2",
        description="4FGL release or file in which the nearest source is looked up; 'none' for "
        "no look.",
    )


class Find(FindConfig):
    """Find sources in count cubes or photon files and write a 4FGL-style catalog.

    INPUT is one or more FT1 photon files, @lists of them, gtbin HEALPIX files or gtbin WCS
    cubes that together are one sky.
    """

    inputs: Inputs
    output: NewCatalog
    report: Annotated[Path | None, Option(metavar="DIR")] = Field(
        None, description="Folder for a page, a picture and DS9 regions of what was found."
    )
    overwrite: Overwrite = False
