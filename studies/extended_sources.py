"""How many candidates an extended source gets, and whether they are flagged.

One simulated sky: the extended sources of 4FGL-DR2 where they are, with point sources of their
own and a background behind them. Fields around large ones are searched; a candidate inside an
extended source that is matched to no point source of ideal TS above 9 is the extended source's.
There should be one or none. Beside stand how many are flagged as inside an extended source of 4FGL,
how many are left without those flagged as one of a swarm, and what the field around gives by
chance.

    python studies/extended_sources.py [--model FILE] [--background NAME] [--seed N] [-o TABLE.ecsv]
        [--fields LON,LAT,RADIUS ...] [--threshold P]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from astropy.table import Table, vstack

from fermi_unek.catalog.schema import FLAG_IN_EXTENDED, FLAG_IN_EXTENDED_SECONDARY
from fermi_unek.config import FindConfig, SimulateConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.evaluate.extended import EXTENSION
from fermi_unek.evaluate.truth_comparison import EDGE_MARGIN_DEG, Cut, TruthComparison
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.pipeline import Models, load_models, search
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.extended import extended_model, extended_table, split_compact
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.truth import truth_table

FIELDS = {
    "Cygnus": (79.6, 1.4, 10.0), "Vela": (264.5, -2.0, 10.0), "W28, W30": (7.5, -0.5, 10.0),
    "LMC": (279.6, -32.9, 10.0), "SMC": (302.1, -44.4, 10.0), "IC 443": (189.1, 3.2, 10.0),
}  # fmt: skip
"""Cones around what makes the largest swarms, Galactic degrees."""

SIZE_EDGES_DEG = (0.0, 0.3, 0.6, 1.2, 2.0, 20.0)
RADIUS_DEG = 0.3


def sky_model(config: SimulateConfig) -> tuple[SkyModel, Table]:
    """The sky, and the shapes of what is extended in it."""
    compact, extended = split_compact(extended_table())
    points = find_population(config, np.random.default_rng([config.seed, 0]))
    model = build_sky_model(
        vstack([points, compact]),
        choose(config.background, config.evtype, config.isotropic),
        load_instrument(),
        config.evtype,
        extended=extended_model(extended),
    )
    return model, extended


def field_table(
    model: SkyModel,
    extended: Table,
    models: Models,
    find: FindConfig,
    config: SimulateConfig,
) -> Table:
    """One row an extended source that lies well inside a field."""
    rng = np.random.default_rng([config.seed, 1])
    sky = simulate_counts(model, config.years, rng, config.region)
    truth = truth_table(model, config.years)
    truth.meta[EXTENSION] = extended
    bench = TruthComparison(search(sky, find, models), truth, RADIUS_DEG)
    own = ~Cut(bench).true_detection
    inside = bench.extended.holds(*bench.found_place, 0.0)
    flags = np.asarray(bench.catalog.table["Flags"])
    flagged, swarm = ((flags & bit) != 0 for bit in (FLAG_IN_EXTENDED, FLAG_IN_EXTENDED_SECONDARY))
    points = bench.extended.holds(*(values[bench.visible] for values in bench.true_place), 0.0)
    # false candidates of the field where nothing is extended
    elsewhere = bench.counted_detections & own & ~inside.any(axis=0)
    area_deg2 = np.pi * (config.region[2] - EDGE_MARGIN_DEG) ** 2
    size = bench.extended.extent_deg
    counted = bench.catalog.covers(bench.extended.lon_deg, bench.extended.lat_deg, EDGE_MARGIN_DEG)
    return Table(
        {
            "name": bench.extended.names,
            "GLON": bench.extended.lon_deg,
            "GLAT": bench.extended.lat_deg,
            "size_deg": size,
            "Flux1000": np.asarray(extended["Flux1000"], float),
            "points": points.sum(axis=1),
            "candidates": (inside & own).sum(axis=1),
            "flagged": (inside & own & flagged).sum(axis=1),
            "left": (inside & own & ~swarm).sum(axis=1),
            "by_chance": elsewhere.sum() / area_deg2 * np.pi * size**2,
        }
    )[counted]


def lines(table: Table) -> Iterator[str]:
    """What is printed: each source with more than one candidate, then all by size."""
    yield "extended source           size  point sources  candidates  flagged  left  by chance"
    for row in table[np.asarray(table["candidates"]) > 1]:
        yield (
            f"  {row['name']:<22} {row['size_deg']:5.2f}  {row['points']:13d}  "
            f"{row['candidates']:10d}  {row['flagged']:7d}  {row['left']:4d}  "
            f"{row['by_chance']:9.2f}"
        )
    yield "size (deg)   sources  none  one  more  candidates  flagged  left  by chance"
    for low, high in zip(SIZE_EDGES_DEG[:-1], SIZE_EDGES_DEG[1:], strict=True):
        rows = table[(table["size_deg"] >= low) & (table["size_deg"] < high)]
        number = np.asarray(rows["candidates"])
        yield (
            f"  {low:4.1f}-{high:4.1f}  {len(rows):7d}  {(number == 0).sum():4d}  "
            f"{(number == 1).sum():3d}  {(number > 1).sum():4d}  {number.sum():10d}  "
            f"{rows['flagged'].sum():7d}  {rows['left'].sum():4d}  {rows['by_chance'].sum():9.2f}"
        )


def run(options: argparse.Namespace) -> Table:
    """Search the fields."""
    find = FindConfig(model=options.model, threshold=options.threshold, classify=False)
    base = SimulateConfig(
        seed=options.seed,
        years=options.years,
        population=options.population,
        background=options.background,
        extended=True,
    )
    models = load_models(find)
    model, extended = sky_model(base)
    fields = [tuple(map(float, one.split(","))) for one in options.fields] or FIELDS.values()
    tables = []
    for field in fields:
        config = base.model_copy(update={"region": field})
        tables.append(field_table(model, extended, models, find, config))
    return vstack(tables)


def main() -> None:
    """Print the table, and write it where asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="localizer; the shipped one unless given")
    parser.add_argument("--population", default="mock", help="of the point sources")
    parser.add_argument("--background", default="own")
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--fields", nargs="+", default=[], metavar="LON,LAT,RADIUS")
    parser.add_argument("-o", "--output", help="the table as ECSV")
    options = parser.parse_args()
    table = run(options)
    print("\n".join(lines(table)))
    if options.output:
        table.write(options.output, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
