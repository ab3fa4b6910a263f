"""Probability and position error from the raw numbers of a centre."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fermi_unek.detect.calibration import R68_OF_SIGMA, USUAL_YEARS, Calibration, features
from fermi_unek.detect.centers import Centers
from fermi_unek.errors import InputError
from fermi_unek.irf.observation import Observation, shipped_observation
from fermi_unek.sky.geometry.latitude import latitude_band

TABLES = Calibration(
    weights=(1.0, 0.5, -0.5, 0.4, 0.2),
    score_nodes=(-3.0, 0.0, 3.0),
    probability_nodes=((0.0, 0.2, 0.9), (0.0, 0.4, 0.95), (0.05, 0.6, 1.0)),
    error_nodes_deg=(0.02, 0.05, 0.2),
    radius_nodes_deg=(0.03, 0.06, 0.3),
)


def centers(number: int, seed: int = 0) -> Centers:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(number, 3))
    return Centers(
        vectors / np.linalg.norm(vectors, axis=1)[:, None],
        rng.uniform(0.05, 0.99, number),
        rng.uniform(0.01, 0.3, number),
        rng.uniform(0.01, 0.3, number),
    )


def test_tables_survive_the_header_of_a_weights_file():
    text = json.dumps(TABLES.as_mapping())
    assert Calibration.from_mapping(json.loads(text)) == TABLES
    assert Calibration.from_mapping({}) == Calibration()


def test_tables_with_an_unknown_name_are_refused():
    with pytest.raises(InputError, match=r"holds \['slope'\], expected \['weights', "):
        Calibration.from_mapping({**TABLES.as_mapping(), "slope": 1.0})


def seen_as(*names: str) -> tuple[Observation, ...]:
    return tuple(map(shipped_observation, names))


BY_LAYERS = {
    name: replace(TABLES, weights=(float(number), 0.0, 0.0, 0.0, 0.0)).as_mapping()
    for number, name in enumerate(("front+back", "all", "front", "psf23+psf01"), start=1)
}


@pytest.mark.parametrize(
    ("layers", "number"),
    [
        (("front", "back"), 1), (("all",), 2), (("front",), 3), (("psf23", "psf01"), 4),
        # what was never calibrated takes what was, of as many layers
        (("psf3",), 2), (("back",), 2),
    ],
)  # fmt: skip
def test_layers_have_calibrations_of_their_own(layers, number):
    tables = json.loads(json.dumps(BY_LAYERS))
    assert Calibration.of(tables, seen_as(*layers), 10.0).weights[0] == number


def test_two_layers_never_take_the_calibration_of_one():
    alone = {"front": TABLES.as_mapping()}
    assert Calibration.of(alone, seen_as("front", "back"), 10.0) == Calibration()
    assert Calibration.of({}, seen_as("front"), 10.0) == Calibration()


def test_the_live_time_is_that_of_the_photons_and_the_usual_one_where_it_is_not_known():
    some = centers(40)
    scores = {
        years: Calibration.of({"front": TABLES.as_mapping()}, seen_as("front"), years).score(some)
        for years in (1.0, USUAL_YEARS, 16.0, float("nan"), 0.0)
    }
    for years in (1.0, 16.0):
        weight = TABLES.weights[3] * np.log(years / USUAL_YEARS)
        np.testing.assert_allclose(scores[years] - scores[USUAL_YEARS], weight)
    for unknown in list(scores.values())[3:]:
        np.testing.assert_array_equal(unknown, scores[USUAL_YEARS])


def test_without_tables_the_peak_is_the_probability_and_the_error_that_of_a_gaussian():
    some, raw = centers(50), Calibration()
    np.testing.assert_array_equal(raw.probability(some, np.zeros(50)), some.peak)
    radius = raw.radius68_deg(some.error_deg, raw.score(some))
    np.testing.assert_allclose(radius, some.error_deg * R68_OF_SIGMA)
    rng = np.random.default_rng(1)
    radius = raw.radius68_deg(np.array([0.1]), np.zeros(1))
    inside = np.hypot(*rng.normal(0.0, 0.1, (2, 100_000))) < radius
    assert inside.mean() == pytest.approx(0.68, abs=0.005)


def test_the_score_is_the_weighted_sum_of_the_features():
    some = centers(40)
    expected = sum(w * f for w, f in zip(TABLES.weights, features(some).T, strict=True))
    np.testing.assert_allclose(TABLES.score(some), expected)


def test_features_are_finite_for_the_most_extreme_centres():
    extreme = Centers(
        np.eye(3)[[0, 1]], np.array([0.0, 1.0]), np.array([0.0, 50.0]), np.array([0.0, 9.0])
    )
    assert np.isfinite(features(extreme)).all()
    assert features(extreme).shape == (2, 5)


@pytest.mark.parametrize(("lat", "band"), [(0.0, 0), (-4.9, 0), (5.1, 1), (-19.0, 1), (80.0, 2)])
def test_probability_follows_the_table_of_the_latitude(lat, band):
    some = centers(200)
    probability = TABLES.probability(some, np.full(200, lat))
    expected = np.interp(TABLES.score(some), TABLES.score_nodes, TABLES.probability_nodes[band])
    np.testing.assert_allclose(probability, expected)
    assert latitude_band(np.array([lat]))[0] == band


def test_probability_never_falls_with_the_score_and_stays_between_0_and_1():
    some = centers(500)
    for lat in (0.0, 10.0, 60.0):
        probability = TABLES.probability(some, np.full(500, lat))
        order = np.argsort(TABLES.score(some))
        assert np.all(np.diff(probability[order]) >= 0)
        assert probability.min() >= 0
        assert probability.max() <= 1


def test_a_radius_grows_with_the_error_meets_the_nodes_and_goes_on_in_proportion():
    error = np.geomspace(1e-3, 2.0, 200)
    radius = TABLES.radius68_deg(error, np.zeros(200))
    assert np.all(np.diff(radius) > 0)
    nodes = TABLES.radius68_deg(np.array(TABLES.error_nodes_deg), np.zeros(3))
    np.testing.assert_allclose(nodes, TABLES.radius_nodes_deg)
    beyond = TABLES.radius68_deg(np.array([0.01, 0.4]), np.zeros(2))
    np.testing.assert_allclose(beyond, [0.015, 0.6])


def test_a_single_node_scales_every_error():
    one = Calibration(error_nodes_deg=(1.0,), radius_nodes_deg=(1.5,))
    radius = one.radius68_deg(np.array([0.02, 1.0, 3.0]), np.zeros(3))
    np.testing.assert_allclose(radius, [0.03, 1.5, 4.5])


def test_a_stretch_by_the_score_widens_both_radii_and_leaves_the_95_percent_one_outside():
    wide = replace(TABLES, radius95_nodes_deg=(0.06, 0.12, 0.6), stretch_nodes=(2.0, 1.0, 0.5),
                   stretch95_nodes=(3.0, 1.0, 0.1))  # fmt: skip
    error, score = np.full(3, 0.05), np.array([-3.0, 0.0, 3.0])
    np.testing.assert_allclose(wide.radius68_deg(error, score), [0.12, 0.06, 0.03])
    np.testing.assert_allclose(wide.radius95_deg(error, score), [0.36, 0.12, 0.03])


def test_no_centres_give_no_numbers():
    none = centers(0)
    for tables in (TABLES, Calibration()):
        assert tables.probability(none, np.zeros(0)).shape == (0,)
        assert tables.radius68_deg(none.error_deg, tables.score(none)).shape == (0,)
