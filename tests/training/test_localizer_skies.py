"""Shards of training patches and the truth behind them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from training_samples import RECIPE, random_sky, sky_of

from fermi_unek.diffuse.named import DiffuseModel
from fermi_unek.simulate.photons import render_patch
from fermi_unek.simulate.skymodel import SkyModel
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.training.localizer import skies
from fermi_unek.training.localizer.skies import (
    DATASET_YEARS,
    SkyPatches,
    SkyRecipe,
    default_recipes,
    make_patches,
    make_sky_model,
    random_frames,
    truth_in,
)


@pytest.fixture(scope="module")
def model() -> SkyModel:
    return random_sky()


@pytest.fixture
def quick(model: SkyModel, monkeypatch: pytest.MonkeyPatch) -> SkyModel:
    """The skies of recipes are replaced by one that needs no seconds to build."""
    monkeypatch.setattr(skies, "make_sky_model", lambda recipe, data_dir: model)
    return model


def test_a_sky_holds_the_patches_and_the_sources_in_them(quick, tmp_path):
    patches = SkyPatches(make_patches(RECIPE, tmp_path, None))
    assert len(patches) == RECIPE.n_patches
    assert patches.recipe == RECIPE
    for b, n_pixels in enumerate(NATIVE_PIXELS):
        assert patches.counts[b].shape == (RECIPE.n_patches, n_pixels, n_pixels)
        assert patches.counts[b].sum() > 0
    assert sum(len(patches.truth(i).x) for i in range(len(patches))) > 20


def test_a_sky_says_where_its_patches_lie(quick, tmp_path):
    patches = SkyPatches(make_patches(RECIPE, tmp_path, None))
    for index in range(len(patches)):
        frame, truth = patches.frame(index), patches.truth(index)
        told = truth_in(quick, frame)
        np.testing.assert_allclose(truth.x, told.x, atol=1e-4)
        np.testing.assert_allclose(truth.y, told.y, atol=1e-4)


def test_patches_and_truth_of_a_sky_belong_together(quick, tmp_path):
    patches = SkyPatches(make_patches(RECIPE, tmp_path, None))
    for index in range(len(patches)):
        truth = patches.truth(index)
        ts = truth.ts_per_year.sum(axis=1) * DATASET_YEARS
        inside = (np.abs(truth.x - 63.5) < 58) & (np.abs(truth.y - 63.5) < 58) & (ts > 2000.0)
        counts = patches.counts[4][index].astype(float)
        for x, y in zip(truth.x[inside], truth.y[inside], strict=True):
            rows, columns = (slice(int(c) - 1, int(c) + 3) for c in (y, x))
            assert counts[rows, columns].mean() > 5.0 * counts.mean()


def test_the_same_recipe_gives_the_same_patches(quick, tmp_path):
    one, two = (make_patches(RECIPE, tmp_path / name, None) for name in ("one", "two"))
    for name in ("counts3.npy", "truth.npz"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_patches_that_are_there_are_not_made_again(quick, tmp_path):
    path = make_patches(RECIPE, tmp_path, None)
    (path / "recipe.json").touch()
    changed = (path / "recipe.json").stat().st_mtime_ns
    assert make_patches(RECIPE, tmp_path, None) == path
    assert (path / "recipe.json").stat().st_mtime_ns == changed


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(SkyRecipe)])
def test_a_sky_made_with_anything_else_has_another_name(field):
    value = getattr(RECIPE, field)
    other = {"background": "v07", "event_type": "all", "extended": True}.get(field)
    changed = dataclasses.replace(RECIPE, **{field: value + 1 if other is None else other})
    assert changed.name != RECIPE.name


def test_patches_that_were_not_finished_are_made_anew(quick, tmp_path):
    half = tmp_path / f"{RECIPE.name}.part"
    half.mkdir()
    (half / "counts0.npy").write_text("half")
    assert SkyPatches(make_patches(RECIPE, tmp_path, None)).recipe == RECIPE
    assert [path.name for path in tmp_path.iterdir()] == [RECIPE.name]


def test_a_sky_that_fails_leaves_none_under_its_name(tmp_path, monkeypatch):
    def fail(recipe, data_dir):
        raise RuntimeError("killed")

    monkeypatch.setattr(skies, "make_sky_model", fail)
    with pytest.raises(RuntimeError, match="killed"):
        make_patches(RECIPE, tmp_path, None)
    assert not (tmp_path / RECIPE.name).exists()


def test_recipes_take_backgrounds_in_turn_and_every_fourth_sky_is_front_and_back():
    recipes = default_recipes(8, 5, 100, ["v07", "own", "model_O"])
    assert [r.seed for r in recipes] == list(range(100, 108))
    assert [r.background for r in recipes[:4]] == ["v07", "own-101", "model_O", "v07"]
    assert [r.event_type for r in recipes] == (["front"] * 3 + ["all"]) * 2
    assert len({recipe.name for recipe in recipes}) == 8
    assert {r.n_patches for r in recipes} == {5}


def test_how_far_a_sky_departs_from_its_diffuse_model_is_said_by_its_recipe(monkeypatch):
    structures = []

    def heard(diffuse: DiffuseModel, rng: np.random.Generator, structure_sigma: float) -> None:
        structures.append(structure_sigma)
        raise RuntimeError("enough")

    monkeypatch.setattr(skies, "vary", heard)
    for recipe in (*default_recipes(1, 5, 100, ["own"], structure=0.03), RECIPE):
        with pytest.raises(RuntimeError, match="enough"):
            make_sky_model(recipe, None)
    assert structures == [0.03, 0.1]


@pytest.mark.parametrize(
    "frame",
    [
        PatchFrame(0.0, 0.0),
        PatchFrame(359.9, 40.0, 77.0),
        PatchFrame(10.0, 90.0, 200.0),
        PatchFrame(200.0, -86.0, 310.0),
    ],
)
def test_truth_lies_where_the_frame_puts_the_sources(model, frame):
    truth = truth_in(model, frame)
    x, y = frame.wcs(OUTPUT_PIXELS).wcs_world2pix(
        np.asarray(model.sources["GLON"]), np.asarray(model.sources["GLAT"]), 0
    )
    # astropy projects the far side as well
    front = model.vectors @ frame.axes[2] > 0.5
    near = front & (x > -6) & (x < 134) & (y > -6) & (y < 134)
    near &= model.ideal_ts.sum(axis=1) * DATASET_YEARS > 1.0
    np.testing.assert_allclose(truth.x, x[near], atol=2e-3)
    np.testing.assert_allclose(truth.y, y[near], atol=2e-3)
    np.testing.assert_allclose(truth.ts_per_year, model.ideal_ts[near], rtol=1e-5)
    assert truth.x.dtype == truth.ts_per_year.dtype == np.float32


def test_the_photons_of_a_patch_fall_where_its_truth_says(model):
    frame = PatchFrame(123.0, 55.0, 130.0)
    place = frame.unproject(np.array([30.25]), np.array([90.0]), OUTPUT_PIXELS)
    sky = sky_of(place, np.array([5e6]))
    truth = truth_in(sky, frame)
    counts = render_patch(sky, frame, 1.0, np.random.default_rng(0)).counts[5]
    rows, columns = np.mgrid[:128, :128]
    near = np.hypot(columns - truth.x[0], rows - truth.y[0]) < 8.0
    weight = counts[near] / counts[near].sum()
    assert (columns[near] * weight).sum() == pytest.approx(30.25, abs=0.1)
    assert (rows[near] * weight).sum() == pytest.approx(90.0, abs=0.1)


def test_a_sky_without_sources_in_reach_has_an_empty_truth():
    sky = sky_of(lonlat_to_vectors(np.array([0.0]), np.array([0.0])), np.array([100.0]))
    truth = truth_in(sky, PatchFrame(180.0, 0.0))
    assert len(truth.x) == len(truth.y) == 0
    assert truth.ts_per_year.shape == (0, N_BINS)


def test_patches_lie_all_over_the_sky_with_some_more_near_the_plane():
    frames = list(random_frames(4000, np.random.default_rng(0)))
    lat = np.array([f.lat_deg for f in frames])
    assert np.mean(np.abs(lat) < 15.0) == pytest.approx(0.85 * 0.2588 + 0.15, abs=0.02)
    assert np.mean(lat > 0) == pytest.approx(0.5, abs=0.03)
    assert np.std([f.rotation_deg for f in frames]) == pytest.approx(360 / 12**0.5, rel=0.05)


@pytest.mark.slow
def test_a_recipe_makes_a_new_sky_of_its_seed_background_and_event_type():
    recipe = SkyRecipe(11, "own-11", "all", 1)
    sky = make_sky_model(recipe, None)
    assert sky.event_type == "all"
    assert len(sky.responses) == 2
    assert len(sky.sources) > 5000
    ts = sky.ideal_ts.sum(axis=1) * 10.0
    # about as many as a ten-year catalog lists
    assert 3000 < np.sum(ts > 25.0) < 9000
