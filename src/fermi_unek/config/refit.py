"""Settings of `refit`."""

from __future__ import annotations

from pathlib import Path

from .base import Writing, output, setting
from .search import CATALOG, INPUTS, LIVE_YEARS, BinConfig
from .simulate import Cluster, Sky


EXTENSION = (
    "Fit a disk and a Gaussian in the place of each point: TS_ext, radii and their limits; the "
    "better one stays where TS_ext > 16."
)


class RefitConfig(Sky, Cluster, BinConfig):
    """How the candidates of a catalog are fitted."""

    exposure: tuple[Path, ...] = setting(
        (),
        "gtexpcube2 maps, one of all the events or one a PSF; or one gtltcube file; the package's "
        "own table times the live time unless given.",
        metavar="FILE...",
    )
    psf: tuple[Path, ...] = setting(
        (),
        "gtpsf files, one for each component of the data; the package's own unless given.",
        metavar="FILE...",
    )
    diffuse: Path | None = setting(
        None, "Galactic mapcube (gll_iem_v07.fits); goes with --iso.", metavar="FILE"
    )
    iso: Path | None = setting(
        None, "Isotropic spectrum (iso_*.txt); goes with --diffuse.", metavar="FILE"
    )
    alternative_diffuse: str | None = setting(
        None,
        "Another diffuse model, as --background has them: with it all is fitted again, to judge "
        "bits 1 to 3 of Flags.",
        metavar="NAME|FILE",
    )
    years: float | None = LIVE_YEARS
    localize: bool = setting(True, "Fit positions too; else they stay where they are.")
    index_prior: float | None = setting(
        0.3,
        "Standard deviation of the Gaussian prior around 2.3 of a power law's index; 0.3 is the "
        "scatter in 4FGL-DR2.",
        gt=0.0,
    )
    scatter: bool = setting(
        True, "Errors hold how much the residuals of a region scatter beyond the photons' noise."
    )
    history: bool = setting(True, "Fluxes of each year, where the inputs are photons with times.")
    extension: bool = setting(False, EXTENSION)
    rows: tuple[str, ...] = setting(
        (),
        "Sources, by name, of which --extension is fitted; all unless given.",
        metavar="NAME,NAME...",
    )
    fake_ts: float = setting(
        9.0,
        "Candidates of less TS are marked in Fake; 0 marks none.",
        metavar="TS",
        ge=0.0,
    )


class Refit(Writing, RefitConfig):
    """Fit the candidates of a catalog: TS, fluxes, spectra, positions.

    INPUT are the photons or cubes that the catalog was found in.
    """

    catalog: Path = CATALOG
    inputs: tuple[str, ...] = INPUTS
    output: Path = output("Catalog to write.", "NEW.fits")
