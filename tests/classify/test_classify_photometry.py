"""Fluxes fitted in stamps are those the sky was simulated with."""

from __future__ import annotations

import numpy as np
import pytest
from classify_samples import two_close_sources

from fermi_unek.classify.photometry import measure, neighbour_offsets_deg, pixel_profile
from fermi_unek.classify.stamps import coverage_of, cut_stamps, geometry_of
from fermi_unek.nets.classifier import ClassifierShape
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

SHAPE = ClassifierShape()
STAMPS = geometry_of(SHAPE)

YEARS = 4.0


@pytest.fixture(scope="module")
def fitted():
    model = two_close_sources()
    rng = np.random.default_rng(2)
    factors = np.array([[1.0, 1.0, 1.0, 1.0], [0.4, 1.6, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    sky = simulate_counts(model, YEARS, rng, (30.0, 50.0, 9.0), yearly=True, factors=factors)
    stamps = cut_stamps(sky, model.vectors, STAMPS)
    covered = coverage_of(sky, model.vectors, STAMPS)
    found = measure(stamps, covered, model.vectors, model.vectors, "front", SHAPE)
    return model, found


def test_two_sources_within_one_psf_are_told_apart(fitted):
    model, found = fitted
    expected = model.expected_counts * YEARS
    pull = (found.net.sum(axis=1) - expected) / found.error
    # five standard deviations for eighteen numbers
    assert np.abs(pull[:, :4]).max() < 5.0
    alone = (found.net_alone - expected) / found.error_alone
    # without the neighbour the fainter of the pair takes photons of the brighter
    assert np.abs(alone[1, :2]).max() > np.abs(pull[1, :2]).max()


def test_the_flux_of_a_year_follows_the_source(fitted):
    _, found = fitted
    years = found.net[:, :, :4].sum(axis=2)
    assert years[1, 1] / years[1, 0] == pytest.approx(4.0, rel=0.4)
    assert years[2, 1] / years[2, 0] == pytest.approx(1.0, rel=0.3)


def test_what_the_core_holds_beyond_the_source_is_expected(fitted):
    model, found = fitted
    core = found.core.sum(axis=1)
    net = core - found.core_background
    # a core holds one to two thirds of the photons of its source
    share = net[2] / (model.expected_counts[2] * YEARS)
    assert np.all((share[:4] > 0.25) & (share[:4] < 0.85))


def test_a_profile_holds_most_photons_and_falls_outwards():
    for b in range(N_BINS):
        step = STAMPS.sides_deg[b] / STAMPS.pixels
        distance, share = pixel_profile(b, step, "front")
        centres = STAMPS.centres_deg(b)
        x, y = np.meshgrid(centres, centres)
        total = np.interp(np.hypot(x, y), distance, share).sum()
        assert 0.75 < total < 1.02
        assert np.all(np.diff(share) <= 1e-9)
        assert SHAPE.core_deg[b] < STAMPS.sides_deg[b] / 2


def test_neighbours_are_the_nearest_others():
    vectors = lonlat_to_vectors(np.array([10.0, 11.0, 10.0]), np.array([0.0, 0.0, 2.0]))
    offsets = neighbour_offsets_deg(vectors, vectors)
    # columns grow towards smaller longitude
    np.testing.assert_allclose(offsets[0, 0], [-1.0, 0.0], atol=0.01)
    np.testing.assert_allclose(offsets[0, 1], [0.0, 2.0], atol=0.01)
    assert np.isnan(offsets[:, 2:]).all()
    assert np.isnan(neighbour_offsets_deg(vectors, np.zeros((0, 3)))).all()


def test_an_absent_bin_measures_zero():
    stamps = np.zeros((1, 1, N_BINS, 12, 12), np.uint16)
    covered = np.zeros((1, N_BINS, 12, 12), bool)
    vectors = lonlat_to_vectors(np.array([1.0]), np.array([2.0]))
    found = measure(stamps, covered, vectors, vectors, "front", SHAPE)
    for value in (found.net, found.error, found.net_alone, found.core, found.core_background):
        assert not value.any()
