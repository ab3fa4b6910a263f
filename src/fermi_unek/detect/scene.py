"""`Scene`: what a network is given of an observation beside its photons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..diffuse.cache import cached_template
from ..diffuse.template import DiffuseShape, SkyTemplate
from ..irf.instrument import Instrument
from ..irf.observation import Observation, observations
from ..nets.filters import MatchedFilter
from ..nets.spec import ModelSpec
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame
from .filters import matched_filters


@dataclass(frozen=True)
class Scene:
    """What the photons of a sky were seen through, and what is expected of diffuse emission.

    Attributes
    ----------
    observed : tuple of Observation
        One a layer, the sharper first.
    filters : sequence of sequences of MatchedFilter
        By layer and energy bin.
    templates : tuple of SkyTemplate
        By layer; empty where the diffuse emission is not known.
    """

    observed: tuple[Observation, ...]
    filters: Sequence[Sequence[MatchedFilter]]
    templates: tuple[SkyTemplate, ...] = ()

    def cut(self, frame: PatchFrame) -> list[list[np.ndarray]]:
        """The templates in a patch, by layer and energy bin."""
        return [template.cut(frame) for template in self.templates]


def scene_of(
    sky: SkyCounts,
    spec: ModelSpec,
    shape: DiffuseShape | None = None,
    instrument: Instrument | None = None,
) -> Scene:
    """The scene of a sky.

    Parameters
    ----------
    sky : SkyCounts
    spec : ModelSpec
        Of the network that looks at it.
    shape : DiffuseShape, optional
        What is known of the diffuse emission.
    instrument : Instrument, optional
        The shipped tables unless given.
    """
    observed = observations(sky, instrument)
    templates = () if shape is None else tuple(cached_template(shape, seen) for seen in observed)
    return Scene(observed, matched_filters(observed, spec), templates)
