"""Candidates become classified candidates, whatever years and bins there are."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from classify_samples import SMALL, small_network, some_evidence, two_close_sources

from fermi_unek.catalog import Candidates
from fermi_unek.classify.calibration import ClassCalibration
from fermi_unek.classify.classes import (
    as_input,
    classify,
    run_classifier,
    usable_years,
)
from fermi_unek.classify.features import (
    CandidateFeatures,
    exposure_of_layers,
    exposure_per_year,
    gather,
    layer_years,
)
from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.irf.exposure import ExposureFile
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument, sin_declination
from fermi_unek.nets.classifier_weights import ClassifierFile
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.bins import YEAR_S
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.io.healpix import Scheme
from fermi_unek.sky.layers import with_layers
from fermi_unek.sky.maps import EnergyMap, HealpixGrid
from fermi_unek.sky.selection import Selection

FIELD = (30.0, 50.0, 6.0)


@pytest.fixture(scope="module")
def sky():
    return simulate_counts(two_close_sources(), 3.0, np.random.default_rng(4), FIELD, yearly=True)


def candidates(*places):
    lon, lat = np.array(places, float).reshape(-1, 2).T
    one = np.ones(len(lon))
    return Candidates(lon, lat, 0.9 * one, 0.05 * one, 0.05 * one, 0 * one, one > 2)


def classifier(**calibration):
    return ClassifierFile(small_network(), calibration)


def test_probabilities_of_a_candidate_sum_to_one_and_its_photons_are_counted(sky):
    done = classify(sky, candidates((30.0, 50.0), (30.0, 50.9)), classifier())
    np.testing.assert_allclose(done.class_probabilities.sum(axis=1), 1.0, atol=1e-9)
    assert done.counts[0, 2] > 0
    np.testing.assert_array_equal(done.lon_deg, [30.0, 30.0])


def test_fake_is_what_reaches_the_cut(sky):
    spots = candidates((30.0, 50.0), (30.0, 50.9))
    assert classify(sky, spots, classifier(fake_cut=0.0)).fake.all()
    assert not classify(sky, spots, classifier(fake_cut=1.0)).fake.any()


def test_without_times_one_layer_is_used_and_it_is_said(sky):
    with pytest.warns(UnekWarning, match="no times"):
        done = classify(replace(sky, years=()), candidates((30.0, 50.0)), classifier())
    assert np.isfinite(done.class_probabilities).all()


def test_years_beyond_the_sixteenth_are_left_out_and_it_is_said(sky):
    with pytest.warns(UnekWarning, match="18 years of photons"):
        assert len(usable_years(replace(sky, years=sky.years * 6)).years) == 16


def test_no_candidate_stays_no_candidate(sky):
    assert len(classify(sky, Candidates.empty(), classifier())) == 0


def test_an_absent_bin_is_counted_as_not_known(sky):
    def lacking(one):
        return replace(one, bins=(None, *one.bins[1:]), years=())

    layers = tuple(lacking(one) for one in sky.years)
    done = classify(replace(lacking(sky), years=layers), candidates((30.0, 50.0)), classifier())
    assert np.isnan(done.counts[0, 0])
    assert np.isfinite(done.class_probabilities).all()


@pytest.mark.parametrize("n_years", [1, 2, 10, 16])
def test_any_number_of_years_in_any_order_gives_the_same_kind_of_answer(n_years):
    features = some_evidence(5, n_years)
    network = small_network()
    logits = run_classifier(network, features)
    assert logits.shape == (5, 5)
    assert np.isfinite(logits).all()
    order = np.random.default_rng(0).permutation(n_years)
    shuffled = replace(
        features, **{n: getattr(features, n)[:, order] for n in ("net", "core", "exposure")}
    )
    np.testing.assert_allclose(run_classifier(network, shuffled), logits, atol=1e-4)


def test_years_without_exposure_say_nothing():
    features = some_evidence(5, 4)
    padded = replace(
        features,
        **{
            name: np.concatenate([getattr(features, name), np.zeros((5, 3, 6), np.float32)], 1)
            for name in ("net", "core", "exposure")
        },
    )
    network = small_network()
    np.testing.assert_allclose(
        run_classifier(network, padded), run_classifier(network, features), atol=1e-4
    )


def test_bins_without_exposure_leave_finite_answers():
    features = some_evidence(4)
    empty = {
        n: np.zeros_like(getattr(features, n))
        for n in CandidateFeatures.__annotations__
        if n != "probability"
    }
    assert np.isfinite(run_classifier(small_network(), replace(features, **empty))).all()


def test_exposure_is_that_of_the_tables_averaged_over_the_bin():
    vectors = lonlat_to_vectors(np.array([10.0, 200.0]), np.array([-30.0, 60.0]))
    front = load_instrument().front
    fine = front.exposure(sin_declination(vectors))
    inside = (FINE_ENERGIES_MEV > 1000) & (FINE_ENERGIES_MEV < 2000)
    middle = exposure_per_year(vectors, "front")[:, 2]
    assert np.all((middle > 0.95 * fine[inside].min(0)) & (middle < 1.05 * fine[inside].max(0)))
    both = exposure_per_year(vectors, "all")
    parts = exposure_per_year(vectors, "front") + exposure_per_year(vectors, "back")
    np.testing.assert_allclose(both, parts)


def test_layers_of_unknown_length_share_the_time_or_are_taken_for_years(sky):
    unknown = tuple(replace(one, livetime_years=float("nan")) for one in sky.years)
    np.testing.assert_allclose(layer_years(replace(sky, years=unknown)), 1.0)
    with pytest.warns(UnekWarning, match="do not say how long"):
        years = layer_years(replace(sky, years=(), livetime_years=float("nan")))
    np.testing.assert_allclose(years, 10.0)


def test_a_longer_observation_means_more_exposure(sky):
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    chance = np.array([0.9])
    short = gather(sky, vectors, chance, shape=SMALL).exposure
    double = tuple(replace(one, livetime_years=2.0) for one in sky.years)
    np.testing.assert_allclose(
        gather(replace(sky, years=double), vectors, chance, shape=SMALL).exposure,
        2.0 * short,
        rtol=1e-6,
    )


NODES = FINE_ENERGIES_MEV[::2]
SCHEME = Scheme(6, True, True, None, 0, ("ENERGY1",), False, False)
EVERYWHERE = ExposureFile(
    Path("map.fits"),
    load_instrument(),
    map=EnergyMap(
        Path("map.fits"), "exposure", NODES, np.full((len(NODES), 12 * 64**2), 3e11), 1.0,
        HealpixGrid(SCHEME, None), Selection(),
    ),
)  # fmt: skip
"""A map of 3e11 cm2 s, twice to five times what three years of survey give."""


@pytest.mark.parametrize("event_type", ["front", "back", "all"])
def test_a_map_of_the_exposure_is_shared_out_among_the_years(sky, event_type):
    vectors = lonlat_to_vectors(np.array([30.0, 38.0]), np.array([50.0, 50.0]))
    for known in (sky, replace(sky, livetime_years=float("nan"))):
        known = replace(known, event_type=event_type)
        shares = exposure_of_layers(known, vectors, EVERYWHERE)
        assert shares.shape == (1, 2, 3, 6)
        np.testing.assert_allclose(shares.sum(axis=2), 3e11, rtol=0.02)
        np.testing.assert_allclose(shares[:, :, 1], shares[:, :, 0], rtol=0.01)


def test_a_map_of_the_exposure_needs_no_live_time(sky):
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    one_layer = replace(sky, years=(), livetime_years=float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exposure = exposure_of_layers(one_layer, vectors, EVERYWHERE)
    np.testing.assert_allclose(exposure, 3e11, rtol=0.02)


def test_without_a_live_time_that_of_the_livetime_cube_counts(sky):
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    span = (0.0, 4.0 * YEAR_S)
    cube = ExposureFile(Path("cube.fits"), load_instrument(), Selection(spans_met=(span,)))
    one_layer = replace(sky, years=(), livetime_years=float("nan"))
    expected = 4.0 * exposure_per_year(vectors, "front")
    np.testing.assert_allclose(exposure_of_layers(one_layer, vectors, cube)[0, :, 0], expected)
    expected = exposure_of_layers(sky, vectors)
    np.testing.assert_allclose(exposure_of_layers(sky, vectors, cube), expected)


def test_the_exposure_that_is_given_is_what_classes_are_made_from(sky):
    spots = candidates((30.0, 50.0), (30.0, 50.9))
    own = classify(sky, spots, classifier()).class_probabilities
    given = classify(sky, spots, classifier(), exposure=EVERYWHERE).class_probabilities
    assert not np.allclose(given, own, atol=1e-4)
    expected = gather(
        sky,
        lonlat_to_vectors(spots.lon_deg, spots.lat_deg),
        spots.probability,
        shape=SMALL,
    )
    expected = replace(expected, exposure=np.full_like(expected.exposure, 1e11))
    logits = run_classifier(small_network(), expected)
    chances = ClassCalibration().probabilities(logits, spots.probability, spots.lat_deg)
    np.testing.assert_allclose(given, chances, atol=0.01)


def test_evidence_of_different_lengths_is_refused():
    features = some_evidence(3)
    with pytest.raises(InputError, match="different numbers of candidates"):
        replace(features, probability=features.probability[:2])


def test_calibration_scales_and_shifts_logits_of_its_latitudes():
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.3, 0.1]] * 2))
    half, lat = np.array([0.5, 0.5]), np.array([-2.0, 40.0])
    np.testing.assert_allclose(ClassCalibration().probabilities(logits, half, lat), np.exp(logits))
    nothing = (0.0,) * 5
    calibration = ClassCalibration(offsets=((0.0, 0.0, 0.0, 0.0, 2.0), nothing, nothing))
    shifted = calibration.probabilities(logits, half, lat)
    assert shifted[0, 4] == pytest.approx(0.1 * np.exp(2) / (0.9 + 0.1 * np.exp(2)))
    assert shifted[1, 4] == pytest.approx(0.1)
    none = np.zeros(0)
    assert ClassCalibration().probabilities(np.zeros((0, 5)), none, none).shape == (0, 5)


def test_a_band_of_latitude_has_its_own_cut():
    cuts = ClassCalibration.from_mapping({"fake_cut": [0.9, 0.5, 0.7]})
    lat, ones = np.array([3.0, -10.0, 60.0, -89.0]), np.ones(4, int)
    # of old files: the same whatever was given
    for bins, layers in ((6, 1), (2, 1), (6, 2)):
        flagged = cuts.fake(np.full(4, 0.8), lat, bins * ones, layers * ones)
        np.testing.assert_array_equal(flagged, [False, True, True, True])
    one = ClassCalibration.from_mapping({"fake_cut": 0.7, "scales": [1.0, 1.0, 1.0, 1.0, 2.0]})
    assert one.fake_cut == (((0.7, 0.7, 0.7),),) * 2
    assert one.scales == ((1.0, 1.0, 1.0, 1.0, 2.0),) * 3


def test_the_cut_depends_on_how_many_bins_and_layers_there_are():
    one, more = [[0.9] * 3, [0.7] * 3, [0.5] * 3], [[0.8] * 3, [0.6] * 3, [0.4] * 3]
    cuts = ClassCalibration.from_mapping({"fake_bins": [2, 4, 6], "fake_cut": [one, more]})
    bins, layers = np.array([1, 2, 3, 5, 6, 6]), np.array([1, 1, 1, 1, 1, 2])
    at = np.array([0.9, 0.9, 0.8, 0.6, 0.5, 0.4])
    assert cuts.fake(at + 1e-9, 50.0 * np.ones(6), bins, layers).all()
    assert not cuts.fake(at - 1e-9, 50.0 * np.ones(6), bins, layers).any()
    assert ClassCalibration.from_mapping(cuts.as_mapping()) == cuts
    none = np.zeros(0)
    assert cuts.fake(none, none, none.astype(int), none.astype(int)).shape == (0,)
    with pytest.raises(InputError, match="weights and cuts of shapes"):
        ClassCalibration.from_mapping({"fake_bins": [2, 6], "fake_cut": [one, more]})


@pytest.fixture(scope="module")
def layered():
    layers = [
        simulate_counts(
            two_close_sources(event_type), 3.0, np.random.default_rng(k), FIELD, yearly=True
        )
        for k, event_type in enumerate(("front", "back"))
    ]
    return with_layers(layers)


def test_the_photons_of_both_layers_are_counted_and_a_classifier_may_be_told_of_their_psf(layered):
    file = ClassifierFile(small_network(replace(SMALL, layers=True)), {})
    spots = candidates((30.0, 50.0), (30.0, 50.9))
    done = classify(layered, spots, file)
    each = [classify(layer, spots, file).counts for layer in layered.layers]
    np.testing.assert_array_equal(done.counts, each[0] + each[1])
    np.testing.assert_allclose(done.class_probabilities.sum(axis=1), 1.0)
    features = some_evidence(3)
    wider = replace(features, spread=features.spread + 0.5)
    told, deaf = (small_network(replace(SMALL, layers=yes)) for yes in (True, False))
    assert not np.allclose(run_classifier(told, wider), run_classifier(told, features))
    np.testing.assert_array_equal(run_classifier(deaf, wider), run_classifier(deaf, features))


def test_exposure_of_layers_is_that_of_each_and_a_map_of_one_serves_both(layered):
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    found = exposure_of_layers(layered, vectors)
    alone = [exposure_of_layers(layer, vectors)[0] for layer in layered.layers]
    np.testing.assert_allclose(found, alone)
    features = gather(layered, vectors, np.array([0.9]), shape=SMALL)
    np.testing.assert_allclose(features.exposure, found.sum(axis=0), rtol=1e-6)
    assert np.all(features.spread > 0.0)
    assert np.all(features.observed > 0.9)
    of_both = exposure_of_layers(layered, vectors, EVERYWHERE)
    np.testing.assert_allclose(of_both.sum(axis=(0, 2)), 3e11, rtol=0.02)
    typed = replace(EVERYWHERE, selection=Selection(event_type=1))
    front = exposure_of_layers(layered, vectors, typed)[0]
    np.testing.assert_allclose(front.sum(axis=1), 3e11, rtol=0.02)


def test_a_bin_that_was_observed_in_part_has_part_of_its_exposure(sky):
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    whole = exposure_of_layers(sky, vectors)
    known = exposure_of_layers(replace(sky, intervals_mev=((300.0, 1e6),)), vectors)
    np.testing.assert_allclose(known, whole, rtol=1e-12)
    above = exposure_of_layers(replace(sky, intervals_mev=((10_000.0, 2e6),)), vectors)
    # photons of a power law of index 2.4 from 10 to 20 GeV, of those from 7
    part = (10.0**-1.4 - 20.0**-1.4) / (7.0**-1.4 - 20.0**-1.4)
    np.testing.assert_allclose(above[..., 4:] / whole[..., 4:], [[[[part, 1.0]] * 3]], rtol=1e-6)


def test_a_faint_source_costs_fake_less_than_a_bright_one():
    chances = np.full((3, 5), 0.2)
    logits = np.zeros((3, 6))
    logits[:, 5] = [-30.0, 0.0, 30.0]
    half, calibration = np.full(3, 0.5), ClassCalibration()
    against = calibration.against_bright(chances, logits, half)
    np.testing.assert_allclose(against, [1.0, 0.2, 0.0], atol=1e-9)
    np.testing.assert_allclose(calibration.against_bright(chances, logits[:, :5], half), 0.2)
    by_finder = ClassCalibration(fake_weights=(0.0, 0.0, 1.0))
    against = by_finder.against_bright(chances, logits, np.array([0.2, 0.5, 0.9]))
    np.testing.assert_allclose(against, [0.8, 0.5, 0.1])


def test_raw_numbers_of_another_localizer_are_not_used(sky):
    finder = small_network(replace(SMALL, finder=True))
    file = ClassifierFile(finder, {}, {"localizer sha256": "own"})
    one = np.ones(1)
    spots = replace(candidates((30.0, 50.0)), peak=0.2 * one, area=0.02 * one)
    told = classify(sky, spots, file, localizer="own").class_probabilities
    other = classify(sky, spots, file, localizer="other").class_probabilities
    unknown = classify(sky, candidates((30.0, 50.0)), file, localizer="own").class_probabilities
    assert not np.allclose(told, other)
    np.testing.assert_array_equal(other, unknown)
    np.testing.assert_allclose(other.sum(axis=1), 1.0)


def test_a_source_the_localizer_doubts_is_more_of_a_fake():
    logits = np.log(np.full((2, 5), 0.2))
    high = np.array([50.0, 50.0])
    chances = ClassCalibration(doubt=1.0).probabilities(logits, np.array([0.25, 0.5]), high)
    assert chances[0, 4] == pytest.approx(3.0 / 7.0)
    np.testing.assert_allclose(chances[1], 0.2)


def test_a_calibration_of_other_keys_or_length_is_refused():
    with pytest.raises(InputError, match=r"holds \['temperature'\]"):
        ClassCalibration.from_mapping({"temperature": 1.0})
    with pytest.raises(InputError, match="weights and cuts of shapes"):
        ClassCalibration(scales=(1.0,))


def test_tensors_have_the_names_and_shapes_of_the_evidence():
    features = some_evidence(2)
    given = as_input(features)
    assert given.net.dtype == torch.float32
    for name in CandidateFeatures.__annotations__:
        assert tuple(getattr(given, name).shape) == getattr(features, name).shape
