"""Exports are taken by those who read them: VOTable validators, CSV readers, a SAMP hub."""

import csv
import io
import warnings

import numpy as np
import pytest
from astropy.io import votable
from astropy.samp import SAMPHubServer, SAMPIntegratedClient, conf
from astropy.table import Table
from catalog_samples import some

from fermi_unek.catalog import Candidates, build_catalog, read_catalog, write_catalog
from fermi_unek.catalog.export import export_file, write_table
from fermi_unek.errors import InputError, OutputError


@pytest.fixture
def catalog_file(tmp_path):
    """A catalog of three sources, one with an odd name in its header."""
    path = tmp_path / "c.fits"
    told = {"model <sha>": "a & b", "threshold": 0.2}
    write_catalog(
        build_catalog(some(3, fake=np.array([True, False, False])), provenance=told), path
    )
    return path


def strictly_valid(path):
    """What astropy's validator says, with every warning an error."""
    told = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        votable.parse(path, verify="exception")
    valid = votable.validate(str(path), output=told)
    assert valid, told.getvalue()


@pytest.mark.parametrize("suffix", [".vot", ".votable"])
@pytest.mark.parametrize("n", [0, 3])
def test_a_votable_validator_takes_every_votable(tmp_path, catalog_file, suffix, n):
    if n == 0:
        write_catalog(build_catalog(Candidates.empty()), catalog_file, overwrite=True)
    path = tmp_path / f"out{suffix}"
    export_file(catalog_file, path)
    strictly_valid(path)
    assert len(votable.parse_single_table(path).array) == n


def test_a_votable_holds_what_the_catalog_does(tmp_path, catalog_file):
    export_file(catalog_file, tmp_path / "c.vot")
    catalog = read_catalog(catalog_file)
    tree = votable.parse(tmp_path / "c.vot")
    table = tree.get_first_table().to_table()
    assert table.colnames == catalog.table.colnames
    for name in table.colnames:
        one, two = (
            catalog.table[name],
            np.ma.filled(table[name], np.nan if table[name].dtype.kind == "f" else None),
        )
        np.testing.assert_array_equal(np.asarray(two).astype(one.dtype), one, err_msg=name)
    infos = {info.name: info.value for info in tree.resources[0].infos}
    assert infos["model <sha>"] == "a & b"
    fields = {f.name: f for f in tree.get_first_table().fields}
    assert fields["RAJ2000"].ucd == "pos.eq.ra;meta.main"
    assert fields["RAJ2000"].ref == "ICRS"
    assert fields["Source_Name"].datatype == "char"
    assert "not a product of the Fermi-LAT collaboration" in tree.description


def test_a_csv_file_has_a_column_a_number_and_blanks_for_nothing(tmp_path, catalog_file):
    export_file(catalog_file, tmp_path / "c.csv")
    with (tmp_path / "c.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = read_catalog(catalog_file).table
    assert [row["Source_Name"] for row in rows] == list(table["Source_Name"])
    assert float(rows[1]["RAJ2000 [deg]"]) == pytest.approx(table["RAJ2000"][1], rel=1e-9)
    assert rows[0]["Flux1000 [ph s-1 cm-2]"] == ""
    assert {"Counts_Band_1", "Unc_Flux_Band_6_2 [ph s-1 cm-2]"} <= set(rows[0])
    assert "nan" not in (tmp_path / "c.csv").read_text().lower()


def test_numbers_of_a_csv_file_have_seven_digits_and_times_and_places_ten(tmp_path):
    third = np.array([1 / 3])
    table = Table({"Unc": third, "ra": 300 + third, "Time_Peak": 5e8 + third, "n": [3]})
    table["Unc"].unit, table["Time_Peak"].unit = "erg / (cm2 s)", "s"
    write_table(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "Unc [erg s-1 cm-2],ra,Time_Peak [s],n",
        "0.3333333,300.3333333,500000000.3,3",
    ]


def test_an_ecsv_file_comes_back_with_units_and_header(tmp_path, catalog_file):
    export_file(catalog_file, tmp_path / "c.ecsv")
    back = Table.read(tmp_path / "c.ecsv")
    table = read_catalog(catalog_file).table
    assert back["Conf_95_SemiMajor"].unit == "deg"
    assert back.meta["threshold"] == 0.2
    np.testing.assert_array_equal(back["Fake"], table["Fake"])


def test_regions_are_an_export_too(tmp_path, catalog_file):
    from regions import Regions

    told = export_file(catalog_file, tmp_path / "c.reg")
    assert told.startswith("3 sources written to")
    assert len(Regions.read(tmp_path / "c.reg", format="ds9")) == 3


def test_an_unknown_suffix_and_an_existing_file_are_refused(tmp_path, catalog_file):
    with pytest.raises(OutputError, match=r"must end in one of .vot, .*.reg"):
        export_file(catalog_file, tmp_path / "c.txt")
    (tmp_path / "c.csv").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export_file(catalog_file, tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text() == "mine"
    with pytest.raises(InputError, match="no such file"):
        export_file(tmp_path / "none.fits", tmp_path / "c.vot")
    with pytest.raises(OutputError, match=r"one of .vot, .votable, .csv, .ecsv$"):
        write_table(Table({"a": [1]}), tmp_path / "c.reg")


def test_text_beyond_ascii_is_spelt_out(tmp_path):
    write_table(
        Table({"name": ["M\N{LATIN SMALL LETTER A WITH DIAERESIS}x", ""]}), tmp_path / "t.vot"
    )
    strictly_valid(tmp_path / "t.vot")
    table = votable.parse_single_table(tmp_path / "t.vot").to_table()
    assert list(table["name"]) == ["M\\xe4x", ""]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A SAMP hub of its own on this machine."""
    lock = tmp_path / "samp.lock"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{lock}")
    with conf.set_temp("use_internet", False):
        server = SAMPHubServer(web_profile=False, lockfile=str(lock), addr="127.0.0.1")
        server.start()
        yield server
        server.stop()


def test_a_program_at_the_samp_hub_gets_the_votable(tmp_path, catalog_file, hub):
    import threading

    got, arrived = [], threading.Event()
    viewer = SAMPIntegratedClient(name="viewer", addr="127.0.0.1")
    viewer.connect(hub=None)

    def receive(private_key, sender_id, mtype, params, extra):
        got.append(params)
        arrived.set()

    viewer.bind_receive_notification("table.load.votable", receive)
    told = export_file(catalog_file, tmp_path / "c.vot", samp=True)
    assert arrived.wait(10)
    viewer.disconnect()
    assert told.endswith("sent to 1 program")
    assert got[0]["url"] == (tmp_path / "c.vot").as_uri()


def test_without_a_hub_the_file_is_written_and_the_hub_is_asked_for(
    tmp_path, catalog_file, monkeypatch
):
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path / 'none'}")
    with pytest.raises(OutputError, match="no SAMP hub is running, start TOPCAT or Aladin"):
        export_file(catalog_file, tmp_path / "c.vot", samp=True)
    strictly_valid(tmp_path / "c.vot")


def test_samp_wants_a_votable(tmp_path, catalog_file):
    with pytest.raises(OutputError, match="SAMP sends VOTables"):
        export_file(catalog_file, tmp_path / "c.csv", samp=True)
    assert not (tmp_path / "c.csv").exists()
