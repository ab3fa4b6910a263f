"""Images of point sources: where the photons of a source fall, by parts of the energy bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..irf.instrument import PROFILE_DEG
from .pixels import BinPixels
from .response import Grouping

_NODES = len(PROFILE_DEG)


def psf_at(cosine: np.ndarray, profiles: np.ndarray) -> np.ndarray:
    """PSF per sr (G, ...) of profiles (G, 2048) at the cosines of angles from the source."""
    angle = np.degrees(2.0 * np.arcsin(np.sqrt(np.clip(0.5 * (1.0 - cosine), 0.0, 1.0))))
    place = np.sqrt(angle / PROFILE_DEG[-1]) * (_NODES - 1)
    low = np.minimum(place.astype(np.int64), _NODES - 2)
    # angles go with the square of the place: so does the interpolation between two nodes
    part = (place**2 - low**2) / (2 * low + 1)
    part = np.minimum(part, 1.0)
    return profiles[:, low] * (1.0 - part) + profiles[:, low + 1] * part


class PointImages:
    """Makes the images of point sources in a fixed set of pixels.

    Parameters
    ----------
    pixels : sequence of BinPixels
        One for each energy bin, in order.
    grouping : Grouping
    near : array (3,)
        Unit vector close to which all sources will lie.
    slack_deg : float
        How close.
    """

    def __init__(
        self, pixels: Sequence[BinPixels], grouping: Grouping, near: np.ndarray, slack_deg: float
    ) -> None:
        self._parts = []
        for bin_pixels in pixels:
            close = bin_pixels.within(near, 4.0 * bin_pixels.size_deg + slack_deg)
            profiles = grouping.profiles[bin_pixels.index]
            self._parts.append((bin_pixels, profiles, close, bin_pixels.children(close)))

    def at(self, vector: np.ndarray) -> list[np.ndarray]:
        """Fractions (P_b, G) of the photons of each part of each bin that fall into a pixel."""
        result = []
        for bin_pixels, profiles, close, children in self._parts:
            image = psf_at(bin_pixels.vectors @ vector, profiles)
            if len(close):
                image[:, close] = psf_at(children @ vector, profiles).mean(axis=2)
            result.append(image.T * bin_pixels.area_sr)
        return result
