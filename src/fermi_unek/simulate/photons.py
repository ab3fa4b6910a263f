"""Draw the photons of the sources of a `SkyModel`, and whole patches of its sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..irf.instrument import FINE_EDGES_MEV, ResponseTables, profile_index
from ..sky.bins import ENERGY_EDGES_MEV, N_BINS, NATIVE_PIXELS, PATCH_DEG
from ..sky.geometry.frame import PatchFrame
from ..sky.geometry.patches import Patch, pixel_histogram
from ..sky.geometry.resample import places_in_pixels
from .skymodel import SkyModel

_NEAR_DEG, _FAR_DEG = 10.0, 25.0
_BRIGHT_PER_YEAR = 100.0
_BRIGHT_PHOTONS = 500.0
_ON_PATCH = float(np.cos(np.radians(PATCH_DEG * 0.75)))
_SMOOTH_BINS, _SMOOTH_TRUE_MEV = 3, 1000.0


@dataclass(frozen=True)
class SourcePhotons:
    """Photons of point sources.

    Attributes
    ----------
    vectors : float32 array (P, 3)
        Galactic unit vectors.
    bins : int8 array (P,)
        Energy bin, all within the six.
    energies_mev : float32 array (P,)
        Reconstructed energy.
    sources : int32 array (P,)
        Row of the source in the model.
    responses : int8 array (P,)
        Which of the model's responses saw the photon.
    """

    vectors: np.ndarray
    bins: np.ndarray
    energies_mev: np.ndarray
    sources: np.ndarray
    responses: np.ndarray


def draw_source_photons(
    model: SkyModel,
    rows: np.ndarray,
    years: float | np.ndarray,
    rng: np.random.Generator,
    lowest_mev: float = 0.0,
) -> SourcePhotons:
    """Photons of some sources of the model.

    Parameters
    ----------
    rows : int array (R,)
        Sources to draw.
    years : float or array (R,)
        Live time, calendar years, times any change of flux of each source.
    lowest_mev : float
        Leave out photons of lower true energy.
    """
    live = np.broadcast_to(years, rows.shape)[:, None]
    above = FINE_EDGES_MEV[1:] > lowest_mev
    parts = [
        _draw(model, index, rows, rng.poisson(rates[rows] * above * live), rng)
        for index, rates in enumerate(model.rates)
    ]
    names = SourcePhotons.__annotations__
    return SourcePhotons(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _draw(
    model: SkyModel, index: int, rows: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
) -> SourcePhotons:
    """Photons seen by response `index`: `numbers` (R, 45) of each source and true energy."""
    response = model.responses[index]
    place, k = np.nonzero(numbers)
    repeat = numbers[place, k]
    source = np.repeat(rows[place], repeat)
    k = np.repeat(k, repeat)
    energy = draw_energy(response, k, rng)
    b = np.searchsorted(ENERGY_EDGES_MEV, energy, side="right") - 1
    kept = (b >= 0) & (b < N_BINS)
    source, k, energy, b = source[kept], k[kept], energy[kept], b[kept]
    angle = np.radians(_quantile(response.psf_quantiles_deg, k, 1 - np.cbrt(rng.random(k.size))))
    return SourcePhotons(
        displace(model.vectors[source].astype(np.float32), angle, rng),
        b.astype(np.int8),
        energy.astype(np.float32),
        source.astype(np.int32),
        np.full(source.size, index, np.int8),
    )


def draw_energy(response: ResponseTables, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reconstructed energies, MeV, of photons in the true-energy bins `k`."""
    low, high = 1.0 / FINE_EDGES_MEV[k], 1.0 / FINE_EDGES_MEV[k + 1]
    true = 1.0 / (low + rng.random(k.size) * (high - low))
    return true * _quantile(response.dispersion, k, rng.random(k.size))


def _quantile(table: np.ndarray, k: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Row `k` of a table of equidistant quantiles, linear between its columns."""
    columns = table.shape[1]
    place = level * (columns - 1)
    low = np.minimum(place.astype(np.int64), columns - 2)
    part = (place - low).astype(table.dtype)
    flat = table.ravel()
    index = k * columns + low
    return flat[index] * (1 - part) + flat[index + 1] * part


def displace(vectors: np.ndarray, angle_rad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors moved by `angle_rad` in a random direction, same dtype."""
    azimuth = rng.random(len(vectors), dtype=np.float32) * np.float32(2 * np.pi)
    z = vectors[:, 2]
    # an axis that is never parallel to the vector
    pole = np.abs(z) > 0.9
    first = np.empty_like(vectors)
    first[:, 0] = np.where(pole, 0, -vectors[:, 1])
    first[:, 1] = np.where(pole, -z, vectors[:, 0])
    first[:, 2] = np.where(pole, vectors[:, 1], 0)
    first /= np.sqrt((first**2).sum(axis=1))[:, None]
    second = np.cross(vectors, first)
    sine = np.sin(angle_rad).astype(vectors.dtype)
    moved = (
        vectors * np.cos(angle_rad).astype(vectors.dtype)[:, None]
        + first * (sine * np.cos(azimuth))[:, None]
        + second * (sine * np.sin(azimuth))[:, None]
    )
    return moved / np.sqrt((moved**2).sum(axis=1))[:, None]


def render_patch(
    model: SkyModel,
    frame: PatchFrame,
    years: float,
    rng: np.random.Generator,
    orders: Sequence[int] | None = None,
) -> Patch:
    """One patch of the sky as `cut_patch` of a whole simulated sky would give it.

    Photons of sources outside the patch spill in: all sources within ten degrees of its
    centre, and within twenty-five those with more than a hundred photons a year. Below 2 GeV,
    where the PSF is wider than the pixels, the photons of bright sources are not drawn one by
    one but as Poisson numbers of the expected image.

    Parameters
    ----------
    model : SkyModel
    frame : PatchFrame
    years : float
        Live time, calendar years.
    rng : Generator
    orders : six ints or None
        HEALPIX orders of the files the photons are thought to come from: each photon of a
        source gets a random place in its pixel, as `sky.readers` gives it. None keeps them exact.
    """
    cosine = model.vectors @ frame.axes[2]
    total = model.expected_counts.sum(axis=1)
    near = (cosine > np.cos(np.radians(_NEAR_DEG))) | (
        (cosine > np.cos(np.radians(_FAR_DEG))) & (total > _BRIGHT_PER_YEAR)
    )
    bright = near & (total * years > _BRIGHT_PHOTONS)
    density = _background_density(model, frame)
    for b in range(_SMOOTH_BINS):
        density[b] += _sources_density(model, np.flatnonzero(bright), b, frame)
    counts = [
        rng.poisson(d * (frame.solid_angle_sr(n) * years)).astype(np.float32)
        for d, n in zip(density, NATIVE_PIXELS, strict=True)
    ]
    photons = draw_source_photons(model, np.flatnonzero(near & ~bright), years, rng)
    sharp = draw_source_photons(
        model, np.flatnonzero(bright), years, rng, lowest_mev=_SMOOTH_TRUE_MEV
    )
    for some, first_bin in ((photons, 0), (sharp, _SMOOTH_BINS)):
        for b in range(first_bin, N_BINS):
            vectors = some.vectors[some.bins == b]
            vectors = vectors[vectors @ frame.axes[2].astype(np.float32) > _ON_PATCH]
            if orders is not None:
                pixels = hp.vec2pix(2 ** orders[b], *vectors.T, nest=True)
                vectors = places_in_pixels(pixels, orders[b], max(orders), rng)
            weights = np.ones(len(vectors))
            counts[b] += pixel_histogram(frame, vectors, weights, NATIVE_PIXELS[b])
    mask = tuple(np.ones((n, n), bool) for n in NATIVE_PIXELS)
    return Patch(frame, tuple(counts), mask)


def _background_density(model: SkyModel, frame: PatchFrame) -> list[np.ndarray]:
    """Expected diffuse photons per year and sr, (n_b, n_b) a bin."""
    density = []
    at: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for b, n_pixels in enumerate(NATIVE_PIXELS):
        if n_pixels not in at:
            theta, phi = hp.vec2ang(frame.pixel_vectors(n_pixels).reshape(-1, 3))
            at[n_pixels] = hp.get_interp_weights(model.nside, theta, phi, nest=True)
        near, weights = at[n_pixels]
        values = np.einsum("ij,ij->j", model.background[b][near], weights)
        density.append(values.reshape(n_pixels, n_pixels))
    return density


def _sources_density(model: SkyModel, rows: np.ndarray, b: int, frame: PatchFrame) -> np.ndarray:
    """Expected photons per year and sr of some sources, (n_b, n_b), mean of 2 x 2 sub-pixels."""
    n_pixels = NATIVE_PIXELS[b]
    fine = frame.pixel_vectors(2 * n_pixels).reshape(-1, 3).T.astype(np.float32)
    profiles = sum(
        (rates[rows] * response.bin_fractions[:, b]) @ response.psf_profiles
        for rates, response in zip(model.rates, model.responses, strict=True)
    )
    total = np.zeros(fine.shape[1], np.float32)
    for row, profile in zip(rows, np.asarray(profiles, np.float32), strict=True):
        place = model.vectors[row].astype(np.float32)
        # differences, not 2 - 2 cos, keep float32 exact near the source
        x, y, z = (axis - v for axis, v in zip(fine, place, strict=True))
        chord_squared = x * x + y * y + z * z
        total += profile[profile_index(chord_squared)]
    return total.reshape(n_pixels, 2, n_pixels, 2).mean(axis=(1, 3))
