"""Source lists of others, read for a refit."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from gammapy.catalog import SourceCatalog4FGL

from fermi_unek.catalog import Candidates, build_catalog, write_catalog
from fermi_unek.catalog.io import read_source_list
from fermi_unek.errors import InputError


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
