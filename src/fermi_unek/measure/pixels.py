"""The pixels in which the likelihood is computed: HEALPIX, and what was counted in each.

The counts of a sky are kept in finer HEALPIX pixels than the likelihood needs. Coarser ones of
the same scheme are sums of them, so that nothing is resampled, and a whole sky needs no seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import healpy as hp
import numpy as np

from ..sky.binning import orders_by_energy
from ..sky.bins import COVERAGE_ORDER
from ..sky.counts import BinCounts, SkyCounts

PIXEL_ORDERS = orders_by_energy(8, 8, 9, 10, 10, 11)
"""Finest HEALPIX order per energy bin: 0.23, 0.11, 0.057 and 0.029 deg, a third of the PSF."""

CHILD_ORDERS = orders_by_energy(9, 9, 10, 12, 12, 13)
"""Order at which the PSF is averaged over a pixel close to a source."""

_MOST_LEVELS = 4  # between the two, where the input's pixels are very coarse


@dataclass(frozen=True)
class BinPixels:
    """Observed pixels of one energy bin on part of the sky.

    Attributes
    ----------
    index : int
        Which energy bin.
    order : int
        HEALPIX order.
    pixels : int array (P,)
        NESTED Galactic, increasing.
    vectors : array (P, 3)
        Galactic unit vectors of their centres.
    """

    index: int
    order: int
    pixels: np.ndarray
    vectors: np.ndarray

    @property
    def area_sr(self) -> float:
        """Solid angle of each pixel, sr."""
        return hp.nside2pixarea(2**self.order)

    @property
    def size_deg(self) -> float:
        """Side of a pixel, degrees."""
        return float(np.degrees(np.sqrt(self.area_sr)))

    def select(self, keep: np.ndarray) -> BinPixels:
        """The pixels of an index array or mask."""
        return BinPixels(self.index, self.order, self.pixels[keep], self.vectors[keep])

    def within(self, centre: np.ndarray, radius_deg: float) -> np.ndarray:
        """Indices of the pixels whose centres lie within a radius of a unit vector."""
        return np.flatnonzero(self.vectors @ centre >= np.cos(np.radians(radius_deg)))

    def children(self, which: np.ndarray) -> np.ndarray:
        """Vectors (n, children, 3) of evenly spread points inside some of the pixels."""
        levels = min(CHILD_ORDERS[self.index] - self.order, _MOST_LEVELS)
        inside = (self.pixels[which, None] << 2 * levels) + np.arange(1 << 2 * levels)
        nside = 2 ** (self.order + levels)
        return np.stack(hp.pix2vec(nside, inside, nest=True), axis=-1)


def _whole(counts: BinCounts, order: int, pixels: np.ndarray) -> np.ndarray:
    """Whether all of each pixel lies in the coverage of a bin."""
    if counts.coverage is None:
        return np.ones(len(pixels), dtype=bool)
    levels = 2 * (COVERAGE_ORDER - order)
    if levels <= 0:
        return counts.coverage[pixels >> -levels]
    return counts.coverage[(pixels[:, None] << levels) + np.arange(1 << levels)].all(axis=1)


class PixelCounts:
    """Counts of a sky in the pixels of the likelihood.

    The pixels are those of `PIXEL_ORDERS`, or those the photons were counted in before they were
    handed in where these are coarser: where in such a pixel a photon fell is not known, and what a
    reader made up for it must not be taken for the PSF.

    Attributes
    ----------
    orders : tuple of six int
        HEALPIX orders.
    blur_deg : array (6,)
        Side of the pixels of inputs that are not Galactic HEALPIX, which act like a wider PSF.
    """

    def __init__(self, sky: SkyCounts) -> None:
        self.sky = sky
        coarse = [pixels.galactic_order for pixels in sky.counted_in]
        self.orders = tuple(
            order if limit is None else min(order, limit)
            for order, limit in zip(PIXEL_ORDERS, coarse, strict=True)
        )
        self.blur_deg = np.array(
            [p.side_deg if p.galactic_order is None else 0.0 for p in sky.counted_in]
        )

    @cached_property
    def _bins(self) -> list[tuple[np.ndarray, np.ndarray]]:
        pairs = zip(self.sky.bins, self.orders, strict=True)
        return [_coarser(counts, order) for counts, order in pairs]

    def pixels(self, index: int, centre: np.ndarray, radius_deg: float) -> BinPixels:
        """Pixels of a bin in a disc that were observed whole; none where the bin is absent."""
        order, counts = self.orders[index], self.sky.bins[index]
        pixels = np.zeros(0, np.int64)
        if counts is not None:
            pixels = np.sort(hp.query_disc(2**order, centre, np.radians(radius_deg), nest=True))
            pixels = pixels[_whole(counts, order, pixels)]
        vectors = np.stack(hp.pix2vec(2**order, pixels, nest=True), axis=-1)
        return BinPixels(index, order, pixels, vectors)

    def at(self, pixels: BinPixels) -> np.ndarray:
        """Photons, float (P,), in each pixel."""
        occupied, counts = self._bins[pixels.index]
        if not len(occupied):
            return np.zeros(len(pixels.pixels))
        place = np.minimum(np.searchsorted(occupied, pixels.pixels), len(occupied) - 1)
        return np.where(occupied[place] == pixels.pixels, counts[place], 0.0)


def _coarser(counts: BinCounts | None, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Occupied pixels of an order, and the photons in each."""
    if counts is None or not len(counts.pixels):
        return np.zeros(0, np.int64), np.zeros(0)
    parents = counts.pixels.astype(np.int64) >> 2 * (counts.order - order)
    starts = np.flatnonzero(np.concatenate([[True], parents[1:] != parents[:-1]]))
    return parents[starts], np.add.reduceat(counts.counts.astype(float), starts)
