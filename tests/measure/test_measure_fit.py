"""The fit of one region: which form a spectrum has, and what is fitted of it."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from gammapy.catalog import SourceCatalog4FGL
from gammapy.modeling.models import SuperExpCutoffPowerLaw4FGLSpectralModel
from measure_samples import (
    FLUXES,
    INDEX,
    PLACES,
    REGION,
    catalog_of,
    flat_sky,
    small_sky,
    source_table,
)
from scipy.optimize import lsq_linear

from fermi_unek.catalog import write_catalog
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure.columns import refitted
from fermi_unek.measure.data import region_data
from fermi_unek.measure.model import RegionModel, bounded_step
from fermi_unek.measure.region import LEAST_RADIUS_DEG, divide, fit_region, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.sed import photon_flux, with_error
from fermi_unek.measure.source import SourceLikelihood
from fermi_unek.measure.spectra import USUAL_BETA
from fermi_unek.measure.state import SourceState
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model

BETA = 0.4
STATES = [SourceState(*place, 1e-4 * flux) for place, flux in zip(PLACES, FLUXES, strict=True)]
VECTORS = np.array([state.vector for state in STATES])


def fitted(beta, **settings):
    responses = [build_response(small_sky(beta=beta))]
    region = divide(VECTORS, np.array(FLUXES))[0]
    return fit_region(make_task(region, STATES, responses, flat_sky(), **settings))


@pytest.fixture(scope="module")
def curved():
    return fitted(BETA)


def test_a_curved_source_becomes_a_log_parabola_and_keeps_its_power_law(curved):
    found = curved[0]
    assert set(found.power_law.values) == {"index", "amplitude", "reference"}
    assert found.power_law.errors["index"] > 0
    assert found.log_parabola.stat < found.power_law.stat - 9.0
    assert found.state.beta == pytest.approx(BETA, abs=0.25)
    assert found.ellipse_deg is not None
    place = (found.state.lon_deg - PLACES[0][0]) * 0.64, found.state.lat_deg - PLACES[0][1]
    assert np.hypot(*place) < 0.03


def test_a_pulsar_that_is_bright_enough_has_a_cutoff_in_the_catalog_and_in_gammapy(tmp_path):
    """A log parabola is off by a part of its flux that is many times the error."""
    table = source_table(fluxes=(3e-7, 1e-9))
    table["SpectrumType"] = ["PLSuperExpCutoff", "PowerLaw"]
    table["PLEC_Index"], table["PLEC_Expfactor"], table["PLEC_Exp_Index"] = 1.2, 8e-3, 2.0 / 3.0
    model = build_sky_model(table, flat_sky(), load_instrument())
    sky = simulate_counts(model, 10.0, np.random.default_rng(5), REGION)
    region = divide(VECTORS, np.array(FLUXES))[0]
    found = fit_region(make_task(region, STATES, [build_response(sky)], flat_sky()))
    pulsar, other = sorted(found, key=lambda result: -result.ts)
    assert (pulsar.form, other.form) == ("PLSuperExpCutoff", "PowerLaw")
    assert pulsar.spectrum.stat < pulsar.log_parabola.stat - 9.0
    assert pulsar.state.beta > 0.1
    catalog = refitted(catalog_of(PLACES), found, [region])
    row = catalog.table[pulsar.row]
    norm = table["PLEC_Flux_Density"][0] * u.Unit("cm-2 s-1 MeV-1")
    true = (
        SuperExpCutoffPowerLaw4FGLSpectralModel(
            amplitude=norm, reference=1.0 * u.GeV, index_1=1.2, index_2=2.0 / 3.0, expfactor=8e-3
        )
        .integral(1.0 * u.GeV, 100.0 * u.GeV)
        .to_value("cm-2 s-1")
    )
    assert abs(row["Flux1000"] - true) < 3.0 * row["Unc_Flux1000"]
    assert row["Unc_Flux1000"] < 0.01 * true
    write_catalog(catalog, tmp_path / "pulsar.fits")
    read = SourceCatalog4FGL(tmp_path / "pulsar.fits")[pulsar.row]
    assert read.spectral_model().tag[0] == "SuperExpCutoffPowerLaw4FGLDR3SpectralModel"
    flux = read.spectral_model().integral(1.0 * u.GeV, 100.0 * u.GeV).to_value("cm-2 s-1")
    assert flux == pytest.approx(row["Flux1000"], rel=0.01)


def test_a_source_without_curvature_is_a_power_law_where_it_was_if_positions_are_held():
    found = fitted(0.0, moving=False)[0]
    assert found.state.beta == 0.0
    assert abs(found.state.index - INDEX) < 4.0 * found.power_law.errors["index"]
    assert (found.state.lon_deg, found.state.lat_deg) == PLACES[0]
    assert found.ellipse_deg is None


def test_95_percent_ellipses_of_faint_sources_have_room_for_what_is_not_listed(curved):
    gaussian = fitted(0.0, moving=False, scatter=False)[0].ratio95
    assert gaussian == pytest.approx(np.sqrt(np.log(0.05) / np.log(0.32)))
    bright, faint = sorted(curved, key=lambda found: -found.ts)
    assert bright.ts > 2.0 * faint.ts
    assert gaussian < bright.ratio95 < faint.ratio95 < 1.5 * gaussian


def test_a_prior_pulls_an_index_by_what_its_width_says():
    """Two Gaussians: the data's and the prior's."""
    free = fitted(0.0, moving=False, scatter=False)[1].power_law
    mean = free.values["index"] + 0.1
    pulled = fitted(0.0, moving=False, scatter=False, prior=(mean, 0.1))[1].power_law
    weight = free.errors["index"] ** -2.0
    expected = (weight * free.values["index"] + mean * 100.0) / (weight + 100.0)
    assert pulled.values["index"] == pytest.approx(expected, abs=0.02)
    assert pulled.errors["index"] == pytest.approx((weight + 100.0) ** -0.5, rel=0.1)


def test_a_worker_gets_the_photons_of_its_region_and_not_those_of_the_sky():
    """Of a whole sky these are a GB, which each of two hundred regions would hold."""
    responses = [build_response(small_sky())]
    task = make_task(divide(VECTORS, np.array(FLUXES))[0], STATES, responses, flat_sky())
    assert task.data.counts.sum() > 1000
    for channel in task.data.responses[0].channels:
        assert channel.counts.total == 0
        assert not channel.years
    assert task.data.responses[0].orders == responses[0].orders


def test_a_power_law_may_be_curved_as_far_as_is_usual_and_keeps_its_prior():
    """The error of Flux1000 holds what the photons do not tell of the curvature."""
    for spread in (0.3, 0.01):
        found = fitted(0.0, moving=False, prior=(INDEX, spread))[1]
        assert found.state.beta == 0.0
        assert found.loose is not None
        assert found.loose.errors["beta"] < USUAL_BETA
        assert found.loose.errors["alpha"] < spread
        flux, loose = (
            with_error(fit, lambda values: photon_flux(values, 1e3, 1e5))
            for fit in (found.power_law, found.loose)
        )
        assert loose[0] == pytest.approx(flux[0], rel=1e-6)
        assert flux[1] < loose[1] < 2.0 * flux[1]
    assert fitted(0.0, moving=False, scatter=False)[1].loose is None


def test_an_index_that_its_prior_holds_is_no_curvature():
    """A log parabola has no prior, and gains by that alone."""
    found = fitted(0.0, moving=False, prior=(INDEX + 0.9, 0.05))[0]
    assert found.log_parabola.stat < found.power_law.stat - 9.0
    assert found.form == "PowerLaw"
    assert found.straight_stat - found.log_parabola.stat < 9.0
    free = fitted(0.0, moving=False)[0]
    assert free.straight_stat == free.power_law.stat


def test_the_flux_of_a_power_law_is_less_sure_the_more_curved_the_spectrum_seems():
    """Though not by so much that it were written as a log parabola."""
    found = fitted(0.0, moving=False, prior=(INDEX, 0.3))
    assert found[0].state.beta == 0.0
    region = divide(VECTORS, np.array(FLUXES))[0]

    power = found[0].power_law.values

    def error(beta: float) -> float:
        curved = replace(
            found[0].log_parabola,
            values={**power, "alpha": power["index"], "beta": beta},
        )
        del curved.values["index"]
        results = [replace(found[0], log_parabola=curved), *found[1:]]
        return float(refitted(catalog_of(PLACES), results, [region]).table["Unc_Flux1000"][0])

    loose = with_error(found[0].loose, lambda values: photon_flux(values, 1e3, 1e5))[1]
    assert error(0.0) == pytest.approx(loose, rel=1e-5)
    assert error(0.0) < error(0.1) < error(0.3)


def test_curvature_is_held_in_the_joint_fit_where_the_index_is():
    """Where the fit ends, the likelihood and what is usual balance each other."""
    data = region_data(VECTORS[0], 4.0, [build_response(small_sky(beta=BETA))], flat_sky())
    betas = {}
    for prior in (None, (INDEX, 0.3)):
        model = RegionModel(data, [state.changed(beta=0.02) for state in STATES], 2, prior)
        model.shapes = [3, 3]
        model.fit(most=30, step_sigma=0.005)
        betas[prior is None] = [state.beta for state in model.states]
        best, state = model.stat() + model.penalty(), model.states[1]
        assert (model.penalty() > 0.0) == (prior is not None)
        for step in (-0.03, 0.03):
            model.set_state(1, state.changed(beta=state.beta + step))
            assert model.stat() + model.penalty() > best - 0.01
            model.set_state(1, state)
    assert all(held < free for held, free in zip(betas[False], betas[True], strict=True))


@pytest.mark.parametrize("number", [0, 1])
def test_a_region_of_hardly_any_photons_has_limits(number):
    responses = [build_response(small_sky())]
    task = make_task(divide(VECTORS, np.array(FLUXES))[0], STATES, responses, flat_sky())
    counts = np.zeros_like(task.data.counts)
    counts[:number] = 1.0
    found = fit_region(replace(task, data=replace(task.data, counts=counts, years=())))
    for result in found:
        assert result.ts == 0.0
        # of a Poisson process without background and photons
        assert result.upper_limit * result.npred == pytest.approx(0.5 * 1.6449**2, rel=0.02)
        fit = result.power_law
        assert not fit.errors["amplitude"] < 10.0 * fit.values["amplitude"]


@pytest.mark.parametrize("seed", range(5))
def test_a_step_within_bounds_is_the_best_one_there(seed):
    rng = np.random.default_rng(seed)
    root, wanted = rng.normal(size=(8, 6)), rng.normal(size=8)
    best = lsq_linear(root, wanted, (-0.2, 0.1), tol=1e-12).x
    step = bounded_step(root.T @ root, root.T @ wanted, np.full(6, -0.2), np.full(6, 0.1))
    assert np.any(np.abs(best - 0.1) < 1e-6)
    assert step == pytest.approx(best, abs=1e-5)


def test_what_is_fitted_with_a_curvature_that_ends_at_its_bound_is_at_its_best():
    """A spectrum that bends upwards: its index once stayed where it made up for that."""
    states = [state.changed(beta=0.3, index=INDEX + 0.5) for state in STATES]
    data = region_data(VECTORS[0], 4.0, [build_response(small_sky(beta=-0.1))], flat_sky())
    model = RegionModel(data, states, 2, (INDEX, 0.3))
    model.shapes = [3, 3]
    model.fit()
    assert model.states[0].beta < 1e-3
    best, state = model.stat() + model.penalty(), model.states[0]
    for changed in ("amplitude", "index"):
        for step in (0.97, 1.03):
            model.set_state(0, state.changed(**{changed: step * getattr(state, changed)}))
            assert model.stat() + model.penalty() > best
            model.set_state(0, state)


def test_a_region_of_few_candidates_looks_as_far_around_as_one_of_many():
    region = divide(VECTORS, np.array(FLUXES))[0]
    assert region.radius_deg == LEAST_RADIUS_DEG
    assert set(region.rows) == {0, 1}


def test_candidates_where_no_photons_were_taken_shine_and_are_not_fitted():
    regions = divide(VECTORS, np.array(FLUXES), np.array([True, False]))
    assert [region.own for region in regions] == [(0,)]
    assert regions[0].surroundings == (1,)


@pytest.mark.parametrize("times", [1, 2])
def test_a_curved_form_that_runs_away_is_tried_again_and_else_is_none(monkeypatch, times):
    """One did at an amplitude that does not fit into a column."""
    plain, runs = SourceLikelihood.fit, {"alpha": 0, "expfactor": 0}

    def fit(self, **options):
        result = plain(self, **options)
        for name in runs.keys() & {p.name for p in self.spectral.parameters}:
            runs[name] += 1
            if runs[name] <= times:
                self.amplitude.value = 1e40
        return result

    monkeypatch.setattr(SourceLikelihood, "fit", fit)
    found = fitted(BETA, moving=False, scatter=False)[0]
    if times == 2:
        assert found.log_parabola is None
        assert found.cutoff is None
        assert found.state.beta == 0.0
    else:
        assert found.log_parabola.stat < found.power_law.stat - 9.0
        assert found.cutoff.values["amplitude"] < 1e-8


@pytest.mark.parametrize("photons", [0.1, 30.0])
def test_photons_that_a_spectrum_has_not_yet_are_counted_when_the_fit_puts_them_there(photons):
    """A straight line in their place would gain without end."""
    states = [
        SourceState(*PLACES[0], 1e-13, 4.5, 0.0, 300.0),
        SourceState(*PLACES[1], 1e-13, INDEX, 0.0, 2000.0),
    ]
    centre = states[0].vector
    data = region_data(centre, 4.0, [build_response(small_sky())], flat_sky())
    model = RegionModel(data, states, 2)
    steep = states[0].scaled(photons * states[0].amplitude / model.photons[0].sum())
    model.set_state(0, steep)
    source = SourceLikelihood(model, 0, expected=model.expected())
    hard = steep.changed(index=1.0, reference_mev=1e4)
    hard = hard.scaled(30.0 / model.photons_of(0, hard.scaled(1.0)).sum())
    source.set_spectrum(hard.spectral_model())
    model.set_state(0, hard)
    assert source.stat() == pytest.approx(-model.gains()[0], abs=0.5)
