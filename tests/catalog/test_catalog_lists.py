"""Source lists of others, read for a refit."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from gammapy.catalog import SourceCatalog4FGL

from fermi_unek.catalog import Candidates, build_catalog, write_catalog
from fermi_unek.catalog.io import read_source_list
from fermi_unek.errors import InputError, UnekWarning


def test_a_source_list_of_fermipy_keeps_names_order_places_and_spectra(shared_data):
    path = shared_data / "fermitools" / "source_list.fits"
    catalog, theirs = read_source_list(path), Table.read(path, 1)
    assert [name.strip() for name in theirs["Source_Name"]] == list(catalog["Source_Name"])
    for name in ("RAJ2000", "DEJ2000", "GLON", "GLAT"):
        np.testing.assert_allclose(catalog[name], theirs[name], atol=1e-6)
    for name in ("PL_Index", "LP_beta", "Pivot_Energy"):
        np.testing.assert_allclose(catalog[name], np.ma.filled(theirs[name], np.nan), rtol=1e-6)
    assert np.isnan(catalog["Flux_Band"]).all()


def test_a_refitted_list_of_others_is_written_for_gammapy(shared_data, tmp_path):
    catalog = read_source_list(shared_data / "fermitools" / "source_list.fits")
    write_catalog(catalog, tmp_path / "list.fits")
    assert len(SourceCatalog4FGL(tmp_path / "list.fits").table) == len(catalog)


def test_a_catalog_of_ours_is_read_as_ever(tmp_path):
    one = np.ones(1)
    candidates = Candidates(10 * one, one, 0.9 * one, 0.1 * one, 0.1 * one, 0 * one, one < 0)
    write_catalog(build_catalog(candidates), tmp_path / "ours.fits")
    assert read_source_list(tmp_path / "ours.fits")["Probability"][0] == pytest.approx(0.9)


def test_a_table_without_places_is_refused(tmp_path):
    path = tmp_path / "x.fits"
    fits.BinTableHDU(Table({"Source_Name": ["A"]})).writeto(path)
    with pytest.raises(InputError, match="Source_Name, RAJ2000 and DEJ2000"):
        read_source_list(path)
    with pytest.raises(InputError, match="no such file"):
        read_source_list(tmp_path / "missing.fits")


def stated(path, **columns):
    """A list of one source with columns of some unit, read."""
    table = Table({"Source_Name": ["A"], "RAJ2000": [184.0], "DEJ2000": [46.0]})
    for name, (value, unit) in columns.items():
        table[name] = [value]
        table[name].unit = unit
    table.write(path, overwrite=True)
    return read_source_list(path)


def test_the_units_of_a_list_are_obeyed_or_refused(tmp_path):
    catalog = stated(
        tmp_path / "list.fits",
        Flux1000=(1e-5, "ph/m2/s"),
        Energy_Flux100=(1e-6, "MeV cm-2 s-1"),
        Pivot_Energy=(2.0, "GeV"),
        PL_Flux_Density=(1e-9, "cm-2 s-1 GeV-1"),
        Conf_95_SemiMajor=(360.0, "arcsec"),
    )
    for name, value in (("Flux1000", 1e-9), ("Energy_Flux100", 1.602e-12), ("Pivot_Energy", 2e3),
                        ("PL_Flux_Density", 1e-12), ("Conf_95_SemiMajor", 0.1)):  # fmt: skip
        np.testing.assert_allclose(catalog[name], value, rtol=1e-3)
    texts = stated(tmp_path / "text.fits", RAJ2000=("12:16:00", ""), DEJ2000=("+46:00:00", ""))
    np.testing.assert_allclose([texts["RAJ2000"][0], texts["DEJ2000"][0]], [184.0, 46.0])
    for name, unit in (("Flux1000", "Jy"), ("Pivot_Energy", "furlong"), ("PL_Index", "deg")):
        with pytest.raises(InputError, match=f"column {name}: unit '{unit}' cannot be brought"):
            stated(tmp_path / "list.fits", **{name: (1.0, unit)})
    with pytest.raises(InputError, match="Probability holds 82, expected 0 to 1"):
        stated(tmp_path / "list.fits", Probability=(82.0, None))


def test_bands_and_years_of_a_catalog_are_those_its_tables_state(tmp_path):
    one, path = np.ones(1), tmp_path / "ours.fits"
    candidates = Candidates(10 * one, one, 0.9 * one, 0.1 * one, 0.1 * one, 0 * one, one < 0)
    written = build_catalog(candidates)
    write_catalog(written, path)
    with fits.open(path, mode="update") as hdus:
        hdus["Hist_Start"].data["Hist_Start"] /= 86400.0
        hdus["Hist_Start"].columns["Hist_Start"].unit = "d"
    np.testing.assert_allclose(read_source_list(path).year_edges_met, written.year_edges_met)
    with fits.open(path, mode="update") as hdus:
        hdus["EnergyBounds"].data["UpperEnergy"] /= 1e3
    with pytest.raises(InputError, match="EnergyBounds has 8 bands, 50 to 1000 MeV, Flux_Band 8"):
        read_source_list(path)


def written(path, header=(), **columns):
    """A list of two sources, read."""
    named = {"Source_Name": ["A", "B"], "RAJ2000": [184.0, 185.0], "DEJ2000": [46.0, 47.0]}
    hdu = fits.table_to_hdu(Table(named | columns))
    hdu.header.update(header)
    hdu.writeto(path, overwrite=True)
    return read_source_list(path)


def ragged(*rows):
    """A column of variable length."""
    values = np.empty(len(rows), object)
    values[:] = [np.array(row) for row in rows]
    return fits.Column("RAJ2000", "PD()", array=values)


def test_a_table_is_read_whatever_became_of_its_columns(tmp_path):
    path = tmp_path / "list.fits"
    plain = written(path, PL_Index=[2.0, 3.0])
    forms = {
        "rows of one number": {"RAJ2000": [[184.0], [185.0]], "PL_Index": [[2.0], [3.0]]},
        "text": {"RAJ2000": ["184.0", "12 20 00"], "PL_Index": ["2.0", "3"]},
        "whole numbers": {"RAJ2000": [184, 185], "PL_Index": [2, 3]},
    }
    for how, columns in forms.items():
        again = written(path, **columns)
        for name in ("RAJ2000", "GLON", "PL_Index"):
            np.testing.assert_allclose(again[name], plain[name], err_msg=how)
    lower = Table({"source_name": ["A", "B"], "raj2000": [184.0, 185.0], "dej2000": [46.0, 47.0]})
    lower.write(path, overwrite=True)
    np.testing.assert_allclose(read_source_list(path)["GLAT"], plain["GLAT"])
    names = fits.Column("Source_Name", "1A", array=["A", "B"])
    dec = fits.Column("DEJ2000", "D", array=[46.0, 47.0])
    for rows, told in (([[184.0], [185.0]], None), ([[184.0], [1.0, 2.0]], "different lengths")):
        hdu = fits.BinTableHDU.from_columns([names, ragged(*rows), dec])
        hdu.writeto(path, overwrite=True)
        if told is None:
            np.testing.assert_allclose(read_source_list(path)["GLON"], plain["GLON"])
            continue
        with pytest.raises(InputError, match=told):
            read_source_list(path)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"RAJ2000": [[184.0, 1.0], [185.0, 1.0]]}, "RAJ2000: 2 values a source, expected one"),
        ({"PL_Index": ["soft", "2"]}, "column PL_Index holds no numbers"),
        ({"header": {"RADESYS": "FK4"}}, "RADESYS FK4 is not J2000"),
        ({"DEJ2000": [np.nan, 95.0]}, "2 of 2 sources, the first in row 0, have no position"),
    ],
)
def test_columns_that_are_none_are_refused(tmp_path, columns, told):
    with pytest.raises(InputError, match=told):
        written(tmp_path / "list.fits", **columns)


def test_a_source_without_a_place_costs_itself(tmp_path):
    with pytest.warns(UnekWarning, match="1 of 2 sources, the first in row 1.*are left out"):
        assert list(written(tmp_path / "list.fits", DEJ2000=[46.0, 95.0])["Source_Name"]) == ["A"]


def test_a_source_that_is_there_twice_is_taken_once(tmp_path):
    columns = {"Source_Name": ["A", "A"], "RAJ2000": [184.0] * 2, "DEJ2000": [46.0] * 2}
    with pytest.warns(UnekWarning, match="1 of 2 rows repeat the name and place of another"):
        assert len(written(tmp_path / "list.fits", **columns)) == 1
