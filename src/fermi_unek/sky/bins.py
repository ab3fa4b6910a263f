"""The fixed numbers every stage shares: energy bins, patch size, native pixels, epochs."""

from __future__ import annotations

import numpy as np

ENERGY_EDGES_MEV = np.array([300.0, 500.0, 1000.0, 2000.0, 7000.0, 20000.0, 1000000.0])
"""Edges of the six energy bins of the shipped networks, MeV."""

N_BINS = len(ENERGY_EDGES_MEV) - 1

PATCH_DEG = 10.0
"""Side of a tangent-plane patch, degrees in the tangent plane."""

NATIVE_PIXELS = (32, 32, 64, 128, 128, 128)
"""Pixels along the side of a patch per energy bin: 0.31, 0.16 and 0.08 deg."""

OUTPUT_PIXELS = NATIVE_PIXELS[-1]
"""Pixels along the side of the source mask."""

NATIVE_ORDERS = (10, 10, 11, 12, 12, 12)
"""HEALPIX order in which the counts of each bin are kept: about 30 HEALPIX pixels for
one patch pixel, a tenth of the PSF or less."""

COVERAGE_ORDER = 9
"""HEALPIX order of the coverage masks (0.11 deg)."""

MISSION_START_MET = 239557417.0
"""Start of LAT science operations, mission elapsed time in seconds (2008-08-04)."""

YEAR_S = 365.25 * 86400.0
"""Length of a catalog year in seconds."""
