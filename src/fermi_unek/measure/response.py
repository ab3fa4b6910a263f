"""What the instrument makes of a spectrum: exposure, PSF and energy dispersion of the data.

By default all three come from the package's tables, for the live time of the data. A user's
gtexpcube2 maps replace the exposure, gtpsf files the PSF; a gtltcube file with the CALDB files
replaces all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import healpy as hp
import numpy as np

from ..errors import InputError
from ..irf.exposure import ExposureFile, read_exposure
from ..irf.instrument import FINE_ENERGIES_MEV, PROFILE_DEG, PSF_X, ResponseTables, load_instrument
from ..irf.psf import PsfTable, read_psf
from ..sky.counts import SkyCounts
from .channels import Channel, channels_of, no_counts

PIXELS_A_RADIUS = 4.0
"""Such that a position is not blurred by the pixels."""

_ORDINARY_INDEX = 2.2
_LEAST_SHARE = 1e-4
_BLURRED_SIDES = 8.0  # further out a profile is straight across a pixel


@dataclass(frozen=True)
class Component:
    """Response of the events of one kind, of which the data may hold several.

    Attributes
    ----------
    tables : ResponseTables
        PSF and dispersion on the grid of true energies, and the exposure per year.
    exposure_map : ExposureFile or None
        Takes the place of the tables' exposure.
    share : array (E,)
        Factor on the exposure: the live time in years, or for one map of several kinds of events
        the share of this kind.
    """

    tables: ResponseTables
    exposure_map: ExposureFile | None
    share: np.ndarray

    def exposure(self, vectors: np.ndarray) -> np.ndarray:
        """Exposure (E, N), cm2 s, at Galactic unit vectors (N, 3)."""
        if self.exposure_map is not None:
            return self.exposure_map.at(vectors) * self.share[:, None]
        return self.tables.exposure_at(vectors) * self.share[:, None]


@dataclass(frozen=True)
class Response:
    """Response of the photons of one event type, or of a few that are not known apart.

    Attributes
    ----------
    components : tuple of Component
    channels : tuple of C Channel
    year_shares : tuple of Y float
        Part of the exposure that falls into each year of the channels.
    pixels_a_radius : float
        Pixels of the likelihood along the radius that holds 68% of the PSF.
    """

    components: tuple[Component, ...]
    channels: tuple[Channel, ...]
    year_shares: tuple[float, ...] = ()
    pixels_a_radius: float = PIXELS_A_RADIUS

    @cached_property
    def without_photons(self) -> Response:
        """The same for a region, which has photons of its own: those of the sky stay here."""
        bare = [replace(c, counts=no_counts(c.counts.order), years=()) for c in self.channels]
        return replace(self, channels=tuple(bare))

    @cached_property
    def fractions(self) -> tuple[np.ndarray, ...]:
        """Per component, fractions (E, C) of true-energy bins reconstructed in each channel."""
        intervals = np.array([channel.energies_mev for channel in self.channels])
        return tuple(component.tables.fractions_within(intervals) for component in self.components)

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """HEALPIX order of the pixels that each channel is compared in; follows the PSF."""
        wanted = np.degrees(np.sqrt(np.pi / 3)) * self.pixels_a_radius / self.radii_deg
        return tuple(
            channel.finest
            if channel.centered
            else min(max(int(np.rint(np.log2(nside))), 6), channel.finest)
            for nside, channel in zip(wanted, self.channels, strict=True)
        )

    @cached_property
    def radii_deg(self) -> np.ndarray:
        """Radius (C,) that holds 68% of the PSF of an ordinary spectrum, pixels apart."""
        flux = FINE_ENERGIES_MEV ** (1.0 - _ORDINARY_INDEX)
        profiles = np.zeros((len(self.channels), len(PROFILE_DEG)))
        for component, fractions in zip(self.components, self.fractions, strict=True):
            exposure = component.tables.exposure_per_year.mean(axis=1)
            profiles += (flux * exposure * fractions.T) @ component.tables.psf_profiles
        return containment_deg(profiles, 0.68)

    @cached_property
    def _seen(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Per component and channel the true energies (n,) that matter, and their PSF (n, 2048)."""
        seen = []
        for component, fractions in zip(self.components, self.fractions, strict=True):
            of_component = []
            for c, channel in enumerate(self.channels):
                share = fractions[:, c] * FINE_ENERGIES_MEV ** (1.0 - _ORDINARY_INDEX)
                which = np.flatnonzero(share > _LEAST_SHARE * share.sum())
                profiles = component.tables.psf_profiles[which]
                side = float(np.degrees(hp.nside2resol(2 ** self.orders[c])))
                # the pixels of a cube, into which photons were moved at random but for their
                # middles, and those that are compared
                widths = (channel.side_deg,) * 2 + (side,)
                for width in widths[:1] if channel.centered else widths:
                    profiles = through_pixels(profiles, width)
                of_component.append((which, profiles))
            seen.append(of_component)
        return seen

    def counts_per_flux(self, vectors: np.ndarray) -> np.ndarray:
        """Expected counts (N, E, C) per photon flux in each true-energy bin, cm2 s."""
        parts = zip(self.components, self.fractions, strict=True)
        return np.sum(
            [component.exposure(vectors).T[:, :, None] * f for component, f in parts], axis=0
        )

    def profiles(self, flux: np.ndarray, exposures: Sequence[np.ndarray]) -> np.ndarray:
        """PSF per sr (C, 2048) at the angles `PROFILE_DEG`, through the pixels.

        Parameters
        ----------
        flux : array (E,)
            Photon flux of a source in the true-energy bins, in any unit.
        exposures : sequence of arrays (E,)
            Of each component, where the source is or close by.
        """
        result = np.zeros((len(self.channels), len(PROFILE_DEG)))
        total = np.zeros(len(self.channels))
        parts = zip(self.fractions, exposures, self._seen, strict=True)
        for fractions, exposure, seen in parts:
            weight = (flux * exposure)[:, None] * fractions
            for c, (which, profiles) in enumerate(seen):
                result[c] += weight[which, c] @ profiles
                total[c] += weight[which, c].sum()
        return result / np.maximum(total, 1e-300)[:, None]

    def exposures(self, vector: np.ndarray) -> list[np.ndarray]:
        """Exposure (E,) of each component at a Galactic unit vector (3,), cm2 s."""
        return [component.exposure(vector[None])[:, 0] for component in self.components]


def containment_deg(profiles: np.ndarray, fraction: float) -> np.ndarray:
    """Radii (C,), degrees, that hold a fraction of radial profiles (C, 2048)."""
    inside = cumulative(profiles)
    return np.array([np.interp(fraction * row[-1], row, PROFILE_DEG) for row in inside])


def cumulative(profiles: np.ndarray) -> np.ndarray:
    """Part of profiles (C, 2048) per sr inside of each angle of `PROFILE_DEG`."""
    ring = profiles * 2.0 * np.pi * np.sin(np.radians(PROFILE_DEG))
    steps = 0.5 * (ring[:, 1:] + ring[:, :-1]) * np.diff(np.radians(PROFILE_DEG))
    return np.concatenate([np.zeros((len(profiles), 1)), np.cumsum(steps, axis=1)], axis=1)


def through_pixels(profiles: np.ndarray, side_deg: float) -> np.ndarray:
    """Means (n, 2048) of radial profiles over square pixels around each angle."""
    if side_deg <= 0:
        return profiles
    nodes, weights = np.polynomial.legendre.leggauss(4)
    x, y = (0.5 * side_deg * axis.ravel() for axis in np.meshgrid(nodes, nodes))
    weight = 0.125 * np.outer(weights, weights).ravel()
    near = np.flatnonzero(PROFILE_DEG < _BLURRED_SIDES * side_deg)
    result = profiles.copy()
    result[:, near] = 0.0
    # pixels lie at any angle: once along the radius, once across
    for dx, dy in ((x, y), ((x - y) * np.sqrt(0.5), (x + y) * np.sqrt(0.5))):
        for step, across, share in zip(dx, dy, weight, strict=True):
            low, part = profile_place(np.hypot(PROFILE_DEG[near] + step, across))
            result[:, near] += share * (profiles[:, low] * (1 - part) + profiles[:, low + 1] * part)
    return result


def profile_place(angle_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Node of `PROFILE_DEG` below each angle, and the part of the way to the next one."""
    place = np.sqrt(angle_deg / PROFILE_DEG[-1]) * (len(PROFILE_DEG) - 1)
    low = np.minimum(place.astype(np.int64), len(PROFILE_DEG) - 2)
    # angles go with the square of the place: so does the interpolation between two nodes
    return low, np.minimum((place**2 - low**2) / (2 * low + 1), 1.0)


def build_response(
    sky: SkyCounts,
    *,
    exposure: Sequence[Path] = (),
    psf: Sequence[Path] = (),
    caldb: Path | None = None,
    years: float | None = None,
    centre: np.ndarray | None = None,
    shared: bool = False,
) -> Response:
    """The response of the photons of one event type.

    Parameters
    ----------
    sky : SkyCounts
    exposure : paths
        gtexpcube2 maps: one for all the events, or one for each of `psf`. Or one gtltcube file.
    psf : paths
        gtpsf files, one for each component of the data; none for the package's PSF.
    caldb : path, optional
        Folder of the CALDB files that a gtltcube file needs; else $CALDB or $FERMI_DIR.
    years : float, optional
        Live time where the files do not say, or other than that of a gtltcube file; calendar
        years.
    centre : array (3,), optional
        Where the PSF files were made for; their exposure serves where no map is given.
    shared : bool
        The map is of other layers too.

    Raises
    ------
    InputError
        A file cannot be used, numbers of files do not go together, or the live time is known
        from nowhere.
    """
    files = [read_exposure(path, caldb) for path in exposure]
    scales = [file.scale_for(sky, component=len(files) > 1, shared=shared) for file in files]
    cubes = [file for file in files if file.map is None]
    if caldb is not None and not cubes:
        raise InputError(
            f"{caldb}: calibration files alone give no exposure; name the gtltcube file of the "
            "observation as --exposure"
        )
    package = load_instrument().parts(sky.event_type)
    if cubes:
        if len(files) > 1 or psf:
            raise InputError(
                f"{cubes[0].path}: a livetime cube (gtltcube) stands alone, its PSF is that of the "
                "CALDB files; expected gtexpcube2 maps made from it beside other maps or --psf"
            )
        live = cubes[0].years * scales[0] if years is None else years
        parts = cubes[0].response.parts(sky.event_type)
        components = [
            Component(tables, None, np.full(FINE_ENERGIES_MEV.size, live)) for tables in parts
        ]
    elif psf:
        if len(files) not in (0, len(psf)):
            raise InputError(
                f"{len(psf)} PSF files and {len(exposure)} exposure maps were given; expected a "
                "map for each, or none"
            )
        maps: Sequence[ExposureFile | None] = files or [None] * len(psf)
        components = [
            _from_psf(read_psf(path), file, scale, package, centre)
            for path, file, scale in zip(psf, maps, scales or [1.0] * len(psf), strict=True)
        ]
    elif len(files) > 1:
        raise InputError(
            f"{len(exposure)} exposure maps were given without PSF files; expected one map of all "
            "the events, or a PSF file for each"
        )
    elif files:
        components = _split(files[0], scales[0], package, shared)
    else:
        live = _years(sky, years)
        components = [
            Component(tables, None, np.full(FINE_ENERGIES_MEV.size, live)) for tables in package
        ]
    channels = channels_of(sky)
    dated = bool(channels and channels[0].years)
    return Response(tuple(components), channels, _year_shares(sky) if dated else ())


def _year_shares(sky: SkyCounts) -> tuple[float, ...]:
    """Part of the live time in each year, or like parts where it is not known."""
    live = np.array([year.livetime_years for year in sky.years])
    if not (np.isfinite(live).all() and live.sum() > 0):
        live = np.ones(len(live))
    return tuple((live / max(live.sum(), 1e-300)).tolist())


def _years(sky: SkyCounts, years: float | None) -> float:
    live = sky.livetime_years if years is None else years
    if not (np.isfinite(live) and live > 0):
        raise InputError(
            "the inputs do not say how long was observed (no good time intervals); give --years, "
            "or an exposure map with --exposure"
        )
    return live


def _split(
    exposure: ExposureFile, scale: float, package: tuple[ResponseTables, ...], shared: bool
) -> list[Component]:
    """One map of several event types, shared out as the package's exposures are."""
    kind = exposure.selection.kind
    if shared and kind is None:
        raise InputError(
            f"{exposure.path}: does not say of which event types it is the exposure; expected a "
            "map for each layer, the sharper first"
        )
    whole = load_instrument().parts(kind) if shared and kind else package
    total = np.sum([tables.exposure_per_year.mean(axis=1) for tables in whole], axis=0)
    return [
        Component(tables, exposure, scale * tables.exposure_per_year.mean(axis=1) / total)
        for tables in package
    ]


def _from_psf(
    psf: PsfTable,
    exposure: ExposureFile | None,
    scale: float,
    package: tuple[ResponseTables, ...],
    centre: np.ndarray | None,
) -> Component:
    """A component of a user's PSF; without a map, with the exposure that the PSF file holds.

    That is of one place; elsewhere it goes as the package's exposure does.
    """
    like = package[0]
    tables = replace(like, psf_density=_density(psf, like))
    if exposure is not None:
        return Component(tables, exposure, np.full(FINE_ENERGIES_MEV.size, scale))
    if centre is None or not np.all(psf.exposure > 0):
        raise InputError(f"{psf.path}: holds no exposure, give an exposure map with --exposure")
    own = np.exp(
        np.interp(np.log(FINE_ENERGIES_MEV), np.log(psf.energies_mev), np.log(psf.exposure))
    )
    there = like.exposure_at(centre[None])[:, 0]
    return Component(tables, None, own / there)


def _density(psf: PsfTable, like: ResponseTables) -> np.ndarray:
    """A user's PSF on the grid of scaled angles of the package's tables."""
    density = np.empty_like(like.psf_density)
    for k, (energy, scale) in enumerate(zip(FINE_ENERGIES_MEV, like.psf_scale_deg, strict=True)):
        row = psf.at(energy, PSF_X * scale) * np.radians(scale) ** 2
        ring = 2.0 * np.pi * PSF_X * row
        density[k] = row / np.sum(0.5 * (ring[1:] + ring[:-1]) * np.diff(PSF_X))
    return density
