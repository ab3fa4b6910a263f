"""Settings of `inject`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Option
from .fields import Exposure, Folder, Inputs, LiveYears, MatchRadius, Overwrite
from .find import SearchSettings


class InjectConfig(SearchSettings):
    """Sources added to a field, and how they are sought."""

    flux: Annotated[
        tuple[Annotated[float, Field(gt=0.0, lt=1e-5)], ...], Option(metavar="FLUX...")
    ] = Field(min_length=1, description="Photon fluxes, 1 to 100 GeV, cm-2 s-1.")
    number: int = Field(50, ge=1, description="Sources of each flux.")
    index: float = Field(2.2, gt=1.0, le=5.0, description="Photon index of the sources.")
    years: LiveYears = None
    exposure: Exposure = None
    radius: MatchRadius = 0.3


class Inject(InjectConfig):
    """Add sources of known flux to counts and tell how many are found, and how far off."""

    inputs: Inputs
    output: Folder
    overwrite: Overwrite = False
