"""What the networks are trained to lower."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .classifier.population import FAKE, UNCLASSED

DICE_SHARE = 0.02
OFFSET_SHARE = 0.05
ERROR_SHARE = 0.01
_NORM_FLOOR = 50.0
BRIGHT_TS = 25.0
"""Ideal TS of the sources that Fake must not cost."""


def localizer_loss(output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch and its parts.

    Weighted cross entropy and a little dice for the mask; smooth L1 for the offsets and a
    Gaussian likelihood for their error, both on the pixels of sources. The likelihood sees
    the offsets as given, so that it cannot blur them to please itself.

    Parameters
    ----------
    output : Tensor (B, 4, n, n)
        As `Localizer.forward` returns.
    target : Tensor (B, 4, n, n)
        Mask, weight, offset in columns and rows.
    """
    logit, offset, log_error = output[:, 0], output[:, 1:3], output[:, 3].clamp(-4.0, 3.0)
    mask, weight, true_offset = target[:, 0], target[:, 1], target[:, 2:4]
    entropy = F.binary_cross_entropy_with_logits(logit, mask, weight=weight, reduction="sum")
    entropy = entropy / weight.sum().clamp_min(1.0)
    probability = torch.sigmoid(logit) * weight
    overlap = 2.0 * (probability * mask).sum() / (probability.sum() + (mask * weight).sum() + 1.0)
    on_source = mask * weight
    norm = on_source.sum() + _NORM_FLOOR
    distance = F.smooth_l1_loss(offset, true_offset, reduction="none").sum(dim=1)
    shift = (distance * on_source).sum() / norm
    squared = ((offset - true_offset).detach() ** 2).sum(dim=1)
    likelihood = squared / 2.0 * torch.exp(-2.0 * log_error) + 2.0 * log_error
    error = (likelihood * on_source).sum() / norm
    loss = entropy + DICE_SHARE * (1.0 - overlap) + OFFSET_SHARE * shift + ERROR_SHARE * error
    parts = {"entropy": entropy, "dice": 1.0 - overlap, "offset": shift, "error": error}
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def classifier_loss(logits: Tensor, label: Tensor, weights: Tensor, focus: float = 0.0) -> Tensor:
    """Weighted cross entropy; a source without a class should only be no fake.

    Parameters
    ----------
    logits : Tensor (B, 5)
    label : int Tensor (B,)
        0 to 4, or `UNCLASSED`.
    weights : Tensor (6,)
    focus : float
        Power of the focal loss; 0 is the plain cross entropy.
    """
    log_chances = F.log_softmax(logits, dim=1)
    not_fake = torch.logsumexp(log_chances[:, :FAKE], dim=1)
    known = label < UNCLASSED
    chosen = log_chances.gather(1, label.clamp_max(FAKE)[:, None])[:, 0]
    log_chance = torch.where(known, chosen, not_fake)
    weight = weights[label]
    if focus:
        weight = weight * (1.0 - log_chance.exp()).clamp(0.0, 1.0) ** focus
    return -(weight * log_chance).sum() / weights[label].sum()


def brightness_loss(logit: Tensor, ts: Tensor) -> Tensor:
    """Cross entropy of whether a source's ideal TS is above 25.

    Parameters
    ----------
    logit : Tensor (B,)
    ts : Tensor (B,)
        NaN where there is no source or its TS is not known.
    """
    known = torch.isfinite(ts)
    target = (ts > BRIGHT_TS).to(logit.dtype)
    each = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)
