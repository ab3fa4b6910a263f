"""Stamps and light curves hold the photons that lie there."""

import base64
import zlib

import numpy as np
import pytest
from report_samples import cone_mask, sky_with

from fermi_unek.report.around import (
    CIRCLE_DEG,
    RING_DEG,
    STAMP_DEG,
    STAMP_PIXELS,
    light_curves,
    packed_stamp,
    stamps,
)
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.patches import cut_patch

HERE = (350.0, 60.0)


def scattered(n, seed=0, within=4.0):
    """Places spread evenly around `HERE`."""
    rng = np.random.default_rng(seed)
    lat = HERE[1] + rng.uniform(-within, within, n)
    return HERE[0] + rng.uniform(-within, within, n) / np.cos(np.radians(lat)), lat


def degrees_from(here, lon, lat):
    cosine = lonlat_to_vectors(lon, lat) @ lonlat_to_vectors(*here)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def one_stamp(sky, lon, lat):
    (planes,) = stamps(sky, np.array([lon]), np.array([lat]))
    return planes


def test_a_stamp_is_the_middle_of_the_patch_around_its_place():
    sky = sky_with(*scattered(5000))
    patch = cut_patch(sky, PatchFrame(*HERE))
    for n, plane, whole in zip(STAMP_PIXELS, one_stamp(sky, *HERE), patch.counts, strict=True):
        first = (len(whole) - n) // 2
        np.testing.assert_array_equal(plane, whole[first : first + n, first : first + n])
        assert STAMP_DEG / n == pytest.approx(10.0 / len(whole))
        assert plane.sum() > 500


def test_a_photon_north_and_east_of_the_place_lies_up_and_left():
    sky = sky_with(np.array([HERE[0] + 1.0]), np.array([HERE[1] + 1.0]))
    for plane in one_stamp(sky, *HERE):
        row, column = np.argwhere(plane == 1)[0]
        assert plane.sum() == 1
        assert row > len(plane) / 2 > column


def test_what_was_not_observed_is_minus_one():
    sky = sky_with(*scattered(2000), present=(2, 5), coverage=cone_mask(*HERE, 0.8))
    planes = one_stamp(sky, *HERE)
    assert [bool((plane >= 0).any()) for plane in planes] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    corner, middle = planes[5][0, 0], planes[5][20, 20]
    assert (corner, middle >= 0) == (-1, True)


def test_no_places_have_no_stamps():
    assert list(stamps(sky_with(*scattered(10)), np.zeros(0), np.zeros(0))) == []


def test_a_packed_stamp_is_unpacked_to_the_same_counts():
    planes = tuple(np.arange(n * n).reshape(n, n) - 1 for n in STAMP_PIXELS)
    octets = np.frombuffer(zlib.decompress(base64.b64decode(packed_stamp(planes))), np.uint8)
    half = octets.size // 2
    values = octets[:half].astype(int) + 256 * octets[half:].astype(int) - 1
    np.testing.assert_array_equal(values, np.concatenate([plane.ravel() for plane in planes]))


def years_of(*places, coverage=None):
    """A sky of photons year by year, the first one the fourth year of the mission."""
    layers = tuple(
        sky_with(*place, coverage=coverage, livetime_years=1.0, mission_year=3 + k)
        for k, place in enumerate(places)
    )
    lon, lat = (np.concatenate(parts) for parts in zip(*places, strict=True))
    return sky_with(lon, lat, coverage=coverage, years=layers)


def test_a_light_curve_counts_the_photons_of_the_circle_year_by_year():
    places = [scattered(3000, seed) for seed in (1, 2)]
    curves = light_curves(years_of(*places), np.array([HERE[0]]), np.array([HERE[1]]))
    assert curves.counts.shape == (1, 2)
    assert curves.lowest_mev == 1000.0
    np.testing.assert_allclose(curves.start_year, [2011.593, 2012.593])
    for year, place in enumerate(places):
        away = degrees_from(HERE, *place)
        ring = np.sum((away > RING_DEG[0]) & (away < RING_DEG[1]))
        scale = CIRCLE_DEG**2 / (RING_DEG[1] ** 2 - RING_DEG[0] ** 2)
        # pixels of 0.11 degrees blur the edge of the circle
        assert curves.counts[0, year] == pytest.approx(4 * np.sum(away < CIRCLE_DEG), rel=0.2)
        assert curves.background[0, year] == pytest.approx(4 * ring * scale, rel=0.1)


def test_years_of_unknown_epoch_have_no_calendar_year():
    place = scattered(10)
    sky = sky_with(*place, years=(sky_with(*place), sky_with(*place)))
    curves = light_curves(sky, np.zeros(1), np.zeros(1))
    assert np.isnan(curves.start_year).all()
    assert curves.counts.shape == (1, 2)


def test_at_the_edge_of_a_field_the_ring_is_scaled_by_what_of_it_was_seen():
    edge = cone_mask(HERE[0], HERE[1] + 2.0, 2.0)
    place = scattered(20000, within=4.0)
    inside = degrees_from((HERE[0], HERE[1] + 2.0), *place) < 2.0
    sky = years_of((place[0][inside], place[1][inside]), coverage=edge)
    curves = light_curves(sky, np.array([HERE[0]]), np.array([HERE[1]]))
    assert curves.background[0, 0] == pytest.approx(curves.counts[0, 0], rel=0.15)


def test_without_a_ring_there_is_no_background():
    sky = years_of(scattered(100, within=0.4), coverage=cone_mask(*HERE, 0.6))
    curves = light_curves(sky, np.array([HERE[0]]), np.array([HERE[1]]))
    assert curves.counts[0, 0] > 0
    assert np.isnan(curves.background).all()


def test_a_sky_without_times_has_no_light_curves():
    assert light_curves(sky_with(*scattered(10)), np.zeros(1), np.zeros(1)) is None


def test_no_places_have_light_curves_of_no_rows():
    curves = light_curves(years_of(scattered(10)), np.zeros(0), np.zeros(0))
    assert curves.counts.shape == curves.background.shape == (0, 1)
