"""`YearlyCutter` against one `PatchCutter` for each year."""

from __future__ import annotations

from dataclasses import replace

import healpy as hp
import numpy as np
import pytest

from fermi_unek.errors import InputError
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.frame import PatchFrame
from fermi_unek.sky.geometry.patches import PatchCutter
from fermi_unek.sky.yearly import YearlyCutter


def layer(seed: int, photons: int = 40_000) -> SkyCounts:
    """Photons near (80, 30), Galactic."""
    rng = np.random.default_rng(seed)
    bins = []
    for index in range(N_BINS):
        lon, lat = 80.0 + 8.0 * rng.standard_normal(photons), 30.0 + 7.0 * rng.random(photons)
        pixels = hp.ang2pix(2 ** NATIVE_ORDERS[index], lon % 360.0, lat, nest=True, lonlat=True)
        bins.append(bin_from_pixels(index, pixels))
    return SkyCounts(tuple(bins), livetime_years=1.0)


def test_each_year_is_cut_as_it_is_cut_by_itself():
    layers = (layer(0), layer(1, 100), layer(2))
    cutter = YearlyCutter(replace(layers[0], years=layers))
    for frame in (PatchFrame(80.0, 33.0, 30.0), PatchFrame(86.0, 37.0, 200.0)):
        together = cutter.cut(frame)
        for year, one in enumerate(layers):
            alone = PatchCutter(one).cut(frame)
            for ours, theirs in zip(together, alone.counts, strict=True):
                np.testing.assert_array_equal(ours[year], theirs)
    assert together[0].shape == (3, 32, 32)


def test_a_patch_without_photons_is_empty():
    layers = (layer(0), layer(1))
    for counts in YearlyCutter(replace(layers[0], years=layers)).cut(PatchFrame(250.0, -60.0)):
        assert counts.shape[0] == 2
        assert not counts.any()


def test_a_sky_without_years_or_with_an_absent_bin_is_refused():
    one = layer(0)
    absent = replace(one, bins=(None, *one.bins[1:]))
    for sky in (one, replace(one, years=(absent,))):
        with pytest.raises(InputError, match="cannot be cut year by year"):
            YearlyCutter(sky)
