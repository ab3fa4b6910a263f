"""Settings of the commands that read photons: `bin`, `find`, `inject`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import Config, IntoFolder, Writing, argument, output, setting
from .region import Region, region_setting

EventType = Literal["front", "back", "all", "psf0", "psf1", "psf2", "psf3", "psf01", "psf23", "psf"]
"""Events that are counted as one image, by the names of `sky.selection.EVENT_TYPES`."""

Layers = Literal["fb", "psf"]
"""Events that are kept apart, by the names of `sky.selection.LAYERS`."""

EXPOSURE = setting(
    None,
    "gtexpcube2 map of the photons or gtltcube file of their time (with the CALDB files of $CALDB "
    "or $FERMI_DIR); the package's own table unless given.",
    metavar="FILE",
)
INPUTS = argument("Photon files, @lists of them, or count cubes.", "INPUT...")
CATALOG = argument("Written by `fermi-unek find`, `refit` or `associate`.", "CATALOG.fits")
LIVE_YEARS = setting(
    None, "Live span, where the files do not say it or say it wrongly.", gt=0.0, le=50.0, unit="yr"
)
EXTENSION = (
    "Fit a disk and a Gaussian in the place of each point: TS_ext, radii and their limits; the "
    "better one stays where TS_ext > 16."
)
MATCH_RADIUS = setting(0.3, "Greatest distance of a match.", gt=0.0, le=10.0, unit="deg")


class BinConfig(Config):
    """Which photons are taken from files."""

    evtype: Literal[Layers, EventType] | None = setting(
        None,
        "Photons to take, as one image, or kept apart: fb, FRONT and BACK; psf, PSF2 and PSF3 "
        "beside PSF0 and PSF1. Unless given fb where a photon file holds both, else what the files "
        "hold.",
    )
    zmax: float | None = setting(
        None,
        "Largest zenith angle of photons to take; unless given 100 below 1 GeV and 105 above, in "
        "photon files that were not cut already.",
        gt=0.0,
        le=180.0,
        unit="deg",
    )
    evclass: int | None = setting(
        None,
        "Event class bits of photons to take from photon files, as gtselect has them (128 is "
        "SOURCE, which the networks are trained for); all in the file unless given.",
        ge=1,
        metavar="BITS",
    )
    seed: int = setting(0, "Seed of where in its pixel a photon of a cube lies.", ge=0)


class Bin(Writing, BinConfig):
    """Bin photon files once into one file that `find` reads quickly."""

    inputs: tuple[str, ...] = argument("Photon files or @lists of them.", "PHOTONS...")
    output: Path = output("File to write.", "SKY")


class SearchSettings(BinConfig):
    """How a network looks for sources."""

    threshold: float = setting(
        0.2, "Source probability that a candidate must reach.", gt=0.0, lt=1.0
    )
    centers: Literal["kmeans", "peaks"] = setting(
        "kmeans", "How centers are found in the source mask."
    )
    region: Region = region_setting()
    model: str | None = setting(
        None,
        "Localizer, by name or weights file; the shipped one unless given.",
        metavar="NAME|FILE",
    )
    diffuse: str = setting(
        "v07",
        "Diffuse emission that the network is told of, without its level: the shipped shape (v07), "
        "a mapcube such as gll_iem_v07.fits, which --measure fits with too, or none.",
        metavar="v07|none|FILE",
    )
    iso: Path | None = setting(
        None,
        "Isotropic spectrum, iso_*.txt, of the mapcube; the one beside it unless given.",
        metavar="FILE",
    )
    device: Literal["cpu", "cuda"] = setting("cpu", "Where the network runs.")
    scheduler: str | None = setting(
        None, "dask scheduler whose workers run the network.", metavar="ADDRESS"
    )


class FindConfig(SearchSettings):
    """How sources are sought and described."""

    yearly: tuple[Path, ...] = setting(
        (),
        "The same photons year by year, for classification: a cube a year, an @list of the files "
        "of a year, or files whose names differ in _bin0 to _bin5 alone. Photon files need none, "
        "they hold the times.",
        metavar="INPUT...",
    )
    front: tuple[Path, ...] = setting(
        (),
        "Files of FRONT events in place of INPUT, where they do not say it themselves.",
        metavar="FILE...",
    )
    back: tuple[Path, ...] = setting((), "Likewise of BACK events.", metavar="FILE...")
    exposure: Path | None = EXPOSURE
    classify: bool = setting(True, "Give each candidate probabilities of classes.")
    classifier: str | None = setting(
        None,
        "Classifier, by name or weights file; the shipped one unless given.",
        metavar="NAME|FILE",
    )
    priors: dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]] = setting(
        {},
        "Share of a class (bll, fsrq, psr, pwn) among the sources, in place of 4FGL-DR2's at their "
        "latitude; classes not named share the rest.",
        flag="--prior",
        metavar="CLASS=SHARE",
    )
    purity: float = setting(
        0.95,
        "Purity of the list whose rows are `Selected`; all candidates above the threshold stay in "
        "the file.",
        gt=0.0,
        lt=1.0,
    )
    reference: str = setting(
        "4FGL-DR2",
        "4FGL release or file in which the nearest source is looked up; 'none' for no look.",
        metavar="NAME|FILE",
    )
    association_radius: float | None = setting(
        None,
        "Distance within which a source of the reference is ASSOC_FGL; the joint 95% error unless "
        "given.",
        gt=0.0,
        unit="deg",
    )
    measure: bool = setting(
        False, "Fit the candidates: significance, fluxes, spectra, light curves, as `refit` does."
    )
    extension: bool = setting(False, f"With --measure: {EXTENSION[0].lower()}{EXTENSION[1:]}")

    @model_validator(mode="after")
    def _extension_is_measured(self) -> Self:
        if self.extension and not self.measure:
            raise ValueError("--extension is a fit; it needs --measure")
        return self


class Find(Writing, FindConfig):
    """Find sources in count cubes or photon files and write a 4FGL-style catalog.

    INPUT is one or more FT1 photon files, @lists of them, gtbin HEALPIX files or gtbin WCS
    cubes that together are one sky.
    """

    inputs: tuple[str, ...] = argument(
        "Photon files, @lists of them, or count cubes.", "[INPUT...]", default=()
    )
    output: Path = output("Catalog to write.", "CATALOG.fits")
    report: Path | None = setting(
        None, "Folder for a page, a picture and DS9 regions of what was found.", metavar="DIR"
    )


class InjectConfig(SearchSettings):
    """Sources added to a field, and how they are sought."""

    flux: tuple[Annotated[float, Field(gt=0.0, lt=1e-5)], ...] = setting(
        ..., "Photon fluxes, 1 to 100 GeV, cm-2 s-1.", metavar="FLUX...", min_length=1
    )
    number: int = setting(50, "Sources of each flux.", ge=1)
    index: float = setting(2.2, "Photon index of the sources.", gt=1.0, le=5.0)
    years: float | None = LIVE_YEARS
    exposure: Path | None = EXPOSURE
    radius: float = MATCH_RADIUS


class Inject(IntoFolder, InjectConfig):
    """Add sources of known flux to counts and tell how many are found, and how far off."""

    inputs: tuple[str, ...] = INPUTS


class ReportConfig(BinConfig):
    """What a report is made of."""

    reference: str | None = setting(
        None,
        "4FGL release or file to compare with, 'none' for none; the one that the catalog was made "
        "with unless given.",
        metavar="NAME|FILE",
    )


class Report(IntoFolder, ReportConfig):
    """Write the page of a catalog, with what a refit or an association has added to it.

    INPUT is the photons it was made from, as for `find`; without them the page has no counts.
    """

    catalog: Path = CATALOG
    inputs: tuple[str, ...] = argument(
        "The photons or cubes that the catalog was found in.", "[INPUT...]", default=()
    )
