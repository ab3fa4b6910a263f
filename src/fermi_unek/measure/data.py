"""What a region's fit needs of photons, instrument and diffuse emission, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import healpy as hp
import numpy as np

from ..diffuse.named import DiffuseModel
from ..irf.instrument import PROFILE_DEG
from ..sky.bins import COVERAGE_ORDER
from .background import DiffuseImages
from .channels import Channel, Domain, counts_within, domain
from .extent import Extent
from .response import Response, profile_place

WINDOW_RADII, WINDOW_DEG = 3.5, (1.0, 6.0)
"""Surroundings of a source that a fit needs: in radii that hold 68% of the PSF, and bounds."""

REACH_RADII, LEAST_REACH_DEG = 15.0, 2.0
"""How far the light of a source is followed, in radii that hold 68% of the PSF."""

_SIZES = 2.0  # hold all of a disk and almost all of a Gaussian
_NODES = len(PROFILE_DEG)
_DISC_NODES = slice(None, None, 4)


@dataclass(frozen=True)
class Epoch:
    """Photons of a span of time.

    Attributes
    ----------
    rows : int array (n,)
        Pixels of the region that hold some, rising.
    counts : array (n,)
    exposed : array (C,)
        Part of the exposure of all the time.
    """

    rows: np.ndarray
    counts: np.ndarray
    exposed: np.ndarray


@dataclass(frozen=True)
class RegionData:
    """Photons of a region and what is expected there of the diffuse emission.

    Of the pixels only those with photons are kept; what is expected in all together is a number.

    Attributes
    ----------
    centre : array (3,)
        Galactic unit vector.
    responses : tuple of Response
        One for each event type; their C channels follow each other. Without photons.
    edges : int array (C + 1,)
        Where the pixels of a channel begin.
    channel : int array (P,)
    vectors : array (P, 3)
        Middles of the pixels.
    counts : array (P,)
    years : tuple of Epoch
        The same photons year by year; empty when times are not known.
    periods : tuple of Epoch
        The same in other spans of time, where these were asked for.
    diffuse : array (2, P)
        Expected Galactic and isotropic photons.
    diffuse_total : array (2, C)
        The same in the whole domain of each channel.
    domains : tuple of C Domain
    """

    centre: np.ndarray
    responses: tuple[Response, ...]
    edges: np.ndarray
    channel: np.ndarray
    vectors: np.ndarray
    counts: np.ndarray
    years: tuple[Epoch, ...]
    periods: tuple[Epoch, ...]
    diffuse: np.ndarray
    diffuse_total: np.ndarray
    domains: tuple[Domain, ...]

    @property
    def n_channels(self) -> int:
        """Channels of all event types."""
        return len(self.domains)

    @cached_property
    def radii_deg(self) -> np.ndarray:
        """Radius (C,) that holds 68% of the PSF."""
        return np.concatenate([response.radii_deg for response in self.responses])

    @cached_property
    def area_sr(self) -> np.ndarray:
        """Solid angle (C,) of a pixel."""
        orders = [order for response in self.responses for order in response.orders]
        return 4.0 * np.pi / (12.0 * 4.0 ** np.array(orders))

    def counts_per_flux(self, vectors: np.ndarray) -> np.ndarray:
        """Expected counts (N, E, C) per photon flux in each true-energy bin, cm2 s."""
        return np.concatenate(
            [response.counts_per_flux(vectors) for response in self.responses], axis=2
        )

    @cached_property
    def _exposures(self) -> list[list[np.ndarray]]:
        return [response.exposures(self.centre) for response in self.responses]

    def profiles(self, flux: np.ndarray, extent: Extent | None = None) -> np.ndarray:
        """Profiles (C, 2048) per sr of a source of a spectrum; see `Response.profiles`."""
        pairs = zip(self.responses, self._exposures, strict=True)
        point = np.concatenate(
            [response.profiles(flux, exposures) for response, exposures in pairs]
        )
        return point if extent is None else extent.spread(point)

    def image(
        self,
        vector: np.ndarray,
        profiles: np.ndarray,
        rows: np.ndarray | slice = slice(None),
        size_deg: float = 0.0,
    ) -> np.ndarray:
        """Part (P,) of the photons of a source that falls into each pixel.

        Parameters
        ----------
        vector : array (3,)
        profiles : array (C, 2048)
        rows : index array or slice
            Of the pixels that are asked for.
        size_deg : float
            Of a source that is no point: its light reaches further by some of its radii.
        """
        channel = self.channel[rows]
        cosine = self.vectors[rows] @ vector
        near = np.flatnonzero(cosine > self._reach(size_deg)[channel])
        result = np.zeros(len(channel))
        channel = channel[near]
        result[near] = lookup(cosine[near], profiles, channel) * self.area_sr[channel]
        return result

    def image_slopes(
        self,
        vector: np.ndarray,
        sides: np.ndarray,
        profiles: np.ndarray,
        rows: np.ndarray,
        size_deg: float = 0.0,
    ) -> np.ndarray:
        """Change (2, n) of `image` a degree towards two sides (2, 3), unit vectors across."""
        channel, vectors = self.channel[rows], self.vectors[rows]
        cosine = vectors @ vector
        near = np.flatnonzero(cosine > self._reach(size_deg)[channel])
        channel = channel[near]
        angle = angle_deg(cosine[near])
        low, _ = profile_place(angle)
        at = channel * _NODES + low
        flat = profiles.ravel()
        steepness = (flat[at + 1] - flat[at]) / np.diff(PROFILE_DEG)[low] * self.area_sr[channel]
        towards = sides @ vectors[near].T / np.maximum(np.sin(np.radians(angle)), 1e-9)
        result = np.zeros((2, len(cosine)))
        result[:, near] = -steepness * towards
        return result

    def _reach(self, size_deg: float) -> np.ndarray:
        """Cosine (C,) of the angle beyond which a source is not seen."""
        reach = np.maximum(REACH_RADII * self.radii_deg, LEAST_REACH_DEG)
        return np.cos(np.radians(np.minimum(reach + _SIZES * size_deg, 180.0)))

    def contained(
        self, vector: np.ndarray, profiles: np.ndarray, size_deg: float = 0.0
    ) -> np.ndarray:
        """Part (C,) of the photons of a source that falls into each domain; see `image`."""
        separation = np.arccos(np.clip(self.centre @ vector, -1.0, 1.0))
        radii = np.radians([area.radius_deg for area in self.domains])
        result = _in_discs(profiles, separation, radii)
        cosines = {id(area): area.missing @ vector for area in self.domains}
        reach = self._reach(size_deg)
        for c, area in enumerate(self.domains):
            near = cosines[id(area)] > reach[c]
            if near.any():
                channel = np.full(int(near.sum()), c)
                density = lookup(cosines[id(area)][near], profiles, channel)
                result[c] -= density @ area.missing_sr[near]
        return np.clip(result, 0.0, 1.0)


def lookup(cosine: np.ndarray, profiles: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """PSF per sr (P,) at cosines (P,) of the angle from a source; profiles are (C, 2048)."""
    low, part = profile_place(angle_deg(cosine))
    flat, at = profiles.ravel(), channel * _NODES + low
    return flat[at] * (1.0 - part) + flat[at + 1] * part


def angle_deg(cosine: np.ndarray) -> np.ndarray:
    """Angles of cosines, degrees."""
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.clip(0.5 * (1.0 - cosine), 0.0, 1.0)))))


def _in_discs(profiles: np.ndarray, separation: float, radii: np.ndarray) -> np.ndarray:
    """Part (C,) of profiles (C, 2048) at some separation from a disc's middle that it holds, rad.

    A ring of radius r around the source lies inside of it by the angle that the cosine rule gives.
    """
    nodes = np.radians(PROFILE_DEG[_DISC_NODES])
    density = profiles[:, _DISC_NODES] * (2.0 * np.pi * np.sin(nodes))
    share = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(nodes)
    ring = 0.5 * (nodes[1:] + nodes[:-1])
    across = np.sin(ring) * max(np.sin(separation), 1e-9)
    cosine = (np.cos(radii)[:, None] - np.cos(ring) * np.cos(separation)) / across
    return np.sum(share * np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi, axis=1)


def region_data(
    centre: np.ndarray,
    radius_deg: float,
    responses: Sequence[Response],
    diffuse: DiffuseModel,
    dated: Sequence[Response] = (),
) -> RegionData:
    """Data of the region whose candidates lie within a radius of a Galactic unit vector.

    Parameters
    ----------
    centre : array (3,)
    radius_deg : float
    responses : sequence of Response
    diffuse : DiffuseModel
    dated : sequence of Response
        The same with other spans of time for years, which become the periods.
    """
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in ("n", "v", "d", "t")}
    domains: list[Domain] = []
    years, periods = _Epochs(), _Epochs()
    for number, response in enumerate(responses):
        windows = np.clip(WINDOW_RADII * response.radii_deg, *WINDOW_DEG)
        images = DiffuseImages(diffuse, response, centre, radius_deg + windows.max())
        known: dict[tuple[object, ...], Domain] = {}
        for c, (channel, order) in enumerate(zip(response.channels, response.orders, strict=True)):
            radius = radius_deg + float(windows[c])
            key = id(channel.counts.coverage), radius, min(order, COVERAGE_ORDER)
            if key not in known:
                known[key] = domain(channel.counts.coverage, centre, radius, order)
            area = known[key]
            pixels, counts = counts_within(channel.counts, area, order)
            vectors = np.stack(hp.pix2vec(2**order, pixels, nest=True), axis=-1)
            years.add(channel, response.year_shares, area, order, pixels)
            if dated:
                of_time = dated[number]
                periods.add(of_time.channels[c], of_time.year_shares, area, order, pixels)
            domains.append(area)
            pieces["n"].append(counts.astype(float))
            pieces["v"].append(vectors)
            pieces["d"].append(images.per_sr(c, vectors) * hp.nside2pixarea(2**order))
            pieces["t"].append(images.per_sr(c, area.observed) @ area.observed_sr)
    sizes = [len(counts) for counts in pieces["n"]]
    return RegionData(
        centre=centre,
        responses=tuple(response.without_photons for response in responses),
        edges=np.concatenate([[0], np.cumsum(sizes)]),
        channel=np.repeat(np.arange(len(sizes)), sizes),
        vectors=np.concatenate(pieces["v"]),
        counts=np.concatenate(pieces["n"]),
        years=years.result(),
        periods=periods.result(),
        diffuse=np.concatenate(pieces["d"], axis=1),
        diffuse_total=np.stack(pieces["t"], axis=1),
        domains=tuple(domains),
    )


class _Epochs:
    """Collects the photons of spans of time, channel by channel."""

    def __init__(self) -> None:
        self._first = 0
        self._rows: list[list[np.ndarray]] = []
        self._counts: list[list[np.ndarray]] = []
        self._exposed: list[list[float]] = []

    def add(
        self,
        channel: Channel,
        shares: Sequence[float],
        area: Domain,
        order: int,
        pixels: np.ndarray,
    ) -> None:
        """Add the photons of a channel, whose pixels in all time are given."""
        found = [counts_within(counts, area, order) for counts in channel.years]
        self._rows.append([self._first + np.searchsorted(pixels, some) for some, _ in found])
        self._counts.append([number.astype(float) for _, number in found])
        self._exposed.append(list(shares))
        self._first += len(pixels)

    def result(self) -> tuple[Epoch, ...]:
        """The spans that all channels know."""
        columns = (zip(*parts, strict=True) for parts in (self._rows, self._counts, self._exposed))
        return tuple(
            Epoch(np.concatenate(rows), np.concatenate(counts), np.array(exposed))
            for rows, counts, exposed in zip(*columns, strict=True)
        )
