"""What becomes of a patch that is drawn: thinning, masks, targets, flips, batches."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
import torch
from training_samples import RECIPE, random_layers, write_patches

from fermi_unek.diffuse.template import SkyTemplate
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.training.localizer import dataset, skies
from fermi_unek.training.localizer.dataset import (
    Batch,
    PatchDataset,
    Shares,
    TargetConfig,
    View,
    batches,
    draw_example,
    draw_field,
    draw_kept_fractions,
    draw_view,
    observed_key,
    stack,
    target_planes,
)
from fermi_unek.training.localizer.skies import DATASET_YEARS, SkyPatches, make_patches

SURE = 400.0
FRONT, BACK, BOTH = map(shipped_observation, ("front", "back", "all"))
APART = View(((0,), (1,)), (FRONT, BACK))
ADDED = View(((0, 1),), (BOTH,))
SHARP = View(((0,),), (FRONT,))
DISC_PIXELS = TargetConfig.disc_deg / PATCH_DEG * OUTPUT_PIXELS


def target(*sources: tuple[float, float, float]) -> np.ndarray:
    x, y, ts = np.array(sources, float).reshape(-1, 3).T
    return target_planes(x, y, ts)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> SkyPatches:
    """Three patches of even counts; the first with one bright source off the diagonal."""
    rng = np.random.default_rng(0)
    counts = [[rng.poisson(20.0 + 5.0 * k, (3, n, n)) for n in NATIVE_PIXELS] for k in range(2)]
    x, y = 30.0, 95.0
    for layer in counts:
        for plane, n_pixels in zip(layer, NATIVE_PIXELS, strict=True):
            scale = n_pixels / OUTPUT_PIXELS
            plane[0, int((y + 0.5) * scale), int((x + 0.5) * scale)] = 9000
    ts = np.full((1, 2, N_BINS), SURE)
    return write_patches(
        tmp_path_factory.mktemp("dataset") / "sky", counts, [x], [y], ts, [0, 1, 1, 1]
    )


def fixed(
    monkeypatch: pytest.MonkeyPatch, kept: np.ndarray, field: tuple[str, np.ndarray] | None = None
) -> None:
    """Take the chance out of live time, bins and field."""
    field = field or ("whole", np.zeros(4))
    monkeypatch.setattr(dataset, "draw_kept_fractions", lambda rng, shares: np.asarray(kept, float))
    monkeypatch.setattr(dataset, "draw_field", lambda rng, share: field)


class Flips:
    """A generator whose first integer is told, otherwise one of numpy."""

    def __init__(self, flips: int) -> None:
        self.flips = flips
        self.rng = np.random.default_rng(flips)

    def integers(self, high: int) -> int:
        return self.flips

    def random(self) -> float:
        return 1.0

    def binomial(self, number: np.ndarray, share: float) -> np.ndarray:
        return self.rng.binomial(number, share)


# --- targets


def test_a_source_paints_a_disc_whose_offsets_point_at_it():
    planes = target((40.3, 70.8, SURE))
    rows, columns = np.nonzero(planes[0])
    distance = np.hypot(columns - 40.3, rows - 70.8)
    assert distance.max() < DISC_PIXELS
    assert len(rows) == pytest.approx(np.pi * DISC_PIXELS**2, abs=4)
    np.testing.assert_allclose(columns + planes[2][rows, columns], 40.3, atol=1e-4)
    np.testing.assert_allclose(rows + planes[3][rows, columns], 70.8, atol=1e-4)
    assert np.all(planes[1] == 1.0)
    off = planes[0] == 0
    assert not planes[2][off].any()
    assert not planes[3][off].any()


@pytest.mark.parametrize("order", [1, -1])
def test_where_discs_overlap_the_nearest_source_has_the_pixel(order):
    sources = [(60.0, 60.2, SURE), (63.1, 61.0, 30.0)][::order]
    planes = target(*sources)
    places = np.array([s[:2] for s in sources])
    rows, columns = np.nonzero(planes[0])
    distance = np.hypot(columns[:, None] - places[:, 0], rows[:, None] - places[:, 1])
    own = places[distance.argmin(axis=1)]
    np.testing.assert_allclose(columns + planes[2][rows, columns], own[:, 0], atol=1e-4)
    np.testing.assert_allclose(rows + planes[3][rows, columns], own[:, 1], atol=1e-4)


def test_a_source_that_cannot_be_seen_is_not_painted_but_weighs_less():
    planes = target((50.0, 50.0, 8.9))
    assert not planes[0].any()
    rows, columns = np.nonzero(planes[1] != 1.0)
    assert np.all(np.hypot(columns - 50, rows - 50) < DISC_PIXELS)
    assert len(rows) == pytest.approx(np.pi * DISC_PIXELS**2, abs=4)
    assert np.unique(planes[1][rows, columns]) == np.float32(0.3)


def test_a_source_below_all_doubt_is_background():
    planes = target((50.0, 50.0, 3.9))
    assert not planes[0].any()
    assert np.all(planes[1] == 1.0)


@pytest.mark.parametrize("order", [1, -1])
def test_an_unseen_source_leaves_the_disc_of_a_seen_one_alone(order):
    planes = target(*[(50.0, 50.0, SURE), (52.0, 50.0, 6.0)][::order])
    alone = target((50.0, 50.0, SURE))
    np.testing.assert_array_equal(planes[[0, 2, 3]], alone[[0, 2, 3]])
    assert np.all(planes[1][alone[0] > 0] == 1.0)


def test_the_weight_of_a_disc_grows_with_the_significance():
    weights = [target((64.0, 64.0, ts))[1, 64, 64] for ts in (9.0, 12.0, 16.0, 20.0, 25.0, 900.0)]
    assert weights[0] == pytest.approx(0.1)
    assert np.all(np.diff(weights[1:5]) > 0)
    assert weights[2] == pytest.approx(0.5)
    assert weights[4] == weights[5] == 1.0


@pytest.mark.parametrize(
    "place", [(-2.0, 64.0), (64.0, 129.0), (-1.0, -1.0), (127.4, 0.0), (-5.9, 133.9)]
)
def test_sources_at_and_beyond_the_edge_paint_only_what_is_on_the_patch(place):
    planes = target((*place, SURE))
    rows, columns = np.mgrid[:OUTPUT_PIXELS, :OUTPUT_PIXELS]
    disc = np.hypot(columns - place[0], rows - place[1]) < DISC_PIXELS
    np.testing.assert_array_equal(planes[0] > 0, disc)


def test_no_source_gives_an_empty_target():
    planes = target()
    assert planes.shape == (4, OUTPUT_PIXELS, OUTPUT_PIXELS)
    assert np.all(planes[1] == 1.0)
    assert not planes[[0, 2, 3]].any()


# --- live time, absent bins, fields


@pytest.mark.parametrize("view", [APART, ADDED, SHARP], ids=["apart", "added", "sharp"])
def test_thinning_keeps_a_binomial_share_of_the_photons_of_the_layers(shard, monkeypatch, view):
    kept = np.array([0.5, 0.1, 1.0, 0.25, 0.0, 0.9])
    fixed(monkeypatch, kept)
    one = draw_example(shard, 1, Flips(0), view)
    assert len(one.counts) == len(one.masks) == len(view.layers)
    for layers, counts, masks in zip(view.layers, one.counts, one.masks, strict=True):
        for b, share in enumerate(kept):
            total = sum(int(shard.counts[k][b][1].sum()) for k in layers)
            spread = np.sqrt(total * share * (1 - share))
            assert counts[b].sum() == pytest.approx(total * share, abs=4 * spread + 1e-9)
            assert np.all(counts[b] == np.rint(counts[b]))
            assert np.all(masks[b] == (share > 0))


def test_thinned_counts_vary_as_poisson_numbers_do(shard, monkeypatch):
    fixed(monkeypatch, np.full(N_BINS, 0.3))
    counts = draw_example(shard, 1, np.random.default_rng(2), ADDED).counts[0][5]
    assert counts.mean() == pytest.approx(13.5, rel=0.03)
    assert counts.var() == pytest.approx(13.5, rel=0.05)


@pytest.mark.parametrize(("years", "painted"), [(16.0, True), (0.5, True), (0.04, False)])
def test_the_ideal_ts_shrinks_with_the_live_time_and_the_bins(
    tmp_path, monkeypatch, years, painted
):
    counts = [[np.ones((1, n, n)) for n in NATIVE_PIXELS]] * 2
    # TS 20 a year in bin 3 alone, half of it in each layer
    ts = np.zeros((1, 2, N_BINS))
    ts[0, :, 3] = 10.0
    shard = write_patches(tmp_path / "sky", counts, [64.0], [64.0], ts, [0, 1])
    kept = np.full(N_BINS, years / DATASET_YEARS)
    fixed(monkeypatch, kept)
    for view in (APART, ADDED):
        assert draw_example(shard, 0, Flips(0), view).target[0].any() == painted
    kept[3] = 0.0
    fixed(monkeypatch, kept)
    for view in (APART, ADDED):
        assert not draw_example(shard, 0, Flips(0), view).target[0].any()


def test_a_source_that_one_layer_does_not_show_is_not_to_be_found_in_it(tmp_path, monkeypatch):
    counts = [[np.ones((1, n, n)) for n in NATIVE_PIXELS]] * 2
    ts = np.zeros((1, 2, N_BINS))
    ts[0, 1] = 20.0
    shard = write_patches(tmp_path / "sky", counts, [64.0], [64.0], ts, [0, 1])
    fixed(monkeypatch, np.ones(N_BINS))
    for view, painted in ((APART, True), (ADDED, True), (SHARP, False),
                          (View(((1,),), (BACK,)), True)):  # fmt: skip
        assert draw_example(shard, 0, Flips(0), view).target[0].any() == painted


def test_batches_are_shown_layers_apart_added_or_alone_as_often_as_is_said(shard):
    rng = np.random.default_rng(5)
    views = [draw_view(shard, rng, Shares(one_layer=0.4, no_template=0.06)) for _ in range(3000)]
    names = ["+".join(seen.event_type for seen in view.observed) for view in views]
    shares = {name: names.count(name) / len(names) for name in set(names)}
    expected = {"front+back": 0.6, "front": 0.24, "all": 0.12, "back": 0.04}
    assert shares == pytest.approx(expected, abs=0.03)
    assert np.mean([view.template for view in views]) == pytest.approx(0.94, abs=0.02)
    for view, name in zip(views, names, strict=True):
        layers = {"front+back": ((0,), (1,)), "front": ((0,),), "all": ((0, 1),), "back": ((1,),)}
        assert view.layers == layers[name]
        assert {seen.pixels_deg for seen in view.observed} == {(0.0,) * N_BINS}


def test_a_sky_of_quartiles_counted_in_coarse_pixels_is_seen_through_both(tmp_path):
    counts = [[np.ones((1, n, n)) for n in NATIVE_PIXELS]] * 2
    told = {"kept_apart": "psf", "coarse": 1}
    shard = write_patches(tmp_path / "sky", counts, [], [], np.zeros((0, 2, 6)), [0, 0], **told)
    rng = np.random.default_rng(5)
    views = [draw_view(shard, rng, Shares()) for _ in range(200)]
    names = {"+".join(seen.event_type for seen in view.observed) for view in views}
    assert names == {"psf23+psf01", "psf23", "psf", "psf01"}
    side = np.degrees(hp.nside2resol(2**9))
    for view in views:
        for seen in view.observed:
            np.testing.assert_allclose(seen.pixels_deg, side)


def test_live_times_and_bins_are_drawn_as_data_come():
    rng = np.random.default_rng(3)
    drawn = np.array([draw_kept_fractions(rng, Shares()) for _ in range(4000)])
    assert np.all((drawn >= 0) & (drawn <= 1))
    assert np.all(drawn.max(axis=1) > 0)
    assert np.all(drawn[:, 5] + drawn[:, 4] + drawn[:, 3] + drawn[:, 2] > 0)
    ten_years = np.isclose(drawn.max(axis=1), 10.0 / DATASET_YEARS)
    assert 0.45 < ten_years.mean() < 0.6
    starts_late = (drawn[:, 0] == 0) & np.all(np.diff(drawn > 0, axis=1).astype(int) >= 0, axis=1)
    assert 0.15 < starts_late.mean() < 0.27


def test_fields_are_mostly_whole_and_never_empty():
    rng = np.random.default_rng(4)
    fields = [draw_field(rng, 0.25) for _ in range(2000)]
    kinds = [kind for kind, _ in fields]
    assert kinds.count("whole") / 2000 == pytest.approx(0.75, abs=0.04)
    assert kinds.count("circle") > 150
    assert kinds.count("square") > 150
    shares = [dataset._field_mask(one, 32).mean() for one in fields]
    assert min(shares) > 0.05


def test_what_lies_off_the_field_is_neither_seen_nor_counted(shard, monkeypatch):
    fixed(monkeypatch, np.ones(N_BINS), ("circle", np.array([0.1, 0.0, 0.3, 0.0])))
    one = draw_example(shard, 0, Flips(0), APART)
    rows, columns = np.mgrid[:128, :128]
    inside = np.hypot((columns + 0.5) / 128 - 0.6, (rows + 0.5) / 128 - 0.5) < 0.3
    np.testing.assert_array_equal(one.target[1] > 0, inside)
    for of_layer, masks in zip(one.counts, one.masks, strict=True):
        np.testing.assert_array_equal(masks[5] > 0, inside)
        for counts, mask in zip(of_layer, masks, strict=True):
            assert not counts[mask == 0].any()
            assert mask.mean() == pytest.approx(np.pi * 0.09, abs=0.02)


def test_a_square_field_is_turned(monkeypatch):
    diagonal = dataset._field_mask(("square", np.array([0.0, 0.0, 0.3, np.pi / 4])), 128)
    rows, columns = np.mgrid[:128, :128]
    apart = np.abs((columns + 0.5) / 128 - 0.5) + np.abs((rows + 0.5) / 128 - 0.5)
    np.testing.assert_array_equal(diagonal, apart < 0.3 * 2**0.5)


# --- flips


@pytest.mark.parametrize("flips", range(8))
def test_counts_and_target_are_turned_alike(shard, monkeypatch, flips):
    fixed(monkeypatch, np.ones(N_BINS))
    one = draw_example(shard, 0, Flips(flips), APART)
    brightest = np.array(np.unravel_index(one.counts[0][5].argmax(), (128, 128)))
    mask, _, dx, dy, _ = one.target
    rows, columns = np.nonzero(mask)
    assert len(rows) > 15
    # every pixel of the disc points at the brightest pixel
    np.testing.assert_allclose(rows + dy[rows, columns], brightest[0], atol=1e-4)
    np.testing.assert_allclose(columns + dx[rows, columns], brightest[1], atol=1e-4)
    for of_layer in one.counts:
        for counts, n_pixels in zip(of_layer, NATIVE_PIXELS, strict=True):
            place = np.array(np.unravel_index(counts.argmax(), counts.shape))
            np.testing.assert_array_equal(place, brightest * n_pixels // OUTPUT_PIXELS)


@pytest.mark.parametrize("flips", range(8))
def test_extended_sources_are_turned_with_the_counts(tmp_path, monkeypatch, flips):
    counts = [[np.ones((1, n, n)) for n in NATIVE_PIXELS] for _ in range(2)]
    lit = np.zeros((1, 64, 64), bool)
    lit[0, 7, 20] = True
    counts[1][3][0, 14, 41] = 9000
    shard = write_patches(tmp_path / "s", counts, [], [], np.zeros((0, 2, 6)), [0, 0], lit)
    fixed(monkeypatch, np.ones(N_BINS))
    one = draw_example(shard, 0, Flips(flips), APART)
    assert one.target[4].sum() == 4
    assert one.target[4].ravel()[one.counts[1][3].argmax()] == 1


def test_the_eight_flips_are_all_different(shard, monkeypatch):
    fixed(monkeypatch, np.ones(N_BINS))
    places = {int(draw_example(shard, 0, Flips(f), SHARP).counts[0][5].argmax()) for f in range(8)}
    assert len(places) == 8


@pytest.mark.parametrize("flips", range(8))
def test_masks_are_turned_with_the_counts(shard, monkeypatch, flips):
    fixed(monkeypatch, np.ones(N_BINS), ("circle", np.array([-0.4, 0.3, 0.35, 0.0])))
    one = draw_example(shard, 1, Flips(flips), APART)
    for of_layer, masks in zip(one.counts, one.masks, strict=True):
        for counts, mask in zip(of_layer, masks, strict=True):
            assert np.all(counts[mask == 0] == 0)
            assert np.mean(counts[mask == 1] > 0) > 0.99
        np.testing.assert_array_equal(one.target[1] > 0, masks[5] > 0)


# --- batches

SPEC = ModelSpec()


def drawn(shard: SkyPatches, first: int, last: int, seed: int = 5, workers: int = 0) -> list[Batch]:
    examples = PatchDataset([shard], 2 * last, 2, seed, first=2 * first)
    return list(batches(examples, SPEC, workers))


def same(one: Batch, other: Batch) -> bool:
    tensors = (
        [t for layer in batch.given for t in (*layer.counts, *layer.masks)] + [batch.target]
        for batch in (one, other)
    )
    return len(one.given) == len(other.given) and all(
        torch.equal(a, b) for a, b in zip(*tensors, strict=True)
    )


def test_a_batch_stacks_examples_as_tensors(shard):
    rng = np.random.default_rng(0)
    batch = stack([draw_example(shard, i, rng, APART) for i in range(3)], SPEC)
    assert len(batch.given) == 2
    for layer in batch.given:
        for b, n in enumerate(NATIVE_PIXELS):
            assert layer.counts[b].shape == layer.masks[b].shape == (3, n, n)
            assert layer.counts[b].dtype == torch.float32
            assert layer.masks[b].dtype == torch.bool
        assert layer.template is None
    assert batch.target.shape == (3, 5, OUTPUT_PIXELS, OUTPUT_PIXELS)
    sizes = [[matched.core.shape[-1] for matched in layer.filters] for layer in batch.given]
    assert sizes == [list(BINNING.pixels), list(BINNING.blurred_pixels)]


def test_examples_of_a_batch_are_of_one_view_and_batches_of_several(shard):
    examples = PatchDataset([shard], 16, 2, 7)
    views = [examples[number].view for number in range(16)]
    of_batches = [views[start : start + 2] for start in range(0, 16, 2)]
    assert all(view == batch[0] for batch in of_batches for view in batch)
    assert len({batch[0].layers for batch in of_batches}) > 1


def test_a_resumed_run_goes_on_with_the_batches_it_would_have_had(shard):
    whole = drawn(shard, 0, 5)
    resumed = drawn(shard, 3, 5)
    assert len(whole) == 5
    assert all(same(a, b) for a, b in zip(whole[3:], resumed, strict=True))
    assert not same(whole[0], whole[1])
    assert not same(whole[0], drawn(shard, 0, 1, seed=6)[0])


def test_batches_drawn_by_other_processes_are_the_same_in_the_same_order(shard):
    pairs = zip(drawn(shard, 0, 4), drawn(shard, 0, 4, workers=2), strict=True)
    assert all(same(one, other) for one, other in pairs)


def test_no_batches_are_left_at_the_end_of_a_run(shard):
    assert drawn(shard, 5, 5) == []


# --- the template


def test_templates_are_cut_where_the_patch_lies_and_turned_with_it(tmp_path, monkeypatch):
    models = random_layers(4, 300)
    monkeypatch.setattr(skies, "make_sky_models", lambda recipe, data_dir: models)
    shard = SkyPatches(make_patches(RECIPE, tmp_path, None))
    templates = {
        observed_key(seen): SkyTemplate(
            tuple(
                np.exp(slope * hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)[2])
                for nside in BINNING.template_nsides
            )
        )
        for seen, slope in ((FRONT, 1.0), (BACK, -2.0))
    }
    fixed(monkeypatch, np.ones(N_BINS))
    for flips in range(8):
        given = draw_example(shard, 1, Flips(flips), APART, Shares(), templates)
        for k, template in enumerate(templates.values()):
            plain = template.cut(shard.frame(1))
            for plane, turned in zip(plain, given.template[k], strict=True):
                plane = plane[:, ::-1] if flips & 1 else plane
                plane = plane[::-1] if flips & 2 else plane
                np.testing.assert_array_equal(turned, plane.T if flips & 4 else plane)
    batch = stack([given, given], SPEC)
    for layer in batch.given:
        assert [t.shape for t in layer.template] == [(2, n, n) for n in BINNING.template_pixels]
    unknown = draw_example(
        shard, 1, Flips(0), View(APART.layers, APART.observed, False), Shares(), templates
    )
    assert [layer.template for layer in stack([unknown], SPEC).given] == [None, None]
