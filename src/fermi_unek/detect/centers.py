"""From the blended mask to source positions: K-means per connected region, or peaks."""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .skymask import MASK_ORDER, SkyMask

_NSIDE = 2**MASK_ORDER
_KERNEL_DEG = 0.05
_APART_DEG = 0.15
_MEMBER_DEG = 0.30
_CORE_DEG = 0.12
_LLOYD_ROUNDS = 10


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
        The network's own position error per axis, degrees.
    """

    vectors: np.ndarray
    peak: np.ndarray
    area: np.ndarray
    error_deg: np.ndarray

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
    """
    voting = mask.probability > floor
    mask = SkyMask(
        mask.pixels[voting], mask.probability[voting], mask.votes[voting], mask.error_deg[voting]
    )
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
    """Indices of the pixels whose votes lie where votes are densest, 0.15 degrees apart."""
    tree = cKDTree(mask.votes)
    pairs = tree.query_pairs(_chord(_APART_DEG), output_type="ndarray")
    chord = np.linalg.norm(mask.votes[pairs[:, 0]] - mask.votes[pairs[:, 1]], axis=1)
    kernel = np.exp(-0.5 * (chord / _chord(_KERNEL_DEG)) ** 2)
    weight = mask.probability.astype(float)
    density = weight.copy()
    for one, other in (pairs.T, pairs[:, ::-1].T):
        density += np.bincount(one, kernel * weight[other], minlength=len(density))
    order = np.argsort(-density, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    # a peak is denser than all votes within reach
    beaten = np.zeros(len(order), bool)
    first_wins = rank[pairs[:, 0]] < rank[pairs[:, 1]]
    beaten[np.where(first_wins, pairs[:, 1], pairs[:, 0])] = True
    return order[~beaten[order]]


def nearest_seed(votes: np.ndarray, seeds: np.ndarray, reach_deg: float) -> np.ndarray:
    """Index of the nearest seed of each vote, -1 where none is within reach."""
    distance, index = cKDTree(seeds).query(votes)
    return np.where(distance <= _chord(reach_deg), index, -1)


def lloyd(mask: SkyMask, seeds: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Weighted K-means of the votes, each region by itself; the seeds in it start it.

    Regions are kept apart by a third of a radian along a fourth axis, so that one tree serves
    all of them at once.
    """
    apart = np.column_stack([mask.votes, regions[:, None] / 3.0])
    centres = apart[seeds]
    weight = mask.probability / np.maximum(mask.error_deg, 0.01) ** 2
    member = np.zeros(len(apart), int)
    for _ in range(_LLOYD_ROUNDS):
        previous = member
        distance, member = cKDTree(centres).query(apart)
        # a region whose votes all fell near the seed of another has no centre of its own
        member = np.where(distance < _chord(2.0), member, -1)
        if np.array_equal(member, previous):
            break
        inside = member >= 0
        total = np.bincount(member[inside], weight[inside], minlength=len(centres))
        for axis in range(3):
            sums = np.bincount(
                member[inside], (weight * apart[:, axis])[inside], minlength=len(centres)
            )
            centres[:, axis] = np.where(total > 0, sums / np.maximum(total, 1e-30), centres[:, axis])
    return member


def _summary(
    mask: SkyMask, smoothed: np.ndarray, member: np.ndarray, n_seeds: int
) -> Centers:
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
    return Centers(mean[kept], peak[kept], area[kept], error_deg[kept])


def _weighted(group: np.ndarray, weight: np.ndarray, votes: np.ndarray, number: int) -> np.ndarray:
    sums = np.column_stack(
        [np.bincount(group, weight * votes[:, axis], minlength=number) for axis in range(3)]
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1), 1e-30)[:, None]
