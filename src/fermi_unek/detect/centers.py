"""From the blended mask to source positions: K-means per connected region, or peaks."""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..errors import ConfigError
from .skymask import MASK_ORDER, SkyMask

METHODS = ("kmeans", "peaks")
"""Ways from a mask to positions."""

_NSIDE = 2**MASK_ORDER
_KERNEL_DEG = 0.05
_APART_DEG = 0.15
_MEMBER_DEG = 0.30
_CORE_DEG = 0.12
_LLOYD_ROUNDS = 10
_REACH_DEG = 2.0
_MERGE_ORDER = 12
_SHOULDER_DEG = 0.35
_VALLEY = 0.8


@dataclass(frozen=True)
class Centers:
    """Positions with the raw numbers from which probability and error are made.

    Attributes
    ----------
    vectors : float array (N, 3)
    peak : float array (N,)
        Highest probability among the pixels of the source, smoothed over its neighbours.
    area : float array (N,)
        Sum of probabilities over the pixels of the source, square degrees.
    error_deg : float array (N,)
        Position error per axis, degrees; of an ellipse the geometric mean.
    elongation : float array (N,)
        Semimajor over semiminor axis of the error ellipse; None is made a circle.
    angle_deg : float array (N,)
        Of the semimajor axis from Galactic north through east; None is made 0.
    extended : float array (N,)
        Probability that an extended source shines there; None is made 0.
    """

    vectors: np.ndarray
    peak: np.ndarray
    area: np.ndarray
    error_deg: np.ndarray
    elongation: np.ndarray = None  # type: ignore[assignment]
    angle_deg: np.ndarray = None  # type: ignore[assignment]
    extended: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.elongation is None:
            object.__setattr__(self, "elongation", np.ones(len(self)))
        if self.angle_deg is None:
            object.__setattr__(self, "angle_deg", np.zeros(len(self)))
        if self.extended is None:
            object.__setattr__(self, "extended", np.zeros(len(self)))

    def __len__(self) -> int:
        return len(self.peak)


def find_centers(mask: SkyMask, method: str = "kmeans", floor: float = 0.05) -> Centers:
    """Sources in a mask.

    Each pixel above `floor` votes for the place the network puts its source at. Peaks of the
    density of votes are the sources; "peaks" takes the votes around each peak, "kmeans" goes
    on from the peaks of each connected region (their number is K) with Lloyd's iteration,
    weighted by probability, until every pixel has its centre.

    Parameters
    ----------
    mask : SkyMask
    method : {"kmeans", "peaks"}
    floor : float
        Pixels of lower probability do not vote.

    Returns
    -------
    Centers
        Empty where no pixel votes.

    Raises
    ------
    ConfigError
        For an unknown method.
    """
    if method not in METHODS:
        raise ConfigError(f"centers {method!r} is none of {METHODS}")
    voting = mask.probability > floor
    mask = mask.select(voting)
    if not len(mask.pixels):
        none = np.zeros(0)
        return Centers(np.zeros((0, 3)), none, none, none)
    smoothed = neighbour_mean(mask.pixels, mask.probability)
    seeds = vote_peaks(mask)
    if method == "kmeans":
        regions = connected_regions(mask.pixels)
        member = lloyd(mask, seeds, regions)
    else:
        member = nearest_seed(mask.votes, mask.votes[seeds], _MEMBER_DEG)
    return _summary(mask, smoothed, member, len(seeds))


def neighbour_mean(pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of each pixel (increasing list) with its eight neighbours; absent ones count as 0."""
    total, number = values.astype(float), np.ones(len(pixels))
    for neighbour in hp.get_all_neighbours(_NSIDE, pixels, nest=True):
        place = np.minimum(np.searchsorted(pixels, neighbour), len(pixels) - 1)
        total = total + np.where(pixels[place] == neighbour, values[place], 0.0)
        number += neighbour >= 0
    return total / number


def connected_regions(pixels: np.ndarray) -> np.ndarray:
    """Label of the connected region (eight neighbours) of each pixel of an increasing list."""
    first, second = [], []
    for neighbour in hp.get_all_neighbours(_NSIDE, pixels, nest=True):
        place = np.minimum(np.searchsorted(pixels, neighbour), len(pixels) - 1)
        linked = np.flatnonzero(pixels[place] == neighbour)
        first.append(linked)
        second.append(place[linked])
    rows, columns = np.concatenate(first), np.concatenate(second)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(pixels),) * 2)
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def _chord(angle_deg: float) -> float:
    return float(2.0 * np.sin(np.radians(angle_deg) / 2.0))


def vote_peaks(mask: SkyMask) -> np.ndarray:
    """Indices of the pixels whose votes lie where votes are densest, 0.15 degrees apart.

    Densest first.
    """
    first_pixel, places, weight = merged_votes(mask)
    pairs = cKDTree(places).query_pairs(_chord(_APART_DEG), output_type="ndarray")
    one, other = np.ascontiguousarray(pairs.T)
    squared = ((places[one] - places[other]) ** 2).sum(axis=1)
    kernel = np.exp(-0.5 / _chord(_KERNEL_DEG) ** 2 * squared)
    density = weight + np.bincount(one, kernel * weight[other], minlength=len(weight))
    density += np.bincount(other, kernel * weight[one], minlength=len(weight))
    order = np.argsort(-density, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    # a peak is denser than all votes within reach
    beaten = np.zeros(len(order), bool)
    beaten[np.where(rank[one] < rank[other], other, one)] = True
    peaks = order[~beaten[order]]
    peaks = peaks[~_on_a_shoulder(places[peaks], density[peaks], places, weight)]
    return first_pixel[peaks]


def _on_a_shoulder(
    peaks: np.ndarray, density: np.ndarray, places: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Bool (K,): peaks, densest first, that no valley parts from a denser one nearby.

    Votes that are spread evenly over a disc have peaks by chance; half-way between two sources
    there are fewer votes.
    """
    pairs = cKDTree(peaks).query_pairs(_chord(_SHOULDER_DEG), output_type="ndarray")
    middles = peaks[pairs].mean(axis=1)
    near = cKDTree(middles).sparse_distance_matrix(
        cKDTree(places), _chord(_APART_DEG), output_type="ndarray"
    )
    kernel = np.exp(-0.5 * (near["v"] / _chord(_KERNEL_DEG)) ** 2)
    between = np.bincount(near["i"], kernel * weight[near["j"]], minlength=len(pairs))
    fainter = pairs.max(axis=1)
    on_shoulder = np.zeros(len(peaks), bool)
    on_shoulder[fainter[between > _VALLEY * density[fainter]]] = True
    return on_shoulder


def merged_votes(mask: SkyMask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes that fall into one cell of 0.014 degrees as a single heavier one.

    The pixels of a source vote for nearly the same place: merged, there are ten times fewer
    pairs of votes.

    Returns
    -------
    heaviest : int array (M,)
        The pixel with the most probability of each cell.
    places : array (M, 3)
        Mean of the cell's votes.
    weight : array (M,)
        Sum of their probabilities.
    """
    cells = hp.vec2pix(2**_MERGE_ORDER, *mask.votes.T, nest=True)
    order = np.lexsort((-mask.probability, cells))
    cells = cells[order]
    starts = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    probability = mask.probability[order].astype(float)
    weight = np.add.reduceat(probability, starts)
    places = np.add.reduceat(probability[:, None] * mask.votes[order], starts, axis=0)
    return order[starts], places / weight[:, None], weight


def nearest_seed(votes: np.ndarray, seeds: np.ndarray, reach_deg: float) -> np.ndarray:
    """Index of the nearest seed of each vote, -1 where none is within reach."""
    distance, index = cKDTree(seeds).query(votes)
    return np.where(distance <= _chord(reach_deg), index, -1)


def lloyd(mask: SkyMask, seeds: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Weighted K-means of the votes, each region by itself; the seeds in it start it.

    Returns
    -------
    int array (P,)
        Index of the seed whose cluster each pixel joined; -1 where its region holds no seed
        (its votes fell near the seed of another) or all are more than two degrees away.
    """
    number = np.bincount(regions[seeds], minlength=regions.max() + 1)
    alone = np.full(len(number), -1)
    alone[regions[seeds]] = np.arange(len(seeds))
    # most regions hold one seed, and that has all their pixels
    member = np.where(number[regions] == 1, alone[regions], -1)
    shared_seeds = np.flatnonzero(number[regions[seeds]] > 1)
    shared = np.flatnonzero(number[regions] > 1)
    if shared.size:
        weight = mask.probability / np.maximum(mask.error_deg, 0.01) ** 2
        # a third of a radian between regions along a fourth axis: one tree serves them all
        apart = np.column_stack([mask.votes, regions / 3.0])
        cluster = _lloyd_rounds(apart[shared], weight[shared], apart[seeds[shared_seeds]])
        member[shared] = shared_seeds[cluster]
    distance = np.linalg.norm(mask.votes - mask.votes[seeds[member]], axis=1)
    return np.where(distance < _chord(_REACH_DEG), member, -1)


def _lloyd_rounds(points: np.ndarray, weight: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Nearest of the centres (K, 4) for each of the points (P, 4), as Lloyd's rounds move them."""
    member = np.zeros(0, int)
    for _ in range(_LLOYD_ROUNDS):
        previous = member
        member = cKDTree(centres).query(points)[1]
        if np.array_equal(member, previous):
            break
        total = np.bincount(member, weight, minlength=len(centres))
        sums = [np.bincount(member, weight * axis, minlength=len(centres)) for axis in points.T]
        moved = np.column_stack(sums) / np.maximum(total, 1e-30)[:, None]
        centres = np.where(total[:, None] > 0, moved, centres)
    return member


def _summary(mask: SkyMask, smoothed: np.ndarray, member: np.ndarray, n_seeds: int) -> Centers:
    """Position, peak, area and error of each group of pixels."""
    inside = member >= 0
    group, votes = member[inside], mask.votes[inside]
    probability, error = mask.probability[inside], mask.error_deg[inside]
    weight = probability / np.maximum(error, 0.01) ** 2
    mean = _weighted(group, weight, votes, n_seeds)
    # once more with the votes near the mean alone: stray ones of the rim pull
    near = np.linalg.norm(votes - mean[group], axis=1) < _chord(_CORE_DEG)
    mean = _weighted(group, weight * np.where(near, 1.0, 1e-3), votes, n_seeds)
    total = np.bincount(group, weight, minlength=n_seeds)
    kept = total > 0
    peak = np.zeros(n_seeds)
    np.maximum.at(peak, group, smoothed[inside])
    pixel_deg2 = hp.nside2pixarea(_NSIDE, degrees=True)
    area = np.bincount(group, probability, minlength=n_seeds) * pixel_deg2
    log_error = np.bincount(group, weight * np.log(error), minlength=n_seeds)
    error_deg = np.exp(log_error / np.maximum(total, 1e-30))
    lit = np.bincount(group, weight * mask.extended[inside], minlength=n_seeds)
    extended = lit / np.maximum(total, 1e-30)
    return Centers(mean[kept], peak[kept], area[kept], error_deg[kept], extended=extended[kept])


def _weighted(group: np.ndarray, weight: np.ndarray, votes: np.ndarray, number: int) -> np.ndarray:
    sums = np.column_stack(
        [np.bincount(group, weight * votes[:, axis], minlength=number) for axis in range(3)]
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1), 1e-30)[:, None]
