"""How much more the residuals of a region scatter than photons alone would.

Sources too faint to be listed and diffuse emission that is not quite as its model make a sky
uneven on the scale of the PSF. At low energies, where the PSF is wide and holds many photons,
that exceeds the noise of the photons, and errors from the likelihood alone are too small. 4FGL
meets this with a likelihood weighted for systematic errors of 3% of the background (Abdollahi
et al. 2020, ApJS 247, 33, section 3.2). Here the scatter is measured: at places all over the
region a source of free flux is added in one energy bin, in linear approximation, and the mean of
its squared significance is the factor on the variance of fluxes in that bin. The likelihood of
the bin is divided by it, as in any quasi-Poisson fit.
"""

from __future__ import annotations

import healpy as hp
import numpy as np

from ..sky.bins import N_BINS
from .templates import psf_at
from .window import WINDOW_DEG, RegionSky

MOST_PLACES = 100
"""Places in an energy bin at which the residuals are looked at."""

_NSIDE = (32, 64, 64, 128, 128, 128)
_LEAST_KNOWN = 0.3
_HIGHEST_SIGMA = 5.0  # beyond is a source that the list has not, not the common scatter


def weights(sky: RegionSky, centre: np.ndarray, radius_deg: float) -> np.ndarray:
    """Weight (6,) of the likelihood of each energy bin, at most 1.

    Parameters
    ----------
    sky : RegionSky
        Fitted.
    centre : array (3,)
        Unit vector of the middle of the region.
    radius_deg : float
        How far from it to look.
    """
    return np.array([1.0 / dispersion(sky, b, centre, radius_deg) for b in range(N_BINS)])


def dispersion(sky: RegionSky, b: int, centre: np.ndarray, radius_deg: float) -> float:
    """Variance of flux residuals in an energy bin over that of photons alone, at least 1."""
    nside = _NSIDE[b]
    places = hp.query_disc(nside, centre, np.radians(radius_deg), nest=True)
    places = places[:: max(len(places) // MOST_PLACES, 1)]
    found = [significance(sky, b, np.array(hp.pix2vec(nside, one, nest=True))) for one in places]
    squared = np.array([one**2 for one in found if one is not None])
    squared = squared[squared < _HIGHEST_SIGMA**2]
    return max(float(squared.mean()), 1.0) if len(squared) else 1.0


def significance(sky: RegionSky, b: int, vector: np.ndarray) -> float | None:
    """Flux over error of a source added in an energy bin at some place.

    Fluxes of the known sources and the diffuse emission around it are free at the same time, to
    first order: whether the fit had them free then does not matter.

    Returns
    -------
    float or None
        None where the data do not tell it from the known ones.
    """
    data = sky.data
    pixels, counts, diffuse = data.pixels[b], data.counts[b], data.diffuse[b]
    near = pixels.within(vector, WINDOW_DEG[b])
    known = sky.expected(b)[near]
    if not len(near) or not diffuse[near].sum() > 0:
        return None
    # the level of the diffuse emission enters the noise as well
    level = max((counts[near].sum() - known.sum()) / diffuse[near].sum(), 0.1)
    expected = known + level * diffuse[near]
    image = psf_at(pixels.vectors[near] @ vector, data.grouping.mean_profile(b)[None])[0]
    others = _others(sky, b, near, vector)
    templates = np.vstack([image * pixels.area_sr, diffuse[near], *others])
    score = templates @ (counts[near] / expected - 1.0)
    fisher = (templates / expected) @ templates.T
    solved = np.linalg.lstsq(fisher[1:, 1:], np.stack([fisher[1:, 0], score[1:]], axis=1),
                             rcond=1e-10)[0]  # fmt: skip
    told = fisher[0, 0] - fisher[0, 1:] @ solved[:, 0]
    if told < _LEAST_KNOWN * fisher[0, 0]:
        return None
    return float((score[0] - fisher[0, 1:] @ solved[:, 1]) / np.sqrt(told))


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
