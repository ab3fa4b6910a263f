"""The stages are put together as the settings say, with stand-ins for the network."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import healpy
import numpy as np
import pytest
from astropy.io import fits

import fermi_unek
from fermi_unek import pipeline
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.catalog.io import read_catalog
from fermi_unek.catalog.releases import release_path
from fermi_unek.config import FindConfig, ReportConfig
from fermi_unek.errors import ConfigError, InputError, OutputError, UnekWarning
from fermi_unek.sky.bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import Pixels, SkyCounts, bin_from_pixels

CRAB = (184.5575, -5.7844)  # 4FGL J0534.5+2200


def cone(lon, lat, radius):
    mask = np.zeros(12 * 4**COVERAGE_ORDER, bool)
    vector = healpy.ang2vec(lon, lat, lonlat=True)
    mask[healpy.query_disc(2**COVERAGE_ORDER, vector, np.radians(radius), nest=True)] = True
    return mask


def sky(coverages):
    return SkyCounts(
        tuple(
            bin_from_pixels(
                index,
                healpy.ang2pix(2 ** NATIVE_ORDERS[index], *CRAB, nest=True, lonlat=True),
                coverages[index],
            )
            for index in range(N_BINS)
        ),
        origin={"file 1": "crab.fits"},
    )


@pytest.fixture
def stages(monkeypatch):
    """Stand-ins for reading, the network and the search; each call is recorded in order."""
    calls = []

    def read_sky(inputs, **cuts):
        calls.append(("read", inputs, cuts))
        if inputs == "missing.fits":
            raise InputError("missing.fits: no such file")
        return sky([cone(*CRAB, 5.0)] * N_BINS)

    def load_localizer(name=None):
        calls.append(("model", name))
        if name == "none-such":
            raise InputError("none-such: no such model")
        return SimpleNamespace(provenance={"name": name or "stand-in", "sha256": "00"})

    def find_candidates(found_in, localizer, **settings):
        calls.append(("find", settings))
        if settings["threshold"] > 0.9:
            return Candidates.empty()
        one = np.ones(1)
        return Candidates(
            one * CRAB[0], one * CRAB[1], one * 0.9, one * 0.02, one * 0.01, one * 0, one > 2
        )

    def load_classifier(name=None):
        calls.append(("classifier", name))
        return SimpleNamespace(provenance={"name": "sorter"}, calibration={})

    def classify(found_in, found, classifier, *, exposure, localizer, device):
        calls.append(("classify", len(found_in.years), device, exposure))
        chances = np.tile([0.1, 0.6, 0.1, 0.1, 0.1], (len(found), 1))
        return replace(found, class_probabilities=chances, fake=np.zeros(len(found), bool))

    for name, functions in {
        "fermi_unek.nets.classifier_weights": {"load_classifier": load_classifier},
        "fermi_unek.classify.classes": {"classify": classify},
        "fermi_unek.sky.io.readers": {"read_sky": read_sky},
        "fermi_unek.nets.weights": {
            "load_localizer": load_localizer,
            "DEFAULT_LOCALIZER": "stand-in",
            "COARSE_LOCALIZER": "for coarse pixels",
            "find_model": lambda item, default: item,
            "kind_of": lambda path: "localizer",
        },
        "fermi_unek.detect.find": {"find_candidates": find_candidates},
    }.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**functions))
    return calls


@pytest.fixture
def expcube(tmp_path):
    """A gtexpcube2 file of 1e11 cm2 s everywhere."""
    header = fits.Header({"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "GAL"})
    columns = [fits.Column(f"ENERGY{i}", "E", array=np.full(192, 1e11)) for i in (1, 2)]
    energies = fits.Column("Energy", "D", array=np.array([1e3, 1e4]))
    table = fits.BinTableHDU.from_columns(columns, header, name="HPXEXPOSURES")
    nodes = fits.BinTableHDU.from_columns([energies], name="ENERGIES")
    fits.HDUList([fits.PrimaryHDU(), table, nodes]).writeto(tmp_path / "expcube.fits")
    return tmp_path / "expcube.fits"


def test_settings_reach_the_stages_they_are_for(stages):
    fermi_unek.find_sources(
        ["a.fits", "b.fits"],
        {
            "threshold": 0.3,
            "centers": "peaks",
            "region": "10,20,5",
            "model": "m",
            "evtype": "back",
            "zmax": 90,
        },
    )
    named = {call[0]: call[1:] for call in stages}
    inputs, cuts = named["read"]
    assert inputs == ["a.fits", "b.fits"]
    assert (cuts["event_type"], cuts["zmax_deg"]) == ("back", 90.0)
    assert named["model"] == ("m",)
    settings = named["find"][0]
    assert settings["threshold"] == 0.3
    assert settings["centers"] == "peaks"
    assert settings["region"] == (10.0, 20.0, 5.0)


COARSE = tuple(map(Pixels.of_order, (7, 7, 8, 9, 10, 10)))


@pytest.mark.parametrize(
    ("pixels", "model", "expected"),
    [
        ((Pixels(),) * 6, None, "stand-in"),
        (tuple(map(Pixels.of_order, (8, 8, 9, 10, 11, 11))), None, "stand-in"),
        (COARSE, None, "for coarse pixels"),
        ((*(Pixels(),) * 4, Pixels(0.05), Pixels(0.1)), None, "for coarse pixels"),
        (COARSE, "mine", "mine"),
    ],
)
def test_coarse_counts_are_judged_by_the_network_that_was_trained_for_them(
    stages, pixels, model, expected
):
    field = replace(sky([cone(*CRAB, 5.0)] * N_BINS), counted_in=pixels)
    catalog = pipeline.search(field, FindConfig(model=model))
    assert catalog.header["model name"] == expected


def test_the_catalog_says_how_it_was_made_and_names_the_4fgl_source(stages):
    catalog = fermi_unek.find_sources("crab.fits", FindConfig(threshold=0.3))
    assert catalog.table["ASSOC_FGL"][0].startswith("4FGL J0534.5+220")
    assert catalog.header["setting threshold"] == 0.3
    assert catalog.header["model sha256"] == "00"
    assert catalog.header["input file 1"] == "crab.fits"
    assert catalog.header["photons bin 5"] == 1


def test_without_a_reference_no_4fgl_source_is_named(stages):
    catalog = fermi_unek.find_sources("crab.fits", {"reference": "none"})
    assert list(catalog.table["ASSOC_FGL"]) == [""]


def test_the_same_seed_reads_the_same_sky(stages):
    for _ in range(2):
        fermi_unek.find_sources("crab.fits", {"seed": 3, "reference": "none"})
    draws = [call[2]["rng"].integers(2**60) for call in stages if call[0] == "read"]
    assert draws[0] == draws[1]


def test_an_unknown_setting_is_refused_before_anything_is_done(stages):
    with pytest.raises(ConfigError, match="unknown key 'treshold'"):
        fermi_unek.find_sources("crab.fits", {"treshold": 0.3})
    assert stages == []


@pytest.mark.parametrize("bad", [{"model": "none-such"}, {"reference": "5FGL"}])
def test_a_wrong_model_or_reference_is_refused_before_photons_are_read(stages, bad):
    with pytest.raises(InputError, match=next(iter(bad.values()))):
        fermi_unek.find_sources("missing.fits", bad)
    assert not any(call[0] == "read" for call in stages)


def test_the_exposure_reaches_the_classifier_and_the_header(stages, expcube):
    catalog = fermi_unek.find_sources("crab.fits", {"exposure": expcube})
    given = next(call[3] for call in stages if call[0] == "classify")
    assert given.maps.max() == pytest.approx(1e11)
    assert catalog.header["exposure"].startswith("sha256 ")


def test_an_exposure_that_nothing_depends_on_is_told(stages, expcube):
    with pytest.warns(UnekWarning, match="has no effect without classification"):
        fermi_unek.find_sources("crab.fits", {"exposure": expcube, "classify": False})


def test_an_exposure_that_cannot_be_used_is_refused_before_photons_are_read(stages, tmp_path):
    (tmp_path / "notes.txt").write_text("exposure")
    for name in ("none.fits", "notes.txt"):
        with pytest.raises(InputError, match=name):
            fermi_unek.find_sources("missing.fits", {"exposure": tmp_path / name})
    assert not any(call[0] == "read" for call in stages)


def test_candidates_are_classified_unless_told_otherwise(stages):
    catalog = fermi_unek.find_sources("crab.fits")
    assert list(catalog.table["CLASS1"]) == ["fsrq"]
    assert catalog.header["class name"] == "sorter"
    assert ("classify", 0, "cpu", None) in stages
    catalog = fermi_unek.find_sources("crab.fits", {"classify": False})
    assert list(catalog.table["CLASS1"]) == [""]
    assert sum(call[0] == "classify" for call in stages) == 1


def test_yearly_cubes_are_the_layers_of_the_sky_they_belong_to(stages):
    fermi_unek.find_sources("crab.fits", {"yearly": ["a.fits"]})
    assert ("classify", 1, "cpu", None) in stages
    reads = [call[2]["yearly"] for call in stages if call[0] == "read"]
    assert reads == [False, False]


def test_files_that_differ_by_bin_alone_are_of_one_year():
    names = [f"a/counts_year0{y}_bin{b}.fits" for y in (0, 1) for b in (0, 1)] + ["b/c.fits"]
    groups = pipeline.by_year([Path(name) for name in names])
    assert [[str(path) for path in one] for one in groups] == [names[:2], names[2:4], names[4:]]


def test_yearly_cubes_of_other_photons_are_refused():
    whole = sky([None] * N_BINS)
    many = SkyCounts(tuple(
        bin_from_pixels(b, np.arange(100)) for b in range(N_BINS)
    ))  # fmt: skip
    assert len(pipeline.with_years(whole, [whole, whole]).years) == 2
    with pytest.raises(InputError, match="the 1 yearly inputs hold 100 photons in energy bin 0"):
        pipeline.with_years(whole, [many])


def test_a_catalog_file_and_a_report_are_written_and_an_empty_one_replaces_them(stages, tmp_path):
    out, report = tmp_path / "crab.fits", tmp_path / "report"
    for threshold, rows in ((0.3, 1), (0.95, 0)):
        config = FindConfig(threshold=threshold, report=report)
        pipeline.find_to_file("crab.fits", out, config, overwrite=rows == 0)
        assert len(read_catalog(out)) == rows
        names = ["catalog.reg", "field.png", "report.html"]
        assert sorted(path.name for path in report.iterdir()) == names
    reads = [call[2]["yearly"] for call in stages if call[0] == "read"]
    assert reads == [None, None]  # once a run, year by year where the files hold times
    assert sorted(tmp_path.iterdir()) == [out, report]


@pytest.mark.parametrize(
    ("inputs", "written"),
    [
        ((), ["catalog.reg", "report.html"]),
        (("crab.fits",), ["catalog.reg", "field.png", "report.html"]),
    ],
)
def test_a_catalog_file_gets_its_report_with_or_without_photons(stages, tmp_path, inputs, written):
    pipeline.find_to_file("x.fits", tmp_path / "crab.fits", FindConfig(reference="none"))
    pipeline.report_to_folder(tmp_path / "crab.fits", inputs, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == written
    text = (tmp_path / "report" / "report.html").read_text()
    assert '"packed"' in text if inputs else '"packed"' not in text
    assert "No release was compared with." in text


@pytest.mark.parametrize(
    ("made_with", "asked", "named"),
    [
        ("3FGL", None, "3FGL"),
        ("3FGL", "4FGL-DR2", "4FGL-DR2"),
        ("3FGL", "none", ""),
        (release_path("3FGL"), None, ""),
    ],
)
def test_a_report_compares_with_the_catalogs_release_or_the_one_asked_for(
    stages, tmp_path, made_with, asked, named
):
    config = FindConfig(reference=str(made_with))
    pipeline.find_to_file("x.fits", tmp_path / "crab.fits", config)
    settings = ReportConfig(reference=asked)
    pipeline.report_to_folder(tmp_path / "crab.fits", (), tmp_path / "report", settings)
    text = (tmp_path / "report" / "report.html").read_text()
    assert f'"release":"{named}"' in text
    if named:
        # the source of another release is not taken over from the catalog
        assert re.search(rf'"fgl":\["{named[:4]} J0534', text)


def test_a_report_that_exists_is_refused_before_photons_are_read(stages, tmp_path):
    (tmp_path / "catalog.reg").write_text("mine")
    with pytest.raises(OutputError, match="catalog.reg: exists already"):
        pipeline.find_to_file("x.fits", tmp_path / "c.fits", FindConfig(report=tmp_path))
    assert stages == []


def test_looked_at_is_what_any_bin_covers_inside_the_region():
    west, east = cone(0.0, 0.0, 4.0), cone(6.0, 0.0, 4.0)
    both = sky([west, east, west, west, west, west])
    np.testing.assert_array_equal(pipeline.where_looked(both), west | east)
    region = (6.0, 0.0, 2.0)
    np.testing.assert_array_equal(pipeline.where_looked(both, region), cone(*region))
    whole = sky([None] * N_BINS)
    assert pipeline.where_looked(whole) is None
    np.testing.assert_array_equal(pipeline.where_looked(whole, region), cone(*region))


def test_a_sample_that_was_not_installed_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="was the package installed whole"):
        pipeline.demo_sample()


def test_no_other_name_can_be_had_from_the_package():
    with pytest.raises(AttributeError, match="no attribute 'find_sauces'"):
        fermi_unek.find_sauces  # noqa: B018
    assert fermi_unek.FindConfig is FindConfig


def test_a_model_file_is_told_by_its_provenance(stages, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert pipeline.describe(str(path)) == f"name: {path}\nsha256: 00"
    assert ("model", str(path)) in stages


def test_a_fits_file_that_is_no_catalog_is_told_as_an_input(stages, tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "crab.fits")
    assert pipeline.describe(str(tmp_path / "crab.fits")).startswith("6 photons (front), within 5")
