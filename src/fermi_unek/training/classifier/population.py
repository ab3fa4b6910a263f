"""Skies to train, calibrate and test the classifier on: who shines, and how from year to year.

A training sky is DR2 resampled: the spectra of its sources, somewhat changed, at new places. Two
thirds of DR2 have no class that could be learnt; on a boosted sky some of those are exchanged for
sources with one, at the flux of what they replace, so that there are faint pulsars to learn from.
Each source remembers the row of DR2 it was made from, so that a network can be tested on rows it
has not seen.
"""

from __future__ import annotations

import numpy as np
from astropy.table import Table, vstack

from ...catalog.schema import CLASS_OF, CLASSES
from ...catalog.spectra import photon_flux
from ...simulate.population import (
    complete,
    dr2_table,
    faint_tail,
    is_galactic,
    isotropic_positions,
    plane_positions,
    scale,
)
from ...simulate.variability import dr2_yearly_factors, yearly_factors

FAKE = CLASSES.index("fake")
UNCLASSED = 5
"""Label of true sources of any other class, or of none."""

_EXCHANGED = 0.6
_ISOTROPIC_SHARES = (0.36, 0.36, 0.2, 0.08)
_PLANE_SHARES = (0.12, 0.12, 0.42, 0.34)
_SYNTHETIC = 0.3
_JITTER = {"PL_Index": 0.06, "LP_Index": 0.06, "PLEC_Index": 0.06}
_STRETCH = {"LP_beta": 0.12, "PLEC_Expfactor": 0.12}


def labels_of(classes: np.ndarray) -> np.ndarray:
    """Index of the class of each CLASS1, `UNCLASSED` for those that are not learnt."""
    return np.array([CLASS_OF.get(str(name).strip().lower(), UNCLASSED) for name in classes], int)


def training_population(rng: np.random.Generator, boosted: bool = True) -> Table:
    """A resampled sky with a column Template, the row in `dr2_table` (-1: faint tail)."""
    real = dr2_table()
    real["Template"] = np.arange(len(real))
    galactic = is_galactic(real)
    high = ~galactic & (np.abs(real["GLAT"]) > 10.0)
    number = rng.poisson(high.sum() / (1.0 - np.sin(np.radians(10.0))))
    isotropic = real[rng.choice(np.flatnonzero(high), number)]
    plane = real[rng.choice(np.flatnonzero(galactic), rng.poisson(galactic.sum()))]
    plane["GLON"], plane["GLAT"] = plane_positions(plane, rng)
    if boosted:
        isotropic = _exchange(isotropic, real, _ISOTROPIC_SHARES, rng)
        place = plane["GLON", "GLAT"].copy()
        plane = _exchange(plane, real, _PLANE_SHARES, rng)
        plane["GLON"], plane["GLAT"] = place["GLON"], place["GLAT"]
    isotropic["GLON"], isotropic["GLAT"] = isotropic_positions(len(isotropic), rng)
    fresh = vstack([isotropic, plane])
    scale(fresh, np.exp(rng.normal(0.0, 0.25, len(fresh))))
    _change_spectra(fresh, rng)
    return _with_tail(fresh, real, rng)


def real_population(rng: np.random.Generator) -> Table:
    """The real DR2 sources at their places, with a column Template, and a faint tail."""
    real = dr2_table()
    real["Template"] = np.arange(len(real))
    return _with_tail(real, real, rng)


def _with_tail(table: Table, real: Table, rng: np.random.Generator) -> Table:
    tail = faint_tail(real, rng)
    tail["Template"] = -1
    tail["CLASS1"] = ""
    return complete(vstack([table, tail]))


def _exchange(
    table: Table, real: Table, shares: tuple[float, ...], rng: np.random.Generator
) -> Table:
    """Put sources with a class in the place of some without, at the flux of those."""
    labels = labels_of(np.asarray(real["CLASS1"]))
    unclassed = labels_of(np.asarray(table["CLASS1"])) == UNCLASSED
    chosen = np.flatnonzero(unclassed & (rng.random(len(table)) < _EXCHANGED))
    wanted = rng.choice(len(shares), len(chosen), p=shares)
    rows = np.array([rng.choice(np.flatnonzero(labels == label)) for label in wanted], int)
    flux = photon_flux(table[chosen])
    fresh = real[rows]
    scale(fresh, flux / photon_flux(fresh))
    table[chosen] = fresh
    return table


def _change_spectra(table: Table, rng: np.random.Generator) -> None:
    """Tilt and bend spectra a little at the same flux, so that none is learnt by heart."""
    flux = photon_flux(table)
    tilt = rng.normal(0.0, 1.0, len(table))
    for name, width in _JITTER.items():
        table[name] = np.asarray(table[name], float) + width * tilt
    stretch = rng.normal(0.0, 1.0, len(table))
    for name, width in _STRETCH.items():
        table[name] = np.asarray(table[name], float) * np.exp(width * stretch)
    scale(table, flux / photon_flux(table))


def histories(table: Table, n_years: int, rng: np.random.Generator, real: bool) -> np.ndarray:
    """Flux over mean flux (N, n_years) of a population.

    Parameters
    ----------
    real : bool
        True: DR2's own histories as they were. False: for most of the sources those, the years
        in another order, for the others the process of their class.
    """
    factors = dr2_yearly_factors(table, n_years, rng)
    if real:
        return factors
    factors = rng.permuted(factors, axis=1)
    drawn = yearly_factors(
        np.asarray(table["CLASS1"]), n_years, rng, flux=np.asarray(table["Flux1000"], float)
    )
    return np.where(rng.random((len(table), 1)) < _SYNTHETIC, drawn, factors)
