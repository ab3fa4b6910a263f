"""Which detection belongs to which true source, and how often chance alone would match.

One to one: true sources in falling brightness, each takes its nearest free detection within
a radius. The rate of chance matches is what is left when the detections are shifted in
longitude, averaged over several shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import healpy as hp
import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from ..sky.bins import COVERAGE_ORDER
from ..sky.geometry.frame import lonlat_to_vectors
from .threshold_scan import Steps, ThresholdScan, scan_thresholds

SKY_SHIFTS_DEG = (-30.0, -20.0, -10.0, 10.0, 20.0, 30.0)
"""Shifts in longitude for the whole sky: far beyond the radius, near enough to the same
density along the Galactic plane."""

_FIELD_SHARES = (-0.6, -0.5, -0.4, 0.4, 0.5, 0.6)

Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Bool array of where (Galactic longitudes, latitudes) something is counted."""


@dataclass(frozen=True)
class Matches:
    """Pairs of a true source and a detection, each in at most one pair.

    Attributes
    ----------
    n_truth, n_detections : int
        How many there were to match.
    truth, detection : int arrays (M,)
        Indices of each pair.
    separation_deg : float array (M,)
        Distance of each pair.
    """

    n_truth: int
    n_detections: int
    truth: np.ndarray
    detection: np.ndarray
    separation_deg: np.ndarray

    @property
    def truth_found(self) -> np.ndarray:
        """Bool array (n_truth,): which true sources have a detection."""
        found = np.zeros(self.n_truth, dtype=bool)
        found[self.truth] = True
        return found

    @property
    def truth_of_detection(self) -> np.ndarray:
        """Int array (n_detections,): the true source of each detection, -1 for none."""
        owner = np.full(self.n_detections, -1)
        owner[self.detection] = self.truth
        return owner


@dataclass(frozen=True)
class _Pairs:
    """All pairs within the radius, brightest true source first, then nearest first."""

    n_truth: int
    n_detections: int
    truth: np.ndarray
    detection: np.ndarray
    separation_deg: np.ndarray

    def match(self, keep: np.ndarray | None) -> Matches:
        taken_truth = bytearray(self.n_truth)
        free = bytearray(b"\1" * self.n_detections)
        if keep is not None:
            free = bytearray(np.asarray(keep, dtype=np.uint8).tobytes())
        chosen = []
        pairs = zip(self.truth.tolist(), self.detection.tolist(), strict=True)
        for number, (true, found) in enumerate(pairs):
            if free[found] and not taken_truth[true]:
                free[found] = 0
                taken_truth[true] = 1
                chosen.append(number)
        index = np.array(chosen, dtype=int)
        return Matches(
            self.n_truth,
            self.n_detections,
            self.truth[index],
            self.detection[index],
            self.separation_deg[index],
        )


@dataclass(frozen=True)
class Matcher:
    """The places of true sources and detections, to be matched at any threshold.

    Attributes
    ----------
    truth_lon, truth_lat : float arrays (N,)
        Galactic degrees.
    truth_brightness : float array (N,)
        In any unit; NaN comes last.
    det_lon, det_lat : float arrays (M,)
        Galactic degrees.
    radius_deg : float
        Greatest distance of a pair, above 0 and below 90.
    shifts_deg : tuple of float
        Shifts in longitude by which chance matches are measured.
    inside : callable or None
        Where sources are counted; None is the whole sky. A shifted source counts only
        where both its old and its new place are inside.
    """

    truth_lon: np.ndarray
    truth_lat: np.ndarray
    truth_brightness: np.ndarray
    det_lon: np.ndarray
    det_lat: np.ndarray
    radius_deg: float = 0.3
    shifts_deg: tuple[float, ...] = SKY_SHIFTS_DEG
    inside: Inside | None = None

    def __post_init__(self) -> None:
        if not 0 < self.radius_deg < 90:
            raise InputError(f"matching radius is {self.radius_deg} deg, expected 0 to 90")
        for name in ("truth_lat", "truth_brightness"):
            if np.shape(getattr(self, name)) != np.shape(self.truth_lon):
                raise InputError(f"{name} and truth_lon must be of one length")
        if np.shape(self.det_lat) != np.shape(self.det_lon):
            raise InputError("det_lat and det_lon must be of one length")

    def match(self, keep: np.ndarray | None = None) -> Matches:
        """Match all detections, or those of a bool mask (M,); indices are those of all."""
        return self._pairs.match(keep)

    def chance(self, keep: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """How often each source is matched by chance.

        Parameters
        ----------
        keep : bool array (M,), optional
            Detections that are matched; all when absent.

        Returns
        -------
        truth, detection : float arrays (N,) and (M,)
            Share of the shifts in which each had a partner; NaN where no shift counts.
        """
        sums = np.zeros(len(self.truth_lon)), np.zeros(len(self.det_lon))
        totals = np.zeros(len(self.truth_lon)), np.zeros(len(self.det_lon))
        for pairs, counted in self._shifted:
            found = pairs.match(keep)
            hits = found.truth_found, found.truth_of_detection >= 0
            for total, hit, valid, number in zip(sums, hits, counted, totals, strict=True):
                total += hit & valid
                number += valid
        with np.errstate(invalid="ignore"):
            return sums[0] / totals[0], sums[1] / totals[1]

    def scan(self, probability: np.ndarray) -> ThresholdScan:
        """Matches at every threshold in the probabilities (M,) of the detections."""

        def steps(pairs: _Pairs) -> Steps:
            return scan_thresholds(pairs.n_truth, pairs.truth, pairs.detection, probability)

        shifted = tuple((steps(pairs), *counted) for pairs, counted in self._shifted)
        return ThresholdScan(probability, steps(self._pairs), shifted)

    @cached_property
    def _pairs(self) -> _Pairs:
        return self._find_pairs(0.0)

    @cached_property
    def _shifted(self) -> list[tuple[_Pairs, tuple[np.ndarray, np.ndarray]]]:
        """Pairs with shifted detections, and which truths and detections count in them."""
        result = []
        truth_here = self._is_inside(self.truth_lon, self.truth_lat)
        found_here = self._is_inside(self.det_lon, self.det_lat)
        for shift in self.shifts_deg:
            truth = truth_here & self._is_inside(self.truth_lon - shift, self.truth_lat)
            found = found_here & self._is_inside(self.det_lon + shift, self.det_lat)
            result.append((self._find_pairs(shift), (truth, found)))
        return result

    def _is_inside(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        if self.inside is None:
            return np.ones(len(lon), dtype=bool)
        return self.inside(np.asarray(lon) % 360.0, lat)

    def _find_pairs(self, shift_deg: float) -> _Pairs:
        sizes = len(self.truth_lon), len(self.det_lon)
        if 0 in sizes:
            none = np.zeros(0, dtype=int)
            return _Pairs(*sizes, none, none, np.zeros(0))
        truth = lonlat_to_vectors(self.truth_lon, self.truth_lat)
        found = lonlat_to_vectors(np.asarray(self.det_lon) + shift_deg, self.det_lat)
        chord = 2.0 * np.sin(np.radians(self.radius_deg) / 2.0)
        near = cKDTree(truth).sparse_distance_matrix(cKDTree(found), chord, output_type="ndarray")
        # stable, NaN last: of equally bright sources the first listed is served first
        rank = np.empty(sizes[0], dtype=int)
        rank[np.argsort(-np.asarray(self.truth_brightness, float), kind="stable")] = np.arange(
            sizes[0]
        )
        near = near[np.lexsort((near["j"], near["v"], rank[near["i"]]))]
        separation = np.degrees(2.0 * np.arcsin(near["v"] / 2.0))
        return _Pairs(*sizes, near["i"].astype(int), near["j"].astype(int), separation)


def match(
    truth_lon: np.ndarray,
    truth_lat: np.ndarray,
    truth_brightness: np.ndarray,
    det_lon: np.ndarray,
    det_lat: np.ndarray,
    radius_deg: float = 0.3,
) -> Matches:
    """Match detections to true sources one to one.

    Parameters
    ----------
    truth_lon, truth_lat : float arrays (N,)
        Galactic degrees; N may be 0.
    truth_brightness : float array (N,)
        The brightest chooses first; NaN comes last.
    det_lon, det_lat : float arrays (M,)
        Galactic degrees; M may be 0.
    radius_deg : float
        Greatest distance of a pair, above 0 and below 90.

    Returns
    -------
    Matches

    Raises
    ------
    InputError
        For lists of different lengths or a radius out of range.
    """
    return Matcher(truth_lon, truth_lat, truth_brightness, det_lon, det_lat, radius_deg).match()


def field_shifts(coverage: np.ndarray | None) -> tuple[float, ...]:
    """Shifts in longitude that suit the size of a field.

    Parameters
    ----------
    coverage : bool array (12 * 4**COVERAGE_ORDER,) or None
        NESTED Galactic mask; None is the whole sky.

    Returns
    -------
    tuple of float
        Degrees. About half a field's radius across the sky; `SKY_SHIFTS_DEG` for the whole
        sky, anything wider than 60 degrees in radius, and an empty mask.
    """
    pixels = np.zeros(0, int) if coverage is None else np.flatnonzero(coverage)
    if pixels.size == 0:
        return SKY_SHIFTS_DEG
    vectors = np.array(hp.pix2vec(2**COVERAGE_ORDER, pixels, nest=True)).T
    centre = vectors.mean(axis=0)
    if np.linalg.norm(centre) < 0.5:
        return SKY_SHIFTS_DEG
    centre /= np.linalg.norm(centre)
    radius_deg = np.degrees(np.arccos(np.clip((vectors @ centre).min(), -1, 1)))
    if radius_deg > 60:
        return SKY_SHIFTS_DEG
    # near a pole a step across the sky is a long way in longitude
    stretch = max(float(np.hypot(centre[0], centre[1])), 0.1)
    return tuple(share * float(radius_deg) / stretch for share in _FIELD_SHARES)
