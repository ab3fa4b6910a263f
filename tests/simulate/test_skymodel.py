"""Expected counts and ideal TS against integrals done another way, and against 4FGL-DR2."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from simulate_samples import (
    BRIGHT,
    ISO_AT_1_GEV,
    MIDDLE,
    NSIDE,
    OUTSIDE,
    empty_model,
    plane_and_isotropic,
    power_laws,
    small_model,
)

from fermi_unek.catalog.spectra import fine_flux
from fermi_unek.diffuse.named import DiffuseModel, by_name
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument, mean_psf, sin_declination
from fermi_unek.simulate.population import dr2_population, resampled_population
from fermi_unek.simulate.skymodel import build_sky_model, ideal_ts, unresolved_flux
from fermi_unek.sky.bins import ENERGY_EDGES_MEV


def front_exposure(energies_mev: np.ndarray, sin_dec: float) -> np.ndarray:
    column = load_instrument().front.exposure(np.array([sin_dec]))[:, 0]
    return np.interp(np.log(energies_mev), np.log(FINE_ENERGIES_MEV), column)


def counts_of_power_law(norm: float, index: float, sin_dec: float) -> np.ndarray:
    """Photons a year in the six bins without energy dispersion, by trapezoids."""

    result = []
    for low, high in zip(ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:], strict=True):
        energies = np.geomspace(low, high, 301)
        rate = norm * (energies / 1e3) ** -index * front_exposure(energies, sin_dec)
        result.append(np.trapezoid(rate, energies))
    return np.array(result)


def test_the_expected_photons_of_a_source_are_flux_times_exposure():
    model = small_model()
    row = model.sources[MIDDLE]
    sin_dec = float(sin_declination(model.vectors[MIDDLE]))
    expected = counts_of_power_law(float(row["PL_Flux_Density"]), 2.2, sin_dec)
    # dispersion moves photons over the edges: up to five percent, since its median is below one
    np.testing.assert_allclose(model.expected_counts[MIDDLE], expected, rtol=0.06)
    np.testing.assert_allclose(model.expected_counts[MIDDLE].sum(), expected.sum(), rtol=0.03)


def test_the_background_is_intensity_times_exposure():
    model = empty_model()
    pixel = 312
    vector = np.array(hp.pix2vec(NSIDE, pixel, nest=True))
    lat = np.degrees(np.arcsin(vector[2]))
    norm = ISO_AT_1_GEV * (1.0 + 10.0 * np.exp(-abs(lat) / 3.0))
    expected = counts_of_power_law(norm, 2.4, float(sin_declination(vector)))
    np.testing.assert_allclose(model.background[:, pixel], expected, rtol=0.06)


def test_front_and_back_together_see_what_each_sees():
    front, back, both = (small_model(kind) for kind in ("front", "back", "all"))
    np.testing.assert_allclose(
        both.expected_counts, front.expected_counts + back.expected_counts, rtol=1e-5
    )
    np.testing.assert_allclose(both.ideal_ts, front.ideal_ts + back.ideal_ts, rtol=1e-5)
    np.testing.assert_allclose(both.background, front.background + back.background, rtol=1e-4)


def test_the_tails_light_is_taken_out_of_the_isotropic_emission():
    flux, number = 1e-10, 2000
    rng = np.random.default_rng(0)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    places = list(zip(rng.uniform(0, 360, number), lat, strict=True))
    tail = power_laws(places, np.full(number, flux), index=2.4)
    # one source of DR2 among them: the sky is the real one
    tail["Signif_Avg"][1:] = np.nan
    model = build_sky_model(tail, plane_and_isotropic(), load_instrument())
    isotropic_above_1_gev = ISO_AT_1_GEV * 1e3 / 1.4 * (1 - 100**-1.4)
    share = number * flux / (4 * np.pi) / isotropic_above_1_gev
    # at the pole there is next to nothing but isotropic emission
    pole = hp.ang2pix(NSIDE, 0.01, 0.0, nest=True)
    left = model.background[:, pole] / empty_model().background[:, pole]
    assert 0.02 < share < 0.5
    np.testing.assert_allclose(1.0 - left, share, rtol=0.02)


def test_new_skies_and_the_real_one_take_like_parts_out_of_the_isotropic_emission():
    """The sources that DR2 lists are not in it, wherever they have been moved."""
    rng = np.random.default_rng(1)
    skies = (dr2_population(rng), resampled_population(rng))
    real, moved = (unresolved_flux(sky, fine_flux(sky)) for sky in skies)
    assert np.all(real > 0)
    np.testing.assert_allclose(moved[5:25], real[5:25], rtol=0.25)
    listed_alone = dr2_population(rng, tail=False)
    np.testing.assert_array_equal(unresolved_flux(listed_alone, fine_flux(listed_alone)), 0.0)


def test_a_background_without_the_psf_is_blurred_and_keeps_its_photons():
    diffuse = plane_and_isotropic()
    sharp = DiffuseModel(
        "sharp",
        diffuse.energies_mev,
        diffuse.maps,
        diffuse.iso_energies_mev,
        diffuse.iso_intensity,
        psf_included=False,
    )
    blurred = build_sky_model(power_laws([], []), sharp, load_instrument()).background
    given = empty_model().background
    np.testing.assert_allclose(blurred.sum(axis=1), given.sum(axis=1), rtol=1e-3)
    assert np.all(blurred.max(axis=1)[:3] < 0.97 * given.max(axis=1)[:3])


# ideal TS --------------------------------------------------------------------------------------


def brute_force_ts(model, row: int, years: float) -> float:
    """Asimov TS on a grid of two angles, stretched so that core and tail are resolved."""
    table = model.responses[0]
    u = np.linspace(-7.0, 7.0, 281)
    total = 0.0
    for k in range(FINE_ENERGIES_MEV.size):
        step = 0.02 * table.psf_scale_deg[k]
        at = step * np.sinh(u)
        width = step * np.cosh(u) * (u[1] - u[0])
        angle = np.hypot(at[:, None], at[None])
        area = np.radians(width[:, None]) * np.radians(width[None])
        signal = model.rates[0][row, k] * years * table.psf_per_sr(k, angle)
        noise = model.fine_background[0][row, k] * years
        density = (signal + noise) * np.log1p(signal / noise) - signal
        ts = 2.0 * np.sum(density * area * (angle < 25.0))
        total += ts * table.bin_fractions[k].sum()
    return total


def test_the_ideal_ts_is_that_of_a_sum_over_two_angles():
    sources = power_laws([(100.0, 50.0), (280.0, -50.0)], [3e-10, 3e-8])
    model = build_sky_model(sources, plane_and_isotropic(), load_instrument())
    for row in range(2):
        ideal = 10.0 * model.ideal_ts[row].sum()
        assert ideal == pytest.approx(brute_force_ts(model, row, 10.0), rel=0.03)


def test_the_ideal_ts_grows_linearly_with_live_time():
    model = small_model()
    part = ideal_ts(
        10.0 * model.rates[0], 10.0 * model.fine_background[0], model.vectors, model.responses[0]
    )
    np.testing.assert_allclose(part, 10.0 * model.ideal_ts, rtol=1e-3)


def test_a_bright_neighbour_lowers_the_ideal_ts_and_a_far_one_does_not():
    places = [(100.0, 0.0), (200.0, 0.0), (100.3, 0.0), (220.0, 0.0)]
    sources = power_laws(places, [1e-9, 1e-9, 1e-7, 1e-7])
    model = build_sky_model(sources, plane_and_isotropic(), load_instrument())
    alone = ideal_ts(
        model.rates[0][:2], model.fine_background[0][:2], model.vectors[:2], model.responses[0]
    )
    assert model.ideal_ts[0].sum() < 0.5 * alone[0].sum()
    np.testing.assert_allclose(model.ideal_ts[1], alone[1])


def test_brighter_sources_have_more_ideal_ts():
    ts = small_model().ideal_ts.sum(axis=1)
    assert ts[BRIGHT] > ts[OUTSIDE] > ts[MIDDLE]


def test_ideal_significances_of_dr2_are_those_of_the_catalog(shared_data):
    """Ten years of FRONT, a perfect model: about what DR2 made of all events with a real one."""
    sources = dr2_population(np.random.default_rng(0), tail=False)
    diffuse = by_name("v07", shared_data)
    model = build_sky_model(sources, diffuse, load_instrument())
    ratio = np.sqrt(10.0 * model.ideal_ts.sum(axis=1)) / sources["Signif_Avg"]
    significance = np.asarray(sources["Signif_Avg"], float)
    for low, high in ((4, 5), (5, 7), (7, 10), (10, 20), (20, 40), (40, np.inf)):
        inside = (significance >= low) & (significance < high)
        assert 0.85 < np.median(ratio[inside]) < 1.15


def test_the_mean_psf_of_a_bin_lies_between_those_of_its_energies():
    table = load_instrument().front
    for b in range(6):
        angles, density = mean_psf(table, b)
        ring = density * np.sin(angles)
        grown = np.concatenate([[0], np.cumsum((ring[1:] + ring[:-1]) * np.diff(angles))])
        r68 = np.degrees(np.interp(0.68, grown / grown[-1], angles))
        inside = (FINE_ENERGIES_MEV > ENERGY_EDGES_MEV[b]) & (
            FINE_ENERGIES_MEV < ENERGY_EDGES_MEV[b + 1]
        )
        at_energies = table.containment_deg(0.68)[inside]
        assert at_energies.min() < r68 < 1.05 * at_energies.max()
        assert 2 * np.pi * np.trapezoid(ring, angles) == pytest.approx(1.0, abs=0.02)
