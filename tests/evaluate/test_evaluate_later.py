"""Detections that a release does not have, in the releases after it."""

import numpy as np
import pytest
from astropy.table import Table
from evaluate_samples import catalog_of

from fermi_unek.catalog import load_release
from fermi_unek.catalog.releases import RELEASES, later_releases
from fermi_unek.catalog.schema import FLAG_IN_EXTENDED
from fermi_unek.evaluate import compare


def release(name, lon, **more):
    n = len(lon)
    table = Table(
        {
            "Source_Name": [f"{name} {place:g}" for place in lon],
            "GLON": np.asarray(lon, float),
            "GLAT": np.full(n, 30.0),
            "Signif_Avg": np.full(n, 6.0),
            **more,
        }
    )
    table.meta["RELEASE"] = name
    return table


@pytest.fixture
def comparison():
    catalog = catalog_of([10, 20.1, 30, 40, 50], np.full(5, 30.0), [0.9, 0.8, 0.7, 0.6, 0.5])
    later = [release("B", [10, 20]), release("C", [10, 20, 30, 40.3])]
    return compare(catalog, release("A", [10]), 0.3, later)


def test_a_detection_that_a_later_release_lists_is_marked_with_the_first_to_do_so(comparison):
    new = comparison.tables["new"]
    assert new["Probability"].tolist() == pytest.approx([0.8, 0.7, 0.6, 0.5])
    assert new["Release"].tolist() == ["B", "C", "C", ""]
    assert new["Name"].tolist() == ["B 20", "C 30", "C 40.3", ""]
    assert new["Confirmed"].tolist() == [True, True, True, False]
    assert new["Sep_deg"][0] == pytest.approx(0.1 * np.cos(np.radians(30)), abs=1e-4)
    assert np.isnan(new["Signif_Avg"][3])


def test_each_later_release_has_its_share_beside_chance(comparison):
    table = comparison.tables["later"]
    assert table["release"].tolist() == ["B", "C"]
    assert table["n"].tolist() == [4, 4]
    assert table["confirmed"].tolist() == [0.25, 0.75]
    # the first shift of ten degrees brings detections onto sources here
    assert (table["confirmed_chance"] > 0).all()
    assert "of 4 that are not in A, C adds 3" in comparison.to_text()


def test_the_side_by_side_table_names_them_too(comparison):
    table = comparison.tables["side_by_side"]
    assert table["Later_Name"].tolist() == ["", "B 20", "C 30", "C 40.3", ""]
    assert table["Name"].tolist() == ["A 10", "", "", "", ""]


def test_a_source_that_the_reference_has_confirms_nothing_new():
    # two detections at one reference source: the second is new, and no later source is
    catalog = catalog_of([10, 10.2], [30, 30], [0.9, 0.8])
    tables = compare(catalog, release("A", [10]), 0.3, [release("B", [10.1])]).tables
    assert tables["new"]["Confirmed"].tolist() == [False]


def test_without_later_releases_nothing_is_confirmed():
    tables = compare(catalog_of([10, 50], [30, 30]), release("A", [10])).tables
    assert len(tables["later"]) == 0
    assert tables["new"]["Confirmed"].tolist() == [False]


def test_the_releases_after_one_are_known():
    assert later_releases("4FGL-DR2") == ["4FGL-DR3", "4FGL-DR4", "FL16Y"]
    assert later_releases(list(RELEASES)[-1]) == []
    assert later_releases("my.fits") == []


def test_detections_inside_extended_sources_are_counted():
    reference = release("A", [10, 50, 90], Extended_Source_Name=["wide", "", "small"])
    reference.meta["EXTENTS"] = {"wide": 2.0, "small": 0.05, "elsewhere": 1.0}
    catalog = catalog_of([9, 11, 13, 50, 90.2], np.full(5, 30.0))
    inside_first = np.argmin(np.abs(np.asarray(catalog.table["GLON"]) - 9))
    catalog.table["Flags"][inside_first] = FLAG_IN_EXTENDED
    comparison = compare(catalog, reference)
    table = comparison.tables["extended"]
    order = np.argsort(table["GLON"])
    assert table["Extended_Source_Name"][order].tolist() == ["wide", "small"]
    assert table["n_inside"][order].tolist() == [2, 1]
    assert table["n_flagged"][order].tolist() == [1, 0]
    assert "extended sources: 2, with no detection inside 0, with one 1, with more 1" in (
        comparison.to_text()
    )
    assert "1 of 3 are flagged" in comparison.to_text()


def test_the_extent_of_extended_sources_comes_with_a_release():
    table = load_release("4FGL-DR2")
    extended = set(table["Extended_Source_Name"]) - {""}
    assert extended == set(table.meta["EXTENTS"])
    # as 4FGL's table of extended sources has it
    assert table.meta["EXTENTS"]["Cygnus Cocoon"] == pytest.approx(3.0)
