"""`find`: from photons to a catalog."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import SkyCoord

from ..catalog import Catalog, build_catalog, write_catalog
from ..catalog.io import check_catalog
from ..catalog.provenance import below_one_folder, without_folders
from ..config import Find, FindConfig, RefitConfig, build
from ..errors import ConfigError, InputError, UnekWarning
from ..memory import need_memory
from ..outputs import check_folder
from ..progress import Progress, silent, stage
from ..sky.counts import SkyCounts
from ..sky.geometry.coverage import circle_coverage, intersect
from ..sky.io.files import checksum
from .inputs import Inputs, read_photons
from .models import Models, load_models

if TYPE_CHECKING:
    from ..nets.weights import LocalizerFile

_SMALLEST_CIRCLE_DEG = 0.2
"""A smaller circle may hold the center of no pixel of a coverage mask."""


def find_sources(
    inputs: Inputs,
    config: FindConfig | Mapping[str, Any] | None = None,
    *,
    progress: Progress = silent,
    **settings: Any,
) -> Catalog:
    """Sources in the photons of some files.

    Parameters
    ----------
    inputs : path or list of paths
        FT1 photon files, @lists of them, gtbin HEALPIX files or gtbin WCS cubes. Several
        files are one sky: other energies, other components, or other weeks.
    config : FindConfig, mapping of its keys, or None
        How to look; None is all defaults.
    progress : Progress
        Wraps the long loops; silent unless asked.
    **settings
        Keys of `FindConfig`, such as ``threshold=0.5``; they go before those of `config`.
        ``region`` is (lon, lat, radius) in Galactic degrees, the text that ``--region`` takes, a
        `regions.CircleSkyRegion`, or (SkyCoord, radius); lengths and times may be Quantities.

    Returns
    -------
    Catalog
        Sources in the 4FGL schema; of no rows when nothing was found.

    Raises
    ------
    InputError
        A file is missing, damaged, of no known kind, too coarse, or holds no photons; or the
        region lies outside the data.
    ConfigError
        A key is unknown or its value out of range, or it is one of the command line that would
        be without effect.
    """
    config = find_config(config, **settings)
    models = load_models(config)
    return search(read_photons(inputs, config, progress), config, models, progress=progress)


def find_config(
    config: FindConfig | Mapping[str, Any] | None = None, **settings: Any
) -> FindConfig:
    """Settings of a search from all the ways in which Python may give them."""
    if isinstance(config, FindConfig) and not settings:
        return config
    values = dict(config) if isinstance(config, Mapping) else {}
    if isinstance(config, FindConfig):
        values = {name: getattr(config, name) for name in FindConfig.model_fields}
    values |= settings
    for name in values.keys() & Find.model_fields.keys() - FindConfig.model_fields.keys():
        raise ConfigError(
            f"{name} would be without effect: a search in Python writes no files; use "
            "Catalog.write, fermi_unek.pipeline.find_to_file or `fermi-unek find`"
        )
    return build(FindConfig, values)


def search(
    sky: SkyCounts,
    config: FindConfig | None = None,
    models: Models | None = None,
    *,
    output: Path | None = None,
    progress: Progress = silent,
) -> Catalog:
    """Sources in photons that are in memory; see `find_sources`, and `refit_catalog` on output."""
    from ..detect.find import find_candidates
    from ..detect.settings import SearchConfig

    config = config or FindConfig()
    area = searched_area(sky, config.region)
    need_memory(_search_gb(sky, area), "the search")
    models = _suited(models or load_models(config), sky, config)
    localizer = models.localizer
    if models.exposure is not None:
        models.exposure.scale_for(sky, component=bool(sky.layers))
    with stage("finding candidates"):
        candidates = find_candidates(
            sky,
            localizer,
            threshold=config.threshold,
            region=config.region,
            shape=models.shape,
            instrument=models.instrument,
            config=SearchConfig(
                centers=config.centers, device=config.device, scheduler=config.scheduler
            ),
            progress=progress,
        )
    if models.classifier is not None:
        from ..classify.classes import classify

        with stage(f"classifying {len(candidates)} candidates"):
            candidates = classify(
                sky,
                candidates,
                models.classifier,
                exposure=models.exposure,
                localizer=localizer.provenance.get("sha256"),
                priors=config.priors,
                device=config.device,
            )
    catalog = build_catalog(
        candidates,
        provenance=_provenance(sky, config, localizer, models),
        reference=models.reference,
        association_radius=config.association_radius,
        coverage=area,
        purity=config.purity,
    )
    if not config.measure:
        return catalog
    from ..measure import refit_catalog

    with stage(f"measuring {len(catalog)} candidates"):
        settings = _refit_config(config, models.reference is not None)
        return refit_catalog(catalog, sky, settings, output=output, progress=progress)


def _search_gb(sky: SkyCounts, area: np.ndarray | None) -> float:
    """Memory that a search takes, with classes; `studies/trust_memory.py` compares it."""
    sky_share = 1.0 if area is None else float(np.mean(area))
    data_share = 1.0 if sky.coverage is None else float(np.mean(sky.coverage))
    million = 1e-6 * float(sky.totals.sum())
    return 0.3 + 0.15 * sky_share + 0.027 * million * sky_share / max(data_share, sky_share, 1e-9)


def _refit_config(config: FindConfig, looked_up: bool) -> RefitConfig:
    """What a search's settings say of the fit at its end."""
    return RefitConfig(
        exposure=() if config.exposure is None else (config.exposure,),
        diffuse=Path(config.diffuse) if Path(config.diffuse).is_file() else None,
        iso=config.iso,
        extension=config.extension,
        surroundings=config.reference if looked_up else "none",
    )


def find_to_file(
    inputs: Inputs,
    output: str | Path,
    config: FindConfig | None = None,
    *,
    report: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Catalog:
    """`find_sources`, written to a catalog file and, where asked for, a report folder.

    Raises
    ------
    OutputError
        Before anything is read, when an output exists and may not be replaced, or cannot
        be written. Other errors as `find_sources`.
    """
    from .report import REPORT_FILES, write_report

    config = config or FindConfig()
    output = check_catalog(output, overwrite)
    if report is not None:
        check_folder(report, REPORT_FILES, overwrite)
    models = load_models(config)
    sky = read_photons(inputs, config, progress, for_report=report is not None)
    models = _suited(models, sky, config)
    catalog = search(sky, config, models, output=output, progress=progress)
    write_catalog(catalog, output, overwrite=overwrite)
    if config.measure:
        from ..measure import forget_regions

        forget_regions(output)
    if report is not None:
        write_report(report, sky, catalog, models.reference, progress)
    return catalog


def _suited(models: Models, sky: SkyCounts, config: FindConfig) -> Models:
    """Without the reference that is there by default where the photons are simulated."""
    asked = "reference" in config.model_fields_set
    if models.reference is None or asked or not sky.selection.simulated:
        return models
    warnings.warn(
        f"simulated photons: no candidate is looked up in {config.reference} (--reference names it "
        "where its sources were simulated)",
        UnekWarning,
        stacklevel=3,
    )
    return replace(models, reference=None)


def searched_area(
    sky: SkyCounts, region: tuple[float, float, float] | None = None
) -> np.ndarray | None:
    """NESTED Galactic coverage of any energy bin inside `region`; None is the whole sky.

    Raises
    ------
    InputError
        The region lies outside the data.
    """
    if region is None:
        return sky.coverage
    if not _overlaps(sky.coverage, region):
        raise InputError(_outside(sky.coverage, region))
    return intersect(sky.coverage, circle_coverage(*region))


def _overlaps(covered: np.ndarray | None, region: tuple[float, float, float]) -> bool:
    lon, lat, radius = region
    inside = intersect(covered, circle_coverage(lon, lat, max(radius, _SMALLEST_CIRCLE_DEG)))
    return inside is None or bool(inside.any())


def _outside(covered: np.ndarray | None, region: tuple[float, float, float]) -> str:
    """What is wrong with a region, and what would be right."""
    from ..report.photons import covered_cone

    lon, lat, radius = covered_cone(covered)
    text = "{:g},{:g},{:g}".format(*region)
    other = SkyCoord(*region[:2], unit="deg").galactic
    meant = _overlaps(covered, (float(other.l.deg), float(other.b.deg), region[2]))
    return (
        f"region {text} (Galactic degrees) lies outside the data, which cover up to {radius:.1f} "
        f"degrees around {lon:.2f},{lat:.2f}"
        + (f"; right ascension and declination are given as icrs:{text}" if meant else "")
    )


def _provenance(
    sky: SkyCounts, config: FindConfig, localizer: LocalizerFile, models: Models
) -> dict[str, object]:
    """What the catalog's header says of how it came about."""
    settings = {name: getattr(config, name) for name in FindConfig.model_fields}
    told: dict[str, object] = {
        f"setting {key}": without_folders(value)
        for key, value in settings.items()
        if value not in (None, (), {})
    }
    told |= {f"photons bin {index}": int(total) for index, total in enumerate(sky.totals)}
    told |= {"event type": "+".join(layer.event_type for layer in sky.layers or (sky,))}
    told |= {f"input {key}": value for key, value in below_one_folder(sky.origin).items()}
    if config.exposure is not None:
        told |= {"exposure": f"sha256 {checksum(config.exposure)}"}
    told |= {f"model {key}": value for key, value in localizer.provenance.items()}
    if models.classifier is not None:
        told |= {"years of photons": len(sky.years) or "no times"}
        history = models.classifier.provenance.items()
        told |= {f"class {key}": value for key, value in history if key != "config"}
    return told
