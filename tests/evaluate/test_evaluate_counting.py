"""Completeness and purity in everything they may depend on, counted by hand."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from evaluate_samples import catalog_of, random_sky, truth_of

from fermi_unek.evaluate.counting import (
    completeness_tables,
    nearest_brighter_deg,
    purity_tables,
    radius_table,
)
from fermi_unek.evaluate.positions import coverage_table, pair_table
from fermi_unek.evaluate.scores import score
from fermi_unek.evaluate.truth_comparison import Cut, TruthComparison


def rows_of(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def test_the_nearest_brighter_source_is_the_one_brute_force_finds():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(0, 12, 150), rng.uniform(-6, 6, 150)
    truth = truth_of(lon, lat, rng.choice([10.0, 30.0, 90.0], 150))
    got = nearest_brighter_deg(TruthComparison(catalog_of([], []), truth, 0.3))
    places = SkyCoord(lon * u.deg, lat * u.deg, frame="galactic")
    separation = places[:, None].separation(places[None]).deg
    ts = np.asarray(truth["Ideal_TS"])
    separation[ts[None] <= ts[:, None]] = np.inf
    expected = separation.min(axis=1)
    near = expected < 2
    assert 100 < near.sum() < 150
    np.testing.assert_allclose(got[near], expected[near], rtol=1e-9)
    assert (got[~near] == 3).all()
    assert nearest_brighter_deg(TruthComparison(catalog_of([], []), truth[:0], 0.3)).size == 0


def test_completeness_of_close_pairs_is_told_by_their_distance():
    # a bright source with a fainter one 0.25 deg away that is found, another pair 0.7 deg, not
    truth = truth_of([10, 10.25, 50, 50.7], [0, 0, 0, 0], [500, 30, 500, 30])
    cut = Cut(TruthComparison(catalog_of([10, 10.25, 50], [0, 0, 0]), truth, 0.1))
    table = completeness_tables(cut)["completeness_neighbour"]
    rows = rows_of(table, band="|b|<5", sample="ideal TS > 25")
    counts = {row["neighbour_deg_low_edge"]: (row["found"], row["n"]) for row in rows}
    assert counts[0.2] == (1, 1)
    assert counts[0.6] == (0, 1)
    assert counts[2.0] == (2, 2)
    assert np.isnan(rows_of(rows, neighbour_deg_low_edge=0.3)["completeness"][0])


def test_a_truth_without_energy_fluxes_leaves_those_bins_empty():
    truth = truth_of([10.0], [50], [30])
    cut = Cut(TruthComparison(catalog_of([10.0], [50]), truth, 0.3))
    assert completeness_tables(cut)["completeness_energy_flux"]["n"].sum() == 0
    truth["Energy_Flux100"] = 3e-12
    table = completeness_tables(Cut(TruthComparison(cut.comparison.catalog, truth, 0.3)))
    row = rows_of(table["completeness_energy_flux"], band="all")
    assert row[row["n"] > 0]["Energy_Flux100_low_edge"].tolist() == pytest.approx([10**-11.75])


def test_a_false_detection_is_counted_at_the_flux_of_the_true_one_nearest_in_probability():
    truth = truth_of([10.0, 60.0], [50, 50], [30, 300], flux=[1.5e-10, 1.5e-9])
    # the false ones stand at 0.45 and 0.8; a false one of the plane has no true one beside it
    catalog = catalog_of([10, 60, 100, 120, 140], [50, 50, 50, 50, 0], [0.5, 0.9, 0.45, 0.8, 0.5])
    cut = Cut(TruthComparison(catalog, truth, 0.3))
    tables = purity_tables(cut)
    rows = rows_of(tables["purity_flux"], band="|b|>20")
    rows = rows[rows["n"] > 0]
    assert rows["Flux1000_low_edge"].tolist() == pytest.approx([1e-10, 1e-9])
    assert rows["purity"].tolist() == [0.5, 0.5]
    assert rows_of(tables["purity_flux"], band="|b|<5")["n"].sum() == 0
    assert rows_of(tables["purity"], band="|b|<5")["n"].tolist() == [1]
    at_b = tables["purity_b"][tables["purity_b"]["n"] > 0]
    assert at_b["b_low_edge"].tolist() == [0, 45]
    assert at_b["purity"].tolist() == [0, 0.5]


def test_a_cut_list_is_counted_without_what_lies_below():
    truth = truth_of([10.0, 60.0], [50, 50], [30, 30])
    comparison = TruthComparison(
        catalog_of([10, 60, 100], [50, 50, 50], [0.9, 0.5, 0.4]), truth, 0.3
    )
    whole, cut = Cut(comparison), Cut(comparison, 0.6)
    assert rows_of(purity_tables(whole)["purity"], band="all")["n"].tolist() == [3]
    assert rows_of(purity_tables(cut)["purity"], band="all")["n"].tolist() == [1]
    found = [rows_of(completeness_tables(c)["completeness_ts"], band="all", TS_low_edge=25.0)
             for c in (whole, cut)]  # fmt: skip
    assert [row["found"][0] for row in found] == [2, 1]
    assert len(pair_table(cut)) == 1


def test_an_honest_probability_is_confirmed_bin_by_bin():
    rng = np.random.default_rng(1)
    lon, lat = random_sky(6000, rng)
    chance = rng.random(6000)
    true = rng.random(6000) < chance
    truth = truth_of(lon[true], lat[true], np.full(true.sum(), 50.0))
    # a radius so small that chance adds nothing
    cut = Cut(TruthComparison(catalog_of(lon, lat, chance), truth, 0.01))
    for band in ("all", "|b|<5", "|b|>20"):
        rows = rows_of(purity_tables(cut)["calibration"], band=band)
        error = np.maximum(np.sqrt(0.25 / rows["n"]), 0.02)
        assert np.all(np.abs(rows["purity"] - rows["probability_mean"]) < 4 * error)
        assert np.all(rows["probability_mean"] >= rows["probability_low_edge"])


def test_a_wider_radius_matches_more_and_more_by_chance():
    rng = np.random.default_rng(2)
    n = 8000
    lon, lat = random_sky(n, rng)
    catalog = catalog_of(lon, np.clip(lat + 0.22, -90, 90), np.full(n, 0.9))
    comparison = TruthComparison(catalog, truth_of(lon, lat, np.full(n, 50.0)), 0.3)
    table = radius_table(comparison, {"all": -np.inf, "purity 0.95": np.nan})
    assert set(table["list"]) == {"all"}
    assert table["radius_deg"].tolist() == pytest.approx(np.arange(0.1, 0.51, 0.05))
    name = "completeness, ideal TS > 25"
    assert table[name][0] < 0.05
    assert table[name][-1] > 0.98
    chance = np.asarray(table[f"{name}_chance"])
    assert np.all(np.diff(chance) > 0)
    # places at random: the chance grows with the area
    assert chance[4] / chance[0] == pytest.approx(9, rel=0.2)
    assert np.isnan(table["completeness, ideal TS > 100"]).all()


def test_the_95_percent_ellipse_is_judged_by_its_own_axes():
    catalog = catalog_of([10.0, 50.0], [0, 0], semi=0.05)
    catalog.table["Conf_95_SemiMajor"][:] = [0.05, 0.5]
    catalog.table["Conf_95_SemiMinor"][:] = [0.05, 0.5]
    truth = truth_of([10.0, 50.0], [0.1, 0.1], [50, 50])
    row = rows_of(
        coverage_table(pair_table(Cut(TruthComparison(catalog, truth, 0.3)))),
        band="|b|<5",
        TS_low_edge=36.0,
    )
    assert (row["in68"][0], row["in95"][0]) == (0.0, 0.5)


def test_every_table_of_a_sky_that_cannot_be_pure_is_there_but_empty():
    scores = score(catalog_of([10.0], [50]), truth_of([100.0], [50], [30]))
    assert np.isnan(scores.threshold)
    cut = [table for name, table in scores.tables.items() if name.endswith("_cut")]
    assert len(cut) == 13
    assert all(len(table) == 0 for table in cut)


def test_detections_inside_extended_sources_are_counted_by_themselves():
    truth = truth_of([10.0, 100.4], [50, 0], [30, 30])
    truth.meta["EXTENDED"] = Table(
        {"Extended_Source_Name": ["Loop"], "GLON": [100.0], "GLAT": [0.0], "Model_SemiMajor": [2.0]}
    )
    # one true, two in the loop, one in the loop at a true point source, one false
    catalog = catalog_of([10, 99, 101, 100.4, 200], [50, 0, 0, 0, 0])
    scores = score(catalog, truth)
    assert scores.summary["purity"].found == 2
    assert scores.summary["purity"].total == 3
    assert scores.tables["extended"]["n_inside"].tolist() == [3]
    assert "extended sources: 1, with no detection inside 0" in scores.to_text()
    del truth.meta["EXTENDED"]
    assert score(catalog, truth).summary["purity"].total == 5
