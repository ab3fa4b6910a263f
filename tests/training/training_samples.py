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
from fermi_unek.sky.bins import N_BINS, OUTPUT_PIXELS
from fermi_unek.sky.geometry.frame import vectors_to_lonlat
from fermi_unek.sky.selection import LAYERS
from fermi_unek.training.localizer.skies import SkyPatches, SkyRecipe

WIDTHS = (8, 8, 8, 8)
RECIPE = SkyRecipe(seed=7, background="own-7", kept_apart="fb", n_patches=4)


def sky_of(
    vectors: np.ndarray, photons_per_year: np.ndarray, event_type: str = "front"
) -> SkyModel:
    """Sources with a spectrum like E^-2.3 on a flat background of tens of photons a patch."""
    (response,) = load_instrument().parts(event_type)
    spectrum = FINE_ENERGIES_MEV**-1.3
    rates = photons_per_year[:, None] * (spectrum / spectrum.sum())
    fine = np.tile(3e3 * spectrum / spectrum.sum(), (len(vectors), 1)).astype(np.float32)
    flat = fine[:1].astype(float) @ response.bin_fractions
    npix = 12 * DIFFUSE_NSIDE**2
    lon, lat = vectors_to_lonlat(vectors)
    return SkyModel(
        Table({"GLON": lon, "GLAT": lat}),
        (rates.astype(np.float32),),
        np.repeat(flat.T.astype(np.float32), npix, axis=1),
        (fine,),
        (response,),
        event_type,
        "flat",
    )


def random_layers(seed: int = 0, number: int = 3000) -> list[SkyModel]:
    """Sources all over, from a few to thousands of photons a year, as FRONT and BACK see them."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(number, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    photons = np.exp(rng.uniform(0.0, 7.0, number))
    return [sky_of(vectors, photons, "front"), sky_of(vectors, 0.8 * photons, "back")]


def random_sky(seed: int = 0, number: int = 3000) -> SkyModel:
    """As FRONT events see it."""
    return random_layers(seed, number)[0]


def write_patches(
    folder: Path,
    counts: list[list[np.ndarray]],
    x: np.ndarray,
    y: np.ndarray,
    ts_per_year: np.ndarray,
    offsets: list[int],
    extended: np.ndarray | None = None,
    **recipe: object,
) -> SkyPatches:
    """Patches of a sky with counts, by layer, and truth as told."""
    folder.mkdir(parents=True)
    number = len(counts[0][0])
    told = SkyRecipe(**{"seed": 1, "background": "own-1", "kept_apart": "fb", "n_patches": number,
                        **recipe})  # fmt: skip
    for name, layer in zip(LAYERS[told.kept_apart], counts, strict=True):
        for b in range(N_BINS):
            np.save(folder / f"{name}{b}.npy", layer[b].astype(np.uint16))
    half = OUTPUT_PIXELS // 2
    np.save(
        folder / "extended.npy",
        np.zeros((number, half, half), bool) if extended is None else extended,
    )
    columns = {"x": x, "y": y, "ts_per_year": ts_per_year}
    np.savez(
        folder / "truth.npz",
        offsets=np.array(offsets),
        frames=np.zeros((number, 3)),
        **{k: np.asarray(v, np.float32) for k, v in columns.items()},
    )
    (folder / "recipe.json").write_text(json.dumps(asdict(told)))
    return SkyPatches(folder)


def tiny_config(out: Path, bank: Path, **changes: object) -> TrainConfig:
    """A run of a few steps of a tiny network."""
    values: dict[str, object] = {
        "out": out, "dataset": bank, "steps": 6, "batch": 2, "widths": WIDTHS, "threads": 1,
        "device": "cpu",
        "calibration_skies": 0, "template": "",
        "skies": 1, "patches": 4, "sky_seed": 7, "seed": 3, **changes,
    }  # fmt: skip
    return TrainConfig.model_validate(values)
