"""Where the refit starts: fluxes guessed from the photons close to each candidate."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..diffuse.named import DiffuseModel
from ..irf.instrument import FINE_EDGES_MEV, FINE_ENERGIES_MEV
from ..sky.geometry.frame import lonlat_to_vectors
from .pixels import PixelCounts
from .response import Response
from .spectra import fine_flux
from .state import SourceState

_BINS = (2, 3, 4, 5)
_APERTURE_DEG = {2: 0.5, 3: 0.3, 4: 0.2, 5: 0.2}
_INSIDE = 0.7  # rough share of the PSF in the aperture


def start_states(
    table: Table, counts: PixelCounts, response: Response, diffuse: DiffuseModel
) -> list[SourceState]:
    """A power law for each candidate with the flux of the photons in small apertures.

    Parameters
    ----------
    table : Table
        Of a catalog, N rows.
    counts : PixelCounts
    response : Response
    diffuse : DiffuseModel

    Returns
    -------
    list of SourceState
        N of them; fluxes are at least that of one photon.
    """
    lon, lat = (np.asarray(table[name], float) for name in ("GLON", "GLAT"))
    vectors = lonlat_to_vectors(lon, lat).reshape(-1, 3)
    if not len(vectors):
        return []
    per_flux = response.counts_per_flux(vectors)
    intensity = diffuse.intensity_at(FINE_ENERGIES_MEV, vectors)
    width = FINE_ENERGIES_MEV * np.log(FINE_EDGES_MEV[1:] / FINE_EDGES_MEV[:-1])
    unit = SourceState(0.0, 0.0, 1.0)
    flux = fine_flux(unit.spectral_model())
    states = []
    for row, vector in enumerate(vectors):
        seen = expected = emitted = 0.0
        for b in _BINS:
            pixels = counts.pixels(b, vector, _APERTURE_DEG[b])
            seen += counts.at(pixels).sum()
            area = len(pixels.pixels) * pixels.area_sr
            expected += area * (intensity[:, row] * width) @ per_flux[row, :, b]
            emitted += flux @ per_flux[row, :, b] * (area > 0)
        excess = max(seen - expected, 1.0) / _INSIDE
        amplitude = excess / emitted if emitted > 0 else 1e-15
        states.append(SourceState(float(lon[row]), float(lat[row]), float(amplitude)))
    return states
