"""fermipy's face: the seed step of a GTAnalysis, and our catalogs as its ROI models take them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Row
from pydantic import ConfigDict, Field

from ..catalog import Catalog, equatorial_position_angle, read_catalog, write_catalog
from ..config import FindConfig, build
from ..errors import InputError, UnekWarning
from ..pipeline import read_photons, search
from .start import START, with_start_spectra

if TYPE_CHECKING:
    from fermipy.catalog import Catalog as FermipyCatalog
    from fermipy.gtanalysis import GTAnalysis

SECTION = "fermi_unek"
"""Section of a configuration file that `UNEKMixin` takes."""

CATALOG_FILE = "fermi_unek.fits"
"""Where in the working directory `find_sources` leaves the whole list, behind the prefix."""

_OF_TS_MAPS = frozenset(
    ("max_iter", "sources_per_iter", "tsmap_fitter", "tsmap", "tscube", "multithread", "nthread")
)
"""What scripts give fermipy's own method, and this one has no use for."""

_FRONT = 1
_EVENT_TYPES = {"front": 1, "back": 2}
_SIGMAS_68, _SIGMAS_95, _SIGMAS_99 = np.sqrt([2.30, 5.99, 9.21])
"""Containment radii over the error of one axis, in fermipy's numbers."""


class SeedConfig(FindConfig):
    """How `find_sources` seeks and what it adds: `FindConfig`, and names that fermipy has.

    Attributes
    ----------
    min_separation : float
        Least distance in degrees between two sources added by one call; the more probable
        stays. fermipy's 1.0 is made for TS maps, the network parts closer ones.
    search_skydir : SkyCoord or None
        With it, sources are added only at distances from it inside `search_minmax_radius`.
    search_minmax_radius : (float or None, float or None)
        Degrees; None is no limit. As fermipy has it, without effect unless `search_skydir`.
    skip_fake : bool
        Whether candidates that are taken for fluctuations stay among the peaks.
    skip_known : bool
        Whether candidates that a source of the ROI model explains are left out.
    known_radius : float
        A model source explains what lies this near it, degrees, or inside the candidate's own
        95% error radius when that is larger; the extension of an extended source is added.
    spectrum : dict
        Spectrum of the new sources: fermipy's ``model`` (which as a dict is taken, too).
    free_params : list of str or None
        Parameters to free; None is Prefactor and Index, or all that another form has.
    fit : bool
        Whether the new sources are fitted one by one, as fermipy does, where there is a
        likelihood (after ``gta.setup()``).
    sqrt_ts_threshold : float or None
        New sources whose fit falls short are taken out again; None keeps them.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    min_separation: float = Field(0.0, ge=0.0)
    search_skydir: SkyCoord | None = None
    search_minmax_radius: tuple[float | None, float | None] = (None, 1.0)
    skip_fake: bool = True
    skip_known: bool = True
    known_radius: float = Field(0.3, ge=0.0)
    spectrum: dict[str, Any] = Field(default_factory=dict)
    free_params: list[str] | None = None
    fit: bool = True
    sqrt_ts_threshold: float | None = Field(None, ge=0.0)


class UNEKMixin:
    """Put before GTAnalysis: its seed step is the network, its file may have our section.

    ::

        class Analysis(UNEKMixin, GTAnalysis): ...

        gta = Analysis("config.yaml")  # with a section `fermi_unek:`, keys of `SeedConfig`
        gta.setup()
        gta.find_sources()

    The section is kept apart as the attribute `fermi_unek`: the configuration that fermipy
    checks, hands to components and clones, and saves, never has it.
    """

    fermi_unek: Mapping[str, Any] = {}

    def configure(self, config: Mapping[str, Any] | None, **kwargs: Any) -> None:
        """fermipy's, without our section; `ConfigError` on what is wrong in that."""
        rest = dict(config or {})
        self.fermi_unek = {**(rest.pop(SECTION, None) or {}), **(kwargs.pop(SECTION, None) or {})}
        _settings(self.fermi_unek, f"section {SECTION}")
        super().configure(rest, **kwargs)  # type: ignore[misc]

    def find_sources(self, prefix: str = "", **config: Any) -> dict[str, list[Any]]:
        """The function `find_sources` of this module instead of TS maps."""
        return find_sources(self, prefix, **config)


def find_sources(gta: GTAnalysis, prefix: str = "", **config: Any) -> dict[str, list[Any]]:
    """Find sources with the network and add them to the ROI model: a `gta.find_sources`.

    Parameters
    ----------
    gta : GTAnalysis
        After ``gta.setup()``: its components' count cubes are what is looked at.
    prefix : str
        Before the name of the file in the working directory that gets the whole catalog.
    **config
        Keys of `SeedConfig`; they go before those of the section of `UNEKMixin`.

    Returns
    -------
    dict
        ``"sources"``: the new `fermipy.roi_model.Source`, most probable first; ``"peaks"``: a
        dict for each candidate that the model did not explain, with the keys of fermipy's
        `fit_error_ellipse` (``skydir``, ``ra``, ``dec``, ``glon``, ``glat``, ``pos_err``,
        ``pos_err_semimajor``, ``pos_err_semiminor``, ``pos_angle`` from celestial north,
        ``pos_r68``, ``pos_r95``, ``pos_r99``, covariances), ``amp`` (sqrt(TS) of the fit, NaN
        without), ``name``, ``probability`` and ``fake``. Both are empty when nothing new was found.

    Raises
    ------
    InputError
        There is no count cube yet, or as `fermi_unek.find_sources`.
    ConfigError
        A key is unknown or its value out of range.

    Warns
    -----
    UnekWarning
        Options of fermipy's that steer its TS maps are given; they have no effect here.
    """
    given = {**getattr(gta, SECTION, {}), **config}
    settings = _settings(given)
    find = FindConfig(**{name: getattr(settings, name) for name in FindConfig.model_fields})
    catalog = search(read_photons(component_cubes(gta, find.evtype), find), find)
    output = Path(gta.workdir) / "_".join(part for part in (prefix, CATALOG_FILE) if part)
    write_catalog(catalog, output, overwrite=True)
    order = np.argsort(-np.asarray(catalog.table["Probability"]), kind="stable")
    peaks = [_peak(catalog.table[int(index)], gta.geom) for index in order]
    if settings.skip_known:
        peaks = _unexplained(peaks, gta.roi, settings.known_radius)
    added = [_add(gta, peak, settings) for peak in _wanted(peaks, settings)]
    if settings.fit and gta.like is not None:
        added = _fit(gta, added, settings)
    for peak in peaks:
        if peak["name"] in added:
            peak["amp"] = float(np.sqrt(max(gta.roi[peak["name"]]["ts"], 0.0)))
    gta.logger.info(
        "fermi_unek: %i candidates, %i not in the model, %i added; all are in %s",
        len(catalog),
        len(peaks),
        len(added),
        output,
    )
    return {"sources": [gta.roi[name] for name in added], "peaks": peaks}


def component_cubes(gta: GTAnalysis, event_type: str | None = None) -> list[Path]:
    """Count cubes of an analysis's components.

    Parameters
    ----------
    gta : GTAnalysis
    event_type : {"front", "back", "all"} or None
        Which components; None is those of FRONT events, for which the networks are made, where
        they cover all energies of the analysis, else all components.

    Raises
    ------
    InputError
        No component is of that type, or a cube has not been made yet.
    """
    components = list(gta.components)
    if event_type in _EVENT_TYPES:
        wanted = _of_type(components, _EVENT_TYPES[event_type])
        if not wanted:
            kinds = sorted({str(_evtype(one)) for one in components})
            raise InputError(
                f"no component has {event_type} events alone (evtype {', '.join(kinds)}); leave "
                "evtype out to take them all"
            )
        components = wanted
    elif event_type is None:
        front = _of_type(components, _FRONT)
        components = front if front and _span(front) == _span(components) else components
    cubes = [Path(one.files["ccube"]) for one in components]
    for cube in cubes:
        if not cube.is_file():
            raise InputError(f"{cube}: no such count cube, run gta.setup() first")
    return cubes


def _evtype(component: Any) -> int:
    return int(component.config["selection"]["evtype"])


def _of_type(components: Sequence[Any], mask: int) -> list[Any]:
    return [one for one in components if _evtype(one) == mask]


def _span(components: Sequence[Any]) -> tuple[float, float]:
    edges = np.concatenate([one.log_energies for one in components]).round(5)
    return float(edges.min()), float(edges.max())


def _settings(given: Mapping[str, Any], where: str = "find_sources") -> SeedConfig:
    given = dict(given)
    idle = sorted(_OF_TS_MAPS & given.keys())
    if idle:
        warnings.warn(
            f"{where}: {', '.join(idle)} without effect, the network makes no TS maps",
            UnekWarning,
            stacklevel=3,
        )
    given = {key: value for key, value in given.items() if key not in idle}
    if isinstance(given.get("model"), Mapping):
        given["spectrum"] = given.pop("model")
    return build(SeedConfig, given, where)


def _peak(row: Row, geom: Any) -> dict[str, Any]:
    """A row of the catalog as fermipy describes a peak of a TS map and its error ellipse."""
    from fermipy import utils

    skydir = SkyCoord(float(row["RAJ2000"]), float(row["DEJ2000"]), unit="deg")
    lon, lat = np.asarray(skydir.galactic.l.deg), np.asarray(skydir.galactic.b.deg)
    major, minor = (float(row[f"Conf_68_Semi{k}"]) / _SIGMAS_68 for k in ("Major", "Minor"))
    r95 = np.sqrt(float(row["Conf_95_SemiMajor"]) * float(row["Conf_95_SemiMinor"]))
    angle = float(row["Conf_68_PosAng"])
    galactic = angle - float(equatorial_position_angle(lon, lat, np.zeros(())))
    # fermipy counts angles from the longitude axis
    cel, gal = (
        utils.ellipse_to_cov(major, minor, np.radians(90.0 - one)) for one in (angle, galactic)
    )
    sigma = np.sqrt(major * minor)
    peak = {
        "name": str(row["Source_Name"]),
        "probability": float(row["Probability"]),
        "fake": bool(row["Fake"]),
        "amp": np.nan,
        "skydir": skydir,
        "fit_skydir": skydir,
        "ra": float(skydir.ra.deg),
        "dec": float(skydir.dec.deg),
        "glon": float(lon),
        "glat": float(lat),
        "pos_err": sigma,
        "pos_r68": sigma * _SIGMAS_68,
        "pos_r95": r95,
        "pos_r99": r95 * _SIGMAS_99 / _SIGMAS_95,
        "pos_err_semimajor": major,
        "pos_err_semiminor": minor,
        "pos_angle": angle,
        "pos_ecc": np.sqrt(1.0 - minor**2 / major**2),
        "pos_ecc2": np.sqrt(major**2 / minor**2 - 1.0),
        "pos_cel_cov": cel,
        "pos_gal_cov": gal,
        "pos_cel_corr": utils.cov_to_correlation(cel),
        "pos_gal_corr": utils.cov_to_correlation(gal),
    }
    peak |= dict(zip(("ra_err", "dec_err"), np.sqrt(np.diag(cel)), strict=True))
    peak |= dict(zip(("glon_err", "glat_err"), np.sqrt(np.diag(gal)), strict=True))
    if not geom.is_hpx:
        x, y = (one.item() for one in geom.to_image().coord_to_pix(skydir))
        peak |= {"xpix": x, "ypix": y, "ix": round(x), "iy": round(y)}
    return peak


def _unexplained(
    peaks: Sequence[dict[str, Any]], roi: Any, known_radius: float
) -> list[dict[str, Any]]:
    """Peaks at which no source of the model lies, neither point nor extended."""
    known = roi.point_sources  # fermipy's name for all but the diffuse ones
    places = SkyCoord(np.reshape([one.radec for one in known], (-1, 2)), unit="deg")
    reach = np.array([known_radius + _extension(one) for one in known])
    # a candidate's own error counts when it is larger than the radius
    beyond = [float(np.fmax(peak["pos_r95"] - known_radius, 0.0)) for peak in peaks]
    return [
        peak
        for peak, more in zip(peaks, beyond, strict=True)
        if not np.any(places.separation(peak["skydir"]).deg <= reach + more)
    ]


def _extension(source: Any) -> float:
    """Radius of an extended source, degrees; of a template as its catalog gives it, else 0."""
    if not source.extended:
        return 0.0
    held = (source["SpatialWidth"], source["catalog"].get("Model_SemiMajor"))
    return max([float(one) for one in held if one is not None and np.isfinite(one)], default=0.0)


def _wanted(peaks: Sequence[dict[str, Any]], settings: SeedConfig) -> Iterator[dict[str, Any]]:
    """Peaks to add: real, in the search region, and as far apart as they must be."""
    from fermipy.utils import apply_minmax_selection

    taken: list[SkyCoord] = []
    for peak in peaks:
        place = peak["skydir"]
        if settings.skip_fake and peak["fake"]:
            continue
        if settings.search_skydir is not None and not apply_minmax_selection(
            settings.search_skydir.separation(place).deg, settings.search_minmax_radius
        ):
            continue
        if any(one.separation(place).deg < settings.min_separation for one in taken):
            continue
        taken.append(place)
        yield peak


def _add(gta: GTAnalysis, peak: dict[str, Any], settings: SeedConfig) -> str:
    """Add a peak to the model under a name that no source of it answers to; that name."""
    peak["name"] = _free_name(gta.roi, peak["name"])
    spectrum = {"SpectrumType": "PowerLaw", "SpatialModel": "PointSource", **settings.spectrum}
    free = settings.free_params or []
    if spectrum["SpectrumType"] == "PowerLaw":
        start = {"Scale": "Pivot_Energy", "Prefactor": "PL_Flux_Density", "Index": "PL_Index"}
        spectrum = {name: START[column] for name, column in start.items()} | spectrum
        free = settings.free_params or ["Prefactor", "Index"]
    for name in free:
        value = spectrum.get(name, {})
        value = value if isinstance(value, Mapping) else {"value": value}
        spectrum[name] = {"name": name, **value, "free": True}
    place = {key: value for key, value in peak.items() if key in ("ra", "dec", *_SOURCE_KEYS)}
    gta.add_source(peak["name"], spectrum | place, free=True)
    return peak["name"]


_SOURCE_KEYS = (
    *("glon_err", "glat_err", "ra_err", "dec_err", "pos_err", "pos_r68", "pos_r95", "pos_r99"),
    *("pos_err_semimajor", "pos_err_semiminor", "pos_angle"),
    *("pos_gal_cov", "pos_gal_corr", "pos_cel_cov", "pos_cel_corr"),
)
"""What of a peak fermipy keeps in a source."""


def _free_name(roi: Any, name: str) -> str:
    """`name`, or with a number when a source of the model has it, be it as an association."""
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(one for one in names if not roi.has_source(one))


def _fit(gta: GTAnalysis, names: Sequence[str], settings: SeedConfig) -> list[str]:
    """Fit new sources one by one, as fermipy does, and leave them fixed; those that stay."""
    for name in names:
        gta.free_source(name, False)
    for name in names:
        gta.free_source(name, True, pars=settings.free_params)
        gta.fit()
        gta.free_source(name, False)
    if settings.sqrt_ts_threshold is None:
        return list(names)
    weak = [name for name in names if gta.roi[name]["ts"] < settings.sqrt_ts_threshold**2]
    for name in weak:
        gta.logger.info("fermi_unek: %s is too faint in the fit, taken out again", name)
        gta.delete_source(name)
    return [name for name in names if name not in weak]


def to_catalog(catalog: Catalog | str | Path) -> FermipyCatalog:
    """A catalog of ours as a fermipy Catalog, for the list ``catalogs`` of a model.

    Unlike `fermipy.catalog.Catalog.create` of the file this takes catalogs without rows, and
    sources that were not refitted get the power law of `plugins.start` to begin a fit from
    (the file has NaN there, of which fermipy makes parameters without a value).

    Parameters
    ----------
    catalog : Catalog, or path of a file
        May have no rows.

    Returns
    -------
    fermipy.catalog.Catalog
        Sorted by name, as fermipy's own. Its table is a copy.

    Raises
    ------
    InputError
        When a path is given and the file is no catalog of ours.
    """
    from fermipy.catalog import Catalog as FermipyCatalog
    from fermipy.catalog import Catalog4FGLDR3

    record = catalog if isinstance(catalog, Catalog) else read_catalog(catalog)
    table = with_start_spectra(record.table)
    table.sort("Source_Name")
    cutoff = table["SpectrumType"] == "PLSuperExpCutoff"
    table["SpectrumType"][cutoff] = "PLSuperExpCutoff4"
    for name in ("Spatial_Filename", "Spatial_Function"):
        table[name] = np.full(len(table), "", dtype="U20")
    result = FermipyCatalog(table)
    Catalog4FGLDR3._fill_params(result.table)
    if "TS" not in table.colnames:  # a refit writes it
        result.table["TS"] = np.asarray(table["Signif_Avg"], float) ** 2
    return result
