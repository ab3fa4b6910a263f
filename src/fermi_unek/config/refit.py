"""Settings of `refit`."""

from __future__ import annotations

from pathlib import Path

from .base import Writing, output, setting
from .search import CATALOG, INPUTS, LIVE_YEARS, BinConfig
from .simulate import Cluster, Sky


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
    years: float | None = LIVE_YEARS
    fake_ts: float | None = setting(
        None,
        "Candidates of less TS are marked in Fake, which stays as it is unless given.",
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
