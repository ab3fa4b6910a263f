"""`SkyModel`: everything a simulated sky is drawn from, in expected counts per year."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import healpy as hp
import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from ..catalog.spectra import fine_flux, photon_flux
from ..diffuse.model import integrate_power_laws
from ..diffuse.named import DiffuseModel, smear
from ..irf.instrument import (
    FINE_EDGES_MEV,
    FINE_ENERGIES_MEV,
    Instrument,
    ResponseTables,
    mean_psf,
)
from ..sky.bins import N_BINS
from ..sky.geometry.frame import lonlat_to_vectors
from .population import dr2_table

FAINT_FLUX = 2e-10
"""Flux1000, ph cm-2 s-1, below which sources that DR2 does not list are in its isotropic part."""

_ANGLES_DEG = np.concatenate([[0.0], np.geomspace(0.004, 25.0, 56)])
_NEIGHBOUR_DEG = 4.0
_CHUNK_PIXELS = 16384


@dataclass(frozen=True)
class SkyModel:
    """Sources and background as an instrument of one event type sees them.

    Attributes
    ----------
    sources : Table
        The population, one row a source (see `population`).
    rates : tuple of float32 arrays (N, 45), one per response
        Expected photons per year and true-energy bin of each source.
    background : float32 array (6, npix)
        Expected diffuse photons per year and sr, PSF included, NESTED Galactic.
    fine_background : tuple of float32 arrays (N, 45), one per response
        Expected diffuse photons per year, sr and true-energy bin at each source; what the
        ideal TS needs.
    responses : tuple of ResponseTables
        FRONT, BACK, or both.
    event_type : str
    background_name : str
    extended : float32 array (6, npix) or None
        The part of `background` that comes from extended sources.
    """

    sources: Table
    rates: tuple[np.ndarray, ...]
    background: np.ndarray
    fine_background: tuple[np.ndarray, ...]
    responses: tuple[ResponseTables, ...]
    event_type: str
    background_name: str
    extended: np.ndarray | None = None

    @property
    def nside(self) -> int:
        """HEALPIX nside of the background."""
        return int(hp.npix2nside(self.background.shape[1]))

    @cached_property
    def vectors(self) -> np.ndarray:
        """Galactic unit vectors (N, 3) of the sources."""
        return lonlat_to_vectors(
            np.asarray(self.sources["GLON"], float), np.asarray(self.sources["GLAT"], float)
        )

    @cached_property
    def expected_counts(self) -> np.ndarray:
        """Expected photons (N, 6) per year of each source in the six bins."""
        parts = zip(self.rates, self.responses, strict=True)
        return np.sum([rate @ response.bin_fractions for rate, response in parts], axis=0)

    @cached_property
    def ideal_ts(self) -> np.ndarray:
        """Ideal TS (N, 6) per year of live time of each source in each energy bin.

        The Asimov value 2 sum[(s+b) ln(1+s/b) - s] over true energy and angle, background
        the diffuse emission and the other sources at the source's place. It grows linearly
        with live time, and bins that are absent drop out of the sum.
        """
        parts = zip(self.rates, self.fine_background, self.responses, strict=True)
        return np.sum([ideal_ts(r, b, self.vectors, response) for r, b, response in parts], axis=0)


def build_sky_model(
    sources: Table,
    diffuse: DiffuseModel,
    instrument: Instrument,
    event_type: str = "front",
    *,
    extended: DiffuseModel | None = None,
) -> SkyModel:
    """Expected counts of a population over a diffuse model.

    The isotropic emission of `diffuse` holds the unresolved sources of the real sky; that of
    the tail's sources, which are simulated one by one, is taken out of it.

    Parameters
    ----------
    sources : Table
        A population.
    diffuse : DiffuseModel
    instrument : Instrument
    event_type : str
    extended : DiffuseModel or None
        Emission beside `diffuse` into which the PSF has not gone (`extended.extended_model`).
    """
    responses = instrument.parts(event_type)
    vectors = lonlat_to_vectors(
        np.asarray(sources["GLON"], float), np.asarray(sources["GLAT"], float)
    )
    flux = fine_flux(sources).astype(np.float32)
    resolved = unresolved_flux(sources, flux) / (4.0 * np.pi)
    rates = tuple(flux * r.exposure_at(vectors).T.astype(np.float32) for r in responses)
    background = np.zeros((N_BINS, diffuse.maps.shape[1]), np.float32)
    fine, lit = [], None if extended is None else np.zeros_like(background)
    for response in responses:
        maps, at_sources = _diffuse_counts(diffuse, response, resolved, vectors, instrument.front)
        background += maps
        if extended is not None:
            maps, more = _extended_counts(extended, response, vectors)
            lit += maps
            at_sources += more
        fine.append(at_sources)
    if lit is not None:
        background += lit
    return SkyModel(
        sources, rates, background, tuple(fine), responses, event_type, diffuse.name, lit
    )


def unresolved_flux(sources: Table, flux: np.ndarray) -> np.ndarray:
    """Flux of the simulated sources that the isotropic emission of the real sky holds as well.

    These are the faint ones that 4FGL-DR2 does not list. A sky without any source of DR2 has
    faint ones of its own in place of DR2's, which are not in the isotropic emission.

    Parameters
    ----------
    sources : Table
    flux : array (N, E)

    Returns
    -------
    array (E,)
        Not negative.
    """
    listed = np.isfinite(np.asarray(sources["Signif_Avg"], float))
    faint = ~listed & (np.asarray(sources["Flux1000"]) < FAINT_FLUX)
    total = flux[faint].sum(axis=0)
    if faint.any() and not listed.any():
        total = np.maximum(total - _faint_dr2_flux(), 0.0)
    return total


@lru_cache(maxsize=1)
def _faint_dr2_flux() -> np.ndarray:
    table = dr2_table()
    return fine_flux(table[photon_flux(table) < FAINT_FLUX]).sum(axis=0)


def _extended_counts(
    extended: DiffuseModel, response: ResponseTables, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `_diffuse_counts`, of maps that are dark nearly everywhere."""
    lit = np.flatnonzero(extended.maps.any(axis=0))
    light = integrate_power_laws(extended.energies_mev, extended.maps[:, lit], FINE_EDGES_MEV)
    places = np.array(hp.pix2vec(extended.nside, lit, nest=True)).T
    light = light * response.exposure_at(places)
    maps = np.zeros((N_BINS, extended.maps.shape[1]), np.float32)
    maps[:, lit] = response.bin_fractions.T @ light
    maps = smear(maps, [mean_psf(response, b) for b in range(N_BINS)])
    row_of = np.full(maps.shape[1], -1)
    row_of[lit] = np.arange(lit.size)
    near, weights = hp.get_interp_weights(extended.nside, *hp.vec2ang(vectors), nest=True)
    rows = row_of[near]
    # the last column is dark
    padded = np.concatenate([light, np.zeros((len(light), 1))], axis=1)
    at_sources = np.einsum("kin,in->nk", padded[:, rows], weights)
    return maps, at_sources.astype(np.float32)


def _diffuse_counts(
    diffuse: DiffuseModel,
    response: ResponseTables,
    resolved: np.ndarray,
    vectors: np.ndarray,
    front: ResponseTables,
) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse photons per year and sr: six maps after the PSF, and per true energy at sources.

    A model that has been blurred has been with the PSF of FRONT events.
    """
    isotropic = diffuse.isotropic(FINE_EDGES_MEV)
    isotropic = np.maximum(isotropic - resolved, 0.3 * isotropic).astype(np.float32)

    def photons(pixels: np.ndarray) -> np.ndarray:
        fine = integrate_power_laws(diffuse.energies_mev, diffuse.maps[:, pixels], FINE_EDGES_MEV)
        fine = fine.astype(np.float32) + isotropic[:, None]
        places = np.array(hp.pix2vec(diffuse.nside, pixels, nest=True)).T
        return fine * response.exposure_at(places).astype(np.float32)

    theta, phi = hp.vec2ang(vectors)
    near, weights = hp.get_interp_weights(diffuse.nside, theta, phi, nest=True)
    pixels, row_of = np.unique(near, return_inverse=True)
    at_sources = np.empty((len(vectors), FINE_ENERGIES_MEV.size), np.float32)
    for k, fine in enumerate(photons(pixels)):
        at_sources[:, k] = (fine[row_of.reshape(near.shape)] * weights).sum(axis=0)
    maps = np.zeros((N_BINS, diffuse.maps.shape[1]), np.float32)
    # few pixels at a time stay in the processor's cache
    for first in range(0, maps.shape[1], _CHUNK_PIXELS):
        part = maps[:, first : first + _CHUNK_PIXELS]
        pixels = first + np.arange(part.shape[1])
        for fractions, fine in zip(response.bin_fractions, photons(pixels), strict=True):
            for b in np.flatnonzero(fractions > 1e-4):
                part[b] += fine * np.float32(fractions[b])
    if response is not front or not diffuse.psf_included:
        before = [mean_psf(front, b) for b in range(N_BINS)] if diffuse.psf_included else []
        maps = smear(maps, [mean_psf(response, b) for b in range(N_BINS)], before)
    return maps, at_sources


def ideal_ts(
    rates: np.ndarray, background: np.ndarray, vectors: np.ndarray, response: ResponseTables
) -> np.ndarray:
    """Asimov TS (N, 6) per year; see `SkyModel.ideal_ts`.

    Parameters
    ----------
    rates : array (N, 45)
        Photons per year of each source.
    background : array (N, 45)
        Diffuse photons per year and sr at each source.
    """
    total = background + _neighbours(rates, vectors, response)
    middle = np.sqrt(_ANGLES_DEG[1:] * np.maximum(_ANGLES_DEG[:-1], 0.25 * _ANGLES_DEG[1]))
    ring_sr = -2.0 * np.pi * np.diff(np.cos(np.radians(_ANGLES_DEG)))
    result = np.zeros((len(rates), N_BINS))
    for k in range(FINE_ENERGIES_MEV.size):
        psf = response.psf_per_sr(k, middle)
        # the rings are finite: give them the whole photon
        psf = psf / max((psf * ring_sr).sum(), 1e-9)
        signal = rates[:, k, None] * (psf * ring_sr)[None].astype(np.float32)
        noise = total[:, k, None] * ring_sr[None].astype(np.float32) + np.float32(1e-12)
        ts = 2.0 * ((signal + noise) * np.log1p(signal / noise) - signal).sum(axis=1)
        result += ts[:, None] * response.bin_fractions[k]
    return result


def _neighbours(rates: np.ndarray, vectors: np.ndarray, response: ResponseTables) -> np.ndarray:
    """Photons per year and sr at each source from the other sources within four degrees."""
    chord = 2 * np.sin(np.radians(_NEIGHBOUR_DEG) / 2)
    pairs = cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
    # a neighbour a hundred times fainter changes nothing
    bright = rates.sum(axis=1)
    counts = bright[second] > 0.01 * bright[first]
    first, second = first[counts], second[counts]
    chords = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    angle = np.degrees(2 * np.arcsin(chords / 2))
    result = np.empty_like(rates)
    for k in range(rates.shape[1]):
        light = rates[second, k] * response.psf_per_sr(k, angle)
        result[:, k] = np.bincount(first, light, minlength=len(rates))
    return result
