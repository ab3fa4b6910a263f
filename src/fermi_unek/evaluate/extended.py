"""Detections inside extended sources, which should be one or none and flagged, not a swarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Table

from ..catalog.record import Catalog
from ..catalog.schema import FLAG_IN_EXTENDED

EXTENSION = "EXTENDED"
"""Extension of a truth file, and entry of a truth table's meta, that lists them."""


@dataclass(frozen=True)
class Extended:
    """Extended sources of a sky.

    Attributes
    ----------
    names : str array (K,)
    lon_deg, lat_deg : float arrays (K,)
        Galactic degrees.
    extent_deg : float array (K,)
        Semimajor axis.
    """

    names: np.ndarray
    lon_deg: np.ndarray
    lat_deg: np.ndarray
    extent_deg: np.ndarray

    @classmethod
    def of_truth(cls, truth: Table) -> Extended:
        """Those of a simulated sky; none where its truth lists none."""
        table = truth.meta.get(EXTENSION)
        if table is None:
            none = np.zeros(0)
            return cls(np.zeros(0, "U24"), none, none, none)
        names = np.char.strip(np.asarray(table["Extended_Source_Name"]).astype("U24"))
        places = (np.asarray(table[n], float) for n in ("GLON", "GLAT", "Model_SemiMajor"))
        return cls(names, *places)

    def holds(self, lon_deg: np.ndarray, lat_deg: np.ndarray, least_deg: float) -> np.ndarray:
        """Bool (K, M): which of M places lie within the extent, or the least radius if larger."""
        centres = (np.radians(values)[:, None] for values in (self.lon_deg, self.lat_deg))
        places = (np.radians(values)[None] for values in (lon_deg, lat_deg))
        distance = np.degrees(angular_separation(*centres, *places))
        inside: np.ndarray = distance <= np.maximum(self.extent_deg, least_deg)[:, None]
        return inside

    def table(self, catalog: Catalog, least_deg: float, margin_deg: float) -> Table:
        """One row an extended source that lies a margin inside where the catalog looked.

        n_inside detections lie within the extent, or the least radius where it is larger;
        n_flagged of them are flagged as inside an extended source.
        """
        lon, lat = (np.asarray(catalog.table[name], float) for name in ("GLON", "GLAT"))
        inside = self.holds(lon, lat, least_deg)
        flagged = (np.asarray(catalog.table["Flags"]) & FLAG_IN_EXTENDED) != 0
        counted = catalog.covers(self.lon_deg, self.lat_deg, margin_deg)
        return Table(
            {
                "Extended_Source_Name": self.names,
                "GLON": self.lon_deg,
                "GLAT": self.lat_deg,
                "Extent_deg": self.extent_deg,
                "n_inside": inside.sum(axis=1),
                "n_flagged": (inside & flagged).sum(axis=1),
            }
        )[counted]


def extended_lines(table: Table) -> list[str]:
    """A table of `Extended.table` in a line; none where it has no row."""
    if not len(table):
        return []
    inside, flagged = (np.asarray(table[name]) for name in ("n_inside", "n_flagged"))
    worst = table[int(inside.argmax())]
    return [
        f"  extended sources: {len(table)}, with no detection inside {(inside == 0).sum()}, with "
        f"one {(inside == 1).sum()}, with more {(inside > 1).sum()} (most: "
        f"{worst['Extended_Source_Name']}, {worst['n_inside']}); {flagged.sum()} of "
        f"{inside.sum()} are flagged"
    ]
