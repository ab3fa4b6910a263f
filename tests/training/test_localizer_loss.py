"""The loss of the localizer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fermi_unek.training.localizer.dataset import target_planes
from fermi_unek.training.localizer.loss import LossConfig, localizer_loss


@pytest.fixture
def target() -> torch.Tensor:
    """Two patches with a few sources of all weights."""
    rng = np.random.default_rng(0)
    planes = [
        target_planes(rng.uniform(0, 128, 6), rng.uniform(0, 128, 6), rng.uniform(5, 60, 6))
        for _ in range(2)
    ]
    lit = np.zeros((2, 1, 128, 128), np.float32)
    lit[0, 0, 20:60, 70:120] = 1.0
    return torch.from_numpy(np.concatenate([np.stack(planes), lit], axis=1))


def prediction(target: torch.Tensor, quality: float) -> torch.Tensor:
    """From saying nothing (0) to the truth (1)."""
    output = torch.zeros_like(target)
    output[:, 0] = quality * (12.0 * target[:, 0] - 6.0)
    output[:, 1:3] = quality * target[:, 2:4]
    output[:, 4] = quality * (12.0 * target[:, 4] - 6.0)
    return output


def test_the_loss_falls_as_the_prediction_improves(target):
    losses = [localizer_loss(prediction(target, q), target) for q in (0.0, 0.3, 0.7, 1.0)]
    for name in ("entropy", "dice", "offset", "error", "extended"):
        values = [parts[name] for _, parts in losses]
        assert np.all(np.diff(values) < 0), name
    totals = [float(loss) for loss, _ in losses]
    assert np.all(np.diff(totals) < 0)


def test_the_loss_of_nothing_is_the_entropy_of_a_coin(target):
    parts = localizer_loss(torch.zeros_like(target), target)[1]
    assert float(parts["entropy"]) == pytest.approx(np.log(2.0), rel=1e-5)
    assert float(parts["extended"]) == pytest.approx(np.log(2.0), rel=1e-5)


def test_extended_emission_counts_wherever_something_was_observed(target):
    """Also where a source's disc weighs little, and by its own share of the loss."""
    output = prediction(target, 0.5)
    target[:, 1, :, 100:] = 0.0
    wrong = output.clone()
    wrong[:, 4] = -wrong[:, 4]
    one, other = (localizer_loss(planes, target) for planes in (output, wrong))
    difference = float(other[1]["extended"] - one[1]["extended"])
    seen = target[:, 4, :, :100]
    # logits of 3 to the right and to the wrong side differ by 3 in entropy, everywhere
    assert difference == pytest.approx(3.0 * seen.numel() / target[:, 4].numel(), rel=1e-4)
    assert float(other[0] - one[0]) == pytest.approx(LossConfig().extended * difference, rel=1e-3)


def test_the_best_error_is_the_scatter_of_the_offsets(target):
    rng = torch.Generator().manual_seed(0)
    output = prediction(target, 1.0)
    output[:, 1:3] += 0.5 * torch.randn(output[:, 1:3].shape, generator=rng)

    def error(sigma: float) -> float:
        output[:, 3] = np.log(sigma)
        return float(localizer_loss(output, target)[1]["error"])

    sigmas = np.geomspace(0.2, 1.2, 25)
    assert sigmas[np.argmin([error(s) for s in sigmas])] == pytest.approx(0.5, rel=0.12)


def test_pixels_of_weight_zero_do_not_count(target):
    target[:, 1, :64] = 0.0
    output = prediction(target, 0.5).requires_grad_()
    loss = localizer_loss(output, target)[0]
    loss.backward()
    assert output.grad is not None
    assert not output.grad[:, :, :64].any()
    assert output.grad[:, :, 64:].any()
    changed = output.detach().clone()
    changed[:, :, :64] = 37.0
    assert float(localizer_loss(changed, target)[0]) == float(loss.detach())


def test_offsets_count_on_sources_only(target):
    output = prediction(target, 0.5).requires_grad_()
    localizer_loss(output, target)[0].backward()
    assert output.grad is not None
    off = target[:, 0] == 0
    for plane in (1, 2, 3):
        assert not output.grad[:, plane][off].any()
        assert output.grad[:, plane][~off].any()


def test_the_error_is_learned_without_moving_the_offsets(target):
    output = prediction(target, 0.5)
    confident = output.clone()
    confident[:, 3] = -2.0
    gradients = []
    for planes in (output, confident):
        planes.requires_grad_()
        localizer_loss(planes, target)[0].backward()
        assert planes.grad is not None
        gradients.append(planes.grad[:, 1:3])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_the_loss_is_finite_whatever_the_output(target, value):
    output = torch.full_like(target, value).requires_grad_()
    loss = localizer_loss(output, target)[0]
    loss.backward()
    assert torch.isfinite(loss)
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_a_batch_in_which_nothing_was_observed_costs_nothing_in_entropy(target):
    target[:, 1] = 0.0
    loss, parts = localizer_loss(torch.zeros_like(target), target)
    assert torch.isfinite(loss)
    assert parts["entropy"] == parts["offset"] == parts["error"] == 0.0
    assert parts["extended"] == 0.0
