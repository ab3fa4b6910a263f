"""What one thing at a time changes: exposure, centre finder, patches, template, coarse pixels.

One simulated sky of DR2 and its faint tail, searched with everything as `find` does it, and again
with one thing changed. Every list is cut where it is as pure as asked for (sources of ideal TS over
9); printed are completeness by photon flux (1 to 100 GeV) over the whole sky, and that of DR2 below
and above 10 sigma.

    python studies/ablations.py [--background v07] [--seed 9300] [-o TABLE.ecsv]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import build_catalog
from fermi_unek.config import SimulateConfig
from fermi_unek.detect.find import find_candidates
from fermi_unek.detect.settings import SearchConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.evaluate.counting import completeness_tables, purity_tables
from fermi_unek.evaluate.headline import cut_for
from fermi_unek.evaluate.truth_comparison import Cut, TruthComparison
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.weights import load_localizer
from fermi_unek.pipeline.models import find_shape
from fermi_unek.pipeline.search import searched_area
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.grid import GridConfig
from fermi_unek.sky.recount import counted_in_orders
from fermi_unek.training.localizer.skies import COARSE_ORDERS

PURITY = 0.95


@dataclass(frozen=True)
class Change:
    """One line of the table."""

    name: str
    years: float = 10.0
    event_type: str = "front"
    search: SearchConfig = SearchConfig()
    recount: Callable[[SkyCounts], SkyCounts] = lambda sky: sky
    diffuse: str = "v07"


def _coarse(orders: tuple[int, ...]) -> Callable[[SkyCounts], SkyCounts]:
    return lambda sky: counted_in_orders(sky, orders, np.random.default_rng(0))


CHANGES = (
    Change("as find does it: FRONT, ten years"),
    Change("peaks in place of K-means", search=SearchConfig(centers="peaks")),
    Change("each patch in four orientations", search=SearchConfig(few_patches=10_000)),
    Change("twice as many patches", search=SearchConfig(grid=GridConfig(2.5, 42))),
    Change(
        "a third, in four orientations",
        search=SearchConfig(few_patches=10_000, grid=GridConfig(4.5, 24)),
    ),
    Change("nothing known of the diffuse emission", diffuse="none"),
    *(Change(f"counted at orders {o}", recount=_coarse(o)) for o in COARSE_ORDERS),
    Change("twice the FRONT exposure", years=20.0),
    Change("FRONT and BACK as one image", event_type="all"),
)


def model_of(event_type: str, options: argparse.Namespace) -> SkyModel:
    """The sky in photons of an event type; the sources are the same."""
    config = SimulateConfig(seed=options.seed, background=options.background, evtype=event_type)
    sources = find_population(config, np.random.default_rng([options.seed, 0]))
    return build_sky_model(
        sources,
        choose(config.background, config.evtype, config.isotropic),
        load_instrument(),
        event_type,
    )


def comparisons(options: argparse.Namespace) -> Iterator[tuple[Change, TruthComparison]]:
    """Search the sky with each change; it is drawn anew only where its photons change."""
    drawn: dict[tuple[float, str], tuple[SkyModel, SkyCounts]] = {}
    region = SimulateConfig(region=options.region).region
    for change in CHANGES:
        photons = (change.years, change.event_type)
        if photons not in drawn:
            drawn.clear()
            model = model_of(change.event_type, options)
            rng = np.random.default_rng([options.seed, 1])
            drawn[photons] = model, simulate_counts(model, change.years, rng, region)
        model, sky = drawn[photons]
        sky = change.recount(sky)
        localizer = load_localizer(options.model)
        found = find_candidates(
            sky,
            localizer,
            threshold=0.02,
            region=region,
            shape=find_shape(change.diffuse),
            config=change.search,
        )
        catalog = build_catalog(found, coverage=searched_area(sky, region))
        yield change, TruthComparison(catalog, truth_table(model, change.years), 0.3)


def rows_of(change: Change, comparison: TruthComparison) -> list[dict[str, object]]:
    """Completeness and purity by flux, and completeness by DR2 significance, of one list."""
    cut = Cut(comparison, cut_for(comparison, comparison.counted_detections, PURITY))
    tables = completeness_tables(cut) | purity_tables(cut)
    rows: list[dict[str, object]] = []
    for name, rate in (
        ("completeness_flux", "completeness"),
        ("purity_flux", "purity"),
        ("completeness_signif", "completeness"),
    ):
        table = tables[name]
        label = next(c for c in table.colnames if c.endswith("_low_edge"))
        for row in table[table["band"] == "all"]:
            rows.append(
                {"change": change.name, "table": name, "low_edge": row[label], "n": row["n"]}
                | {f"rate{k}": row[rate + k] for k in ("", "_low", "_high")}
            )
    return rows


def tell(table: Table) -> None:
    """Print the tables, a line each change."""
    for name in ("completeness_flux", "purity_flux", "completeness_signif"):
        block = table[table["table"] == name]
        edges = [e for e in dict.fromkeys(block["low_edge"].tolist())]
        print(f"\n{name} at purity {PURITY:g}, from {', '.join(f'{e:.3g}' for e in edges)}")
        for change in dict.fromkeys(block["change"].tolist()):
            rows = block[block["change"] == change]
            line = " ".join(f"{v:.3f}" for v in rows["rate"])
            if name == "completeness_signif":
                below = rows[rows["low_edge"] < 10.0]
                line += f"   4-10: {np.average(below['rate'], weights=below['n']):.3f}"
            print(f"{change:<40} {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", help="name of a localizer, or its weights file")
    parser.add_argument("--background", default="v07")
    parser.add_argument("--seed", type=int, default=9300)
    parser.add_argument("--region", help="LON,LAT,RADIUS instead of the whole sky")
    parser.add_argument("-o", "--output", type=Path, help="table to write")
    options = parser.parse_args()
    rows = []
    for change, comparison in comparisons(options):
        print(f"{change.name}: {len(comparison.probability)} candidates", flush=True)
        rows += rows_of(change, comparison)
    table = Table(rows=rows)
    tell(table)
    if options.output:
        table.write(options.output, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
