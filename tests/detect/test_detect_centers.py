"""From masks made by hand to positions."""

from __future__ import annotations

from dataclasses import replace

import healpy as hp
import numpy as np
import pytest
from detect_samples import mask_of, place, separation_deg
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans

from fermi_unek.detect import centers as module
from fermi_unek.detect.centers import (
    METHODS,
    Centers,
    connected_regions,
    find_centers,
    lloyd,
    merged_votes,
    neighbour_mean,
    vote_peaks,
)
from fermi_unek.detect.skymask import MASK_ORDER, SkyMask
from fermi_unek.errors import ConfigError
from fermi_unek.sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat

NSIDE = 2**MASK_ORDER
both = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def apart(lon: float, lat: float, distance_deg: float) -> np.ndarray:
    """Two sources on one meridian."""
    half = distance_deg / 2.0
    return lonlat_to_vectors(np.array([lon, lon]), np.array([lat - half, lat + half]))


def scattered(rng: np.random.Generator, number: int) -> np.ndarray:
    """Sources all over the sky, none within a degree of another."""
    vectors = rng.normal(size=(3 * number, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    close = cKDTree(vectors).query(vectors, k=2)[0][:, 1] < np.radians(1.0)
    return vectors[~close][:number]


@both
@pytest.mark.parametrize("trust", [1.0, 0.5])
def test_isolated_sources_are_found_where_they_are_without_bias(rng, method, trust):
    sources = scattered(rng, 300)
    found = find_centers(mask_of(sources, rng, scatter_deg=0.015, trust=trust), method)
    assert len(found) == len(sources)
    nearest = cKDTree(sources).query(found.vectors)[1]
    assert len(set(nearest)) == len(sources)
    distance = separation_deg(found.vectors, sources[nearest])
    assert np.quantile(distance, 0.68) < 0.005
    lon, lat = vectors_to_lonlat(sources[nearest])
    found_lon, found_lat = vectors_to_lonlat(found.vectors)
    east = ((found_lon - lon + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat))
    assert abs(np.mean(east)) < 0.001
    assert abs(np.mean(found_lat - lat)) < 0.001


@both
@pytest.mark.parametrize(
    ("lon", "lat"), [(0.0, 0.0), (359.99, 12.0), (77.0, 90.0), (200.0, -90.0), (45.0, 41.8103)]
)
def test_a_source_at_a_pole_or_at_longitude_zero_is_found(rng, method, lon, lat):
    source = place(lon, lat)
    found = find_centers(mask_of(source, rng, scatter_deg=0.01), method)
    assert len(found) == 1
    assert separation_deg(found.vectors, source)[0] < 0.005


@both
@pytest.mark.parametrize("lat", [0.0, -60.0])
def test_two_sources_a_third_of_a_degree_apart_are_two(rng, method, lat):
    sources = apart(120.0, lat, 0.3)
    found = find_centers(mask_of(sources, rng), method)
    assert len(found) == 2
    order = np.argsort(found.vectors[:, 2])
    assert separation_deg(found.vectors[order], sources).max() < 0.01


@both
def test_two_sources_a_twentieth_of_a_degree_apart_are_one(rng, method):
    sources = apart(120.0, 30.0, 0.05)
    found = find_centers(mask_of(sources, rng), method)
    assert len(found) == 1
    assert separation_deg(found.vectors, place(120.0, 30.0))[0] < 0.01


@both
def test_votes_spread_over_a_disc_are_one_source(rng, method):
    sources = scattered(rng, 60)
    found = find_centers(mask_of(sources, rng, scatter_deg=0.02, trust=0.15), method)
    assert len(found) == len(sources)
    nearest = cKDTree(sources).query(found.vectors)[1]
    assert separation_deg(found.vectors, sources[nearest]).max() < 0.07


@both
def test_a_chain_of_touching_sources_is_taken_apart(rng, method):
    sources = lonlat_to_vectors(np.arange(8) * 0.3 + 10.0, np.zeros(8))
    mask = mask_of(sources, rng)
    assert len(np.unique(connected_regions(mask.pixels))) == 1
    found = find_centers(mask, method)
    assert len(found) == 8
    assert separation_deg(found.vectors[np.argsort(found.vectors[:, 1])], sources).max() < 0.01


@both
def test_an_empty_mask_has_no_centres(method):
    none = np.zeros(0)
    empty = SkyMask(np.zeros(0, int), none, np.zeros((0, 3)), none, none)
    found = find_centers(empty, method)
    assert len(found) == 0
    assert found.vectors.shape == (0, 3)


@both
def test_pixels_below_the_floor_do_not_vote(rng, method):
    mask = mask_of(place(5.0, 5.0), rng)
    faint = replace(mask, probability=mask.probability * 0.04)
    assert len(find_centers(faint, method)) == 0
    assert len(find_centers(faint, method, floor=0.01)) == 1


def test_an_unknown_method_is_refused(rng):
    with pytest.raises(ConfigError, match=r"centers 'median' is none of \('kmeans', 'peaks'\)"):
        find_centers(mask_of(place(5.0, 5.0), rng), "median")


@both
def test_peak_area_and_error_describe_the_disc(rng, method):
    mask = mask_of(place(33.0, -20.0), rng, scatter_deg=0.03, radius_deg=0.25)
    found = find_centers(mask, method)
    assert found.peak[0] == pytest.approx(1.0, abs=0.01)
    assert found.area[0] == pytest.approx(np.pi * 0.25**2, rel=0.1)
    assert found.error_deg[0] == pytest.approx(0.03, rel=1e-3)


@both
def test_a_centre_is_as_extended_as_the_pixels_that_vote_for_it(rng, method):
    sources = np.concatenate([place(10.0, 0.0), place(14.0, 0.0)])
    mask = mask_of(sources, rng)
    pixels = np.stack(hp.pix2vec(NSIDE, mask.pixels, nest=True), axis=-1)
    of_second = separation_deg(pixels, sources[1]) < 1.0
    mask = replace(mask, extended=np.where(of_second, 0.8, 0.1).astype(np.float32))
    found = find_centers(mask, method)
    order = np.argsort(found.vectors[:, 1])
    np.testing.assert_allclose(found.extended[order], [0.1, 0.8], rtol=1e-4)


@both
def test_surer_votes_count_more(rng, method):
    mask = mask_of(place(0.0, 0.0), rng, scatter_deg=0.0)
    wrong = np.arange(len(mask.pixels)) % 2 == 0
    votes = np.where(wrong[:, None], place(0.0, 0.1), mask.votes)
    error = np.where(wrong, 0.2, 0.02).astype(np.float32)
    found = find_centers(replace(mask, votes=votes, error_deg=error), method)
    assert len(found) == 1
    assert separation_deg(found.vectors, place(0.0, 0.0))[0] < 0.005


@both
def test_a_single_pixel_can_be_a_source(method):
    pixel = np.array([hp.vec2pix(NSIDE, *place(10.0, 10.0)[0], nest=True)])
    mask = SkyMask(pixel, np.array([0.7]), place(10.01, 10.02), np.array([0.05]), np.zeros(1))
    found = find_centers(mask, method)
    assert separation_deg(found.vectors, place(10.01, 10.02))[0] < 1e-6
    # the eight neighbours are not in the mask
    assert found.peak[0] == pytest.approx(0.7 / 9.0)


def test_pixels_that_vote_far_away_join_no_cluster():
    pixels = np.sort(hp.query_disc(NSIDE, place(0.0, 0.0)[0], np.radians(0.15), nest=True))
    votes = np.repeat(place(0.0, 0.0), len(pixels), axis=0)
    votes[0] = place(0.0, 3.0)
    regions = np.zeros(len(pixels), int)
    number = len(pixels)
    mask = SkyMask(pixels, np.full(number, 0.9), votes, np.full(number, 0.05), np.zeros(number))
    member = lloyd(mask, np.array([number - 1]), regions)
    assert member[0] == -1
    assert np.all(member[1:] == 0)


def test_a_region_without_a_seed_of_its_own_joins_no_other():
    pixels = hp.vec2pix(NSIDE, *lonlat_to_vectors(np.array([0.0, 1.0]), np.zeros(2)).T, nest=True)
    votes = np.repeat(place(0.5, 0.0), 2, axis=0)
    mask = SkyMask(pixels, np.array([0.9, 0.8]), votes, np.full(2, 0.05), np.zeros(2))
    np.testing.assert_array_equal(lloyd(mask, np.array([0]), np.array([0, 1])), [0, -1])


def test_clusters_are_those_of_kmeans_with_the_same_seeds(rng):
    sources = lonlat_to_vectors(np.array([10.0, 10.3, 10.2, 60.0]), np.array([0.0, 0.0, 0.25, 5.0]))
    mask = mask_of(sources, rng, scatter_deg=0.05)
    seeds = vote_peaks(mask)
    assert len(seeds) == 4
    member = lloyd(mask, seeds, connected_regions(mask.pixels))
    weight = mask.probability / mask.error_deg**2
    reference = KMeans(4, init=mask.votes[seeds], n_init=1, max_iter=50).fit(
        mask.votes, sample_weight=weight
    )
    np.testing.assert_array_equal(member, reference.labels_)


def test_merging_votes_keeps_their_weight_and_mean_and_the_heaviest_pixel(rng):
    mask = mask_of(apart(10.0, 0.0, 0.3), rng)
    heaviest, places, weight = merged_votes(mask)
    assert len(weight) < len(mask.pixels)
    assert weight.sum() == pytest.approx(mask.probability.sum(), rel=1e-5)
    mean = (weight[:, None] * places).sum(axis=0) / weight.sum()
    np.testing.assert_allclose(mean, np.average(mask.votes, axis=0, weights=mask.probability))
    assert separation_deg(mask.votes[heaviest], places).max() < 0.02


def test_vote_peaks_are_those_of_all_pairs_of_votes(rng):
    """The same as brute force without merging: as many, and as near as votes are apart."""
    mask = mask_of(scattered(rng, 5), rng, scatter_deg=0.03)
    chord = np.linalg.norm(mask.votes[:, None] - mask.votes[None], axis=-1)
    angle = np.degrees(2 * np.arcsin(chord / 2))
    density = np.where(angle < 0.15, np.exp(-0.5 * (angle / 0.05) ** 2), 0.0) @ mask.probability
    reach = np.where(angle < 0.15, density[None], 0.0).max(axis=1)
    expected = mask.votes[density >= reach]
    found = mask.votes[vote_peaks(mask)]
    assert len(found) == len(expected)
    nearest = separation_deg(found[:, None], expected[None]).min(axis=1)
    assert nearest.max() < 0.02


def test_a_neighbour_mean_is_that_of_a_full_map(rng):
    full = np.zeros(12 * 16**2)
    pixels = np.sort(rng.choice(full.size, 700, replace=False))
    values = rng.random(700)
    full[pixels] = values
    neighbours = hp.get_all_neighbours(16, pixels, nest=True)
    there = neighbours >= 0
    expected = (values + (full[neighbours] * there).sum(axis=0)) / (1 + there.sum(axis=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NSIDE", 16)
        np.testing.assert_allclose(neighbour_mean(pixels, values), expected)


def test_regions_touch_at_corners_and_across_the_seams_of_the_sky():
    wide = hp.query_disc(NSIDE, place(45.0, 0.0)[0], np.radians(0.3), nest=True)
    polar = hp.query_disc(NSIDE, place(0.0, 90.0)[0], np.radians(0.3), nest=True)
    pixels = np.sort(np.concatenate([wide, polar]))
    labels = connected_regions(pixels)
    assert len(np.unique(labels)) == 2
    assert len(np.unique(labels[np.isin(pixels, wide)])) == 1


def test_centers_know_their_number():
    none = np.zeros(3)
    some = Centers(np.zeros((3, 3)), none, none, none)
    assert len(some) == 3
    # what is not told is a circle, and no extended source
    assert (some.elongation.tolist(), some.extended.tolist()) == ([1.0] * 3, [0.0] * 3)
