"""The source mask of the whole sky: masks of overlapping patches blended into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import healpy as hp
import numpy as np
import torch

from ..diffuse.template import SkyTemplate
from ..nets.precision import half_precision
from ..nets.spec import PatchBatch, SourceNetwork
from ..nets.weights import LocalizerFile
from ..parallel import map_tasks
from ..progress import Progress, silent
from ..sky.bins import OUTPUT_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame
from ..sky.geometry.patches import Patch, PatchCutter
from .settings import SearchConfig

MASK_ORDER = 10
"""HEALPIX order of the blended mask (0.057 deg, finer than the network's pixels)."""

_NSIDE = 2**MASK_ORDER
_TAPER_DEG = 3.0
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
    localizer: LocalizerFile,
    frames: Sequence[PatchFrame],
    config: SearchConfig | None = None,
    *,
    progress: Progress = silent,
) -> SkyMask:
    """Run the network over the patches and blend what it says.

    Every patch votes with a weight that falls to its edges, so that what a source on a border is
    comes mostly from the patch that sees its surroundings.

    Parameters
    ----------
    sky : SkyCounts
    localizer : LocalizerFile
    frames : sequence of PatchFrame
    config : SearchConfig, optional
    progress : Progress

    Raises
    ------
    ConfigError
        When no scheduler answers.
    """
    config = config or SearchConfig()
    cutter, template = PatchCutter(sky), template_of(localizer)
    network = localizer.network.to(config.device)
    blend = MaskBlend()
    batches = [
        frames[start : start + config.batch] for start in range(0, len(frames), config.batch)
    ]
    turns = turns_of(len(batches), len(frames), config)
    predict = partial(_predict, network, config.device)

    def cut(batch: Sequence[PatchFrame]) -> tuple[list[Patch], list[list[np.ndarray]]]:
        expected = [template.cut(frame) for frame in batch] if template else []
        return [cutter.cut(frame) for frame in batch], expected

    if config.scheduler is not None:
        tasks = [(*cut(batch), shown) for batch, shown in zip(batches, turns, strict=True)]
        outputs = map_tasks(
            predict, tasks, scheduler=config.scheduler, label="searching", progress=progress
        )
        for task, output in zip(tasks, outputs, strict=True):
            blend.add_all(task[0], output)
        return blend.result()

    def predicted(
        batch: Sequence[PatchFrame], shown: Sequence[int]
    ) -> tuple[list[Patch], np.ndarray]:
        patches, expected = cut(batch)
        return patches, predict((patches, expected, shown))

    with _workers(config.device) as pool:
        ready = pool.map(predicted, batches, turns)
        for patches, output in progress(ready, total=len(batches), label="searching"):
            blend.add_all(patches, output)
    return blend.result()


def turns_of(n_batches: int, n_patches: int, config: SearchConfig) -> list[tuple[int, ...]]:
    """Orientations in which each batch is shown to the network.

    Patches that overlap say more of a place than one patch turned about, since each sees other
    surroundings. Where there are many, batches take turns; where there are few, each patch is
    shown in every orientation, since there may be no other.
    """
    if n_patches <= config.few_patches:
        return [config.turns] * n_batches
    return [(config.turns[number % len(config.turns)],) for number in range(n_batches)]


_Task = tuple[Sequence[Patch], Sequence[list[np.ndarray]], Sequence[int]]


def _predict(network: SourceNetwork, device: str, task: _Task) -> np.ndarray:
    patches, expected, turns = task
    return run_network(network, patches, device, turns, expected)


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
    network: SourceNetwork,
    patches: Sequence[Patch],
    device: str = "cpu",
    turns: Sequence[int] = SearchConfig.turns,
    template: Sequence[list[np.ndarray]] = (),
) -> np.ndarray:
    """Probability, offsets and error of some patches, float32 (B, 4, n, n).

    Offsets and errors are in pixels of the output. What is returned is the mean over the
    patch in several orientations (see `_turned`), of which the sky has none of its own.

    Parameters
    ----------
    network : SourceNetwork
    patches : sequence of B Patch
    device : {"cpu", "cuda"}
    turns : sequence of int
    template : sequence of B lists of arrays
        The diffuse template in the patches, as `SkyTemplate.cut` gives it; empty without one.
    """
    bins = range(network.spec.binning.n_bins)
    batch = PatchBatch(
        [_stack([p.counts[b] * p.mask[b] for p in patches], device) for b in bins],
        [_stack([p.mask[b] for p in patches], device) for b in bins],
        [_stack([planes[b] for planes in template], device) for b in bins] if template else None,
    )
    with torch.inference_mode(), half_precision(device):
        inputs = network.planes(batch)
        output = torch.zeros((), device=device)
        for turn in turns:
            turned = network.predict([_turned(plane, turn) for plane in inputs])
            output = output + turned_back(turned.float(), turn) / len(turns)
        output[:, 0] = torch.sigmoid(output[:, 0])
        output[:, 3] = torch.exp(output[:, 3].clamp(-4.0, 3.0))
    planes: np.ndarray = output.cpu().numpy()
    return planes


def template_of(localizer: LocalizerFile) -> SkyTemplate | None:
    """The diffuse template that a network wants cut along with the counts, if it wants one."""
    if not localizer.template:
        return None
    return SkyTemplate(localizer.template, localizer.network.spec.binning)


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


class MaskBlend:
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
        total, *direction, log_error = (values[kept] for values in sums)
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
