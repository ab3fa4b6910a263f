"""Patches hold the photons of their square, all of them and each where it belongs."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from astropy.wcs import WCS
from sky_samples import random_vectors, sky_of, vectors_near

from fermi_unek.errors import InputError
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS, NATIVE_PIXELS
from fermi_unek.sky.counts import BinCounts, SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.grid import covering_grid, owner, sky_grid
from fermi_unek.sky.geometry.patches import (
    Patch,
    PatchCutter,
    cut_patch,
    photon_vectors,
    pixel_histogram,
)
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.writers import write_healpix_counts, write_wcs_counts

FRAMES = [
    PatchFrame(0.0, 0.0),
    PatchFrame(359.0, 12.0, 33.0),
    PatchFrame(77.0, 90.0),
    PatchFrame(200.0, -87.0, 120.0),
]


def own_total(sky: SkyCounts, grid: tuple[PatchFrame, ...]) -> np.ndarray:
    """Sum over the patches of the photons each owns, as cut from the sky, (6,)."""
    owned: list[np.ndarray] = []
    for one in sky.bins:
        assert one is not None
        vectors = np.stack(hp.pix2vec(2**one.order, one.pixels.astype(int), nest=True), axis=-1)
        owned.append(owner(grid, vectors))
    total = np.zeros(N_BINS)
    for index in np.unique(np.concatenate(owned)):
        bins = []
        for one, mine in zip(sky.bins, owned, strict=True):
            assert one is not None
            keep = mine == index
            bins.append(BinCounts(one.order, one.pixels[keep], one.counts[keep], one.coverage))
        patch = cut_patch(SkyCounts(tuple(bins)), grid[index])
        total += [plane.sum() for plane in patch.counts]
    return total


@pytest.mark.parametrize("frame", FRAMES)
def test_a_patch_holds_what_astropy_puts_into_its_pixels(frame):
    rng = np.random.default_rng(1)
    lon, lat = frame.lon_deg, frame.lat_deg
    sky = sky_of(np.concatenate([vectors_near(rng, 3000, lon, lat, 5.0), np.eye(3), -np.eye(3)]))
    patch = cut_patch(sky, frame)
    for index, n in enumerate(NATIVE_PIXELS):
        one = sky.bins[index]
        vectors = photon_vectors(one.order, one.pixels, one.counts)
        x, y = frame.wcs(n).wcs_world2pix(*hp.vec2ang(vectors.astype(float), lonlat=True), 0)
        x, y = x[vectors @ frame.axes[2] > 0.5], y[vectors @ frame.axes[2] > 0.5]
        edges = np.arange(n + 1) - 0.5
        expected = np.histogram2d(y, x, bins=(edges, edges))[0]
        # single precision may move a photon on the border of two pixels
        assert np.abs(patch.counts[index] - expected).sum() <= 4
        assert patch.counts[index].sum() > 500


def test_photons_lie_inside_their_pixels_and_no_two_of_a_pixel_alike():
    pixels, counts = np.array([5, 17, 400], np.uint32), np.array([1, 40, 3], np.uint32)
    vectors = photon_vectors(10, pixels, counts)
    found = hp.vec2pix(2**10, *vectors.T.astype(float), nest=True)
    assert np.array_equal(found, np.repeat(pixels, counts))
    assert len(np.unique(vectors, axis=0)) == counts.sum()


def test_photons_of_a_patch_are_the_same_with_and_without_cache():
    sky = sky_of(random_vectors(np.random.default_rng(2), 30_000))
    cutter = PatchCutter(sky)
    for frame in FRAMES:
        for kept, fresh in zip(cutter.cut(frame).counts, cut_patch(sky, frame).counts, strict=True):
            assert np.array_equal(kept, fresh)


def test_the_pixels_of_an_even_sky_leave_no_pattern_beyond_the_noise():
    # every HEALPIX pixel of the field holds one photon: a lattice, which would show as stripes
    frame = PatchFrame(10.0, 0.0)
    order, n = NATIVE_ORDERS[0], NATIVE_PIXELS[0]
    pixels = hp.query_disc(2**order, frame.axes[2], np.radians(8.0), nest=True)
    vectors = photon_vectors(order, np.sort(pixels), np.ones(len(pixels), int))
    expected = frame.solid_angle_sr(n) / hp.nside2pixarea(2**order)
    excess = pixel_histogram(frame, vectors, None, n) / expected - 1.0
    wave = np.abs(np.fft.fft2(excess - excess.mean())).max() / n**2
    assert abs(excess.mean()) < 0.002
    assert excess.std() < 0.08  # Poisson noise would be 0.18
    assert wave < 0.01  # pixel centres give 0.03


def test_weights_are_summed():
    frame = PatchFrame(10.0, 20.0)
    plane = pixel_histogram(frame, frame.axes[2:].repeat(2, axis=0), np.array([1.5, 2.0]), 33)
    assert plane[16, 16] == 3.5
    assert plane.sum() == 3.5


def test_a_patch_without_photons_is_all_zero():
    sky = sky_of(vectors_near(np.random.default_rng(0), 10, 0.0, 0.0, 0.1))
    for plane in cut_patch(sky, PatchFrame(90.0, 45.0)).counts:
        assert not plane.any()
        assert plane.dtype == np.float32


def test_an_absent_bin_is_masked_and_an_observed_one_is_not():
    patch = cut_patch(sky_of(np.eye(3), present=range(2, 6)), PatchFrame(3.0, 3.0))
    assert [mask.any() for mask in patch.mask] == [False, False, True, True, True, True]
    assert [mask.all() for mask in patch.mask] == [False, False, True, True, True, True]
    assert not patch.counts[0].any()


def test_the_mask_is_the_coverage_at_pixel_centres():
    frame = PatchFrame(30.0, 10.0)
    sky = sky_of(np.eye(3), coverage=circle_coverage(32.0, 10.0, 3.0))
    for mask, n in zip(cut_patch(sky, frame).mask, NATIVE_PIXELS, strict=True):
        centre = lonlat_to_vectors(np.array(32.0), np.array(10.0))
        angle = np.degrees(np.arccos(np.clip(frame.pixel_vectors(n) @ centre, -1, 1)))
        # the mask is made of pixels of 0.11 degrees
        assert mask[angle < 2.9].all()
        assert not mask[angle > 3.1].any()


def test_a_patch_of_wrong_shape_is_an_error():
    patch = cut_patch(sky_of(np.eye(3)), PatchFrame(0.0, 0.0))
    with pytest.raises(InputError, match="counts of a patch"):
        Patch(patch.frame, patch.counts[:5], patch.mask)
    with pytest.raises(InputError, match="mask of a patch"):
        Patch(patch.frame, patch.counts, patch.mask[::-1])


def test_the_patches_own_photons_add_up_to_the_whole_sky_with_poles_and_longitude_zero():
    rng = np.random.default_rng(3)
    places = [(0.0, 0.0), (0.0, 90.0), (0.0, -90.0), (180.0, 3.9), (0.0, 45.0)]
    near = [vectors_near(rng, 500, lon, lat, 3.0) for lon, lat in places]
    sky = sky_of(np.concatenate([random_vectors(rng, 2000), *near]))
    assert np.array_equal(own_total(sky, sky_grid()), sky.totals)


def test_counts_of_a_healpix_file_are_conserved_through_reading_and_cutting(tmp_path):
    rng = np.random.default_rng(4)
    sky = sky_of(random_vectors(rng, 1200))
    files = write_healpix_counts(sky, tmp_path / "a.fits", 6, rng=rng, ordering="RING")
    read = read_sky(files, rng=rng)
    assert np.array_equal(read.totals, sky.totals)
    assert np.array_equal(own_total(read, covering_grid(read.coverage)), sky.totals)


@pytest.mark.parametrize("lat", [0.0, 90.0])
def test_counts_of_a_wcs_file_are_conserved_through_reading_and_cutting(tmp_path, lat):
    rng = np.random.default_rng(6)
    sky = sky_of(vectors_near(rng, 1500, 0.0, lat, 2.0))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-STG", "GLAT-STG"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [0.0, lat], [100.5, 100.5], [-0.2, 0.2]
    path = write_wcs_counts(sky, tmp_path / "a.fits", wcs, (200, 200), rng=rng)
    read = read_sky(path, rng=rng)
    assert np.array_equal(read.totals, sky.totals)
    assert np.array_equal(own_total(read, covering_grid(read.coverage)), sky.totals)


def test_a_bright_source_keeps_all_its_photons_on_its_way_across_a_border():
    rng = np.random.default_rng(7)
    grid = sky_grid()
    start = min(grid, key=lambda frame: abs(frame.lat_deg - 3.9))
    owners = set()
    for step in np.arange(0.0, 9.0, 0.05):
        lon, lat = start.lon_deg + step, start.lat_deg - 0.3 * step
        place = lonlat_to_vectors(np.array([lon]), np.array([lat]))
        sky = sky_of(vectors_near(rng, 200, lon, lat, 0.1), present=range(5, 6))
        index = int(owner(grid, place)[0])
        owners.add(index)
        plane = cut_patch(sky, grid[index]).counts[5]
        assert plane.sum() == 200
        # and they lie where the source is: unbiased, with integer pixel centres
        x, y = grid[index].project(place, 128)
        rows, columns = np.mgrid[:128, :128]
        assert abs((plane * columns).sum() / 200 - x[0]) < 0.5
        assert abs((plane * rows).sum() / 200 - y[0]) < 0.5
    assert len(owners) >= 2


def test_centroids_in_a_patch_are_unbiased():
    rng = np.random.default_rng(8)
    frame = PatchFrame(40.0, 30.0, 20.0)
    place = frame.unproject(np.array([70.3]), np.array([41.8]), 128)
    lon, lat = (float(v[0]) for v in hp.vec2ang(place, lonlat=True))
    plane = cut_patch(sky_of(vectors_near(rng, 40_000, lon, lat, 0.2)), frame).counts[5]
    rows, columns = np.mgrid[:128, :128]
    assert (plane * columns).sum() / plane.sum() == pytest.approx(70.3, abs=0.05)
    assert (plane * rows).sum() / plane.sum() == pytest.approx(41.8, abs=0.05)
