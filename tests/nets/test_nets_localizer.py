"""The localizer's shapes, masks and inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.localizer import (
    OUTPUT_PLANES,
    BinInput,
    Localizer,
    _asinh,
    expected_counts,
)
from fermi_unek.nets.spec import ModelSpec, PatchBatch
from fermi_unek.sky.binning import BINNING, Binning
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.training.localizer.train import input_kernels

Planes = list[torch.Tensor]


@pytest.fixture(scope="module")
def network() -> Localizer:
    """A tiny network with fitted inputs, evaluated."""
    torch.manual_seed(0)
    network = Localizer(ModelSpec((8, 8, 8, 8)))
    for b, module in enumerate(network.inputs):
        core, wide = input_kernels(load_instrument().front, b, PATCH_DEG / NATIVE_PIXELS[b])
        assert isinstance(module, BinInput)
        module.fit(core, wide, 2.5, 1.5)
    return network.eval()


def patches(seed: int, number: int = 2) -> tuple[Planes, Planes]:
    rng = np.random.default_rng(seed)
    counts = [torch.from_numpy(rng.poisson(2.0, (number, n, n))).float() for n in NATIVE_PIXELS]
    return counts, [torch.ones_like(c) for c in counts]


def output(network: Localizer, counts: Planes, masks: Planes) -> torch.Tensor:
    with torch.inference_mode():
        return network(PatchBatch(counts, masks))


def test_the_output_is_four_planes_at_the_finest_resolution(network):
    planes = output(network, *patches(0, 3))
    assert planes.shape == (3, OUTPUT_PLANES, OUTPUT_PIXELS, OUTPUT_PIXELS)
    assert torch.isfinite(planes).all()


def test_patches_of_a_batch_do_not_see_each_other(network):
    counts, masks = patches(1, 3)
    together = output(network, counts, masks)
    alone = output(network, [c[1:2] for c in counts], [m[1:2] for m in masks])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("b", range(N_BINS))
def test_what_lies_under_the_mask_of_an_absent_bin_changes_nothing(network, b):
    counts, masks = patches(2)
    masks[b] = torch.zeros_like(masks[b])
    before = output(network, counts, masks)
    counts[b] = counts[b] * 7.0 + 100.0
    assert torch.equal(output(network, counts, masks), before)


def test_counts_off_the_field_change_nothing_and_counts_on_it_do(network):
    counts, masks = patches(3)
    for mask in masks:
        mask[:, :, : mask.shape[-1] // 3] = 0.0
    before = output(network, counts, masks)
    hidden = [c + 50.0 * (1.0 - m) for c, m in zip(counts, masks, strict=True)]
    assert torch.equal(output(network, hidden, masks), before)
    shown = [c + 50.0 * m for c, m in zip(counts, masks, strict=True)]
    assert not torch.equal(output(network, shown, masks), before)


def test_a_patch_without_any_data_gives_finite_numbers(network):
    counts, masks = patches(4)
    nothing = [torch.zeros_like(m) for m in masks]
    assert torch.isfinite(output(network, counts, nothing)).all()


def test_an_untrained_network_calls_about_two_percent_of_the_pixels_sources():
    torch.manual_seed(0)
    planes = output(Localizer(ModelSpec((8, 8, 8, 8))).eval(), *patches(5))
    assert 0.005 < float(torch.sigmoid(planes[:, 0]).mean()) < 0.06


def test_every_parameter_takes_part_in_the_output():
    torch.manual_seed(0)
    network = Localizer(ModelSpec((8, 8, 8, 8)))
    network(PatchBatch(*patches(6))).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_fitted_inputs_are_kept_in_the_state_and_not_trained(network):
    state, trained = network.state_dict(), dict(network.named_parameters())
    for name in ("core", "core_signs", "wide", "wide_signs", "noise", "mean", "scale"):
        assert f"inputs.3.{name}" in state
        assert f"inputs.3.{name}" not in trained
    assert float(state["inputs.3.mean"]) == 2.5
    core = input_kernels(load_instrument().front, 3, PATCH_DEG / NATIVE_PIXELS[3])[0]
    assert float(state["inputs.3.noise"]) == pytest.approx((core**2).sum(), rel=1e-5)


def test_the_contrast_is_greatest_at_a_source_and_unchanged_by_the_live_time(network):
    n_pixels = NATIVE_PIXELS[3]
    counts = torch.full((1, n_pixels, n_pixels), 4.0)
    counts[0, 20, 41] += 60.0
    for scale in (1.0, 5.0):
        planes = network.inputs[3](scale * counts, torch.ones_like(counts))
        assert planes.shape == (1, 3, n_pixels, n_pixels)
        assert divmod(int(planes[0, 1].argmax()), n_pixels) == (20, 41)


def test_inputs_are_linear_near_the_mean_and_logarithmic_far_above():
    x = torch.linspace(-40.0, 400.0, 10_001)
    torch.testing.assert_close(_asinh(x), torch.asinh(x), rtol=1e-5, atol=1e-6)


def test_patches_of_one_mask_give_the_planes_of_patches_of_several(network):
    counts, masks = patches(11, 3)
    for mask in masks:
        mask[:, :, : mask.shape[-1] // 4] = 0.0
    together = network.planes(PatchBatch(counts, masks))
    masks = [mask.clone() for mask in masks]
    for mask in masks:
        mask[2] = 0.0
    for plane, other in zip(together, network.planes(PatchBatch(counts, masks)), strict=True):
        torch.testing.assert_close(other[:2], plane[:2], rtol=1e-5, atol=1e-5)
        assert not other[2].any()


def test_an_even_sky_has_no_contrast_even_at_the_edge_of_the_field(network):
    n_pixels = NATIVE_PIXELS[3]
    mask = torch.ones((1, n_pixels, n_pixels))
    mask[:, :, 40:] = 0.0
    contrast = network.inputs[3](torch.full_like(mask, 6.0), mask)[0, 1]
    assert float(contrast.abs().max()) < 0.05


def test_planes_of_a_turned_patch_are_the_turned_planes(network):
    rng = np.random.default_rng(3)
    counts = [torch.from_numpy(rng.poisson(2.0, (1, n, n))).float() for n in NATIVE_PIXELS]
    masks = [torch.ones_like(c) for c in counts]
    with torch.inference_mode():
        planes = network.planes(PatchBatch(counts, masks))
        turned = network.planes(PatchBatch([c.mT for c in counts], [m.mT for m in masks]))
        flipped = network.planes(PatchBatch([c.flip(-1) for c in counts], masks))
        torch.testing.assert_close(network.predict(planes), network(PatchBatch(counts, masks)))
    for plane, other, mirrored in zip(planes, turned, flipped, strict=True):
        torch.testing.assert_close(other, plane.mT, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(mirrored, plane.flip(-1), rtol=1e-3, atol=1e-3)


# --- the template of the diffuse emission


@pytest.fixture(scope="module")
def told(network: Localizer) -> Localizer:
    """The same network with a template."""
    torch.manual_seed(2)
    told = Localizer(ModelSpec((8, 8, 8, 8), template=True))
    told.inputs.load_state_dict(network.inputs.state_dict())
    return told.eval()


def templates(number: int = 2) -> Planes:
    """Templates that rise threefold from the first to the last column."""
    return [torch.linspace(1.0, 3.0, n).expand(number, n, n) for n in BINNING.template_pixels]


def test_the_level_of_a_template_changes_nothing(told):
    counts, masks = patches(7)
    with torch.inference_mode():
        one = told(PatchBatch(counts, masks, templates()))
        other = told(PatchBatch(counts, masks, [50.0 * t for t in templates()]))
        flat = told(PatchBatch(counts, masks, [torch.ones_like(t) for t in templates()]))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert float((one - flat).abs().max()) > 1e-3


def test_expected_counts_have_the_level_of_the_patch_and_the_shape_of_the_template():
    rng = np.random.default_rng(5)
    template = templates(1)[3]
    truth = torch.nn.functional.interpolate(template[None], 128, mode="bilinear")[0] * 4.0
    counts = torch.from_numpy(rng.poisson(truth.numpy())).float()
    expected = expected_counts(counts, torch.ones_like(counts), template)
    torch.testing.assert_close(expected, truth, rtol=0.03, atol=0.0)


def test_a_bright_source_does_not_raise_what_is_expected():
    counts = torch.full((1, 128, 128), 2.0)
    counts[0, 60:68, 60:68] += 500.0
    expected = expected_counts(counts, torch.ones_like(counts), torch.ones(1, 64, 64))
    torch.testing.assert_close(expected, torch.full_like(counts, 2.0), rtol=0.01, atol=0.0)


def test_a_field_in_a_sky_of_zeros_has_its_own_level():
    counts = torch.zeros(1, 128, 128)
    counts[:, :, 64:] = 3.0
    expected = expected_counts(counts, torch.ones_like(counts), torch.ones(1, 64, 64))
    torch.testing.assert_close(expected, torch.full_like(counts, 3.0), rtol=1e-3, atol=0.0)


def test_nothing_is_expected_off_the_field_or_of_an_absent_bin(told):
    counts, masks = patches(8)
    masks[4] = torch.zeros_like(masks[4])
    masks[5][:, :50] = 0.0
    for b in (4, 5):
        expected = expected_counts(counts[b], masks[b], templates()[b])
        assert not expected[masks[b] == 0].any()
        assert torch.isfinite(expected).all()
    with torch.inference_mode():
        assert torch.isfinite(told(PatchBatch(counts, masks, templates()))).all()


def test_the_contrast_with_a_right_template_is_even_and_with_a_wrong_one_is_not(told):
    module = told.inputs[3]
    truth = torch.nn.functional.interpolate(templates(1)[3][None], 128, mode="bilinear")[0] * 9.0
    mask = torch.ones_like(truth)
    right = module(truth, mask, templates(1)[3])[0, 4, 20:-20, 20:-20]
    wrong = module(truth, mask, templates(1)[3].flip(-1))[0, 4, 20:-20, 20:-20]
    assert float(right.abs().max()) < 0.1
    assert float(wrong.abs().max()) > 0.5


def test_every_parameter_of_a_network_with_a_template_takes_part_in_the_output(told):
    torch.manual_seed(0)
    network = Localizer(told.spec)
    network.inputs.load_state_dict(told.inputs.state_dict())
    network(PatchBatch(*patches(9), templates())).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_a_network_of_other_energy_bins_and_pixels_is_built_from_its_spec():
    binning = Binning((1e3, 3e3, 1e4, 1e6), (16, 32, 64))
    network = Localizer(ModelSpec((8, 8, 8, 8), template=True, binning=binning)).eval()
    rng = np.random.default_rng(4)
    counts = [torch.from_numpy(rng.poisson(2.0, (1, n, n))).float() for n in binning.pixels]
    told = [torch.ones(1, n, n) for n in binning.template_pixels]
    output = network(PatchBatch(counts, [torch.ones_like(c) for c in counts], told))
    assert output.shape == (1, OUTPUT_PLANES, 64, 64)
