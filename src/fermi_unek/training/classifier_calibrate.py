"""Calibration of a classifier on skies kept for it, by sources its members have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from ..classify.calibration import FAKE, ClassCalibration, log_odds_against
from ..classify.classes import run_classifier
from ..nets.classifier import Classifier, ClassifierShape, Member
from .classifier_bank import DOUBTFUL, Examples
from .classifier_sky import UNCLASSED

KEPT = 0.98
"""Share of the true sources above ideal TS 25 that the cut on Prob_Fake keeps."""

BRIGHT_TS = 25.0
LISTED = 0.2
"""`find`'s default threshold: what it lists is what is calibrated."""

_STEPS = 300


def held_out_logits(network: Classifier, examples: Examples) -> np.ndarray:
    """Logits (N, 5) of each example by a member that was trained without its source.

    Candidates that are of no row of DR2 (false ones, the faint tail) take the members in turn.
    """
    from .classifier import fold_of

    members = len(network.members)
    fold = fold_of(examples.template, members)
    loose = np.flatnonzero(fold < 0)
    fold[loose] = np.arange(len(loose)) % members
    logits = np.zeros((len(examples), 5), np.float32)
    for k in range(members):
        rows = np.flatnonzero(fold == k)
        logits[rows] = run_classifier(alone(network, k), examples.evidence.select(rows))
    return logits


def alone(network: Classifier, k: int) -> Classifier:
    """A classifier of one of the members."""
    shape = ClassifierShape(**{**network.shape.__dict__, "members": 1})
    single = Classifier(shape)
    member: Member = network.members[k]  # type: ignore[assignment]
    single.members[0].load_state_dict(member.state_dict())
    return single.eval()


def fit_class_calibration(logits: np.ndarray, examples: Examples) -> ClassCalibration:
    """Scale and offset of each logit by likelihood, and the cut on Prob_Fake.

    Parameters
    ----------
    logits : array (N, 5)
        By members that have not seen the examples' sources, see `held_out_logits`.
    examples : Examples
        What is listed at the default threshold counts.
    """
    counted = (examples.label != DOUBTFUL) & (examples.evidence.probability >= LISTED)
    x = torch.from_numpy(logits[counted]).double()
    label = torch.from_numpy(examples.label[counted])
    against = torch.from_numpy(log_odds_against(examples.evidence.probability[counted]))
    doubt = torch.zeros((), dtype=torch.float64, requires_grad=True)
    scale = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    is_fake = torch.eye(5, dtype=torch.float64)[FAKE]
    optimizer = torch.optim.Adam([scale, offset, doubt], lr=0.03)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        logits_now = x * scale.exp() + offset + doubt * against[:, None] * is_fake
        chances = F.log_softmax(logits_now, dim=1)
        not_fake = torch.logsumexp(chances[:, :FAKE], dim=1)
        own = chances.gather(1, label.clamp_max(FAKE)[:, None])[:, 0]
        loss = -torch.where(label < UNCLASSED, own, not_fake).mean()
        loss = loss + 1e-3 * (scale**2).sum()
        loss.backward()
        optimizer.step()
    calibration = ClassCalibration(
        tuple(float(v) for v in scale.detach().exp()),
        tuple(float(v) for v in offset.detach()),
        float(doubt.detach()),
    )
    chance = calibration.probabilities(logits, examples.evidence.probability)[:, FAKE]
    bright = (examples.ts > BRIGHT_TS) & (examples.evidence.probability >= LISTED)
    cut = float(np.quantile(chance[bright], KEPT)) if bright.any() else 0.5
    return replace(calibration, fake_cut=min(max(cut, 1e-3), 0.999))
