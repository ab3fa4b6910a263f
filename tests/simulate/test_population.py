"""Source lists: the counts law, new skies, and lists from files."""

from __future__ import annotations

from pathlib import Path

import fermipy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from simulate_samples import power_laws

from fermi_unek.catalog.spectra import photon_flux
from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.simulate.population import (
    dr2_population,
    dr2_table,
    faint_tail,
    is_galactic,
    read_population,
    resampled_population,
)

CATALOGS = Path(fermipy.__file__).parent / "data" / "catalogs"


@pytest.fixture(scope="module")
def mock() -> Table:
    return resampled_population(np.random.default_rng(4))


# 4FGL-DR2 and its tail -------------------------------------------------------------------------


def test_dr2_has_its_point_sources_at_their_places():
    table = dr2_table()
    raw = Table.read(CATALOGS / "gll_psc_v27.fit", hdu=1)
    point = np.char.strip(np.asarray(raw["Extended_Source_Name"]).astype(str)) == ""
    assert len(table) == point.sum()
    np.testing.assert_array_equal(table["GLON"], raw["GLON"][point])
    crab = table["Source_Name"] == "4FGL J0534.5+2200"
    assert table["CLASS1"][crab].tolist() == ["psr"]


def test_with_its_tail_dr2_follows_the_counts_law_to_a_tenth_of_its_threshold():
    sky = dr2_population(np.random.default_rng(1))
    flux = photon_flux(sky)
    high = (np.abs(sky["GLAT"]) > 20.0) & ~is_galactic(sky)
    for threshold in (1e-10, 2e-10, 5e-10, 1e-9):
        number = np.sum(high & (flux > threshold))
        assert number == pytest.approx(3.4e-7 / threshold, rel=0.1)
    # below the break the counts flatten
    faint = np.sum(high & (flux > 2e-11)) / np.sum(high & (flux > 1e-10))
    assert 3.0 < faint < 5.0


def test_dr2_without_a_tail_is_the_catalog():
    sky = dr2_population(np.random.default_rng(1), tail=False)
    np.testing.assert_array_equal(sky["Source_Name"], dr2_table()["Source_Name"])
    assert np.isfinite(sky["Signif_Avg"]).all()


def test_the_tail_is_spread_over_the_sphere_but_for_a_part_along_the_plane():
    tail = faint_tail(dr2_table(), np.random.default_rng(2))
    flux = photon_flux(tail)
    assert flux.min() > 1.9e-11
    assert flux.max() < 6.1e-10
    sine = np.sin(np.radians(tail["GLAT"]))
    counts = np.histogram(sine, np.linspace(-1, 1, 11))[0]
    away = np.delete(counts, [4, 5])
    assert np.all(np.abs(away - away.mean()) < 5 * np.sqrt(away.mean()))
    assert counts[4:6].sum() > 1.3 * 2 * away.mean()
    assert not np.isfinite(tail["Signif_Avg"]).any()


# new skies -------------------------------------------------------------------------------------


def test_a_new_sky_has_the_numbers_and_classes_of_dr2_at_other_places(mock):
    real = dr2_table()
    bright_mock, bright_real = (photon_flux(t) > 1.5e-9 for t in (mock, real))
    assert bright_mock.sum() == pytest.approx(bright_real.sum(), rel=0.15)
    for kind in ("psr", "fsrq", "bll"):
        number = np.sum(bright_mock & (mock["CLASS1"] == kind))
        expected = np.sum(bright_real & (real["CLASS1"] == kind))
        assert abs(number - expected) < 5 * np.sqrt(2 * expected) + 0.15 * expected
    far = SkyCoord(mock["GLON"], mock["GLAT"], unit="deg")[bright_mock]
    near = SkyCoord(real["GLON"], real["GLAT"], unit="deg")
    assert np.mean(far.match_to_catalog_sky(near)[1].deg < 0.05) < 0.05


def test_pulsars_keep_to_the_plane_and_blazars_do_not(mock):
    real = dr2_table()
    for kind, inside in (("psr", None), ("fsrq", np.sin(np.radians(10.0)))):
        fraction = np.mean(np.abs(mock["GLAT"][mock["CLASS1"] == kind]) < 10.0)
        expected = inside or np.mean(np.abs(real["GLAT"][real["CLASS1"] == kind]) < 10.0)
        assert fraction == pytest.approx(expected, abs=0.08)


def test_a_seed_is_a_population_and_another_seed_another(mock):
    again = resampled_population(np.random.default_rng(4))
    assert all(np.array_equal(again[n], mock[n]) for n in ("GLON", "Flux1000", "Source_Name"))
    other = resampled_population(np.random.default_rng(5))
    assert not np.isin(other["GLON"], mock["GLON"]).any()


def test_a_source_at_another_place_has_another_name(mock):
    names = np.asarray(mock["Source_Name"])
    assert np.unique(names).size == names.size
    assert np.char.startswith(names, "SIM").all()


def test_celestial_positions_belong_to_the_galactic_ones(mock):
    part = mock[:50]
    place = SkyCoord(part["RAJ2000"], part["DEJ2000"], unit="deg", frame="icrs").galactic
    np.testing.assert_allclose(place.b.deg, part["GLAT"], atol=1e-9)
    np.testing.assert_allclose(part["Flux1000"], photon_flux(part))


# lists from files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gll_psc_v20.fit", "gll_psc_v27.fit", "gll_psc_v35.fit"])
def test_a_release_of_4fgl_is_a_population(name):
    table = read_population(CATALOGS / name)
    raw = Table.read(CATALOGS / name, hdu=1)
    point = np.char.strip(np.asarray(raw["Extended_Source_Name"]).astype(str)) == ""
    assert len(table) == point.sum()
    ratio = np.asarray(table["Flux1000"]) / np.asarray(raw["Flux1000"][point], float)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)


def test_a_list_with_the_least_of_columns_is_read(tmp_path):
    table = power_laws([(10.0, 5.0), (200.0, -60.0)], [1e-8, 1e-9])
    table.remove_columns(["GLON", "GLAT", "Source_Name", "CLASS1", "Signif_Avg", "Flux1000"])
    table.write(tmp_path / "list.fits")
    again = read_population(tmp_path / "list.fits")
    np.testing.assert_allclose(again["GLON"], [10.0, 200.0], atol=1e-9)
    np.testing.assert_allclose(again["Flux1000"], [1e-8, 1e-9], rtol=1e-3)
    assert again["Source_Name"].tolist() == ["SIM 00000", "SIM 00001"]


def test_an_empty_list_is_a_population_of_nobody(tmp_path):
    power_laws([(1.0, 1.0)], [1e-9])[:0].write(tmp_path / "list.fits")
    assert len(read_population(tmp_path / "list.fits")) == 0


def spoilt(**columns) -> Table:
    table = power_laws([(10.0, 5.0), (20.0, 5.0)], [1e-8, 1e-9])
    for name, values in columns.items():
        table[name] = values
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (spoilt(SpectrumType=["Template", "Gaussian"]), "'Template', which is none of"),
        (spoilt(PL_Flux_Density=[-1e-12, np.nan]), "2 of 2 sources, the first in row 0"),
        (spoilt(GLAT=[95.0, np.nan]), "no position"),
        (Table({"RA": [1.0]}), "no table with a column SpectrumType"),
        (Table({"SpectrumType": ["PowerLaw"]}), "has no column GLON, GLAT, Pivot_Energy"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_in_one_line(tmp_path, table, message):
    table.write(tmp_path / "list.fits")
    with pytest.raises(InputError, match=message) as told:
        read_population(tmp_path / "list.fits")
    assert "\n" not in str(told.value)
    assert str(tmp_path / "list.fits") in str(told.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SpectrumType": ["PowerLaw", "Gaussian"]}, "SpectrumType 'Gaussian', which is none of"),
        ({"PL_Flux_Density": [1e-12, np.nan]}, "no flux between"),
        ({"GLAT": [5.0, np.nan]}, "no position"),
    ],
)
def test_a_source_that_cannot_be_used_costs_itself(tmp_path, changes, reason):
    spoilt(**changes).write(tmp_path / "list.fits")
    with pytest.warns(UnekWarning, match=f"left out 1 of 2 sources, the first in row 1.*{reason}"):
        assert read_population(tmp_path / "list.fits")["GLON"].tolist() == [10.0]


def test_the_units_of_a_list_are_obeyed(tmp_path):
    table = power_laws([(10.0, 5.0)], [1e-8])
    plain = read_population_of(table, tmp_path / "plain.fits")
    table["PL_Flux_Density"] = table["PL_Flux_Density"] * 1e7
    table["PL_Flux_Density"].unit = "ph m-2 s-1 GeV-1"
    table["Pivot_Energy"] = table["Pivot_Energy"] / 1e3
    table["Pivot_Energy"].unit = "GeV"
    table["GLAT"] = table["GLAT"] * 60.0
    table["GLAT"].unit = "arcmin"
    stated = read_population_of(table, tmp_path / "stated.fits")
    for name in ("Flux1000", "RAJ2000", "DEJ2000", "Pivot_Energy"):
        np.testing.assert_allclose(stated[name], plain[name], rtol=1e-6)
    table["Pivot_Energy"].unit = "Hz"
    with pytest.raises(InputError, match="Pivot_Energy: unit 'Hz' cannot be brought to MeV"):
        read_population_of(table, tmp_path / "hertz.fits")


def read_population_of(table, path):
    table.write(path)
    return read_population(path)


def test_files_that_are_no_lists_are_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_population(tmp_path / "none.fits")
    fits.PrimaryHDU().writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="no table with a column SpectrumType"):
        read_population(tmp_path / "image.fits")


def test_places_and_levels_that_contradict_each_other_are_refused(tmp_path):
    table = power_laws([(10.0, 5.0)], [1e-8])
    table["Flux1000"] = [1e-8]
    read_population_of(table, tmp_path / "plain.fits")
    table["Flux1000"] = [1e-4]  # ph m-2 s-1 without a word
    with pytest.raises(InputError, match="contradict each other by a factor of 1e.04"):
        read_population_of(table, tmp_path / "flux.fits")
    table["Flux1000"], table["RAJ2000"], table["DEJ2000"] = [1e-8], [10.0], [5.0]
    with pytest.raises(InputError, match="degrees apart, expected one place"):
        read_population_of(table, tmp_path / "place.fits")
