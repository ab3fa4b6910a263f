"""The instrument of an observation: shipped tables, CALDB files, and the analyst's exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..sky.binning import BINNING
from ..sky.counts import SkyCounts
from ..sky.geometry.coverage import N_COVERAGE, coverage_vectors
from ..sky.io.files import open_fits
from ..sky.maps import EnergyMap, nested_vectors, read_map
from ..sky.selection import Selection, time_scale
from .caldb import REFERENCE_MEV, instrument_from_caldb, over_parallel, smooth_in_dec
from .instrument import (
    FINE_ENERGIES_MEV,
    Instrument,
    ResponseTables,
    load_instrument,
    sin_declination,
)
from .livetime import is_livetime, read_livetime

_NSIDE = 64
_PLACES = 3000  # of a field at which it is seen whether a map covers it
_UNLIKE = 100.0
"""Factor on the shipped exposure that no observation has: m2 for cm2 is 10,000, pointing at one
place or away from it less than ten."""

_UNKNOWN_YEARS = 1.0 / 365.25, 25.0
"""Where neither photons nor map say how long was observed: a day, and more than the mission."""

_BELOW, _ABOVE = 2.0, 10.0
"""How much lower, and higher, than its map's energies photons may be: bins are given by their
centers, and above some GeV exposures are flat."""


@dataclass(frozen=True)
class ExposureFile:
    """A gtltcube or gtexpcube2 file that was read.

    Attributes
    ----------
    path : Path
    response : Instrument
        What the CALDB files make of a gtltcube file; else the shipped tables.
    selection : Selection
        Photons that the file says it is made for.
    map : EnergyMap or None
        Of a gtexpcube2 file, cm2 s of the whole observation.
    """

    path: Path
    response: Instrument
    selection: Selection = Selection()
    map: EnergyMap | None = None

    @property
    def years(self) -> float:
        """Calendar years of a gtltcube file; NaN for a map, which is of the whole, however long."""
        return float("nan") if self.map is not None else self.selection.years

    def at(self, vectors: np.ndarray) -> np.ndarray:
        """Exposure (45, N) of a map, cm2 s, at the package's true energies and Galactic vectors.

        A power law between the file's energies, beyond them in proportion to the shipped tables.
        Off the map its nearest value serves.
        """
        assert self.map is not None
        planes = np.log(np.maximum(self.map.nearest(vectors), 1e-30))
        nodes, fine = np.log(self.map.energies_mev), np.log(FINE_ENERGIES_MEV)
        found = np.array([np.interp(fine, nodes, place) for place in planes.T]).T
        shipped = np.log(_shipped(load_instrument().parts(self.selection.kind or "all")))
        beyond = shipped - np.interp(np.clip(fine, nodes[0], nodes[-1]), fine, shipped)
        return np.exp(found + beyond[:, None])

    def scale_for(self, sky: SkyCounts, *, component: bool = False, shared: bool = False) -> float:
        """Part of the file's exposure that the photons of a sky were taken in.

        Parameters
        ----------
        sky : SkyCounts
        component, shared : bool
            Whether the file may be of a part of the photons' event types alone, or of others
            besides.

        Raises
        ------
        InputError
            The file is of other events or energies, another time, or another place.
        """
        if self.map is not None:
            self._check_place(sky)
            self._check_energies(sky)
            self._check_level(sky.livetime_years, self.selection.kind or sky.event_type)
        return time_scale(
            sky.selection, self.selection, str(self.path), component=component, shared=shared
        )

    def _check_place(self, sky: SkyCounts) -> None:
        assert self.map is not None
        seen = np.arange(N_COVERAGE) if sky.coverage is None else np.flatnonzero(sky.coverage)
        some = coverage_vectors(seen[:: 1 + len(seen) // _PLACES])
        covered = float(np.mean((self.map.at(some) > 0).all(axis=0)))
        if covered < 0.5 or not np.isfinite(self.map.nearest(some)).all():
            raise InputError(
                f"{self.path}: covers {covered:.0%} of the field of the photons; expected the "
                "exposure of this field"
            )

    def _check_energies(self, sky: SkyCounts) -> None:
        assert self.map is not None
        if not sky.intervals_mev:
            return
        lowest = max(sky.intervals_mev[0][0], BINNING.edges_mev[0])
        highest = min(sky.intervals_mev[-1][1], BINNING.edges_mev[-1])
        low, high = self.map.energies_mev[[0, -1]]
        if low > _BELOW * lowest or _ABOVE * high < highest:
            raise InputError(
                f"{self.path}: is the exposure at {low:g} to {high:g} MeV, the photons are of "
                f"{lowest:g} to {highest:g}; expected their energies"
            )

    def _check_level(self, years: float, event_type: str) -> None:
        """Refuse what no observation of a length has, in whatever unit it may be meant."""
        assert self.map is not None
        known = [live for live in (self.selection.years, years) if live > 0]
        shipped = _shipped(load_instrument().parts(event_type))
        flat = self.map.planes.reshape(len(self.map.planes), -1)
        known_at = np.flatnonzero((flat > 0).all(axis=0))
        own = np.median(flat[:, known_at[:: 1 + len(known_at) // _PLACES]], axis=1)
        usual = np.interp(np.log(self.map.energies_mev), np.log(FINE_ENERGIES_MEV), shipped)
        ratio = float(np.median(own * self.map.scale / usual))
        least, most = (known[0], known[0]) if known else _UNKNOWN_YEARS
        if not least / _UNLIKE < ratio < most * _UNLIKE:
            raise InputError(
                f"{self.path}: {ratio * np.median(usual):.2g} cm2 s are no exposure of "
                f"{event_type.upper()} photons, which is {np.median(usual):.2g} a year; is its "
                "unit (BUNIT, TUNIT) right?"
            )

    def instrument(self, years: float, event_type: str) -> Instrument:
        """The instrument of an observation.

        How a map differs along a parallel is taken from its plane nearest to 3 GeV, and it is
        continued beyond its energies, and off a map of a part of the sky, in proportion to the
        shipped tables. A map of both event types is shared out in proportion.

        Parameters
        ----------
        years : float
            Live time that a map is the exposure of.
        event_type : str
            Events it was made for.
        """
        if self.map is None:
            return self.response
        self._check_level(years, event_type)
        energies, maps = self.map.whole_sky(_NSIDE, part=True)
        return _scaled(self.response, energies, maps, years, event_type)

    def instrument_of(
        self, sky: SkyCounts, years: float, *, component: bool = False, shared: bool = False
    ) -> Instrument:
        """`instrument` of the photons of a sky and their live time; see `scale_for`."""
        scale = self.scale_for(sky, component=component, shared=shared)
        return self.instrument(years / scale, self.selection.kind or sky.event_type)


def read_exposure(path: str | Path, caldb: str | Path | None = None) -> ExposureFile:
    """A gtltcube or a gtexpcube2 file.

    Parameters
    ----------
    path : path
    caldb : path or None
        Folder with the CALDB files that a gtltcube file needs; None is $CALDB or $FERMI_DIR.

    Raises
    ------
    InputError
        Neither of the two, damaged, or of no known unit; or the CALDB files are not found.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        livetime = is_livetime(hdus)
    if livetime:
        cube = read_livetime(path)
        response = instrument_from_caldb(caldb, cube, by_position=True)
        return ExposureFile(path, response, cube.selection)
    # gtexpcube2 writes equatorial pixels and does not say so
    found = read_map(path, "exposure", "cm2 s", unnamed="CEL")
    planes = np.where(found.planes >= 0, found.planes, np.nan)  # none, where it cannot be
    empty = ~(np.isfinite(planes) & (planes > 0)).any(axis=tuple(range(1, planes.ndim)))
    if empty.any():
        raise InputError(
            f"{path}: no exposure map: at {found.energies_mev[empty][0]:g} MeV none of its values "
            "is positive and finite"
        )
    return ExposureFile(path, load_instrument(), found.selection, replace(found, planes=planes))


def _shipped(tables: tuple[ResponseTables, ...]) -> np.ndarray:
    """Mean exposure (45,) of a year over the sky, cm2 s, of event types together."""
    return np.asarray(sum(part.exposure_per_year.mean(axis=1) for part in tables), float)


def instrument_for(
    exposure: str | Path | None = None,
    caldb: str | Path | None = None,
    years: float = 10.0,
    event_type: str = "front",
) -> Instrument:
    """The instrument of an observation.

    The shipped tables unless an exposure file is named. A gtltcube file takes the CALDB files of
    `caldb`, $CALDB or $FERMI_DIR; a gtexpcube2 file is the exposure of the whole live time and
    leaves PSF and energy dispersion as they are.

    Parameters
    ----------
    exposure, caldb : path, optional
    years : float
        Live time that a gtexpcube2 file is the exposure of.
    event_type : str
        Events it was made for.

    Raises
    ------
    InputError
        A CALDB folder without a gtltcube file, or files that cannot be used.
    """
    if exposure is None:
        if caldb is not None:
            raise InputError(
                f"{caldb}: calibration files alone give no exposure; name the gtltcube file "
                "of the observation as --exposure"
            )
        return load_instrument()
    found = read_exposure(exposure, caldb)
    if found.selection.kind not in (None, event_type):
        raise InputError(
            f"{exposure}: is the exposure of {found.selection.label} events, expected {event_type}"
        )
    return found.instrument(years, event_type)


def _scaled(
    instrument: Instrument,
    energies: np.ndarray,
    maps: np.ndarray,
    years: float,
    event_type: str,
) -> Instrument:
    """An instrument with the exposure of maps (K, npix), cm2 s of some years; NaN is not known."""
    pixels = nested_vectors(_NSIDE)
    sine = sin_declination(pixels)
    parts = instrument.parts(event_type)
    own = np.sum([part.exposure_per_year for part in parts], axis=0)
    log_nodes, log_fine = np.log(energies), np.log(FINE_ENERGIES_MEV)
    at_nodes = np.array([np.interp(log_nodes, log_fine, column) for column in own.T]).T
    maps = _filled(maps.astype(float), sine, at_nodes, instrument.front.sin_dec)
    per_year = np.array([smooth_in_dec(sine, plane) for plane in maps]) / years
    ratio = per_year / at_nodes
    factor = np.array([np.interp(log_fine, log_nodes, column) for column in ratio.T]).T
    nearest = int(np.abs(np.log(energies / REFERENCE_MEV)).argmin())
    relative = over_parallel(pixels, maps[nearest])

    def scaled(part: ResponseTables) -> ResponseTables:
        per_year = (part.exposure_per_year * factor).astype(np.float32)
        return replace(part, exposure_per_year=per_year, relative_exposure=relative)

    return replace(
        instrument,
        front=scaled(instrument.front),
        back=scaled(instrument.back),
        psf=tuple(map(scaled, instrument.psf)),
    )


def _filled(maps: np.ndarray, sine: np.ndarray, own: np.ndarray, sin_dec: np.ndarray) -> np.ndarray:
    """Maps (K, npix) with the shipped exposure, in proportion, where they are NaN."""
    known = np.isfinite(maps).all(axis=0)
    if known.all():
        return maps
    shipped = np.array([np.interp(sine, sin_dec, row) for row in own])
    ratio = maps[:, known].sum(axis=1) / shipped[:, known].sum(axis=1)
    return np.where(known, maps, shipped * ratio[:, None])
