"""The stages in a row: from files to a catalog, and the sample that ships with the package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import BinConfig, FindConfig, InjectConfig, ReportConfig, build
from .errors import InputError, OutputError, UnekWarning
from .outputs import check_file, check_folder, staging
from .progress import Progress, silent

if TYPE_CHECKING:
    from astropy.table import Table

    from .catalog.record import Catalog
    from .evaluate import Scores
    from .evaluate.injection import Injection
    from .irf.exposure import ExposureFile
    from .sky.counts import SkyCounts

Inputs = str | Path | Sequence[str | Path]
"""A photon file, cube, or @list, or several that belong together."""

REPORT_FILES = ("report.html", "field.png", "catalog.reg")
DEMO_FILES = ("catalog.fits", "catalog.reg", "field.png")

BRIGHT_TS = 25.0
"""Ideal TS of the faintest true sources the demo's picture marks."""


def find_sources(
    inputs: Inputs,
    config: FindConfig | Mapping[str, Any] | None = None,
    *,
    progress: Progress = silent,
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

    Returns
    -------
    Catalog
        Sources in the 4FGL schema; of no rows when nothing was found.

    Raises
    ------
    InputError
        A file is missing, damaged, of no known kind, too coarse, or holds no photons.
    ConfigError
        A key is unknown or its value out of range.
    """
    config = _as_config(config)
    tools = load_tools(config)
    return search(read_photons(inputs, config, progress), config, tools, progress=progress)


def read_photons(
    inputs: Inputs,
    config: FindConfig | BinConfig | ReportConfig | None = None,
    progress: Progress = silent,
) -> SkyCounts:
    """The photons of some files, with the cuts of `config`; errors as `find_sources`.

    They are kept year by year where the files hold times and something asks for it, or where
    `config` names yearly cubes.
    """
    from .sky.io.readers import read_sky

    config = config or FindConfig()

    def read(paths: Inputs, yearly: bool | None) -> SkyCounts:
        return read_sky(
            paths,
            rng=np.random.default_rng(config.seed),
            event_type=config.evtype,
            zmax_deg=config.zmax,
            yearly=yearly,
            progress=progress,
        )

    if not isinstance(config, FindConfig):
        return read(inputs, None)
    years_wanted = config.report is not None or config.classify
    if not (config.yearly and years_wanted):
        return read(inputs, None if years_wanted else False)
    return with_years(read(inputs, False), [read(one, False) for one in by_year(config.yearly)])


def by_year(paths: Sequence[Path]) -> list[list[Path]]:
    """Inputs of each year: files whose names differ in a final _bin and digits are of one."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.with_name(re.sub(r"_bin\d+(?=\.)", "", path.name)), []).append(path)
    return list(groups.values())


def with_years(sky: SkyCounts, years: Sequence[SkyCounts]) -> SkyCounts:
    """A sky with the counts of its years, which were read apart.

    Raises
    ------
    InputError
        When the years hold other photons than the sky: their sum differs by more than a tenth in
        an energy bin that both have.
    """
    total = np.sum([year.totals for year in years], axis=0)
    both = sky.present & np.any([year.present for year in years], axis=0)
    far = both & (np.abs(total - sky.totals) > 0.1 * sky.totals + 10)
    if far.any() or not both.any():
        b = int(np.argmax(far))
        raise InputError(
            f"the {len(years)} yearly inputs hold {total[b]:,} photons in energy bin {b}, the "
            f"inputs {sky.totals[b]:,}: expected the same photons, one yearly input a year (an "
            "@list where a year has several files)"
        )
    return replace(sky, years=tuple(years))


@dataclass(frozen=True)
class Tools:
    """What a search needs beside photons: networks, a 4FGL release to look into, exposure.

    `coarse` is the localizer for photons counted in coarse pixels; None: the one serves all.
    """

    localizer: Any
    reference: Table | None
    classifier: Any = None
    coarse: Any = None
    exposure: ExposureFile | None = None

    def localizer_for(self, sky: SkyCounts) -> Any:
        """The localizer that was trained for pixels such as the photons were counted in."""
        return self.coarse if self.coarse is not None and sky.counted_coarsely else self.localizer


def load_tools(config: FindConfig) -> Tools:
    """Networks, release and exposure that `config` names; quick to fail, so before photons.

    Raises
    ------
    InputError
        When there is no such model or release, or the exposure file cannot be used.

    Warns
    -----
    UnekWarning
        An exposure file is given and nothing is to be classified.
    """
    from .catalog import load_release
    from .nets.weights import COARSE_LOCALIZER, load_localizer

    exposure = _load_exposure(config)
    reference = None if config.reference == "none" else load_release(config.reference)
    localizer = load_localizer(config.model)
    coarse = None if config.model else load_localizer(COARSE_LOCALIZER)
    classifier = None
    if config.classify:
        from .nets.classifier_weights import load_classifier

        classifier = load_classifier(config.classifier)
    return Tools(localizer, reference, classifier, coarse, exposure)


def _load_exposure(config: FindConfig) -> ExposureFile | None:
    if config.exposure is None:
        return None
    from .irf.exposure import read_exposure

    exposure = read_exposure(config.exposure)
    if not config.classify:
        warnings.warn(
            f"{config.exposure}: has no effect without classification: positions and their "
            "probabilities are made from counts alone",
            UnekWarning,
            stacklevel=3,
        )
    return exposure


def search(
    sky: SkyCounts,
    config: FindConfig | None = None,
    tools: Tools | None = None,
    *,
    progress: Progress = silent,
) -> Catalog:
    """Sources in photons that are in memory; see `find_sources`."""
    from .catalog import build_catalog
    from .detect.find import find_candidates

    config = config or FindConfig()
    tools = tools or load_tools(config)
    localizer = tools.localizer_for(sky)
    candidates = find_candidates(
        sky,
        localizer,
        threshold=config.threshold,
        centers=config.centers,
        region=config.region,
        device=config.device,
        scheduler=config.scheduler,
        progress=progress,
    )
    if tools.classifier is not None:
        from .classify.classes import classify

        candidates = classify(
            sky,
            candidates,
            tools.classifier,
            exposure=tools.exposure,
            localizer=localizer.provenance.get("sha256"),
            device=config.device,
        )
    return build_catalog(
        candidates,
        provenance=_provenance(sky, config, localizer, tools),
        reference=tools.reference,
        coverage=where_looked(sky, config.region),
    )


def find_to_file(
    inputs: Inputs,
    output: str | Path,
    config: FindConfig | None = None,
    *,
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
    config = config or FindConfig()
    output = check_catalog_name(output, overwrite)
    if config.report is not None:
        check_folder(config.report, REPORT_FILES, overwrite)
    tools = load_tools(config)
    sky = read_photons(inputs, config, progress)
    catalog = search(sky, config, tools, progress=progress)
    from .catalog import write_catalog

    write_catalog(catalog, output, overwrite=overwrite)
    if config.report is not None:
        _write_report(config.report, sky, catalog, tools.reference, progress)
    return catalog


def check_catalog_name(path: str | Path, overwrite: bool = False) -> Path:
    """`path`, once it is sure that a catalog can be written there; else `OutputError`."""
    from .catalog.io import SUFFIXES

    path = check_file(path, overwrite)
    if path.suffix not in SUFFIXES:
        raise OutputError(f"{path}: a catalog's name must end in {' or '.join(SUFFIXES)}")
    return path


@dataclass(frozen=True)
class Demo:
    """What `run_demo` made: the catalog, its score against the truth, and where they lie."""

    catalog: Catalog
    scores: Scores
    folder: Path

    @property
    def summary(self) -> str:
        """A few lines for people."""
        from .report import summary_line

        lines = [f"found {summary_line(self.catalog)} in the sample field; against its truth:"]
        lines += [f"  {name:<28} {rate}" for name, rate in self.scores.summary.items()]
        return "\n".join([*lines, f"{', '.join(DEMO_FILES)} written to {self.folder}"])


def run_demo(folder: str | Path, *, overwrite: bool = False, progress: Progress = silent) -> Demo:
    """The main job on the simulated field that ships with the package.

    Writes ``catalog.fits``, ``catalog.reg`` and ``field.png`` into `folder`, which is made.

    Raises
    ------
    OutputError
        When one of them exists and `overwrite` is false, or they cannot be written.
    """
    folder = check_folder(folder, DEMO_FILES, overwrite)
    from .catalog import write_catalog, write_regions
    from .evaluate import read_truth_table, score
    from .report import draw_sky

    cubes, truth_file = demo_sample()
    truth = read_truth_table(truth_file)
    sky = read_photons(cubes)
    catalog = search(sky, progress=progress)
    bright = truth[np.asarray(truth["Ideal_TS"]) > BRIGHT_TS]
    with staging(folder) as temporary:
        write_catalog(catalog, temporary / "catalog.fits")
        write_regions(catalog, temporary / "catalog.reg")
        found, true = _positions(catalog.table), _positions(bright)
        draw_sky(sky, temporary / "field.png", found=found, true=true)
    return Demo(catalog, score(catalog, truth), folder)


def demo_sample() -> tuple[list[Path], Path]:
    """Count files and truth of the sample inside the package; `InputError` where it is not."""
    folder = Path(str(files("fermi_unek") / "data" / "demo"))
    truth = folder / "truth.fits"
    cubes = sorted(path for path in folder.glob("*.fits*") if path != truth)
    if not cubes or not truth.is_file():
        raise InputError(f"{folder}: the sample field is missing; was the package installed whole?")
    return cubes, truth


def bin_to_file(
    photons: Inputs,
    output: str | Path,
    config: BinConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> SkyCounts:
    """Photon files binned into one file that `find_sources` reads quickly.

    Raises
    ------
    OutputError
        Before anything is read, when the file exists and may not be replaced, or cannot be
        written.
    InputError
        As `find_sources`.
    """
    output = check_file(output, overwrite)
    sky = read_photons(photons, config, progress)
    from .sky.io.skyfile import write_sky

    write_sky(sky, output, overwrite=overwrite)
    return sky


def describe(item: str) -> str:
    """What a catalog, a model (by name or file) or an input holds, in lines for people.

    Raises
    ------
    InputError
        When it is none of these.
    """
    from .catalog.io import SOURCES_HDU, read_catalog
    from .report import describe_catalog, describe_sky
    from .sky.io.files import open_fits, resolve_inputs

    path = Path(item)
    if not item.startswith("@") and (not path.exists() or _is_safetensors(path)):
        return _describe_model(item)
    with open_fits(resolve_inputs(item)[0]) as hdus:
        is_catalog = SOURCES_HDU in hdus
    return describe_catalog(read_catalog(path)) if is_catalog else describe_sky(read_photons(item))


def inject_to_folder(
    inputs: Inputs,
    folder: str | Path,
    config: InjectConfig,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Injection:
    """Completeness and position errors of exactly one field, from sources added to its counts.

    Writes the files of `evaluate.files.INJECTION_FILES` into `folder`, which is made.

    Raises
    ------
    OutputError
        Before anything is read, when one of them exists and `overwrite` is false, or they
        cannot be written.
    InputError
        As `find_sources`; the input does not say its live time and none was given; or the field
        is too small to add sources to.
    """
    from .evaluate.files import INJECTION_FILES, write_injection
    from .evaluate.injection import inject
    from .irf.exposure import instrument_for

    folder = check_folder(folder, INJECTION_FILES, overwrite)
    # where they are is asked, not what they are
    bare = {"exposure": None, "reference": "none", "classify": False}
    looking = config.model_copy(update=bare)
    tools = load_tools(looking)
    sky = read_photons(inputs, looking)
    years = config.years or sky.livetime_years
    if not years > 0:
        raise InputError(f"{inputs}: the live time is not in the input, give it as --years")
    injection = inject(
        sky,
        lambda counts: search(counts, looking, tools),
        instrument_for(config.exposure, None, years, sky.event_type),
        years,
        np.array(config.flux),
        config.number,
        np.random.default_rng(config.seed),
        index=config.index,
        radius_deg=config.radius,
        progress=progress,
    )
    write_injection(injection, folder)
    return injection


def where_looked(
    sky: SkyCounts, region: tuple[float, float, float] | None = None
) -> np.ndarray | None:
    """NESTED Galactic coverage of any energy bin inside `region`; None is the whole sky."""
    from .sky.geometry.coverage import circle_coverage, intersect, unite

    covered = reduce(unite, [one.coverage for one in sky.bins if one is not None])
    return covered if region is None else intersect(covered, circle_coverage(*region))


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then JSON."""
    return path.is_file() and path.open("rb").read(9)[8:] == b"{"


def _describe_model(item: str) -> str:
    from .nets.classifier_weights import load_classifier
    from .nets.weights import DEFAULT_LOCALIZER, find_model, kind_of, load_localizer

    path = find_model(item, DEFAULT_LOCALIZER)
    load = load_classifier if kind_of(path) == "classifier" else load_localizer
    return "\n".join(f"{key}: {value}" for key, value in load(path).provenance.items())


def _as_config(config: FindConfig | Mapping[str, Any] | None) -> FindConfig:
    return config if isinstance(config, FindConfig) else build(FindConfig, config or {})


def _provenance(
    sky: SkyCounts, config: FindConfig, localizer: Any, tools: Tools
) -> dict[str, object]:
    """What the catalog's header says of how it came about."""
    from .sky.io.files import checksum

    settings = config.model_dump(exclude={"report"}, exclude_defaults=False)
    told = {f"setting {key}": value for key, value in settings.items() if value not in (None, ())}
    told |= {f"photons bin {index}": int(total) for index, total in enumerate(sky.totals)}
    told |= {"event type": sky.event_type}
    told |= {f"input {key}": value for key, value in sky.origin.items()}
    if config.exposure is not None:
        told |= {"exposure": f"sha256 {checksum(config.exposure)}"}
    told |= {f"model {key}": value for key, value in localizer.provenance.items()}
    if tools.classifier is not None:
        told |= {"years of photons": len(sky.years)}
        told |= {f"class {key}": value for key, value in tools.classifier.provenance.items()}
    return told


def _positions(table: Table) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float)


def report_to_folder(
    catalog_path: str | Path,
    inputs: Inputs,
    folder: Path,
    config: ReportConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Catalog:
    """The report of a catalog that was written, and perhaps refitted or associated, before.

    Parameters
    ----------
    catalog_path : path
        Written by this package.
    inputs : path or list of paths
        The photons it was made from, as for `find_sources`; without any the report has no
        counts and no picture.
    folder : path
        Made when it does not exist.

    Raises
    ------
    OutputError
        Before anything is read, when an output exists and may not be replaced, or cannot be
        written.
    InputError
        When the catalog, the release or an input cannot be used.
    """
    config = config or ReportConfig()
    check_folder(folder, REPORT_FILES, overwrite)
    from .catalog import load_release, read_catalog
    from .catalog.releases import RELEASES

    catalog = read_catalog(catalog_path)
    name = config.reference or str(catalog.header.get("reference catalog", "none"))
    if config.reference is None and name not in RELEASES:  # a file, which is not here perhaps
        name = "none"
    reference = None if name == "none" else load_release(name)
    sky = read_photons(inputs, config, progress) if inputs else None
    _write_report(folder, sky, catalog, reference, progress)
    return catalog


def _write_report(
    folder: Path,
    sky: SkyCounts | None,
    catalog: Catalog,
    reference: Table | None,
    progress: Progress,
) -> None:
    from .catalog import write_regions
    from .report import draw_sky, write_page

    with staging(folder) as temporary:
        write_regions(catalog, temporary / "catalog.reg")
        if sky is not None:
            draw_sky(sky, temporary / "field.png", found=_positions(catalog.table))
        write_page(temporary / "report.html", catalog, sky, reference, progress=progress)
