"""The refit by fermipy and the Fermitools, where they are installed.

The catalog becomes a model of the region, fermipy's GTAnalysis fits it, and what it found comes
back into the same columns as that of the package's own fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord

from ..catalog import Catalog, write_catalog
from ..errors import ConfigError, InputError
from ..outputs import check_folder
from .columns import refitted
from .fit import RADIUS_68, TS_LIMIT, TS_LOCALISE
from .region import Region
from .state import START_INDEX, BandFit, SourceResult, SourceState, SpectrumFit

MODEL_FILE, CONFIG_FILE = "model.fits", "config.yaml"

LEAST_ROI_DEG = 10.0
"""Width of the region of interest, and what it holds around the outermost candidates."""

WIDEST_DEG = 20.0
"""Candidates must lie within one region of interest."""

_MARGIN_DEG = 5.0
_START_DENSITY, _START_PIVOT_MEV = 1e-13, 2000.0
_NOT_MEASURED = BandFit(*[np.nan] * 7)

Settings = Mapping[str, Mapping[str, Any]]


def refit_with_fermipy(
    catalog: Catalog,
    settings: Settings,
    folder: str | Path,
    *,
    analysis: Callable[[str], Any] | None = None,
    localise: bool = True,
    fake_ts: float | None = None,
    overwrite: bool = False,
) -> Catalog:
    """A catalog refitted by fermipy.

    Parameters
    ----------
    catalog : Catalog
        N rows, all within one region of interest.
    settings : mapping of mappings
        fermipy's configuration: at least ``data`` (evfile, scfile or ltcube) and ``model``
        (galdiff, isodiff). What it does not say is set to fit the catalog.
    folder : path
        Where model, configuration and fermipy's files go.
    analysis : function, optional
        Makes a GTAnalysis of the configuration's path; fermipy's own by default.
    localise : bool
        Whether positions are refined.
    fake_ts : float, optional
        Candidates of less TS are marked in Fake.
    overwrite : bool
        Whether model and configuration in `folder` may be replaced.

    Returns
    -------
    Catalog

    Raises
    ------
    ConfigError
        Fermitools are not installed, or the settings lack data.
    InputError
        The candidates lie too far apart.
    OutputError
        The folder cannot be had.
    """
    if not len(catalog):
        return refitted(catalog, [], [], fake_ts=fake_ts)
    config = write_analysis(catalog, settings, folder, overwrite=overwrite)
    gta = (analysis or _gtanalysis)(str(config))
    gta.setup()
    gta.optimize()
    names = [str(name) for name in catalog.table["Source_Name"]]
    ellipses = {}
    for name in sorted(names, key=lambda name: -_ts(gta.roi[name])):
        gta.free_sources(free=False)
        gta.free_source(name)
        gta.fit()
        if localise and _ts(gta.roi[name]) > TS_LOCALISE:
            found = gta.localize(name, update=True)
            if found["fit_success"]:
                ellipses[name] = _ellipse(found)
    results = [_result(row, gta.roi[name], ellipses.get(name)) for row, name in enumerate(names)]
    region = Region(1, np.array([1.0, 0.0, 0.0]), 0.0, tuple(range(len(names))), (), ())
    after = refitted(catalog, results, [region], fake_ts=fake_ts)
    return replace(after, header={**catalog.header, "refit by": "fermipy", "refit TS": "gtlike"})


def write_analysis(
    catalog: Catalog, settings: Settings, folder: str | Path, *, overwrite: bool = False
) -> Path:
    """Write catalog and configuration for fermipy into a folder; the configuration's path.

    Errors as `refit_with_fermipy`.
    """
    import yaml

    for section, keys in (("data", ("evfile",)), ("model", ("galdiff", "isodiff"))):
        for key in keys:
            if not settings.get(section, {}).get(key):
                raise ConfigError(f"fermipy needs {section}: {key}, which the settings do not have")
    folder = check_folder(folder, (MODEL_FILE, CONFIG_FILE), overwrite)
    folder.mkdir(exist_ok=True)
    write_catalog(with_start(catalog), folder / MODEL_FILE, overwrite=overwrite)
    config = {name: dict(section) for name, section in settings.items()}
    for section, values in _defaults(catalog, folder).items():
        config[section] = values | config.get(section, {})
    config["model"]["catalogs"] = [str((folder / MODEL_FILE).resolve())]
    path = folder / CONFIG_FILE
    path.write_text(yaml.safe_dump(config))
    return path


def _defaults(catalog: Catalog, folder: Path) -> dict[str, dict[str, Any]]:
    """What the settings need not say."""
    positions = catalog.positions
    centre = SkyCoord(positions.cartesian.mean(), frame="icrs")
    ra, dec = float(centre.spherical.lon.deg), float(centre.spherical.lat.deg)
    reach = float(positions.separation(SkyCoord(ra, dec, unit="deg")).deg.max())
    if 2 * reach > WIDEST_DEG:
        raise InputError(
            f"the candidates lie up to {reach:.1f} degrees from their middle; fermipy fits one "
            f"region of interest of {WIDEST_DEG:g} degrees at a time, cut the catalog into fields"
        )
    width = max(LEAST_ROI_DEG, 2 * reach + _MARGIN_DEG)
    return {
        "binning": {"roiwidth": round(width, 1), "binsz": 0.1, "binsperdec": 8},
        "selection": {
            "ra": ra, "dec": dec, "emin": 300, "emax": 1000000, "zmax": 100,
            "evclass": 128, "evtype": 3,
        },
        "gtlike": {"edisp": True, "irfs": "P8R3_SOURCE_V3"},
        "model": {"src_roiwidth": round(width + 2 * _MARGIN_DEG, 1)},
        "fileio": {"outdir": str(folder.resolve())},
    }  # fmt: skip


def with_start(catalog: Catalog) -> Catalog:
    """The catalog with a spectrum to begin from where none was measured."""
    table = catalog.table.copy()
    blank = ~np.isfinite(np.asarray(table["PL_Flux_Density"], float))
    for name, value in (
        ("PL_Flux_Density", _START_DENSITY),
        ("PL_Index", START_INDEX),
        ("Pivot_Energy", _START_PIVOT_MEV),
    ):
        table[name][blank] = value
    table["SpectrumType"][blank] = "PowerLaw"
    return replace(catalog, table=table)


def _gtanalysis(config: str) -> Any:
    try:
        from fermipy.gtanalysis import GTAnalysis
    except ImportError as error:
        raise ConfigError(
            f"fermipy's GTAnalysis needs the Fermitools ({error}); install them, or refit with "
            "`fermi-unek refit`"
        ) from None
    return GTAnalysis(config)


def _ts(source: Any) -> float:
    return float(np.nan_to_num(source["ts"], nan=0.0))


def _ellipse(found: Mapping[str, Any]) -> tuple[float, float, float]:
    """68% ellipse of fermipy's 1 sigma axes; its angle is from celestial north already."""
    return (
        RADIUS_68 * float(found["pos_err_semimajor"]),
        RADIUS_68 * float(found["pos_err_semiminor"]),
        90.0 - (90.0 - float(found["pos_angle"])) % 180.0,
    )


# fermipy's parameters of 4FGL's spectra: name here, and the sign with which it is held there
_PARAMETERS = {
    "PowerLaw": {"amplitude": ("Prefactor", 1), "index": ("Index", -1), "reference": ("Scale", 1)},
    "LogParabola": {
        "amplitude": ("norm", 1), "alpha": ("alpha", 1), "beta": ("beta", 1),
        "reference": ("Eb", 1),
    },
}  # fmt: skip


def _result(row: int, source: Any, ellipse: tuple[float, float, float] | None) -> SourceResult:
    """What fermipy's ROI model holds of a source, as the package's own fit would have it."""
    fit = _spectrum(source)
    curved = "beta" in fit.values
    index = fit.values["alpha"] if curved else fit.values["index"]
    place = source.skydir.galactic
    state = SourceState(
        float(place.l.deg),
        float(place.b.deg),
        fit.values["amplitude"],
        index,
        fit.values.get("beta", 0.0),
        fit.values["reference"],
    )
    ts = max(_ts(source), 0.0)
    limit = np.nan
    if ts < TS_LIMIT and source["flux1000"] > 0:
        limit = float(source["flux1000_ul95"]) / float(source["flux1000"])
    return SourceResult(
        row, state, ts, fit, fit if curved else None, None, ellipse, (_NOT_MEASURED,) * 6, limit,
        float(source["npred"]),
    )  # fmt: skip


def _spectrum(source: Any) -> SpectrumFit:
    """Parameters and errors; fermipy hands out no covariance between them here."""
    kind = source["SpectrumType"]
    if kind not in _PARAMETERS:
        raise InputError(
            f"{source.name}: fermipy fitted a {kind}, expected one of {', '.join(_PARAMETERS)}"
        )
    values, errors = {}, {}
    for name, (theirs, sign) in _PARAMETERS[kind].items():
        parameter = source.spectral_pars[theirs]
        scale = float(parameter["scale"])
        values[name] = sign * float(parameter["value"]) * scale
        errors[name] = abs(float(parameter.get("error", np.nan)) * scale)
    free = tuple(name for name in values if name != "reference" and np.isfinite(errors[name]))
    return SpectrumFit(
        values, errors, np.diag([errors[name] ** 2 for name in free]), free, stat=0.0
    )


__all__ = ["refit_with_fermipy", "with_start", "write_analysis"]
