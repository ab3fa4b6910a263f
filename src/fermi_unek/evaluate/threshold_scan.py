"""Matches at every threshold at once: what each detection changes as it joins the list.

Detections join in falling probability. A new one goes to the brightest true source near it
that has none or one farther away; what that source had before goes on to the fainter ones.
So each step ends in the matches that matching anew would give, at the cost of a few
comparisons, and no true source that was found is lost again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Steps:
    """How matches change as the threshold falls.

    Attributes
    ----------
    found_at : float array (N,)
        Highest threshold at which each true source has a detection; -inf for never.
    change_at : float array (E,)
        Thresholds at which a detection becomes matched or is robbed of its source.
    detection : int array (E,)
        Which detection.
    change : int array (E,)
        1 or -1.
    """

    found_at: np.ndarray
    change_at: np.ndarray
    detection: np.ndarray
    change: np.ndarray


def scan_thresholds(
    n_truth: int, truth: np.ndarray, detection: np.ndarray, probability: np.ndarray
) -> Steps:
    """Let detections join in falling probability.

    Parameters
    ----------
    n_truth : int
    truth, detection : int arrays (P,)
        Pairs within the matching radius, brightest true source first, then its nearest
        detection first.
    probability : float array (M,)
        Of each detection.

    Returns
    -------
    Steps
    """
    grouped = np.argsort(detection, kind="stable")
    bounds = np.searchsorted(detection[grouped], np.arange(len(probability) + 1)).tolist()
    pairs, true, det = grouped.tolist(), truth.tolist(), detection.tolist()
    held = [-1] * n_truth  # number of the pair each true source is in
    found_at = np.full(n_truth, -np.inf)
    changes: list[tuple[float, int, int]] = []
    for joining in np.argsort(-probability, kind="stable").tolist():
        level, moving, after = float(probability[joining]), joining, -1
        while moving >= 0:
            for pair in pairs[bounds[moving] : bounds[moving + 1]]:
                # a pair of lower number is of a brighter source, or nearer to the same one
                if pair > after and (held[true[pair]] < 0 or pair < held[true[pair]]):
                    break
            else:
                break
            source = true[pair]
            held[source], after = pair, held[source]
            if after < 0:
                found_at[source] = level
            moving = det[after] if after >= 0 else -1
        if moving != joining:
            changes.append((level, joining, 1))
            if moving >= 0:
                changes.append((level, moving, -1))
    at, which, change = zip(*changes, strict=True) if changes else ((), (), ())
    return Steps(found_at, np.array(at, float), np.array(which, int), np.array(change, int))


def sum_from(values: np.ndarray, weights: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Sum (T,) of the weights of all values (N,) that are at least each threshold."""
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(np.asarray(weights, float)[order])])
    return below[-1] - below[np.searchsorted(values[order], thresholds, side="left")]


@dataclass(frozen=True)
class RateCurve:
    """A rate at each of T thresholds: `found` of `total`, int arrays, and its chance rate."""

    found: np.ndarray
    total: np.ndarray
    chance: np.ndarray


@dataclass(frozen=True)
class ThresholdScan:
    """Matches of a `Matcher` at every threshold, true ones and by chance.

    Attributes
    ----------
    probability : float array (M,)
    steps : Steps
    shifted : tuple of (Steps, bool array (N,), bool array (M,))
        With the detections shifted, and which true sources and detections count then.
    """

    probability: np.ndarray
    steps: Steps
    shifted: tuple[tuple[Steps, np.ndarray, np.ndarray], ...]

    def truth_rate(self, counted: np.ndarray, thresholds: np.ndarray) -> RateCurve:
        """Share of the true sources of a bool mask (N,) that are found at each threshold."""
        # -inf stands for those that are never found
        thresholds = np.maximum(thresholds, np.finfo(float).min)
        valid = sum((truth.astype(int) for _, truth, _ in self.shifted), np.zeros(len(counted)))
        known = counted & (valid > 0)
        weight = np.divide(1.0, valid, out=np.zeros(len(counted)), where=known)
        hits = np.zeros(len(thresholds))
        for steps, truth, _ in self.shifted:
            hits += sum_from(steps.found_at, weight * truth, thresholds)
        found = sum_from(self.steps.found_at, counted, thresholds)
        return RateCurve(
            _whole(found),
            np.full(len(thresholds), int(counted.sum())),
            _ratio(hits, np.full(len(thresholds), float(known.sum()))),
        )

    def detection_rate(self, counted: np.ndarray, thresholds: np.ndarray) -> RateCurve:
        """Share of the detections of a bool mask (M,) from each threshold up that are matched."""
        valid = sum((det.astype(int) for _, _, det in self.shifted), np.zeros(len(counted)))
        known = counted & (valid > 0)
        weight = np.divide(1.0, valid, out=np.zeros(len(counted)), where=known)
        hits = np.zeros(len(thresholds))
        for steps, _, det in self.shifted:
            changes = steps.change * (weight * det)[steps.detection]
            hits += sum_from(steps.change_at, changes, thresholds)
        matched = self.steps.change * counted[self.steps.detection]
        return RateCurve(
            _whole(sum_from(self.steps.change_at, matched, thresholds)),
            _whole(sum_from(self.probability, counted, thresholds)),
            _ratio(hits, sum_from(self.probability, known, thresholds)),
        )


def _whole(sums: np.ndarray) -> np.ndarray:
    return np.rint(sums).astype(int)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
