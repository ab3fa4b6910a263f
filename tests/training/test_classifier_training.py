"""The classifier is trained without what it is judged by, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fermi_unek.classify.calibration import ClassCalibration
from fermi_unek.classify.classes import run_classifier
from fermi_unek.classify.features import CandidateFeatures
from fermi_unek.config import TrainClassifierConfig
from fermi_unek.detect.centers import Centers
from fermi_unek.errors import ConfigError, InputError
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.nets.weights import LocalizerFile, load_localizer
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.geometry.latitude import latitude_band
from fermi_unek.training.classifier import dataset, skies
from fermi_unek.training.classifier import train as training
from fermi_unek.training.classifier.augment import UNCHANGED, Changes, batch_of
from fermi_unek.training.classifier.calibrate import (
    KEPT,
    alone,
    fit_class_calibration,
    held_out_logits,
)
from fermi_unek.training.classifier.dataset import (
    DOUBTFUL,
    Examples,
    doubtful,
    examples_path,
    fold_of,
    load_examples,
    make_examples,
    save_examples,
    source_of,
)
from fermi_unek.training.classifier.loss import brightness_loss, classifier_loss
from fermi_unek.training.classifier.population import (
    FAKE,
    UNCLASSED,
    histories,
    labels_of,
    real_population,
    training_population,
)
from fermi_unek.training.classifier.skies import (
    ClassSky,
    load_class_sky,
    make_class_sky,
)
from fermi_unek.training.classifier.train import (
    class_weights,
    run_training,
    share_shown,
    simulate_skies,
    train_classifier,
)
from fermi_unek.training.classifier.views import (
    WHOLE,
    View,
    views_to_calibrate,
    views_to_train,
)

NUMBER = 160


def examples(number: int = NUMBER, seed: int = 0) -> Examples:
    """Candidates whose class shows in the brightness of one energy bin each."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, number)
    net = rng.gamma(20.0, 1.0, (number, 3, 6)).astype(np.float32)
    net[np.arange(number), :, label] += 60.0
    total = net.sum(axis=1)
    features = CandidateFeatures(
        image=rng.poisson(2.0, (number, 6, 12, 12)).astype(np.float32),
        observed=np.ones((number, 6), np.float32),
        spread=np.zeros((number, 6), np.float32),
        net=net,
        core=np.rint(net),
        error=np.sqrt(total + 1.0),
        net_alone=total,
        error_alone=np.sqrt(total),
        core_background=np.full((number, 6), 3.0, np.float32),
        exposure=np.full((number, 3, 6), 1e10, np.float32),
        probability=np.full(number, 0.8, np.float32),
        mask=np.stack([np.full(number, 0.6), rng.gamma(4.0, 0.05, number)], 1).astype(np.float32),
    )
    ts = np.where(label == FAKE, np.nan, 50.0)
    zero = np.zeros(number)
    one = np.ones(number, int)
    return Examples(
        features,
        label,
        np.where(label == FAKE, -1, np.arange(number)),
        ts, zero, ts / 4.0, np.linspace(-90.0, 90.0, number), zero,
        np.repeat(ts[:, None] / 6.0, 6, axis=1), one, 6 * one, zero, zero.astype(int),
        np.zeros((number, 3)),
    )  # fmt: skip


def config(**more) -> TrainClassifierConfig:
    small = {
        "members": 2,
        "hidden": 8,
        "filters": 4,
        "year_units": 4,
        "batch": 40,
        "epochs": 3,
        "device": "cpu",
    }
    return TrainClassifierConfig(**(small | more))


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(tmp_path, monkeypatch):
    whole = run_training(config(), examples(), tmp_path / "a.pt")
    kept, saves = training.save_checkpoint, []

    def save_twice(state, path):
        kept(state, path)
        saves.append(path)
        if len(saves) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", save_twice)
    with pytest.raises(KeyboardInterrupt):
        run_training(config(), examples(), tmp_path / "b.pt")
    resumed = run_training(config(), examples(), tmp_path / "b.pt")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


def test_it_learns_what_there_is_to_learn_and_a_member_is_judged_on_what_it_has_not_seen():
    network = run_training(config(epochs=25, lr=0.01), examples(600))
    fresh = examples(200, seed=1)
    right = held_out_logits(network, fresh)[:, :5].argmax(axis=1) == fresh.label
    assert right.mean() > 0.7


def test_no_member_sees_the_rows_of_its_fold(monkeypatch):
    seen = []
    init = training.MemberTrainer.__init__

    def record(self, network, k, settings, given, changes):
        seen.append((k, given.template))
        init(self, network, k, settings, given, changes)

    monkeypatch.setattr(training.MemberTrainer, "__init__", record)
    run_training(config(epochs=1), examples())
    for k, template in seen:
        assert not np.any(fold_of(template, 2) == k)
        assert np.any(fold_of(template, 2) == 1 - k)


def test_folds_are_of_even_size_and_only_rows_of_dr2_have_one():
    fold = fold_of(np.arange(-1, 5000), 4)
    assert fold[0] == -1
    np.testing.assert_allclose(np.bincount(fold[1:]) / 5000, 0.25, atol=0.02)
    assert np.all(fold_of(np.arange(10), 1) == -1)


def test_held_out_logits_come_from_the_member_without_the_source():
    given = examples()
    network = run_training(config(epochs=1), given)
    logits = held_out_logits(network, given)
    for k in range(2):
        rows = fold_of(given.template, 2) == k
        single = run_classifier(alone(network, k), given.features.select(rows))
        np.testing.assert_allclose(logits[rows], single, atol=1e-5)


def test_the_loss_of_classes_is_cross_entropy_and_a_source_without_one_is_only_no_fake():
    torch.manual_seed(0)
    logits, label = torch.randn(20, 5), torch.arange(20) % 5
    expected = F.cross_entropy(logits, label)
    torch.testing.assert_close(classifier_loss(logits, label, torch.ones(6)), expected)
    unclassed = torch.full((20,), UNCLASSED)
    not_fake = 1.0 - logits.softmax(dim=1)[:, FAKE]
    torch.testing.assert_close(
        classifier_loss(logits, unclassed, torch.ones(6)), -torch.log(not_fake).mean()
    )
    assert classifier_loss(logits, label, torch.ones(6), focus=2.0) < expected


def test_brightness_is_learnt_from_sources_of_known_ts_alone():
    ts = torch.tensor([30.0, 10.0, float("nan")])
    loss = brightness_loss(torch.tensor([2.0, 2.0, 50.0]), ts)
    expected = F.binary_cross_entropy_with_logits(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 0]))
    torch.testing.assert_close(loss, expected)
    assert float(brightness_loss(torch.ones(1), torch.tensor([float("nan")]))) == 0.0


def test_a_shorter_exposure_shows_its_share_of_the_ts_of_each_bin_and_an_absent_bin_none():
    whole = torch.full((2, 3, 6), 2e10)
    whole[1, :, 0] = 0.0
    shown = whole.clone()
    shown[0, 2] = 0.0
    shown[1, :, 4] = 0.0
    share = share_shown(shown, whole)
    torch.testing.assert_close(share[0], torch.full((6,), 2.0 / 3.0))
    assert share[1].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]


def test_rare_classes_weigh_more_and_the_mean_weight_is_one():
    label = np.repeat([0, 1, 2, 3, 4, 5], [400, 100, 25, 25, 400, 50])
    weight = class_weights(label, 0.5)
    assert weight[2] / weight[0] == pytest.approx(4.0)
    assert weight[label].mean() == pytest.approx(1.0)
    np.testing.assert_allclose(class_weights(label, 0.0), 1.0)


def test_a_checkpoint_is_not_overwritten_and_another_network_is_refused(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="give --resume"):
        train_classifier(config(out=tmp_path))
    with pytest.raises(ConfigError, match="is no checkpoint of a classifier"):
        run_training(config(), examples(), tmp_path / "checkpoint.pt")
    run_training(config(epochs=1), examples(), tmp_path / "c.pt")
    with pytest.raises(ConfigError, match="is no checkpoint of a classifier"):
        run_training(config(hidden=12), examples(), tmp_path / "c.pt")


def test_nothing_to_train_on_is_refused():
    given = examples()
    with pytest.raises(InputError, match="no examples"):
        run_training(config(), given.select(given.label > 9))


def test_an_unchanged_batch_is_the_evidence_itself():
    given = examples(20)
    batch = batch_of(given.features, np.arange(5), np.random.default_rng(0), UNCHANGED)
    for name in CandidateFeatures.__annotations__:
        np.testing.assert_array_equal(getattr(batch, name), getattr(given.features, name)[:5])


def test_thinned_photons_exposure_and_variance_shrink_alike():
    torch.manual_seed(0)
    given = examples(2000).features
    rows, rng = np.arange(2000), np.random.default_rng(0)
    thin = batch_of(given, rows, rng, replace(UNCHANGED, thinned=1.0))
    share = thin.exposure[:, 0, 0] / 1e10
    assert 0.55 < float(share.mean()) < 0.7
    for name, power in (("image", 1.0), ("core", 1.0), ("net", 1.0), ("error", 0.5)):
        before = torch.from_numpy(getattr(given, name)).flatten(1).sum(dim=1)
        after = getattr(thin, name).flatten(1).sum(dim=1)
        assert float((after / before - share**power).mean()) == pytest.approx(0.0, abs=0.01)
    noise = (thin.net.sum(dim=1) - torch.from_numpy(given.net).sum(dim=1) * share[:, None]).std()
    expected = (torch.from_numpy(given.error) ** 2 * (share * (1 - share))[:, None]).mean().sqrt()
    assert float(noise / expected) == pytest.approx(1.0, abs=0.05)


def test_fewer_years_are_left_with_their_exposure():
    torch.manual_seed(0)
    given = examples(200).features
    rng = np.random.default_rng(0)
    batch = batch_of(given, np.arange(200), rng, replace(UNCHANGED, fewer_years=1.0))
    left = (batch.exposure > 0).any(dim=2).sum(dim=1)
    assert set(left.tolist()) == {1, 2}
    assert not batch.net[(batch.exposure == 0)].any()
    share = batch.exposure.sum(dim=1) / 3e10
    torch.testing.assert_close(batch.error, torch.from_numpy(given.error) * share.sqrt())


def test_one_layer_holds_the_sum_of_the_years():
    given = examples(10).features
    rng = np.random.default_rng(0)
    batch = batch_of(given, np.arange(10), rng, replace(UNCHANGED, one_layer=1.0))
    np.testing.assert_allclose(batch.net[:, 0], given.net.sum(axis=1), rtol=1e-5)
    assert not batch.exposure[:, 1:].any()


def test_absent_bins_hold_nothing_and_a_hidden_probability_is_not_known():
    given = examples(200).features
    rng = np.random.default_rng(0)
    batch = batch_of(given, np.arange(200), rng, replace(UNCHANGED, absent=1.0, unsure=1.0))
    gone = batch.observed == 0
    assert gone.any(dim=1).all()
    assert not gone.all(dim=1).any()
    assert not batch.image[gone].any()
    assert not batch.net.transpose(1, 2)[gone].any()
    assert torch.isnan(batch.probability).all()
    assert torch.isnan(batch.mask).all()
    batch = batch_of(given, np.arange(200), rng, replace(UNCHANGED, other_finder=1.0))
    assert torch.isnan(batch.mask).all()
    assert torch.isfinite(batch.probability).all()


def test_a_turned_stamp_holds_the_same_photons():
    given = examples(50).features
    rng = np.random.default_rng(0)
    batch = batch_of(given, np.arange(50), rng, replace(UNCHANGED, turned=True))
    np.testing.assert_array_equal(batch.image.sum(dim=(2, 3)), given.image[:50].sum(axis=(2, 3)))
    assert (batch.image.numpy() != given.image).any()
    batch = batch_of(given, np.arange(50), rng, Changes())
    assert all(torch.isfinite(value).all() for value in batch[:-2])


def calibrated(offset_of_plane: float, number: int = 8_000):
    """Logits that are twice too large, labels, and the calibration; one class off in the plane."""
    rng = np.random.default_rng(0)
    given = examples(number)
    true = rng.normal(size=(number, 5)) * 1.5
    plane = np.abs(given.lat_deg) < 5.0
    shifted = true + offset_of_plane * np.outer(plane, np.eye(5)[2])
    chances = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    label = (chances.cumsum(axis=1) > rng.random((number, 1))).argmax(axis=1)
    given = replace(given, label=label, ts=np.where(label == FAKE, np.nan, 50.0))
    return 2.0 * true, given, fit_class_calibration(2.0 * true, given)


def test_calibration_finds_the_scale_of_logits_and_keeps_98_percent_of_the_bright():
    logits, given, calibration = calibrated(0.0)
    np.testing.assert_allclose(calibration.scales, 0.5, atol=0.12)
    chances = calibration.probabilities(logits, given.features.probability, given.lat_deg)
    against = calibration.against_bright(chances, logits, given.features.probability)
    kept = ~calibration.fake(against, given.lat_deg, given.bins, given.layers)
    for band in np.unique(latitude_band(given.lat_deg)):
        here = (latitude_band(given.lat_deg) == band) & (given.label != FAKE)
        assert kept[here].mean() == pytest.approx(KEPT, abs=0.003)
    assert ClassCalibration.from_mapping(calibration.as_mapping()) == calibration


def test_a_band_of_latitude_is_calibrated_by_itself_as_far_as_its_examples_go():
    def shift(number):
        offsets = np.array(calibrated(1.5, number)[2].offsets)
        return (offsets[0, 2] - offsets[0].mean()) - (offsets[2, 2] - offsets[2].mean())

    of_many = shift(6_000)
    assert of_many == pytest.approx(1.2, abs=0.25)
    # a few examples say little against the rest of the sky
    assert 0.0 < shift(400) < 0.8 * of_many


def test_fake_goes_by_what_tells_false_ones_from_bright_sources():
    rng = np.random.default_rng(3)
    given = examples(4000)
    logits = rng.normal(size=(4000, 6))
    # what is bright shows in the sixth logit alone
    logits[:, 5] += np.where(given.label == FAKE, -2.0, 2.0)
    calibration = fit_class_calibration(logits, given)
    assert calibration.fake_weights[1] < -1.0
    only_false = given.select(given.label == FAKE)
    untold = fit_class_calibration(logits[given.label == FAKE], only_false)
    assert untold.fake_weights == ClassCalibration().fake_weights
    assert untold.fake_cut == (((0.5, 0.5, 0.5),),) * 2


def test_without_enough_bright_sources_in_a_band_its_cut_is_that_of_the_whole_sky():
    cuts = calibrated(0.0, 4000)[2].fake_cut[0][0]
    assert cuts[0] != cuts[2]
    assert len(set(calibrated(0.0, 60)[2].fake_cut[0][0])) == 1


def test_fewer_bins_and_more_layers_have_cuts_of_their_own():
    """In two bins nothing is sure: a cut made on six would flag the sources."""
    rng = np.random.default_rng(5)
    given = examples(12_000)
    bins = rng.choice([2, 6], len(given))
    given = replace(given, bins=bins, layers=rng.choice([1, 2], len(given)))
    signal = np.where(given.label == FAKE, 1.0, -1.0) * np.where(bins == 6, 2.0, 0.5)
    logits = rng.normal(size=(len(given), 6))
    logits[:, FAKE] += 2.0 * signal
    calibration = fit_class_calibration(logits, given)
    assert calibration.fake_bins == (2, 6)
    cuts = np.array(calibration.fake_cut)
    assert np.all(cuts[:, 0] > cuts[:, 1])
    chances = calibration.probabilities(logits, given.features.probability, given.lat_deg)
    against = calibration.against_bright(chances, logits, given.features.probability)
    kept = ~calibration.fake(against, given.lat_deg, given.bins, given.layers)
    for layers in (1, 2):
        for number in (2, 6):
            here = (given.layers == layers) & (bins == number) & (given.label != FAKE)
            assert kept[here].mean() == pytest.approx(KEPT, abs=0.003)
    one_layer = given.layers == 1
    alone = fit_class_calibration(logits[one_layer], given.select(one_layer))
    assert alone.fake_cut[1] == alone.fake_cut[0]


def test_examples_read_back_are_those_that_were_written(tmp_path):
    given = examples(12)
    path = save_examples(given, tmp_path / "one.npz")
    back = load_examples([path, path])
    assert len(back) == 24
    np.testing.assert_array_equal(back.label[:12], given.label)
    np.testing.assert_array_equal(back.features.net[12:], given.features.net)
    assert list(tmp_path.iterdir()) == [path]


def test_what_holds_no_examples_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file of examples"):
        load_examples([])
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(InputError, match="is no file of examples"):
        load_examples([tmp_path / "x.npz"])
    with pytest.raises(InputError, match="none of boosted, resampled, dr2"):
        ClassSky(1, "own", "real")


def test_what_another_localizer_found_is_another_file(monkeypatch):
    sky = ClassSky(5, "own")
    one, other = (
        LocalizerFile(None, {}, {"model": "localizer-v9", "sha256": sha})
        for sha in ("ab" * 9, "cd")
    )
    path = examples_path("b", sky, View(2, 4), one)
    assert path.parent == Path("b/localizer-v9-abababab")
    assert path.name.startswith(f"{sky.name}-front+back-4bins-")
    assert examples_path("b", sky, View(2, 4), other) != path
    assert examples_path("b", sky, View(2), one) != path
    assert sky.name.startswith("class0000005-own-boosted-")
    # what it was made with is in the name: another response is another sky
    monkeypatch.setattr(skies, "SHIPPED", Path(__file__))
    assert ClassSky(5, "own").name[-8:] != path.name[25:33]
    assert len({ClassSky(5, "own", kind).name[-8:] for kind in ("boosted", "dr2")}) == 2


FIELD = (30.0, 50.0, 4.0)


def constant_light(table, n_years, rng, real):
    return np.ones((len(table), n_years)) * rng.uniform(0.5, 1.5)


@cache
def three_bl_lacs(event_type):
    from training_samples import sky_of

    places = lonlat_to_vectors(np.array([30.0, 30.0, 33.0]), np.array([50.0, 51.5, 50.0]))
    rate = 1.0 if event_type == "front" else 0.8
    model = sky_of(places, rate * np.array([300.0, 200.0, 100.0]))
    model.sources["CLASS1"], model.sources["Template"] = "bll", np.arange(3)
    model.sources["Flux1000"], model.sources["Signif_Avg"] = 1e-9, 9.0
    return replace(model, event_type=event_type)


@pytest.fixture
def small_model(monkeypatch):
    """Every sky is a field with these three BL Lacs, whatever its recipe."""
    model = three_bl_lacs("front")
    monkeypatch.setattr(skies, "sources_of", lambda sky: model.sources)
    monkeypatch.setattr(
        skies, "sky_model", lambda sky, sources, event_type, data: three_bl_lacs(event_type)
    )
    monkeypatch.setattr(skies, "histories", constant_light)
    monkeypatch.setattr(skies, "simulate_counts", partial(simulate_counts, region=FIELD))
    return model


def test_a_kept_sky_is_the_one_that_was_simulated_and_the_same_for_the_same_seed(
    tmp_path, small_model
):
    sky = ClassSky(5, "own")
    path = make_class_sky(sky, tmp_path, None)
    layers, truth = load_class_sky(path)
    assert [layer.event_type for layer in layers] == ["front", "back"]
    factors = constant_light(small_model.sources, 10, np.random.default_rng([5, 5]), real=False)
    for k, layer in enumerate(layers):
        again = simulate_counts(
            three_bl_lacs(layer.event_type), 10.0, np.random.default_rng([5, 6, k]), FIELD,
            yearly=True, factors=factors,
        )  # fmt: skip
        for one, other in zip((layer, *layer.years), (again, *again.years), strict=True):
            for b in range(6):
                np.testing.assert_array_equal(one.bins[b].pixels, other.bins[b].pixels)
                np.testing.assert_array_equal(one.bins[b].counts, other.bins[b].counts)
            assert one.mission_year == other.mission_year
        ts = three_bl_lacs(layer.event_type).ideal_ts * 10
        np.testing.assert_array_equal(truth.ts[:, k], ts)
    (alone,), _ = load_class_sky(path, ("front",))
    np.testing.assert_array_equal(alone.totals, layers[0].totals)
    before = path.stat().st_mtime_ns
    assert make_class_sky(sky, tmp_path, None).stat().st_mtime_ns == before


def test_a_file_that_is_no_kept_sky_is_refused(tmp_path, small_model):
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(InputError, match="is no simulated sky"):
        load_class_sky(tmp_path / "x.npz")
    with np.load(make_class_sky(ClassSky(5, "own"), tmp_path, None)) as columns:
        short = {**columns, "back.length": columns["back.length"][:6]}
    for name in ("back.pixels", "back.counts"):
        short[name] = short[name][: short["back.length"].sum()]
    np.savez(tmp_path / "y.npz", **short)
    with pytest.raises(InputError, match="holds 6 planes of BACK photons, expected 60"):
        load_class_sky(tmp_path / "y.npz")


def test_a_view_shows_the_photons_of_its_layers_and_bins_and_their_ts(tmp_path, small_model):
    path = make_class_sky(ClassSky(5, "own"), tmp_path, None)
    every = {*views_to_calibrate(0), *views_to_calibrate(1)}
    for view in every:
        layers, truth = load_class_sky(path, view.event_types)
        seen = view.of(layers)
        assert seen.present.tolist() == [False] * (6 - view.bins) + [True] * view.bins
        assert len(seen.layers) == (0 if view.layers == 1 else 2)
        assert all(year.present.sum() == view.bins for year in seen.years)
        assert [year.mission_year for year in seen.years] == list(range(10))
        shown = sum(layer.totals for layer in layers) * seen.present
        np.testing.assert_array_equal(seen.totals, shown)
        ts = view.ts(truth)
        np.testing.assert_array_equal(ts > 0, np.tile(seen.present, (3, 1)))
        np.testing.assert_allclose(ts, truth.ts[:, : view.layers].sum(axis=1) * seen.present)
    names = {view.name for view in every}
    assert len(names) == 6
    assert {"front", "front+back", "front-2bins"} < names
    # all of them are seen by some sky, one and two layers of all bins by each
    assert {view for sky in range(4) for view in views_to_train(sky)} == every
    assert all(set(WHOLE) < set(views_to_train(sky)) for sky in range(5))


@pytest.mark.parametrize("view", [View(1), View(2), View(2, 2)])
def test_a_kept_sky_is_searched_once_for_each_localizer_and_view(
    tmp_path, small_model, monkeypatch, view
):
    """The search finds the sources themselves and a place with none."""
    calls = []

    def found(counts, localizer, scene, progress):
        assert tuple(seen.event_type for seen in scene.observed) == view.event_types
        calls.append(counts)
        vectors = np.concatenate([small_model.vectors, -small_model.vectors[:1]])
        peak, area = np.array([0.9, 0.8, 0.7, 0.3]), np.array([0.2, 0.1, 0.1, 0.05])
        return Centers(vectors, peak, area, np.full(4, 0.05))

    monkeypatch.setattr(dataset, "raw_centers", found)
    monkeypatch.setattr(dataset, "load_shape", lambda: None)
    network = SimpleNamespace(spec=ModelSpec())
    localizer = LocalizerFile(network, {}, {"model": "l", "sha256": "ab"})
    path = make_examples(ClassSky(5, "own"), view, localizer, tmp_path, None)
    assert make_examples(ClassSky(5, "own"), view, localizer, tmp_path, None) == path
    assert len(calls) == 1
    given = load_examples([path])
    np.testing.assert_array_equal(given.label, [0, 0, 0, FAKE])
    np.testing.assert_array_equal(given.template, [0, 1, 2, -1])
    np.testing.assert_allclose(given.features.mask[:, 0], [0.9, 0.8, 0.7, 0.3], rtol=1e-6)
    np.testing.assert_allclose(given.distance_deg[:3], 0.0, atol=1e-5)
    np.testing.assert_allclose(given.ts_bins.sum(axis=1), given.ts)
    assert np.all(given.layers == view.layers)
    assert np.all(given.bins == view.bins)
    assert np.all((given.features.observed[:3] > 0.5) == calls[0].present)
    assert np.any(given.features.spread) == (view.layers > 1)


def test_a_matched_centre_finds_its_source_again():
    ts = np.array([30.0, 12.0, 500.0, 9.5])
    np.testing.assert_array_equal(
        source_of(np.array([500.0, np.nan, 9.5, 30.0]), ts), [2, -1, 3, 0]
    )


def test_a_candidate_at_a_source_too_faint_to_count_is_doubtful():
    from training_samples import random_sky

    model = random_sky(number=300)
    ts = model.ideal_ts.sum(axis=1) * 10.0
    faint = model.vectors[(ts > 4.0) & (ts <= 9.0)]
    assert len(faint) > 0
    assert doubtful(faint, model.vectors, ts).all()
    assert not doubtful(-faint[:1], model.vectors, ts).any()
    assert DOUBTFUL > UNCLASSED


@pytest.fixture(scope="module")
def populations():
    return (
        training_population(np.random.default_rng(0)),
        training_population(np.random.default_rng(0), boosted=False),
        real_population(np.random.default_rng(0)),
    )


def test_classes_of_4fgl_become_the_four_that_are_learnt():
    names = np.array(["BLL", "fsrq", "msp", "spp ", "SNR", "bcu", ""])
    np.testing.assert_array_equal(labels_of(names), [0, 1, 2, 3, 3, UNCLASSED, UNCLASSED])


def test_a_boosted_sky_has_more_pulsars_at_fluxes_of_what_they_replace(populations):
    boosted, plain, real = populations
    pulsars = [np.sum(labels_of(np.asarray(t["CLASS1"])) == 2) for t in populations]
    assert pulsars[0] > 2 * pulsars[1] > pulsars[2]
    for table in populations:
        assert np.all(np.asarray(table["Template"])[np.asarray(table["CLASS1"]) != ""] >= 0)
    faint = [np.mean(np.asarray(t["Flux1000"]) > 1e-9) for t in (boosted, plain)]
    assert faint[0] == pytest.approx(faint[1], rel=0.15)


def test_the_sky_of_dr2_keeps_places_and_histories_and_a_training_sky_does_not(populations):
    boosted, _, real = populations
    rows = np.asarray(real["Template"]) >= 0
    flares = histories(real, 10, np.random.default_rng(1), real=True)
    again = histories(real, 10, np.random.default_rng(2), real=True)
    with_history = rows & np.all(flares == again, axis=1)
    assert with_history.sum() > 5000
    mixed = histories(boosted, 10, np.random.default_rng(1), real=False)
    np.testing.assert_allclose(mixed.mean(axis=1), 1.0)


def test_a_classifier_is_trained_from_a_sky_to_a_calibrated_file(tmp_path, monkeypatch):
    """Skies and search are stand-ins; everything behind them is real."""
    bank = tmp_path / "bank"
    bank.mkdir()
    settings = config(out=tmp_path / "run", dataset=bank, skies=1, calibration_skies=1, epochs=1)
    localizer = load_localizer()
    (sky,), (aside,) = training.training_skies(settings), training.calibration_skies(settings)
    views = [(sky, view) for view in views_to_train(0)]
    for sky, view in (*views, *((aside, view) for view in views_to_calibrate(0))):
        path = examples_path(bank, sky, view, localizer)
        path.parent.mkdir(exist_ok=True)
        one = np.ones(NUMBER, int)
        save_examples(replace(examples(), bins=view.bins * one, layers=view.layers * one), path)
    weights = train_classifier(settings)
    from fermi_unek.nets.classifier_weights import load_classifier

    loaded = load_classifier(weights)
    assert loaded.provenance["skies"].startswith("class3000001-own-3000001-boosted-")
    assert loaded.network.shape.layers
    assert loaded.calibration["fake_bins"] == [4, 6]
    assert loaded.provenance["localizer sha256"] == localizer.provenance["sha256"]
    assert json.loads(loaded.provenance["config"])["epochs"] == 1
    cuts = np.array(loaded.calibration["fake_cut"])
    assert cuts.shape == (2, 2, 3)
    assert np.all((cuts > 0.0) & (cuts < 1.0))
    assert Path(settings.out, "log.jsonl").read_text().count("\n") == 2


def test_the_skies_of_a_configuration_are_made_ahead_without_a_localizer(tmp_path, small_model):
    settings = config(dataset=tmp_path, sky_dataset=tmp_path / "s", skies=2, calibration_skies=1,
                      backgrounds=("own", "model_O"), localizer="none")  # fmt: skip
    made = simulate_skies(settings)
    assert [path.name[:-13] for path in made] == [
        "class3000001-own-3000001-boosted",
        "class3000002-model_O-boosted",
        "class3100001-model_O-dr2",
    ]
    assert all(path.parent == tmp_path / "s" for path in made)
