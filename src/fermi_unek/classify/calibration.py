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
from ..sky.geometry.latitude import N_BANDS, latitude_band

N_CLASSES = 5
FAKE = N_CLASSES - 1

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
    fake_cut : tuple of three float
        What `against_bright` gives from which a candidate is flagged.
    """

    scales: Rows = ((1.0,) * N_CLASSES,) * N_BANDS
    offsets: Rows = ((0.0,) * N_CLASSES,) * N_BANDS
    doubt: float = 0.0
    fake_weights: tuple[float, ...] = (1.0, -1.0, 0.0)
    fake_cut: tuple[float, ...] = (0.5,) * N_BANDS

    def __post_init__(self) -> None:
        shapes = [
            np.shape(table)
            for table in (self.scales, self.offsets, self.fake_weights, self.fake_cut)
        ]
        expected = [(N_BANDS, N_CLASSES), (N_BANDS, N_CLASSES), (3,), (N_BANDS,)]
        if shapes != expected:
            raise InputError(
                f"a classifier's calibration has scales, offsets, weights and cuts of shapes "
                f"{shapes}, expected {expected}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ClassCalibration:
        """From the header of a weights file; an empty mapping leaves everything raw.

        One row of scales or offsets, or one cut, serves all latitudes.

        Raises
        ------
        InputError
            When it holds anything but the numbers of this class.
        """
        numbers = dict(values)
        for name, depth in (("scales", 2), ("offsets", 2), ("fake_cut", 1)):
            if name in numbers:
                numbers[name] = _by_band(numbers[name], depth)
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

    def fake(self, against: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
        """Bool (N,): candidates taken for a fluctuation, by what `against_bright` gives (N,)."""
        flagged: np.ndarray = against >= np.asarray(self.fake_cut)[latitude_band(lat_deg)]
        return flagged


def _by_band(value: Any, depth: int) -> Any:
    """Tuples of a value with one row for each band, repeated where it has `depth` - 1 axes."""
    array = np.asarray(value, float)
    if array.ndim < depth:
        array = np.broadcast_to(array, (N_BANDS, *array.shape))
    return tuple(tuple(row) if depth == 2 else row for row in array.tolist())


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
