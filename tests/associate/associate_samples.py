"""Catalogs and skies made by hand for the tests of associations."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from fermi_unek.associate import Objects, Places
from fermi_unek.catalog import Candidates, build_catalog


def catalog_at(ra, dec, r68=0.04, probability=1.0):
    """A catalog of round error circles at ICRS positions; rows are sorted by right ascension."""
    sky = SkyCoord(ra, dec, unit="deg").galactic
    n = len(sky)
    error = np.broadcast_to(np.asarray(r68, float), n).copy()
    return build_catalog(
        Candidates(
            sky.l.deg, sky.b.deg, np.full(n, probability), error, error, np.zeros(n),
            np.zeros(n, bool),
        )
    )  # fmt: skip


def places_at(ra, dec, r95=0.1):
    """Places with round error circles."""
    ra = np.atleast_1d(np.asarray(ra, float))
    error = np.broadcast_to(np.asarray(r95, float), ra.shape).copy()
    dec = np.broadcast_to(np.asarray(dec, float), ra.shape).copy()
    return Places(ra, dec, error, error, np.zeros(len(ra)))


def objects_at(ra, dec, class_="bcu", error=0.0, name="object"):
    """Objects called name-0, name-1, ..."""
    ra = np.atleast_1d(np.asarray(ra, float))
    n = len(ra)
    dec = np.broadcast_to(np.asarray(dec, float), n).copy()
    names = np.array([f"{name}-{i}" for i in range(n)], dtype="U40")
    classes = np.broadcast_to(np.asarray(class_, "U10"), n).copy()
    return Objects(names, ra, dec, np.broadcast_to(float(error), n).copy(), classes)


def all_over(n, rng):
    """Right ascensions and declinations (n,) uniform on the sphere."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def table_at(ra, dec, **columns):
    """Table with ra and dec and some columns."""
    return Table({"ra": np.asarray(ra, float), "dec": np.asarray(dec, float), **columns})
