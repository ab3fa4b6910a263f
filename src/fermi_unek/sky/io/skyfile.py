"""The package's own file of a binned sky: photons once, many runs after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError
from ..bins import ENERGY_EDGES_MEV, N_BINS
from ..counts import BinCounts, SkyCounts
from ..geometry.coverage import N_COVERAGE, circle_coverage, inside_circle, intersect
from .files import open_fits, write_fits

HDUCLAS1 = "UNEK_SKY"
"""Value of the primary header's HDUCLAS1 by which the file is recognised."""

_VERSION = 1


def write_sky(sky: SkyCounts, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a sky: one table a bin with filled pixels, NESTED and Galactic.

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or it cannot be written.
    """
    primary = fits.PrimaryHDU()
    header = primary.header
    header["HDUCLAS1"] = (HDUCLAS1, "binned photons of fermi-unek")
    header["HDUVERS"] = _VERSION
    header["EVTYPE"] = (sky.event_type, "front, back or all")
    if np.isfinite(sky.livetime_years):
        header["LIVETIME"] = (sky.livetime_years, "calendar years of data")
    header["NYEARS"] = (len(sky.years), "layers by mission year")
    masks: list[np.ndarray] = []
    hdus: list[fits.BinTableHDU] = _bin_tables(sky, "", masks)
    for number, layer in enumerate(sky.years):
        tables = _bin_tables(layer, f"YEAR{number}_", masks)
        hdus += [*tables, _origin_table(layer, f"YEAR{number}_ORIGIN")]
        if np.isfinite(layer.livetime_years):
            hdus[-1].header["LIVETIME"] = layer.livetime_years
    hdus += [_runs_table(mask, f"COVER{number}") for number, mask in enumerate(masks)]
    return write_fits([primary, _origin_table(sky, "ORIGIN"), *hdus], path, overwrite=overwrite)


def _bin_tables(sky: SkyCounts, prefix: str, masks: list[np.ndarray]) -> list[fits.BinTableHDU]:
    """Tables of the bins present; masks not yet in `masks` are appended to it."""
    tables = []
    for index, one in enumerate(sky.bins):
        if one is None:
            continue
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column("PIX", "J", array=one.pixels.astype(np.int32)),
                fits.Column("COUNTS", "J", array=one.counts.astype(np.int32)),
            ],
            name=f"{prefix}BIN{index}",
        )
        header = table.header
        header["PIXTYPE"] = "HEALPIX"
        header["ORDERING"] = "NESTED"
        header["ORDER"] = one.order
        header["NSIDE"] = 2**one.order
        header["COORDSYS"] = "GAL"
        header["INDXSCHM"] = "EXPLICIT"
        header["E_MIN"] = (ENERGY_EDGES_MEV[index], "MeV")
        header["E_MAX"] = (ENERGY_EDGES_MEV[index + 1], "MeV")
        header["COVER"] = (_mask_number(one.coverage, masks), "coverage table, -1 is whole sky")
        tables.append(table)
    return tables


def _mask_number(mask: np.ndarray | None, masks: list[np.ndarray]) -> int:
    if mask is None:
        return -1
    for number, known in enumerate(masks):
        if known is mask or np.array_equal(known, mask):
            return number
    masks.append(mask)
    return len(masks) - 1


def _runs_table(mask: np.ndarray, name: str) -> fits.BinTableHDU:
    """A mask as its runs of covered pixels, [START, STOP)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("START", "J", array=edges[::2].astype(np.int32)),
            fits.Column("STOP", "J", array=edges[1::2].astype(np.int32)),
        ],
        name=name,
    )
    table.header["ORDER"] = hp.npix2order(len(mask))
    return table


def _origin_table(sky: SkyCounts, name: str) -> fits.BinTableHDU:
    keys = [str(key).encode("ascii", "replace") for key in sky.origin] or [b""]
    values = [str(v).encode("ascii", "replace") for v in sky.origin.values()] or [b""]
    columns = []
    for title, texts in (("KEY", keys), ("VALUE", values)):
        width = max(1, *(len(text) for text in texts))
        columns.append(fits.Column(title, f"{width}A", array=np.array(texts)))
    return fits.BinTableHDU.from_columns(columns, name=name)


def load_sky(path: str | Path) -> SkyCounts:
    """Read back what `write_sky` wrote.

    Raises
    ------
    InputError
        Not such a file, damaged, or written for other energy bins.
    """
    path = Path(path)
    with open_fits(path) as hdus:
        header = hdus[0].header
        if header.get("HDUCLAS1") != HDUCLAS1:
            raise InputError(f"{path}: not a binned sky, expected a file written by fermi-unek bin")
        try:
            masks = _read_masks(hdus)
            layers = tuple(
                _read_layer(path, hdus, f"YEAR{number}_", masks, header["EVTYPE"])
                for number in range(header["NYEARS"])
            )
            sky = _read_layer(path, hdus, "", masks, header["EVTYPE"])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(f"{path}: the binned sky is damaged ({error})") from error
        return replace(sky, livetime_years=header.get("LIVETIME", float("nan")), years=layers)


def _read_masks(hdus: fits.HDUList) -> list[np.ndarray]:
    masks: list[np.ndarray] = []
    while f"COVER{len(masks)}" in hdus:
        table = hdus[f"COVER{len(masks)}"].data
        steps = np.zeros(N_COVERAGE + 1, dtype=np.int8)
        steps[table["START"]] += 1
        steps[table["STOP"]] -= 1
        masks.append(np.cumsum(steps[:-1], dtype=np.int8).astype(bool))
    return masks


def _read_layer(
    path: Path, hdus: fits.HDUList, prefix: str, masks: list[np.ndarray], event_type: str
) -> SkyCounts:
    bins: list[BinCounts | None] = []
    for index in range(N_BINS):
        name = f"{prefix}BIN{index}"
        if name not in hdus:
            bins.append(None)
            continue
        table = hdus[name]
        edges = table.header["E_MIN"], table.header["E_MAX"]
        if not np.allclose(edges, ENERGY_EDGES_MEV[index : index + 2]):
            raise InputError(
                f"{path}: bin {index} holds {edges[0]:g} to {edges[1]:g} MeV, this version "
                f"uses {ENERGY_EDGES_MEV[index]:g} to {ENERGY_EDGES_MEV[index + 1]:g}; bin again"
            )
        number = table.header["COVER"]
        pixels, counts = (np.array(table.data[c], dtype=np.uint32) for c in ("PIX", "COUNTS"))
        coverage = None if number < 0 else masks[number]
        bins.append(BinCounts(table.header["ORDER"], pixels, counts, coverage))
    table = hdus[f"{prefix}ORIGIN"]
    origin = {key: value for key, value in table.data if key}
    livetime = table.header.get("LIVETIME", float("nan"))
    return SkyCounts(tuple(bins), event_type, livetime, origin=origin)


def cut_region(sky: SkyCounts, circle: tuple[float, float, float]) -> SkyCounts:
    """The part of a sky in a circle: Galactic longitude, latitude, radius, degrees.

    Raises
    ------
    InputError
        Not a circle, or no photon lies in it.
    """
    cut = _cut_region(sky, circle, circle_coverage(*circle))
    if not cut.totals.any():
        raise InputError("region {:g},{:g},{:g}: no events in it".format(*circle))
    return cut


def _cut_region(
    sky: SkyCounts, circle: tuple[float, float, float], disc: np.ndarray | None
) -> SkyCounts:
    bins: list[BinCounts | None] = []
    known: dict[int, np.ndarray | None] = {}
    for one in sky.bins:
        if one is None:
            bins.append(None)
            continue
        vectors = np.stack(
            hp.pix2vec(2**one.order, one.pixels.astype(np.int64), nest=True), axis=-1
        )
        keep = inside_circle(vectors, circle)
        coverage = known.setdefault(id(one.coverage), intersect(one.coverage, disc))
        bins.append(BinCounts(one.order, one.pixels[keep], one.counts[keep], coverage))
    years = tuple(_cut_region(layer, circle, disc) for layer in sky.years)
    return replace(sky, bins=tuple(bins), years=years)
