"""New skies of blazars, pulsars and nebulae as 4FGL-DR2 would have them, and fainter ones.

Each class has its own counts. Above the flux where DR2 is complete they are DR2's, smoothed;
below it they go on with the slope they have there, for blazars no steeper than N(>S) ~ S**-0.9
below 1e-10 ph cm-2 s-1. Spectral parameters are those of DR2 sources of about that flux, drawn
together and smoothed with their covariance; what the measurement errors add to their scatter is
taken away, so that a faint blazar is curved like a bright one and not like a power law.

The flux is that from 1 to 100 GeV (Flux1000), not the energy flux above 100 MeV: DR2's threshold
in Flux1000 is the same for hard and soft sources within a factor of 1.5, that in energy flux 2.4
times higher for an index of 2.9 than of 1.7 (sources at 4 to 5.5 sigma, abs(b) > 20 deg).

Sources that DR2 does not name are what they are likely to be, by weights (`class_weights`):

- bcu: BL Lac and FSRQ as 801 to 406 (Kovacevic et al. 2020, MNRAS 493, 1926, on 4FGL).
- unassociated and unk beyond 10 deg from the plane: 1037 blazars to 88 pulsars, within: 290
  blazars, 135 pulsars, 742 others (Zhu et al. 2023, arXiv:2311.03678, on 4FGL-DR3); the others
  count as SPP, pulsars beyond 10 deg as millisecond pulsars. Between 10 and 20 deg the number
  that exceeds the density beyond 20 deg counts as SPP first.

Inside these numbers each source's weight follows its index and curvature by Bayes' rule, with
Gaussians fitted to the named sources. Globular clusters count as millisecond pulsars, radio
galaxies and the like as bcu, binaries and star-forming regions as SPP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.table import Table, vstack

from ..catalog.releases import load_release
from ..catalog.spectra import photon_flux
from ..sky.geometry.frame import lonlat_to_vectors
from .population import SPECTRAL_COLUMNS, complete, isotropic_positions, scale, select_columns

CLASSES = ("bll", "fsrq", "psr", "msp", "pwn")
"""Columns of `class_weights`: psr is young pulsars, msp millisecond ones, pwn also SNR and SPP."""

LIKELY_BCU: Mapping[str, float] = {"bll": 801.0, "fsrq": 406.0}
LIKELY_HIGH: Mapping[str, float] = {"blazar": 1037.0, "pulsar": 88.0}
LIKELY_LOW: Mapping[str, float] = {"blazar": 290.0, "pulsar": 135.0, "pwn": 742.0}
LOW_LATITUDE_DEG = 10.0

_CLASS_OF = {
    "bll": "bll", "fsrq": "fsrq", "ssrq": "fsrq", "nlsy1": "fsrq", "css": "fsrq", "msp": "msp",
    "glc": "msp", "pwn": "pwn", "snr": "pwn", "spp": "pwn", "hmb": "pwn", "lmb": "pwn",
    "bin": "pwn", "nov": "pwn", "sfr": "pwn", "psr": "psr",
}  # fmt: skip
_UNNAMED = ("", "unk")
_SAME_SOURCE_DEG = 0.2

MSP_NEAR, MSP_WIDTHS_DEG = 0.21, (11.4, 32.3)
"""Part of the millisecond pulsars in the narrower of two Gaussians in latitude, and the widths of
both; fitted to those of DR2 that are brighter than 6e-10 ph cm-2 s-1."""

_BREAK_FLUX, _STEEPEST_BELOW = 1e-10, 0.9
_SLOPES = (0.5, 1.1)
_SLOPES_GALACTIC = (0.5, 1.0)
_HIGH_LATITUDE_DEG = 20.0
_FLUX_BANDWIDTH = 0.15
_SHAPE_BANDWIDTH = 0.2
_RANK_BANDWIDTH = 0.04
_FAINT_RANK = 0.15

_HOST_COLUMNS = (
    "Source_Name", "CLASS1", "GLON", "GLAT", "RAJ2000", "DEJ2000", "Flux1000", "Signif_Avg",
    "Extended_Source_Name", "SpectrumType", "Pivot_Energy", "PL_Index", "LP_Index", "LP_beta",
    "LP_SigCurv", "Unc_LP_Index", "Unc_LP_beta", "PLEC_Index", "PLEC_Expfactor",
    "PLEC_Exp_Index",
)  # fmt: skip


@dataclass(frozen=True)
class Law:
    """Counts of one class on the whole sphere.

    Attributes
    ----------
    threshold : float
        Flux1000 from which DR2 is complete, ph cm-2 s-1.
    faintest : float
        Flux1000 at which the class ends.
    number : float
        Sources above the threshold.
    slope : float
        N(>S) ~ S**-slope at the threshold.
    """

    threshold: float
    faintest: float
    number: float
    slope: float

    def number_above(self, flux: np.ndarray) -> np.ndarray:
        """Sources above fluxes that are not above the threshold."""
        top = min(_BREAK_FLUX, self.threshold)
        above = self.number * (np.maximum(flux, top) / self.threshold) ** -self.slope
        at_break = self.number * (top / self.threshold) ** -self.slope
        below = min(self.slope, _STEEPEST_BELOW)
        # the counts bend, they do not jump: the differential counts are the same on both sides
        more = at_break * self.slope / below
        return above + more * ((np.minimum(flux, top) / top) ** -below - 1.0)


@dataclass(frozen=True)
class _Component:
    """A class as it is drawn: from where DR2's counts are taken, and where they end.

    `latitude_deg` is the range of abs(b) of the DR2 sources; isotropic ones stand for the whole
    sphere. `threshold` is where DR2 is complete there (97% of its sources of less than 5.5 sigma
    are fainter), ph cm-2 s-1.
    """

    name: str
    latitude_deg: tuple[float, float]
    threshold: float
    faintest: float
    isotropic: bool = False


_COMPONENTS = (
    _Component("bll", (LOW_LATITUDE_DEG, 90.0), 2e-10, 2e-11, isotropic=True),
    _Component("fsrq", (LOW_LATITUDE_DEG, 90.0), 2e-10, 2e-11, isotropic=True),
    _Component("psr", (0.0, 2.0), 1.5e-9, 2e-10),
    _Component("psr", (2.0, 90.0), 6e-10, 2e-10),
    _Component("msp", (0.0, 90.0), 5e-10, 2e-10),
    _Component("pwn", (0.0, 2.0), 1.5e-9, 2e-10),
    _Component("pwn", (2.0, 90.0), 6e-10, 2e-10),
)


@dataclass(frozen=True)
class _Hosts:
    """DR2 sources of one component, by rising flux.

    `rows` lists sources with their `weights`; `bright` picks those above the threshold, which
    give the fluxes; `shaped` those that give spectra.
    """

    component: _Component
    law: Law
    rows: Table
    weights: np.ndarray
    bright: np.ndarray
    shaped: np.ndarray


def mock_population(rng: np.random.Generator, tail: bool = True) -> Table:
    """A sky that never was, with the numbers, spectra and places of DR2's classes.

    Parameters
    ----------
    rng : Generator
    tail : bool
        False ends each class at the flux where DR2 is complete.

    Returns
    -------
    Table
        A `complete` population: CLASS1 is bll, fsrq, psr (young and millisecond), pwn, snr or
        spp; Signif_Avg is NaN.
    """
    table = vstack(
        [
            _draw_sources(component, _draw_fluxes(component, rng, tail), rng)
            for component in _hosts()
        ]
    )
    table["Source_Name"] = np.full(len(table), "", dtype="U24")
    table["Signif_Avg"] = np.nan
    return complete(table)


def laws() -> tuple[tuple[str, Law], ...]:
    """Class, one of `CLASSES`, and counts of each component: a class may have several."""
    return tuple((hosts.component.name, hosts.law) for hosts in _hosts())


# what DR2's sources are ------------------------------------------------------------------------


@lru_cache(maxsize=1)
def dr2_classes() -> tuple[Table, np.ndarray]:
    """DR2's point sources and their weights (N, 5) in each of `CLASSES`, rows summing to one."""
    table = select_columns(load_release("4FGL-DR2"), _HOST_COLUMNS)
    table = table[np.asarray(table["Extended_Source_Name"]) == ""]
    return table, class_weights(table, _millisecond(table))


def _millisecond(table: Table) -> np.ndarray:
    """Pulsars of DR2 that DR4 lists as millisecond pulsars, bool (N,)."""
    later = select_columns(load_release("4FGL-DR4"), ("CLASS1", "GLON", "GLAT"))
    later = later[np.asarray(later["CLASS1"]) == "msp"]
    known, ours = (
        lonlat_to_vectors(np.asarray(t["GLON"], float), np.asarray(t["GLAT"], float))
        for t in (later, table)
    )
    nearest = (ours @ known.T).max(axis=1)
    near = nearest > np.cos(np.radians(_SAME_SOURCE_DEG))
    return near & (np.asarray(table["CLASS1"]) == "psr")


def class_weights(table: Table, millisecond: np.ndarray) -> np.ndarray:
    """How likely each source is of each class.

    Parameters
    ----------
    table : Table
        Rows of 4FGL-DR2 with CLASS1, GLAT, PL_Index, LP_beta, LP_SigCurv and Signif_Avg.
    millisecond : bool array (N,)
        Millisecond pulsars among the named pulsars.

    Returns
    -------
    float array (N, 5)
        Rows sum to one; named sources have one class.
    """
    named = np.array([_CLASS_OF.get(name, "") for name in table["CLASS1"].tolist()])
    named[millisecond] = "msp"
    weights = (named[:, None] == np.array(CLASSES)).astype(float)
    likelihood = _likelihoods(table, weights)
    unnamed = np.isin(table["CLASS1"], _UNNAMED)
    latitude = np.abs(np.asarray(table["GLAT"], float))
    low, high = latitude < LOW_LATITUDE_DEG, latitude > _HIGH_LATITUDE_DEG
    pulsars = weights[low][:, 2:4].sum(axis=0)
    groups = (
        ((named == "") & ~unnamed, _shares(LIKELY_BCU, 0.0)),
        (unnamed & high, _shares(LIKELY_HIGH, 0.0)),
        (unnamed & ~high & ~low, _middle_shares(latitude[unnamed])),
        (unnamed & low, _shares(LIKELY_LOW, pulsars[0] / pulsars.sum())),
    )
    for rows, shares in groups:
        weights[rows] = _posterior(likelihood[rows], shares)
    return weights


def _middle_shares(latitude: np.ndarray) -> np.ndarray:
    """Parts of the classes between 10 and 20 degrees, from the latitudes of the unnamed."""
    low, high = np.sin(np.radians([LOW_LATITUDE_DEG, _HIGH_LATITUDE_DEG]))
    beyond = np.count_nonzero(latitude > _HIGH_LATITUDE_DEG)
    between = max(np.count_nonzero(latitude > LOW_LATITUDE_DEG) - beyond, 1)
    as_beyond = min(beyond * (high - low) / (1.0 - high) / between, 1.0)
    shares = as_beyond * _shares(LIKELY_HIGH, 0.0)
    shares[CLASSES.index("pwn")] = 1.0 - as_beyond
    return shares


def _shares(likely: Mapping[str, float], young: float) -> np.ndarray:
    """Parts of `CLASSES` in published numbers; `young` of the pulsars are young ones."""
    blazars = likely.get("blazar", 0.0) / sum(LIKELY_BCU.values())
    pulsars = likely.get("pulsar", 0.0)
    numbers = np.array([
        likely.get("bll", LIKELY_BCU["bll"] * blazars),
        likely.get("fsrq", LIKELY_BCU["fsrq"] * blazars),
        young * pulsars,
        (1.0 - young) * pulsars,
        likely.get("pwn", 0.0),
    ])  # fmt: skip
    return numbers / numbers.sum()


def _likelihoods(table: Table, weights: np.ndarray) -> np.ndarray:
    """Density (N, 5) of index and curvature in each class, Gaussians of the named sources."""
    index, beta, curvature, strength = (
        np.asarray(table[name], float)
        for name in ("PL_Index", "LP_beta", "LP_SigCurv", "Signif_Avg")
    )
    features = np.stack([index, np.clip(beta, -0.2, 1.0), curvature / strength], axis=1)
    features = np.where(np.isfinite(features), features, np.nanmedian(features, axis=0))
    # the unnamed are faint: compare them with what is measured as badly
    faint = strength < np.median(strength) * 2.0
    result = np.empty_like(weights)
    for column in range(weights.shape[1]):
        mine = (weights[:, column] > 0) & faint
        apart = features - features[mine].mean(axis=0)
        covariance = np.cov(features[mine].T)
        square = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance), apart)
        result[:, column] = np.exp(-0.5 * square) / np.sqrt(np.linalg.det(covariance))
    return np.maximum(result, 1e-30)


def _posterior(likelihood: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Class probabilities (n, 5) whose mean over the sources is `shares`."""
    prior = shares.copy()
    for _ in range(100):
        posterior = prior * likelihood
        posterior /= posterior.sum(axis=1, keepdims=True)
        mean = posterior.mean(axis=0)
        prior *= np.divide(shares, mean, out=np.ones_like(mean), where=mean > 0)
    return posterior


@lru_cache(maxsize=1)
def _hosts() -> tuple[_Hosts, ...]:
    table, weights = dr2_classes()
    order = np.argsort(np.asarray(table["Flux1000"]))
    return tuple(
        _component_hosts(component, table[order], weights[order]) for component in _COMPONENTS
    )


def _component_hosts(component: _Component, table: Table, weights: np.ndarray) -> _Hosts:
    latitude = np.abs(np.asarray(table["GLAT"], float))
    low, high = component.latitude_deg
    own = weights[:, CLASSES.index(component.name)]
    mine = np.flatnonzero((latitude >= low) & (latitude < high) & (own > 1e-3))
    rows, own = table[mine], own[mine]
    flux = np.asarray(rows["Flux1000"], float)
    bright = np.flatnonzero(flux > component.threshold)
    sphere = 1.0 / (1.0 - np.sin(np.radians(low))) if component.isotropic else 1.0
    slope = np.clip(
        _counts_slope(flux[bright] / component.threshold, own[bright]),
        *(_SLOPES if component.isotropic else _SLOPES_GALACTIC),
    )
    law = Law(
        component.threshold, component.faintest, sphere * float(own[bright].sum()), float(slope)
    )
    if component.name in ("psr", "msp"):
        good = np.asarray(rows["SpectrumType"]) == "PLSuperExpCutoff"
        good &= np.asarray(rows["PLEC_Expfactor"], float) > 0
    else:
        good = np.asarray(rows["Unc_LP_beta"], float) > 0
        good &= np.asarray(rows["Unc_LP_Index"], float) > 0
        good &= np.isfinite(np.asarray(rows["LP_beta"], float))
    # what may as well be of another class would blur the correlations of this one
    good &= own > 0.5
    enough = component.threshold * (1.0 if component.isotropic else 0.5)
    return _Hosts(component, law, rows, own, bright, np.flatnonzero(good & (flux > enough)))


def _counts_slope(ratio: np.ndarray, weights: np.ndarray) -> float:
    """Most likely slope of N(>S) between one and ten times the threshold."""
    span = np.log(10.0)
    near = ratio < 10.0
    mean_log = np.average(np.log(ratio[near]), weights=weights[near])
    slopes = np.linspace(0.05, 3.0, 600)
    # mean of ln S of a power law cut off at both ends
    expected = 1.0 / slopes - span / np.expm1(slopes * span)
    return float(np.interp(-mean_log, -expected, slopes))


# drawing ---------------------------------------------------------------------------------------


def _draw_fluxes(hosts: _Hosts, rng: np.random.Generator, tail: bool) -> np.ndarray:
    law = hosts.law
    weights = hosts.weights[hosts.bright]
    chosen = rng.choice(hosts.bright, rng.poisson(law.number), p=weights / weights.sum())
    flux = np.asarray(hosts.rows["Flux1000"], float)[chosen]
    flux *= np.exp(_FLUX_BANDWIDTH * rng.standard_normal(flux.size))
    flux = np.where(flux < law.threshold, law.threshold**2 / flux, flux)
    if not tail:
        return flux
    grid = np.geomspace(law.faintest, law.threshold, 200)[::-1]
    counts = law.number_above(grid)
    number = rng.poisson(counts[-1] - counts[0])
    uniform = np.log(counts[0] + rng.random(number) * (counts[-1] - counts[0]))
    return np.concatenate([flux, np.exp(np.interp(uniform, np.log(counts), np.log(grid)))])


def _draw_sources(hosts: _Hosts, flux: np.ndarray, rng: np.random.Generator) -> Table:
    name = hosts.component.name
    shapes = _near_in_flux(hosts, hosts.shaped, flux, rng)
    pulsar = name in ("psr", "msp")
    table = (_cut_spectra if pulsar else _curved_spectra)(hosts, shapes, rng)
    scale(table, flux / photon_flux(table))
    everyone = np.arange(len(hosts.rows))
    place = hosts.rows[_near_in_flux(hosts, everyone, flux, rng)]
    if hosts.component.isotropic:
        lon, lat = isotropic_positions(flux.size, rng)
    elif name == "msp":
        lon, lat = _msp_positions(np.asarray(place["GLON"], float), rng)
    else:
        lon, lat = _disc_positions(place, hosts.component.latitude_deg, rng)
    table["GLON"], table["GLAT"] = lon, lat
    label = np.full(flux.size, "psr" if pulsar else name, dtype="U24")
    if name == "pwn":
        theirs = np.asarray(hosts.rows["CLASS1"])[shapes]
        label = np.where(np.isin(theirs, ("pwn", "snr")), theirs, "spp").astype("U24")
    table["CLASS1"] = label
    return table


def _near_in_flux(
    hosts: _Hosts, among: np.ndarray, flux: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A source of `among` for each flux, by weight, near it in the ranks of flux.

    Below the threshold it is one of the faintest.
    """
    cumulative = np.cumsum(hosts.weights[among])
    cumulative /= cumulative[-1]
    known = np.log(np.asarray(hosts.rows["Flux1000"], float)[among])
    rank = np.interp(np.log(flux), known, cumulative)
    rank += _RANK_BANDWIDTH * rng.standard_normal(flux.size)
    faint = flux < max(hosts.law.threshold, np.exp(known[0]))
    start = np.interp(np.log(hosts.law.threshold), known, cumulative)
    rank[faint] = start + _FAINT_RANK * rng.random(faint.sum())
    rank = np.abs(rank)
    rank = np.where(rank > 1.0, 2.0 - rank, rank)
    return among[np.minimum(np.searchsorted(cumulative, rank), among.size - 1)]


def _disc_positions(
    place: Table, latitude_deg: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places near those of hosts, mirrored at random, in the component's range of latitude."""
    mirror, side = rng.choice([-1.0, 1.0], (2, len(place)))
    lon = mirror * np.asarray(place["GLON"], float) + rng.normal(0.0, 8.0, len(place))
    away = np.abs(np.asarray(place["GLAT"], float)) * np.exp(rng.normal(0.0, 0.2, len(place)))
    away = np.abs(away + rng.normal(0.0, 0.1, len(place)))
    low, high = latitude_deg
    away = np.where(away < low, 2.0 * low - away, away)
    away = np.where(away > high, 2.0 * high - away, away)
    return lon % 360.0, side * away


def _msp_positions(lon: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes near those of hosts, mirrored at random; a double Gaussian in latitude."""
    width = np.where(rng.random(lon.size) < MSP_NEAR, *MSP_WIDTHS_DEG)
    lat = width * rng.standard_normal(lon.size)
    # what goes over the pole comes down on the other side
    lat = np.degrees(np.arcsin(np.sin(np.radians(lat))))
    lon = rng.choice([-1.0, 1.0], lon.size) * lon + rng.normal(0.0, 20.0, lon.size)
    return lon % 360.0, lat


def _curved_spectra(hosts: _Hosts, chosen: np.ndarray, rng: np.random.Generator) -> Table:
    """Log-parabolas of index, beta and pivot drawn together; without curvature power laws."""
    names = ("LP_Index", "LP_beta", "Pivot_Energy")
    values = np.stack([np.asarray(hosts.rows[n], float) for n in names], axis=1)
    values[:, 2] = np.log(values[:, 2])
    errors = np.zeros_like(values)
    for column, name in enumerate(("Unc_LP_Index", "Unc_LP_beta")):
        errors[:, column] = np.asarray(hosts.rows[name], float)
    shaped = hosts.shaped
    mean, covariance = _intrinsic(values[shaped], errors[shaped], hosts.weights[shaped])
    drawn = _without_errors(values[chosen], errors[chosen], mean, covariance, rng)
    index, beta, log_pivot = _smoothed(drawn, mean, covariance, rng).T
    index, beta = np.clip(index, 0.5, 4.5), np.clip(beta, 0.0, 1.0)
    table = _blank(index.size, np.exp(np.clip(log_pivot, np.log(100.0), np.log(1e5))))
    table["SpectrumType"] = np.where(beta > 0, "LogParabola", "PowerLaw").astype("U24")
    table["PL_Index"] = table["LP_Index"] = index
    table["LP_beta"] = beta
    table["PL_Flux_Density"] = table["LP_Flux_Density"] = 1.0
    return table


def _cut_spectra(hosts: _Hosts, chosen: np.ndarray, rng: np.random.Generator) -> Table:
    """Exponentially cut off power laws, index, cutoff and pivot drawn together."""
    names = ("PLEC_Index", "PLEC_Expfactor", "Pivot_Energy")
    values = np.stack([np.asarray(hosts.rows[n], float) for n in names], axis=1)
    with np.errstate(all="ignore"):
        values[:, 1:] = np.log(values[:, 1:])
    shaped = hosts.shaped
    mean = np.average(values[shaped], axis=0, weights=hosts.weights[shaped])
    covariance = np.cov(values[shaped].T, aweights=hosts.weights[shaped])
    index, log_factor, log_pivot = _smoothed(values[chosen], mean, covariance, rng).T
    table = _blank(index.size, np.exp(log_pivot))
    table["SpectrumType"] = np.full(index.size, "PLSuperExpCutoff", dtype="U24")
    table["PLEC_Index"] = table["PL_Index"] = np.clip(index, 0.0, 3.0)
    table["PLEC_Expfactor"] = np.exp(log_factor)
    table["PLEC_Exp_Index"] = np.asarray(hosts.rows["PLEC_Exp_Index"], float)[chosen]
    table["PLEC_Flux_Density"] = table["PL_Flux_Density"] = 1.0
    return table


def _blank(number: int, pivot: np.ndarray) -> Table:
    table = Table({name: np.full(number, np.nan) for name in SPECTRAL_COLUMNS})
    table["Pivot_Energy"] = pivot
    return table


def _intrinsic(
    values: np.ndarray, errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of spectral parameters, freed of the measurement errors.

    The covariance is that of the third of best known curvature: the errors of index and
    curvature go together, and where they are large they are most of the correlation.
    """
    best = errors[:, 1] <= np.quantile(errors[:, 1], 1.0 / 3.0)
    covariance = np.cov(values[best].T, aweights=weights[best])
    noise = np.average(errors[best] ** 2, axis=0, weights=weights[best])
    kept = np.clip(1.0 - noise / np.diag(covariance), 0.1, 1.0)
    covariance *= np.sqrt(kept[:, None] * kept[None])
    certain = weights[:, None] / (np.diag(covariance) + errors**2)
    return np.average(values, axis=0, weights=certain), covariance


def _without_errors(
    values: np.ndarray,
    errors: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """What the true values may be: a draw from the Gaussian posterior of each source."""
    noise = np.einsum("ni,ij->nij", errors**2, np.eye(3))
    gain = covariance @ np.linalg.inv(covariance + noise)
    middle = mean + np.einsum("nij,nj->ni", gain, values - mean)
    spread = covariance - gain @ covariance
    # the pivot is known: its row is zero but for rounding
    spread = 0.5 * (spread + np.swapaxes(spread, 1, 2)) + 1e-12 * np.eye(3)
    root = np.linalg.cholesky(spread)
    return middle + np.einsum("nij,nj->ni", root, rng.standard_normal(values.shape))


def _smoothed(
    values: np.ndarray, mean: np.ndarray, covariance: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Values spread with a Gaussian kernel, drawn together so that the covariance stays."""
    kernel = _SHAPE_BANDWIDTH * np.linalg.cholesky(covariance).T
    spread = values - mean + rng.standard_normal(values.shape) @ kernel
    return mean + spread / np.sqrt(1.0 + _SHAPE_BANDWIDTH**2)
