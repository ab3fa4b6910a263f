"""Examples drawn where the network trains: a GPU would wait for processes that draw them.

All patches of all skies lie in the memory of the device, and a batch is thinned, masked, turned
and given its targets there, by the rules of `dataset`. All of a batch is turned alike, since the
patches of a sky are turned at random anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...detect.filters import matched_filters
from ...detect.skymask import turned
from ...diffuse.template import DiffuseShape, expected_template
from ...irf.observation import Observation
from ...nets.filters import MatchedFilter
from ...nets.spec import LayerBatch, ModelSpec
from ...sky.binning import BINNING
from ...sky.bins import PATCH_DEG
from .dataset import (
    Batch,
    Observed,
    Shares,
    TargetConfig,
    View,
    draw_field,
    draw_kept_fractions,
    draw_view,
    observed_key,
    views,
)
from .skies import DATASET_YEARS, SkyPatches

_AT_ONCE = 16
_SHAPES = ("whole", "circle", "square")

Templates = Mapping[Observed, Sequence[np.ndarray]]
"""What is known of the diffuse emission in all patches of a sky, (P, t_b, t_b) a bin."""


def cut_templates(patches: SkyPatches, shape: DiffuseShape) -> Templates:
    """The diffuse template in the patches of a sky, through all that they may be shown through."""
    frames = [patches.frame(index) for index in range(len(patches))]
    seen = {observed_key(one): one for view in views(patches) for one in view.observed}
    templates = {}
    for key, observed in seen.items():
        template = expected_template(shape, observed)
        planes = zip(*(template.cut(frame) for frame in frames), strict=True)
        templates[key] = [np.stack(p).astype(np.float16) for p in planes]
    return templates


class _Truth(NamedTuple):
    """Sources of all patches, (P, S) and (P, S, L, 6), those that a patch lacks of TS zero."""

    x: Tensor
    y: Tensor
    ts_per_year: Tensor


class ResidentSky:
    """The patches of one sky on a device.

    Parameters
    ----------
    patches : SkyPatches
    templates : mapping
        As `cut_templates` gives it; empty where the diffuse emission is not known.
    device : torch.device
    """

    def __init__(self, patches: SkyPatches, templates: Templates, device: torch.device) -> None:
        self.patches, self.device = patches, device
        self.counts = [
            [torch.from_numpy(np.asarray(p, np.int32)).to(device) for p in layer]
            for layer in patches.counts
        ]
        self.extended = torch.from_numpy(np.array(patches.extended)).to(device)
        self.templates = {
            key: [torch.from_numpy(plane).to(device) for plane in planes]
            for key, planes in templates.items()
        }
        self.truth = self._truth()

    def _truth(self) -> _Truth:
        truths = [self.patches.truth(index) for index in range(len(self.patches))]
        most = max(1, *(len(truth.x) for truth in truths))
        columns = []
        for values in zip(*((t.x, t.y, t.ts_per_year) for t in truths), strict=True):
            column = np.zeros((len(truths), most, *values[0].shape[1:]), np.float32)
            for row, value in zip(column, values, strict=True):
                row[: len(value)] = value
            columns.append(torch.from_numpy(column).to(self.device))
        return _Truth(*columns)


@dataclass(frozen=True)
class _Draw:
    """How the examples of a batch are shown.

    Attributes
    ----------
    index : int tensor (B,)
    kept : tensor (B, L, 6)
        Fraction of the photons of each layer and bin.
    shape : int tensor (B,)
        Of the observed field, place in `_SHAPES`.
    field : tensor (B, 4)
    flips : int
    """

    index: Tensor
    kept: Tensor
    shape: Tensor
    field: Tensor
    flips: int


class ResidentDataset:
    """Batches number `first` to `number`, each following from the seed and its number alone.

    Parameters
    ----------
    skies : sequence of ResidentSky
    number, batch : int
        Batches, and examples in each.
    seed : int
    spec : ModelSpec
        Of the network that is trained.
    shares, target : optional
    first : int
    """

    def __init__(
        self,
        skies: Sequence[ResidentSky],
        number: int,
        batch: int,
        seed: int,
        spec: ModelSpec,
        shares: Shares | None = None,
        target: TargetConfig | None = None,
        first: int = 0,
    ) -> None:
        self.skies, self.number, self.batch, self.seed = skies, number, batch, seed
        self.spec, self.first = spec, first
        self.shares, self.target = shares or Shares(), target or TargetConfig()
        self._filters: dict[tuple[Observed, ...], list[list[MatchedFilter]]] = {}

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self.first, self.number):
            rng = np.random.default_rng([self.seed, number, 1])
            sky = self.skies[int(rng.integers(len(self.skies)))]
            generator = torch.Generator(sky.device)
            generator.manual_seed(int(rng.integers(2**62)))
            view = draw_view(sky.patches, rng, self.shares)
            yield self.drawn(sky, view, self._draw(sky, view, rng), generator)

    def _draw(self, sky: ResidentSky, view: View, rng: np.random.Generator) -> _Draw:
        kept = np.stack([draw_kept_fractions(rng, self.shares) for _ in range(self.batch)])
        kept = np.repeat(kept[:, None], len(sky.counts), axis=1)
        if len(view.layers) == 2:
            for row in np.flatnonzero(rng.random(self.batch) < self.shares.blurred_absent):
                kept[row, 1, : rng.integers(1, 4)] = 0.0
        fields = [draw_field(rng, self.shares.fields) for _ in range(self.batch)]
        index = rng.integers(len(sky.patches), size=self.batch)
        shapes = [_SHAPES.index(name) for name, _ in fields]
        return _Draw(
            torch.from_numpy(index).to(sky.device),
            torch.from_numpy(kept.astype(np.float32)).to(sky.device),
            torch.tensor(shapes, device=sky.device),
            torch.from_numpy(np.stack([f for _, f in fields]).astype(np.float32)).to(sky.device),
            int(rng.integers(8)),
        )

    def drawn(
        self, sky: ResidentSky, view: View, draw: _Draw, generator: torch.Generator | None = None
    ) -> Batch:
        """One batch of a sky in one view."""
        layers = []
        known = view.template and bool(sky.templates)
        ts = torch.zeros(sky.truth.x[draw.index].shape, device=sky.device)
        per_year = sky.truth.ts_per_year[draw.index]
        for shown, seen, filters in zip(
            view.layers, view.observed, self._filters_of(view.observed, sky.device), strict=True
        ):
            counts, masks = [], []
            for b, n_pixels in enumerate(BINNING.pixels):
                mask = field_masks(draw, n_pixels) & (draw.kept[:, shown[0], b] > 0)[:, None, None]
                left = sum(_thinned(sky, k, b, draw, generator) for k in shown)
                counts.append(turned(left * mask, draw.flips))
                masks.append(turned(mask, draw.flips))
            for k in shown:
                ts += (per_year[:, :, k] * draw.kept[:, None, k]).sum(dim=2)
            template = None
            if known:
                known_here = sky.templates[observed_key(seen)]
                template = [turned(p[draw.index].float(), draw.flips) for p in known_here]
            layers.append(LayerBatch(counts, masks, filters, template))
        x, y = sky.truth.x[draw.index], sky.truth.y[draw.index]
        planes = target_planes_of(x, y, ts * DATASET_YEARS, self.target)
        planes[:, 1] *= field_masks(draw, BINNING.output_pixels)
        extended = sky.extended[draw.index].float().repeat_interleave(2, 1).repeat_interleave(2, 2)
        return Batch(layers, turned_targets(torch.cat([planes, extended[:, None]], 1), draw.flips))

    def _filters_of(
        self, observed: Sequence[Observation], device: torch.device
    ) -> list[list[MatchedFilter]]:
        keys = tuple(observed_key(seen) for seen in observed)
        if keys not in self._filters:
            self._filters[keys] = [
                [MatchedFilter(*(t.to(device) for t in one)) for one in of_layer]
                for of_layer in matched_filters(observed, self.spec)
            ]
        return self._filters[keys]


def _thinned(
    sky: ResidentSky, k: int, b: int, draw: _Draw, generator: torch.Generator | None
) -> Tensor:
    """Photons (B, n, n) that are left of those of a layer and bin."""
    counts = sky.counts[k][b][draw.index].float()
    kept = draw.kept[:, k, b, None, None].expand(counts.shape)
    return torch.binomial(counts, kept, generator=generator)


def field_masks(draw: _Draw, n_pixels: int) -> Tensor:
    """Bool (B, n, n): what of each patch was observed, as `dataset.draw_field` says."""
    place = (torch.arange(n_pixels, device=draw.field.device) + 0.5) / n_pixels - 0.5
    x0, y0, size, turn = (column[:, None, None] for column in draw.field.T)
    x, y = place[None, None] - x0, place[None, :, None] - y0
    along = x * torch.cos(turn) + y * torch.sin(turn)
    across = y * torch.cos(turn) - x * torch.sin(turn)
    circle = torch.hypot(x, y) < size
    square = torch.maximum(along.abs(), across.abs()) < size
    shape = draw.shape[:, None, None]
    return torch.where(shape == 0, True, torch.where(shape == 1, circle, square))


def target_planes_of(x: Tensor, y: Tensor, ts: Tensor, config: TargetConfig) -> Tensor:
    """Targets (B, 4, 128, 128) of the sources (B, S) of patches, as `dataset.target_planes`."""
    size = BINNING.output_pixels
    radius = config.disc_deg / PATCH_DEG * size
    shape, device = (len(x), size, size), x.device
    nearest = torch.full(shape, radius**2, device=device)
    mask, doubtful = (torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(2))
    weight = torch.ones(shape, device=device)
    dx, dy = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    pixel = torch.arange(size, dtype=torch.float32, device=device)
    surely = ((torch.sqrt(ts) - 3.0) / 2.0).clamp(0.1, 1.0)
    painted = ts >= config.lowest_ts
    faint = (ts > config.doubtful_ts) & ~painted
    far = torch.tensor(torch.inf, device=device)
    for start in range(0, x.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        across = x[:, part, None] - pixel
        along = y[:, part, None] - pixel
        squared = along[:, :, :, None] ** 2 + across[:, :, None, :] ** 2
        near = squared < radius**2
        doubtful |= (near & faint[:, part, None, None]).any(dim=1)
        closest, which = torch.where(painted[:, part, None, None], squared, far).min(dim=1)
        mine = closest < nearest
        nearest = torch.where(mine, closest, nearest)
        mask |= mine
        flat = which.flatten(1)
        weight = torch.where(mine, surely[:, part].gather(1, flat).view(shape), weight)
        dx = torch.where(mine, x[:, part].gather(1, flat).view(shape) - pixel, dx)
        dy = torch.where(mine, y[:, part].gather(1, flat).view(shape) - pixel[:, None], dy)
    weight = torch.where(doubtful & ~mask, torch.tensor(config.doubtful_weight), weight)
    return torch.stack([mask.float(), weight, dx, dy], dim=1)


def turned_targets(planes: Tensor, flips: int) -> Tensor:
    """Targets (B, 5, n, n) of patches that are turned, see `detect.skymask.turned`."""
    planes = turned(planes, flips)
    mask, weight, dx, dy, extended = planes.unbind(1)
    dx, dy = (-dx if flips & 1 else dx), (-dy if flips & 2 else dy)
    if flips & 4:
        dx, dy = dy, dx
    return torch.stack([mask, weight, dx, dy, extended], dim=1)
