"""The 4FGL releases of `fermi_unek.catalog.RELEASES` as the package ships them.

``python scripts/trim_releases.py FOLDER [-o DIR]``. FOLDER holds the full files of the FSSC
(https://fermi.gsfc.nasa.gov/ssc/data/access/lat/; fermipy/data/catalogs of an installed fermipy)
and, for the extended sources, ``Extended_8years/Templates``. Each file keeps the columns that the
package uses, bit by bit; its header says what it was and what was left out.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import warnings
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from fermi_unek.catalog.releases import DATA_FOLDER, LIGHT_HDU, RELEASES
from fermi_unek.diffuse.model import DIFFUSE_NSIDE
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

COLUMNS = (
    "Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Conf_95_SemiMajor", "Conf_95_SemiMinor",
    "Conf_95_PosAng", "Extended_Source_Name", "Signif_Avg", "Pivot_Energy", "Flux1000",
    "Energy_Flux100", "SpectrumType", "PL_Flux_Density", "PL_Index", "LP_Flux_Density", "LP_Index",
    "Unc_LP_Index", "LP_beta", "Unc_LP_beta", "LP_SigCurv", "PLEC_Flux_Density", "PLEC_Index",
    "PLEC_Expfactor", "PLEC_IndexS", "PLEC_ExpfactorS", "PLEC_Exp_Index", "CLASS", "CLASS1",
    "ASSOC1", "RA_Counterpart", "DEC_Counterpart", "Flags",
)  # fmt: skip
DR2_COLUMNS = (
    "Flux_History", "Unc_Flux_History", "Frac_Variability", "Variability_Index", "Flux_Band",
    "PLEC_SigCurv",
)  # fmt: skip
"""What the simulation of variable sources and the studies take of DR2."""

SHAPE_COLUMNS = (
    "Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Model_Form", "Model_SemiMajor",
    "Model_SemiMinor", "Model_PosAng", "Spatial_Function", "Spatial_Filename",
)  # fmt: skip

PAPERS = {
    "3FGL": "Acero et al. 2015, ApJS 218, 23, doi:10.1088/0067-0049/218/2/23",
    "FL8Y": "preliminary 8-year list of 2018, fermi.gsfc.nasa.gov/ssc/data/access/lat/fl8y",
    "4FGL": "Abdollahi et al. 2020, ApJS 247, 33, doi:10.3847/1538-4365/ab6bcb",
    "4FGL-DR2": "Ballet et al. 2020, arXiv:2005.11208",
    "4FGL-DR3": "Abdollahi et al. 2022, ApJS 260, 53, doi:10.3847/1538-4365/ac6751",
    "4FGL-DR4": "Ballet et al. 2023, arXiv:2307.12546",
    "FL16Y": "preliminary 16-year list, fermi.gsfc.nasa.gov/ssc/data/access/lat/fl16y",
}

_FINE_NSIDE = 2048
_R68_OF_SIGMA = 1.5096  # sqrt(-2 ln 0.32)
_REACH_SIGMA = 5.0


def trimmed(name: str, folder: Path) -> fits.HDUList:
    """The HDUs that are shipped of a release."""
    path = folder / RELEASES[name]
    columns = COLUMNS + (DR2_COLUMNS if name == "4FGL-DR2" else ())
    primary = fits.PrimaryHDU()
    primary.header.update(
        {
            "RELEASE": (name, "LAT catalog"),
            "FILE": (path.name, "full file that this one was made from"),
            "SHA256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "PAPER": PAPERS[name],
            "URL": "https://fermi.gsfc.nasa.gov/ssc/data/access/lat/",
        }
    )
    with fits.open(path) as hdus:
        sources = _part(hdus[1], columns)
        shapes = _part(hdus["ExtendedSources"], SHAPE_COLUMNS)
        dropped = [column for column in hdus[1].columns.names if column not in columns]
    primary.header["COMMENT"] = "Not made by the Fermi-LAT collaboration. Left out: " + " ".join(
        dropped
    )
    if name != "4FGL-DR2":
        return fits.HDUList([primary, sources, shapes])
    templates = folder / "Extended_8years" / "Templates"
    return fits.HDUList([primary, sources, shapes, _light_hdu(shapes.data, templates)])


def _part(hdu: fits.BinTableHDU, columns: tuple[str, ...]) -> fits.BinTableHDU:
    held = [hdu.columns[column] for column in columns if column in hdu.columns.names]
    part = fits.BinTableHDU.from_columns(held, name=hdu.name)
    for key in ("CDS-NAME", "VERSION"):
        if key in hdu.header:
            part.header[key] = hdu.header[key]
    return part


def _light_hdu(shapes: fits.FITS_rec, templates: Path) -> fits.BinTableHDU:
    """Part of each source's flux (SHARE) by pixel, NESTED and Galactic; the row of its shape."""
    light = [source_pixels(shape, templates) for shape in shapes]
    rows = np.repeat(np.arange(len(light)), [len(pixels) for pixels, _ in light])
    pixels, share = (np.concatenate(parts) for parts in zip(*light, strict=True))
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("SHAPE_ROW", "I", array=rows),
            fits.Column("PIXEL", "J", array=pixels),
            fits.Column("SHARE", "D", array=share),
        ],
        name=LIGHT_HDU,
    )
    hdu.header.update({"NSIDE": DIFFUSE_NSIDE, "ORDERING": "NESTED", "COORDSYS": "G"})
    return hdu


def source_pixels(shape: fits.FITS_record, templates: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of nside `DIFFUSE_NSIDE`, each once, and the part of the flux in each."""
    if shape["Spatial_Filename"].strip():
        vectors, light = _template(templates / shape["Spatial_Filename"].strip())
        pixels = hp.vec2pix(DIFFUSE_NSIDE, *vectors.T, nest=True)
    else:
        pixels, light = _round_shape(shape)
        pixels = pixels >> 2 * int(np.log2(_FINE_NSIDE // DIFFUSE_NSIDE))
    pixels, inverse = np.unique(pixels, return_inverse=True)
    share = np.bincount(inverse, light)
    return pixels, share / share.sum()


def _round_shape(shape: fits.FITS_record) -> tuple[np.ndarray, np.ndarray]:
    """Fine pixels and brightness of a disk, or of a Gaussian out to five sigma."""
    center = lonlat_to_vectors(np.asarray(float(shape["GLON"])), np.asarray(float(shape["GLAT"])))
    size = np.radians(float(shape["Model_SemiMajor"]))  # radius, or 68% radius of a Gaussian
    if shape["Spatial_Function"].strip() == "RadialDisk":
        pixels = hp.query_disc(_FINE_NSIDE, center, size, nest=True)
        return pixels, np.ones(pixels.size)
    sigma = size / _R68_OF_SIGMA
    pixels = hp.query_disc(_FINE_NSIDE, center, _REACH_SIGMA * sigma, nest=True)
    away = np.array(hp.pix2vec(_FINE_NSIDE, pixels, nest=True)).T - center
    return pixels, np.exp(-0.5 * (away**2).sum(axis=1) / sigma**2)


def _template(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Galactic unit vectors and brightness of a map's pixels that are not dark."""
    # old headers: GLS projections, EPOCH for EQUINOX
    with warnings.catch_warnings(action="ignore"), fits.open(path) as hdus:
        image = np.nan_to_num(np.asarray(hdus[0].data, float))
        wcs = WCS(hdus[0].header)
    y, x = np.nonzero(image > 0)
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    frame = "galactic" if wcs.wcs.ctype[0].startswith("GLON") else "icrs"
    place = SkyCoord(lon, lat, unit="deg", frame=frame).galactic
    return lonlat_to_vectors(place.l.deg, place.b.deg), image[y, x]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the full catalog files")
    parser.add_argument("-o", "--output", type=Path, default=DATA_FOLDER)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in RELEASES:
        full = io.BytesIO()
        trimmed(name, options.folder).writeto(full, checksum=False)
        path = options.output / f"{name}.fits.gz"
        # no time of making, so that the same input makes the same file
        path.write_bytes(gzip.compress(full.getvalue(), 9, mtime=0))
        print(f"{path} {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
