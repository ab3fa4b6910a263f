"""The localizer's shapes, masks and inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets_samples import FILTERS, SPEC, Planes, layer, layers, templates

from fermi_unek.detect.filters import matched_filters
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.nets.localizer import (
    OUTPUT_PLANES,
    BinInput,
    Localizer,
    _asinh,
    expected_counts,
)
from fermi_unek.nets.spec import LayerBatch, ModelSpec
from fermi_unek.sky.binning import Binning
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS

LAST = 2 * N_BINS


def fitted(spec: ModelSpec = SPEC) -> Localizer:
    """A network with random weights whose inputs expect a few photons a pixel."""
    torch.manual_seed(0)
    network = Localizer(spec)
    for module in network.inputs:
        assert isinstance(module, BinInput)
        module.fit(2.5, 1.5)
    return network


@pytest.fixture(scope="module")
def network() -> Localizer:
    """A tiny network with fitted inputs, evaluated."""
    return fitted().eval()


def output(network: Localizer, batch: list[LayerBatch]) -> torch.Tensor:
    with torch.inference_mode():
        return network(batch)


def with_planes(batch: LayerBatch, *, counts: Planes | None = None, masks: Planes | None = None):
    return batch._replace(counts=counts or batch.counts, masks=masks or batch.masks)


def test_the_output_is_five_planes_at_the_finest_resolution(network):
    for batch in (layers(0, 3), layers(0, 3)[:1]):
        planes = output(network, batch)
        assert planes.shape == (3, OUTPUT_PLANES, OUTPUT_PIXELS, OUTPUT_PIXELS)
        assert torch.isfinite(planes).all()


def test_patches_of_a_batch_do_not_see_each_other(network):
    several = layers(1, 3, templates(3))
    alone = [
        LayerBatch(
            [c[1:2] for c in one.counts],
            [m[1:2] for m in one.masks],
            one.filters,
            [t[1:2] for t in one.template],
        )
        for one in several
    ]
    together = output(network, several)[1:2]
    torch.testing.assert_close(together, output(network, alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", range(LAST))
def test_what_lies_under_the_mask_of_an_absent_bin_changes_nothing(network, number):
    k, b = divmod(number, N_BINS)
    batch = layers(2, 1, templates(1))
    masks = list(batch[k].masks)
    masks[b] = torch.zeros_like(masks[b])
    batch[k] = with_planes(batch[k], masks=masks)
    before = output(network, batch)
    counts = list(batch[k].counts)
    counts[b] = counts[b] * 7.0 + 100.0
    batch[k] = with_planes(batch[k], counts=counts)
    assert torch.equal(output(network, batch), before)


@pytest.mark.parametrize("k", range(2))
def test_counts_off_the_field_change_nothing_and_counts_on_it_do(network, k):
    batch = layers(3, 2, templates())
    masks = [mask.clone() for mask in batch[k].masks]
    for mask in masks:
        mask[:, :, : mask.shape[-1] // 3 + 1] = 0.0

    def plus(where: Planes) -> torch.Tensor:
        counts = [c + 50.0 * w for c, w in zip(batch[k].counts, where, strict=True)]
        changed = list(batch)
        changed[k] = with_planes(batch[k], counts=counts, masks=masks)
        return output(network, changed)

    before = plus([torch.zeros_like(m) for m in masks])
    assert torch.equal(plus([1.0 - m for m in masks]), before)
    assert not torch.equal(plus(masks), before)


@pytest.mark.parametrize("k", range(2))
def test_a_layer_that_was_not_observed_at_all_is_one_that_is_absent(network, k):
    batch = layers(4, 2, templates())
    nothing = [torch.zeros_like(m) for m in batch[k].masks]
    batch[k] = with_planes(batch[k], masks=nothing)
    masked = output(network, batch)
    assert torch.isfinite(masked).all()
    if k == 1:
        assert torch.equal(masked, output(network, batch[:1]))
    # nor do its template, its filters and its counts matter
    other = batch[k]._replace(
        counts=[7.0 * c for c in batch[k].counts],
        filters=FILTERS[k][::-1],
        template=[t.flip(-1) for t in templates()],
    )
    assert torch.equal(
        masked, output(network, [other, *batch[1:]] if k == 0 else [batch[0], other])
    )


def test_layers_in_the_wrong_order_are_not_the_same(network):
    # the same photons as FRONT and as BACK, which are shown in other pixels
    one, other = layers(5, 1)
    swapped = [other._replace(filters=one.filters), one._replace(filters=other.filters)]
    difference = output(network, [one, other]) - output(network, swapped)
    assert float(difference.abs().max()) > 1e-3


def test_the_second_layer_is_shown_in_pixels_of_half_as_many_at_most(network):
    batch = layers(6, 1)
    planes = network.planes(batch)
    sizes = [plane.shape[-1] for plane in planes]
    assert sizes[:N_BINS] == list(NATIVE_PIXELS)
    assert sizes[N_BINS:] == [32, 32, 32, 64, 64, 64]
    # a photon in any of the pixels that are put together is the same photon
    counts = [c.clone() for c in batch[1].counts]
    moved = [c.clone() for c in batch[1].counts]
    counts[5][0, 40, 60] += 90.0
    moved[5][0, 41, 61] += 90.0
    seen = [
        network.planes([batch[0], with_planes(batch[1], counts=c)])[-1] for c in (counts, moved)
    ]
    assert torch.equal(*seen)
    assert divmod(int(seen[0][0, 1].argmax()), sizes[-1]) == (20, 30)


def test_a_pixel_of_the_second_layer_is_observed_where_all_its_parts_are(network):
    batch = layers(6, 1)
    masks = [m.clone() for m in batch[1].masks]
    masks[5][0, 40, 60] = 0.0
    plane = network.planes([batch[0], with_planes(batch[1], masks=masks)])[-1][0, 2]
    expected = torch.ones(64, 64)
    expected[20, 30] = 0.0
    assert torch.equal(plane, expected)


def test_a_patch_without_any_data_gives_finite_numbers(network):
    batch = [
        with_planes(one, masks=[torch.zeros_like(m) for m in one.masks])
        for one in layers(4, 2, templates())
    ]
    assert torch.isfinite(output(network, batch)).all()


def test_an_untrained_network_calls_about_two_percent_of_the_pixels_sources_and_extended():
    torch.manual_seed(0)
    planes = output(Localizer(SPEC).eval(), layers(5))
    for plane in (0, 4):
        assert 0.005 < float(torch.sigmoid(planes[:, plane]).mean()) < 0.06


def test_every_parameter_takes_part_in_the_output():
    network = fitted()
    network(layers(6, 2, templates())).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_the_scaling_of_inputs_is_kept_in_the_state_and_not_trained(network):
    state, trained = network.state_dict(), dict(network.named_parameters())
    assert len(network.inputs) == LAST
    for number in range(LAST):
        for name, value in (("mean", 2.5), ("scale", 1.5)):
            assert float(state[f"inputs.{number}.{name}"]) == value
            assert f"inputs.{number}.{name}" not in trained
    # filters are those of the observation
    assert not [name for name in state if "core" in name or "wide" in name]


def test_the_contrast_is_greatest_at_a_source_and_unchanged_by_the_live_time(network):
    n_pixels = NATIVE_PIXELS[3]
    counts = torch.full((1, n_pixels, n_pixels), 4.0)
    counts[0, 20, 41] += 60.0
    for scale in (1.0, 5.0):
        planes = network.inputs[3](scale * counts, torch.ones_like(counts), FILTERS[0][3], None)
        assert planes.shape == (1, 5, n_pixels, n_pixels)
        assert divmod(int(planes[0, 1].argmax()), n_pixels) == (20, 41)
        assert not planes[0, 3:].any()


def test_the_contrast_of_noise_has_the_same_spread_whatever_the_pixels(network):
    """Wide filters average over more pixels, and the Poisson error is divided out."""
    spreads = []
    for name in ("front", "back", "psf3"):
        for sides in ((0.0,) * N_BINS, (0.3,) * N_BINS):
            ((*_, matched),) = matched_filters([shipped_observation(name, sides)], SPEC)
            counts = torch.from_numpy(np.random.default_rng(1).poisson(50.0, (2, 128, 128))).float()
            planes = network.inputs[5](counts, torch.ones_like(counts), matched, None)
            spreads.append(float(torch.sinh(planes[:, 1, 30:-30, 30:-30]).std()))
    assert max(spreads) < 1.25 * min(spreads)


def test_inputs_are_linear_near_the_mean_and_logarithmic_far_above():
    x = torch.linspace(-40.0, 400.0, 10_001)
    torch.testing.assert_close(_asinh(x), torch.asinh(x), rtol=1e-5, atol=1e-6)


def test_patches_of_one_mask_give_the_planes_of_patches_of_several(network):
    batch = layers(11, 3, templates(3))
    for one in batch:
        for mask in one.masks:
            mask[:, :, : mask.shape[-1] // 4] = 0.0
    together = network.planes(batch)
    several = [with_planes(one, masks=[mask.clone() for mask in one.masks]) for one in batch]
    for one in several:
        for mask in one.masks:
            mask[2] = 0.0
    for plane, other in zip(together, network.planes(several), strict=True):
        torch.testing.assert_close(other[:2], plane[:2], rtol=1e-5, atol=1e-5)
        assert not other[2].any()


def test_an_even_sky_has_no_contrast_even_at_the_edge_of_the_field(network):
    n_pixels = NATIVE_PIXELS[3]
    mask = torch.ones((1, n_pixels, n_pixels))
    mask[:, :, 40:] = 0.0
    contrast = network.inputs[3](torch.full_like(mask, 6.0), mask, FILTERS[0][3], None)[0, 1]
    assert float(contrast.abs().max()) < 0.05


@pytest.mark.parametrize("turn", ["transposed", "columns", "rows"])
def test_planes_of_a_turned_patch_are_the_turned_planes(network, turn):
    def turned(plane: torch.Tensor) -> torch.Tensor:
        return {"transposed": plane.mT, "columns": plane.flip(-1), "rows": plane.flip(-2)}[turn]

    batch = layers(3, 1, templates(1))
    other = [
        LayerBatch(*(list(map(turned, planes)) for planes in (one.counts, one.masks)),
                   one.filters, list(map(turned, one.template)))
        for one in batch
    ]  # fmt: skip
    with torch.inference_mode():
        planes = network.planes(batch)
        torch.testing.assert_close(network.predict(planes), network(batch))
        for plane, seen in zip(planes, network.planes(other), strict=True):
            torch.testing.assert_close(seen, turned(plane), rtol=1e-3, atol=1e-3)


# --- the template of the diffuse emission


def test_the_level_of_a_template_changes_nothing_and_its_shape_does(network):
    one = output(network, layers(7, 2, templates()))
    other = output(network, layers(7, 2, [50.0 * t for t in templates()]))
    flat = output(network, layers(7, 2, [torch.ones_like(t) for t in templates()]))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert float((one - flat).abs().max()) > 1e-3


def test_a_network_does_without_a_template_in_any_layer(network):
    known, unknown = layers(7, 2, templates()), layers(7, 2)
    for batch in (unknown, [known[0], unknown[1]], [unknown[0], known[1]]):
        planes = network.planes(batch)
        for number, plane in enumerate(planes):
            told = batch[number // N_BINS].template is not None
            assert bool(plane[:, 3:].any()) == told
        for plane, with_template in zip(planes, network.planes(known), strict=True):
            assert torch.equal(plane[:, :3], with_template[:, :3])
        assert torch.isfinite(output(network, batch)).all()


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


def test_nothing_is_expected_off_the_field_or_of_an_absent_bin(network):
    batch = layer(8, 2, 0, templates())
    counts, masks = batch.counts, batch.masks
    masks[4].zero_()
    masks[5][:, :50] = 0.0
    for b in (4, 5):
        expected = expected_counts(counts[b], masks[b], templates()[b])
        assert not expected[masks[b] == 0].any()
        assert torch.isfinite(expected).all()
    assert torch.isfinite(output(network, [batch])).all()


def test_the_contrast_with_a_right_template_is_even_and_with_a_wrong_one_is_not(network):
    truth = torch.nn.functional.interpolate(templates(1)[3][None], 128, mode="bilinear")[0] * 9.0
    mask = torch.ones_like(truth)

    def contrast(template: torch.Tensor) -> torch.Tensor:
        return network.inputs[3](truth, mask, FILTERS[0][3], template)[0, 4, 20:-20, 20:-20]

    assert float(contrast(templates(1)[3]).abs().max()) < 0.1
    assert float(contrast(templates(1)[3].flip(-1)).abs().max()) > 0.5


def test_a_network_of_other_energy_bins_and_pixels_is_built_from_its_spec():
    binning = Binning((1e3, 3e3, 1e4, 1e6), (16, 32, 64))
    network = Localizer(ModelSpec((8, 8, 8, 8), binning)).eval()
    assert network.pixels == ((16, 32, 64), (16, 16, 32))
    rng = np.random.default_rng(4)
    counts = [torch.from_numpy(rng.poisson(2.0, (1, n, n))).float() for n in binning.pixels]
    masks = [torch.ones_like(c) for c in counts]
    told = [torch.ones(1, n, n) for n in binning.template_pixels]
    observed = (shipped_observation("front"), shipped_observation("back"))
    batch = [
        LayerBatch(counts, masks, filters, told)
        for filters in matched_filters(observed, network.spec)
    ]
    assert network(batch).shape == (1, OUTPUT_PLANES, 64, 64)
    assert network(batch[:1]).shape == (1, OUTPUT_PLANES, 64, 64)
