"""Matches at every threshold are those that matching anew at each of them gives."""

import numpy as np
import pytest
from evaluate_samples import random_sky

from fermi_unek.evaluate.match import Matcher
from fermi_unek.evaluate.threshold_scan import scan_thresholds, sum_from


def crowded(rng, n_truth=120, n_found=150, width=3.0):
    """So dense that every source has several detections to choose from, some of equal chance."""
    places = rng.uniform(0, width, (2, n_truth)), rng.uniform(0, width, (2, n_found))
    brightness = rng.choice([1.0, 2.0, 3.0, 4.0], n_truth)
    probability = np.round(rng.random(n_found), 2)
    matcher = Matcher(*places[0], brightness, *places[1], 0.3, shifts_deg=(-0.7, 0.4))
    return matcher, probability


@pytest.mark.parametrize("seed", range(4))
def test_every_step_equals_matching_anew(seed):
    matcher, probability = crowded(np.random.default_rng(seed))
    steps = matcher.scan(probability).steps
    for threshold in np.unique(probability):
        anew = matcher.match(probability >= threshold)
        np.testing.assert_array_equal(steps.found_at >= threshold, anew.truth_found)
        matched = np.zeros(len(probability), int)
        done = steps.change_at >= threshold
        np.add.at(matched, steps.detection[done], steps.change[done])
        np.testing.assert_array_equal(matched == 1, anew.truth_of_detection >= 0)


def test_rates_and_chance_equal_those_of_matching_anew():
    rng = np.random.default_rng(7)
    matcher, probability = crowded(rng)
    matcher = Matcher(
        *(getattr(matcher, n) for n in ("truth_lon", "truth_lat", "truth_brightness", "det_lon",
                                        "det_lat", "radius_deg", "shifts_deg")),
        inside=lambda lon, lat: lon < 2.5,
    )  # fmt: skip
    scan = matcher.scan(probability)
    truths, detections = rng.random(120) < 0.6, rng.random(150) < 0.6
    thresholds = np.array([-np.inf, 0.0, 0.31, 0.5, 0.9, 1.5])
    of_truth = scan.truth_rate(truths, thresholds)
    of_found = scan.detection_rate(detections, thresholds)
    for row, threshold in enumerate(thresholds):
        keep = probability >= threshold
        anew = matcher.match(keep)
        chance_truth, chance_found = matcher.chance(keep)
        assert of_truth.found[row] == (anew.truth_found & truths).sum()
        assert of_truth.total[row] == truths.sum()
        assert of_truth.chance[row] == pytest.approx(np.nanmean(chance_truth[truths]))
        assert of_found.found[row] == ((anew.truth_of_detection >= 0) & detections).sum()
        assert of_found.total[row] == (detections & keep).sum()
        known = chance_found[detections & keep]
        expected = np.nanmean(known) if np.isfinite(known).any() else np.nan
        assert of_found.chance[row] == pytest.approx(expected, nan_ok=True)


def test_a_nearer_newcomer_sends_the_old_detection_on_to_the_fainter_source():
    # detections A (0.9) and B (0.5); the bright source has both near, the faint one A alone
    truth, detection = np.array([0, 0, 1]), np.array([1, 0, 0])
    steps = scan_thresholds(2, truth, detection, np.array([0.9, 0.5]))
    assert steps.found_at.tolist() == [0.9, 0.5]
    assert steps.change_at.tolist() == [0.9, 0.5]
    assert steps.detection.tolist() == [0, 1]


def test_a_robbed_detection_is_no_longer_matched():
    truth, detection = np.array([0, 0]), np.array([1, 0])
    steps = scan_thresholds(1, truth, detection, np.array([0.9, 0.5]))
    assert list(zip(steps.change_at, steps.detection, steps.change, strict=True)) == [
        (0.9, 0, 1), (0.5, 1, 1), (0.5, 0, -1),
    ]  # fmt: skip


def test_without_pairs_nothing_is_ever_found():
    none = np.zeros(0, int)
    steps = scan_thresholds(2, none, none, np.array([0.5]))
    assert steps.found_at.tolist() == [-np.inf, -np.inf]
    assert steps.change.size == 0


def test_sums_reach_from_each_threshold_up():
    got = sum_from(np.array([0.2, 0.5, 0.5]), np.array([1.0, 2.0, 4.0]), np.array([0, 0.5, 0.6]))
    assert got.tolist() == [7, 6, 0]
    assert sum_from(np.zeros(0), np.zeros(0), np.array([0.5])).tolist() == [0]


def test_a_whole_sky_is_climbed_as_it_is_matched():
    rng = np.random.default_rng(3)
    lon, lat = random_sky(2000, rng)
    found = lon + rng.normal(0, 0.2, 2000)
    probability = rng.random(2000)
    matcher = Matcher(lon, lat, rng.random(2000), found, lat, 0.3)
    curve = matcher.scan(probability).detection_rate(np.ones(2000, bool), np.array([0.5]))
    assert curve.found[0] == len(matcher.match(probability >= 0.5).truth)
