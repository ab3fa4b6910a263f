"""The likelihood of a window on the sky as a gammapy Dataset.

gammapy's MapDataset projects, convolves and interpolates on every call, and its Fit rebuilds the
lists of models. In a window around one candidate the PSF is fixed, and the expected photons are
the product of a small matrix with the fluxes: `WindowDataset` does just that. What is fitted are
gammapy's models and parameters, the statistic is gammapy's Cash (in double precision: the
compiled sum takes its logarithms in single, too rough for Minuit's steps), and Minuit is called
through gammapy. Tests compare with a MapDataset of the same photons.
"""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from gammapy.datasets import Dataset
from gammapy.modeling import Parameter, Parameters
from gammapy.modeling.models import (
    DatasetModels,
    FoVBackgroundModel,
    PointSpatialModel,
    PowerLawNormSpectralModel,
    SkyModel,
    SpectralModel,
)
from gammapy.stats import cash

from ..sky.bins import ENERGY_EDGES_MEV, N_BINS
from ..sky.geometry.frame import lonlat_to_vectors
from .pixels import BinPixels
from .spectra import SpectrumValues, index_penalty
from .templates import PointImages

NAME = "window"
BACKGROUND_REFERENCE_MEV = 1000.0
_CENTRES_MEV = np.sqrt(ENERGY_EDGES_MEV[:-1] * ENERGY_EDGES_MEV[1:])


class ModelledSource:
    """A point source of gammapy's models, and what the instrument makes of it in a window.

    Parameters
    ----------
    name : str
    lon_deg, lat_deg : float
        Galactic position; its parameters begin frozen.
    spectral : SpectralModel
    images : PointImages
    counts_per_flux : array (45, 6, G)
        Photons in each part of each bin per flux in each true-energy bin.
    """

    def __init__(
        self,
        name: str,
        lon_deg: float,
        lat_deg: float,
        spectral: SpectralModel,
        images: PointImages,
        counts_per_flux: np.ndarray,
    ) -> None:
        self.name = name
        self.spatial = PointSpatialModel(
            lon_0=lon_deg * u.deg, lat_0=lat_deg * u.deg, frame="galactic"
        )
        self.lon, self.lat = self.spatial.lon_0, self.spatial.lat_0
        self.lon.frozen = self.lat.frozen = True
        self.images = images
        self.counts_per_flux = counts_per_flux
        self._image_at: tuple[float, float] | None = None
        self._image: list[np.ndarray] = []
        self._shape_at: tuple[float, ...] | None = None
        self._shape = np.zeros(0)
        self.set_spectrum(spectral)

    def set_spectrum(self, spectral: SpectralModel) -> None:
        """Take another spectrum, free as it comes."""
        self.spectral = spectral
        self._values = SpectrumValues(spectral)
        self.amplitude = self._values.amplitude
        self._shape_at = None

    @property
    def parameters(self) -> list[Parameter]:
        """gammapy's parameters of spectrum and position."""
        return [*self._values.parameters, self.lon, self.lat]

    def vector(self) -> np.ndarray:
        """Galactic unit vector (3,) of the present position."""
        return lonlat_to_vectors(np.asarray(self.lon.value), np.asarray(self.lat.value))

    def counts(self) -> np.ndarray:
        """Photons (6, G) of the present spectrum all over the sky."""
        return np.tensordot(self._values.fine_flux(), self.counts_per_flux, axes=1)

    def npred(self) -> np.ndarray:
        """Photons (P,) in the pixels of the window, bin after bin."""
        at = (self.lon.value, self.lat.value)
        moved = at != self._image_at
        if moved:
            self._image, self._image_at = self.images.at(self.vector()), at
        shape_at = self._values.shape()
        if moved or shape_at != self._shape_at:
            counts = np.tensordot(self._values.unit_flux(), self.counts_per_flux, axes=1)
            pairs = zip(self._image, counts, strict=True)
            self._shape = np.concatenate([image @ n for image, n in pairs])
            self._shape_at = shape_at
        return self._shape * self.amplitude.value


class WindowDataset(Dataset):
    """Counts in the pixels of a window, a frozen sky, diffuse emission and some sources.

    Parameters
    ----------
    pixels : sequence of six BinPixels
        P pixels together.
    counts : array (P,)
        Photons in all pixels, bin after bin.
    frozen : array (P,)
        Expected photons of what is not fitted.
    diffuse : array (P,)
        Expected photons of the diffuse emission.
    """

    tag = "WindowDataset"
    stat_type = "cash"

    def __init__(
        self,
        pixels: Sequence[BinPixels],
        counts: np.ndarray,
        frozen: np.ndarray,
        diffuse: np.ndarray,
    ) -> None:
        self._name = NAME
        self.mask_fit = self.mask_safe = None
        self.counts = np.asarray(counts, float)
        self.pixels = tuple(pixels)
        sizes = [len(bin_pixels.pixels) for bin_pixels in pixels]
        self._edges = np.concatenate([[0], np.cumsum(sizes)])
        self._bins = np.repeat(np.arange(N_BINS), sizes)
        self._occupied = np.flatnonzero(self.counts)
        self._counted = self.counts[self._occupied]
        self.frozen = np.asarray(frozen, float)
        self.diffuse = np.asarray(diffuse, float)
        self.background = PowerLawNormSpectralModel(
            norm=1.0, tilt=0.0, reference=BACKGROUND_REFERENCE_MEV * u.MeV
        )
        self.norm, self.tilt = self.background.norm, self.background.tilt
        self.norm.min, self.norm.max = 0.2, 5.0
        self.tilt.min, self.tilt.max, self.tilt.frozen = -1.0, 1.0, False
        self.sources: list[ModelledSource] = []

    @property
    def parameters(self) -> Parameters:
        """Parameters of the background and of all sources."""
        own = [self.norm, self.tilt, self.background.reference]
        return Parameters(own + [p for source in self.sources for p in source.parameters])

    @property
    def models(self) -> DatasetModels:
        """gammapy's models of background and sources, which share their parameters with these."""
        background = FoVBackgroundModel(NAME, spectral_model=self.background)
        models = [
            SkyModel(source.spectral, source.spatial, name=source.name) for source in self.sources
        ]
        return DatasetModels([background, *models])

    def background_factor(self) -> np.ndarray:
        """Factor (6,) on the diffuse emission of each bin."""
        return self.norm.value * (_CENTRES_MEV / BACKGROUND_REFERENCE_MEV) ** -self.tilt.value

    def npred(self, without: ModelledSource | None = None) -> np.ndarray:
        """Expected photons (P,) in each pixel, all sources but one."""
        total = self.diffuse * self.background_factor()[self._bins]
        total += self.frozen
        for source in self.sources:
            if source is not without:
                total += source.npred()
        return total

    def stat_sum(self, without: ModelledSource | None = None) -> float:
        """Cash statistic of all pixels, of all sources but one."""
        npred = self.npred(without)
        counted = npred[self._occupied]
        # cash(0, mu) is 2 mu: no logarithm where nothing was counted
        empty = 2.0 * (npred.sum() - counted.sum())
        return float(cash(self._counted, counted).sum() + empty)

    def stat_array(self) -> np.ndarray:
        """Cash statistic (P,) of each pixel."""
        return cash(self.counts, self.npred())

    def objective(self) -> float:
        """What a fit minimises: the statistic, and what free indices pay for being unusual."""
        return self.stat_sum() + sum(index_penalty(source.spectral) for source in self.sources)

    def bin_slice(self, b: int) -> slice:
        """Where the pixels of an energy bin lie in the arrays."""
        return slice(int(self._edges[b]), int(self._edges[b + 1]))
