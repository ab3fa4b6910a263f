"""fermipy's way: its own ROI model, and a stand-in for what needs the Fermitools."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from fermipy.roi_model import ROIModel
from measure_samples import catalog_of

from fermi_unek.catalog import Candidates, build_catalog, write_catalog
from fermi_unek.errors import ConfigError, InputError, OutputError
from fermi_unek.measure.fermipy import refit_with_fermipy, with_start, write_analysis

PLACES = [(200.0, 50.0), (200.9, 50.4)]
SETTINGS = {
    "data": {"evfile": "ft1.fits", "scfile": "sc.fits"},
    "model": {"galdiff": "gll_iem_v07.fits", "isodiff": "iso.txt"},
}


class StandIn:
    """What `refit_with_fermipy` asks of a GTAnalysis, over fermipy's real ROIModel.

    The fit of a source gives it the TS, spectrum and photons told beforehand, in the keys and the
    signs of fermipy's sources.
    """

    def __init__(self, config: str, found: list[dict], fails: bool = False) -> None:
        with open(config) as file:
            self.config = yaml.safe_load(file)
        self._found = found
        self._fails = fails
        self._free: list[str] = []
        self.calls: list[str] = []

    def setup(self) -> None:
        model, selection = self.config["model"], self.config["selection"]
        place = SkyCoord(selection["ra"], selection["dec"], unit="deg")
        settings = {"catalogs": model["catalogs"], "src_roiwidth": model["src_roiwidth"]}
        self.roi = ROIModel(settings, skydir=place, extdir=None)
        self.roi.load(coordsys="CEL")
        self.calls.append("setup")

    def optimize(self) -> None:
        for source, values in zip(self._ordered(), self._found, strict=True):
            source.update_data({"ts": values["ts"]})
        self.calls.append("optimize")

    def free_sources(self, free: bool = True) -> None:
        self._free = [one.name for one in self.roi.sources] if free else []

    def free_source(self, name: str) -> None:
        self._free.append(name)

    def fit(self) -> None:
        for source, values in zip(self._ordered(), self._found, strict=True):
            if source.name not in self._free:
                continue
            self.calls.append(f"fit {source.name}")
            source.update_spectral_pars(
                {
                    "Prefactor": {"value": values["density"] / 1e-13, "scale": 1e-13, "error": 0.1},
                    "Index": {"value": values["index"], "scale": -1.0, "error": 0.05},
                    "Scale": {"value": 1000.0, "scale": 1.0},
                }
            )
            source.update_data(
                {"ts": values["ts"], "npred": 100.0, "flux1000": 1e-10, "flux1000_ul95": 3e-10}
            )

    def localize(self, name: str, update: bool = True) -> dict:
        source = self.roi[name]
        source.update_data({"ra": source["ra"], "dec": source["dec"] + 0.01})
        return {
            "fit_success": not self._fails,
            "pos_err_semimajor": 0.02,
            "pos_err_semiminor": 0.01,
            "pos_angle": 120.0,
        }

    def _ordered(self) -> list:
        return sorted(self.roi.sources, key=lambda one: one.name)


FOUND = [
    {"ts": 20.0, "density": 1e-13, "index": 2.1},
    {"ts": 400.0, "density": 9e-13, "index": 2.4},
]


def refit(tmp_path, fails=False, **options):
    made = []

    def analysis(config):
        made.append(StandIn(config, FOUND, fails))
        return made[0]

    after = refit_with_fermipy(
        catalog_of(PLACES), SETTINGS, tmp_path / "work", analysis=analysis, **options
    )
    return after, made[0]


def test_what_gtlike_found_comes_back_in_4fgls_columns(tmp_path):
    after, gta = refit(tmp_path, fake_ts=25.0)
    table = after.table
    order = np.argsort(np.asarray(table["Source_Name"]))
    np.testing.assert_allclose(table["TS"][order], [20.0, 400.0])
    np.testing.assert_allclose(table["PL_Flux_Density"][order], [1e-13, 9e-13], rtol=1e-5)
    np.testing.assert_allclose(table["PL_Index"][order], [2.1, 2.4], rtol=1e-5)
    np.testing.assert_allclose(table["Unc_PL_Flux_Density"][order], 1e-14, rtol=1e-5)
    expected = 1e-13 * 1e3 / 1.1 * (1 - 100.0**-1.1)
    assert table["Flux1000"][order][0] == pytest.approx(expected, rel=1e-3)
    assert table["Flux1000_UL95"][order][0] == pytest.approx(3 * expected, rel=1e-3)
    assert np.isnan(table["Flux1000_UL95"][order][1])
    assert list(table["Fake"][order]) == [True, False]
    assert np.isnan(table["Flux_Band"]).all()
    assert after.header["refit by"] == "fermipy"


def test_the_brightest_source_is_fitted_first(tmp_path):
    after, gta = refit(tmp_path)
    names = sorted(after.table["Source_Name"])
    assert gta.calls == ["setup", "optimize", f"fit {names[1]}", f"fit {names[0]}"]


def test_positions_and_ellipses_come_from_localize(tmp_path):
    after, _ = refit(tmp_path)
    before = catalog_of(PLACES)
    moved = np.asarray(after.table["DEJ2000"]) - np.asarray(before.table["DEJ2000"])
    np.testing.assert_allclose(moved, 0.01, atol=1e-5)
    np.testing.assert_allclose(after.table["Conf_68_SemiMajor"], 0.02 * 1.5096, rtol=1e-3)
    np.testing.assert_allclose(after.table["Conf_68_PosAng"], -60.0, atol=1e-4)


def test_a_localisation_that_failed_leaves_the_ellipse(tmp_path):
    after, _ = refit(tmp_path, fails=True)
    np.testing.assert_allclose(after.table["Conf_68_SemiMajor"], 0.05, rtol=1e-5)


def test_the_configuration_holds_the_catalog_and_what_the_user_said(tmp_path):
    settings = {**SETTINGS, "selection": {"emin": 1000}}
    path = write_analysis(catalog_of(PLACES), settings, tmp_path / "work")
    config = yaml.safe_load(path.read_text())
    assert config["selection"]["emin"] == 1000
    assert config["selection"]["emax"] == 1000000
    assert config["model"]["galdiff"] == "gll_iem_v07.fits"
    assert config["model"]["catalogs"] == [str((tmp_path / "work" / "model.fits").resolve())]
    here = SkyCoord(config["selection"]["ra"], config["selection"]["dec"], unit="deg")
    assert here.separation(catalog_of(PLACES).positions).deg.max() < 0.5


def test_sources_that_were_never_fitted_begin_with_a_spectrum(tmp_path):
    start = with_start(catalog_of(PLACES))
    assert np.isfinite(start.table["PL_Flux_Density"]).all()
    write_catalog(start, tmp_path / "start.fits")


def test_an_empty_catalog_needs_no_fermitools(tmp_path):
    after = refit_with_fermipy(build_catalog(Candidates.empty()), SETTINGS, tmp_path / "work")
    assert len(after) == 0


def test_settings_without_data_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="data: evfile"):
        write_analysis(catalog_of(PLACES), {"model": SETTINGS["model"]}, tmp_path / "work")


def test_candidates_all_over_the_sky_are_refused(tmp_path):
    with pytest.raises(InputError, match="one region of interest of 20 degrees"):
        write_analysis(catalog_of([(10.0, 0.0), (60.0, 0.0)]), SETTINGS, tmp_path / "work")


def test_an_analysis_that_exists_is_not_replaced_unasked(tmp_path):
    write_analysis(catalog_of(PLACES), SETTINGS, tmp_path / "work")
    with pytest.raises(OutputError, match="exists already"):
        write_analysis(catalog_of(PLACES), SETTINGS, tmp_path / "work")
    write_analysis(catalog_of(PLACES), SETTINGS, tmp_path / "work", overwrite=True)


def test_without_the_fermitools_it_says_what_to_do(tmp_path, monkeypatch):
    # a module without the class: what an installation without Fermitools comes to
    monkeypatch.setitem(sys.modules, "fermipy.gtanalysis", ModuleType("fermipy.gtanalysis"))
    with pytest.raises(ConfigError, match="needs the Fermitools"):
        refit_with_fermipy(catalog_of(PLACES), SETTINGS, tmp_path / "work")


def test_a_spectrum_that_the_catalog_cannot_hold_is_refused(tmp_path):
    class Cutoff(StandIn):
        def fit(self):
            for source in self.roi.sources:
                source.update_data({"SpectrumType": "PLSuperExpCutoff4"})

    with pytest.raises(InputError, match="fermipy fitted a PLSuperExpCutoff4"):
        refit_with_fermipy(
            catalog_of(PLACES), SETTINGS, tmp_path / "work", analysis=lambda c: Cutoff(c, FOUND)
        )
