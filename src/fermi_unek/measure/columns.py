"""Results of the refit into the columns of the catalog."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from scipy.stats import norm

from ..catalog import Catalog
from ..catalog.build import name_neighbours
from ..catalog.releases import RELEASES, load_release
from ..catalog.schema import COLUMNS, PERIOD_COLUMNS, blank_table
from ..catalog.spectra import MEV_TO_ERG
from ..errors import UnekWarning
from ..sky.bins import BAND_EDGES_MEV
from . import flags, sed, shapes
from .history import History
from .region import Region
from .spectra import USUAL_BETA
from .state import SourceResult, SpectrumFit

NEW_COLUMNS = (
    ("TS", None, "Likelihood test statistic of the refit"),
    ("Flux1000_UL95", "cm-2 ph s-1", "95% upper limit of Flux1000 where TS < 25"),
)
"""Columns that only a refitted catalog has, all f4."""

_UL_SIGMA = 2.0  # 4FGL and gammapy read a limit as flux + 2 * upper error


def refitted(
    catalog: Catalog,
    results: Sequence[SourceResult],
    regions: Sequence[Region],
    *,
    year_edges_met: np.ndarray | None = None,
    period_edges_met: np.ndarray | None = None,
    fake_ts: float = 0.0,
) -> Catalog:
    """The catalog with the results of a refit in it, names and order as they were.

    Parameters
    ----------
    catalog : Catalog
        N rows.
    results : sequence of SourceResult
        One for each row that was fitted, in any order.
    regions : sequence of Region
        For ROI_num.
    year_edges_met : array (Y + 1,), optional
        Of the results' histories; those of the catalog stay unless given.
    period_edges_met : array (P + 1,), optional
        Of the results' light curves of other periods.
    fake_ts : float
        Candidates of less TS are marked in Fake; those already marked stay so.
    """
    results = sorted(results, key=lambda result: result.row)
    table = catalog.table.copy()
    for name, unit, description in NEW_COLUMNS:
        blank = np.full(len(table), np.nan, np.float32)
        table[name] = Column(blank, unit=unit, description=description)
    edges = catalog.year_edges_met if year_edges_met is None else year_edges_met
    for spec in COLUMNS:
        # a catalog of before had other bands, and one of a search has its own years
        if table[spec.name].shape[1:] != spec.shape(len(edges) - 1):
            table[spec.name] = spec.blank(len(table), len(edges) - 1)
    for region in regions:
        table["ROI_num"][list(region.own)] = region.number
    for result in results:
        _fill_position(table, result)
        _fill_spectrum(table, result)
        _fill_bands(table, result)
        if result.history is not None:
            _fill_history(table, result, result.history)
            _fill_peak(table, result, result.history, edges)
    if period_edges_met is not None:
        for column in blank_table(len(table), len(period_edges_met) - 1, PERIOD_COLUMNS).itercols():
            table[column.name] = column
        for result in results:
            if result.periods is not None:
                _fill_history(table, result, result.periods, "2")
    if any(result.ellipse_deg is not None for result in results):
        _name_neighbours_anew(table, catalog)
    if results:
        rows = [result.row for result in results]
        judged = flags.judge(
            results,
            np.asarray(table["Flux_Band"][rows], float),
            np.asarray(table["Conf_95_SemiMajor"][rows], float),
        )
        table["Flags"][rows] = (np.asarray(table["Flags"][rows]) & ~np.int16(flags.JUDGED)) | judged
    shapes.fill(table, results)
    extended = shapes.renewed(table, results, catalog.extended)
    table["Fake"][:] = np.asarray(table["Fake"]) | (np.asarray(table["TS"]) < fake_ts)
    if period_edges_met is None:
        period_edges_met = catalog.period_edges_met
    return replace(
        catalog,
        table=table,
        year_edges_met=edges,
        period_edges_met=period_edges_met,
        extended=extended,
    )


def _name_neighbours_anew(table: Table, catalog: Catalog) -> None:
    """4FGL's neighbours of the positions as they are now, by the rule of before."""
    release = str(catalog.header.get("reference catalog", "none"))
    if release in RELEASES:
        radius = catalog.header.get("association radius")
        table["ASSOC_FGL"][:] = ""
        name_neighbours(table, load_release(release), None if radius is None else float(radius))
    elif release != "none":
        warnings.warn(
            f"positions have moved, but {release} is no release of the package: ASSOC_FGL, "
            "Nearest_FGL and Sep_FGL are those of the positions before",
            UnekWarning,
            stacklevel=2,
        )


def significance(ts: float) -> float:
    """Sigma of a TS, as 4FGL's Signif_Avg; 0 for a TS of 0 or less.

    A chi-square of four degrees of freedom (position, flux, index), whose chance is
    ``exp(-TS / 2) (1 + TS / 2)``, and a two-sided Gaussian: 25 is 4.05 sigma.
    """
    if ts <= 0:
        return 0.0
    log_chance = np.log1p(0.5 * ts) - 0.5 * ts
    if log_chance > -600:
        return float(norm.isf(0.5 * np.exp(log_chance)))
    # too small for a double: the Gaussian's chance goes as sqrt(2 / pi) exp(-x^2 / 2) / x
    x = np.sqrt(-2.0 * log_chance)
    for _ in range(5):
        x = np.sqrt(-2.0 * (log_chance + np.log(x * np.sqrt(0.5 * np.pi))))
    return float(x)


def _fill_position(table: Table, result: SourceResult) -> None:
    row, ellipse = result.row, result.ellipse_deg
    if ellipse is None:
        return
    place = SkyCoord(result.state.lon_deg, result.state.lat_deg, unit="deg", frame="galactic")
    table["GLON"][row], table["GLAT"][row] = place.l.deg, place.b.deg
    table["RAJ2000"][row], table["DEJ2000"][row] = place.icrs.ra.deg, place.icrs.dec.deg
    for percent, scale in ((68, 1.0), (95, result.ratio95)):
        table[f"Conf_{percent}_SemiMajor"][row] = ellipse[0] * scale
        table[f"Conf_{percent}_SemiMinor"][row] = ellipse[1] * scale
        table[f"Conf_{percent}_PosAng"][row] = ellipse[2]


def _fill_spectrum(table: Table, result: SourceResult) -> None:
    row, chosen = result.row, result.spectrum
    table["TS"][row] = result.ts
    table["Signif_Avg"][row] = significance(result.ts)
    table["SpectrumType"][row] = result.form
    table["Pivot_Energy"][row] = result.power_law.values["reference"]
    table["Npred"][row] = result.npred
    flux, error = sed.with_error(result.loose or chosen, lambda v: sed.photon_flux(v, 1e3, 1e5))
    table["Flux1000"][row] = flux
    table["Unc_Flux1000"][row] = np.hypot(error, _likely_curved(result, flux))
    table["Flux1000_UL95"][row] = flux * result.upper_limit
    energy = sed.with_error(chosen, lambda v: sed.energy_flux(v, 1e2, 1e5))
    table["Energy_Flux100"][row], table["Unc_Energy_Flux100"][row] = energy
    _fill_form(table, row, "PL", result.power_law, {"Index": "index"})
    for prefix, fit, names in (
        ("LP", result.log_parabola, {"Index": "alpha", "beta": "beta"}),
        ("PLEC", result.cutoff,
         {"IndexS": "index_1", "ExpfactorS": "expfactor", "Exp_Index": "index_2"}),
    ):  # fmt: skip
        if fit is None:
            continue
        _fill_form(table, row, prefix, fit, names)
        gain = max(result.straight_stat - fit.stat, 0.0)
        table[f"{prefix}_SigCurv"][row] = np.sqrt(gain)
        peak = sed.with_error(fit, sed.peak_mev)
        table[f"{prefix}_EPeak"][row], table[f"Unc_{prefix}_EPeak"][row] = peak


def _likely_curved(result: SourceResult, flux: float) -> float:
    """By how much Flux1000 would change, most likely, were a power law as curved as it seems.

    The log parabola's curvature is drawn towards none by how curved spectra usually are.
    """
    fit = result.log_parabola
    if result.loose is None or fit is None or not fit.errors["beta"] > 0:
        return 0.0
    drawn = USUAL_BETA**2 / (USUAL_BETA**2 + fit.errors["beta"] ** 2)
    return drawn * (sed.photon_flux(fit.values, 1e3, 1e5) - flux)


def _fill_form(
    table: Table, row: int, prefix: str, fit: SpectrumFit, names: dict[str, str]
) -> None:
    for column, name in {"Flux_Density": "amplitude", **names}.items():
        table[f"{prefix}_{column}"][row] = fit.values[name]
        table[f"Unc_{prefix}_{column}"][row] = fit.errors[name]


def _fill_bands(table: Table, result: SourceResult) -> None:
    """Band fluxes; where TS < 1 the lower error is NaN and the upper one stands for the limit."""
    values = result.spectrum.values
    for b, band in enumerate(result.bands):
        low, high = BAND_EDGES_MEV[b : b + 2]
        flux = sed.photon_flux(values, low, high)
        middle = np.sqrt(low * high)
        density = float(sed.differential(values, np.array([middle]))[0])
        limit = band.ts < 1.0
        upper = (band.upper_limit - band.norm) / _UL_SIGMA if limit else band.upper
        table["Flux_Band"][result.row, b] = band.norm * flux
        table["Unc_Flux_Band"][result.row, b, 0] = np.nan if limit else -band.lower * flux
        table["Unc_Flux_Band"][result.row, b, 1] = upper * flux
        table["nuFnu_Band"][result.row, b] = band.norm * middle**2 * density * MEV_TO_ERG
        table["Sqrt_TS_Band"][result.row, b] = (
            np.sqrt(max(band.ts, 0.0)) if np.isfinite(band.ts) else np.nan
        )


def _fill_history(table: Table, result: SourceResult, history: History, mark: str = "") -> None:
    """Fluxes of the years, 100 MeV to 100 GeV as in 4FGL; limits as in `_fill_bands`.

    The mark is what 4FGL puts into the names of a second light curve.
    """
    row, flux = result.row, _mean_flux(result)
    limit = history.ts < 1.0
    upper = np.where(limit, (history.upper_limit - history.norm) / _UL_SIGMA, history.upper)
    table[f"Flux{mark}_History"][row] = history.norm * flux
    table[f"Unc_Flux{mark}_History"][row, :, 0] = np.where(limit, np.nan, -history.lower * flux)
    table[f"Unc_Flux{mark}_History"][row, :, 1] = upper * flux
    table[f"Sqrt_TS{mark}_History"][row] = np.sqrt(np.maximum(history.ts, 0.0))
    table[f"Variability{mark}_Index"][row] = history.variability_index()
    fraction, error = history.fractional_variability()
    table[f"Frac{mark}_Variability"][row] = fraction
    table[f"Unc_Frac{mark}_Variability"][row] = error


def _mean_flux(result: SourceResult) -> float:
    """Flux of all years, 100 MeV to 100 GeV, of the spectrum that the row states."""
    return sed.photon_flux(result.spectrum.values, 1e2, 1e5)


def _fill_peak(table: Table, result: SourceResult, history: History, edges_met: np.ndarray) -> None:
    if not np.isfinite(history.norm).any():
        return
    row, flux = result.row, _mean_flux(result)
    peak = int(np.nanargmax(history.norm))
    table["Flux_Peak"][row] = history.norm[peak] * flux
    table["Unc_Flux_Peak"][row] = history.upper[peak] * flux
    table["Signif_Peak"][row] = np.sqrt(max(history.ts[peak], 0.0))
    table["Time_Peak"][row] = 0.5 * (edges_met[peak] + edges_met[peak + 1])
    table["Peak_Interval"][row] = edges_met[peak + 1] - edges_met[peak]
