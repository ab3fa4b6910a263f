"""Fit the numbers of the package's own diffuse model to gll_iem_v07.

    python scripts/fit_own_diffuse.py DATA_DIR

reads diffuse/gll_iem_v07_240x131.fits, the inverse Compton template of model A and the FRONT
isotropic spectrum of DATA_DIR and writes src/fermi_unek/data/own_diffuse.json. First the
strengths of all layers are fitted, non-negative, to the intensity from 1 to 7 GeV; then,
energy by energy, those of the components, which gives their spectra.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from scipy.optimize import nnls

from fermi_unek.diffuse import own as own
from fermi_unek.diffuse.files import read_isotropic
from fermi_unek.diffuse.model import integrate_power_laws

TARGET = Path(__file__).resolve().parents[1] / "src/fermi_unek/data/own_diffuse.json"
NODES_MEV = np.geomspace(100.0, 1e6, 17)
N_LON, N_LAT, SUB = 240, 131, 11
HALO_SHARE = 0.17
"""Inverse Compton part of the Galactic emission from 2 to 20 GeV: model A fitted to v07."""
BUBBLES = 3.43e-7
"""ph cm-2 s-1 sr-1 from 1 to 7 GeV; E^2 dN/dE is 4e-7 GeV cm-2 s-1 sr-1 in the bubbles."""
LOOP = 6e-7
"""The same per unit of depth; a quarter of a unit at the limb of Loop I."""
FIT_EDGES_MEV = np.array([1000.0, 7000.0])


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Longitudes (N_LON * SUB,) and latitudes (N_LAT * SUB,) of a grid finer than the table."""
    inside = (np.arange(SUB) + 0.5) / SUB - 0.5
    lon = (119.5 - np.arange(N_LON)[:, None] - inside).ravel() * 1.5
    lat = (np.arange(N_LAT)[:, None] - 65.0 + inside).ravel() * 1.375
    return lon % 360.0, lat


def in_cells(values: np.ndarray) -> np.ndarray:
    """Mean over the fine grid inside each cell, along one axis or two."""
    if values.ndim == 1:
        return values.reshape(-1, SUB).mean(1)
    return values.reshape(N_LAT, SUB, N_LON, -1).mean((1, 3))


def layer_columns(layers: tuple, halves: bool) -> list[np.ndarray]:
    """One table (N_LAT * N_LON,) per layer, half and knot, in the order of the model."""
    lon, lat = grid()
    sides = (own.northern(lat), 1 - own.northern(lat)) if halves else (np.ones_like(lat),)
    columns = []
    for scale, n_knots in layers:
        for side in sides:
            profile = in_cells(own.sech2(lat, scale) * side)
            for knot in range(n_knots):
                along = in_cells(own.knot_weight(lon, knot, n_knots))
                columns.append(np.outer(profile, along).ravel())
    return columns


def shape_columns(*shapes: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[np.ndarray]:
    lon, lat = grid()
    lon = lon.reshape(-1, SUB)[:, [1, 5, 9]].ravel()  # three samples a cell are enough
    lon, lat = np.meshgrid(lon, lat)
    return [in_cells(shape(lon, lat)).ravel() for shape in shapes]


def halo_strengths(
    data_dir: Path, halo: list[np.ndarray], lon: np.ndarray, lat: np.ndarray
) -> np.ndarray:
    """Strengths of the halo shapes that follow model A's template, whose mean is one."""
    folder = data_dir / "diffuse/nside128"
    template = np.load(folder / "template_Aic.npy") / np.load(folder / "fermidata_exposure.npy")
    values = hp.get_interp_val(template / template.mean(), lon, lat, lonlat=True)
    weight = np.sqrt(np.cos(np.radians(lat))) / values
    return nnls(np.stack(halo, axis=1) * weight[:, None], values * weight)[0]


def main(data_dir: Path) -> None:
    with fits.open(data_dir / "diffuse/gll_iem_v07_240x131.fits") as hdus:
        table = np.asarray(hdus[0].data, float).reshape(28, -1)
        energies = np.asarray(hdus[1].data["energy"], float)
    lat = np.repeat((np.arange(N_LAT) - 65.0) * 1.375, N_LON)
    lon = np.tile(((119.5 - np.arange(N_LON)) * 1.5) % 360.0, N_LAT)
    target = integrate_power_laws(energies, table, FIT_EDGES_MEV)[0]

    disc = layer_columns(own.DISC_LAYERS, halves=False)
    local = layer_columns(own.LOCAL_LAYERS, halves=True)
    halo = shape_columns(*(lambda x, y, i=i: own.halo_shape(i, x, y) for i in range(own.N_HALO)))
    extra = shape_columns(own.bubbles_shape, own.loop_shape)
    # halo, bubbles and Loop I cannot be told from the thickest layers of gas by a fit, so the
    # first follows model A's inverse Compton template and the others their known brightness
    halo_at = halo_strengths(data_dir, halo, lon, lat)
    halo_at *= HALO_SHARE * np.average(target, weights=np.cos(np.radians(lat)))
    fixed = np.stack(halo, axis=1) @ halo_at + BUBBLES * extra[0] + LOOP * extra[1]
    columns = np.stack(disc + local, axis=1)

    # relative errors count, but bright cells a little more
    weight = np.sqrt(np.cos(np.radians(lat))) / target**0.8
    scale = weight @ target / len(target)
    rest = weight * (target - fixed) / scale
    strengths = nnls(columns * weight[:, None] / scale, rest, maxiter=10000)[0]
    first, second = len(disc), len(disc) + len(local)

    smooth_disc = columns[:, :first] @ strengths[:first]
    inner = own.inner_weight(lon)
    parts = np.stack(
        [
            smooth_disc * inner,
            smooth_disc * (1 - inner),
            columns[:, first:second] @ strengths[first:second],
            np.stack(halo, axis=1) @ halo_at,
            BUBBLES * extra[0],
            LOOP * extra[1],
        ],
        axis=1,
    )
    spectra = []
    for energy in NODES_MEV:
        at = np.exp([np.interp(np.log(energy), np.log(energies), c) for c in np.log(table).T])
        if energy > energies[-1]:
            step = np.log(table[-1] / table[-2]) / np.log(energies[-1] / energies[-2])
            at = table[-1] * (energy / energies[-1]) ** step
        w = np.sqrt(np.cos(np.radians(lat))) / at**0.8
        s = w @ at / len(at)
        norm = parts.mean(0) / at.mean()
        fitted = nnls(parts / norm * w[:, None] / s, w * at / s)[0] / norm
        mean = lambda x: np.average(x, weights=np.cos(np.radians(lat)))  # noqa: E731
        spectra.append(fitted * mean(at) / mean(parts @ fitted))
    spectra = np.array(spectra).T

    iso_energies, iso = read_isotropic(data_dir / "diffuse/iso_P8R3_SOURCE_V3_FRONT_v1.txt")
    iso_nodes = np.geomspace(iso_energies[iso_energies > 80][0], 1e6, 25)
    iso = np.exp(np.interp(np.log(iso_nodes), np.log(iso_energies), np.log(iso)))
    round_ = lambda x: [float(f"{v:.4g}") for v in np.atleast_1d(x)]  # noqa: E731
    TARGET.parent.mkdir(exist_ok=True)
    numbers = {
        "origin": "fitted to gll_iem_v07 averaged to 1.5 x 1.375 deg and to "
        "iso_P8R3_SOURCE_V3_FRONT_v1 (Fermi-LAT collaboration), halo shape to the inverse "
        "Compton template of model A, by scripts/fit_own_diffuse.py",
        "units": "strengths: ph cm-2 s-1 sr-1 from 1 to 7 GeV; spectra: per MeV, relative to "
        "that; isotropic: ph cm-2 s-1 sr-1 MeV-1",
        "disc": round_(strengths[:first]),
        "local": round_(strengths[first:second]),
        "halo": round_(halo_at),
        "bubbles": BUBBLES,
        "loop": LOOP,
        "energies_mev": round_(NODES_MEV),
        "spectra": {n: round_(s) for n, s in zip(own.COMPONENTS, spectra, strict=True)},
        "iso_energies_mev": round_(iso_nodes),
        "isotropic": round_(iso),
    }
    # one line a list
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in numbers.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
