"""The record of a diffuse sky: intensity maps at a few energies and an isotropic spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import healpy as hp
import numpy as np

from ..errors import InputError

DIFFUSE_NSIDE = 256
"""HEALPIX nside (0.23 deg) of the models this package builds."""

_TINY = np.float32(1e-37)


@dataclass(frozen=True)
class DiffuseModel:
    """Galactic maps and isotropic spectrum of the gamma-ray sky without its sources.

    Between the nodes both follow power laws, outside them the power law of the two nearest.

    Attributes
    ----------
    name : str
        What the model is called in configurations and headers.
    energies_mev : float array (K,), K >= 2
        Nodes of the Galactic part, MeV, increasing.
    maps : float32 array (K, npix)
        Galactic intensity, ph cm-2 s-1 sr-1 MeV-1, HEALPIX NESTED Galactic, not negative.
    iso_energies_mev, iso_intensity : float arrays (M,), M >= 2
        The isotropic spectrum, same unit, above zero.
    psf_included : bool
        True when the maps are already blurred with the PSF and must not be blurred again.
    origin : str
        Where the numbers come from, one line.
    """

    name: str
    energies_mev: np.ndarray
    maps: np.ndarray
    iso_energies_mev: np.ndarray
    iso_intensity: np.ndarray
    psf_included: bool = False
    origin: str = ""

    def __post_init__(self) -> None:
        _check_nodes(self.energies_mev, f"diffuse model {self.name!r}")
        _check_nodes(self.iso_energies_mev, f"isotropic part of diffuse model {self.name!r}")
        if self.maps.ndim != 2 or len(self.maps) != len(self.energies_mev):
            raise InputError(
                f"diffuse model {self.name!r}: maps have shape {self.maps.shape}, expected "
                f"({len(self.energies_mev)}, 12 * nside**2)"
            )
        nside = np.sqrt(self.maps.shape[1] / 12.0)
        if nside < 1 or nside != int(nside) or not hp.isnsideok(int(nside), nest=True):
            raise InputError(
                f"diffuse model {self.name!r}: {self.maps.shape[1]} pixels are no NESTED sky"
            )
        # minimum and sum find NaN without a mask as large as the maps
        low = self.maps.min()
        if not (low >= 0 and np.isfinite(self.maps.max())):
            raise InputError(f"diffuse model {self.name!r}: maps hold NaN or negative values")
        iso = self.iso_intensity
        if iso.shape != self.iso_energies_mev.shape or not np.all(np.isfinite(iso) & (iso > 0)):
            raise InputError(
                f"isotropic part of diffuse model {self.name!r}: intensities must be positive, "
                "one for each energy"
            )

    @property
    def nside(self) -> int:
        """HEALPIX nside of the maps."""
        return int(np.sqrt(self.maps.shape[1] / 12.0))

    def galactic(self, edges_mev: np.ndarray) -> np.ndarray:
        """Galactic intensity integrated over each energy bin.

        Parameters
        ----------
        edges_mev : array (n_bins + 1,)
            Bin edges, MeV, increasing.

        Returns
        -------
        float32 array (n_bins, npix)
            ph cm-2 s-1 sr-1, NESTED Galactic.
        """
        return integrate_power_laws(self.energies_mev, self.maps, edges_mev).astype(np.float32)

    def isotropic(self, edges_mev: np.ndarray) -> np.ndarray:
        """Isotropic intensity integrated over each bin, float array (n_bins,), ph cm-2 s-1 sr-1."""
        column = np.asarray(self.iso_intensity, float)[:, None]
        return integrate_power_laws(self.iso_energies_mev, column, edges_mev)[:, 0]

    def galactic_intensity(
        self, energies_mev: np.ndarray, pixels: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """Differential Galactic intensity, float32 (n_energies, n_pixels), of some pixels.

        Parameters
        ----------
        energies_mev : array (n_energies,)
            MeV, above zero.
        pixels : int array or slice
            NESTED pixels; all when left out.
        """
        return _interpolate(self.energies_mev, self.maps, energies_mev, pixels)

    def isotropic_intensity(self, energies_mev: np.ndarray) -> np.ndarray:
        """Differential isotropic intensity, float array (n_energies,)."""
        column = np.asarray(self.iso_intensity, float)[:, None]
        return _interpolate(self.iso_energies_mev, column, energies_mev)[:, 0]

    def intensity(self, energies_mev: np.ndarray) -> np.ndarray:
        """Differential intensity of both parts, float32 (n_energies, npix)."""
        total = self.galactic_intensity(energies_mev)
        total += self.isotropic_intensity(energies_mev).astype(np.float32)[:, None]
        return total

    def intensity_at(self, energies_mev: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Differential intensity at directions, bilinear between the four nearest pixels.

        Parameters
        ----------
        energies_mev : array (n_energies,)
        vectors : array (..., 3)
            Galactic unit vectors.

        Returns
        -------
        float32 array (n_energies, ...)
            ph cm-2 s-1 sr-1 MeV-1.
        """
        vectors = np.asarray(vectors, float)
        theta, phi = hp.vec2ang(vectors.reshape(-1, 3))
        pixels, weights = hp.get_interp_weights(self.nside, theta, phi, nest=True)
        unique, inverse = np.unique(pixels, return_inverse=True)
        maps = self.galactic_intensity(energies_mev, unique)
        inverse = inverse.reshape(pixels.shape)
        values = sum(maps[:, inverse[k]] * weights[k].astype(np.float32) for k in range(4))
        values = values + self.isotropic_intensity(energies_mev).astype(np.float32)[:, None]
        return np.asarray(values, np.float32).reshape(len(maps), *vectors.shape[:-1])


def _check_nodes(energies: np.ndarray, what: str) -> None:
    energies = np.asarray(energies)
    if energies.ndim != 1 or len(energies) < 2 or not np.all(np.diff(energies) > 0):
        raise InputError(f"{what}: needs at least two increasing energies, got {energies}")
    if not energies[0] > 0:
        raise InputError(f"{what}: energies must be above zero, got {energies[0]}")


def _node_weights(nodes: np.ndarray, energy: float) -> tuple[int, float]:
    """Index of the node below and the weight of the one above, linear in log energy."""
    index = int(np.clip(np.searchsorted(nodes, energy) - 1, 0, len(nodes) - 2))
    return index, float(np.log(energy / nodes[index]) / np.log(nodes[index + 1] / nodes[index]))


class _Logs:
    """Logs of values between their nodes; those of two nodes are kept for the next energy."""

    def __init__(self, nodes: np.ndarray, values: np.ndarray) -> None:
        self._nodes, self._values = nodes, values
        self._at_nodes: dict[int, np.ndarray] = {}

    def at(self, energy: float) -> np.ndarray:
        """Log of the power-law interpolated values (npix,) at one energy."""
        index, weight = _node_weights(self._nodes, energy)
        self._at_nodes = {
            i: self._at_nodes[i]
            if i in self._at_nodes
            else np.log(np.maximum(self._values[i], _TINY))
            for i in (index, index + 1)
        }
        low, high = self._at_nodes.values()
        return low + (high - low) * self._values.dtype.type(weight)


def _interpolate(
    nodes: np.ndarray,
    values: np.ndarray,
    energies_mev: np.ndarray,
    pixels: np.ndarray | slice = slice(None),
) -> np.ndarray:
    energies = np.atleast_1d(np.asarray(energies_mev, float))
    if energies.ndim != 1 or not np.all(energies > 0):
        raise InputError(f"energies must be a list of values above zero, got {energies_mev}")
    logs = _Logs(nodes, values[:, pixels])
    return np.stack([np.exp(logs.at(energy)) for energy in energies])


def integrate_power_laws(
    nodes_mev: np.ndarray, values: np.ndarray, edges_mev: np.ndarray
) -> np.ndarray:
    """Integrals of a function that is a power law between its nodes, exact.

    Parameters
    ----------
    nodes_mev : array (K,)
        Energies of the nodes, increasing.
    values : float array (K, n)
        Differential values at the nodes; zero counts as 1e-37.
    edges_mev : array (n_bins + 1,)
        Bin edges, increasing; the outermost power laws reach beyond the nodes.

    Returns
    -------
    array (n_bins, n)
        Values times MeV, of the dtype of `values`.
    """
    nodes = np.asarray(nodes_mev, float)
    edges = np.asarray(edges_mev, float)
    _check_nodes(edges, "energy bin edges")
    result = np.zeros((len(edges) - 1, values.shape[1]), values.dtype)
    inner = nodes[(nodes > edges[0]) & (nodes < edges[-1])]
    cuts = np.unique(np.concatenate([edges, inner]))
    logs = _Logs(nodes, values)
    log_low = logs.at(cuts[0])
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        log_high = logs.at(high)
        # E f at both ends; the integral of E f over ln E, with E f = exp of a straight line
        step = log_high - log_low + values.dtype.type(np.log(high / low))
        flat = np.abs(step) < 1e-4
        step[flat] = 1.0
        part = np.exp(log_low) * np.where(flat, values.dtype.type(1.0), np.expm1(step) / step)
        part *= values.dtype.type(low * np.log(high / low))
        result[np.searchsorted(edges, low, side="right") - 1] += part
        log_low = log_high
    return result
