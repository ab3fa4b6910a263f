"""The source mask of the whole sky: masks of overlapping patches blended into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial

import healpy as hp
import numpy as np
import torch

from ..nets.filters import MatchedFilter
from ..nets.precision import half_precision
from ..nets.spec import LayerBatch, SourceNetwork
from ..nets.weights import LocalizerFile
from ..parallel import map_tasks
from ..progress import Progress, silent
from ..sky.bins import OUTPUT_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame
from ..sky.geometry.patches import Patch, PatchCutter
from .scene import Scene
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
    extended : float32 array (P,)
        Probability that the pixel belongs to an extended source.
    """

    pixels: np.ndarray
    probability: np.ndarray
    votes: np.ndarray
    error_deg: np.ndarray
    extended: np.ndarray

    def select(self, keep: np.ndarray) -> SkyMask:
        """The pixels of an index array or mask."""
        return SkyMask(*(getattr(self, item.name)[keep] for item in fields(self)))


def sky_mask(
    sky: SkyCounts,
    localizer: LocalizerFile,
    frames: Sequence[PatchFrame],
    scene: Scene,
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
    scene : Scene
        As `scene_of` makes it for this sky and network.
    config : SearchConfig, optional
    progress : Progress

    Raises
    ------
    ConfigError
        When no scheduler answers.
    """
    config = config or SearchConfig()
    cutters = [PatchCutter(layer) for layer in sky.layers or (sky,)]
    network = localizer.network.to(config.device)
    blend = MaskBlend()
    batches = [
        frames[start : start + config.batch] for start in range(0, len(frames), config.batch)
    ]
    turns = turns_of(len(batches), len(frames), config)
    predict = partial(_predict, network, config.device, scene.filters)

    def cut(batch: Sequence[PatchFrame]) -> tuple[Layers, Expected]:
        expected = [scene.cut(frame) for frame in batch] if scene.templates else []
        return [[cutter.cut(frame) for frame in batch] for cutter in cutters], expected

    if config.scheduler is not None:
        tasks = [(*cut(batch), shown) for batch, shown in zip(batches, turns, strict=True)]
        outputs = map_tasks(
            predict, tasks, scheduler=config.scheduler, label="searching", progress=progress
        )
        for task, output in zip(tasks, outputs, strict=True):
            blend.add_all(task[0], output)
        return blend.result()

    def predicted(batch: Sequence[PatchFrame], shown: Sequence[int]) -> tuple[Layers, np.ndarray]:
        layers, expected = cut(batch)
        return layers, predict((layers, expected, shown))

    with _workers(config.device) as pool:
        ready = pool.map(predicted, batches, turns)
        for layers, output in progress(ready, total=len(batches), label="searching"):
            blend.add_all(layers, output)
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


Layers = Sequence[Sequence[Patch]]
"""Patches of some frames, by layer."""

Expected = Sequence[Sequence[Sequence[np.ndarray]]]
"""Templates of some frames, as `Scene.cut` gives them; empty where there are none."""

Filters = Sequence[Sequence[MatchedFilter]]

_Task = tuple[Layers, Expected, Sequence[int]]


def _predict(network: SourceNetwork, device: str, filters: Filters, task: _Task) -> np.ndarray:
    layers, expected, turns = task
    return run_network(network, layers, filters, expected, device, turns)


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
    layers: Layers,
    filters: Filters,
    expected: Expected = (),
    device: str = "cpu",
    turns: Sequence[int] = SearchConfig.turns,
) -> np.ndarray:
    """Probability, offsets, error and extended emission of some patches, float32 (B, 5, n, n).

    Offsets and errors are in pixels of the output. What is returned is the mean over the
    patch in several orientations (see `turned`), of which the sky has none of its own.

    Parameters
    ----------
    network : SourceNetwork
    layers : sequences of B Patch, one a layer
    filters : sequence of sequences of MatchedFilter
        By layer and energy bin.
    expected : sequence of B sequences of lists of arrays
        The diffuse template in the patches, as `Scene.cut` gives it; empty without one.
    device : {"cpu", "cuda"}
    turns : sequence of int
    """
    bins = range(network.spec.binning.n_bins)
    batch = [
        LayerBatch(
            [_stack([p.counts[b] * p.mask[b] for p in patches], device) for b in bins],
            [_stack([p.mask[b] for p in patches], device) for b in bins],
            [MatchedFilter(*(t.to(device) for t in matched)) for matched in of_layer],
            [_stack([p[k][b] for p in expected], device) for b in bins] if len(expected) else None,
        )
        for k, (patches, of_layer) in enumerate(zip(layers, filters, strict=True))
    ]
    with torch.inference_mode(), half_precision(device):
        inputs = network.planes(batch)
        output = torch.zeros((), device=device)
        for turn in turns:
            seen = network.predict([turned(plane, turn) for plane in inputs])
            output = output + turned_back(seen.float(), turn) / len(turns)
        output[:, ::4] = torch.sigmoid(output[:, ::4])
        output[:, 3] = torch.exp(output[:, 3].clamp(-4.0, 3.0))
    planes: np.ndarray = output.cpu().numpy()
    return planes


def turned(plane: torch.Tensor, turn: int) -> torch.Tensor:
    """Mirror columns (bit 0), rows (bit 1), then exchange the two (bit 2)."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
    plane = plane.flip(axes) if axes else plane
    return plane.transpose(-1, -2).contiguous() if turn & 4 else plane


def turned_back(output: torch.Tensor, turn: int) -> torch.Tensor:
    """What the network said of a turned patch, for the patch as it was.

    Parameters
    ----------
    output : Tensor (B, 5, n, n)
        Logit, offsets in columns and rows, log error, logit of extended emission.
    turn : int
        0 to 7, as the patch was turned.
    """
    if turn & 4:
        output = output[:, [0, 2, 1, 3, 4]].transpose(-1, -2)
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
    output = output.flip(axes) if axes else output
    signs = torch.ones(output.shape[1], device=output.device)
    signs[1], signs[2] = (-1.0 if turn & bit else 1.0 for bit in (1, 2))
    return output * signs[:, None, None]


def _stack(planes: Sequence[np.ndarray], device: str) -> torch.Tensor:
    return torch.from_numpy(np.stack(planes).astype(np.float32)).to(device)


class MaskBlend:
    """Sums over patches on the HEALPIX sky."""

    def __init__(self) -> None:
        # weight, and weighted with it probability and extended emission, side by side in memory;
        # pages of zeros cost none before they are written to
        self.sums = np.zeros((hp.nside2npix(_NSIDE), 3), np.float32)
        self.voters: list[np.ndarray] = []
        self.votes: list[np.ndarray] = []

    def add_all(self, layers: Layers, output: np.ndarray) -> None:
        """Add what the network says of some patches (B, 5, 128, 128)."""
        for patch, planes in zip(zip(*layers, strict=True), output, strict=True):
            masks = [mask for layer in patch for mask in layer.mask]
            self.add(patch[0].frame, masks, planes)

    def add(self, frame: PatchFrame, masks: Sequence[np.ndarray], planes: np.ndarray) -> None:
        """Add one patch's planes (5, 128, 128); masks are those of all layers and bins."""
        pixels, x, y = patch_pixels(frame)
        seen = _observed(masks, x, y)
        if not seen.all():
            pixels, x, y = pixels[seen], x[seen], y[seen]
        weight = _taper(x) * _taper(y)
        probability = _bilinear(planes[0], x, y)
        share = weight * probability
        extended = weight * _bilinear(planes[4], x, y)
        self.sums[pixels] += np.column_stack([weight, share, extended])
        voting = np.flatnonzero(probability > 0.5 * _LEAST)
        columns, rows = _nearest(x[voting]), _nearest(y[voting])
        dx, dy, error = planes[1:4, rows, columns]
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
        weight, probability, extended = self.sums[pixels].T
        kept = probability > _LEAST * weight
        pixels = pixels[kept]
        total, *direction, log_error = (values[kept] for values in sums)
        votes = np.stack(direction, axis=-1)
        error_deg = np.exp(log_error / total) * PATCH_DEG / OUTPUT_PIXELS
        return SkyMask(
            pixels,
            (probability / weight)[kept],
            votes / np.linalg.norm(votes, axis=1)[:, None],
            error_deg.astype(np.float32),
            (extended / weight)[kept],
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
