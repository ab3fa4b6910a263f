"""Shards of training patches and the truth behind them."""

from __future__ import annotations

import dataclasses

import healpy as hp
import numpy as np
import pytest
from training_samples import RECIPE, random_layers, sky_of

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
    extended_pixels,
    make_patches,
    make_sky_models,
    random_frames,
    truth_in,
)


@pytest.fixture(scope="module")
def models() -> list[SkyModel]:
    return random_layers()


@pytest.fixture
def quick(models: list[SkyModel], monkeypatch: pytest.MonkeyPatch) -> list[SkyModel]:
    """The skies of recipes are replaced by one that needs no seconds to build."""
    monkeypatch.setattr(skies, "make_sky_models", lambda recipe, data_dir: models)
    return models


def test_a_sky_holds_the_patches_and_the_sources_in_them(quick, tmp_path):
    patches = SkyPatches(make_patches(RECIPE, tmp_path, None))
    assert len(patches) == RECIPE.n_patches
    assert patches.recipe == RECIPE
    assert patches.event_types == ("front", "back")
    for layer in patches.counts:
        for b, n_pixels in enumerate(NATIVE_PIXELS):
            assert layer[b].shape == (RECIPE.n_patches, n_pixels, n_pixels)
            assert layer[b].sum() > 0
    # a draw of its own for each layer
    assert not np.array_equal(patches.counts[0][3], patches.counts[1][3])
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
        ts = truth.ts_per_year.sum(axis=(1, 2)) * DATASET_YEARS
        inside = (np.abs(truth.x - 63.5) < 58) & (np.abs(truth.y - 63.5) < 58) & (ts > 2000.0)
        counts = patches.counts[0][4][index].astype(float)
        for x, y in zip(truth.x[inside], truth.y[inside], strict=True):
            rows, columns = (slice(int(c) - 1, int(c) + 3) for c in (y, x))
            assert counts[rows, columns].mean() > 5.0 * counts.mean()


def test_the_same_recipe_gives_the_same_patches(quick, tmp_path):
    one, two = (make_patches(RECIPE, tmp_path / name, None) for name in ("one", "two"))
    for name in ("front3.npy", "back5.npy", "extended.npy", "truth.npz"):
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
    other = {"background": "v07", "kept_apart": "psf", "extended": True, "coarse": 1}.get(field)
    changed = dataclasses.replace(RECIPE, **{field: value + 1 if other is None else other})
    assert changed.name != RECIPE.name


def test_patches_that_were_not_finished_are_made_anew(quick, tmp_path):
    half = tmp_path / f"{RECIPE.name}.part"
    half.mkdir()
    (half / "front0.npy").write_text("half")
    assert SkyPatches(make_patches(RECIPE, tmp_path, None)).recipe == RECIPE
    assert [path.name for path in tmp_path.iterdir()] == [RECIPE.name]


def test_a_sky_that_fails_leaves_none_under_its_name(tmp_path, monkeypatch):
    def fail(recipe, data_dir):
        raise RuntimeError("killed")

    monkeypatch.setattr(skies, "make_sky_models", fail)
    with pytest.raises(RuntimeError, match="killed"):
        make_patches(RECIPE, tmp_path, None)
    assert not (tmp_path / RECIPE.name).exists()


def test_backgrounds_take_turns_and_every_third_sky_is_of_the_quartiles_of_the_psf():
    recipes = default_recipes(12, 5, 100, ["v07", "own", "model_O"])
    assert [r.seed for r in recipes] == list(range(100, 112))
    assert [r.background for r in recipes[:4]] == ["v07", "own-101", "model_O", "v07"]
    assert [r.kept_apart for r in recipes] == ["fb", "fb", "psf"] * 4
    assert [r.extended for r in recipes] == [True, False] * 6
    assert [r.coarse for r in recipes if r.coarse is not None] == [0, 1, 0]
    assert len({recipe.name for recipe in recipes}) == 12
    assert {r.n_patches for r in recipes} == {5}
    # every kind of layers is seen with and without extended sources
    assert len({(r.kept_apart, r.extended) for r in recipes}) == 4


def test_recipes_of_coarse_counts_tell_the_pixels_they_were_counted_in(quick, tmp_path):
    assert RECIPE.orders is None
    coarse = dataclasses.replace(RECIPE, coarse=1)
    fine, blurred = (SkyPatches(make_patches(r, tmp_path, None)) for r in (RECIPE, coarse))
    assert coarse.orders == (9,) * N_BINS
    # a photon given a random place in 0.11 degrees leaves the brightest pixel
    assert fine.counts[0][5].max() > 1.3 * blurred.counts[0][5].max()


def test_extended_sources_are_marked_where_they_outshine_the_rest(models):
    front = models[0]
    nside = hp.npix2nside(front.background.shape[1])
    disc = hp.query_disc(
        nside, lonlat_to_vectors(np.array(50.0), np.array(-20.0)), np.radians(1.5), nest=True
    )
    frame = PatchFrame(51.0, -20.5, 40.0)
    distance = np.degrees(np.arccos(np.clip(
        frame.pixel_vectors(64) @ lonlat_to_vectors(np.array(50.0), np.array(-20.0)), -1.0, 1.0
    )))  # fmt: skip
    for share, marked in ((0.25, False), (0.35, True)):
        extended = np.zeros_like(front.background)
        extended[:, disc] = share * front.background[:, disc]
        sky = dataclasses.replace(front, background=front.background + extended, extended=extended)
        (lit,) = extended_pixels(sky, [frame])
        assert lit[distance < 1.3].all() == lit.any() == marked
        assert not lit[distance > 1.8].any()
    assert not extended_pixels(front, [frame]).any()


def test_how_far_a_sky_departs_from_its_diffuse_model_is_said_by_its_recipe(monkeypatch):
    structures = []

    def heard(diffuse: DiffuseModel, rng: np.random.Generator, structure_sigma: float) -> None:
        structures.append(structure_sigma)
        raise RuntimeError("enough")

    monkeypatch.setattr(skies, "vary", heard)
    for slow in ("by_name", "resampled_population"):
        monkeypatch.setattr(skies, slow, lambda *told: None)
    for recipe in (*default_recipes(4, 5, 100, ["own"], structure=0.03), RECIPE):
        with pytest.raises(RuntimeError, match="enough"):
            make_sky_models(recipe, None)
    assert structures == pytest.approx([0.01, 0.01, 0.03, 0.03, 0.1])


@pytest.mark.parametrize(
    "frame",
    [
        PatchFrame(0.0, 0.0),
        PatchFrame(359.9, 40.0, 77.0),
        PatchFrame(10.0, 90.0, 200.0),
        PatchFrame(200.0, -86.0, 310.0),
    ],
)
def test_truth_lies_where_the_frame_puts_the_sources(models, frame):
    truth, model = truth_in(models, frame), models[0]
    x, y = frame.wcs(OUTPUT_PIXELS).wcs_world2pix(
        np.asarray(model.sources["GLON"]), np.asarray(model.sources["GLAT"]), 0
    )
    # astropy projects the far side as well
    front = model.vectors @ frame.axes[2] > 0.5
    near = front & (x > -6) & (x < 134) & (y > -6) & (y < 134)
    ts = np.stack([layer.ideal_ts for layer in models], axis=1)
    near &= ts.sum(axis=(1, 2)) * DATASET_YEARS > 1.0
    np.testing.assert_allclose(truth.x, x[near], atol=2e-3)
    np.testing.assert_allclose(truth.y, y[near], atol=2e-3)
    np.testing.assert_allclose(truth.ts_per_year, ts[near], rtol=1e-5)
    assert truth.x.dtype == truth.ts_per_year.dtype == np.float32


def test_the_photons_of_a_patch_fall_where_its_truth_says():
    frame = PatchFrame(123.0, 55.0, 130.0)
    place = frame.unproject(np.array([30.25]), np.array([90.0]), OUTPUT_PIXELS)
    sky = sky_of(place, np.array([5e6]))
    truth = truth_in([sky], frame)
    counts = render_patch(sky, frame, 1.0, np.random.default_rng(0)).counts[5]
    rows, columns = np.mgrid[:128, :128]
    near = np.hypot(columns - truth.x[0], rows - truth.y[0]) < 8.0
    weight = counts[near] / counts[near].sum()
    assert (columns[near] * weight).sum() == pytest.approx(30.25, abs=0.1)
    assert (rows[near] * weight).sum() == pytest.approx(90.0, abs=0.1)


def test_a_sky_without_sources_in_reach_has_an_empty_truth():
    sky = sky_of(lonlat_to_vectors(np.array([0.0]), np.array([0.0])), np.array([100.0]))
    truth = truth_in([sky], PatchFrame(180.0, 0.0))
    assert len(truth.x) == len(truth.y) == 0
    assert truth.ts_per_year.shape == (0, 1, N_BINS)


def test_patches_lie_all_over_the_sky_with_some_more_near_the_plane():
    frames = list(random_frames(4000, np.random.default_rng(0)))
    lat = np.array([f.lat_deg for f in frames])
    assert np.mean(np.abs(lat) < 15.0) == pytest.approx(0.85 * 0.2588 + 0.15, abs=0.02)
    assert np.mean(lat > 0) == pytest.approx(0.5, abs=0.03)
    assert np.std([f.rotation_deg for f in frames]) == pytest.approx(360 / 12**0.5, rel=0.05)


@pytest.mark.slow
def test_a_recipe_makes_one_new_sky_as_each_layer_sees_it():
    front, back = make_sky_models(SkyRecipe(11, "own-11", "fb", 1, extended=True), None)
    assert (front.event_type, back.event_type) == ("front", "back")
    assert len(front.sources) == len(back.sources) > 5000
    np.testing.assert_array_equal(front.sources["Flux1000"], back.sources["Flux1000"])
    ts = sum(model.ideal_ts.sum(axis=1) for model in (front, back)) * 10.0
    # about as many as a ten-year catalog lists
    assert 3000 < np.sum(ts > 25.0) < 9000
    # one diffuse model and the same extended sources, in the ratio of the exposures
    for maps in ((front.background, back.background), (front.extended, back.extended)):
        coarse = [hp.ud_grade(m[3], 8, order_in="NEST") for m in maps]
        bright = coarse[0] > 0.01 * coarse[0].max()
        assert np.corrcoef(coarse[0][bright], coarse[1][bright])[0, 1] > 0.99
