"""A whole sky, or a circle of it, drawn from a `SkyModel`: counts in pixels or photon by photon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import healpy as hp
import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from ..irf.instrument import FINE_EDGES_MEV, FINE_ENERGIES_MEV
from ..progress import Progress, silent
from ..sky.bins import (
    COVERAGE_ORDER,
    ENERGY_EDGES_MEV,
    MISSION_START_MET,
    N_BINS,
    NATIVE_ORDERS,
    YEAR_S,
)
from ..sky.counts import BinCounts, SkyCounts, bin_from_pixels
from ..sky.geometry.coverage import N_COVERAGE, check_circle, circle_coverage, inside_circle
from ..sky.geometry.frame import lonlat_to_vectors
from ..sky.geometry.resample import places_in_pixels
from ..sky.io.parts import merge_pixels
from ..sky.selection import Selection
from .photons import SourcePhotons, draw_energy, draw_source_photons
from .skymodel import SkyModel

Region = tuple[float, float, float]
"""A circle: Galactic longitude, latitude, radius, degrees."""

_SIMULATED = Selection(simulated=True)
_NSIDE = 2**COVERAGE_ORDER
_PIXEL_SR = 4.0 * np.pi / N_COVERAGE
_CHUNK_PIXELS = 2**17
_CHUNK_PHOTONS = 500_000
# how far outside a region a source may lie and still be drawn
_NEAR_DEG, _FAR_DEG, _BRIGHT_PER_YEAR = 10.0, 25.0, 100.0
_TRIES = 200


def simulate_counts(
    model: SkyModel,
    years: float,
    rng: np.random.Generator,
    region: Region | None = None,
    yearly: bool = False,
    *,
    factors: np.ndarray | None = None,
    progress: Progress = silent,
) -> SkyCounts:
    """Draw the photons of a sky and count them in HEALPIX pixels.

    Diffuse photons are Poisson numbers in the pixels of the coverage order, each at a random
    place in its pixel; photons of sources are drawn one by one.

    Parameters
    ----------
    model : SkyModel
    years : float
        Live time in calendar years, above zero.
    rng : Generator
    region : (lon, lat, radius) or None
        Galactic circle, degrees, the coverage of the result; None is the whole sky. Photons of
        sources outside spill in, those that fall outside are cut away.
    yearly : bool
        Keep the mission years apart as well, the last one as long as is left.
    factors : array (N, number of years) or None
        Flux of each source in each mission year over its mean; None is constant light.
    progress : Progress

    Returns
    -------
    SkyCounts
        Six bins, of no pixel where no photon was drawn.

    Raises
    ------
    InputError
        Live time not above zero, a region that is no circle, factors of another shape.
    """
    lengths = year_lengths(years)
    _check_factors(factors, model, lengths)
    coverage = None if region is None else circle_coverage(*region)
    rows = sources_in_reach(model, region)
    constant = np.ones((len(model.sources), 1))
    if factors is None and not yearly:
        return _draw_counts(model, years, constant[:, 0], rows, coverage, rng, progress)
    layers = [
        _draw_counts(model, length, factor, rows, coverage, rng, progress)
        for length, factor in zip(
            lengths, np.broadcast_to(constant if factors is None else factors,
                                     (len(model.sources), len(lengths))).T, strict=True
        )
    ]  # fmt: skip
    bins = []
    for index in range(N_BINS):
        parts = [layer.bins[index] for layer in layers]
        merged = merge_pixels(
            (layer_bin.pixels, layer_bin.counts) for layer_bin in parts if layer_bin is not None
        )
        bins.append(BinCounts(NATIVE_ORDERS[index], *merged, coverage))
    origin = layers[0].origin
    numbered = enumerate(layers if yearly else ())
    dated = tuple(replace(layer, origin=origin, mission_year=year) for year, layer in numbered)
    return SkyCounts(
        tuple(bins), model.event_type, years, dated, origin=origin, selection=_SIMULATED
    )


def year_lengths(years: float) -> list[float]:
    """Lengths, years, of the mission years a live time reaches into: ones and what is left.

    Raises
    ------
    InputError
        When it is not a positive number.
    """
    if not (np.isfinite(years) and years > 0):
        raise InputError(f"a live time of {years} years: expected more than zero")
    whole = int(years + 1e-9)
    rest = years - whole
    return [1.0] * whole + ([rest] if rest > 1e-9 else [])


def _check_factors(factors: np.ndarray | None, model: SkyModel, lengths: list[float]) -> None:
    if factors is not None and factors.shape != (len(model.sources), len(lengths)):
        raise InputError(
            f"flux factors have shape {factors.shape}, expected a row for each of "
            f"{len(model.sources)} sources and a column for each of {len(lengths)} years"
        )


def sources_in_reach(model: SkyModel, region: Region | None) -> np.ndarray:
    """Rows of the sources whose photons may fall into a region, as `render_patch` has it."""
    if region is None or region[2] >= 180.0:
        return np.arange(len(model.sources))
    centre = lonlat_to_vectors(np.asarray(region[0]), np.asarray(region[1]))
    distance = np.degrees(np.arccos(np.clip(model.vectors @ centre, -1.0, 1.0))) - region[2]
    bright = model.expected_counts.sum(axis=1) > _BRIGHT_PER_YEAR
    return np.flatnonzero(distance < np.where(bright, _FAR_DEG, _NEAR_DEG))


def _draw_counts(
    model: SkyModel,
    years: float,
    factor: np.ndarray,
    rows: np.ndarray,
    coverage: np.ndarray | None,
    rng: np.random.Generator,
    progress: Progress,
) -> SkyCounts:
    """Photons of one span of time; `factor` (N,) multiplies the flux of each source."""
    pixels: list[list[np.ndarray]] = [[] for _ in range(N_BINS)]
    for chunk in progress(_pixel_chunks(coverage), label="diffuse photons"):
        rates = background_rates(model, chunk)
        for b in range(N_BINS):
            numbers = rng.poisson(rates[b] * years)
            levels = 2 * (NATIVE_ORDERS[b] - COVERAGE_ORDER)
            photons = np.repeat(chunk.astype(np.uint32) << np.uint32(levels), numbers)
            photons |= rng.integers(0, 1 << levels, photons.size, dtype=np.uint8)
            pixels[b].append(photons)
    expected = model.expected_counts.sum(axis=1) * factor * years
    for chunk in progress(_row_chunks(rows, expected), label="photons of sources"):
        drawn = draw_source_photons(model, chunk, factor[chunk] * years, rng)
        for b in range(N_BINS):
            pixels[b].append(_source_pixels(drawn, b, coverage))
    bins = []
    for b in range(N_BINS):
        together = np.concatenate([np.zeros(0, np.uint32), *pixels[b]])
        pixels[b].clear()
        bins.append(bin_from_pixels(b, together, coverage))
    origin = {"kind": "simulated", "background": model.background_name}
    return SkyCounts(tuple(bins), model.event_type, years, origin=origin, selection=_SIMULATED)


def _pixel_chunks(coverage: np.ndarray | None) -> list[np.ndarray]:
    covered = np.arange(N_COVERAGE) if coverage is None else np.flatnonzero(coverage)
    return [covered[i : i + _CHUNK_PIXELS] for i in range(0, covered.size, _CHUNK_PIXELS)]


def _row_chunks(rows: np.ndarray, expected: np.ndarray) -> list[np.ndarray]:
    """Sources in portions of about half a million photons."""
    portion = (np.cumsum(expected[rows]) // _CHUNK_PHOTONS).astype(int)
    return np.split(rows, np.flatnonzero(np.diff(portion)) + 1) if rows.size else []


def background_rates(model: SkyModel, pixels: np.ndarray) -> np.ndarray:
    """Expected diffuse photons per year (6, n) in NESTED pixels of the coverage order."""
    theta, phi = hp.pix2ang(_NSIDE, pixels, nest=True)
    near, weights = hp.get_interp_weights(model.nside, theta, phi, nest=True)
    rates = np.empty((N_BINS, pixels.size))
    for b in range(N_BINS):
        rates[b] = np.einsum("ij,ij->j", model.background[b][near], weights)
    return rates * _PIXEL_SR


def _source_pixels(drawn: SourcePhotons, b: int, coverage: np.ndarray | None) -> np.ndarray:
    vectors = drawn.vectors[drawn.bins == b]
    pixels = hp.vec2pix(2 ** NATIVE_ORDERS[b], *vectors.T, nest=True)
    if coverage is not None:
        pixels = pixels[coverage[pixels >> 2 * (NATIVE_ORDERS[b] - COVERAGE_ORDER)]]
    return pixels.astype(np.uint32)


@dataclass(frozen=True)
class Photons:
    """A list of photons in order of time.

    Attributes
    ----------
    energies_mev : float32 array (P,)
        Reconstructed energy, 300 MeV to 1 TeV.
    vectors : float32 array (P, 3)
        Galactic unit vectors (to 0.02 arcsec).
    times_met : float64 array (P,)
        Mission elapsed time, s.
    conversion : int8 array (P,)
        0 for FRONT and 1 for BACK.
    event_type : str
        What was drawn.
    span_met : (float, float)
        Begin and end of the observation, s.
    region : (lon, lat, radius) or None
        Galactic circle, degrees.
    """

    energies_mev: np.ndarray
    vectors: np.ndarray
    times_met: np.ndarray
    conversion: np.ndarray
    event_type: str
    span_met: tuple[float, float]
    region: Region | None

    def __len__(self) -> int:
        return len(self.energies_mev)


def simulate_photons(
    model: SkyModel,
    years: float,
    rng: np.random.Generator,
    region: Region | None = None,
    *,
    start_met: float = MISSION_START_MET,
    factors: np.ndarray | None = None,
    progress: Progress = silent,
) -> Photons:
    """Draw photons one by one, with energies and times.

    Directions are distributed as in `simulate_counts`. Inside its bin the energy of a diffuse
    photon follows the diffuse spectrum at the source that is next to it. Times are uniform, those
    of a source that varies inside each year.

    Parameters
    ----------
    model : SkyModel
    years : float
        Live time in calendar years, above zero.
    rng : Generator
    region : (lon, lat, radius) or None
        Galactic circle, degrees, to which photons are cut exactly; None is the whole sky.
    start_met : float
        Begin of the observation, s.
    factors : array (N, number of years) or None
        Flux of each source over its mean, in each year counted from the begin, the last one as
        long as is left; None is constant light.
    progress : Progress

    Raises
    ------
    InputError
        Live time not above zero, a region that is no circle, factors of another shape.
    """
    lengths = year_lengths(years)
    _check_factors(factors, model, lengths)
    rows = sources_in_reach(model, region)
    curves = _LightCurves(np.array(lengths), factors, len(model.sources))
    live = curves.share_of_mean * years
    parts = list(_diffuse_photons(model, years, rng, region, rows, progress))
    expected = model.expected_counts.sum(axis=1) * live
    for chunk in progress(_row_chunks(rows, expected), label="photons of sources"):
        drawn = draw_source_photons(model, chunk, live[chunk], rng)
        since = curves.draw(drawn.sources, rng)
        conversion = _conversion(model, drawn.responses)
        parts.append((drawn.energies_mev, drawn.vectors, conversion, since))
    if region is not None:
        parts = [_inside(part, region) for part in parts]
    energies, vectors, conversion, since = _in_order_of_time(parts)
    return Photons(
        energies,
        vectors,
        start_met + since * YEAR_S,
        conversion,
        model.event_type,
        (start_met, start_met + years * YEAR_S),
        region,
    )


_Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _in_order_of_time(parts: list[_Part]) -> _Part:
    """All parts as one; they are taken out of the list, column by column, to save memory."""
    columns = [[part[i] for part in parts] for i in range(4)]
    parts.clear()
    joined: list[np.ndarray] = []
    for pieces, kind in zip(columns, (np.float32, np.float32, np.int8, np.float64), strict=True):
        shape = (0, 3) if len(joined) == 1 else (0,)
        joined.append(np.concatenate([np.zeros(shape, kind), *pieces]))
        pieces.clear()
    in_order = np.argsort(joined[3])
    for i, column in enumerate(joined):
        joined[i] = column[in_order]
    return joined[0], joined[1], joined[2], joined[3]


def _inside(part: _Part, region: Region) -> _Part:
    kept = inside_circle(part[1], region)
    return part[0][kept], part[1][kept], part[2][kept], part[3][kept]


class _LightCurves:
    """Years since the begin at which sources send their photons; flux is even inside a year."""

    def __init__(self, lengths: np.ndarray, factors: np.ndarray | None, n_sources: int) -> None:
        self._edges = np.concatenate([[0.0], np.cumsum(lengths)])
        self._grown: np.ndarray | None = None
        self.share_of_mean = np.ones(n_sources)
        if factors is not None:
            self._grown = np.cumsum(factors * lengths, axis=1)
            self.share_of_mean = self._grown[:, -1] / self._edges[-1]

    def draw(self, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Times (P,), years, of photons of some sources."""
        level = rng.random(sources.size)
        if self._grown is None or self._edges.size == 2:
            return level * self._edges[-1]
        grown = np.concatenate([np.zeros((len(self._grown), 1)), self._grown], axis=1)[sources]
        level *= grown[:, -1]
        year = (level[:, None] >= grown[:, 1:-1]).sum(axis=1)
        rows = np.arange(sources.size)
        low, high = grown[rows, year], grown[rows, year + 1]
        inside = np.divide(level - low, high - low, out=np.zeros_like(level), where=high > low)
        return self._edges[year] + inside * (self._edges[year + 1] - self._edges[year])


def _conversion(model: SkyModel, responses: np.ndarray) -> np.ndarray:
    return responses + np.int8(1) if model.event_type == "back" else responses


def _diffuse_photons(
    model: SkyModel,
    years: float,
    rng: np.random.Generator,
    region: Region | None,
    rows: np.ndarray,
    progress: Progress,
) -> Iterator[_Part]:
    """Energies, vectors, conversion types and times, some pixels at a time."""
    spectrum = _DiffuseSpectrum(model, rows)
    for chunk in progress(_pixel_chunks(_touched(region)), label="diffuse photons"):
        rates, nearest = background_rates(model, chunk), spectrum.nearest(chunk)
        for b in range(N_BINS):
            photons = rng.poisson(rates[b] * years)
            pixels = np.repeat(chunk, photons)
            vectors = places_in_pixels(pixels, COVERAGE_ORDER, max(NATIVE_ORDERS), rng)
            energies, responses = spectrum.draw(b, np.repeat(nearest, photons), rng)
            since = rng.random(pixels.size) * years
            yield energies, vectors.astype(np.float32), _conversion(model, responses), since


def _touched(region: Region | None) -> np.ndarray | None:
    """Mask of the coverage pixels that a circle touches; None for all."""
    if region is None:
        return None
    check_circle(*region)
    if region[2] >= 180.0:
        return None
    mask = np.zeros(N_COVERAGE, bool)
    centre = lonlat_to_vectors(np.asarray(region[0]), np.asarray(region[1]))
    mask[hp.query_disc(_NSIDE, centre, np.radians(region[2]), inclusive=True, nest=True)] = True
    return mask


class _DiffuseSpectrum:
    """Energies and event types of diffuse photons that are known by their bin and pixel.

    The spectrum in true energy is that of the diffuse emission at the next of the given sources,
    which are a degree apart, without any a power law of index 2.4. One spectrum for a whole field
    would put too many photons of a bin at one end of it in the plane, and too few elsewhere, by
    more than a faint source has.
    """

    def __init__(self, model: SkyModel, rows: np.ndarray) -> None:
        self._responses = model.responses
        self._places = cKDTree(model.vectors[rows]) if rows.size else None
        power_law = FINE_ENERGIES_MEV**-2.4 * np.diff(FINE_EDGES_MEV)
        true = [
            background[rows].astype(float)
            if rows.size
            else (power_law * response.exposure_per_year.mean(axis=1))[None]
            for background, response in zip(model.fine_background, model.responses, strict=True)
        ]
        self._rising = [
            _rising([t * r.bin_fractions[:, b] for t, r in zip(true, model.responses, strict=True)])
            for b in range(N_BINS)
        ]

    def nearest(self, pixels: np.ndarray) -> np.ndarray:
        """Number of the spectrum (n,) of pixels (n,) of the coverage order."""
        if self._places is None:
            return np.zeros(len(pixels), np.int64)
        vectors = np.stack(hp.pix2vec(_NSIDE, pixels, nest=True), axis=-1)
        return np.asarray(self._places.query(vectors)[1])

    def draw(
        self, b: int, spectra: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies, float32 MeV, and int8 indices of the response, of photons of bin `b`.

        Of each photon the number of its spectrum is given.
        """
        number, size = len(spectra), len(self._responses) * FINE_ENERGIES_MEV.size
        place = np.searchsorted(self._rising[b], spectra + rng.random(number), side="right")
        place = np.clip(place - spectra * size, 0, size - 1)
        which, k = np.divmod(place, FINE_ENERGIES_MEV.size)
        low, high = ENERGY_EDGES_MEV[b : b + 2]
        energies = np.full(number, np.sqrt(low * high))
        for index, response in enumerate(self._responses):
            left = np.flatnonzero(which == index)
            for _ in range(_TRIES):
                if not left.size:
                    break
                drawn = draw_energy(response, k[left], rng)
                good = (drawn >= low) & (drawn < high)
                energies[left[good]] = drawn[good]
                left = left[~good]
        return _just_inside(energies, low, high), which.astype(np.int8)


def _rising(parts: list[np.ndarray]) -> np.ndarray:
    """Cumulative spectra of sources one after the other, that of source n from n to n + 1."""
    cumulative = np.cumsum(np.concatenate(parts, axis=1), axis=1)
    cumulative /= np.maximum(cumulative[:, -1:], 1e-300)
    return np.asarray((cumulative + np.arange(len(cumulative))[:, None]).ravel())


def _just_inside(energies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Float32 energies that rounding has not moved out of their bin."""
    top = np.nextafter(np.float32(high), np.float32(0))
    return np.clip(energies.astype(np.float32), np.float32(low), top)
