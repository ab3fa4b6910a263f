"""Files of an analysis that are neither counts nor catalogs of ours: what they are good for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from ..catalog.releases import REQUIRED
from ..diffuse.files import read_isotropic
from ..errors import InputError
from ..sky.bins import YEAR_S
from ..sky.io.files import decoded
from ..sky.units import column

_CALDB = "instrument response of the CALDB; its folder goes to --caldb, with a livetime cube"

_BY_HDU = {
    "TRUTH": "truth of a simulated sky, {NAXIS2} sources of population {POPUL}, {YEARS} years, "
    "seed {SEED};\n--truth of evaluate",
    "EXPOSURE": "livetime cube of gtltcube, {span:.2f} years;\n--exposure of find, inject, "
    "simulate and refit, with the CALDB files of --caldb, $CALDB or $FERMI_DIR",
    "THETA": "PSF table of gtpsf; --psf of refit",
    "SC_DATA": "spacecraft file, {NAXIS2} intervals; gtltcube makes a livetime cube of it, which "
    "--exposure takes",
    "DRM": "energy dispersion of gtdrm; not used, refit takes that of the package or CALDB",
    **dict.fromkeys(("RPSF", "EFFECTIVE AREA", "ENERGY DISPERSION"), _CALDB),
}
"""How the name of an HDU that tells a file begins; what is told, with keywords of its header."""

_EXPOSURE = (
    "exposure map of gtexpcube2 {energies};\n--exposure of refit, and of find, inject and simulate "
    "where it is of the whole sky"
)
_DIFFUSE = (
    "mapcube of diffuse emission {energies};\n--diffuse of refit (with --iso), --background of "
    "simulate"
)
_LEAST_EXPOSURE_CM2_S = 1e3
"""Exposures are far above this, intensities per cm2 s sr MeV far below."""

_IN_FOLDERS = {
    "ccube*.fits*": "count cubes: INPUT of find, refit, report",
    "ft1*.fits*": "photons: INPUT of find, bin, refit, report",
    "bexpmap*.fits*": "exposure maps: --exposure of refit",
    "ltcube*.fits*": "livetime cubes: --exposure of find, refit, simulate",
    "psf*.fits*": "PSF tables: --psf of refit",
    "srcmap*.fits*": "source maps: not used",
}


def kind_of_fits(hdus: fits.HDUList) -> str:
    """What a FITS file is, in one or two lines; blank where it may be counts."""
    columns = getattr(hdus[1], "columns", None) if len(hdus) > 1 else None
    if columns is not None and set(REQUIRED) <= set(columns.names) and "TRUTH" not in hdus:
        extended = len(hdus["ExtendedSources"].data) if "ExtendedSources" in hdus else 0
        return (
            f"catalog of the LAT collaboration, {len(hdus[1].data)} sources, {extended} of them "
            "extended;\n--reference of find, compare and report, --catalogs of associate, "
            "--population of simulate"
        )
    for hdu in hdus:
        for begin, text in _BY_HDU.items():
            if hdu.name.startswith(begin):
                span = hdu.header.get("TSTOP", np.nan) - hdu.header.get("TSTART", np.nan)
                return text.format_map({**_known(text), **hdu.header, "span": span / YEAR_S})
    if str(hdus[0].header.get("CREATOR", "")).strip() == "gtmodel":
        return "model cube of gtmodel: expected counts, not photons; not used"
    return _kind_of_map(hdus)


def _known(text: str) -> dict[str, str]:
    """A question mark for each keyword that a header may lack."""
    return {key: "?" for key in ("POPUL", "YEARS", "SEED") if key in text}


def _kind_of_map(hdus: fits.HDUList) -> str:
    """Exposure or diffuse emission: maps at energies, where counts have bins of energy."""
    names = {hdu.name for hdu in hdus}
    if not names & {"ENERGIES", "PRIMARY_BANDS"} or "EBOUNDS" in names:
        return ""
    energies = "by energy"
    if "ENERGIES" in names:
        table = hdus["ENERGIES"]
        nodes = column(table, table.columns.names[0], "MeV", "energies", "MeV")
        energies = f"at {len(nodes)} energies from {nodes.min():g} to {nodes.max():g} MeV"
    for hdu in hdus:
        if hdu.is_image and hdu.header.get("NAXIS", 0) >= 3:
            values = hdu.section[0]  # one plane of what may be large
        elif hdu.header.get("PIXTYPE") == "HEALPIX":
            values = hdu.data.field(0)
        else:
            continue
        text = _EXPOSURE if np.nanmax(values) > _LEAST_EXPOSURE_CM2_S else _DIFFUSE
        return text.format(energies=energies)
    return ""


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
        return "source list of gtlike; --population of simulate"
    if path.suffix in (".yaml", ".yml") and head:
        if "selection" in head and "binning" in head:
            return "configuration of fermipy; plugins.fermipy reads its section fermi_unek"
        if head.lstrip().startswith("components:"):
            return "models of gammapy; --population of simulate"
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
    found = {use: sorted(file.name for file in path.glob(n)) for n, use in _IN_FOLDERS.items()}
    lines = [f"  {', '.join(names)}  ({use})" for use, names in found.items() if names]
    if not lines:
        raise InputError(
            f"{path}: a folder without count cubes (ccube*.fits), photons (ft1*.fits) or other "
            "files of fermipy; name a file"
        )
    return "\n".join(["working folder of fermipy", *lines])
