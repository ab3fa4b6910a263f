"""The grid of patches covers the sky, and every point has one owner."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from sky_samples import random_vectors

from fermi_unek.errors import InputError
from fermi_unek.sky.bins import PATCH_DEG
from fermi_unek.sky.geometry.coverage import circle_coverage, coverage_vectors
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.grid import (
    SINGLE_REACH_DEG,
    GridConfig,
    covering_grid,
    owner,
    sky_grid,
    tangent_distance,
)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Random points and awkward ones: poles, l = 0, seams, corners of coarse HEALPIX cells."""
    rng = np.random.default_rng(5)
    lon = np.linspace(0.0, 360.0, 145)
    special = [
        lonlat_to_vectors(lon, np.full_like(lon, lat))
        for lat in (-90.0, -89.99, -86.0, -60.0, -1e-9, 0.0, 3.913, 41.8, 89.0, 90.0)
    ]
    special.append(lonlat_to_vectors(np.zeros(181), np.linspace(-90, 90, 181)))
    special.append(hp.boundaries(8, np.arange(768), step=1).transpose(0, 2, 1).reshape(-1, 3))
    return np.concatenate([random_vectors(rng, 9_000), *special])


@pytest.fixture(scope="module")
def distances(points: np.ndarray) -> np.ndarray:
    """Tangent-plane distance of every point from every patch, by astropy's projection.

    Infinite beyond 30 degrees, where no patch reaches.
    """
    lon, lat = hp.vec2ang(points, lonlat=True)
    result = np.full((len(sky_grid()), len(points)), np.inf)
    for index, frame in enumerate(sky_grid()):
        near = points @ frame.axes[2] > np.cos(np.radians(30.0))
        x, y = frame.wcs(1).wcs_world2pix(lon[near], lat[near], 0)
        result[index, near] = 10.0 * np.maximum(np.abs(x), np.abs(y))
    return result


def test_every_point_lies_well_inside_a_patch_of_a_grid_of_moderate_size(distances):
    assert 800 < len(sky_grid()) < 1000
    assert distances.min(axis=0).max() <= GridConfig.reach_deg


def test_a_point_is_seen_by_two_patches_on_average_and_by_one_at_least(distances):
    seen = (distances < PATCH_DEG / 2).sum(axis=0)
    assert seen.min() >= 1
    assert 2.0 < seen.mean() < 2.7


def test_the_owner_is_the_nearest_patch_in_the_tangent_plane(points, distances):
    found = distances[owner(sky_grid(), points), np.arange(len(points))]
    assert np.allclose(found, distances.min(axis=0), atol=1e-6)


def test_a_tie_goes_to_the_first_patch_and_repeated_calls_agree():
    grid = (PatchFrame(10.0, 0.0), PatchFrame(18.0, 0.0))
    middle = lonlat_to_vectors(np.array([14.0]), np.array([0.0]))
    assert owner(grid, middle)[0] == owner(grid, middle)[0]
    assert owner((grid[0], grid[0]), middle)[0] == 0


def test_an_owner_among_no_patches_is_an_error():
    with pytest.raises(InputError, match="empty grid"):
        owner((), np.eye(3))


def test_a_point_behind_the_patch_is_infinitely_far():
    assert tangent_distance(PatchFrame(0.0, 0.0), np.array([[-1.0, 0.0, 0.0]]))[0] == np.inf


def test_a_small_circle_is_one_centred_patch():
    (patch,) = covering_grid(circle_coverage(359.9, -33.0, 4.5))
    assert patch.axes[2] @ PatchFrame(359.9, -33.0).axes[2] > np.cos(np.radians(0.1))


@pytest.mark.parametrize(("lon", "lat"), [(302.2, -44.4), (0.0, 0.0), (0.0, 90.0), (12.0, -89.0)])
def test_a_large_circle_takes_the_grid_patches_that_own_its_points(lon, lat):
    grid = covering_grid(circle_coverage(lon, lat, 9.0))
    covered = coverage_vectors(np.flatnonzero(circle_coverage(lon, lat, 9.0)))
    nearest = np.min([tangent_distance(frame, covered) for frame in grid], axis=0)
    assert nearest.max() <= GridConfig.reach_deg
    assert 6 < len(grid) < 20
    assert set(grid) <= set(sky_grid())


def test_the_whole_sky_takes_the_whole_grid():
    assert covering_grid(None) == sky_grid()


def test_a_denser_grid_reaches_as_far_as_it_is_asked_to(points):
    dense = sky_grid(GridConfig(reach_deg=2.5, rings=42))
    assert len(dense) > 1.8 * len(sky_grid())
    nearest = np.min([tangent_distance(frame, points) for frame in dense], axis=0)
    assert nearest.max() <= 2.5


def test_no_coverage_takes_no_patch():
    assert covering_grid(np.zeros(12 * 4**9, dtype=bool)) == ()


@pytest.mark.parametrize("turn", [0.0, 30.0, 45.0])
def test_a_square_field_of_8_degrees_is_one_patch_however_it_is_turned(turn):
    field = PatchFrame(120.0, 35.0, turn)
    near = np.flatnonzero(circle_coverage(120.0, 35.0, 6.0))
    inside = np.zeros(12 * 4**9, dtype=bool)
    inside[near[tangent_distance(field, coverage_vectors(near)) <= 4.0]] = True
    (patch,) = covering_grid(inside)
    covered = coverage_vectors(np.flatnonzero(inside))
    assert tangent_distance(patch, covered).max() <= SINGLE_REACH_DEG
    assert patch.axes[2] @ field.axes[2] > np.cos(np.radians(0.2))


@pytest.mark.parametrize("circle", [(0, 91, 1), (0, 0, 0), (0, 0, -1), (np.nan, 0, 1)])
def test_a_region_that_is_no_circle_is_an_error(circle):
    with pytest.raises(InputError, match="is no circle"):
        circle_coverage(*circle)


def test_two_fields_far_apart_take_patches_at_both():
    both = circle_coverage(10.0, 10.0, 2.0) | circle_coverage(190.0, -10.0, 2.0)
    grid = covering_grid(both)
    covered = coverage_vectors(np.flatnonzero(both))
    nearest = np.min([tangent_distance(frame, covered) for frame in grid], axis=0)
    assert nearest.max() <= GridConfig.reach_deg
