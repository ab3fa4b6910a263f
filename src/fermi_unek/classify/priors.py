"""Class probabilities for another mix of classes than that of 4FGL-DR2."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from ..catalog import load_release
from ..catalog.schema import CLASS_OF, CLASSES
from ..errors import ConfigError
from ..sky.geometry.latitude import N_BANDS, latitude_band

SOURCE_CLASSES = CLASSES[:-1]
_FULL = 1e-6


def check_priors(priors: Mapping[str, float]) -> None:
    """`ConfigError` for shares of unknown classes, or that do not leave or make a whole."""
    for name in priors:
        if name not in SOURCE_CLASSES:
            raise ConfigError(f"prior of {name!r}: expected one of {', '.join(SOURCE_CLASSES)}")
    total, all_named = sum(priors.values()), len(priors) == len(SOURCE_CLASSES)
    if all_named and abs(total - 1.0) > _FULL:
        raise ConfigError(f"priors of all classes add up to {total:g}, not to 1")
    if not all_named and total >= 1.0:
        raise ConfigError(f"priors add up to {total:g}: they leave nothing for the other classes")


def with_priors(
    chances: np.ndarray, lat_deg: np.ndarray, priors: Mapping[str, float]
) -> np.ndarray:
    """Class probabilities under other shares of the classes, by Bayes' rule.

    What the photons say stays; the shares that the calibration had, of 4FGL-DR2 in each band of
    latitude, are exchanged. How likely a fluctuation is does not depend on them.

    Parameters
    ----------
    chances : array (N, 5)
        Of `CLASSES`, as calibrated on skies with DR2's mix.
    lat_deg : array (N,)
        Galactic latitude.
    priors : mapping of str to float
        Share of some of the four classes of sources, at all latitudes; those not named share the
        rest as in DR2.

    Returns
    -------
    array (N, 5)
        Each row of sum one.

    Raises
    ------
    ConfigError
        As `check_priors`.
    """
    check_priors(priors)
    before = shares_of_dr2()[latitude_band(lat_deg)]
    named = np.array([name in priors for name in SOURCE_CLASSES])
    after = np.array([priors.get(name, 0.0) for name in SOURCE_CLASSES])
    rest = np.where(named, 0.0, before)
    left = 1.0 - after.sum()
    after = after + left * rest / np.maximum(rest.sum(axis=1, keepdims=True), 1e-12)
    changed = chances.copy()
    changed[:, :-1] *= after / before
    return changed / changed.sum(axis=1, keepdims=True)


@lru_cache(maxsize=1)
def shares_of_dr2() -> np.ndarray:
    """Shares (3, 4) of the classes among DR2's sources of these classes, by band of latitude."""
    release = load_release("4FGL-DR2")
    label = np.array([CLASS_OF.get(name.lower(), -1) for name in release["CLASS1"]])
    band = latitude_band(np.asarray(release["GLAT"], float))
    numbers = np.array(
        [
            [np.sum((label == k) & (band == index)) for k in range(len(SOURCE_CLASSES))]
            for index in range(N_BANDS)
        ],
        float,
    )
    # no class is impossible anywhere
    numbers += 0.5
    shares: np.ndarray = numbers / numbers.sum(axis=1, keepdims=True)
    return shares
