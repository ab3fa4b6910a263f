"""The profile of one norm against gammapy's estimator and counting by hand."""

import numpy as np
import pytest
from gammapy.estimators.map.ts import BrentqFluxEstimator, SimpleMapDataset

from fermi_unek.measure.profile import norm_profile
from fermi_unek.measure.sed import differential, peak_mev


def field(seed, brightness, others=0.5):
    """Counts, background and a component of a Gaussian shape in 200 pixels."""
    rng = np.random.default_rng(seed)
    own = 30.0 * np.exp(-0.5 * np.linspace(-4, 4, 200) ** 2) / 50.0
    background = np.full(200, others)
    return rng.poisson(background + brightness * own).astype(float), background, own


def profile(counts, others, own):
    """As the fit calls it: with the pixels that hold photons alone."""
    lit = counts > 0
    return norm_profile(counts[lit], others[lit], own[lit], own.sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("brightness", [0.5, 1.0, 20.0])
def test_norm_errors_limit_and_ts_are_those_of_gammapys_estimator(seed, brightness):
    counts, others, own = field(seed, brightness)
    theirs = BrentqFluxEstimator(
        rtol=1e-8, n_sigma=1.0, n_sigma_ul=1.6449, selection_optional=["errn-errp", "ul"]
    ).run(SimpleMapDataset(model=own, counts=counts, background=others, norm_guess=1.0))
    norm, lower, upper, limit, ts, _ = profile(counts, others, own)
    assert norm == pytest.approx(theirs["norm"], rel=1e-4)
    assert lower == pytest.approx(min(theirs["norm_errn"], norm), rel=1e-3)
    assert upper == pytest.approx(theirs["norm_errp"], rel=1e-3)
    assert limit == pytest.approx(theirs["norm_ul"], rel=1e-3)
    assert ts == pytest.approx(theirs["ts"], rel=1e-3, abs=1e-3)


def test_a_deficit_is_a_norm_of_zero_whose_limit_falls_from_there():
    counts, others, own = field(1, 0.0, others=2.0)
    counts[own > 0.1] = 0.0
    norm, lower, upper, limit, ts, lost = profile(counts, others, own)
    assert (norm, lower, ts) == (0.0, 0.0, 0.0)

    def stat(x):
        mu = others + x * own
        return 2.0 * (mu - counts * np.log(mu)).sum()

    assert stat(upper) - stat(0.0) == pytest.approx(1.0, rel=1e-3)
    assert stat(limit) - stat(0.0) == pytest.approx(1.6449**2, rel=1e-3)
    assert stat(1.0) - stat(0.0) == pytest.approx(lost)


def test_without_photons_the_limit_is_that_of_none_seen():
    """2 * norm * expected photons is the rise of the statistic."""
    _, others, own = field(1, 1.0)
    norm, lower, upper, limit, ts, _ = profile(np.zeros(200), others, own)
    assert (norm, lower, ts) == (0.0, 0.0, 0.0)
    assert upper * own.sum() == pytest.approx(0.5)
    assert limit * own.sum() == pytest.approx(1.6449**2 / 2.0)


def test_photons_where_nothing_else_is_expected_are_the_components():
    counts, _, own = field(2, 1.0)
    norm, *_ = profile(counts, np.zeros(200), own)
    assert norm == pytest.approx(counts[own > 0].sum() / own.sum(), rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 1.6, "beta": 0.1, "reference": 800.0},
        {"index_1": 1.5, "expfactor": 0.4, "index_2": 2.0 / 3.0, "reference": 800.0},
    ],
)
def test_the_peak_is_where_nu_f_nu_is_highest(values):
    energies = np.geomspace(100.0, 1e6, 20_001)
    sed = energies**2 * differential(values | {"amplitude": 1e-12}, energies)
    assert peak_mev(values) == pytest.approx(energies[np.argmax(sed)], rel=2e-3)


@pytest.mark.parametrize("beta", [-0.1, 0.0, 1e-5, 3e-3])
def test_a_spectrum_that_is_hardly_curved_has_no_peak(beta):
    """Its number would not fit into a column of single precision."""
    assert np.isnan(peak_mev({"alpha": 1.5, "beta": beta, "reference": 1e3}))
