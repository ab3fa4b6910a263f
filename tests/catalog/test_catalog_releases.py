"""The published catalogs are found by name, and other files are checked."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fermi_unek.catalog import RELEASES, load_release
from fermi_unek.catalog.releases import DATA_FOLDER, release_path
from fermi_unek.errors import InputError

ROOT = Path(__file__).parents[2]
FULL = Path(find_spec("fermipy").submodule_search_locations[0]) / "data" / "catalogs"


@pytest.mark.parametrize(
    ("name", "version", "rows"),
    [
        ("3FGL", "v16", 3034),
        ("FL8Y", "v5", 5524),
        ("4FGL", "v20", 5066),
        ("4FGL-DR2", "v27", 5788),
        ("4FGL-DR3", "v29", 6659),
        ("4FGL-DR4", "v35", 7195),
        ("FL16Y", "v41", 7224),
    ],
)
def test_each_release_is_the_file_it_says(name, version, rows):
    table = load_release(name)
    assert len(table) == rows
    assert table.meta["RELEASE"] == name
    assert fits.getheader(release_path(name), 1)["VERSION"] == version


def test_every_release_is_listed_in_the_test_above():
    assert len(RELEASES) == 7


def test_a_release_is_the_callers_own_copy():
    load_release("4FGL-DR2")["Signif_Avg"][:] = 0
    assert np.nanmax(load_release("4FGL-DR2")["Signif_Avg"]) > 100


def test_text_has_no_trailing_blanks_and_numbers_the_machines_byte_order():
    table = load_release("4FGL-DR2")
    assert not any(name.endswith(" ") for name in table["Source_Name"])
    assert table["GLON"].dtype.isnative


def test_a_file_of_the_user_is_read(tmp_path, shared_data):
    table = load_release(shared_data / "catalogs" / "gll_psch_v13.fit.gz")
    assert len(table) == 1556
    assert table.meta["RELEASE"] == "gll_psch_v13.fit.gz"


def test_an_unknown_release_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'5FGL' is neither a file nor one of 3FGL, 4FGL"):
        load_release("5FGL")


def test_a_table_of_something_else_is_refused(tmp_path):
    Table({"Source_Name": ["a"]}).write(tmp_path / "t.fits")
    with pytest.raises(InputError, match="it has no column RAJ2000"):
        load_release(tmp_path / "t.fits")
    fits.PrimaryHDU().writeto(tmp_path / "bare.fits")
    with pytest.raises(InputError, match="no LAT source table"):
        load_release(tmp_path / "bare.fits")
    (tmp_path / "junk.fits").write_text("junk")
    with pytest.raises(InputError, match="not a FITS file"):
        load_release(tmp_path / "junk.fits")


@pytest.mark.slow
def test_the_tables_are_what_the_command_makes_of_the_full_files(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import trim_releases

    trim_releases.main([str(FULL), "-o", str(tmp_path)])
    for name in RELEASES:
        made, held = tmp_path / f"{name}.fits.gz", release_path(name)
        assert fits.FITSDiff(made, held).identical, name
    assert sum(path.stat().st_size for path in DATA_FOLDER.iterdir()) < 6e6


@pytest.mark.parametrize("name", RELEASES)
def test_each_column_has_the_values_of_the_full_file(name):
    table, full = load_release(name), load_release(FULL / RELEASES[name])
    for column in table.colnames:
        np.testing.assert_array_equal(table[column], full[column], err_msg=column)
        assert table[column].dtype.kind != "f" or table[column].dtype == full[column].dtype
    assert table.meta["EXTENTS"] == full.meta["EXTENTS"]


def test_each_table_says_what_it_was():
    for name, full in RELEASES.items():
        header = fits.getheader(release_path(name))
        assert header["FILE"] == full
        assert header["SHA256"] == hashlib.sha256((FULL / full).read_bytes()).hexdigest()
        assert "Left out: " in str(header["COMMENT"])
