"""Narrow bins of energy, in which a likelihood compares photons."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from sky_samples import write_ccube, write_ft1

from fermi_unek.sky.bins import LIKELIHOOD_EDGES_MEV, MISSION_START_MET, YEAR_S
from fermi_unek.sky.io.readers import read_sky

pytestmark = pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")


def read(paths, **options):
    return read_sky(paths, rng=np.random.default_rng(1), fine=True, **options)


def photons(path, number=3000, seed=0):
    rng = np.random.default_rng(seed)
    energy = 10 ** rng.uniform(2, 6, number)
    lon, lat = rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    time = MISSION_START_MET + YEAR_S * rng.uniform(0, 2, number)
    return energy, write_ft1(path, lon, lat, energy, time=time)


def test_photons_are_counted_in_narrow_bins_year_by_year(tmp_path):
    energy, path = photons(tmp_path / "a.fits")
    sky = read(path, yearly=True)
    expected = np.histogram(energy.astype(np.float32), LIKELIHOOD_EDGES_MEV)[0].tolist()
    assert [of_bin.counts.total for of_bin in sky.fine] == expected
    spans = np.array([of_bin.energies_mev for of_bin in sky.fine])
    np.testing.assert_allclose(spans, np.stack([LIKELIHOOD_EDGES_MEV[:-1],
                                                LIKELIHOOD_EDGES_MEV[1:]], 1))  # fmt: skip
    years = [[of_bin.counts.total for of_bin in year.fine] for year in sky.years]
    assert np.sum(years, axis=0).tolist() == expected
    assert len(years) == 2


def test_nobody_gets_narrow_bins_who_did_not_ask(tmp_path):
    _, path = photons(tmp_path / "a.fits")
    assert read_sky(path, rng=np.random.default_rng(1)).fine == ()


def test_files_of_the_same_energies_are_added_up(tmp_path):
    paths = [photons(tmp_path / f"{seed}.fits", 500, seed)[1] for seed in (1, 2)]
    together, first, second = read(paths), read(paths[0]), read(paths[1])
    for both, one, other in zip(together.fine, first.fine, second.fine, strict=True):
        assert both.counts.total == one.counts.total + other.counts.total


def test_a_cube_keeps_its_channels_and_what_networks_see(tmp_path):
    edges = np.geomspace(300.0, 1e5, 13)
    data = np.random.default_rng(3).poisson(0.4, (12, 20, 20)).astype(np.int32)
    path = write_ccube(tmp_path / "c.fits", data, np.stack([edges[:-1], edges[1:]], 1))
    sky = read(path)
    assert [of_bin.counts.total for of_bin in sky.fine] == data.sum(axis=(1, 2)).tolist()
    plain = read_sky(path, rng=np.random.default_rng(1))
    for one, other in zip(sky.bins, plain.bins, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_photons_of_an_image_stay_in_the_middle_of_its_pixels_above_one_gev(tmp_path):
    edges = np.array([500.0, 1000.0, 2000.0])
    data = np.zeros((2, 21, 21), np.int32)
    data[:, 10, 10] = 50
    path = write_ccube(tmp_path / "c.fits", data, np.stack([edges[:-1], edges[1:]], 1))
    low, high = read(path).fine
    assert (low.centered, high.centered) == (False, True)
    assert len(low.counts.pixels) > 10
    place = hp.pix2ang(2**high.counts.order, int(high.counts.pixels[0]), nest=True, lonlat=True)
    assert len(high.counts.pixels) == 1
    assert np.hypot(place[0] - 30.0, place[1]) < 0.1
