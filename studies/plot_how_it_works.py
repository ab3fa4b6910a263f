"""Draw the figures of docs/guide/how-it-works.md from the sample field in the package.

    PYTHONPATH=src python studies/plot_how_it_works.py [CALIBRATION.ecsv] [FOLDER]

Writes how_patch.png, how_mask.png and, where the table of an `evaluate` run is given,
how_calibration.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import healpy as hp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes

from fermi_unek.detect.centers import find_centers
from fermi_unek.detect.scene import scene_of
from fermi_unek.detect.skymask import MASK_ORDER, SkyMask, sky_mask
from fermi_unek.diffuse.template import load_shape
from fermi_unek.evaluate.plots import BANDS, points
from fermi_unek.nets.weights import load_localizer
from fermi_unek.pipeline import demo_sample, read_photons
from fermi_unek.plots import BLUE, GRAY, PANEL_IN, STYLE, VERMILION
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, OUTPUT_PIXELS, PATCH_DEG
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import PatchFrame
from fermi_unek.sky.geometry.grid import covering_grid
from fermi_unek.sky.geometry.patches import PatchCutter

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
CENTRE = PatchFrame(80.0, 18.0, 0.0)
HALF_DEG = PATCH_DEG / 2.0


def draw_patch(sky: SkyCounts, path: Path) -> None:
    """One patch in its six energy bins."""
    patch = PatchCutter(sky).cut(CENTRE)
    figure, panels = plt.subplots(2, 3, figsize=(9.2, 6.9))
    for b, (panel, counts) in enumerate(zip(panels.flat, patch.counts, strict=True)):
        show(panel, counts)
        low, high = ENERGY_EDGES_MEV[b : b + 2] / 1000.0
        panel.set_title(f"{low:g} to {high:g} GeV\n{len(counts)} pixels")
    figure.savefig(path)


def draw_mask(sky: SkyCounts, path: Path) -> None:
    """Counts above 1 GeV, the blended mask, and centres with the votes around them."""
    localizer = load_localizer()
    scene = scene_of(sky, localizer.network.spec, load_shape())
    mask = sky_mask(sky, localizer, covering_grid(sky.coverage), scene)
    centers = find_centers(mask)
    counts = sum(map(on_mask_pixels, PatchCutter(sky).cut(CENTRE).counts[2:]))
    figure, grid = plt.subplots(2, 2, figsize=(9.2, 8.4), sharex=True, sharey=True)
    panels = list(grid.flat)
    show(panels[0], counts)
    panels[0].set_title("photons above 1 GeV")
    panels[1].imshow(
        mask_image(mask), origin="lower", vmin=0, vmax=1, cmap="viridis", extent=extent()
    )
    panels[1].set_title("source mask")
    x, y = CENTRE.project(mask.votes, OUTPUT_PIXELS)
    panels[2].plot(*degrees(x, y), ".", ms=2, color=BLUE, alpha=0.3)
    panels[2].set_title("votes of the mask's pixels")
    x, y = CENTRE.project(centers.vectors, OUTPUT_PIXELS)
    drawn = panels[3].scatter(*degrees(x, y), s=60, c=centers.peak, vmin=0, vmax=1, ec=VERMILION)
    panels[3].set_title("centers")
    figure.colorbar(drawn, ax=panels[3], label="peak of the mask", shrink=0.8)
    for panel in panels:
        panel.set(xlim=(-HALF_DEG, HALF_DEG), ylim=(-HALF_DEG, HALF_DEG), aspect="equal")
    for panel in panels[2:]:
        panel.set_xlabel("degrees from the middle")
    figure.savefig(path)


def draw_calibration(table: Table, path: Path) -> None:
    """Share of true candidates against their mean probability, by latitude."""
    figure, panel = plt.subplots(figsize=PANEL_IN)
    panel.plot([0, 1], [0, 1], color=GRAY, ls=":")
    for band in ("|b|<5", "5<|b|<20", "|b|>20"):
        rows = table[(table["band"] == band) & (table["n"] > 0)]
        points(panel, rows["probability_mean"], rows, "purity", BANDS[band], band)
    panel.set(xlabel="Probability", ylabel="part with a source of TS > 9")
    panel.legend()
    figure.savefig(path)


def show(panel: Axes, counts: np.ndarray) -> None:
    """Counts on a square-root scale, the brightest pixels cut off."""
    image = np.sqrt(counts)
    panel.imshow(
        image, origin="lower", cmap="magma", vmax=np.percentile(image, 99.7), extent=extent()
    )
    panel.set(xticks=[], yticks=[])


def on_mask_pixels(plane: np.ndarray) -> np.ndarray:
    """Counts of one bin spread over the pixels of the source mask."""
    factor = OUTPUT_PIXELS // len(plane)
    return np.kron(plane, np.full((factor, factor), factor**-2.0))


def extent() -> tuple[float, float, float, float]:
    """Sides of a patch in degrees from its centre."""
    return -HALF_DEG, HALF_DEG, -HALF_DEG, HALF_DEG


def degrees(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates of the mask as degrees from the centre."""
    pixel = PATCH_DEG / OUTPUT_PIXELS
    return (x + 0.5) * pixel - HALF_DEG, (y + 0.5) * pixel - HALF_DEG


def mask_image(mask: SkyMask) -> np.ndarray:
    """The blended mask at the pixels of one patch; zero where the network says nothing."""
    centres = CENTRE.pixel_vectors(OUTPUT_PIXELS)
    pixels = hp.vec2pix(2**MASK_ORDER, *np.moveaxis(centres, -1, 0), nest=True)
    place = np.minimum(np.searchsorted(mask.pixels, pixels), len(mask.pixels) - 1)
    return np.where(mask.pixels[place] == pixels, mask.probability[place], 0.0)


def main() -> None:
    """Draw what can be drawn."""
    tables = [Path(one) for one in sys.argv[1:] if one.endswith(".ecsv")]
    folders = [Path(one) for one in sys.argv[1:] if not one.endswith(".ecsv")]
    folder = folders[0] if folders else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    plt.style.use(STYLE)
    sky = read_photons(demo_sample()[0])
    draw_patch(sky, folder / "how_patch.png")
    draw_mask(sky, folder / "how_mask.png")
    if tables:
        draw_calibration(Table.read(tables[0]), folder / "how_calibration.png")


if __name__ == "__main__":
    main()
