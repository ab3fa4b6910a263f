"""How much the residuals of a region scatter beyond the noise of its photons.

Sources too faint to be listed, and diffuse emission that is not quite as its model, make a sky
uneven on the scale of the PSF, and errors from the likelihood alone too small. Of an unlisted
source all energy bins have a share, so that what is hardly seen in one of them is seen in the sum.
4FGL meets this with a likelihood weighted for systematic errors of 3% of the background
(Abdollahi et al. 2020, ApJS 247, 33). Here the scatter is measured: at places all over the region
a source of free flux is added in each energy bin, in linear approximation, and what the products
of these fluxes exceed the noise by is their covariance, in photons. It is taken as the sum of two
parts: one common to all bins, with the spectrum of an ordinary source, and one of each bin alone.
"""

from __future__ import annotations

import healpy as hp
import numpy as np
from gammapy.modeling import Covariance, Parameter

from ..sky.bins import N_BINS
from .dataset import ModelledSource, WindowDataset
from .spectra import INDEX_MEAN, fine_flux, power_law
from .templates import psf_at
from .window import WINDOW_DEG, RegionSky

PLACES = 150
"""Places at which the residuals of a large region are looked at, up to twice as many."""

_NSIDE = 64
_LEAST_PLACES = 10
_LEAST_KNOWN = 0.3  # of what is known of a flux when those of its neighbours are
_HIGHEST_SIGMA = 5.0  # beyond is a source that the list has not, not the common scatter


def scatter_of(sky: RegionSky, centre: np.ndarray, radius_deg: float) -> np.ndarray:
    """Covariance (6, 6), photons squared, of the flux that the model of a region lacks.

    Parameters
    ----------
    sky : RegionSky
        Fitted.
    centre : array (3,)
        Unit vector of the middle of the region.
    radius_deg : float
        How far from it to look.
    """
    places = hp.query_disc(_NSIDE, centre, np.radians(radius_deg), nest=True)
    places = places[:: max(len(places) // PLACES, 1)]
    vectors = np.stack(hp.pix2vec(_NSIDE, places, nest=True), axis=-1)
    found = np.array(
        [[residual(sky, b, vector) for b in range(N_BINS)] for vector in vectors]
    ).reshape(-1, N_BINS, 2)
    return covariance_beyond_noise(found[..., 0], found[..., 1], _ordinary_photons(sky, centre))


def covariance_beyond_noise(
    photons: np.ndarray, variance: np.ndarray, spectrum: np.ndarray
) -> np.ndarray:
    """Covariance (6, 6) that residuals have beside that of the noise of their photons.

    Parameters
    ----------
    photons, variance : arrays (N, 6)
        Residuals at N places and their variance by the noise; NaN where not known.
    spectrum : array (6,)
        Photons of the common part, in any unit.
    """
    with np.errstate(invalid="ignore"):
        known = np.isfinite(photons) & (np.abs(photons) < _HIGHEST_SIGMA * np.sqrt(variance))
    weight = np.where(known, spectrum / np.where(known, variance, 1.0), 0.0)
    flux, told = weight * np.where(known, photons, 0.0), weight * spectrum
    # products of different bins have no noise in their mean
    products = (flux.sum(axis=1) ** 2 - (flux**2).sum(axis=1)).sum()
    norm = (told.sum(axis=1) ** 2 - (told**2).sum(axis=1)).sum()
    common = max(products / norm, 0.0) if norm > 0 and len(photons) >= _LEAST_PLACES else 0.0
    alone = np.zeros(N_BINS)
    for b in range(N_BINS):
        used = known[:, b]
        if used.sum() >= _LEAST_PLACES:
            noise = variance[used, b]
            # near the edge of the data little is known and the noise is large
            excess = np.average(photons[used, b] ** 2 - noise, weights=noise**-2.0)
            alone[b] = max(excess - common * spectrum[b] ** 2, 0.0)
    return common * np.outer(spectrum, spectrum) + np.diag(alone)


def residual(sky: RegionSky, b: int, vector: np.ndarray) -> tuple[float, float]:
    """Photons in an energy bin of a source added at some place, and their variance by noise.

    Fluxes of the known sources and the diffuse emission around it are free at the same time, to
    first order: whether the fit had them free then does not matter. NaN where the data do not
    tell it from the known ones.
    """
    data = sky.data
    pixels = data.pixels[b]
    near = pixels.within(vector, WINDOW_DEG[b])
    known, diffuse = sky.expected(b)[near], data.diffuse[b][near]
    if not diffuse.sum() > 0:
        return np.nan, np.nan
    counts = data.counts[b][near]
    # the level of the diffuse emission enters the noise as well
    level = max((counts.sum() - known.sum()) / diffuse.sum(), 0.1)
    expected = known + level * diffuse
    image = psf_at(pixels.vectors[near] @ vector, data.grouping.mean_profile(b)[None])[0]
    templates = np.vstack([image * pixels.area_sr, diffuse, *_others(sky, b, near, vector)])
    score = templates @ (counts / expected - 1.0)
    fisher = (templates / expected) @ templates.T
    both = np.stack([fisher[1:, 0], score[1:]], axis=1)
    solved = np.linalg.lstsq(fisher[1:, 1:], both, rcond=1e-10)[0]
    told = fisher[0, 0] - fisher[0, 1:] @ solved[:, 0]
    if not told > _LEAST_KNOWN * fisher[0, 0]:
        return np.nan, np.nan
    return float((score[0] - fisher[0, 1:] @ solved[:, 1]) / told), float(1.0 / told)


def _others(sky: RegionSky, b: int, near: np.ndarray, vector: np.ndarray) -> list[np.ndarray]:
    """Light (len(near),) of each source inside the window."""
    result = []
    row_of = np.full(len(sky.data.pixels[b].pixels), -1)
    row_of[near] = np.arange(len(near))
    reach = np.cos(np.radians(WINDOW_DEG[b]))
    for number, state in enumerate(sky.states):
        if state.vector @ vector < reach:
            continue
        place, light = sky.light(number, b)
        inside = row_of[place] >= 0
        image = np.zeros(len(near))
        image[row_of[place[inside]]] = light[inside]
        if image.any():
            result.append(image)
    return result


def _ordinary_photons(sky: RegionSky, centre: np.ndarray) -> np.ndarray:
    """Photons (6,) of a power law of the mean index."""
    flux = fine_flux(power_law(1e-14, INDEX_MEAN, 1e3))
    return flux @ sky.data.response.counts_per_flux(centre[None])[0]


def with_scatter(
    dataset: WindowDataset, source: ModelledSource, errors: Covariance, scatter: np.ndarray
) -> Covariance:
    """Covariance of all parameters with what the scatter of the region adds to it.

    What the model lacks at the place of a source, photons of covariance (6, 6), moves the best
    fit by the inverse of the second derivatives times its projection on the parameters.
    """
    if not scatter.any():
        return errors
    parameters = dataset.parameters
    free = [k for k, p in enumerate(parameters) if not p.frozen]
    expected = np.maximum(dataset.npred(), 1e-12)
    lacking = _image(dataset, source) / expected
    projection = np.zeros((len(parameters), N_BINS))
    for k in free:
        slope = _slope(dataset, parameters[k], np.sqrt(errors.data[k, k]))
        for b in range(N_BINS):
            part = dataset.bin_slice(b)
            projection[k, b] = slope[part] @ lacking[part]
    moved = errors.data @ projection
    return Covariance(parameters, errors.data + moved @ scatter @ moved.T)


def _image(dataset: WindowDataset, source: ModelledSource) -> np.ndarray:
    """Part (P,) of the photons of an energy bin that falls into each pixel."""
    own, photons = source.npred(), source.counts().sum(axis=1)
    for b in range(N_BINS):
        own[dataset.bin_slice(b)] /= max(photons[b], 1e-300)
    return own


def _slope(dataset: WindowDataset, parameter: Parameter, error: float) -> np.ndarray:
    """Change (P,) of what is expected with a parameter."""
    value = parameter.value
    step = 0.05 * error if error > 0 else 1e-4 * max(abs(value), 1e-30)
    parameter.value = value + step
    up = dataset.npred()
    parameter.value = value - step
    down = dataset.npred()
    parameter.value = value
    return (up - down) / (2.0 * step)
