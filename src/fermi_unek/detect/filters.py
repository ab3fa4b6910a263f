"""Matched filters of an observation, on the pixels in which a network looks at it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..irf.instrument import containment_deg
from ..irf.observation import Observation
from ..nets.filters import MatchedFilter, matched_filter, pixel_kernel
from ..nets.spec import ModelSpec
from ..sky.bins import PATCH_DEG

_WIDE = 3.0
_MARGIN_DEG = 0.2
_WIDEST_DEG = 0.48 * PATCH_DEG


def matched_filters(observed: Sequence[Observation], spec: ModelSpec) -> list[list[MatchedFilter]]:
    """Filters of each layer and energy bin, as `nets.spec.LayerBatch` takes them."""
    shown = (spec.binning.pixels, spec.binning.blurred_pixels)
    return [
        [
            matched_filter(*kernels(layer, b, PATCH_DEG / n_pixels), n_pixels)
            for b, n_pixels in enumerate(pixels)
        ]
        for layer, pixels in zip(observed, shown, strict=False)
    ]


def kernels(observation: Observation, b: int, pixel_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """PSF of energy bin `b` on pixels, and the same stretched three times: (k, k), sum one each."""
    angles, profile = observation.psf(b)
    radius = min(containment_deg(angles, profile, 0.9) + _MARGIN_DEG, _WIDEST_DEG)
    core = pixel_kernel(angles, profile, pixel_deg, radius)
    return core, pixel_kernel(angles * _WIDE, profile, pixel_deg, radius * _WIDE / 1.5)
