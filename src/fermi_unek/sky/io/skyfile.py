"""The package's own file of a binned sky: photons once, many runs after."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
from astropy.io import fits

from ...errors import InputError
from ..bins import ENERGY_EDGES_MEV, N_BINS
from ..counts import BinCounts, Pixels, SkyCounts
from ..geometry.coverage import N_COVERAGE, circle_coverage, inside_circle, intersect
from ..layers import with_layers
from ..selection import Selection
from .files import open_fits, write_fits

HDUCLAS1 = "UNEK_SKY"
"""Value of the primary header's HDUCLAS1 by which the file is recognised."""

_VERSION = 2
_COUNTED = ("selection", "intervals_mev", "counted_in", "mission_year")  # as JSON in a keyword


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
    header["EVTYPE"] = (sky.event_type, "event types")
    header["NYEARS"] = (len(sky.years), "parts by mission year")
    header["NLAYERS"] = (len(sky.layers), "event types that are kept apart")
    masks: list[np.ndarray] = []
    hdus = []
    for prefix, layer in _prefixed(sky):
        hdus += _layer_tables(layer, prefix, masks)
        for number, year in enumerate(layer.years):
            hdus += _layer_tables(year, f"{prefix}YEAR{number}_", masks)
    hdus += [_runs_table(mask, f"COVER{number}") for number, mask in enumerate(masks)]
    return write_fits([primary, *hdus], path, overwrite=overwrite)


def _prefixed(sky: SkyCounts) -> list[tuple[str, SkyCounts]]:
    """What is written of a sky, and how the names of its tables begin; a sum of layers is not."""
    return [(f"LAYER{k}_", layer) for k, layer in enumerate(sky.layers)] or [("", sky)]


def _layer_tables(sky: SkyCounts, prefix: str, masks: list[np.ndarray]) -> list[fits.BinTableHDU]:
    """Tables of a layer: its origin and its bins; new masks go to `masks`."""
    tables = [_origin_table(sky, f"{prefix}ORIGIN")]
    header = tables[0].header
    header["EVTYPE"] = sky.event_type
    if np.isfinite(sky.livetime_years):
        header["LIVETIME"] = (sky.livetime_years, "calendar years of data")
    counted = {name: getattr(sky, name) for name in _COUNTED}
    header["COUNTED"] = json.dumps(counted, default=asdict)
    for index, counts in enumerate(sky.bins):
        if counts is not None:
            tables.append(_bin_table(index, counts, f"{prefix}BIN{index}", masks))
    return tables


def _bin_table(
    index: int, counts: BinCounts, name: str, masks: list[np.ndarray]
) -> fits.BinTableHDU:
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("PIX", "J", array=counts.pixels.astype(np.int32)),
            fits.Column("COUNTS", "J", array=counts.counts.astype(np.int32)),
        ],
        name=name,
    )
    header = table.header
    header["PIXTYPE"] = "HEALPIX"
    header["ORDERING"] = "NESTED"
    header["ORDER"] = counts.order
    header["NSIDE"] = 2**counts.order
    header["COORDSYS"] = "GAL"
    header["INDXSCHM"] = "EXPLICIT"
    header["E_MIN"] = (ENERGY_EDGES_MEV[index], "MeV")
    header["E_MAX"] = (ENERGY_EDGES_MEV[index + 1], "MeV")
    header["COVER"] = (_mask_number(counts.coverage, masks), "coverage table, -1 is whole sky")
    return table


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
        old = header.get("HDUVERS", 1) == 1
        try:
            masks = _read_masks(hdus)
            prefixes = _prefixes(hdus, len(masks))
            skies = [_read_with_years(path, hdus, prefix, masks) for prefix in prefixes]
            if old:
                livetime = header.get("LIVETIME", float("nan"))
                years = tuple(map(_from_version_1, skies[0].years))
                skies = [replace(_from_version_1(skies[0]), livetime_years=livetime, years=years)]
            return with_layers(skies)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(f"{path}: the binned sky is damaged ({error})") from error


def _prefixes(hdus: fits.HDUList, masks: int) -> list[str]:
    """How the names of the tables of each layer begin.

    Raises
    ------
    ValueError
        The header does not speak of the tables that are there.
    """
    layers, years = hdus[0].header.get("NLAYERS", 0), hdus[0].header["NYEARS"]
    if max(layers, years) >= len(hdus):
        raise ValueError(f"{layers} layers of {years} years in {len(hdus) - 1} tables")
    prefixes = [f"LAYER{k}_" for k in range(layers)] or [""]
    tables = ["ORIGIN", *(f"BIN{index}" for index in range(N_BINS))]
    of_layer = ["", *(f"YEAR{number}_" for number in range(years))]
    known = {prefix + year + table for prefix in prefixes for year in of_layer for table in tables}
    known |= {f"COVER{number}" for number in range(masks)}
    others = [hdu.name for hdu in hdus[1:] if hdu.name not in known]
    if others:
        raise ValueError(f"table {others[0]!r} is of none of its {layers} layers and {years} years")
    return prefixes


def _read_with_years(
    path: Path, hdus: fits.HDUList, prefix: str, masks: list[np.ndarray]
) -> SkyCounts:
    years = tuple(
        _read_layer(path, hdus, f"{prefix}YEAR{number}_", masks)
        for number in range(hdus[0].header["NYEARS"])
    )
    return replace(_read_layer(path, hdus, prefix, masks), years=years)


def _read_masks(hdus: fits.HDUList) -> list[np.ndarray]:
    masks: list[np.ndarray] = []
    while f"COVER{len(masks)}" in hdus:
        table = hdus[f"COVER{len(masks)}"].data
        steps = np.zeros(N_COVERAGE + 1, dtype=np.int8)
        steps[table["START"]] += 1
        steps[table["STOP"]] -= 1
        masks.append(np.cumsum(steps[:-1], dtype=np.int8).astype(bool))
    return masks


def _read_layer(path: Path, hdus: fits.HDUList, prefix: str, masks: list[np.ndarray]) -> SkyCounts:
    bins: list[BinCounts | None] = [None] * N_BINS
    for index in range(N_BINS):
        if f"{prefix}BIN{index}" not in hdus:
            continue
        table = hdus[f"{prefix}BIN{index}"]
        edges = table.header["E_MIN"], table.header["E_MAX"]
        if not np.allclose(edges, ENERGY_EDGES_MEV[index : index + 2]):
            raise InputError(
                f"{path}: bin {index} holds {edges[0]:g} to {edges[1]:g} MeV, this version "
                f"uses {ENERGY_EDGES_MEV[index]:g} to {ENERGY_EDGES_MEV[index + 1]:g}; bin again"
            )
        number = table.header["COVER"]
        pixels, counts = (np.array(table.data[c], dtype=np.uint32) for c in ("PIX", "COUNTS"))
        coverage = None if number < 0 else masks[number]
        bins[index] = BinCounts(table.header["ORDER"], pixels, counts, coverage)
    table = hdus[f"{prefix}ORIGIN"]
    return replace(
        SkyCounts(
            tuple(bins),
            table.header.get("EVTYPE", hdus[0].header["EVTYPE"]),
            table.header.get("LIVETIME", float("nan")),
            origin={key: value for key, value in table.data if key},
        ),
        **_counted(json.loads(table.header.get("COUNTED", "{}"))),
    )


def _counted(stored: dict[str, Any]) -> dict[str, Any]:
    """Fields of `SkyCounts` as they were before JSON made dictionaries and lists of them."""

    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    fields = {name: tuples(value) for name, value in stored.items()}
    if "selection" in fields:
        of_file = fields["selection"]
        fields["selection"] = Selection(**{key: tuples(value) for key, value in of_file.items()})
        fields["counted_in"] = tuple(Pixels(**pixels) for pixels in fields["counted_in"])
    return fields


def _from_version_1(sky: SkyCounts) -> SkyCounts:
    """A sky whose fields stood as text in its origin."""
    origin = dict(sky.origin)
    observed, year = origin.pop("observed MeV", ""), origin.pop("mission_year", None)
    pixels = origin.pop("pixels", "").split() or ["-"] * N_BINS
    return replace(
        sky,
        origin=origin,
        intervals_mev=tuple(
            (float(low), float(high)) for low, high in re.findall(r"([^-\s]+)-(\S+)", observed)
        ),
        counted_in=tuple(
            Pixels.of_order(int(side[1:]))
            if side.startswith("G")
            else Pixels(0.0 if side == "-" else float(side))
            for side in pixels
        ),
        mission_year=None if year is None else int(year),
    )


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
    for counts in sky.bins:
        if counts is None:
            bins.append(None)
            continue
        vectors = np.stack(
            hp.pix2vec(2**counts.order, counts.pixels.astype(np.int64), nest=True), axis=-1
        )
        keep = inside_circle(vectors, circle)
        coverage = known.setdefault(id(counts.coverage), intersect(counts.coverage, disc))
        bins.append(BinCounts(counts.order, counts.pixels[keep], counts.counts[keep], coverage))
    years, layers = (
        tuple(_cut_region(part, circle, disc) for part in parts)
        for parts in (sky.years, sky.layers)
    )
    return replace(sky, bins=tuple(bins), years=years, layers=layers)
