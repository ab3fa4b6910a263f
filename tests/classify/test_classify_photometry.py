"""Fluxes fitted in stamps are those the sky was simulated with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classify_samples import two_close_sources

from fermi_unek.classify.features import exposure_per_year
from fermi_unek.classify.photometry import (
    LayerStamps,
    exposure_shares,
    measure,
    neighbour_offsets_deg,
    pixel_profile,
    psf_spread,
)
from fermi_unek.classify.stamps import coverage_of, cut_stamps, geometry_of
from fermi_unek.nets.classifier import ClassifierShape
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

SHAPE = ClassifierShape()
STAMPS = geometry_of(SHAPE)

YEARS = 4.0


FACTORS = np.array([[1.0, 1.0, 1.0, 1.0], [0.4, 1.6, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])


def layer_of(event_type):
    """A model and what a sky drawn from it shows around its sources."""
    model = two_close_sources(event_type)
    rng = np.random.default_rng(2)
    sky = simulate_counts(model, YEARS, rng, (30.0, 50.0, 9.0), yearly=True, factors=FACTORS)
    stamps = cut_stamps(sky.years, model.vectors, STAMPS)
    covered = coverage_of(sky, model.vectors, STAMPS)
    exposure = np.repeat(exposure_per_year(model.vectors, event_type)[:, None], 4, axis=1)
    return model, LayerStamps(stamps, covered, exposure, event_type)


@pytest.fixture(scope="module")
def front():
    return layer_of("front")


@pytest.fixture(scope="module")
def back():
    return layer_of("back")


@pytest.fixture(scope="module")
def fitted(front):
    model, layer = front
    return model, measure([layer], model.vectors, model.vectors, SHAPE)


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


def test_layers_that_are_fitted_together_give_the_photons_of_both(front, back):
    model, layers = front[0], [front[1], back[1]]
    found = measure(layers, model.vectors, model.vectors, SHAPE)
    expected = (model.expected_counts + back[0].expected_counts) * YEARS
    pull = (found.net.sum(axis=1) - expected) / found.error
    assert np.abs(pull[:, :4]).max() < 5.0
    core = sum(layer.counts.sum(axis=1) for layer in layers)
    alone = [measure([layer], model.vectors, model.vectors, SHAPE) for layer in layers]
    np.testing.assert_array_equal(found.core, alone[0].core + alone[1].core)
    assert np.all(found.core.sum(axis=1) <= core.sum(axis=(2, 3)))
    # what both layers know of the flux is known better than by either, relative to the photons
    relative = found.error / expected
    for one, (own, _) in zip(alone, (front, back), strict=True):
        assert np.all(relative < one.error / (own.expected_counts * YEARS))
    years = found.net[:, :, :4].sum(axis=2)
    assert years[1, 1] / years[1, 0] == pytest.approx(4.0, rel=0.3)


def test_noiseless_layers_give_their_source_back():
    """Where the photons are the model itself, every number follows from it."""
    vectors = lonlat_to_vectors(np.array([30.0]), np.array([50.0]))
    layers, photons = [], {"front": 300.0, "back": 200.0}
    for event_type, number in photons.items():
        counts = np.zeros((1, 1, N_BINS, 12, 12))
        for b in range(N_BINS):
            step = STAMPS.sides_deg[b] / STAMPS.pixels
            x, y = np.meshgrid(STAMPS.centres_deg(b), STAMPS.centres_deg(b))
            share = np.interp(np.hypot(x, y), *pixel_profile(b, step, event_type))
            counts[0, 0, b] = number * share + (5.0 if event_type == "front" else 9.0) + x
        exposure = np.full((1, 1, N_BINS), number)
        layers.append(LayerStamps(counts, np.ones((1, N_BINS, 12, 12), bool), exposure, event_type))
    found = measure(layers, vectors, vectors, SHAPE)
    np.testing.assert_allclose(found.net, 500.0, rtol=1e-3)
    np.testing.assert_allclose(found.net_alone, 500.0, rtol=1e-3)
    np.testing.assert_allclose(exposure_shares(layers)[:, 0, 0], [0.6, 0.4])
    # a layer without a bin leaves the other alone
    gone = replace(
        layers[1],
        counts=0.0 * layers[1].counts,
        covered=~layers[1].covered,
        exposure=0.0 * layers[1].exposure,
    )
    both = measure([layers[0], gone], vectors, vectors, SHAPE)
    alone = measure(layers[:1], vectors, vectors, SHAPE)
    for name in ("net", "error", "core_background"):
        np.testing.assert_allclose(getattr(both, name), getattr(alone, name), rtol=1e-4)


def test_the_psf_of_layers_kept_apart_is_sharper_than_that_of_their_sum(front, back):
    one = replace(front[1], event_type="all", exposure=front[1].exposure + back[1].exposure)
    spread = {
        "front": psf_spread([front[1]]),
        "apart": psf_spread([front[1], back[1]]),
        "sum": psf_spread([one]),
        "back": psf_spread([back[1]]),
    }
    np.testing.assert_allclose(spread["front"], 0.0, atol=1e-9)
    for narrow, wide in (("front", "apart"), ("apart", "sum"), ("sum", "back")):
        assert np.all(spread[narrow] < spread[wide])
    # FRONT's PSF is about half as wide as BACK's
    np.testing.assert_allclose(np.exp(spread["back"]), 2.0, rtol=0.25)


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
    layer = LayerStamps(stamps, covered, np.zeros((1, 1, N_BINS)), "front")
    found = measure([layer], vectors, vectors, SHAPE)
    for value in (found.net, found.error, found.net_alone, found.core, found.core_background):
        assert not value.any()
