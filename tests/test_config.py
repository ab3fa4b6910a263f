"""Settings refuse what they do not know, in one line that helps."""

import pydoc
import re
from pathlib import Path

import astropy.units as u
import pytest
from astropy.coordinates import SkyCoord
from pydantic import ValidationError
from regions import CircleSkyRegion, RectangleSkyRegion

from fermi_unek import config
from fermi_unek.catalog.names import position_of
from fermi_unek.config import (
    AssociateConfig,
    BinConfig,
    CompareConfig,
    EvaluateConfig,
    FindConfig,
    InjectConfig,
    RefitConfig,
    SimulateConfig,
    TrainClassifierConfig,
    TrainConfig,
    build,
    load_yaml,
)
from fermi_unek.errors import ConfigError, InputError

ALL = (
    AssociateConfig,
    BinConfig,
    CompareConfig,
    EvaluateConfig,
    FindConfig,
    RefitConfig,
    SimulateConfig,
    TrainConfig,
    TrainClassifierConfig,
)
SHIPPED = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("model", ALL)
def test_every_setting_has_a_default_that_its_own_bounds_accept(model):
    assert model.model_validate(model().model_dump()) == model()


@pytest.mark.parametrize("model", [*ALL, InjectConfig])
def test_every_setting_is_described(model):
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_help_on_settings_is_about_the_settings():
    text = pydoc.plain(pydoc.render_doc(FindConfig))
    assert text.count("\n") < 100
    assert "threshold : default 0.2, > 0, < 1" in text
    assert "model_validate" not in text
    assert "threshold=0.2, centers='kmeans', region=None" in text


def test_a_misspelt_key_names_the_key_that_was_meant():
    with pytest.raises(ConfigError, match=r"here: unknown key 'treshold', did you mean 'thres"):
        build(FindConfig, {"treshold": 0.3}, "here")


def test_a_key_like_no_other_is_answered_with_all_that_are_known():
    with pytest.raises(ConfigError, match="expected one of: reference, radius"):
        build(CompareConfig, {"qqq": 1})


def test_the_misspelt_key_is_named_before_a_bad_value():
    with pytest.raises(ConfigError, match="unknown key 'center'"):
        build(FindConfig, {"threshold": 7, "center": "peaks"})


def test_what_an_injection_would_ignore_is_refused():
    for key in ("classify", "classifier", "yearly", "reference", "report"):
        with pytest.raises(ConfigError, match=f"unknown key {key!r}"):
            build(InjectConfig, {"flux": [1e-9], key: None})


def test_what_must_be_given_is_missed_by_name():
    with pytest.raises(ConfigError, match="flux is missing"):
        build(InjectConfig, {})


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (FindConfig, {"threshold": 1.0}, "threshold is 1.0: "),
        (FindConfig, {"threshold": "high"}, "threshold is 'high': "),
        (FindConfig, {"centers": "mean"}, "'kmeans' or 'peaks'"),
        (FindConfig, {"zmax": -1}, "zmax is -1: "),
        (FindConfig, {"evtype": "psf9"}, "'psf01' or 'psf23'"),
        (SimulateConfig, {"years": 0}, "years is 0: "),
        (SimulateConfig, {"seed": -1}, "seed is -1: "),
        (SimulateConfig, {"order": 13}, "order is 13: "),
        (SimulateConfig, {"order": "fine"}, "order is 'fine': "),
        (TrainConfig, {"batch": 0}, "batch is 0: "),
        (EvaluateConfig, {"radius": -0.3}, "radius is -0.3: "),
        (AssociateConfig, {"services": "vizier,mast"}, "'vizier', 'simbad' or 'ned'"),
        (AssociateConfig, {"services": 3}, "services is 3: "),
        (AssociateConfig, {"priors": ["agn"]}, "'agn' is not NAME=VALUE, as expected"),
    ],
)
def test_a_value_out_of_range_is_one_line_with_key_and_value(model, values, said):
    with pytest.raises(ConfigError) as caught:
        build(model, values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# regions ----------------------------------------------------------------------------------------

CENTER = SkyCoord(13.2, -72.8, unit="deg", frame="icrs")
FK5 = CENTER.transform_to("fk5")


@pytest.mark.parametrize(
    "given",
    [
        "icrs:13.2,-72.8,5",
        " ICRS: 13.2, -72.8, 5 ",
        "icrs:0h52m48s,-72d48m,5d",
        "icrs:00:52:48,-72:48:00,5",
        "icrs:13.2,-72.8,300m",
        f"fk5:{FK5.ra.deg},{FK5.dec.deg},5",
        f"gal:{CENTER.galactic.l.deg},{CENTER.galactic.b.deg},5",
        f"{CENTER.galactic.l.deg - 360},{CENTER.galactic.b.deg},5",
        (CENTER.galactic.l.deg, CENTER.galactic.b.deg, 5),
        [CENTER.galactic.l, CENTER.galactic.b.to("rad"), 300 * u.arcmin],
        (CENTER, 5.0),
        (CENTER.galactic, 300 * u.arcmin),
        CircleSkyRegion(FK5, 5 * u.deg),
    ],
    ids=str,
)
def test_a_circle_is_the_same_in_every_frame_and_form(given):
    lon, lat, radius = build(FindConfig, {"region": given}).region
    middle = SkyCoord(lon, lat, unit="deg", frame="galactic")
    assert middle.separation(CENTER).arcsec < 0.1
    assert radius == pytest.approx(5.0)
    assert 0 <= lon < 360


@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [
        ("SMC", 14.5, -72.75),
        ("smc-galaxy", 14.5, -72.75),
        ("4FGL J0534.5+2200", 83.633, 22.015),
        ("Crab", 83.633, 22.015),
        ("3c 273", 187.278, 2.052),
        ("3C273", 187.278, 2.052),
        ("LMC-Galaxy", 79.975, -68.75),
    ],
)
def test_a_source_is_known_by_its_name_without_a_network(name, ra, dec):
    expected = SkyCoord(ra, dec, unit="deg")
    assert position_of(name).separation(expected).deg < 0.1
    lon, lat, radius = build(FindConfig, {"region": f"{name},3"}).region
    assert SkyCoord(lon, lat, unit="deg", frame="galactic").separation(expected).deg < 0.1
    assert (lon, lat, radius) == build(FindConfig, {"region": (name, 3)}).region


def test_names_that_are_none_or_of_several_places_are_refused():
    with pytest.raises(InputError, match="no source or counterpart called 'SMX' in .*mean SMC"):
        position_of("SMX")
    with pytest.raises(InputError, match="'NGC' is the name of .* sources of .* in several places"):
        position_of("NGC")
    with pytest.raises(InputError, match="called ' '"):
        position_of(" ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("10,20", "has 2 parts, expected LON,LAT,RADIUS"),
        ("icrs:10,20", "has 2 parts, expected"),
        ("SMC", "has 1 part, expected"),
        ("10 20 5", "has 1 part, expected"),
        ("10,", "a part is missing"),
        ("", "a part is missing"),
        ("cel:10,20,5", "'cel' is no frame, expected one of gal, "),
        ("5S,5,5", "Longitude angle cannot be created from a Latitude"),
        ("SMC,far", "invalid character"),
        ("icrs:13.2,-172.8,5", "must be within -90 deg <= angle <= 90 deg"),
        ("10,95,3", "must be within -90 deg <= angle <= 90 deg"),
        ((10, 95, 3), "latitude 95 lies outside"),
        ("10,20,0", "radius 0 lies outside"),
        ("10,20,190", "radius 190 lies outside"),
        ("nan,20,5", "invalid character"),
        ((float("nan"), 20, 5), "expected finite numbers"),
        ((1, 2), "expected a SkyCoord and a radius"),
        (5, "should be a valid tuple"),
        (RectangleSkyRegion(CENTER, 1 * u.deg, 2 * u.deg), "should be a valid tuple"),
        ((10 * u.s, 20 * u.deg, 5), "not convertible"),
    ],
    ids=str,
)
def test_what_is_no_circle_is_refused_in_one_line(given, said):
    with pytest.raises(ConfigError) as caught:
        build(FindConfig, {"region": given})
    assert str(caught.value).startswith("region is ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_quantities_are_taken_in_their_own_unit():
    assert build(FindConfig, {"zmax": 90 * 60 * u.arcmin}).zmax == pytest.approx(90.0)
    assert build(SimulateConfig, {"years": 730.5 * u.day}).years == pytest.approx(2.0)
    with pytest.raises(ConfigError, match="zmax is .*not convertible"):
        build(FindConfig, {"zmax": 3 * u.s})


# files ------------------------------------------------------------------------------------------


def test_settings_cannot_be_changed_after_they_were_checked():
    with pytest.raises(ValidationError, match="frozen"):
        FindConfig().threshold = 2.0


def test_yaml_gives_what_it_says_and_defaults_for_the_rest(tmp_path):
    path = tmp_path / "sim.yaml"
    path.write_text("years: 4\nregion: [10, 20, 5]\n")
    got = load_yaml(path, SimulateConfig)
    assert (got.years, got.region, got.seed) == (4.0, (10.0, 20.0, 5.0), 0)


def test_an_empty_yaml_file_is_all_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    assert load_yaml(path, TrainConfig) == TrainConfig()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"years: [1, 2", "is no YAML"),
        (b"\xff\xfe\xfa", "is no YAML"),
        (b"seed: 1\nseed: 2\n", "is no YAML .key 'seed' is there twice"),
        (b"- 1\n- 2\n", "holds a list"),
        (b"year: 3\n", "unknown key 'year', did you mean 'years'"),
    ],
)
def test_a_yaml_file_that_cannot_serve_is_named(tmp_path, content, said):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_yaml(path, SimulateConfig)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_yaml_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml", SimulateConfig)


def test_shipped_yaml_files_are_accepted():
    kinds = {
        "train": TrainConfig,
        "train-classifier": TrainClassifierConfig,
        "simulate": SimulateConfig,
    }
    assert SHIPPED
    for path in SHIPPED:
        kind = kinds.get(path.stem) or kinds[re.split("-", path.stem)[0]]
        assert isinstance(load_yaml(path, kind), config.Config)
