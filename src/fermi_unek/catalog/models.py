"""A catalog as the source model of a likelihood fit: gtlike's XML, fermipy's YAML.

A search measures no flux, and the catalog says so with NaN; a model must have numbers inside the
bounds of its parameters. Where nothing was measured it gets the power law with which fermipy's own
source finder starts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from ..errors import UnekWarning
from ..outputs import check_file, replacing
from .record import Catalog
from .schema import NOT_A_FERMI_PRODUCT

START = {"Prefactor": 1e-13, "Index": 2.0, "Scale": 1000.0}
"""Photons / cm2 / MeV / s, photon index, and MeV: about 1e-10 / cm2 / s from 1 to 100 GeV."""

_FORMS = {
    "PowerLaw": (
        "PowerLaw",
        {"Prefactor": "PL_Flux_Density", "Index": "PL_Index", "Scale": "Pivot_Energy"},
    ),
    "LogParabola": (
        "LogParabola",
        {
            "norm": "LP_Flux_Density",
            "alpha": "LP_Index",
            "beta": "LP_beta",
            "Eb": "Pivot_Energy",
        },
    ),
    "PLSuperExpCutoff": (
        "PLSuperExpCutoff4",
        {
            "Prefactor": "PLEC_Flux_Density",
            "IndexS": "PLEC_IndexS",
            "Scale": "Pivot_Energy",
            "ExpfactorS": "PLEC_ExpfactorS",
            "Index2": "PLEC_Exp_Index",
        },
    ),
}
"""SpectrumType to the form of the Fermitools, its parameters and the columns they are in."""

_NORMS, _FIXED = ("Prefactor", "norm"), ("Scale", "Eb")
_BOUNDS = {
    "Index": (0.0, 5.0),
    "IndexS": (0.0, 5.0),
    "alpha": (-5.0, 5.0),
    "beta": (-2.0, 2.0),
    "ExpfactorS": (0.0, 5.0),
    "Index2": (-0.5, 2.0),
}
"""As fermipy has them; wider where a measured value needs it."""


def measured_spectrum(row: Mapping[str, Any]) -> tuple[str, dict[str, float]] | None:
    """Form and parameters of the spectrum a row names; None unless all were measured."""
    form, columns = _FORMS.get(str(row["SpectrumType"]).strip(), ("", {}))
    # a quantity of any unit, or a bare number
    values = {k: float(getattr(row[name], "value", row[name])) for k, name in columns.items()}
    return (form, values) if values and all(map(math.isfinite, values.values())) else None


def source_models(catalog: Catalog) -> list[dict[str, Any]]:
    """Each row as fermipy's configuration has a source: name, place, spectrum.

    Rows without a position are left out, with a warning.
    """
    sources = []
    for row in catalog.table:
        name, ra, dec = str(row["Source_Name"]), float(row["RAJ2000"]), float(row["DEJ2000"])
        if not (math.isfinite(ra) and math.isfinite(dec)):
            warnings.warn(f"{name}: has no position, left out", UnekWarning, stacklevel=2)
            continue
        form, values = measured_spectrum(row) or ("PowerLaw", START)
        place = {"name": name, "ra": ra, "dec": dec, "SpatialModel": "PointSource"}
        sources.append(place | {"SpectrumType": form} | values)
    return sources


def write_yaml_model(catalog: Catalog, path: str | Path, overwrite: bool = False) -> None:
    """The section ``model: sources:`` of a fermipy configuration."""
    path = check_file(path, overwrite)
    text = yaml.safe_dump({"model": {"sources": source_models(catalog)}}, sort_keys=False)
    with replacing(path) as temporary:
        temporary.write_text(f"# {NOT_A_FERMI_PRODUCT}\n{text}", encoding="utf-8")


def write_xml_model(catalog: Catalog, path: str | Path, overwrite: bool = False) -> None:
    """A source library of gtlike, which fermipy takes under ``catalogs:``; nothing is free."""
    path = check_file(path, overwrite)
    library = ElementTree.Element("source_library", title="fermi_unek")
    library.append(ElementTree.Comment(f" {NOT_A_FERMI_PRODUCT} "))
    for source in source_models(catalog):
        node = ElementTree.SubElement(library, "source", name=source["name"], type="PointSource")
        form = source["SpectrumType"]
        spectrum = ElementTree.SubElement(node, "spectrum", type=form)
        for name in next(columns for other, columns in _FORMS.values() if other == form):
            _parameter(spectrum, name, *_scaled(name, source[name]))
        place = ElementTree.SubElement(node, "spatialModel", type="SkyDirFunction")
        _parameter(place, "RA", source["ra"], 1.0, 0.0, 360.0)
        _parameter(place, "DEC", source["dec"], 1.0, -90.0, 90.0)
    ElementTree.indent(library)
    with replacing(path) as temporary:
        ElementTree.ElementTree(library).write(temporary, "utf-8", xml_declaration=True)


def _scaled(name: str, value: float) -> tuple[float, float, float, float]:
    """Value, scale and bounds of a parameter."""
    if name in _FIXED:
        return value, 1.0, value, value
    if name in _NORMS:
        scale = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1e-13
        return value / scale, scale, min(1e-5, value / scale), 1e3
    low, high = _BOUNDS[name]
    # the Fermitools hold a photon index with its sign
    scale = -1.0 if name in ("Index", "IndexS") else 1.0
    return value, scale, min(low, value), max(high, value)


def _parameter(
    parent: ElementTree.Element, name: str, value: float, scale: float, low: float, high: float
) -> None:
    numbers = {"value": value, "scale": scale, "min": low, "max": high}
    texts = {key: repr(float(number)) for key, number in numbers.items()}
    ElementTree.SubElement(parent, "parameter", texts, name=name, free="0")
