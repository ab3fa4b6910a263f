"""From the raw numbers of a centre to the probability that it is real and its position error.

Fitted by `training.calibrate` on simulated skies that the network was not trained on, and kept
in the header of the weights file: a table for each choice of layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from ..irf.observation import Observation
from ..nets.tables import from_header
from ..sky.geometry.latitude import latitude_band
from .centers import Centers

USUAL_YEARS = 10.0
"""Live time of photons that do not say it."""

R68_OF_SIGMA = float(np.sqrt(-2.0 * np.log(0.32)))
"""68% radius of a two-dimensional Gaussian over its error per axis."""

R95_OF_SIGMA = float(np.sqrt(-2.0 * np.log(0.05)))
"""95% radius of a two-dimensional Gaussian over its error per axis."""


@dataclass(frozen=True)
class Calibration:
    """Tables of one localizer and choice of layers, for photons of some live time.

    Attributes
    ----------
    years : float
        Live time of the photons; not in the tables.
    weights : tuple of float
        Linear score of the features of `features`; empty: the raw peak is the probability.
    score_nodes : tuple of float
        Increasing scores.
    probability_nodes : tuple of tuple of float
        Probability at the nodes, one row per latitude band of `latitude_band`.
    error_nodes_deg, radius_nodes_deg, radius95_nodes_deg : tuple of float
        Position error per axis, increasing, and the 68% and 95% radii that go with it; of
        ellipses the geometric means of both axes. The last may be empty: a Gaussian's.
    stretch_nodes, stretch95_nodes : tuple of float
        Factors of the two radii at the nodes of the score: what is doubtful lies further off
        than its error tells, since a fluctuation made it. Empty: one.
    """

    weights: tuple[float, ...] = ()
    score_nodes: tuple[float, ...] = ()
    probability_nodes: tuple[tuple[float, ...], ...] = ()
    error_nodes_deg: tuple[float, ...] = ()
    radius_nodes_deg: tuple[float, ...] = ()
    radius95_nodes_deg: tuple[float, ...] = ()
    stretch_nodes: tuple[float, ...] = ()
    stretch95_nodes: tuple[float, ...] = ()
    years: float = USUAL_YEARS

    @classmethod
    def of(cls, tables: Mapping[str, Any], observed: Sequence[Observation], years: float) -> Self:
        """That of a localizer for the layers that were `observed` and their live time.

        `tables` has a mapping for each choice of layers, by `layers_name`. A choice that it lacks
        takes one of as many layers; none at all leaves everything raw. Live time may be NaN.
        """
        names = [name for name in tables if name.count("+") + 1 == len(observed)]
        name = layers_name(observed)
        chosen = name if name in tables else names[0] if names else None
        found = cls.from_mapping({} if chosen is None else tables[chosen])
        return replace(found, years=years if np.isfinite(years) and years > 0 else USUAL_YEARS)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """One table from the header of a weights file; an empty mapping leaves everything raw.

        Raises
        ------
        InputError
            When it holds anything but the tables of this class.
        """
        return from_header(cls, values)

    def as_mapping(self) -> dict[str, Any]:
        """For the header of a weights file."""
        return {name: value for name, value in asdict(self).items() if name != "years"}

    def score(self, centers: Centers) -> np.ndarray:
        """Number (N,) that ranks centres: larger is surer; raw, the logit of the peak."""
        every = features(centers, self.years)
        return every @ np.asarray(self.weights) if self.weights else every[:, 0]

    def probability(self, centers: Centers, lat_deg: np.ndarray) -> np.ndarray:
        """Probability (N,) that each centre is a source of ideal TS above 9."""
        if not self.weights:
            return np.clip(centers.peak, 0.0, 1.0)
        score, band = self.score(centers), latitude_band(lat_deg)
        result = np.zeros(len(centers))
        for index, nodes in enumerate(self.probability_nodes):
            here = band == index
            result[here] = np.interp(score[here], self.score_nodes, nodes)
        return result

    def radius68_deg(self, error_deg: np.ndarray, score: np.ndarray) -> np.ndarray:
        """68% radius (N,), degrees, by position error per axis and `score`, both (N,)."""
        radius = self._radius(error_deg, self.radius_nodes_deg, R68_OF_SIGMA)
        return radius * self._stretch(score, self.stretch_nodes)

    def radius95_deg(self, error_deg: np.ndarray, score: np.ndarray) -> np.ndarray:
        """95% radius (N,), degrees, likewise; never below the 68% one."""
        radius68 = self.radius68_deg(error_deg, score)
        if not self.radius95_nodes_deg:
            return radius68 * (R95_OF_SIGMA / R68_OF_SIGMA)
        radius95 = self._radius(error_deg, self.radius95_nodes_deg, R95_OF_SIGMA)
        return np.maximum(radius95 * self._stretch(score, self.stretch95_nodes), radius68)

    def _stretch(self, score: np.ndarray, nodes: tuple[float, ...]) -> np.ndarray:
        if not nodes:
            return np.ones(np.shape(score))
        stretch: np.ndarray = np.interp(score, self.score_nodes, nodes)
        return stretch

    def _radius(self, error_deg: np.ndarray, nodes: tuple[float, ...], raw: float) -> np.ndarray:
        if not self.error_nodes_deg:
            return np.asarray(error_deg) * raw
        logs = np.interp(np.log(error_deg), np.log(self.error_nodes_deg), np.log(nodes))
        # beyond the nodes in proportion
        low, high = self.error_nodes_deg[0], self.error_nodes_deg[-1]
        beyond = np.clip(error_deg / low, None, 1.0) * np.clip(error_deg / high, 1.0, None)
        return np.exp(logs) * beyond


def layers_name(observed: Sequence[Observation]) -> str:
    """Event types of the layers, such as "front+back"."""
    return "+".join(layer.event_type for layer in observed)


def features(centers: Centers, years: float = USUAL_YEARS) -> np.ndarray:
    """Numbers (N, 5) the score is made of: logit of the peak, log area, error and years, one."""
    peak = np.clip(centers.peak, 1e-4, 1.0 - 1e-4)
    return np.column_stack(
        [
            np.log(peak / (1.0 - peak)),
            np.log(np.maximum(centers.area, 1e-4) / 0.15),
            np.log(np.maximum(centers.error_deg, 1e-3) / 0.05),
            np.full(len(centers), np.log(years / USUAL_YEARS)),
            np.ones(len(centers)),
        ]
    )
