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

import numpy as np

from ..errors import InputError
from ..irf.exposure import ExposureFile, read_exposure
from ..irf.instrument import FINE_ENERGIES_MEV, PROFILE_DEG, PSF_X, ResponseTables, load_instrument
from ..irf.psf import PsfTable, read_psf
from ..sky.bins import ENERGY_EDGES_MEV, N_BINS
from ..sky.counts import SkyCounts
from .pixels import PixelCounts

GROUPS = 3
"""Parts of an energy bin, in true energy, for each of which the PSF has one shape."""

_GROUPING_INDEX = 2.2


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
    """Response of all the data.

    Attributes
    ----------
    components : tuple of Component
    intervals_mev : array (6, 2)
        What was observed of each energy bin, MeV.
    blur_deg : array (6,)
        Side of pixels that widen the PSF; see `pixels.PixelCounts`.
    """

    components: tuple[Component, ...]
    intervals_mev: np.ndarray
    blur_deg: np.ndarray

    @cached_property
    def fractions(self) -> tuple[np.ndarray, ...]:
        """Per component, fractions (E, 6) of true-energy bins reconstructed in each bin."""
        return tuple(
            component.tables.fractions_within(self.intervals_mev) for component in self.components
        )

    def counts_per_flux(self, vectors: np.ndarray) -> np.ndarray:
        """Expected counts (N, E, 6) per photon flux in each true-energy bin, cm2 s."""
        parts = zip(self.components, self.fractions, strict=True)
        return np.sum(
            [component.exposure(vectors).T[:, :, None] * f for component, f in parts], axis=0
        )

    def grouping(self, vector: np.ndarray) -> Grouping:
        """Parts of the energy bins with the PSF of each, for spectra seen from one place."""
        weight = FINE_ENERGIES_MEV ** (1.0 - _GROUPING_INDEX)
        shares = [
            weight[:, None] * component.exposure(vector[None]) * fraction
            for component, fraction in zip(self.components, self.fractions, strict=True)
        ]
        member = _group_members(np.sum(shares, axis=0))
        profiles = sum(
            np.einsum("kbg,kb,ka->bga", member, share, component.tables.psf_profiles, optimize=True)
            for component, share in zip(self.components, shares, strict=True)
        )
        total = np.einsum("kbg,kb->bg", member, np.sum(shares, axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            profiles = np.where(total[..., None] > 0, profiles / total[..., None], 0.0)
        for profile, width in zip(profiles, self.blur_deg, strict=True):
            profile[:] = blurred_profiles(profile, float(width))
        return Grouping(member, profiles)


@dataclass(frozen=True)
class Grouping:
    """Parts of the energy bins.

    Attributes
    ----------
    member : array (E, 6, G)
        1 where a true-energy bin belongs to a part of an energy bin, else 0.
    profiles : array (6, G, 2048)
        PSF per sr of each part at the angles ``simulate.instrument.PROFILE_DEG``.
    """

    member: np.ndarray
    profiles: np.ndarray

    def mean_profile(self, b: int) -> np.ndarray:
        """PSF per sr (2048,) of a whole bin, whose parts hold like numbers of photons."""
        used = self.profiles[b].sum(axis=1) > 0
        return self.profiles[b][used].mean(axis=0) if used.any() else self.profiles[b, 0]


def blurred_profiles(profiles: np.ndarray, width_deg: float) -> np.ndarray:
    """Radial profiles (G, 2048) seen through square pixels of some width, on average.

    A photon is told by its pixel, and somewhere in a pixel the likelihood takes it to be: both
    move it by up to half a pixel.
    """
    if width_deg <= 0:
        return profiles
    steps = (np.arange(9) - 4.0) / 5.0 * width_deg
    weight = 1.0 - np.abs(steps) / width_deg
    x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
    weights = np.outer(weight, weight).ravel()
    weights /= weights.sum()
    near = np.flatnonzero(PROFILE_DEG < 20.0 * width_deg)
    result = profiles.copy()
    turned = (x - y) * np.sqrt(0.5), (x + y) * np.sqrt(0.5)
    angles = np.concatenate(
        [np.hypot(PROFILE_DEG[near, None] + dx, dy) for dx, dy in ((x, y), turned)], axis=1
    )
    for g, profile in enumerate(profiles):
        values = np.interp(angles, PROFILE_DEG, profile)
        result[g, near] = values @ np.tile(0.5 * weights, 2)
    return result


def _group_members(expected: np.ndarray) -> np.ndarray:
    """Divide what is expected (E, 6) in each bin into parts of like numbers of photons."""
    below = np.cumsum(expected, axis=0) - 0.5 * expected
    total = np.maximum(expected.sum(axis=0), 1e-300)
    group = np.minimum((below / total * GROUPS).astype(int), GROUPS - 1)
    return (group[..., None] == np.arange(GROUPS)).astype(float)


def build_response(
    counts: PixelCounts,
    *,
    exposure: Sequence[Path] = (),
    psf: Sequence[Path] = (),
    caldb: Path | None = None,
    years: float | None = None,
    centre: np.ndarray | None = None,
) -> Response:
    """The response of a sky's photons.

    Parameters
    ----------
    counts : PixelCounts
        Of the sky.
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

    Raises
    ------
    InputError
        A file cannot be used, numbers of files do not go together, or the live time is known
        from nowhere.
    """
    sky = counts.sky
    files = [read_exposure(path, caldb) for path in exposure]
    scales = [file.scale_for(sky, component=len(files) > 1) for file in files]
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
        components = _split(files[0], scales[0], package)
    else:
        live = _years(sky, years)
        components = [
            Component(tables, None, np.full(FINE_ENERGIES_MEV.size, live)) for tables in package
        ]
    return Response(tuple(components), observed_intervals(sky), counts.blur_deg)


def _years(sky: SkyCounts, years: float | None) -> float:
    live = sky.livetime_years if years is None else years
    if not (np.isfinite(live) and live > 0):
        raise InputError(
            "the inputs do not say how long was observed (no good time intervals); give --years, "
            "or an exposure map with --exposure"
        )
    return live


def _split(
    exposure: ExposureFile, scale: float, package: tuple[ResponseTables, ...]
) -> list[Component]:
    """One map of FRONT and BACK events, shared out as the package's exposures are."""
    means = np.array([tables.exposure_per_year.mean(axis=1) for tables in package])
    return [
        Component(tables, exposure, share * scale)
        for tables, share in zip(package, means / means.sum(axis=0), strict=True)
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


def observed_intervals(sky: SkyCounts) -> np.ndarray:
    """What was observed of each energy bin (6, 2), MeV.

    Whole bins where the sky does not say; nothing (of no width) where it has no such bin.
    """
    intervals = np.stack([ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:]], axis=1)
    for b in range(N_BINS):
        low, high = intervals[b]
        if sky.bins[b] is None:
            intervals[b] = low, low  # no photon of it is expected
            continue
        inside = [
            (max(low, a), min(high, z)) for a, z in sky.intervals_mev if min(high, z) > max(low, a)
        ]
        if inside:
            intervals[b] = min(a for a, _ in inside), max(z for _, z in inside)
    return intervals
