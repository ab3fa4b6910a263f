"""Maps of (a part of) the sky at several energies: exposure maps and diffuse models.

One reader for both, in HEALPIX pixels or a WCS projection; units, frames and energies of the file
are obeyed or refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from ..errors import InputError
from .geometry.coverage import icrs_to_galactic
from .geometry.frame import vectors_to_lonlat
from .io.dss import read_selection
from .io.files import open_fits
from .io.healpix import Scheme, read_scheme
from .io.wcs import celestial_wcs, check_energy_axis, turn_pixels
from .selection import Selection
from .units import column, factor

Sampler = Callable[[np.ndarray], np.ndarray]
"""From one plane of a map to its values (N,) at places; NaN off the map."""

_MARGIN = 1.5  # pixels beyond the centers of the outermost, where these still serve


def nested_vectors(nside: int) -> np.ndarray:
    """Galactic unit vectors (npix, 3) of the NESTED pixel centers."""
    return np.stack(hp.pix2vec(nside, np.arange(hp.nside2npix(nside)), nest=True), axis=-1)


@dataclass(frozen=True)
class HealpixGrid:
    """Pixels of a HEALPIX map.

    Attributes
    ----------
    scheme : Scheme
    listed : int array or None
        Nested pixels of the values, rising; None for the whole sky in nested order.
    """

    scheme: Scheme
    listed: np.ndarray | None

    def sampler(self, vectors: np.ndarray) -> Sampler:
        """Bilinear interpolation at Galactic unit vectors (N, 3)."""
        turned = vectors if self.scheme.galactic else vectors @ icrs_to_galactic()
        # healpy gives scalars for lists of one
        theta, phi = (np.atleast_1d(angle) for angle in hp.vec2ang(turned))
        pixels, weights = hp.get_interp_weights(2**self.scheme.order, theta, phi, nest=True)
        if self.listed is not None:
            place = np.searchsorted(self.listed, pixels).clip(max=len(self.listed) - 1)
            weights = np.where(self.listed[place] == pixels, weights, 0.0)
            pixels = place
        total = weights.sum(axis=0)

        def sample(plane: np.ndarray) -> np.ndarray:
            with np.errstate(invalid="ignore", divide="ignore"):
                return (plane[pixels] * weights).sum(axis=0) / total

        return sample

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Of the listed pixels those whose centers are nearest to Galactic vectors (N, 3)."""
        assert self.listed is not None
        turned = vectors if self.scheme.galactic else vectors @ icrs_to_galactic()
        centers = np.stack(hp.pix2vec(2**self.scheme.order, self.listed, nest=True))
        return np.argmax(turned @ centers, axis=1)


@dataclass(frozen=True)
class WcsGrid:
    """Pixels of a map in a WCS projection."""

    wcs: WCS
    shape: tuple[int, int]

    def sampler(self, vectors: np.ndarray, *, clipped: bool = False) -> Sampler:
        """Bilinear interpolation at Galactic unit vectors (N, 3).

        `clipped` takes the nearest value of the border for places off the map.
        """
        turned = vectors if self.wcs.wcs.lngtyp == "GLON" else vectors @ icrs_to_galactic()
        x, y = self.wcs.wcs_world2pix(*vectors_to_lonlat(turned), 0)
        height, width = self.shape
        turn = turn_pixels(self.wcs)
        closed = turn > 0 and width > turn - 1.5
        if closed:
            x = x % turn
        inside = (y > -_MARGIN) & (y < height - 1 + _MARGIN) & np.isfinite(x)
        if not closed:
            inside &= (x > -_MARGIN) & (x < width - 1 + _MARGIN)
        at = np.nan_to_num(np.stack([np.clip(y, 0, height - 1), x])).astype(np.float32)

        def sample(plane: np.ndarray) -> np.ndarray:
            image = np.asarray(plane, np.float32)
            if closed:
                # with 0 and 360 deg both in the image the last column repeats the first
                image = image[:, : round(turn)]
                image = np.concatenate([image, image[:, :1]], axis=1)
            values = map_coordinates(image, at, order=1, mode="nearest")
            return values if clipped else np.where(inside, values, np.float32(np.nan))

        return sample


@dataclass(frozen=True)
class EnergyMap:
    """A map at several energies.

    Attributes
    ----------
    path : Path
    kind : str
        What it is a map of, as errors name it.
    energies_mev : float array (K,)
        Rising.
    planes : array (K, rows, columns) or (K, pixels)
        As in the file.
    scale : float
        Factor that brings `planes` to the package's units.
    grid : HealpixGrid or WcsGrid
    selection : Selection
        What the file says of the photons it is made for.
    """

    path: Path
    kind: str
    energies_mev: np.ndarray
    planes: np.ndarray
    scale: float
    grid: HealpixGrid | WcsGrid
    selection: Selection

    def at(self, vectors: np.ndarray) -> np.ndarray:
        """Values (K, N) at Galactic unit vectors (N, 3); NaN off the map."""
        sample = self.grid.sampler(vectors)
        return np.stack([sample(plane) for plane in self.planes]) * self.scale

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """As `at`, with the nearest values of the map for places off it."""
        values = self.at(vectors)
        off = np.flatnonzero(np.isnan(values).any(axis=0))
        if not len(off):
            return values
        if isinstance(self.grid, WcsGrid):
            sample = self.grid.sampler(vectors[off], clipped=True)
            values[:, off] = np.stack([sample(plane) for plane in self.planes]) * self.scale
        elif self.grid.listed is not None:
            values[:, off] = self.planes[:, self.grid.nearest(vectors[off])] * self.scale
        return values

    def whole_sky(
        self, nside: int, lowest_mev: float = 0.0, *, part: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies (K,) above `lowest_mev`, and NESTED Galactic maps, float32 (K, npix).

        Pixels of the file that are finer are averaged. NaN off the map, where `part` allows it.

        Raises
        ------
        InputError
            Not of the whole sky, and `part` is not set.
        """
        keep = np.flatnonzero(self.energies_mev > lowest_mev)
        sample = self._whole_sampler(nside)
        maps = np.empty((len(keep), hp.nside2npix(nside)), np.float32)
        for row, k in enumerate(keep):
            maps[row] = sample(self.planes[k]) * np.float32(self.scale)
        covered = np.isfinite(maps).all(axis=0)
        if not covered.any() or not (part or covered.all()):
            raise InputError(
                f"{self.path}: {self.kind} map that covers {covered.mean():.0%} of the sky with "
                "numbers, expected the whole sky"
            )
        return self.energies_mev[keep], maps

    def _whole_sampler(self, nside: int) -> Sampler:
        if isinstance(self.grid, WcsGrid):
            # an image finer than the pixels is sampled at their four children
            side = np.sqrt(self._pixel_sr())
            fine = 1.5 * side < hp.nside2resol(nside)
            sample = self.grid.sampler(nested_vectors(2 * nside if fine else nside))
            return (lambda plane: sample(plane).reshape(-1, 4).mean(1)) if fine else sample
        scheme, own = self.grid.scheme, 2**self.grid.scheme.order
        if self.grid.listed is not None:
            return self.grid.sampler(nested_vectors(nside))
        if scheme.galactic and own >= nside:
            return lambda plane: hp.ud_grade(
                plane.astype(float), nside, order_in="NESTED", order_out="NESTED"
            )
        coarse = replace(scheme, order=min(own, nside).bit_length() - 1)
        sample = HealpixGrid(coarse, None).sampler(nested_vectors(nside))
        return lambda plane: sample(
            hp.ud_grade(plane.astype(float), min(own, nside), order_in="NESTED", order_out="NESTED")
        )

    def _pixel_sr(self) -> float:
        assert isinstance(self.grid, WcsGrid)
        return float(np.radians(1.0) ** 2 * np.abs(np.linalg.det(self.grid.wcs.pixel_scale_matrix)))


def read_map(path: str | Path, kind: str, unit: str, unnamed: str = "GAL") -> EnergyMap:
    """A mapcube as gtlike and gtexpcube2 have them.

    Parameters
    ----------
    path : path
        FITS file with an image of three axes, or a table of HEALPIX pixels, of the whole sky or
        listed; energies in a table ENERGIES, EBOUNDS or ``*_BANDS``.
    kind : str
        What it is a map of, as errors name it.
    unit : str
        What values are brought to from BUNIT or TUNIT, and are in where the file states none.
    unnamed : {"GAL", "CEL"}
        Frame of a HEALPIX file that does not say its own.

    Raises
    ------
    InputError
        No such file or map, or a header that contradicts itself or states other units.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        index = next((i for i, h in enumerate(hdus) if h.header.get("PIXTYPE") == "HEALPIX"), None)
        if index is None:
            index = next(
                (i for i, h in enumerate(hdus) if h.is_image and h.header.get("NAXIS") == 3), None
            )
        energies = _energies(path, hdus, kind, index)
        if index is None:
            raise InputError(f"{path}: holds no {kind} cube: neither HEALPIX nor 3 axes")
        hdu = hdus[index]
        stated = hdu.header.get("BUNIT", hdu.header.get("TUNIT1") if not hdu.is_image else None)
        scale = factor(stated, unit, f"{path}: {kind} map", unit)
        grid: HealpixGrid | WcsGrid
        if hdu.is_image:
            planes = np.asarray(hdu.data)
            if "ENERGIES" in hdus:  # not the middles of channels, of which an axis may state edges
                check_energy_axis(path, hdu.header, energies, "ENERGIES")
            grid = WcsGrid(celestial_wcs(path, hdu.header), planes.shape[1:])
        else:
            planes, grid = _healpix_planes(path, hdu, len(energies), unnamed)
        if len(planes) != len(energies):
            raise InputError(
                f"{path}: {len(energies)} energies for {len(planes)} maps, expected a {kind} map "
                "for each"
            )
        return EnergyMap(
            path, kind, energies, planes, scale, grid, read_selection(path, hdus, index)
        )


def _energies(path: Path, hdus: fits.HDUList, kind: str, index: int | None) -> np.ndarray:
    """Energies (K,) in MeV, from where gtlike looks or where gammapy writes them."""
    own = [f"{hdus[index].name or 'PRIMARY'}_BANDS"] if index is not None else []
    for name in ("ENERGIES", *own, "EBOUNDS"):
        if name not in hdus:
            continue
        table = hdus[name]
        names = [found.upper() for found in table.columns.names]
        named = [found for found in ("ENERGY", "ENERGY_TRUE") if found in names]
        if {"E_MIN", "E_MAX"} <= set(names) and not named:
            low, high = (column(table, end, "MeV", str(path)) for end in ("E_MIN", "E_MAX"))
            energies = np.sqrt(low * high)
        else:  # gtlike takes the first column, whatever its name
            energies = column(table, (named or names)[0], "MeV", str(path), "MeV")
        if not (np.all(np.diff(energies) > 0) and energies[0] > 0):
            raise InputError(f"{path}: energies in {name} must be positive and rise")
        return energies
    raise InputError(f"{path}: has no ENERGIES table, expected a {kind} map as gtlike has it")


def _healpix_planes(
    path: Path, table: fits.BinTableHDU, number: int, unnamed: str
) -> tuple[np.ndarray, HealpixGrid]:
    """Values (K, pixels) in nested order, and their pixels."""
    scheme = read_scheme(path, table, unnamed)
    columns = [np.asarray(table.data[name]) for name in scheme.channels]
    if len(columns) == 1 and columns[0].ndim == 2 and columns[0].shape[1] == number > 1:
        planes = columns[0].T  # a spectrum a row
    else:
        planes = np.stack([values.ravel() for values in columns])
    if scheme.index_column is not None:
        pixels = np.asarray(table.data[scheme.index_column]).ravel().astype(np.int64)
    else:
        pixels = scheme.first + np.arange(planes.shape[1])
    if pixels.min() < 0 or pixels.max() >= scheme.n_pixels or len(pixels) != planes.shape[1]:
        raise InputError(f"{path}: pixel numbers beyond NSIDE {2**scheme.order}")
    nested = scheme.to_nested(pixels)
    order = np.argsort(nested)
    whole = len(nested) == scheme.n_pixels
    values = planes[:, order].astype(planes.dtype.newbyteorder("="))
    return np.where(values < -1e30, np.nan, values), HealpixGrid(
        scheme, None if whole else nested[order]
    )
