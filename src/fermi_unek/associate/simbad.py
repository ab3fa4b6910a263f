"""SIMBAD: objects of the types that shine in gamma rays, in cones around the sources."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
from astropy.table import Table

from .answers import failures_told
from .asking import Asker, Kept, TooMany, ask_in_batches, joined
from .records import Kind, Objects, Places, Surroundings
from .tables import objects_of, text
from .timeouts import with_timeout

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

    def __init__(self, asker: Asker, url: str = SIMBAD_URL) -> None:
        self.asker = asker
        self.url = url.rstrip("/")

    def look_up(self, places: Places) -> Surroundings:
        """What lies in cones around the places."""
        reach = np.maximum(CONE_DEG, 6.0 * places.semimajor95_deg)

        def ask(batch: np.ndarray) -> Kept:
            cones = np.stack([places.ra_deg[batch], places.dec_deg[batch], reach[batch]])
            query = {
                "service": self.name,
                "url": self.url,
                "types": sorted(CLASSES),
                "cones": np.round(cones, 6).tolist(),
            }
            return self.asker.ask(query, lambda: self._send(cones))

        answers = ask_in_batches(np.arange(len(places)), BATCH, ask, self.asker.progress, self.name)
        objects, asked, note = joined(answers, self.asker.cache)
        return Surroundings(objects, reach, False, asked, note)

    def _send(self, cones: np.ndarray) -> Objects:
        from pyvo.dal import DALOverflowWarning

        types = ", ".join(f"'{one}'" for one in CLASSES)
        # the form in which astroquery itself asks for many cones
        adql = (
            "SELECT DISTINCT basic.main_id, basic.ra, basic.dec, basic.otype "
            "FROM (SELECT ra, dec, radius FROM TAP_UPLOAD.places) AS places, basic "
            "WHERE CONTAINS(POINT('ICRS', basic.ra, basic.dec), "
            "CIRCLE('ICRS', places.ra, places.dec, places.radius)) = 1 "
            f"AND basic.otype IN ({types})"
        )
        table = Table(list(cones), names=("ra", "dec", "radius"))
        with failures_told(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DALOverflowWarning)
            try:
                found = self._client.query_tap(adql, maxrec=MOST_ROWS, places=table)
            except DALOverflowWarning:
                raise TooMany("the service left out objects") from None
            return objects_of(found, self.name, name_column="main_id", class_of=_classes)

    @cached_property
    def _client(self) -> Any:
        from astroquery.simbad import SimbadClass
        from pyvo.dal import TAPService

        timeout_s, url = self.asker.patience.timeout_s, self.url

        class Client(SimbadClass):
            """astroquery's, at any address and with an end to its waiting."""

            # astroquery would ask the service for it first
            hardlimit = MOST_ROWS

            @cached_property
            def tap(self) -> Any:
                session = with_timeout(self._session, timeout_s)
                return TAPService(f"{url}/simbad/sim-tap", session=session)

        return Client()


def _classes(table: Table, names: np.ndarray) -> np.ndarray:
    return np.array([CLASSES.get(one, "") for one in text(table["otype"])], dtype="U10")
