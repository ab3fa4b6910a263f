"""Where the refit starts: the fluxes of the list, or guesses from the photons close by."""

from __future__ import annotations

from collections.abc import Sequence

import healpy as hp
import numpy as np
from astropy.table import Table
from scipy.spatial import KDTree

from ..catalog import Catalog
from ..diffuse.named import DiffuseModel
from ..irf.instrument import FINE_EDGES_MEV, FINE_ENERGIES_MEV
from ..sky.bins import COVERAGE_ORDER
from ..sky.counts import SkyCounts
from ..sky.geometry.frame import lonlat_to_vectors
from .response import Response
from .shapes import extents_of
from .source import POSITION_SLACK_DEG
from .state import SourceState

BEYOND_DEG = 15.0
"""Sources beyond the rim of the photons are followed so far from the candidates."""

_LOWEST_MEV = 900.0
_MOST_DEG, _INSIDE = 0.5, 0.68  # of the PSF in the aperture


def start_states(
    catalog: Catalog, responses: Sequence[Response], diffuse: DiffuseModel
) -> list[SourceState]:
    """A spectrum and a shape for each candidate.

    That of the table where it has one; else a power law with the flux of the photons in small
    apertures above 1 GeV.

    Parameters
    ----------
    catalog : Catalog
        N rows.
    responses : sequence of Response
    diffuse : DiffuseModel

    Returns
    -------
    list of SourceState
        N of them; fluxes are at least that of one photon.
    """
    table = catalog.table
    lon, lat = (np.asarray(table[name], float) for name in ("GLON", "GLAT"))
    vectors = lonlat_to_vectors(lon, lat).reshape(-1, 3)
    states: list[SourceState] = []
    if not len(vectors):
        return states
    amplitudes = _aperture_amplitudes(vectors, responses, diffuse)
    extents = extents_of(table, catalog.extended)
    for row, amplitude, extent in zip(table, amplitudes, extents, strict=True):
        place = float(row["GLON"]), float(row["GLAT"])
        state = _of_row(place, row) or SourceState(*place, float(amplitude))
        states.append(state.changed(extent=extent))
    return states


def states_beyond(known: Catalog, sky: SkyCounts, vectors: np.ndarray) -> list[SourceState]:
    """Sources of a list that lie where no photons were taken, as the list has them.

    Their light falls into the field all the same. Those that are no further than
    `POSITION_SLACK_DEG` from a candidate (N, 3) are it, and those beyond `BEYOND_DEG` of all are
    not seen.
    """
    if sky.coverage is None:
        return []
    lon, lat = (np.asarray(known.table[name], float) for name in ("GLON", "GLAT"))
    placed = np.isfinite(lon + lat)
    table, lon, lat = known.table[placed], lon[placed], lat[placed]
    places = lonlat_to_vectors(lon, lat).reshape(-1, 3)
    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    if not len(places) or not len(vectors):
        return []
    outside = ~sky.coverage[hp.vec2pix(2**COVERAGE_ORDER, *places.T, nest=True)]
    chord, _ = KDTree(vectors).query(places)
    near_deg = np.degrees(2.0 * np.arcsin(0.5 * chord))
    outside &= (near_deg > POSITION_SLACK_DEG) & (near_deg < BEYOND_DEG)
    extents = extents_of(table, known.extended)
    found = [
        (_of_row((lon[row], lat[row]), table[row]), extents[row]) for row in np.flatnonzero(outside)
    ]
    return [state.changed(extent=extent) for state, extent in found if state is not None]


def _of_row(place: tuple[float, float], row: Table.Row) -> SourceState | None:
    """The spectrum of a row as the list has it, of a cutoff the log parabola; None of none."""
    prefix = "PL" if str(row["SpectrumType"]).strip() == "PowerLaw" else "LP"
    density, index = (float(row[f"{prefix}_{name}"]) for name in ("Flux_Density", "Index"))
    beta = float(row["LP_beta"]) if prefix == "LP" else 0.0
    pivot = float(row["Pivot_Energy"])
    if density > 0 and np.isfinite([density, index, beta, pivot]).all():
        return SourceState(*place, density, index, beta, pivot)
    return None


def _aperture_amplitudes(
    vectors: np.ndarray, responses: Sequence[Response], diffuse: DiffuseModel
) -> np.ndarray:
    intensity = diffuse.intensity_at(FINE_ENERGIES_MEV, vectors)
    intensity *= (FINE_ENERGIES_MEV * np.log(FINE_EDGES_MEV[1:] / FINE_EDGES_MEV[:-1]))[:, None]
    flux = SourceState(0.0, 0.0, 1.0).fine_flux()
    excess, emitted = np.zeros((2, len(vectors)))
    for response in responses:
        per_flux = response.counts_per_flux(vectors)
        for c, channel in enumerate(response.channels):
            if channel.energies_mev[0] < _LOWEST_MEV:
                continue
            radius = min(float(response.radii_deg[c]), _MOST_DEG)
            order, pixels, counts = channel.counts.order, channel.counts.pixels, channel.counts
            area = 2.0 * np.pi * (1.0 - np.cos(np.radians(radius)))
            for row, vector in enumerate(vectors):
                disc = hp.query_disc(2**order, vector, np.radians(radius), nest=True)
                at = np.minimum(np.searchsorted(pixels, disc), max(len(pixels) - 1, 0))
                seen = counts.counts[at][pixels[at] == disc].sum() if len(pixels) else 0
                excess[row] += seen - area * intensity[:, row] @ per_flux[row, :, c]
                emitted[row] += flux @ per_flux[row, :, c]
    return np.maximum(excess, 1.0) / _INSIDE / np.maximum(emitted, 1e-300)
