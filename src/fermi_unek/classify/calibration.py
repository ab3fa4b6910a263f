"""From logits to calibrated probabilities, the fake flag and the class that is stated.

Fitted by `training.classifier_calibrate` on simulated skies kept for it, and held in the header
of the weights file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..nets.tables import from_header

N_CLASSES = 5
FAKE = N_CLASSES - 1


@dataclass(frozen=True)
class ClassCalibration:
    """Numbers of one classifier.

    Attributes
    ----------
    scales : tuple of five float
        What the logits are multiplied by.
    offsets : tuple of five float
        Added to the scaled logits: the shares of the classes in nature are not those of the
        training skies.
    doubt : float
        Share of the localizer's own log odds against a source that is added to the logit of
        fake.
    fake_cut : float
        Prob_Fake from which a candidate is flagged.
    """

    scales: tuple[float, ...] = (1.0,) * N_CLASSES
    offsets: tuple[float, ...] = (0.0,) * N_CLASSES
    doubt: float = 0.0
    fake_cut: float = 0.5

    def __post_init__(self) -> None:
        if len(self.scales) != N_CLASSES or len(self.offsets) != N_CLASSES:
            raise InputError(
                f"a classifier's calibration has {len(self.scales)} scales and "
                f"{len(self.offsets)} offsets, expected {N_CLASSES} of each"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ClassCalibration:
        """From the header of a weights file; an empty mapping leaves everything raw.

        Raises
        ------
        InputError
            When it holds anything but the numbers of this class.
        """
        return from_header(cls, values)

    def as_mapping(self) -> dict[str, Any]:
        """For the header of a weights file."""
        return asdict(self)

    def probabilities(self, logits: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Probabilities (N, 5), each row of sum one.

        Parameters
        ----------
        logits : array (N, 5)
        source : array (N,)
            The localizer's probability of a source.
        """
        scaled = np.asarray(logits, float) * self.scales + np.asarray(self.offsets)
        scaled[:, FAKE] += self.doubt * log_odds_against(source)
        scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf)
        weights = np.exp(scaled)
        return weights / weights.sum(axis=1, keepdims=True)

    def fake(self, probabilities: np.ndarray) -> np.ndarray:
        """Bool (N,): candidates taken for a fluctuation."""
        flagged: np.ndarray = probabilities[:, FAKE] >= self.fake_cut
        return flagged


def log_odds_against(source: np.ndarray) -> np.ndarray:
    """Log odds (N,) against a source of its probability (N,), which is kept off 0 and 1."""
    source = np.clip(np.asarray(source, float), 1e-3, 1.0 - 1e-3)
    return np.log((1.0 - source) / source)
