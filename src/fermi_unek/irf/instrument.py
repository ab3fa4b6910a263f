"""The LAT as the simulator sees it: exposure, PSF and energy dispersion in small tables.

The tables that ship with the package were derived from the P8R3_SOURCE_V3 CALDB files and
the 4-year gtltcube file of the Fermi-LAT collaboration by
``python -m fermi_unek.irf.make_tables`` (see docs/design.md).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord

from ..errors import InputError
from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.selection import EVENT_TYPES

SHIPPED = Path(str(files("fermi_unek"))) / "data" / "instrument_P8R3_SOURCE_V3.npz"
"""The tables that come with the package."""

_PER_E_FOLD, _MOST = 5.8, 18


def _fine_edges(edges: np.ndarray) -> np.ndarray:
    """Fine bins of true energy whose edges hold those of the bins, and reach a half beyond."""
    numbers = np.minimum(np.rint(_PER_E_FOLD * np.diff(np.log(edges))), _MOST).astype(int)
    inside = [
        np.geomspace(low, high, number, endpoint=False)
        for low, high, number in zip(edges[:-1], edges[1:], numbers, strict=True)
    ]
    below = edges[0] * 2.0 / 3.0
    return np.concatenate(
        [[below, np.sqrt(below * edges[0])], *inside, [edges[-1], 1.5 * edges[-1]]]
    )


FINE_EDGES_MEV = _fine_edges(ENERGY_EDGES_MEV)
"""Edges of the true-energy bins of the simulation, MeV; the six bins' edges are among them."""

FINE_ENERGIES_MEV = np.sqrt(FINE_EDGES_MEV[:-1] * FINE_EDGES_MEV[1:])
"""Centres (geometric) of the true-energy bins, MeV, shape (45,)."""

PSF_X = np.concatenate([[0.0], np.geomspace(0.01, 100.0, 160)])
"""Grid of the scaled angle x = angle / scale(E) of the PSF tables."""

_PROFILE_NODES = 2048
PROFILE_DEG = 45.0 * (np.arange(_PROFILE_NODES) / (_PROFILE_NODES - 1)) ** 2
"""Angles, deg, of the tabulated PSF profiles: equidistant in the root of the angle."""

_QUANTILES = 513
_MAX_ANGLE_DEG = 45.0


def psf_scale_deg(energy_mev: np.ndarray, c0: float, c1: float, index: float) -> np.ndarray:
    """Scale angle of the LAT PSF in degrees: sqrt((c0 (E/100 MeV)^index)^2 + c1^2)."""
    return np.degrees(np.hypot(c0 * (np.asarray(energy_mev) / 100.0) ** index, c1))


@dataclass(frozen=True)
class ResponseTables:
    """Response of one event type on the grid of true energies.

    Attributes
    ----------
    sin_dec : array (D,)
        Nodes in sin(declination), -1 to 1.
    exposure_per_year : array (E, D)
        cm2 s per calendar year (survey mode, livetime included).
    psf_scale_deg : array (E,)
        Scale angle of the PSF, deg.
    psf_density : array (E, X)
        PSF per unit area of the scaled angle on `PSF_X`; integrates to one.
    dispersion : array (E, Q)
        Equidistant quantiles of reconstructed over true energy, between which it is evenly spread.
    relative_exposure : array (npix,) or None
        Exposure over that of its parallel, NESTED Galactic; None is one everywhere. It is even
        for years of survey; months of it and pointed observations are not.
    """

    sin_dec: np.ndarray
    exposure_per_year: np.ndarray
    psf_scale_deg: np.ndarray
    psf_density: np.ndarray
    dispersion: np.ndarray
    relative_exposure: np.ndarray | None = None

    @cached_property
    def psf_quantiles_deg(self) -> np.ndarray:
        """Angles (E, 513) in deg; column t holds the quantile 1 - (1 - t/512)^3."""
        ring = 2.0 * np.pi * PSF_X * self.psf_density
        steps = 0.5 * (ring[:, 1:] + ring[:, :-1]) * np.diff(PSF_X)
        cumulative = np.concatenate([np.zeros((len(ring), 1)), np.cumsum(steps, axis=1)], axis=1)
        levels = 1.0 - (1.0 - np.linspace(0.0, 1.0, _QUANTILES)) ** 3
        table = np.empty((len(ring), _QUANTILES), np.float32)
        for k, row in enumerate(cumulative):
            angle = PSF_X * self.psf_scale_deg[k]
            inside = angle <= _MAX_ANGLE_DEG
            row = row[inside] / row[inside][-1]
            # close to the centre the fraction grows as the square of the angle
            table[k] = np.sqrt(np.interp(levels, row, angle[inside] ** 2))
        return table

    def psf_per_sr(self, k: int, angle_deg: np.ndarray) -> np.ndarray:
        """PSF density per steradian at true-energy bin `k`; zero past 45 degrees."""
        scale = self.psf_scale_deg[k]
        density = np.interp(angle_deg / scale, PSF_X, self.psf_density[k], right=0.0)
        return np.where(angle_deg <= _MAX_ANGLE_DEG, density, 0.0) / np.radians(scale) ** 2

    @cached_property
    def psf_profiles(self) -> np.ndarray:
        """PSF per sr (E, 2048) at the angles `PROFILE_DEG`."""
        return np.array([self.psf_per_sr(k, PROFILE_DEG) for k in range(len(self.psf_density))])

    def containment_deg(self, fraction: float) -> np.ndarray:
        """Containment angle (E,) in deg of `fraction` of the photons."""
        t = 1.0 - (1.0 - fraction) ** (1.0 / 3.0)
        columns = np.arange(_QUANTILES)
        place = t * (_QUANTILES - 1)
        return np.array([np.interp(place, columns, q) for q in self.psf_quantiles_deg])

    def exposure(self, sin_dec: np.ndarray) -> np.ndarray:
        """Exposure per year (E, N), cm2 s, at sin(declination) (N,)."""
        place = (np.clip(sin_dec, -1, 1) + 1.0) / 2.0 * (self.sin_dec.size - 1)
        low = np.clip(place.astype(int), 0, self.sin_dec.size - 2)
        part = (place - low).astype(np.float32)
        table = self.exposure_per_year
        return table[:, low] * (1 - part) + table[:, low + 1] * part

    def exposure_at(self, vectors: np.ndarray) -> np.ndarray:
        """Exposure per year (E, N), cm2 s, at Galactic unit vectors (N, 3)."""
        table = self.exposure(sin_declination(vectors))
        if self.relative_exposure is None:
            return table
        theta, phi = hp.vec2ang(np.asarray(vectors))
        relative = hp.get_interp_val(self.relative_exposure, theta, phi, nest=True)
        return table * relative.astype(table.dtype)

    @cached_property
    def bin_fractions(self) -> np.ndarray:
        """Fractions (E, 6) of the photons of each true-energy bin reconstructed in each bin."""
        return self.fractions_within(np.stack([ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:]], 1))

    def fractions_within(self, intervals_mev: np.ndarray) -> np.ndarray:
        """As `bin_fractions`, (E, B), for intervals (B, 2) of reconstructed energy.

        The true energy is spread over its fine bin as a power law of index 2, and reconstructed
        energies as the simulator draws them: evenly between two quantiles.
        """
        levels = np.linspace(0.0, 1.0, self.dispersion.shape[1])
        inside = (np.arange(8) + 0.5) / 8
        result = np.zeros((len(self.dispersion), len(intervals_mev)))
        for k, quantiles in enumerate(self.dispersion):
            low, high = FINE_EDGES_MEV[k], FINE_EDGES_MEV[k + 1]
            energies = 1.0 / (1.0 / low + inside * (1.0 / high - 1.0 / low))
            at = np.interp(intervals_mev / energies[:, None, None], quantiles, levels)
            result[k] = (at[..., 1] - at[..., 0]).mean(axis=0)
        return result


@dataclass(frozen=True)
class Instrument:
    """Response of one IRF release: of FRONT and BACK events, and of the quartiles of the PSF.

    Attributes
    ----------
    irf : str
    front, back : ResponseTables
    psf : tuple of four ResponseTables
        PSF0 to PSF3; empty where they are not known.
    """

    irf: str
    front: ResponseTables
    back: ResponseTables
    psf: tuple[ResponseTables, ...] = ()

    def parts(self, event_type: str) -> tuple[ResponseTables, ...]:
        """The tables that make up an event type of `EVENT_TYPES`.

        Raises
        ------
        InputError
            There is no such event type, or the instrument does not know it.
        """
        if event_type not in EVENT_TYPES:
            raise InputError(f"event type {event_type!r} is none of {tuple(EVENT_TYPES)}")
        if not event_type.startswith("psf"):
            both = (self.front, self.back)
            return both if event_type == "all" else (getattr(self, event_type),)
        if not self.psf:
            raise InputError(f"{self.irf}: has no response of {event_type.upper()} events")
        return tuple(table for k, table in enumerate(self.psf) if EVENT_TYPES[event_type] & 4 << k)

    def save(self, path: str | Path) -> None:
        """Write the tables as an .npz file (temporary name, then moved)."""
        columns = {"irf": np.array(self.irf)}
        quartiles = {f"psf{k}": table for k, table in enumerate(self.psf)}
        for name, tables in {"front": self.front, "back": self.back, **quartiles}.items():
            found = {f: getattr(tables, f) for f in ResponseTables.__annotations__}
            columns |= {f"{name}.{f}": v for f, v in found.items() if v is not None}
        temporary = Path(f"{path}.part.npz")
        np.savez_compressed(temporary, allow_pickle=False, **columns)
        os.replace(temporary, path)


@lru_cache(maxsize=4)
def load_instrument(path: str | Path | None = None) -> Instrument:
    """The shipped tables, or those of a file written by `Instrument.save`."""
    with np.load(path or SHIPPED) as columns:
        front, back, *quartiles = (
            ResponseTables(*(columns.get(f"{n}.{f}") for f in ResponseTables.__annotations__))
            for n in ("front", "back", "psf0", "psf1", "psf2", "psf3")
            if f"{n}.sin_dec" in columns
        )
        return Instrument(str(columns["irf"]), front, back, tuple(quartiles))


def mean_psf(response: ResponseTables, b: int, index: float = 2.4) -> tuple[np.ndarray, np.ndarray]:
    """PSF of bin `b` for a power law: angles in rad and density per sr."""
    k_of_bin = np.flatnonzero(response.bin_fractions[:, b] > 0.01)
    energies = FINE_ENERGIES_MEV[k_of_bin]
    exposure = response.exposure_per_year[k_of_bin].mean(axis=1)
    weights = energies ** (1.0 - index) * exposure * response.bin_fractions[k_of_bin, b]
    angles = np.concatenate([[0.0], np.geomspace(1e-3, 44.0, 400)])
    density = sum(
        w * response.psf_per_sr(k, angles) for w, k in zip(weights, k_of_bin.tolist(), strict=True)
    )
    return np.radians(angles), density / weights.sum()


def mixed_psf(
    responses: Sequence[ResponseTables], b: int, index: float = 2.4
) -> tuple[np.ndarray, np.ndarray]:
    """`mean_psf` of several event types together, weighted with their exposures."""
    profiles = [mean_psf(response, b, index) for response in responses]
    weights = [response.exposure_per_year.mean() for response in responses]
    density = np.average([density for _, density in profiles], axis=0, weights=weights)
    return profiles[0][0], density


def containment_deg(angles_rad: np.ndarray, density: np.ndarray, level: float = 0.68) -> float:
    """Radius, degrees, that holds `level` of a radial profile: angles in rad, density per sr."""
    ring = np.pi * np.diff(angles_rad**2) * 0.5 * (density[1:] + density[:-1])
    inside = np.concatenate([[0.0], np.cumsum(ring)])
    return float(np.degrees(np.interp(level, inside / inside[-1], angles_rad)))


def profile_index(chord_squared: np.ndarray) -> np.ndarray:
    """Nearest node of `PROFILE_DEG` for squared chords of the unit sphere, int32.

    The root of the chord stands for the root of the angle, which costs no arc sine; at 45
    degrees, where the PSF is a millionth of its peak, they differ by one percent.
    """
    root = np.sqrt(np.sqrt(chord_squared))
    nodes = root * np.float32((_PROFILE_NODES - 1) / np.sqrt(np.radians(45.0))) + 0.5
    return np.minimum(nodes, _PROFILE_NODES - 1).astype(np.int32)


def sin_declination(vectors: np.ndarray) -> np.ndarray:
    """Sine of the declination of Galactic unit vectors (..., 3)."""
    return vectors @ _celestial_pole()


@lru_cache(maxsize=1)
def _celestial_pole() -> np.ndarray:
    pole = SkyCoord(0.0, 90.0, unit="deg", frame="icrs").galactic
    lon, lat = np.radians([pole.l.deg, pole.b.deg])
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


__all__ = [
    "FINE_EDGES_MEV",
    "FINE_ENERGIES_MEV",
    "PSF_X",
    "Instrument",
    "ResponseTables",
    "load_instrument",
    "psf_scale_deg",
    "sin_declination",
]
