"""Catalogs at VizieR: small ones fetched whole, large ones in cones around the sources."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..errors import InputError
from .client import CachedResponse, Client, joined, send_in_batches
from .local import LOCAL_RADIUS_DEG
from .records import Kind, Objects, Places, ServiceFailure, Surroundings
from .responses import read_votable, transient_errors
from .sessions import guarded
from .tables import ClassOf, numbers, objects_of, text

VIZIER_URL = "https://vizier.cds.unistra.fr"

CONE_DEG = 1.0
"""Least radius of a cone, wide enough to count the density of a large catalog."""

TYPICAL_GAMMA_ERROR_DEG = 0.066
"""95% radius of 4FGL's sources where a table does not give it: the median of 4FGL-DR4."""

BATCH = 50
"""Cones asked for at once."""


def bzcat_classes(table: Table, names: np.ndarray) -> np.ndarray:
    """5BZB and 5BZG are BL Lacs (G: of the host galaxy's colour), 5BZQ FSRQs, 5BZU unsure."""
    kinds = {"B": "bll", "G": "bll", "Q": "fsrq", "U": "bcu"}
    found = [re.match(r"5?BZ([BGQU])", name) for name in names]
    return np.array([kinds[m.group(1)] if m else "bcu" for m in found], dtype="U10")


def milliquas_classes(table: Table, names: np.ndarray) -> np.ndarray:
    """BL Lacs by B, radio-loud quasars (R) as blazar candidates, the rest as active galaxies."""
    column = next((c for c in ("Type", "type", "Descrip") if c in table.colnames), None)
    kinds = text(table[column]) if column else np.full(len(names), "")
    return np.array(
        ["bll" if "B" in k else "bcu" if "R" in k else "agn" for k in kinds], dtype="U10"
    )


def pulsar_classes(table: Table, names: np.ndarray) -> np.ndarray:
    """Millisecond pulsars are those below 30 ms, as in 4FGL-DR3."""
    period = numbers(table["P0"]) if "P0" in table.colnames else np.full(len(names), np.nan)
    return np.where(period < 0.03, "msp", "psr")


@dataclass(frozen=True)
class VizierTable:
    """A table at VizieR, and how its rows are read.

    Attributes
    ----------
    name : str
        Of the service.
    table : str
        VizieR's name; of a whole catalog, all its tables with positions are taken.
    class_of : callable or str or None
        As in `tables.objects_of`.
    prefix : str
        Put before names.
    name_column : str or None
        Where it is not the one marked as the main identifier.
    diameter_column : str or None
        Column of diameters in minutes of arc; half of it becomes the position error.
    kind : {"counterpart", "gamma"}
    cones : bool
        Whether it is too large to be fetched whole.
    """

    name: str
    table: str
    class_of: ClassOf | str | None = None
    prefix: str = ""
    name_column: str | None = None
    diameter_column: str | None = None
    kind: Kind = "counterpart"
    cones: bool = False


VIZIER_TABLES = (
    VizierTable("4FGL_DR4", "IX/72/4fgldr4", prefix="4FGL ", kind="gamma"),
    VizierTable("4FGL_DR3", "IX/67/4fgldr3", prefix="4FGL ", kind="gamma"),
    VizierTable("4FGL", "J/ApJS/247/33/4fgl", prefix="4FGL ", kind="gamma"),
    VizierTable("5BZCAT", "VII/274/bzcat5", bzcat_classes),
    VizierTable("3HSP", "J/A+A/632/A77", "bll", prefix="3HSP"),
    VizierTable("CRATES", "J/ApJS/171/61/table5", "bcu", prefix="CRATES "),
    VizierTable("WIBRaLS", "J/ApJS/242/4", "bcu", prefix="WISE "),
    VizierTable("MQC", "VII/294/catalog", milliquas_classes, cones=True),
    VizierTable("ATNF", "B/psr/psr", pulsar_classes, prefix="PSR ", name_column="PSRJ"),
    VizierTable("SNR", "VII/297/snrs", "snr", prefix="SNR ", diameter_column="MajDiam"),
    VizierTable("GLC", "VII/202/catalog", "glc", name_column="ID"),
)
"""4FGL releases (DR4, DR3, DR1), 5BZCAT (Massaro+ 2015), 3HSP (Chang+ 2019), CRATES (Healey+
2007), WIBRaLS2 and KDEBLLACS (D'Abrusco+ 2019), Milliquas v8 (Flesch 2023), the ATNF pulsars,
Green's supernova remnants (2024) and Harris' globular clusters (1997)."""


class Vizier:
    """One table at VizieR as a service, see `Service`."""

    def __init__(self, table: VizierTable, client: Client, url: str = VIZIER_URL) -> None:
        self.name = table.name
        self.kind = table.kind
        self.table = table
        self.client = client
        self.url = url.rstrip("/")

    def look_up(self, places: Places) -> Surroundings:
        """The whole table, or what lies in cones around the places."""
        if self.table.cones:
            return self._cones(places)
        query = {"service": self.name, "url": self.url, "table": self.table.table}
        cached = self.client.send(query, self._whole)
        objects, asked, note = joined([cached], self.client.cache)
        reach = np.maximum(LOCAL_RADIUS_DEG, 6.0 * places.semimajor95_deg)
        return Surroundings(objects, reach, True, asked, note)

    def _cones(self, places: Places) -> Surroundings:
        reach = np.maximum(CONE_DEG, 6.0 * places.semimajor95_deg)

        def send(batch: np.ndarray) -> CachedResponse:
            # VizieR takes one radius for all positions of a query
            radius = float(reach[batch].max())
            ra, dec = places.ra_deg[batch], places.dec_deg[batch]
            query = {
                "service": self.name,
                "url": self.url,
                "table": self.table.table,
                "radius": round(radius, 6),
                "positions": np.round(np.stack([ra, dec]), 6).tolist(),
            }
            return self.client.send(
                query, lambda: self._around(SkyCoord(ra, dec, unit="deg"), radius)
            )

        # the widest go together
        answers = send_in_batches(
            np.argsort(reach, kind="stable"), BATCH, send, self.client.progress, self.name
        )
        objects, asked, note = joined(answers, self.client.cache)
        return Surroundings(objects, reach, False, asked, note)

    def _whole(self) -> Objects:
        return self._send(lambda archive: archive.get_catalogs_async(self.table.table), empty=False)

    def _around(self, positions: SkyCoord, radius_deg: float) -> Objects:
        return self._send(
            lambda archive: archive.query_region_async(
                positions, radius=f"{radius_deg}d", catalog=self.table.table, cache=False
            ),
            empty=True,
        )

    def _send(self, send: Callable[..., Any], empty: bool) -> Objects:
        from astroquery import cache_conf
        from astroquery.vizier import VizierClass

        url = self.url

        class Archive(VizierClass):
            """astroquery's, at any address."""

            def _server_to_url(self, return_type: str = "votable") -> str:
                return f"{url}/viz-bin/{return_type}"

        # positions in degrees are computed by VizieR, whatever the table has
        archive = Archive(
            columns=["*", "_RAJ2000", "_DEJ2000"],
            row_limit=-1,
            timeout=self.client.retry.timeout_s,
        )
        guarded(archive._session, self.client.retry.timeout_s)
        with transient_errors(), cache_conf.set_temp("cache_active", False):
            response = send(archive)
            response.raise_for_status()
            tables = read_votable(response.content)
            return self._objects(tables, empty)

    def _objects(self, tables: list[Table], empty: bool) -> Objects:
        parts, complaint = [], "no rows"
        for table in tables:
            try:
                objects = objects_of(
                    table,
                    self.table.table,
                    name_column=self.table.name_column,
                    class_of=self.table.class_of,
                    prefix=self.table.prefix,
                )
            except InputError as error:  # notes and references beside the table itself
                complaint = str(error)
                continue
            parts.append(self._sized(table, objects))
        if not parts and not (empty and not tables):
            raise ServiceFailure(f"{self.table.table} has no objects with positions: {complaint}")
        return Objects.joined(parts)

    def _sized(self, table: Table, objects: Objects) -> Objects:
        """Objects with the errors that the table does not give in the usual way."""
        if self.kind == "gamma" and not objects.error95_deg.any():
            return replace(objects, error95_deg=np.full(len(objects), TYPICAL_GAMMA_ERROR_DEG))
        column = self.table.diameter_column
        if column is None or column not in table.colnames or len(table) != len(objects):
            return objects
        radius = np.nan_to_num(numbers(table[column])).clip(0.0) / 120.0
        return replace(objects, error95_deg=radius)
