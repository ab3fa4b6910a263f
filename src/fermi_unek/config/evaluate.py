"""Settings of `evaluate` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .base import Config, Option
from .fields import CatalogFile, MatchRadius, Overwrite, PossibleFolder


class EvaluateConfig(Config):
    """How detections are matched to the truth."""

    radius: MatchRadius = 0.3


class Evaluate(EvaluateConfig):
    """Purity, completeness and position errors of a catalog against the simulated truth."""

    catalog: CatalogFile
    truth: Annotated[Path, Option(metavar="truth.fits")] = Field(description="From `simulate`.")
    output: PossibleFolder = None
    overwrite: Overwrite = False


class CompareConfig(Config):
    """Comparison with a 4FGL release."""

    reference: Annotated[str, Option(metavar="NAME|FILE")] = Field(
        "4FGL-DR2", description="4FGL release or file."
    )
    radius: MatchRadius = 0.3


class Compare(CompareConfig):
    """Which sources of a 4FGL release a catalog has, by significance and latitude."""

    catalog: CatalogFile
    output: PossibleFolder = None
    overwrite: Overwrite = False
