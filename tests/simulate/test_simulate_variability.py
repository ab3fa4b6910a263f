"""Yearly fluxes: means, correlation, and DR2's distributions of the measures of variability."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table, vstack
from scipy.stats import ks_2samp

from fermi_unek.catalog import load_release
from fermi_unek.simulate.population import dr2_population, select_columns
from fermi_unek.simulate.variability import (
    dr2_yearly_factors,
    fractional_variability,
    histories,
    measured_variability,
    processes,
    variability_index,
    yearly_errors,
    yearly_factors,
)

YEARS = 10


@pytest.fixture(scope="module")
def real() -> Table:
    names = ("Source_Name", "CLASS1", "Flux1000", "Frac_Variability", "Variability_Index",
             "Flux_History", "Unc_Flux_History")  # fmt: skip
    return select_columns(load_release("4FGL-DR2"), names)


def relative_error(table: Table) -> np.ndarray:
    flux, error = histories(table)
    return np.sqrt((error**2).mean(axis=1)) / flux.mean(axis=1)


def simulated(table: Table, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Yearly fluxes over the mean and errors, as DR2 would measure the process."""
    rng = np.random.default_rng(seed)
    error = relative_error(table)
    flux = np.asarray(table["Flux1000"], float)
    factors = yearly_factors(np.asarray(table["CLASS1"]), YEARS, rng, flux=flux)
    noise = yearly_errors(factors, error) * rng.standard_normal(factors.shape)
    measured = np.clip(factors + noise, 0.0, None)
    return measured, yearly_errors(measured, error)


# the measures ----------------------------------------------------------------------------------


def test_frac_variability_of_dr2s_histories_is_dr2s(real):
    flux, error = histories(real)
    theirs = np.asarray(real["Frac_Variability"])
    ours = fractional_variability(flux, error)
    certain = theirs > 0.3
    np.testing.assert_allclose(np.median(ours[certain] / theirs[certain]), 1.0, atol=0.005)
    assert np.quantile(np.abs(ours - theirs)[certain] / theirs[certain], 0.68) < 0.03


def test_the_variability_index_is_near_dr2s_likelihood_ratio(real):
    flux, error = histories(real)
    theirs = np.asarray(real["Variability_Index"])
    ours = variability_index(flux, error)
    for low, high in ((5, 15), (15, 40), (40, 400)):
        there = (theirs > low) & (theirs < high)
        assert np.median(ours[there] / theirs[there]) == pytest.approx(1.0, abs=0.05)


def test_the_errors_of_a_year_grow_with_its_flux_as_in_dr2(real):
    flux, error = histories(real)
    mean = flux.mean(axis=1)
    size = relative_error(real)
    for low, high in ((0.03, 0.1), (0.1, 0.3), (0.3, 0.8)):
        rows = (size > low) & (size < high)
        factors = (flux / mean[:, None])[rows]
        expected = (error / mean[:, None])[rows]
        got = yearly_errors(factors, size[rows])
        strong = factors > 2.0
        assert np.median(got[strong] / expected[strong]) == pytest.approx(1.0, abs=0.1)


# the process -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("bll", 0, 0.1), ("bll", 0.1, 0.25), ("bll", 0.25, 0.5), ("fsrq", 0, 0.1),
     ("fsrq", 0.1, 0.25), ("fsrq", 0.25, 0.5), ("bcu", 0.1, 0.25), ("bcu", 0.25, 0.5)],
)  # fmt: skip
def test_simulated_blazars_are_as_variable_as_dr2s_of_like_error(real, name, low, high):
    error = relative_error(real)
    table = real[(np.asarray(real["CLASS1"]) == name) & (error >= low) & (error < high)]
    many = vstack([table] * 10)
    flux, noise = simulated(many)
    theirs = histories(table)
    for measure, limit in ((fractional_variability, 0.16), (variability_index, 0.16)):
        assert ks_2samp(measure(flux, noise), measure(*theirs)).statistic < limit
    # and DR2's own columns, the index by likelihood
    fraction = fractional_variability(flux, noise)
    expected = np.median(table["Frac_Variability"])
    assert np.median(fraction) == pytest.approx(expected, rel=0.2)
    index = variability_index(flux, noise)
    variable = np.mean(np.asarray(table["Variability_Index"]) > 21.67)
    assert np.mean(index > 21.67) == pytest.approx(variable, abs=0.13)


def test_simulated_pulsars_vary_no_more_than_dr2s(real):
    error = relative_error(real)
    table = real[(np.asarray(real["CLASS1"]) == "psr") & (error < 0.25)]
    flux, noise = simulated(table)
    # 21.67 is the 1% point of chi-squared of nine degrees
    assert np.mean(variability_index(flux, noise) > 21.67) < 0.04
    assert np.mean(np.asarray(table["Variability_Index"]) > 21.67) < 0.08


@pytest.mark.parametrize("name", ["bll", "fsrq", "bcu"])
def test_years_are_correlated_as_fitted(name):
    rng = np.random.default_rng(1)
    factors = yearly_factors(np.full(4000, name), 200, rng)
    logs = np.log(factors)
    logs -= logs.mean(axis=1, keepdims=True)
    logs /= logs.std(axis=1, keepdims=True)
    rho = processes()[name].rho
    for lag in (1, 2, 3):
        got = (logs[:, lag:] * logs[:, :-lag]).mean()
        assert got == pytest.approx(rho**lag, abs=0.03)


@pytest.mark.parametrize("name", ["bll", "fsrq"])
def test_neighbouring_years_of_bright_dr2_sources_differ_as_the_simulated_ones(real, name):
    table = real[(np.asarray(real["CLASS1"]) == name) & (relative_error(real) < 0.15)]
    flux, error = histories(table)
    ours, noise = simulated(vstack([table] * 10))
    for lag in (1, 4, 8):
        steps = []
        for series, least in ((flux, error), (ours, noise)):
            logs = np.log(np.maximum(series, least))
            steps.append(np.median(np.abs(logs[:, lag:] - logs[:, :-lag])))
        assert steps[1] == pytest.approx(steps[0], rel=0.25)


def test_the_mean_over_the_years_is_one_and_steady_classes_are_steady():
    classes = np.array(["bll", "fsrq", "bcu", "", "psr", "spp", "snr", "pwn", "glc"])
    factors = yearly_factors(classes, 7, np.random.default_rng(2))
    assert factors.shape == (9, 7)
    assert (factors >= 0).all()
    np.testing.assert_allclose(factors.mean(axis=1), 1.0, rtol=1e-12)
    assert (factors[4:] == 1.0).all()
    assert (factors[:3].std(axis=1) > 0.02).all()


def test_years_of_unequal_length_count_by_their_length():
    lengths = np.array([1.0, 1.0, 0.25])
    rng = np.random.default_rng(3)
    factors = yearly_factors(np.full(20, "fsrq"), 3, rng, lengths=lengths)
    np.testing.assert_allclose(factors @ lengths / lengths.sum(), 1.0)


def test_a_single_year_and_no_source_are_no_trouble():
    rng = np.random.default_rng(3)
    np.testing.assert_allclose(yearly_factors(np.array(["fsrq", "psr"]), 1, rng), 1.0)
    assert yearly_factors(np.array([], dtype=str), 5, rng).shape == (0, 5)


def test_bright_bl_lacs_vary_more_than_faint_ones():
    classes = np.full(4000, "bll")
    faint, bright = (
        yearly_factors(classes, YEARS, np.random.default_rng(4), flux=np.full(4000, flux))
        for flux in (3e-10, 8e-9)
    )
    assert np.median(bright.std(axis=1)) > 1.15 * np.median(faint.std(axis=1))


def test_a_seed_is_a_light_curve():
    one, two, other = (
        yearly_factors(np.full(5, "bll"), YEARS, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.isin(one, other).any()


# real histories --------------------------------------------------------------------------------


def test_real_sources_have_their_own_history(real):
    sky = dr2_population(np.random.default_rng(1), tail=False)
    factors = dr2_yearly_factors(sky, YEARS, np.random.default_rng(1))
    np.testing.assert_allclose(factors.mean(axis=1), 1.0)
    assert (factors >= 0).all()
    # 3C 454.3 and CTA 102 flared in other years
    for name in ("4FGL J2253.9+1609", "4FGL J2232.6+1143", "4FGL J1104.4+3812"):
        ours = factors[np.asarray(sky["Source_Name"]) == name][0]
        theirs = np.asarray(real["Flux_History"], float)[np.asarray(real["Source_Name"]) == name][0]
        np.testing.assert_allclose(ours, theirs / theirs.mean(), atol=0.02)


def test_noise_is_not_taken_for_variability(real):
    sky = dr2_population(np.random.default_rng(1), tail=False)
    factors = dr2_yearly_factors(sky, YEARS, np.random.default_rng(1))
    pulsar = np.asarray(sky["CLASS1"]) == "psr"
    assert np.median(factors[pulsar].std(axis=1)) < 0.02
    # what is left is DR2's excess variance
    rows = {str(n): i for i, n in enumerate(real["Source_Name"])}
    theirs = np.asarray(real["Frac_Variability"])[[rows[str(n)] for n in sky["Source_Name"]]]
    variable = theirs > 0.3
    ours = factors.std(axis=1, ddof=1)
    assert np.median(ours[variable] / theirs[variable]) == pytest.approx(1.0, abs=0.03)


def test_years_after_the_tenth_follow_the_last_and_fewer_years_are_the_first():
    sky = dr2_population(np.random.default_rng(1), tail=False)
    fsrq = sky[np.asarray(sky["CLASS1"]) == "fsrq"]
    factors = dr2_yearly_factors(fsrq, 14, np.random.default_rng(5))
    np.testing.assert_allclose(factors.mean(axis=1), 1.0)
    ten = dr2_yearly_factors(fsrq, YEARS, np.random.default_rng(5))
    shape = factors[:, :YEARS] / factors[:, :YEARS].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(shape, ten, rtol=1e-9)
    three = dr2_yearly_factors(fsrq, 3, np.random.default_rng(5))
    lit = ten[:, :3].sum(axis=1) > 0
    first = ten[lit, :3] / ten[lit, :3].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(three[lit], first, rtol=1e-9)
    bright = np.asarray(fsrq["Flux1000"]) > 1e-9
    logs = np.log(np.maximum(factors[bright], 0.02))
    logs -= logs.mean(axis=1, keepdims=True)
    assert np.corrcoef(logs[:, 9], logs[:, 10])[0, 1] > 0.3
    # the later years are as variable as the real ones
    assert logs[:, 10:].std() == pytest.approx(logs[:, :10].std(), rel=0.25)


def test_sources_that_dr2_does_not_have_follow_their_class():
    table = Table({"Source_Name": ["SIM 1", "SIM 2"], "CLASS1": ["fsrq", "psr"],
                   "Flux1000": [1e-9, 1e-9]})  # fmt: skip
    factors = dr2_yearly_factors(table, YEARS, np.random.default_rng(6))
    assert factors[0].std() > 0.1
    np.testing.assert_array_equal(factors[1], 1.0)


def test_simulated_sources_are_measured_as_variable_as_those_of_dr2(real):
    size = relative_error(real)
    rows = (np.asarray(real["CLASS1"]) == "fsrq") & (size < 0.25)
    columns = (real["CLASS1"][rows], np.asarray(real["Flux1000"], float)[rows], size[rows])
    part, index = measured_variability(
        *(np.tile(one, 5) for one in columns), np.random.default_rng(3)
    )
    assert np.median(part) == pytest.approx(np.median(real["Frac_Variability"][rows]), rel=0.15)
    assert np.mean(index > 21.67) > 0.8
    steady = measured_variability(
        np.full(2000, "psr"), np.full(2000, 1e-8), np.full(2000, 0.1), np.random.default_rng(4)
    )
    # nine degrees of freedom exceed it once in a hundred times
    assert np.mean(steady[1] > 21.67) == pytest.approx(0.01, abs=0.015)


def test_a_source_of_dr2_without_a_history_is_as_its_class_is():
    table = Table({"Source_Name": ["4FGL J0534.5+2201i"], "CLASS1": ["pwn"], "Flux1000": [3e-8]})
    factors = dr2_yearly_factors(table, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(factors, 1.0)
