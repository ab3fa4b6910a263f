"""What photon and count files say of themselves is obeyed, or refused where it contradicts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sky_samples import BIN_EDGES, add_dss, bounds_table, write_ccube, write_ft1

from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, MISSION_START_MET, YEAR_S
from fermi_unek.sky.io.dss import MJDREF, read_selection
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.selection import SOURCE_CLASS

START = MISSION_START_MET
N = 400
DSS = (
    ("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"),
    ("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"),
    ("POS(RA,DEC)", "CIRCLE(0,0,180)"),
    ("ENERGY", "100:1000000"),
    ("ZENITH_ANGLE", "0:100"),
)


def sample(seed=1, n=N, years=2.0):
    rng = np.random.default_rng(seed)
    return {
        "lon": rng.uniform(40, 50, n), "lat": rng.uniform(-5, 5, n),
        "energy_mev": 350.0 * rng.random(n) ** -1.2,
        "time": np.sort(START + rng.random(n) * years * YEAR_S),
    }  # fmt: skip


def write(path, photons, **options):
    return write_ft1(path, dss=options.pop("dss", DSS), **photons, **options)


def change(path, **columns):
    """Columns of a photon file replaced by (form, unit, values); None takes one out."""
    with fits.open(path) as hdus:
        events = hdus["EVENTS"]
        kept = [c for c in events.columns if c.name not in columns]
        new = [
            fits.Column(name, form, unit, array=values)
            for name, (form, unit, values) in ((k, v) for k, v in columns.items() if v)
        ]
        table = fits.BinTableHDU.from_columns(kept + new, name="EVENTS")
        cards = [card for card in events.header.cards if card.keyword.startswith(("DS", "NDS"))]
        table.header.update(cards)
        fits.HDUList([hdus[0], table, *hdus[2:]]).writeto(path, overwrite=True)
    return path


def read(path, **options):
    return read_sky(path, rng=np.random.default_rng(1), **options)


def quietly(path, **options):
    """A sky that is read without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnekWarning)
        return read(path, **options)


def column_of(path, name):
    return np.array(fits.getdata(path, "EVENTS")[name], float)


# units and forms of columns ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "scale"),
    [
        ("ENERGY", "GeV", 1e-3),
        ("ENERGY", "TEV", 1e-6),
        ("ENERGY", "kev", 1e3),
        ("RA", "hour", 1 / 15),
        ("RA", "rad", np.pi / 180),
        ("DEC", "arcmin", 60.0),
        ("ZENITH_ANGLE", "rad", np.pi / 180),
        ("TIME", "d", 1 / 86400),
    ],
)
def test_a_column_in_another_unit_gives_the_same_sky(tmp_path, name, unit, scale):
    photons = sample() | {"zenith": np.linspace(60, 120, N)}
    plain = quietly(write(tmp_path / "a.fits", photons), zmax_deg=95, yearly=True)
    path = write(tmp_path / "b.fits", photons)
    change(path, **{name: ("D", unit, column_of(path, name) * scale)})
    other = quietly(path, zmax_deg=95, yearly=True)
    assert [y.totals.tolist() for y in other.years] == [y.totals.tolist() for y in plain.years]
    for first, second in zip(plain.bins, other.bins, strict=True):
        # a place may fall to the other side of the edge of a pixel
        assert np.mean(np.isin(first.pixels, second.pixels)) > 0.99


def test_energies_that_contradict_the_cut_in_the_header_are_refused(tmp_path):
    """GeV without a word: not one is left out in silence, nor taken for a soft photon."""
    path = write(tmp_path / "a.fits", sample())
    change(path, ENERGY=("D", None, column_of(path, "ENERGY") / 1e3))
    with pytest.raises(InputError, match="ENERGY of .* photons contradict the cuts in the header"):
        read(path)


def test_positions_that_contradict_the_circle_in_the_header_are_refused(tmp_path):
    circle = (("POS(RA,DEC)", "CIRCLE(200,60,5)"),)
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS[:2], *circle, *DSS[3:]))
    with pytest.raises(InputError, match="RA, DEC of 400 of 400 photons contradict"):
        read(path)


def test_a_unit_of_another_kind_is_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    change(path, ENERGY=("D", "cm", column_of(path, "ENERGY")))
    with pytest.raises(InputError, match="column ENERGY: unit 'cm' cannot be brought to MeV"):
        read(path)


@pytest.mark.parametrize("shape", ["two", "julian", "mjd"])
def test_times_as_dates_give_the_same_years(tmp_path, shape):
    plain = quietly(write(tmp_path / "a.fits", sample()), yearly=True)
    path = write(tmp_path / "b.fits", sample())
    days = column_of(path, "TIME") / 86400.0 + MJDREF
    forms = {
        "two": ("2D", np.stack([np.floor(days) + 2400000.5, days % 1], axis=-1)),
        "julian": ("D", days + 2400000.5),
        "mjd": ("D", days),
    }
    form, values = forms[shape]
    change(path, TIME=(form, "d", values))
    other = quietly(path, yearly=True)
    assert [y.totals.tolist() for y in other.years] == [y.totals.tolist() for y in plain.years]


def test_times_of_three_numbers_a_photon_are_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    change(path, TIME=("3D", "s", np.ones((N, 3))))
    with pytest.raises(InputError, match="column TIME: 3 numbers a photon, expected one time"):
        read(path)


@pytest.mark.parametrize("through", ["bits", "logicals", "integers"])
def test_event_types_and_classes_are_read_whatever_became_of_their_bits(tmp_path, through):
    back = np.arange(N) % 3 == 0
    photons = sample() | {"event_type": np.where(back, 2, 1), "conversion": back.astype(int)}
    photons["event_class"] = np.where(np.arange(N) % 2, 128 + 1024, 128)
    cuts = (DSS[0], ("BIT_MASK(EVENT_TYPE,3,P8R3)", "1:1"), *DSS[2:])
    path = write(tmp_path / "a.fits", photons, dss=cuts, drop=("CONVERSION_TYPE",))
    if through == "logicals":
        table = Table.read(path, hdu="EVENTS")
        assert table["EVENT_TYPE"].dtype == bool
        table.write(path, overwrite=True)
    elif through == "integers":
        change(path, EVENT_TYPE=("J", None, photons["event_type"]),
               EVENT_CLASS=("J", None, photons["event_class"]))  # fmt: skip
    sky = read(path, event_type="all", event_class=1024)
    assert sky.totals.sum() == np.sum(np.arange(N) % 2)
    assert read(path, event_type="back").totals.sum() == back.sum()


def test_good_times_that_were_dropped_on_the_way_are_told(tmp_path):
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS, ("TIME", "TABLE")))
    fits.setval(path, "DSREF6", value=":GTI", extname="EVENTS")
    for key, value in (("TSTART", START), ("TSTOP", START + 2 * YEAR_S)):
        fits.setval(path, key, value=value, extname="EVENTS")
    Table.read(path, hdu="EVENTS").write(tmp_path / "b.fits")
    with pytest.warns(UnekWarning, match="good time intervals .GTI. that its header names"):
        assert read(tmp_path / "b.fits").livetime_years == pytest.approx(2.0)


# cuts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (("BIT_MASK(EVENT_CLASS,1024,P8R3)", "1:1"), "event class 1024 .ULTRACLEANVETO."),
        (("BIT_MASK(EVENT_CLASS,256,P8R3)", "1:1"), "event class 256 .CLEAN."),
        (("PULSE_PHASE", "0.5:0.9"), "holds 40% of the pulse phase"),
        (("PULSE_PHASE", "0.1:0.2,0.7:1.0"), "holds 40% of the pulse phase"),
    ],
)
def test_cuts_that_the_networks_are_not_made_for_are_told(tmp_path, cut, told):
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS[1:], cut))
    with pytest.warns(UnekWarning, match=told):
        sky = read(path)
    assert sky.totals.sum() == np.sum(sample()["energy_mev"] < 1e6)
    assert sky.livetime_years == pytest.approx(0.8 if "PHASE" in cut[0] else 2.0)


@pytest.mark.parametrize("zenith", ["0:120", "0:180", None])
def test_a_zenith_cut_that_lets_the_limb_in_is_none(tmp_path, zenith):
    photons = sample() | {"zenith": np.where(np.arange(N) % 2, 50.0, 110.0)}
    cuts = DSS[:4] if zenith is None else (*DSS[:4], ("ZENITH_ANGLE", zenith))
    path = write(tmp_path / "a.fits", photons, dss=cuts)
    with pytest.warns(UnekWarning, match="left out against the Earth limb"):
        sky = read(path)
    assert sky.totals.sum() == np.sum((sample()["energy_mev"] < 1e6) & (np.arange(N) % 2 == 1))
    assert sky.selection.zenith_deg == (0.0, 100.0)


def test_a_cube_of_the_limb_is_told(tmp_path):
    cuts = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:180"))
    path = write_ccube(tmp_path / "a.fits", np.ones((6, 8, 8), int), BIN_EDGES, dss=cuts)
    with pytest.warns(UnekWarning, match="zenith cut at 180 deg lets the limb of the Earth in"):
        read(path)


def test_cuts_are_read_in_the_units_they_state(tmp_path):
    cuts = (*DSS[:3], ("ENERGY", "0.1:1000"), ("ZENITH_ANGLE", "0:100"))
    path = write(tmp_path / "a.fits", sample(), dss=cuts)
    fits.setval(path, "DSUNI4", value="GeV", extname="EVENTS")
    assert quietly(path).intervals_mev == ((100.0, 1e6),)
    fits.setval(path, "DSUNI4", value="deg", extname="EVENTS")
    with pytest.raises(InputError, match="DSS cut ENERGY: unit 'deg' cannot be brought to MeV"):
        read(path)


def test_a_cut_to_ranges_of_energy_is_read_unless_there_is_a_gap(tmp_path):
    cuts = (*DSS[:3], ("ENERGY", "1000:1000000,100:1000"), DSS[4])
    path = write(tmp_path / "a.fits", sample(), dss=cuts)
    assert quietly(path).intervals_mev == ((100.0, 1e6),)
    cuts = (*DSS[:3], ("ENERGY", "300:500,1000:2000"), DSS[4])
    with pytest.raises(InputError, match="300:500,1000:2000 are ranges with a gap"):
        read(write(tmp_path / "b.fits", sample(), dss=cuts))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("THETA", "0:40"),
        ("BIT_MASK(EoENT_TYPE,3,P8R3)", "1:1"),
        ("POS(RA,DEC)", "BOX(83,22,5,5)"),
        ("POS(RA,DEC)", "-CIRCLE(83,22,5)"),
        ("POS(RA,DEC)", "CIRCLE(83,22,5)-CIRCLE(83,22,1)"),
        ("POS(L,B)", "CIRCLE(83,22,5)"),
        ("ZENITH_ANGLE", "30:90"),
    ],
)
def test_a_cut_that_nothing_follows_is_told(tmp_path, kind, value):
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS[:2], DSS[3], (kind, value)))
    with pytest.warns(UnekWarning, match=r"DSS cut .*is not taken into account"):
        read(path)


def test_zenith_cuts_with_a_gap_are_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS[:4], ("ZENITH_ANGLE", "0:50,60:100")))
    with pytest.raises(InputError, match="0:50,60:100 are ranges with a gap"):
        read(path)


def test_the_circle_and_the_times_of_a_cut_are_in_the_units_they_state(tmp_path):
    cuts = (*DSS[:2], ("POS(RA,DEC)", "CIRCLE(1.4,0.4,0.1)"), ("TIME", "3000:3010"))
    path = write_ccube(tmp_path / "a.fits", np.ones((6, 8, 8), int), BIN_EDGES, dss=cuts)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(DSUNI3="rad", DSUNI4="d", TIMEZERO=86400.0)
    with fits.open(path) as hdus:
        selection = read_selection(path, hdus, 0)
    assert selection.circles == (pytest.approx(tuple(np.degrees([1.4, 0.4, 0.1]))),)
    assert selection.spans_met == ((3001 * 86400.0, 3011 * 86400.0),)


def test_of_two_cuts_what_both_leave_counts(tmp_path):
    more = (
        ("ENERGY", "300:500000"),
        ("BIT_MASK(EVENT_TYPE,3,P8R3)", "1:1"),
        ("ZENITH_ANGLE", "0:90"),
    )
    found = quietly(write(tmp_path / "a.fits", sample(), dss=(*DSS, *more))).selection
    assert (found.event_type, found.event_class) == (1, SOURCE_CLASS)
    assert found.zenith_deg == (0.0, 90.0)


# time --------------------------------------------------------------------------------------------


def with_gti(path, spans):
    start, stop = np.reshape(spans, (-1, 2)).T
    columns = [fits.Column(n, "D", "s", array=v) for n, v in (("START", start), ("STOP", stop))]
    fits.update(path, fits.BinTableHDU.from_columns(columns, name="GTI").data,
                fits.BinTableHDU.from_columns(columns, name="GTI").header, "GTI")  # fmt: skip
    return path


def test_long_gaps_are_no_live_time_and_their_photons_are_left_out(tmp_path):
    year = YEAR_S
    spans = [(START, START + 0.5 * year), (START + 1.5 * year, START + 2.0 * year)]
    path = with_gti(write(tmp_path / "a.fits", sample()), spans)
    inside = [(a <= sample()["time"]) & (sample()["time"] <= z) for a, z in spans]
    energies = sample()["energy_mev"][np.any(inside, axis=0)]
    with pytest.warns(UnekWarning, match="photons outside of the good time intervals"):
        sky = read(path, yearly=True)
    assert sky.livetime_years == pytest.approx(1.0)
    assert [y.livetime_years for y in sky.years] == pytest.approx([0.5, 0.5])
    assert sky.totals.tolist() == np.histogram(energies, ENERGY_EDGES_MEV)[0].tolist()


def test_orbits_are_no_gaps_but_half_an_orbit_is_told(tmp_path):
    starts = START + np.arange(0.0, 100 * 5700.0, 5700.0)
    photons = sample() | {"time": starts[np.arange(N) % 100] + 1.0 + np.arange(N) * 1e-3}
    for part, quiet in ((0.85, True), (0.5, False)):
        path = write(tmp_path / f"{part}.fits", photons)
        with_gti(path, np.stack([starts, starts + part * 5700.0], axis=-1))
        if quiet:
            quietly(path)
        else:
            with pytest.warns(UnekWarning, match="intervals .GTI. are 50% of the time"):
                read(path)


# photons that are there twice --------------------------------------------------------------------


def numbered(path, photons, ids, runs=7):
    """A photon file with RUN_ID and EVENT_ID."""
    write(path, photons)
    return change(path, EVENT_ID=("J", None, ids), RUN_ID=("J", None, np.full(len(ids), runs)))


def part_of(photons, keep):
    return {name: values[keep] for name, values in photons.items()}


@pytest.mark.parametrize("with_ids", [True, False])
def test_photons_of_overlapping_weeks_count_once(tmp_path, with_ids):
    photons = sample() | {"energy_mev": np.linspace(400, 2000, N)}
    first, second = np.arange(N) < 250, np.arange(N) >= 150
    paths = []
    for name, keep in (("a", first), ("b", second)):
        path = tmp_path / f"{name}.fits"
        if with_ids:
            numbered(path, part_of(photons, keep), np.flatnonzero(keep))
        else:
            write(path, part_of(photons, keep))
        paths.append(path)
    with pytest.warns(UnekWarning, match="100 photons are there more than once"):
        sky = read(paths, yearly=True)
    assert sky.totals.sum() == N
    assert sum(layer.totals.sum() for layer in sky.years) == N


def test_photons_that_are_twice_in_one_file_count_once(tmp_path):
    photons = sample() | {"energy_mev": np.full(N, 400.0)}
    twice = np.r_[np.arange(N), np.arange(30)]
    path = numbered(tmp_path / "a.fits", part_of(photons, twice), twice)
    with pytest.warns(UnekWarning, match="30 photons are there more than once"):
        assert read(path).totals.sum() == N


def test_photons_of_one_number_and_other_times_are_different(tmp_path):
    """Simulations number the photons of each file from one."""
    paths = [
        numbered(tmp_path / f"{seed}.fits", sample(seed) | {"energy_mev": np.full(N, 400.0)},
                 np.arange(N))
        for seed in (1, 2)
    ]  # fmt: skip
    assert quietly(paths).totals.sum() == 2 * N


def test_without_numbers_photons_of_one_time_energy_and_place_count_once(tmp_path):
    photons = {name: np.full(5, values[0]) for name, values in sample().items()}
    with pytest.warns(UnekWarning, match="4 photons are there more than once"):
        assert read(write(tmp_path / "a.fits", photons)).totals.sum() == 1


# files that do not go together -------------------------------------------------------------------


def test_parts_of_the_pulse_phase_do_not_go_with_the_whole(tmp_path):
    cut = write(tmp_path / "a.fits", sample(1), dss=(*DSS, ("PULSE_PHASE", "0:0.5")))
    whole = write(tmp_path / "b.fits", sample(2))
    with pytest.warns(UnekWarning), pytest.raises(InputError, match="pulse phase .50%, 100%."):
        read([cut, whole])


def test_event_classes_that_are_mixed_are_told(tmp_path):
    first = write(tmp_path / "a.fits", sample(1))
    second = write(
        tmp_path / "b.fits", sample(2), dss=(("BIT_MASK(EVENT_CLASS,256)", "1:1"), *DSS[1:])
    )
    with pytest.warns(UnekWarning, match="of different event classes .128, 256."):
        read([first, second])


# what no photon can have, and files that do not go together --------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("ENERGY", 1.6e8, "ENERGY holds 1.6e.08"),  # keV without a unit
        ("DEC", 146.0, "DEC holds 146, expected -90 to 90 deg"),
        ("ZENITH_ANGLE", -3.0, "ZENITH_ANGLE holds -3"),
    ],
)
def test_what_no_photon_can_have_is_refused(tmp_path, column, value, told):
    path = write(tmp_path / "a.fits", sample())
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].data[column][7] = value
    with pytest.raises(InputError, match=f"a.fits: column {told}"):
        read(path)


@pytest.mark.parametrize("column", ["ENERGY", "RA", "ZENITH_ANGLE"])
def test_a_photon_without_a_number_costs_itself(tmp_path, column):
    path = write(tmp_path / "a.fits", sample())
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].data[column][7] = np.nan
    with pytest.warns(UnekWarning, match="1 photons whose .* is no number are left out"):
        assert read(path).totals.sum() == N - 1
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].data[column][:] = np.nan
    with pytest.raises(InputError, match="400 photons have .* that is no number"):
        read(path)


def test_columns_in_lower_case_are_those_of_an_ft1_file(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    plain = quietly(path, yearly=True)
    with fits.open(path) as hdus:
        for key, name in hdus["EVENTS"].header["TTYPE*"].items():
            hdus["EVENTS"].header[key] = name.lower()
        hdus.writeto(tmp_path / "b.fits")
    other = quietly(tmp_path / "b.fits", yearly=True)
    assert [y.totals.tolist() for y in other.years] == [y.totals.tolist() for y in plain.years]


def test_events_that_contradict_the_cuts_in_the_header_are_refused_or_told(tmp_path):
    back = ("BIT_MASK(EVENT_TYPE,2,P8R3)", "1:1")
    path = write(tmp_path / "a.fits", sample(), dss=(DSS[0], back, *DSS[2:]))
    with pytest.raises(InputError, match="event types of 400 of 400 photons contradict"):
        read(path)
    other = ("BIT_MASK(EVENT_CLASS,1024,P8R3)", "1:1")
    path = write(tmp_path / "b.fits", sample(), dss=(other, *DSS[1:]))
    with pytest.warns(UnekWarning, match="EVENT_CLASS of 400 of 400 photons and the cut in the"):
        read(path)


@pytest.mark.parametrize("other", [2, 32])
def test_cuts_on_event_types_that_leave_no_response_are_refused(tmp_path, other):
    path = write(
        tmp_path / "a.fits", sample(), dss=(*DSS, (f"BIT_MASK(EVENT_TYPE,{other},P8R3)", "1:1"))
    )
    with pytest.raises(InputError, match="contradicts the cut on FRONT photons before it"):
        read(path)


@pytest.mark.parametrize(
    "cards", [{"RADESYS": "FK4"}, {"RADECSYS": "FK4-NO-E"}, {"EQUINOX": 1950.0}]
)
def test_photons_of_another_equinox_are_refused(tmp_path, cards):
    path = write(tmp_path / "a.fits", sample())
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].header.update(cards)
    with pytest.raises(InputError, match="is not J2000, expected ICRS or FK5"):
        read(path)


def test_two_zeros_of_time_that_contradict_each_other_are_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].header.update({"MJDREFI": 51910, "MJDREFF": 7.4287e-4, "MJDREF": 51544.0})
    with pytest.raises(InputError, match="MJDREF 51544 and MJDREFI . MJDREFF .* contradict"):
        read(path)


def test_places_that_contradict_each_other_are_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    with fits.open(path, mode="update") as hdus:
        hdus["EVENTS"].data["RA"] /= 15.0  # hours, without a unit
    with pytest.raises(InputError, match="RA, DEC and L, B contradict each other"):
        read(path)


@pytest.mark.parametrize("spans", [[], [(2.0, 1.0)], [(0.0, np.nan)]])
def test_photons_without_good_time_and_good_time_without_end_are_refused(tmp_path, spans):
    path = with_gti(write(tmp_path / "a.fits", sample()), spans)
    with pytest.raises(InputError, match="GTI"):
        read(path)


def test_a_zero_of_time_in_the_header_is_added(tmp_path):
    whole = read(write(tmp_path / "a.fits", sample()), yearly=True)
    path = write(tmp_path / "b.fits", sample())
    with fits.open(path, mode="update") as hdus:
        for hdu, columns in ((hdus["EVENTS"], ["TIME"]), (hdus["GTI"], ["START", "STOP"])):
            hdu.header["TIMEZERO"] = 1e8
            for name in columns:
                hdu.data[name] -= 1e8
    shifted = read(path, yearly=True)
    np.testing.assert_allclose(shifted.selection.spans_met, whole.selection.spans_met)
    assert [year.totals.tolist() for year in shifted.years] == [
        year.totals.tolist() for year in whole.years
    ]


@pytest.mark.parametrize(
    "cut", [("PULSE_PHASE", "0.8:0.2"), ("PULSE_PHASE", "TABLE"), ("ENERGY", "low:high")]
)
def test_cuts_that_cannot_be_read_are_refused(tmp_path, cut):
    path = write(tmp_path / "a.fits", sample(), dss=(*DSS, cut))
    with pytest.raises(InputError, match=f"{cut[0]}: its value is '{cut[1]}', expected rising"):
        read(path)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("P8R3", "P8R2", "of different event reconstructions .P8R2, P8R3"),
        ("0:100", "0:90", "of different zenith cuts at like energies .100.0, 90.0"),
    ],
)
def test_other_archives_and_zenith_cuts_that_are_mixed_are_told(tmp_path, before, after, told):
    other = tuple((k.replace(before, after), after if v == before else v) for k, v in DSS)
    paths = [
        write(tmp_path / "a.fits", sample(1)),
        write(tmp_path / "b.fits", sample(2), dss=other),
    ]
    with pytest.warns(UnekWarning, match=f"a.fits and 1 more: {told}"):
        read(paths)


def test_the_good_part_of_the_time_is_kept_for_the_sky(tmp_path):
    orbits = [(START + k * 5400.0, START + k * 5400.0 + 4500.0) for k in range(300)]
    path = with_gti(write(tmp_path / "a.fits", sample(years=0.04)), orbits)
    sky = read(path, yearly=True)
    assert sky.selection.good_part == pytest.approx(5 / 6, abs=1e-3)
    assert sky.years[0].selection.good_part == pytest.approx(5 / 6, abs=1e-3)
    assert np.isnan(read(write(tmp_path / "b.fits", sample())).selection.good_part)


def test_a_channel_without_a_value_was_not_observed(tmp_path):
    path = cube(tmp_path / "a.fits", bounds_table(BIN_EDGES))
    whole = read(path)
    with fits.open(path) as hdus:
        hdus[0].data = hdus[0].data.astype(np.float32)
        hdus[0].data[3] = np.nan
        hdus.writeto(path, overwrite=True)
    sky = read(path)
    assert sky.present.tolist() == [True, True, True, False, True, True]
    np.testing.assert_array_equal(np.delete(sky.totals, 3), np.delete(whole.totals, 3))


# headers of cubes --------------------------------------------------------------------------------


def cube(path, bounds, dss=(("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"),)):
    return write_ccube(path, np.ones((6, 8, 8), int), None, extra=(bounds,), dss=dss)


def without_unit(scale):
    table = bounds_table(BIN_EDGES * scale / 1e3)
    for name in ("E_MIN", "E_MAX"):
        table.columns[name].unit = None
    return table


@pytest.mark.parametrize("scale", [1e3, 1.0, 1e-3])
def test_bounds_without_a_unit_are_told_by_the_cut_on_energy(tmp_path, scale):
    cuts = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ENERGY", "300:1000000"))
    with pytest.warns(UnekWarning, match="EBOUNDS has no unit, taken as"):
        sky = read(cube(tmp_path / "a.fits", without_unit(scale), cuts))
    assert sky.totals.tolist() == [64] * 6
    with pytest.raises(InputError, match="has no unit"):
        read(cube(tmp_path / "b.fits", without_unit(scale)))
    wide = (cuts[0], ("ENERGY", "0.0001:1e10"))
    with pytest.raises(InputError, match="no unit, and none follows from the cut on ENERGY"):
        read(cube(tmp_path / "c.fits", without_unit(scale), wide))


@pytest.mark.parametrize("cut", ["0.3:1000", "10:200", "2e6:3e6"])
def test_bounds_and_a_cut_that_contradict_each_other_are_refused(tmp_path, cut):
    cuts = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ENERGY", cut))
    with pytest.raises(InputError, match="in EBOUNDS, .* in the cut on ENERGY .* contradict"):
        read(cube(tmp_path / "a.fits", bounds_table(BIN_EDGES), cuts))


def test_channels_beyond_the_cut_on_energy_were_not_observed(tmp_path):
    """They hold nothing, which is not the same as no photon of a source."""
    cuts = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ENERGY", "1000:1000000"))
    sky = read(cube(tmp_path / "a.fits", bounds_table(BIN_EDGES), cuts))
    assert sky.present.tolist() == [False, False, True, True, True, True]
    assert sky.intervals_mev == ((1000.0, 1e6),)


EQUATORIAL = {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR"}


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"COORDSYS": "CEL"}, "COORDSYS CEL and CTYPE1 GLON-CAR contradict"),
        (
            {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "RADESYS": "FK4"},
            "RADESYS FK4 is not J2000",
        ),
        ({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "EQUINOX": 1950.0}, "is not J2000"),
    ],
)
def test_frames_of_cubes_that_contradict_are_refused(tmp_path, keywords, told):
    path = cube(tmp_path / "a.fits", bounds_table(BIN_EDGES))
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(keywords)
    with pytest.raises(InputError, match=told):
        read(path)


def healpix(path, columns, **keywords):
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    table.header.update(
        {"PIXTYPE": "HEALPIX", "ORDERING": "RING", "NSIDE": 8, "COORDSYS": "GAL"} | keywords
    )
    add_dss(table.header, (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"),))
    fits.HDUList([fits.PrimaryHDU(), table, bounds_table(BIN_EDGES)]).writeto(path)
    return path


def channels(n):
    return [fits.Column(f"CHANNEL{k}", "J", array=np.arange(n) % 2) for k in range(1, 7)]


def pixels(name, n=100, form="J"):
    return fits.Column(name, form, array=np.arange(n) + 200)


@pytest.mark.parametrize("name", ["PIX", "IPIX", "INDEX", "HPXINDEX", "HPX_PIX", "numbers"])
def test_the_first_column_of_an_explicit_list_holds_the_pixels(tmp_path, name):
    path = healpix(tmp_path / "a.fits", [pixels(name), *channels(100)], INDXSCHM="EXPLICIT")
    sky = quietly(path)
    expected = healpix(tmp_path / "b.fits", [pixels("PIX"), *channels(100)], INDXSCHM="EXPLICIT")
    np.testing.assert_array_equal(sky.coverage, quietly(expected).coverage)
    assert sky.totals.tolist() == [50] * 6


@pytest.mark.parametrize(
    ("columns", "keywords", "told"),
    [
        (channels(100), {"INDXSCHM": "EXPLICIT"}, "INDXSCHM is EXPLICIT, and none of the columns"),
        ([pixels("PIX"), *channels(100)], {"INDXSCHM": "IMPLICIT"}, "IMPLICIT, and column PIX"),
        (channels(100), {"INDXSCHM": "IMPLICIT"}, "100 pixels in the table, and FIRSTPIX 0"),
        (channels(768), {"ORDER": 5}, "NSIDE 8 and ORDER 5 contradict"),
        (channels(768), {"RADESYS": "FK5"}, "COORDSYS GAL and RADESYS FK5 contradict"),
        (channels(768), {"COORDSYS": "CEL", "RADECSYS": "FK4"}, "RADESYS FK4 is not J2000"),
        ([pixels("PIX", 100, "K")], {"INDXSCHM": "EXPLICIT"}, "no column of values"),
        (
            [pixels("PIX"), *channels(100)],
            {"INDXSCHM": "EXPLICIT", "FIRSTPIX": 0, "LASTPIX": 3071},
            "NSIDE 8 and LASTPIX 3071, the last of NSIDE 16, contradict",
        ),
        (
            [pixels("PIX"), *channels(100)],
            {"INDXSCHM": "EXPLICIT", "HPX_REG": "DISK(0,-80,5)"},
            "HPX_REG DISK.0,-80,5. and the pixels in the table",
        ),
        (
            [pixels("PIX"), *channels(100)],
            {"INDXSCHM": "EXPLICIT", "HPX_REG": "DISK(a,b,5)"},
            "HPX_REG is DISK.a,b,5., expected DISK.lon,lat,radius.",
        ),
        (channels(768), {"TUNIT1": "ph/s"}, "column CHANNEL1: unit 'ph/s'"),
    ],
)
def test_headers_of_healpix_files_that_contradict_are_refused(tmp_path, columns, keywords, told):
    with pytest.raises(InputError, match=told):
        read(healpix(tmp_path / "a.fits", columns, **keywords))


# against the Fermitools --------------------------------------------------------------------------


def test_a_healpix_file_of_one_bin_without_an_energy_cut_is_refused(shared_data):
    """gtbin counts photons of all energies in it, whatever emin and emax."""
    folder = shared_data / "fermitools"
    with pytest.raises(InputError, match="gtbin makes no energy cut for HEALPIX files of one bin"):
        read(folder / "TRAP_hpx_uncut_one_bin_1-10GeV.fits.gz")


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
@pytest.mark.parametrize("name", ["ccube_ait_gal", "ccube_tan_cel", "ccube_zea_cel_rot30"])
def test_cubes_of_gtbin_hold_the_photons_that_they_were_made_of(shared_data, name):
    folder = shared_data / "fermitools"
    with fits.open(folder / f"{name}.fits.gz") as hdus:
        counts = hdus[0].data.sum(axis=(1, 2))
        edges = hdus["EBOUNDS"].data["E_MIN"] / 1e3
    sky = read(folder / f"{name}.fits.gz", event_type="all")
    # one channel reaches over 1 GeV, and no one knows on which side its photons are
    assert counts[edges > 1000].sum() < sky.totals[2:].sum() < counts[edges > 980].sum()
    assert sky.selection.event_type == 3
    assert sky.livetime_years == pytest.approx(1727992.66 / YEAR_S, rel=1e-3)


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
@pytest.mark.parametrize(
    ("event_class", "kind", "energies"),
    [(None, "all", (1e3, 3e5)), (None, "all", (1e3, 1e4)), (None, "all", (1e4, 1e5))],
)
def test_as_many_photons_are_taken_as_gtselect_takes(shared_data, event_class, kind, energies):
    table = Table.read(shared_data / "fermitools" / "event_counts.ecsv")
    row = table[
        (table["input"] == "both") & (table["emin"] == energies[0]) & (table["emax"] == energies[1])
        & (table["tool"] == "gtselect") & (table["evclass"] == 128) & (table["evtype"] == 3)
        & (table["zmax"] == 180) & (table["tmin"] == 0) & (table["rad"] == 15)
    ]  # fmt: skip
    weeks = [shared_data / "fermitools" / f"photons_week{k}.fits.gz" for k in (1, 2)]
    sky = read(weeks, event_type=kind, zmax_deg=180.0, energy_mev=energies, event_class=event_class)
    # one photon is in both weeks, and those on the edges of energy go the other way
    assert abs(int(sky.totals.sum()) - int(row["events"][0])) <= 3


def test_zenith_angles_beyond_the_cut_and_a_phase_of_nothing_are_refused(tmp_path):
    path = write(tmp_path / "a.fits", sample())
    angles = np.full(N, 105.0)
    change(path, ZENITH_ANGLE=("E", "deg", angles))
    with pytest.raises(InputError, match="ZENITH_ANGLE of 400 of 400 photons contradict"):
        read(path)
    path = write(tmp_path / "b.fits", sample(), dss=(*DSS, ("PULSE_PHASE", "0.5:0.5")))
    with pytest.raises(InputError, match="0.5:0.5 is no part of the phase"):
        read(path)


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ({"CTYPE3": "Energy", "CUNIT3": "MeV", "CRVAL3": 300.0, "CDELT3": 200.0}, None),
        ({"CTYPE3": "log_Energy", "CRVAL3": np.log(300.0), "CDELT3": np.log(5 / 3)}, None),
        ({"CTYPE3": "log_Energy", "CUNIT3": "log(GeV)", "CRVAL3": np.log10(0.3)}, None),
        ({"CTYPE3": "Energy", "CUNIT3": "keV", "CRVAL3": 3e5, "CDELT3": 2e5}, None),
        ({"CRVAL3": 1.0, "CDELT3": 1.0}, None),
        ({"CTYPE3": "Energy", "CUNIT3": "GeV", "CRVAL3": 300.0}, "CRVAL3 300 GeV and the energies"),
        ({"CTYPE3": "log_Energy", "CRVAL3": np.log(100.0)}, "CRVAL3 4.60517 MeV and the energies"),
        ({"CRVAL3": 300.0, "CDELT3": 7.0}, "CDELT3 7 MeV and the energies"),
        ({"CTYPE3": "Energy", "CUNIT3": "kg"}, "CUNIT3: unit 'kg'"),
        ({"BUNIT": "counts/pixel"}, None),
        ({"CD1_1": -0.5, "CD2_2": 0.5, "CDELT1": -0.25}, "CDELT1 0.25 and the CD matrix"),
        ({"CD1_1": -0.5, "CD2_2": 0.5, "PC1_1": 1.0}, "has a CD and a PC matrix"),
        (
            {
                "CTYPE1": "GLON-TAN-SIP",
                "CTYPE2": "GLAT-TAN-SIP",
                "A_ORDER": 2,
                "A_2_0": 1e-3,
                "B_ORDER": 2,
                "B_0_2": 1e-3,
            },
            "the WCS has SIP distortions",
        ),
        ({"BUNIT": "cm-2 s-1"}, "BUNIT of counts: unit 'cm-2 s-1'"),
    ],
)
def test_the_third_axis_and_the_unit_of_a_cube_agree_with_what_it_holds(tmp_path, cards, told):
    path = write_ccube(tmp_path / "c.fits", np.ones((6, 20, 20), "i4"), BIN_EDGES)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(cards)
    if told is None:
        read(path)
        return
    with pytest.raises(InputError, match=told):
        read(path)
