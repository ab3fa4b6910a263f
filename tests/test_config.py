"""Settings refuse what they do not know, in one line that helps."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from fermi_unek import config
from fermi_unek.config import (
    AssociateConfig,
    BinConfig,
    CompareConfig,
    EvaluateConfig,
    FindConfig,
    RefitConfig,
    SimulateConfig,
    TrainClassifierConfig,
    TrainConfig,
    build,
    load_yaml,
)
from fermi_unek.errors import ConfigError

ALL = (
    AssociateConfig,
    BinConfig,
    CompareConfig,
    EvaluateConfig,
    FindConfig,
    RefitConfig,
    SimulateConfig,
    TrainConfig,
)
SHIPPED = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("model", ALL)
def test_every_setting_has_a_default_that_its_own_bounds_accept(model):
    assert model.model_validate(model().model_dump()) == model()


def test_a_misspelt_key_names_the_key_that_was_meant():
    with pytest.raises(ConfigError, match=r"here: unknown key 'treshold', did you mean 'thres"):
        build(FindConfig, {"treshold": 0.3}, "here")


def test_a_key_like_no_other_is_answered_with_all_that_are_known():
    with pytest.raises(ConfigError, match="expected one of: reference, radius"):
        build(CompareConfig, {"qqq": 1})


def test_the_misspelt_key_is_named_before_a_bad_value():
    with pytest.raises(ConfigError, match="unknown key 'center'"):
        build(FindConfig, {"threshold": 7, "center": "peaks"})


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (FindConfig, {"threshold": 1.0}, "threshold is 1.0: "),
        (FindConfig, {"threshold": "high"}, "threshold is 'high': "),
        (FindConfig, {"centers": "mean"}, "'kmeans' or 'peaks'"),
        (FindConfig, {"zmax": -1}, "zmax is -1: "),
        (FindConfig, {"evtype": "psf3"}, "'front', 'back' or 'all'"),
        (FindConfig, {"region": "10,20"}, "region is "),
        (FindConfig, {"region": "10,95,3"}, "latitude 95 lies outside"),
        (FindConfig, {"region": "10,20,0"}, "radius 0 lies outside"),
        (FindConfig, {"region": "nan,20,5"}, "region is 'nan'"),
        (SimulateConfig, {"years": 0}, "years is 0: "),
        (SimulateConfig, {"seed": -1}, "seed is -1: "),
        (SimulateConfig, {"order": 13}, "order is 13: "),
        (SimulateConfig, {"order": "fine"}, "order is 'fine': "),
        (TrainConfig, {"batch": 0}, "batch is 0: "),
        (EvaluateConfig, {"radius": -0.3}, "radius is -0.3: "),
    ],
)
def test_a_value_out_of_range_is_one_line_with_key_and_value(model, values, said):
    with pytest.raises(ConfigError) as caught:
        build(model, values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_region_is_read_from_the_command_line_form_and_wrapped_in_longitude():
    assert build(FindConfig, {"region": "-10, 20,5"}).region == (350.0, 20.0, 5.0)
    assert FindConfig(region=(370.0, -90.0, 180.0)).region == (10.0, -90.0, 180.0)


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
        kind = kinds.get(path.stem) or kinds[path.stem.split("-")[0]]
        assert isinstance(load_yaml(path, kind), config.Config)
