"""Blending the masks of overlapping patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import healpy as hp
import numpy as np
import pytest
import torch
from detect_samples import PHOTONS, BrightSpots, place, separation_deg, sky_of
from torch import nn

from fermi_unek.detect import skymask
from fermi_unek.detect.centers import METHODS, find_centers
from fermi_unek.detect.settings import SearchConfig
from fermi_unek.detect.skymask import (
    MASK_ORDER,
    SkyMask,
    patch_pixels,
    run_network,
    sky_mask,
    turns_of,
)
from fermi_unek.diffuse.template import template_from_maps
from fermi_unek.errors import ConfigError
from fermi_unek.nets.spec import ModelSpec, PatchBatch
from fermi_unek.nets.weights import LocalizerFile
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.grid import sky_grid, tangent_distance
from fermi_unek.sky.geometry.patches import cut_patch
from fermi_unek.training.localizer.dataset import _turned_target, target_planes

NSIDE = 2**MASK_ORDER


@pytest.mark.parametrize("turn", range(8))
def test_what_is_said_of_a_turned_patch_is_turned_back(turn):
    rng = np.random.default_rng(turn)
    target = target_planes(rng.uniform(10, 117, 9), rng.uniform(10, 117, 9), np.full(9, 100.0))
    mask, _, columns, rows = _turned_target(target, turn)
    said = torch.from_numpy(np.stack([mask, columns, rows, mask]))[None]
    back = skymask.turned_back(said, turn)[0].numpy()
    np.testing.assert_array_equal(back[[0, 1, 2]], target[[0, 2, 3]])
    np.testing.assert_array_equal(
        skymask._turned(torch.from_numpy(target[:1]), turn)[0].numpy(), mask
    )


class Says(nn.Module):
    """A network that says the same of every patch: (4, 128, 128) planes, in logits and logs.

    Called for the second time it goes on with the second set of planes.
    """

    def __init__(self, *planes: np.ndarray) -> None:
        super().__init__()
        self.said = [torch.from_numpy(p.astype(np.float32)) for p in planes]

    spec = ModelSpec()

    def planes(self, batch: PatchBatch) -> list[torch.Tensor]:
        return list(batch.counts)

    def predict(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack([self.said[i % len(self.said)] for i in range(len(planes[0]))])


AS_IT_IS = SearchConfig(turns=(0,))


def mask_by(
    network: nn.Module,
    sky: SkyCounts,
    frames: Sequence[PatchFrame],
    config: SearchConfig = AS_IT_IS,
    **more: Any,
) -> SkyMask:
    """The mask of a network that knows left from right, shown each patch as it is."""
    return sky_mask(sky, LocalizerFile(network), frames, config, **more)


def says(probability: float, dx: float = 0.0, dy: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    planes = np.empty((4, OUTPUT_PIXELS, OUTPUT_PIXELS), np.float32)
    planes[:] = np.array([np.log(probability / (1 - probability)), dx, dy, np.log(sigma)])[
        :, None, None
    ]
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
    planes = run_network(Says(says(0.5, sigma=1e9)), [patch, patch], turns=(0,))
    assert planes.shape == (2, 4, OUTPUT_PIXELS, OUTPUT_PIXELS)
    assert planes[:, 3].max() == pytest.approx(np.exp(3.0))
    assert planes[0, 0, 5, 5] == pytest.approx(0.5)


def test_the_network_sees_counts_and_masks_of_the_patch(rng):
    seen = {}

    class Looks(Says):
        def planes(self, batch):
            seen["counts"], seen["masks"], _ = batch
            return super().planes(batch)

    sky = sky_of(place(40.0, 20.0), rng, circle_coverage(40.0, 20.0, 3.0))
    patch = cut_patch(sky, PatchFrame(40.0, 20.0))
    run_network(Looks(says(0.5)), [patch])
    for b, n_pixels in enumerate(NATIVE_PIXELS):
        assert seen["counts"][b].shape == (1, n_pixels, n_pixels)
        assert float(seen["counts"][b].sum()) == (PHOTONS if b >= 4 else 0)
        assert bool(seen["masks"][b].any()) == (b >= 4)
        assert seen["masks"][b].dtype == torch.float32


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


def test_a_network_with_a_template_is_given_it_where_the_patch_lies(rng):
    z = hp.pix2vec(256, np.arange(hp.nside2npix(256)), nest=True)[2]
    template = template_from_maps(np.tile(np.exp(z), (N_BINS, 1)))
    given = []

    class Knows(Says):
        def planes(self, batch):
            given.append(batch.template)
            return super().planes(batch)

    frames = [PatchFrame(40.0, 20.0), PatchFrame(41.0, -20.0)]
    sky = sky_of(place(40.0, 20.0), rng)
    localizer = LocalizerFile(Knows(says(0.5)), template=template.maps)
    sky_mask(sky, localizer, frames)
    for row, frame in enumerate(frames):
        for plane, cut in zip(given[0], template.cut(frame), strict=True):
            np.testing.assert_array_equal(plane[row].numpy(), cut)
