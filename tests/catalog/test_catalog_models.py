"""Exported source models are taken by fermipy's own classes, with numbers inside their bounds."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from fermipy.catalog import Catalog as FermipyCatalog
from fermipy.roi_model import ROIModel

from fermi_unek.catalog import write_catalog
from fermi_unek.catalog.export import export_file
from fermi_unek.catalog.models import START, measured_spectrum, source_models
from fermi_unek.errors import OutputError, UnekWarning
from fermi_unek.simulate.userlist import read_user_list

sys.path.append(str(Path(__file__).parents[1] / "plugins"))
from plugin_samples import CENTRE, SPECTRA, found_catalog, refitted_catalog  # noqa: E402


@pytest.fixture
def exported(tmp_path):
    """Writes a catalog and exports it; the export's path."""

    def export(catalog, suffix):
        write_catalog(catalog, tmp_path / "c.fits", overwrite=True)
        export_file(tmp_path / "c.fits", tmp_path / f"model{suffix}", overwrite=True)
        return tmp_path / f"model{suffix}"

    return export


def roi_of(path):
    """fermipy's ROI model of an export, made as GTAnalysis makes it of its configuration."""
    place = SkyCoord(*CENTRE, unit="deg", frame="galactic").icrs
    selection = {"target": None, "ra": float(place.ra.deg), "dec": float(place.dec.deg)}
    config = {"src_radius": 20.0, "catalogs": [str(path)]}
    if path.suffix != ".xml":
        config = {"src_radius": 20.0, **yaml.safe_load(path.read_text())["model"]}
    return ROIModel.create(selection, config)


def assert_inside_bounds(source):
    for name, parameter in source.spectral_pars.items():
        assert np.isfinite(parameter["value"]), name
        assert parameter["min"] <= parameter["value"] <= parameter["max"], name


@pytest.mark.parametrize("suffix", [".xml", ".yaml", ".yml"])
def test_what_was_not_measured_starts_from_a_power_law(exported, suffix):
    catalog = found_catalog(5)
    roi = roi_of(exported(catalog, suffix))
    assert len(roi.sources) == 5
    for row in catalog.table:
        source = roi[str(row["Source_Name"])]
        assert source["SpectrumType"] == "PowerLaw"
        assert source.radec == pytest.approx([row["RAJ2000"], row["DEJ2000"]], abs=1e-9)
        assert_inside_bounds(source)
        pars = {k: p["value"] * p["scale"] for k, p in source.spectral_pars.items()}
        expected = {"Prefactor": 1e-13, "Index": -2.0, "Scale": 1000.0}
        assert pars == pytest.approx(expected)


@pytest.mark.parametrize("suffix", [".xml", ".yaml"])
def test_measured_spectra_are_those_that_fermipy_makes_of_the_catalog_file(
    exported, tmp_path, suffix
):
    roi = roi_of(exported(refitted_catalog(3), suffix))
    theirs = ROIModel({"src_radius": 180.0})
    theirs.load_existing_catalog(FermipyCatalog.create(str(tmp_path / "c.fits")))
    assert {source["SpectrumType"] for source in theirs.sources} == {
        "PowerLaw", "LogParabola", "PLSuperExpCutoff4",
    }  # fmt: skip
    for other in theirs.sources:
        source = roi[other.name]
        assert source["SpectrumType"] == other["SpectrumType"]
        assert_inside_bounds(source)
        for name, parameter in other.spectral_pars.items():
            ours = source.spectral_pars[name]
            expected = parameter["value"] * parameter["scale"]
            assert ours["value"] * ours["scale"] == pytest.approx(expected, rel=1e-6)


def test_a_raw_catalog_file_gives_fermipy_parameters_without_a_value(tmp_path):
    """Why the export is there: a search measures no flux, and the file does not pretend to."""
    write_catalog(found_catalog(2), tmp_path / "c.fits")
    roi = ROIModel({"src_radius": 180.0})
    roi.load_existing_catalog(FermipyCatalog.create(str(tmp_path / "c.fits")))
    assert np.isnan(roi.sources[0].spectral_pars["Prefactor"]["value"])


def test_values_beyond_the_usual_bounds_have_wider_ones(exported):
    catalog = refitted_catalog(2)
    catalog.table["PL_Index"][0], catalog.table["LP_beta"][1] = 5.4, -2.5
    catalog.table["PL_Flux_Density"][0] = 3e-20
    for source in roi_of(exported(catalog, ".xml")).sources:
        assert_inside_bounds(source)


def test_nothing_is_free_in_an_xml_model_and_simulate_reads_it(exported):
    path = exported(refitted_catalog(2), ".xml")
    root = ElementTree.parse(path).getroot()
    assert {node.get("free") for node in root.iter("parameter")} == {"0"}
    population = read_user_list(path)
    assert list(population["Source_Name"]) == list(refitted_catalog(2).table["Source_Name"])
    assert list(population["SpectrumType"]) == ["PowerLaw", "LogParabola"]


@pytest.mark.parametrize("suffix", [".xml", ".yaml"])
def test_a_catalog_of_no_rows_is_a_model_of_no_sources(exported, suffix):
    assert roi_of(exported(found_catalog(0), suffix)).sources == []


def test_a_row_without_a_position_is_left_out_and_named():
    catalog = found_catalog(2)
    catalog.table["RAJ2000"][0] = np.nan
    name = f"{catalog.table['Source_Name'][0]}: has no position"
    with pytest.warns(UnekWarning, match=re.escape(name)):
        sources = source_models(catalog)
    assert [source["name"] for source in sources] == [catalog.table["Source_Name"][1]]


def test_numbers_of_a_model_are_pythons_own():
    """numpy's would be written as np.float64(...)."""
    for source in source_models(refitted_catalog(3)) + source_models(found_catalog(1)):
        assert {type(value) for value in source.values()} == {str, float}


@pytest.mark.parametrize("form", SPECTRA)
def test_one_parameter_that_is_not_finite_makes_a_spectrum_unknown(form):
    row = dict(refitted_catalog(1).table[0]) | {"SpectrumType": form}
    assert measured_spectrum(row) is not None
    for name in (*SPECTRA[form], "Pivot_Energy"):
        assert measured_spectrum(row | {name: np.nan}) is None
    assert measured_spectrum(row | {"SpectrumType": ""}) is None


def test_a_partly_refitted_catalog_keeps_what_was_measured():
    table = refitted_catalog(2).table
    table["PL_Flux_Density"][0] = np.nan
    first, second = source_models(replace(refitted_catalog(2), table=table))
    assert {name: first[name] for name in START} == START
    assert second["norm"] == pytest.approx(4e-13)


def test_an_existing_model_is_not_replaced_unasked(tmp_path):
    write_catalog(found_catalog(1), tmp_path / "c.fits")
    for suffix in (".xml", ".yaml"):
        path = tmp_path / f"model{suffix}"
        path.write_text("mine")
        with pytest.raises(OutputError, match="exists already"):
            export_file(tmp_path / "c.fits", path)
        assert path.read_text() == "mine"
