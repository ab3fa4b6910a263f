"""Examples drawn from simulated patches: thinning, masks, flips and targets; their batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...detect.filters import matched_filters
from ...diffuse.template import DiffuseShape, SkyTemplate, expected_template
from ...irf.observation import Observation, shipped_observation
from ...nets.filters import MatchedFilter
from ...nets.spec import LayerBatch, ModelSpec, PatchBatch
from ...sky.binning import BINNING
from ...sky.bins import PATCH_DEG
from ...sky.counts import Pixels
from .skies import DATASET_YEARS, SkyPatches

_ABSENT_BELOW = 5.0 / 7.0
_SHORTEST_YEARS = 1.0 / 12.0


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
class View:
    """Which photons of a sky a batch is shown, and as how many layers.

    Attributes
    ----------
    layers : tuple of tuples of int
        The sky's layers that are added up in each layer that is shown.
    observed : tuple of Observation
        What each was seen through.
    template : bool
        Whether the diffuse emission is known.
    """

    layers: tuple[tuple[int, ...], ...]
    observed: tuple[Observation, ...]
    template: bool = True


@dataclass(frozen=True)
class Example:
    """One augmented patch with its target.

    Attributes
    ----------
    view : View
        The same for all examples of a batch.
    counts, masks : lists of lists of float32 and bool arrays (n_b, n_b)
        By layer and energy bin.
    target : float32 array (5, 128, 128)
        Source mask (0, 1), weight of each pixel in the loss, offset to the source in columns
        and rows (pixels, zero off the mask), mask of extended sources.
    template : list of lists of float32 arrays (t_b, t_b)
        What is known of the diffuse emission there, by layer; empty where nothing is.
    """

    view: View
    counts: list[list[np.ndarray]]
    masks: list[list[np.ndarray]]
    target: np.ndarray
    template: list[list[np.ndarray]]


class Batch(NamedTuple):
    """Examples stacked: what the network is given, and the target (B, 5, 128, 128)."""

    given: PatchBatch
    target: Tensor


@dataclass(frozen=True)
class Shares:
    """How often an example is not ten years of the whole patch in all layers and bins.

    Attributes
    ----------
    ten_years : float
        Share of examples at ten years; the others lie between one month and seventeen years.
    absent : float
        Share of examples that lack energy bins; five in seven of them all below some energy.
    partial : float
        Share of examples in which one bin lacks some of its photons.
    fields : float
        Share of examples cut to a circle or a turned square.
    one_layer : float
        Share of batches that are shown one layer: the sharper, both added up, or the other.
    no_template : float
        Share of batches that know nothing of the diffuse emission.
    blurred_absent : float
        Share of examples whose second layer lacks its lowest bins.
    """

    ten_years: float = 0.5
    absent: float = 0.28
    partial: float = 0.1
    fields: float = 0.25
    one_layer: float = 0.4
    no_template: float = 0.06
    blurred_absent: float = 0.1


def views(patches: SkyPatches) -> tuple[View, View, View, View]:
    """What may be shown of a sky: both layers, the sharper, both added up, the other."""
    recipe = patches.recipe
    sides = (0.0,) * BINNING.n_bins
    if recipe.orders is not None:
        sides = tuple(Pixels.of_order(order).side_deg for order in recipe.orders)
    sharp, blurred = patches.event_types
    added = {"fb": "all"}.get(recipe.kept_apart, recipe.kept_apart)
    seen = {name: shipped_observation(name, sides) for name in (sharp, blurred, added)}
    return (
        View(((0,), (1,)), (seen[sharp], seen[blurred])),
        View(((0,),), (seen[sharp],)),
        View(((0, 1),), (seen[added],)),
        View(((1,),), (seen[blurred],)),
    )


def draw_view(patches: SkyPatches, rng: np.random.Generator, shares: Shares) -> View:
    """Which layers of a sky a batch is shown."""
    kind = rng.random() / max(shares.one_layer, 1e-9)
    number = 1 if kind < 0.6 else 2 if kind < 0.9 else 3 if kind < 1.0 else 0
    view = views(patches)[number]
    return replace(view, template=bool(rng.random() >= shares.no_template))


def draw_example(
    patches: SkyPatches,
    index: int,
    rng: np.random.Generator,
    view: View,
    shares: Shares | None = None,
    templates: Mapping[Observed, SkyTemplate] | None = None,
    target: TargetConfig | None = None,
) -> Example:
    """A patch at a random live time, with random masks, flips and turns."""
    shares = shares or Shares()
    kept = np.stack([draw_kept_fractions(rng, shares)] * len(patches.counts))
    if len(view.layers) == 2 and rng.random() < shares.blurred_absent:
        kept[1, : rng.integers(1, 4)] = 0.0
    field = draw_field(rng, shares.fields)
    flips = int(rng.integers(8))
    counts, masks = [], []
    truth = patches.truth(index)
    ts = np.zeros(len(truth.x))
    for layers in view.layers:
        of_layer, mask_of_layer = [], []
        for b, n_pixels in enumerate(BINNING.pixels):
            mask = _field_mask(field, n_pixels) & (kept[layers[0], b] > 0)
            seen = sum(thinned(patches.counts[k][b][index], kept[k, b], rng) for k in layers)
            of_layer.append(_turned(np.where(mask, seen, np.float32(0.0)), flips))
            mask_of_layer.append(_turned(mask, flips))
        counts.append(of_layer)
        masks.append(mask_of_layer)
        for k in layers:
            ts += (truth.ts_per_year[:, k] * kept[k]).sum(axis=1)
    planes = target_planes(truth.x, truth.y, ts * DATASET_YEARS, target)
    planes[1] *= _field_mask(field, BINNING.output_pixels)
    extended = patches.extended[index].repeat(2, axis=0).repeat(2, axis=1)
    cut = []
    if view.template and templates:
        frame = patches.frame(index)
        cut = [
            [_turned(plane, flips) for plane in templates[observed_key(seen)].cut(frame)]
            for seen in view.observed
        ]
    turned = np.concatenate(
        [_turned_target(planes, flips), _turned(extended.astype(np.float32), flips)[None]]
    )
    return Example(view, counts, masks, turned, cut)


def thinned(counts: np.ndarray, kept: float, rng: np.random.Generator) -> np.ndarray:
    """Photons (n, n) that are left of integer counts of which each is kept with a probability."""
    left = np.zeros(counts.shape, np.float32)
    if kept > 0.0:
        lit = np.nonzero(counts)  # few pixels are, where the PSF is sharp
        left[lit] = rng.binomial(counts[lit], kept)
    return left


Observed = tuple[str, tuple[float, ...]]


def observed_key(observation: Observation) -> Observed:
    """What tells the observations of training apart: event type and pixels."""
    return observation.event_type, observation.pixels_deg


def draw_kept_fractions(rng: np.random.Generator, shares: Shares) -> np.ndarray:
    """Fraction (6,) of the photons kept in each bin: live time, and bins absent or partial."""
    short = np.exp(rng.uniform(np.log(_SHORTEST_YEARS), np.log(DATASET_YEARS)))
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
    low = min(max(floor(place - radius), 0), BINNING.output_pixels)
    return slice(low, min(max(ceil(place + radius) + 1, low), BINNING.output_pixels))


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


def stack(examples: Sequence[Example], spec: ModelSpec) -> Batch:
    """One batch of several examples of one view."""
    filters = _filters(tuple(observed_key(o) for o in examples[0].view.observed), spec)
    given = [
        LayerBatch(
            _stacked([example.counts[k] for example in examples]),
            _stacked([example.masks[k] for example in examples]),
            of_layer,
            _stacked([e.template[k] for e in examples]) if examples[0].template else None,
        )
        for k, of_layer in enumerate(filters)
    ]
    return Batch(given, torch.from_numpy(np.stack([example.target for example in examples])))


@lru_cache(maxsize=64)
def _filters(keys: tuple[Observed, ...], spec: ModelSpec) -> list[list[MatchedFilter]]:
    return matched_filters([shipped_observation(*key) for key in keys], spec)


def _stacked(planes: Sequence[Sequence[np.ndarray]]) -> list[Tensor]:
    """Planes of the bins of each example as a tensor a bin."""
    return [torch.from_numpy(np.stack(of_bin)) for of_bin in zip(*planes, strict=True)]


class PatchDataset(Dataset[Example]):
    """Examples number 0 to `length`, drawn from the patches of some skies.

    Each follows from the seed and its number alone, so that a resumed run goes on as the first
    would have, and several processes draw what one would. A batch is of one view of one sky, since
    the filters of its patches are the same.

    Parameters
    ----------
    skies : sequence of SkyPatches
    length : int
    batch : int
        Examples in a batch.
    seed : int
    shares : Shares, optional
    shape : DiffuseShape, optional
        What is known of the diffuse emission.
    target : TargetConfig, optional
    first : int
        Examples drawn before, which are passed over.
    """

    def __init__(
        self,
        skies: Sequence[SkyPatches],
        length: int,
        batch: int,
        seed: int,
        shares: Shares | None = None,
        shape: DiffuseShape | None = None,
        target: TargetConfig | None = None,
        first: int = 0,
    ) -> None:
        self.skies, self.seed, self.first, self.batch = skies, seed, first, batch
        self.shares, self.shape, self.target = shares or Shares(), shape, target
        self._length = length - first
        self._templates: dict[Observed, SkyTemplate] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Example:
        number += self.first
        rng = np.random.default_rng([self.seed, number // self.batch, 1])
        patches = self.skies[int(rng.integers(len(self.skies)))]
        view = draw_view(patches, rng, self.shares)
        rng = np.random.default_rng([self.seed, number])
        index = int(rng.integers(len(patches)))
        templates = self._templates_of(view)
        return draw_example(patches, index, rng, view, self.shares, templates, self.target)

    def _templates_of(self, view: View) -> Mapping[Observed, SkyTemplate]:
        if self.shape is not None and view.template:
            for seen in view.observed:
                key = observed_key(seen)
                if key not in self._templates:
                    self._templates[key] = expected_template(self.shape, seen)
        return self._templates


def batches(dataset: PatchDataset, spec: ModelSpec, workers: int = 0) -> DataLoader[Any]:
    """Batches of a dataset in order, drawn by so many processes beside the one that trains."""
    return DataLoader(
        dataset,
        dataset.batch,
        collate_fn=partial(stack, spec=spec),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
