"""Rates with binomial errors and chance rates beside them, binned and cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import Table

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
        if not self.total:
            return float("nan"), float("nan")
        low, high = binom_conf_interval(
            self.found, self.total, confidence_level=ONE_SIGMA, interval="wilson"
        )
        return float(low), float(high)

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


def latitude_bands(lat_deg: np.ndarray) -> dict[str, np.ndarray]:
    """All latitudes and the three bands of |b| that are told apart, as bool arrays."""
    height = np.abs(lat_deg)
    return {
        "all": np.ones(len(height), dtype=bool),
        "|b|<5": height < 5,
        "5<|b|<20": (height >= 5) & (height < 20),
        "|b|>20": height >= 20,
    }


def thresholds_of(probability: np.ndarray, most: int = 60) -> np.ndarray:
    """Probabilities at which to cut a list: evenly many detections apart, lowest first."""
    values = np.sort(probability)
    if values.size == 0:
        return values
    index = np.linspace(0, values.size - 1, min(most, values.size)).astype(int)
    return np.unique(values[index])
