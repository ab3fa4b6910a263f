"""Calibration on skies whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_samples import WIDTHS, random_layers

from fermi_unek.detect.calibration import Calibration, features
from fermi_unek.detect.centers import Centers
from fermi_unek.errors import InputError
from fermi_unek.evaluate.match import match
from fermi_unek.nets.localizer import Localizer
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.nets.weights import load_localizer, save_localizer
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from fermi_unek.training.localizer import calibrate
from fermi_unek.training.localizer.calibrate import (
    MatchedCenters,
    calibrate_weights,
    fit_calibration,
    match_centers,
    weighted_quantile,
)
from fermi_unek.training.localizer.skies import SkyRecipe

TRUE_WEIGHTS = np.array([1.2, 1.5, -0.8, 0.0, 0.3])


def at(lon: np.ndarray, lat: np.ndarray) -> Centers:
    peak, area, error = np.tile([[0.5], [0.1], [0.05]], len(lon))
    return Centers(lonlat_to_vectors(lon, lat), peak, area, error)


def field(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-3.0, 3.0, number) % 360.0, rng.uniform(-3.0, 3.0, number)


# --- matching


@pytest.mark.parametrize("seed", range(6))
def test_centres_are_matched_as_the_evaluation_matches_them(seed):
    rng = np.random.default_rng(seed)
    found, true = field(rng, 250), field(rng, 200)
    ts = rng.exponential(30.0, 200)
    matched = match_centers(at(*found), found[1], lonlat_to_vectors(*true), ts)
    visible = np.flatnonzero(ts > 9.0)
    reference = match(
        true[0][visible], true[1][visible], ts[visible], *found, radius_deg=calibrate.MATCH_DEG
    )
    real = np.zeros(250, bool)
    real[reference.detection] = True
    assert 50 < real.sum() < 250
    np.testing.assert_array_equal(matched.real, real)
    np.testing.assert_allclose(matched.ts[reference.detection], ts[visible][reference.truth])
    np.testing.assert_allclose(
        matched.distance_deg[reference.detection], reference.separation_deg, rtol=1e-4
    )
    assert np.isnan(matched.distance_deg[~real]).all()
    assert np.isnan(matched.ts[~real]).all()


def test_the_brighter_source_takes_the_centre_and_the_fainter_another_or_none():
    true = lonlat_to_vectors(np.array([10.0, 10.1]), np.zeros(2))
    matched = match_centers(
        at(np.array([10.02]), np.zeros(1)), np.zeros(1), true, np.array([20.0, 90.0])
    )
    assert matched.ts.tolist() == [90.0]
    assert matched.distance_deg[0] == pytest.approx(0.08)


def test_a_source_that_cannot_be_seen_makes_no_centre_real():
    true = lonlat_to_vectors(np.array([10.0]), np.zeros(1))
    matched = match_centers(at(np.array([10.0]), np.zeros(1)), np.zeros(1), true, np.array([9.0]))
    assert not matched.real.any()


def test_without_centres_or_sources_nothing_is_real():
    none = np.zeros(0)
    assert len(match_centers(at(none, none), none, np.eye(3), np.full(3, 50.0)).real) == 0
    matched = match_centers(at(np.array([1.0]), np.zeros(1)), np.zeros(1), np.zeros((0, 3)), none)
    assert matched.real.tolist() == [False]


# --- fitting


def sky(
    seed: int, number: int = 6000, shift: tuple[float, float, float] = (0.0,) * 3
) -> MatchedCenters:
    """Centres that are real with a known probability, with errors 1.3 times the network's own."""
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    logit = rng.normal(0.5, 1.5, number)
    error = np.exp(rng.uniform(np.log(0.01), np.log(0.2), number))
    some = Centers(
        lonlat_to_vectors(rng.uniform(0, 360, number), lat),
        1.0 / (1.0 + np.exp(-logit)),
        0.15 * np.exp(rng.normal(0.0, 0.6, number)),
        error,
    )
    real = rng.random(number) < true_probability(some, lat, shift)
    distance = np.where(real, np.hypot(*rng.normal(0.0, 1.3 * error, (2, number))), np.nan)
    return MatchedCenters(some, lat, real, distance, np.where(real, 50.0, np.nan))


def true_probability(
    some: Centers, lat: np.ndarray, shift: tuple[float, float, float] = (0.0,) * 3
) -> np.ndarray:
    band = (np.abs(lat) > 5.0).astype(int) + (np.abs(lat) > 20.0)
    return 1.0 / (1.0 + np.exp(-features(some) @ TRUE_WEIGHTS - np.array(shift)[band]))


def test_known_weights_and_probabilities_are_recovered():
    fitted = fit_calibration([sky(0), sky(1)])
    np.testing.assert_allclose(fitted.weights, TRUE_WEIGHTS, atol=0.15)
    test = sky(2)
    probability = fitted.probability(test.centers, test.lat_deg)
    expected = true_probability(test.centers, test.lat_deg)
    assert np.mean(np.abs(probability - expected)) < 0.03
    assert abs(np.mean(probability - expected)) < 0.01


def test_what_short_live_times_do_to_a_score_is_learned():
    """Centres of one year are real less often than those of ten that look the same."""
    weights = TRUE_WEIGHTS + np.array([0.0, 0.0, 0.0, 0.8, 0.0])

    def of_years(seed: int, years: float) -> MatchedCenters:
        one = sky(seed)
        chance = 1.0 / (1.0 + np.exp(-features(one.centers, years) @ weights))
        real = np.random.default_rng(seed + 50).random(len(chance)) < chance
        return replace(
            one, real=real, years=years, distance_deg=np.where(real, 0.05, np.nan),
            ts=np.where(real, 50.0, np.nan),
        )  # fmt: skip

    fitted = fit_calibration([of_years(0, 10.0), of_years(1, 1.0), of_years(2, 3.0)])
    np.testing.assert_allclose(fitted.weights, weights, atol=0.15)
    for years in (1.0, 10.0):
        test = of_years(7, years)
        told = replace(fitted, years=years).probability(test.centers, test.lat_deg)
        assert told.mean() == pytest.approx(test.real.mean(), abs=0.02)


def test_probabilities_hold_in_each_latitude_band_and_at_each_level():
    shift = (-1.5, 0.0, 0.5)
    fitted = fit_calibration([sky(s, shift=shift) for s in range(3)])
    test = sky(9, 20000, shift)
    probability = fitted.probability(test.centers, test.lat_deg)
    band = (np.abs(test.lat_deg) > 5.0).astype(int) + (np.abs(test.lat_deg) > 20.0)
    for index in range(3):
        for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 0.95)):
            here = (band == index) & (probability >= low) & (probability < high)
            assert here.sum() > 50
            assert test.real[here].mean() == pytest.approx(probability[here].mean(), abs=0.08)


def test_the_distance_to_a_match_is_that_in_its_ellipse():
    place, one = lonlat_to_vectors(np.array([20.0]), np.array([0.0])), np.ones(1)
    long_in_north = Centers(place, one, one, 0.05 * one, 4.0 * one, 0.0 * one)
    for lon, lat, expected in ((20.1, 0.0, 0.2), (20.0, 0.1, 0.05)):
        there = lonlat_to_vectors(np.array([lon]), np.array([lat]))
        matched = match_centers(long_in_north, np.zeros(1), there, np.array([100.0]))
        assert matched.distance_deg[0] == pytest.approx(expected, rel=1e-4)


def test_the_fitted_tables_are_monotone_and_survive_the_header():
    fitted = fit_calibration([sky(0)])
    assert np.all(np.diff(fitted.score_nodes) > 0)
    for row in fitted.probability_nodes:
        assert np.all(np.diff(row) >= 0)
        assert min(row) >= 0
        assert max(row) <= 1
    assert np.all(np.diff(fitted.error_nodes_deg) > 0)
    assert np.all(np.diff(fitted.radius_nodes_deg) >= 0)
    assert Calibration.from_mapping(fitted.as_mapping()) == fitted


def test_68_percent_of_the_true_sources_lie_within_the_fitted_radius():
    fitted = fit_calibration([sky(0), sky(1)])
    test = sky(2)
    radius = fitted.radius68_deg(test.centers.error_deg, fitted.score(test.centers))
    real = test.real
    for small in (True, False):
        here = real & ((test.centers.error_deg < 0.04) == small)
        assert np.mean(test.distance_deg[here] < radius[here]) == pytest.approx(0.68, abs=0.04)


def test_radii_hold_at_every_score_though_the_doubtful_lie_further_off():
    def stretched(seed: int) -> MatchedCenters:
        one = sky(seed)
        doubt = np.where(features(one.centers) @ TRUE_WEIGHTS < 1.0, 2.0, 1.0)
        return replace(one, distance_deg=one.distance_deg * doubt)

    fitted, test = fit_calibration([stretched(0), stretched(1)]), stretched(2)
    error, score = test.centers.error_deg, fitted.score(test.centers)
    sure = features(test.centers) @ TRUE_WEIGHTS
    for radius, level in ((fitted.radius68_deg(error, score), 0.68),
                          (fitted.radius95_deg(error, score), 0.95)):  # fmt: skip
        for here in (test.real & (sure < 0.7), test.real & (sure > 1.3)):
            assert here.sum() > 400
            assert np.mean(test.distance_deg[here] < radius[here]) == pytest.approx(level, abs=0.05)
    assert fitted.stretch_nodes[0] > 1.5 * fitted.stretch_nodes[-1]


def test_radii_lean_towards_the_faint():
    def mixed(seed: int) -> MatchedCenters:
        one = sky(seed)
        faint = np.random.default_rng(seed).random(len(one.real)) < 0.2
        ts = np.where(one.real, np.where(faint, 12.0, 50.0), np.nan)
        return replace(one, ts=ts, distance_deg=one.distance_deg * np.where(faint, 2.0, 1.0))

    fitted, test = fit_calibration([mixed(0), mixed(1)]), mixed(2)
    radius = fitted.radius68_deg(test.centers.error_deg, fitted.score(test.centers))
    assert np.mean(test.distance_deg[test.real] < radius[test.real]) > 0.7


def test_a_weighted_quantile_is_that_of_values_repeated():
    values = np.random.default_rng(3).normal(size=400)
    weights = np.repeat([1, 3], 200)
    expected = np.quantile(np.repeat(values, weights), 0.68)
    assert weighted_quantile(values, weights, 0.68) == pytest.approx(expected, abs=0.02)


def test_a_band_without_centres_takes_the_probabilities_of_the_whole_sky():
    whole = sky(3)
    high = np.abs(whole.lat_deg) > 25.0
    some = Centers(
        *(getattr(whole.centers, n)[high] for n in ("vectors", "peak", "area", "error_deg"))
    )
    matched = MatchedCenters(
        some, whole.lat_deg[high], whole.real[high], whole.distance_deg[high], whole.ts[high]
    )
    fitted = fit_calibration([matched])
    assert fitted.probability_nodes[0] == fitted.probability_nodes[1]
    assert fitted.probability_nodes[0] == fitted.probability_nodes[2]


def test_too_few_real_centres_leave_the_error_of_a_gaussian():
    fitted = fit_calibration([sky(4, 100)])
    error = np.array([0.02, 0.1])
    expected = Calibration().radius68_deg(error, np.zeros(2))
    np.testing.assert_allclose(fitted.radius68_deg(error, np.zeros(2)), expected)


@pytest.mark.parametrize("real", [True, False])
def test_skies_on_which_all_centres_are_of_one_kind_are_refused(real):
    one = sky(0, 200)
    matched = MatchedCenters(
        one.centers, one.lat_deg, np.full(200, real), np.full(200, 0.1), one.ts
    )
    with pytest.raises(InputError, match=f"of the 200 centres .* {200 * real} are real"):
        fit_calibration([matched])


def test_skies_without_centres_are_refused():
    none = np.zeros(0)
    empty = MatchedCenters(at(none, none), none, np.zeros(0, bool), none, none)
    with pytest.raises(InputError, match="of the 0 centres"):
        fit_calibration([empty])


# --- a weights file


def test_weights_are_calibrated_in_place_and_their_history_is_kept(tmp_path: Path, monkeypatch):
    torch.manual_seed(0)
    path = save_localizer(
        Localizer(ModelSpec(WIDTHS)).eval(), tmp_path / "w.safetensors", {"steps": "3"}
    )
    front, back = models = random_layers(5, 400)
    monkeypatch.setattr(calibrate, "make_sky_models", lambda recipe, data_dir: models)
    rng = np.random.default_rng(1)
    simulated, searched = [], []

    def simulate(model, years, rng):
        simulated.append((model.event_type, years))
        one = bin_from_pixels(0, np.array([5, 70000]))
        return SkyCounts((one, *[None] * (N_BINS - 1)), model.event_type, years)

    def found(sky, localizer, scene, wanted, config, *, progress):
        # half of the sources and as many places by chance
        searched.append([seen.event_type for seen in scene.observed])
        assert wanted is None
        assert sky.livetime_years == 8.0
        chance = rng.normal(size=(200, 3))
        chance /= np.linalg.norm(chance, axis=1)[:, None]
        vectors = np.concatenate([front.vectors[:200], chance])
        peak = np.concatenate([rng.uniform(0.4, 1.0, 200), rng.uniform(0.05, 0.6, 200)])
        return Centers(vectors, peak, np.full(400, 0.1), np.full(400, 0.05))

    monkeypatch.setattr(calibrate, "simulate_counts", simulate)
    monkeypatch.setattr(calibrate, "raw_centers", found)
    before = load_localizer(path).network.state_dict()
    recipe = SkyRecipe(91, "v07", "fb", 0)
    assert calibrate_weights(path, [(recipe, 8.0)], None) == path
    assert simulated == [("front", 8.0), ("back", 8.0)]
    assert searched == [["front", "back"], ["all"], ["front"]]
    after = load_localizer(path)
    for name, value in before.items():
        torch.testing.assert_close(after.network.state_dict()[name], value)
    assert after.provenance["steps"] == "3"
    assert after.provenance["calibration skies"] == "91 v07 fb 8 yr"
    assert after.provenance["model"] == "w"
    assert set(after.calibration) == {"front+back", "all", "front"}
    sure = Centers(np.eye(3)[:1], np.array([0.9]), np.array([0.1]), np.array([0.05]))
    lat = vectors_to_lonlat(sure.vectors)[1]
    doubtful = replace(sure, peak=np.array([0.1]))
    for tables in map(Calibration.from_mapping, after.calibration.values()):
        assert tables.probability(sure, lat)[0] > 0.8
        assert tables.probability(doubtful, lat)[0] < 0.2


def stand_in(event_type: str, ts: float) -> SimpleNamespace:
    return SimpleNamespace(vectors=np.eye(3), ideal_ts=np.full((3, 6), ts), event_type=event_type)


@pytest.mark.parametrize(("coarse", "first_order"), [(0, 7), (1, 9), (None, None)])
def test_a_sky_is_searched_in_its_layers_their_sum_and_the_sharper_alone(
    monkeypatch, coarse, first_order
):
    asked = []

    def simulate(model, years, rng):
        one = bin_from_pixels(0, rng.integers(0, 10_000, 50 if model.event_type == "front" else 70))
        return SkyCounts((one, *[None] * (N_BINS - 1)), model.event_type, years)

    def found(sky, localizer, scene, wanted, config, *, progress):
        asked.append((len(scene.observed), sky.totals[0], sky.counted_in[0].galactic_order))
        return Centers(np.zeros((0, 3)), *np.zeros((3, 0)))

    models = [stand_in("front", 1.0), stand_in("back", 0.5)]
    monkeypatch.setattr(calibrate, "make_sky_models", lambda recipe, data: models)
    monkeypatch.setattr(calibrate, "simulate_counts", simulate)
    monkeypatch.setattr(calibrate, "raw_centers", found)
    monkeypatch.setattr(calibrate, "match_centers", lambda found, lat, vectors, ts, years: ts)
    localizer = SimpleNamespace(network=SimpleNamespace(spec=ModelSpec()))
    recipe = SkyRecipe(90, "v07", "fb", 0, coarse=coarse)
    matched = calibrate.match_sky(localizer, calibrate.known_sky(recipe, None, 10.0))
    assert asked == [(2, 120, first_order), (1, 120, first_order), (1, 50, first_order)]
    # a source's ideal TS is the sum over what is shown
    assert {name: ts[0] for name, ts in matched.items()} == pytest.approx(
        {"front+back": 90.0, "all": 90.0, "front": 60.0}
    )
