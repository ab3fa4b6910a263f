"""Templates that are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fermi_unek.diffuse import cache
from fermi_unek.diffuse.cache import cache_folder, cached_template
from fermi_unek.diffuse.template import DiffuseShape, SkyTemplate
from fermi_unek.irf.observation import Observation, shipped_observation
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.selection import EVENT_TYPES

FRONT = shipped_observation("front")


def shape(level: float = 1.0, isotropic: float = 0.5) -> DiffuseShape:
    galactic = tuple(
        np.linspace(level, 3.0, 12 * nside**2, dtype=np.float32)
        for nside in BINNING.template_nsides
    )
    return DiffuseShape(galactic, dict.fromkeys(EVENT_TYPES, (isotropic,) * N_BINS), True)


@pytest.fixture
def made(tmp_path, monkeypatch) -> list[Observation]:
    """What templates were made for, in a cache of its own; making takes no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls: list[Observation] = []

    def make(shape: DiffuseShape, observation: Observation) -> SkyTemplate:
        calls.append(observation)
        return SkyTemplate(tuple(plane.astype(np.float16) for plane in shape.galactic))

    monkeypatch.setattr(cache, "expected_template", make)
    forget()
    yield calls
    forget()


def forget() -> None:
    """As if another process asked."""
    cache._memory.clear()
    cache_folder.cache_clear()


def files() -> list[Path]:
    return sorted(cache_folder().glob("*"))


def assert_same(one: SkyTemplate, other: SkyTemplate) -> None:
    assert one.binning == other.binning
    for plane, same in zip(one.maps, other.maps, strict=True):
        np.testing.assert_array_equal(plane, same)
        assert plane.dtype == same.dtype


def test_a_template_is_made_once_and_read_by_the_next_run(made, tmp_path):
    first = cached_template(shape(), FRONT)
    assert cached_template(shape(), FRONT) is first
    forget()
    assert_same(cached_template(shape(), FRONT), first)
    assert len(made) == 1
    (file,) = files()
    assert file.parent == tmp_path / "cache" / "fermi_unek"


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        (shape(1.5), FRONT),
        (shape(isotropic=0.6), FRONT),
        (shape(), shipped_observation("back")),
        (shape(), shipped_observation("front", (0.1,) * N_BINS)),
    ],
    ids=["map", "isotropic", "type", "pixels"],
)
def test_another_shape_or_observation_has_a_template_of_its_own(made, other, seen):
    cached_template(shape(), FRONT)
    cached_template(other, seen)
    assert len(made) == len(files()) == 2


@pytest.mark.parametrize("left", [0, 100, -2000])
def test_a_damaged_file_is_made_anew(made, left):
    whole = cached_template(shape(), FRONT)
    (file,) = files()
    content = file.read_bytes()
    file.write_bytes(content[:left])
    forget()
    assert_same(cached_template(shape(), FRONT), whole)
    assert len(made) == 2
    forget()
    assert_same(cached_template(shape(), FRONT), whole)
    assert len(made) == 2


def test_a_file_of_other_maps_is_made_anew(made):
    whole = cached_template(shape(), FRONT)
    (file,) = files()
    with file.open("wb") as opened:
        np.savez(opened, bin0=np.ones(12))
    forget()
    assert_same(cached_template(shape(), FRONT), whole)
    assert len(made) == 2


def test_a_folder_that_cannot_be_written_is_done_without(made, tmp_path, monkeypatch):
    # a file where the folder should be: not even root can write there
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    forget()
    first = cached_template(shape(), FRONT)
    assert cached_template(shape(), FRONT) is first
    forget()
    assert_same(cached_template(shape(), FRONT), first)
    assert len(made) == 2


def test_without_the_variable_the_folder_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    forget()
    assert cache_folder() == tmp_path / ".cache" / "fermi_unek"
    forget()


def test_tests_keep_nothing_in_the_home():
    forget()
    assert Path.home() not in cache_folder().parents
    assert os.environ["XDG_CACHE_HOME"] in str(cache_folder())
