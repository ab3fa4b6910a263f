"""Units that files state, in every spelling, are obeyed or refused."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.sky.units import INTENSITY, bring_columns, check_frame, column, degrees, factor

ENERGIES = {"eV": u.eV, "keV": u.keV, "MeV": u.MeV, "GeV": u.GeV, "TeV": u.TeV, "erg": u.erg}


@given(st.sampled_from(sorted(ENERGIES)), st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_unit_of_energy_is_known_in_any_case(name, capitals):
    text = "".join(c.upper() if up else c.lower() for c, up in zip(name, capitals, strict=False))
    assert factor(f" {text} ", "MeV", "x") == pytest.approx(ENERGIES[name].to(u.MeV), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("cm2 s", "cm2 s", 1.0),
        ("cm^2 s", "cm2 s", 1.0),
        ("cm**2 s", "cm2 s", 1.0),
        ("CM2 S", "cm2 s", 1.0),
        ("m2 s", "cm2 s", 1e4),
        ("km2 yr", "cm2 s", 1e10 * 365.25 * 86400),
        ("ph cm-2 s-1 sr-1 MeV-1", INTENSITY, 1.0),
        ("photon/cm**2/MeV/s/sr", INTENSITY, 1.0),
        ("1/cm^2/s/sr/GeV", INTENSITY, 1e-3),
        ("/m2/s/MeV/sr", INTENSITY, 1e-4),
        ("1 / (cm2 MeV s sr)", INTENSITY, 1.0),
        ("degrees", "deg", 1.0),
        ("ARCMIN", "deg", 1 / 60),
        ("hours", "deg", 15.0),
        ("days", "s", 86400.0),
    ],
)
def test_spellings_of_other_programs_are_known(text, unit, expected):
    assert factor(text, unit, "x") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "unit", "told"),
    [
        (None, "MeV", "x: has no unit, expected MeV"),
        (" ", "MeV", "x: has no unit, expected MeV"),
        ("cm", "MeV", "x: unit 'cm' cannot be brought to MeV"),
        ("furlong", "cm2 s", "x: unit 'furlong' cannot be brought to cm2 s"),
        ("cm-2 s-1", INTENSITY, "cannot be brought"),
        ("hours", "s", "unit 'hours' cannot be brought to s"),
        ("((", "deg", "cannot be brought"),
        ("1,eV", "MeV", "unit '1,eV' cannot be brought to MeV"),
        ("mag", "MeV", "cannot be brought"),
    ],
)
def test_what_is_no_unit_of_the_kind_is_refused(text, unit, told):
    with pytest.raises(InputError) as caught:
        factor(text, unit, "x")
    assert told in str(caught.value)


def table(**columns):
    return fits.BinTableHDU.from_columns(
        [fits.Column(n, form, unit, array=v) for n, (form, unit, v) in columns.items()], name="T"
    )


def test_a_column_is_found_in_any_case_and_brought_to_its_unit():
    hdu = table(Energy=("D", "GeV", [1.0, 2.0]), Name=("4A", None, ["a", "b"]))
    np.testing.assert_allclose(column(hdu, "ENERGY", "MeV", "f.fits"), [1e3, 2e3])
    with pytest.raises(InputError, match="f.fits: table T has no column E_MIN"):
        column(hdu, "E_MIN", "MeV", "f.fits")
    with pytest.raises(InputError, match="f.fits: column Name of T holds no numbers"):
        column(hdu, "Name", "MeV", "f.fits", "MeV")
    with pytest.raises(InputError, match="f.fits: column Energy of T: unit 'GeV'"):
        column(hdu, "Energy", "deg", "f.fits")


@given(st.floats(0.0, 359.999), st.floats(-90.0, 90.0))
def test_angles_come_back_from_every_form(ra, dec):
    from astropy.coordinates import Angle

    for value, hours in ((ra, True), (dec, False)):
        angle = Angle(value, "deg")
        forms = [
            ([f"{value:.9f}"], "deg"),
            ([f"{value:.9f}"], None),
            ([angle.to_string(u.hourangle if hours else u.deg, sep=":", precision=8)], None),
            ([angle.to_string(u.hourangle if hours else u.deg, sep=" ", precision=8)], '"h:m:s"'
             if hours else '"d:m:s"'),
            ([angle.to_string(u.deg, precision=8)], None),
            (np.array([value]), None),
            (np.array([value * 60]), "arcmin"),
            (np.array([np.radians(value)]), "rad"),
        ]  # fmt: skip
        for given_, unit in forms:
            found = degrees(given_, unit, "x", hours=hours)
            assert found == pytest.approx([value], abs=1e-6), (given_, unit)


def test_blank_and_masked_angles_are_nan_and_words_are_refused():
    assert np.isnan(degrees(["", " ", "nan"], None, "x")).all()
    assert np.isnan(degrees(np.ma.array([1.0, 2.0], mask=[True, False]), None, "x")).tolist() == [
        True,
        False,
    ]
    with pytest.raises(InputError, match="x holds no angles"):
        degrees(["north"], None, "x")


def test_text_that_is_no_angle_costs_itself():
    with pytest.warns(UnekWarning, match="1 of 3 are no angles, the first 'n/a'"):
        found = degrees(["10.5", "n/a", "\u22125"], None, "x")
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == [10.5, -5.0]


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ({"RADESYS": "ICRS"}, None),
        ({"RADECSYS": "FK5", "EQUINOX": "J2000"}, None),
        ({"EPOCH": 2016.5}, None),  # of proper motions
        ({"RADESYS": "FK4"}, "RADESYS FK4 is not J2000"),
        ({"EQUINOX": 1950.0}, "EQUINOX 1950.0 is not J2000"),
        ({"EPOCH": "B1950"}, "EQUINOX B1950 is not J2000"),
        ({"EQUINOX": "of date"}, "EQUINOX of date is not J2000"),
    ],
)
def test_places_of_another_equinox_are_refused(cards, told):
    if told is None:
        check_frame(cards, "x")
        return
    with pytest.raises(InputError, match=f"x: {told}"):
        check_frame(cards, "x")


def test_the_case_of_a_prefix_counts():
    assert factor("cm2 Ms", "cm2 s", "x") == pytest.approx(1e6)
    assert factor("CM2 S", "cm2 s", "x") == 1.0


def test_columns_that_state_a_unit_are_brought_to_that_of_a_schema():
    fluxes = Table(
        {
            "Flux": np.array([1e-4, np.nan], "f4"),
            "Bands": np.full((2, 3), 1e-4),
            "Pivot": np.array([1, 2]),
            "Probability": np.array([95.0, 5.0]),
            "Said": np.array([1.0, 2.0]),
            "Name": ["a", "b"],
        },
        units={
            "Flux": "ph m-2 s-1",
            "Bands": "1/m2/s",
            "Pivot": "GeV",
            "Probability": "%",
            "Name": "x",
        },
    )
    schema = {"Flux": "cm-2 ph s-1", "Bands": "cm-2 s-1", "Pivot": "MeV", "Probability": None,
              "Said": "MeV", "Name": None, "Absent": "deg"}  # fmt: skip
    bring_columns(fluxes, schema, "f.fits")
    np.testing.assert_allclose(fluxes["Flux"], [1e-8, np.nan], rtol=1e-6)
    np.testing.assert_allclose(fluxes["Bands"], 1e-8)
    np.testing.assert_allclose(fluxes["Pivot"], [1e3, 2e3])
    np.testing.assert_allclose(fluxes["Probability"], [0.95, 0.05])
    np.testing.assert_allclose(fluxes["Said"], [1.0, 2.0])
    fluxes["Flux"].unit = "erg cm-2 s-1"
    with pytest.raises(InputError, match=r"f.fits: column Flux: unit 'erg .* cannot be brought"):
        bring_columns(fluxes, schema, "f.fits")
