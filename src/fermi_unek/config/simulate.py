"""Settings of `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .base import Config, Option
from .fields import Background, Caldb, Exposure, Folder, Overwrite, Scheduler, Workers, in_unit
from .region import Region

Order = Annotated[
    Annotated[int, Field(ge=0, le=12)] | Literal["coarse"], Field(union_mode="left_to_right")
]
"""HEALPIX order of the count files of a simulated sky, or the name of six of them."""


class SimulateConfig(Config):
    """Skies with a known truth."""

    population: Annotated[str, Option(metavar="dr2|mock|resampled|FILE")] = Field(
        "dr2",
        description="Sources: dr2 (4FGL-DR2 as it is, with a faint tail), mock (a new sky of each "
        "class as DR2 has them), resampled (DR2's sources at new positions), or a list: gtlike "
        "XML, gammapy YAML, FITS with the columns of 4FGL.",
    )
    years: Annotated[float, Field(gt=0.0, le=30.0), in_unit("yr")] = Field(
        10.0, description="Live span in years of 365.25 days."
    )
    seed: int = Field(0, ge=0, description="Seed of all randomness: one seed, one sky.")
    region: Region = None
    format: Literal["photons", "healpix", "wcs"] = Field(
        "healpix",
        description="What is written: an FT1 photon list, gtbin HEALPIX files or a gtbin cube.",
    )
    yearly: bool = Field(
        False,
        description="Write each mission year by itself as well; photons, which have times, by "
        "itself only.",
    )
    variable: Annotated[bool, Option("--variable/--steady")] = Field(
        True, description="Whether blazars vary from year to year."
    )
    extended: bool = Field(False, description="With the extended sources of 4FGL-DR2.")
    evtype: Literal["front", "back", "all"] = Field(
        "front", description="Photons the instrument takes."
    )
    background: Background = "auto"
    isotropic: Annotated[Path | None, Option(metavar="FILE")] = Field(
        None,
        description="Spectrum of the isotropic emission, iso_*.txt; the one that goes with the "
        "background unless given.",
    )
    exposure: Exposure = None
    caldb: Caldb = None
    order: Annotated[Order | None, Option(metavar="N|coarse")] = Field(
        None,
        description="One HEALPIX order for all bins, in one file; coarse is six files of orders "
        "7, 7, 8, 9, 10, 10, as gtbin writes them. Unless given six of 8, 8, 9, 10, 11, 11, which "
        "list their filled pixels only where that is smaller.",
    )
    projection: Literal["ZEA", "TAN", "STG", "CAR", "AIT", "MOL"] | None = Field(
        None,
        description="Of a WCS cube: ZEA, TAN, STG, CAR or AIT of a field (ZEA unless given), CAR, "
        "AIT or MOL of the whole sky (CAR unless given).",
    )
    coordsys: Literal["GAL", "CEL"] = Field("GAL", description="Frame of the count files.")
    pixel: Annotated[
        float | None, Field(gt=0.0, le=10.0), in_unit("deg"), Option(metavar="DEG")
    ] = Field(
        None,
        description="Pixel of a WCS cube; unless given 0.05 for a field and 0.1 for the whole sky.",
    )
    skies: int = Field(
        1,
        ge=1,
        description="So many skies, of seeds that count on, in folders sky00000 and so on.",
    )
    workers: Workers = 1
    scheduler: Scheduler = None


class Simulate(SimulateConfig):
    """Simulate a sky with a known truth, written beside it as truth.fits."""

    output: Folder
    overwrite: Overwrite = False
