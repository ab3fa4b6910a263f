"""The recipe of the first study (Panes et al. 2021, A&A 656, A62), trained and run here.

What it does otherwise than this package's localizer: one resolution of 64 pixels for a patch of 10
degrees, five energy bins from 0.5 GeV, plain counts, a plain U-Net of 16 to 256 filters with
the binary cross entropy, and K-means on the pixels of a patch above 0.2, whose number of clusters
is scanned from 1 to 49 for the most probability inside squares around the centres, pixels
counted twice being punished. Everything else is ours: training patches, photons, grid, scores.

    python studies/ancestor.py train BANK ancestor.pt [--minutes 60] [--resume]
    python studies/ancestor.py find ancestor.pt COUNTS... -o CATALOG.fits
    fermi-unek evaluate CATALOG.fits --truth truth.fits
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from fermi_unek.catalog import Candidates, build_catalog, write_catalog
from fermi_unek.pipeline import read_photons, searched_area
from fermi_unek.sky.bins import OUTPUT_PIXELS
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import vectors_to_lonlat
from fermi_unek.sky.geometry.grid import covering_grid, owner
from fermi_unek.sky.geometry.patches import PatchCutter
from fermi_unek.training.localizer.skies import DATASET_YEARS, SkyPatches

PIXELS = 64
BINS = range(1, 6)
YEARS = 10.0
FILTERS = 16
DISC_PIXELS = 2.5
"""0.39 degrees, the discs of its masks."""

VISIBLE_TS = 9.0
LEAST_SCORE = 0.2
MOST_CLUSTERS = 50
REACH_PIXELS = 2
PENALTY = -10.0

SETTLING_BATCHES = 100


def to_pixels(counts: np.ndarray) -> np.ndarray:
    """Photons (n, n) of a patch in 64 x 64 pixels: summed, or shared out evenly."""
    n = counts.shape[-1]
    if n > PIXELS:
        step = n // PIXELS
        return counts.reshape(PIXELS, step, PIXELS, step).sum(axis=(1, 3))
    repeat = PIXELS // n
    return np.kron(counts, np.full((repeat, repeat), 1.0 / repeat**2))


class UNet(nn.Module):
    """Four times down and up again, two convolutions at each level."""

    def __init__(self, filters: int = FILTERS) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            two_convolutions(n_in, n_out)
            for n_in, n_out in zip([len(BINS), *widths[:-1]], widths, strict=True)
        )
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
            for width in widths[:-1]
        )
        self.up = nn.ModuleList(two_convolutions(2 * width, width) for width in widths[:-1])
        self.out = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 5, 64, 64) photons to logits (B, 64, 64)."""
        levels = []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            levels.append(x)
        for level in reversed(range(4)):
            x = self.up[level](torch.cat([self.rise[level](x), levels[level]], dim=1))
        return self.out(x)[:, 0]


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in in (inputs, outputs):
        layers += [nn.Conv2d(n_in, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def example(
    shard: SkyPatches, index: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ten years of photons of a patch (5, 64, 64) and its mask (64, 64), mirrored at random."""
    kept = YEARS / DATASET_YEARS
    photons = np.stack([to_pixels(rng.binomial(shard.counts[0][b][index], kept)) for b in BINS])
    truth = shard.truth(index)
    seen = truth.ts_per_year[:, 0].sum(axis=1) * YEARS > VISIBLE_TS
    scale = PIXELS / OUTPUT_PIXELS
    # pixel centres are whole numbers on both grids
    x, y = ((axis[seen] + 0.5) * scale - 0.5 for axis in (truth.x, truth.y))
    grid = np.arange(PIXELS, dtype=np.float32)
    near = np.hypot(grid - x[:, None, None], grid[:, None] - y[:, None, None]) <= DISC_PIXELS
    mask = near.any(axis=0).astype(np.float32)
    if rng.random() < 0.5:
        photons, mask = photons[..., ::-1], mask[..., ::-1]
    turns = int(rng.integers(4))
    return np.rot90(photons, turns, (1, 2)).copy(), np.rot90(mask, turns).copy()


def draw(
    shards: list[SkyPatches], size: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Photons (size, 5, 64, 64) and masks (size, 64, 64) of patches drawn at random."""
    chosen = [shards[i] for i in rng.integers(len(shards), size=size)]
    pairs = [example(one, int(rng.integers(len(one))), rng) for one in chosen]
    photons, mask = (torch.from_numpy(np.stack(part).astype(np.float32))
                     for part in zip(*pairs, strict=True))  # fmt: skip
    return photons, mask


def settle(network: UNet, shards: list[SkyPatches], size: int, rng: np.random.Generator) -> None:
    """Set the statistics of batch normalisation to the median over batches.

    Plain counts of the brightest patches would carry their running mean far above what most
    batches of the training were normalised with.
    """
    layers = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    momenta = [one.momentum for one in layers]
    seen: list[list[tuple[Tensor, Tensor]]] = []
    network.train()
    for layer in layers:
        layer.momentum = 1.0
    with torch.no_grad():
        for _ in range(SETTLING_BATCHES):
            network(draw(shards, size, rng)[0])
            seen.append([(one.running_mean.clone(), one.running_var.clone()) for one in layers])
    for layer, momentum, batches in zip(layers, momenta, zip(*seen, strict=True), strict=True):
        layer.momentum = momentum
        means, variances = (torch.stack(part) for part in zip(*batches, strict=True))
        layer.running_mean.copy_(means.median(dim=0).values)
        layer.running_var.copy_(variances.median(dim=0).values)


def train(options: argparse.Namespace) -> None:
    """Train for some minutes; the learning rate falls to nothing at their end."""
    shards = [
        one
        for one in [SkyPatches(path) for path in sorted(Path(options.bank).iterdir())]
        if one.recipe.kept_apart == "fb" and one.recipe.orders is None
    ]
    network = UNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=options.lr)
    spent, step = 0.0, 0
    if options.resume:
        saved = torch.load(options.model, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        spent, step = saved["seconds"], saved["step"]
    rng = np.random.default_rng([options.seed, step])
    whole = options.minutes * 60.0

    def save() -> None:
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(),
                    "seconds": spent, "step": step}, options.model)  # fmt: skip

    last, losses = time.monotonic(), []
    while spent < whole:
        for group in optimizer.param_groups:
            group["lr"] = options.lr * 0.5 * (1.0 + math.cos(math.pi * min(spent / whole, 1.0)))
        photons, mask = draw(shards, options.batch, rng)
        loss = nn.functional.binary_cross_entropy_with_logits(network(photons), mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        step += 1
        now = time.monotonic()
        spent, last = spent + now - last, now
        if step % options.every == 0 or spent >= whole:
            print(f"step {step}, {spent:.0f} s, loss {np.mean(losses):.4f}", flush=True)
            losses = []
            save()
    settle(network, shards, options.batch, rng)
    save()


def scan_clusters(score: np.ndarray, seed: int = 0) -> np.ndarray:
    """Centres (K, 2), row and column, of the number of clusters that gathers most score."""
    points = np.argwhere(score > LEAST_SCORE)
    best, centres = 0.0, np.zeros((0, 2))
    for number in range(1, min(MOST_CLUSTERS, len(points) + 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer places than clusters
            tried = KMeans(number, n_init=1, random_state=seed).fit(points).cluster_centers_
        gathered = gathered_score(score, tried)
        if gathered > best:
            best, centres = gathered, tried
    return centres


def gathered_score(score: np.ndarray, centres: np.ndarray) -> float:
    """Sum of the scores in squares around the centres, a pixel's second time at a penalty."""
    times = np.zeros(score.shape, int)
    for row, column in centres.astype(int):
        times[max(row - REACH_PIXELS, 0) : row + REACH_PIXELS,
              max(column - REACH_PIXELS, 0) : column + REACH_PIXELS] += 1  # fmt: skip
    return float(score[times > 0].sum() + PENALTY * (times - 1).clip(0).sum())


def find(sky: SkyCounts, network: UNet, wanted: np.ndarray | None, batch: int = 32) -> Candidates:
    """Candidates of a sky: each patch lists what lies nearest to its own centre."""
    network.eval()
    grid = tuple(covering_grid(wanted))
    cutter = PatchCutter(sky)
    vectors, chances = [np.zeros((0, 3))], [np.zeros(0)]
    for start in range(0, len(grid), batch):
        patches = [cutter.cut(frame) for frame in grid[start : start + batch]]
        photons = np.stack([[to_pixels(p.counts[b] * p.mask[b]) for b in BINS] for p in patches])
        with torch.inference_mode():
            scores = torch.sigmoid(network(torch.from_numpy(photons.astype(np.float32)))).numpy()
        for number, (patch, score) in enumerate(zip(patches, scores, strict=True), start):
            centres = scan_clusters(score)
            if not len(centres):
                continue
            place = patch.frame.unproject(centres[:, 1], centres[:, 0], PIXELS)
            mine = owner(grid, place) == number
            rows, columns = np.rint(centres[mine]).astype(int).T
            vectors.append(place[mine])
            chances.append(score[rows, columns])
    lon, lat = vectors_to_lonlat(np.concatenate(vectors))
    blank = np.full(lon.size, np.nan)
    return Candidates(lon, lat, np.concatenate(chances).astype(float), blank, blank, blank,
                      np.zeros(lon.size, bool))  # fmt: skip


def search(options: argparse.Namespace) -> None:
    """Write the catalog of some counts."""
    network = UNet()
    network.load_state_dict(torch.load(options.model, weights_only=True)["network"])
    sky = read_photons(options.inputs)
    coverage = searched_area(sky)
    start = time.process_time()
    candidates = find(sky, network, coverage)
    print(f"{len(candidates)} candidates in {time.process_time() - start:.0f} s of a core")
    catalog = build_catalog(candidates, coverage=coverage, provenance={"model": "ancestor"})
    write_catalog(catalog, options.output, overwrite=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("train", help="on the shards of a bank")
    one.add_argument("bank", type=Path)
    one.add_argument("model", type=Path)
    one.add_argument("--minutes", type=float, default=60.0)
    one.add_argument("--batch", type=int, default=32)
    one.add_argument("--lr", type=float, default=1e-3)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--every", type=int, default=100, help="steps between lines and saves")
    one.add_argument("--resume", action="store_true")
    one.set_defaults(run=train)
    two = commands.add_parser("find", help="sources in counts")
    two.add_argument("model", type=Path)
    two.add_argument("inputs", nargs="+")
    two.add_argument("-o", "--output", type=Path, required=True)
    two.set_defaults(run=search)
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    main()
