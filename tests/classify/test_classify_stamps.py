"""Stamps hold the photons around a place, as astropy's projection has them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from classify_samples import sky_of_photons

from fermi_unek.classify.stamps import (
    Geometry,
    coverage_of,
    cut_stamps,
    geometry_of,
    years_by_layer,
)
from fermi_unek.errors import InputError
from fermi_unek.nets.classifier import ClassifierShape
from fermi_unek.sky.bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import BinCounts, SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat
from fermi_unek.sky.geometry.patches import photon_vectors
from fermi_unek.sky.layers import with_layers

SHAPE = ClassifierShape()
STAMPS = geometry_of(SHAPE)

PLACES = np.array([[40.0, 10.0], [359.9, -88.0]])


def photons_near(rng, lon, lat, number):
    vector = lonlat_to_vectors(np.array(lon), np.array(lat))
    scattered = vector + np.radians(2.0) * rng.normal(size=(number, 3))
    return scattered / np.linalg.norm(scattered, axis=1)[:, None]


@pytest.fixture(scope="module")
def sky():
    rng = np.random.default_rng(1)
    return sky_of_photons(
        [np.concatenate([photons_near(rng, *one, 3000) for one in PLACES]) for _ in range(N_BINS)]
    )


@pytest.mark.parametrize(
    "geometry", [STAMPS, Geometry(6, (1.0,) * N_BINS), Geometry(7, (1.1,) * N_BINS)]
)
def test_a_stamp_counts_what_astropy_projects_into_its_pixels(sky, geometry):
    stamps = cut_stamps([sky], lonlat_to_vectors(*PLACES.T), geometry)
    assert stamps.shape == (2, 1, N_BINS, geometry.pixels, geometry.pixels)
    n = geometry.pixels
    for i, (lon, lat) in enumerate(PLACES):
        for b in (0, 3, 5):
            wcs = WCS(naxis=2)
            wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
            wcs.wcs.crval, wcs.wcs.crpix = [lon, lat], [0.0, 0.0]
            step = geometry.sides_deg[b] / n
            wcs.wcs.cdelt = [-step, step]
            one = sky.bins[b]
            vectors = photon_vectors(one.order, one.pixels, one.counts).astype(float)
            near = vectors @ lonlat_to_vectors(np.array(lon), np.array(lat)) > 0.9
            x, y = wcs.wcs_world2pix(*vectors_to_lonlat(vectors[near]), 0)
            edges = np.arange(n + 1) - n / 2.0 - 1.0
            expected = np.histogram2d(y, x, [edges, edges])[0]
            # a photon on the border of two pixels may fall either way in single precision
            assert np.abs(stamps[i, 0, b] - expected).sum() <= 4
            assert stamps[i, 0, b].sum() > 50


def test_the_years_add_up_to_the_sky_without_years(sky):
    halves = []
    for part in (0, 1):
        bins = tuple(
            BinCounts(one.order, one.pixels[part::2], one.counts[part::2]) for one in sky.bins
        )
        halves.append(SkyCounts(bins))
    yearly = SkyCounts(sky.bins, years=tuple(halves))
    vectors = lonlat_to_vectors(*PLACES.T)
    stamps = cut_stamps(yearly.years, vectors, STAMPS)
    assert stamps.shape[1] == 2
    np.testing.assert_array_equal(stamps.sum(axis=1), cut_stamps([sky], vectors, STAMPS)[:, 0])


def test_an_absent_bin_is_empty_and_unobserved(sky):
    lacking = SkyCounts((None, *sky.bins[1:]))
    vectors = lonlat_to_vectors(*PLACES.T)
    stamps, covered = cut_stamps([lacking], vectors, STAMPS), coverage_of(lacking, vectors, STAMPS)
    assert not stamps[:, :, 0].any()
    assert not covered[:, 0].any()
    assert stamps[:, :, 1].any()
    assert covered[:, 1:].all()


def test_half_a_stamp_on_the_edge_of_a_field_is_observed():
    field = circle_coverage(50.0, 0.0, 10.0)
    bins = tuple(
        BinCounts(order, np.zeros(0, np.uint32), np.zeros(0, np.uint32), field)
        for order in NATIVE_ORDERS
    )
    assert field.shape == (12 * 4**COVERAGE_ORDER,)
    covered = coverage_of(
        SkyCounts(bins), lonlat_to_vectors(np.array([40.0]), np.array([0.0])), STAMPS
    )
    share = covered[0].mean(axis=(1, 2))
    np.testing.assert_allclose(share, 0.5, atol=0.1)


def test_no_candidate_makes_no_stamp(sky):
    assert cut_stamps([sky], np.zeros((0, 3)), STAMPS).shape == (0, 1, N_BINS, 12, 12)


@pytest.mark.parametrize(("pixels", "sides"), [(0, (1.0,) * 6), (6, (1.0,) * 5), (6, (0.0,) * 6)])
def test_stamps_without_pixels_or_size_are_refused(pixels, sides):
    with pytest.raises(InputError, match="expected at least one pixel"):
        Geometry(pixels, sides)


def test_layers_have_the_years_of_their_sum_and_none_where_one_lacks_a_year(sky):
    def layer(event_type, numbers):
        years = tuple(SkyCounts(sky.bins, event_type, 1.0, mission_year=n) for n in numbers)
        return SkyCounts(sky.bins, event_type, 3.0, years)

    both = with_layers([layer("front", (0, 2)), layer("back", (0, 1, 2))])
    front, back = years_by_layer(both)
    assert [year and year.mission_year for year in front] == [0, None, 2]
    assert [year.mission_year for year in back] == [0, 1, 2]
    vectors = lonlat_to_vectors(*PLACES.T)
    stamps = cut_stamps(front, vectors, STAMPS)
    assert not stamps[:, 1].any()
    alone = cut_stamps([sky], vectors, STAMPS)
    assert float(stamps[:, 2].sum()) == pytest.approx(float(alone.sum()), rel=0.01)
    assert years_by_layer(sky) == [(sky,)]
    timeless = SkyCounts(sky.bins, layers=both.layers)
    assert years_by_layer(timeless) == [(layer,) for layer in both.layers]
