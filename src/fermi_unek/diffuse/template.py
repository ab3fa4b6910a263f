"""What share of the diffuse emission comes from where: a template, cut into patches like counts.

A template has no level of its own. It says how bright one place is beside another, which no
patch of ten degrees can tell from its photons alone where gas and sources are mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..errors import InputError
from ..sky.bins import N_BINS
from ..sky.geometry.frame import PatchFrame

TEMPLATE_PIXELS = (32, 32, 64, 64, 64, 64)
"""Pixels along the side of a cut template per energy bin; never more than the counts have."""

TEMPLATE_NSIDES = (128, 128, 256, 256, 256, 256)
"""HEALPIX nside per energy bin: a third of the FRONT PSF at low energy, the models' own above."""


@dataclass(frozen=True)
class SkyTemplate:
    """Diffuse photons per sr, PSF included, in each bin; of any unit.

    Attributes
    ----------
    maps : tuple of six arrays (12 nside**2,)
        NESTED Galactic, ``nside = TEMPLATE_NSIDES[b]``; positive.

    Raises
    ------
    InputError
        When the maps have other sizes.
    """

    maps: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        shapes = tuple(one.shape for one in self.maps)
        expected = tuple((hp.nside2npix(nside),) for nside in TEMPLATE_NSIDES)
        if shapes != expected:
            raise InputError(f"maps of a template have shapes {shapes}, expected {expected}")

    def cut(self, frame: PatchFrame) -> list[np.ndarray]:
        """The template in a patch, six float32 arrays (n_b, n_b) with ``n_b`` TEMPLATE_PIXELS."""
        planes = []
        near: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        for b in range(N_BINS):
            n, nside = TEMPLATE_PIXELS[b], TEMPLATE_NSIDES[b]
            if (n, nside) not in near:
                theta, phi = hp.vec2ang(frame.pixel_vectors(n).reshape(-1, 3))
                near[n, nside] = hp.get_interp_weights(nside, theta, phi, nest=True)
            pixels, weights = near[n, nside]
            values = (self.maps[b][pixels].astype(np.float32) * weights).sum(axis=0)
            planes.append(values.reshape(n, n).astype(np.float32))
        return planes


def template_from_maps(maps: np.ndarray) -> SkyTemplate:
    """Template of diffuse photons per sr, array (6, npix), NESTED Galactic.

    Each bin is brought to a mean of one and to the resolution of `TEMPLATE_NSIDES`, in half
    precision (one part in 2000).
    """
    scaled = maps / maps.mean(axis=1, keepdims=True)
    return SkyTemplate(
        tuple(
            hp.ud_grade(one, nside, order_in="NEST", order_out="NEST").astype(np.float16)
            for one, nside in zip(scaled, TEMPLATE_NSIDES, strict=True)
        )
    )
