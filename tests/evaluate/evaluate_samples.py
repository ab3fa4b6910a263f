"""Catalogs and truths made by hand for the tests of the scoring."""

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import Candidates, build_catalog


def catalog_of(lon, lat, probability=None, *, semi=0.05, **more):
    """A catalog with round error ellipses."""
    lon, lat = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    n = len(lon)
    probability = np.full(n, 0.5) if probability is None else np.asarray(probability, float)
    axis = np.full(n, semi)
    flags = np.zeros(n, bool)
    candidates = Candidates(lon, lat, probability, axis, axis, np.zeros(n), flags)
    return build_catalog(candidates, **more)


def truth_of(lon, lat, ts, flux=None, signif=None):
    """A table of true sources."""
    lon = np.atleast_1d(np.asarray(lon, float))
    n = len(lon)
    return Table(
        {
            "GLON": lon,
            "GLAT": np.atleast_1d(np.asarray(lat, float)),
            "Flux1000": np.full(n, 1e-9) if flux is None else np.asarray(flux, float),
            "Ideal_TS": np.atleast_1d(np.asarray(ts, float)),
            "Signif_Avg": np.full(n, np.nan) if signif is None else np.asarray(signif, float),
        }
    )


def random_sky(n, rng):
    """Longitudes and latitudes spread evenly over the sky."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def cone_coverage(lon, lat, radius_deg):
    """Coverage mask of a cone."""
    import healpy as hp

    mask = np.zeros(12 * 4**9, bool)
    centre = hp.ang2vec(lon, lat, lonlat=True)
    mask[hp.query_disc(512, centre, np.radians(radius_deg), nest=True)] = True
    return mask
