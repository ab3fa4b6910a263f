"""`Candidates`: what the search hands over to be made into a catalog."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..errors import InputError
from ..sky.bins import N_BINS
from ..sky.geometry.coverage import icrs_to_galactic
from .schema import CLASSES


@dataclass(frozen=True)
class Candidates:
    """Places on the sky at which the network sees a source; N may be 0.

    Attributes
    ----------
    lon_deg, lat_deg : float arrays (N,)
        Galactic degrees; latitude -90 to 90, longitude any finite value.
    probability : float array (N,)
        0 to 1.
    semimajor68_deg, semiminor68_deg : float arrays (N,)
        Semi-axes of the 68% error ellipse, degrees; NaN where not known.
    position_angle_deg : float array (N,)
        Of the semimajor axis from celestial (ICRS) north through east, as 4FGL has it; see
        `equatorial_position_angle` for angles counted from Galactic north.
    near_edge : bool array (N,)
        Within half a degree of where the data end.
    counts : float array (N, 6) or None
        Photons counted about each per energy bin; NaN where the bin is absent.
    class_probabilities : float array (N, 5) or None
        bll, fsrq, psr, pwn, fake, each 0 to 1; a row of NaN was not classified.
    fake : bool array (N,) or None
        Taken for a fluctuation; None is none of them.
    ratio95 : float array (N,) or None
        Semi-axes of the 95% error ellipse over those of the 68% one, at least 1; None is a
        Gaussian's 1.62.
    peak, area : float arrays (N,) or None
        The localizer's raw numbers, see `detect.centers.Centers`; for the classifier, no catalog
        holds them.
    extended : float array (N,) or None
        Probability that an extended source shines there.
    """

    lon_deg: np.ndarray
    lat_deg: np.ndarray
    probability: np.ndarray
    semimajor68_deg: np.ndarray
    semiminor68_deg: np.ndarray
    position_angle_deg: np.ndarray
    near_edge: np.ndarray
    counts: np.ndarray | None = None
    class_probabilities: np.ndarray | None = None
    fake: np.ndarray | None = None
    ratio95: np.ndarray | None = None
    peak: np.ndarray | None = None
    area: np.ndarray | None = None
    extended: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        if not (np.all(np.isfinite(self.lon_deg)) and np.all(np.abs(self.lat_deg) <= 90)):
            raise InputError("candidates have positions off the sky (not finite or |b| above 90)")
        if not np.all((self.probability >= 0) & (self.probability <= 1)):
            raise InputError("candidates have probabilities outside 0 to 1")
        if np.any(self.semiminor68_deg < 0) or np.any(self.semimajor68_deg < self.semiminor68_deg):
            raise InputError("error ellipses need 0 <= semiminor <= semimajor axis")
        if self.ratio95 is not None and not np.all(self.ratio95 >= 1):
            raise InputError("95% error ellipses must not be smaller than the 68% ones")
        classes = self.class_probabilities
        if classes is not None and (np.any(classes < 0) or np.any(classes > 1)):
            raise InputError("candidates have class probabilities outside 0 to 1")

    def _check_shapes(self) -> None:
        n = len(self.lon_deg)
        wide = {"counts": (n, N_BINS), "class_probabilities": (n, len(CLASSES))}
        for item in fields(self):
            value = getattr(self, item.name)
            expected = wide.get(item.name, (n,))
            if value is not None and np.shape(value) != expected:
                raise InputError(
                    f"candidates: {item.name} has shape {np.shape(value)}, expected {expected}"
                )

    def __len__(self) -> int:
        return len(self.lon_deg)

    @classmethod
    def empty(cls) -> Candidates:
        """Candidates of a sky in which nothing was found."""
        none = np.zeros(0)
        return cls(none, none, none, none, none, none, np.zeros(0, dtype=bool))

    def select(self, keep: np.ndarray) -> Candidates:
        """The candidates of a bool mask (N,) or of an index array, in its order."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[keep] for k, v in values.items() if v is not None})


def equatorial_position_angle(
    lon_deg: np.ndarray, lat_deg: np.ndarray, angle_deg: np.ndarray
) -> np.ndarray:
    """Turn position angles from Galactic north into ones from celestial (ICRS) north.

    Parameters
    ----------
    lon_deg, lat_deg : arrays (N,)
        Galactic position of each source, degrees.
    angle_deg : array (N,)
        From Galactic north through east (growing longitude), degrees.

    Returns
    -------
    array (N,)
        From celestial north through east, degrees, above -90 up to 90 (an axis has no
        direction).
    """
    lon, lat = np.radians(np.asarray(lon_deg, float)), np.radians(np.asarray(lat_deg, float))
    x, y, z = icrs_to_galactic()[:, 2]  # the celestial pole
    east = y * np.cos(lon) - x * np.sin(lon)
    north = z * np.cos(lat) - np.sin(lat) * (x * np.cos(lon) + y * np.sin(lon))
    turned = np.asarray(angle_deg, float) - np.degrees(np.arctan2(east, north))
    return 90.0 - (90.0 - turned) % 180.0
