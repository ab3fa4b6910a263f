"""Calibrate a trained localizer on simulated skies it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ...detect.calibration import (
    R68_OF_SIGMA,
    R95_OF_SIGMA,
    USUAL_YEARS,
    Calibration,
    features,
    layers_name,
)
from ...detect.centers import Centers
from ...detect.ellipses import round_distance_deg
from ...detect.find import raw_centers
from ...detect.scene import scene_of
from ...detect.settings import SearchConfig
from ...diffuse.template import DiffuseShape
from ...errors import InputError
from ...nets.weights import LocalizerFile, load_localizer, save_localizer
from ...parallel import map_tasks
from ...progress import Progress, silent
from ...simulate.sky import simulate_counts
from ...sky.counts import SkyCounts
from ...sky.geometry.frame import vectors_to_lonlat
from ...sky.geometry.latitude import latitude_band
from ...sky.layers import with_layers
from ...sky.recount import counted_in_orders
from .skies import SkyRecipe, make_sky_models

REAL_TS = 9.0
MATCH_DEG = 0.3
_NODES = 25
_STRETCH_NODES = 5
_ERROR_NODES = 12
_TIE_BREAK = 0.01
_LEAST_IN_BAND = 50
_LEAST_IN_GROUP = 20
_LEAST_RATIO = 1e-3
_FAINT_TS = 16.0
_FAINT_WEIGHT = 2.5
"""Of real centres below that TS in the radii: rare among those of their score, they lie furthest
off, and their ellipses should hold them too."""


@dataclass(frozen=True)
class MatchedCenters:
    """Centres found on one sky with what the truth says of them.

    Attributes
    ----------
    centers : Centers
    lat_deg : array (N,)
    real : bool array (N,)
        Matched one to one to a source of ideal TS above 9.
    distance_deg : array (N,)
        To the matched source, error ellipses made circles of their area; NaN where not matched.
    ts : array (N,)
        Ideal TS of the matched source; NaN where not matched.
    years : float
        Live time of the photons.
    """

    centers: Centers
    lat_deg: np.ndarray
    real: np.ndarray
    distance_deg: np.ndarray
    ts: np.ndarray
    years: float = USUAL_YEARS


def match_centers(
    centers: Centers,
    lat_deg: np.ndarray,
    true_vectors: np.ndarray,
    true_ts: np.ndarray,
    years: float = USUAL_YEARS,
) -> MatchedCenters:
    """Match centres to the true sources, brightest first, each its nearest free centre.

    Parameters
    ----------
    centers : Centers
    lat_deg : array (N,)
        Galactic latitude of the centres.
    true_vectors : array (S, 3)
        Galactic unit vectors of the true sources.
    true_ts : array (S,)
        Their ideal TS; those of 9 and below match nothing.
    """
    visible = np.flatnonzero(true_ts > REAL_TS)
    order = visible[np.argsort(-true_ts[visible])]
    tree = cKDTree(centers.vectors)
    reach = 2.0 * np.sin(np.radians(MATCH_DEG) / 2.0)
    partner = np.full(len(centers), -1)
    for source in order:
        near = np.array(tree.query_ball_point(true_vectors[source], reach), int)
        near = near[partner[near] < 0]
        if not near.size:
            continue
        chord = np.linalg.norm(centers.vectors[near] - true_vectors[source], axis=1)
        partner[near[chord.argmin()]] = source
    real = partner >= 0
    if not len(true_ts):
        unmatched = np.full(len(centers), np.nan)
        return MatchedCenters(centers, lat_deg, real, unmatched, unmatched, years)
    distance = round_distance_deg(centers, true_vectors[partner])
    return MatchedCenters(
        centers,
        lat_deg,
        real,
        np.where(real, distance, np.nan),
        np.where(real, true_ts[partner], np.nan),
        years,
    )


def fit_calibration(skies: Sequence[MatchedCenters]) -> Calibration:
    """Score weights, probability per latitude band and position errors from matched skies.

    A latitude band with fewer than 50 centres takes the probabilities of the whole sky.

    Raises
    ------
    InputError
        When the centres are all real or all false, or there are none.
    """
    x = np.concatenate([features(s.centers, s.years) for s in skies])
    real = np.concatenate([s.real for s in skies])
    band = np.concatenate([latitude_band(s.lat_deg) for s in skies])
    if real.all() or not real.any():
        raise InputError(
            f"of the {real.size} centres on the calibration skies {real.sum()} are real: some of "
            "each kind are needed"
        )
    model = LogisticRegression(C=100.0, fit_intercept=False, max_iter=1000).fit(x, real)
    weights = model.coef_[0]
    score = x @ weights
    nodes = np.unique(np.quantile(score, np.linspace(0.0, 1.0, _NODES)))
    rows = []
    for index in range(3):
        here = band == index
        if here.sum() < _LEAST_IN_BAND:
            here = np.ones(len(band), bool)
        fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        fit.fit(score[here], real[here].astype(float))
        steps = fit.predict(nodes)
        # strictly increasing: on the flat steps of the fit the score still ranks
        level = _TIE_BREAK * np.arange(len(nodes)) / len(nodes)
        rows.append(tuple(float(p) for p in steps * (1.0 - _TIE_BREAK) + level))
    return Calibration(
        weights=tuple(float(w) for w in weights),
        score_nodes=tuple(float(n) for n in nodes),
        probability_nodes=tuple(rows),
        **_fit_errors(skies, x[real] @ weights, nodes),
    )


def _fit_errors(
    skies: Sequence[MatchedCenters], score: np.ndarray, score_nodes: np.ndarray
) -> dict[str, Any]:
    """Tables of the 68% and 95% radii: from how many errors the truth is off.

    First as a function of `score`, of all real centres, then, what that leaves, in bins of the
    error; in units of the error, since the outermost bins are wide.
    """
    error, distance, ts = (
        np.concatenate([values[sky.real] for sky, values in zip(skies, columns, strict=True)])
        for columns in (
            [sky.centers.error_deg for sky in skies],
            [sky.distance_deg for sky in skies],
            [sky.ts for sky in skies],
        )
    )
    by_score, by_error = _groups(score, _STRETCH_NODES), _groups(error, _ERROR_NODES)
    if not by_error:
        return {
            "error_nodes_deg": (1.0,),
            "radius_nodes_deg": (R68_OF_SIGMA,),
            "radius95_nodes_deg": (R95_OF_SIGMA,),
        }
    weight = np.where(ts < _FAINT_TS, _FAINT_WEIGHT, 1.0)
    places = [float(np.median(score[group])) for group in by_score]
    nodes = np.array([np.median(error[group]) for group in by_error])
    tables = {"error_nodes_deg": nodes}
    for name, level in (("", 0.68), ("95", 0.95)):
        ratio = np.maximum(distance / error, _LEAST_RATIO)
        stretches = [weighted_quantile(ratio[g], weight[g], level) for g in by_score]
        ratio /= np.interp(score, places, stretches)
        rest = [weighted_quantile(ratio[g], weight[g], level) for g in by_error]
        tables[f"radius{name}_nodes_deg"] = np.maximum.accumulate(nodes * rest)
        tables[f"stretch{name}_nodes"] = np.interp(score_nodes, places, stretches)
    return {name: tuple(values.tolist()) for name, values in tables.items()}


def _groups(values: np.ndarray, number: int) -> list[np.ndarray]:
    """Indices of equally many values each, in rising order; none where there are too few."""
    groups = np.array_split(np.argsort(values), number)
    return groups if len(groups[-1]) >= _LEAST_IN_GROUP else []


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Value below which `level` of the weights (N,) of the values (N,) lies."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(level * weights.sum(), below, values[order]))


@dataclass(frozen=True)
class KnownSky:
    """A simulated sky in layers, and the sources behind it.

    Attributes
    ----------
    layers : tuple of SkyCounts
        The sharper first.
    vectors : array (N, 3)
        Galactic unit vectors of the sources.
    ts : array (L, N)
        Their ideal TS in the photons of each layer.
    """

    layers: tuple[SkyCounts, ...]
    vectors: np.ndarray
    ts: np.ndarray


def known_sky(recipe: SkyRecipe, data_dir: str | Path | None, years: float) -> KnownSky:
    """Simulate the whole sky of a recipe."""
    models = make_sky_models(recipe, data_dir)
    layers = []
    for k, model in enumerate(models):
        layer = simulate_counts(model, years, np.random.default_rng([recipe.seed, 2, k]))
        if recipe.orders is not None:
            rng = np.random.default_rng([recipe.seed, 3, k])
            layer = counted_in_orders(layer, recipe.orders, rng)
        layers.append(layer)
    ts = np.array([model.ideal_ts.sum(axis=1) * years for model in models])
    return KnownSky(tuple(layers), models[0].vectors, ts)


def match_sky(
    localizer: LocalizerFile,
    known: KnownSky,
    *,
    shape: DiffuseShape | None = None,
    config: SearchConfig | None = None,
    progress: Progress = silent,
) -> dict[str, MatchedCenters]:
    """Search a sky in each way in which its layers may be given.

    Parameters
    ----------
    localizer : LocalizerFile
    known : KnownSky
    shape : DiffuseShape, optional
        What the network knows of the diffuse emission.
    config : SearchConfig, optional

    Returns
    -------
    dict of str to MatchedCenters
        By `layers_name`: both layers apart, their sum, and the sharper alone.
    """
    total, both = with_layers(known.layers), known.ts.sum(axis=0)
    ways = (total, both), (replace(total, layers=()), both), (known.layers[0], known.ts[0])
    found = {}
    for sky, ts in ways:
        scene = scene_of(sky, localizer.network.spec, shape)
        centers = raw_centers(sky, localizer, scene, None, config, progress=progress)
        lat = vectors_to_lonlat(centers.vectors)[1]
        years = sky.livetime_years
        found[layers_name(scene.observed)] = match_centers(centers, lat, known.vectors, ts, years)
    return found


def calibrate_weights(
    weights: str | Path,
    recipes: Sequence[tuple[SkyRecipe, float]],
    data_dir: str | Path | None,
    *,
    shape: DiffuseShape | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> Path:
    """Calibrate a weights file in place on simulated skies.

    Parameters
    ----------
    weights : path
        As `train_localizer` leaves it.
    recipes : sequence of (SkyRecipe, years)
        Skies, none of them trained on, and their live times.
    shape : DiffuseShape, optional
        What the network knows of the diffuse emission.
    workers : int
        Processes that simulate and search.
    """
    localizer = load_localizer(weights)
    work = partial(_match_one, str(weights), data_dir, shape)
    found = map_tasks(work, recipes, workers=workers, label="calibrating", progress=progress)
    history = {k: v for k, v in localizer.provenance.items() if k not in ("model", "sha256")}
    history["calibration skies"] = ", ".join(
        f"{r.seed} {r.background} {r.kept_apart} {years:g} yr" for r, years in recipes
    )
    names = dict.fromkeys(name for of_sky in found for name in of_sky)
    calibration = {
        name: fit_calibration([sky[name] for sky in found if name in sky]).as_mapping()
        for name in names
    }
    network: Any = localizer.network
    return save_localizer(network, weights, history, calibration)


def _match_one(
    weights: str,
    data_dir: str | Path | None,
    shape: DiffuseShape | None,
    sky: tuple[SkyRecipe, float],
) -> dict[str, MatchedCenters]:
    return match_sky(load_localizer(weights), known_sky(sky[0], data_dir, sky[1]), shape=shape)
