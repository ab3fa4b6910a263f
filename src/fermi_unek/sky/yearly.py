"""Cutting patches with a layer for each year out of a sky that was kept year by year."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .bins import N_BINS, NATIVE_PIXELS
from .counts import BinCounts, SkyCounts
from .geometry.frame import PatchFrame
from .geometry.patches import CELL_ORDER, cell_runs, framed_pixels, photon_vectors


class YearlyCutter:
    """Cuts patches, all years at a time, about as fast as `PatchCutter` cuts one layer.

    Keeps 13 bytes a photon: 0.7 GB for ten years of FRONT photons of the whole sky.

    Parameters
    ----------
    sky : SkyCounts
        With years, none of its bins absent.

    Raises
    ------
    InputError
        A sky without years, or with an absent bin.
    """

    def __init__(self, sky: SkyCounts) -> None:
        if not sky.years or not all(layer.present.all() for layer in sky.years):
            raise InputError("a sky without years or energy bins cannot be cut year by year")
        self.n_years = len(sky.years)
        self._bins = [
            _LabelledPhotons([_present(layer.bins[b]) for layer in sky.years])
            for b in range(N_BINS)
        ]

    def cut(self, frame: PatchFrame) -> tuple[np.ndarray, ...]:
        """Photons per year and pixel: six int64 arrays (years, n_b, n_b), [year, row, column]."""
        runs = cell_runs(frame)
        layers = []
        for n, photons in zip(NATIVE_PIXELS, self._bins, strict=True):
            vectors, years = photons.of_cells(runs)
            pixels = framed_pixels(frame, vectors, n) + years * np.int32((n + 2) ** 2)
            counts = np.bincount(pixels, minlength=self.n_years * (n + 2) ** 2)
            layers.append(counts.reshape(self.n_years, n + 2, n + 2)[:, 1:-1, 1:-1])
        return tuple(layers)


def _present(one: BinCounts | None) -> BinCounts:
    assert one is not None
    return one


class _LabelledPhotons:
    """Unit vectors of the photons of one energy bin and their years, by cells of the sky."""

    def __init__(self, layers: list[BinCounts]) -> None:
        n_cells = 12 * 4**CELL_ORDER
        per_cell = np.zeros((n_cells, len(layers)), np.int64)
        cells = []
        for year, layer in enumerate(layers):
            cell = layer.pixels >> np.uint32(2 * (layer.order - CELL_ORDER))
            cells.append(np.repeat(cell, layer.counts))
            per_cell[:, year] = np.bincount(cells[-1], minlength=n_cells)
        # photons lie by cells, in each by years
        ends = np.cumsum(per_cell).reshape(per_cell.shape)
        self._starts = np.concatenate([[0], ends[:, -1]])
        total = int(self._starts[-1])
        self._vectors = np.empty((total, 3), np.float32)
        self._years = np.empty(total, np.int8)
        for year, layer in enumerate(layers):
            own = np.cumsum(per_cell[:, year]) - per_cell[:, year]
            first = ends[:, year] - per_cell[:, year]
            place = (first - own)[cells[year]] + np.arange(cells[year].size)
            self._vectors[place] = photon_vectors(layer.order, layer.pixels, layer.counts)
            self._years[place] = year

    def of_cells(self, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Float32 vectors (P, 3) and int32 years (P,) of the photons in runs of cells."""
        slices = [slice(a, b) for a, b in self._starts[runs].tolist() if b > a]
        vectors = [np.zeros((0, 3), np.float32), *(self._vectors[s] for s in slices)]
        years = [np.zeros(0, np.int8), *(self._years[s] for s in slices)]
        return np.concatenate(vectors), np.concatenate(years).astype(np.int32)
