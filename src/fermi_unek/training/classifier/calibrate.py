"""Calibration of a classifier on skies kept for it, by sources its members have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ...classify.calibration import (
    FAKE,
    N_CLASSES,
    N_LAYERS,
    ClassCalibration,
    against_numbers,
    log_odds_against,
)
from ...classify.classes import run_classifier
from ...nets.classifier import Classifier, ClassifierShape, Member
from ...sky.bins import N_BINS
from ...sky.geometry.latitude import N_BANDS, latitude_band
from .dataset import DOUBTFUL, Examples, fold_of
from .loss import BRIGHT_TS, classifier_loss

KEPT = 0.981
"""Share of the true sources above ideal TS 25 that Fake spares: the goal of 0.98, and what three
skies are uncertain by."""

LISTED = 0.2
"""`find`'s default threshold: what it lists is what is calibrated."""

_STEPS = 300
_SCALE_SPREAD, _OFFSET_SPREAD = 0.2, 0.5  # of the bands about the whole sky, in logarithms
_LEAST_IN_BAND = 200


def held_out_logits(network: Classifier, examples: Examples) -> np.ndarray:
    """Logits (N, outputs) of each example by a member that was trained without its source.

    Candidates that are of no row of DR2 (false ones, the faint tail) take the members in turn.
    """
    members = len(network.members)
    fold = fold_of(examples.template, members)
    loose = np.flatnonzero(fold < 0)
    fold[loose] = np.arange(len(loose)) % members
    logits = np.zeros((len(examples), network.shape.outputs), np.float32)
    for k in range(members):
        rows = np.flatnonzero(fold == k)
        logits[rows] = run_classifier(alone(network, k), examples.features.select(rows))
    return logits


def alone(network: Classifier, k: int) -> Classifier:
    """A classifier of one of the members."""
    shape = ClassifierShape(**{**network.shape.__dict__, "members": 1})
    single = Classifier(shape)
    member: Member = network.members[k]  # type: ignore[assignment]
    single.members[0].load_state_dict(member.state_dict())
    return single.eval()


def fit_class_calibration(logits: np.ndarray, examples: Examples) -> ClassCalibration:
    """Scale and offset of each logit by likelihood, and the cuts on Prob_Fake.

    Each latitude band has its own, drawn to those of the whole sky by a Gaussian prior. Scales,
    offsets and weights are those of all energy bins; there are cuts for each number of bins and of
    layers in which the examples were found.

    Parameters
    ----------
    logits : array (N, 5 or 6)
        By members that have not seen the examples' sources, see `held_out_logits`.
    examples : Examples
        What is listed at the default threshold counts.
    """
    counted = (examples.label != DOUBTFUL) & (examples.features.probability >= LISTED)
    logits, examples = logits[counted], examples.select(counted)
    whole = examples.bins == N_BINS
    calibration = _fit_likelihood(logits[whole], examples.select(whole))
    source, lat = examples.features.probability, examples.lat_deg
    chances = calibration.probabilities(logits, source, lat)
    numbers = against_numbers(chances, logits, source)
    weights = _fake_weights(numbers[whole], examples.select(whole))
    calibration = replace(calibration, fake_weights=weights)
    against = calibration.against_bright(chances, logits, source)
    bins = np.unique(examples.bins)
    cuts = tuple(
        tuple(_fake_cuts(against, examples, layers, number) for number in bins)
        for layers in range(1, N_LAYERS + 1)
    )
    return replace(calibration, fake_bins=tuple(bins.tolist()), fake_cut=cuts)


def _fit_likelihood(logits: np.ndarray, examples: Examples) -> ClassCalibration:
    """Numbers of the greatest likelihood under the prior; the cuts are left."""
    x = torch.from_numpy(logits[:, :N_CLASSES]).double()
    label = torch.from_numpy(examples.label)
    band = torch.from_numpy(latitude_band(examples.lat_deg))
    against = torch.from_numpy(log_odds_against(examples.features.probability))
    is_fake = torch.eye(5, dtype=torch.float64)[FAKE]
    shapes = {"doubt": (), "scale": (5,), "offset": (5,), "scale in": (3, 5), "offset in": (3, 5)}
    free = {
        name: torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        for name, shape in shapes.items()
    }
    optimizer = torch.optim.Adam(free.values(), lr=0.03)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        scale = (free["scale"] + free["scale in"]).exp()
        offset = free["offset"] + free["offset in"]
        adjusted = x * scale[band] + offset[band] + free["doubt"] * against[:, None] * is_fake
        loss = classifier_loss(adjusted, label, torch.ones(6, dtype=torch.float64))
        prior = (free["scale in"] ** 2).sum() / _SCALE_SPREAD**2
        prior = prior + (free["offset in"] ** 2).sum() / _OFFSET_SPREAD**2
        loss = loss + 1e-3 * (free["scale"] ** 2).sum() + prior / (2.0 * len(x))
        loss.backward()
        optimizer.step()
    scales, offsets = (
        tuple(tuple(row) for row in rows.detach().tolist()) for rows in (scale, offset)
    )
    return ClassCalibration(scales, offsets, float(free["doubt"].detach()))


def _fake_weights(numbers: np.ndarray, examples: Examples) -> tuple[float, ...]:
    """Weights of numbers (N, 3) that tell false ones from sources above TS 25 by likelihood."""
    false, bright = examples.label == FAKE, examples.ts > BRIGHT_TS
    if not false.any() or not bright.any():
        return ClassCalibration().fake_weights
    told = false | bright
    fit = LogisticRegression(max_iter=1000).fit(numbers[told], false[told])
    return tuple(float(weight) for weight in fit.coef_[0])


def _fake_cuts(
    against: np.ndarray, examples: Examples, layers: int, bins: int
) -> tuple[float, ...]:
    """Cut of each band on `against_bright` (N,) that keeps `KEPT` of its sources above TS 25.

    In photons of some layers and bins; where none were searched so, of any layers.
    """
    bright = (examples.ts > BRIGHT_TS) & (examples.bins == bins)
    if np.any(bright & (examples.layers == layers)):
        bright &= examples.layers == layers
    band = latitude_band(examples.lat_deg)
    cuts = []
    for index in range(N_BANDS):
        here = bright & (band == index)
        if here.sum() < _LEAST_IN_BAND:
            here = bright
        cut = float(np.quantile(against[here], KEPT)) if here.any() else 0.5
        cuts.append(cut)
    return tuple(cuts)
