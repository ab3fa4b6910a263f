"""How much the residuals of a region scatter, and what the likelihood makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refit_samples import PLACES, flat_sky, small_sky

from fermi_unek.refit.bands import norm_profile
from fermi_unek.refit.dispersion import dispersion, significance, weights
from fermi_unek.refit.fit import covariance, optimize
from fermi_unek.refit.pixels import PixelCounts
from fermi_unek.refit.region import divide, make_task
from fermi_unek.refit.response import build_response
from fermi_unek.refit.spectra import INDEX_MEAN, index_penalty, log_parabola, power_law
from fermi_unek.refit.state import SourceState
from fermi_unek.refit.templates import psf_at
from fermi_unek.refit.window import RegionSky
from fermi_unek.simulate.population import dr2_table

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


def test_a_region_that_is_as_its_model_scatters_as_photons_do(task):
    centre = task.region.centre
    found = [dispersion(drawn(task, seed), 1, centre, RADIUS_DEG) for seed in range(4)]
    assert np.mean(found) < 1.2
    assert min(found) >= 1.0


def test_unlisted_sources_make_a_bin_count_for_less(task):
    sky = drawn(task, 7, unlisted(task))
    found = weights(sky, task.region.centre, RADIUS_DEG)
    assert found.shape == (6,)
    assert found[0] < 0.7
    assert np.all(found[1:] > 0.6)
    assert np.all(found <= 1.0)


def test_the_level_of_the_diffuse_emission_is_no_scatter(task):
    more = 0.3 * task.data.diffuse[0]
    found = [
        dispersion(drawn(task, seed, more), 0, task.region.centre, RADIUS_DEG)
        for seed in range(4)
    ]  # fmt: skip
    assert np.mean(found) < 1.5


def test_a_source_is_as_significant_as_its_flux_over_its_error(task):
    sky = drawn(task, 3, unlisted(task, 1, 400.0))
    pixels = task.data.pixels[0]
    place = pixels.vectors[np.random.default_rng(1).choice(len(pixels.pixels), 1)[0]]
    assert significance(sky, 0, place) > 4.0


def test_nothing_is_told_of_the_place_of_a_known_source_or_of_no_data(task):
    sky = drawn(task, 3)
    assert significance(sky, 1, task.states[0].vector) is None
    assert significance(sky, 1, -task.states[0].vector) is None
    assert dispersion(sky, 1, -task.region.centre, 1.0) == 1.0


def test_a_weight_widens_errors_by_its_root(task):
    errors = []
    for weight in (1.0, 0.25):
        sky = drawn(task, 5)
        sky.weights = np.full(6, weight)
        dataset, sources = sky.window(0)
        sources[0].spectral.index.frozen = True
        optimize(dataset)
        matrix = covariance(dataset).get_subcovariance([sources[0].amplitude]).data
        errors.append(np.sqrt(matrix[0, 0]))
    assert errors[1] == pytest.approx(2.0 * errors[0], rel=0.05)


def test_weighted_counts_have_the_profile_of_the_weighted_likelihood():
    counts, others, own = np.array([9.0, 4.0]), np.array([3.0, 3.0]), np.array([5.0, 1.0])
    plain = norm_profile(counts, others, own)
    weighted = norm_profile(0.25 * counts, 0.25 * others, 0.25 * own)
    assert weighted[0] == pytest.approx(plain[0], abs=1e-3)
    assert weighted[4] == pytest.approx(0.25 * plain[4], rel=1e-3)
    assert weighted[2] > 1.8 * plain[2]


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
