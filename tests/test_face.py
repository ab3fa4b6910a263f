"""What `import fermi_unek` shows to people and notebooks."""

import subprocess
import sys

import numpy as np
import pytest

import fermi_unek
from fermi_unek import Catalog, FindConfig
from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.errors import InputError, OutputError


@pytest.fixture
def catalog():
    """Five sources along a parallel: the second likely fake, the third improbable, the last without
    ellipse."""
    one = np.ones(5)
    axes = np.array([0.02, 0.02, 0.02, 0.02, np.nan])
    chance = np.array([0.99, 0.99, 0.5, 0.99, 0.99])
    candidates = Candidates(
        20.0 + 10 * np.arange(5), 30 * one, chance, axes, axes / 2, 40 * one, one > 2
    )
    made = build_catalog(candidates)
    made.table["Fake"][1] = True
    return made


def test_completion_shows_the_interface_and_nothing_else():
    assert sorted(dir(fermi_unek)) == sorted(fermi_unek.__all__)
    assert {"find_sources", "Catalog", "FindConfig", "__version__"} <= set(dir(fermi_unek))
    for name in fermi_unek.__all__:
        assert getattr(fermi_unek, name) is not None
    assert [name for name in dir(FindConfig) if name not in FindConfig.model_fields] == ["__doc__"]


def test_no_other_name_can_be_had_from_the_package():
    with pytest.raises(AttributeError, match="no attribute 'find_sauces'"):
        fermi_unek.find_sauces  # noqa: B018


def test_the_package_is_imported_at_once():
    code = "import sys, fermi_unek; print(sorted(m for m in sys.modules if 'fermi_unek' in m))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "['fermi_unek']"


def test_rows_are_had_by_number_and_by_name(catalog):
    name = str(catalog.table["Source_Name"][2])
    assert catalog[2]["Source_Name"] == name
    assert catalog[-3]["Source_Name"] == name
    assert catalog[np.int64(2)]["Source_Name"] == name
    assert catalog[name]["RAJ2000"] == catalog.table["RAJ2000"][2]
    assert [str(row["Source_Name"]) for row in catalog] == list(catalog["Source_Name"])
    with pytest.raises(KeyError, match="no source and no column is called 'UNEK J0'"):
        catalog["UNEK J0"]
    with pytest.raises(IndexError):
        catalog[5]


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (slice(1, 3), [1, 2]),
        ([0, 3], [0, 3]),
        ([True, False, False, False, True], [0, 4]),
        (np.array([False] * 5), []),
    ],
)
def test_a_part_of_a_catalog_is_a_catalog(catalog, key, rows):
    part = catalog[key]
    assert isinstance(part, Catalog)
    assert list(part["Source_Name"]) == [str(catalog[row]["Source_Name"]) for row in rows]
    assert part.header == catalog.header
    assert part.coverage is catalog.coverage


def test_its_regions_are_the_ellipses_with_their_names(catalog):
    regions = catalog.regions
    assert [region.meta["text"] for region in regions] == list(catalog["Source_Name"])
    for row, region in zip(catalog.table[:4], regions[:4], strict=True):
        assert region.height.to_value("deg") / 2 == pytest.approx(
            row["Conf_95_SemiMajor"], rel=1e-3
        )
        assert region.width.to_value("deg") / 2 == pytest.approx(row["Conf_95_SemiMinor"], rel=1e-3)
        assert region.angle.to_value("deg") == pytest.approx(row["Conf_95_PosAng"], abs=0.01)
        assert region.center.ra.deg == pytest.approx(row["RAJ2000"], abs=1e-4)
    assert type(regions[4]).__name__ == "PointSkyRegion"
    assert len(catalog[:0].regions) == 0


def test_it_is_shown_in_a_line_and_in_a_notebook_as_a_table(catalog):
    assert repr(catalog) == "<Catalog: 5 sources, 4 selected, 1 likely fake>"
    assert repr(catalog[1:2]) == "<Catalog: 1 source, 1 selected, 1 likely fake>"
    assert repr(catalog.selected) == "<Catalog: 4 sources, 4 selected, 1 likely fake>"
    html = catalog._repr_html_()
    assert html.startswith("<p>Catalog: 5 sources, 4 selected, 1 likely fake</p>")
    assert all(f"{name}" in html for name in catalog["Source_Name"])


def test_it_is_written_and_read(catalog, tmp_path):
    path = tmp_path / "catalog.fits"
    catalog.write(path)
    np.testing.assert_array_equal(Catalog.read(path)["RAJ2000"], catalog["RAJ2000"])
    with pytest.raises(OutputError, match="exists already"):
        catalog.write(path)
    catalog[:1].write(path, overwrite=True)
    assert len(Catalog.read(path)) == 1
    with pytest.raises(InputError, match="no such file"):
        Catalog.read(tmp_path / "none.fits")
