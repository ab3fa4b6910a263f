"""Moving counts between HEALPIX orders and frames without leaving a pattern.

Counts that go to finer pixels, or to pixels of another frame, are spread: each photon gets a
random place inside the pixel it came from. Numbers stay whole and none is lost; going to coarser
pixels of the same frame is an exact sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import healpy as hp
import numpy as np

from ..io.parts import PixelCounts

_CHUNK = 1_000_000
_FINER = 4  # orders below a pixel at which a random place in it is drawn: 1/16 of its side


def transfer(
    pixels: np.ndarray,
    counts: np.ndarray,
    order_from: int,
    order_to: int,
    rng: np.random.Generator,
    rotation: np.ndarray | None = None,
) -> Iterator[PixelCounts]:
    """Counts of nested pixels as counts of nested pixels of another order or frame.

    Parameters
    ----------
    pixels, counts : integer arrays (N,)
    order_from, order_to : int
    rng : numpy Generator
        Draws the place of each photon; not used when pixels of one frame become coarser.
    rotation : array (3, 3) or None
        New vector = rotation @ old vector; None when the frame stays.

    Yields
    ------
    pixels, counts : uint32 arrays
        Pieces of about a million photons; pixels in any order, perhaps repeated.
    """
    filled = np.flatnonzero(counts)
    pixels, counts = pixels[filled], counts[filled]
    if rotation is None and order_to <= order_from:
        if len(pixels):
            shifted = np.asarray(pixels, np.int64) >> 2 * (order_from - order_to)
            yield shifted.astype(np.uint32), counts.astype(np.uint32)
        return
    for photons in repeat_pixels(pixels, counts):
        if rotation is None:
            levels = 2 * (order_to - order_from)
            places = photons << levels | rng.integers(0, 1 << levels, len(photons))
        else:
            vectors = places_in_pixels(photons, order_from, max(order_from, order_to), rng)
            places = hp.vec2pix(2**order_to, *(vectors @ rotation.T).T, nest=True)
        yield places.astype(np.uint32), np.ones(len(places), np.uint32)


def repeat_pixels(pixels: np.ndarray, counts: np.ndarray) -> Iterator[np.ndarray]:
    """One int64 pixel a photon, about a million photons at a time, those of a pixel together."""
    ends = np.cumsum(counts, dtype=np.int64)
    if not len(ends) or not ends[-1]:
        return
    cuts = np.searchsorted(ends, np.arange(_CHUNK, ends[-1], _CHUNK)) + 1
    for start, stop in pairwise(np.unique([0, *cuts, len(ends)]).tolist()):
        yield np.repeat(pixels[start:stop].astype(np.int64), counts[start:stop])


def places_in_pixels(
    photons: np.ndarray, order: int, finest: int, rng: np.random.Generator
) -> np.ndarray:
    """Unit vectors (N, 3) of random places in nested pixels (N,), int64, of an order.

    Places are pixel centres four orders below `finest`, far finer than what they are used for.
    """
    levels = 2 * (min(29, finest + _FINER) - order)
    sub = photons << levels | rng.integers(0, 1 << levels, len(photons))
    return np.stack(hp.pix2vec(2 ** (order + levels // 2), sub, nest=True), axis=-1)
