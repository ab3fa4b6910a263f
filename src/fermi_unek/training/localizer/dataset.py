"""From shards of simulated patches to batches: thinning, masks, flips and targets."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...diffuse.template import SkyTemplate
from ...sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from .skies import BANK_YEARS, Shard

DISC_PIXELS = 0.22 / PATCH_DEG * OUTPUT_PIXELS
"""Radius of the disc that marks a source in the target, pixels."""

LOWEST_TS = 9.0
"""Sources below this ideal TS are background to the target."""

SURE_TS = 25.0
"""Sources above this ideal TS weigh fully."""

_ABSENT_BELOW = 5.0 / 7.0
_DOUBTFUL_TS = 4.0
_DOUBTFUL_WEIGHT = 0.3


@dataclass(frozen=True)
class Example:
    """One augmented patch with its target.

    Attributes
    ----------
    counts, masks : lists of six float32 arrays (n_b, n_b)
    target : float32 array (4, 128, 128)
        Source mask (0, 1), weight of each pixel in the loss, offset to the source in columns
        and rows (pixels, zero off the mask).
    template : list of six float32 arrays (t_b, t_b), or None
        What the network knows of the diffuse emission there.
    """

    counts: list[np.ndarray]
    masks: list[np.ndarray]
    target: np.ndarray
    template: list[np.ndarray] | None = None


@dataclass(frozen=True)
class Batch:
    """Examples stacked: six tensors (B, n_b, n_b) twice, (B, 4, 128, 128), and the template.

    The template is six tensors (B, t_b, t_b), or None.
    """

    counts: list[Tensor]
    masks: list[Tensor]
    target: Tensor
    template: list[Tensor] | None = None


@dataclass(frozen=True)
class Shares:
    """How often an example is not ten years of the whole patch in all bins.

    Attributes
    ----------
    ten_years : float
        Share of examples at ten years; the others lie between nine months and sixteen years.
    absent : float
        Share of examples that lack energy bins; five in seven of them all below some energy.
    partial : float
        Share of examples in which one bin lacks some of its photons.
    fields : float
        Share of examples cut to a circle or a turned square.
    """

    ten_years: float = 0.5
    absent: float = 0.28
    partial: float = 0.1
    fields: float = 0.25


def example(
    shard: Shard,
    index: int,
    rng: np.random.Generator,
    shares: Shares | None = None,
    template: SkyTemplate | None = None,
) -> Example:
    """A patch of the shard at a random live time, with random masks, flips and turns."""
    shares = shares or Shares()
    kept = draw_kept_fractions(rng, shares)
    field = draw_field(rng, shares.fields)
    flips = int(rng.integers(8))
    counts, masks = [], []
    for b, n_pixels in enumerate(NATIVE_PIXELS):
        mask = _field_mask(field, n_pixels) & (kept[b] > 0)
        thinned = rng.binomial(shard.counts[b][index], kept[b]) * mask
        counts.append(_turned(thinned.astype(np.float32), flips))
        masks.append(_turned(mask.astype(np.float32), flips))
    truth = shard.truth(index)
    ts = (truth.ts_per_year * kept).sum(axis=1) * BANK_YEARS
    observed = _field_mask(field, OUTPUT_PIXELS)
    planes = target_planes(truth.x, truth.y, ts)
    planes[1] *= observed
    cut = None
    if template is not None:
        cut = [_turned(plane, flips) for plane in template.cut(shard.frame(index))]
    return Example(counts, masks, _turned_target(planes, flips), cut)


def draw_kept_fractions(rng: np.random.Generator, shares: Shares) -> np.ndarray:
    """Fraction (6,) of the photons kept in each bin: live time, and bins absent or partial."""
    short = np.exp(rng.uniform(np.log(0.75), np.log(BANK_YEARS)))
    kept = np.full(N_BINS, (10.0 if rng.random() < shares.ten_years else short) / BANK_YEARS)
    kind = rng.random() / max(shares.absent, 1e-9)
    if kind < _ABSENT_BELOW:
        # data often start at 1, 2, 7 or 20 GeV
        kept[: rng.integers(1, 6)] = 0.0
    elif kind < 1.0:
        gone = rng.random(N_BINS) < 0.4
        gone[rng.integers(2, N_BINS)] = False
        kept[gone] = 0.0
    if rng.random() < shares.partial:
        kept[rng.integers(N_BINS)] *= rng.uniform(0.3, 1.0)
    return kept


def draw_field(rng: np.random.Generator, share: float) -> tuple[str, np.ndarray]:
    """Shape of the observed field in units of the patch: whole, a circle, or a turned square.

    `share` of the fields are not whole, half of these circles.
    """
    kind = rng.random() / max(share, 1e-9)
    if kind >= 1.0:
        return "whole", np.zeros(4)
    centre = rng.uniform(-0.5, 0.5, 2)
    if kind < 0.5:
        return "circle", np.array([*centre, rng.uniform(0.3, 1.2), 0.0])
    return "square", np.array([*(0.6 * centre), rng.uniform(0.3, 0.6), rng.uniform(0, np.pi)])


def _field_mask(field: tuple[str, np.ndarray], n_pixels: int) -> np.ndarray:
    kind, (x0, y0, size, turn) = field
    if kind == "whole":
        return np.ones((n_pixels, n_pixels), bool)
    place = (np.arange(n_pixels) + 0.5) / n_pixels - 0.5
    x, y = place[None] - x0, place[:, None] - y0
    if kind == "circle":
        return np.hypot(x, y) < size
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    return np.maximum(np.abs(along), np.abs(across)) < size


def target_planes(x: np.ndarray, y: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Target (4, 128, 128) of sources at pixels x, y with ideal TS `ts`, all (S,).

    Each source paints a disc; where discs overlap the nearest source has the pixel. A source
    no perfect likelihood could see (TS below 9) is not painted, its disc only weighs less;
    up to TS 25 the weight of a disc grows with its significance.
    """
    planes = np.zeros((4, OUTPUT_PIXELS, OUTPUT_PIXELS), np.float32)
    planes[1] = 1.0
    nearest = np.full((OUTPUT_PIXELS, OUTPUT_PIXELS), np.inf, np.float32)
    for i in np.flatnonzero(ts > _DOUBTFUL_TS):
        rows, columns = _box(y[i]), _box(x[i])
        dx = x[i] - np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        dy = y[i] - np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        distance = np.hypot(dx, dy)
        part = planes[:, rows, columns]
        if ts[i] < LOWEST_TS:
            doubtful = (distance < DISC_PIXELS) & (part[0] == 0)
            part[1][doubtful] = _DOUBTFUL_WEIGHT
            continue
        mine = (distance < DISC_PIXELS) & (distance < nearest[rows, columns])
        nearest[rows, columns][mine] = distance[mine]
        part[0][mine] = 1.0
        part[1][mine] = float(np.clip((np.sqrt(ts[i]) - 3.0) / 2.0, 0.1, 1.0))
        part[2][mine] = np.broadcast_to(dx, distance.shape)[mine]
        part[3][mine] = np.broadcast_to(dy, distance.shape)[mine]
    return planes


def _box(place: float) -> slice:
    low = int(np.clip(np.floor(place - DISC_PIXELS), 0, OUTPUT_PIXELS))
    return slice(low, int(np.clip(np.ceil(place + DISC_PIXELS) + 1, low, OUTPUT_PIXELS)))


def _turned(plane: np.ndarray, flips: int) -> np.ndarray:
    if flips & 1:
        plane = plane[:, ::-1]
    if flips & 2:
        plane = plane[::-1]
    if flips & 4:
        plane = plane.T
    return np.ascontiguousarray(plane)


def _turned_target(planes: np.ndarray, flips: int) -> np.ndarray:
    mask, weight, dx, dy = (_turned(p, flips) for p in planes)
    dx, dy = (-dx if flips & 1 else dx), (-dy if flips & 2 else dy)
    return np.stack([mask, weight, *((dy, dx) if flips & 4 else (dx, dy))])


def stack(examples: list[Example]) -> Batch:
    """One batch of several examples."""
    cut = [e.template for e in examples if e.template is not None]
    return Batch(
        _stacked([e.counts for e in examples]),
        _stacked([e.masks for e in examples]),
        torch.from_numpy(np.stack([e.target for e in examples])),
        _stacked(cut) if cut else None,
    )


def _stacked(planes: list[list[np.ndarray]]) -> list[Tensor]:
    return [torch.from_numpy(np.stack([one[b] for one in planes])) for b in range(N_BINS)]


def batches(
    open_shards: Callable[[], list[Shard]],
    first: int,
    last: int,
    size: int,
    seed: int,
    shares: Shares | None = None,
    template: SkyTemplate | None = None,
) -> Iterator[Batch]:
    """Batches number `first` to `last`, drawn in a thread while the network works.

    The draw of each batch depends only on the seed and its number and on the shards that
    exist by then, so that a resumed run goes on as the first would have.
    """
    ready: queue.Queue[Batch | Exception] = queue.Queue(maxsize=4)
    stopped = threading.Event()

    def work() -> None:
        try:
            shards = open_shards()
            for number in range(first, last):
                if number % 100 == 0:
                    shards = open_shards()
                rng = np.random.default_rng([seed, number])
                chosen = rng.integers(len(shards), size=size)
                drawn = [
                    example(shards[i], int(rng.integers(len(shards[i]))), rng, shares, template)
                    for i in chosen
                ]
                batch: Batch | Exception = stack(drawn)
                while not stopped.is_set():
                    try:
                        ready.put(batch, timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if stopped.is_set():
                    return
        except Exception as error:
            ready.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(first, last):
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.set()
