"""SIMBAD: objects of the types that shine in gamma rays, in cones around the sources."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
from astropy.table import Table

from .client import CachedResponse, Client, TooManyRows, joined, send_in_batches
from .records import Kind, Objects, Places, Surroundings
from .responses import transient_errors
from .sessions import guarded
from .tables import objects_of, text

SIMBAD_URL = "https://simbad.cds.unistra.fr"

CONE_DEG = 1.0
"""Least radius of a cone, wide enough to count densities."""

BATCH = 100
"""Cones asked for at once."""

MOST_ROWS = 100_000
"""Rows asked for at once; where there are more the batch is halved."""

CLASSES = {
    "BLL": "bll",
    "BL?": "bll",
    "Bla": "bcu",
    "Bz?": "bcu",
    "QSO": "agn",
    "AGN": "agn",
    "Sy1": "sey",
    "Sy2": "sey",
    "SyG": "sey",
    "rG": "rdg",
    "Psr": "psr",
    "SNR": "snr",
    "SR?": "snr",
    "GlC": "glc",
    "HXB": "hmb",
    "LXB": "lmb",
    "No*": "nov",
    "SBG": "sbg",
}
"""Object type of SIMBAD to class of 4FGL. Gamma-ray sources themselves are not asked for."""


class Simbad:
    """SIMBAD as a service, see `Service`."""

    name = "SIMBAD"
    kind: Kind = "counterpart"

    def __init__(self, client: Client, url: str = SIMBAD_URL) -> None:
        self.client = client
        self.url = url.rstrip("/")

    def look_up(self, places: Places) -> Surroundings:
        """What lies in cones around the places."""
        reach = np.maximum(CONE_DEG, 6.0 * places.semimajor95_deg)

        def send(batch: np.ndarray) -> CachedResponse:
            cones = np.stack([places.ra_deg[batch], places.dec_deg[batch], reach[batch]])
            query = {
                "service": self.name,
                "url": self.url,
                "types": sorted(CLASSES),
                "cones": np.round(cones, 6).tolist(),
            }
            return self.client.send(query, lambda: self._send(cones))

        answers = send_in_batches(
            np.arange(len(places)), BATCH, send, self.client.progress, self.name
        )
        objects, asked, note = joined(answers, self.client.cache)
        return Surroundings(objects, reach, False, asked, note)

    def _send(self, cones: np.ndarray) -> Objects:
        from pyvo.dal import DALOverflowWarning

        types = ", ".join(f"'{kind}'" for kind in CLASSES)
        # the form in which astroquery itself asks for many cones; the types are the package's own
        adql = (
            "SELECT DISTINCT basic.main_id, basic.ra, basic.dec, basic.otype "
            "FROM (SELECT ra, dec, radius FROM TAP_UPLOAD.places) AS places, basic "
            "WHERE CONTAINS(POINT('ICRS', basic.ra, basic.dec), "
            "CIRCLE('ICRS', places.ra, places.dec, places.radius)) = 1 "
            f"AND basic.otype IN ({types})"  # nosec B608
        )
        table = Table(list(cones), names=("ra", "dec", "radius"))
        with transient_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DALOverflowWarning)
            try:
                found = self._archive.query_tap(adql, maxrec=MOST_ROWS, places=table)
            except DALOverflowWarning:
                raise TooManyRows("the service left out objects") from None
            return objects_of(found, self.name, name_column="main_id", class_of=_classes)

    @cached_property
    def _archive(self) -> Any:
        from astroquery.simbad import SimbadClass
        from pyvo.dal import TAPService

        timeout_s, url = self.client.retry.timeout_s, self.url

        class Archive(SimbadClass):
            """astroquery's, at any address and with an end to its waiting."""

            # astroquery would ask the service for it first
            hardlimit = MOST_ROWS

            @cached_property
            def tap(self) -> Any:
                session = guarded(self._session, timeout_s)
                return TAPService(f"{url}/simbad/sim-tap", session=session)

        return Archive()


def _classes(table: Table, names: np.ndarray) -> np.ndarray:
    return np.array([CLASSES.get(kind, "") for kind in text(table["otype"])], dtype="U10")
