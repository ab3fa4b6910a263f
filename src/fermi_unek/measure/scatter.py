"""How much the residuals of a region scatter beyond the noise of its photons.

Sources too faint to be listed, and diffuse emission that is not quite as its model, make a sky
uneven on the scale of the PSF, and errors from the likelihood alone too small. Of an unlisted
source all energies have a share, so that what is hardly seen in one band is seen in the sum.
4FGL meets this with a likelihood weighted for systematic errors of 3% of the background
(Abdollahi et al. 2020, ApJS 247, 33). Here the scatter is measured: at places all over the region
a source of free flux is added in each of a few ranges of energy, in linear approximation and with
everything else free, and what the products of these fluxes exceed the noise by is their covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np

from .model import RegionModel, inverse
from .spectra import INDEX_MEAN, fine_flux

RANGES_MEV = (300.0, 1e3, 3e3, 1e4)
"""Where the ranges of energy begin."""

PLACES = 100
"""Places at which the residuals of a region are looked at, up to twice as many."""

_NSIDE = 64
_AT_ONCE = 10  # places, of which all pixels are held
_LEAST_PLACES = 10
_MOST_USUAL = 0.5
_LEAST_KNOWN = 0.3  # of what is known of a flux when all others are
_HIGHEST_SIGMA = 5.0  # beyond is a source that the list has not, not the common scatter
_AMPLITUDE = 1e-14


@dataclass(frozen=True)
class Scatter:
    """Covariance of what the model of a region lacks at the place of a source.

    Attributes
    ----------
    templates : array (C, G)
        Photons of an ordinary source of small flux in the channels of each range of energy.
    covariance : array (G, G)
        Of the factors on these.
    """

    templates: np.ndarray
    covariance: np.ndarray

    def lowered(self, information: np.ndarray) -> np.ndarray:
        """What is known (C, C) of the photons of a source when this may be missing from it."""
        known = self.templates.T @ information @ self.templates
        size = len(self.covariance)
        # (information^-1 + templates covariance templates^T)^-1 without the first inverse
        middle = np.linalg.solve(np.eye(size) + self.covariance @ known, self.covariance)
        side = information @ self.templates
        return information - side @ middle @ side.T


def scatter_of(
    model: RegionModel, radius_deg: float, expected: np.ndarray, curvature: np.ndarray
) -> Scatter:
    """The scatter of a fitted region, seen up to some radius from its middle.

    See `RegionModel.grams` for the curvature.
    """
    data = model.data
    group = np.searchsorted(RANGES_MEV, model.energies_mev, side="right") - 1
    flux = fine_flux(_AMPLITUDE, INDEX_MEAN, 0.0, 1e3)
    photons = flux @ data.counts_per_flux(data.centre[None])[0]
    templates = photons[:, None] * (group[:, None] == np.arange(len(RANGES_MEV)))
    profiles = data.profiles(flux)
    places = hp.query_disc(_NSIDE, data.centre, np.radians(radius_deg), nest=True)
    places = places[:: max(len(places) // PLACES, 1)]
    vectors = np.stack(hp.pix2vec(_NSIDE, places, nest=True), axis=-1)
    covariance = inverse(model.system(curvature))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for some in np.array_split(vectors, -(-len(vectors) // _AT_ONCE)):
        found += residuals(model, some, profiles, templates, covariance, expected)
    return Scatter(templates, covariance_beyond_noise(found))


def residuals(
    model: RegionModel,
    vectors: np.ndarray,
    profiles: np.ndarray,
    templates: np.ndarray,
    covariance: np.ndarray,
    expected: np.ndarray,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Factors (G,) on the templates at places (N, 3), and what is known of them (G, G).

    Everything else is free at the same time, to first order. Places at which the data do not tell
    them from what is known are left out.
    """
    data = model.data
    ratio = data.counts / expected
    images = np.stack([data.image(vector, profiles) for vector in vectors])
    contained = np.stack([data.contained(vector, profiles) for vector in vectors])
    owners, slopes = model.derivatives()
    found = []
    size = len(vectors), data.n_channels
    slope, own, across = np.zeros(size), np.zeros(size), np.zeros((*size, len(model.light)))
    for c in range(data.n_channels):
        part = slice(*data.edges[c : c + 2])
        image, weight = images[:, part], ratio[part] / expected[part]
        slope[:, c] = image @ ratio[part] - contained[:, c]
        own[:, c] = image**2 @ weight
        across[:, c] = (image * weight).astype(np.float32) @ model.light[:, part].T
    for steepness, curvature, shared in zip(slope, own, across, strict=True):
        cross = templates.T @ (shared[:, owners] * slopes)
        alone = np.diag(curvature @ templates**2)
        known = alone - cross @ covariance @ cross.T
        if np.all(np.diag(known) > _LEAST_KNOWN * np.diag(alone)):
            found.append((np.linalg.solve(known, templates.T @ steepness), known))
    return found


def covariance_beyond_noise(found: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Covariance (G, G) that factors have beside that of the noise of their photons.

    Parameters
    ----------
    found : list of (array (G,), array (G, G))
        Factors at some places, and what is known of them: the inverse of their noise.
    """
    size = len(RANGES_MEV)
    if len(found) < _LEAST_PLACES:
        return np.zeros((size, size))
    factors = np.array([factor for factor, _ in found])
    noise = np.linalg.inv(np.array([known for _, known in found]))
    sigma = np.sqrt(np.diagonal(noise, axis1=1, axis2=2))
    usual = np.all(np.abs(factors) < _HIGHEST_SIGMA * sigma, axis=1)
    if usual.mean() < _MOST_USUAL:  # not single sources are missing: the model is off throughout
        usual[:] = True
    factors, noise, sigma = factors[usual], noise[usual], sigma[usual]
    # near the edge of the data little is known and the noise is large
    weight = 1.0 / (sigma[:, :, None] * sigma[:, None, :]) ** 2
    excess = factors[:, :, None] * factors[:, None, :] - noise
    mean = (weight * excess).sum(axis=0) / weight.sum(axis=0)
    values, axes = np.linalg.eigh(mean)
    return (axes * np.maximum(values, 0.0)) @ axes.T
