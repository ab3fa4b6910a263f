"""`refit` beside gtlike: the same simulated field, source list, exposure and diffuse model.

    python studies/gtlike_comparison.py [--data DIR] [--from cubes|photons] [--response files|caldb]
        [--events fb|front|back] [--bins fine|network] [--prior 0.3] [--scatter]

DIR is the folder of the shared data that holds fermitools/, whose README says how the reference was
made. Printed, for sources above TS 25, are the median ratios of flux, TS and errors, differences
in units of gtlike's errors, and the fluxes of bands. Only the joint fit of FRONT and BACK is a
comparison of like with like; one switch at a time shows what each choice does.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from fermi_unek.catalog.io import read_source_list
from fermi_unek.catalog.spectra import MEV_TO_ERG, energy_flux, photon_flux
from fermi_unek.config import RefitConfig
from fermi_unek.errors import UnekWarning
from fermi_unek.measure import refit_catalog
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.io.readers import read_sky

TS_COMPARED = 25.0
HIGHEST_MEV = 10**5.5


def read_layers(folder: Path, options: argparse.Namespace) -> SkyCounts:
    """FRONT and BACK photons of the reference field, as layers of one sky."""
    layers = []
    for number, kind in enumerate(("front", "back")):
        if options.events not in (kind, "fb"):
            continue
        name = (
            "fit_photons.fits.gz" if options.source == "photons" else f"fit_ccube_0{number}.fits.gz"
        )
        layers.append(
            read_sky(
                folder / name,
                rng=np.random.default_rng(0),
                event_type=kind,
                fine=options.bins == "fine",
            )
        )
    return replace(layers[0], layers=tuple(layers))


def settings(data: Path, options: argparse.Namespace) -> RefitConfig:
    """The reference's exposure, PSF and diffuse model; positions held."""
    folder = data / "fermitools"
    numbers = {"fb": (0, 1), "front": (0,), "back": (1,)}[options.events]
    files = {
        "exposure": tuple(folder / f"fit_bexpmap_0{n}.fits.gz" for n in numbers),
        "psf": tuple(folder / f"fit_psf_0{n}.fits.gz" for n in numbers),
    }
    if options.response == "caldb":
        files = {"exposure": (folder / "fit_ltcube.fits.gz",), "caldb": data / "irf"}
    return RefitConfig(
        **files,
        diffuse=data / "diffuse" / "gll_iem_v07_240x131.fits",
        iso=data / "diffuse" / "iso_P8R3_SOURCE_V3_v1.txt",
        localize=False,
        index_prior=options.prior,
        scatter=options.scatter,
    )


def compare(found: Table, reference: Table) -> None:
    """Print how two fits of the same sources differ."""
    rows = {str(name).strip(): row for row, name in enumerate(found["Source_Name"])}
    reference = reference[[str(name) in rows for name in reference["name"]]]
    found = found[[rows[str(name)] for name in reference["name"]]]
    bright = np.asarray(reference["ts"]) > TS_COMPARED
    plain = (
        bright & (reference["spectrum_type"] == "PowerLaw") & np.asarray(reference["shape_free"])
    )
    curved = bright & (reference["spectrum_type"] == "LogParabola")
    print(f"{len(reference)} sources, {bright.sum()} above TS {TS_COMPARED:g}")
    # up to gtlike's highest energy
    flux = photon_flux(found, 1e3, HIGHEST_MEV)
    energy = energy_flux(found, 1e2, HIGHEST_MEV) / MEV_TO_ERG
    relative = np.asarray(reference["norm_err_joint"]) / np.asarray(reference["norm"])
    own = np.asarray(found["Unc_PL_Flux_Density"] / found["PL_Flux_Density"], float)
    line("flux above 1 GeV", flux, reference["flux1000"], reference["flux1000_err"], bright)
    line(
        "energy flux above 100 MeV",
        energy,
        reference["eflux100"],
        reference["eflux100_err"],
        bright,
    )
    line("PL_Index", found["PL_Index"], reference["index"], reference["index_err"], plain)
    line("LP_Index", at_pivot(found, reference), reference["index"], reference["index_err"], curved)
    line("LP_beta", found["LP_beta"], reference["beta"], reference["beta_err"], curved)
    for name, ratio, used in (
        ("TS", found["TS"] / reference["ts"], bright),
        ("error of Flux1000 (gtlike: all else held)",
         found["Unc_Flux1000"] / reference["flux1000_err"], bright),
        ("error of flux density (gtlike: all free)", own / relative, plain),
        ("error of PL_Index (gtlike: all free)",
         found["Unc_PL_Index"] / reference["index_err_joint"], plain),
    ):  # fmt: skip
        print(f"{name}: median ratio {np.median(np.asarray(ratio)[used]):.3f}")


def line(
    name: str, own: np.ndarray, theirs: np.ndarray, error: np.ndarray, used: np.ndarray
) -> None:
    """Print median ratio and the differences in units of gtlike's error."""
    own, theirs, error = (np.asarray(values, float)[used] for values in (own, theirs, error))
    sigma = (own - theirs) / error
    spread = 0.5 * np.diff(np.nanpercentile(sigma, [15.87, 84.13]))[0]
    print(
        f"{name}: {len(own)} sources, median ratio {np.nanmedian(own / theirs):.3f}; (ours - "
        f"gtlike)/error: median {np.nanmedian(sigma):+.2f}, scatter {np.nanstd(sigma):.2f}, half "
        f"of the central 68% {spread:.2f}, largest {np.nanmax(np.abs(sigma)):.2f}"
    )


def at_pivot(found: Table, reference: Table) -> np.ndarray:
    """Our LP_Index at the reference's pivot energies."""
    turn = np.log(np.asarray(reference["pivot"]) / np.asarray(found["Pivot_Energy"], float))
    return np.asarray(found["LP_Index"] + 2.0 * found["LP_beta"] * turn, float)


def compare_bands(found: Table, reference: Table) -> None:
    """Print the fluxes of bands, ours brought to gtlike's edges by their nu F nu."""
    rows = {str(name).strip(): row for row, name in enumerate(found["Source_Name"])}
    pairs = []
    for theirs in reference:
        row = found[rows[str(theirs["name"])]]
        middle = float(np.sqrt(theirs["emin"] * theirs["emax"]))
        band = int(np.argmin(np.abs(np.log(BANDS_MEV / middle))))
        if abs(np.log(BANDS_MEV[band] / middle)) > 0.2 or not theirs["ts"] > 4.0:
            continue
        # of a power law of index 2 nu F nu is the same at all energies
        density = float(row["nuFnu_Band"][band]) / MEV_TO_ERG
        pairs.append((density, theirs["e2dnde"], theirs["e2dnde_err"], theirs["ts"],
                      float(row["Sqrt_TS_Band"][band]) ** 2))  # fmt: skip
    own, theirs, error, ts, own_ts = np.array(pairs, float).T
    line("nuFnu_Band above TS 4", own, theirs, error, np.ones(len(own), bool))
    print(f"TS of a band: median ratio {np.median(own_ts / ts):.3f}")


BANDS_MEV = np.sqrt(
    np.array([50, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5])
    * np.array([100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6])
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--from", dest="source", choices=("cubes", "photons"), default="cubes")
    parser.add_argument("--response", choices=("files", "caldb"), default="files")
    parser.add_argument("--events", choices=("fb", "front", "back"), default="fb")
    parser.add_argument("--bins", choices=("fine", "network"), default="fine")
    parser.add_argument("--prior", type=float, default=None)
    parser.add_argument("--scatter", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UnekWarning)
    folder = options.data / "fermitools"
    sky = read_layers(folder, options)
    start = time.process_time()
    refitted = refit_catalog(
        read_source_list(folder / "source_list.fits"), sky, settings(options.data, options)
    )
    seconds = time.process_time() - start
    print(" ".join(f"{name}={value}" for name, value in vars(options).items() if name != "data"))
    measured = int(np.isfinite(refitted.table["TS"]).sum())
    print(f"{seconds / measured:.2f} core-seconds a source, diffuse files included")
    compare(refitted.table, Table.read(folder / "reference_fit.ecsv"))
    compare_bands(refitted.table, Table.read(folder / "reference_sed.ecsv"))


if __name__ == "__main__":
    main()
