"""The instrument of an observation: shipped tables, CALDB files, and the analyst's exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
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
_LEAST_CM2_S = 1e5  # ten seconds of it, and more than a count cube holds
_PLACES = 3000  # of a field at which it is seen whether a map covers it


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

        A power law between the file's energies. Off the map its nearest value serves.
        """
        assert self.map is not None
        planes = np.log(np.maximum(self.map.nearest(vectors), 1e-30))
        nodes = np.log(self.map.energies_mev)
        return np.exp(
            np.array([np.interp(np.log(FINE_ENERGIES_MEV), nodes, place) for place in planes.T]).T
        )

    def scale_for(self, sky: SkyCounts, *, component: bool = False) -> float:
        """Part of the file's exposure that the photons of a sky were taken in.

        Parameters
        ----------
        sky : SkyCounts
        component : bool
            Whether the file may be of some of the photons' event types alone.

        Raises
        ------
        InputError
            The file is of other events, another time, or another place.
        """
        if self.map is not None:
            seen = np.arange(N_COVERAGE) if sky.coverage is None else np.flatnonzero(sky.coverage)
            some = coverage_vectors(seen[:: 1 + len(seen) // _PLACES])
            covered = float(np.mean(np.isfinite(self.map.at(some))))
            if covered < 0.5:
                raise InputError(
                    f"{self.path}: covers {covered:.0%} of the field of the photons; expected the "
                    "exposure of this field"
                )
        return time_scale(sky.selection, self.selection, str(self.path), component=component)

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
        energies, maps = self.map.whole_sky(_NSIDE, part=True)
        return _scaled(self.response, energies, maps, years, event_type)


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
    highest = np.nanmax(found.planes, initial=0.0) * found.scale
    if not np.isfinite(found.planes).any() or highest < _LEAST_CM2_S:
        raise InputError(
            f"{path}: no exposure map: its values reach {highest:.3g} and must be finite, expected "
            f"cm2 s, {_LEAST_CM2_S:g} at least"
        )
    return ExposureFile(path, load_instrument(), found.selection, found)


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
