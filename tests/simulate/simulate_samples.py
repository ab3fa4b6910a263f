"""Small skies for the tests of `simulate`: flat background, a handful of sources."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import healpy as hp
import numpy as np
import pytest
from astropy.table import Table

from fermi_unek.diffuse.named import DiffuseModel
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.simulate import command
from fermi_unek.simulate.population import complete
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model

ISO_AT_1_GEV = 4e-10
NSIDE = 64
"""Of the backgrounds: a sixteenth of the pixels that the package's own have."""


def power_laws(
    places: Sequence[tuple[float, float]], flux: Sequence[float], index: float = 2.2
) -> Table:
    """Power-law sources at Galactic (lon, lat); flux 1 to 100 GeV, ph cm-2 s-1."""
    number = len(places)
    lon, lat = np.array(places, float).reshape(-1, 2).T
    # integral of (E / 1 GeV)^-index from 1 to 100 GeV is 1000 (1 - 100^(1 - index)) / (index - 1)
    norm = np.asarray(flux, float) * (index - 1.0) / (1.0 - 100.0 ** (1.0 - index)) / 1e3
    columns = {
        "Source_Name": np.full(number, "", "U24"),
        "GLON": lon,
        "GLAT": lat,
        "Signif_Avg": np.full(number, 10.0),
        "Pivot_Energy": np.full(number, 1e3),
        "SpectrumType": np.full(number, "PowerLaw", "U17"),
        "CLASS1": np.full(number, "bll", "U4"),
    }
    for kind in ("PL", "LP", "PLEC"):
        columns[f"{kind}_Flux_Density"] = norm
        columns[f"{kind}_Index"] = np.full(number, index)
    columns |= {
        "LP_beta": np.zeros(number),
        "PLEC_Expfactor": np.zeros(number),
        "PLEC_Exp_Index": np.ones(number),
    }
    return complete(Table(columns))


@lru_cache(maxsize=1)
def plane_and_isotropic() -> DiffuseModel:
    """A Galactic part that falls with latitude over an isotropic one; both of index 2.4."""
    nodes = np.array([100.0, 1e6])
    spectrum = ISO_AT_1_GEV * (nodes / 1e3) ** -2.4
    _, lat = hp.pix2ang(NSIDE, np.arange(12 * NSIDE**2), nest=True, lonlat=True)
    shape = 10.0 * np.exp(-np.abs(lat) / 3.0)
    maps = (spectrum[:, None] * shape).astype(np.float32)
    return DiffuseModel("plane", nodes, maps, nodes, spectrum, psf_included=True)


BRIGHT, MIDDLE, FAINT, OUTSIDE = range(4)


@lru_cache(maxsize=3)
def small_model(event_type: str = "front") -> SkyModel:
    """Four sources, by falling flux, at lon 20 to 29 in the plane, and the diffuse model."""
    places = [(20.3, 0.8), (22.0, -2.0), (19.0, 2.5), (29.5, 0.0)]
    sources = power_laws(places, [1e-6, 1e-8, 1e-9, 5e-7])
    return build_sky_model(sources, plane_and_isotropic(), load_instrument(), event_type)


def put_in_place_of_any_sky(monkeypatch: pytest.MonkeyPatch, model: SkyModel) -> None:
    """Make `simulate_to_dir` draw from this model whatever the configuration says."""
    monkeypatch.setattr(command, "choose", lambda *_: None)
    monkeypatch.setattr(command, "find_population", lambda *_: None)
    monkeypatch.setattr(command, "build_sky_model", lambda *_, **__: model)


@lru_cache(maxsize=1)
def empty_model() -> SkyModel:
    """The diffuse model without a source."""
    return build_sky_model(power_laws([], []), plane_and_isotropic(), load_instrument())
