"""Simulated skies cut into training patches on disk, with the sources behind them.

A file holds patches of one simulated sky, each with its own Poisson draw, at a live time of
sixteen years. Shorter live times are thinned from it when a patch is drawn, and the ideal TS,
which is linear in live time and a sum over energy bins, is scaled with them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np

from ...diffuse.named import by_name, vary
from ...irf.instrument import load_instrument
from ...simulate.extended import extended_model, extended_table
from ...simulate.photons import render_patch
from ...simulate.population import resampled_population, scale
from ...simulate.skymodel import SkyModel, build_sky_model
from ...sky.binning import BINNING, orders_by_energy
from ...sky.geometry.frame import PatchFrame

DATASET_YEARS = 16.0
_MARGIN_PIXELS = 6.0
_LOWEST_TS = 1.0
_TRUTH_COLUMNS = ("x", "y", "ts_per_year")


COARSE_ORDERS = (orders_by_energy(7, 7, 8, 9, 10, 10), (9,) * BINNING.n_bins)
"""HEALPIX orders of coarse count files: one usual convention, and about fermipy's 0.1 degrees."""


@dataclass(frozen=True)
class SkyRecipe:
    """What the patches of one sky are made of.

    Attributes
    ----------
    seed : int
    background : str
    event_type : {"front", "all"}
    n_patches : int
    extended : bool
        Whether DR2's extended sources are in the sky.
    coarse : float
        Share of the patches whose photons are placed as coarse count files would give them.
    structure : float
        How far the Galactic emission departs from the background's, see `diffuse.structure.vary`.
    """

    seed: int
    background: str
    event_type: str
    n_patches: int
    extended: bool = False
    coarse: float = 0.5
    structure: float = 0.1

    @property
    def name(self) -> str:
        """Folder of the sky: what it is at a glance, and a checksum of all that it is made with."""
        made_with = [asdict(self), DATASET_YEARS, COARSE_ORDERS, BINNING.as_mapping()]
        checksum = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
        return f"sky{self.seed:06d}-{self.background}-{self.event_type}-{checksum[:8]}"


@dataclass(frozen=True)
class Truth:
    """Sources in one patch.

    Attributes
    ----------
    x, y : float32 arrays (S,)
        Pixel coordinates in the source mask.
    ts_per_year : float32 array (S, 6)
        Ideal TS per year of live time and energy bin.
    """

    x: np.ndarray
    y: np.ndarray
    ts_per_year: np.ndarray


class SkyPatches:
    """Read access to the patches of one sky; counts stay on disk until a patch is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.recipe = SkyRecipe(**json.loads((self.folder / "recipe.json").read_text()))
        names = [f"counts{b}.npy" for b in range(BINNING.n_bins)]
        self.counts = [np.load(self.folder / name, mmap_mode="r") for name in names]
        with np.load(self.folder / "truth.npz") as truth:
            self._truth = dict(truth)

    def __len__(self) -> int:
        return len(self.counts[0])

    def frame(self, index: int) -> PatchFrame:
        """Where patch `index` lies."""
        return PatchFrame(*self._truth["frames"][index].tolist())

    def truth(self, index: int) -> Truth:
        """Sources of patch `index`."""
        part = slice(*self._truth["offsets"][index : index + 2])
        return Truth(*(self._truth[name][part] for name in _TRUTH_COLUMNS))


def default_recipes(
    n_skies: int,
    patches_per_sky: int,
    first_seed: int,
    backgrounds: Sequence[str],
    coarse: float = 0.5,
    structure: float = 0.1,
) -> list[SkyRecipe]:
    """The skies to train on; backgrounds take turns.

    Every fourth sky is FRONT+BACK, every other holds the extended sources.
    """
    return [
        SkyRecipe(
            seed=first_seed + i,
            background=_seeded(backgrounds[i % len(backgrounds)], first_seed + i),
            event_type="all" if i % 4 == 3 else "front",
            n_patches=patches_per_sky,
            extended=i % 2 == 0,
            coarse=coarse,
            structure=structure,
        )
        for i in range(n_skies)
    ]


def _seeded(background: str, seed: int) -> str:
    # the small-scale structure of the package's own model is drawn anew for each sky
    return f"own-{seed}" if background == "own" else background


def make_sky_model(recipe: SkyRecipe, data_dir: str | Path | None) -> SkyModel:
    """The sky of a recipe: new sources over a varied background."""
    rng = np.random.default_rng(recipe.seed)
    diffuse = by_name(recipe.background, data_dir, recipe.event_type)
    diffuse = vary(diffuse, rng, structure_sigma=recipe.structure)
    sources = resampled_population(rng)
    model = build_sky_model(sources, diffuse, load_instrument(), recipe.event_type)
    return with_extended(model, rng) if recipe.extended else model


def with_extended(model: SkyModel, rng: np.random.Generator) -> SkyModel:
    """The sky with DR2's extended sources, all moved along the plane by one angle."""
    table = extended_table()
    scale(table, np.exp(rng.normal(0.0, 0.3, len(table))))
    diffuse = extended_model(table)
    moved = _turned_about_poles(diffuse.maps, rng.uniform(0.0, 2.0 * np.pi))
    diffuse = replace(diffuse, maps=moved)
    dark = build_sky_model(model.sources, diffuse, load_instrument(), model.event_type)
    return replace(
        model,
        background=model.background + dark.background,
        fine_background=tuple(
            mine + added
            for mine, added in zip(model.fine_background, dark.fine_background, strict=True)
        ),
    )


def _turned_about_poles(maps: np.ndarray, angle_rad: float) -> np.ndarray:
    """NESTED maps (n, npix) turned in longitude, each pixel from the one nearest."""
    nside = hp.npix2nside(maps.shape[1])
    theta, phi = hp.pix2ang(nside, np.arange(maps.shape[1]), nest=True)
    turned: np.ndarray = maps[:, hp.ang2pix(nside, theta, phi - angle_rad, nest=True)]
    return turned


def make_patches(recipe: SkyRecipe, folder: str | Path, data_dir: str | Path | None) -> Path:
    """Simulate the patches of a recipe in a dataset's folder; no work where they are.

    Returns
    -------
    Path
        Folder of the sky; it appears when it is whole.
    """
    path = Path(folder) / recipe.name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    model = make_sky_model(recipe, data_dir)
    rng = np.random.default_rng([recipe.seed, 1])
    frames = list(random_frames(recipe.n_patches, rng))
    shapes = [(recipe.n_patches, n, n) for n in BINNING.pixels]
    counts = [np.empty(shape, np.uint16) for shape in shapes]
    for number, frame in enumerate(frames):
        # two in three of the coarse ones follow the first convention
        orders = COARSE_ORDERS[int(rng.random() < 1 / 3)] if rng.random() < recipe.coarse else None
        patch = render_patch(model, frame, DATASET_YEARS, rng, orders)
        for planes, of_bin in zip(counts, patch.counts, strict=True):
            planes[number] = np.minimum(of_bin, 65535)
    for b, planes in enumerate(counts):
        np.save(temporary / f"counts{b}.npy", planes)
    truths = [truth_in(model, frame) for frame in frames]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(truth, name) for truth in truths]) for name in _TRUTH_COLUMNS
    }
    np.savez(
        temporary / "truth.npz",
        frames=np.array([(f.lon_deg, f.lat_deg, f.rotation_deg) for f in frames]).reshape(-1, 3),
        offsets=np.cumsum([0] + [len(truth.x) for truth in truths]),
        **columns,
    )
    (temporary / "recipe.json").write_text(json.dumps(asdict(recipe)))
    os.replace(temporary, path)
    return path


def random_frames(number: int, rng: np.random.Generator) -> Iterator[PatchFrame]:
    """Patches centred and turned at random, one in seven of them drawn near the plane.

    Near is abs(b) below 15 degrees; the rest are even over the sphere.
    """
    for _ in range(number):
        sine = rng.uniform(-1, 1) if rng.random() > 0.15 else rng.uniform(-0.26, 0.26)
        lon = rng.uniform(0, 360)
        yield PatchFrame(lon, float(np.degrees(np.arcsin(sine))), rng.uniform(0, 360))


def truth_in(model: SkyModel, frame: PatchFrame) -> Truth:
    """Sources on the patch or within half a degree of it."""
    cosine = model.vectors @ frame.axes[2]
    rows = np.flatnonzero(cosine > np.cos(np.radians(9.0)))
    x, y = frame.project(model.vectors[rows], BINNING.output_pixels)
    ts = model.ideal_ts[rows]
    low, high = -_MARGIN_PIXELS, BINNING.output_pixels + _MARGIN_PIXELS
    kept = (x > low) & (x < high) & (y > low) & (y < high)
    kept &= ts.sum(axis=1) * DATASET_YEARS > _LOWEST_TS
    return Truth(*(a[kept].astype(np.float32) for a in (x, y, ts)))
