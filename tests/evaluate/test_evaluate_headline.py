"""Completeness and position errors at a purity, counted by hand."""

import numpy as np
import pytest
from evaluate_samples import catalog_of, random_sky, truth_of

from fermi_unek.evaluate.headline import cut_for, headline_tables, headline_text
from fermi_unek.evaluate.scores import score
from fermi_unek.evaluate.truth_comparison import TruthComparison

HIGH, LOW = 50.0, 10.0


def rows_of(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def sky_of_two_halves():
    """Ten true detections at each latitude, and false ones: low ones look surer than they are.

    High: false ones below all true ones. Low: five false ones above half of the true ones.
    """
    lon = np.arange(10) * 30.0
    truth = truth_of(np.tile(lon, 2), np.repeat([HIGH, LOW], 10), np.full(20, 30.0))
    true_high, true_low = np.linspace(0.5, 0.9, 10), np.linspace(0.31, 0.9, 10)
    places = np.concatenate([lon, lon, lon[:5] + 15])
    heights = np.repeat([HIGH, LOW, LOW], [10, 10, 5])
    chances = np.concatenate([true_high, true_low, np.full(5, 0.6)])
    return TruthComparison(catalog_of(places, heights, chances), truth, 0.3), true_low


def test_each_part_of_the_sky_has_its_own_threshold_and_the_whole_one():
    comparison, true_low = sky_of_two_halves()
    table = headline_tables(comparison, 0.95)["headline"]
    first = {key: rows_of(table, part=key[0], cut=key[1])[0]
             for key in (("|b|>20", "part"), ("|b|<20", "part"), ("|b|>20", "whole"))}  # fmt: skip
    assert first["|b|>20", "part"]["threshold"] == pytest.approx(0.5)
    # above the false ones at 0.6 all are true; the lowest true one there is at 0.638
    assert first["|b|<20", "part"]["threshold"] == pytest.approx(true_low[true_low > 0.6][0])
    bins = rows_of(table, part="|b|<20", cut="part", TS_low_edge=25.0)
    assert bins["n"].tolist() == [10]
    assert bins["found"][0] == (true_low > 0.6).sum()
    assert first["|b|>20", "whole"]["threshold"] > 0.6


def test_the_threshold_is_exact_however_long_the_list():
    rng = np.random.default_rng(4)
    n = 3000
    lon, lat = random_sky(n, rng)
    chance = np.sort(rng.random(n))[::-1]
    # true or false at random, surer ones more often true
    true = rng.random(n) < chance**0.3
    comparison = TruthComparison(
        catalog_of(lon, lat, chance),
        truth_of(lon[true], lat[true], np.full(true.sum(), 50.0)),
        0.01,
    )
    got = cut_for(comparison, comparison.counted_detections, 0.9)
    purity = np.cumsum(true) / np.arange(1, n + 1)
    last = np.flatnonzero(purity >= 0.9).max()
    assert got == pytest.approx(chance[last], abs=1e-7)


def test_what_is_found_below_the_threshold_does_not_count_as_found():
    truth = truth_of([10.0, 50.0], [HIGH, HIGH], [30, 30])
    # one true at 0.9, then a false one at 0.8, then the other at 0.7
    comparison = TruthComparison(
        catalog_of([10.0, 100.0, 50.0], [HIGH] * 3, [0.9, 0.8, 0.7]), truth, 0.3
    )
    row = rows_of(
        headline_tables(comparison, 0.95)["headline"], part="all", cut="whole", TS_low_edge=25.0
    )
    assert (row["found"][0], row["n"][0]) == (1, 2)
    assert row["purity"][0] == 1.0


def test_at_a_purity_that_cannot_be_had_completeness_is_undefined():
    comparison = TruthComparison(
        catalog_of([100.0], [HIGH], [0.9]), truth_of([10.0], [HIGH], [30]), 0.3
    )
    tables = headline_tables(comparison, 0.95)
    assert np.isnan(tables["headline"]["completeness"]).all()
    assert np.isnan(tables["headline"]["threshold"]).all()
    assert "nan" in headline_text(tables, 0.95)


def test_positions_are_those_of_the_list_at_the_purity():
    # the sure one is 0.01 off, the unsure one, beyond a false one, 0.2
    truth = truth_of([10.0, 50.0], [HIGH, HIGH], [50, 50])
    catalog = catalog_of([10.0, 100.0, 50.0], [HIGH + 0.01, HIGH, HIGH + 0.2], [0.9, 0.8, 0.7])
    row = rows_of(
        headline_tables(TruthComparison(catalog, truth, 0.3), 0.95)["pointing"],
        part="|b|>20", TS_low_edge=25.0,
    )  # fmt: skip
    assert row["n"].tolist() == [1]
    assert row["r68_deg"][0] == pytest.approx(0.01, abs=1e-4)
    assert row["lat_mean_deg"][0] == pytest.approx(0.01, abs=1e-4)


def test_the_page_of_text_tells_both_tables():
    comparison, _ = sky_of_two_halves()
    text = score(comparison.catalog, comparison.truth).to_text()
    assert "completeness at purity 0.95 by ideal TS" in text
    assert "|b|<20, cut for the part" in text
    assert "|b|>20  TS 25-100" in text
