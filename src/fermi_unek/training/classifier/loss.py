"""What the classifier is trained to lower."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .population import FAKE, UNCLASSED

BRIGHT_TS = 25.0
"""Ideal TS of the sources that Fake must not cost."""


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
