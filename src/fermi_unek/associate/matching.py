"""How probable each counterpart is, and how often chance alone would give one as good.

The rule is that of the LAT catalogs (1FGL, arXiv:1002.2280, after de Ruiter et al. 1977 and
Mattox et al. 1997) in the form of Sutherland & Saunders 1992, which lets several objects near one
source compete. For object k of family c near source i

    P_k = L_k / (1 - w sum_c q_c + sum_j L_j),   L_k = q_c f(d_k) / rho_c

with f the density of the true counterpart at the offset d (a 2D Gaussian, the error ellipse
of the source widened by the error of the object), rho_c the density of objects of the family
counted around the source, q_c the prior that the source has a counterpart of the family, and
w = 0.95, the share of true counterparts that the search region holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import cKDTree

from ..sky.geometry.frame import vectors_to_lonlat
from .priors import GAMMA_PRIOR, families_of, prior
from .records import Kind, Objects, Places, Surroundings

INSIDE_95 = -2.0 * np.log(0.05)
"""Squared distance in sigma within which a 2D Gaussian holds 95%: 5.99."""

SHIFTS = 24
"""Shifted positions of each source, half of them to either side at its Galactic latitude."""

NEAREST_SHIFT = 3.0
"""Least shift in semimajor axes: beyond it a true counterpart is no longer inside."""

SMOOTHING_COUNT = 1.0
"""Objects with which the mean density at the latitude enters the local one, so that a local
count of none does not make every counterpart certain."""

LATITUDE_BANDS_DEG = np.array([0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 90.0])
"""Bands of |b| in which mean densities are taken."""

WIDE_OBJECT_DEG = 0.2
"""Objects with greater errors are looked for apart, which is faster."""

REPEAT_DEG = 10.0 / 3600.0
"""Objects of one family nearer than this are one (components, double entries)."""


@dataclass(frozen=True)
class Pairs:
    """Objects inside the 95% regions of places, L of them.

    Attributes
    ----------
    place, object_ : int arrays (L,)
        Indices.
    separation_deg : float array (L,)
    density : float array (L,)
        f of the module's rule, per square degree.
    """

    place: np.ndarray
    object_: np.ndarray
    separation_deg: np.ndarray
    density: np.ndarray


@dataclass(frozen=True)
class Matching:
    """Counterparts of N places in one service.

    Attributes
    ----------
    pairs : Pairs
    probability : float array (L,)
        Of each pair, 0 to 1.
    by_chance : float array (N, SHIFTS)
        Highest probability at each shifted position, 0 where nothing was inside; NaN where
        the service knows too little around the place to shift it.
    """

    pairs: Pairs
    probability: np.ndarray
    by_chance: np.ndarray

    def best(self, n_places: int) -> tuple[np.ndarray, np.ndarray]:
        """Index into the pairs of the most probable one of each place (-1: none), and P (NaN)."""
        index = np.full(n_places, -1)
        order = np.argsort(self.probability, kind="stable")
        index[self.pairs.place[order]] = order
        probability = np.full(n_places, np.nan)
        found = index >= 0
        probability[found] = self.probability[index[found]]
        return index, probability


def match_counterparts(
    places: Places,
    around: Surroundings,
    *,
    real: np.ndarray,
    kind: Kind = "counterpart",
    priors: Mapping[str, float] | None = None,
) -> Matching:
    """Counterparts of each place among the objects around it.

    Parameters
    ----------
    places : Places
        N places, all with an ellipse; N may be 0.
    around : Surroundings
        Of these places.
    real : float array (N,)
        Probability that there is a gamma-ray source at all; multiplies the priors.
    kind : {"counterpart", "gamma"}
        A gamma-ray catalog is one family with the prior `GAMMA_PRIOR`.
    priors : mapping, optional
        Family to the prior that replaces the measured one.

    Returns
    -------
    Matching
    """
    if kind == "gamma":
        family = np.full(len(around.objects), "gamma")
        names = ["gamma"]
        priors = {"gamma": GAMMA_PRIOR} | dict(priors or {})
    else:
        family = families_of(around.objects.class_)
        names = sorted(set(family))
    latitude = galactic_latitude(places.ra_deg, places.dec_deg)
    weight = np.stack([real * prior(name, latitude, priors) for name in names] or [real * 0.0])
    none_at_all = np.clip(1.0 - 0.95 * weight.sum(axis=0), 1e-6, 1.0)
    rho = np.stack(
        [local_density(places, around, family == name, latitude) for name in names]
        or [np.ones(len(places))]
    )
    number = np.searchsorted(names, family) if names else np.zeros(0, int)

    def probability(pairs: Pairs, place: np.ndarray) -> np.ndarray:
        kinds = number[pairs.object_]
        likely = weight[kinds, place] * pairs.density / rho[kinds, place]
        total = np.bincount(pairs.place, likely, minlength=int(pairs.place.max(initial=-1)) + 1)
        return likely / (none_at_all[place] + total[pairs.place])

    pairs = find_pairs(places, around.objects)
    found = probability(pairs, pairs.place)
    shifted, possible = shifted_places(places, around.reach_deg)
    shifted_pairs = find_pairs(shifted, around.objects)
    lucky = probability(shifted_pairs, shifted_pairs.place // SHIFTS)
    by_chance = np.zeros((len(places), SHIFTS))
    np.maximum.at(by_chance.reshape(-1), shifted_pairs.place, lucky)
    by_chance[~possible] = np.nan
    return Matching(pairs, found, by_chance)


def find_pairs(places: Places, objects: Objects) -> Pairs:
    """Objects inside the 95% region of each place, widened by the object's own error."""
    vectors, others = places.vectors, objects.vectors
    # a few wide objects must not widen the search for all others
    wide = objects.error95_deg > WIDE_OBJECT_DEG
    parts = [_within_reach(places, objects, which) for which in (~wide, wide)]
    place, other = (np.concatenate(index) for index in zip(*parts, strict=True))
    east, north = _offsets(vectors[place], others[other])
    squared, density = _gaussian(east, north, places.select(place), objects.error95_deg[other])
    inside = squared <= INSIDE_95
    separation = np.hypot(east, north)
    return Pairs(place[inside], other[inside], separation[inside], density[inside])


def _within_reach(
    places: Places, objects: Objects, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of places and of some objects (bool mask) so near that they may be pairs."""
    index = np.flatnonzero(which)
    if len(places) == 0 or len(index) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    # beyond ten degrees the tangent plane of `_offsets` is no longer one, and nothing is that wide
    reach = np.minimum(places.semimajor95_deg + objects.error95_deg[index].max(), 10.0)
    near = cKDTree(objects.vectors[index]).query_ball_point(places.vectors, _chord(reach))
    place = np.repeat(np.arange(len(places)), [len(neighbours) for neighbours in near])
    return place, index[np.fromiter(chain.from_iterable(near), int, count=len(place))]


def local_density(
    places: Places, around: Surroundings, member: np.ndarray, latitude_deg: np.ndarray
) -> np.ndarray:
    """Density of some objects around each place, per square degree.

    Counted from the place's own error ellipse (its counterpart is no measure of chance) to the
    service's reach, and smoothed towards the mean at the Galactic latitude with the weight of
    `SMOOTHING_COUNT` objects.

    Parameters
    ----------
    places, around : Places, Surroundings
        N places and what is known around them.
    member : bool array (M,)
        Which objects count.
    latitude_deg : float array (N,)
        Galactic latitude of the places.

    Returns
    -------
    array (N,)
        Above 0.
    """
    inner, outer = places.semimajor95_deg, np.maximum(around.reach_deg, places.semimajor95_deg)
    vectors = around.objects.vectors[member]
    counted = np.zeros(len(places))
    if len(vectors) and len(places):
        tree = cKDTree(vectors)
        ball = [
            tree.query_ball_point(places.vectors, _chord(r), return_length=True)
            for r in (outer, inner)
        ]
        counted = (ball[0] - ball[1]).astype(float)
    area = cap_area(outer) - cap_area(inner)
    band = np.digitize(np.abs(latitude_deg), LATITUDE_BANDS_DEG[1:-1])
    if around.whole_sky:
        here = np.digitize(np.abs(_latitude(vectors)), LATITUDE_BANDS_DEG[1:-1])
        totals = np.bincount(here, minlength=len(LATITUDE_BANDS_DEG) - 1).astype(float)
        areas = 2.0 * cap_area(90.0) * np.diff(np.sin(np.radians(LATITUDE_BANDS_DEG)))
    else:
        totals = np.bincount(band, counted, minlength=len(LATITUDE_BANDS_DEG) - 1)
        areas = np.bincount(band, area, minlength=len(LATITUDE_BANDS_DEG) - 1)
    # half an object more than was seen: a band without any is not known to be empty
    mean = (totals + 0.5) / np.maximum(areas, 1e-3)
    return (counted + SMOOTHING_COUNT) / (area + SMOOTHING_COUNT / mean[band])


def shifted_places(places: Places, reach_deg: np.ndarray) -> tuple[Places, np.ndarray]:
    """Each place at `SHIFTS` positions to both sides along its Galactic parallel.

    Parameters
    ----------
    places : Places
        N places.
    reach_deg : float array (N,)
        Within which the shifted ellipses must lie.

    Returns
    -------
    shifted : Places
        N * SHIFTS places, those of the first place first.
    possible : bool array (N,)
        False where the reach is too small; the shifts of these places mean nothing.
    """
    inner = NEAREST_SHIFT * places.semimajor95_deg
    outer = reach_deg - places.semimajor95_deg
    possible = outer > inner
    share = np.linspace(0.0, 1.0, SHIFTS // 2)
    steps = np.radians(inner[:, None] + share * np.maximum(outer - inner, 0.0)[:, None])
    steps = np.concatenate([steps, -steps], axis=1)[..., None]
    vectors = places.vectors
    east = np.cross(galactic_pole(), vectors)
    length = np.linalg.norm(east, axis=1, keepdims=True)
    # at the pole itself any direction will do
    fallback = np.cross([1.0, 0.0, 0.0], vectors)
    east = np.where(length > 1e-6, east / np.maximum(length, 1e-6), fallback)
    moved = np.cos(steps) * vectors[:, None, :] + np.sin(steps) * east[:, None, :]
    ra, dec = vectors_to_lonlat(moved.reshape(-1, 3))
    rest = (places.semimajor95_deg, places.semiminor95_deg, places.angle_deg)
    return Places(ra, dec, *(np.repeat(column, SHIFTS) for column in rest)), possible


def drop_repeats(objects: Objects, radius_deg: float = REPEAT_DEG) -> Objects:
    """Objects without those that lie this near an earlier one of their family."""
    if len(objects) < 2:
        return objects
    near = cKDTree(objects.vectors).query_pairs(_chord(radius_deg), output_type="ndarray")
    family = families_of(objects.class_)
    same = near[family[near[:, 0]] == family[near[:, 1]]]
    keep = np.ones(len(objects), dtype=bool)
    keep[same.max(axis=1)] = False
    return objects.select(keep)


def cap_area(radius_deg: np.ndarray | float) -> np.ndarray:
    """Area within a radius on the sphere, square degrees."""
    return 2.0 * np.pi * np.degrees(np.degrees(1.0 - np.cos(np.radians(radius_deg))))


@cache
def galactic_pole() -> np.ndarray:
    """ICRS unit vector (3,) of the north Galactic pole."""
    pole = SkyCoord(0.0, 90.0, unit="deg", frame="galactic").icrs
    return np.asarray(pole.cartesian.xyz.value)


def galactic_latitude(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Galactic latitudes (N,) of ICRS positions, degrees."""
    icrs = SkyCoord(ra_deg, dec_deg, unit="deg")
    return np.asarray(icrs.galactic.b.deg)


def _latitude(vectors: np.ndarray) -> np.ndarray:
    return np.degrees(np.arcsin(np.clip(vectors @ galactic_pole(), -1.0, 1.0)))


def _chord(radius_deg: np.ndarray | float) -> np.ndarray:
    return 2.0 * np.sin(np.radians(radius_deg) / 2.0)


def _offsets(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees east and north from one unit vector to another, along the great circle."""
    east = np.stack([-here[:, 1], here[:, 0], np.zeros(len(here))], axis=1)
    length = np.linalg.norm(east, axis=1, keepdims=True)
    east = np.where(length > 1e-12, east / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])
    north = np.cross(here, east)
    x, y = np.sum(there * east, axis=1), np.sum(there * north, axis=1)
    plane = np.hypot(x, y)
    angle = np.degrees(np.arctan2(plane, np.sum(here * there, axis=1)))
    scale = angle / np.maximum(plane, 1e-15)
    return x * scale, y * scale


def _gaussian(
    east: np.ndarray, north: np.ndarray, places: Places, error95_deg: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance in sigma, and density per square degree, of offsets."""
    angle = np.radians(places.angle_deg)
    along = east * np.sin(angle) + north * np.cos(angle)
    across = east * np.cos(angle) - north * np.sin(angle)
    major = (places.semimajor95_deg**2 + error95_deg**2) / INSIDE_95
    minor = (places.semiminor95_deg**2 + error95_deg**2) / INSIDE_95
    squared = along**2 / major + across**2 / minor
    return squared, np.exp(-squared / 2.0) / (2.0 * np.pi * np.sqrt(major * minor))
