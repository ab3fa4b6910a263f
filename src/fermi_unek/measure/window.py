"""One region of the sky with all its candidates, and the windows of it that are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..sky.binning import by_energy
from ..sky.bins import N_BINS
from .dataset import ModelledSource, WindowDataset
from .pixels import BinPixels
from .response import Grouping, Response
from .spectra import fine_flux
from .state import SourceState
from .templates import PointImages

WINDOW_DEG = by_energy(5.0, 4.0, 3.0, 2.2, 1.6, 1.2)
"""Radius of the pixels that are fitted, per energy bin: some three times what holds 68%."""

_EXTENT_DEG = by_energy(9.0, 7.0, 5.0, 3.5, 2.5, 2.0)  # of a source's light on its neighbours
_BRIGHT, _BRIGHT_FACTOR = 3000.0, 2.5  # photons from which the light reaches further

POSITION_SLACK_DEG = 0.3
"""How far a position may move from where it was handed in."""


@dataclass(frozen=True)
class RegionData:
    """Photons and diffuse emission of a part of the sky.

    Attributes
    ----------
    pixels : tuple of six BinPixels
    counts, diffuse : tuples of six arrays (P_b,)
        Photons, and those expected of the diffuse emission.
    response : Response
    grouping : Grouping
    """

    pixels: tuple[BinPixels, ...]
    counts: tuple[np.ndarray, ...]
    diffuse: tuple[np.ndarray, ...]
    response: Response
    grouping: Grouping


class RegionSky:
    """A region with a changing model of its sources.

    Parameters
    ----------
    data : RegionData
    states : sequence of SourceState
        Of all the sources whose light may matter.

    Attributes
    ----------
    scatter : array (6, 6)
        Covariance of what the model lacks, in photons of a point source; see `scatter`. 0 to
        begin with.
    """

    def __init__(self, data: RegionData, states: Sequence[SourceState]) -> None:
        self.data = data
        self.states = list(states)
        self.scatter = np.zeros((N_BINS, N_BINS))
        vectors = np.array([state.vector for state in states]).reshape(-1, 3)
        self._per_flux = np.einsum(
            "nkb,kbg->nkbg", data.response.counts_per_flux(vectors), data.grouping.member
        )
        self._expected = [np.zeros(len(bin_pixels.pixels)) for bin_pixels in data.pixels]
        self._light: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in states]
        for number in range(len(states)):
            self._shine(number)

    def update(self, number: int, state: SourceState) -> None:
        """Take over a new model of one source."""
        self.states[number] = state
        self._shine(number)

    def counts_of(self, number: int) -> np.ndarray:
        """Photons (6,) expected of a source all over the sky."""
        flux = fine_flux(self.states[number].spectral_model())
        return np.tensordot(flux, self._per_flux[number], axes=1).sum(axis=1)

    def expected(self, b: int) -> np.ndarray:
        """Photons (P,) of all sources in the pixels of an energy bin."""
        return self._expected[b]

    def light(self, number: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n,) that a source lights in an energy bin, and its photons (n,) there."""
        return self._light[number][b]

    def separations_deg(self, number: int) -> np.ndarray:
        """Distance (N,) of all sources from one of them."""
        vectors = np.array([state.vector for state in self.states])
        return np.degrees(np.arccos(np.clip(vectors @ vectors[number], -1.0, 1.0)))

    def window(
        self, number: int, neighbours: Sequence[int] = ()
    ) -> tuple[WindowDataset, list[ModelledSource]]:
        """The pixels around a source with models of it and of some neighbours to be fitted.

        Returns
        -------
        dataset : WindowDataset
            Its sources are set.
        sources : list of ModelledSource
            The one asked for, then the neighbours; all parameters free but positions.
        """
        centre = self.states[number].vector
        fitted = [number, *neighbours]
        which = [
            bin_pixels.within(centre, radius)
            for bin_pixels, radius in zip(self.data.pixels, WINDOW_DEG, strict=True)
        ]
        frozen = []
        for b, keep in enumerate(which):
            expected = self._expected[b].copy()
            for other in fitted:
                place, light = self._light[other][b]
                expected[place] -= light
            frozen.append(np.maximum(expected[keep], 0.0))
        pixels = [
            bin_pixels.select(keep)
            for bin_pixels, keep in zip(self.data.pixels, which, strict=True)
        ]
        dataset = WindowDataset(
            pixels,
            np.concatenate([n[keep] for n, keep in zip(self.data.counts, which, strict=True)]),
            np.concatenate(frozen),
            np.concatenate([d[keep] for d, keep in zip(self.data.diffuse, which, strict=True)]),
        )
        sources = [self._modelled(other, pixels) for other in fitted]
        dataset.sources = sources
        return dataset, sources

    def _modelled(self, number: int, pixels: Sequence[BinPixels]) -> ModelledSource:
        state = self.states[number]
        images = PointImages(pixels, self.data.grouping, state.vector, POSITION_SLACK_DEG)
        return ModelledSource(
            f"source-{number}",
            state.lon_deg,
            state.lat_deg,
            state.spectral_model(),
            images,
            self._per_flux[number],
        )

    def _shine(self, number: int) -> None:
        """Replace the light of a source on the region by that of its present model."""
        for b, (place, light) in enumerate(self._light[number]):
            self._expected[b][place] -= light
        state = self.states[number]
        flux = fine_flux(state.spectral_model())
        counts = np.tensordot(flux, self._per_flux[number], axes=1)
        factor = _BRIGHT_FACTOR if counts.sum() > _BRIGHT else 1.0
        places, pixels = [], []
        for bin_pixels, extent in zip(self.data.pixels, _EXTENT_DEG, strict=True):
            places.append(bin_pixels.within(state.vector, extent * factor))
            pixels.append(bin_pixels.select(places[-1]))
        images = PointImages(pixels, self.data.grouping, state.vector, 0.0).at(state.vector)
        self._light[number] = [
            (place, image @ n) for place, image, n in zip(places, images, counts, strict=True)
        ]
        for b, (place, light) in enumerate(self._light[number]):
            self._expected[b][place] += light
