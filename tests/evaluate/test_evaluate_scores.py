"""Purity, completeness and offsets of skies counted by hand."""

import numpy as np
import pytest
from astropy.table import Table
from evaluate_samples import catalog_of, cone_coverage, random_sky, truth_of

from fermi_unek.catalog import Candidates, build_catalog, equatorial_position_angle
from fermi_unek.errors import InputError
from fermi_unek.evaluate.files import read_truth_table
from fermi_unek.evaluate.headline import threshold_at_purity
from fermi_unek.evaluate.rates import (
    Rate,
    binned,
    curve_columns,
    rate_table,
    thresholds_of,
)
from fermi_unek.evaluate.scores import score, summary_text
from fermi_unek.evaluate.threshold_scan import RateCurve
from fermi_unek.sky.geometry.latitude import latitude_masks


def cell(table, column, **wanted):
    rows = table
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows[column][0]


def test_a_rate_without_anything_to_count_is_undefined():
    rate = Rate(0, 0)
    assert np.isnan(rate.value)
    assert np.isnan(rate.interval).all()
    assert "undefined" in str(rate)
    assert "5 of 10" in str(Rate(5, 10, 0.1))


def test_the_interval_is_wilsons():
    k, n, z = 7, 20, 1.0
    middle = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(Rate(k, n).interval, [middle - half, middle + half], rtol=1e-6)


def test_bins_hold_their_lower_edge_and_not_the_upper():
    rows = binned(np.array([4.0, 5.0, 100.0]), (4, 5, np.inf), "x")
    assert [mask.tolist() for _, mask in rows] == [[True, False, False], [False, True, True]]
    assert rows[0][0] == {"x_low_edge": 4, "x_high_edge": 5}


def test_latitude_masks_share_out_the_sky():
    bands = latitude_masks(np.array([-90, -20, -5, 0, 4.9, 5, 19.9, 20.0]))
    assert bands["|b|<5"].tolist() == [False, False, False, True, True, False, False, False]
    parts = sum(bands[k].astype(int) for k in ("|b|<5", "5<|b|<20", "|b|>20"))
    assert np.all(parts == 1)
    assert bands["all"].all()


def test_a_table_of_no_rows_is_empty():
    assert len(rate_table([], np.zeros(0, bool), np.zeros(0), "x")) == 0


def test_a_list_can_be_cut_at_every_probability_in_it():
    values = np.random.default_rng(0).random(1000)
    np.testing.assert_array_equal(thresholds_of(values), np.sort(values))
    assert thresholds_of(np.array([0.5, 0.5])).tolist() == [0.5]
    assert thresholds_of(np.zeros(0)).size == 0


def test_a_curve_has_the_intervals_of_its_rates():
    found, total = np.array([0, 3, 7]), np.array([0, 10, 7])
    columns = curve_columns("x", RateCurve(found, total, np.zeros(3)))
    for row in range(3):
        rate = Rate(found[row], total[row])
        expected = [rate.value, *rate.interval]
        got = [columns[name][row] for name in ("x", "x_low", "x_high")]
        np.testing.assert_allclose(got, expected)


def test_both_empty_gives_undefined_rates_and_no_error():
    scores = score(catalog_of([], []), truth_of([], [], []))
    assert all(np.isnan(rate.value) for rate in scores.summary.values())
    assert np.isnan(scores.threshold)
    assert "not reached" in scores.to_text()
    assert all(np.isnan(scores.tables["completeness_ts"]["completeness"]))


def test_detections_on_an_empty_sky_are_all_false():
    scores = score(catalog_of([1, 50], [0, 0]), truth_of([], [], []))
    assert scores.summary["purity"].value == 0.0
    assert np.isnan(scores.summary["completeness, ideal TS > 9"].value)


def test_no_detections_leave_purity_undefined_and_completeness_zero():
    scores = score(catalog_of([], []), truth_of([1, 50], [0, 0], [100, 10]))
    assert np.isnan(scores.summary["purity"].value)
    assert scores.summary["completeness, ideal TS > 9"].value == 0.0


def test_one_true_source_with_two_detections_is_half_pure_and_complete():
    scores = score(catalog_of([10.0, 10.2], [30, 30]), truth_of(10.0, 30, 50))
    assert scores.summary["purity"].value == 0.5
    assert scores.summary["completeness, ideal TS > 25"].value == 1.0


def test_an_invisible_source_makes_no_detection_true_but_has_its_completeness():
    truth = truth_of([10.0, 60.0], [30, 30], [8.9, 9.1], flux=[2e-10, 2e-9])
    scores = score(catalog_of([10.0, 60.0], [30, 30]), truth)
    assert scores.summary["purity"].found == 1
    table = scores.tables["completeness_flux"]
    found = table[(table["band"] == "|b|>20") & (table["n"] > 0)]
    assert found["found"].tolist() == [1, 1]


def test_a_visible_source_is_not_robbed_by_an_invisible_one_of_more_flux():
    truth = truth_of([10.0, 10.05], [0, 0], [5, 500], flux=[1e-8, 1e-9])
    scores = score(catalog_of(10.0, 0), truth)
    assert scores.summary["purity"].value == 1.0
    assert scores.summary["completeness, ideal TS > 100"].value == 1.0


def test_completeness_is_counted_in_the_bins_of_the_design():
    ts = np.array([9, 20, 30, 50, 80, 1000.0])
    lon = np.arange(6) * 20.0
    lat = np.array([0, 0, 10, 10, 50, 50.0])
    truth = truth_of(lon, lat, ts, signif=[4, 6, 8, 15, 30, np.nan])
    scores = score(catalog_of(lon[::2], lat[::2]), truth)
    table = scores.tables["completeness_ts"]
    rows = table[table["band"] == "all"]
    assert rows["TS_low_edge"].tolist() == [9, 16, 25, 36, 64, 100]
    assert rows["n"].tolist() == [1] * 6
    assert rows["found"].tolist() == [1, 0] * 3
    assert cell(table, "n", band="|b|<5", TS_low_edge=16.0) == 1
    assert np.isnan(cell(table, "completeness", band="|b|<5", TS_low_edge=25.0))
    signif = scores.tables["completeness_signif"]
    rows = signif[signif["band"] == "all"]
    assert rows["Signif_low_edge"].tolist() == [4, 5, 7, 10, 20, 40]
    assert rows["n"].tolist() == [1, 1, 1, 1, 1, 0]
    assert (
        cell(
            scores.tables["completeness_latitude"], "found", band="5<|b|<20", sample="ideal TS > 25"
        )
        == 1
    )


def test_the_threshold_is_the_lowest_that_reaches_the_purity():
    lon = np.arange(20) * 10.0
    probability = np.linspace(0.05, 1.0, 20)
    truth = truth_of(lon[10:], np.zeros(10), np.full(10, 100.0))
    scores = score(catalog_of(lon, np.zeros(20), probability), truth)
    # 10 of 11 is 0.91, 10 of 10 is 1
    assert scores.threshold == pytest.approx(probability[10], abs=1e-6)
    assert scores.summary["purity"].value == 0.5
    cut = {k: v for k, v in scores.summary.items() if "p >=" in k}
    assert cut["purity [p >= 0.550]"].value == 1.0
    assert score(
        catalog_of(lon, np.zeros(20), probability), truth, purity_wanted=0.9
    ).threshold == pytest.approx(probability[9], abs=1e-6)


def test_a_purity_that_is_never_reached_has_no_threshold():
    curve = Table({"threshold": [0.2, 0.5], "purity": [0.1, 0.2]})
    assert np.isnan(threshold_at_purity(curve, 0.95))
    assert np.isnan(threshold_at_purity(curve[:0], 0.95))
    assert threshold_at_purity(curve, 0.15) == 0.5


def test_a_raised_threshold_matches_anew():
    # the nearer detection is the less likely one
    catalog = catalog_of([10.0, 10.2], [0, 0], [0.3, 0.9])
    curve = score(catalog, truth_of(10.0, 0, 100)).tables["curve"]
    assert curve["threshold"].tolist() == pytest.approx([0.3, 0.9])
    assert curve["purity"].tolist() == [0.5, 1.0]
    assert curve["completeness, ideal TS > 25"].tolist() == [1.0, 1.0]


def test_known_offsets_are_measured():
    rng = np.random.default_rng(5)
    n = 4000
    lon, lat = random_sky(n, rng)
    lon, lat = lon[np.abs(lat) < 85], lat[np.abs(lat) < 85]
    n = len(lon)
    sigma = 0.03
    x, y = rng.normal(0.01, sigma, n), rng.normal(-0.005, sigma, n)
    semi = sigma * np.sqrt(-2 * np.log(0.32))
    catalog = catalog_of(lon + x / np.cos(np.radians(lat)), lat + y, semi=semi)
    scores = score(catalog, truth_of(lon, lat, np.full(n, 200.0)))
    row = scores.tables["offsets"]
    row = row[(row["band"] == "all") & (row["TS_low_edge"] == 100) & (row["TS_high_edge"] == 300)]
    assert row["n"][0] > 0.98 * n
    assert row["lon_mean_deg"][0] == pytest.approx(0.01, abs=4 * row["lon_mean_error_deg"][0])
    assert row["lat_mean_deg"][0] == pytest.approx(-0.005, abs=4 * row["lat_mean_error_deg"][0])
    assert row["lon_mean_error_deg"][0] == pytest.approx(sigma / np.sqrt(n), rel=0.1)
    assert row["r68_low_deg"][0] < np.percentile(np.hypot(x, y), 68) < row["r68_high_deg"][0]
    assert row["r95_deg"][0] == pytest.approx(np.percentile(np.hypot(x, y), 95), rel=0.03)
    assert "r68 0.04" in scores.to_text()
    assert "r68" not in summary_text(catalog, truth_of(lon, lat, np.full(n, 200.0)), 0.3)


def test_ellipses_of_the_right_size_and_angle_hold_68_and_95_percent():
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    from fermi_unek.catalog import Candidates, build_catalog

    rng = np.random.default_rng(6)
    n = 3000
    lon, lat = random_sky(n, rng)
    angle = rng.uniform(-90, 90, n)
    major, minor = 0.06, 0.02
    scale = 1 / np.sqrt(-2 * np.log(0.32))
    along, across = rng.normal(0, major * scale, n), rng.normal(0, minor * scale, n)
    found = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    true = found.directional_offset_by(
        angle * u.deg + np.arctan2(across, along) * u.rad, np.hypot(along, across) * u.deg
    ).galactic
    candidates = Candidates(
        lon, lat, np.full(n, 0.9), np.full(n, major), np.full(n, minor), angle, np.zeros(n, bool)
    )
    truth = truth_of(true.l.deg, true.b.deg, np.full(n, 50.0))
    offsets = score(build_catalog(candidates), truth).tables["offsets"]
    row = offsets[(offsets["band"] == "all") & (offsets["TS_low_edge"] == 25.0)][0]
    assert row["in68"] == pytest.approx(0.68, abs=0.03)
    assert row["in95"] == pytest.approx(0.95, abs=0.015)


def test_an_offset_from_nothing_is_undefined_and_from_one_has_no_error():
    one = score(catalog_of(10.0, 30), truth_of(10.01, 30, 50)).tables["offsets"]
    row = one[(one["band"] == "all") & (one["TS_low_edge"] == 25.0)][0]
    assert row["n"] == 1
    assert row["lon_mean_deg"] == pytest.approx(-0.01 * np.cos(np.radians(30)), abs=1e-5)
    assert np.isnan(row["lon_mean_error_deg"])
    empty = one[(one["band"] == "|b|<5") & (one["TS_low_edge"] == 25.0)][0]
    assert empty["n"] == 0
    assert np.isnan(empty["r68_deg"])
    assert np.isnan(empty["in68"])


def test_coverage_is_told_by_ideal_ts_and_latitude_with_its_errors():
    """Ten of sixteen faint sources near the plane lie in the ellipse, four of four bright ones."""
    lon = np.concatenate([np.arange(16) * 10.0, 200.0 + np.arange(4) * 10.0])
    lat = np.concatenate([np.full(16, 2.0), np.full(4, 50.0)])
    off = np.concatenate([np.full(10, 0.02), np.full(6, 0.06), np.zeros(4)])
    ts = np.concatenate([np.full(16, 20.0), np.full(4, 500.0)])
    scores = score(catalog_of(lon, lat + off, semi=0.05), truth_of(lon, lat, ts))
    table = scores.tables["coverage"]
    faint = {"band": "|b|<5", "TS_low_edge": 16.0, "TS_high_edge": 25.0}
    assert cell(table, "in68", **faint) == pytest.approx(10 / 16)
    low, high = (cell(table, f"in68_{side}", **faint) for side in ("low", "high"))
    assert low < 10 / 16 - 0.08
    assert high > 10 / 16 + 0.08
    assert cell(table, "in68", band="|b|>20", TS_low_edge=100.0, TS_high_edge=1000.0) == 1.0
    assert np.isnan(cell(table, "in95", band="|b|>20", TS_low_edge=1000.0, TS_high_edge=np.inf))
    line = next(x for x in scores.to_text().splitlines() if x.startswith("  16-25 "))
    assert line.split()[1:] == ["0.625+-0.118", "(16)"] * 2 + ["nan", "(0)"] * 2


def test_an_ellipse_is_judged_by_its_own_axes():
    """Two sources as far off, one along the ellipse and one across it."""
    long, short = np.full(2, 0.08), np.full(2, 0.02)
    lon, lat = np.array([80.0, 81.0]), np.zeros(2)
    north = equatorial_position_angle(lon, lat, np.zeros(2))
    found = Candidates(lon, lat, np.full(2, 0.9), long, short, north, np.zeros(2, bool))
    truth = truth_of(lon + [0.0, 0.05], lat + [0.05, 0.0], [50.0, 50.0])
    pairs = score(build_catalog(found), truth).tables["pairs"]
    order = np.argsort(pairs["truth"])
    np.testing.assert_allclose(
        pairs["ellipse68_radius"][order], [0.05 / 0.08, 0.05 / 0.02], rtol=1e-3
    )


def test_the_calibration_of_probabilities_is_printed_by_latitude():
    """Of five candidates of probability 0.85 near the plane four are real."""
    lon = np.arange(5) * 10.0
    found = catalog_of(lon, np.full(5, 2.0), np.full(5, 0.85))
    text = score(found, truth_of(lon[:4], np.full(4, 2.0), np.full(4, 50.0))).to_text()
    start = text.index("mean probability and share")
    line = next(x for x in text[start:].splitlines() if x.startswith("  0.8-0.9 "))
    assert line.split()[1:4] == ["0.850:", "0.800+-0.171", "(5)"]


def test_in_a_field_the_outside_and_the_edge_are_not_counted():
    coverage = cone_coverage(100.0, 40.0, 5.0)
    stretch = 1 / np.cos(np.radians(40))
    lon = np.array([100.0, 100 + 4.8 * stretch, 100 + 8 * stretch])
    catalog = catalog_of(lon[:2], [40, 40], coverage=coverage)
    scores = score(catalog, truth_of(lon, [40, 40, 40], [50, 50, 50]))
    assert scores.n_truth == 1
    assert scores.n_detections == 1
    assert scores.summary["completeness, ideal TS > 25"].value == 1.0


def test_chance_stands_beside_every_rate():
    rng = np.random.default_rng(7)
    lon, lat = random_sky(4000, rng)
    truth = truth_of(*random_sky(3000, rng), np.full(3000, 50.0))
    rate = score(catalog_of(lon, lat), truth).summary["completeness, ideal TS > 25"]
    # nothing was truly found: the rate is the chance rate
    assert rate.value == pytest.approx(rate.chance, abs=0.015)
    assert rate.chance > 0.02


def test_a_truth_without_its_columns_is_refused():
    with pytest.raises(InputError, match="the truth has no column Flux1000, Ideal_TS"):
        score(catalog_of(1, 1), Table({"GLON": [1.0], "GLAT": [1.0]}))


def test_masked_numbers_of_the_truth_are_unknown():
    truth = Table(truth_of([10.0, 50.0], [0, 0], [50, 50], signif=[20, 20]), masked=True)
    truth["Signif_Avg"].mask = [False, True]
    scores = score(catalog_of([10.0], [0]), truth)
    assert scores.summary["completeness, 4FGL sigma > 10"].total == 1
    del truth["Signif_Avg"]
    scores = score(catalog_of([10.0], [0]), truth)
    assert scores.summary["completeness, 4FGL sigma > 10"].total == 0


def test_a_truth_that_says_it_has_no_extended_sources_is_scored(tmp_path):
    table = truth_of([10.0], [40.0], [100.0])
    table.meta["EXTENDED"] = False
    table.write(tmp_path / "truth.fits")
    truth = read_truth_table(tmp_path / "truth.fits")
    assert score(catalog_of([10.0], [40.0]), truth).summary["purity"].found == 1
