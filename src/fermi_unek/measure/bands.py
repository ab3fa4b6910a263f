"""Flux in single energy bins and upper limits: profiles of one norm, by gammapy's estimator."""

from __future__ import annotations

import numpy as np
from gammapy.estimators.map.ts import BrentqFluxEstimator, SimpleMapDataset

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
