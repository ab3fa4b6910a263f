"""Files of an analysis that are neither counts nor catalogs of ours: what they are good for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

from ..catalog.releases import REQUIRED
from ..diffuse.files import read_isotropic
from ..errors import InputError
from ..sky.bins import YEAR_S
from ..sky.io.files import decoded
from ..sky.units import column

_EXPOSURE_CM2_S = 1e3
"""Exposures are far above this, intensities per cm2 s sr MeV far below."""


def kind_of_fits(hdus: fits.HDUList) -> str:
    """What a FITS file is, in one or two lines; blank where it may be counts."""
    return next((tell(hdus) for is_it, tell in _KINDS if is_it(hdus)), "")


def kind_of_text(path: Path) -> str:
    """What a text file is, in one or two lines.

    Raises
    ------
    InputError
        It is no such file.
    """
    try:
        head = decoded(path)[:20_000]
    except InputError:
        head = ""
    if "<source_library" in head:
        return (
            f"source list of gtlike, {head.count('<source ')} sources or more; --population of "
            "simulate"
        )
    if path.suffix in (".yaml", ".yml") and "selection" in head and "binning" in head:
        return (
            "configuration of fermipy; its section fermi_unek, where there is one, is read by "
            "plugins.fermipy"
        )
    if path.suffix in (".yaml", ".yml") and head.lstrip().startswith("components:"):
        return "models of gammapy; --population of simulate"
    if path.suffix in (".yaml", ".yml") and head:
        return "YAML; train takes it, where its keys are those of a training"
    try:
        energies, _ = read_isotropic(path)
    except InputError:
        raise InputError(
            f"{path}: nothing that is known here; expected photons, a count cube, a catalog, a "
            "network, a response or exposure file, a diffuse model, or a fermipy folder"
        ) from None
    return (
        f"isotropic spectrum, {len(energies)} energies from {energies[0]:g} to {energies[-1]:g} "
        "MeV; --iso of refit (with --diffuse), --isotropic of simulate"
    )


def kind_of_folder(path: Path) -> str:
    """What lies in a working folder of fermipy, and which options take it.

    Raises
    ------
    InputError
        The folder holds nothing of the kind.
    """
    uses = {
        "ccube*.fits*": "count cubes: INPUT of find, refit, report",
        "ft1*.fits*": "photons: INPUT of find, bin, refit, report",
        "bexpmap*.fits*": "exposure maps: --exposure of refit",
        "ltcube*.fits*": "livetime cubes: --exposure of find, refit, simulate",
        "psf*.fits*": "PSF tables: --psf of refit",
        "srcmap*.fits*": "source maps: not used",
    }
    found = {use: sorted(file.name for file in path.glob(name)) for name, use in uses.items()}
    lines = [f"  {', '.join(files)}  ({use})" for use, files in found.items() if files]
    if not lines:
        raise InputError(
            f"{path}: a folder without count cubes (ccube*.fits), photons (ft1*.fits) or other "
            "files of fermipy; name a file"
        )
    return "\n".join(["working folder of fermipy", *lines])


def _column_names(hdus: fits.HDUList, index: int = 1) -> list[str]:
    columns = getattr(hdus[index], "columns", None) if len(hdus) > index else None
    return list(columns.names) if columns is not None else []


def _is_map_of_energies(hdus: fits.HDUList) -> bool:
    names = {hdu.name for hdu in hdus}
    return bool(names & {"ENERGIES", "PRIMARY_BANDS"}) and "EBOUNDS" not in names


def _is_exposure(hdus: fits.HDUList) -> bool:
    if not _is_map_of_energies(hdus):
        return False
    if "HPXEXPOSURES" in hdus:
        return True
    image = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 3), None)
    if image is not None:  # one plane of what may be large
        return bool(np.nanmax(image.section[0]) > _EXPOSURE_CM2_S)
    table = next((hdu for hdu in hdus if hdu.header.get("PIXTYPE") == "HEALPIX"), None)
    return table is not None and bool(np.nanmax(table.data.field(0)) > _EXPOSURE_CM2_S)


def _energies(hdus: fits.HDUList) -> str:
    if "ENERGIES" not in hdus:
        return "by energy"
    table = hdus["ENERGIES"]
    energies = column(table, table.columns.names[0], "MeV", "energies", "MeV")
    return f"at {len(energies)} energies from {energies.min():g} to {energies.max():g} MeV"


def _release(hdus: fits.HDUList) -> str:
    extended = len(hdus["ExtendedSources"].data) if "ExtendedSources" in hdus else 0
    return (
        f"catalog of the LAT collaboration, {len(hdus[1].data)} sources, {extended} of them "
        "extended;\n--reference of find, compare and report, --catalogs of associate, --population "
        "of simulate"
    )


def _truth(hdus: fits.HDUList) -> str:
    header = hdus["TRUTH"].header
    return (
        f"truth of a simulated sky, {header['NAXIS2']} sources of population "
        f"{header.get('POPUL', '?')}, {header.get('YEARS', '?')} years, seed "
        f"{header.get('SEED', '?')};\n--truth of evaluate"
    )


def _livetime(hdus: fits.HDUList) -> str:
    header = hdus["EXPOSURE"].header
    start, stop = header.get("TSTART"), header.get("TSTOP")
    span = f"{(stop - start) / YEAR_S:.2f} years" if start is not None and stop else "no times"
    return (
        f"livetime cube of gtltcube, {span};\n--exposure of find, inject, simulate and refit, with "
        "the CALDB files of --caldb, $CALDB or $FERMI_DIR"
    )


def _exposure(hdus: fits.HDUList) -> str:
    return (
        f"exposure map of gtexpcube2 {_energies(hdus)};\n--exposure of refit, and of find, inject "
        "and simulate where it is of the whole sky"
    )


def _mapcube(hdus: fits.HDUList) -> str:
    return (
        f"mapcube of diffuse emission {_energies(hdus)};\n--diffuse of refit (with --iso), "
        "--background of simulate"
    )


_KINDS: tuple[tuple[Callable[[fits.HDUList], bool], Callable[[fits.HDUList], str]], ...] = (
    (lambda hdus: "TRUTH" in hdus, _truth),
    (lambda hdus: set(REQUIRED) <= set(_column_names(hdus)), _release),
    (lambda hdus: "CTHETABOUNDS" in hdus and "EXPOSURE" in hdus, _livetime),
    (
        lambda hdus: "PSF" in hdus and "THETA" in hdus,
        lambda _: "PSF table of gtpsf; --psf of refit",
    ),
    (
        lambda hdus: "SC_DATA" in hdus,
        lambda hdus: (
            f"spacecraft file, {len(hdus['SC_DATA'].data)} intervals; gtltcube makes a livetime "
            "cube of it, which --exposure takes"
        ),
    ),
    (
        lambda hdus: "DRM" in hdus,
        lambda _: "energy dispersion of gtdrm; not used, refit takes that of the package or CALDB",
    ),
    (
        lambda hdus: any(
            hdu.name.startswith(("RPSF", "EFFECTIVE AREA", "ENERGY DISPERSION")) for hdu in hdus
        ),
        lambda _: (
            "instrument response of the CALDB; its folder goes to --caldb, with a livetime cube"
        ),
    ),
    (
        lambda hdus: str(hdus[0].header.get("CREATOR", "")).strip() == "gtmodel",
        lambda _: "model cube of gtmodel: expected counts, not photons; not used",
    ),
    (_is_exposure, _exposure),
    (_is_map_of_energies, _mapcube),
)
"""Which files, and what is told of them; the first that fits."""
