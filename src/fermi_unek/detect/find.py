"""One list of candidates for a sky or a field."""

from __future__ import annotations

import healpy as hp
import numpy as np
import torch

from ..catalog import Candidates, equatorial_position_angle
from ..diffuse.template import DiffuseShape
from ..errors import ConfigError
from ..irf.instrument import Instrument
from ..nets.weights import LocalizerFile
from ..progress import Progress, silent
from ..sky.bins import COVERAGE_ORDER
from ..sky.counts import SkyCounts
from ..sky.geometry.coverage import circle_coverage, inside_circle, intersect
from ..sky.geometry.frame import vectors_to_lonlat
from ..sky.geometry.grid import DENSE_GRID, GridConfig, covering_grid
from .calibration import Calibration
from .centers import METHODS, Centers, find_centers
from .ellipses import tangent_axes
from .refine import refine_centers
from .scene import Scene, scene_of
from .settings import SearchConfig
from .skymask import sky_mask

EDGE_DEG = 0.5


def find_candidates(
    sky: SkyCounts,
    localizer: LocalizerFile,
    *,
    threshold: float = 0.2,
    region: tuple[float, float, float] | None = None,
    shape: DiffuseShape | None = None,
    instrument: Instrument | None = None,
    config: SearchConfig | None = None,
    progress: Progress = silent,
) -> Candidates:
    """Point sources in a sky.

    Parameters
    ----------
    sky : SkyCounts
    localizer : LocalizerFile
        As `nets.weights.load_localizer` returns it.
    threshold : float
        Least calibrated probability of what is listed.
    region : (lon, lat, radius) or None
        Galactic degrees; nothing outside the circle is listed.
    shape : DiffuseShape, optional
        What is known of the diffuse emission.
    instrument : Instrument, optional
        What the photons were seen through; the shipped tables unless given.
    config : SearchConfig, optional

    Returns
    -------
    Candidates
        In no particular order; empty where nothing was found.

    Raises
    ------
    ConfigError
        When the device or the scheduler is not there or the method unknown.
    """
    config = config or SearchConfig()
    if config.centers not in METHODS:
        raise ConfigError(f"centers {config.centers!r} is none of {METHODS}")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda was asked for, but torch sees no CUDA device here")
    coverage = sky.coverage
    wanted = coverage if region is None else intersect(coverage, circle_coverage(*region))
    scene = scene_of(sky, localizer.network.spec, shape, instrument)
    found = raw_centers(sky, localizer, scene, wanted, config, progress=progress)
    calibration = Calibration.of(localizer.calibration, scene.observed, sky.livetime_years)
    lon, lat = vectors_to_lonlat(found.vectors)
    probability = calibration.probability(found, lat)
    listed = (probability >= threshold) & covers(coverage, found.vectors)
    if region is not None:
        # the mask follows a circle to a pixel only
        listed &= inside_circle(found.vectors, region)
    return _candidates(found, lon, lat, probability, calibration, coverage, listed)


def raw_centers(
    sky: SkyCounts,
    localizer: LocalizerFile,
    scene: Scene,
    wanted: np.ndarray | None = None,
    config: SearchConfig | None = None,
    *,
    progress: Progress = silent,
) -> Centers:
    """Centers before calibration and threshold; `wanted` is a coverage mask or None."""
    config = config or SearchConfig()
    grid = config.grid or (DENSE_GRID if sky.layers else GridConfig())
    frames = covering_grid(wanted, grid)
    mask = sky_mask(sky, localizer, frames, scene, config, progress=progress)
    return refine_centers(sky, find_centers(mask, config.centers), scene.observed, config.refine)


def _candidates(
    found: Centers,
    lon: np.ndarray,
    lat: np.ndarray,
    probability: np.ndarray,
    calibration: Calibration,
    coverage: np.ndarray | None,
    listed: np.ndarray,
) -> Candidates:
    lon, lat = lon[listed], lat[listed]
    error, score = found.error_deg[listed], calibration.score(found)[listed]
    radius = calibration.radius68_deg(error, score)
    radius95 = calibration.radius95_deg(error, score)
    stretch = np.sqrt(found.elongation[listed])
    return Candidates(
        lon_deg=lon,
        lat_deg=lat,
        probability=probability[listed],
        semimajor68_deg=radius * stretch,
        semiminor68_deg=radius / stretch,
        position_angle_deg=equatorial_position_angle(lon, lat, found.angle_deg[listed]),
        near_edge=near_edge(coverage, found.vectors[listed]),
        ratio95=radius95 / radius,
        peak=found.peak[listed],
        area=found.area[listed],
        extended=found.extended[listed],
    )


def covers(coverage: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    """Bool (N,): whether unit vectors (N, 3) lie in a coverage mask (None: all do)."""
    if coverage is None:
        return np.ones(len(vectors), bool)
    inside: np.ndarray = coverage[hp.vec2pix(2**COVERAGE_ORDER, *vectors.T, nest=True)]
    return inside


def near_edge(coverage: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    """Bool (N,): whether the data end within half a degree of unit vectors (N, 3)."""
    if coverage is None or not len(vectors):
        return np.zeros(len(vectors), bool)
    first, second = tangent_axes(vectors)
    edge = np.zeros(len(vectors), bool)
    radius = np.radians(EDGE_DEG)
    for angle in np.arange(16) * np.pi / 8:
        around = first * np.cos(angle) + second * np.sin(angle)
        edge |= ~covers(coverage, vectors * np.cos(radius) + around * np.sin(radius))
    return edge
