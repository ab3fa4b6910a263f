"""Simulated fields for the studies of measured rows: photons in memory, and true lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog import Candidates, Catalog, build_catalog
from fermi_unek.irf.instrument import Instrument, ResponseTables, load_instrument
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
    region: tuple[float, float, float],
    rng: np.random.Generator,
    folder: Path,
    *,
    factors: np.ndarray | None = None,
    yearly: bool = False,
) -> SkyCounts:
    """Photons of a circle (Galactic degrees) as they are read from a photon file."""
    photons = simulate_photons(model, years, rng, region, factors=factors)
    path = write_ft1(photons, folder / "photons.fits", rng)
    return read_sky(path, rng=rng, yearly=yearly, fine=True)


def faithful_lat() -> Instrument:
    """The LAT as the likelihood knows it, for skies that it is judged on.

    The simulator draws energies evenly between the outermost two quantiles of the dispersion, the
    ends of the CALDB tables, which moves a percent of a steep spectrum to energies where it has no
    photons. In the Galactic plane that percent of the diffuse emission is as much as a source. Here
    the outermost quantiles are where the draw has the mean of the falling tail that
    `ResponseTables.fractions_within` has.
    """
    shipped = load_instrument()
    return replace(shipped, front=_with_short_tails(shipped.front),
                   back=_with_short_tails(shipped.back))  # fmt: skip


def _with_short_tails(tables: ResponseTables) -> ResponseTables:
    quantiles = tables.dispersion.copy()
    quantiles[:, 0] = np.maximum(3.0 * quantiles[:, 1] - 2.0 * quantiles[:, 2], 0.05)
    quantiles[:, -1] = 3.0 * quantiles[:, -2] - 2.0 * quantiles[:, -3]
    return replace(tables, dispersion=quantiles)


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
