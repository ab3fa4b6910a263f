"""Photons of each event type kept apart: from files of photons, from cubes, and back from `bin`."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sky_samples import BIN_EDGES, sky_of, vectors_near, write_ccube, write_ft1

from fermi_unek.config import BinConfig
from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.pipeline.inputs import bin_to_file
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, MISSION_START_MET, N_BINS, YEAR_S
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.coverage import icrs_circles_coverage
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.skyfile import cut_region, load_sky, write_sky
from fermi_unek.sky.layers import layer_of, with_layers
from fermi_unek.sky.selection import EVENT_TYPES, LAYERS, Selection

NUMBER = 3000
FRONT, BACK = 1, 2
PSF = (4, 8, 16, 32)


def read(paths, **cuts) -> SkyCounts:
    return read_sky(paths, rng=np.random.default_rng(0), **cuts)


def photons(seed: int = 1) -> dict[str, np.ndarray]:
    """Photons of all types and of three years, within the energies of the bins."""
    rng = np.random.default_rng(seed)
    quartile = rng.integers(0, 4, NUMBER)
    conversion = rng.integers(0, 2, NUMBER)
    return {
        "lon": rng.uniform(0.0, 360.0, NUMBER),
        "lat": np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, NUMBER))),
        "energy_mev": np.exp(rng.uniform(np.log(301.0), np.log(9e5), NUMBER)),
        "conversion": conversion,
        "event_type": np.array(PSF)[quartile] | np.array([FRONT, BACK])[conversion],
        "time": np.sort(rng.uniform(0.0, 3.0 * YEAR_S, NUMBER)) + MISSION_START_MET,
    }


def all_sky(path: Path, **more) -> tuple[Path, dict[str, np.ndarray]]:
    """A file of photons of all types, and what is in it."""
    drawn = photons()
    span = (MISSION_START_MET, MISSION_START_MET + 3.0 * YEAR_S)
    columns = {name: drawn[name] for name in ("conversion", "event_type", "time")}
    write_ft1(path, drawn["lon"], drawn["lat"], drawn["energy_mev"], gti=span, **columns, **more)
    return path, drawn


def of_bins(drawn: dict[str, np.ndarray], here: np.ndarray) -> list[int]:
    return np.histogram(drawn["energy_mev"][here], ENERGY_EDGES_MEV)[0].tolist()


def as_dict(sky: SkyCounts, b: int) -> dict[int, int]:
    counts = sky.bins[b]
    return {} if counts is None else dict(zip(counts.pixels.tolist(), counts.counts, strict=True))


def assert_sum(total: SkyCounts, parts: tuple[SkyCounts, ...]) -> None:
    """Every pixel holds the photons of all parts, none lost and none doubled."""
    for b in range(N_BINS):
        expected: dict[int, int] = {}
        for part in parts:
            for pixel, number in as_dict(part, b).items():
                expected[pixel] = expected.get(pixel, 0) + number
        assert as_dict(total, b) == expected


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    return all_sky(tmp_path_factory.mktemp("both") / "photons.fits")


# --- photons


def test_a_file_of_front_and_back_is_read_as_two_layers_without_a_word(both):
    path, drawn = both
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnekWarning)
        sky = read(path)
    assert sky.event_type == "all"
    assert [layer.event_type for layer in sky.layers] == ["front", "back"]
    assert sky.totals.tolist() == of_bins(drawn, drawn["conversion"] >= 0)
    for conversion, layer in enumerate(sky.layers):
        assert layer.totals.tolist() == of_bins(drawn, drawn["conversion"] == conversion)
        assert not layer.layers
    assert_sum(sky, sky.layers)


def test_quartiles_of_the_psf_are_kept_apart_by_the_bits_of_event_type(both):
    path, drawn = both
    sky = read(path, event_type="psf")
    one = read(path, event_type="all")
    # "psf" is layers; the same photons as one image are "all"
    assert [layer.event_type for layer in sky.layers] == ["psf23", "psf01"]
    for layer, bits in zip(sky.layers, (16 | 32, 4 | 8), strict=True):
        assert layer.totals.tolist() == of_bins(drawn, (drawn["event_type"] & bits) > 0)
    assert_sum(sky, sky.layers)
    assert not one.layers
    assert_sum(one, sky.layers)


@pytest.mark.parametrize("name", sorted(set(EVENT_TYPES) - {"all", "psf"}))
def test_any_event_type_can_be_read_alone(both, name):
    path, drawn = both
    sky = read(path, event_type=name)
    assert sky.event_type == name
    assert not sky.layers
    assert sky.totals.tolist() == of_bins(drawn, (drawn["event_type"] & EVENT_TYPES[name]) > 0)
    assert sky.selection.event_type == EVENT_TYPES[name]


def test_where_there_is_no_conversion_type_the_bits_tell_front_from_back(both, tmp_path):
    path, _ = all_sky(tmp_path / "a.fits", drop=("CONVERSION_TYPE",))
    assert [layer.totals.tolist() for layer in read(path).layers] == [
        layer.totals.tolist() for layer in read(both[0]).layers
    ]


def test_without_the_bits_quartiles_of_the_psf_are_not_to_be_had(tmp_path):
    path, _ = all_sky(tmp_path / "a.fits", drop=("EVENT_TYPE",))
    assert len(read(path).layers) == 2
    with pytest.raises(InputError, match="no column CONVERSION_TYPE or EVENT_TYPE to select psf23"):
        read(path, event_type="psf")


def test_years_are_kept_in_each_layer_and_their_sum_beside_them(both):
    path, drawn = both
    sky = read(path, yearly=True)
    assert [year.mission_year for year in sky.years] == [0, 1, 2]
    assert_sum(sky, sky.years)
    number = np.floor((drawn["time"] - MISSION_START_MET) / YEAR_S)
    for k, layer in enumerate(sky.layers):
        assert_sum(layer, layer.years)
        for year in layer.years:
            here = (drawn["conversion"] == k) & (number == year.mission_year)
            assert year.totals.tolist() == of_bins(drawn, here)
    for year, *parts in zip(sky.years, *(layer.years for layer in sky.layers), strict=True):
        assert_sum(year, tuple(parts))
    assert sky.livetime_years == pytest.approx(3.0, rel=1e-3)


def test_a_year_in_which_one_layer_has_no_photon_is_that_of_the_other():
    front, back = (replace(sky_of(vectors_near(np.random.default_rng(1), 50, 10.0, 5.0, 1.0)),
                           event_type=name) for name in ("front", "back"))  # fmt: skip
    front = replace(front, years=(replace(front, mission_year=2), replace(front, mission_year=4)))
    back = replace(back, years=(replace(back, mission_year=4),))
    years = with_layers([back, front]).years
    assert [year.mission_year for year in years] == [2, 4]
    assert [year.totals[0] for year in years] == [50, 100]


def test_files_of_front_and_of_back_are_layers_of_one_sky(both, tmp_path):
    drawn = both[1]
    paths = []
    for k, name in enumerate(("front", "back")):
        here = drawn["conversion"] == k
        dss = (("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"), ("POS(RA,DEC)", "CIRCLE(0,0,180)"),
               (f"BIT_MASK(EVENT_TYPE,{k + 1},P8R3)", "1:1"), ("ENERGY", "100:1000000"),
               ("ZENITH_ANGLE", "0:100"))  # fmt: skip
        columns = {c: drawn[c][here] for c in ("conversion", "event_type", "time")}
        span = (MISSION_START_MET, MISSION_START_MET + 3.0 * YEAR_S)
        place = (drawn["lon"][here], drawn["lat"][here], drawn["energy_mev"][here])
        paths.append(write_ft1(tmp_path / f"{name}.fits", *place, dss=dss, gti=span, **columns))
    whole = read(both[0])
    for order in (paths, paths[::-1]):
        sky = read(order)
        assert [layer.event_type for layer in sky.layers] == ["front", "back"]
        for layer, other in zip((sky, *sky.layers), (whole, *whole.layers), strict=True):
            assert_sum(layer, (other,))
    alone = read(paths[1])
    assert (alone.event_type, alone.layers) == ("back", ())


# --- cubes


def cube(path: Path, bits: int | None, value: int, edges: np.ndarray = BIN_EDGES) -> Path:
    dss = () if bits is None else ((f"BIT_MASK(EVENT_TYPE,{bits},P8R3)", "1:1"),)
    return write_ccube(path, np.full((len(edges), 40, 40), value), edges, pixel_deg=0.1, dss=dss)


def cubes(folder: Path, **values: int) -> list[Path]:
    return [cube(folder / f"{n}.fits", EVENT_TYPES[n], value) for n, value in values.items()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"front": 2, "back": 3}, {"front": 2, "back": 3}),
        ({"back": 3, "front": 2}, {"front": 2, "back": 3}),
        # quartiles one by one are put together in pairs, which are the layers
        ({"psf0": 1, "psf1": 2, "psf2": 3, "psf3": 4}, {"psf23": 7, "psf01": 3}),
        ({"psf3": 4, "psf01": 5, "psf2": 3}, {"psf23": 7, "psf01": 5}),
        ({"psf23": 4, "psf01": 5}, {"psf23": 4, "psf01": 5}),
    ],
)
def test_cubes_of_different_event_types_are_layers(tmp_path, values, expected):
    sky = read(cubes(tmp_path, **values))
    pixels = 40 * 40
    found = {layer.event_type: layer.totals.tolist() for layer in sky.layers}
    assert found == {name: [n * pixels] * N_BINS for name, n in expected.items()}
    assert list(found) == list(expected)
    assert sky.totals.tolist() == [sum(values.values()) * pixels] * N_BINS
    assert sky.event_type == ("all" if "front" in values else "psf")
    assert_sum(sky, sky.layers)


def test_a_pair_of_psf2_and_psf3_alone_is_one_image(tmp_path):
    sky = read(cubes(tmp_path, psf2=3, psf3=4))
    assert (sky.event_type, sky.layers) == ("psf23", ())
    assert sky.totals.tolist() == [7 * 1600] * N_BINS
    assert sky.selection.event_type == 48


def test_one_quartile_alone_is_itself(tmp_path):
    sky = read(cubes(tmp_path, psf3=4))
    assert (sky.event_type, sky.layers) == ("psf3", ())


def test_quartiles_that_lack_their_partner_are_layers_under_their_own_names(tmp_path):
    sky = read(cubes(tmp_path, psf1=2, psf2=3, psf3=4))
    assert [layer.event_type for layer in sky.layers] == ["psf23", "psf1"]
    assert [layer.totals[0] for layer in sky.layers] == [7 * 1600, 2 * 1600]


@pytest.mark.parametrize("values", [{"front": 2, "psf3": 3}, {"front": 2, "all": 3}])
def test_event_types_that_do_not_exclude_each_other_are_refused(tmp_path, values):
    first, second = values
    with pytest.raises(InputError, match=f"{first} in .*front.fits, {second} in"):
        read(cubes(tmp_path, **values))


def layer(kind: str, place: float = 30.0, years: float = 2.0, **selection) -> SkyCounts:
    coverage = icrs_circles_coverage(((place, 10.0, 5.0),))
    one = bin_from_pixels(5, np.arange(3), coverage)
    cuts = Selection(event_type=EVENT_TYPES[kind], **selection)
    return SkyCounts((None,) * 5 + (one,), kind, years, selection=cuts)


@pytest.mark.parametrize(
    ("back", "told"),
    [
        (layer("back", years=4.0), "are of years 2 and 4; expected the same photons"),
        (layer("back", place=32.0), "have [67].% of the sky that they cover in common"),
        (layer("back", event_class=256), "are of event class 128 and 256"),
    ],
)
def test_layers_of_other_times_fields_or_classes_are_told(back, told):
    with pytest.warns(UnekWarning, match=f"FRONT and BACK photons {told}"):
        with_layers([layer("front", event_class=128), back])


def test_layers_of_different_fields_are_refused():
    with pytest.raises(InputError, match="FRONT and BACK photons are of different fields"):
        with_layers([layer("front"), layer("back", place=90.0)])


def test_a_layer_may_lack_the_lowest_energies(tmp_path):
    low = cube(tmp_path / "front.fits", FRONT, 2)
    high = cube(tmp_path / "back.fits", BACK, 3, BIN_EDGES[2:])
    sky = read([high, low])
    front, back = sky.layers
    assert front.present.all()
    assert back.present.tolist() == [False, False, True, True, True, True]
    assert sky.totals.tolist() == [3200, 3200, 8000, 8000, 8000, 8000]


@pytest.mark.parametrize(
    ("kind", "asked"), [(FRONT, "back"), (FRONT | BACK, "front"), (16, "psf3"), (48, "psf3")]
)
def test_what_a_cube_does_not_hold_apart_cannot_be_asked_of_it(tmp_path, kind, asked):
    with pytest.raises(InputError, match=f"{asked} cannot be selected from a cube"):
        read(cube(tmp_path / "a.fits", kind, 1), event_type=asked)


@pytest.mark.parametrize(("asked", "bits"), [("fb", FRONT), ("psf", 48), ("psf23", 16), ("all", 1)])
def test_a_cube_that_holds_a_part_of_what_is_asked_for_is_read(tmp_path, asked, bits):
    sky = read(cube(tmp_path / "a.fits", bits, 1), event_type=asked)
    assert EVENT_TYPES[sky.event_type] == bits


# --- files of `bin`


def test_layers_and_their_years_survive_a_file_of_bin(both, tmp_path):
    sky = bin_to_file(both[0], tmp_path / "sky.fits", BinConfig())
    loaded = load_sky(tmp_path / "sky.fits")
    assert [layer.event_type for layer in loaded.layers] == ["front", "back"]
    for one, other in zip((sky, *sky.layers), (loaded, *loaded.layers), strict=True):
        assert_sum(other, (one,))
        assert len(other.years) == len(one.years) == 3
        assert other.livetime_years == pytest.approx(one.livetime_years)
        assert repr(other.selection) == repr(one.selection)  # NaN is in it
        assert other.event_type == one.event_type
        for year, same in zip(one.years, other.years, strict=True):
            assert_sum(same, (year,))
            assert year.mission_year == same.mission_year


def test_of_a_binned_sky_one_layer_may_be_searched_and_no_other(both, tmp_path):
    sky = read(both[0])
    path = write_sky(sky, tmp_path / "sky.fits")
    for k, name in enumerate(("front", "back")):
        alone = read(path, event_type=name)
        assert (alone.event_type, alone.layers) == (name, ())
        assert_sum(alone, (sky.layers[k],))
    assert len(read(path, event_type="fb").layers) == len(read(path).layers) == 2
    for name in ("psf3", "psf"):
        with pytest.raises(InputError, match=f"{name} cannot be selected from a binned sky"):
            read(path, event_type=name)


def test_a_region_is_cut_out_of_every_layer(both):
    sky = read(both[0], yearly=True)
    circle = (120.0, 30.0, 25.0)
    cut = cut_region(sky, circle)
    assert 0 < cut.totals.sum() < 0.2 * sky.totals.sum()
    assert_sum(cut, cut.layers)
    assert_sum(cut, cut.years)
    direct = read(both[0], region=circle)
    for layer, other in zip(cut.layers, direct.layers, strict=True):
        np.testing.assert_allclose(layer.totals, other.totals, atol=3)


# --- names


def test_every_event_type_has_a_layer_but_what_holds_several():
    expected = {"front": "front", "back": "back", "all": "", "psf": ""}
    expected |= dict.fromkeys(("psf0", "psf1", "psf01"), "psf01")
    expected |= dict.fromkeys(("psf2", "psf3", "psf23"), "psf23")
    assert {name: layer_of(name) for name in EVENT_TYPES} == expected


def test_layers_hold_each_event_once():
    for pair, whole in zip(LAYERS.values(), ("all", "psf"), strict=True):
        one, other = (EVENT_TYPES[name] for name in pair)
        assert one & other == 0
        assert one | other == EVENT_TYPES[whole]


@pytest.mark.parametrize(
    ("bits", "kind"),
    [(1, "front"), (2, "back"), (3, "all"), (4, "psf0"), (48, "psf23"), (12, "psf01"),
     (60, "psf"), (20, "all"), (1 | 32, "front"), (0, None), (None, None)],
)  # fmt: skip
def test_a_selection_names_what_it_holds(bits, kind):
    assert Selection(event_type=bits).kind == kind


def test_one_layer_is_the_sky_itself():
    sky = sky_of(vectors_near(np.random.default_rng(1), 50, 10.0, 5.0, 1.0))
    assert with_layers([sky]) is sky
