"""Patches of two layers that the tests of `nets` make for themselves."""

from __future__ import annotations

import numpy as np
import torch

from fermi_unek.detect.filters import matched_filters
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.nets.spec import LayerBatch, ModelSpec
from fermi_unek.sky.binning import BINNING

SPEC = ModelSpec((8, 8, 8, 8))
FILTERS = matched_filters((shipped_observation("front"), shipped_observation("back")), SPEC)

Planes = list[torch.Tensor]


def templates(number: int = 2) -> Planes:
    """Templates that rise threefold from the first to the last column."""
    return [torch.linspace(1.0, 3.0, n).expand(number, n, n) for n in BINNING.template_pixels]


def layer(seed: int, number: int = 2, which: int = 0, template: Planes | None = None) -> LayerBatch:
    """Two photons a pixel, observed throughout, seen as FRONT (0) or BACK (1) events."""
    rng = np.random.default_rng(seed)
    counts = [torch.from_numpy(rng.poisson(2.0, (number, n, n))).float() for n in BINNING.pixels]
    return LayerBatch(counts, [torch.ones_like(c) for c in counts], FILTERS[which], template)


def layers(seed: int, number: int = 2, template: Planes | None = None) -> list[LayerBatch]:
    """FRONT and BACK."""
    return [layer(2 * seed + k, number, k, template) for k in range(2)]
