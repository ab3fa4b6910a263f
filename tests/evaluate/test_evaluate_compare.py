"""The comparison with 4FGL counts what the design says, and the files hold it."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from evaluate_samples import catalog_of, cone_coverage, truth_of

from fermi_unek.catalog import load_release, write_catalog
from fermi_unek.errors import InputError, OutputError, UnekWarning
from fermi_unek.evaluate import compare, compare_files, evaluate_files
from fermi_unek.evaluate.compare import comparison_text
from fermi_unek.evaluate.files import COMPARISON_FILES, SCORE_FILES, read_truth_table


@pytest.fixture(scope="module")
def dr2():
    return load_release("4FGL-DR2")


def reference_of(n=6):
    table = Table(
        {
            "Source_Name": ["4FGL A", "4FGL Bc", "4FGL C", "4FGL D", "4FGL E", "4FGL F"],
            "GLON": np.arange(6) * 30.0,
            "GLAT": [0.0, 0.0, 10.0, 40.0, 40.0, -40.0],
            "Signif_Avg": [4.5, 6.0, 12.0, 25.0, 50.0, 11.0],
            "ASSOC1": ["", "", "Mkn 1", "Mkn 2", "Mkn 3", "Mkn 4"],
            "CLASS1": ["", "", "bll", "bll", "fsrq", "psr"],
            "Flags": [1, 0, 0, 0, 2, 0],
        }
    )
    table.meta["RELEASE"] = "test"
    return table[:n]


def rows_of(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def test_detected_fractions_are_counted_by_sample_band_and_significance():
    found = [0, 2, 4]
    reference = reference_of()
    catalog = catalog_of(reference["GLON"][found], reference["GLAT"][found])
    table = compare(catalog, reference).tables["detected"]
    everything = rows_of(table, sample="all", band="all")
    assert everything["Signif_low_edge"].tolist() == [4, 5, 7, 10, 20, 40]
    assert everything["n"].tolist() == [1, 1, 0, 2, 1, 1]
    assert everything["found"].tolist() == [1, 0, 0, 1, 0, 1]
    assert np.isnan(everything["detected"][2])
    assert rows_of(table, sample="associated", band="all")["n"].sum() == 4
    assert rows_of(table, sample="Flags==0", band="all")["n"].sum() == 4
    assert rows_of(table, sample="without c", band="all")["n"].sum() == 5
    assert rows_of(table, sample="all", band="|b|<5")["n"].sum() == 2


def test_a_reference_without_flags_or_associations_has_fewer_samples():
    reference = reference_of()
    reference.remove_columns(["Flags", "ASSOC1", "CLASS1"])
    comparison = compare(catalog_of([], []), reference)
    assert set(comparison.tables["detected"]["sample"]) == {"all", "without c"}
    assert len(comparison.tables["missed"]) == 4


def test_what_is_missed_above_10_sigma_is_listed_brightest_first():
    reference = reference_of()
    catalog = catalog_of([60.0, 90.5], [10.0, 40.0])
    comparison = compare(catalog, reference)
    missed = comparison.tables["missed"]
    assert missed["Name"].tolist() == ["4FGL E", "4FGL D", "4FGL F"]
    # D is half a degree of longitude from a detection, and nearest to E among the brighter
    assert missed["Sep_detection_deg"][1] == pytest.approx(0.5 * np.cos(np.radians(40)), abs=1e-3)
    assert np.isnan(missed["Sep_brighter_deg"][0])
    e, d = SkyCoord([120, 90] * u.deg, [40, 40] * u.deg)
    assert missed["Sep_brighter_deg"][1] == pytest.approx(d.separation(e).deg)
    assert "missed above 10 sigma: 3" in comparison.to_text()
    assert "4FGL E" in comparison.to_text()
    assert "4FGL E" not in comparison_text(catalog, reference, 0.3)


def test_side_by_side_has_the_columns_of_the_first_study_and_both_lists():
    reference = reference_of()
    catalog = catalog_of([60.1, 200.0], [10.0, -10.0], [0.4, 0.9])
    table = compare(catalog, reference).tables["side_by_side"]
    assert table.colnames[:8] == [
        "Probability", "LON", "LAT", "GLON", "GLAT", "Name", "Class", "Fake",
    ]  # fmt: skip
    assert table["Probability"][:2].tolist() == pytest.approx([0.9, 0.4])
    assert table["Name"].tolist() == [
        "", "4FGL C", "4FGL E", "4FGL D", "4FGL F", "4FGL Bc", "4FGL A",
    ]  # fmt: skip
    assert np.isnan(table["GLON"][0])
    assert np.isnan(table["LON"][2:]).all()
    assert table["Sep_deg"][1] == pytest.approx(0.1 * np.cos(np.radians(10)), abs=1e-4)


def test_the_curve_counts_detections_against_the_threshold():
    reference = reference_of()
    catalog = catalog_of([60.0, 200.0, 0.0], [10.0, -10.0, 0.0], [0.4, 0.6, 0.9])
    curve = compare(catalog, reference).tables["curve"]
    assert curve["n_detections"].tolist() == [3, 2, 1]
    assert curve["n_matched"].tolist() == [2, 1, 1]
    assert curve["detected above 10 sigma"].tolist() == [0.25, 0, 0]


def test_both_empty_is_undefined():
    comparison = compare(catalog_of([], []), reference_of(0))
    assert all(np.isnan(r.value) for r in comparison.summary.values())
    assert len(comparison.tables["side_by_side"]) == 0
    assert len(comparison.tables["missed"]) == 0


def test_a_release_compared_with_itself_is_found_whole(dr2):
    comparison = compare(catalog_of(dr2["GLON"], dr2["GLAT"]), dr2)
    assert comparison.summary["detected"].value == 1.0
    assert comparison.summary["matched"].value == 1.0
    assert 0.01 < comparison.summary["detected"].chance < 0.1
    assert comparison.release == "4FGL-DR2"


def test_a_field_is_compared_with_what_lies_in_it(dr2):
    catalog = catalog_of([302.2], [-44.4], coverage=cone_coverage(302.2, -44.4, 9.0))
    comparison = compare(catalog, dr2)
    place = SkyCoord(dr2["GLON"], dr2["GLAT"], unit="deg")
    near = place.separation(SkyCoord(302.2, -44.4, unit="deg")).deg
    # the edge of the mask is ragged by a pixel
    assert (near < 8.4).sum() <= comparison.n_reference <= (near < 8.6).sum()


@pytest.fixture(scope="module")
def sky(tmp_path_factory, dr2):
    """A catalog and a truth on disk: half of DR2 found, shifted a little."""
    folder = tmp_path_factory.mktemp("sky")
    rng = np.random.default_rng(0)
    part = dr2[rng.random(len(dr2)) < 0.2]
    found = part[rng.random(len(part)) < 0.5]
    n = len(found)
    catalog = catalog_of(
        found["GLON"], np.clip(found["GLAT"] + rng.normal(0, 0.05, n), -90, 90), rng.random(n)
    )
    write_catalog(catalog, folder / "c.fits")
    write_catalog(catalog_of([], []), folder / "empty.fits")
    field = cone_coverage(0.0, 0.0, 20.0)
    write_catalog(catalog_of([], [], coverage=field), folder / "empty_field.fits")
    signif = np.asarray(part["Signif_Avg"], float)
    truth = truth_of(part["GLON"], part["GLAT"], signif**2, part["Flux1000"], signif)
    truth.write(folder / "truth.fits")
    truth[:0].write(folder / "nothing.fits")
    return folder


def test_evaluation_writes_tables_figures_and_the_text_it_returns(sky, tmp_path):
    text = evaluate_files(sky / "c.fits", sky / "truth.fits", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(SCORE_FILES)
    assert (tmp_path / "out" / "summary.txt").read_text() == text
    assert "within 0.3 deg" in text
    assert "within 0.5 deg" in text
    table = Table.read(tmp_path / "out" / "completeness_ts.ecsv")
    assert {"n", "completeness", "completeness_low", "completeness_chance"} <= set(table.colnames)
    assert (tmp_path / "out" / "purity.png").read_bytes()[:4] == b"\x89PNG"


def test_comparison_writes_tables_figures_and_the_text_it_returns(sky, tmp_path):
    text = compare_files(sky / "c.fits", "4FGL-DR2", 0.3, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(COMPARISON_FILES)
    assert (tmp_path / "out" / "summary.txt").read_text() == text
    assert len(Table.read(tmp_path / "out" / "missed.ecsv")) > 100
    # the table side by side is the same as FITS, CSV and HTML
    tables = [
        Table.read(tmp_path / "out" / f"side_by_side.{kind}", format=reader)
        for kind, reader in (("fits", "fits"), ("csv", "ascii.csv"))
    ]
    assert tables[0].colnames == tables[1].colnames
    assert len(tables[0]) == len(tables[1]) > 100
    np.testing.assert_allclose(
        np.asarray(tables[0]["GLON"], float), np.asarray(tables[1]["GLON"], float), rtol=1e-5
    )
    page = (tmp_path / "out" / "side_by_side.html").read_text()
    assert page.count("<tr>") == len(tables[0]) + 1
    assert tables[0]["Name"][-1].strip() in page


def test_a_fields_misses_are_mapped(tmp_path):
    coverage = cone_coverage(2.0, -44.4, 9.0)
    write_catalog(catalog_of([1.0, 359.0], [-44, -45], coverage=coverage), tmp_path / "f.fits")
    compare_files(tmp_path / "f.fits", "4FGL-DR2", 0.5, tmp_path / "out")
    assert (tmp_path / "out" / "missed.png").stat().st_size > 10_000
    # one to four sources a bin are no figure
    assert not (tmp_path / "out" / "detected.png").exists()
    assert len(Table.read(tmp_path / "out" / "detected.ecsv")) > 0


def test_without_a_folder_nothing_is_written(sky, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "purity" in evaluate_files(sky / "c.fits", sky / "truth.fits", radius_deg=0.5)
    assert "detected" in compare_files(sky / "c.fits", radius_deg=0.5)
    assert list(tmp_path.iterdir()) == []


def test_files_are_replaced_when_asked_to_by_those_of_an_empty_catalog_too(sky, tmp_path):
    (tmp_path / "summary.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        evaluate_files(sky / "c.fits", sky / "truth.fits", tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        compare_files(sky / "c.fits", "4FGL-DR2", 0.3, tmp_path)
    assert (tmp_path / "summary.txt").read_text() == "mine"
    evaluate_files(sky / "empty.fits", sky / "nothing.fits", tmp_path, overwrite=True)
    assert (tmp_path / "summary.txt").read_text() != "mine"
    assert len(Table.read(tmp_path / "curve.ecsv")) == 0
    compare_files(sky / "empty_field.fits", "4FGL-DR2", 0.3, tmp_path, overwrite=True)
    assert len(Table.read(tmp_path / "missed.ecsv")) > 10


def test_a_truth_that_cannot_be_used_is_named(tmp_path, sky):
    with pytest.raises(InputError, match="no such file"):
        read_truth_table(tmp_path / "none.fits")
    (tmp_path / "junk.fits").write_text("junk")
    with pytest.raises(InputError, match="not a FITS file"):
        read_truth_table(tmp_path / "junk.fits")
    Table({"GLON": [1.0], "GLAT": [1.0]}).write(tmp_path / "t.fits")
    with pytest.raises(InputError, match="has no column Flux1000, Ideal_TS"):
        read_truth_table(tmp_path / "t.fits")
    columns = {"GLON": [10.0, np.nan], "GLAT": [5.0, 5.0], "Flux1000": [1e-9, 1e-9]}
    Table(columns | {"Ideal_TS": [100.0, 100.0]}).write(tmp_path / "place.fits")
    with pytest.warns(UnekWarning, match="1 of 2 sources, the first in row 1, have no position"):
        assert len(read_truth_table(tmp_path / "place.fits")) == 1
