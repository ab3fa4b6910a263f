"""The network beside gammapy's TS map on the same random fields, in one run.

Each field is a circle of ten years of FRONT photons of a simulated sky. `find` sees its counts.
TSMapEstimator and find_peaks see the same photons in pixels of 0.1 degrees, the PSF, the exposure
and, which no analyst has, the true diffuse background they were drawn from. Sources are counted
within 5 degrees of the centre, matched within 0.3 degrees.

Seconds are of one processor core, so that a busy machine changes nothing.

Run with ``PYTHONPATH=src python benchmarks/rivals.py [--fields 16] [--model FILE] [-o FILE.ecsv]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import healpy as hp
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.datasets import MapDataset
from gammapy.estimators import TSMapEstimator
from gammapy.estimators.utils import find_peaks
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel
from gammapy.modeling.models import SkyModel as GammapyModel

from fermi_unek.catalog import Candidates, Catalog, build_catalog
from fermi_unek.config import FindConfig, SimulateConfig
from fermi_unek.diffuse.named import DIFFUSE_NSIDE, choose
from fermi_unek.evaluate.headline import TS_EDGES
from fermi_unek.evaluate.rates import Rate
from fermi_unek.evaluate.truth_comparison import TruthComparison
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument, mean_psf
from fermi_unek.pipeline import Models, load_models, search
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, N_BINS
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage

SEEN_DEG, MAPPED_DEG, COUNTED_DEG = 9.0, 7.0, 5.0
"""Radius of the photons, half the width of the TS map, radius within which is counted."""

PIXEL_DEG = 0.1
KERNEL_DEG = 4.0
INDEX = 2.4


def sky_of(seed: int, population: str, background: str) -> SkyModel:
    """The simulated sky from which all fields are drawn."""
    config = SimulateConfig(seed=seed, population=population, background=background)
    sources = find_population(config, np.random.default_rng([seed, 0]))
    return build_sky_model(
        sources,
        choose(config.background, config.evtype, config.isotropic),
        load_instrument(),
        "front",
    )


def centres(number: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Galactic places spread evenly over the sphere."""
    lon, sine = rng.uniform(0, 360, number), rng.uniform(-1, 1, number)
    return list(zip(lon.tolist(), np.degrees(np.arcsin(sine)).tolist(), strict=True))


def dataset_of(sky: SkyCounts, model: SkyModel, years: float, lon: float, lat: float) -> MapDataset:
    """The photons of a field as gammapy has them, over the background they were drawn from."""
    axis = MapAxis.from_energy_edges(ENERGY_EDGES_MEV * u.MeV)
    true_axis = MapAxis.from_energy_edges(ENERGY_EDGES_MEV * u.MeV, name="energy_true")
    geom = WcsGeom.create(
        skydir=SkyCoord(lon, lat, unit="deg", frame="galactic"), frame="galactic", proj="TAN",
        width=2 * MAPPED_DEG, binsz=PIXEL_DEG, axes=[axis],
    )  # fmt: skip
    counts, background = Map.from_geom(geom), Map.from_geom(geom)
    exposure = Map.from_geom(geom.to_image().to_cube([true_axis]), unit="cm2 s")
    place = geom.to_image().get_coord().skycoord.galactic
    theta, phi = np.radians(90.0 - place.b.deg.ravel()), np.radians(place.l.deg.ravel())
    near, weight = hp.get_interp_weights(DIFFUSE_NSIDE, theta, phi, nest=True)
    area = geom.to_image().solid_angle().to_value("sr")
    response = model.responses[0]
    fine = response.exposure_at(hp.ang2vec(theta, phi)) * years
    for b, one in enumerate(sky.bins):
        there = SkyCoord(
            *hp.pix2ang(2**one.order, one.pixels, nest=True, lonlat=True), unit="deg",
            frame="galactic",
        )  # fmt: skip
        column, row = geom.to_image().coord_to_idx(there)
        inside = (column >= 0) & (row >= 0)
        np.add.at(counts.data[b], (row[inside], column[inside]), one.counts[inside])
        light = np.einsum("ij,ij->j", model.background[b][near], weight)
        background.data[b] = light.reshape(area.shape) * area * years
        shares = FINE_ENERGIES_MEV ** (1.0 - INDEX) * response.bin_fractions[:, b]
        exposure.data[b] = (shares @ fine / shares.sum()).reshape(area.shape)
    return MapDataset(counts=counts, background=background, exposure=exposure,
                      psf=psf_map(model, true_axis, geom), name="field")  # fmt: skip


def psf_map(model: SkyModel, true_axis: MapAxis, geom: WcsGeom) -> PSFMap:
    """The PSF of each energy bin for a power law, the same over the field."""
    rad = np.concatenate([[0.0], np.geomspace(0.01, KERNEL_DEG * 1.5, 300)])
    rad_axis = MapAxis.from_nodes(rad * u.deg, name="rad", interp="lin")
    coarse = WcsGeom.create(skydir=geom.center_skydir, frame="galactic", binsz=2 * MAPPED_DEG,
                            width=4 * MAPPED_DEG, axes=[rad_axis, true_axis])  # fmt: skip
    psf = Map.from_geom(coarse, unit="sr-1")
    for b in range(N_BINS):
        angles, density = mean_psf(model.responses[0], b, INDEX)
        psf.data[b] = np.interp(np.radians(rad), angles, density)[:, None, None]
    return PSFMap(psf)


def ts_peaks(dataset: MapDataset, first_bin: int, threshold: float) -> Table:
    """Peaks of the TS map of all bins from one on."""
    edges = ENERGY_EDGES_MEV[first_bin:]
    if first_bin:
        dataset = dataset.slice_by_energy(edges[0] * u.MeV, edges[-1] * u.MeV)
        dataset.psf = dataset.psf.slice_by_idx({"energy_true": slice(first_bin, None)})
        dataset.exposure = dataset.exposure.slice_by_idx({"energy_true": slice(first_bin, None)})
    estimator = TSMapEstimator(
        GammapyModel(PowerLawSpectralModel(index=INDEX), PointSpatialModel(), name="point"),
        kernel_width=KERNEL_DEG * u.deg,
        energy_edges=[edges[0], edges[-1]] * u.MeV,
        sum_over_energy_groups=False,
        n_jobs=1,
    )
    maps = estimator.run(dataset)
    return find_peaks(maps["sqrt_ts"], threshold=threshold, min_distance=0.25 * u.deg)


def as_catalog(peaks: Table, coverage: np.ndarray | None) -> Catalog:
    """Peaks as a catalog whose probability rises with sqrt(TS)."""
    n = len(peaks)
    if n:
        place = SkyCoord(peaks["ra"], peaks["dec"], unit="deg").galactic
        lon, lat, value = place.l.deg, place.b.deg, np.asarray(peaks["value"], float)
    else:
        lon = lat = value = np.zeros(0)
    blank = np.full(n, np.nan)
    return build_catalog(
        Candidates(lon, lat, chance_of(value), blank, blank, blank, np.zeros(n, bool)),
        coverage=coverage,
    )


def chance_of(sqrt_ts: np.ndarray) -> np.ndarray:
    """A number in 0 to 1 that rises with sqrt(TS), the finer the lower."""
    return np.asarray(sqrt_ts) / (100.0 + np.asarray(sqrt_ts))


def counts_at(benches: list[TruthComparison], threshold: float) -> dict[str, Rate]:
    """Purity and completeness of all fields together, cut at a probability."""
    at = np.array([threshold])
    rates = {}
    pure = [bench.visible_scan.detection_rate(bench.counted_detections, at) for bench in benches]
    rates["purity"] = Rate(sum(int(c.found[0]) for c in pure), sum(int(c.total[0]) for c in pure))
    for low, high in zip(TS_EDGES[:-1], TS_EDGES[1:], strict=True):
        curves = [
            bench.scan.truth_rate((bench.ts >= low) & (bench.ts < high) & bench.counted_truth, at)
            for bench in benches
        ]
        name = f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}"
        rates[name] = Rate(
            sum(int(c.found[0]) for c in curves), sum(int(c.total[0]) for c in curves)
        )
    return rates


def cut_at_purity(benches: list[TruthComparison], purity: float) -> float:
    """Lowest probability at which all fields together are as pure as that."""
    levels = np.unique(np.concatenate([bench.probability for bench in benches]))
    curves = [b.visible_scan.detection_rate(b.counted_detections, levels) for b in benches]
    found, total = (sum(getattr(c, name) for c in curves) for name in ("found", "total"))
    enough = np.flatnonzero((total > 0) & (found >= purity * total))
    return float(levels[enough[0]]) if enough.size else float("nan")


def row_of(
    name: str, benches: list[TruthComparison], threshold: float, seconds: float
) -> dict[str, object]:
    rates = counts_at(benches, threshold)
    cells: dict[str, object] = {"method": name, "n": rates["purity"].total}
    for label, rate in rates.items():
        low, high = rate.interval
        cells |= {label: rate.value, f"{label}_error": (high - low) / 2.0}
    return cells | {"s_per_field": seconds}


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = action()
    return result, time.process_time() - start


def run(options: argparse.Namespace) -> Table:
    """Search all fields with both, and count."""
    rng = np.random.default_rng([options.seed, 1])
    model = sky_of(options.seed, options.population, options.background)
    truth = truth_table(model, options.years)
    config = FindConfig(threshold=0.02, model=options.model, reference="none", classify=False)
    models: Models = load_models(config)
    names = {"find": "find", **{f"TS map from {ENERGY_EDGES_MEV[b]:g} MeV": b
                                for b in options.first_bin}}  # fmt: skip
    benches: dict[str, list[TruthComparison]] = {name: [] for name in names}
    seconds = dict.fromkeys(names, 0.0)
    for lon, lat in centres(options.fields, rng):
        # what is counted ends half a degree inside the coverage
        counted = circle_coverage(lon, lat, COUNTED_DEG + 0.5)
        sky = simulate_counts(model, options.years, rng, (lon, lat, SEEN_DEG))
        found, spent = timed(lambda sky=sky: search(sky, config, models))
        lists = {"find": Catalog(found.table, found.header, counted)}
        seconds["find"] += spent
        dataset = dataset_of(sky, model, options.years, lon, lat)
        for name, first in names.items():
            if name == "find":
                continue
            peaks, spent = timed(lambda dataset=dataset, first=first: ts_peaks(dataset, first, 3.0))
            lists[name] = as_catalog(peaks, counted)
            seconds[name] += spent
        for name, catalog in lists.items():
            benches[name].append(TruthComparison(catalog, truth, 0.3))
        print(f"({lon:6.2f}, {lat:+6.2f}): " + ", ".join(
            f"{name} {b[-1].counted_detections.sum()} in {seconds[name] / len(b):.1f} s a field"
            for name, b in benches.items()), flush=True)  # fmt: skip
    rows = []
    per_field = {name: seconds[name] / options.fields for name in names}
    for name in list(names)[1:]:
        for least in (4.0, 5.0):
            cut = float(np.float32(chance_of(least)))
            row = row_of(f"{name}, sqrt(TS) > {least:g}", benches[name], cut, per_field[name])
            rows.append(row)
            same = cut_at_purity(benches["find"], row["purity"])
            rows.append(
                row_of(f"  find, as pure (p > {same:.3f})", benches["find"], same,
                       per_field["find"])
            )  # fmt: skip
    for least in (0.2, 0.5, 0.8):
        rows.append(row_of(f"find, p > {least:g}", benches["find"], least, per_field["find"]))
    same = cut_at_purity(benches["find"], 0.95)
    rows.append(row_of(f"find, purity 0.95 (p > {same:.3f})", benches["find"], same,
                       per_field["find"]))  # fmt: skip
    return Table(rows=rows)


def tell(table: Table) -> None:
    """Print purity and completeness by ideal TS, a line a method."""
    labels = [n.removesuffix("_error") for n in table.colnames if n.endswith("_error")]
    print(f"{'':<36}{'n':>5}" + "".join(f"{label:>14}" for label in labels) + "  s/field")
    for row in table:
        print(
            f"{row['method']:<36}{row['n']:>5}"
            + "".join(f"{row[label]:>8.3f}+-{row[label + '_error']:.3f}" for label in labels)
            + f"{row['s_per_field']:>9.1f}"
        )


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=16)
    parser.add_argument("--seed", type=int, default=9100)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--population", default="resampled")
    parser.add_argument("--background", default="auto")
    parser.add_argument("--model", help="name of a localizer, or its weights file")
    parser.add_argument(
        "--first-bin", type=int, nargs="+", default=[0, 2],
        help="energy bins from which on the TS map is made, 0 is 300 MeV, 2 is 1 GeV",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, help="table to write")
    options = parser.parse_args()
    table = run(options)
    tell(table)
    if options.output:
        table.write(options.output, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
