"""The settings of every command: typed, bounded, and deaf to nothing.

A key that is not known is an error that names the nearest key that is; a value out of
range is an error in one line. The command line, YAML files and `find_sources` all pass
through `build`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import ConfigError

EventType = Literal["front", "back", "all"]


def _split_region(value: object) -> object:
    """`"LON,LAT,RADIUS"` as a list of its parts; anything else unchanged."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _check_region(value: tuple[float, float, float]) -> tuple[float, float, float]:
    lon, lat, radius = value
    if not -90.0 <= lat <= 90.0:
        raise ValueError(f"latitude {lat:g} lies outside -90 to 90 degrees")
    if not 0.0 < radius <= 180.0:
        raise ValueError(f"radius {radius:g} lies outside 0 to 180 degrees")
    return lon % 360.0, lat, radius


Finite = Annotated[float, Field(allow_inf_nan=False)]
Region = Annotated[
    tuple[Finite, Finite, Finite], BeforeValidator(_split_region), AfterValidator(_check_region)
]
"""A cone on the sky: Galactic longitude, latitude and radius, degrees."""

Order = Annotated[
    Annotated[int, Field(ge=0, le=12)] | Literal["coarse"],
    Field(union_mode="left_to_right"),
]
"""HEALPIX order of the count files of a simulated sky, or the name of six of them."""


class Config(BaseModel):
    """Base of all settings: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class FindConfig(Config):
    """How sources are sought.

    Attributes
    ----------
    threshold : float
        Source probability a candidate must reach, in (0, 1).
    centers : {"kmeans", "peaks"}
        How centres are found in the source mask.
    region : (lon, lat, radius) or None
        Galactic cone in degrees to which the list is limited; None is all that is covered.
    model : str or None
        Name of a shipped localizer or path of a weights file; None is the shipped one that was
        trained for pixels such as the photons were counted in.
    yearly : tuple of paths
        The same photons year by year, for classification: a cube a year, an @list of the
        files of a year, or files whose names differ in _bin0 to _bin5 alone. Photon files need
        none, they hold the times.
    exposure : path or None
        gtexpcube2 file of these photons or gtltcube file of their time (which takes the CALDB
        files of $CALDB or $FERMI_DIR), for classification; None is the package's own table.
    classify : bool
        Whether candidates are classified.
    classifier : str or None
        Name of a shipped classifier or path of a weights file; None is the default one.
    evtype : {"front", "back", "all"} or None
        Photons to take from photon files; None is FRONT, which the networks are trained for.
    zmax : float or None
        Largest zenith angle in degrees of photons to take; None is 100 below 1 GeV and 105
        above in photon files that were not cut already.
    device : {"cpu", "cuda"}
        Where the network runs.
    scheduler : str or None
        Address of a dask scheduler.
    report : path or None
        Folder for a page and a picture of what was found, and its DS9 regions.
    seed : int
        Seed for what is drawn: where in its pixel a photon of a cube lies.
    reference : str
        4FGL release (or file) in which the nearest source is looked up; "none" for no look.
    association_radius : float or None
        Degrees within which a source of `reference` is an association (ASSOC_FGL); None is the
        joint 95% error.
    """

    threshold: float = Field(0.2, gt=0.0, lt=1.0)
    centers: Literal["kmeans", "peaks"] = "kmeans"
    region: Region | None = None
    model: str | None = None
    yearly: tuple[Path, ...] = ()
    exposure: Path | None = None
    classify: bool = True
    classifier: str | None = None
    evtype: EventType | None = None
    zmax: float | None = Field(None, gt=0.0, le=180.0)
    device: Literal["cpu", "cuda"] = "cpu"
    scheduler: str | None = None
    report: Path | None = None
    seed: int = Field(0, ge=0)
    reference: str = "4FGL-DR2"
    association_radius: float | None = Field(None, gt=0.0)


class BinConfig(Config):
    """Which photons `fermi-unek bin` keeps; see `FindConfig` for the cuts."""

    evtype: EventType | None = None
    zmax: float | None = Field(None, gt=0.0, le=180.0)
    seed: int = Field(0, ge=0)


class ReportConfig(BinConfig):
    """What a report is made of; see `FindConfig` for the cuts on photons.

    Attributes
    ----------
    reference : str or None
        4FGL release (or file) to compare with; "none" for none, None for the release that the
        catalog was made with.
    """

    reference: str | None = None


class SimulateConfig(Config):
    """Skies with a known truth.

    Attributes
    ----------
    population : str
        "dr2" (4FGL-DR2 as it is, with a faint tail), "mock" (a new sky of each class as DR2 has
        them), "resampled" (DR2's sources at new positions), or the path of a source list: gtlike
        XML, gammapy YAML, or FITS with the columns of 4FGL.
    years : float
        Live span in years of 365.25 days.
    seed : int
        Seed of all randomness: one seed, one sky.
    region : (lon, lat, radius) or None
        Galactic cone in degrees; None is the whole sky.
    format : {"photons", "healpix", "wcs", "patches"}
        What is written: an FT1 photon list, gtbin HEALPIX files, a gtbin cube, or a training set
        (`simulate.patchset`).
    patches : int
        Patches of a training set, centred in the region and turned at random.
    yearly : bool
        Write each mission year by itself as well; photons, which have times, by itself only.
    variable : bool
        Whether blazars vary from year to year; False is constant light.
    extended : bool
        Whether the extended sources of 4FGL-DR2 are in the sky.
    evtype : {"front", "back", "all"}
        Photons the instrument takes.
    background : str
        Diffuse model: "own" (needs no file; "own-SEED" has other fine structure), "v07",
        "model_O", "model_A", "official" (gll_iem_v07 of $FERMI_DIFFUSE_DIR or $FERMI_DIR), the
        path of a mapcube, or "auto": official, v07 or own, the first whose files are found.
    isotropic : path or None
        Spectrum of the isotropic emission (iso_*.txt); None is the one that goes with it.
    exposure : path or None
        gtltcube or gtexpcube2 file; None is the package's own table.
    caldb : path or None
        Folder with the CALDB files, used with a gtltcube file; None is $CALDB or $FERMI_DIR.
    order : int, "coarse" or None
        HEALPIX order of all bins, in one file. None is six files of orders 8, 8, 9, 10, 11, 11,
        which list their filled pixels only where that is smaller; "coarse" six of orders
        7, 7, 8, 9, 10, 10, as gtbin writes them.
    projection : str or None
        Of a WCS cube: ZEA, TAN, STG, CAR or AIT of a field (ZEA when None), CAR, AIT or MOL of
        the whole sky (CAR when None).
    coordsys : {"GAL", "CEL"}
        Frame of the count files.
    pixel : float or None
        Pixel of a WCS cube, degrees; None is 0.05 for a field and 0.1 for the whole sky.
    skies : int
        So many skies, of seeds that count on from `seed`, each in a folder of its own.
    workers : int
        Processes that make them on this machine.
    scheduler : str or None
        dask scheduler that makes them in place of this machine.
    """

    population: str = "dr2"
    years: float = Field(10.0, gt=0.0, le=30.0)
    seed: int = Field(0, ge=0)
    region: Region | None = None
    format: Literal["photons", "healpix", "wcs", "patches"] = "healpix"
    patches: int = Field(1000, ge=1)
    yearly: bool = False
    variable: bool = True
    extended: bool = False
    evtype: EventType = "front"
    background: str = "auto"
    isotropic: Path | None = None
    exposure: Path | None = None
    caldb: Path | None = None
    order: Order | None = None
    projection: Literal["ZEA", "TAN", "STG", "CAR", "AIT", "MOL"] | None = None
    coordsys: Literal["GAL", "CEL"] = "GAL"
    pixel: float | None = Field(None, gt=0.0, le=10.0)
    skies: int = Field(1, ge=1)
    workers: int = Field(1, ge=1)
    scheduler: str | None = None


class RefitConfig(Config):
    """How the candidates of a catalog are fitted.

    Attributes
    ----------
    exposure : tuple of paths
        gtexpcube2 maps: one of all the events, or one for each of `psf`; or one gtltcube file;
        none for the package's own table times the live time.
    caldb : path or None
        Folder with the CALDB files, used with a gtltcube file; None is $CALDB or $FERMI_DIR.
    psf : tuple of paths
        gtpsf files, one for each component of the data; none for the package's own.
    diffuse, iso : path or None
        Galactic mapcube and isotropic spectrum, both or neither.
    background : str
        Diffuse model where no files are given; see `SimulateConfig`.
    years : float or None
        Live span in calendar years, where the files do not say or say it wrongly.
    fake_ts : float or None
        Candidates of less TS are marked in Fake; None leaves Fake as it is.
    evtype, zmax
        Cuts on photon files; see `FindConfig`.
    scheduler : str or None
        Address of a dask scheduler.
    workers : int
        Processes on this machine, where no scheduler is named.
    seed : int
        Seed of where in its pixel a photon of a cube lies.
    """

    exposure: tuple[Path, ...] = ()
    caldb: Path | None = None
    psf: tuple[Path, ...] = ()
    diffuse: Path | None = None
    iso: Path | None = None
    background: str = "auto"
    years: float | None = Field(None, gt=0.0, le=50.0)
    fake_ts: float | None = Field(None, ge=0.0)
    evtype: EventType | None = None
    zmax: float | None = Field(None, gt=0.0, le=180.0)
    scheduler: str | None = None
    workers: int = Field(1, ge=1)
    seed: int = Field(0, ge=0)


class TrainConfig(Config):
    """How a localizer is trained.

    Attributes
    ----------
    out : path
        Folder of the run: checkpoints, log, final weights.
    bank : path
        Folder in which simulated training patches are kept between runs.
    data : path or None
        Folder with the shared diffuse files; without it only the package's own model works.
    backgrounds : tuple of str
        Diffuse models that the skies take in turn.
    skies, patches : int
        Independent simulated skies and patches rendered from each.
    steps, batch : int
        Optimizer steps and patches in each.
    lr : float
        Peak learning rate of the cosine schedule.
    widths : tuple of four int
        Filters of the U-Net at 64, 32, 16 and 8 pixels.
    threads : int
        CPU threads torch may use; 0 leaves it to torch.
    seed : int
        Seed of the network's start and of the feed.
    sky_seed : int
        Seed of the first sky; the others count on from it.
    start : path or None
        Weights file to go on from, with a fresh optimizer; None starts at random.
    template : str
        Diffuse model of which the network keeps a template; blank for a network without.
    ten_years, absent, fields : float
        Shares of examples at ten years, without some energy bins, cut to a field; see
        `training.feed.Shares`.
    coarse : float
        Share of the patches whose photons are placed as coarse count files would give them.
    structure : float
        Scatter, on scales below ten degrees, of the Galactic emission of the skies about their
        diffuse model; see `simulate.diffuse.vary`.
    calibration_skies : int
        Further whole skies on which probability and position error are calibrated
        afterwards; 0 leaves them raw.
    """

    out: Path = Path("runs/localizer")
    bank: Path = Path("runs/bank")
    data: Path | None = None
    backgrounds: tuple[str, ...] = ("own",)
    skies: int = Field(24, ge=1)
    patches: int = Field(700, ge=1)
    steps: int = Field(5000, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0.0)
    widths: tuple[int, int, int, int] = (48, 80, 112, 160)
    threads: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    sky_seed: int = Field(1000, ge=0)
    start: Path | None = None
    template: str = ""
    ten_years: float = Field(0.5, ge=0.0, le=1.0)
    absent: float = Field(0.28, ge=0.0, le=1.0)
    fields: float = Field(0.25, ge=0.0, le=1.0)
    coarse: float = Field(0.5, ge=0.0, le=1.0)
    structure: float = Field(0.1, ge=0.0, le=1.0)
    calibration_skies: int = Field(3, ge=0)


class TrainClassifierConfig(Config):
    """How a classifier is trained.

    Attributes
    ----------
    out, bank, data : path
        Folder of the run; folder of the candidates found on simulated skies, kept between runs;
        folder with the shared diffuse files, or None.
    sky_bank : path or None
        Folder in which the simulated skies are kept, a quarter of a GB each, whatever localizer
        searches them; None is ``skies`` in the bank.
    localizer : str or None
        Model or weights file that finds the candidates; None is the shipped one.
    backgrounds : tuple of str
        Diffuse models that the skies take in turn.
    skies, sky_seed, calibration_skies : int
        Simulated skies, seed of the first, and further skies of DR2 to calibrate on.
    workers : int
        Processes that simulate and search skies.
    epochs, batch : int
        Passes through the candidates, candidates in a step.
    lr, weight_decay : float
        Peak learning rate of the cosine schedule; weight decay.
    hidden, filters, year_units, members : int
        See `nets.classifier.ClassifierShape`.
    finder : bool
        Whether the classifier looks at the localizer's raw numbers, see there.
    balance : float
        Power of one over the number of its examples by which a class is weighted, 0 to 1.
    focus : float
        Power of the focal loss.
    threads : int
        CPU threads torch may use; 0 leaves it to torch.
    seed : int
        Seed of the network's start and of the feed.
    """

    out: Path = Path("runs/classifier")
    bank: Path = Path("runs/classifier-bank")
    sky_bank: Path | None = None
    data: Path | None = None
    localizer: str | None = None
    backgrounds: tuple[str, ...] = ("own",)
    skies: int = Field(10, ge=1)
    sky_seed: int = Field(3_000_001, ge=0)
    calibration_skies: int = Field(3, ge=0)
    workers: int = Field(1, ge=1)
    epochs: int = Field(14, ge=1)
    batch: int = Field(256, ge=1)
    lr: float = Field(2e-3, gt=0.0)
    weight_decay: float = Field(2e-2, ge=0.0)
    hidden: int = Field(128, ge=1)
    filters: int = Field(0, ge=0)
    year_units: int = Field(48, ge=0)
    members: int = Field(4, ge=1)
    finder: bool = True
    balance: float = Field(0.5, ge=0.0, le=1.0)
    focus: float = Field(0.0, ge=0.0)
    threads: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)

    @property
    def sky_folder(self) -> Path:
        """Where the simulated skies are."""
        return self.sky_bank or self.bank / "skies"


class InjectConfig(FindConfig):
    """Sources added to a field, and how they are sought (the settings of `FindConfig`).

    Attributes
    ----------
    flux : tuple of float
        Photon fluxes from 1 to 100 GeV, cm-2 s-1.
    number : int
        Sources added of each flux.
    index : float
        Photon index of the sources.
    years : float or None
        Live time in years of 365.25 days; None is what the input says.
    radius : float
        Greatest distance of a match, degrees.
    exposure : path or None
        gtexpcube2 or gtltcube file of the counts; None is the package's own table times `years`.
    """

    flux: tuple[Annotated[float, Field(gt=0.0, lt=1e-5)], ...] = Field(min_length=1)
    number: int = Field(50, ge=1)
    index: float = Field(2.2, gt=1.0, le=5.0)
    years: float | None = Field(None, gt=0.0, le=30.0)
    radius: float = Field(0.3, gt=0.0, le=10.0)


class EvaluateConfig(Config):
    """How detections are matched to the truth: greatest distance in degrees."""

    radius: float = Field(0.3, gt=0.0, le=10.0)


ServiceName = Literal["vizier", "simbad", "ned"]


def _split_services(value: object) -> object:
    """`"vizier,ned"` as its parts, `"none"` as no part; anything else unchanged."""
    if not isinstance(value, str):
        return value
    return [] if value.strip() == "none" else [part.strip() for part in value.split(",")]


class AssociateConfig(Config):
    """Where counterparts are sought, and how patiently.

    Attributes
    ----------
    services : tuple of {"vizier", "simbad", "ned"}
        Remote services; as text, names with commas between, or "none".
    catalogs : tuple of str
        Local catalogs: files, NAME=FILE, or names of 4FGL releases.
    min_probability : float
        Least probability of ASSOC1; 0.8 is that of the LAT catalogs.
    priors : mapping
        Family of classes to the prior that replaces the one measured on 4FGL-DR4.
    cache : path or None
        Folder in which answers are kept; None is the user's cache folder.
    new_only : bool
        Whether only sources without a 4FGL source within 0.3 degrees are looked at.
    max_age : float
        Days after which a kept answer is asked for again; 0 asks always.
    timeout, backoff : float
        Seconds until a try is given up, and before the second try.
    tries : int
        How often a query is asked before its service is taken for down.
    servers : mapping
        Service to the address of a mirror.
    """

    services: Annotated[tuple[ServiceName, ...], BeforeValidator(_split_services)] = (
        "vizier",
        "simbad",
        "ned",
    )
    catalogs: tuple[str, ...] = ()
    min_probability: float = Field(0.8, gt=0.0, lt=1.0)
    priors: dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(default_factory=dict)
    new_only: bool = False
    cache: Path | None = None
    max_age: float = Field(30.0, ge=0.0)
    timeout: float = Field(60.0, gt=0.0)
    backoff: float = Field(2.0, ge=0.0)
    tries: int = Field(3, ge=1)
    servers: dict[ServiceName, str] = Field(default_factory=dict)


class CompareConfig(Config):
    """Comparison with a 4FGL release: its name or file, greatest distance in degrees."""

    reference: str = "4FGL-DR2"
    radius: float = Field(0.3, gt=0.0, le=10.0)


AnyConfig = TypeVar("AnyConfig", bound=Config)


def build(model: type[AnyConfig], values: Mapping[str, Any], where: str = "") -> AnyConfig:
    """Settings of kind `model` from a mapping.

    Parameters
    ----------
    model : type
        One of the classes of this module.
    values : mapping
        Keys and values; what is absent takes its default.
    where : str
        Where the values come from, for the message.

    Raises
    ------
    ConfigError
        On the first unknown key or value that cannot be used, in one line.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        prefix = f"{where}: " if where else ""
        raise ConfigError(prefix + _one_line(error, model)) from None


def load_yaml(path: str | Path, model: type[AnyConfig]) -> AnyConfig:
    """Settings of kind `model` from a YAML file; an empty file is all defaults.

    Raises
    ------
    ConfigError
        When the file cannot be read, is not a mapping, or `build` refuses it.
    """
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML ({' '.join(str(error).split())})") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: holds a {type(values).__name__}, expected lines of `key: value`"
        )
    return build(model, {str(key): value for key, value in values.items()}, str(path))


def _one_line(error: ValidationError, model: type[Config]) -> str:
    """The first complaint of pydantic, with the nearest key where a key is unknown."""
    complaints = error.errors(include_url=False)
    # a misspelt key explains more than the values beside it
    first = min(complaints, key=lambda one: one["type"] != "extra_forbidden")
    key = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}, {_nearest(key, list(model.model_fields))}"
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    shown = given if isinstance(given, (str, int, float, bool, type(None))) else str(given)
    return f"{key} is {shown!r}: {message[:1].lower()}{message[1:]}"


def _nearest(key: str, known: list[str]) -> str:
    """The allowed key most like `key`, or all of them when none is."""
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}"
