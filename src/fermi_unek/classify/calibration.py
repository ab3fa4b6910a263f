"""From logits to calibrated probabilities, the fake flag and the class that is stated.

Fitted by `training.classifier.calibrate` on simulated skies kept for it, and held in the header
of the weights file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..nets.tables import from_header
from ..sky.bins import N_BINS
from ..sky.geometry.latitude import N_BANDS, latitude_band

N_CLASSES = 5
FAKE = N_CLASSES - 1
N_LAYERS = 2
"""Cuts on photons of one layer, and of several that are kept apart."""

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ClassCalibration:
    """Numbers of one classifier, for each band of `latitude_band`.

    Attributes
    ----------
    scales : three tuples of five float
        What the logits are multiplied by.
    offsets : three tuples of five float
        Added to the scaled logits: the shares of the classes in nature are not those of the
        training skies, and not the same at all latitudes.
    doubt : float
        Share of the localizer's own log odds against a source that is added to the logit of
        fake.
    fake_weights : tuple of three float
        What `against_bright` is made of: weights of the log odds of Prob_Fake, of the network's
        log odds that a source is bright, and of the localizer's log odds against a source.
    fake_bins : tuple of K int
        Numbers of energy bins for which there are cuts, rising; those that are absent are thought
        to be the lowest.
    fake_cut : tuple of 2 tuples of K tuples of three float
        What `against_bright` gives from which a candidate is flagged: in photons of one layer and
        of several, for each number of bins.
    """

    scales: Rows = ((1.0,) * N_CLASSES,) * N_BANDS
    offsets: Rows = ((0.0,) * N_CLASSES,) * N_BANDS
    doubt: float = 0.0
    fake_weights: tuple[float, ...] = (1.0, -1.0, 0.0)
    fake_bins: tuple[int, ...] = (N_BINS,)
    fake_cut: tuple[Rows, ...] = (((0.5,) * N_BANDS,),) * N_LAYERS

    def __post_init__(self) -> None:
        shapes = [
            np.shape(table)
            for table in (self.scales, self.offsets, self.fake_weights, self.fake_cut)
        ]
        rows = (N_BANDS, N_CLASSES)
        expected = [rows, rows, (3,), (N_LAYERS, len(self.fake_bins), N_BANDS)]
        if shapes != expected:
            raise InputError(
                f"a classifier's calibration has scales, offsets, weights and cuts of shapes "
                f"{shapes}, expected {expected}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ClassCalibration:
        """From the header of a weights file; an empty mapping leaves everything raw.

        One row of scales or offsets, or one cut, serves all latitudes; cuts of the bands alone
        serve any bins and layers.

        Raises
        ------
        InputError
            When it holds anything but the numbers of this class.
        """
        numbers = dict(values)
        n_bins = np.size(numbers.get("fake_bins", cls.fake_bins))
        shapes: dict[str, tuple[int, ...]] = {
            "scales": (N_BANDS, N_CLASSES),
            "offsets": (N_BANDS, N_CLASSES),
            "fake_cut": (N_LAYERS, n_bins, N_BANDS),
        }
        for name in shapes.keys() & numbers.keys():
            numbers[name] = _filled(numbers[name], shapes[name])
        return from_header(cls, numbers)

    def as_mapping(self) -> dict[str, Any]:
        """For the header of a weights file."""
        return asdict(self)

    def probabilities(
        self, logits: np.ndarray, source: np.ndarray, lat_deg: np.ndarray
    ) -> np.ndarray:
        """Probabilities (N, 5), each row of sum one.

        Parameters
        ----------
        logits : array (N, 5 or 6)
            A sixth says nothing on the classes, see `against_bright`.
        source : array (N,)
            The localizer's probability of a source.
        lat_deg : array (N,)
            Galactic latitude.
        """
        band = latitude_band(lat_deg)
        scales, offsets = np.asarray(self.scales), np.asarray(self.offsets)
        scaled = np.asarray(logits, float)[:, :N_CLASSES] * scales[band] + offsets[band]
        scaled[:, FAKE] += self.doubt * log_odds_against(source)
        scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf)
        weights = np.exp(scaled)
        return weights / weights.sum(axis=1, keepdims=True)

    def against_bright(
        self, probabilities: np.ndarray, logits: np.ndarray, source: np.ndarray
    ) -> np.ndarray:
        """How surely a fluctuation, not a source of ideal TS above 25: (N,), from 0 to 1.

        Sources below 25 are left aside: it is the bright ones that Fake must not cost.

        Parameters
        ----------
        probabilities : array (N, 5)
            As `probabilities` gives them.
        logits : array (N, 5 or 6)
            The sixth is the log odds that a source is bright; without it and with the default
            weights this is Prob_Fake.
        source : array (N,)
            The localizer's probability of a source.
        """
        numbers = against_numbers(probabilities, logits, source)
        against: np.ndarray = 1.0 / (1.0 + np.exp(-numbers @ np.asarray(self.fake_weights)))
        return against

    def fake(
        self, against: np.ndarray, lat_deg: np.ndarray, bins: np.ndarray, layers: np.ndarray
    ) -> np.ndarray:
        """Bool (N,): candidates taken for a fluctuation.

        The fewer photons there are, the less tells a faint source from one: between the numbers
        of bins that were calibrated a cut is interpolated, and beyond them it is that of the next.

        Parameters
        ----------
        against : array (N,)
            As `against_bright` gives it.
        lat_deg : array (N,)
            Galactic latitude.
        bins, layers : int arrays (N,)
            Number of energy bins and of layers that the candidates were found in.
        """
        cuts = np.asarray(self.fake_cut)[np.minimum(layers, N_LAYERS) - 1]
        cuts = cuts[np.arange(len(against)), :, latitude_band(lat_deg)]
        place = np.interp(bins, self.fake_bins, np.arange(len(self.fake_bins)))
        low = place.astype(int)
        high = np.minimum(low + 1, len(self.fake_bins) - 1)
        rows, part = np.arange(len(against)), place - low
        flagged: np.ndarray = against >= cuts[rows, low] * (1.0 - part) + cuts[rows, high] * part
        return flagged


def _filled(value: Any, shape: tuple[int, ...]) -> Any:
    """Lists of a value, repeated along the first axes of a shape where it lacks them."""
    array = np.asarray(value, float)
    if array.shape == shape[len(shape) - array.ndim :]:
        array = np.broadcast_to(array, shape)
    return array.tolist()


def against_numbers(
    probabilities: np.ndarray, logits: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """Numbers (N, 3) that `ClassCalibration.fake_weights` weigh."""
    chance = np.clip(probabilities[:, FAKE], 1e-9, 1.0 - 1e-9)
    bright = np.zeros(len(chance))
    if logits.shape[1] > N_CLASSES:
        bright = np.clip(logits[:, N_CLASSES].astype(float), -30.0, 30.0)
    return np.stack([np.log(chance / (1.0 - chance)), bright, log_odds_against(source)], axis=-1)


def log_odds_against(source: np.ndarray) -> np.ndarray:
    """Log odds (N,) against a source of its probability (N,), which is kept off 0 and 1."""
    source = np.clip(np.asarray(source, float), 1e-3, 1.0 - 1e-3)
    return np.log((1.0 - source) / source)
