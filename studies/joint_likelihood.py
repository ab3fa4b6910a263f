"""What a likelihood finds that is told where all sources lie, but not how bright they are.

The ideal TS, and the ceiling of `detection_ceiling.py`, take the brightness of every neighbour and
the background as known. Here the photons of one simulated DR2 sky are fitted: the amplitudes of
all sources of ideal TS above 1 at their true places at once, by expectation maximisation,
with the diffuse emission as it is or smoothed from what the sources leave over, with the true
spectrum of each source or with its six bins free. The TS of a source is the likelihood lost when
it is taken out. Sources are ranked by it and the list is cut where purity (ideal TS above 9)
is 0.95. A finder has to find the places as well.

    python studies/joint_likelihood.py [--seed 8001] [--background v07] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import healpy as hp
import numpy as np
from scipy.sparse import csr_array

from fermi_unek.detect.refine import near_pixels
from fermi_unek.diffuse.named import by_name
from fermi_unek.irf.instrument import load_instrument, mean_psf
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.sky import background_rates, simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.sky.bins import COVERAGE_ORDER
from fermi_unek.sky.counts import BinCounts

YEARS = 10.0
LEAST_TS = 1.0
REAL_TS = 9.0
PURITY = 0.95
TS_EDGES = (16.0, 25.0, 36.0, 64.0, 100.0, np.inf)
RADIUS_DEG = (3.0, 2.0, 1.5, 1.0, 0.6, 0.5)
"""Reach of a source in each bin; what lies beyond is left to the background."""

ORDERS = (8, 8, 9, 10, 11, 11)
"""HEALPIX orders of the fit, a tenth to a fifth of the PSF."""

_SMOOTH_DEG = 1.5
_GROUND_ORDER = 7
_ROUNDS = 16
_FASTER = 1.5
_TINY = 1e-9


@dataclass
class Bin:
    """Photons of one energy bin and what the sources put into the occupied pixels.

    Attributes
    ----------
    photons, ground : arrays (P,)
        Counts and expected background in the occupied pixels.
    cell : int array (P,)
        Pixel of `_GROUND_ORDER` in which each lies.
    psf : csr_array (S, P)
        Share of the photons of each source that falls into each pixel.
    share : float
        Sum of those shares over all pixels, occupied or not.
    of_cell : float
        Area of a pixel over that of a cell.
    """

    photons: np.ndarray
    ground: np.ndarray
    cell: np.ndarray
    psf: csr_array
    share: float
    of_cell: float

    def smooth_ground(self, mine: np.ndarray) -> None:
        """Background from photons `mine` (P,) that the sources leave over."""
        cells = 12 * 4**_GROUND_ORDER
        level = hp.smoothing(
            hp.reorder(np.bincount(self.cell, mine, minlength=cells), n2r=True),
            sigma=np.radians(_SMOOTH_DEG), lmax=256, iter=1,
        )  # fmt: skip
        per_cell = np.maximum(hp.reorder(level, r2n=True), 1e-4)
        self.ground = per_cell[self.cell] * self.of_cell


def coarser(counts: BinCounts, order: int) -> BinCounts:
    """The same photons in larger pixels."""
    pixels, back = np.unique(to_order(counts.pixels, counts.order, order), return_inverse=True)
    return BinCounts(
        order, pixels.astype(np.uint32), np.bincount(back, counts.counts).astype(np.uint32)
    )


def to_order(pixels: np.ndarray, order: int, wanted: int) -> np.ndarray:
    """NESTED pixels of another order: the one around each, or its first part."""
    shift = 2 * (order - wanted)
    whole = pixels.astype(np.int64)
    return whole >> shift if shift >= 0 else whole << -shift


def make_bin(model: SkyModel, counts: BinCounts, rows: np.ndarray, b: int) -> Bin:
    """The occupied pixels of bin `b` with their true background."""
    counts = coarser(counts, ORDERS[b])
    order, pixels = counts.order, counts.pixels.astype(np.int64)
    vectors = model.vectors[rows]
    source, place = near_pixels(counts, vectors, RADIUS_DEG[b])
    centre = np.stack(hp.pix2vec(2**order, pixels, nest=True), axis=-1).astype(np.float32)
    chord = np.linalg.norm(centre[place] - vectors[source].astype(np.float32), axis=1)
    inside = chord < np.radians(RADIUS_DEG[b])
    source, place, chord = source[inside], place[inside], chord[inside]
    angles, density = mean_psf(model.responses[0], b)
    area = hp.nside2pixarea(2**order)
    shares = (np.interp(chord, angles, density) * area).astype(np.float32)
    ring = np.linspace(0.0, np.radians(RADIUS_DEG[b]), 4000)
    # the map of the background is far smoother than the pixels of either order
    near, back = np.unique(to_order(pixels, order, COVERAGE_ORDER), return_inverse=True)
    ground = background_rates(model, near)[b][back] * YEARS * 4.0 ** (COVERAGE_ORDER - order)
    return Bin(
        counts.counts.astype(float),
        ground,
        to_order(pixels, order, _GROUND_ORDER),
        csr_array((shares, (source, place)), shape=(len(rows), len(pixels))),
        float(np.trapezoid(np.interp(ring, angles, density) * 2.0 * np.pi * ring, ring)),
        4.0 ** (_GROUND_ORDER - order),
    )


def fit(bins: list[Bin], spectrum: np.ndarray, estimate_ground: bool) -> np.ndarray:
    """TS (S,) of all sources, each of one amplitude times `spectrum` (S, number of bins)."""
    amplitude = np.full(len(spectrum), 0.3)
    norm = spectrum @ np.array([one.share for one in bins])
    if estimate_ground:
        for one in bins:
            one.smooth_ground(0.9 * one.photons)
    for number in range(_ROUNDS):
        pull = np.zeros(len(spectrum))
        for k, one in enumerate(bins):
            light = one.psf.T @ (amplitude * spectrum[:, k])
            if estimate_ground and number % 2:
                one.smooth_ground(one.photons * one.ground / (one.ground + light))
            pull += spectrum[:, k] * (one.psf @ (one.photons / (one.ground + light)))
        amplitude *= (pull / np.maximum(norm, _TINY)) ** _FASTER
    lost = np.zeros(len(spectrum))
    for k, one in enumerate(bins):
        total = one.ground + one.psf.T @ (amplitude * spectrum[:, k])
        owner = np.repeat(np.arange(len(spectrum)), np.diff(one.psf.indptr))
        mine = one.psf.data * (amplitude * spectrum[:, k])[owner]
        all_ = total[one.psf.indices]
        gain = one.photons[one.psf.indices] * np.log(all_ / np.maximum(all_ - mine, _TINY))
        lost += 2.0 * np.bincount(owner, gain, minlength=len(spectrum))
    return lost - 2.0 * amplitude * norm


def report(title: str, ts: np.ndarray, rows: np.ndarray, truth: dict[str, np.ndarray]) -> None:
    """One line: completeness at the purity of a ranking, at abs(b) > 20 and below."""
    parts = []
    for here in (np.abs(truth["lat"]) > 20.0, np.abs(truth["lat"]) < 20.0):
        mine = here[rows]
        order = np.flatnonzero(mine)[np.argsort(-ts[mine])]
        purity = np.cumsum(truth["ts"][rows[order]] > REAL_TS) / np.arange(1, len(order) + 1)
        pure = np.flatnonzero(purity >= PURITY)
        found = np.zeros(len(here), bool)
        found[rows[order[: pure[-1] + 1 if pure.size else 0]]] = True
        faint = here & (truth["signif"] >= 4.0) & (truth["signif"] < 10.0)
        parts.append(f"{found[faint].mean():.3f}")
        for low, high in zip(TS_EDGES[:-1], TS_EDGES[1:], strict=True):
            parts.append(f"{found[here & (truth['ts'] > low) & (truth['ts'] <= high)].mean():.2f}")
    high_lat = (np.abs(truth["lat"]) > 20.0) & (truth["ts"] > 16.0) & (truth["ts"] < 64.0)
    inside = high_lat[rows]
    error = np.sqrt(np.maximum(ts[inside], 0.0)) - np.sqrt(truth["ts"][rows[inside]])
    print(f"{title:<44} {' '.join(parts)}  {error.mean():+.2f} {error.std():.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=8001)
    parser.add_argument("--background", default="v07")
    parser.add_argument("--data", default="../shared/data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    diffuse = by_name(options.background, options.data, "front")
    model = build_sky_model(dr2_population(rng), diffuse, load_instrument(), "front")
    sky = simulate_counts(model, YEARS, np.random.default_rng([options.seed, 2]))
    truth = {
        "ts": model.ideal_ts.sum(axis=1) * YEARS,
        "lat": np.asarray(model.sources["GLAT"], float),
        "signif": np.asarray(model.sources["Signif_Avg"], float),
    }
    rows = np.flatnonzero(truth["ts"] > LEAST_TS)
    high = np.abs(truth["lat"][rows]) > 20.0
    area_deg2 = 4.0 * np.pi * (1.0 - np.sin(np.radians(20.0))) * np.degrees(1.0) ** 2
    print(
        f"{high.sum()} sources fitted at abs(b) > 20, {high.sum() / area_deg2:.2f} a square degree"
    )
    print(
        "at abs(b) > 20, then below: DR2 of 4 to 10 sigma; ideal TS 16-25 25-36 36-64 64-100 >100"
    )
    print("last: mean and width of sqrt(TS) less its ideal, ideal TS 16-64 at abs(b) > 20")
    expected = model.expected_counts[rows] * YEARS
    bins = [make_bin(model, one, rows, b) for b, one in enumerate(sky.bins) if one is not None]
    for estimate in (False, True):
        told = "diffuse smoothed from counts" if estimate else "diffuse known"
        report(f"spectra known, {told}", fit(bins, expected, estimate), rows, truth)
        free = [fit([one], expected[:, [b]], estimate) for b, one in enumerate(bins)]
        report(f"six bins free, {told}", np.sum(free, axis=0), rows, truth)


if __name__ == "__main__":
    main()
