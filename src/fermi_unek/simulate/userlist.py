"""A user's own source list: gtlike XML, gammapy YAML, or a FITS table like 4FGL's.

Point sources become rows of a population, their spectra converted into the three of 4FGL-DR2:
power law, log-parabola and exponentially cut off power law.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import yaml
from astropy.coordinates import SkyCoord
from astropy.table import Table
from defusedxml import ElementTree

from ..config.plain_yaml import load_plain
from ..errors import InputError, UnekWarning
from ..sky.io.files import decoded
from .population import COLUMNS, complete, read_population

Spectrum = dict[str, Any]
"""What is known of a source: columns of a population by name, and RA and DEC."""

_TEXT = ("Source_Name", "SpectrumType", "CLASS1")
_FLAT_INDEX = 1e-3  # an exponential index below it makes a PLEC of DR3 a log-parabola
_NAMES_SHOWN = 3


def read_user_list(path: str | Path) -> Table:
    """A population from a list of sources.

    Parameters
    ----------
    path : path
        ``.xml`` for a gtlike source library (also of fermipy), ``.yaml`` or ``.yml`` for models of
        gammapy, anything else for FITS (`population.read_population`). Point sources only;
        extended and diffuse ones, and gammapy's models of the background, are left out with
        an `UnekWarning`, and so are those that cannot be used: of a spectrum that 4FGL has no
        name for, without a parameter, a position or a flux between 1 and 100 GeV. Light curves
        are not read.

    Returns
    -------
    Table
        As `population.read_population`: of no row when there is no point source. CLASS1 is
        blank and Signif_Avg NaN, which neither XML nor YAML has.

    Raises
    ------
    InputError
        No such file, not of its kind, or none of its sources can be used.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".xml", ".yaml", ".yml"):
        return read_population(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    rows = _read_xml(path) if kind == ".xml" else _read_yaml(path)
    table = _table(rows)
    with np.errstate(all="ignore"):
        table = complete(table)
    flux = np.asarray(table["Flux1000"], float)
    good = np.isfinite(flux) & (flux > 0)
    names = [f"{path}: source {str(name)!r}" for name in table["Source_Name"][~good]]
    _leave_out(path, [f"{name} has no flux between 1 and 100 GeV" for name in names], len(table))
    return table[good]


def _leave_out(path: Path, unusable: list[str], total: int) -> None:
    """Warn of sources that are left out and why; InputError where none of `total` is left."""
    if unusable and len(unusable) == total:
        raise InputError(unusable[0])
    if unusable:
        reason = unusable[0].removeprefix(f"{path}: ")
        warnings.warn(
            f"{path}: left out {len(unusable)} of {total} sources that cannot be used, the first: "
            f"{reason}",
            UnekWarning,
            stacklevel=4,
        )


def _usable(path: Path, sources: Iterable[tuple[str, Callable[[], Spectrum]]]) -> list[Spectrum]:
    """The sources that can be read; what is wrong with one costs that one."""
    rows: list[Spectrum] = []
    unusable: list[str] = []
    seen = set()
    for name, read in sources:
        try:
            if name in seen:
                raise InputError(f"{path}: source {name!r} is there twice")
            seen.add(name)
            rows.append({"Source_Name": name, **read()})
        except InputError as error:
            unusable.append(str(error))
    _leave_out(path, unusable, len(rows) + len(unusable))
    return rows


def _table(rows: list[Spectrum]) -> Table:
    table = Table()
    for name in COLUMNS:
        if name in _TEXT:
            table[name] = np.array([row.get(name, "") for row in rows], dtype="U64")
        else:
            table[name] = np.array([row.get(name, np.nan) for row in rows], dtype=float)
    ra, dec = (np.array([row[name] for row in rows], dtype=float) for name in ("RA", "DEC"))
    place = SkyCoord(ra, dec, unit="deg", frame="icrs").galactic
    table["GLON"], table["GLAT"] = place.l.deg, place.b.deg
    return table


def _warn_skipped(path: Path, names: list[str], what: str) -> None:
    if names:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        message = f"{path}: left out {len(names)} {what} ({shown})"
        warnings.warn(message, UnekWarning, stacklevel=4)


# spectra ---------------------------------------------------------------------------------------


def power_law(norm: float, index: float, pivot: float) -> Spectrum:
    """Spectrum norm * (E/pivot)**-index; norm in ph cm-2 s-1 MeV-1, pivot in MeV."""
    return {
        "SpectrumType": "PowerLaw", "Pivot_Energy": pivot, "PL_Flux_Density": norm,
        "PL_Index": index,
    }  # fmt: skip


def integral_power_law(flux: float, index: float, low: float, high: float) -> Spectrum:
    """Power law of photon flux `flux`, ph cm-2 s-1, between two energies, MeV."""
    pivot = math.sqrt(low * high)
    slope, span = 1.0 - index, math.log(high / low)
    # integral of (E/pivot)**-index over d(E/pivot)
    area = span if abs(slope) < 1e-9 else 2.0 * math.sinh(0.5 * slope * span) / slope
    return power_law(flux / (area * pivot), index, pivot)


def log_parabola(norm: float, alpha: float, beta: float, pivot: float) -> Spectrum:
    """Spectrum norm * (E/pivot)**-(alpha + beta ln(E/pivot))."""
    return {
        "SpectrumType": "LogParabola", "Pivot_Energy": pivot, "LP_Flux_Density": norm,
        "LP_Index": alpha, "LP_beta": beta, "PL_Flux_Density": norm, "PL_Index": alpha,
    }  # fmt: skip


def cut_power_law(
    norm: float, index: float, pivot: float, factor: float, exponent: float
) -> Spectrum:
    """Spectrum norm * (E/pivot)**-index * exp(factor * (pivot**exponent - E**exponent)), MeV."""
    return {
        "SpectrumType": "PLSuperExpCutoff", "Pivot_Energy": pivot, "PLEC_Flux_Density": norm,
        "PLEC_Index": index, "PLEC_Expfactor": factor, "PLEC_Exp_Index": exponent,
        "PL_Flux_Density": norm, "PL_Index": index,
    }  # fmt: skip


def unnormed_cut_power_law(
    norm: float, index: float, pivot: float, factor: float, exponent: float
) -> Spectrum:
    """Spectrum norm * (E/pivot)**-index * exp(-factor * E**exponent), MeV."""
    at_pivot = norm * math.exp(-factor * pivot**exponent)
    return cut_power_law(at_pivot, index, pivot, factor, exponent)


def dr3_cut_power_law(
    norm: float, index: float, pivot: float, factor: float, exponent: float
) -> Spectrum:
    """The PLEC of 4FGL-DR3 (Abdollahi et al. 2022, ApJS 260, 53, eq. 4) in DR2's parameters."""
    if abs(exponent) < _FLAT_INDEX:
        return log_parabola(norm, index, 0.5 * factor, pivot)
    return cut_power_law(
        norm,
        index - factor / exponent,
        pivot,
        factor / exponent**2 * pivot**-exponent,
        exponent,
    )


# gtlike XML ------------------------------------------------------------------------------------
# https://fermi.gsfc.nasa.gov/ssc/data/analysis/scitools/source_models.html; indices are powers

_XML: Mapping[str, tuple[tuple[str, ...], Callable[..., Spectrum]]] = {
    "PowerLaw": (("Prefactor", "Index", "Scale"), lambda n, g, e: power_law(n, -g, e)),
    "PowerLaw2": (
        ("Integral", "Index", "LowerLimit", "UpperLimit"),
        lambda n, g, low, high: integral_power_law(n, -g, low, high),
    ),
    "LogParabola": (("norm", "alpha", "beta", "Eb"), log_parabola),
    "PLSuperExpCutoff": (
        ("Prefactor", "Index1", "Scale", "Cutoff", "Index2"),
        lambda n, g, e, cut, b: unnormed_cut_power_law(n, -g, e, cut**-b, b),
    ),
    "PLSuperExpCutoff2": (
        ("Prefactor", "Index1", "Scale", "Expfactor", "Index2"),
        lambda n, g, e, a, b: unnormed_cut_power_law(n, -g, e, a, b),
    ),
    "PLSuperExpCutoff4": (
        ("Prefactor", "IndexS", "Scale", "ExpfactorS", "Index2"),
        lambda n, g, e, d, b: dr3_cut_power_law(n, -g, e, d, b),
    ),
}


def _read_xml(path: Path) -> list[Spectrum]:
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        raise InputError(f"{path}: not an XML file, or damaged ({error})") from None
    if root.tag != "source_library":
        raise InputError(f"{path}: the XML holds <{root.tag}>, expected a <source_library>")
    skipped, points = [], []
    for number, source in enumerate(root.iter("source")):
        name = source.get("name", f"source {number}")
        if source.get("type") == "DiffuseSource":
            skipped.append(name)
        else:
            points.append((name, partial(_xml_source, source, f"{path}: source {name!r}")))
    _warn_skipped(path, skipped, "extended and diffuse sources")
    return _usable(path, points)


def _xml_source(source: Element, where: str) -> Spectrum:
    spectrum, place = source.find("spectrum"), source.find("spatialModel")
    if spectrum is None or place is None:
        raise InputError(f"{where}: expected a <spectrum> and a <spatialModel>")
    kind = spectrum.get("type", "")
    if kind not in _XML:
        raise InputError(_unknown(where, kind, _XML))
    names, convert = _XML[kind]
    ra, dec = _xml_values(place, ("RA", "DEC"), where)
    values = _xml_values(spectrum, names, where)
    return {**_place(ra, dec, where), **_converted(convert, values, where)}


def _xml_values(element: Element, names: tuple[str, ...], where: str) -> tuple[float, ...]:
    parameters = list(element.iter("parameter"))
    found = {parameter.get("name"): parameter for parameter in parameters}
    if len(found) < len(parameters):
        raise InputError(f"{where}: the <{element.tag}> has a parameter twice")
    values = []
    for name in names:
        if name not in found:
            raise InputError(f"{where}: the <{element.tag}> has no parameter {name}")
        text, scale = found[name].get("value", ""), found[name].get("scale", "1")
        try:
            values.append(float(text) * float(scale))
        except ValueError:
            raise InputError(
                f"{where}: {name} is {text!r} times {scale!r}, expected numbers"
            ) from None
    return tuple(values)


def _unknown(where: str, kind: str, known: Mapping[str, Any]) -> str:
    return f"{where}: spectrum {kind!r} is not known, expected one of {', '.join(known)}"


def _converted(convert: Callable[..., Spectrum], values: Any, where: str) -> Spectrum:
    try:
        return convert(*values)
    except (ArithmeticError, ValueError):
        numbers = ", ".join(f"{value:g}" for value in values)
        raise InputError(f"{where}: the parameters {numbers} are no spectrum") from None


def _place(ra: float, dec: float, where: str) -> Spectrum:
    if not (math.isfinite(ra) and abs(dec) <= 90.0):
        raise InputError(f"{where}: right ascension {ra:g} and declination {dec:g} are no position")
    return {"RA": ra, "DEC": dec}


# gammapy YAML ----------------------------------------------------------------------------------

_PER_MEV = "cm-2 s-1 MeV-1"
_GAMMAPY: Mapping[str, tuple[tuple[tuple[str, str], ...], Callable[..., Spectrum]]] = {
    "PowerLawSpectralModel": (
        (("amplitude", _PER_MEV), ("index", ""), ("reference", "MeV")),
        power_law,
    ),
    "PowerLaw2SpectralModel": (
        (("amplitude", "cm-2 s-1"), ("index", ""), ("emin", "MeV"), ("emax", "MeV")),
        integral_power_law,
    ),
    "LogParabolaSpectralModel": (
        (("amplitude", _PER_MEV), ("alpha", ""), ("beta", ""), ("reference", "MeV")),
        log_parabola,
    ),
    "ExpCutoffPowerLawSpectralModel": (
        (("amplitude", _PER_MEV), ("index", ""), ("reference", "MeV"), ("lambda_", "MeV-1"),
         ("alpha", "")),
        lambda n, g, e, rate, b: unnormed_cut_power_law(n, g, e, rate**b, b),
    ),
    "ExpCutoffPowerLaw3FGLSpectralModel": (
        (("amplitude", _PER_MEV), ("index", ""), ("reference", "MeV"), ("ecut", "MeV")),
        lambda n, g, e, cut: cut_power_law(n, g, e, 1.0 / cut, 1.0),
    ),
    "SuperExpCutoffPowerLaw3FGLSpectralModel": (
        (("amplitude", _PER_MEV), ("index_1", ""), ("reference", "MeV"), ("ecut", "MeV"),
         ("index_2", "")),
        lambda n, g, e, cut, b: cut_power_law(n, g, e, cut**-b, b),
    ),
    "SuperExpCutoffPowerLaw4FGLSpectralModel": (
        (("amplitude", _PER_MEV), ("index_1", ""), ("reference", "MeV"), ("expfactor", ""),
         ("index_2", "")),
        cut_power_law,
    ),
    "SuperExpCutoffPowerLaw4FGLDR3SpectralModel": (
        (("amplitude", _PER_MEV), ("index_1", ""), ("reference", "MeV"), ("expfactor", ""),
         ("index_2", "")),
        dr3_cut_power_law,
    ),
}  # fmt: skip


def _read_yaml(path: Path) -> list[Spectrum]:
    try:
        content = load_plain(decoded(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a YAML file, or damaged ({reason})") from None
    models = content.get("components") if isinstance(content, dict) else None
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        raise InputError(f"{path}: no list 'components', expected the models of gammapy")
    skipped, points = [], []
    for number, model in enumerate(models):
        name = str(model.get("name", f"model {number}"))
        spatial, spectral = model.get("spatial"), model.get("spectral")
        point = isinstance(spatial, dict) and spatial.get("type") in ("PointSpatialModel", "point")
        if not point or not isinstance(spectral, dict):
            skipped.append(name)
        else:
            where = f"{path}: model {name!r}"
            points.append((name, partial(_gammapy_source, spatial, spectral, where)))
    _warn_skipped(path, skipped, "models that are no point source")
    return _usable(path, points)


def _gammapy_source(spatial: dict[str, Any], spectral: dict[str, Any], where: str) -> Spectrum:
    # takes seconds to import, and most runs have no such list
    from gammapy.modeling.models import PointSpatialModel

    model = _spectral_model(spectral, where)
    parameters, convert = _GAMMAPY[type(model).__name__]
    try:
        position = PointSpatialModel.from_dict({"spatial": spatial}).position.icrs
        values = [getattr(model, name).quantity.to_value(unit) for name, unit in parameters]
    except Exception as error:  # whatever gammapy and units raise about the user's numbers
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: the parameters cannot be used ({reason})") from None
    place = _place(float(position.ra.deg), float(position.dec.deg), where)
    return {**place, **_converted(convert, [float(value) for value in values], where)}


def _spectral_model(spectral: dict[str, Any], where: str) -> Any:
    from gammapy.modeling.models import SPECTRAL_MODEL_REGISTRY

    try:
        cls = SPECTRAL_MODEL_REGISTRY.get_cls(spectral.get("type", ""))
    except KeyError:
        raise InputError(_unknown(where, str(spectral.get("type", "")), _GAMMAPY)) from None
    if cls.__name__ not in _GAMMAPY:
        raise InputError(_unknown(where, cls.__name__, _GAMMAPY))
    try:
        return cls.from_dict({"spectral": spectral})
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: the spectrum cannot be read ({reason})") from None
