"""Batches for the classifier: turned, thinned, with years and bins left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...classify.classes import as_input
from ...classify.features import CandidateFeatures
from ...nets.classifier import ClassifierInput


@dataclass(frozen=True)
class Changes:
    """Shares of the examples that are changed in each way.

    Attributes
    ----------
    turned : bool
        Flip and turn stamps.
    thinned : float
        Shorter exposure: photons taken away, the noise that this adds put in.
    fewer_years : float
        Only some of the years, in any order.
    one_layer : float
        All photons in one layer, as without times.
    absent : float
        Without some energy bins; in half of them without all below an edge, 0.5 to 7 GeV.
    unsure : float
        Without the localizer's probability and raw numbers.
    other_finder : float
        Without its raw numbers alone, as when another localizer has found the candidate.
    """

    turned: bool = True
    thinned: float = 0.5
    fewer_years: float = 0.2
    one_layer: float = 0.12
    absent: float = 0.12
    unsure: float = 0.15
    other_finder: float = 0.15


UNCHANGED = Changes(False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_LEAST_SHARE = 0.25


def batch_of(
    features: CandidateFeatures, rows: np.ndarray, rng: np.random.Generator, changes: Changes
) -> ClassifierInput:
    """One batch of examples.

    Parameters
    ----------
    rows : int array (B,)
    rng : Generator
        Decides what is changed; binomial and Gaussian noise come from torch's own.
    changes : Changes
    """
    given = as_input(features.select(rows))
    number = len(rows)
    image = _turned(given.image, rng) if changes.turned else given.image
    given = given._replace(image=image)
    if changes.thinned:
        share = np.where(rng.random(number) < changes.thinned, _draw_share(number, rng), 1.0)
        given = _thinned(given, torch.from_numpy(share).float())
    if changes.fewer_years:
        given = _fewer_years(given, rng.random(number) < changes.fewer_years, rng)
    if changes.one_layer:
        given = _one_layer(given, torch.from_numpy(rng.random(number) < changes.one_layer))
    if changes.absent:
        given = _absent(given, rng.random(number) < changes.absent, rng)
    if changes.unsure:
        hidden = torch.from_numpy(rng.random(number) < changes.unsure)
        given = given._replace(
            probability=given.probability.masked_fill(hidden, float("nan")),
            mask=given.mask.masked_fill(hidden[:, None], float("nan")),
        )
    if changes.other_finder:
        hidden = torch.from_numpy(rng.random(number) < changes.other_finder)
        given = given._replace(mask=given.mask.masked_fill(hidden[:, None], float("nan")))
    return given


def _draw_share(number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(_LEAST_SHARE, 1.0, number)


def _turned(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Each stamp in one of its eight orientations, the same in all bins."""
    which = rng.integers(8, size=len(image))
    result = torch.empty_like(image)
    for turn in range(8):
        rows = torch.from_numpy(np.flatnonzero(which == turn))
        part = image[rows]
        axes = [axis for bit, axis in ((1, -1), (2, -2)) if turn & bit]
        part = part.flip(axes) if axes else part
        result[rows] = part.transpose(-1, -2) if turn & 4 else part
    return result


def _thinned(given: ClassifierInput, share: Tensor) -> ClassifierInput:
    """A shorter exposure, by share (B,): binomial in the photons, Gaussian in the fits."""
    less = share < 1.0
    if not less.any():
        return given
    image, core = given.image.clone(), given.core.clone()
    image[less] = _binomial(image[less], share[less])
    core[less] = _binomial(core[less], share[less])
    f = share[:, None]
    part = given.exposure / given.exposure.sum(dim=1, keepdim=True).clamp_min(1.0)
    noise = torch.sqrt(f * (1.0 - f))
    per_year = torch.sqrt(part) * given.error[:, None] * noise[:, None]
    return given._replace(
        image=image,
        core=core,
        net=given.net * f[:, None] + per_year * torch.randn(given.net.shape),
        net_alone=given.net_alone * f + given.error_alone * noise * torch.randn(f.shape),
        error=given.error * torch.sqrt(f),
        error_alone=given.error_alone * torch.sqrt(f),
        core_background=given.core_background * f,
        exposure=given.exposure * f[:, None],
    )


def _binomial(counts: Tensor, share: Tensor) -> Tensor:
    shape = (len(counts),) + (1,) * (counts.ndim - 1)
    return torch.binomial(counts, share.view(shape).expand_as(counts).contiguous())


def _fewer_years(
    given: ClassifierInput, chosen: np.ndarray, rng: np.random.Generator
) -> ClassifierInput:
    """Leave years out of the chosen rows: the others are what was observed."""
    rows = np.flatnonzero(chosen)
    n_years = given.exposure.shape[1]
    if not rows.size or n_years < 2:
        return given
    kept = np.ones((len(chosen), n_years), np.float32)
    for row in rows:
        left = rng.integers(1, n_years)
        kept[row, rng.permutation(n_years)[left:]] = 0.0
    keep = torch.from_numpy(kept)[..., None]
    before = given.exposure.sum(dim=1)
    exposure = given.exposure * keep
    # what is not kept year by year is scaled: right on the average
    share = exposure.sum(dim=1) / before.clamp_min(1.0)
    mean_share = share.amax(dim=1).clamp(0.0, 1.0)
    image = given.image.clone()
    changed = torch.from_numpy(rows)
    image[changed] = _binomial(image[changed], mean_share[changed])
    return given._replace(
        image=image,
        net=given.net * keep,
        core=given.core * keep,
        exposure=exposure,
        net_alone=given.net_alone * share,
        error=given.error * torch.sqrt(share),
        error_alone=given.error_alone * torch.sqrt(share),
        core_background=given.core_background * share,
    )


def _one_layer(given: ClassifierInput, chosen: Tensor) -> ClassifierInput:
    """The sum of the years as the only one."""
    layers = {}
    for name in ("net", "core", "exposure"):
        value = getattr(given, name)
        alone = torch.zeros_like(value)
        alone[:, 0] = value.sum(dim=1)
        layers[name] = torch.where(chosen[:, None, None], alone, value)
    return given._replace(**layers)


def _absent(
    given: ClassifierInput, chosen: np.ndarray, rng: np.random.Generator
) -> ClassifierInput:
    present = np.ones((len(chosen), 6), np.float32)
    for row in np.flatnonzero(chosen):
        if rng.random() < 0.5:
            present[row, : rng.integers(1, 5)] = 0.0
        else:
            present[row, rng.permutation(6)[: rng.integers(1, 4)]] = 0.0
    return without_bins(given, torch.from_numpy(present))


def without_bins(given: ClassifierInput, present: Tensor) -> ClassifierInput:
    """Leave out the bins that are zero in `present` (B, 6)."""
    years = {n: getattr(given, n) * present[:, None] for n in ("net", "core", "exposure")}
    sums = ("observed", "error", "net_alone", "error_alone", "core_background")
    totals = {name: getattr(given, name) * present for name in sums}
    return given._replace(image=given.image * present[:, :, None, None], **years, **totals)
