"""The source mask of the whole sky: masks of overlapping patches blended into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import healpy as hp
import numpy as np
import torch

from ..nets.localizer import Localizer
from ..progress import silent
from ..sky.bins import N_BINS, OUTPUT_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.frame import PatchFrame
from ..sky.patches import Patch, PatchCutter

MASK_ORDER = 10
"""HEALPIX order of the blended mask (0.057 deg, finer than the network's pixels)."""

_NSIDE = 2**MASK_ORDER
_TAPER_DEG = 1.5
_BATCH = 16
_LEAST = 0.01


@dataclass(frozen=True)
class SkyMask:
    """What the network says of each place, where it says anything.

    Attributes
    ----------
    pixels : int array (P,)
        NESTED Galactic pixels of order `MASK_ORDER`, increasing, whose blended source
        probability is above one percent.
    probability : float32 array (P,)
        Mean over the patches that saw the pixel, weighted towards their centres.
    votes : float array (P, 3)
        Unit vectors: where the network places the source the pixel belongs to.
    error_deg : float32 array (P,)
        The network's own error of that place, degrees per axis.
    """

    pixels: np.ndarray
    probability: np.ndarray
    votes: np.ndarray
    error_deg: np.ndarray


def sky_mask(
    sky: SkyCounts,
    network: Localizer,
    frames: Sequence[PatchFrame],
    *,
    device: str = "cpu",
    progress: Callable[..., Iterable[Any]] = silent,
) -> SkyMask:
    """Run the network over the patches and blend what it says.

    Every patch votes with a weight that falls to its edges, so that a source on a border is
    judged mostly by the patch that sees its surroundings.
    """
    cutter = PatchCutter(sky)
    blend = _Blend()
    starts = range(0, len(frames), _BATCH)
    for start in progress(starts, total=len(starts), label="searching"):
        patches = [cutter.cut(frame) for frame in frames[start : start + _BATCH]]
        for patch, planes in zip(patches, run_network(network, patches, device), strict=True):
            blend.add(patch, planes)
    return blend.result()


def run_network(network: Localizer, patches: Sequence[Patch], device: str = "cpu") -> np.ndarray:
    """Probability, offsets and error of some patches, float32 (B, 4, 128, 128).

    Offsets and errors are in pixels of the output.
    """
    counts = [_stack([p.counts[b] * p.mask[b] for p in patches], device) for b in range(N_BINS)]
    masks = [_stack([p.mask[b] for p in patches], device) for b in range(N_BINS)]
    with torch.inference_mode():
        output = network(counts, masks).float()
        output[:, 0] = torch.sigmoid(output[:, 0])
        output[:, 3] = torch.exp(output[:, 3].clamp(-4.0, 3.0))
    planes: np.ndarray = output.cpu().numpy()
    return planes


def _stack(planes: Sequence[np.ndarray], device: str) -> torch.Tensor:
    return torch.from_numpy(np.stack(planes).astype(np.float32)).to(device)


class _Blend:
    """Sums over patches on the HEALPIX sky."""

    def __init__(self) -> None:
        npix = hp.nside2npix(_NSIDE)
        self.weight = np.zeros(npix, np.float32)
        self.probability = np.zeros(npix, np.float32)
        self.vote_weight = np.zeros(npix, np.float32)
        self.votes = np.zeros((npix, 3), np.float32)
        self.log_error = np.zeros(npix, np.float32)

    def add(self, patch: Patch, planes: np.ndarray) -> None:
        """Add one patch's planes (4, 128, 128)."""
        frame = patch.frame
        pixels, x, y = patch_pixels(frame)
        columns = np.clip(np.rint(x), 0, OUTPUT_PIXELS - 1).astype(int)
        rows = np.clip(np.rint(y), 0, OUTPUT_PIXELS - 1).astype(int)
        seen = np.any([_observed(m, x, y) for m in patch.mask], axis=0)
        pixels, x, y, columns, rows = (a[seen] for a in (pixels, x, y, columns, rows))
        weight = _taper(x) * _taper(y)
        probability = _bilinear(planes[0], x, y)
        self.weight[pixels] += weight
        self.probability[pixels] += weight * probability
        voting = probability > 0.5 * _LEAST
        pixels, rows, columns = pixels[voting], rows[voting], columns[voting]
        share = (weight * probability)[voting]
        error = planes[3, rows, columns]
        place = frame.unproject(
            columns + planes[1, rows, columns], rows + planes[2, rows, columns], OUTPUT_PIXELS
        )
        self.vote_weight[pixels] += share
        self.votes[pixels] += (share[:, None] * place).astype(np.float32)
        self.log_error[pixels] += share * np.log(error)

    def result(self) -> SkyMask:
        """The blended sky."""
        np.divide(self.probability, self.weight, out=self.probability, where=self.weight > 0)
        pixels = np.flatnonzero((self.probability > _LEAST) & (self.vote_weight > 0))
        votes = self.votes[pixels].astype(float)
        return SkyMask(
            pixels,
            self.probability[pixels],
            votes / np.linalg.norm(votes, axis=1)[:, None],
            np.exp(self.log_error[pixels] / self.vote_weight[pixels])
            * np.float32(PATCH_DEG / OUTPUT_PIXELS),
        )


def patch_pixels(frame: PatchFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HEALPIX pixels of order `MASK_ORDER` in a patch, and where they lie in its mask."""
    edge = OUTPUT_PIXELS - 0.5
    corners = frame.unproject(
        np.array([-0.5, edge, edge, -0.5]), np.array([-0.5, -0.5, edge, edge]), OUTPUT_PIXELS
    )
    pixels = hp.query_polygon(_NSIDE, corners, nest=True)
    vectors = np.stack(hp.pix2vec(_NSIDE, pixels, nest=True), axis=-1).astype(np.float32)
    x, y = frame.project(vectors, OUTPUT_PIXELS)
    return pixels, x, y


def _taper(place: np.ndarray) -> np.ndarray:
    """Weight from the distance to the nearer edge, in (0, 1]."""
    edge = np.minimum(place + 0.5, OUTPUT_PIXELS - 0.5 - place) * (PATCH_DEG / OUTPUT_PIXELS)
    return np.clip(edge / _TAPER_DEG, 1e-3, 1.0)


def _observed(mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    n_pixels = mask.shape[0]
    if mask.all() or not mask.any():
        return np.full(x.shape, bool(mask.any()))
    scale = n_pixels / OUTPUT_PIXELS
    columns = np.clip(((x + 0.5) * scale).astype(int), 0, n_pixels - 1)
    rows = np.clip(((y + 0.5) * scale).astype(int), 0, n_pixels - 1)
    return mask[rows, columns]


def _bilinear(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Value of a plane between its pixel centres; constant past the outermost."""
    top = plane.shape[0] - 1
    x, y = np.clip(x, 0, top), np.clip(y, 0, top)
    column, row = np.minimum(x.astype(int), top - 1), np.minimum(y.astype(int), top - 1)
    fx, fy = x - column, y - row
    low = plane[row, column] * (1 - fx) + plane[row, column + 1] * fx
    high = plane[row + 1, column] * (1 - fx) + plane[row + 1, column + 1] * fx
    return low * (1 - fy) + high * fy
