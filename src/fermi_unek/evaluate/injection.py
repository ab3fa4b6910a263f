"""Completeness of exactly one field: sources of known flux are added to its own counts.

A few at a time, far from one another, at random places; the field is searched as it is and
with them. What the field shows by itself is matched first, so an added source is found only if
there is a detection that the field alone does not account for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack

from ..catalog.build import nearest
from ..catalog.record import Catalog
from ..errors import InputError
from ..irf.instrument import Instrument
from ..progress import Progress, silent
from ..simulate.inject import add_sources, power_law_sources
from ..sky.bins import COVERAGE_ORDER
from ..sky.counts import SkyCounts
from ..sky.geometry.coverage import N_COVERAGE
from ..sky.geometry.frame import vectors_to_lonlat
from ..sky.geometry.resample import places_in_pixels
from .positions import offsets, pair_table
from .rates import rate_of
from .truth_comparison import EDGE_MARGIN_DEG, Cut, TruthComparison, place

Search = Callable[[SkyCounts], Catalog]
"""What finds the sources in counts."""

APART_DEG = 2.0
"""Added sources of one round keep this distance from one another."""

_TRIES = 40
_FINEST = 12
_SKY_DEG2 = 129600.0 / np.pi


@dataclass(frozen=True)
class Injection:
    """What was added and what became of it.

    Attributes
    ----------
    radius_deg : float
        Matching radius.
    rounds : int
        How often the field was searched with sources added.
    n_alone : int
        Detections in the field by itself.
    sources : astropy Table
        One row an added source: round, place, Flux1000, photons added, whether found, with what
        probability and how far off, whether the field alone has a detection within the radius.
    completeness : astropy Table
        One row a flux: share found with errors, the share that has a detection of the field
        alone within the radius as chance, position errors.
    """

    radius_deg: float
    rounds: int
    n_alone: int
    sources: Table
    completeness: Table

    def flux_at(self, share: float) -> float:
        """Flux at which this share is found, between the fluxes that were added; else NaN."""
        table = self.completeness
        flux, found = np.log(table["Flux1000"]), np.asarray(table["completeness"])
        crossing = np.flatnonzero((found[:-1] < share) & (found[1:] >= share))
        if not crossing.size:
            return float("nan")
        below = crossing[0]
        part = (share - found[below]) / (found[below + 1] - found[below])
        return float(np.exp(flux[below] + part * (flux[below + 1] - flux[below])))

    def to_text(self) -> str:
        """A page of text for the analyst."""
        lines = [
            f"{len(self.sources)} sources added in {self.rounds} rounds, matched within "
            f"{self.radius_deg:g} deg; {self.n_alone} detections in the field alone",
            "  flux 1-100 GeV     n  photons  found (by chance)         r68     r95  "
            "mean lon, lat (deg)",
        ]
        for row in self.completeness:
            half = (row["completeness_high"] - row["completeness_low"]) / 2.0
            lines.append(
                f"  {row['Flux1000']:14.3g} {row['n']:5d} {row['photons']:8.1f}  "
                f"{row['completeness']:.3f}+-{half:.3f} ({row['completeness_chance']:.3f})   "
                f"{row['r68_deg']:7.4f} {row['r95_deg']:7.4f}  "
                f"{row['lon_mean_deg']:+.4f} {row['lat_mean_deg']:+.4f}"
            )
        for share in (0.5, 0.9):
            flux = self.flux_at(share)
            told = f"at {flux:.3g} cm-2 s-1" if np.isfinite(flux) else "outside the fluxes added"
            lines.append(f"  {share:.0%} are reached {told}")
        return "\n".join(lines)


def inject(
    sky: SkyCounts,
    search: Search,
    instrument: Instrument,
    years: float,
    flux: np.ndarray,
    number: int,
    rng: np.random.Generator,
    *,
    index: float = 2.2,
    radius_deg: float = 0.3,
    progress: Progress = silent,
) -> Injection:
    """Add sources to a field and look for them.

    Parameters
    ----------
    sky : SkyCounts
        The analyst's own counts.
    search : callable
        From counts to a catalog, always in the same manner.
    instrument : Instrument
        Exposure and PSF.
    years : float
        Live time of the counts, calendar years.
    flux : array (K,)
        Photon fluxes from 1 to 100 GeV, ph cm-2 s-1.
    number : int
        Sources added of each flux.
    rng : Generator
        Draws places and photons.
    index : float
        Photon index of the sources.
    radius_deg : float
        Matching radius.
    progress : Progress

    Returns
    -------
    Injection

    Raises
    ------
    InputError
        When the field has no place that is half a degree from its edge.
    """
    alone = search(sky)
    fluxes = rng.permutation(np.repeat(np.sort(np.asarray(flux, float)), number))
    portions = list(_portions(fluxes, alone, rng))
    rows, pairs = [], []
    for round_, (lon, lat, some) in enumerate(progress(portions, label="rounds")):
        sources = power_law_sources(lon, lat, some, index)
        filled, photons = add_sources(sky, sources, instrument, years, rng)
        # computed anew from the spectrum, a flux is not that asked for to the last digit
        sources["Flux1000"] = some
        told, matched = _judge(sources, search(filled), alone, radius_deg)
        told["Round"], told["Photons"] = round_, photons.sum(axis=1)
        rows.append(told)
        pairs.append(matched)
    sources, matched = vstack(rows), vstack(pairs)
    return Injection(
        radius_deg, len(portions), len(alone), sources, _completeness(sources, matched)
    )


def _portions(
    fluxes: np.ndarray, alone: Catalog, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places and fluxes of the sources of each round, as many as keep apart."""
    left = fluxes
    while left.size:
        lon, lat = random_places(alone, left.size, rng)
        yield lon, lat, left[: lon.size]
        left = left[lon.size :]


def random_places(
    catalog: Catalog, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places spread evenly where a catalog looked, off its edge and `APART_DEG` from each other.

    Parameters
    ----------
    catalog : Catalog
        Its coverage is the field.
    most : int
        So many at most; fewer where the field is too small to hold them.
    rng : Generator

    Returns
    -------
    lon, lat : arrays (n,)
        Galactic degrees, at least one.

    Raises
    ------
    InputError
        When no place is half a degree from the edge.
    """
    coverage = catalog.coverage
    pixels = np.arange(N_COVERAGE) if coverage is None else np.flatnonzero(coverage)
    # beyond one in thrice the area of their distance new ones would hardly find a place
    room = max(int(pixels.size / N_COVERAGE * _SKY_DEG2 / (3.0 * np.pi * APART_DEG**2)), 1)
    most = min(most, room)
    vectors = places_in_pixels(rng.choice(pixels, _TRIES * most), COVERAGE_ORDER, _FINEST, rng)
    lon, lat = vectors_to_lonlat(vectors)
    inside = catalog.covers(lon, lat, EDGE_MARGIN_DEG)
    chosen: list[int] = []
    for index in np.flatnonzero(inside).tolist():
        if len(chosen) == most:
            break
        if not chosen or (vectors[chosen] @ vectors[index]).max() < np.cos(np.radians(APART_DEG)):
            chosen.append(index)
    if not chosen:
        raise InputError(
            f"the field has no place that is {EDGE_MARGIN_DEG:g} degrees from its edge: sources "
            "cannot be added to it"
        )
    return lon[chosen], lat[chosen]


def _judge(
    sources: Table, found: Catalog, alone: Catalog, radius_deg: float
) -> tuple[Table, Table]:
    """Rows of added sources with what became of them, and the pairs of those found.

    Detections of the field alone choose first.
    """
    known_lon, known_lat = place(alone.table)
    known = Table({"GLON": known_lon, "GLAT": known_lat, "Ideal_TS": np.full(len(alone), 2.0)})
    added = Table({n: np.asarray(sources[n], float) for n in ("GLON", "GLAT", "Flux1000")})
    added["Ideal_TS"] = 1.0
    truth = vstack([known, added]) if len(known) else added
    pairs = pair_table(Cut(TruthComparison(found, truth, radius_deg)))
    pairs = pairs[np.asarray(pairs["truth"]) >= len(known)]
    rows = np.asarray(pairs["truth"], int) - len(known)
    told = Table({name: added[name] for name in ("GLON", "GLAT", "Flux1000")})
    told["Found"] = np.zeros(len(added), bool)
    told["Found"][rows] = True
    for name, of_pair in (
        ("Probability", "Probability"),
        ("Sep_deg", "separation_deg"),
        ("lon_offset_deg", "lon_offset_deg"),
        ("lat_offset_deg", "lat_offset_deg"),
    ):
        told[name] = np.nan
        told[name][rows] = pairs[of_pair]
    told["Sep_known_deg"] = np.nan
    if len(known):
        told["Sep_known_deg"] = nearest(*place(added), known_lon, known_lat)[1]
    told["By_chance"] = np.asarray(told["Sep_known_deg"]) <= radius_deg
    pairs["Flux1000"] = added["Flux1000"][rows]
    return told, pairs


def _completeness(sources: Table, pairs: Table) -> Table:
    """One row a flux, faintest first."""
    flux = np.asarray(sources["Flux1000"])
    rows = []
    for level in np.unique(flux):
        here = flux == level
        rate = rate_of(np.asarray(sources["Found"]), here, np.asarray(sources["By_chance"], float))
        cells = {"Flux1000": level, "n": rate.total, "found": rate.found,
                 "photons": float(np.mean(sources["Photons"][here]))}  # fmt: skip
        errors = offsets(pairs[np.asarray(pairs["Flux1000"]) == level])
        del errors["n"]
        rows.append(cells | rate.columns("completeness") | errors)
    return Table(rows=rows)
