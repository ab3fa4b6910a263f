"""Sources of known flux added to counts that exist."""

from __future__ import annotations

from dataclasses import replace

import healpy as hp
import numpy as np
from astropy.table import Table

from ..catalog.spectra import fine_flux
from ..irf.instrument import Instrument
from ..sky.bins import COVERAGE_ORDER, N_BINS
from ..sky.counts import BinCounts, SkyCounts
from ..sky.io.parts import merge_pixels
from .photons import draw_source_photons
from .population import SPECTRAL_COLUMNS, complete
from .skymodel import SkyModel

PIVOT_MEV = 1000.0


def power_law_sources(
    lon_deg: np.ndarray, lat_deg: np.ndarray, flux: np.ndarray, index: float
) -> Table:
    """A population of power laws.

    Parameters
    ----------
    lon_deg, lat_deg : arrays (N,)
        Galactic degrees.
    flux : array (N,)
        Photon flux from 1 to 100 GeV, ph cm-2 s-1.
    index : float
        Photon index, above 1.

    Returns
    -------
    Table
        `complete`, in the order given; N may be 0.
    """
    table = Table({name: np.full(len(flux), np.nan) for name in SPECTRAL_COLUMNS})
    table["SpectrumType"] = np.full(len(flux), "PowerLaw", dtype="U24")
    table["Pivot_Energy"] = PIVOT_MEV
    # dN/dE = K (E / 1 GeV)^-index, from 1 to 100 GeV
    whole = PIVOT_MEV * (1.0 - 100.0 ** (1.0 - index)) / (index - 1.0)
    table["PL_Flux_Density"] = np.asarray(flux, float) / whole
    table["PL_Index"] = index
    table["GLON"], table["GLAT"] = np.asarray(lon_deg, float), np.asarray(lat_deg, float)
    table["Signif_Avg"] = np.nan
    for name in ("Source_Name", "CLASS1"):
        table[name] = np.full(len(flux), "", dtype="U24")
    return complete(table)


def add_sources(
    sky: SkyCounts,
    sources: Table,
    instrument: Instrument,
    years: float,
    rng: np.random.Generator,
) -> tuple[SkyCounts, np.ndarray]:
    """Counts with the photons of some sources added.

    Parameters
    ----------
    sky : SkyCounts
        Bins that are absent stay so, and photons that fall where a bin was not observed are lost.
    sources : Table
        A population (N rows).
    instrument : Instrument
        Its response to the sky's event type gives exposure, PSF and energy dispersion.
    years : float
        Live time, calendar years.
    rng : Generator

    Returns
    -------
    SkyCounts
        Without layers of single years.
    photons : int array (N, 6)
        Added per source and bin.
    """
    model = _sources_alone(sources, instrument, sky.event_type)
    drawn = draw_source_photons(model, np.arange(len(sources)), years, rng)
    photons = np.zeros((len(sources), N_BINS), int)
    bins: list[BinCounts | None] = []
    for index, of_bin in enumerate(sky.bins):
        if of_bin is None:
            bins.append(None)
            continue
        inside = drawn.bins == index
        owner = drawn.sources[inside]
        pixels = hp.vec2pix(2**of_bin.order, *drawn.vectors[inside].T, nest=True)
        if of_bin.coverage is not None:
            seen = of_bin.coverage[pixels >> 2 * (of_bin.order - COVERAGE_ORDER)]
            pixels, owner = pixels[seen], owner[seen]
        photons[:, index] = np.bincount(owner, minlength=len(sources))
        new = pixels.astype(np.uint32), np.ones(len(pixels), np.uint32)
        merged = merge_pixels([(of_bin.pixels, of_bin.counts), new])
        bins.append(BinCounts(of_bin.order, *merged, of_bin.coverage))
    return replace(sky, bins=tuple(bins), years=()), photons


def _sources_alone(sources: Table, instrument: Instrument, event_type: str) -> SkyModel:
    """A model of the sources with nothing behind them."""
    responses = instrument.parts(event_type)
    flux = fine_flux(sources).astype(np.float32)
    dark = np.zeros((N_BINS, 0), np.float32)
    model = SkyModel(sources, (), dark, (), responses, event_type, "none")
    rates = tuple(
        flux * response.exposure_at(model.vectors).T.astype(np.float32) for response in responses
    )
    return replace(model, rates=rates)
