"""Training patches on disk: shards of counts with the sources behind them.

A shard holds patches of one simulated sky, each with its own Poisson draw, at a live time of
sixteen years. Shorter live times are thinned from it when a patch is fed, and the ideal TS,
which is linear in live time and a sum over energy bins, is scaled with them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np

from ...diffuse.named import by_name, vary
from ...errors import InputError
from ...irf.instrument import load_instrument
from ...simulate.extended import extended_model, extended_table
from ...simulate.photons import render_patch
from ...simulate.population import resampled_population, scale
from ...simulate.skymodel import SkyModel, build_sky_model
from ...sky.bins import N_BINS, OUTPUT_PIXELS
from ...sky.geometry.frame import PatchFrame

BANK_YEARS = 16.0
_MARGIN_PIXELS = 6.0
_LOWEST_TS = 1.0
_TRUTH_COLUMNS = ("x", "y", "ts_per_year")


COARSE_ORDERS = ((7, 7, 8, 9, 10, 10), (9, 9, 9, 9, 9, 9))
"""HEALPIX orders of coarse count files: one usual convention, and about fermipy's 0.1 degrees."""


@dataclass(frozen=True)
class ShardRecipe:
    """What one shard is made of.

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
        How far the Galactic emission departs from the background's, see `simulate.diffuse.vary`.
    """

    seed: int
    background: str
    event_type: str
    n_patches: int
    extended: bool = False
    coarse: float = 0.5
    structure: float = 0.1


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


class Shard:
    """Read access to a shard; counts stay on disk until a patch is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        names = [f"counts{b}.npy" for b in range(N_BINS)]
        self.counts = [np.load(self.folder / name, mmap_mode="r") for name in names]
        truth = np.load(self.folder / "truth.npz")
        self._truth = {name: truth[name] for name in truth.files}
        self.recipe = ShardRecipe(**json.loads((self.folder / "recipe.json").read_text()))
        self._frames = self._read_frames()

    def __len__(self) -> int:
        return len(self.counts[0])

    def _read_frames(self) -> np.ndarray | None:
        # banks made before networks had templates do not say where their patches lie
        path = self.folder / "frames.npy"
        return np.load(path) if path.exists() else None

    def frame(self, index: int) -> PatchFrame:
        """Where patch `index` lies.

        Raises
        ------
        InputError
            When the shard does not say.
        """
        if self._frames is None:
            raise InputError(
                f"{self.folder} does not say where its patches lie; make the bank anew to train a "
                "network with a template"
            )
        return PatchFrame(*self._frames[index].tolist())

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
) -> list[ShardRecipe]:
    """One shard a sky; backgrounds take turns.

    Every fourth sky is FRONT+BACK, every other holds the extended sources.
    """
    return [
        ShardRecipe(
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


def make_sky_model(recipe: ShardRecipe, data_dir: str | Path | None) -> SkyModel:
    """The sky of a shard: new sources over a varied background."""
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
            one + other
            for one, other in zip(model.fine_background, dark.fine_background, strict=True)
        ),
    )


def _turned_about_poles(maps: np.ndarray, angle_rad: float) -> np.ndarray:
    """NESTED maps (n, npix) turned in longitude, each pixel from the one nearest."""
    nside = hp.npix2nside(maps.shape[1])
    theta, phi = hp.pix2ang(nside, np.arange(maps.shape[1]), nest=True)
    turned: np.ndarray = maps[:, hp.ang2pix(nside, theta, phi - angle_rad, nest=True)]
    return turned


def make_shard(recipe: ShardRecipe, folder: str | Path, data_dir: str | Path | None) -> Path:
    """Simulate a shard and move it to its place when it is whole."""
    folder = Path(folder)
    if folder.exists():
        return folder
    temporary = folder.with_name(folder.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model = make_sky_model(recipe, data_dir)
    rng = np.random.default_rng([recipe.seed, 1])
    stacks: list[list[np.ndarray]] = [[] for _ in range(N_BINS)]
    truths, frames = [], []
    for frame in random_frames(recipe.n_patches, rng):
        # two in three of the coarse ones follow the first convention
        orders = COARSE_ORDERS[int(rng.random() < 1 / 3)] if rng.random() < recipe.coarse else None
        patch = render_patch(model, frame, BANK_YEARS, rng, orders)
        for stack, counts in zip(stacks, patch.counts, strict=True):
            stack.append(np.minimum(counts, 65535).astype(np.uint16))
        truths.append(truth_in(model, frame))
        frames.append((frame.lon_deg, frame.lat_deg, frame.rotation_deg))
    np.save(temporary / "frames.npy", np.array(frames).reshape(-1, 3))
    for b, stack in enumerate(stacks):
        np.save(temporary / f"counts{b}.npy", np.stack(stack))
    offsets = np.cumsum([0] + [len(t.x) for t in truths])
    columns = {n: np.concatenate([getattr(t, n) for t in truths]) for n in _TRUTH_COLUMNS}
    np.savez(temporary / "truth.npz", allow_pickle=False, offsets=offsets, **columns)
    (temporary / "recipe.json").write_text(json.dumps(asdict(recipe)))
    os.replace(temporary, folder)
    return folder


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
    x, y = frame.project(model.vectors[rows], OUTPUT_PIXELS)
    ts = model.ideal_ts[rows]
    low, high = -_MARGIN_PIXELS, OUTPUT_PIXELS + _MARGIN_PIXELS
    kept = (x > low) & (x < high) & (y > low) & (y < high)
    kept &= ts.sum(axis=1) * BANK_YEARS > _LOWEST_TS
    return Truth(*(a[kept].astype(np.float32) for a in (x, y, ts)))


def make_bank(
    recipes: Sequence[ShardRecipe], bank: str | Path, data_dir: str | Path | None
) -> None:
    """Make the shards that are missing from a bank."""
    for recipe in recipes:
        make_shard(recipe, shard_path(bank, recipe), data_dir)


def shard_path(bank: str | Path, recipe: ShardRecipe) -> Path:
    """Folder of a shard."""
    return Path(bank) / f"sky{recipe.seed:06d}-{recipe.background}-{recipe.event_type}"


def open_bank(bank: str | Path) -> list[Shard]:
    """All finished shards of a bank, in order of seed.

    Raises
    ------
    InputError
        When there is none.
    """
    folders = sorted(p for p in Path(bank).glob("sky*") if not p.name.endswith(".part"))
    if not folders:
        raise InputError(f"no training shards in {bank}; run the bank step first")
    return [Shard(p) for p in folders]
