"""Files are services: LAT catalogs with sources and counterparts, and tables of any form."""

import numpy as np
import pytest
from associate_samples import places_at
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from fermi_unek.associate import open_services
from fermi_unek.associate.local import column_name, local_services
from fermi_unek.associate.tables import objects_of
from fermi_unek.catalog import load_release
from fermi_unek.config import AssociateConfig
from fermi_unek.errors import InputError, UnekWarning


def test_a_release_gives_its_sources_and_their_counterparts():
    gamma, counterparts = local_services(["4FGL-DR4"])
    table = load_release("4FGL-DR4")
    assert (gamma.name, gamma.kind) == ("4FGL_DR4", "gamma")
    assert len(gamma.objects) == len(table)
    np.testing.assert_array_equal(gamma.objects.name, table["Source_Name"])
    axes = np.sqrt(table["Conf_95_SemiMajor"] * table["Conf_95_SemiMinor"])
    np.testing.assert_allclose(gamma.objects.error95_deg, np.nan_to_num(axes, posinf=0), rtol=1e-6)
    assert (counterparts.name, counterparts.kind) == ("4FGL_DR4_ASSOC", "counterpart")
    given = (table["ASSOC1"] != "") & np.isfinite(table["RA_Counterpart"])
    assert len(counterparts.objects) == given.sum() > 4000
    row = np.flatnonzero(counterparts.objects.name == "Mkn 421")[0]
    assert counterparts.objects.class_[row] == "bll"
    assert counterparts.objects.ra_deg[row] == pytest.approx(166.1138, abs=1e-3)


def test_the_3fhl_file_has_sources_only_and_takes_the_name_it_is_given(shared_data):
    path = shared_data / "catalogs" / "gll_psch_v13.fit.gz"
    (service,) = local_services([f"3FHL={path}"])
    assert (service.name, service.kind, len(service.objects)) == ("3FHL", "gamma", 1556)
    (plain,) = local_services([path])
    assert plain.name == "gll_psch_v13"


def test_units_in_the_heads_of_a_csv_file_are_obeyed(tmp_path):
    (tmp_path / "a.csv").write_text("Name,RA [hourangle],DEC [deg],note [?]\nA,10,30.5,x\n")
    (service,) = local_services([tmp_path / "a.csv"])
    assert service.objects.ra_deg == pytest.approx([150.0])
    assert service.objects.dec_deg == pytest.approx([30.5])


def test_a_line_of_too_many_fields_costs_itself(tmp_path):
    (tmp_path / "a.csv").write_text(
        'Name,RA,DEC\nA,10,30.5\nB,11,30,5\n"C, too",12,31.5,,\nD,13,-2\n'
    )
    with pytest.warns(UnekWarning, match="lines with more fields than its header .*: 1"):
        (service,) = local_services([tmp_path / "a.csv"])
    assert service.objects.name.tolist() == ["A", "C, too", "D"]
    assert service.objects.ra_deg.tolist() == [10.0, 12.0, 13.0]
    (tmp_path / "b.csv").write_text("Name,RA,DEC\nA,10,30,5\nB,11,30,5\n")
    with pytest.raises(InputError, match="cannot be read"):
        local_services([tmp_path / "b.csv"])


def test_errors_without_a_unit_that_no_object_has_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("Name,RA,DEC,R95\nA,10,30.5,4.1\nB,11,30,5.2\n")
    with pytest.warns(UnekWarning, match="a.csv: column R95 states no unit; .* as degrees"):
        (service,) = local_services([tmp_path / "a.csv"])
    assert service.objects.error95_deg.tolist() == [4.1, 5.2]
    (tmp_path / "b.csv").write_text("Name,RA,DEC,R95 [arcsec]\nA,10,30.5,3.6\nB,11,30,7.2\n")
    (service,) = local_services([tmp_path / "b.csv"])
    assert service.objects.error95_deg == pytest.approx([0.001, 0.002])


@pytest.mark.parametrize("suffix", ["fits", "vot", "csv", "ecsv"])
def test_a_table_of_any_form_is_a_catalog(tmp_path, suffix):
    path = tmp_path / f"my-list.{suffix}"
    form = {"vot": "votable"}.get(suffix)
    Table({"Name": ["a", "b"], "RAJ2000": [10.0, 20.0], "DEJ2000": [-5.0, 5.0]}).write(
        path, format=form
    )
    (service,) = local_services([path])
    assert service.name == "my_list"
    assert service.kind == "counterpart"
    assert service.objects.name.tolist() == ["a", "b"]
    assert service.objects.ra_deg.tolist() == [10.0, 20.0]
    around = service.look_up(places_at([10.0], -5.0))
    assert around.whole_sky
    assert around.asked == ""


def test_positions_are_read_in_the_units_and_forms_they_are_given_in():
    expected = [150.0, 30.5]
    forms = [
        {"RA": [150.0], "DEC": [30.5]},
        {"RAJ2000": ["10 00 00"], "DEJ2000": ["+30 30 00"]},
        {"ra": [10.0] * u.hourangle, "dec": [1830.0] * u.arcmin},
        {"ra": [10.0] * u.hour, "dec": ["30.50000"]},
        {"RA": ["150.00000"], "DEC": [" +30.5 "]},
        {"RA": ["10h00m00s"], "DEC": ["30d30m00s"]},
    ]
    for form in forms:
        objects = objects_of(Table(form | {"Name": ["x"]}), "here")
        assert [objects.ra_deg[0], objects.dec_deg[0]] == pytest.approx(expected)


@pytest.mark.parametrize("unit", ["deg", "arcmin", "arcsec", "rad", None])
def test_position_errors_are_brought_to_degrees(unit):
    error = (0.1 * u.deg).to_value(unit or "deg")
    table = Table({"Name": ["x"], "RA": [1.0], "DEC": [2.0], "r95": [error]})
    table["r95"].unit = unit
    assert objects_of(table, "here").error95_deg.tolist() == pytest.approx([0.1])
    table["r95"].unit = "Jy"
    with pytest.raises(InputError, match="here: column r95: unit 'Jy' cannot be brought to deg"):
        objects_of(table, "here")


def test_an_ellipse_of_one_axis_is_a_circle():
    table = Table({"Name": ["x"], "ra": [1.0], "dec": [2.0], "Conf_95_SemiMajor": [0.2]})
    assert objects_of(table, "here").error95_deg.tolist() == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbfName,RA,DEC\nb\xc3\xa4r,150,30.5\n"),
        ("latin.csv", b"Name,RA,DEC\nb\xe4r,150,30.5\n"),
        ("excel.csv", b"Name;RA;DEC\r\nb\xe4r;150;30.5\r\n"),
        ("commas.csv", "Name;RA;DEC;e\r\nbär;150,0;30,5;+1,5e-3\r\n".encode()),
        ("quoted.csv", '"Name","RA","DEC"\n"bär","150","30.5"\n'.encode()),
        ("wide.csv", "Name,RA,DEC\nbär,150,30.5\n".encode("utf-16")),
        ("tabs.tsv", "Name\tRA\tDEC\nbär\t150\t30.5\n".encode()),
        ("blanks.txt", "Name RA DEC\nbär 150 30.5\n".encode()),
        ("cased.csv", "name,Ra,Dec\nbär,150,30.5\n".encode()),
        ("units.csv", "Name,RA (hours),DEC [deg]\nbär,10,30.5\n".encode()),
        ("comment.csv", "# of today\nName,RA,DEC\nbär,150,30.5\n".encode()),
        ("header.csv", "# of today\n# Name,RA,DEC\nbär,150,30.5\n".encode()),
        ("index.tsv", "\tName\tRA\tDEC\n0\tbär\t150\t30.5\n".encode()),
    ],
)
def test_text_of_every_dialect_is_a_catalog(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (service,) = local_services([tmp_path / name])
    objects = service.objects
    assert objects.name[0] == "bär"
    assert (objects.ra_deg[0], objects.dec_deg[0]) == pytest.approx((150.0, 30.5))


def test_the_table_with_places_is_the_catalog_unless_it_is_of_b1950(tmp_path):
    path = tmp_path / "a.fits"
    listed = fits.table_to_hdu(Table({"Name": ["a"], "RA": [[150.0]], "DEC": [[30.5]]}))
    other = fits.table_to_hdu(Table({"x": [1]}))
    fits.HDUList([fits.PrimaryHDU(), other, listed]).writeto(path)
    (service,) = local_services([path])
    assert (service.objects.ra_deg[0], service.objects.dec_deg[0]) == (150.0, 30.5)
    fits.setval(path, "RADESYS", value="FK4", ext=2)
    with pytest.raises(InputError, match="RADESYS FK4 is not J2000"):
        local_services([path])
    votable = tmp_path / "a.vot"
    Table({"Name": ["a"], "RA": [150.0], "DEC": [30.5]}).write(votable, format="votable")
    system = '<COOSYS ID="b" system="eq_FK4"/><RESOURCE'
    votable.write_text(votable.read_text().replace("<RESOURCE", system, 1))
    with pytest.raises(InputError, match="COOSYS is FK4"):
        local_services([votable])


def test_two_numbers_in_a_place_are_refused():
    table = Table({"Name": ["a"], "RA": [[150.0, 1.0]], "DEC": [30.5]})
    with pytest.raises(InputError, match="column RA: 2 values a row, expected one"):
        objects_of(table, "x")


@pytest.mark.parametrize(("unit", "turn"), [("hours", 24.0), ("radians", 2 * np.pi)])
def test_right_ascensions_that_look_like_another_unit_are_told(unit, turn):
    ra = np.linspace(0.0, 0.99 * turn, 50)
    dec = np.linspace(-85.0, 85.0, 50) if unit == "hours" else np.linspace(-1.5, 1.5, 50)
    table = Table({"Name": [f"{x:g}" for x in ra], "RA": ra, "DEC": dec})
    with pytest.warns(UnekWarning, match=f"taken as degrees; if they are {unit}, state that unit"):
        objects_of(table, "x")


def test_a_comma_in_a_name_is_no_decimal_one(tmp_path):
    (tmp_path / "a.csv").write_text("Name;RA;DEC\nM 1,5;150,25;-1,5\n1,5 b;10;2\n")
    (service,) = local_services([tmp_path / "a.csv"])
    assert service.objects.name.tolist() == ["M 1,5", "1,5 b"]
    assert service.objects.ra_deg.tolist() == [150.25, 10.0]
    assert service.objects.dec_deg.tolist() == [-1.5, 2.0]


def test_a_votable_with_entities_is_refused(tmp_path):
    path = tmp_path / "bomb.vot"
    path.write_text('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><VOTABLE>&a;</VOTABLE>')
    with pytest.raises(InputError, match="declares entities"):
        local_services([path])


def test_rows_without_a_position_are_left_out_and_text_is_tidied():
    table = Table({"id": [b"  one   more ", b"two"], "CLASS": ["BLL", "PSR"], "r95": [0.1, np.nan]})
    table["RA"] = MaskedColumn([1.0, 2.0], mask=[False, True])
    table["DEC"] = [1.0, 2.0]
    objects = objects_of(table, "here")
    assert objects.name.tolist() == ["one more"]
    assert objects.class_.tolist() == ["bll"]
    assert objects.error95_deg.tolist() == [0.1]


def test_names_come_from_the_main_identifier_or_the_first_text():
    table = Table({"number": [1.0], "what": ["x"], "_RAJ2000": [1.0], "_DEJ2000": [2.0]})
    assert objects_of(table, "here").name.tolist() == ["x"]
    table["real"] = ["y"]
    table["real"].meta["ucd"] = "meta.id;meta.main"
    assert objects_of(table, "here", prefix="Q ").name.tolist() == ["Q y"]
    assert objects_of(table, "here", name_column="what", prefix="x").name.tolist() == ["x"]


def test_an_error_ellipse_of_vizier_is_found_by_its_meaning():
    table = Table({"Name": ["x"], "RA": [1.0], "DEC": [2.0], "amaj95": [0.07]})
    table["amaj95"].meta["ucd"] = "phys.angSize.smajAxis;pos.errorEllipse"
    assert objects_of(table, "here").error95_deg.tolist() == [0.07]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Name": ["x"], "flux": [1.0]}, "no columns of right ascension and declination"),
        ({"RA": [1.0], "DEC": [1.0]}, "no column of names; it has RA, DEC"),
        ({"Name": ["x"], "RA": ["over there"], "DEC": ["+1"]}, "column RA holds no angles"),
    ],
)
def test_a_table_without_what_is_needed_is_refused(tmp_path, columns, message):
    Table(columns).write(tmp_path / "t.ecsv")
    with pytest.raises(InputError, match=f"t.ecsv: {message}"):
        local_services([tmp_path / "t.ecsv"])


def test_a_file_that_is_none_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="none.fits: no such file.*4FGL-DR4"):
        local_services([tmp_path / "none.fits"])
    (tmp_path / "junk.fits").write_text("junk")
    with pytest.raises(InputError, match="junk.fits: not a FITS file"):
        local_services([tmp_path / "junk.fits"])
    fits.PrimaryHDU().writeto(tmp_path / "bare.fits")
    with pytest.raises(InputError, match="bare.fits: cannot be read"):
        local_services([tmp_path / "bare.fits"])


def test_two_catalogs_of_one_name_are_refused(tmp_path):
    table = Table({"Name": ["x"], "RA": [1.0], "DEC": [2.0]})
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        table.write(tmp_path / folder / "list.csv")
    paths = [tmp_path / "a" / "list.csv", tmp_path / "b" / "list.csv"]
    config = AssociateConfig(services="none", catalogs=[str(path) for path in paths])
    with pytest.raises(InputError, match="two catalogs would be called list; .*NAME=FILE"):
        open_services(config)
    with pytest.raises(InputError, match="two catalogs would be called SNR"):
        open_services(AssociateConfig(services="vizier", catalogs=[f"SNR={paths[0]}"]))
    first, second = local_services([paths[0], f"other={paths[1]}"])
    assert (first.name, second.name) == ("list", "other")


def test_names_become_parts_of_column_names():
    assert column_name("4FGL-DR4 (v35)") == "4FGL_DR4_v35"
    assert column_name("???") == "catalog"
