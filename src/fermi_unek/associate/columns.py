"""What an association writes into the catalog: 4FGL's columns, and one pair a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack

from ..catalog.schema import ASSOCIATION_COLUMNS, COLUMNS, COUNTERPART_COLUMNS, blank_table
from .matching import REPEAT_DEG, Matching
from .records import Answer, Kind, Objects

GAMMA_COLUMNS = (("4FGL ", "ASSOC_4FGL"), ("FHL ", "ASSOC_FHL"), ("", "ASSOC_GAM1"))
"""What the name of a gamma-ray source holds, and the column of 4FGL it then goes to."""

MATCH, MATCH_PROBABILITY = "Match_", "MatchProb_"
"""Beginnings of the two columns of a service."""


@dataclass(frozen=True)
class Found:
    """A service that answered: its objects and its matching on N places."""

    answer: Answer
    objects: Objects
    matching: Matching

    @property
    def name(self) -> str:
        """Of the service."""
        return self.answer.service.name

    @property
    def kind(self) -> Kind:
        """Of the service."""
        return self.answer.service.kind


def list_pairs(found: Sequence[Found]) -> Table:
    """All objects inside error ellipses, by place, the most probable first.

    Returns
    -------
    astropy Table
        place (index), kind, catalog, name, class, ra, dec, error95, separation (degrees) and
        probability; equally probable ones in the order of the services.
    """
    parts = [_pairs_of(service) for service in found]
    table = vstack(parts) if parts else _blank_pairs(0)
    order = np.lexsort((np.arange(len(table)), -table["probability"], table["place"]))
    return table[order]


def _blank_pairs(n: int) -> Table:
    table = Table()
    table["place"] = np.zeros(n, int)
    for name, width in (("kind", 12), ("catalog", 40), ("name", 64), ("class", 10)):
        table[name] = np.full(n, "", dtype=f"U{width}")
    for name in ("ra", "dec", "error95", "separation"):
        table[name] = np.full(n, np.nan)
        table[name].unit = "deg"
    table["probability"] = np.full(n, np.nan)
    return table


def _pairs_of(one: Found) -> Table:
    pairs = one.matching.pairs
    objects = one.objects.select(pairs.object_)
    table = _blank_pairs(len(pairs.place))
    table["place"][:] = pairs.place
    table["kind"][:], table["catalog"][:] = one.kind, one.name
    table["name"][:], table["class"][:] = objects.name, objects.class_
    table["ra"][:], table["dec"][:] = objects.ra_deg, objects.dec_deg
    table["error95"][:], table["separation"][:] = objects.error95_deg, pairs.separation_deg
    table["probability"][:] = one.matching.probability
    return table


def fill(
    table: Table, found: Sequence[Found], pairs: Table, rows: np.ndarray, min_probability: float
) -> None:
    """Write counterparts into the columns of a catalog's table, in place.

    Parameters
    ----------
    table : astropy Table
        Of a `Catalog`; what an earlier association wrote is removed first.
    found : sequence of Found
        The services that answered.
    pairs : astropy Table
        Of `list_pairs`.
    rows : int array (N,)
        Row of the table of each place.
    min_probability : float
        Least probability of ASSOC1, ASSOC2, ASSOC_4FGL and ASSOC_FHL.
    """
    _clear(table)
    probable = pairs[pairs["probability"] >= min_probability]
    _fill_counterparts(table, probable[probable["kind"] == "counterpart"], rows)
    _fill_gamma(table, probable[probable["kind"] == "gamma"], rows)
    _fill_chance(table, found, rows)
    for service in found:
        _fill_service(table, service, rows)


def _clear(table: Table) -> None:
    old = [c for c in table.colnames if c.startswith((MATCH, MATCH_PROBABILITY))]
    added = [spec.name for spec in COUNTERPART_COLUMNS]
    table.remove_columns([c for c in old + added if c in table.colnames])
    n_years = table["Flux_History"].shape[1]
    blank = blank_table(len(table), n_years, COLUMNS)
    for name in ASSOCIATION_COLUMNS:
        table[name] = blank[name]
    for spec in COUNTERPART_COLUMNS:
        table[spec.name] = spec.blank(len(table), n_years)


def _fill_counterparts(table: Table, pairs: Table, rows: np.ndarray) -> None:
    place, first = np.unique(np.asarray(pairs["place"]), return_index=True)
    best = pairs[first]
    at = rows[place]
    for column, value in (
        ("ASSOC1", "name"),
        ("ASSOC_CLASS", "class"),
        ("ASSOC_CAT", "catalog"),
        ("ASSOC_PROB_BAY", "probability"),
        ("RA_Counterpart", "ra"),
        ("DEC_Counterpart", "dec"),
        ("ASSOC_SEP", "separation"),
    ):
        table[column][at] = _fitting(best[value], table[column])
    # no error is one that is not known
    table["Unc_Counterpart"][at] = np.where(best["error95"] > 0, best["error95"], np.nan)
    # the second is another object, not the same one in another catalog
    leader = np.zeros(len(rows), int)
    leader[place] = first
    chosen = pairs[leader[np.asarray(pairs["place"])]]
    here, there = (
        SkyCoord(objects["ra"], objects["dec"], unit="deg") for objects in (chosen, pairs)
    )
    other = pairs[here.separation(there).deg > REPEAT_DEG]
    place, first = np.unique(np.asarray(other["place"]), return_index=True)
    table["ASSOC2"][rows[place]] = _fitting(other["name"][first], table["ASSOC2"])
    table["CLASS2"][rows[place]] = other["class"][first]


def _fitting(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Values as wide as a column of text has room; numbers as they are."""
    return np.asarray(values).astype(column.dtype) if column.dtype.kind == "U" else values


def _fill_gamma(table: Table, pairs: Table, rows: np.ndarray) -> None:
    for row in pairs:
        column = next(c for part, c in GAMMA_COLUMNS if part in row["name"])
        at = rows[row["place"]]
        if table[column][at] == "":
            table[column][at] = _fitting(row["name"], table[column])


def _fill_chance(table: Table, found: Sequence[Found], rows: np.ndarray) -> None:
    """How often a shifted position has a counterpart as probable as ASSOC1, in any service."""
    by_chance = [service.matching.by_chance for service in found if service.kind == "counterpart"]
    if not by_chance:
        return
    stacked = np.stack(by_chance)
    known = np.any(np.isfinite(stacked), axis=0)
    highest = np.max(np.nan_to_num(stacked, nan=0.0), axis=0)
    probability = np.asarray(table["ASSOC_PROB_BAY"], float)[rows]
    share = np.mean(highest >= probability[:, None], axis=1)
    told = np.all(known, axis=1) & np.isfinite(probability)
    table["ASSOC_CHANCE"][rows] = np.where(told, share, np.nan)


def _fill_service(table: Table, one: Found, rows: np.ndarray) -> None:
    index, probability = one.matching.best(len(rows))
    names = np.full(len(table), "", dtype="U64")
    chances = np.full(len(table), np.nan, dtype="f4")
    there = index >= 0
    names[rows[there]] = one.objects.name[one.matching.pairs.object_[index[there]]]
    chances[rows] = probability
    width = max(1, int(np.char.str_len(names).max(initial=1)))
    table[MATCH + one.name] = names.astype(f"U{width}")
    table[MATCH + one.name].description = f"Most probable object of {one.name} inside the ellipse"
    table[MATCH_PROBABILITY + one.name] = chances
    table[MATCH_PROBABILITY + one.name].description = "Its probability of association"
