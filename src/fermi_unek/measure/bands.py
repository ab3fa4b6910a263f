"""Flux in single energy bins and upper limits: profiles of the likelihood in one norm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from ..irf.instrument import PROFILE_DEG
from ..sky.bins import N_BINS
from .dataset import ModelledSource, WindowDataset
from .response import Grouping
from .state import BandFit

_UL_SIGMA = 1.6449  # 95%, one-sided
_SQUARE_DEGREE_RADIUS_DEG = np.sqrt(1.0 / np.pi)
_ABSENT = BandFit(*[np.nan] * 7)


def fit_bands(
    dataset: WindowDataset, source: ModelledSource, grouping: Grouping, scatter: np.ndarray
) -> tuple[BandFit, ...]:
    """Flux of a source in each energy bin, all else fixed at the best fit.

    Errors and limits hold the scatter (6, 6) of a region in photons.
    """
    photons = source.counts().sum(axis=1)
    others, own = dataset.npred(without=source), source.npred()
    vector = source.vector()
    result = []
    for b, pixels in enumerate(dataset.pixels):
        part = dataset.bin_slice(b)
        if not len(pixels.pixels) or own[part].sum() <= 0:
            result.append(_ABSENT)
            continue
        profile = norm_profile(dataset.counts[part], others[part], own[part])
        profile = _widened(*profile, scatter[b, b] / photons[b] ** 2)
        radius = min(containment_deg(grouping, b), _SQUARE_DEGREE_RADIUS_DEG)
        core = pixels.within(vector, max(radius, pixels.size_deg))
        light = (float(own[part][core].sum()), float(others[part][core].sum()))
        result.append(BandFit(*profile, *light))
    return tuple(result)


def upper_limit(dataset: WindowDataset, source: ModelledSource, scatter: np.ndarray) -> float:
    """95% upper limit of a source's flux over its present value, all else fixed."""
    others, own = dataset.npred(without=source), source.npred()
    known = np.array(
        [np.sum(own[part] ** 2 / np.maximum(own[part] + others[part], 1e-12))
         for part in map(dataset.bin_slice, range(N_BINS))]
    )  # fmt: skip
    share = known / np.maximum(known.sum() * source.counts().sum(axis=1), 1e-300)
    profile = norm_profile(dataset.counts, others, own)
    return _widened(*profile, float(share @ scatter @ share))[3]


def _widened(
    norm: float, lower: float, upper: float, limit: float, ts: float, variance: float
) -> tuple[float, float, float, float, float]:
    """A profile's results with some more variance of the norm in errors and limit."""
    lower = min(float(np.hypot(lower, np.sqrt(variance))), norm)
    upper = float(np.hypot(upper, np.sqrt(variance)))
    limit = norm + float(np.hypot(limit - norm, _UL_SIGMA * np.sqrt(variance)))
    return norm, lower, upper, limit, ts


def norm_profile(
    counts: np.ndarray, others: np.ndarray, own: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Best norm of one component with what its likelihood profile says.

    Parameters
    ----------
    counts, others, own : arrays (P,)
        Photons; those expected of all else; those of the component at norm 1.

    Returns
    -------
    norm, lower, upper, upper_limit, ts : float
        Norm (not below 0), 1 sigma errors (both positive; the lower one reaches 0 at most), 95%
        upper limit, TS.
    """
    counted = (own > 0) & (counts > 0)
    total = own[own > 0].sum()
    n, own, others = counts[counted], own[counted], np.maximum(others[counted], 1e-12)

    def stat(norm: float) -> float:
        return float(2.0 * (norm * total - (n * np.log(others + norm * own)).sum()))

    def slope(norm: float) -> float:
        return float(total - (n * own / (others + norm * own)).sum())

    # the statistic has one minimum, which is no higher than if all photons were the component's
    norm = brentq(slope, 0.0, n.sum() / total) if slope(0.0) < 0 else 0.0
    best, at_zero = stat(norm), stat(0.0)
    lower = norm
    if at_zero - best > 1.0:
        lower = norm - brentq(lambda x: stat(x) - best - 1.0, 0.0, norm)
    upper, limit = (_rise(stat, norm, best + s**2, 1.0 / total) for s in (1.0, _UL_SIGMA))
    return norm, lower, upper, norm + limit, at_zero - best


def _rise(stat: Callable[[float], float], norm: float, level: float, step: float) -> float:
    """How far above its minimum the statistic reaches a level."""
    while stat(norm + step) < level:
        step *= 2.0
    return float(brentq(lambda x: stat(x) - level, norm, norm + step)) - norm


def containment_deg(grouping: Grouping, b: int, fraction: float = 0.68) -> float:
    """Radius, degrees, that holds a fraction of the PSF of an energy bin; 0 where it is absent."""
    profile = grouping.mean_profile(b)
    ring = profile * 2.0 * np.pi * np.sin(np.radians(PROFILE_DEG))
    steps = 0.5 * (ring[1:] + ring[:-1]) * np.diff(np.radians(PROFILE_DEG))
    inside = np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.interp(fraction, inside / max(inside[-1], 1e-300), PROFILE_DEG))
