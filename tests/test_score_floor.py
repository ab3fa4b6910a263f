"""The shipped networks on a small sky of known truth: what breaks the physics fails here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from fermi_unek.catalog import Catalog
from fermi_unek.config import FindConfig, SimulateConfig
from fermi_unek.evaluate import Scores, read_truth_table, score
from fermi_unek.evaluate.match import match
from fermi_unek.pipeline import find_sources
from fermi_unek.simulate.command import simulate_to_dir

FIELD = (130.0, 48.0, 15.0)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Table]:
    """Ten years of a field of 15 degrees with DR2's sources, year by year, searched as it comes."""
    folder: Path = tmp_path_factory.mktemp("sky")
    settings = {"region": FIELD, "background": "own", "seed": 424242, "yearly": True}
    simulate_to_dir(SimulateConfig(**settings), folder)
    years = tuple(sorted(folder.glob("counts_year*.fits")))
    whole = sorted(set(folder.glob("counts*.fits")) - set(years))
    catalog = find_sources(whole, FindConfig(threshold=0.05, yearly=years))
    return catalog, read_truth_table(folder / "truth.fits")


@pytest.fixture(scope="module")
def scores(sky: tuple[Catalog, Table]) -> Scores:
    return score(*sky)


@pytest.mark.parametrize(
    ("sample", "least"),
    [("ideal TS > 9", 0.55), ("ideal TS > 25", 0.85), ("ideal TS > 100", 0.98)],
)
def test_sources_are_found_in_a_list_of_purity_95(scores, sample, least):
    cut = f"[p >= {scores.threshold:.3f}]"
    rate = scores.summary[f"completeness, {sample} {cut}"]
    assert rate.total > 20
    assert rate.value > least


def test_positions_and_their_ellipses_are_as_good_as_the_card_says(scores):
    offsets = scores.tables["offsets"]
    of_all = offsets[offsets["band"] == "all"]
    for low, high, most in ((25.0, 64.0, 0.060), (100.0, 300.0, 0.033)):
        row = of_all[(of_all["TS_low_edge"] == low) & (of_all["TS_high_edge"] == high)][0]
        assert row["n"] > 10
        assert row["r68_deg"] < most
    bright = of_all[(of_all["TS_low_edge"] == 9.0) & ~np.isfinite(of_all["TS_high_edge"])][0]
    assert 0.55 < bright["in68"] < 0.8
    assert bright["in95"] > 0.88


def test_probabilities_are_the_shares_of_true_ones(sky, scores):
    mean = float(np.mean(sky[0].table["Probability"]))
    purity = scores.summary["purity"].value
    assert mean == pytest.approx(purity, abs=0.12)


def test_classes_of_bright_sources_are_right(sky):
    catalog, truth = sky
    bright = truth[np.asarray(truth["Ideal_TS"]) > 100.0]
    places = (
        np.asarray(table[name]) for table in (bright, catalog.table) for name in ("GLON", "GLAT")
    )
    lon, lat, found_lon, found_lat = places
    pairs = match(lon, lat, np.asarray(bright["Ideal_TS"]), found_lon, found_lat)
    groups = {"bll": "bll", "fsrq": "fsrq", "psr": "psr", "msp": "psr"}
    true = np.array([groups.get(str(name).lower(), "") for name in bright["CLASS1"][pairs.truth]])
    said = np.char.lower(np.asarray(catalog.table["CLASS1"][pairs.detection]).astype(str))
    known = true != ""
    assert known.sum() > 10
    assert np.mean(said[known] == true[known]) > 0.65
    assert np.mean(np.asarray(catalog.table["Fake"])[pairs.detection]) < 0.05
