"""gammapy's face: an estimator that finds sources in datasets, and our catalogs as its own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import CATALOG_REGISTRY, SourceCatalog4FGL, SourceCatalogObject4FGL
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator
from gammapy.maps import WcsNDMap
from gammapy.modeling.models import Models, PowerLawSpectralModel
from gammapy.utils.registry import Registry
from gammapy.utils.table import table_row_to_dict, table_standardise_units_inplace

from ..catalog.io import write_catalog
from ..catalog.models import START, measured_spectrum
from ..catalog.schema import CLASSES, FLAG_NEAR_EDGE, PROBABILITY_COLUMNS
from ..config import FindConfig, build
from ..pipeline import search
from .maps import read_datasets

if TYPE_CHECKING:
    from gammapy.modeling.models import SpectralModel
    from regions import EllipseSkyRegion, PointSkyRegion

    from ..catalog import Catalog


def register() -> None:
    """Let gammapy find the classes of this module by their tags; more calls change nothing.

    ``ESTIMATOR_REGISTRY.get_cls("UNEKSourceEstimator")`` and
    ``CATALOG_REGISTRY.get_cls("unek")`` work afterwards.
    """
    _register(ESTIMATOR_REGISTRY, UNEKSourceEstimator)
    _register(CATALOG_REGISTRY, SourceCatalogUNEK)


def _register(registry: Registry, newest: Any) -> None:
    # by tag: a reloaded module has other classes of the same names
    registry[:] = [catalog for catalog in registry if getattr(catalog, "tag", None) != newest.tag]
    registry.append(newest)


class SourceTable(Table):
    """What `UNEKSourceEstimator.run` returns; parts of it by row or by mask are of its kind.

    The columns of `gammapy.estimators.utils.find_peaks` come first (``value`` is the
    probability; ``x`` and ``y`` are pixels of the first dataset, NaN for HEALPIX), then those
    of the catalog. `meta` holds the provenance.
    """

    def to_models(self) -> Models:
        """One `SkyModel` a row, in order; see `SourceCatalogObjectUNEK.spectral_model`."""
        sources = [SourceCatalogObjectUNEK(table_row_to_dict(row)) for row in self]
        return Models([source.sky_model() for source in sources])


class UNEKSourceEstimator(Estimator):
    """Find point sources in datasets of Fermi-LAT counts with the network.

    Parameters
    ----------
    selected_only : bool
        Whether `run` leaves out candidates that are not in the list of the purity asked for.
    **config
        Settings of `fermi_unek.FindConfig`: ``threshold``, ``centers``, ``region``, ``model``,
        ``evtype``, ``seed``, ``reference`` and the others.

    Raises
    ------
    ConfigError
        A key is unknown or its value out of range.
    """

    tag = "UNEKSourceEstimator"

    def __init__(self, selected_only: bool = True, **config: Any) -> None:
        self.selected_only = selected_only
        self.config = build(FindConfig, config, self.tag)

    @property
    def config_parameters(self) -> dict[str, Any]:
        """Settings by name."""
        return {"selected_only": self.selected_only, **dict(self.config)}

    def run(self, datasets: Any) -> SourceTable:
        """Sources in one dataset or several, whose counts are added up.

        Parameters
        ----------
        datasets : MapDataset, Datasets or list
            Counts on WCS maps or in HEALPIX pixels. Energies are summed into the network's
            bins; models, exposure and PSF of the datasets are not used.

        Returns
        -------
        SourceTable
            Sorted by falling probability; of no rows when nothing was found.

        Raises
        ------
        InputError
            No counts on a map, an energy axis coarser than the network's bins or outside of
            them, counts that are no whole numbers, everything masked.

        Warns
        -----
        UnekWarning
            Energy edges that do not line up, bins covered in part, counts that are not known
            to be FRONT (say ``evtype="front"`` when they are).
        """
        datasets = _as_list(datasets)
        catalog = self.search(datasets)
        chosen = catalog.selected if self.selected_only else catalog
        return _source_table(chosen, datasets[0].counts)

    def search(self, datasets: Any) -> Catalog:
        """As `run`, as the record that `fermi_unek.catalog.write_catalog` writes."""
        return search(read_datasets(_as_list(datasets), self.config), self.config)


def _as_list(datasets: Any) -> list[Any]:
    """One dataset or several as a list; `Datasets` is a sequence of them."""
    return list(datasets) if isinstance(datasets, Sequence) else [datasets]


def _source_table(catalog: Catalog, counts: Any) -> SourceTable:
    found = catalog.table
    here = SkyCoord(found["RAJ2000"].quantity, found["DEJ2000"].quantity, frame="icrs")
    table = SourceTable()
    table["value"] = np.asarray(found["Probability"])
    if isinstance(counts, WcsNDMap):
        x, y = counts.geom.to_image().coord_to_pix(here)
        table["x"], table["y"] = np.rint(x).astype(int), np.rint(y).astype(int)
    else:
        table["x"], table["y"] = np.full((2, len(found)), np.nan)
    table["ra"], table["dec"] = here.ra, here.dec
    table["ra"].format = table["dec"].format = table["value"].format = ".5f"
    for name in found.colnames:
        table[name] = found[name]
    table_standardise_units_inplace(table)
    table.meta.update(catalog.header)
    table.sort("value", reverse=True)
    return table


class SourceCatalogObjectUNEK(SourceCatalogObject4FGL):
    """One source of a catalog of ours, a 4FGL source with what the networks say of it."""

    @property
    def probability(self) -> float:
        """The network's probability of a source, 0 to 1."""
        return float(self.data["Probability"])

    @property
    def is_fake(self) -> bool:
        """Whether it was taken for a fluctuation of the background."""
        return bool(self.data["Fake"])

    @property
    def near_edge(self) -> bool:
        """Whether it lies within half a degree of where the data end."""
        return bool(int(self.data["Flags"]) & FLAG_NEAR_EDGE)

    @property
    def class_probabilities(self) -> dict[str, float]:
        """Probability of bll, fsrq, psr, pwn and fake; all NaN where not classified."""
        pairs = zip(CLASSES, PROBABILITY_COLUMNS, strict=True)
        return {name: float(self.data[column]) for name, column in pairs}

    @property
    def region(self) -> EllipseSkyRegion | PointSkyRegion:
        """The 95% error ellipse; the position alone where the error is not known."""
        from regions import EllipseSkyRegion, PointSkyRegion

        minor, major, angle = (
            u.Quantity(self.data[f"Conf_95_{name}"], "deg")
            for name in ("SemiMinor", "SemiMajor", "PosAng")
        )
        if not all(np.isfinite(axis.value) for axis in (minor, major, angle)):
            return PointSkyRegion(self.position)
        # regions lays the width along right ascension; the angle then is that from the north
        return EllipseSkyRegion(self.position, width=2 * minor, height=2 * major, angle=angle)

    def spectral_model(self) -> SpectralModel:
        """The refitted spectrum; a power law to start a fit from where there was no refit.

        The start has index 2 and 1e-13 photons / cm2 / s / MeV at 1 GeV, without errors; it
        is no measurement.
        """
        if measured_spectrum(self.data):
            return super().spectral_model()
        return PowerLawSpectralModel(
            index=START["Index"],
            amplitude=START["Prefactor"] * u.Unit("cm-2 s-1 MeV-1"),
            reference=START["Scale"] * u.MeV,
        )


class SourceCatalogUNEK(SourceCatalog4FGL):
    """A catalog file of ours, as gammapy has the 4FGL.

    Parameters
    ----------
    filename : str or Path
        Written by ``fermi-unek find`` or `fermi_unek.catalog.write_catalog`; may have no rows.
    """

    tag = "unek"
    description = "Point sources found by fermi_unek"
    source_object_class = SourceCatalogObjectUNEK

    def __init__(self, filename: str | Path) -> None:
        super().__init__(str(filename))
        # astropy masks what is NaN or blank in a file, which gammapy then shows as 0 or "--"
        for name in [
            column for column in self.table.colnames if hasattr(self.table[column], "mask")
        ]:
            column = self.table[name]
            self.table[name] = column.filled("" if column.dtype.kind in "US" else np.nan)

    @classmethod
    def from_catalog(cls, catalog: Catalog) -> SourceCatalogUNEK:
        """From the record in memory."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "catalog.fits"
            write_catalog(catalog, path)
            return cls(path)
