"""Settings of `bin`: the cuts on photons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .base import Config, Option
from .fields import EventClass, EventType, Inputs, Overwrite, Seed, ZenithCut


class BinConfig(Config):
    """Which photons are taken from files."""

    evtype: EventType = None
    zmax: ZenithCut = None
    evclass: EventClass = None
    seed: Seed = 0


class Bin(BinConfig):
    """Bin photon files once into one file that `find` reads quickly."""

    inputs: Annotated[Inputs, Option(metavar="PHOTONS...", argument=True)]
    output: Annotated[Path, Option("-o", "--output", metavar="SKY")] = Field(
        description="File to write."
    )
    overwrite: Overwrite = False
