"""Masks, skies and networks that the tests of `detect` make for themselves."""

from __future__ import annotations

from collections.abc import Sequence

import healpy as hp
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import nn
from torch.nn import functional as F

from fermi_unek.detect.scene import Scene
from fermi_unek.detect.skymask import MASK_ORDER, SkyMask
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.nets.spec import ModelSpec, PatchBatch
from fermi_unek.nets.weights import LocalizerFile
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS, OUTPUT_PIXELS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

PHOTONS = 300
"""Photons of a bright source in the top bin."""

FRONT_SCENE = Scene((shipped_observation("front"),), [[]])
"""FRONT events, for networks that look at counts alone and need no filters."""


def place(lon: float, lat: float) -> np.ndarray:
    """One unit vector (1, 3)."""
    return lonlat_to_vectors(np.array([lon]), np.array([lat]))


def separation_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angle between unit vectors (..., 3), degrees."""
    return np.degrees(2.0 * np.arcsin(np.linalg.norm(one - other, axis=-1) / 2.0))


def mask_of(
    sources: np.ndarray,
    rng: np.random.Generator,
    scatter_deg: float = 0.02,
    radius_deg: float = 0.22,
    trust: float = 1.0,
) -> SkyMask:
    """What a good network says of sources (S, 3): discs whose pixels vote for the nearest source.

    With less `trust` a pixel votes for a place between itself and the source.
    """
    nside = 2**MASK_ORDER
    reach = np.radians(radius_deg + 0.1)
    pixels = np.unique(np.concatenate([hp.query_disc(nside, s, reach, nest=True) for s in sources]))
    vectors = np.stack(hp.pix2vec(nside, pixels, nest=True), axis=-1)
    nearest = cKDTree(sources).query(vectors)[1]
    distance = separation_deg(vectors, sources[nearest])
    probability = 1.0 / (1.0 + np.exp((distance - radius_deg) / 0.02))
    votes = vectors + trust * (sources[nearest] - vectors)
    votes += np.radians(scatter_deg) * rng.normal(size=votes.shape)
    votes /= np.linalg.norm(votes, axis=1)[:, None]
    error = np.full(len(pixels), max(scatter_deg, 0.01), np.float32)
    dark = np.zeros(len(pixels), np.float32)
    return SkyMask(pixels, probability.astype(np.float32), votes, error, dark)


class BrightSpots(nn.Module):
    """A network that needs no training: probability is the blurred counts of the top bin.

    Every pixel votes for the mean place of the photons around it, with an error of one pixel.
    """

    def __init__(self, full: float = PHOTONS) -> None:
        super().__init__()
        place = torch.arange(-8.0, 9.0)
        profile = torch.exp(-0.5 * (place / 2.0) ** 2)
        kernel = profile[:, None] * profile
        # number of photons, and their mean column and row from the pixel
        self.moments = torch.stack([kernel, kernel * place[None], kernel * place[:, None]])[:, None]
        self.full = full

    spec = ModelSpec()

    def planes(self, batch: PatchBatch) -> list[torch.Tensor]:
        return [counts for layer in batch for counts in layer.counts]

    def predict(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        sums = F.conv2d(planes[5][:, None], self.moments, padding=8)
        output = torch.zeros(len(sums), 5, OUTPUT_PIXELS, OUTPUT_PIXELS)
        output[:, 4] = -9.0
        output[:, 0] = torch.logit((sums[:, 0] / self.full).clamp(1e-6, 0.98))
        output[:, 1:3] = sums[:, 1:3] / sums[:, :1].clamp_min(1e-6)
        return output


def spots(calibration: dict[str, object] | None = None) -> LocalizerFile:
    """`BrightSpots` as a loaded model."""
    return LocalizerFile(BrightSpots(), calibration or {}, {"model": "spots", "sha256": "0"})


def sky_of(
    sources: np.ndarray, rng: np.random.Generator, coverage: np.ndarray | None = None
) -> SkyCounts:
    """A sky with photons in the two top bins only, all from sources (S, 3)."""
    vectors = np.repeat(sources, PHOTONS, axis=0)
    vectors = vectors + np.radians(0.05) * rng.normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    bins = []
    for b in range(N_BINS):
        pixels = hp.vec2pix(2 ** NATIVE_ORDERS[b], *vectors.T, nest=True)
        bins.append(bin_from_pixels(b, pixels, coverage) if b >= 4 else None)
    return SkyCounts(tuple(bins), livetime_years=10.0)
