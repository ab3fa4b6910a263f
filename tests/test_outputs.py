"""Outputs are refused early and replaced whole."""

import pytest

from fermi_unek.errors import OutputError
from fermi_unek.outputs import check_file, check_folder, replacing, staging


def test_a_new_name_in_a_good_folder_is_fine_and_nothing_is_made(tmp_path):
    assert check_file(tmp_path / "a.fits") == tmp_path / "a.fits"
    assert check_folder(tmp_path / "new", ["a"]) == tmp_path / "new"
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_refused_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "a.fits").write_text("old")
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        check_file(tmp_path / "a.fits")
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        check_folder(tmp_path, ["b", "a.fits"])
    check_file(tmp_path / "a.fits", overwrite=True)
    check_folder(tmp_path, ["b", "a.fits"], overwrite=True)
    assert (tmp_path / "a.fits").read_text() == "old"


def test_a_folder_under_the_name_of_a_file_is_refused_even_to_overwrite(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_file(tmp_path, overwrite=True)


def test_a_file_under_the_name_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        check_folder(tmp_path / "out", ["a"])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="there is no folder .*none"):
        check_file(tmp_path / "none" / "a.fits")
    with pytest.raises(OutputError, match="there is no folder .*none"):
        check_folder(tmp_path / "none" / "deep", ["a"])


def test_a_folder_that_takes_no_files_is_named(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"cannot be written in .*\(Permission denied\)"):
        check_file(tmp_path / "a.fits")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("old")

    def write_and_fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_good_write_replaces_the_old_file_and_keeps_the_suffix(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.suffix == ".fits"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_staged_folder_arrives_whole_beside_what_was_there(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with staging(out) as temporary:
        (temporary / "a.fits").write_text("new")
        assert not (out / "a.fits").exists()
    assert sorted(one.name for one in out.iterdir()) == ["a.fits", "mine.txt"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_failed_staging_makes_no_folder(tmp_path):
    def fail():
        with staging(tmp_path / "out") as temporary:
            (temporary / "a.fits").write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []
