"""Profiles of the likelihood in one norm: fluxes of bands and years, and upper limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

UL_SIGMA = 1.6449
"""95%, one-sided."""


def norm_profile(
    counts: np.ndarray, others: np.ndarray, own: np.ndarray, total: float
) -> tuple[float, float, float, float, float, float]:
    """Best norm of one component with what its likelihood profile says.

    Parameters
    ----------
    counts, others, own : arrays (P,)
        Photons in the pixels that hold some; those expected of all else; those of the component
        at norm 1.
    total : float
        Photons of the component at norm 1 in all pixels, above zero.

    Returns
    -------
    norm, lower, upper, upper_limit, ts, lost : float
        Norm (not below 0), 1 sigma errors (both positive; the lower one reaches 0 at most), 95%
        upper limit, TS, and what the statistic loses with a norm of 1.
    """
    lit = own > 0
    n, own, others = counts[lit], own[lit], np.maximum(others[lit], 1e-12)
    ratio = own / others

    def stat(norm: float) -> float:
        return float(2.0 * (norm * total - n @ np.log1p(norm * ratio)))

    def slope(norm: float) -> float:
        return float(total - n @ (ratio / (1.0 + norm * ratio)))

    # the statistic has one minimum, which is no higher than if all photons were the component's
    norm = brentq(slope, 0.0, n.sum() / total, rtol=1e-6) if slope(0.0) < 0 else 0.0
    best = stat(norm)
    lower = norm
    if -best > 1.0:
        lower = norm - brentq(lambda x: stat(x) - best - 1.0, 0.0, norm, rtol=1e-5)
    upper, limit = (_rise(stat, norm, best + s**2, 1.0 / total) for s in (1.0, UL_SIGMA))
    return norm, lower, upper, norm + limit, -best, max(stat(1.0) - best, 0.0)


def below_zero(
    counts: np.ndarray, others: np.ndarray, own: np.ndarray, total: float, known: float
) -> tuple[float, float]:
    """Norm at which a likelihood that falls from 0 on would be best, and what it gains there.

    It goes on as a parabola, whose second derivative ``known`` is that of many photons: those of
    the few that are here would be mostly noise.
    """
    lit = own > 0
    slope = total - float(counts[lit] @ (own[lit] / np.maximum(others[lit], 1e-12)))
    return -slope / max(known, 1e-300), slope**2 / max(known, 1e-300)


def likelihood_excess(counts: np.ndarray, share: np.ndarray) -> float:
    """How much more than 1 twice the logarithm of a likelihood ratio of a norm is on average.

    That of few photons is no chi-square. This is its first correction (Bartlett 1937, Lawley 1956)
    for rates that are straight lines in the norm; of a part of the photons it is as many times
    larger. Of n photons that are all a source's it is 1 / 6n.

    Parameters
    ----------
    counts : array (P,)
        Photons in the pixels that hold some.
    share : array (P,)
        Part of what is expected there that is the component's.
    """
    second, third, fourth = (float(counts @ share**k) for k in (2, 3, 4))
    if not second > 1e-60:
        return 0.0
    return fourth / (2.0 * second**2) - third**2 / (3.0 * second**3)


def _rise(stat: Callable[[float], float], norm: float, level: float, step: float) -> float:
    """How far above its minimum the statistic reaches a level."""
    while stat(norm + step) < level:
        step *= 2.0
    return float(brentq(lambda x: stat(x) - level, norm, norm + step, rtol=1e-5)) - norm
