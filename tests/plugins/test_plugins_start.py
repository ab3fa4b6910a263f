"""A spectrum to start from is put where none was fitted, and only there."""

import numpy as np
import pytest
from plugin_samples import SPECTRA, found_catalog, refitted_catalog

from fermi_unek.plugins.start import START, has_spectrum, with_start_spectra


def test_rows_that_were_not_refitted_get_the_start_spectrum():
    catalog = found_catalog(3)
    table = with_start_spectra(catalog.table)
    for name, value in START.items():
        assert table[name] == pytest.approx(np.full(3, value))
    assert np.isnan(catalog.table["PL_Flux_Density"]).all()


def test_refitted_rows_keep_their_spectra():
    table = refitted_catalog(3).table
    started = with_start_spectra(table)
    for name in ("SpectrumType", "Pivot_Energy", "PL_Index", "LP_beta", "PLEC_ExpfactorS"):
        assert list(started[name]) == list(table[name])


@pytest.mark.parametrize("form", SPECTRA)
def test_one_parameter_that_is_not_finite_makes_a_spectrum_unknown(form):
    row = dict(refitted_catalog(1).table[0]) | {"SpectrumType": form}
    assert has_spectrum(row)
    for name in (*SPECTRA[form], "Pivot_Energy"):
        assert not has_spectrum(row | {name: np.nan})


def test_a_form_of_spectrum_that_no_reader_knows_counts_as_unknown():
    assert not has_spectrum(dict(refitted_catalog(1).table[0]) | {"SpectrumType": ""})


def test_a_table_without_rows_stays_one():
    assert len(with_start_spectra(found_catalog(0).table)) == 0
