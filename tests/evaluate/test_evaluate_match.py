"""Matching is one to one, brightest first, and chance is measured by shifts."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from evaluate_samples import cone_coverage, random_sky

from fermi_unek.errors import InputError
from fermi_unek.evaluate.match import SKY_SHIFTS_DEG, Matcher, field_shifts, match

NONE = np.zeros(0)


def brute_force(lon, lat, brightness, det_lon, det_lat, radius_deg):
    """The rule of DESIGN.md, word for word."""
    truth = SkyCoord(lon, lat, unit="deg")
    found = SkyCoord(det_lon, det_lat, unit="deg")
    free = np.ones(len(found), bool)
    pairs = {}
    for i in np.argsort(-brightness, kind="stable"):
        separation = np.where(free, truth[i].separation(found).deg, np.inf)
        if len(separation) and separation.min() <= radius_deg:
            pairs[int(i)] = int(separation.argmin())
            free[separation.argmin()] = False
    return pairs


def test_the_rule_agrees_with_brute_force_in_a_crowded_field():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-2, 2, 120) % 360, rng.uniform(-2, 2, 120)
    det_lon, det_lat = rng.uniform(-2, 2, 100) % 360, rng.uniform(-2, 2, 100)
    brightness = rng.exponential(1, 120)
    found = match(lon, lat, brightness, det_lon, det_lat, 0.3)
    assert dict(zip(found.truth.tolist(), found.detection.tolist(), strict=True)) == brute_force(
        lon, lat, brightness, det_lon, det_lat, 0.3
    )
    expected = SkyCoord(lon, lat, unit="deg")[found.truth].separation(
        SkyCoord(det_lon, det_lat, unit="deg")[found.detection]
    )
    np.testing.assert_allclose(found.separation_deg, expected.deg, atol=1e-9)


def test_of_two_detections_of_one_source_the_nearer_is_true():
    found = match(np.array([10.0]), np.array([0.0]), np.array([1.0]), [10.2, 10.1], [0.0, 0.0])
    assert found.truth_of_detection.tolist() == [-1, 0]


def test_of_two_sources_at_one_detection_the_brighter_is_found():
    found = match(
        np.array([10.0, 10.2]), np.zeros(2), np.array([1.0, 5.0]), np.array([10.05]), np.zeros(1)
    )
    assert found.truth_found.tolist() == [False, True]


def test_the_fainter_source_gets_what_the_brighter_leaves():
    found = match(
        np.array([10.0, 10.2]),
        np.zeros(2),
        np.array([1.0, 5.0]),
        np.array([10.1, 10.25]),
        np.zeros(2),
    )
    assert found.truth_of_detection.tolist() == [0, 1]


def test_a_source_of_unknown_brightness_chooses_last():
    found = match(
        np.array([10.0, 10.0]), np.zeros(2), np.array([np.nan, 1.0]), np.array([10.0]), np.zeros(1)
    )
    assert found.truth_found.tolist() == [False, True]


def test_sources_match_across_zero_longitude_and_over_the_pole():
    found = match(
        np.array([359.9, 0.0]), np.array([0.0, 89.9]), np.ones(2), [0.1, 180.0], [0.0, 89.9]
    )
    assert found.truth_of_detection.tolist() == [0, 1]


@pytest.mark.parametrize(("n_truth", "n_found"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_on_one_side_matches_nothing(n_truth, n_found):
    zeros = np.zeros
    matcher = Matcher(
        zeros(n_truth), zeros(n_truth), zeros(n_truth), zeros(n_found), zeros(n_found)
    )
    assert matcher.match().truth.size == 0
    truth, found = matcher.chance()
    np.testing.assert_array_equal(truth, np.zeros(n_truth))
    np.testing.assert_array_equal(found, np.zeros(n_found))


def test_a_detection_below_the_threshold_leaves_its_source_to_the_next():
    matcher = Matcher(
        np.array([10.0]), np.zeros(1), np.ones(1), np.array([10.01, 10.2]), np.zeros(2)
    )
    assert matcher.match().detection.tolist() == [0]
    assert matcher.match(np.array([False, True])).detection.tolist() == [1]
    assert matcher.match(np.array([False, False])).detection.tolist() == []


def test_chance_matches_on_an_even_sky_come_at_the_rate_geometry_says():
    rng = np.random.default_rng(1)
    n = 20_000
    lon, lat = random_sky(2000, rng)
    matcher = Matcher(lon, lat, rng.random(2000), *random_sky(n, rng), radius_deg=0.5)
    truth, found = matcher.chance()
    cap = (1 - np.cos(np.radians(0.5))) / 2
    alone = 1 - np.exp(-n * cap)
    # sources so sparse that they hardly ever compete
    assert truth.mean() == pytest.approx(alone, abs=0.01)
    assert found.mean() == pytest.approx(truth.mean() * 2000 / n, rel=1e-9)


def test_chance_is_not_fooled_by_detections_that_are_all_true():
    rng = np.random.default_rng(2)
    lon, lat = random_sky(500, rng)
    truth, _ = Matcher(lon, lat, np.ones(500), lon, lat, radius_deg=0.3).chance()
    assert match(lon, lat, np.ones(500), lon, lat).truth_found.all()
    assert truth.mean() < 0.01


def test_in_a_field_chance_counts_only_where_the_shifted_field_overlaps():
    rng = np.random.default_rng(3)
    n = 1500

    def inside(lon, lat):
        return (np.abs((lon + 180) % 360 - 180) < 5) & (np.abs(lat) < 5)

    lon, lat = rng.uniform(-5, 5, 300), rng.uniform(-5, 5, 300)
    found_lon, found_lat = rng.uniform(-5, 5, n), rng.uniform(-5, 5, n)
    matcher = Matcher(
        lon, lat, rng.random(300), found_lon, found_lat, 0.1, (-3.0, 3.0), inside=inside
    )
    truth, _ = matcher.chance()
    alone = 1 - np.exp(-n / 100 * np.pi * 0.1**2)
    assert np.nanmean(truth) == pytest.approx(alone, abs=0.05)
    # without the rule the shifted-out part would dilute it
    all_of_it = Matcher(lon, lat, rng.random(300), found_lon, found_lat, 0.1, (-3.0, 3.0))
    assert all_of_it.chance()[0].mean() < 0.8 * alone


def test_what_no_shift_can_count_is_undefined():
    matcher = Matcher(
        np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1), np.zeros(1),
        inside=lambda lon, lat: np.abs((lon + 180) % 360 - 180) < 5,
    )  # fmt: skip
    assert np.isnan(matcher.chance()[0]).all()


def test_the_shifts_suit_the_field():
    assert field_shifts(None) == SKY_SHIFTS_DEG
    assert field_shifts(np.ones(12 * 4**9, bool)) == SKY_SHIFTS_DEG
    assert field_shifts(np.zeros(12 * 4**9, bool)) == SKY_SHIFTS_DEG
    assert field_shifts(cone_coverage(40, 10, 80)) == SKY_SHIFTS_DEG
    shifts = np.array(field_shifts(cone_coverage(302.2, 60.0, 9)))
    np.testing.assert_allclose(np.abs(shifts) * 0.5, [5.4, 4.5, 3.6, 3.6, 4.5, 5.4], rtol=0.05)
    assert np.all(np.abs(field_shifts(cone_coverage(0, 90, 5))) <= 30.5)


@pytest.mark.parametrize("radius", [0.0, -1.0, 90.0, np.nan])
def test_an_impossible_radius_is_refused(radius):
    with pytest.raises(InputError, match="matching radius"):
        match(NONE, NONE, NONE, NONE, NONE, radius)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="truth_lat and truth_lon"):
        match(NONE, np.zeros(1), NONE, NONE, NONE)
    with pytest.raises(InputError, match="truth_brightness and truth_lon"):
        match(NONE, NONE, np.zeros(1), NONE, NONE)
    with pytest.raises(InputError, match="det_lat and det_lon"):
        match(NONE, NONE, NONE, NONE, np.zeros(1))
