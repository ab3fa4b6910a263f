"""The source mask of the whole sky: masks of overlapping patches blended into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import healpy as hp
import numpy as np
import torch

from ..diffuse.template import SkyTemplate
from ..nets.localizer import Localizer
from ..nets.precision import half_precision
from ..parallel import map_tasks
from ..progress import silent
from ..sky.bins import N_BINS, OUTPUT_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame
from ..sky.geometry.patches import Patch, PatchCutter

MASK_ORDER = 10
"""HEALPIX order of the blended mask (0.057 deg, finer than the network's pixels)."""

_NSIDE = 2**MASK_ORDER
_TAPER_DEG = 3.0
TURNS: tuple[int, ...] = (0, 3, 4, 7)
"""Orientations in which patches are shown to the network, see `turns_of`."""

FEW_PATCHES = 100
"""Grids of no more patches are shown in all orientations."""

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
    scheduler: str | None = None,
    progress: Callable[..., Iterable[Any]] = silent,
) -> SkyMask:
    """Run the network over the patches and blend what it says.

    Every patch votes with a weight that falls to its edges, so that a source on a border is
    judged mostly by the patch that sees its surroundings.

    Parameters
    ----------
    sky : SkyCounts
    network : Localizer
    frames : sequence of PatchFrame
    device : {"cpu", "cuda"}
    scheduler : str or None
        Address of a dask scheduler whose workers run the network; None runs it here.
    progress : Progress

    Raises
    ------
    ConfigError
        When no scheduler answers.
    """
    cutter = PatchCutter(sky)
    blend = _Blend()
    batches = [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
    turns = turns_of(len(batches), len(frames))
    if scheduler is not None:
        cut = [[cutter.cut(frame) for frame in batch] for batch in batches]
        work = partial(_run_batch, network, device)
        tasks = list(zip(cut, turns, strict=True))
        every = map_tasks(work, tasks, scheduler=scheduler, label="searching", progress=progress)
        for patches, output in zip(cut, every, strict=True):
            blend.add_all(patches, output)
        return blend.result()

    def judged(batch: Sequence[PatchFrame], shown: Sequence[int]) -> tuple[list[Patch], np.ndarray]:
        patches = [cutter.cut(frame) for frame in batch]
        return patches, run_network(network, patches, device, shown)

    with _workers(device) as pool:
        ready = pool.map(judged, batches, turns)
        for patches, output in progress(ready, total=len(batches), label="searching"):
            blend.add_all(patches, output)
    return blend.result()


def turns_of(n_batches: int, n_patches: int) -> list[tuple[int, ...]]:
    """Orientations in which each batch is shown to the network.

    Patches that overlap say more of a place than one patch turned about, since each sees other
    surroundings. Where there are many, batches take turns; where there are few, each patch is
    shown in every orientation, since there may be no other.
    """
    if n_patches <= FEW_PATCHES:
        return [TURNS] * n_batches
    return [(TURNS[number % len(TURNS)],) for number in range(n_batches)]


def _run_batch(
    network: Localizer, device: str, task: tuple[Sequence[Patch], tuple[int, ...]]
) -> np.ndarray:
    patches, turns = task
    return run_network(network, patches, device, turns)


@contextmanager
def _workers(device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads with a batch each: cores that work apart do not wait for each other."""
    cores = torch.get_num_threads() if device == "cpu" else 1
    try:
        torch.set_num_threads(1 if cores > 1 else cores)
        with ThreadPoolExecutor(cores) as pool:
            yield pool
    finally:
        torch.set_num_threads(cores)


def run_network(
    network: Localizer,
    patches: Sequence[Patch],
    device: str = "cpu",
    turns: Sequence[int] | None = None,
) -> np.ndarray:
    """Probability, offsets and error of some patches, float32 (B, 4, 128, 128).

    Offsets and errors are in pixels of the output. What is returned is the mean over the
    patch in several orientations (see `_turned`), of which the sky has none of its own.
    """
    counts = [_stack([p.counts[b] * p.mask[b] for p in patches], device) for b in range(N_BINS)]
    masks = [_stack([p.mask[b] for p in patches], device) for b in range(N_BINS)]
    template = cut_template(network, [p.frame for p in patches], device)
    turns = turns or TURNS
    with torch.inference_mode(), half_precision(device):
        inputs = network.planes(counts, masks, template)
        output = torch.zeros(())
        for turn in turns:
            turned = network.judge([_turned(plane, turn) for plane in inputs])
            output = output + turned_back(turned.float(), turn) / len(turns)
        output[:, 0] = torch.sigmoid(output[:, 0])
        output[:, 3] = torch.exp(output[:, 3].clamp(-4.0, 3.0))
    planes: np.ndarray = output.cpu().numpy()
    return planes


def cut_template(
    network: Localizer, frames: Sequence[PatchFrame], device: str = "cpu"
) -> list[torch.Tensor] | None:
    """The network's diffuse template in some patches, six tensors (B, t_b, t_b), if it has one."""
    if not network.template:
        return None
    template = SkyTemplate(tuple(one.cpu().numpy() for one in network.template))
    cut = [template.cut(frame) for frame in frames]
    return [_stack([planes[b] for planes in cut], device) for b in range(N_BINS)]


def _turned(plane: torch.Tensor, turn: int) -> torch.Tensor:
    """Mirror columns (bit 0), rows (bit 1), then exchange the two (bit 2)."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
    plane = plane.flip(axes) if axes else plane
    return plane.transpose(-1, -2).contiguous() if turn & 4 else plane


def turned_back(output: torch.Tensor, turn: int) -> torch.Tensor:
    """What the network said of a turned patch, for the patch as it was.

    Parameters
    ----------
    output : Tensor (B, 4, n, n)
        Logit, offsets in columns and rows, log error.
    turn : int
        0 to 7, as the patch was turned.
    """
    logit, columns, rows, error = output.unbind(dim=1)
    if turn & 4:
        logit, columns, rows, error = (
            plane.transpose(-1, -2) for plane in (logit, rows, columns, error)
        )
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
    if axes:
        logit, columns, rows, error = (p.flip(axes) for p in (logit, columns, rows, error))
    columns = -columns if turn & 1 else columns
    rows = -rows if turn & 2 else rows
    return torch.stack([logit, columns, rows, error], dim=1)


def _stack(planes: Sequence[np.ndarray], device: str) -> torch.Tensor:
    return torch.from_numpy(np.stack(planes).astype(np.float32)).to(device)


class _Blend:
    """Sums over patches on the HEALPIX sky."""

    def __init__(self) -> None:
        npix = hp.nside2npix(_NSIDE)
        # pages of zeros cost no memory before they are written to
        self.weight = np.zeros(npix, np.float32)
        self.probability = np.zeros(npix, np.float32)
        self.voters: list[np.ndarray] = []
        self.votes: list[np.ndarray] = []

    def add_all(self, patches: Sequence[Patch], output: np.ndarray) -> None:
        """Add what the network says of some patches (B, 4, 128, 128)."""
        for patch, planes in zip(patches, output, strict=True):
            self.add(patch, planes)

    def add(self, patch: Patch, planes: np.ndarray) -> None:
        """Add one patch's planes (4, 128, 128)."""
        frame = patch.frame
        pixels, x, y = patch_pixels(frame)
        seen = _observed(patch.mask, x, y)
        if not seen.all():
            pixels, x, y = pixels[seen], x[seen], y[seen]
        weight = _taper(x) * _taper(y)
        probability = _bilinear(planes[0], x, y)
        share = weight * probability
        self.weight[pixels] += weight
        self.probability[pixels] += share
        voting = np.flatnonzero(probability > 0.5 * _LEAST)
        columns, rows = _nearest(x[voting]), _nearest(y[voting])
        _, dx, dy, error = planes[:, rows, columns]
        place = frame.unproject(columns + dx, rows + dy, OUTPUT_PIXELS)
        votes = np.column_stack([np.ones(len(voting)), place, np.log(error)])
        self.voters.append(pixels[voting])
        self.votes.append((share[voting, None] * votes).astype(np.float32))

    def result(self) -> SkyMask:
        """The blended sky."""
        # a mean above the least has at least one patch above half of it: somebody voted
        none = np.zeros(0, int)
        pixels, place = np.unique(np.concatenate([none, *self.voters]), return_inverse=True)
        votes = np.concatenate([np.zeros((0, 5), np.float32), *self.votes])
        sums = [np.bincount(place, axis, minlength=len(pixels)) for axis in votes.T]
        kept = self.probability[pixels] > _LEAST * self.weight[pixels]
        pixels = pixels[kept]
        total, *direction, log_error = (one[kept] for one in sums)
        votes = np.stack(direction, axis=-1)
        error_deg = np.exp(log_error / total) * PATCH_DEG / OUTPUT_PIXELS
        return SkyMask(
            pixels,
            self.probability[pixels] / self.weight[pixels],
            votes / np.linalg.norm(votes, axis=1)[:, None],
            error_deg.astype(np.float32),
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
    middle = (OUTPUT_PIXELS - 1) / 2.0
    edge = OUTPUT_PIXELS / 2.0 - np.abs(place - middle)
    return np.clip(edge * (PATCH_DEG / OUTPUT_PIXELS / _TAPER_DEG), 1e-3, 1.0)


def _nearest(place: np.ndarray) -> np.ndarray:
    """The pixel of the output in which a place lies."""
    return np.clip(np.rint(place).astype(int), 0, OUTPUT_PIXELS - 1)


def _observed(masks: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bool (N,): whether any energy bin was observed at places of the output."""
    if any(mask.all() for mask in masks):
        return np.ones(x.shape, bool)
    # every finer plane divides into the coarser ones
    fine = np.zeros((OUTPUT_PIXELS, OUTPUT_PIXELS), bool)
    for mask in masks:
        if mask.any():
            repeat = OUTPUT_PIXELS // mask.shape[0]
            fine |= mask.repeat(repeat, axis=0).repeat(repeat, axis=1)
    seen: np.ndarray = fine[_nearest(y), _nearest(x)]
    return seen


def _bilinear(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Value of a plane between its pixel centres; constant past the outermost."""
    size = plane.shape[0]
    x, y = np.clip(x, 0, size - 1), np.clip(y, 0, size - 1)
    column = np.minimum(x.astype(np.int32), size - 2)
    row = np.minimum(y.astype(np.int32), size - 2)
    fx, fy = x - column.astype(x.dtype), y - row.astype(y.dtype)
    flat, corner = plane.ravel(), row * size + column
    low, high = flat[corner], flat[corner + size]
    low += (flat[corner + 1] - low) * fx
    high += (flat[corner + size + 1] - high) * fx
    low += (high - low) * fy
    return low
