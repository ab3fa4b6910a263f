"""Settings of `refit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .base import Config, Option
from .fields import (
    Background,
    Caldb,
    CatalogFile,
    EventClass,
    EventType,
    Inputs,
    LiveYears,
    NewCatalog,
    Overwrite,
    Scheduler,
    Seed,
    Workers,
    ZenithCut,
)


class RefitConfig(Config):
    """How the candidates of a catalog are fitted."""

    exposure: Annotated[tuple[Path, ...], Option(metavar="FILE...")] = Field(
        (),
        description="gtexpcube2 maps, one of all the events or one a PSF; or one gtltcube file; "
        "the package's own table times the live time unless given.",
    )
    caldb: Caldb = None
    psf: Annotated[tuple[Path, ...], Option(metavar="FILE...")] = Field(
        (),
        description="gtpsf files, one for each component of the data; the package's own unless "
        "given.",
    )
    diffuse: Annotated[Path | None, Option(metavar="FILE")] = Field(
        None, description="Galactic mapcube (gll_iem_v07.fits); goes with --iso."
    )
    iso: Annotated[Path | None, Option(metavar="FILE")] = Field(
        None, description="Isotropic spectrum (iso_*.txt); goes with --diffuse."
    )
    background: Background = "auto"
    years: LiveYears = None
    fake_ts: Annotated[float | None, Option(metavar="TS")] = Field(
        None,
        ge=0.0,
        description="Candidates of less TS are marked in Fake, which stays as it is unless given.",
    )
    evtype: EventType = None
    zmax: ZenithCut = None
    evclass: EventClass = None
    scheduler: Scheduler = None
    workers: Workers = 1
    seed: Seed = 0


class Refit(RefitConfig):
    """Fit the candidates of a catalog: TS, fluxes, spectra, positions.

    INPUT are the photons or cubes that the catalog was found in.
    """

    catalog: CatalogFile
    inputs: Inputs
    output: NewCatalog
    overwrite: Overwrite = False
