"""A catalog in the forms other programs read: VOTable, CSV, DS9, XML, YAML, and SAMP."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import votable
from astropy.table import Column, Table

from ..errors import OutputError
from ..outputs import check_file, replacing
from .io import read_catalog
from .models import write_xml_model, write_yaml_model
from .record import HeaderValue
from .regions import write_regions
from .schema import NOT_A_FERMI_PRODUCT

VOTABLE_SUFFIXES = (".vot", ".votable")
TABLE_SUFFIXES = (*VOTABLE_SUFFIXES, ".csv", ".ecsv")
_WRITERS = {
    ".reg": write_regions,
    ".xml": write_xml_model,
    ".yaml": write_yaml_model,
    ".yml": write_yaml_model,
}
EXPORT_SUFFIXES = (*TABLE_SUFFIXES, *_WRITERS)

UCDS = {
    "Source_Name": "meta.id;meta.main",
    "RAJ2000": "pos.eq.ra;meta.main",
    "DEJ2000": "pos.eq.dec;meta.main",
    "GLON": "pos.galactic.lon",
    "GLAT": "pos.galactic.lat",
    "Conf_95_SemiMajor": "phys.angSize.smajAxis;pos.errorEllipse",
    "Conf_95_SemiMinor": "phys.angSize.sminAxis;pos.errorEllipse",
    "Conf_95_PosAng": "pos.posAng;pos.errorEllipse",
    "Signif_Avg": "stat.snr",
    "RA_Counterpart": "pos.eq.ra",
    "DEC_Counterpart": "pos.eq.dec",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "Probability": "stat.probability",
    "probability": "stat.probability",
}
"""By which TOPCAT and Aladin tell columns of position and names."""


def export_file(
    catalog_path: str | Path, output: str | Path, *, samp: bool = False, overwrite: bool = False
) -> str:
    """Read a catalog and write it in the form that the output's suffix names.

    Parameters
    ----------
    catalog_path : str or Path
        Written by `find`, `refit` or `associate`.
    output : str or Path
        Ends in .vot, .votable, .csv or .ecsv (tables), .reg (DS9 regions), .xml (a source model
        for gtlike and fermipy), .yaml or .yml (one for fermipy's configuration).
    samp : bool
        Whether to send the file, which must be a VOTable, to the programs of a SAMP hub.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    str
        What was done, in a line for people.

    Raises
    ------
    InputError
        When the catalog cannot be read.
    OutputError
        For another suffix, an existing file, a place that cannot be written to, or when no
        SAMP hub is running.
    """
    output = check_export(output, overwrite)
    if samp and output.suffix.lower() not in VOTABLE_SUFFIXES:
        raise OutputError(f"{output}: SAMP sends VOTables, expected a name ending in .vot")
    catalog = read_catalog(catalog_path)
    if output.suffix.lower() in _WRITERS:
        _WRITERS[output.suffix.lower()](catalog, output, overwrite)
    else:
        write_table(catalog.table, output, header=catalog.header, overwrite=overwrite)
    told = f"{len(catalog)} sources written to {output}"
    if not samp:
        return told
    from .samp import send_votable

    n_clients = send_votable(output, name=Path(catalog_path).name)
    return f"{told} and sent to {n_clients} program{'' if n_clients == 1 else 's'}"


def check_export(path: str | Path, overwrite: bool = False, *, tables_only: bool = False) -> Path:
    """`path`, once it is sure that an export can be written there; else `OutputError`."""
    path = check_file(path, overwrite)
    known = TABLE_SUFFIXES if tables_only else EXPORT_SUFFIXES
    if path.suffix.lower() not in known:
        raise OutputError(f"{path}: the name must end in one of {', '.join(known)}")
    return path


def write_table(
    table: Table,
    path: str | Path,
    *,
    header: Mapping[str, HeaderValue] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a table as VOTable, CSV or ECSV, as the suffix says.

    Parameters
    ----------
    table : astropy Table
        Of a catalog, or of counterparts; may have no rows.
    path : str or Path
        See `check_export`.
    header : mapping, optional
        Name to value, kept in VOTable (INFO) and ECSV (meta); CSV has no place for it.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        As `check_export`.
    """
    path = check_export(path, overwrite, tables_only=True)
    told = {str(k): v for k, v in dict(header or {}).items()}
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            flat = _flat(table)
            formats = {name: _csv_format(flat[name]) for name in flat.colnames}
            flat.write(
                temporary, format="ascii.csv", formats={k: f for k, f in formats.items() if f}
            )
        elif path.suffix.lower() == ".ecsv":
            plain = table.copy()
            plain.meta = {"notice": NOT_A_FERMI_PRODUCT} | told
            plain.write(temporary, format="ascii.ecsv")
        else:
            _votable(table, told).to_xml(str(temporary))


def _flat(table: Table) -> Table:
    """One column a number (Flux_Band: `Flux_Band_1 [unit]`, `Flux_Band_2 [unit]`), NaN blank."""
    flat = Table()
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.dtype.kind == "f":
            values = np.ma.masked_invalid(values)
        for index in np.ndindex(values.shape[1:]):
            numbered = "_".join([name, *(str(i + 1) for i in index)])
            flat[name_with_unit(numbered, table[name].unit)] = values[(slice(None), *index)]
    return flat


def name_with_unit(name: str, unit: u.UnitBase | str | None) -> str:
    """Head of a CSV column: `RAJ2000 [deg]`."""
    return f"{name} [{u.Unit(unit).to_string('fits')}]" if unit else name


def _csv_format(column: Column) -> str | None:
    """Seven significant digits; ten of what they would blur: places on the sky, and seconds."""
    if column.dtype.kind != "f":
        return None
    name, _, unit = column.name.partition(" ")
    exact = unit == "[s]" or UCDS.get(name, "").startswith(("pos.eq.", "pos.galactic."))
    return ".10g" if exact else ".7g"


def _votable(table: Table, header: dict[str, HeaderValue]) -> votable.tree.VOTableFile:
    plain = Table()
    for name in table.colnames:
        column = table[name]
        values = np.asarray(column)
        # VOTable counts axes from the fastest one; astropy writes them the other way round
        values = values.reshape(len(table), *reversed(values.shape[1:]))
        plain[name] = _ascii(values) if column.dtype.kind == "U" else values
        plain[name].unit, plain[name].description = _unit(column.unit), column.description
    tree = votable.tree.VOTableFile(version="1.4")
    resource = votable.tree.Resource(name="fermi_unek")
    tree.resources.append(resource)
    tree.description = NOT_A_FERMI_PRODUCT
    resource.coordinate_systems.append(votable.tree.CooSys(ID="ICRS", system="ICRS"))
    for number, (name, value) in enumerate(header.items(), start=1):
        info = votable.tree.Info(ID=f"info_{number}", name=name, value=str(value))
        resource.infos.append(info)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that need another ID; they get one
        body = votable.tree.TableElement.from_table(tree, plain)
    body.name = "sources"
    for field in body.fields:
        if field.name in UCDS:
            field.ucd = UCDS[field.name]
        if field.name in ("RAJ2000", "DEJ2000", "ra", "dec"):
            field.ref = "ICRS"
    resource.tables.append(body)
    return tree


def _unit(unit: u.UnitBase | None) -> u.UnitBase | None:
    """The unit as VOUnit has it: erg is deprecated there, and 1 erg cm-2 s-1 is 1 mW m-2."""
    flux = u.Unit("mW m-2")
    is_flux = unit is not None and u.Unit(unit).is_equivalent(flux)
    return flux if is_flux and np.isclose(u.Unit(unit).to(flux), 1.0) else unit


def _ascii(values: np.ndarray) -> np.ndarray:
    """Text as ASCII bytes, which VOTable holds as char instead of unicodeChar."""
    encoded = np.char.encode(values, "ascii", "backslashreplace")
    return encoded if encoded.dtype.itemsize else encoded.astype("S1")
