"""fermipy's face: the seed step of a GTAnalysis."""

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

from ..catalog import equatorial_position_angle, write_catalog
from ..catalog.models import START
from ..config import FindConfig, build
from ..errors import InputError, UnekWarning
from ..pipeline import read_photons, search
from ..sky.geometry.frame import lonlat_to_vectors
from ..sky.selection import EVENT_TYPES, LAYERS

if TYPE_CHECKING:
    from fermipy.gtanalysis import GTAnalysis

SECTION = "fermi_unek"
"""Section of a configuration file that `UNEKMixin` takes."""

CATALOG_FILE = "fermi_unek.fits"
"""Where in the working directory `find_sources` leaves the whole list, behind the prefix."""

_OF_TS_MAPS = frozenset(
    ("max_iter", "sources_per_iter", "tsmap_fitter", "tsmap", "tscube", "multithread", "nthread")
)
"""What scripts and the section ``sourcefind`` give fermipy's own method, of no use to this one."""

_FAKE_SQRT_TS = 5.0
"""A candidate that is flagged as a fluctuation is taken for a source from this significance."""

_SIGMAS_68, _SIGMAS_95, _SIGMAS_99 = np.sqrt([2.30, 5.99, 9.21])
"""Containment radii over the error of one axis, in fermipy's numbers."""


class SeedConfig(FindConfig):
    """How `find_sources` seeks and what it adds: `FindConfig`, and names that fermipy has.

    What the section ``sourcefind`` of the configuration sets to other values than fermipy's own
    (``min_separation``, ``sqrt_ts_threshold``, ``model``, ``free_params``) holds here, too.

    Attributes
    ----------
    min_separation : float
        Least distance in degrees between two sources added by one call; the more probable
        stays. fermipy's 1.0 is made for TS maps, the network parts closer ones.
    search_skydir : SkyCoord or None
        With it, sources are added only at distances from it inside `search_minmax_radius`.
    search_minmax_radius : (float or None, float or None)
        Degrees; None is no limit. As fermipy has it, without effect unless `search_skydir`.
    skip_unselected : bool
        Whether candidates that are not in the list of the purity asked for (`purity`) are left out.
    skip_fake : bool or None
        Whether candidates flagged as fluctuations stay among the peaks. None lets the fit decide:
        they stay in the model when they reach 5 sigma in it; where nothing is fitted they
        are left out.
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
    skip_unselected: bool = True
    skip_fake: bool | None = None
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
        dict for each candidate that the model did not explain, with the keys that fermipy's own
        have (``amp`` is sqrt(TS) and ``zoffset`` TS of the fit, NaN without one; ``pos_angle`` is
        from celestial north; pixels only where the analysis has WCS pixels), and ``name``,
        ``probability`` and ``fake``. Both are empty when nothing new was found.

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
    given = {**_sourcefind_section(gta), **getattr(gta, SECTION, {}), **config}
    settings = _settings(given)
    find = FindConfig(**{name: getattr(settings, name) for name in FindConfig.model_fields})
    catalog = search(read_photons(component_cubes(gta, find.evtype), find), find)
    output = Path(gta.workdir) / "_".join(part for part in (prefix, CATALOG_FILE) if part)
    write_catalog(catalog, output, overwrite=True)
    order = np.argsort(-np.asarray(catalog.table["Probability"]), kind="stable")
    if settings.skip_unselected:
        order = order[np.asarray(catalog.table["Selected"], bool)[order]]
    geom = gta.geom if gta.geom.is_hpx else gta.geom.to_image()
    peaks = [_peak(catalog.table[int(index)], geom) for index in order]
    if settings.skip_known:
        peaks = _unexplained(peaks, gta.roi, settings.known_radius)
    fitted = settings.fit and gta.like is not None
    fake_limit = _FAKE_SQRT_TS if settings.skip_fake is None else 0.0
    if settings.skip_fake is None:
        settings = settings.model_copy(update={"skip_fake": not fitted})
    wanted = list(_wanted(peaks, settings))
    for peak in wanted:
        _add(gta, peak, settings)
    if fitted:
        wanted = _fit(gta, wanted, settings, fake_limit)
    added = [peak["name"] for peak in wanted]
    left_out = sum(peak["fake"] for peak in peaks) - sum(peak["fake"] for peak in wanted)
    gta.logger.info(
        "fermi_unek: %i candidates, %i not in the model, %i added, %i flagged Fake left out; all "
        "are in %s",
        len(catalog),
        len(peaks),
        len(added),
        left_out,
        output,
    )
    return {"sources": [gta.roi[name] for name in added], "peaks": peaks}


def component_cubes(gta: GTAnalysis, event_type: str | None = None) -> list[Path]:
    """Count cubes of an analysis's components.

    Parameters
    ----------
    gta : GTAnalysis
    event_type : str or None
        Which components, of `EVENT_TYPES`; all of them for None and what joins several types.

    Raises
    ------
    InputError
        No component is of that type, or a cube has not been made yet.
    """
    components = list(gta.components)
    if event_type not in (None, *LAYERS, "all"):
        bits = EVENT_TYPES[str(event_type)]
        kinds = sorted({str(_evtype(component)) for component in components})
        components = [part for part in components if _evtype(part) | bits == bits]
        if not components:
            raise InputError(
                f"no component has {event_type} events alone (evtype {', '.join(kinds)}); leave "
                "evtype out to take them all"
            )
    cubes = [Path(component.files["ccube"]) for component in components]
    for cube in cubes:
        if not cube.is_file():
            raise InputError(f"{cube}: no such count cube, run gta.setup() first")
    return cubes


def _evtype(component: Any) -> int:
    return int(component.config["selection"]["evtype"])


def _sourcefind_section(gta: GTAnalysis) -> dict[str, Any]:
    """What the section ``sourcefind`` sets to other values than fermipy does."""
    usual = {name: option[0] for name, option in gta.defaults["sourcefind"].items()}
    section = gta.config["sourcefind"]
    return {name: section[name] for name in usual if section[name] != usual[name]}


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
    place = skydir.galactic
    lon, lat = np.asarray(place.l.deg), np.asarray(place.b.deg)
    major, minor = (float(row[f"Conf_68_Semi{k}"]) / _SIGMAS_68 for k in ("Major", "Minor"))
    r95 = np.sqrt(float(row["Conf_95_SemiMajor"]) * float(row["Conf_95_SemiMinor"]))
    angle = float(row["Conf_68_PosAng"])
    galactic = angle - float(equatorial_position_angle(lon, lat, np.zeros(())))
    # fermipy counts angles from the longitude axis
    thetas = {"ICRS": np.radians(90.0 - angle), "galactic": np.radians(90.0 - galactic)}
    cel, gal = (utils.ellipse_to_cov(major, minor, theta) for theta in thetas.values())
    sigma = np.sqrt(major * minor)
    fit = {
        "fit_success": bool(np.isfinite(sigma)),
        "fit_inbounds": True,
        "zoffset": np.nan,
        "theta": thetas["galactic" if geom.frame == "galactic" else "ICRS"] % np.pi,
        "skydir": skydir,
        "ra": skydir.ra.deg,
        "dec": skydir.dec.deg,
        "glon": lon,
        "glat": lat,
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
    fit |= dict(zip(("ra_err", "dec_err"), np.sqrt(np.diag(cel)), strict=True))
    fit |= dict(zip(("glon_err", "glat_err"), np.sqrt(np.diag(gal)), strict=True))
    pixel = {}
    if not geom.is_hpx:
        x, y = (pixels.item() for pixels in geom.coord_to_pix(skydir))
        pixel = {"ix": round(x), "iy": round(y)}
        fit |= {"xpix": x, "ypix": y, "peak_offset": np.hypot(x - pixel["ix"], y - pixel["iy"])}
        fit["fit_inbounds"] = bool(np.all(geom.contains(skydir)))
    fit = {name: _python(value) for name, value in fit.items()}
    told = {
        "name": str(row["Source_Name"]),
        "probability": float(row["Probability"]),
        "fake": bool(row["Fake"]),
        "amp": np.nan,
        "fit_loc": fit,
        "fit_skydir": skydir,
    }
    return told | pixel | fit


def _python(value: Any) -> Any:
    """Single numbers as Python's own: fermipy writes numpy's as ``np.float64(...)``."""
    if isinstance(value, Mapping):
        return {name: _python(item) for name, item in value.items()}
    is_number = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if is_number else value


def _unexplained(
    peaks: Sequence[dict[str, Any]], roi: Any, known_radius: float
) -> list[dict[str, Any]]:
    """Peaks at which no source of the model lies, neither point nor extended."""
    known = roi.point_sources  # fermipy's name for all but the diffuse ones
    places = SkyCoord(np.reshape([source.radec for source in known], (-1, 2)), unit="deg")
    reach = np.array([known_radius + _extension(source) for source in known])
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
    sizes = (source["SpatialWidth"], source["catalog"].get("Model_SemiMajor"))
    return max((float(deg) for deg in sizes if deg is not None and np.isfinite(deg)), default=0.0)


def _wanted(peaks: Sequence[dict[str, Any]], settings: SeedConfig) -> Iterator[dict[str, Any]]:
    """Peaks to add: real, in the search region, and as far apart as they must be."""
    from fermipy.utils import apply_minmax_selection

    taken: list[np.ndarray] = []
    least_chord = 2.0 * np.sin(np.radians(min(settings.min_separation, 180.0)) / 2.0)
    for peak in peaks:
        place = peak["skydir"]
        if settings.skip_fake and peak["fake"]:
            continue
        if settings.search_skydir is not None and not apply_minmax_selection(
            settings.search_skydir.separation(place).deg, settings.search_minmax_radius
        ):
            continue
        vector = lonlat_to_vectors(place.ra.deg, place.dec.deg)
        if any(np.linalg.norm(other - vector) < least_chord for other in taken):
            continue
        taken.append(vector)
        yield peak


def _add(gta: GTAnalysis, peak: dict[str, Any], settings: SeedConfig) -> None:
    """Add a peak to the model under a name that no source of it answers to."""
    peak["name"] = _free_name(gta.roi, peak["name"])
    spectrum = {"SpectrumType": "PowerLaw", "SpatialModel": "PointSource", **settings.spectrum}
    free = settings.free_params or []
    if spectrum["SpectrumType"] == "PowerLaw":
        spectrum = START | spectrum
        free = settings.free_params or ["Prefactor", "Index"]
    for name in free:
        value = spectrum.get(name, {})
        value = value if isinstance(value, Mapping) else {"value": value}
        spectrum[name] = {"name": name, **value, "free": True}
    place = {key: value for key, value in peak.items() if key in ("ra", "dec", *_SOURCE_KEYS)}
    gta.add_source(peak["name"], _python(spectrum) | place, free=True)


_SOURCE_KEYS = (
    *("glon_err", "glat_err", "ra_err", "dec_err", "pos_err", "pos_r68", "pos_r95", "pos_r99"),
    *("pos_err_semimajor", "pos_err_semiminor", "pos_angle"),
    *("pos_gal_cov", "pos_gal_corr", "pos_cel_cov", "pos_cel_corr"),
)
"""What of a peak fermipy keeps in a source."""


def _free_name(roi: Any, name: str) -> str:
    """`name`, or with a number when a source of the model has it, be it as an association."""
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(free for free in names if not roi.has_source(free))


def _fit(
    gta: GTAnalysis, peaks: Sequence[dict[str, Any]], settings: SeedConfig, fake_limit: float
) -> list[dict[str, Any]]:
    """Fit new sources one by one, as fermipy does, and leave them fixed; those that stay.

    `fake_limit` is the sqrt(TS) that a candidate flagged as a fluctuation must reach.
    """
    for peak in peaks:
        gta.free_source(peak["name"], False)
    for peak in peaks:
        gta.free_source(peak["name"], True, pars=settings.free_params)
        gta.fit()
        gta.free_source(peak["name"], False)
    staying = []
    for peak in peaks:
        ts = max(float(gta.roi[peak["name"]]["ts"]), 0.0)
        limit = max(settings.sqrt_ts_threshold or 0.0, fake_limit if peak["fake"] else 0.0)
        if np.sqrt(ts) < limit:
            gta.logger.info("fermi_unek: %s has TS %.1f, taken out again", peak["name"], ts)
            gta.delete_source(peak["name"])
            continue
        peak["amp"] = float(np.sqrt(ts))
        peak["zoffset"] = peak["fit_loc"]["zoffset"] = ts
        staying.append(peak)
    return staying
