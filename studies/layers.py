"""What is found with FRONT photons, FRONT and BACK, and the quartiles of the PSF.

One simulated sky of DR2 and its faint tail, seen in each event type, searched with some of its
photons: FRONT alone; FRONT and BACK apart, and as one image; PSF2 with PSF3, and PSF0 with PSF1.
Every list is cut where it is as pure as asked for (ideal TS over 9 in the photons that were
searched). Printed are completeness of DR2 by its significance, completeness by ideal TS on the
FRONT photons, so that the lines compare, and the radii that hold 68% of the offsets.

    python studies/layers.py [--seed 9001] [--model FILE] [--years 10] [--only fb]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import build_catalog
from fermi_unek.config import SimulateConfig
from fermi_unek.detect.find import find_candidates
from fermi_unek.diffuse.named import choose
from fermi_unek.evaluate.counting import completeness_tables
from fermi_unek.evaluate.headline import completeness_rows, cut_for, parts_of_sky
from fermi_unek.evaluate.scores import score
from fermi_unek.evaluate.truth_comparison import Cut, TruthComparison
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.weights import load_localizer
from fermi_unek.pipeline.models import find_shape
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.layers import added, with_layers
from fermi_unek.sky.recount import counted_in_orders
from fermi_unek.training.localizer.skies import COARSE_ORDERS

PURITY, RADIUS_DEG = 0.95, 0.3
KINDS = {
    "front": (("front",), True),
    "fb": (("front", "back"), True),
    "all": (("front", "back"), False),
    "psf": (("psf23", "psf01"), True),
}
"""Event types, and whether they are kept apart."""


class Sky:
    """One sky in whatever event types are asked for, each drawn once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.region = SimulateConfig(region=options.region).region
        self._drawn: dict[str, tuple[SkyModel, SkyCounts]] = {}

    def of(self, event_type: str) -> tuple[SkyModel, SkyCounts]:
        """The model and the counts of an event type."""
        if event_type not in self._drawn:
            options = self.options
            config = SimulateConfig(seed=options.seed, background=options.background)
            model = build_sky_model(
                find_population(config, np.random.default_rng([options.seed, 0])),
                choose(options.background, event_type),
                load_instrument(),
                event_type,
            )
            bits = [ord(letter) for letter in event_type]
            rng = np.random.default_rng([options.seed, 1, *bits])
            counts = simulate_counts(model, options.years, rng, self.region)
            if options.coarse is not None:
                counts = counted_in_orders(counts, COARSE_ORDERS[options.coarse], rng)
            self._drawn[event_type] = model, counts
        return self._drawn[event_type]

    def searched(self, kind: str) -> tuple[SkyCounts, Table, Table]:
        """Counts, and truth by ideal TS on the photons searched, and on ten years of FRONT."""
        names, apart = KINDS[kind]
        layers = [self.of(name) for name in names]
        counts = [sky for _, sky in layers]
        parts = [model for model, _ in layers]
        joint = replace(
            parts[0],
            rates=sum((model.rates for model in parts), ()),
            fine_background=sum((model.fine_background for model in parts), ()),
            responses=sum((model.responses for model in parts), ()),
        )
        counts = [sky for _, sky in layers]
        return (
            with_layers(counts) if apart else added(counts),
            truth_table(joint, self.options.years),
            truth_table(self.of("front")[0], 10.0),
        )


def report(kind: str, sky: Sky, options: argparse.Namespace) -> None:
    """Search and print one line of each table."""
    counts, told, columns = sky.searched(kind)
    start = time.monotonic()
    found = find_candidates(
        counts,
        load_localizer(options.model),
        threshold=0.02,
        region=sky.region,
        shape=find_shape(options.diffuse),
    )
    seconds = time.monotonic() - start
    catalog = build_catalog(found, coverage=counts.coverage)
    judged = TruthComparison(catalog, told, RADIUS_DEG)
    cut = cut_for(judged, judged.counted_detections, PURITY)
    tables = completeness_tables(Cut(TruthComparison(catalog, columns, RADIUS_DEG), cut))
    signif = tables["completeness_signif"]
    signif = signif[signif["band"] == "all"]
    edge = next(c for c in signif.colnames if c.endswith("_low_edge"))
    faint = signif[edge] < 10.0
    below, above = (
        np.average(signif["completeness"][some], weights=signif["n"][some])
        for some in (faint, ~faint)
    )
    print(f"{kind:6s} {len(found)} candidates, {seconds:.0f} s, cut at {cut:.3f}")
    print(f"       DR2 4-10 sigma {below:.3f}, above {above:.4f}")
    by_ts = TruthComparison(catalog, columns, RADIUS_DEG)
    for part, mask in parts_of_sky(by_ts.true_place[1]).items():
        rows = completeness_rows(
            by_ts, mask & by_ts.counted_truth, by_ts.counted_detections, cut, {"part": part}
        )
        line(f"TS, {part}", rows, "completeness")
    near = tables["completeness_neighbour"]
    near = near[(near["band"] == "all") & (near["sample"] == "ideal TS > 100")]
    line("TS > 100, by deg to a brighter", near, "completeness", edge="neighbour_deg_low_edge")
    tables = score(catalog, columns, RADIUS_DEG).tables
    pointing, coverage = tables["pointing"], tables["coverage"]
    line("r68, |b|>20", pointing[pointing["part"] == "|b|>20"], "r68_deg", 4)
    for level in ("in68", "in95"):
        line(f"{level}, by TS", coverage[coverage["band"] == "all"], level)
        line(f"{level}, |b|<5", coverage[coverage["band"] == "|b|<5"], level)


def line(name: str, rows: object, column: str, digits: int = 3, edge: str = "TS_low_edge") -> None:
    """One line: a column by its lower edges, of ideal TS unless told."""
    cells = [f"{row[edge]:g}: {row[column]:.{digits}f}" for row in rows]
    print(f"       {name:14s} {'  '.join(cells)}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=9001)
    parser.add_argument("--model", default=None)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--background", default="v07")
    parser.add_argument("--diffuse", default="v07")
    parser.add_argument("--coarse", type=int, choices=range(len(COARSE_ORDERS)), default=None)
    parser.add_argument("--region", default=None)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    sky = Sky(options)
    for kind in options.only:
        report(kind, sky, options)


if __name__ == "__main__":
    main()
