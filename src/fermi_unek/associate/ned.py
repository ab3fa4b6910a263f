"""NED: quasars, radio sources, pulsars and remnants around one source after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .client import CachedResponse, Client, joined, send_in_batches
from .records import Kind, Objects, Places, Surroundings
from .responses import read_votable, transient_errors
from .sessions import guarded
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

    def __init__(self, client: Client, url: str = NED_URL) -> None:
        self.client = client
        self.url = url.rstrip("/")

    def look_up(self, places: Places) -> Surroundings:
        """What lies in cones around the places."""
        reach = np.clip(REACH * places.semimajor95_deg, *CONE_DEG)

        def send(place: np.ndarray) -> CachedResponse:
            ra, dec, radius = (float(v[place[0]]) for v in (places.ra_deg, places.dec_deg, reach))
            query = {
                "service": self.name,
                "url": self.url,
                "types": sorted(CLASSES),
                "cone": [round(ra, 6), round(dec, 6), round(radius, 6)],
            }
            return self.client.send(query, lambda: self._send(ra, dec, radius))

        answers = send_in_batches(np.arange(len(places)), 1, send, self.client.progress, self.name)
        objects, asked, note = joined(answers, self.client.cache)
        return Surroundings(objects, reach, False, asked, note)

    def _send(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Objects:
        from astroquery.ipac.ned import NedClass

        url, timeout_s = self.url, self.client.retry.timeout_s

        class Archive(NedClass):
            """astroquery's, at any address and with an end to its waiting."""

            def _request(self, method: str, url_: str = "", **options: Any) -> Any:
                options |= {"timeout": timeout_s, "cache": False}
                options.pop("url", None)
                return super()._request(method, f"{url}/cgi-bin/objsearch", **options)

        archive = Archive()
        guarded(archive._session, timeout_s)
        with transient_errors():
            response = archive.query_region_async(
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
    return np.array([CLASSES.get(kind, "") for kind in kinds], dtype="U10")
