"""How much the residuals of a region scatter, and what that makes of the errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measure_samples import PLACES, flat_sky, small_sky

from fermi_unek.measure.bands import fit_bands, upper_limit
from fermi_unek.measure.fit import covariance, optimize
from fermi_unek.measure.pixels import PixelCounts
from fermi_unek.measure.region import divide, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.scatter import covariance_beyond_noise, residual, scatter_of, with_scatter
from fermi_unek.measure.spectra import INDEX_MEAN, index_penalty, log_parabola, power_law
from fermi_unek.measure.state import SourceState
from fermi_unek.measure.templates import psf_at
from fermi_unek.measure.window import RegionSky
from fermi_unek.simulate.population import dr2_table
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

AMPLITUDES = (8e-13, 4e-13)
RADIUS_DEG = 4.0


@pytest.fixture(scope="module")
def task():
    counts = PixelCounts(small_sky())
    states = [
        SourceState(*place, amplitude) for place, amplitude in zip(PLACES, AMPLITUDES, strict=True)
    ]
    region = divide(np.array([one.vector for one in states]), np.array(AMPLITUDES))[0]
    return make_task(region, states, counts, build_response(counts), flat_sky())


def drawn(task, seed, more=None):
    """The region with photons drawn from its own model, and more emission in the first bin."""
    sky = RegionSky(task.data, task.states)
    expected = [sky.expected(b) + diffuse for b, diffuse in enumerate(task.data.diffuse)]
    if more is not None:
        expected[0] = expected[0] + more
    rng = np.random.default_rng(seed)
    counts = tuple(rng.poisson(one).astype(float) for one in expected)
    return RegionSky(replace(task.data, counts=counts), task.states)


def unlisted(task, number=40, photons=60.0):
    """Light of sources that nobody listed, in the first energy bin."""
    pixels = task.data.pixels[0]
    profile = task.data.grouping.mean_profile(0)[None]
    chosen = np.random.default_rng(1).choice(len(pixels.pixels), number, replace=False)
    light = [psf_at(pixels.vectors @ pixels.vectors[one], profile)[0] for one in chosen]
    return photons * pixels.area_sr * np.sum(light, axis=0)


def scatter(sky, task):
    return scatter_of(sky, task.region.centre, RADIUS_DEG)


def noise(sky, b, task):
    """Variance by noise of a flux in the middle of nowhere."""
    place = lonlat_to_vectors(np.array(197.5), np.array(48.5))
    return residual(sky, b, place)[1]


def test_a_region_that_is_as_its_model_scatters_as_photons_do(task):
    found = []
    for seed in range(4):
        sky = drawn(task, seed)
        found.append(np.diag(scatter(sky, task)) / [noise(sky, b, task) for b in range(6)])
    assert np.all(np.mean(found, axis=0) < 0.5)


def test_unlisted_sources_are_seen_in_the_scatter(task):
    sky = drawn(task, 7, unlisted(task))
    found = np.diag(scatter(sky, task))
    assert found[0] > 1.5 * noise(sky, 0, task)
    for b in range(2, 6):
        assert found[b] < noise(sky, b, task)


def test_the_level_of_the_diffuse_emission_is_no_scatter(task):
    more = 0.3 * task.data.diffuse[0]
    sky = drawn(task, 1, more)
    assert scatter(sky, task)[0, 0] < noise(sky, 0, task)


def test_a_residual_holds_the_photons_of_a_source_that_nobody_listed(task):
    sky = drawn(task, 3, unlisted(task, 1, 400.0))
    pixels = task.data.pixels[0]
    place = pixels.vectors[np.random.default_rng(1).choice(len(pixels.pixels), 1)[0]]
    photons, variance = residual(sky, 0, place)
    assert abs(photons - 400.0) < 4.0 * np.sqrt(variance)


def test_nothing_is_told_of_the_place_of_a_known_source_or_of_no_data(task):
    sky = drawn(task, 3)
    for place in (task.states[0].vector, -task.states[0].vector):
        assert np.isnan(residual(sky, 1, place)).all()
    assert not scatter_of(sky, -task.region.centre, 1.0).any()


def test_what_all_bins_have_in_common_is_told_from_what_one_has_alone():
    rng = np.random.default_rng(2)
    variance = np.array([400.0, 200.0, 100.0, 50.0, 10.0, 5.0])
    spectrum = np.array([8.0, 6.0, 4.0, 3.0, 1.0, 0.5])
    flux = rng.normal(0.0, 1.0, (4000, 1)) * spectrum
    flux = flux + rng.normal(0.0, 1.0, (4000, 6)) * np.sqrt(variance)
    flux[:, 1] += rng.normal(0.0, 12.0, 4000)
    flux[0, 2] = 1e4  # a source that the list has not
    flux[1, 3] = np.nan
    found = covariance_beyond_noise(flux, np.tile(variance, (4000, 1)), spectrum)
    assert found[0, 2] == pytest.approx(spectrum[0] * spectrum[2], rel=0.25)
    assert found[1, 1] == pytest.approx(144.0 + spectrum[1] ** 2, rel=0.15)
    assert found[4, 4] < 1.0 + 0.6


def test_a_few_places_tell_no_scatter():
    flux = np.full((5, 6), 100.0)
    assert not covariance_beyond_noise(flux, np.full((5, 6), 1e3), np.ones(6)).any()


def test_the_scatter_adds_to_the_error_of_a_flux_what_it_adds_to_the_photons(task):
    dataset, sources = drawn(task, 5).window(0)
    source = sources[0]
    source.spectral.index.frozen = True
    optimize(dataset)
    plain = covariance(dataset)
    assert with_scatter(dataset, source, plain, np.zeros((6, 6))) is plain
    photons = source.counts().sum(axis=1)
    # every bin lacks a tenth of the source's own photons, all at once
    wider = with_scatter(dataset, source, plain, 0.01 * np.outer(photons, photons))
    before, after = (one.get_subcovariance([source.amplitude]).data[0, 0] for one in (plain, wider))
    assert np.sqrt(after - before) == pytest.approx(0.1 * source.amplitude.value, rel=0.01)


def test_the_scatter_of_a_bin_adds_to_its_error_and_to_the_limit(task):
    sky = drawn(task, 5)
    dataset, sources = sky.window(0)
    source, grouping = sources[0], task.data.grouping
    optimize(dataset)
    photons = source.counts().sum(axis=1)
    nothing, tenth = np.zeros((6, 6)), 0.01 * np.outer(photons, photons)
    plain = fit_bands(dataset, source, grouping, nothing)
    wider = fit_bands(dataset, source, grouping, tenth)
    for one, other in zip(plain, wider, strict=True):
        assert other.norm == one.norm
        assert other.ts == one.ts
        assert other.upper == pytest.approx(np.hypot(one.upper, 0.1))
        assert one.lower <= other.lower <= max(one.norm, one.lower)
    limits = [upper_limit(dataset, source, scatter) for scatter in (nothing, tenth)]
    assert limits[1] > limits[0] > 1.0


def test_the_prior_of_the_index_is_that_of_4fgl():
    index = np.asarray(dr2_table()["PL_Index"], float)
    assert index_penalty(power_law(1e-12, index.mean(), 1e3)) < 0.01
    one_sigma = power_law(1e-12, index.mean() + index.std(), 1e3)
    assert index_penalty(one_sigma) == pytest.approx(1.0, abs=0.15)


def test_frozen_indices_and_curved_spectra_pay_nothing():
    frozen = power_law(1e-12, INDEX_MEAN + 1.0, 1e3)
    frozen.index.frozen = True
    assert index_penalty(frozen) == 0.0
    assert index_penalty(log_parabola(1e-12, INDEX_MEAN + 1.0, 0.1, 1e3)) == 0.0
