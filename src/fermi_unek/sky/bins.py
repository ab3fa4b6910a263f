"""The fixed numbers every stage shares: energy bins, patch size, native pixels, epochs."""

from __future__ import annotations

import numpy as np

from .binning import BINNING

ENERGY_EDGES_MEV = np.array(BINNING.edges_mev)
"""Edges of the six energy bins of the shipped networks, MeV."""

N_BINS = BINNING.n_bins

PATCH_DEG = 10.0
"""Side of a tangent-plane patch, degrees in the tangent plane."""

NATIVE_PIXELS = BINNING.pixels
"""Pixels along the side of a patch per energy bin: 0.31, 0.16 and 0.08 deg."""

OUTPUT_PIXELS = BINNING.output_pixels
"""Pixels along the side of the source mask."""

NATIVE_ORDERS = BINNING.orders
"""HEALPIX order in which the counts of each bin are kept: about 30 HEALPIX pixels for
one patch pixel, a tenth of the PSF or less."""

COVERAGE_ORDER = 9
"""HEALPIX order of the coverage masks (0.11 deg)."""

MISSION_START_MET = 239557417.0
"""Start of LAT science operations, mission elapsed time in seconds (2008-08-04)."""

YEAR_S = 365.25 * 86400.0
"""Length of a catalog year in seconds."""

BAND_EDGES_MEV = np.array([50.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6])
"""Edges of the eight energy bands of 4FGL-DR3, MeV."""

LIKELIHOOD_EDGES_MEV = np.concatenate(
    [
        np.geomspace(low, high, number, endpoint=False)
        for low, high, number in zip(
            BAND_EDGES_MEV[2:-1], BAND_EDGES_MEV[3:], (5, 4, 4, 4, 3, 4), strict=True
        )
    ]
    + [BAND_EDGES_MEV[-1:]]
)
"""Edges of the narrow bins, eight a decade and more, in which photons are fitted, MeV."""


def native_order(energy_mev: float) -> int:
    """HEALPIX order in which counts from an energy on are kept; see `NATIVE_ORDERS`."""
    index = int(np.searchsorted(ENERGY_EDGES_MEV, energy_mev * 1.001, side="right")) - 1
    return NATIVE_ORDERS[min(max(index, 0), N_BINS - 1)]
