"""Is a source extended? A disk and a Gaussian in the place of a point.

The radius is fitted by the likelihood of the source alone, its spectrum free. Where that promises
something the shape takes the place of the point in the region, its position and then everything
in the region are fitted anew, and what the joint likelihood gains over the point is TS_ext: light
of a large source that the neighbors and the diffuse emission had taken up counts for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .extent import (
    FORMS,
    LARGEST_DEG,
    TS_EXTENDED,
    Extension,
    ExtensionFit,
    Extent,
    Form,
    better,
)
from .model import RegionModel
from .place import Ellipse, localise
from .profile import UL_SIGMA
from .source import SourceLikelihood

_TS_PROMISING = 9.0
_ROUNDS = 3
_CONVERGED = 0.02  # of a radius
_GRID_DEG = np.concatenate([[0.0], np.geomspace(0.05, LARGEST_DEG, 9)])
_FAR = 25.0  # a radius that is so much worse needs no larger ones
_PRECISION = 2e-3


def fit_extension(model: RegionModel, number: int) -> tuple[Extension, Ellipse | None]:
    """Extension of a source of a fitted region, which takes the better shape where it is extended.

    Returns
    -------
    extension : Extension
    ellipse : Ellipse or None
        Of the position, where the source became extended.
    """
    found = _scan(model, number)
    form = better(found)
    if found[form].ts < _TS_PROMISING:
        return found, None
    before, background = list(model.states[: model.free]), model.background.copy()
    point = model.stat() + model.penalty()
    ellipse = None
    for _ in range(_ROUNDS):
        extent = found[form].extent
        model.move(number, model.states[number].changed(extent=extent))
        moved, ellipse = localise(model, number, model.expected())
        model.move(number, moved)
        model.fit()
        found = _scan(model, number)
        new = found[form].extent
        if new is None or extent is None:
            break
        if abs(new.radius_deg - extent.radius_deg) < _CONVERGED * extent.radius_deg:
            break
    model.move(number, model.states[number].changed(extent=found[form].extent))
    gain = max(point - model.stat() - model.penalty(), 0.0)
    # the other shape by its distance from this one, all else held
    found = {
        f: replace(fit, ts=max(gain + fit.ts - found[form].ts, 0.0)) for f, fit in found.items()
    }
    if gain < TS_EXTENDED:
        model.restore(before, background)
        model.move(number, before[number])
        return found, None
    return found, ellipse


def _scan(model: RegionModel, number: int) -> Extension:
    """Radii of both shapes, all but the spectrum of the source held."""
    source = SourceLikelihood(
        model, number, expected=model.expected(), moving=True, largest_deg=LARGEST_DEG
    )

    def of_form(form: Form) -> ExtensionFit:
        @cache
        def stat(radius_deg: float) -> float:
            source.set_extent(Extent(form, radius_deg) if radius_deg > 0 else None)
            source.fit()
            return source.stat()

        return _radius(stat, form)

    return {form: of_form(form) for form in FORMS}


def _radius(stat: Callable[[float], float], form: Form) -> ExtensionFit:
    """The radius at which a statistic is least, with its errors."""
    tried = [0.0]
    for radius in _GRID_DEG[1:].tolist():
        tried.append(radius)
        if stat(radius) > min(map(stat, tried)) + _FAR:
            break
    place = int(np.argmin([stat(radius) for radius in tried]))
    low, high = tried[max(place - 1, 0)], tried[min(place + 1, len(tried) - 1)]
    found = minimize_scalar(
        stat, bounds=(low, high), method="bounded", options={"xatol": 5.0 * _PRECISION * high}
    )
    radius = float(min([tried[place], float(found.x)], key=stat))
    best = stat(radius)

    def above(sigma: float) -> float:
        level = best + sigma**2
        if stat(LARGEST_DEG) <= level:
            return LARGEST_DEG
        outer = next(r for r in [*tried, LARGEST_DEG] if r > radius and stat(r) > level)
        return float(brentq(lambda r: stat(r) - level, radius, outer, rtol=_PRECISION))

    lower = radius
    if stat(0.0) > best + 1.0:
        lower -= brentq(lambda r: stat(r) - best - 1.0, 0.0, radius, rtol=_PRECISION)
    return ExtensionFit(
        Extent(form, radius) if radius > 0 else None,
        lower,
        above(1.0) - radius,
        above(UL_SIGMA),
        stat(0.0) - best,
    )
