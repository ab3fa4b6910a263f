"""Seconds of each step of a search: cutting, network, blending, centres.

On a simulated whole sky of the package's own diffuse model, or with ``--fake`` on even photons.
Run with ``PYTHONPATH=src python benchmarks/bench_find.py [--model FILE] [--patches 64]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import healpy as hp
import numpy as np
import torch
from bench_patches import fake_sky, peak_gb

from fermi_unek.detect.centers import METHODS, find_centers
from fermi_unek.detect.find import find_candidates
from fermi_unek.detect.scene import scene_of
from fermi_unek.detect.settings import SearchConfig
from fermi_unek.detect.skymask import (
    MASK_ORDER,
    MaskBlend,
    SkyMask,
    run_network,
    turns_of,
)
from fermi_unek.diffuse.template import load_shape
from fermi_unek.nets.weights import LocalizerFile, load_localizer
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import PatchFrame
from fermi_unek.sky.geometry.grid import DENSE_GRID, GridConfig, sky_grid
from fermi_unek.sky.geometry.patches import PatchCutter
from fermi_unek.sky.layers import with_layers
from fermi_unek.training.localizer.skies import SkyRecipe, make_sky_models


def simulated_sky(years: float, n_layers: int) -> SkyCounts:
    models = make_sky_models(SkyRecipe(99, "own-99", "fb", 0), None)[:n_layers]
    rng = np.random.default_rng(0)
    return with_layers([simulate_counts(model, years, rng) for model in models])


def search(sky: SkyCounts, localizer: LocalizerFile, frames: Sequence[PatchFrame]) -> SkyMask:
    """As `detect.skymask.sky_mask`, with a clock on every step."""
    seconds = dict.fromkeys(("scene", "cutter", "cut", "network", "blend", "result"), 0.0)
    last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[name] += now - last
        last = now

    scene = scene_of(sky, localizer.network.spec, load_shape())
    lap("scene")
    cutters, blend = [PatchCutter(layer) for layer in sky.layers or (sky,)], MaskBlend()
    lap("cutter")
    config = SearchConfig()
    starts = range(0, len(frames), config.batch)
    # as in a whole sky, however many of its patches are timed
    for start, turns in zip(starts, turns_of(len(starts), len(grid_of(sky)), config), strict=True):
        batch = frames[start : start + config.batch]
        layers = [[cutter.cut(frame) for frame in batch] for cutter in cutters]
        expected = [scene.cut(frame) for frame in batch]
        lap("cut")
        planes = run_network(localizer.network, layers, scene.filters, expected, turns=turns)
        lap("network")
        blend.add_all(layers, planes)
        lap("blend")
    mask = blend.result()
    lap("result")
    whole = len(grid_of(sky)) / len(frames)
    for name in ("cut", "network", "blend"):
        each = 1e3 * seconds[name] / len(frames)
        print(f"{name:8s} {each:7.1f} ms a patch, {whole * seconds[name]:6.1f} s a sky")
    print(f"scene    {seconds['scene']:.1f} s (templates are kept on disk)")
    print(f"cutter   {seconds['cutter']:.1f} s, result of the blend {seconds['result']:.2f} s")
    return mask


def grid_of(sky: SkyCounts) -> Sequence[PatchFrame]:
    """The patches that `find` shows of a whole sky."""
    return sky_grid(DENSE_GRID if sky.layers else GridConfig())


def discs(number: int, rng: np.random.Generator) -> SkyMask:
    """What a perfect network says of sources, a third of them within a few degrees of the plane."""
    sources = rng.normal(size=(number, 3))
    sources[: number // 3, 2] *= 0.03
    sources /= np.linalg.norm(sources, axis=1)[:, None]
    nside, owner, pixels = 2**MASK_ORDER, [], []
    for index, source in enumerate(sources):
        disc = hp.query_disc(nside, source, np.radians(0.25), nest=True)
        pixels.append(disc)
        owner.append(np.full(len(disc), index))
    unique, first = np.unique(np.concatenate(pixels), return_index=True)
    votes = sources[np.concatenate(owner)[first]]
    votes = votes + np.radians(0.02) * rng.normal(size=votes.shape)
    votes /= np.linalg.norm(votes, axis=1)[:, None]
    probability = rng.uniform(0.3, 1.0, len(unique)).astype(np.float32)
    error, none = (np.full(len(unique), value, np.float32) for value in (0.03, 0.0))
    return SkyMask(unique, probability, votes, error, none)


def time_centers(mask: SkyMask) -> None:
    for method in METHODS:
        start = time.perf_counter()
        found = find_centers(mask, method)
        print(
            f"centres  {time.perf_counter() - start:.2f} s by {method}: {len(found)} from "
            f"{len(mask.pixels):,} pixels"
        )


def time_all(sky: SkyCounts, model: str | None) -> None:
    """From counts in memory to one list of candidates, as `find` does it."""
    start = time.perf_counter()
    found = find_candidates(sky, load_localizer(model), shape=load_shape())
    print(
        f"whole sky, {torch.get_num_threads()} threads: {time.perf_counter() - start:.1f} s to "
        f"{len(found)} candidates"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake", action="store_true", help="even photons instead of a simulation")
    parser.add_argument("--model", help="name of a localizer, or its weights file")
    parser.add_argument("--patches", type=int, default=0, help="of the whole grid; 0 for all")
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--layers", type=int, choices=(1, 2), default=1, help="FRONT, and BACK")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    sky = (
        fake_sky(rng, options.years / 10.0)
        if options.fake
        else simulated_sky(options.years, options.layers)
    )
    print(f"sky: {sky.totals.sum():,} photons, made in {time.perf_counter() - start:.0f} s")
    grid = grid_of(sky)
    step = max(len(grid) // options.patches, 1) if options.patches else 1
    mask = search(sky, load_localizer(options.model), grid[::step])
    time_centers(mask)
    print("9000 discs:")
    time_centers(discs(9000, rng))
    if not options.patches:
        time_all(sky, options.model)
    print(f"peak memory {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
