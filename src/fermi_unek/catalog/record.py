"""`Catalog`: the table of sources with the header that says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Row, Table
from mocpy import MOC

from ..errors import InputError
from ..sky.bins import COVERAGE_ORDER
from ..sky.geometry.frame import lonlat_to_vectors
from .moc import mask_to_moc
from .schema import COLUMNS, DEFAULT_YEAR_EDGES_MET

if TYPE_CHECKING:
    from regions import Regions

SHOWN = (
    *("Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Conf_95_SemiMajor", "Probability"),
    *("CLASS1", "Fake", "ASSOC_FGL", "Nearest_FGL", "Sep_FGL"),
)
"""Columns that a notebook shows of a catalog."""

HeaderValue = str | int | float | bool


@dataclass(frozen=True, repr=False, eq=False)
class Catalog:
    """Sources in the schema of `catalog.schema`, sorted by right ascension; may be empty.

    ``catalog[0]`` and ``catalog["UNEK J0534.5+2201"]`` are rows, ``catalog["Flux1000"]`` is a
    column, ``catalog[catalog["Probability"] > 0.6]`` and slices are catalogs.

    Attributes
    ----------
    table : astropy Table
        Every column of `COLUMNS`; more may follow them.
    header : mapping
        Provenance: name to text, number or bool.
    coverage : bool array (12 * 4**COVERAGE_ORDER,) or None
        NESTED Galactic mask of what was searched; None is the whole sky.
    year_edges_met : float array (n_years + 1,)
        Edges of the history columns, mission elapsed seconds.
    period_edges_met : float array (n_periods + 1,) or None
        Edges of the light curves of other periods, where there are any.
    extended : astropy Table or None
        Columns of `EXTENDED_COLUMNS`, of the sources that a fit found extended; rows name them in
        Extended_Source_Name.
    """

    table: Table
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    coverage: np.ndarray | None = None
    year_edges_met: np.ndarray = field(default_factory=lambda: DEFAULT_YEAR_EDGES_MET.copy())
    period_edges_met: np.ndarray | None = None
    extended: Table | None = None

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

    @classmethod
    def read(cls, path: str | Path) -> Catalog:
        """A catalog file that this package wrote; `InputError` when it is none."""
        from .io import read_catalog

        return read_catalog(path)

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write a FITS file that gammapy and fermipy open like 4FGL.

        Parameters
        ----------
        path : str or Path
            Must end in .fits or .fit.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        OutputError
            For another suffix, an existing file, or a place that cannot be written to.
        """
        from .io import write_catalog

        write_catalog(self, path, overwrite=overwrite)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(
        self, key: int | str | slice | list[int] | list[bool] | np.ndarray
    ) -> Row | Column | Catalog:
        """A row by number or name, a column by name, or a catalog of some of the rows.

        Raises
        ------
        IndexError, KeyError
            There is no such row, or neither a source nor a column of that name.
        """
        if isinstance(key, str):
            if key in self.table.colnames:
                return self.table[key]
            rows = np.flatnonzero(np.asarray(self.table["Source_Name"]) == key)
            if not rows.size:
                raise KeyError(f"no source and no column is called {key!r}")
            return self.table[int(rows[0])]
        if isinstance(key, (int, np.integer)):
            return self.table[int(key)]
        return replace(self, table=self.table[key])

    def __repr__(self) -> str:
        fake = int(np.count_nonzero(self.table["Fake"]))
        plural = "" if len(self) == 1 else "s"
        chosen = int(np.count_nonzero(self.table["Selected"]))
        return f"<Catalog: {len(self)} source{plural}, {chosen} selected, {fake} likely fake>"

    def _repr_html_(self) -> str:
        return f"<p>{repr(self)[1:-1]}</p>{self.table[list(SHOWN)]._repr_html_()}"

    @property
    def selected(self) -> Catalog:
        """The list of the purity that was asked for: rows that are `Selected`."""
        return self[np.asarray(self.table["Selected"], bool)]

    @property
    def regions(self) -> Regions:
        """95% error ellipses (N,), points where there is none, with the sources' names."""
        from regions import Regions

        from .regions import ds9_text

        return Regions.parse(ds9_text(self), format="ds9")

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
        """Whether places lie in what was searched, and no nearer to its edge than a margin.

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
        inside = np.ones(np.shape(lon_deg), dtype=bool)
        if self.coverage is None:
            return inside
        lon = np.radians(lon_deg)
        place = lonlat_to_vectors(lon_deg, lat_deg)
        east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
        north = np.cross(place, east)
        # the place itself, and 16 points at the margin and 8 at half of it
        rings = [(0.0, 1), (margin_deg, 16), (margin_deg / 2, 8)] if margin_deg > 0 else [(0.0, 1)]
        for radius, count in rings:
            for angle in 2.0 * np.pi / count * np.arange(count):
                aside = np.cos(angle) * north + np.sin(angle) * east
                there = np.cos(np.radians(radius)) * place + np.sin(np.radians(radius)) * aside
                inside &= self.coverage[hp.vec2pix(2**COVERAGE_ORDER, *there.T, nest=True)]
        return inside
