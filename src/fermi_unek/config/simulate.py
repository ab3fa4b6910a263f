"""Settings of `simulate`, and what it shares with `refit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .base import Config, IntoFolder, setting
from .region import Region, region_setting
from .search import EXPOSURE, EventType

Order = Annotated[
    Annotated[int, Field(ge=0, le=12)] | Literal["coarse"], Field(union_mode="left_to_right")
]
"""HEALPIX order of the count files of a simulated sky, or the name of six of them."""


class Cluster(Config):
    """Where pieces of work are done."""

    workers: int = setting(1, "Processes on this machine.", ge=1)
    scheduler: str | None = setting(
        None, "dask scheduler whose workers do the work in their place.", metavar="ADDRESS"
    )


class Sky(Config):
    """Diffuse emission and response."""

    background: str = setting(
        "auto",
        "Diffuse model: own (needs no file; own-SEED has other fine structure), v07, model_O, "
        "model_A, official (gll_iem_v07 of $FERMI_DIFFUSE_DIR or $FERMI_DIR), the path of a "
        "mapcube, or auto: official, v07 or own, the first whose files are found.",
        metavar="NAME|FILE",
    )
    caldb: Path | None = setting(
        None,
        "Folder with the CALDB files that go with a gtltcube file; $CALDB or $FERMI_DIR unless "
        "given.",
        metavar="DIR",
    )


class SimulateConfig(Sky, Cluster):
    """Skies with a known truth."""

    population: str = setting(
        "dr2",
        "Sources: dr2 (4FGL-DR2 as it is, with a faint tail), mock (a new sky of each class as DR2 "
        "has them), resampled (DR2's sources at new positions), or a list: gtlike XML, gammapy "
        "YAML, FITS with the columns of 4FGL.",
        metavar="dr2|mock|resampled|FILE",
    )
    years: float = setting(10.0, "Live span, years of 365.25 days.", gt=0.0, le=30.0, unit="yr")
    seed: int = setting(0, "Seed of all randomness: one seed, one sky.", ge=0)
    region: Region = region_setting()
    format: Literal["photons", "healpix", "wcs"] = setting(
        "healpix", "What is written: an FT1 photon list, gtbin HEALPIX files or a gtbin cube."
    )
    yearly: bool = setting(
        False,
        "Write each mission year by itself as well; photons, which have times, by itself only.",
    )
    variable: bool = setting(
        True, "Whether blazars vary from year to year.", flag="--variable/--steady"
    )
    extended: bool = setting(False, "With the extended sources of 4FGL-DR2.")
    evtype: EventType = setting(
        "front", "Photons the instrument takes; one seed is one sky, whichever they are."
    )
    isotropic: Path | None = setting(
        None,
        "Spectrum of the isotropic emission, iso_*.txt; the one that goes with the background "
        "unless given.",
        metavar="FILE",
    )
    exposure: Path | None = EXPOSURE
    order: Order | None = setting(
        None,
        "One HEALPIX order for all bins, in one file; coarse is six files of orders 7, 7, 8, 9, "
        "10, 10, as gtbin writes them. Unless given six of 8, 8, 9, 10, 11, 11, which list their "
        "filled pixels only where that is smaller.",
        metavar="N|coarse",
    )
    projection: Literal["ZEA", "TAN", "STG", "CAR", "AIT", "MOL"] | None = setting(
        None,
        "Of a WCS cube: ZEA, TAN, STG, CAR or AIT of a field (ZEA unless given), CAR, AIT or MOL "
        "of the whole sky (CAR unless given).",
    )
    coordsys: Literal["GAL", "CEL"] = setting("GAL", "Frame of the count files.")
    pixel: float | None = setting(
        None,
        "Pixel of a WCS cube; unless given 0.05 for a field and 0.1 for the whole sky.",
        gt=0.0,
        le=10.0,
        unit="deg",
    )
    skies: int = setting(
        1, "So many skies, of seeds that count on, in folders sky00000 and so on.", ge=1
    )


class Simulate(IntoFolder, SimulateConfig):
    """Simulate a sky with a known truth, written beside it as truth.fits."""
