"""Settings of `refit`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from .base import Writing, output, setting
from .search import CATALOG, EXTENSION, INPUTS, LIVE_YEARS, BinConfig
from .simulate import Cluster, Sky

_SECONDS = {"d": 86400.0, "w": 7 * 86400.0, "yr": 365.25 * 86400.0}
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]*)?)(d|w|yr)")
_LEAST_S = 86400.0  # the LAT sees the whole sky in three hours, not always alike


def _check_cadence(value: str) -> str:
    found = _LENGTH.fullmatch(value)
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if value not in ("year", "none") and not length >= _LEAST_S:
        raise ValueError("expected year, none, or a length of a day or more such as 30d, 1w, 0.5yr")
    return value


def _between_commas(value: object) -> object:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


Cadence = Annotated[str, AfterValidator(_check_cadence)]
Names = Annotated[tuple[str, ...], BeforeValidator(_between_commas)]


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
    surroundings: str = setting(
        "4FGL-DR2",
        "4FGL release or list: what of it lies where no photons were taken shines into the field "
        "as it is listed; 'none' for nothing. Beside simulated photons, and beside a catalog that "
        "has such sources itself, nothing unless given.",
        metavar="NAME|FILE",
    )
    years: float | None = LIVE_YEARS
    localize: bool = setting(True, "Fit positions too; else they stay where they are.")
    index_prior: float | None = setting(
        0.3,
        "Standard deviation of the Gaussian prior around 2.3 of a power law's index; 0.3 is the "
        "scatter in 4FGL-DR2. With it the curvature of all is held by its own there, 0.28, while "
        "they are fitted together.",
        gt=0.0,
    )
    scatter: bool = setting(
        True,
        "Errors hold how much the residuals of a region scatter beyond the noise of photons, and "
        "that of Flux1000 that a power law may be curved.",
    )
    history: Cadence = setting(
        "year",
        "Light curves from photons with times: year, as 4FGL has them, or beside these periods of "
        "another length, such as 30d or 1w; none for no light curves.",
        metavar="year|LENGTH|none",
    )
    extension: bool = setting(False, EXTENSION)
    rows: Names = setting(
        (),
        "Sources, by name, that --extension and --history LENGTH are for; all unless given.",
        metavar="NAME,NAME...",
    )
    fake_ts: float = setting(
        9.0,
        "Candidates of less TS are marked in Fake; 0 marks none.",
        metavar="TS",
        ge=0.0,
    )

    @property
    def period_s(self) -> float | None:
        """Length of the periods of light curves beside those of years."""
        found = _LENGTH.fullmatch(self.history)
        return float(found[1]) * _SECONDS[found[2]] if found else None


class Refit(Writing, RefitConfig):
    """Fit the candidates of a catalog: TS, fluxes, spectra, positions.

    INPUT are the photons or cubes that the catalog was found in.
    """

    catalog: Path = CATALOG
    inputs: tuple[str, ...] = INPUTS
    output: Path = output("Catalog to write.", "NEW.fits")
