"""The refit as a whole: what it writes into a catalog."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import SourceCatalog4FGL
from measure_samples import (
    FLUXES,
    INDEX,
    PLACES,
    catalog_of,
    flat_sky,
    nearest_row,
    sky_model,
    small_sky,
)

from fermi_unek.catalog import Candidates, build_catalog, load_release, write_catalog
from fermi_unek.config import RefitConfig
from fermi_unek.errors import UnekWarning
from fermi_unek.measure import refit_catalog, region
from fermi_unek.measure.columns import significance
from fermi_unek.measure.flags import CHANGED, LOST, MOVED, judge_change
from fermi_unek.sky.bins import BAND_EDGES_MEV

EMPTY_PLACE = (197.5, 48.5)
SHIFTED = (200.0, 50.04)


@pytest.fixture(scope="module")
def refitted():
    """Two true sources, one of them listed off its place, and a place with none."""
    before = catalog_of([SHIFTED, PLACES[1], EMPTY_PLACE])
    return refit_catalog(before, small_sky(), RefitConfig(fake_ts=16.0), diffuse=flat_sky())


@pytest.mark.parametrize(("place", "flux"), list(zip(PLACES, FLUXES, strict=True)))
def test_flux_index_and_place_agree_with_the_truth_within_their_errors(refitted, place, flux):
    row, separation = nearest_row(refitted, place)
    assert abs(row["Flux1000"] - flux) < 3.5 * row["Unc_Flux1000"] < 0.5 * flux
    assert abs(row["PL_Index"] - INDEX) < 3.5 * row["Unc_PL_Index"]
    assert separation < 2.0 * row["Conf_95_SemiMajor"]
    assert row["Conf_95_SemiMajor"] < 0.1


def test_the_ts_is_near_the_ideal_one(refitted):
    ideal = 10.0 * sky_model().ideal_ts.sum(axis=1)
    for place, expected in zip(PLACES, ideal, strict=True):
        row, _ = nearest_row(refitted, place)
        assert np.sqrt(row["TS"]) == pytest.approx(np.sqrt(expected), rel=0.2)
        assert row["Signif_Avg"] == pytest.approx(np.sqrt(row["TS"]), abs=1.5)


def test_a_position_moves_towards_the_photons(refitted):
    row, separation = nearest_row(refitted, PLACES[0])
    assert separation < 0.03  # it was handed in 0.04 degrees away


def test_a_place_without_a_source_is_faint_limited_and_fake(refitted):
    row, _ = nearest_row(refitted, EMPTY_PLACE)
    assert row["TS"] < 16.0
    assert row["Fake"]
    assert row["Flux1000"] < row["Flux1000_UL95"] < 3e-10
    assert np.isnan(row["LP_beta"])


def test_bright_sources_have_no_upper_limit_and_are_not_fake(refitted):
    row, _ = nearest_row(refitted, PLACES[0])
    assert np.isnan(row["Flux1000_UL95"])
    assert not row["Fake"]


def test_band_fluxes_add_up_to_what_was_simulated(refitted):
    row, _ = nearest_row(refitted, PLACES[0])
    below = (BAND_EDGES_MEV / 1e3) ** (1.0 - INDEX)
    truth = FLUXES[0] * (below[:-1] - below[1:]) / (1.0 - 100.0 ** (1.0 - INDEX))
    lower, upper = -row["Unc_Flux_Band"][:, 0], row["Unc_Flux_Band"][:, 1]
    error = np.fmax(lower, upper)
    # the networks' bins, by their mean energies: none below 300 MeV, none of 100 GeV and more
    known = np.isfinite(row["Flux_Band"])
    np.testing.assert_array_equal(known, [False] * 2 + [True] * 5 + [False])
    assert np.all(np.abs(row["Flux_Band"] - truth)[known] < 3.5 * error[known])


def test_gammapy_reads_the_spectrum_and_the_flux_points(refitted, tmp_path):
    write_catalog(refitted, tmp_path / "new.fits")
    name = nearest_row(refitted, PLACES[0])[0]["Source_Name"]
    source = SourceCatalog4FGL(tmp_path / "new.fits")[name]
    flux = source.spectral_model().integral(1 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
    assert flux == pytest.approx(float(source.data["Flux1000"].value), rel=0.01)
    points = source.flux_points.to_table(sed_type="dnde")
    assert len(points) == 8
    assert np.isfinite(points["dnde"]).sum() == 5


def test_names_order_and_classes_stay(refitted):
    before = catalog_of([SHIFTED, PLACES[1], EMPTY_PLACE])
    assert list(refitted.table["Source_Name"]) == list(before.table["Source_Name"])
    assert list(refitted.table["Probability"]) == list(before.table["Probability"])


def test_the_header_tells_how_it_was_refitted(refitted):
    assert "flat" in refitted.header["refit diffuse model"]
    assert refitted.header["refit fake_ts"] == "16.0"


def test_4fgl_neighbours_are_those_of_the_position_as_refitted():
    release = load_release("4FGL-DR2")
    before = catalog_of([SHIFTED], reference=release)
    after = refit_catalog(before, small_sky(), diffuse=flat_sky())
    fgl = SkyCoord(release["GLON"], release["GLAT"], unit="deg", frame="galactic")
    index, separation, _ = after.positions.match_to_catalog_sky(fgl)
    assert abs(after.table["Sep_FGL"][0] - before.table["Sep_FGL"][0]) > 1e-3
    assert after.table["Sep_FGL"][0] == pytest.approx(separation.deg[0], rel=1e-4)
    assert after.table["Nearest_FGL"][0] == release["Source_Name"][index[0]]


def test_an_empty_catalog_stays_empty():
    none = build_catalog(Candidates.empty())
    after = refit_catalog(none, small_sky(), diffuse=flat_sky())
    assert len(after) == 0
    assert "TS" in after.table.colnames


def test_the_number_of_workers_does_not_change_a_digit(refitted):
    distributed = pytest.importorskip("distributed")
    before = catalog_of([SHIFTED, PLACES[1], EMPTY_PLACE])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        config = RefitConfig(fake_ts=16.0, scheduler=cluster.scheduler_address)
        other = refit_catalog(before, small_sky(), config, diffuse=flat_sky())
    for name in ("TS", "Flux1000", "RAJ2000", "Flux_Band", "Unc_Flux1000", "Flags"):
        np.testing.assert_array_equal(other.table[name], refitted.table[name])


@pytest.mark.parametrize("ts", [-1.0, 0.0])
def test_no_ts_is_no_significance(ts):
    assert significance(ts) == 0.0


def test_a_ts_of_25_is_just_over_four_sigma_as_in_4fgl():
    assert significance(25.0) == pytest.approx(4.05, abs=0.01)


def test_the_significance_of_very_bright_sources_goes_on_smoothly():
    values = [significance(ts) for ts in (1180.0, 1200.0, 1220.0, 1240.0, 1e6)]
    assert np.all(np.diff(values[:4]) > 0)
    np.testing.assert_allclose(np.diff(values[:4], 2), 0.0, atol=5e-3)
    assert values[-1] == pytest.approx(1000.0, rel=1e-3)


def test_another_diffuse_model_judges_the_first_three_flags():
    before = catalog_of([PLACES[0], PLACES[1], EMPTY_PLACE, SHIFTED]).table
    one = Table(before, copy=True)
    for name, value in (("TS", 50.0), ("Flux1000", 1e-9), ("Unc_Flux1000", 1e-10),
                        ("Energy_Flux100", 1e-11), ("Unc_Energy_Flux100", 1e-12)):  # fmt: skip
        one[name] = np.full(4, value)
    one["Conf_95_SemiMajor"], one["Conf_95_SemiMinor"] = 0.1, 0.02
    one["Conf_95_PosAng"] = 0.0
    other = Table(one, copy=True)
    other["TS"][0] = 20.0
    other["DEJ2000"][1] += 0.09  # along the long axis, and along the short one
    other["RAJ2000"][2] += 0.09
    other["Flux1000"][1] = 1.32e-9  # by more than three sigma, but not by 35%
    other["Flux1000"][3] = 1.5e-9
    assert judge_change(one, other).tolist() == [LOST, 0, MOVED, CHANGED]


def test_a_region_that_fails_costs_its_own_rows_alone(monkeypatch):
    def broken(_):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(region, "fit_region", broken)
    before = catalog_of(PLACES)
    with pytest.warns(UnekWarning, match="the fit of region 1 around .* failed .*singular"):
        after = refit_catalog(before, small_sky(), diffuse=flat_sky())
    assert list(after.table["Source_Name"]) == list(before.table["Source_Name"])
    assert np.isnan(after.table["TS"]).all()
