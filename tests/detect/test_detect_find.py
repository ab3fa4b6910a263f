"""From a sky to one list of candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detect_samples import FRONT_SCENE, place, separation_deg, sky_of, spots

from fermi_unek.catalog import equatorial_position_angle
from fermi_unek.detect.calibration import R68_OF_SIGMA
from fermi_unek.detect.centers import METHODS
from fermi_unek.detect.find import covers, find_candidates, near_edge, raw_centers
from fermi_unek.detect.settings import SearchConfig
from fermi_unek.errors import ConfigError, InputError
from fermi_unek.sky.bins import OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.coverage import N_COVERAGE, circle_coverage, unite
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.geometry.grid import covering_grid, tangent_distance

FIELD = (83.0, -30.0, 4.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def field_of(rng: np.random.Generator, *lon_lat: tuple[float, float]) -> SkyCounts:
    """A field of four degrees with sources."""
    lon, lat = np.array(lon_lat, float).reshape(-1, 2).T
    return sky_of(lonlat_to_vectors(lon, lat), rng, circle_coverage(*FIELD))


@pytest.mark.parametrize("centers", METHODS)
def test_the_sources_of_a_field_are_listed_with_probability_and_error(rng, centers):
    sky = field_of(rng, (83.0, -30.0), (84.5, -31.0), (82.0, -28.5))
    found = find_candidates(sky, spots(), config=SearchConfig(centers=centers))
    assert len(found) == 3
    order = np.argsort(found.lon_deg)
    np.testing.assert_allclose(found.lon_deg[order], [82.0, 83.0, 84.5], atol=0.02)
    np.testing.assert_allclose(found.lat_deg[order], [-28.5, -30.0, -31.0], atol=0.02)
    assert np.all(found.probability > 0.6)
    assert np.all(found.probability <= 1.0)
    # without calibration the error is that of network (one pixel) and photons together
    raw = raw_centers(sky, spots(), FRONT_SCENE, sky.coverage, SearchConfig(centers=centers))
    np.testing.assert_allclose(
        np.sort(np.sqrt(found.semimajor68_deg * found.semiminor68_deg)),
        np.sort(R68_OF_SIGMA * raw.error_deg),
        rtol=1e-6,
    )
    np.testing.assert_allclose(np.sort(found.peak), np.sort(raw.peak))
    np.testing.assert_allclose(np.sort(found.area), np.sort(raw.area))
    assert np.all(found.semimajor68_deg < R68_OF_SIGMA * PATCH_DEG / OUTPUT_PIXELS)
    # sources that nothing is near
    np.testing.assert_allclose(found.semiminor68_deg, found.semimajor68_deg, rtol=0.2)
    angle = equatorial_position_angle(found.lon_deg, found.lat_deg, raw.angle_deg)
    np.testing.assert_allclose(found.position_angle_deg, angle)


def test_a_field_without_photons_or_sources_has_an_empty_list(rng):
    empty = field_of(rng)
    assert len(find_candidates(empty, spots())) == 0
    dim = field_of(rng, (83.0, -30.0))
    assert len(find_candidates(dim, spots(), threshold=0.97)) == 0


def test_the_threshold_is_one_of_calibrated_probability(rng):
    sky = field_of(rng, (83.0, -30.0))
    # at these latitudes whatever the score the probability is 0.4
    of_front = {
        "weights": [1.0, 0.0, 0.0, 0.0, 0.0],
        "score_nodes": [-9.0, 9.0],
        "probability_nodes": [[0.9, 0.9], [0.9, 0.9], [0.4, 0.4]],
        "error_nodes_deg": [0.01, 1.0],
        "radius_nodes_deg": [0.02, 2.0],
    }
    tables = {"front": of_front}
    found = find_candidates(sky, spots(tables), threshold=0.39)
    assert found.probability == pytest.approx([0.4])
    raw = raw_centers(sky, spots(), FRONT_SCENE, sky.coverage)
    area = found.semimajor68_deg * found.semiminor68_deg
    assert np.sqrt(area) == pytest.approx(2.0 * raw.error_deg, rel=1e-3)
    assert found.semimajor68_deg / found.semiminor68_deg == pytest.approx(raw.elongation, rel=1e-6)
    assert len(find_candidates(sky, spots(tables), threshold=0.41)) == 0


def test_a_region_cuts_the_list_exactly_and_saves_the_search_elsewhere(rng):
    lon, lat = np.array([0.0, 3.97, 180.0, 356.0]), np.array([40.0, 40.0, -40.0, 40.0])
    sky = sky_of(lonlat_to_vectors(lon, lat), rng)
    # between the two on either side, which lie 0.02 degrees farther in and out
    radius = float(separation_deg(place(0.0, 40.0), place(3.985, 40.0))[0])
    patches = []

    def progress(items, *, total, label):
        patches.append(total)
        return items

    found = find_candidates(sky, spots(), region=(0.0, 40.0, radius), progress=progress)
    offset = (found.lon_deg + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(np.sort(offset), [0.0, 3.97], atol=0.02)
    assert sum(patches) == 1
    assert not found.near_edge.any()


def test_a_region_off_the_field_has_an_empty_list(rng):
    sky = field_of(rng, (83.0, -30.0))
    assert len(find_candidates(sky, spots(), region=(200.0, 30.0, 5.0))) == 0


def test_a_source_that_two_patches_see_is_listed_once(rng):
    # wider than a patch: several of the grid are searched, which overlap here
    circle = (10.0, 3.9, 9.0)
    source = lonlat_to_vectors(np.array([10.0, 5.0]), np.array([0.0, 7.6]))
    sky = sky_of(source, rng, circle_coverage(*circle))
    frames = covering_grid(sky.coverage)
    for one in source:
        assert sum(tangent_distance(f, one[None])[0] < PATCH_DEG / 2 for f in frames) >= 2
    assert len(find_candidates(sky, spots())) == 2


def test_the_whole_sky_is_covered_when_one_bin_covers_it(rng):
    sky = sky_of(place(10.0, 10.0), rng)
    coverage = circle_coverage(10.0, 10.0, 1.0)
    mixed = SkyCounts(
        (*sky.bins[:5], sky_of(place(10.0, 10.0), rng, coverage).bins[5]), livetime_years=1.0
    )
    assert unite(None, coverage) is None
    found = find_candidates(mixed, spots(), region=(10.0, 10.0, 3.0))
    assert len(found) == 1
    assert not found.near_edge[0]


def test_candidates_within_half_a_degree_of_an_edge_are_flagged(rng):
    lon, lat, radius = FIELD
    sky = field_of(rng, (lon, lat + radius - 0.3), (lon, lat), (lon, lat - radius + 0.8))
    found = find_candidates(sky, spots())
    order = np.argsort(found.lat_deg)
    np.testing.assert_array_equal(found.near_edge[order], [False, False, True])


def test_near_an_edge_means_half_a_degree_all_around():
    rng = np.random.default_rng(0)
    coverage = circle_coverage(*FIELD)
    centre = place(FIELD[0], FIELD[1])
    vectors = centre + np.radians(3.0) * rng.normal(size=(2000, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    depth = FIELD[2] - separation_deg(vectors, centre)
    flagged = near_edge(coverage, vectors)
    # a coverage pixel is a tenth of a degree wide
    assert np.all(flagged[(depth > -0.4) & (depth < 0.4)])
    assert not flagged[depth > 0.6].any()


@pytest.mark.parametrize("lat", [90.0, -90.0, 89.8, 0.0])
def test_edges_are_seen_at_the_poles_as_elsewhere(lat):
    source = place(12.0, lat)
    assert near_edge(circle_coverage(12.0, lat, 0.4), source)[0]
    assert not near_edge(circle_coverage(12.0, lat, 0.7), source)[0]
    assert not near_edge(None, source)[0]


def test_no_candidates_are_near_no_edge():
    assert near_edge(circle_coverage(*FIELD), np.zeros((0, 3))).shape == (0,)


def test_the_whole_sky_covers_everything_and_nothing_covers_nothing():
    vectors = lonlat_to_vectors(np.array([0.0, 90.0]), np.array([0.0, 90.0]))
    assert covers(None, vectors).all()
    assert not covers(np.zeros(N_COVERAGE, bool), vectors).any()


def test_raw_centres_are_those_before_any_cut(rng):
    sky = field_of(rng, (83.0, -30.0))
    assert len(raw_centers(sky, spots(), FRONT_SCENE, sky.coverage)) == 1
    assert len(raw_centers(sky, spots(), FRONT_SCENE, np.zeros(N_COVERAGE, bool))) == 0


def test_an_unknown_method_is_refused_before_any_work(rng):
    with pytest.raises(ConfigError, match=r"centers 'mean' is none of \('kmeans', 'peaks'\)"):
        find_candidates(field_of(rng), spots(), config=SearchConfig(centers="mean"))


def test_a_device_that_is_not_there_is_refused(rng, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device cuda was asked for, but torch sees no CUDA"):
        find_candidates(field_of(rng), spots(), config=SearchConfig(device="cuda"))


def test_tables_that_are_no_calibration_are_named(rng):
    with pytest.raises(InputError, match=r"calibration of the model holds \['offsets'\]"):
        find_candidates(field_of(rng), spots({"front": {"offsets": [1.0]}}))
