"""Blending the masks of overlapping patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import healpy as hp
import numpy as np
import pytest
import torch
from detect_samples import FRONT_SCENE, PHOTONS, BrightSpots, place, separation_deg, sky_of
from torch import nn

from fermi_unek.detect import skymask
from fermi_unek.detect.centers import METHODS, find_centers
from fermi_unek.detect.filters import matched_filters
from fermi_unek.detect.scene import Scene
from fermi_unek.detect.settings import SearchConfig
from fermi_unek.detect.skymask import (
    MASK_ORDER,
    SkyMask,
    patch_pixels,
    run_network,
    sky_mask,
    turns_of,
)
from fermi_unek.diffuse.template import SkyTemplate
from fermi_unek.errors import ConfigError
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.nets.spec import ModelSpec, PatchBatch
from fermi_unek.nets.weights import LocalizerFile
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.grid import sky_grid, tangent_distance
from fermi_unek.sky.geometry.patches import cut_patch
from fermi_unek.sky.layers import added, with_layers
from fermi_unek.training.localizer.dataset import _turned_target, target_planes

NSIDE = 2**MASK_ORDER


@pytest.mark.parametrize("turn", range(8))
def test_what_is_said_of_a_turned_patch_is_turned_back(turn):
    rng = np.random.default_rng(turn)
    target = target_planes(rng.uniform(10, 117, 9), rng.uniform(10, 117, 9), np.full(9, 100.0))
    mask, _, columns, rows = _turned_target(target, turn)
    said = torch.from_numpy(np.stack([mask, columns, rows, mask, 2.0 * mask]))[None]
    back = skymask.turned_back(said, turn)[0].numpy()
    np.testing.assert_array_equal(back[[0, 1, 2, 4]], [*target[[0, 2, 3]], 2.0 * target[0]])
    np.testing.assert_array_equal(
        skymask.turned(torch.from_numpy(target[:1]), turn)[0].numpy(), mask
    )


class Says(nn.Module):
    """A network that says the same of every patch: (5, 128, 128) planes, in logits and logs.

    Called for the second time it goes on with the second set of planes.
    """

    def __init__(self, *planes: np.ndarray) -> None:
        super().__init__()
        self.said = [torch.from_numpy(p.astype(np.float32)) for p in planes]

    spec = ModelSpec()

    def planes(self, batch: PatchBatch) -> list[torch.Tensor]:
        return [counts for layer in batch for counts in layer.counts]

    def predict(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack([self.said[i % len(self.said)] for i in range(len(planes[0]))])


AS_IT_IS = SearchConfig(turns=(0,))


def mask_by(
    network: nn.Module,
    sky: SkyCounts,
    frames: Sequence[PatchFrame],
    config: SearchConfig = AS_IT_IS,
    scene: Scene = FRONT_SCENE,
    **more: Any,
) -> SkyMask:
    """The mask of a network that knows left from right, shown each patch as it is."""
    return sky_mask(sky, LocalizerFile(network), frames, scene, config, **more)


def logit(probability: float) -> float:
    return float(np.log(probability / (1.0 - probability)))


def says(
    probability: float, dx: float = 0.0, dy: float = 0.0, sigma: float = 1.0, extended: float = 0.01
) -> np.ndarray:
    planes = np.empty((5, OUTPUT_PIXELS, OUTPUT_PIXELS), np.float32)
    said = np.array([logit(probability), dx, dy, np.log(sigma), logit(extended)])
    planes[:] = said[:, None, None]
    return planes


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def grid_near(vectors: np.ndarray) -> list[PatchFrame]:
    """Patches of the grid that see a place."""
    return [f for f in sky_grid() if tangent_distance(f, vectors).min() < PATCH_DEG / 2 + 0.5]


def pixels_of(mask: SkyMask) -> np.ndarray:
    return np.stack(hp.pix2vec(NSIDE, mask.pixels, nest=True), axis=-1)


# --- geometry


@pytest.mark.parametrize(
    "frame", [PatchFrame(0.0, 0.0), PatchFrame(80.0, 90.0), PatchFrame(359.0, -40.0, 33.0)]
)
def test_the_pixels_of_a_patch_are_those_whose_centres_lie_in_it(frame):
    pixels, x, y = patch_pixels(frame)
    near = hp.query_disc(NSIDE, frame.axes[2], np.radians(8.0), nest=True)
    vectors = np.stack(hp.pix2vec(NSIDE, near, nest=True), axis=-1)
    column, row = frame.project(vectors, OUTPUT_PIXELS)
    inside = (np.abs(column - 63.5) < 64.0) & (np.abs(row - 63.5) < 64.0)
    np.testing.assert_array_equal(np.sort(pixels), np.sort(near[inside]))
    expected = frame.project(np.stack(hp.pix2vec(NSIDE, pixels, nest=True), axis=-1), OUTPUT_PIXELS)
    np.testing.assert_allclose(np.stack([x, y]), np.stack(expected), atol=2e-3)


def test_votes_go_where_the_offsets_point(rng):
    sky = sky_of(place(40.0, 20.0), rng)
    frame = PatchFrame(40.0, 20.0, 25.0)
    mask = mask_by(Says(says(0.9, 2.0, -3.0, 0.5)), sky, [frame])
    x, y = frame.project(pixels_of(mask), OUTPUT_PIXELS)
    voted_x, voted_y = frame.project(mask.votes, OUTPUT_PIXELS)
    inner = (np.abs(x - 63.5) < 60) & (np.abs(y - 63.5) < 60)
    # a HEALPIX pixel votes as the nearest pixel of the patch does
    for place_of, voted, shift in ((x, voted_x, 2.0), (y, voted_y, -3.0)):
        np.testing.assert_allclose(voted[inner], np.rint(voted[inner]), atol=2e-3)
        assert np.abs(voted - shift - place_of)[inner].max() < 0.503
    np.testing.assert_allclose(mask.probability, 0.9, rtol=1e-4)
    np.testing.assert_allclose(mask.error_deg, 0.5 * PATCH_DEG / OUTPUT_PIXELS, rtol=1e-4)


def test_probabilities_between_pixels_are_interpolated(rng):
    planes = says(0.5)
    ramp = np.linspace(0.05, 0.95, OUTPUT_PIXELS)
    planes[0] = np.log(ramp / (1 - ramp))[None]
    frame = PatchFrame(40.0, 20.0)
    mask = mask_by(Says(planes), sky_of(place(40.0, 20.0), rng), [frame])
    x, _ = frame.project(pixels_of(mask), OUTPUT_PIXELS)
    expected = np.interp(x, np.arange(OUTPUT_PIXELS), ramp)
    np.testing.assert_allclose(mask.probability, expected, atol=1e-4)


def test_offsets_and_errors_out_of_range_are_held_back(rng):
    sky = sky_of(place(40.0, 20.0), rng)
    patch = cut_patch(sky, PatchFrame(40.0, 20.0))
    network = Says(says(0.5, sigma=1e9, extended=0.2))
    planes = run_network(network, [[patch, patch]], [[]], turns=(0,))
    assert planes.shape == (2, 5, OUTPUT_PIXELS, OUTPUT_PIXELS)
    assert planes[:, 3].max() == pytest.approx(np.exp(3.0))
    assert planes[0, 0, 5, 5] == pytest.approx(0.5)
    assert planes[1, 4, 5, 5] == pytest.approx(0.2)


def test_the_network_sees_counts_and_masks_of_each_layer_and_what_it_was_seen_through(rng):
    seen = []

    class Looks(Says):
        def planes(self, batch):
            seen.extend(batch)
            return super().planes(batch)

    front = sky_of(place(40.0, 20.0), rng, circle_coverage(40.0, 20.0, 3.0))
    back = replace(sky_of(place(41.0, 20.0), rng), event_type="back")
    layers = [[cut_patch(sky, PatchFrame(40.0, 20.0))] for sky in (front, back)]
    filters = matched_filters(tuple(map(shipped_observation, ("front", "back"))), Says.spec)
    run_network(Looks(says(0.5)), layers, filters)
    assert len(seen) == 2
    for k, layer in enumerate(seen):
        for b, n_pixels in enumerate(NATIVE_PIXELS):
            assert layer.counts[b].shape == (1, n_pixels, n_pixels)
            assert float(layer.counts[b].sum()) == (PHOTONS if b >= 4 else 0)
            np.testing.assert_array_equal(layer.counts[b][0].numpy(), layers[k][0].counts[b])
            assert bool(layer.masks[b].any()) == (b >= 4)
            assert bool(layer.masks[b].all()) == (b >= 4 and k == 1)
            assert layer.masks[b].dtype == torch.float32
        for given, matched in zip(layer.filters, filters[k], strict=True):
            assert all(map(torch.equal, given, matched))
        assert layer.template is None


def test_the_layers_of_a_sky_are_all_searched(rng):
    """Photons of the second layer alone: what is searched is not the sum, which has none."""
    front = sky_of(place(40.0, 20.0), rng)
    back = replace(sky_of(place(42.0, 20.0), rng), event_type="back")
    total = with_layers([front, back])
    shown = []

    class Looks(Says):
        def planes(self, batch):
            shown.append([float(layer.counts[5].sum()) for layer in batch])
            return super().planes(batch)

    scene = Scene(FRONT_SCENE.observed * 2, [[], []])
    mask_by(Looks(says(0.5)), total, [PatchFrame(42.0, 20.0)], scene=scene)
    mask_by(Looks(says(0.5)), replace(total, layers=()), [PatchFrame(42.0, 20.0)])
    assert shown == [[PHOTONS, PHOTONS], [2 * PHOTONS]]


def test_what_either_layer_observed_is_in_the_mask(rng):
    there = [
        replace(sky_of(place(lon, 20.0), rng, circle_coverage(lon, 20.0, 1.0)), event_type=name)
        for lon, name in ((38.5, "front"), (41.5, "back"))
    ]
    scene = Scene(FRONT_SCENE.observed * 2, [[], []])
    # as fields that overlap little would be
    sky = replace(added(there), layers=tuple(there))
    mask = mask_by(Says(says(0.6)), sky, [PatchFrame(40.0, 20.0)], scene=scene)
    for lon in (38.5, 41.5):
        near = separation_deg(pixels_of(mask), place(lon, 20.0)) < 1.2
        assert near.sum() == pytest.approx(np.pi * 1.0**2 / 0.0573**2, rel=0.15)
    assert not (separation_deg(pixels_of(mask), place(40.0, 20.0)) < 0.2).any()


# --- orientations


def test_few_patches_are_shown_in_all_orientations_and_many_take_turns():
    config = SearchConfig()
    assert turns_of(2, 20, config) == [(0, 3, 4, 7)] * 2
    many = turns_of(9, config.few_patches + 1, config)
    assert many == [(0,), (3,), (4,), (7,), (0,), (3,), (4,), (7,), (0,)]


def test_batches_of_a_large_grid_are_shown_in_their_own_orientation(rng):
    """A network that says where the photons are, mirrored or not, gives the same sky."""
    source = place(40.0, 20.0)
    frames = grid_near(source)
    assert len(frames) > 2
    sky = sky_of(source, rng)
    as_it_is = mask_by(BrightSpots(), sky, frames)
    alternating = SearchConfig(turns=(7, 4), few_patches=1, batch=1)
    turned = mask_by(BrightSpots(), sky, frames, alternating)
    np.testing.assert_array_equal(turned.pixels, as_it_is.pixels)
    np.testing.assert_allclose(turned.probability, as_it_is.probability, atol=0.01)


# --- blending


def test_overlapping_patches_that_agree_give_what_each_says(rng):
    sky = sky_of(place(0.0, 0.0), rng)
    frames = [PatchFrame(0.0, 0.0), PatchFrame(3.0, 4.0, 20.0), PatchFrame(356.0, 1.0)]
    mask = mask_by(Says(says(0.37)), sky, frames)
    np.testing.assert_allclose(mask.probability, 0.37, rtol=1e-4)
    assert np.all(np.diff(mask.pixels) > 0)
    np.testing.assert_allclose(np.linalg.norm(mask.votes, axis=1), 1.0)
    # each votes for the middle of the pixel it lies in, at most half a diagonal away
    assert separation_deg(mask.votes, pixels_of(mask)).max() < 0.72 * PATCH_DEG / OUTPUT_PIXELS


def test_where_patches_differ_the_one_that_sees_more_of_the_surroundings_counts_more(rng):
    sky = sky_of(place(0.0, 0.0), rng)
    left, right = PatchFrame(4.0, 0.0), PatchFrame(-4.0, 0.0)
    mask = mask_by(Says(says(0.9, dx=1.0), says(0.1, dx=-1.0)), sky, [left, right])
    vectors = pixels_of(mask)

    def near(lon: float) -> np.ndarray:
        return separation_deg(vectors, place(lon, 0.0)) < 0.1

    assert mask.probability[near(0.0)].mean() == pytest.approx(0.5, abs=0.05)
    assert np.all(mask.probability[near(0.5)] > 0.5)
    assert np.all(mask.probability[near(0.9)] > 0.8)
    assert np.all(mask.probability[near(-0.9)] < 0.2)
    # the votes of the surer patch win: growing columns are falling longitudes
    shift = (vectors - mask.votes)[near(0.0)] @ np.array([0.0, 1.0, 0.0])
    assert np.degrees(shift).mean() == pytest.approx(0.8 * PATCH_DEG / OUTPUT_PIXELS, rel=0.3)


def test_extended_emission_is_the_mean_of_what_patches_say_of_it(rng):
    sky = sky_of(place(0.0, 0.0), rng)
    left, right = PatchFrame(4.0, 0.0), PatchFrame(-4.0, 0.0)
    mask = mask_by(Says(says(0.3, extended=0.9), says(0.3, extended=0.1)), sky, [left, right])
    vectors = pixels_of(mask)
    for lon, low, high in ((4.0, 0.89, 0.91), (0.0, 0.4, 0.6), (-4.0, 0.09, 0.11)):
        near = separation_deg(vectors, place(lon, 0.0)) < 0.1
        assert np.all((mask.extended[near] > low) & (mask.extended[near] < high))


def test_pixels_that_are_selected_keep_all_that_is_known_of_them(rng):
    mask = mask_by(BrightSpots(), sky_of(place(0.0, 0.0), rng), [PatchFrame(0.0, 0.0)])
    kept = mask.select(mask.probability > 0.5)
    rows = np.flatnonzero(mask.probability > 0.5)
    assert 0 < len(rows) < len(mask.pixels)
    for name in vars(mask):
        np.testing.assert_array_equal(getattr(kept, name), getattr(mask, name)[rows])


def test_a_spot_that_one_patch_alone_sees_is_not_taken_on_its_word(rng):
    sky = sky_of(place(0.0, 0.0), rng)
    frames = [PatchFrame(1.0, 0.0), PatchFrame(-1.0, 0.0)]
    mask = mask_by(Says(says(0.8), says(1e-4)), sky, frames)
    # as far from the edges of both that they weigh the same
    both = separation_deg(pixels_of(mask), place(0.0, 0.0)) < 0.9
    assert np.all(np.abs(mask.probability[both] - 0.4) < 0.05)


def test_what_was_not_observed_is_not_in_the_mask(rng):
    sky = sky_of(place(40.0, 20.0), rng, circle_coverage(40.0, 20.0, 2.0))
    mask = mask_by(Says(says(0.6)), sky, [PatchFrame(40.0, 20.0)])
    distance = separation_deg(pixels_of(mask), place(40.0, 20.0))
    assert distance.max() < 2.2
    assert len(mask.pixels) == pytest.approx(np.pi * 2.0**2 / 0.0573**2, rel=0.08)


def test_no_patches_and_dark_patches_give_an_empty_mask(rng):
    sky = sky_of(place(40.0, 20.0), rng)
    for frames in ([], [PatchFrame(40.0, 20.0)]):
        mask = mask_by(Says(says(0.004)), sky, frames)
        assert len(mask.pixels) == len(mask.probability) == len(mask.error_deg) == 0
        assert mask.votes.shape == (0, 3)


def test_progress_is_told_of_every_portion(rng):
    told = []

    def progress(items, *, total, label):
        told.append((total, label))
        return items

    frames = [PatchFrame(float(lon), 0.0) for lon in range(18)]
    mask_by(Says(says(0.5)), sky_of(place(0.0, 0.0), rng), frames, progress=progress)
    assert told == [(2, "searching")]


# --- borders


@pytest.mark.parametrize(
    ("lon_lat", "direction"),
    [
        ((0.0, 0.0), (1.0, 0.02)),
        ((0.0, 0.0), (-0.3, 1.0)),
        ((100.0, 45.0), (0.7, 0.7)),
        ((250.0, -83.0), (0.02, -1.0)),
        ((0.0, 90.0), (0.7, 0.7)),
    ],
)
def test_a_bright_source_moved_across_a_border_is_always_listed_exactly_once(lon_lat, direction):
    frame = min(sky_grid(), key=lambda f: separation_deg(f.axes[2], place(*lon_lat)[0]))
    seen_by = set()
    for number in range(22):
        # in steps of 0.05 degrees, from half a degree inside the border to half outside
        along = (4.5 + 0.05 * number) / max(np.abs(direction)) * np.array(direction)
        x, y = 63.5 + along[:, None] * OUTPUT_PIXELS / PATCH_DEG
        source = frame.unproject(x, y, OUTPUT_PIXELS)
        frames = grid_near(source)
        seen_by.add(sum(tangent_distance(f, source)[0] < PATCH_DEG / 2 for f in frames))
        sky = sky_of(source, np.random.default_rng(number))
        mask = mask_by(BrightSpots(), sky, frames)
        for method in METHODS:
            found = find_centers(mask, method)
            assert len(found) == 1, number
            assert separation_deg(found.vectors, source)[0] < 0.02
            assert found.peak[0] > 0.6
    assert len(seen_by) > 1


@pytest.mark.parametrize("method", METHODS)
def test_sources_at_poles_seams_and_corners_of_patches_are_listed_once_each(rng, method):
    corners = np.concatenate(
        [
            PatchFrame(f.lon_deg, f.lat_deg).unproject(np.array([-0.3]), np.array([127.2]), 128)
            for f in sky_grid()[::160]
        ]
    )
    lon = np.array([0.0, 0.0, 0.0, 359.999, 45.0])
    lat = np.array([90.0, -90.0, 0.0, 30.0, 41.81])
    sources = np.concatenate([lonlat_to_vectors(lon, lat), corners])
    frames = grid_near_any(sources)
    found = find_centers(mask_by(BrightSpots(), sky_of(sources, rng), frames), method)
    assert len(found) == len(sources)
    nearest = separation_deg(found.vectors[:, None], sources[None])
    assert sorted(nearest.argmin(axis=1)) == list(range(len(sources)))
    assert nearest.min(axis=1).max() < 0.02


def grid_near_any(sources: np.ndarray) -> list[PatchFrame]:
    return [f for f in sky_grid() if tangent_distance(f, sources).min() < PATCH_DEG / 2 + 0.5]


def test_a_cluster_says_what_this_machine_says():
    distributed = pytest.importorskip("distributed")
    sky = sky_of(np.concatenate([place(10.0, 3.0), place(14.5, 1.0)]), np.random.default_rng(1))
    frames = [PatchFrame(lon, 2.0) for lon in np.arange(5.0, 141.0, 8.0)]
    here = mask_by(BrightSpots(), sky, frames)
    with distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster:
        remote = SearchConfig(turns=(0,), scheduler=cluster.scheduler_address)
        there = mask_by(BrightSpots(), sky, frames, remote)
    assert len(here.pixels) > 50
    for name in ("pixels", "probability", "votes", "error_deg"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("fermi_unek.parallel._CONNECT_TIMEOUT_S", 0.5)
    sky = sky_of(place(10.0, 3.0), np.random.default_rng(1))
    remote = SearchConfig(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match="no dask scheduler answers"):
        mask_by(BrightSpots(), sky, [PatchFrame(10.0, 2.0)], remote)


def test_a_network_is_given_the_template_of_each_layer_where_the_patch_lies(rng):
    templates = tuple(
        SkyTemplate(
            tuple(
                np.exp(slope * hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)[2])
                for nside in BINNING.template_nsides
            )
        )
        for slope in (1.0, -2.0)
    )
    given = []

    class Knows(Says):
        def planes(self, batch):
            given.append([layer.template for layer in batch])
            return super().planes(batch)

    frames = [PatchFrame(40.0, 20.0), PatchFrame(41.0, -20.0)]
    front = sky_of(place(40.0, 20.0), rng)
    sky = with_layers([front, replace(front, event_type="back")])
    scene = Scene(FRONT_SCENE.observed * 2, [[], []], templates)
    mask_by(Knows(says(0.5)), sky, frames, scene=scene)
    for told, template in zip(given[0], templates, strict=True):
        for row, frame in enumerate(frames):
            for plane, cut in zip(told, template.cut(frame), strict=True):
                np.testing.assert_array_equal(plane[row].numpy(), cut)
