"""Settings that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .base import Option


def in_unit(unit: str) -> BeforeValidator:
    """Takes an astropy Quantity as a number of `unit`, and anything else as it is.

    Stands behind the bounds of the number, which pydantic could not apply otherwise.
    """

    def convert(value: Any) -> Any:
        return float(value.to_value(unit)) if hasattr(value, "to_value") else value

    return BeforeValidator(convert)


EventType = Annotated[
    Literal["front", "back", "all"] | None,
    Field(
        description="Photons to take from photon files; FRONT, which the networks are trained for, "
        "unless given."
    ),
]
ZenithCut = Annotated[
    float | None,
    Field(
        gt=0.0,
        le=180.0,
        description="Largest zenith angle of photons to take; unless given 100 below 1 GeV and 105 "
        "above, in photon files that were not cut already.",
    ),
    in_unit("deg"),
    Option(metavar="DEG"),
]
EventClass = Annotated[
    int | None,
    Field(
        ge=1,
        description="Event class bits of photons to take from photon files, as gtselect has them "
        "(128 is SOURCE, which the networks are trained for); all in the file unless given.",
    ),
    Option(metavar="BITS"),
]
Seed = Annotated[
    int,
    Field(ge=0, description="Seed of what is drawn: where in its pixel a photon of a cube lies."),
]
Scheduler = Annotated[
    str | None,
    Field(description="dask scheduler whose workers do the work."),
    Option(metavar="ADDRESS"),
]
Workers = Annotated[int, Field(ge=1, description="Processes on this machine.")]
Caldb = Annotated[
    Path | None,
    Field(
        description="Folder with the CALDB files that go with a gtltcube file; $CALDB or "
        "$FERMI_DIR unless given."
    ),
    Option(metavar="DIR"),
]
Exposure = Annotated[
    Path | None,
    Field(
        description="gtexpcube2 map of the photons or gtltcube file of their time; the package's "
        "own table unless given."
    ),
    Option(metavar="FILE"),
]
Background = Annotated[
    str,
    Field(
        description="Diffuse model: own (needs no file; own-SEED has other fine structure), v07, "
        "model_O, model_A, official (gll_iem_v07 of $FERMI_DIFFUSE_DIR or $FERMI_DIR), the path of "
        "a mapcube, or auto: official, v07 or own, the first whose files are found."
    ),
    Option(metavar="NAME|FILE"),
]
LiveYears = Annotated[
    float | None,
    Field(
        gt=0.0,
        le=50.0,
        description="Live span in years of 365.25 days, where the files do not say it or say it "
        "wrongly.",
    ),
    in_unit("yr"),
]
MatchRadius = Annotated[
    float,
    Field(gt=0.0, le=10.0, description="Greatest distance of a match."),
    in_unit("deg"),
    Option(metavar="DEG"),
]

# what a command reads and writes

Inputs = Annotated[
    tuple[str, ...],
    Field(min_length=1, description="Photon files, @lists of them, or count cubes."),
    Option(metavar="INPUT...", argument=True),
]
CatalogFile = Annotated[
    Path,
    Field(description="Written by `fermi-unek find`, `refit` or `associate`."),
    Option(metavar="CATALOG.fits", argument=True),
]
NewCatalog = Annotated[
    Path, Field(description="Catalog to write."), Option("-o", "--output", metavar="CATALOG.fits")
]
Folder = Annotated[
    Path, Field(description="Folder to write in."), Option("-o", "--output", metavar="DIR")
]
PossibleFolder = Annotated[
    Path | None, Field(description="Folder to write in."), Option("-o", "--output", metavar="DIR")
]
Overwrite = Annotated[bool, Field(description="Replace outputs that exist.")]
