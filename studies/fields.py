"""Simulated fields for the studies of measured rows: photons in memory, and true lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import Candidates, Catalog, build_catalog
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.sky import simulate_photons
from fermi_unek.simulate.skymodel import SkyModel
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.io.readers import read_sky

ERROR_DEG = 0.03


def photons_of(
    model: SkyModel,
    years: float,
    region: tuple[float, float, float] | None,
    rng: np.random.Generator,
    folder: Path,
    *,
    factors: np.ndarray | None = None,
    yearly: bool = False,
) -> SkyCounts:
    """Photons of a circle (Galactic degrees), or of the sky, as they are read from a file."""
    photons = simulate_photons(model, years, rng, region, factors=factors)
    path = write_ft1(photons, folder / "photons.fits", rng)
    return read_sky(path, rng=rng, yearly=yearly, fine=True)


def listed(places: Sequence[tuple[float, float]]) -> Catalog:
    """A catalog of Galactic places, as if a search had found them."""
    lon, lat = np.array(places, float).T
    size = np.full(len(lon), ERROR_DEG)
    none = np.zeros(len(lon))
    return build_catalog(
        Candidates(lon % 360.0, lat, np.ones(len(lon)), size, size, none, none.astype(bool))
    )


def separation_deg(table: Table, place: tuple[float, float]) -> np.ndarray:
    """Degrees (N,) of the rows of a table from a Galactic place."""
    vectors = lonlat_to_vectors(np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float))
    there = lonlat_to_vectors(np.asarray(place[0]), np.asarray(place[1]))
    return np.degrees(np.arccos(np.clip(vectors @ there, -1.0, 1.0)))
