"""Spectra of 4FGL against gammapy's models of the same sources and the catalog's own columns."""

from __future__ import annotations

from pathlib import Path

import fermipy
import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from gammapy.catalog import SourceCatalog4FGL

from fermi_unek.catalog.spectra import (
    SPECTRUM_TYPES,
    differential_flux,
    energy_flux,
    fine_flux,
    photon_flux,
)
from fermi_unek.irf.instrument import FINE_EDGES_MEV
from fermi_unek.simulate.population import dr2_table

CATALOGS = Path(fermipy.__file__).parent / "data" / "catalogs"
ENERGIES = np.geomspace(200.0, 5e5, 15)


def release(name: str) -> tuple[Table, SourceCatalog4FGL]:
    return Table.read(CATALOGS / name, hdu=1), SourceCatalog4FGL(CATALOGS / name)


@pytest.mark.parametrize("name", ["gll_psc_v27.fit", "gll_psc_v35.fit"])
def test_each_spectrum_is_gammapys(name):
    """DR2 and DR4 write the cutoff of pulsars in different columns."""
    table, catalog = release(name)
    kinds = np.char.strip(np.asarray(table["SpectrumType"]).astype(str))
    assert set(kinds) == set(SPECTRUM_TYPES)
    rng = np.random.default_rng(0)
    for kind in SPECTRUM_TYPES:
        rows = rng.choice(np.flatnonzero(kinds == kind), 8, replace=False)
        ours = differential_flux(table[rows], ENERGIES)
        for row, flux in zip(rows, ours, strict=True):
            model = catalog[int(row)].spectral_model()
            expected = model(ENERGIES * u.MeV).to_value("cm-2 s-1 MeV-1")
            # the catalog rounds its columns to seven digits, the tail of a cutoff is tiny
            np.testing.assert_allclose(flux, expected, rtol=2e-4, atol=1e-9 * expected[0])


def test_fluxes_are_those_of_the_catalogs_columns():
    table, _ = release("gll_psc_v27.fit")
    good = np.asarray(table["Signif_Avg"]) > 5
    table = table[good]
    for ours, column in ((photon_flux(table), "Flux1000"), (energy_flux(table), "Energy_Flux100")):
        ratio = ours / np.asarray(table[column], float)
        assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
        assert np.mean(np.abs(ratio - 1.0) < 0.02) > 0.97


def test_the_fine_bins_add_up_to_gammapys_integral():
    table, catalog = release("gll_psc_v27.fit")
    rows = [10, 500, 1500, int(np.argmax(table["PLEC_Flux_Density"]))]
    edges = FINE_EDGES_MEV[[2, 12, 30]] * u.MeV
    for row, fine in zip(rows, fine_flux(table[rows]), strict=True):
        model = catalog[row].spectral_model()
        expected = model.integral(edges[:-1], edges[1:]).to_value("cm-2 s-1")
        np.testing.assert_allclose([fine[2:12].sum(), fine[12:30].sum()], expected, rtol=0.01)


def test_no_source_is_no_flux():
    nothing = dr2_table()[:0]
    assert differential_flux(nothing, ENERGIES).shape == (0, 15)
    assert fine_flux(nothing).shape == (0, 45)
    assert photon_flux(nothing).shape == energy_flux(nothing).shape == (0,)
