"""The bits of 4FGL's `Flags` that a refit can judge.

Their meanings are those of Abdollahi et al. 2020, ApJS 247, 33, table 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from .fit import N_BANDS, TS_LIMIT
from .spectra import MAX_CURVATURE
from .state import SourceResult

FAINT_ON_BACKGROUND = 8
"""Source to background below 10% in the highest band with TS > 25."""

NEAR_BRIGHTER = 16
"""Closer to a brighter neighbour than the PSF of that band allows."""

POORLY_LOCALISED = 256
"""Long axis of the 95% ellipse above 0.25 deg."""

HIGHLY_CURVED = 2048
"""LP_beta at its bound."""

LOST, MOVED, CHANGED = 1, 2, 4
"""With another diffuse model TS falls from above 35 to below 25; the position leaves its 95%
ellipse; flux or energy flux changes by three sigma and 35%."""

_TS_SURE, _CHANGE_SIGMA, _CHANGE_PART = 35.0, 3.0, 0.35

JUDGED = FAINT_ON_BACKGROUND | NEAR_BRIGHTER | POORLY_LOCALISED | HIGHLY_CURVED

_THETA_REF_DEG = np.array([3.77, 1.68, 1.03, 0.76, 0.49, 0.25, 0.25, 0.25])
# of the bands of 4FGL
_LEAST_RATIO, _LONGEST_AXIS_DEG = 0.1, 0.25


def judge(
    results: Sequence[SourceResult], flux_band: np.ndarray, semimajor95_deg: np.ndarray
) -> np.ndarray:
    """Flags (N,) of all sources of a catalog.

    Parameters
    ----------
    results : sequence of N SourceResult
    flux_band : array (N, 8)
        Photon fluxes per band.
    semimajor95_deg : array (N,)
        NaN where not known.
    """
    ts = np.array([[band.ts for band in result.bands] for result in results]).reshape(-1, N_BANDS)
    reference = _reference_band(ts)
    rows = np.arange(len(results))
    light = np.array([[(b.source, b.background) for b in result.bands] for result in results])
    source, background = light.reshape(-1, N_BANDS, 2)[rows, reference].T
    flags = np.zeros(len(results), np.int16)
    flags[source < _LEAST_RATIO * background] |= FAINT_ON_BACKGROUND
    flags[_near_brighter(results, flux_band, reference)] |= NEAR_BRIGHTER
    with np.errstate(invalid="ignore"):
        flags[semimajor95_deg > _LONGEST_AXIS_DEG] |= POORLY_LOCALISED
    curved = [
        result.form == "LogParabola" and result.spectrum.values["beta"] >= 0.999 * MAX_CURVATURE
        for result in results
    ]
    flags[np.array(curved, bool)] |= HIGHLY_CURVED
    return flags


def _reference_band(ts: np.ndarray) -> np.ndarray:
    """Highest band with TS > 25 of each source, or that of the highest TS."""
    strong = np.nan_to_num(ts, nan=-1.0) > TS_LIMIT
    highest = ts.shape[1] - 1 - np.argmax(strong[:, ::-1], axis=1)
    return np.where(strong.any(axis=1), highest, np.argmax(np.nan_to_num(ts, nan=-1.0), axis=1))


def _near_brighter(
    results: Sequence[SourceResult], flux_band: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    vectors = np.array([result.state.vector for result in results]).reshape(-1, 3)
    found = np.zeros(len(results), bool)
    for row, band in enumerate(reference):
        cosine = np.cos(np.radians(_THETA_REF_DEG[band]))
        close = (vectors @ vectors[row] > cosine) & (flux_band[:, band] > flux_band[row, band])
        close[row] = False
        found[row] = close.any()
    return found


def judge_change(table: Table, other: Table) -> np.ndarray:
    """Flags (N,) of the same sources refitted with two diffuse models; unfitted rows get none."""
    flags = np.zeros(len(table), np.int16)
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = (table["TS"] > _TS_SURE) & (other["TS"] < TS_LIMIT)
        flags[np.asarray(lost)] |= LOST
        flags[_outside_ellipse(table, other)] |= MOVED
        for name in ("Flux1000", "Energy_Flux100"):
            before, after = (np.asarray(one[name], float) for one in (table, other))
            change, error = np.abs(after - before), np.asarray(table[f"Unc_{name}"], float)
            flags[(change > _CHANGE_SIGMA * error) & (change > _CHANGE_PART * before)] |= CHANGED
    return flags


def _outside_ellipse(table: Table, other: Table) -> np.ndarray:
    """Bool (N,): places of a second table that lie outside of the 95% ellipses of the first."""
    dec = np.radians(np.asarray(table["DEJ2000"], float))
    turn = (np.asarray(other["RAJ2000"] - table["RAJ2000"], float) + 180.0) % 360.0 - 180.0
    east, north = turn * np.cos(dec), np.asarray(other["DEJ2000"] - table["DEJ2000"], float)
    angle = np.radians(np.asarray(table["Conf_95_PosAng"], float))
    along = east * np.sin(angle) + north * np.cos(angle)
    across = east * np.cos(angle) - north * np.sin(angle)
    axes = (np.asarray(table[f"Conf_95_Semi{end}"], float) for end in ("Major", "Minor"))
    return np.hypot(*(part / axis for part, axis in zip((along, across), axes, strict=True))) > 1.0
