"""Light curves of simulated sources, steady and not."""

from __future__ import annotations

from dataclasses import replace

import healpy as hp
import numpy as np
import pytest
from gammapy.catalog import SourceCatalog4FGL
from measure_samples import (
    FLUXES,
    PLACES,
    catalog_of,
    flat_sky,
    nearest_row,
    sky_model,
    small_sky,
)
from scipy.stats import kstest, poisson

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import RefitConfig, build
from fermi_unek.errors import ConfigError, InputError
from fermi_unek.measure import refit_catalog, refit_to_file
from fermi_unek.measure.history import History
from fermi_unek.measure.profile import below_zero, likelihood_excess, norm_profile
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.sky import simulate_counts, simulate_photons
from fermi_unek.sky.counts import bin_from_pixels
from fermi_unek.sky.io.writers import write_healpix_counts

YEARS = 6
BRIGHT_YEAR, FLARE = 2, 3.0
REGION = (200.0, 50.0, 6.0)


def added(skies):
    """The photons of several skies of one field in one."""
    bins = [
        bin_from_pixels(
            b,
            np.concatenate([np.repeat(s.bins[b].pixels, s.bins[b].counts) for s in skies]),
            skies[0].bins[b].coverage,
        )
        for b in range(len(skies[0].bins))
    ]
    return replace(skies[0], bins=tuple(bins))


def yearly_sky():
    """Years of one sky, in one of which there are as many photons of the sources again and more."""
    rng = np.random.default_rng(8)
    years = [simulate_counts(sky_model(), 1.0, rng, REGION) for _ in range(YEARS)]
    flare = simulate_counts(sky_model(), FLARE - 1.0, rng, REGION)
    near = []
    for b, counts in enumerate(flare.bins):
        vectors = np.stack(hp.pix2vec(2**counts.order, counts.pixels.astype(int), nest=True), -1)
        here = hp.ang2vec(*PLACES[0], lonlat=True)
        keep = vectors @ here > np.cos(np.radians(0.45))
        near.append(
            bin_from_pixels(b, np.repeat(counts.pixels[keep], counts.counts[keep]), counts.coverage)
        )
    years[BRIGHT_YEAR] = added([years[BRIGHT_YEAR], replace(flare, bins=tuple(near))])
    years = [
        replace(year, livetime_years=1.0, mission_year=number) for number, year in enumerate(years)
    ]
    return replace(added(years), years=tuple(years), livetime_years=float(YEARS))


@pytest.fixture(scope="module")
def refitted():
    return refit_catalog(
        catalog_of(PLACES), yearly_sky(), RefitConfig(localize=False), diffuse=flat_sky()
    )


def test_years_are_those_of_the_photons_and_a_flare_is_seen_where_it_was(refitted):
    row, _ = nearest_row(refitted, PLACES[0])
    assert row["Flux_History"].shape == (YEARS,)
    assert np.argmax(row["Flux_History"]) == BRIGHT_YEAR
    others = np.delete(row["Flux_History"], BRIGHT_YEAR)
    assert row["Flux_History"][BRIGHT_YEAR] > 2.0 * others.mean()
    edges = refitted.year_edges_met
    assert edges[BRIGHT_YEAR] < row["Time_Peak"] < edges[BRIGHT_YEAR + 1]
    assert row["Flux_Peak"] == row["Flux_History"][BRIGHT_YEAR]
    assert row["Variability_Index"] > 60.0
    true = np.ones(YEARS)
    true[BRIGHT_YEAR] = FLARE
    expected = true.std(ddof=1) / true.mean()
    assert row["Frac_Variability"] == pytest.approx(
        expected, abs=3.0 * float(row["Unc_Frac_Variability"])
    )
    assert row["Frac_Variability"] > 2.0 * row["Unc_Frac_Variability"]


def test_a_steady_neighbor_is_steady(refitted):
    row, _ = nearest_row(refitted, PLACES[1])
    assert row["Variability_Index"] < 25.0
    error = row["Unc_Flux_History"][:, 1]
    mean = row["Flux_History"].mean()
    assert np.all(np.abs(row["Flux_History"] - mean) < 4.0 * error)
    assert row["Flux1000"] == pytest.approx(FLUXES[1], abs=4.0 * float(row["Unc_Flux1000"]))
    # flux from 100 MeV on over that from 1 GeV on, of a power law
    steep = 10.0 ** (row["PL_Index"] - 1.0)
    assert mean == pytest.approx(row["Flux1000"] * steep, rel=0.1)
    assert row["SpectrumType"] == "PowerLaw"


def test_gammapy_makes_a_light_curve_of_the_columns(refitted, tmp_path):
    write_catalog(refitted, tmp_path / "new.fits")
    name = nearest_row(refitted, PLACES[0])[0]["Source_Name"]
    curve = SourceCatalog4FGL(tmp_path / "new.fits")[name].lightcurve(interval="1-year")
    flux = curve.flux.data.ravel()
    assert len(flux) == YEARS
    assert np.isfinite(flux).all()
    assert np.argmax(flux) == BRIGHT_YEAR


def gaussian_history(norm, error):
    """Years whose likelihoods are Gaussian."""
    error = np.full(len(norm), error)
    lost = ((norm - 1.0) / error) ** 2
    limit, ts = norm + 1.6449 * error, (norm / error) ** 2
    return History(norm, error, error, limit, ts, lost, norm, error**-2.0)


def test_the_index_of_steady_sources_is_a_chi_square_of_one_degree_less_than_years():
    """The mean of the years is not the flux of all: what it fits better is taken off."""
    rng = np.random.default_rng(4)
    found = [
        gaussian_history(1.3 + 0.2 * rng.normal(size=10), 0.2).variability_index()
        for _ in range(500)
    ]
    assert kstest(found, "chi2", args=(9,)).pvalue > 0.01


def test_the_index_of_steady_sources_too_faint_for_a_year_is_a_chi_square_as_well():
    """Most years are of less than a sigma, and in many the best flux is zero."""
    rng = np.random.default_rng(6)
    pixels = np.full(200, 1.0 / 200)
    others, own = 40.0 * pixels, 8.0 * pixels * np.linspace(0.2, 1.8, 200)
    found = []
    for _ in range(400):
        years = rng.poisson(others + own, (10, 200))
        # the flux of all time is what fits the sum, and the norms are in units of it
        norm = norm_profile(years.sum(axis=0), 10.0 * others, 10.0 * own, 10.0 * own.sum())[0]
        if not norm > 0.1:
            continue
        light = norm * own
        known = float(np.sum(light**2 / others))
        steady = float(np.sum(light**2 / (others + light)))
        rows = []
        for counts in years:
            profile = norm_profile(counts, others, light, light.sum())
            signed, more = below_zero(counts, others, light, light.sum(), known)
            below = profile[0] <= 0.0
            rows.append(
                [*profile[:5], profile[5] + more * below, signed if below else profile[0], steady]
            )
        found.append(History(*np.array(rows).T).variability_index())
    assert kstest(found, "chi2", args=(9,)).pvalue > 0.01


def test_a_likelihood_ratio_of_few_photons_is_more_than_a_chi_square():
    """Exact means over all counts of one pixel, a tenth of whose photons are background."""
    for mean in (12.0, 40.0):
        counts = np.arange(np.ceil(0.1 * mean), 6.0 * mean)
        others, own = np.array([0.1 * mean]), np.array([0.9 * mean])
        ratios = [norm_profile(np.array([n]), others, own, own[0])[5] for n in counts]
        excess = likelihood_excess(np.array([mean]), np.array([0.9]))
        assert excess == pytest.approx(1.0 / (6.0 * mean))
        assert poisson.pmf(counts, mean) @ ratios == pytest.approx(1.0 + excess, abs=0.003)
    assert likelihood_excess(np.array([3.0]), np.array([0.0])) == 0.0


def test_the_fraction_is_the_scatter_beyond_the_errors():
    rng = np.random.default_rng(5)
    norm = 1.0 + 0.5 * rng.normal(size=4000)
    fraction, error = gaussian_history(norm, 0.3).fractional_variability()
    assert fraction == pytest.approx(0.4, abs=0.02)
    assert error >= 0.1
    assert gaussian_history(np.ones(10), 0.3).fractional_variability() == (0.0, 0.1)
    assert np.isnan(gaussian_history(np.ones(1), 0.3).variability_index())


@pytest.fixture(scope="module")
def photon_files(tmp_path_factory):
    """A year of photons of two steady sources, and their catalog."""
    folder = tmp_path_factory.mktemp("periods")
    rng = np.random.default_rng(5)
    write_ft1(simulate_photons(sky_model(), 1.0, rng, REGION), folder / "photons.fits", rng)
    write_catalog(catalog_of(PLACES), folder / "catalog.fits")
    return folder


def test_periods_of_any_length_for_the_rows_that_are_named(photon_files):
    known = read_catalog(photon_files / "catalog.fits")
    row, _ = nearest_row(known, PLACES[0])
    name, new = str(row["Source_Name"]), photon_files / "new.fits"
    config = RefitConfig(history="30d", rows=name, localize=False, background="own-1")
    refit_to_file(photon_files / "catalog.fits", [photon_files / "photons.fits"], new, config)
    found = read_catalog(new)
    assert np.diff(found.period_edges_met) == pytest.approx(30 * 86400.0)
    curve = found[name]["Flux2_History"]
    assert curve.shape == (13,)
    error = found[name]["Unc_Flux2_History"][:, 1]
    year = found[name]["Flux_History"]
    assert year.shape == (1,)
    # the last period is a sixth of one, and known as badly
    assert error[-1] > 1.5 * np.median(error)
    assert curve[:-1].mean() == pytest.approx(year[0], rel=0.1)
    assert kstest((curve - year[0]) / error, "norm").pvalue > 1e-3
    assert 0.0 < found[name]["Variability2_Index"] < 40.0
    other = next(str(n) for n in found.table["Source_Name"] if n != name)
    assert np.isnan(found[other]["Flux2_History"]).all()
    assert np.isfinite(found[other]["Flux_History"]).all()
    points = SourceCatalog4FGL(new)[name].lightcurve(interval="2-month")
    np.testing.assert_allclose(points.flux.data.ravel(), curve, rtol=1e-6)
    assert points.geom.axes["time"].time_delta.to_value("d") == pytest.approx(30.0)


def test_periods_need_photons_with_times(photon_files, tmp_path):
    cube = tmp_path / "counts.fits"
    write_healpix_counts(small_sky(), cube, 8, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="holds no times of photons, of which --history 30d"):
        refit_to_file(
            photon_files / "catalog.fits", [cube], tmp_path / "new.fits", RefitConfig(history="30d")
        )


@pytest.mark.parametrize("length", ["30", "d", "1h", "0.5d", "-3d", "monthly"])
def test_a_length_that_is_none_is_refused_in_one_line(length):
    with pytest.raises(
        ConfigError, match="^history is .*expected year, none, or a length of a day"
    ):
        build(RefitConfig, {"history": length})
