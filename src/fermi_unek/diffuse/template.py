"""What share of the diffuse emission comes from where: a template, cut into patches like counts.

A template has no level of its own. It says how bright one place is beside another, which no
patch of ten degrees can tell from its photons alone where gas and sources are mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..errors import InputError
from ..sky.binning import BINNING, Binning
from ..sky.geometry.frame import PatchFrame


@dataclass(frozen=True)
class SkyTemplate:
    """Diffuse photons per sr, PSF included, in each bin; of any unit.

    Attributes
    ----------
    maps : tuple of arrays (12 nside**2,)
        NESTED Galactic, ``nside = binning.template_nsides[b]``; positive.
    binning : Binning

    Raises
    ------
    InputError
        When the maps have other sizes.
    """

    maps: tuple[np.ndarray, ...]
    binning: Binning = BINNING

    def __post_init__(self) -> None:
        shapes = tuple(plane.shape for plane in self.maps)
        expected = tuple((hp.nside2npix(nside),) for nside in self.binning.template_nsides)
        if shapes != expected:
            raise InputError(f"maps of a template have shapes {shapes}, expected {expected}")

    def cut(self, frame: PatchFrame) -> list[np.ndarray]:
        """The template in a patch, a float32 array (t_b, t_b) a bin: `Binning.template_pixels`."""
        planes = []
        near: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        shapes = zip(self.binning.template_pixels, self.binning.template_nsides, strict=True)
        for plane, (n, nside) in zip(self.maps, shapes, strict=True):
            if (n, nside) not in near:
                theta, phi = hp.vec2ang(frame.pixel_vectors(n).reshape(-1, 3))
                near[n, nside] = hp.get_interp_weights(nside, theta, phi, nest=True)
            pixels, weights = near[n, nside]
            values = (plane[pixels].astype(np.float32) * weights).sum(axis=0)
            planes.append(values.reshape(n, n).astype(np.float32))
        return planes


def template_from_maps(maps: np.ndarray, binning: Binning = BINNING) -> SkyTemplate:
    """Template of diffuse photons per sr, array (6, npix), NESTED Galactic.

    Each bin is brought to a mean of one and to the resolution of `Binning.template_nsides`, in half
    precision (one part in 2000).
    """
    scaled = maps / maps.mean(axis=1, keepdims=True)
    return SkyTemplate(
        tuple(
            hp.ud_grade(plane, nside, order_in="NEST", order_out="NEST").astype(np.float16)
            for plane, nside in zip(scaled, binning.template_nsides, strict=True)
        ),
        binning,
    )
