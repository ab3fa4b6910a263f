"""Completeness and purity of a list of detections, counted in everything they may depend on."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from ..sky.geometry.frame import lonlat_to_vectors
from ..sky.geometry.latitude import latitude_masks
from .headline import TS_EDGES
from .rates import bin_name, binned, point_of_curve, rate_of, rate_table, with_error
from .truth_comparison import Cut, TruthComparison, column

FLUX_EDGES = (0.0, *(float(f) for f in 10.0 ** np.arange(-11.0, -7.9, 0.25)), np.inf)
"""Photon flux 1 to 100 GeV, cm-2 s-1."""

ENERGY_FLUX_EDGES = (0.0, *(float(f) for f in 10.0 ** np.arange(-13.0, -9.9, 0.25)), np.inf)
"""Energy flux 100 MeV to 100 GeV, erg cm-2 s-1."""

SIGNIF_EDGES = (4.0, 5.0, 7.0, 10.0, 20.0, 40.0, np.inf)
LATITUDE_EDGES = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.001)
PROBABILITY_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01)

NEIGHBOUR_EDGES_DEG = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, np.inf)
"""Distance to the nearest brighter source, degrees."""

RADII_DEG = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Matching radii that are compared."""

_FARTHEST_NEIGHBOUR_DEG = 2.0


def _quantities(truth: Table) -> tuple[tuple[str, str, np.ndarray, tuple[float, ...]], ...]:
    """Name of the table, label of its edges, values of the true sources, edges."""
    return (
        ("flux", "Flux1000", column(truth, "Flux1000"), FLUX_EDGES),
        ("energy_flux", "Energy_Flux100", column(truth, "Energy_Flux100"), ENERGY_FLUX_EDGES),
        ("ts", "TS", column(truth, "Ideal_TS"), TS_EDGES),
        ("signif", "Signif", column(truth, "Signif_Avg"), SIGNIF_EDGES),
    )


def completeness_tables(cut: Cut) -> dict[str, Table]:
    """completeness_flux, _energy_flux, _ts, _signif, _latitude, _b and _neighbour by name.

    The first four and the last are told by band of latitude; _latitude has the samples of
    `TruthComparison.samples` by band, _b in finer bins of abs(b).
    """
    comparison = cut.comparison
    lat = comparison.true_place[1]
    bands = {k: v & comparison.counted_truth for k, v in latitude_masks(lat).items()}
    rows = {
        name: [
            ({"band": band} | labels, inside & mask)
            for band, mask in bands.items()
            for labels, inside in binned(values, edges, label)
        ]
        for name, label, values, edges in _quantities(comparison.truth)
    }
    rows["latitude"] = [
        ({"band": band, "sample": sample}, mask & group)
        for sample, group in comparison.samples().items()
        for band, mask in bands.items()
    ]
    rows["b"] = [
        ({"sample": sample} | labels, inside & group & comparison.counted_truth)
        for sample, group in comparison.samples().items()
        for labels, inside in binned(np.abs(lat), LATITUDE_EDGES, "b")
    ]
    to_brighter = nearest_brighter_deg(comparison)
    rows["neighbour"] = [
        (
            {"band": band, "sample": f"ideal TS > {ts:g}"} | labels,
            inside & mask & (comparison.ts > ts),
        )
        for ts in (25.0, 100.0)
        for band, mask in bands.items()
        for labels, inside in binned(to_brighter, NEIGHBOUR_EDGES_DEG, "neighbour_deg")
    ]
    found, chance = cut.matches.truth_found, cut.chance_truth
    return {
        f"completeness_{name}": rate_table(some, found, chance, "completeness")
        for name, some in rows.items()
    }


def nearest_brighter_deg(comparison: TruthComparison) -> np.ndarray:
    """Distance (N,) of each true source to the nearest of higher ideal TS; 3 stands for beyond 2.

    A finite number keeps the far ones in the last bin, which has no upper edge.
    """
    result = np.full(len(comparison.ts), _FARTHEST_NEIGHBOUR_DEG + 1.0)
    if not result.size:
        return result
    vectors = lonlat_to_vectors(*comparison.true_place)
    reach = 2.0 * np.sin(np.radians(_FARTHEST_NEIGHBOUR_DEG) / 2.0)
    first, second = cKDTree(vectors).query_pairs(reach, output_type="ndarray").T
    separation = np.degrees(
        2.0 * np.arcsin(np.linalg.norm(vectors[first] - vectors[second], axis=1) / 2.0)
    )
    for source, other in ((first, second), (second, first)):
        brighter = comparison.ts[other] > comparison.ts[source]
        np.minimum.at(result, source[brighter], separation[brighter])
    return result


def purity_tables(cut: Cut) -> dict[str, Table]:
    """purity (by band), purity_b, purity_flux, _energy_flux, _ts and calibration by name.

    A false detection has no true flux or TS of its own: it is counted at that of the true
    detection of its latitude band which is nearest to it in probability.
    """
    comparison = cut.comparison
    lat = comparison.found_place[1]
    bands = latitude_masks(lat)
    stand_in = _stand_ins(cut)
    rows: dict[str, list[tuple[dict[str, object], np.ndarray]]] = {
        "purity": [({"band": band}, mask) for band, mask in bands.items()],
        "purity_b": binned(np.abs(lat), LATITUDE_EDGES, "b"),
    }
    for name, label, values, edges in _quantities(comparison.truth)[:3]:
        of_detection = np.full(len(lat), np.nan)
        of_detection[stand_in >= 0] = values[stand_in[stand_in >= 0]]
        rows[f"purity_{name}"] = [
            ({"band": band} | labels, inside & mask)
            for band, mask in bands.items()
            for labels, inside in binned(of_detection, edges, label)
        ]
    tables = {
        name: rate_table(
            [(labels, mask & cut.counted) for labels, mask in some],
            cut.true_detection, cut.chance_detection, "purity",
        )
        for name, some in rows.items()
    }  # fmt: skip
    return tables | {"calibration": _calibration_table(cut, bands)}


def _stand_ins(cut: Cut) -> np.ndarray:
    """Row (M,) of the true source each detection is counted at; -1 where its band has none."""
    comparison, result = cut.comparison, cut.source_of_detection.copy()
    bands = latitude_masks(comparison.found_place[1])
    for band in ("|b|<5", "5<|b|<20", "|b|>20"):
        here = bands[band] & cut.counted
        true = np.flatnonzero(here & cut.true_detection)
        false = np.flatnonzero(here & ~cut.true_detection)
        if true.size:
            true = true[np.argsort(comparison.probability[true], kind="stable")]
            _, near = cKDTree(comparison.probability[true, None]).query(
                comparison.probability[false, None]
            )
            result[false] = cut.source_of_detection[true[near]]
    return result


def _calibration_table(cut: Cut, bands: dict[str, np.ndarray]) -> Table:
    """Share of true ones within bins of probability, beside the mean probability."""
    probability = cut.comparison.probability
    rows = []
    for band, mask in bands.items():
        for labels, inside in binned(probability, PROBABILITY_EDGES, "probability"):
            counted = inside & mask & cut.counted
            rate = rate_of(cut.true_detection, counted, cut.chance_detection)
            mean = float(probability[counted].mean()) if counted.any() else float("nan")
            cells = {"n": rate.total, "found": rate.found, "probability_mean": mean}
            rows.append({"band": band} | labels | cells | rate.columns("purity"))
    return Table(rows=rows)


def calibration_text(table: Table) -> str:
    """Table `calibration`, a line for each bin of probability, by band of latitude.

    Of an honest list the mean probability of a bin and the share of true ones are the same.
    """
    bands = list(dict.fromkeys(table["band"].tolist()))
    lines = [
        "mean probability and share of true detections",
        f"  {'':<10}" + "".join(f"{band:>26}" for band in bands),
    ]
    for row in table[table["band"] == bands[0]]:
        low, high = row["probability_low_edge"], min(row["probability_high_edge"], 1.0)
        cells = [
            f"{bin_row['probability_mean']:.3f}: {with_error(bin_row, 'purity')} ({bin_row['n']})"
            for bin_row in table[table["probability_low_edge"] == low]
        ]
        lines.append(f"  {bin_name(low, high):<10}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def radius_table(comparison: TruthComparison, thresholds: dict[str, float]) -> Table:
    """Matched fractions against the matching radius, chance beside them.

    Parameters
    ----------
    comparison : TruthComparison
    thresholds : mapping
        Name of a list to the probability it is cut at; NaN lists are left out.

    Returns
    -------
    astropy Table
        One row a list and radius: purity, and completeness above ideal TS 25 and 100.
    """
    rows = []
    for radius in RADII_DEG:
        # visible sources choose before invisible ones: these matches are those of all
        scan = comparison.with_radius(radius).visible_scan
        ts = comparison.ts[comparison.visible]
        for name, threshold in thresholds.items():
            if np.isnan(threshold):
                continue
            at = np.array([threshold])
            cells = point_of_curve("purity", scan.detection_rate(comparison.counted_detections, at))
            for least in (25.0, 100.0):
                group = comparison.counted_truth[comparison.visible] & (ts > least)
                cells |= point_of_curve(
                    f"completeness, ideal TS > {least:g}", scan.truth_rate(group, at)
                )
            rows.append({"list": name, "radius_deg": radius} | cells)
    return Table(rows=rows)
