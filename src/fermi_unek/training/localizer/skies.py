"""Simulated skies cut into training patches on disk, with the sources behind them.

A folder holds patches of one simulated sky, each with its own Poisson draw, at a live time of
sixteen years, event types apart. Shorter live times are thinned from it when a patch is drawn, and
the ideal TS, which is linear in live time and a sum over layers and energy bins, is scaled with
them.
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

from ...diffuse.named import DiffuseModel, by_name, vary
from ...irf.instrument import load_instrument
from ...simulate.extended import extended_model, extended_table
from ...simulate.photons import render_patch
from ...simulate.population import resampled_population, scale
from ...simulate.skymodel import SkyModel, build_sky_model
from ...sky.binning import BINNING, orders_by_energy
from ...sky.geometry.frame import PatchFrame
from ...sky.selection import LAYERS

DATASET_YEARS = 16.0
_MARGIN_PIXELS = 6.0
_LOWEST_TS = 1.0
_EXTENDED_BINS = slice(2, 4)
_EXTENDED_SHARE = 0.3
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
    kept_apart : str
        Event types that are kept apart, of `LAYERS`.
    n_patches : int
    extended : bool
        Whether DR2's extended sources are in the sky.
    coarse : int or None
        Which of `COARSE_ORDERS` the photons were counted in; None keeps them exact.
    structure : float
        How far the Galactic emission departs from the background's, see `diffuse.structure.vary`.
    """

    seed: int
    background: str
    kept_apart: str
    n_patches: int
    extended: bool = False
    coarse: int | None = None
    structure: float = 0.1

    @property
    def name(self) -> str:
        """Folder of the sky: what it is at a glance, and a checksum of all that it is made with."""
        made_with = [asdict(self), DATASET_YEARS, COARSE_ORDERS, BINNING.as_mapping()]
        checksum = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
        return f"sky{self.seed:06d}-{self.background}-{self.kept_apart}-{checksum[:8]}"

    @property
    def orders(self) -> tuple[int, ...] | None:
        """HEALPIX orders of the count files the photons are thought to come from."""
        return None if self.coarse is None else COARSE_ORDERS[self.coarse]


@dataclass(frozen=True)
class Truth:
    """Sources in one patch.

    Attributes
    ----------
    x, y : float32 arrays (S,)
        Pixel coordinates in the source mask.
    ts_per_year : float32 array (S, L, 6)
        Ideal TS per year of live time, layer and energy bin.
    """

    x: np.ndarray
    y: np.ndarray
    ts_per_year: np.ndarray


class SkyPatches:
    """Read access to the patches of one sky; counts stay on disk until a patch is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.recipe = SkyRecipe(**json.loads((self.folder / "recipe.json").read_text()))
        self.event_types = LAYERS[self.recipe.kept_apart]
        self.counts = [
            [np.load(path, mmap_mode="r") for path in sorted(self.folder.glob(f"{name}*.npy"))]
            for name in self.event_types
        ]
        self.extended = np.load(self.folder / "extended.npy", mmap_mode="r")
        with np.load(self.folder / "truth.npz") as truth:
            self._truth = dict(truth)

    def __len__(self) -> int:
        return len(self.extended)

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
    structure: float = 0.1,
) -> list[SkyRecipe]:
    """The skies to train on; backgrounds take turns.

    FRONT and BACK are kept apart in two of three, quartiles of the PSF in the third. Every other
    holds the extended sources, every fourth was counted in coarse pixels, and the Galactic
    emission of every other departs from its model by `structure`, of the others by a third of it.
    """
    return [
        SkyRecipe(
            seed=first_seed + i,
            background=_seeded(backgrounds[i % len(backgrounds)], first_seed + i),
            kept_apart="psf" if i % 3 == 2 else "fb",
            n_patches=patches_per_sky,
            extended=i % 2 == 0,
            coarse=(i // 4) % len(COARSE_ORDERS) if i % 4 == 3 else None,
            structure=structure if (i // 2) % 2 else structure / 3.0,
        )
        for i in range(n_skies)
    ]


def _seeded(background: str, seed: int) -> str:
    # the small-scale structure of the package's own model is drawn anew for each sky
    return f"own-{seed}" if background == "own" else background


def make_sky_models(recipe: SkyRecipe, data_dir: str | Path | None) -> list[SkyModel]:
    """The sky of a recipe as each of its layers sees it: new sources over a varied background."""
    sources = resampled_population(np.random.default_rng([recipe.seed, 4]))
    models = []
    for event_type in LAYERS[recipe.kept_apart]:
        rng = np.random.default_rng(recipe.seed)  # the same in each layer
        diffuse = by_name(recipe.background, data_dir, event_type)
        diffuse = vary(diffuse, rng, structure_sigma=recipe.structure)
        extended = moved_extended(rng) if recipe.extended else None
        instrument = load_instrument()
        models.append(build_sky_model(sources, diffuse, instrument, event_type, extended=extended))
    return models


def moved_extended(rng: np.random.Generator) -> DiffuseModel:
    """DR2's extended sources with other fluxes, all moved along the plane by one angle."""
    table = extended_table()
    scale(table, np.exp(rng.normal(0.0, 0.3, len(table))))
    diffuse = extended_model(table)
    return replace(diffuse, maps=_turned_about_poles(diffuse.maps, rng.uniform(0.0, 2.0 * np.pi)))


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
    rng = np.random.default_rng([recipe.seed, 1])
    frames = list(random_frames(recipe.n_patches, rng))
    models = make_sky_models(recipe, data_dir)
    for event_type, model in zip(LAYERS[recipe.kept_apart], models, strict=True):
        counts = [np.empty((recipe.n_patches, n, n), np.uint16) for n in BINNING.pixels]
        for number, frame in enumerate(frames):
            patch = render_patch(model, frame, DATASET_YEARS, rng, recipe.orders)
            for planes, of_bin in zip(counts, patch.counts, strict=True):
                planes[number] = np.minimum(of_bin, 65535)
        for b, planes in enumerate(counts):
            np.save(temporary / f"{event_type}{b}.npy", planes)
    np.save(temporary / "extended.npy", extended_pixels(models[0], frames))
    truths = [truth_in(models, frame) for frame in frames]
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


def extended_pixels(model: SkyModel, frames: Sequence[PatchFrame]) -> np.ndarray:
    """Bool (P, n, n) at half the pixels of the mask: where an extended source shines.

    From 1 to 7 GeV, where it is a third as bright as all other diffuse emission or more.
    """
    n_pixels = BINNING.output_pixels // 2
    lit = np.zeros((len(frames), n_pixels, n_pixels), bool)
    if model.extended is None:
        return lit
    extended, total = (m[_EXTENDED_BINS].sum(axis=0) for m in (model.extended, model.background))
    bright = extended > _EXTENDED_SHARE * (total - extended)
    nside = hp.npix2nside(len(bright))
    for number, frame in enumerate(frames):
        vectors = frame.pixel_vectors(n_pixels).reshape(-1, 3)
        pixels = hp.vec2pix(nside, *vectors.T, nest=True)
        lit[number] = bright[pixels].reshape(n_pixels, n_pixels)
    return lit


def random_frames(number: int, rng: np.random.Generator) -> Iterator[PatchFrame]:
    """Patches centred and turned at random, one in seven of them drawn near the plane.

    Near is abs(b) below 15 degrees; the rest are even over the sphere.
    """
    for _ in range(number):
        sine = rng.uniform(-1, 1) if rng.random() > 0.15 else rng.uniform(-0.26, 0.26)
        lon = rng.uniform(0, 360)
        yield PatchFrame(lon, float(np.degrees(np.arcsin(sine))), rng.uniform(0, 360))


def truth_in(models: Sequence[SkyModel], frame: PatchFrame) -> Truth:
    """Sources on the patch or within half a degree of it, as some layers of one sky see them."""
    vectors = models[0].vectors
    rows = np.flatnonzero(vectors @ frame.axes[2] > np.cos(np.radians(9.0)))
    x, y = frame.project(vectors[rows], BINNING.output_pixels)
    ts = np.stack([model.ideal_ts[rows] for model in models], axis=1)
    low, high = -_MARGIN_PIXELS, BINNING.output_pixels + _MARGIN_PIXELS
    kept = (x > low) & (x < high) & (y > low) & (y < high)
    kept &= ts.sum(axis=(1, 2)) * DATASET_YEARS > _LOWEST_TS
    return Truth(*(a[kept].astype(np.float32) for a in (x, y, ts)))
