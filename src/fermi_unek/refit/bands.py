"""Flux in single energy bins and upper limits: profiles of one norm, by gammapy's estimator."""

from __future__ import annotations

import numpy as np
from gammapy.estimators.map.ts import BrentqFluxEstimator, SimpleMapDataset

from ..simulate.instrument import PROFILE_DEG
from .dataset import ModelledSource, WindowDataset
from .response import Grouping
from .state import BandFit

_UL_SIGMA = 1.6449  # 95%, one-sided
_SQUARE_DEGREE_RADIUS_DEG = np.sqrt(1.0 / np.pi)
_ABSENT = BandFit(*[np.nan] * 7)


def fit_bands(
    dataset: WindowDataset, source: ModelledSource, grouping: Grouping
) -> tuple[BandFit, ...]:
    """Flux of a source in each energy bin, all else fixed at the best fit."""
    others, own = dataset.npred(without=source), source.npred()
    vector = source.vector()
    result = []
    for b, pixels in enumerate(dataset.pixels):
        part = dataset.bin_slice(b)
        if not len(pixels.pixels) or own[part].sum() <= 0:
            result.append(_ABSENT)
            continue
        profile = norm_profile(*_weighted(dataset, part, others, own))
        radius = min(containment_deg(grouping, b), _SQUARE_DEGREE_RADIUS_DEG)
        core = pixels.within(vector, max(radius, pixels.size_deg))
        light = (float(own[part][core].sum()), float(others[part][core].sum()))
        result.append(BandFit(*profile, *light))
    return tuple(result)


def upper_limit(dataset: WindowDataset, source: ModelledSource) -> float:
    """95% upper limit of a source's flux over its present value, all else fixed."""
    others, own = dataset.npred(without=source), source.npred()
    return norm_profile(*_weighted(dataset, slice(None), others, own))[3]


def _weighted(
    dataset: WindowDataset, part: slice, others: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts and expectations times their weight, whose Cash statistic is the weighted one."""
    weights = dataset.weights[part]
    return weights * dataset.counts[part], weights * others[part], weights * own[part]


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
    used = (own > 0) & (others + own > 0)
    model = SimpleMapDataset(
        model=np.ascontiguousarray(own[used]),
        counts=np.ascontiguousarray(counts[used]),
        background=np.ascontiguousarray(np.maximum(others[used], 1e-12)),
        norm_guess=1.0,
    )
    estimator = BrentqFluxEstimator(
        rtol=1e-3, n_sigma=1.0, n_sigma_ul=_UL_SIGMA, selection_optional=["errn-errp", "ul"]
    )
    found = estimator.run(model)
    norm, limit = float(found["norm"]), float(found["norm_ul"])
    if norm < 0:  # at the bound the profile falls from 0 on
        at_zero = estimator.estimate_default(model) | {"norm": 0.0}
        at_zero["stat"] = model.stat_sum(0.0)
        upper = estimator.estimate_errn_errp(model, at_zero)["norm_errp"]
        limit = estimator.estimate_ul(model, at_zero)["norm_ul"]
        return 0.0, 0.0, float(upper), float(limit), 0.0
    lower = float(found["norm_errn"])
    lower = norm if not np.isfinite(lower) else min(lower, norm)
    return norm, lower, float(found["norm_errp"]), limit, max(float(found["ts"]), 0.0)


def containment_deg(grouping: Grouping, b: int, fraction: float = 0.68) -> float:
    """Radius, degrees, that holds a fraction of the PSF of an energy bin; 0 where it is absent."""
    profile = grouping.mean_profile(b)
    ring = profile * 2.0 * np.pi * np.sin(np.radians(PROFILE_DEG))
    steps = 0.5 * (ring[1:] + ring[:-1]) * np.diff(np.radians(PROFILE_DEG))
    inside = np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.interp(fraction, inside / max(inside[-1], 1e-300), PROFILE_DEG))
