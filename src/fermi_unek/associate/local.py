"""Catalogs in files as services: FITS, VOTable, ECSV or CSV, and the 4FGL releases."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..catalog.releases import RELEASES, load_release
from ..errors import InputError, UnekWarning
from ..sky.io.files import decoded, open_fits
from ..sky.units import check_frame
from .records import Kind, Objects, Places, Service, Surroundings
from .tables import angles, has_places, objects_of, text

LOCAL_RADIUS_DEG = 4.0
"""Radius in which the density of a catalog that is known as a whole is counted."""

_READERS = {
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".tsv": "ascii.csv",
    ".txt": "ascii",
    ".dat": "ascii",
}

_DECIMAL_COMMA = re.compile(
    r"(?m)(?<![^;\t|\n])(\s*[-+]?\d+),(\d+(?:[eE][-+]?\d+)?\s*?)(?![^;\t|\n])"
)
"""A field that is a number as half of Europe writes it."""


class WholeCatalog:
    """A catalog in memory.

    Attributes
    ----------
    name, kind
        As in `Service`.
    objects : Objects
        All it lists.
    """

    def __init__(self, name: str, objects: Objects, kind: Kind = "counterpart") -> None:
        self.name = column_name(name)
        self.kind = kind
        self.objects = objects

    def look_up(self, places: Places) -> Surroundings:
        """The whole catalog; see `Service`."""
        reach = np.maximum(LOCAL_RADIUS_DEG, 6.0 * places.semimajor95_deg)
        return Surroundings(self.objects, reach, whole_sky=True)


def local_services(given: Sequence[str | Path]) -> list[Service]:
    """Services of catalogs in files.

    Parameters
    ----------
    given : list of str or Path
        Each a path, NAME=PATH, or one of `catalog.RELEASES`. A LAT catalog gives its
        gamma-ray sources and, where their positions are listed, its counterparts.

    Returns
    -------
    list of Service

    Raises
    ------
    InputError
        When a file is missing, cannot be read, or has no columns of position.
    """
    return [service for name in given for service in _services_of(str(name))]


def column_name(name: str) -> str:
    """A name as it may stand in that of a column: letters, digits and _."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "catalog"


def _services_of(given: str) -> list[Service]:
    name, path = _name_and_path(given)
    if name in RELEASES and not path.is_file():
        table = load_release(name)
    else:
        table = read_table(path)
    if not {"Source_Name", "Conf_95_SemiMajor"} <= set(table.colnames):
        return [WholeCatalog(name, objects_of(table, str(path)))]
    services: list[Service] = [WholeCatalog(name, objects_of(table, str(path)), "gamma")]
    counterparts = _lat_counterparts(table, str(path))
    if len(counterparts):
        services.append(WholeCatalog(f"{name}_ASSOC", counterparts))
    return services


def _name_and_path(given: str) -> tuple[str, Path]:
    if Path(given).is_file() or "=" not in given:
        return Path(given).name.split(".")[0] if given not in RELEASES else given, Path(given)
    name, _, path = given.partition("=")
    return (path if path in RELEASES and not name else name), Path(path)


def read_table(path: Path) -> Table:
    """First table of a file; the suffix tells the format. `InputError` where there is none."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected a catalog to look for counterparts in, or one of "
            f"{', '.join(RELEASES)}"
        )
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    form = _READERS.get(suffixes[-1] if suffixes else "", "fits")
    try:
        if form == "fits":
            with open_fits(path) as hdus:
                tables = [i for i, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)]
                if not tables:
                    raise InputError(f"{path}: cannot be read as a catalog (it holds no table)")
                # other programs put tables of their own before it
                placed = [i for i in tables if has_places(hdus[i].columns.names)]
                chosen = (placed or tables)[0]
                check_frame(hdus[chosen].header, str(path))
                return Table.read(hdus, hdu=chosen)
        text = decoded(path)
        if form == "votable":
            if "<!ENTITY" in text:
                raise ValueError("it declares entities, which no VOTable needs")
            for system in re.findall(r"<COOSYS\b[^>]*", text):
                if "FK4" in system or "B1950" in system:
                    raise InputError(f"{path}: COOSYS is FK4 or B1950, expected ICRS or FK5")
            return Table.read(path, format=form)
        text = _without_comments(text) if form == "ascii.csv" else text
        dialect = _dialect(text, form)
        if dialect.get("delimiter", ",") != ",":
            text = _DECIMAL_COMMA.sub(r"\1.\2", text)
        if form == "ascii.csv":
            text = _rows_of_the_header(text, dialect["delimiter"], path)
        return _with_units(Table.read(text.splitlines(), format=form, **dialect))
    except InputError:
        raise
    except Exception as error:  # the readers raise whatever comes
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as a {form} table ({reason})") from error


def _with_units(table: Table) -> Table:
    """Columns named `RAJ2000 [deg]`, as `export` has them, or `RAJ2000 (deg)`, with their units."""
    for head in list(table.colnames):
        if (found := re.fullmatch(r"(\S+) [\[(](.+)[\])]", head)) and found[
            1
        ] not in table.colnames:
            table.rename_column(head, found[1])
            table[found[1]].unit = found[2]
    return table


def _without_comments(text: str) -> str:
    """A CSV file without the comments above its header, and with a name for pandas' index.

    Without a header of its own the last comment is one.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((k for k, line in enumerate(lines) if line[0] != "#"), 0)
    fields = re.split(r"[,;\t|]", lines[first]) if lines else []
    if first and any(re.fullmatch(r"\s*[-+]?\d[\d.]*\s*", field) for field in fields):
        first -= 1
        lines[first] = lines[first].lstrip("# ")
    if lines and lines[first][0] in ",;\t|":
        lines[first] = "index" + lines[first]
    return "\n".join(lines[first:])


def _rows_of_the_header(text: str, delimiter: str, path: Path) -> str:
    """A CSV file without lines that have more fields than its header: what is in them is unknown.

    Where no line would be left the file is as it was, and refused by the reader.
    """
    lines = text.splitlines()
    rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    if len(rows) != len(lines):  # a field of several lines
        return text
    # blank fields at the end of a line are none
    kept = [
        line if len(row) <= len(rows[0]) else line.rstrip(f"{delimiter} ")
        for line, row in zip(lines, rows, strict=True)
        if not any(field.strip() for field in row[len(rows[0]) :])
    ]
    left_out = len(lines) - len(kept)
    if len(kept) < 2:
        return text
    if left_out:
        warnings.warn(
            f"{path}: lines with more fields than its header are left out: {left_out:,}",
            UnekWarning,
            stacklevel=4,
        )
    return "\n".join(kept)


def _dialect(text: str, form: str) -> dict[str, str]:
    """Which of the usual separators the first line of a CSV file has."""
    if form != "ascii.csv":
        return {}
    first = next((line for line in text.splitlines() if line.strip()), "")
    return {"delimiter": max(",;\t|", key=first.count)}


def _lat_counterparts(table: Table, where: str) -> Objects:
    """Counterparts that a LAT catalog gives for its sources, at their own positions."""
    if not {"ASSOC1", "RA_Counterpart", "DEC_Counterpart"} <= set(table.colnames):
        return Objects.empty()
    ra = angles(table["RA_Counterpart"], where, hours=True)
    dec = angles(table["DEC_Counterpart"], where)
    name = text(table["ASSOC1"])
    given = np.isfinite(ra) & np.isfinite(dec) & (name != "")
    classes = np.char.lower(text(table["CLASS1"])) if "CLASS1" in table.colnames else name
    return Objects(name[given], ra[given], dec[given], np.zeros(given.sum()), classes[given])
