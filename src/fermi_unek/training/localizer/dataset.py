"""Examples drawn from simulated patches: thinning, masks, flips and targets; their batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...diffuse.template import SkyTemplate
from ...nets.spec import PatchBatch
from ...sky.binning import BINNING
from ...sky.bins import PATCH_DEG
from .skies import DATASET_YEARS, SkyPatches

_ABSENT_BELOW = 5.0 / 7.0


@dataclass(frozen=True)
class TargetConfig:
    """What a network is to mark.

    Attributes
    ----------
    disc_deg : float
        Radius of the disc that marks a source.
    lowest_ts, doubtful_ts : float
        Sources below the first ideal TS are background; those above the second weigh little.
    doubtful_weight : float
        Weight of the discs of sources between the two.
    """

    disc_deg: float = 0.22
    lowest_ts: float = 9.0
    doubtful_ts: float = 4.0
    doubtful_weight: float = 0.3


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


class Batch(NamedTuple):
    """Examples stacked: what the network is given, and the target (B, 4, 128, 128)."""

    given: PatchBatch
    target: Tensor


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


def draw_example(
    patches: SkyPatches,
    index: int,
    rng: np.random.Generator,
    shares: Shares | None = None,
    template: SkyTemplate | None = None,
    target: TargetConfig | None = None,
) -> Example:
    """A patch at a random live time, with random masks, flips and turns."""
    shares = shares or Shares()
    kept = draw_kept_fractions(rng, shares)
    field = draw_field(rng, shares.fields)
    flips = int(rng.integers(8))
    counts, masks = [], []
    for b, n_pixels in enumerate(BINNING.pixels):
        mask = _field_mask(field, n_pixels) & (kept[b] > 0)
        thinned = rng.binomial(patches.counts[b][index], kept[b]) * mask
        counts.append(_turned(thinned.astype(np.float32), flips))
        masks.append(_turned(mask.astype(np.float32), flips))
    truth = patches.truth(index)
    ts = (truth.ts_per_year * kept).sum(axis=1) * DATASET_YEARS
    planes = target_planes(truth.x, truth.y, ts, target)
    planes[1] *= _field_mask(field, BINNING.output_pixels)
    cut = None
    if template is not None:
        cut = [_turned(plane, flips) for plane in template.cut(patches.frame(index))]
    return Example(counts, masks, _turned_target(planes, flips), cut)


def draw_kept_fractions(rng: np.random.Generator, shares: Shares) -> np.ndarray:
    """Fraction (6,) of the photons kept in each bin: live time, and bins absent or partial."""
    short = np.exp(rng.uniform(np.log(0.75), np.log(DATASET_YEARS)))
    kept = np.full(
        BINNING.n_bins, (10.0 if rng.random() < shares.ten_years else short) / DATASET_YEARS
    )
    kind = rng.random() / max(shares.absent, 1e-9)
    if kind < _ABSENT_BELOW:
        # data often start at 1, 2, 7 or 20 GeV
        kept[: rng.integers(1, 6)] = 0.0
    elif kind < 1.0:
        gone = rng.random(BINNING.n_bins) < 0.4
        gone[rng.integers(2, BINNING.n_bins)] = False
        kept[gone] = 0.0
    if rng.random() < shares.partial:
        kept[rng.integers(BINNING.n_bins)] *= rng.uniform(0.3, 1.0)
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


def target_planes(
    x: np.ndarray, y: np.ndarray, ts: np.ndarray, config: TargetConfig | None = None
) -> np.ndarray:
    """Target (4, 128, 128) of sources at pixels x, y with ideal TS `ts`, all (S,).

    Each source paints a disc; where discs overlap the nearest source has the pixel. A source
    no perfect likelihood could see (TS below 9) is not painted, its disc only weighs less;
    up to TS 25 the weight of a disc grows with its significance.
    """
    config = config or TargetConfig()
    size = BINNING.output_pixels
    radius = config.disc_deg / PATCH_DEG * size
    planes = np.zeros((4, size, size), np.float32)
    planes[1] = 1.0
    nearest = np.full((size, size), np.inf, np.float32)
    for i in np.flatnonzero(ts > config.doubtful_ts):
        rows, columns = _box(y[i], radius), _box(x[i], radius)
        dx = x[i] - np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        dy = y[i] - np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        distance = np.hypot(dx, dy)
        part = planes[:, rows, columns]
        if ts[i] < config.lowest_ts:
            doubtful = (distance < radius) & (part[0] == 0)
            part[1][doubtful] = config.doubtful_weight
            continue
        mine = (distance < radius) & (distance < nearest[rows, columns])
        nearest[rows, columns][mine] = distance[mine]
        part[0][mine] = 1.0
        part[1][mine] = float(np.clip((np.sqrt(ts[i]) - 3.0) / 2.0, 0.1, 1.0))
        part[2][mine] = np.broadcast_to(dx, distance.shape)[mine]
        part[3][mine] = np.broadcast_to(dy, distance.shape)[mine]
    return planes


def _box(place: float, radius: float) -> slice:
    low = int(np.clip(np.floor(place - radius), 0, BINNING.output_pixels))
    return slice(low, int(np.clip(np.ceil(place + radius) + 1, low, BINNING.output_pixels)))


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


def stack(examples: Sequence[Example]) -> Batch:
    """One batch of several examples."""
    given = PatchBatch(
        _stacked([example.counts for example in examples]),
        _stacked([example.masks for example in examples]),
        _stacked([example.template for example in examples if example.template]) or None,
    )
    return Batch(given, torch.from_numpy(np.stack([example.target for example in examples])))


def _stacked(planes: Sequence[Sequence[np.ndarray]]) -> list[Tensor]:
    """Planes of the bins of each example as a tensor a bin."""
    return [torch.from_numpy(np.stack(of_bin)) for of_bin in zip(*planes, strict=True)]


class PatchDataset(Dataset[Example]):
    """Examples number 0 to `length`, drawn from the patches of some skies.

    Each follows from the seed and its number alone, so that a resumed run goes on as the first
    would have, and several processes draw what one would.

    Parameters
    ----------
    skies : sequence of SkyPatches
    length : int
    seed : int
    shares : Shares, optional
    template : SkyTemplate, optional
    target : TargetConfig, optional
    first : int
        Examples drawn before, which are passed over.
    """

    def __init__(
        self,
        skies: Sequence[SkyPatches],
        length: int,
        seed: int,
        shares: Shares | None = None,
        template: SkyTemplate | None = None,
        target: TargetConfig | None = None,
        first: int = 0,
    ) -> None:
        self.skies, self.seed, self.first = skies, seed, first
        self._length = length - first
        self._how = shares, template, target

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Example:
        rng = np.random.default_rng([self.seed, self.first + number])
        patches = self.skies[int(rng.integers(len(self.skies)))]
        return draw_example(patches, int(rng.integers(len(patches))), rng, *self._how)


def batches(dataset: PatchDataset, size: int, workers: int = 0) -> DataLoader[Any]:
    """Batches of a dataset in order, drawn by so many processes beside the one that trains."""
    return DataLoader(dataset, size, collate_fn=stack, num_workers=workers)
