"""Rates with binomial errors and chance rates beside them, binned and cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import Table

from .threshold_scan import RateCurve

ONE_SIGMA = 0.682689492137


@dataclass(frozen=True)
class Rate:
    """`found` of `total`, and the rate that chance alone would give (NaN where unknown)."""

    found: int
    total: int
    chance: float = float("nan")

    @property
    def value(self) -> float:
        """found / total; NaN, never 0 or 1, when there is nothing to count."""
        return self.found / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 68.3% interval; NaN when there is nothing to count."""
        low, high = wilson(np.array([self.found]), np.array([self.total]))
        return float(low[0]), float(high[0])

    def columns(self, name: str) -> dict[str, float]:
        """The rate as cells of a table row: name, name_low, name_high, name_chance."""
        low, high = self.interval
        return {
            name: self.value,
            f"{name}_low": low,
            f"{name}_high": high,
            f"{name}_chance": self.chance,
        }

    def __str__(self) -> str:
        if not self.total:
            return "undefined (0 to count)"
        low, high = self.interval
        return (
            f"{self.value:.3f} (+{abs(high - self.value):.3f} -{abs(self.value - low):.3f}; "
            f"{self.found} of {self.total}; by chance {self.chance:.3f})"
        )


def rate_of(found: np.ndarray, counted: np.ndarray, chance: np.ndarray) -> Rate:
    """Rate of `found` among `counted` (bool arrays), and their mean chance (NaN ignored)."""
    known = chance[counted]
    known = known[np.isfinite(known)]
    by_chance = float(known.mean()) if known.size else float("nan")
    return Rate(int((found & counted).sum()), int(counted.sum()), by_chance)


def rate_table(
    rows: Iterable[tuple[Mapping[str, object], np.ndarray]],
    found: np.ndarray,
    chance: np.ndarray,
    name: str,
) -> Table:
    """Table of one rate a row.

    Parameters
    ----------
    rows : iterable of (labels, bool array (N,))
        First cells of each row, and which of the N sources it counts.
    found : bool array (N,)
        What the rate is of.
    chance : float array (N,)
        Chance of each source.
    name : str
        Column of the rate; `name_low`, `name_high`, `name_chance` follow it.

    Returns
    -------
    astropy Table
        Labels, n, found, and the rate's four columns.
    """
    cells = []
    for labels, counted in rows:
        rate = rate_of(found, counted, chance)
        cells.append(dict(labels) | {"n": rate.total, "found": rate.found} | rate.columns(name))
    return Table(rows=cells) if cells else Table()


def binned(
    values: np.ndarray, edges: Iterable[float], name: str
) -> list[tuple[dict[str, object], np.ndarray]]:
    """One row a bin `low <= value < high`: its edges as labels, and its sources."""
    edges = list(edges)
    return [
        ({f"{name}_low_edge": low, f"{name}_high_edge": high}, (values >= low) & (values < high))
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]


def bin_name(low: float, high: float) -> str:
    """A bin as people write it."""
    return f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}"


def with_error(row: Mapping[str, float], name: str) -> str:
    """The rate of a table row with half its interval; nan where there is nothing to count."""
    if not np.isfinite(row[name]):
        return "nan"
    half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2.0
    return f"{row[name]:.3f}+-{half:.3f}"


def thresholds_of(probability: np.ndarray) -> np.ndarray:
    """Every probability at which a list can be cut, each once, lowest first."""
    return np.unique(probability)


def curve_columns(name: str, curve: RateCurve) -> dict[str, np.ndarray]:
    """The columns of `Rate.columns` along a curve."""
    low, high = wilson(curve.found, curve.total)
    some = curve.total > 0
    value = np.divide(curve.found, curve.total, out=np.full(len(some), np.nan), where=some)
    columns = {name: value, f"{name}_low": low, f"{name}_high": high}
    return columns | {f"{name}_chance": curve.chance}


def point_of_curve(name: str, curve: RateCurve) -> dict[str, float]:
    """The columns of `Rate.columns` of a curve of one threshold."""
    return {key: float(values[0]) for key, values in curve_columns(name, curve).items()}


def wilson(found: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 68.3% intervals of rates; NaN where there is nothing to count."""
    bounds = np.full((2, len(total)), np.nan)
    some = np.asarray(total) > 0
    if some.any():
        bounds[:, some] = binom_conf_interval(
            found[some], total[some], confidence_level=ONE_SIGMA, interval="wilson"
        )
    return bounds[0], bounds[1]
