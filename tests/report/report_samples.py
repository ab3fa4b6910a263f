"""Skies and catalogs small enough to make pages of in a moment."""

import healpy
import numpy as np

from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.sky.bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.frame import lonlat_to_vectors


def cone_mask(lon, lat, radius):
    """Coverage of a circle."""
    mask = np.zeros(12 * 4**COVERAGE_ORDER, bool)
    vector = lonlat_to_vectors(lon, lat)
    mask[healpy.query_disc(2**COVERAGE_ORDER, vector, np.radians(radius), nest=True)] = True
    return mask


def sky_with(lon, lat, present=range(N_BINS), coverage=None, **more):
    """One photon at each place in each bin that is present."""
    return SkyCounts(
        tuple(
            bin_from_pixels(
                index,
                healpy.ang2pix(2 ** NATIVE_ORDERS[index], lon, lat, nest=True, lonlat=True),
                coverage,
            )
            if index in present
            else None
            for index in range(N_BINS)
        ),
        **more,
    )


def candidates(n, near_edge=0, fake=0):
    """Places along a line of falling probability."""
    lon, one = np.linspace(10, 200, n), np.ones(n)
    count = np.arange(n)
    return Candidates(
        lon,
        lon / 10,
        np.linspace(0.95, 0.25, n),
        one * 0.1,
        one * 0.05,
        one,
        count < near_edge,
        fake=count < fake,
    )


def catalog_of(n, purity=0.01, **options):
    """Catalog of `candidates`, all of them selected unless a purity is asked for."""
    return build_catalog(candidates(n), purity=purity, **options)


def small_sky(**more):
    """Photons scattered around the first of `candidates`."""
    rng = np.random.default_rng(0)
    lat = rng.uniform(-6, 6, 4000) + 1.0
    return sky_with(10.0 + rng.uniform(-6, 6, 4000), lat, **more)


def measured(catalog):
    """The catalog with what a refit, a classification and an association fill."""
    for name, value in {
        "Signif_Avg": 12.0,
        "Flux1000": 2e-10,
        "Unc_Flux1000": 2e-11,
        "Variability_Index": 21.0,
        "Pivot_Energy": 2000.0,
        "PL_Flux_Density": 5e-14,
        "PL_Index": 2.2,
        "nuFnu_Band": [*[np.nan] * 2, 4e-13, 1.5e-17, *[4e-13] * 4],
        "Flux_Band": [*[np.nan] * 2, 1e-10, 4e-15, *[1e-10] * 4],
        "Unc_Flux_Band": 2e-11,
        "Sqrt_TS_Band": [*[np.nan] * 2, 5.0, 2.0, 0.5, *[5.0] * 3],
        "Prob_BLL": 0.5,
        "ASSOC1": "a counterpart of a long name",
        "ASSOC_PROB_BAY": 0.9,
        "CLASS1": "bll",
    }.items():
        catalog.table[name][:] = value
    return catalog
