"""Settings of `associate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .base import Config, Option
from .fields import CatalogFile, NewCatalog, Overwrite

ServiceName = Literal["vizier", "simbad", "ned"]


def _split_names(value: object) -> object:
    """`"vizier,ned"` as its parts, `"none"` as no part; anything else unchanged."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        return value
    names = [name.strip() for text in texts for name in text.split(",")]
    return [] if names == ["none"] else names


def _read_pairs(value: object) -> object:
    """`NAME=VALUE` of a repeatable option as a mapping."""
    if isinstance(value, Mapping) or not isinstance(value, (list, tuple)):
        return value
    pairs = [text.partition("=") for text in value]
    for name, equals, given in pairs:
        if not (name and equals and given):
            raise ValueError(f"{name + equals + given!r} is no NAME=VALUE")
    return {name: given for name, _, given in pairs}


class AssociateConfig(Config):
    """Where counterparts are sought, and how long is waited for them."""

    services: Annotated[
        tuple[ServiceName, ...], BeforeValidator(_split_names), Option(metavar="NAMES")
    ] = Field(
        ("vizier", "simbad", "ned"),
        description="Remote services, with commas between, or none.",
    )
    catalogs: Annotated[tuple[str, ...], Option(metavar="FILE...")] = Field(
        (), description="Local catalogs: files, NAME=FILE, or 4FGL releases by name."
    )
    min_probability: float = Field(
        0.8, gt=0.0, lt=1.0, description="Least probability of ASSOC1; 0.8 in the LAT catalogs."
    )
    priors: Annotated[
        dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]],
        BeforeValidator(_read_pairs),
        Option("--prior", metavar="FAMILY=VALUE"),
    ] = Field({}, description="Prior of a family of classes in place of the one of 4FGL-DR4.")
    new_only: bool = Field(
        False, description="Leave out what has a 4FGL source within 0.3 degrees."
    )
    cache: Annotated[Path | None, Option(metavar="DIR")] = Field(
        None, description="Where answers are kept; the user's cache folder unless given."
    )
    max_age: Annotated[float, Option(metavar="DAYS")] = Field(
        30.0, ge=0.0, description="Older answers are asked for again; 0 asks always."
    )
    timeout: Annotated[float, Option(metavar="S")] = Field(
        60.0, gt=0.0, description="Time until a try is given up."
    )
    backoff: Annotated[float, Option(metavar="S")] = Field(
        2.0, ge=0.0, description="Time before the second try."
    )
    tries: int = Field(3, ge=1, description="Before a service is taken for down.")
    servers: Annotated[
        dict[ServiceName, str],
        BeforeValidator(_read_pairs),
        Option("--server", metavar="NAME=URL"),
    ] = Field({}, description="Mirror of a service.")


class Associate(AssociateConfig):
    """Look for counterparts in public archives and local catalogs."""

    catalog: CatalogFile
    output: NewCatalog
    counterparts: Annotated[Path | None, Option(metavar="FILE")] = Field(
        None, description="Table of all objects inside the ellipses: .vot, .csv, .ecsv or .fits."
    )
    overwrite: Overwrite = False
