"""Photons of a fine sky can be held as coarser count files would."""

import healpy as hp
import numpy as np
import pytest

from fermi_unek.errors import InputError
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.recount import counted_in_orders

ORDERS = (7, 7, 8, 9, 10, 12)


@pytest.fixture
def fine():
    rng = np.random.default_rng(4)
    bins = [
        bin_from_pixels(b, rng.integers(0, 12 * 4 ** NATIVE_ORDERS[b], 500)) for b in range(N_BINS)
    ]
    return SkyCounts((None, *bins[1:]), livetime_years=2.0)


def test_photons_stay_in_their_coarse_pixel_and_none_is_lost(fine):
    coarse = counted_in_orders(fine, ORDERS, np.random.default_rng(1))
    assert coarse.bins[0] is None
    for b in range(1, N_BINS):
        shift = 2 * (NATIVE_ORDERS[b] - ORDERS[b])
        lists = [
            np.sort(np.repeat(s.bins[b].pixels, s.bins[b].counts) >> shift) for s in (fine, coarse)
        ]
        assert np.array_equal(*lists)
    assert not np.array_equal(fine.bins[3].pixels, coarse.bins[3].pixels)
    assert np.array_equal(fine.bins[5].pixels, coarse.bins[5].pixels)
    assert coarse.livetime_years == 2.0


def test_places_in_a_pixel_are_even(fine):
    one = bin_from_pixels(3, np.zeros(4000, int))
    sky = SkyCounts((None, None, None, one, None, None))
    moved = counted_in_orders(sky, ORDERS, np.random.default_rng(2)).bins[3]
    quarter = moved.pixels >> (2 * (12 - 9) - 2)
    counts = np.bincount(quarter, moved.counts)
    assert len(counts) == 4
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(750))


def test_the_sky_says_in_which_pixels_it_was_counted(fine):
    coarse = counted_in_orders(fine, ORDERS, np.random.default_rng(1))
    for order, pixels, counts in zip(ORDERS, coarse.counted_in, coarse.bins, strict=True):
        if counts is not None:
            side = hp.nside2resol(2**order, arcmin=True) / 60.0
            assert (pixels.galactic_order, pixels.side_deg) == (order, pytest.approx(side))


def test_five_orders_are_refused(fine):
    with pytest.raises(InputError, match="got 5 orders, expected 6"):
        counted_in_orders(fine, ORDERS[:5], np.random.default_rng(1))
