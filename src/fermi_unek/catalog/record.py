"""`Catalog`: the table of sources with the header that says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from mocpy import MOC

from ..errors import InputError
from ..sky.bins import COVERAGE_ORDER
from ..sky.geometry.frame import lonlat_to_vectors
from .moc import mask_to_moc
from .schema import COLUMNS, DEFAULT_YEAR_EDGES_MET

HeaderValue = str | int | float | bool


@dataclass(frozen=True)
class Catalog:
    """Sources in the schema of `catalog.schema`, sorted by right ascension; may be empty.

    Attributes
    ----------
    table : astropy Table
        Every column of `COLUMNS`; more may follow them.
    header : mapping
        Provenance: name to text, number or bool.
    coverage : bool array (12 * 4**COVERAGE_ORDER,) or None
        NESTED Galactic mask of where was looked; None is the whole sky.
    year_edges_met : float array (n_years + 1,)
        Edges of the history columns, mission elapsed seconds.
    """

    table: Table
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    coverage: np.ndarray | None = None
    year_edges_met: np.ndarray = field(default_factory=lambda: DEFAULT_YEAR_EDGES_MET.copy())

    def __post_init__(self) -> None:
        missing = [c.name for c in COLUMNS if c.name not in self.table.colnames]
        if missing:
            raise InputError(
                f"not a fermi_unek catalog: the table has no column {', '.join(missing[:5])}"
            )
        n_years = np.shape(self.table["Flux_History"])[1:]
        if n_years != (len(self.year_edges_met) - 1,) or np.any(np.diff(self.year_edges_met) <= 0):
            raise InputError(
                f"catalog histories have {n_years} years, the year edges must be one more and grow "
                f"(got {len(self.year_edges_met)})"
            )
        if self.coverage is not None and self.coverage.shape != (12 * 4**COVERAGE_ORDER,):
            raise InputError(
                f"catalog coverage has shape {self.coverage.shape}, expected "
                f"{(12 * 4**COVERAGE_ORDER,)}"
            )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def positions(self) -> SkyCoord:
        """ICRS positions (N,)."""
        return SkyCoord(
            np.asarray(self.table["RAJ2000"], float),
            np.asarray(self.table["DEJ2000"], float),
            unit="deg",
        )

    @property
    def moc(self) -> MOC | None:
        """The part of the sky that was searched, for mocpy; None is all of it."""
        return None if self.coverage is None else mask_to_moc(self.coverage)

    def covers(
        self, lon_deg: np.ndarray, lat_deg: np.ndarray, margin_deg: float = 0.0
    ) -> np.ndarray:
        """Whether places lie where was looked, and no nearer to its edge than a margin.

        Parameters
        ----------
        lon_deg, lat_deg : arrays (N,)
            Galactic degrees.
        margin_deg : float
            Distance kept from the edge; resolved to about 0.1 deg.

        Returns
        -------
        bool array (N,)
        """
        vectors = lonlat_to_vectors(np.asarray(lon_deg, float), np.asarray(lat_deg, float))
        inside = np.ones(len(vectors), dtype=bool)
        if self.coverage is None:
            return inside
        for points in _ring(vectors, margin_deg):
            inside &= self.coverage[hp.vec2pix(2**COVERAGE_ORDER, *points.T, nest=True)]
        return inside


def _ring(vectors: np.ndarray, radius_deg: float) -> list[np.ndarray]:
    """Each position itself, and 16 points at the radius and 8 at half of it."""
    points = [vectors]
    if radius_deg > 0 and len(vectors):
        # any axis not parallel to the position gives a frame of its tangent plane
        helper = np.where(np.abs(vectors[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
        first = np.cross(helper, vectors)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = np.cross(vectors, first)
        for share, count in ((1.0, 16), (0.5, 8)):
            radius = np.radians(radius_deg * share)
            for angle in 2 * np.pi * np.arange(count) / count:
                sideways = np.cos(angle) * first + np.sin(angle) * second
                points.append(np.cos(radius) * vectors + np.sin(radius) * sideways)
    return points
