"""A small simulated field with two sources over a flat background, and its catalog."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from fermi_unek.catalog import Candidates, build_catalog
from fermi_unek.diffuse.named import DiffuseModel
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.simulate.population import complete
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model

PLACES = ((200.0, 50.0), (200.9, 50.4))
FLUXES = (2e-9, 1e-9)
INDEX = 2.2
REGION = (200.0, 50.0, 6.0)


@lru_cache(maxsize=1)
def flat_sky() -> DiffuseModel:
    """Nearly isotropic emission."""
    nodes = np.array([100.0, 1e6])
    spectrum = 4e-10 * (nodes / 1e3) ** -2.4
    maps = np.repeat((0.01 * spectrum).astype(np.float32)[:, None], 12 * 64**2, axis=1)
    return DiffuseModel("flat", nodes, maps, nodes, spectrum, psf_included=True)


def source_table(places=PLACES, fluxes=FLUXES, index=INDEX, beta=0.0) -> Table:
    """Power laws, or log parabolas, at Galactic places with photon fluxes 1 to 100 GeV."""
    lon, lat = np.array(places, float).T
    norm = np.asarray(fluxes) * (index - 1.0) / (1.0 - 100.0 ** (1.0 - index)) / 1e3
    icrs = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    n = len(lon)
    columns = {
        "Source_Name": np.full(n, "", "U24"),
        "GLON": lon,
        "GLAT": lat,
        "RAJ2000": icrs.ra.deg,
        "DEJ2000": icrs.dec.deg,
        "Signif_Avg": np.full(n, 10.0),
        "Pivot_Energy": np.full(n, 1e3),
        "SpectrumType": np.full(n, "LogParabola" if beta else "PowerLaw", "U17"),
        "CLASS1": np.full(n, "bll", "U4"),
    }
    for kind in ("PL", "LP", "PLEC"):
        columns[f"{kind}_Flux_Density"] = norm
        columns[f"{kind}_Index"] = np.full(n, index)
    columns |= {
        "LP_beta": np.full(n, beta),
        "PLEC_Expfactor": np.zeros(n),
        "PLEC_Exp_Index": np.ones(n),
    }
    return complete(Table(columns))


@lru_cache(maxsize=4)
def sky_model(beta: float = 0.0):
    return build_sky_model(source_table(beta=beta), flat_sky(), load_instrument())


@lru_cache(maxsize=4)
def small_sky(seed: int = 3, beta: float = 0.0):
    """Ten years of FRONT photons in a circle of six degrees."""
    return simulate_counts(sky_model(beta), 10.0, np.random.default_rng(seed), REGION)


def catalog_of(places, near_edge=False, reference=None):
    lon, lat = np.array(places, float).reshape(-1, 2).T
    n = len(lon)
    return build_catalog(
        Candidates(
            lon, lat, np.full(n, 0.9), np.full(n, 0.05), np.full(n, 0.04), np.zeros(n),
            np.full(n, near_edge),
        ),
        reference=reference,
    )  # fmt: skip


def nearest_row(catalog, place):
    """Row of a catalog nearest to a Galactic place, and its distance in degrees."""
    here = SkyCoord(*place, unit="deg", frame="galactic").icrs
    separation = catalog.positions.separation(here).deg
    return catalog.table[int(np.argmin(separation))], float(separation.min())
