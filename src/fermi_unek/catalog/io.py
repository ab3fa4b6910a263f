"""Write and read the catalog file, in the form gammapy and fermipy open.

HDUs: PRIMARY with the provenance; LAT_Point_Source_Catalog; ExtendedSources (one row "NONE",
fermipy fails on none); EnergyBounds and Hist_Start for gammapy's flux points and light curves;
COVERAGE, a MOC, where only a part of the sky was searched.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, Table
from mocpy import MOC

from .. import __version__
from ..errors import InputError, OutputError, UnekWarning
from ..outputs import check_file, replacing
from ..sky import units
from ..sky.bins import COVERAGE_ORDER, YEAR_S
from ..sky.geometry.coverage import N_COVERAGE
from ..sky.io.dss import met_shift
from ..sky.io.files import open_fits
from .build import name_neighbours
from .moc import mask_to_moc, moc_to_mask
from .record import Catalog, HeaderValue
from .releases import RELEASES, load_release
from .schema import (
    COLUMNS,
    COUNTERPART_COLUMNS,
    DEFAULT_YEAR_EDGES_MET,
    EXTENDED_COLUMNS,
    NOT_A_FERMI_PRODUCT,
    PROBABILITY_COLUMNS,
    ColumnSpec,
    band_edges_mev,
    blank_table,
)
from .tables import column_names, source_table, with_places

SUFFIXES = (".fits", ".fit")
SOURCES_HDU = "LAT_Point_Source_Catalog"

_POSSIBLE = {
    **dict.fromkeys(("DEJ2000", "GLAT"), (-90.0, 90.0)),
    **dict.fromkeys(("Probability", *PROBABILITY_COLUMNS), (0.0, 1.00001)),
    **dict.fromkeys((f"Conf_{level}_Semi{axis}" for level in (68, 95)
                     for axis in ("Major", "Minor")), (0.0, 180.0)),
}  # fmt: skip
"""What columns can hold."""

_SHORT_KEYWORD = re.compile(r"[A-Z][A-Z0-9_-]{0,7}")
_OWN_KEYWORDS = {"NOTICE", "CREATOR", "TELESCOP", "INSTRUME"}
_MJDREFI, _MJDREFF = 51910, 7.428703703703703e-4


def write_catalog(catalog: Catalog, path: str | Path, overwrite: bool = False) -> None:
    """Write a catalog as FITS.

    Parameters
    ----------
    catalog : Catalog
        May have no rows.
    path : str or Path
        Must end in .fits or .fit (fermipy knows catalogs by it).
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        For another suffix, an existing file, or a place that cannot be written to.
    """
    path = check_catalog(path, overwrite)
    hdus = [
        fits.PrimaryHDU(header=_primary_header(catalog.header)),
        _sources_hdu(catalog),
        _table_hdu(_extended_table(catalog), EXTENDED_COLUMNS, "ExtendedSources"),
        _energy_hdu(band_edges_mev(catalog.table)),
        _history_hdu(catalog.year_edges_met),
    ]
    if catalog.period_edges_met is not None:
        hdus.append(_history_hdu(catalog.period_edges_met, "Hist2_Start"))
    if catalog.coverage is not None:
        hdus.append(mask_to_moc(catalog.coverage).serialize("fits")[1])
        hdus[-1].name = "COVERAGE"
    with replacing(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, checksum=True)


def check_catalog(path: str | Path, overwrite: bool = False) -> Path:
    """`path`, once it is sure that a catalog can be written there; else `OutputError`."""
    path = check_file(path, overwrite)
    if path.suffix not in SUFFIXES:
        raise OutputError(f"{path}: a catalog's name must end in {' or '.join(SUFFIXES)}")
    return path


def read_catalog(path: str | Path) -> Catalog:
    """Read a catalog that `write_catalog` wrote.

    Parameters
    ----------
    path : str or Path
        FITS file.

    Returns
    -------
    Catalog
        Columns added by others are kept.

    Raises
    ------
    InputError
        When there is no such file or it is not such a catalog.

    Warns
    -----
    UnekWarning
        Of a file that another program cut down to the table of sources: its years follow from
        TSTART and TSTOP, and the area that was searched is not known.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file, expected a catalog written by fermi-unek")
    with open_fits(Path(path)) as hdus:
        sources = sources_hdu(hdus)
        if sources is None:
            raise InputError(
                f"{path}: has no table {SOURCES_HDU}, expected a catalog written by fermi-unek"
            )
        table = source_table(sources, path)
        _check_ranges(table, path)
        if "Hist_Start" in hdus:
            edges = _history_edges(hdus["Hist_Start"], path)
        else:
            edges = _edges_from_header(path, sources, table)
        if "Selected" not in table.colnames:  # a list of an older release is one
            index = table.index_column("Probability") + 1
            table.add_column(np.ones(len(table), bool), name="Selected", index=index)
        if "EnergyBounds" in hdus:
            _check_bands(hdus["EnergyBounds"], table, path)
        coverage = _read_coverage(hdus["COVERAGE"], path) if "COVERAGE" in hdus else None
        header = _read_header(hdus[0].header)
        extended = _read_extended(hdus, path)
        periods = None
        if "Hist2_Start" in hdus:
            periods = _history_edges(hdus["Hist2_Start"], path)
    try:
        return Catalog(_with_neighbours(table, header), header, coverage, edges, periods, extended)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_source_list(path: str | Path) -> Catalog:
    """Sources of any list in the manner of 4FGL: a catalog of ours, a release, fermipy's.

    Of another's list the columns of the schema are taken over, energy bands and histories left
    out; names and order stay.

    Raises
    ------
    InputError
        No such file, or a table without names and equatorial positions.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a catalog")
    with open_fits(path) as hdus:
        if sources_hdu(hdus) is not None:
            catalog = read_catalog(path)
            return replace(catalog, table=with_places(catalog.table, path))
        for hdu in hdus:
            if {"Source_Name", "RAJ2000", "DEJ2000"} <= column_names(hdu):
                found = with_places(source_table(hdu, path), path)
                _check_ranges(found, path)
                break
        else:
            raise InputError(
                f"{path}: has no table with Source_Name, RAJ2000 and DEJ2000, expected a catalog "
                "of fermi-unek or one like 4FGL"
            )
    table = blank_table(len(found), len(DEFAULT_YEAR_EDGES_MET) - 1)
    for name in table.colnames:
        if name in found.colnames and table[name].ndim == found[name].ndim == 1:
            table[name][:] = found[name]
    place = SkyCoord(found["RAJ2000"], found["DEJ2000"], unit="deg").galactic
    # as many digits as the list has: the schema's columns are of single precision
    for name, values in (("RAJ2000", found["RAJ2000"]), ("DEJ2000", found["DEJ2000"]),
                         ("GLON", place.l.deg), ("GLAT", place.b.deg)):  # fmt: skip
        table[name] = Column(np.asarray(values, float), unit="deg")
    return Catalog(table, {"source list": path.name})


def _with_neighbours(table: Table, header: Mapping[str, HeaderValue]) -> Table:
    """In catalogs from before Nearest_FGL, ASSOC_FGL was the nearest source within a degree."""
    if "Nearest_FGL" in table.colnames or "Sep_FGL" not in table.colnames:
        return table
    index = table.index_column("Sep_FGL")
    table.add_column(table["ASSOC_FGL"], name="Nearest_FGL", index=index)
    table["ASSOC_FGL"] = ""
    release = str(header.get("reference catalog"))
    if release in RELEASES:
        name_neighbours(table, load_release(release))
    return table


def sources_hdu(hdus: fits.HDUList) -> fits.BinTableHDU | None:
    """The table of sources of a catalog of ours; None in another file.

    Known by its name or, where another program dropped that, by its columns.
    """
    for hdu in hdus:
        if {"Source_Name", "Probability", "Flux_History"} <= column_names(hdu):
            return hdu
    return None


def _history_edges(hdu: fits.BinTableHDU, path: str | Path) -> np.ndarray:
    """Edges of the intervals of a history, MET."""
    return units.column(hdu, "Hist_Start", "s", str(path), "s") + met_shift(hdu.header, str(path))


def _check_bands(hdu: fits.BinTableHDU, table: Table, path: str | Path) -> None:
    """InputError where the bands of a catalog are not those its columns are of."""
    names = ("LowerEnergy", "UpperEnergy")
    low, high = (units.column(hdu, name, "MeV", str(path), "MeV") for name in names)
    edges = band_edges_mev(table)
    stated = np.append(low, high[-1:])
    if stated.shape != edges.shape or not np.allclose(stated, edges, rtol=1e-3):
        raise InputError(
            f"{path}: EnergyBounds has {len(low)} bands, {low.min():g} to {high.max():g} MeV, "
            f"Flux_Band {len(edges) - 1}, which are {edges[0]:g} to {edges[-1]:g} MeV"
        )


def _edges_from_header(path: str | Path, sources: fits.BinTableHDU, table: Table) -> np.ndarray:
    """Edges of the years of a table without the HDU Hist_Start."""
    start, stop = sources.header.get("TSTART"), sources.header.get("TSTOP")
    (years,) = table["Flux_History"].shape[1:]
    if start is None or stop is None or not start < stop:
        raise InputError(
            f"{path}: has no HDU Hist_Start, which says when the years of Flux_History begin"
        )
    warnings.warn(
        f"{path}: was cut down by another program: it has no HDU Hist_Start, so its {years} years "
        "are counted from TSTART, and the area that was searched is not known",
        UnekWarning,
        stacklevel=3,
    )
    edges = start + YEAR_S * np.arange(years + 1.0)
    edges[-1] = stop
    return edges if edges[-2] < stop else np.linspace(start, stop, years + 1)


def _sources_hdu(catalog: Catalog) -> fits.BinTableHDU:
    hdu = _table_hdu(catalog.table, COLUMNS + COUNTERPART_COLUMNS, SOURCES_HDU)
    hdu.header.update(
        {
            # fermipy tells the catalog by CDS-NAME, gammapy needs digits in VERSION
            "CDS-NAME": "4FGL",
            "VERSION": f"unek-{__version__}",
            "TELESCOP": "GLAST",
            "INSTRUME": "LAT",
            "ORIGIN": "fermi_unek",
            "RADESYS": "ICRS",
            "EQUINOX": 2000.0,
            "TSTART": float(catalog.year_edges_met[0]),
            "TSTOP": float(catalog.year_edges_met[-1]),
        }
        | _time_keywords()
    )
    return hdu


def _table_hdu(table: Table, specs: tuple[ColumnSpec, ...], name: str) -> fits.BinTableHDU:
    """Table HDU in which text is as wide as the schema says, whatever the rows hold."""
    kinds = {spec.name: spec.kind for spec in specs}
    plain = Table()
    for column in table.itercols():
        kind = kinds.get(column.name, column.dtype.str.lstrip("<>=|"))
        if kind[0] in "US":
            width = max(int(kind[1:]), 1) if column.name in kinds else _text_width(column)
            # fermipy and other readers would cut later text to the widest found here
            values = np.char.encode(np.asarray(column, dtype=str), "ascii", "backslashreplace")
            plain[column.name] = values.astype(f"S{width}").reshape(column.shape)
        else:
            plain[column.name] = column
    hdu = fits.table_to_hdu(plain)
    hdu.name = name
    for index, column in enumerate(table.itercols(), start=1):
        if column.description:
            hdu.header[f"TCOMM{index}"] = str(column.description)
    return hdu


def _text_width(column: np.ndarray) -> int:
    text = np.asarray(column, dtype=str)
    return max(1, int(np.char.str_len(text).max())) if text.size else 1


def _extended_table(catalog: Catalog) -> Table:
    """Shapes of the sources that the rows name."""
    if catalog.extended is not None:
        named = np.isin(catalog.extended["Source_Name"], catalog.table["Extended_Source_Name"])
        if named.any():
            return catalog.extended[named]
    table = blank_table(1, 1, EXTENDED_COLUMNS)
    table["Source_Name"] = "NONE"
    return table


def _read_extended(hdus: fits.HDUList, path: str | Path) -> Table | None:
    if "ExtendedSources" not in hdus:
        return None
    table = source_table(hdus["ExtendedSources"], path)
    table = table[np.asarray(table["Source_Name"]) != "NONE"]
    return table if len(table) else None


def _energy_hdu(edges: np.ndarray) -> fits.BinTableHDU:
    table = Table(
        {
            "LowerEnergy": edges[:-1].astype("f4"),
            "UpperEnergy": edges[1:].astype("f4"),
            "SysRel": np.zeros(len(edges) - 1, "f4"),
            "ENumBins": np.ones(len(edges) - 1, "i2"),
        },
        units={"LowerEnergy": "MeV", "UpperEnergy": "MeV"},
    )
    return fits.BinTableHDU(table, name="EnergyBounds")


def _history_hdu(edges: np.ndarray, name: str = "Hist_Start") -> fits.BinTableHDU:
    hdu = fits.BinTableHDU(
        Table({"Hist_Start": np.asarray(edges, "f8")}, units={"Hist_Start": "s"}), name=name
    )
    hdu.header.update(_time_keywords())
    return hdu


def _time_keywords() -> dict[str, HeaderValue]:
    return {"TIMEUNIT": "s", "TIMESYS": "TT", "MJDREFI": _MJDREFI, "MJDREFF": _MJDREFF}


def _read_coverage(hdu: fits.BinTableHDU, path: str | Path) -> np.ndarray:
    if "START" not in hdu.columns.names:
        file = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu.copy()]).writeto(file)
        try:
            return moc_to_mask(MOC.from_fits(BytesIO(file.getvalue())))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: COVERAGE is no MOC ({error})") from error
    # ranges [START, STOP) of Galactic pixels, as catalogs had before it was a MOC
    if hdu.header.get("ORDER") != COVERAGE_ORDER:
        raise InputError(
            f"{path}: coverage is of HEALPIX order {hdu.header.get('ORDER')}, expected "
            f"{COVERAGE_ORDER}"
        )
    mask = np.zeros(N_COVERAGE, dtype=bool)
    for start, stop in zip(hdu.data["START"], hdu.data["STOP"], strict=True):
        mask[start:stop] = True
    return mask


def _primary_header(values: Mapping[str, HeaderValue]) -> fits.Header:
    header = fits.Header()
    header["NOTICE"] = NOT_A_FERMI_PRODUCT
    header["CREATOR"] = f"fermi_unek {__version__}"
    header["TELESCOP"] = "GLAST"
    header["INSTRUME"] = "LAT"
    number = 0
    for name, value in values.items():
        value = _card_value(value)
        if _SHORT_KEYWORD.fullmatch(name) and name not in header:
            header[name] = value
            continue
        # names longer than a keyword go in pairs: HIERARCH would lose case and length
        number += 1
        header[f"PNAM{number:04d}"] = _card_value(name)
        header[f"PVAL{number:04d}"] = value
    return header


def _card_value(value: HeaderValue) -> HeaderValue:
    """Value that a FITS card can hold: printable ASCII, finite numbers."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if isinstance(value, str):
        ascii_text = value.encode("ascii", "backslashreplace").decode("ascii")
        return "".join(c if c.isprintable() else " " for c in ascii_text)
    return value


def _read_header(header: fits.Header) -> dict[str, HeaderValue]:
    skip = _OWN_KEYWORDS | {"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "CHECKSUM", "DATASUM", ""}
    found: dict[str, HeaderValue] = {}
    for key, value in header.items():
        if key in skip or key in ("COMMENT", "HISTORY") or re.fullmatch(r"PVAL\d{4}", key):
            continue
        if re.fullmatch(r"PNAM\d{4}", key):
            found[str(value)] = header.get("PVAL" + key[4:], "")
        else:
            found[key] = value
    return found


def _check_ranges(table: Table, path: str | Path) -> None:
    """InputError where a column holds what it cannot."""
    for name in set(_POSSIBLE) & set(table.colnames):
        low, high = _POSSIBLE[name]
        wrong = table[name][(table[name] < low) | (table[name] > high)]  # NaN is not known
        if len(wrong):
            raise InputError(
                f"{path}: column {name} holds {wrong[0]:g}, expected {low:g} to {high:g}"
            )
