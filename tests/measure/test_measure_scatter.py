"""How much the residuals of a region scatter, and what that makes of the errors."""

from __future__ import annotations

import numpy as np
import pytest
from measure_samples import FLUXES, INDEX, PLACES, flat_sky, source_table

from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure.data import region_data
from fermi_unek.measure.model import RegionModel
from fermi_unek.measure.response import build_response
from fermi_unek.measure.scatter import RANGES_MEV, Scatter, covariance_beyond_noise, scatter_of
from fermi_unek.measure.state import SourceState
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

RADIUS_DEG = 4.0
SEEDS = (5, 6, 7, 8)


def found(places, fluxes, seed=5):
    """The scatter of a sky of some sources, of which the list has the first two."""
    sky_model = build_sky_model(source_table(places, fluxes), flat_sky(), load_instrument())
    sky = simulate_counts(sky_model, 10.0, np.random.default_rng(seed), (200.0, 50.0, 6.0))
    states = [
        SourceState(*place, 1e-4 * flux, INDEX, 0.0, 2000.0)
        for place, flux in zip(PLACES, FLUXES, strict=True)
    ]
    centre = lonlat_to_vectors(*map(np.asarray, PLACES[0]))
    model = RegionModel(
        region_data(centre, RADIUS_DEG, [build_response(sky)], flat_sky()), states, 2
    )
    model.shapes = [2, 2]
    model.fit()
    expected = model.expected()
    return scatter_of(model, RADIUS_DEG, expected, model.grams(expected)[0])


def width(scatter):
    """Standard deviation of the flux of an ordinary source, 1 to 100 GeV, in the whole."""
    return np.sqrt(scatter.covariance.sum()) * 1e-14 * 1e3 / 1.3


def test_a_region_that_is_as_its_model_hardly_scatters():
    assert width(found(PLACES, FLUXES)) < 6e-11


def test_unlisted_sources_are_seen_in_the_scatter():
    rng = np.random.default_rng(1)
    number, flux = 60, 2.5e-10
    lon = 200.0 + rng.uniform(-6.0, 6.0, number)
    lat = 50.0 + rng.uniform(-4.0, 4.0, number)
    places = [*PLACES, *zip(lon.tolist(), lat.tolist(), strict=True)]
    uneven = [width(found(places, [*FLUXES, *[flux] * number], seed)) for seed in SEEDS]
    even = [width(found(PLACES, FLUXES, seed)) for seed in SEEDS]
    # at most places more than one of them shines in
    assert 2.0 * np.mean(even) < np.mean(uneven) < 2.0 * flux


def test_noise_alone_is_no_covariance_and_what_is_more_is_found():
    rng = np.random.default_rng(3)
    size = len(RANGES_MEV)
    known = np.diag([1.0, 2.0, 4.0, 8.0])
    noise = np.linalg.inv(known)
    more = 0.1 * np.ones((size, size)) + np.diag([0.2, 0.0, 0.0, 0.0])
    for covariance in (np.zeros((size, size)), more):
        factors = rng.multivariate_normal(np.zeros(size), noise + covariance, 20000)
        result = covariance_beyond_noise([(factor, known) for factor in factors])
        np.testing.assert_allclose(result, covariance, atol=0.05)


def test_few_places_tell_nothing():
    factor, known = np.full(4, 3.0), np.eye(4)
    assert not covariance_beyond_noise([(factor, known)] * 5).any()


def test_what_is_missing_adds_to_the_covariance_of_the_photons():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(6, 6))
    information = root @ root.T + np.eye(6)
    templates, covariance = rng.normal(size=(6, 2)), np.array([[0.5, 0.2], [0.2, 0.3]])
    lowered = Scatter(templates, covariance).lowered(information)
    expected = np.linalg.inv(information) + templates @ covariance @ templates.T
    np.testing.assert_allclose(np.linalg.inv(lowered), expected, rtol=1e-8)
    same = Scatter(templates, np.zeros((2, 2))).lowered(information)
    np.testing.assert_allclose(same, information)


@pytest.mark.parametrize("missing", [0.0, 4.0])
def test_errors_of_a_source_grow_with_what_may_be_missing(missing):
    """One channel: variances of photons add up."""
    scatter = Scatter(np.array([[1.0]]), np.array([[missing]]))
    assert scatter.lowered(np.array([[0.25]]))[0, 0] == pytest.approx(1.0 / (4.0 + missing))
