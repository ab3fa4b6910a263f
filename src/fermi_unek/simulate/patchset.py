"""Training sets: many patches of a simulated sky, each with a layer for every year.

A set is a folder: ``counts_bin0.npy`` to ``counts_bin5.npy`` with the photons (patch, year, row,
column), ``patches.fits`` with the tangent points and turns, and ``truth.fits`` with the sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.lib.format import open_memmap

from ..errors import InputError
from ..progress import Progress, silent
from ..sky.bins import N_BINS, NATIVE_PIXELS, OUTPUT_PIXELS, PATCH_DEG
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import PatchFrame, lonlat_to_vectors
from ..sky.io.files import open_fits
from ..sky.yearly import YearlyCutter

PATCHES = "patches.fits"
COUNTS = tuple(f"counts_bin{b}.npy" for b in range(N_BINS))

DTYPES = (np.uint16, np.uint16, np.uint16, np.uint16, np.uint8, np.uint8)
"""Above 7 GeV no pixel holds 255 photons a year; more in one would be kept as 255."""

CORNER_DEG = 0.75 * PATCH_DEG
"""A circle of this radius holds a patch with its corners."""


def random_frames(
    number: int, rng: np.random.Generator, region: tuple[float, float, float] | None = None
) -> list[PatchFrame]:
    """Patches centred and turned at random, even over the sky or over a Galactic circle."""
    lowest = -1.0 if region is None else np.cos(np.radians(region[2]))
    cosine = rng.uniform(lowest, 1.0, number)
    around, turn = rng.uniform(0.0, 360.0, (2, number))
    pole = PatchFrame(*((0.0, 90.0) if region is None else region[:2]))
    local = lonlat_to_vectors(around, np.degrees(np.arcsin(cosine)))
    vectors = local @ pole.axes
    lon = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360.0
    lat = np.degrees(np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0)))
    return [PatchFrame(*map(float, one)) for one in zip(lon, lat, turn, strict=True)]


def write_patches(
    sky: SkyCounts, frames: Sequence[PatchFrame], folder: Path, progress: Progress = silent
) -> None:
    """Cut patches out of a sky that was kept year by year and write them into a folder."""
    cutter = YearlyCutter(sky)
    stacks = [
        open_memmap(folder / name, "w+", kind, (len(frames), cutter.n_years, n, n))
        for name, kind, n in zip(COUNTS, DTYPES, NATIVE_PIXELS, strict=True)
    ]
    largest = [np.iinfo(kind).max for kind in DTYPES]
    for row, frame in enumerate(progress(frames, label="patches")):
        for stack, counts, most in zip(stacks, cutter.cut(frame), largest, strict=True):
            stack[row] = np.minimum(counts, most)
    for stack in stacks:
        stack.flush()
    table = Table(
        {
            "GLON": [one.lon_deg for one in frames],
            "GLAT": [one.lat_deg for one in frames],
            "TURN": [one.rotation_deg for one in frames],
        },
        units={"GLON": "deg", "GLAT": "deg", "TURN": "deg"},
        dtype=[float] * 3,
    )
    table.write(folder / PATCHES)


@dataclass(frozen=True)
class Located:
    """Sources in one patch: rows of the truth and pixel coordinates in the source mask."""

    rows: np.ndarray
    x: np.ndarray
    y: np.ndarray


class PatchSet:
    """Read access to a set; counts stay on disk until they are asked for.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    counts : list of six arrays (patches, years, n_b, n_b)
    frames : list of PatchFrame
    truth : Table

    Raises
    ------
    InputError
        The folder lacks a file of a set.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        missing = [n for n in (*COUNTS, PATCHES, "truth.fits") if not (folder / n).is_file()]
        if missing:
            raise InputError(f"{folder}: has no {missing[0]}, expected a set of simulated patches")
        self.counts = [np.load(folder / name, mmap_mode="r") for name in COUNTS]
        with open_fits(folder / PATCHES) as hdus:
            table = hdus[1].data
            columns = (table[name].astype(float).tolist() for name in ("GLON", "GLAT", "TURN"))
            self.frames = [PatchFrame(*one) for one in zip(*columns, strict=True)]
        self.truth = Table.read(folder / "truth.fits", hdu=1, mask_invalid=False)
        self._vectors = lonlat_to_vectors(
            np.asarray(self.truth["GLON"], float), np.asarray(self.truth["GLAT"], float)
        )

    def __len__(self) -> int:
        return len(self.frames)

    def sources(self, index: int) -> Located:
        """Sources of the truth that lie on patch `index`."""
        frame = self.frames[index]
        near = np.flatnonzero(self._vectors @ frame.axes[2] > np.cos(np.radians(CORNER_DEG)))
        x, y = frame.project(self._vectors[near], OUTPUT_PIXELS)
        low, high = -0.5, OUTPUT_PIXELS - 0.5
        on = (x >= low) & (x < high) & (y >= low) & (y < high)
        return Located(near[on], x[on], y[on])
