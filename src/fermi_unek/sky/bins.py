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
