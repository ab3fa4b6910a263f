"""Real fields with the PSF and exposure that came with them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from refit_samples import catalog_of, nearest_row

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import RefitConfig
from fermi_unek.refit import refit_to_file

CRAB = (184.557, -5.784)
GALACTIC_CENTRE, NEIGHBOUR = (359.95, -0.05), (0.12, -0.09)

pytestmark = pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")


def refit_files(tmp_path, places, inputs, config):
    write_catalog(catalog_of(places), tmp_path / "found.fits")
    refit_to_file(tmp_path / "found.fits", inputs, tmp_path / "new.fits", config)
    return read_catalog(tmp_path / "new.fits")


def test_the_crab_is_seen_in_31_photons_of_a_fermipy_set(tmp_path, shared_data):
    folder = shared_data / "real" / "fermipy-crab"
    config = RefitConfig(
        psf=sorted(folder.glob("psf_0?.fits")),
        exposure=sorted(folder.glob("bexpmap_0?.fits")),
        background="own",
    )
    after = refit_files(tmp_path, [CRAB], sorted(folder.glob("ccube_0?.fits")), config)
    row, separation = nearest_row(after, CRAB)
    assert row["TS"] > 50.0
    assert separation < 0.1
    assert 1.0 < row["Npred"] < 31.0


def test_the_galactic_centre_agrees_with_3fhl_on_its_own_psf_and_exposure(tmp_path, shared_data):
    real = shared_data / "real"
    config = RefitConfig(
        psf=(real / "fermi-3fhl-gc-psf-cube.fits.gz",),
        exposure=(real / "fermi-3fhl-gc-exposure-cube.fits.gz",),
        background="own",
    )
    cube = real / "fermi-3fhl-gc-counts-cube.fits.gz"
    after = refit_files(tmp_path, [GALACTIC_CENTRE, NEIGHBOUR], [cube], config)
    with fits.open(shared_data / "catalogs" / "gll_psch_v13.fit.gz") as hdus:
        catalog = hdus[1].data
        names = np.char.strip(catalog["Source_Name"])
        listed = catalog[list(names).index("3FHL J1745.6-2900")]
    row, separation = nearest_row(after, (float(listed["GLON"]), float(listed["GLAT"])))
    assert row["TS"] > 400.0
    assert separation < 0.05
    # 3FHL's bands from 20 GeV on are this package's last one
    expected = listed["Flux_Band"][1:].sum()
    assert row["Flux_Band"][5] == pytest.approx(expected, rel=0.25)
    assert abs(row["PL_Index"] - listed["PowerLaw_Index"]) < 0.5
    assert np.isnan(row["Sqrt_TS_Band"][:4]).all()
