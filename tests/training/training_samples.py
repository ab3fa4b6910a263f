"""Skies of a few sources and tiny datasets that the tests of `training` make for themselves."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.config import TrainConfig
from fermi_unek.diffuse.named import DIFFUSE_NSIDE
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument
from fermi_unek.simulate.skymodel import SkyModel
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.geometry.frame import vectors_to_lonlat
from fermi_unek.training.localizer.skies import SkyPatches, SkyRecipe

WIDTHS = (8, 8, 8, 8)
RECIPE = SkyRecipe(seed=7, background="own-7", event_type="front", n_patches=4)


def sky_of(vectors: np.ndarray, photons_per_year: np.ndarray) -> SkyModel:
    """Sources with a spectrum like E^-2.3 on a flat background of tens of photons a patch."""
    front = load_instrument().front
    spectrum = FINE_ENERGIES_MEV**-1.3
    rates = photons_per_year[:, None] * (spectrum / spectrum.sum())
    fine = np.tile(3e3 * spectrum / spectrum.sum(), (len(vectors), 1)).astype(np.float32)
    flat = fine[:1].astype(float) @ front.bin_fractions
    npix = 12 * DIFFUSE_NSIDE**2
    lon, lat = vectors_to_lonlat(vectors)
    return SkyModel(
        Table({"GLON": lon, "GLAT": lat}),
        (rates.astype(np.float32),),
        np.repeat(flat.T.astype(np.float32), npix, axis=1),
        (fine,),
        (front,),
        "front",
        "flat",
    )


def random_sky(seed: int = 0, number: int = 3000) -> SkyModel:
    """Sources all over, from a few to thousands of photons a year."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(number, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return sky_of(vectors, np.exp(rng.uniform(0.0, 7.0, number)))


def write_patches(
    folder: Path,
    counts: list[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    ts_per_year: np.ndarray,
    offsets: list[int],
    seed: int = 1,
) -> SkyPatches:
    """Patches of a sky with counts and truth as told."""
    folder.mkdir(parents=True)
    for b in range(N_BINS):
        np.save(folder / f"counts{b}.npy", counts[b].astype(np.uint16))
    columns = {"x": x, "y": y, "ts_per_year": ts_per_year}
    np.savez(
        folder / "truth.npz",
        offsets=np.array(offsets),
        frames=np.zeros((len(counts[0]), 3)),
        **{k: np.asarray(v, np.float32) for k, v in columns.items()},
    )
    recipe = SkyRecipe(seed, "own-1", "front", len(counts[0]))
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe)))
    return SkyPatches(folder)


def tiny_config(out: Path, bank: Path, **changes: object) -> TrainConfig:
    """A run of a few steps of a tiny network."""
    values: dict[str, object] = {
        "out": out, "dataset": bank, "steps": 6, "batch": 2, "widths": WIDTHS, "threads": 1,
        "device": "cpu",
        "calibration_skies": 0,
        "skies": 1, "patches": 4, "sky_seed": 7, "seed": 3, **changes,
    }  # fmt: skip
    return TrainConfig.model_validate(values)
