"""The same photons as coarser count files would hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from .bins import N_BINS
from .counts import BinCounts, Pixels, SkyCounts, bin_from_pixels


def counted_in_orders(sky: SkyCounts, orders: Sequence[int], rng: np.random.Generator) -> SkyCounts:
    """The sky as it would be read from HEALPIX count files of some orders.

    Each photon is moved to a random place of the pixel of that order it lies in. Orders finer
    than what the sky is kept in change nothing. Years are left out.

    Parameters
    ----------
    sky : SkyCounts
    orders : six int
    rng : Generator

    Raises
    ------
    InputError
        When the orders are not six.
    """
    if len(orders) != N_BINS:
        raise InputError(f"got {len(orders)} orders, expected {N_BINS}")
    bins = [
        None if counts is None else _moved(index, counts, orders[index], rng)
        for index, counts in enumerate(sky.bins)
    ]
    counted_in = tuple(
        Pixels() if counts is None else Pixels.of_order(order)
        for counts, order in zip(sky.bins, orders, strict=True)
    )
    return replace(sky, bins=tuple(bins), years=(), counted_in=counted_in)


def _moved(index: int, counts: BinCounts, order: int, rng: np.random.Generator) -> BinCounts:
    levels = np.uint32(2 * (counts.order - order))
    if counts.order <= order:
        return counts
    photons = np.repeat(counts.pixels, counts.counts) >> levels << levels
    photons |= rng.integers(0, 1 << int(levels), photons.size, dtype=np.uint32)
    return bin_from_pixels(index, photons, counts.coverage)
