"""Light curves: the flux of each source in each year, and how variable it is.

As in 4FGL, spectra keep their shape in all years, the diffuse emission is that of the whole time,
and the fluxes of all sources of a region are fitted together. Errors and limits are from the
profile of each, the others held.

How variable a source is, is judged by the same likelihoods with three corrections, since the flux
of a year is not below zero, is fitted with those of its neighbours, and may be of few photons.
Where a year has fewer photons than all else would give, the likelihood goes on below zero as a
parabola. What a year gains is lessened by the part that neighbours could make up for, and by how
much more the likelihood ratio of so few photons is than a chi-square. Without the first the index
of faint steady sources is too low for a chi-square, without the second that of crowded ones too
high, without the third that of faint ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .data import Epoch
from .model import RegionModel, inverse
from .profile import below_zero, likelihood_excess, norm_profile

_ROUNDS = 8
_MOST_EXCESS = 0.16  # of a Poisson process, that of 1.5 photons
_SIGMAS, _FAINT = 5.0, 1e-3  # a norm that a year may have; of all light in a pixel
_SYSTEMATIC_LEAST = 0.1  # 4FGL's least relative error of a fractional variability


@dataclass(frozen=True)
class History:
    """Fluxes of a source over that of all time, in Y years; NaN in those without exposure.

    The years may be spans of any other length.

    Attributes
    ----------
    norm, lower, upper, upper_limit, ts : arrays (Y,)
        See `profile.norm_profile`.
    lost : array (Y,)
        What the statistic of a year loses with the flux of all years, at least 0; its
        neighbours free, and as if its photons were many.
    signed : array (Y,)
        The norm, below 0 where there are fewer photons than all else would give.
    known : array (Y,)
        What a year tells of the norm of a steady source, its neighbours free: 1 / variance.
    """

    norm: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    upper_limit: np.ndarray
    ts: np.ndarray
    lost: np.ndarray
    signed: np.ndarray
    known: np.ndarray

    def variability_index(self) -> float:
        """4FGL's TS_var; NaN of fewer than two years.

        Twice the logarithm of the likelihood ratio of the best fluxes to that of all years, less
        what the mean of the years, of which errors are Gaussian, fits better than that
        (Abdollahi et al. 2020, ApJS 247, 33). Of a steady source a chi-square of Y - 1
        degrees.
        """
        seen = np.isfinite(self.norm)
        if seen.sum() < 2:
            return float("nan")
        # errors from the profiles are smaller where a year is low, and would draw the mean down
        weight, norm = self.known[seen], self.signed[seen]
        mean = norm @ weight / max(weight.sum(), 1e-300)
        better = np.sum(((norm - 1.0) ** 2 - (norm - mean) ** 2) * weight)
        return float(max(self.lost[seen].sum() - max(better, 0.0), 0.0))

    def fractional_variability(self) -> tuple[float, float]:
        """4FGL's Frac_Variability and its error; NaN where the years scatter by less than errors.

        Abdollahi et al. 2020, ApJS 247, 33.
        """
        known = np.isfinite(self.norm)
        number = int(known.sum())
        mean = self.norm[known].mean() if number else 0.0
        if number < 2 or not mean > 0:
            return float("nan"), float("nan")
        error = 0.5 * (self.lower + self.upper)[known]
        variance = self.norm[known].var(ddof=1)
        excess = variance - np.mean(error**2)
        if excess <= 0:
            return 0.0, _SYSTEMATIC_LEAST
        width = np.sqrt(excess)
        spread = variance / (np.sqrt(2.0 * (number - 1.0)) * mean * width)
        return float(width / mean), float(max(spread, _SYSTEMATIC_LEAST))


def histories(
    model: RegionModel, epochs: Sequence[Epoch], wanted: Sequence[int], curvature: np.ndarray
) -> dict[int, History]:
    """Light curves of some sources of a fitted region.

    Parameters
    ----------
    model : RegionModel
    epochs : sequence of Epoch
        Of the model's data.
    wanted : sequence of int
        Sources to give results of; all free ones are fitted.
    curvature : array (C, K, K)
        Second derivatives of all the photons; see `RegionModel.grams`.

    Returns
    -------
    dict of int to History
        Of the sources that are wanted; of none where there are no epochs.
    """
    if not (epochs and wanted):
        return {}
    data = model.data
    found = np.full((len(wanted), len(epochs), 8), np.nan)
    expected = model.expected()
    rest = model.others()
    number = model.free
    known = np.einsum("cst,sc,tc->cst", curvature[:, :number, :number], model.photons,
                      model.photons, optimize=True)  # fmt: skip
    dark = [_known_in_the_dark(model, s, expected) for s in wanted]
    excess = [likelihood_excess(data.counts, model.light_of(s) / expected) for s in wanted]
    whole = np.maximum((model.photons * model.contained).sum(axis=1), 1e-300)
    for place, epoch in enumerate(epochs):
        share, lit = epoch.exposed, epoch.rows
        if not share.any():
            continue
        exposed = share[data.channel[lit]]
        counts, others = epoch.counts, rest[lit] * exposed
        own_light = model.light_of_sources(lit, share)
        total = (model.photons * model.contained) @ share
        of_year = np.einsum("cst,c->st", known, share)
        norms = _year_norms(counts, own_light, others, total, of_year)
        seen = norms.astype(np.float32) @ own_light + others
        own = 1.0 / np.maximum(np.diag(of_year) * np.diag(inverse(of_year)), 1.0)
        for curve, s, in_the_dark, over in zip(found, wanted, dark, excess, strict=True):
            if not total[s] > 0:
                continue
            without = np.maximum(seen - norms[s] * own_light[s], 1e-12)
            most = max(norms[s], 1.0) + _SIGMAS / np.sqrt(max(of_year[s, s], 1e-300))
            seen_in = _seen_pixels(counts, without, own_light[s], float(total[s]), most)
            profile = norm_profile(*seen_in)
            signed, more = below_zero(*seen_in, float(in_the_dark @ share))
            below = profile[0] <= 0.0
            # all that makes it more than that of one norm, of many photons, and alone
            beyond = own[s] / (1.0 + min(over * whole[s] / total[s], _MOST_EXCESS))
            curve[place] = (
                *profile[:5],
                (profile[5] + (more if below else 0.0)) * beyond,
                signed if below else profile[0],
                of_year[s, s] * own[s],
            )
    return {s: History(*curve.T) for s, curve in zip(wanted, found, strict=True)}


def _seen_pixels(
    counts: np.ndarray, others: np.ndarray, own: np.ndarray, total: float, most: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """What `norm_profile` takes, of the pixels in which a source of at most some norm is seen.

    In all others the likelihood is a straight line, which is part of the total.
    """
    lit = own * most > _FAINT * others
    left = total - float(counts[~lit] @ (own[~lit] / others[~lit]))
    if not left > 0:  # brighter than was thought
        return counts, others, own, total
    return counts[lit], others[lit], own[lit], left


def _known_in_the_dark(model: RegionModel, number: int, expected: np.ndarray) -> np.ndarray:
    """What each channel (C,) would tell of the norm of a source if it did not shine."""
    data, light = model.data, model.light_of(number)
    ratio = light / np.maximum(expected - light, 1e-12)
    return np.bincount(data.channel, data.counts * ratio**2 / (1.0 + ratio), data.n_channels)


def _year_norms(
    counts: np.ndarray, light: np.ndarray, others: np.ndarray, total: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Norms (K,) of all sources in a year, from the mean of all years on.

    Second derivatives are those of all years, in proportion to the exposure.
    """
    norms = np.ones(len(light))
    scale = 1.0 / np.sqrt(np.maximum(np.diag(known), 1e-300))
    inverse = np.linalg.pinv(known * np.outer(scale, scale), rcond=1e-6) * np.outer(scale, scale)
    for _ in range(_ROUNDS):
        expected = np.maximum(norms.astype(np.float32) @ light + others, 1e-12)
        step = inverse @ (light @ (counts / expected).astype(np.float32) - total)
        moved = np.clip(norms + step, 0.2 * norms, 5.0 * norms + 1.0)
        if np.all(np.abs(moved - norms) < 0.05 * np.sqrt(np.diag(inverse))):
            return moved
        norms = moved
    return norms
