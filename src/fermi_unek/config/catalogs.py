"""Settings of the commands that take a catalog, and of `demo` and `info`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .base import Config, Writing, argument, output, setting
from .search import CATALOG, MATCH_RADIUS


class Scoring(Writing):
    """A command that tells rates, and writes files where it is asked to."""

    catalog: Path = CATALOG
    output: Path | None = output("Folder to write in.", "DIR", default=None)


class EvaluateConfig(Config):
    """How detections are matched to the truth."""

    radius: float = MATCH_RADIUS


class Evaluate(Scoring, EvaluateConfig):
    """Purity, completeness and position errors of a catalog against the simulated truth."""

    truth: Path = setting(..., "From `simulate`.", metavar="truth.fits")


class CompareConfig(Config):
    """Comparison with a 4FGL release."""

    reference: str = setting("4FGL-DR2", "4FGL release or file.", metavar="NAME|FILE")
    radius: float = MATCH_RADIUS


class Compare(Scoring, CompareConfig):
    """Which sources of a 4FGL release a catalog has, by significance and latitude."""


ServiceName = Literal["vizier", "simbad", "ned"]


def _split_names(value: object) -> object:
    """`"vizier,ned"` as its parts, `"none"` as no part; anything else unchanged."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        return value
    names = [name.strip() for text in texts for name in text.split(",")]
    return [] if names == ["none"] else names


class AssociateConfig(Config):
    """Where counterparts are sought, and how long is waited for them."""

    services: Annotated[tuple[ServiceName, ...], BeforeValidator(_split_names)] = setting(
        ("vizier", "simbad", "ned"),
        "Remote services, with commas between, or none.",
        metavar="NAMES",
    )
    catalogs: tuple[str, ...] = setting(
        (), "Local catalogs: files, NAME=FILE, or 4FGL releases by name.", metavar="FILE..."
    )
    min_probability: float = setting(
        0.8, "Least probability of ASSOC1; 0.8 in the LAT catalogs.", gt=0.0, lt=1.0
    )
    priors: dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]] = setting(
        {},
        "Prior of a family of classes in place of the one of 4FGL-DR4.",
        flag="--prior",
        metavar="FAMILY=VALUE",
    )
    new_only: bool = setting(False, "Leave out what has a 4FGL source within 0.3 degrees.")
    cache: Path | None = setting(
        None, "Where answers are kept; the user's cache folder unless given.", metavar="DIR"
    )
    max_age: float = setting(
        30.0, "Older answers are asked for again; 0 asks always.", ge=0.0, metavar="DAYS"
    )
    timeout: float = setting(60.0, "Time until a try is given up.", gt=0.0, unit="s")
    backoff: float = setting(2.0, "Time before the second try.", ge=0.0, unit="s")
    tries: int = setting(3, "Before a service is taken for down.", ge=1)
    servers: dict[ServiceName, str] = setting(
        {}, "Mirror of a service.", flag="--server", metavar="NAME=URL"
    )


class Associate(Writing, AssociateConfig):
    """Look for counterparts in public archives and local catalogs."""

    catalog: Path = CATALOG
    output: Path = output("Catalog to write.", "NEW.fits")
    counterparts: Path | None = setting(
        None,
        "Table of all objects inside the ellipses: .vot, .csv, .ecsv or .fits.",
        metavar="FILE",
    )


class Export(Writing):
    """Write a catalog as a table, DS9 regions, or a source model of gtlike and fermipy."""

    catalog: Path = CATALOG
    output: Path = output(
        "Its suffix gives the form: .vot, .csv or .ecsv for tables, .reg for DS9, .xml for a "
        "source model of gtlike and fermipy, .yaml for fermipy's `model: sources:`.",
        "FILE",
    )
    samp: bool = setting(False, "Send the VOTable to TOPCAT, Aladin, DS9 too.")


class Demo(Writing):
    """Run `find` on a simulated field that ships inside the package, and score it."""

    output: Path = output("Folder to write in.", "DIR", default=Path("demo_output"))


class Info(Config):
    """Tell what a catalog, a model, photons or any other file of an analysis is."""

    item: str = argument(
        "A file, a fermipy folder, or the name of a shipped model.", "CATALOG.fits|MODEL|INPUT"
    )
