"""The diffuse template and how it is cut into patches."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest

from fermi_unek.diffuse.template import SkyTemplate, template_from_maps
from fermi_unek.errors import InputError
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors

FRAME = PatchFrame(123.0, -37.0, 28.0)


def gradient_maps(nside: int = 256) -> np.ndarray:
    """Six smooth maps, each with a slope of its own along the poles."""
    z = hp.pix2vec(nside, np.arange(hp.nside2npix(nside)), nest=True)[2]
    return np.stack([3.0 + (b + 1) * 0.3 * z for b in range(N_BINS)])


def test_a_patch_of_a_template_is_the_sky_at_the_centres_of_its_pixels():
    planes = template_from_maps(gradient_maps()).cut(FRAME)
    for b, (plane, n) in enumerate(zip(planes, BINNING.template_pixels, strict=True)):
        assert plane.shape == (n, n)
        assert plane.dtype == np.float32
        z = FRAME.pixel_vectors(n)[..., 2]
        np.testing.assert_allclose(plane, 1.0 + (b + 1) * 0.1 * z, rtol=2e-3)


def test_a_bright_cloud_lies_where_the_frame_puts_it():
    place = lonlat_to_vectors(np.array(124.5), np.array(-38.0))
    maps = np.ones((N_BINS, hp.nside2npix(256)))
    maps[:, hp.query_disc(256, place, np.radians(1.0), nest=True)] = 9.0
    for plane, n in zip(template_from_maps(maps).cut(FRAME), BINNING.template_pixels, strict=True):
        x, y = FRAME.project(place[None], n)
        rows, columns = np.nonzero(plane > 0.5 * plane.max())
        assert abs(columns.mean() - x[0]) < 0.5
        assert abs(rows.mean() - y[0]) < 0.5


def test_the_level_of_the_maps_is_left_out_and_each_bin_has_a_mean_of_one():
    levels = np.array([1e8, 1e5, 1e3, 1.0, 1e-3, 1e-6])[:, None]
    plain = template_from_maps(gradient_maps()).maps
    scaled = template_from_maps(levels * gradient_maps()).maps
    for one, other, nside in zip(plain, scaled, BINNING.template_nsides, strict=True):
        assert one.shape == (hp.nside2npix(nside),)
        np.testing.assert_allclose(one, other, rtol=2e-3)
        assert one.astype(float).mean() == pytest.approx(1.0, rel=1e-3)


def test_a_template_is_never_finer_than_the_counts():
    assert all(t <= n for t, n in zip(BINNING.template_pixels, NATIVE_PIXELS, strict=True))


def test_maps_of_another_size_are_refused():
    with pytest.raises(InputError, match="maps of a template have shapes"):
        SkyTemplate(tuple(np.ones(12) for _ in range(N_BINS)))
