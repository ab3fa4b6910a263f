"""FT1 photon files: cuts, event types, energies, coverage, times."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord, angular_separation
from astropy.io import fits
from gammapy.data import EventList
from sky_samples import write_ft1

from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, MISSION_START_MET, YEAR_S
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.io.readers import read_sky

RNG = np.random.default_rng(0)
POS = ("POS(RA,DEC)", "CIRCLE(0,0,180)")


def points(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longitudes, latitudes and energies of random photons."""
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    return rng.uniform(0, 360, number), lat, 10 ** rng.uniform(2, 6, number)


def read(path, **options):
    return read_sky(path, rng=np.random.default_rng(1), **options)


def test_photons_fall_into_the_energy_bins_and_others_are_dropped(tmp_path):
    lon, lat, energy = points(4000)
    sky = read(write_ft1(tmp_path / "a.fits", lon, lat, energy))
    assert sky.totals.tolist() == np.histogram(energy, ENERGY_EDGES_MEV)[0].tolist()
    assert sky.event_type == "front"
    assert sky.livetime_years == pytest.approx(2.0)
    assert sky.coverage is None


def test_positions_are_right_from_equatorial_and_from_galactic_columns(tmp_path):
    lon, lat, energy = points(300)
    both = read(write_ft1(tmp_path / "a.fits", lon, lat, energy))
    galactic = read(write_ft1(tmp_path / "b.fits", lon, lat, energy, drop=("RA", "DEC")))
    for one, other in zip(both.bins, galactic.bins, strict=True):
        # columns of single precision may put a photon into the pixel beside
        assert len(np.intersect1d(one.pixels, other.pixels)) >= 0.97 * len(one.pixels)


def test_front_and_back_events_of_a_file_are_kept_apart_or_taken_as_told(tmp_path):
    lon, lat, energy = points(1000)
    path = write_ft1(tmp_path / "a.fits", lon, lat, energy, conversion=np.arange(1000) % 4 // 3)
    inside = np.sum((energy >= 300) & (np.arange(1000) % 4 < 3))
    sky = read(path)
    assert sky.event_type == "all"
    assert sky.totals.sum() == np.sum(energy >= 300)
    everything = read(path, event_type="all")
    assert everything.totals.tolist() == sky.totals.tolist()
    assert (everything.event_type, everything.layers) == ("all", ())
    for k, (name, number) in enumerate((("front", inside), ("back", sky.totals.sum() - inside))):
        assert sky.layers[k].event_type == name
        assert sky.layers[k].totals.sum() == number
        assert read(path, event_type=name).totals.tolist() == sky.layers[k].totals.tolist()


def test_event_type_bits_serve_where_there_is_no_conversion_type(tmp_path):
    lon, lat, energy = points(1000)
    kinds = np.where(np.arange(1000) % 2, 2 | 16, 1 | 32)  # BACK PSF2 and FRONT PSF3
    path = write_ft1(
        tmp_path / "a.fits", lon, lat, energy, drop=("CONVERSION_TYPE",), event_type=kinds
    )
    assert read(path, event_type="front").totals.sum() == np.sum(energy[::2] >= 300)
    assert read(path, event_type="back").totals.sum() == np.sum(energy[1::2] >= 300)


def test_cuts_on_energy_zenith_class_time_and_region_are_made(tmp_path):
    lon, lat, energy = points(5000)
    zenith = RNG.uniform(0, 120, 5000)
    event_class = RNG.choice([128, 128 | 256, 64], 5000)
    time = MISSION_START_MET + RNG.uniform(0, 2, 5000) * YEAR_S
    path = write_ft1(
        tmp_path / "a.fits", lon, lat, energy, zenith=zenith, event_class=event_class, time=time
    )
    base = energy >= 300
    cases = {
        "zmax_deg": (90.0, zenith < 90),
        "event_class": (256, event_class & 256 > 0),
        "energy_mev": ((1000.0, 7000.0), (energy >= 1000) & (energy < 7000)),
        "time_met": (
            (MISSION_START_MET, MISSION_START_MET + YEAR_S),
            time < MISSION_START_MET + YEAR_S,
        ),
    }
    for name, (value, passes) in cases.items():
        assert read(path, **{name: value}).totals.sum() == np.sum(base & passes), name
    angle = angular_separation(*(np.radians(v) for v in (lon, lat, 120.0, 40.0)))
    near = np.degrees(angle) < 30
    sky = read(path, region=(120.0, 40.0, 30.0))
    assert sky.totals.sum() == np.sum(base & near)
    assert np.array_equal(sky.coverage, circle_coverage(120.0, 40.0, 30.0))


def test_a_time_cut_shortens_the_live_time(tmp_path):
    path = write_ft1(tmp_path / "a.fits", *points(500))
    sky = read(path, time_met=(MISSION_START_MET, MISSION_START_MET + 0.5 * YEAR_S))
    assert sky.livetime_years == pytest.approx(0.5)


def test_an_energy_cut_marks_the_other_bins_absent(tmp_path):
    sky = read(write_ft1(tmp_path / "a.fits", *points(5000)), energy_mev=(1000.0, 1e6))
    assert sky.present.tolist() == [False, False, True, True, True, True]


def test_a_file_without_zenith_cut_loses_the_earth_limb_and_says_so(tmp_path):
    lon, lat, energy = points(2000)
    zenith = RNG.uniform(80, 120, 2000)
    dss = (POS, ("ENERGY", "100:1000000"))
    path = write_ft1(tmp_path / "a.fits", lon, lat, energy, zenith=zenith, dss=dss)
    kept = (energy >= 300) & (zenith < np.where(energy < 1000, 100, 105))
    with pytest.warns(UnekWarning, match="no zenith cut"):
        assert read(path).totals.sum() == kept.sum()


def test_energies_of_a_file_that_does_not_say_start_with_its_lowest_photon(tmp_path):
    lon, lat, energy = points(3000)
    energy = 1000.0 * (energy / 100.0) ** 0.5  # 1 GeV to 100 GeV
    path = write_ft1(tmp_path / "a.fits", lon, lat, energy, dss=(POS, ("ZENITH_ANGLE", "0:100")))
    assert read(path).present.tolist() == [False, False, True, True, True, True]


def test_the_circle_of_the_dss_keywords_is_the_coverage(tmp_path):
    centre = SkyCoord(120.0, 40.0, unit="deg", frame="galactic").icrs
    circle = ("POS(RA,DEC)", f"CIRCLE({centre.ra.deg},{centre.dec.deg},5)")
    lon, lat = RNG.normal(120, 1, 50), RNG.normal(40, 1, 50)
    dss = (circle, ("ENERGY", "100:1000000"), ("ZENITH_ANGLE", "0:100"))
    sky = read(write_ft1(tmp_path / "a.fits", lon, lat, np.full(50, 800.0), dss=dss))
    assert np.sum(sky.coverage ^ circle_coverage(120.0, 40.0, 5.0)) <= 4


def test_coverage_is_estimated_from_the_photons_where_no_keyword_says(tmp_path):
    angle, radius = RNG.uniform(0, 2 * np.pi, 4000), 6 * np.sqrt(RNG.uniform(0, 1, 4000))
    lon, lat = radius * np.cos(angle) % 360, radius * np.sin(angle)
    dss = (("ENERGY", "100:1000000"), ("ZENITH_ANGLE", "0:100"))
    sky = read(write_ft1(tmp_path / "a.fits", lon, lat, np.full(4000, 800.0), dss=dss))
    truth = circle_coverage(0.0, 0.0, 6.0)
    assert np.sum(sky.coverage ^ truth) < 0.05 * truth.sum()


def test_a_whole_sky_that_does_not_say_so_is_recognised(tmp_path):
    dss = (("ENERGY", "100:1000000"), ("ZENITH_ANGLE", "0:100"))
    assert read(write_ft1(tmp_path / "a.fits", *points(30_000), dss=dss)).coverage is None


@pytest.mark.parametrize("number", [1, 2])
def test_the_coverage_of_one_or_two_photons_is_a_small_circle_about_them(tmp_path, number):
    dss = (("ENERGY", "100:1000000"), ("ZENITH_ANGLE", "0:100"))
    place = np.full(number, 33.0)
    sky = read(write_ft1(tmp_path / "a.fits", place, place, np.full(number, 800.0), dss=dss))
    assert sky.coverage.sum() == pytest.approx(np.pi / 41253 * len(sky.coverage), rel=0.1)


def test_photons_far_apart_cover_the_cells_they_lie_in(tmp_path):
    dss = (("ENERGY", "100:1000000"), ("ZENITH_ANGLE", "0:100"))
    lon, lat = np.array([10.0, 190.0, 100.0]), np.array([0.0, 0.0, 50.0])
    sky = read(write_ft1(tmp_path / "a.fits", lon, lat, np.full(3, 800.0), dss=dss))
    assert sky.coverage.sum() == 3 * 4**5


def test_yearly_layers_hold_the_photons_of_their_year(tmp_path):
    lon, lat, energy = points(3000)
    years = RNG.uniform(1.5, 4.2, 3000)
    span = tuple(MISSION_START_MET + np.array([1.5, 4.2]) * YEAR_S)
    path = write_ft1(
        tmp_path / "a.fits", lon, lat, energy, time=MISSION_START_MET + years * YEAR_S, gti=span
    )
    sky = read(path, yearly=True)
    expected = np.histogram2d(years, energy, bins=([1, 2, 3, 4, 5], ENERGY_EDGES_MEV))[0]
    assert np.array_equal([layer.totals for layer in sky.years], expected)
    assert [layer.livetime_years for layer in sky.years] == pytest.approx([0.5, 1, 1, 0.2])
    assert [layer.mission_year for layer in sky.years] == [1, 2, 3, 4]
    assert read(path).years == ()
    assert [one.livetime_years for one in read(path, yearly=None).years] == [
        one.livetime_years for one in sky.years
    ]


def test_several_files_are_added_up_and_their_spans_joined(tmp_path):
    week = 7 * 86400.0
    paths = []
    for number, start in enumerate((0.0, 1.0, 5.0)):
        span = MISSION_START_MET + np.array([start, start + 1]) * week
        paths.append(write_ft1(tmp_path / f"w{number}.fits", *points(500, number), gti=span))
    seen = []

    def progress(items, *, total=None, label=""):
        seen.append((total, label))
        return items

    sky = read(paths, progress=progress)
    assert seen == [(3, "reading")]
    assert np.array_equal(sky.totals, sum(read(path).totals for path in paths))
    assert sky.livetime_years == pytest.approx(3 * week / YEAR_S)
    assert set(map(str, paths)) <= set(sky.origin)


def test_a_list_of_files_is_opened(tmp_path):
    write_ft1(tmp_path / "a.fits", *points(100, 1))
    write_ft1(tmp_path / "b.fits", *points(100, 2))
    names = tmp_path / "list.txt"
    names.write_text(f"# weeks\na.fits\n\n{tmp_path / 'b.fits'}  # the second\n")
    sky = read(f"@{names}")
    assert sky.totals.sum() == read([tmp_path / "a.fits", tmp_path / "b.fits"]).totals.sum()


def test_files_of_front_and_of_back_events_make_a_sky_of_all(tmp_path):
    front = (POS, ("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:90"))
    back = (POS, ("BIT_MASK(EVENT_TYPE,2,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:90"))
    one = write_ft1(tmp_path / "f.fits", *points(300, 1), dss=front)
    other = write_ft1(tmp_path / "b.fits", *points(300, 2), dss=back, conversion=np.ones(300))
    assert read([one, other]).event_type == "all"
    with pytest.raises(InputError, match="holds BACK events only, front were asked for"):
        read(other, event_type="front")


def test_photons_of_one_psf_type_are_one_image_of_which_front_may_be_taken(tmp_path):
    dss = (POS, ("BIT_MASK(EVENT_TYPE,16,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:90"))
    path = write_ft1(tmp_path / "a.fits", *points(300), dss=dss, conversion=np.arange(300) % 2,
                     event_type=np.full(300, 16) | 1 + np.arange(300) % 2)  # fmt: skip
    sky = read(path)
    assert (sky.event_type, sky.layers) == ("psf2", ())
    assert 0 < read(path, event_type="front").totals.sum() < sky.totals.sum()
    with pytest.raises(InputError, match="holds PSF2 events only, psf3 were asked for"):
        read(path, event_type="psf3")


def test_a_gzipped_file_is_read(tmp_path):
    path = write_ft1(tmp_path / "a.fits.gz", *points(200))
    plain = write_ft1(tmp_path / "a.fits", *points(200))
    assert np.array_equal(read(path).totals, read(plain).totals)


@pytest.mark.parametrize(
    ("column", "options"),
    [
        ("ENERGY", {}),
        ("TIME", {"yearly": True}),
        ("ZENITH_ANGLE", {"zmax_deg": 90.0}),
        ("EVENT_CLASS", {"event_class": 128}),
    ],
)
def test_a_missing_column_is_named(tmp_path, column, options):
    path = write_ft1(tmp_path / "a.fits", *points(20), drop=(column,))
    with pytest.raises(InputError, match=f"no column {column}"):
        read(path, **options)


def test_a_file_without_any_event_and_any_keyword_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no events are left"):
        read(write_ft1(tmp_path / "a.fits", *points(0), dss=(("ZENITH_ANGLE", "0:90"),)))


def test_event_classes_of_pass_7_are_integers(tmp_path):
    path = write_ft1(tmp_path / "a.fits", *points(40))
    with fits.open(path) as hdus:
        columns = [c for c in hdus["EVENTS"].columns if c.name != "EVENT_CLASS"]
        classes = fits.Column("EVENT_CLASS", "J", array=np.arange(40) % 2 * 4)
        table = fits.BinTableHDU.from_columns([*columns, classes], hdus["EVENTS"].header)
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "b.fits")
    energy = points(40)[2]
    sky = read(tmp_path / "b.fits", event_class=4)
    assert sky.totals.sum() == np.sum(energy[1::2] >= 300)


def test_event_types_cannot_be_selected_without_a_column(tmp_path):
    path = write_ft1(tmp_path / "a.fits", *points(20), drop=("CONVERSION_TYPE", "EVENT_TYPE"))
    with pytest.raises(InputError, match="CONVERSION_TYPE or EVENT_TYPE to select front"):
        read(path, event_type="front")
    sky = read(path)
    assert (sky.event_type, sky.layers) == ("all", ())


@pytest.mark.parametrize(
    "options",
    [{"energy_mev": (5e6, 6e6)}, {"time_met": (0.0, 1.0)}, {"event_type": "back"}],
)
def test_no_events_after_the_cuts_is_an_error(tmp_path, options):
    path = write_ft1(tmp_path / "a.fits", *points(200))
    with pytest.raises(InputError, match="no events are left after the cuts"):
        read(path, **options)


def test_no_events_in_the_bins_that_are_covered_is_an_error(tmp_path):
    lon, lat, _ = points(50)
    dss = (POS, ("ENERGY", "4000:1000000"), ("ZENITH_ANGLE", "0:90"))
    path = write_ft1(tmp_path / "a.fits", lon, lat, np.full(50, 5000.0), dss=dss)
    with (
        pytest.warns(UnekWarning, match="left out"),
        pytest.raises(InputError, match="no events are left"),
    ):
        read(path)


def test_a_file_without_any_event_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no events are left"):
        read(write_ft1(tmp_path / "a.fits", *points(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_type": "edisp3"}, "event type 'edisp3': expected one of .*'psf3'"),
        ({"zmax_deg": 0.0}, "expected degrees"),
        ({"energy_mev": (5.0, 5.0)}, "energy range 5 to 5 is empty"),
        ({"time_met": (7.0, 5.0)}, "time range 7 to 5 is empty"),
        ({"region": (0.0, 100.0, 1.0)}, "is no circle"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        read("a.fits", **options)


REAL = {
    "smc_ft1_p8r2_1GeV_r9.fits": (302.2, -44.4, 8.985),
    "j1120_ft1_p8r2_1GeV_r5.fits": (251.5, 60.7, 5.0),
    "j2310_ft1_p8r2_1GeV_r5.fits": (69.8, -57.8, 5.0),
    "crab_ft1_p8r2_10GeV.fits.gz": None,
    "fermi-3fhl-gc-events.fits.gz": None,
}


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
@pytest.mark.parametrize("name", REAL)
def test_real_photons_are_those_gammapy_reads(shared_data, name):
    path = shared_data / "real" / name
    with fits.open(path) as hdus:
        events = hdus["EVENTS"].data
        # the SMC file holds two photons twice, at the seam of two weeks
        ids = np.stack([events["RUN_ID"], events["EVENT_ID"]])
        first = np.unique(ids, axis=1, return_index=True)[1]
        front = events["CONVERSION_TYPE"][first] == 0
    energy = EventList.read(path, hdu="EVENTS").energy.to_value("MeV")[first]
    sky = read(path, event_type="front")
    everything = read(path)
    present = sky.present
    # a photon of exactly 1 TeV is not in the last bin here
    for photons, got in ((energy[front], sky), (energy, everything)):
        expected = np.histogram(photons[photons < 1e6], ENERGY_EDGES_MEV)[0]
        assert np.array_equal(got.totals[present], expected[present])
    if REAL[name] is not None:
        truth = circle_coverage(*REAL[name])
        assert np.sum(sky.coverage ^ truth) < 0.03 * truth.sum()
        assert present.tolist() == [False, False, True, True, True, True]


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
def test_the_front_photons_of_the_smc_field_are_as_many_as_the_manifest_says(shared_data):
    sky = read(shared_data / "real" / "smc_ft1_p8r2_1GeV_r9.fits", event_type="front", yearly=True)
    assert sky.totals.sum() == 28_959
    assert sky.livetime_years == pytest.approx(8.66, abs=0.03)  # gaps of days
    assert sum(layer.totals for layer in sky.years).tolist() == sky.totals.tolist()
