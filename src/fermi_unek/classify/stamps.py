"""Counts around candidates, year by year and bin by bin, on pixels that grow with the PSF.

A stamp of one size for all energies either cuts the PSF of 300 MeV photons (two degrees) or
blurs that of 20 GeV ones (0.1 degrees); here each bin has a side of its own, a few times its
PSF, so that a point source looks alike in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..errors import InputError
from ..nets.classifier import ClassifierShape
from ..sky.bins import COVERAGE_ORDER, N_BINS
from ..sky.counts import BinCounts, SkyCounts
from ..sky.geometry.frame import PatchFrame, vectors_to_lonlat
from ..sky.geometry.patches import photon_vectors

_CELLS = 5.5  # HEALPIX cells along the side of a stamp, at most


@dataclass(frozen=True)
class Geometry:
    """Square stamps in the tangent plane, one side per energy bin.

    Attributes
    ----------
    pixels : int
        Pixels along a side, the same in all bins.
    sides_deg : tuple of six float
        Side of the square per energy bin, degrees.
    """

    pixels: int
    sides_deg: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.pixels < 1 or len(self.sides_deg) != N_BINS or min(self.sides_deg) <= 0.0:
            raise InputError(
                f"stamps of {self.pixels} pixels and sides {self.sides_deg} deg: expected at "
                f"least one pixel and {N_BINS} sides above zero"
            )

    def centres_deg(self, b: int) -> np.ndarray:
        """Tangent-plane offset (n,) of the pixel centres of bin `b`, degrees."""
        step = self.sides_deg[b] / self.pixels
        return (np.arange(self.pixels) - 0.5 * (self.pixels - 1)) * step


def geometry_of(shape: ClassifierShape) -> Geometry:
    """The stamps that a classifier looks at."""
    return Geometry(shape.stamp_pixels, shape.stamp_deg)


Years = Sequence[SkyCounts | None]
"""Photons of one layer year by year; None is a year of which there are none."""


def cut_stamps(years: Years, vectors: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Photons per pixel around positions.

    Columns grow towards smaller Galactic longitude and rows towards larger latitude.

    Parameters
    ----------
    years : sequence of Y SkyCounts or None
        As `years_by_layer` gives those of a layer.
    vectors : array (N, 3)
        Galactic unit vectors; N may be 0.
    geometry : Geometry

    Returns
    -------
    uint16 array (N, Y, 6, n, n)
        [candidate, year, bin, row, column]; zero where the bin is absent.
    """
    n = geometry.pixels
    stamps = np.zeros((len(vectors), len(years), N_BINS, n, n), np.uint16)
    frames = [PatchFrame(lon, lat) for lon, lat in zip(*vectors_to_lonlat(vectors), strict=True)]
    for b in range(N_BINS):
        side_deg = geometry.sides_deg[b]
        cell_order = int(np.log2(_CELLS * np.degrees(hp.nside2resol(1)) / side_deg))
        photons = _Photons([None if year is None else year.bins[b] for year in years], cell_order)
        reach_deg = side_deg / np.sqrt(2.0)
        for i, frame in enumerate(frames):
            near, year_of = photons.near(frame.axes[2], reach_deg)
            if not len(near):
                continue
            plane = _offsets_deg(frame, near)
            stamps[i, :, b] = _histogram(plane, year_of, geometry, b, len(years))
    return stamps


def years_by_layer(sky: SkyCounts) -> list[Years]:
    """The years of each layer of a sky, the same of all; of one layer where it has none.

    Where times are not known there is one year, of all photons. A layer without photons of a year
    that another has holds None in its place.
    """
    if not sky.layers:
        return [sky.years or (sky,)]
    if not sky.years:
        return [(layer,) for layer in sky.layers]
    numbers = [_number(place, year) for place, year in enumerate(sky.years)]
    found: list[Years] = []
    for layer in sky.layers:
        by_number = {_number(place, year): year for place, year in enumerate(layer.years)}
        found.append([by_number.get(number) for number in numbers])
    return found


def _number(place: int, year: SkyCounts) -> int:
    return place if year.mission_year is None else year.mission_year


def coverage_of(sky: SkyCounts, vectors: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Bool (N, 6, n, n): which pixels of stamps were observed; False where a bin is absent."""
    covered = np.zeros((len(vectors), N_BINS, geometry.pixels, geometry.pixels), bool)
    for b, counts in enumerate(sky.bins):
        if counts is None:
            continue
        if counts.coverage is None:
            covered[:, b] = True
            continue
        for i, (lon, lat) in enumerate(zip(*vectors_to_lonlat(vectors), strict=True)):
            places = _pixel_vectors(PatchFrame(lon, lat), geometry, b)
            pixels = hp.vec2pix(2**COVERAGE_ORDER, *np.moveaxis(places, -1, 0), nest=True)
            covered[i, b] = counts.coverage[pixels]
    return covered


def _pixel_vectors(frame: PatchFrame, geometry: Geometry, b: int) -> np.ndarray:
    """Unit vectors (n, n, 3) of pixel centres."""
    centres = np.tan(np.radians(geometry.centres_deg(b)))
    columns, rows = np.meshgrid(centres, centres)
    places = np.stack([columns, rows, np.ones(columns.shape)], axis=-1) @ frame.axes
    return places / np.linalg.norm(places, axis=-1, keepdims=True)


def _offsets_deg(frame: PatchFrame, vectors: np.ndarray) -> np.ndarray:
    """Tangent-plane offsets (2, P) in degrees, columns then rows."""
    local = frame.axes.astype(vectors.dtype) @ vectors.T
    return local[:2] * (np.float32(np.degrees(1.0)) / local[2])


def _histogram(
    plane: np.ndarray, years: np.ndarray, geometry: Geometry, b: int, n_years: int
) -> np.ndarray:
    n = geometry.pixels
    # a frame of one pixel around the stamp takes what lies outside
    place = plane * np.float32(n / geometry.sides_deg[b]) + np.float32(n / 2.0 + 1.0)
    np.clip(place, 0.0, n + 1.0, out=place)
    column, row = place.astype(np.int32)
    number = (years * (n + 2) + row) * (n + 2) + column
    counts = np.bincount(number, minlength=n_years * (n + 2) ** 2).reshape(n_years, n + 2, n + 2)
    return np.minimum(counts[:, 1:-1, 1:-1], 65535)


class _Photons:
    """Photons of one bin in all years, sorted by cells of the sky."""

    def __init__(self, of_years: Sequence[BinCounts | None], cell_order: int) -> None:
        self._cell_order = cell_order
        parts = [
            (
                counts.pixels,
                counts.counts,
                np.full(len(counts.pixels), year, np.uint8),
                counts.order,
            )
            for year, counts in enumerate(of_years)
            if counts is not None
        ]
        edges = np.arange(12 * 4**cell_order + 1, dtype=np.uint64)
        if not parts:
            self._vectors, self._years = np.zeros((0, 3), np.float32), np.zeros(0, np.int32)
            self._starts = np.zeros(len(edges), np.int64)
            return
        pixels, counts, years = (
            np.concatenate(columns) for columns in list(zip(*parts, strict=True))[:3]
        )
        # runs that are sorted already: quick for the stable sort
        rising = np.argsort(pixels, kind="stable")
        pixels, counts, years = pixels[rising], counts[rising], years[rising]
        order = parts[0][3]
        self._vectors = photon_vectors(order, pixels, counts)
        self._years = np.repeat(years, counts).astype(np.int32)
        first = np.searchsorted(pixels, (edges << np.uint64(2 * (order - cell_order))))
        before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._starts = before[first]

    def near(self, centre: np.ndarray, reach_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (P, 3) and years (P,) of at least the photons within reach of a place."""
        cells = hp.query_disc(
            2**self._cell_order, centre, np.radians(reach_deg), inclusive=True, fact=4, nest=True
        )
        runs = [self._photons_of(first, last) for first, last in _runs(cells)]
        runs = [run for run in runs if run.stop > run.start]
        if not runs:
            return self._vectors[:0], self._years[:0]
        vectors = np.concatenate([self._vectors[run] for run in runs])
        return vectors, np.concatenate([self._years[run] for run in runs])

    def _photons_of(self, first: int, last: int) -> slice:
        return slice(int(self._starts[first]), int(self._starts[last]))


def _runs(cells: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs [first, last) of consecutive numbers in an increasing list."""
    breaks = np.flatnonzero(np.diff(cells) != 1) + 1
    for part in np.split(cells, breaks):
        yield int(part[0]), int(part[-1]) + 1
