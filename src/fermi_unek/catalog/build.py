"""From candidates to a catalog: names, ellipses, flags, nearest 4FGL sources, provenance."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from scipy.spatial import cKDTree

from .. import __version__
from ..errors import InputError
from ..sky.geometry.frame import lonlat_to_vectors
from .candidates import Candidates
from .record import Catalog, HeaderValue
from .schema import (
    CLASSES,
    DEFAULT_YEAR_EDGES_MET,
    FLAG_IN_EXTENDED,
    FLAG_IN_EXTENDED_SECONDARY,
    FLAG_NEAR_EDGE,
    LEAST_CONFIDENCE,
    PROBABILITY_COLUMNS,
    blank_table,
)
from .selected import select_by_purity

_NEIGHBOURS = 8
"""So many of the nearest 4FGL sources are looked at for an association."""

_LEAST_ERROR_DEG = 1e-5

POINT_RADIUS_DEG = 0.3
"""A candidate inside an extended source and so near to a 4FGL point source is taken for that."""

# 4FGL gives c, e, i and s after a name a meaning of their own (confused, extended, ...)
NAME_SUFFIXES = [letter for letter in string.ascii_lowercase if letter not in "ceis"]

RATIO_95_TO_68 = math.sqrt(math.log(0.05) / math.log(0.32))
"""Radius that holds 95% of a 2D Gaussian over the one that holds 68%."""

# what the numbers may depend on
_VERSIONED = ("numpy", "scipy", "astropy", "healpy", "torch", "scikit-learn")


def build_catalog(
    candidates: Candidates,
    *,
    provenance: Mapping[str, object] | None = None,
    reference: Table | None = None,
    association_radius: float | None = None,
    coverage: np.ndarray | None = None,
    purity: float = 0.95,
    year_edges_met: np.ndarray | None = None,
) -> Catalog:
    """Make the catalog of a list of candidates.

    Parameters
    ----------
    candidates : Candidates
        What the search found, N of them; N may be 0.
    provenance : mapping, optional
        Model hashes, thresholds, inputs with checksums: any name to text, number or bool,
        kept in the primary header. Software versions are added here.
    reference : astropy Table, optional
        4FGL release of `load_release`; fills ASSOC_FGL, Nearest_FGL, Sep_FGL and Flags.
    association_radius : float, optional
        See `name_neighbours`.
    coverage : bool array (12 * 4**COVERAGE_ORDER,), optional
        NESTED Galactic mask of what was searched; the whole sky when absent.
    purity : float
        Of the list whose rows are `Selected`, see `select_by_purity`.
    year_edges_met : float array (n_years + 1,), optional
        Edges of the history columns; DR3's twelve years when absent.

    Returns
    -------
    Catalog
        N rows sorted by right ascension, then by declination.

    Raises
    ------
    InputError
        When more candidates share one name than there are letters to tell them apart.
    """
    edges = DEFAULT_YEAR_EDGES_MET if year_edges_met is None else np.asarray(year_edges_met, float)
    icrs = SkyCoord(candidates.lon_deg, candidates.lat_deg, unit="deg", frame="galactic").icrs
    order = np.lexsort((icrs.dec.deg, icrs.ra.deg))
    candidates, icrs = candidates.select(order), icrs[order]
    table = blank_table(len(candidates), len(edges) - 1)
    table["Source_Name"] = source_names(icrs.ra.deg, icrs.dec.deg, candidates.probability)
    table["RAJ2000"][:], table["DEJ2000"][:] = icrs.ra.deg, icrs.dec.deg
    table["SpectrumType"] = np.full(len(table), "PowerLaw", dtype="U17")
    _fill_candidates(table, candidates)
    header: dict[str, HeaderValue] = {k: _plain(v) for k, v in (provenance or {}).items()}
    header |= _select(table, purity)
    header |= {"reference catalog": "none"}
    if reference is not None:
        header["reference catalog"] = str(reference.meta.get("RELEASE", "a table"))
        _flag_extended(table, reference)
        if association_radius is not None:
            header["association radius"] = association_radius
        name_neighbours(table, reference, association_radius)
    return Catalog(table, header | _software(), coverage, edges)


def _select(table: Table, purity: float) -> dict[str, HeaderValue]:
    """Fill Selected; what the header says of the list and of all candidates."""
    probability = np.asarray(table["Probability"], float)
    chosen = select_by_purity(probability, np.asarray(table["GLAT"]), purity)
    table["Selected"][:] = chosen
    told: dict[str, HeaderValue] = {"purity asked for": purity}
    for name, rows in (("selected", probability[chosen]), ("all", probability)):
        if len(rows):
            told[f"expected purity, {name}"] = round(float(rows.mean()), 4)
            told[f"expected real sources, {name}"] = round(float(rows.sum()), 1)
    return told


def _fill_candidates(table: Table, candidates: Candidates) -> None:
    table["GLON"][:] = candidates.lon_deg % 360.0
    table["GLAT"][:] = candidates.lat_deg
    ratio = RATIO_95_TO_68 if candidates.ratio95 is None else candidates.ratio95
    for percent, scale in ((68, 1.0), (95, ratio)):
        table[f"Conf_{percent}_SemiMajor"][:] = candidates.semimajor68_deg * scale
        table[f"Conf_{percent}_SemiMinor"][:] = candidates.semiminor68_deg * scale
        table[f"Conf_{percent}_PosAng"][:] = candidates.position_angle_deg
    table["Probability"][:] = candidates.probability
    table["Flags"][:] = np.where(candidates.near_edge, FLAG_NEAR_EDGE, 0)
    if candidates.extended is not None:
        table["Flags"][candidates.extended > 0.5] |= FLAG_IN_EXTENDED
    if candidates.counts is not None:
        table["Counts_Band"][:] = candidates.counts
    if candidates.fake is not None:
        table["Fake"][:] = candidates.fake
    if candidates.class_probabilities is not None:
        chances = candidates.class_probabilities
        for name, column in zip(PROBABILITY_COLUMNS, chances.T, strict=True):
            table[name][:] = column
        table["CLASS1"][:] = stated_classes(chances)


def stated_classes(chances: np.ndarray) -> np.ndarray:
    """CLASS1 (N,) of class probabilities (N, 5): the likeliest class of source.

    Blank where that stays below `LEAST_CONFIDENCE`, given that there is a source at all, and
    where a row holds NaN.
    """
    sources = np.asarray(chances, float)[:, :4]
    known = np.all(np.isfinite(sources), axis=1)
    sources = np.where(known[:, None], sources, 0.0)
    enough = sources.max(axis=1, initial=0.0) >= LEAST_CONFIDENCE * sources.sum(axis=1)
    named = np.array(CLASSES[:4])[np.argmax(sources, axis=1)]
    return np.where(known & enough, named, "")


def _flag_extended(table: Table, reference: Table) -> None:
    if len(table) == 0:
        return
    members = members_of_extended(table, reference)
    table["Flags"][members.any(axis=0)] |= FLAG_IN_EXTENDED
    own = members & ~near_point(table, reference)
    table["Flags"][not_likeliest(own, np.asarray(table["Probability"]))] |= (
        FLAG_IN_EXTENDED_SECONDARY
    )


def name_neighbours(table: Table, reference: Table, radius_deg: float | None = None) -> None:
    """Fill Nearest_FGL, Sep_FGL and ASSOC_FGL of a catalog's table from a 4FGL release.

    A source is associated with the nearest 4FGL source whose position agrees: the offset lies
    inside the joint 95% error ellipse (both squared and added). For an extended source of 4FGL its
    semimajor axis is its error. Blank where none agrees.

    Parameters
    ----------
    table : Table
        N rows; changed.
    reference : Table
        From `load_release`.
    radius_deg : float, optional
        Radius inside which a source is associated, in place of the errors.
    """
    known = np.isfinite(table["GLON"]) & np.isfinite(table["GLAT"])
    if not known.any() or not len(reference):
        return
    here, there = (
        SkyCoord(np.asarray(t["GLON"]), np.asarray(t["GLAT"]), unit="deg", frame="galactic").icrs
        for t in (table[known], reference)
    )
    tree = cKDTree(there.cartesian.xyz.value.T)
    _, index = tree.query(here.cartesian.xyz.value.T, k=range(1, min(_NEIGHBOURS, len(there)) + 1))
    separation = here[:, None].separation(there[index]).deg
    if radius_deg is None:
        east_north = here[:, None].spherical_offsets_to(there[index])
        offset = np.stack([angle.deg for angle in east_north], axis=-1)
        joint = _squared_errors(table[known])[:, None] + _squared_errors(reference)[index]
        inverse = np.linalg.inv(joint + _LEAST_ERROR_DEG**2 * np.eye(2))
        agrees = np.einsum("nki,nkij,nkj->nk", offset, inverse, offset) <= 1.0
    else:
        agrees = separation <= radius_deg
    names = np.asarray(reference["Source_Name"], dtype=str)[index]
    table["Nearest_FGL"][known], table["Sep_FGL"][known] = names[:, 0], separation[:, 0]
    first = np.take_along_axis(names, np.argmax(agrees, axis=1)[:, None], axis=1)[:, 0]
    table["ASSOC_FGL"][known] = np.where(agrees.any(axis=1), first, "")


def _squared_errors(table: Table) -> np.ndarray:
    """Matrices (N, 2, 2), deg^2, east and north, of the 95% ellipses or extents.

    Zero where no error is given, as 4FGL does for places that it holds fixed.
    """
    names = [f"Conf_95_{part}" for part in ("SemiMajor", "SemiMinor", "PosAng")]
    blank = np.full(len(table), np.nan)
    columns = [np.asarray(table[n], float) if n in table.colnames else blank for n in names]
    major, minor, angle = columns
    extents = table.meta.get("EXTENTS", {})
    if extents:
        sizes = [extents.get(name, np.nan) for name in table["Extended_Source_Name"].tolist()]
        major, minor = (np.where(np.isfinite(sizes), sizes, axis) for axis in (major, minor))
    major, minor, angle = np.nan_to_num([major, minor, np.radians(angle)])
    long = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * major[:, None]
    short = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) * minor[:, None]
    squares: np.ndarray = long[:, :, None] * long[:, None] + short[:, :, None] * short[:, None]
    return squares


def members_of_extended(table: Table, reference: Table) -> np.ndarray:
    """Bool (K, N): rows that lie within the extent of each extended source of `load_release`."""
    extended = reference[_is_extended(reference)]
    extents = reference.meta.get("EXTENTS", {})
    sizes = [extents.get(row["Extended_Source_Name"], np.nan) for row in extended]
    centres, places = (
        lonlat_to_vectors(np.asarray(rows["GLON"], float), np.asarray(rows["GLAT"], float))
        for rows in (extended, table)
    )
    inside: np.ndarray = centres @ places.T >= np.cos(np.radians(sizes))[:, None]
    return inside


def near_point(table: Table, reference: Table) -> np.ndarray:
    """Bool (N,): rows within `POINT_RADIUS_DEG` of a point source of `load_release`."""
    points = reference[~_is_extended(reference)]
    if not len(points):
        return np.zeros(len(table), bool)
    places = (np.asarray(t[n], float) for t in (table, points) for n in ("GLON", "GLAT"))
    near: np.ndarray = nearest(*places)[1] <= POINT_RADIUS_DEG
    return near


def not_likeliest(members: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Bool (N,): members (K, N) of groups that are the likeliest of none of their groups."""
    likeliest = np.zeros(len(probability), bool)
    for group in members[members.any(axis=1)]:
        likeliest[np.argmax(np.where(group, probability, -1.0))] = True
    rest: np.ndarray = members.any(axis=0) & ~likeliest
    return rest


def _is_extended(reference: Table) -> np.ndarray:
    if "Extended_Source_Name" not in reference.colnames:
        return np.zeros(len(reference), bool)
    return np.asarray(reference["Extended_Source_Name"]) != ""


def nearest(
    lon_deg: np.ndarray, lat_deg: np.ndarray, other_lon_deg: np.ndarray, other_lat_deg: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest of M >= 1 other places to each of N, and its distance in degrees."""
    tree = cKDTree(lonlat_to_vectors(other_lon_deg, other_lat_deg))
    chord, index = tree.query(lonlat_to_vectors(lon_deg, lat_deg))
    return index, np.degrees(2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)))


def source_names(ra_deg: np.ndarray, dec_deg: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Names `UNEK JHHMM.m+DDMM`, digits truncated as 4FGL and the IAU do.

    Names that fall together get the letters a, b, d, f, ... in falling probability (c, e, i
    and s mean something in 4FGL).

    Parameters
    ----------
    ra_deg, dec_deg : arrays (N,)
        ICRS degrees.
    probability : array (N,)
        Decides the order of the letters.

    Returns
    -------
    array (N,) of str
        Unique, at most 18 characters.

    Raises
    ------
    InputError
        When more than 22 sources fall together.
    """
    names = [_iau_name(ra, dec) for ra, dec in zip(ra_deg, dec_deg, strict=True)]
    totals = Counter(names)
    used: Counter[str] = Counter()
    result = list(names)
    for i in np.argsort(-np.asarray(probability), kind="stable"):
        name = names[i]
        if totals[name] > 1:
            if used[name] == len(NAME_SUFFIXES):
                raise InputError(
                    f"{totals[name]} candidates would be called {name}; at most "
                    f"{len(NAME_SUFFIXES)} can be told apart, are they duplicates?"
                )
            result[i] = name + NAME_SUFFIXES[used[name]]
            used[name] += 1
    return np.array(result, dtype="U18")


def _iau_name(ra_deg: float, dec_deg: float) -> str:
    # a hair is added so that 15.0 deg held as 14.999999999999998 stays 01h00.0m
    hair = 1e-9
    tenths = int((ra_deg % 360.0) * 40.0 + hair) % 14400
    minutes = int(abs(dec_deg) * 60.0 + hair)
    sign = "-" if dec_deg < 0 else "+"
    hour, tenth = divmod(tenths, 600)
    return (
        f"UNEK J{hour:02d}{tenth // 10:02d}.{tenth % 10}{sign}{minutes // 60:02d}{minutes % 60:02d}"
    )


def _plain(value: object) -> HeaderValue:
    """A value as a header can hold it."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def _software() -> dict[str, HeaderValue]:
    """Versions of what the numbers may depend on, and the date."""
    found: dict[str, HeaderValue] = {"version fermi_unek": __version__}
    for package in _VERSIONED:
        try:
            found[f"version {package}"] = version(package)
        except PackageNotFoundError:  # never required to read or write a catalog
            continue
    found["date"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return found
