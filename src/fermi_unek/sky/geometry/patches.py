"""Cutting patches out of a sky."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import healpy as hp
import numpy as np

from ...errors import InputError
from ...parallel import in_threads
from ..bins import COVERAGE_ORDER, NATIVE_PIXELS, PATCH_DEG
from ..counts import BinCounts, SkyCounts
from .frame import PatchFrame
from .resample import repeat_pixels

CELL_ORDER = 6  # cells of 0.92 deg: few enough to select quickly, little outside the patch


@dataclass(frozen=True)
class Patch:
    """Photons of one 10 x 10 degree square in its native pixels.

    Attributes
    ----------
    frame : PatchFrame
    counts : tuple of six float32 arrays (n_b, n_b)
        Photons per pixel [row, column], ``n_b = NATIVE_PIXELS[b]``; whole numbers, zero where
        the bin is absent. At a ragged edge of the field a pixel off the mask may hold photons.
    mask : tuple of six bool arrays (n_b, n_b)
        Whether the centre of the pixel was observed; False everywhere where the bin is absent.
    """

    frame: PatchFrame
    counts: tuple[np.ndarray, ...]
    mask: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        expected = tuple((n, n) for n in NATIVE_PIXELS)
        for name, planes in (("counts", self.counts), ("mask", self.mask)):
            shapes = tuple(plane.shape for plane in planes)
            if shapes != expected:
                raise InputError(f"{name} of a patch have shapes {shapes}, expected {expected}")


class PatchCutter:
    """Cuts any number of patches from one sky.

    A sky is sorted by nested HEALPIX index, so that a patch is a handful of slices of it: the
    HEALPIX cells of about one degree that the square touches. Every photon has a fixed place of
    its own inside its HEALPIX pixel, far smaller than the pixels of a patch: were all at the
    centre, each patch pixel would hold seven percent more or less than its share, in stripes.

    Parameters
    ----------
    sky : SkyCounts
    cache : bool
        Keep the float32 unit vector (0.02 arcsec) of every photon, 12 bytes each (0.6 GB for ten
        years of the whole sky), instead of computing those of a patch when it is cut.
    within_deg : float
        Half the side of the square in the middle of the patch for which photons are wanted;
        further out some may be left away. Small squares are cut faster.
    """

    def __init__(
        self, sky: SkyCounts, *, cache: bool = True, within_deg: float = PATCH_DEG / 2.0
    ) -> None:
        self.sky = sky
        self._within_deg = within_deg
        self._bins = in_threads(lambda b: None if b is None else _BinPhotons(b, cache), sky.bins)

    def cut(self, frame: PatchFrame) -> Patch:
        """The photons of one frame."""
        runs = cell_runs(frame, self._within_deg)
        counts, masks = [], []
        known: dict[tuple[int, int], np.ndarray] = {}
        for n, photons, bin_counts in zip(NATIVE_PIXELS, self._bins, self.sky.bins, strict=True):
            if photons is None or bin_counts is None:
                counts.append(np.zeros((n, n), dtype=np.float32))
                masks.append(np.zeros((n, n), dtype=bool))
                continue
            counts.append(pixel_histogram(frame, photons.vectors(runs), None, n))
            key = (n, id(bin_counts.coverage))
            if key not in known:
                known[key] = observed_pixels(bin_counts.coverage, frame, n)
            masks.append(known[key])
        return Patch(frame, tuple(counts), tuple(masks))


def cell_runs(frame: PatchFrame, within_deg: float = PATCH_DEG / 2.0) -> np.ndarray:
    """Runs (R, 2) of consecutive cells of order `CELL_ORDER`, [first, last), that a square touches.

    The square is the middle of the frame out to `within_deg` along its sides.
    """
    reach = np.radians(within_deg) + 1.05 * hp.max_pixrad(2**CELL_ORDER)
    cells = _cell_vectors()
    near = np.flatnonzero(cells @ frame.axes[2] > np.cos(2.0**0.5 * reach))
    column, row, depth = (cells[near] @ frame.axes.T).T
    near = near[np.maximum(np.abs(column), np.abs(row)) < reach * depth]
    breaks = np.flatnonzero(np.diff(near) != 1) + 1
    firsts = near[np.concatenate([[0], breaks])]
    lasts = near[np.concatenate([breaks - 1, [len(near) - 1]])] + 1
    return np.stack([firsts, lasts], axis=-1)


@lru_cache(maxsize=1)
def _cell_vectors() -> np.ndarray:
    nside = 2**CELL_ORDER
    return np.stack(hp.pix2vec(nside, np.arange(12 * nside**2), nest=True), axis=-1)


class _BinPhotons:
    """Unit vectors of the photons of one energy bin, by cells of the sky."""

    def __init__(self, counts: BinCounts, cache: bool) -> None:
        self._counts = counts
        edges = np.arange(12 * 4**CELL_ORDER + 1, dtype=np.int64)
        edges <<= 2 * (counts.order - CELL_ORDER)
        # where each cell begins in the list of occupied pixels
        self._starts = np.searchsorted(counts.pixels, edges.astype(np.uint32))
        self._vectors: np.ndarray | None = None
        if cache:
            self._vectors = photon_vectors(counts.order, counts.pixels, counts.counts)
            photons_before = np.concatenate([[0], np.cumsum(counts.counts, dtype=np.int64)])
            self._starts = photons_before[self._starts]

    def vectors(self, runs: np.ndarray) -> np.ndarray:
        """Float32 (N, 3) of the photons in runs of cells."""
        slices = [slice(a, b) for a, b in self._starts[runs].tolist() if b > a]
        if not slices:
            return np.zeros((0, 3), dtype=np.float32)
        if self._vectors is not None:
            return np.concatenate([self._vectors[s] for s in slices])
        one = self._counts
        pixels = np.concatenate([one.pixels[s] for s in slices])
        return photon_vectors(one.order, pixels, np.concatenate([one.counts[s] for s in slices]))


def photon_vectors(order: int, pixels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Unit vectors, float32 (photons, 3), of photons in nested pixels.

    Each photon lies on one of 256 places of its pixel that looks random but follows from the
    number of the pixel and of the photon in it, so that a sky is always cut alike.
    """
    total = int(counts.sum(dtype=np.int64))
    vectors = np.empty((total, 3), dtype=np.float32)
    done = 0
    for photons in repeat_pixels(pixels, counts):
        first = np.concatenate([[True], photons[1:] != photons[:-1]])
        number = np.arange(len(photons))
        number -= np.maximum.accumulate(np.where(first, number, 0))
        mixed = (photons.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        # an odd stride visits all 256 places before it comes to the first again
        place = ((mixed >> np.uint64(56)).view(np.int64) + 151 * number) & 255
        photons <<= 8
        photons |= place
        for axis, values in enumerate(hp.pix2vec(2 ** (order + 4), photons, nest=True)):
            vectors[done : done + len(photons), axis] = values
        done += len(photons)
    return vectors


def cut_patch(sky: SkyCounts, frame: PatchFrame) -> Patch:
    """One patch of a sky; `PatchCutter` is faster for many."""
    return PatchCutter(sky, cache=False).cut(frame)


def pixel_histogram(
    frame: PatchFrame, vectors: np.ndarray, weights: np.ndarray | None, n_pixels: int
) -> np.ndarray:
    """Number of unit vectors (N, 3) in each pixel, float32 (n, n) [row, column].

    With `weights` (N,) their sum instead. The vectors must lie less than 90 degrees from the
    tangent point.
    """
    rows = framed_pixels(frame, vectors, n_pixels)
    sums = np.bincount(rows, weights=weights, minlength=(n_pixels + 2) ** 2)
    inner = sums.reshape(n_pixels + 2, n_pixels + 2)[1:-1, 1:-1]
    return inner.astype(np.float32)


def framed_pixels(frame: PatchFrame, vectors: np.ndarray, n_pixels: int) -> np.ndarray:
    """Row-major pixel, int32 (N,), of unit vectors in a patch with one pixel more on every side.

    The pixels around the patch take what lies outside.
    """
    # the same as frame.project, in place: this is where cutting spends its time
    axes = frame.axes.copy()
    axes[:2] *= np.degrees(1.0) * n_pixels / PATCH_DEG
    local = axes.astype(vectors.dtype) @ vectors.T
    plane = local[:2]
    plane /= local[2]
    # a frame of one pixel around the patch takes what lies outside; cutting off the fraction
    # of a number that is not negative then rounds to the pixel
    plane += vectors.dtype.type(n_pixels / 2.0 + 1.0)
    np.clip(plane, 0.0, n_pixels + 1.0, out=plane)
    columns, rows = plane.astype(np.int32)
    rows *= n_pixels + 2
    rows += columns
    return rows


def observed_pixels(coverage: np.ndarray | None, frame: PatchFrame, n_pixels: int) -> np.ndarray:
    """Bool (n, n): whether the coverage mask (None: whole sky) holds at each pixel centre."""
    if coverage is None:
        return np.ones((n_pixels, n_pixels), dtype=bool)
    vectors = frame.pixel_vectors(n_pixels)
    pixels = hp.vec2pix(
        2**COVERAGE_ORDER, vectors[..., 0], vectors[..., 1], vectors[..., 2], nest=True
    )
    return coverage[pixels]
