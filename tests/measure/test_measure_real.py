"""Real fields with the PSF and exposure that came with them."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import fermipy
import numpy as np
import pytest
import yaml
from astropy.io import fits
from click.testing import CliRunner
from fermipy.catalog import Catalog as FermipyCatalog
from fermipy.roi_model import ROIModel
from gammapy.catalog import SourceCatalog4FGL
from gammapy.datasets import Datasets, FermipyDatasetsReader, MapDataset
from gammapy.maps import Map
from measure_samples import catalog_of, nearest_row

from fermi_unek import cli
from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import RefitConfig
from fermi_unek.measure import refit_to_file
from fermi_unek.plugins.gammapy import UNEKSourceEstimator

CRAB = (184.557, -5.784)
GALACTIC_CENTRE, NEIGHBOUR = (359.95, -0.05), (0.12, -0.09)

pytestmark = [
    pytest.mark.usefixtures("one_look"),
    pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning"),
]


@pytest.fixture(autouse=True)
def diffuse_files(monkeypatch, shared_data):
    """The diffuse models by name are those of the shared data."""
    monkeypatch.setenv("FERMI_UNEK_DATA", str(shared_data))


def refit_files(tmp_path, places, inputs, config):
    write_catalog(catalog_of(places), tmp_path / "found.fits")
    refit_to_file(tmp_path / "found.fits", inputs, tmp_path / "new.fits", config)
    return read_catalog(tmp_path / "new.fits")


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
    # 3FHL's bands: 10 to 20, 20 to 50, 50 to 150, 150 to 500 and to 2000 GeV
    assert row["Flux_Band"][5:].sum() == pytest.approx(listed["Flux_Band"].sum(), rel=0.25)
    assert abs(row["PL_Index"] - listed["PowerLaw_Index"]) < 0.5
    assert np.isnan(row["Sqrt_TS_Band"][:5]).all()


def searched_and_refitted(datasets, inputs, options, folder, **settings):
    """Catalog file of gammapy's datasets, searched by the estimator and refitted by the program."""
    found, new = folder / "found.fits", folder / "new.fits"
    write_catalog(UNEKSourceEstimator(**settings).search(datasets), found)
    arguments = ["refit", found, *inputs, "-o", new, "--background", "v07", *options]
    done = CliRunner().invoke(cli.main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return new


def opened_by_others(path, name):
    """gammapy's source of a catalog file, after fermipy has taken it for a model as well."""
    source = SourceCatalog4FGL(path)[name]
    assert len(FermipyCatalog.create(str(path)).table) == len(read_catalog(path))
    model = ROIModel({"catalogs": [str(path)], "src_roiwidth": 10.0}, skydir=source.position)
    norm = source.spectral_model().parameters["amplitude"]
    assert model[name].params["Prefactor"]["value"] == pytest.approx(norm.value, rel=1e-4)
    return source


def test_a_fermipy_set_goes_through_estimator_and_refit_into_both_tools(tmp_path, shared_data):
    folder = shared_data / "real" / "fermipy-crab"
    config = yaml.safe_load((folder / "config_fermipy_std_5deg_qr.yaml").read_text())
    config["components"] = [{"selection": one["selection"]} for one in config["components"]]
    config["fileio"]["outdir"] = str(folder)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    new = searched_and_refitted(
        FermipyDatasetsReader(tmp_path / "config.yaml").read(),
        sorted(folder.glob("ccube_0?.fits")),
        ["--psf", *sorted(folder.glob("psf_0?.fits")),
         "--exposure", *sorted(folder.glob("bexpmap_0?.fits"))],
        tmp_path,
        threshold=0.05,
    )  # fmt: skip
    row, separation = nearest_row(read_catalog(new), CRAB)
    assert row["TS"] > 50.0
    assert separation < 0.1
    assert 1.0 < row["Npred"] < 31.0  # photons in the cubes
    source = opened_by_others(new, row["Source_Name"])
    assert source.spectral_model().integral(400 * u.GeV, 1 * u.TeV).value > 0


def test_fermipy_cubes_of_the_galactic_centre_refit_on_their_own_psf(tmp_path, shared_data):
    folder = shared_data / "real" / "fermi-gc"
    cubes = sorted(folder.glob("ccube_0?.fits"))
    datasets = Datasets([MapDataset(counts=Map.read(one), name=one.stem) for one in cubes])
    new = searched_and_refitted(
        datasets,
        cubes,
        ["--psf", *sorted(folder.glob("psf_0?.fits"))],
        tmp_path,
        threshold=0.8,
        region=(*GALACTIC_CENTRE, 2.0),
    )
    row, separation = nearest_row(read_catalog(new), GALACTIC_CENTRE)
    assert row["TS"] > 400.0
    assert separation < 0.05
    ours = opened_by_others(new, row["Source_Name"]).spectral_model()
    release = Path(fermipy.PACKAGE_DATA) / "catalogs" / "gll_psc_v35.fit"
    theirs = SourceCatalog4FGL(release)["4FGL J1745.6-2859"].spectral_model()
    band = 7 * u.GeV, 20 * u.GeV
    assert ours.integral(*band).value == pytest.approx(theirs.integral(*band).value, rel=0.25)
