"""NED: quasars, radio sources, pulsars and remnants around one source after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .answers import failures_told, read_votable
from .asking import Asker, Kept, ask_in_batches, joined
from .records import Kind, Objects, Places, Surroundings
from .tables import objects_of, text

NED_URL = "https://ned.ipac.caltech.edu"

REACH = 4.5
"""Radius of a cone in semimajor axes: the shifted positions just fit in."""

CONE_DEG = (0.1, 1.0)
"""Least and greatest radius of a cone: NED lists ten thousand objects per square degree."""

CLASSES = {"QSO": "agn", "RadioS": "rad", "Psr": "psr", "PSR": "psr", "SNR": "snr", "Nova": "nov"}
"""Object type of NED (without the ! of the Galaxy) to class of 4FGL; other types are left out.
"rad" is none of 4FGL's: a radio source of unknown nature."""


class Ned:
    """NED as a service, see `Service`; it takes one position a query."""

    name = "NED"
    kind: Kind = "counterpart"

    def __init__(self, asker: Asker, url: str = NED_URL) -> None:
        self.asker = asker
        self.url = url.rstrip("/")

    def look_up(self, places: Places) -> Surroundings:
        """What lies in cones around the places."""
        reach = np.clip(REACH * places.semimajor95_deg, *CONE_DEG)

        def ask(one: np.ndarray) -> Kept:
            ra, dec, radius = (float(v[one[0]]) for v in (places.ra_deg, places.dec_deg, reach))
            query = {
                "service": self.name,
                "url": self.url,
                "types": sorted(CLASSES),
                "cone": [round(ra, 6), round(dec, 6), round(radius, 6)],
            }
            return self.asker.ask(query, lambda: self._send(ra, dec, radius))

        answers = ask_in_batches(np.arange(len(places)), 1, ask, self.asker.progress, self.name)
        objects, asked, note = joined(answers, self.asker.cache)
        return Surroundings(objects, reach, False, asked, note)

    def _send(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Objects:
        from astroquery.ipac.ned import NedClass

        url, timeout_s = self.url, self.asker.patience.timeout_s

        class Client(NedClass):
            """astroquery's, at any address and with our patience."""

            def _request(self, method: str, url_: str = "", **options: Any) -> Any:
                options |= {"timeout": timeout_s, "cache": False}
                options.pop("url", None)
                return super()._request(method, f"{url}/cgi-bin/objsearch", **options)

        with failures_told():
            response = Client().query_region_async(
                SkyCoord(ra_deg, dec_deg, unit="deg"), radius=radius_deg * u.deg
            )
            response.raise_for_status()
            tables = read_votable(response.content)
            if not tables:
                return Objects.empty()
            objects = objects_of(tables[0], self.name, name_column="Object Name", class_of=_classes)
        return objects.select(objects.class_ != "")


def _classes(table: Table, names: np.ndarray) -> np.ndarray:
    kinds = np.char.strip(text(table["Type"]), "!")
    return np.array([CLASSES.get(one, "") for one in kinds], dtype="U10")
