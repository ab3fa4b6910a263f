"""What the localizer is trained to lower."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_NORM_FLOOR = 50.0


@dataclass(frozen=True)
class LossConfig:
    """Shares of the parts of the loss beside the cross entropy of the mask.

    Attributes
    ----------
    dice, offset, error, extended : float
        Of the overlap of the masks, of the offsets, of the likelihood of their errors, of the cross
        entropy of the mask of extended sources.
    """

    dice: float = 0.02
    offset: float = 0.05
    error: float = 0.01
    extended: float = 0.1


def localizer_loss(
    output: Tensor, target: Tensor, config: LossConfig | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch and its parts.

    Weighted cross entropy and a little dice for the mask; smooth L1 for the offsets and a
    Gaussian likelihood for their error, both on the pixels of sources. The likelihood sees
    the offsets as given, so that it cannot blur them to please itself.

    Parameters
    ----------
    output : Tensor (B, 5, n, n)
        As `Localizer.forward` returns.
    target : Tensor (B, 5, n, n)
        Mask, weight, offset in columns and rows, mask of extended sources.
    config : LossConfig, optional
    """
    config = config or LossConfig()
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
    observed = (weight > 0).to(weight.dtype)
    extended = F.binary_cross_entropy_with_logits(output[:, 4], target[:, 4], observed)
    loss = entropy + config.dice * (1.0 - overlap) + config.offset * shift + config.error * error
    loss = loss + config.extended * extended
    parts = {"entropy": entropy, "dice": 1.0 - overlap, "offset": shift, "error": error}
    parts["extended"] = extended
    return loss, {name: value.detach() for name, value in parts.items()}
