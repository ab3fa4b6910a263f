"""Training sets: where their patches lie, what they hold, and how they are read back."""

from __future__ import annotations

import numpy as np
import pytest
from simulate_samples import put_in_place_of_any_sky, small_model

from fermi_unek.config import SimulateConfig
from fermi_unek.errors import InputError
from fermi_unek.simulate import command
from fermi_unek.simulate.command import simulate_to_dir
from fermi_unek.simulate.patchset import COUNTS, PatchSet, random_frames
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS
from fermi_unek.sky.geometry.coverage import inside_circle
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

REGION = (21.0, 0.0, 3.0)


@pytest.fixture
def patches(monkeypatch, tmp_path):
    put_in_place_of_any_sky(monkeypatch, small_model())
    config = SimulateConfig(
        format="patches", patches=6, years=2.5, region=REGION, background="own", seed=2
    )
    files = simulate_to_dir(config, tmp_path / "set")
    assert [path.name for path in files[:-1]] == sorted(command.output_names(config)[:-1])
    return tmp_path / "set"


def test_a_set_has_all_years_of_each_patch_and_its_sources(patches):
    found = PatchSet(patches)
    assert len(found) == 6
    assert [one.shape for one in found.counts] == [(6, 3, n, n) for n in NATIVE_PIXELS]
    model = small_model()
    for index in range(len(found)):
        assert inside_circle(found.frames[index].axes[2:], (*REGION[:2], 3.001)).all()
        located = found.sources(index)
        # the three sources in the middle are never further than seven degrees from a centre
        assert len(located.rows) >= 2
        bright = np.flatnonzero(found.truth["Flux1000"][located.rows] > 9e-7)
        at = [int(round(float(axis[bright[0]]))) for axis in (located.y, located.x)]
        hard = np.asarray(found.counts[4][index]).sum(axis=0)
        window = hard[max(at[0] - 3, 0) : at[0] + 4, max(at[1] - 3, 0) : at[1] + 4]
        expected = 2.5 * model.expected_counts[0, 4]
        assert window.sum() > 0.7 * expected
        assert window.sum() > 0.8 * hard.sum()
    assert found.truth["Flux_Factor"].shape == (len(found.truth), 3)


def test_half_a_year_is_half_of_a_year_in_constant_light(monkeypatch, tmp_path):
    put_in_place_of_any_sky(monkeypatch, small_model())
    config = SimulateConfig(
        format="patches", patches=3, years=2.5, region=REGION, background="own", variable=False
    )
    simulate_to_dir(config, tmp_path / "set")
    found = PatchSet(tmp_path / "set")
    years = np.asarray(found.counts[0]).sum(axis=(0, 2, 3))
    assert years[2] / years[:2].mean() == pytest.approx(0.5, rel=0.05)
    assert "Flux_Factor" not in found.truth.colnames


def test_centres_and_turns_are_even_over_the_sky_or_the_region():
    rng = np.random.default_rng(0)
    frames = random_frames(4000, rng)
    vectors = np.array([one.axes[2] for one in frames])
    assert np.all(np.abs(vectors.mean(axis=0)) < 4 / np.sqrt(3 * 4000))
    turns = np.histogram([one.rotation_deg for one in frames], np.linspace(0, 360, 9))[0]
    assert np.all(np.abs(turns - 500) < 5 * np.sqrt(500))
    inside = np.array([one.axes[2] for one in random_frames(4000, rng, (120.0, -70.0, 20.0))])
    centre = lonlat_to_vectors(np.array(120.0), np.array(-70.0))
    cosine = inside @ centre
    assert cosine.min() > np.cos(np.radians(20.001))
    # even in the cosine
    low = np.cos(np.radians(20.0))
    assert np.mean((cosine - low) / (1.0 - low)) == pytest.approx(0.5, abs=0.02)


def test_a_folder_that_is_no_set_is_told(patches):
    (patches / COUNTS[3]).unlink()
    with pytest.raises(InputError, match="has no counts_bin3.npy, expected a set"):
        PatchSet(patches)
    assert len(COUNTS) == N_BINS
