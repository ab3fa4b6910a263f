"""Completeness at a given ideal TS when the data are not those the network knows best.

Whole simulated skies of the same sources: live times, FRONT or FRONT+BACK, absent energy bins,
background models. The ideal TS of each source is that of the photons which are there, so that an
ideal finder would have the same completeness in every line. Lists are cut where their
detections in that part of the sky are as pure as asked for; a second table cuts all lists at the
probability of the first line, as an analyst does.

    python studies/robustness.py [--model FILE] [--background NAME] [-o TABLE.ecsv]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.config import FindConfig, SimulateConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.evaluate.headline import completeness_rows, cut_for, parts_of_sky
from fermi_unek.evaluate.truth_comparison import TruthComparison
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.pipeline import load_models, search
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.counts import SkyCounts

PARTS = ("|b|>20", "|b|<20")
PURITY = 0.95
ABSENT = ((0, 1), (0, 1, 2), (5,), (1, 3))
"""Energy bins that are taken away: below 1 GeV, below 2 GeV, above 20 GeV, two in between."""


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    background: str
    years: float = 10.0
    event_type: str = "front"
    absent: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        bins = f", without bins {','.join(map(str, self.absent))}" if self.absent else ""
        return f"{self.background}, {self.years:g} yr, {self.event_type}{bins}"


def settings(options: argparse.Namespace) -> list[Setting]:
    """The first is what the others are held against."""
    first = Setting(options.background)
    return [
        first,
        *(replace(first, years=years) for years in options.years if years != first.years),
        replace(first, event_type="all"),
        *(replace(first, absent=absent) for absent in ABSENT),
        *(replace(first, background=name) for name in options.others),
    ]


def model_of(setting: Setting, options: argparse.Namespace) -> SkyModel:
    """The sky of a setting: the same sources whatever is behind them."""
    config = SimulateConfig(
        seed=options.seed,
        population=options.population,
        background=setting.background,
        evtype=setting.event_type,
    )
    sources = find_population(config, np.random.default_rng([options.seed, 0]))
    return build_sky_model(
        sources,
        choose(config.background, config.evtype, config.isotropic),
        load_instrument(),
        setting.event_type,
    )


def without(sky: SkyCounts, absent: tuple[int, ...]) -> SkyCounts:
    """The same photons with some bins absent."""
    bins = tuple(None if b in absent else one for b, one in enumerate(sky.bins))
    return replace(sky, bins=bins)


def benches(options: argparse.Namespace) -> Iterator[tuple[Setting, TruthComparison]]:
    """Simulate and search each setting; skies and models are used again where they are the same."""
    config = FindConfig(threshold=0.02, model=options.model, reference="none", classify=False,
                        region=options.region)  # fmt: skip
    models = load_models(config)
    last, model, sky = None, None, None
    # settings of one sky stand together
    for setting in sorted(
        settings(options), key=lambda s: (s.background, s.event_type, s.years, s.absent)
    ):
        if last is None or (last.background, last.event_type) != (
            setting.background, setting.event_type
        ):  # fmt: skip
            model, sky = model_of(setting, options), None
        if sky is None or last is None or last.years != setting.years:
            rng = np.random.default_rng([options.seed, 1])
            sky = simulate_counts(model, setting.years, rng, config.region)
        last = setting
        catalog = search(without(sky, setting.absent), config, models)
        truth = truth_table(model, setting.years)
        present = [b for b in range(N_BINS) if b not in setting.absent]
        truth["Ideal_TS"] = np.asarray(truth["Ideal_TS_Bin"])[:, present].sum(axis=1)
        yield setting, TruthComparison(catalog, truth, 0.3)


def run(options: argparse.Namespace) -> Table:
    """Rows of each setting, part of the sky, way to cut and bin of ideal TS."""
    done = {}
    for setting, bench in benches(options):
        done[setting] = bench
        print(f"{setting.name}: {len(bench.probability)} detections", flush=True)
    rows = []
    order = settings(options)
    for part in PARTS:
        known = float("nan")
        for setting in order:
            bench = done[setting]
            found = parts_of_sky(bench.found_place[1])[part] & bench.counted_detections
            true = parts_of_sky(bench.true_place[1])[part] & bench.counted_truth
            own = cut_for(bench, found, PURITY)
            known = own if setting == order[0] else known
            for cut, threshold in (("own", own), ("first", known)):
                labels = {"setting": setting.name, "part": part, "cut": cut}
                rows += completeness_rows(bench, true, found, threshold, labels)
    return Table(rows=rows)


def tell(table: Table) -> None:
    """Print completeness, and in points how it differs from the first line."""
    for part in PARTS:
        for cut, heading in (
            ("own", f"each list cut at purity {PURITY:g}"),
            ("first", "all cut at the probability of the first line"),
        ):
            block = table[(table["part"] == part) & (table["cut"] == cut)]
            if not block["n"].sum():
                continue
            first = block[block["setting"] == block["setting"][0]]
            names = [f"{row['TS_low_edge']:g}-{row['TS_high_edge']:g}" for row in first]
            print(f"\n{part}, {heading}; in brackets points beside the first line")
            print(f"{'':<44}" + "".join(f"{name:>20}" for name in names) + "   prob.  purity")
            for setting in dict.fromkeys(block["setting"].tolist()):
                rows = block[block["setting"] == setting]
                points = 100.0 * (np.asarray(rows["completeness"]) - first["completeness"])
                # draws are independent, sources are the same: at most this
                error = 100.0 * np.hypot(half_width(rows), half_width(first))
                cells = (f"{c:.3f} ({p:+.1f}+-{e:.1f})" for c, p, e in
                         zip(rows["completeness"], points, error, strict=True))  # fmt: skip
                print(f"{setting:<44}" + "".join(f"{cell:>20}" for cell in cells)
                      + f"  {rows['threshold'][0]:.3f}  {rows['purity'][0]:.3f}")  # fmt: skip


def half_width(rows: Table) -> np.ndarray:
    """Binomial error of the completeness of some rows."""
    return np.asarray(rows["completeness_high"] - rows["completeness_low"], float) / 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", help="name of a localizer, or its weights file")
    parser.add_argument("--background", default="v07")
    parser.add_argument("--others", nargs="*", default=["own-777", "model_O", "model_A"],
                        help="background models beside it")  # fmt: skip
    parser.add_argument("--years", type=float, nargs="*", default=[1.0, 4.0, 16.0])
    parser.add_argument("--population", default="resampled")
    parser.add_argument("--seed", type=int, default=9200)
    parser.add_argument("--region", help="LON,LAT,RADIUS instead of the whole sky")
    parser.add_argument("-o", "--output", type=Path, help="table to write")
    options = parser.parse_args()
    table = run(options)
    tell(table)
    if options.output:
        table.write(options.output, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
