"""Livetime cubes of gtltcube."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ..errors import InputError
from ..sky.bins import YEAR_S
from ..sky.io.dss import read_selection
from ..sky.io.files import open_fits
from ..sky.selection import Selection
from ..sky.units import column


@dataclass(frozen=True)
class LivetimeCube:
    """Time that each place of the sky was seen, by inclination.

    Attributes
    ----------
    path : Path
    low, high : arrays (C,)
        Bins of the cosine of the inclination.
    ra_deg, dec_deg : arrays (P,)
        Centers of HEALPIX pixels of the equatorial frame, in any order.
    seconds, weighted : arrays (P, C)
        Livetime, and the same weighted by the livetime fraction, summed over azimuth.
    selection : Selection
        The times it is made of, and the zenith cut.
    """

    path: Path
    low: np.ndarray
    high: np.ndarray
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    seconds: np.ndarray
    weighted: np.ndarray
    selection: Selection

    @property
    def years(self) -> float:
        """Calendar years, without gaps of more than a day."""
        return self.selection.years

    @cached_property
    def cosines(self) -> np.ndarray:
        """Centers of the bins (C,)."""
        return 0.5 * (self.low + self.high)

    def at(self, values: np.ndarray, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Values (P,) of the pixels interpolated at places (N,)."""
        nside = hp.npix2nside(values.size)
        ring = np.empty_like(values)
        # files name their order wrongly, and give the places
        ring[hp.ang2pix(nside, self.ra_deg, self.dec_deg, lonlat=True)] = values
        return hp.get_interp_val(ring, ra_deg, dec_deg, lonlat=True)


def is_livetime(hdus: fits.HDUList) -> bool:
    """Whether an opened file is a livetime cube."""
    return "CTHETABOUNDS" in hdus and "EXPOSURE" in hdus


def read_livetime(path: str | Path) -> LivetimeCube:
    """A livetime cube, with or without bins of azimuth.

    Raises
    ------
    InputError
        Not such a file, damaged, not of the whole sky, or one that does not say when it was.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        if not is_livetime(hdus) or "WEIGHTED_EXPOSURE" not in hdus:
            raise InputError(
                f"{path}: cannot be read as a livetime cube: expected the tables EXPOSURE, "
                "WEIGHTED_EXPOSURE and CTHETABOUNDS of gtltcube"
            )
        where = str(path)
        low, high = (
            column(hdus["CTHETABOUNDS"], f"CTHETA_{end}", "", where, "") for end in ("MIN", "MAX")
        )
        table = hdus["EXPOSURE"]
        ra, dec = (column(table, name, "deg", where, "deg") for name in ("RA", "DEC"))
        times = [
            column(hdus[name], "COSBINS", "s", where, "s").reshape(len(ra), -1)
            for name in ("EXPOSURE", "WEIGHTED_EXPOSURE")
        ]
        selection = read_selection(path, hdus, hdus.index_of("EXPOSURE"))
        highest = table.header.get("ZENMAX")
    bins = times[0].shape[1]
    # sums over azimuth come first, then one bin of it after the other
    if not len(low) or bins % len(low) or not hp.isnpixok(len(ra)):
        raise InputError(
            f"{path}: cannot be read as a livetime cube: {bins} numbers in COSBINS of {len(ra)} "
            f"pixels and {len(low)} bins in CTHETABOUNDS"
        )
    known = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    pixels = hp.ang2pix(hp.npix2nside(len(ra)), ra[known], dec[known], lonlat=True)
    if len(np.unique(pixels)) < len(ra):
        raise InputError(
            f"{path}: cannot be read as a livetime cube: RA and DEC are not the centers of its "
            f"{len(ra)} HEALPIX pixels; are the units right?"
        )
    if not (np.all(low < high) and all(np.all(values >= 0) for values in times)):
        raise InputError(
            f"{path}: cannot be read as a livetime cube: bins of the inclination (CTHETABOUNDS) or "
            "times that are none"
        )
    if not selection.years > 0:
        raise InputError(
            f"{path}: cannot be read as a livetime cube: it spans no time (TSTART, TSTOP, GTI)"
        )
    seconds, weighted = (values[:, : len(low)] for values in times)
    seen_s, spans_s = float(seconds.sum(axis=1).max()), selection.years * YEAR_S
    if not 0 < seen_s < 1.01 * spans_s:
        raise InputError(
            f"{path}: cannot be read as a livetime cube: a place is seen for {seen_s:.3g} s "
            f"at most, of {spans_s:.3g} s; is the unit of COSBINS right?"
        )
    if not isinstance(highest, int | float):
        highest = 180.0 if _sees_half_the_sky(seconds, weighted, selection.good_s) else None
    if highest is not None:
        selection = replace(selection, zenith_deg=(0.0, float(highest)))
    return LivetimeCube(path, low, high, ra, dec, seconds, weighted, selection)


def _sees_half_the_sky(seconds: np.ndarray, weighted: np.ndarray, good_s: float) -> bool:
    """Whether no zenith cut was made, which gtltcube (zmax) says by leaving it out of the header.

    Uncut, a place is seen during half of the live time; with a cut at 100 degrees, during 0.41.
    """
    live = good_s * weighted.sum() / seconds.sum()
    return bool(seconds.sum(axis=1).mean() > 0.48 * live)
