"""The command line: arguments into settings, errors into one line, work to the stages.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from . import __version__
from .config import (
    AssociateConfig,
    BinConfig,
    CompareConfig,
    EvaluateConfig,
    FindConfig,
    InjectConfig,
    RefitConfig,
    ReportConfig,
    SimulateConfig,
    TrainClassifierConfig,
    TrainConfig,
    build,
    load_yaml,
)
from .errors import UnekError, UnekWarning
from .progress import Progress, bar, silent

PROGRAM = "fermi-unek"
USER_ERROR = 2
INTERRUPTED = 130

log = logging.getLogger("fermi_unek")


class Program(click.Group):
    """The group of commands; turns what the user got wrong into one line and status 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and in standalone mode exit with a status as a shell expects it."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            with one_line_warnings():
                status = super().main(args, PROGRAM, complete_var, False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = USER_ERROR
        except click.ClickException as error:
            _say(f"error: {_usage_message(error)}")
            status = error.exit_code
        except UnekError as error:
            _say(f"error: {error}")
            status = USER_ERROR
        except click.Abort:
            _say("interrupted")
            status = INTERRUPTED
        sys.exit(status if isinstance(status, int) else 0)


class ListOptions(click.Command):
    """A command whose repeatable options take several values after one flag.

    ``--yearly a b c`` is read as ``--yearly a --yearly b --yearly c``, up to the next option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after repeatable options were spelt out."""
        repeatable = {
            flag
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for flag in parameter.opts
        }
        return super().parse_args(ctx, spell_out(args, repeatable))


def spell_out(args: Sequence[str], repeatable: set[str]) -> list[str]:
    """Arguments with a repeatable flag put before each of the values that follow it."""
    result: list[str] = []
    current = ""
    for arg in args:
        if arg.startswith("-"):
            current = arg if arg in repeatable else ""
            if not current:
                result.append(arg)
        elif current:
            result += [current, arg]
        else:
            result.append(arg)
    return result


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Tell each `UnekWarning` once, a line each, when the block ends; none of other libraries'.

    They are held back until then so that an error of the user's, which ends the block, stands
    alone: what a warning says of the input matters only where there is a result.
    """
    held: dict[str, int] = {}

    def hold(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        ours = issubclass(category, UnekWarning)
        text = str(message) if ours else f"{category.__name__}: {message}"
        held[_one_line(text)] = logging.WARNING if ours else logging.DEBUG

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UnekWarning)
        warnings.showwarning = hold
        try:
            yield
        except (UnekError, click.ClickException):
            held = {text: logging.DEBUG for text in held}
            raise
        finally:
            for text, level in held.items():
                log.log(level, text)


class _LogFormat(logging.Formatter):
    """`fermi-unek: warning: text` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{PROGRAM}: {record.levelname.lower()}: {_one_line(record.getMessage())}"
        return text if not record.exc_info else f"{text}\n{self.formatException(record.exc_info)}"


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the time, which tests and callers may exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def _set_up_log(level: str) -> None:
    """Send the package's log to stderr, once, at a level."""
    handler = _ToStderr()
    handler.setFormatter(_LogFormat())
    log.handlers = [handler]
    log.setLevel(level.upper())


def _say(text: str) -> None:
    click.echo(f"{PROGRAM}: {_one_line(text)}", err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context else message


class _Session:
    """What the global options decide for every command."""

    def __init__(self, quiet: bool) -> None:
        self.progress: Progress = silent if quiet else bar
        self.quiet = quiet

    def tell(self, text: str) -> None:
        """Print a result for people, unless `-q` was given."""
        if not self.quiet:
            click.echo(text)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

region_option: Decorator = click.option(
    "--region", metavar="LON,LAT,RADIUS", help="Galactic cone, degrees."
)
evtype_option: Decorator = click.option(
    "--evtype",
    type=click.Choice(["front", "back", "all"]),
    help="Photons to take from photon files; FRONT unless given.",
)
zmax_option: Decorator = click.option(
    "--zmax",
    type=float,
    metavar="DEG",
    help="Largest zenith angle of photons; 100 below 1 GeV and 105 above unless given.",
)
threshold_option: Decorator = click.option(
    "--threshold",
    type=float,
    default=FindConfig().threshold,
    show_default=True,
    help="Probability a source must reach.",
)
centers_option: Decorator = click.option(
    "--centers",
    type=click.Choice(["kmeans", "peaks"]),
    default=FindConfig().centers,
    show_default=True,
    help="How centres are found in the source mask.",
)
model_option: Decorator = click.option(
    "--model", metavar="NAME|FILE", help="Localizer; the shipped one unless given."
)
device_option: Decorator = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default=FindConfig().device, show_default=True
)
overwrite_option: Decorator = click.option(
    "--overwrite", is_flag=True, help="Replace outputs that exist."
)
inputs_argument: Decorator = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")


def folder_option(required: bool = False) -> Decorator:
    """`-o DIR`."""
    return click.option(
        "-o", "--output", required=required, metavar="DIR", type=Path, help="Folder to write in."
    )


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Least weight of what is told on stderr.",
)
@click.option("-q", "--quiet", is_flag=True, help="Errors only: no summary, no progress bar.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def main(context: click.Context, log_level: str, quiet: bool) -> None:
    """Find and classify point sources in Fermi-LAT photons with neural networks.

    Exit status: 0 on success (an empty sky is success), 2 for what can be mended in the
    call or the files, told in one line.
    """
    _set_up_log("error" if quiet else log_level)
    if log_level == "debug":
        warnings.simplefilter("default")
    context.obj = _Session(quiet)


@main.command(cls=ListOptions)
@inputs_argument
@click.option(
    "-o", "--output", required=True, metavar="CATALOG.fits", type=Path, help="Catalog to write."
)
@threshold_option
@centers_option
@region_option
@model_option
@click.option(
    "--yearly", multiple=True, metavar="INPUT...", type=Path, help="The photons year by year."
)
@click.option(
    "--exposure",
    type=Path,
    metavar="FILE",
    help="gtexpcube2 or gtltcube file of the photons, to classify with.",
)
@click.option("--no-classify", is_flag=True, help="Leave the classes blank.")
@click.option("--classifier", metavar="NAME|FILE", help="Classifier; the shipped one unless given.")
@evtype_option
@zmax_option
@device_option
@click.option("--scheduler", metavar="ADDRESS", help="dask scheduler to work on.")
@click.option(
    "--report", type=Path, metavar="DIR", help="Folder for a page, a picture and DS9 regions."
)
@click.option(
    "--reference",
    default=FindConfig().reference,
    show_default=True,
    metavar="NAME|FILE",
    help="4FGL release for ASSOC_FGL and Nearest_FGL; 'none' for no look.",
)
@overwrite_option
@click.pass_obj
def find(
    session: _Session, inputs: tuple[str, ...], output: Path, overwrite: bool, **options: Any
) -> None:
    """Find sources in count cubes or photon files and write a 4FGL-style catalog.

    INPUT is one or more FT1 photon files, @lists of them, gtbin HEALPIX files or gtbin WCS
    cubes that together are one sky.
    """
    options["classify"] = not options.pop("no_classify")
    config = build(FindConfig, options)
    from .pipeline import find_to_file

    catalog = find_to_file(inputs, output, config, overwrite=overwrite, progress=session.progress)
    from .report import summary_line

    session.tell(f"{summary_line(catalog)}, written to {output}")


@main.command()
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=Path,
    default=Path("demo_output"),
    show_default=True,
    help="Folder to write in.",
)
@overwrite_option
@click.pass_obj
def demo(session: _Session, output: Path, overwrite: bool) -> None:
    """Run `find` on a simulated field that ships inside the package, and score it."""
    from .pipeline import run_demo

    done = run_demo(output, overwrite=overwrite, progress=session.progress)
    session.tell(done.summary)


@main.command("bin")
@click.argument("photons", nargs=-1, required=True, metavar="PHOTONS...")
@click.option("-o", "--output", required=True, metavar="SKY", type=Path, help="File to write.")
@evtype_option
@zmax_option
@overwrite_option
@click.pass_obj
def bin_photons(
    session: _Session, photons: tuple[str, ...], output: Path, overwrite: bool, **options: Any
) -> None:
    """Bin photon files once into one file that `find` reads quickly."""
    config = build(BinConfig, options)
    from .pipeline import bin_to_file
    from .report import describe_sky

    sky = bin_to_file(photons, output, config, overwrite=overwrite, progress=session.progress)
    session.tell(f"{describe_sky(sky)}\nwritten to {output}")


@main.command()
@folder_option(required=True)
@click.option(
    "--population",
    default=SimulateConfig().population,
    show_default=True,
    metavar="dr2|mock|resampled|FILE",
    help="Sources: a name, or a list (gtlike XML, gammapy YAML, FITS like 4FGL).",
)
@click.option(
    "--years", type=float, default=SimulateConfig().years, show_default=True, help="Live span."
)
@click.option(
    "--seed", type=int, default=SimulateConfig().seed, show_default=True, help="One seed, one sky."
)
@region_option
@click.option(
    "--format",
    type=click.Choice(["photons", "healpix", "wcs", "patches"]),
    default=SimulateConfig().format,
    show_default=True,
    help="What the counts are written as; patches are a training set.",
)
@click.option(
    "--patches",
    type=int,
    default=SimulateConfig().patches,
    show_default=True,
    help="Patches of a training set, for each sky.",
)
@click.option("--yearly", is_flag=True, help="Write each mission year by itself as well.")
@click.option("--steady", is_flag=True, help="No blazar varies.")
@click.option("--extended", is_flag=True, help="With the extended sources of 4FGL-DR2.")
@click.option(
    "--evtype",
    type=click.Choice(["front", "back", "all"]),
    default=SimulateConfig().evtype,
    show_default=True,
    help="Photons the instrument takes.",
)
@click.option(
    "--background",
    default=SimulateConfig().background,
    show_default=True,
    metavar="NAME|FILE",
    help="Diffuse model: own, own-SEED, v07, model_O, model_A, official, or a mapcube; auto is "
    "the first of official, v07 and own whose files are found.",
)
@click.option("--isotropic", type=Path, metavar="FILE", help="Isotropic spectrum, iso_*.txt.")
@click.option("--exposure", type=Path, metavar="FILE", help="gtltcube or gtexpcube2 file to take.")
@click.option(
    "--caldb", type=Path, metavar="DIR", help="CALDB files for a gtltcube file, else $CALDB."
)
@click.option(
    "--order",
    metavar="N|coarse",
    help="One HEALPIX order for all bins, in one file; coarse is six files of orders 7, 7, 8, 9, "
    "10, 10. Six of 8, 8, 9, 10, 11, 11 unless given.",
)
@click.option(
    "--projection",
    type=click.Choice(["ZEA", "TAN", "STG", "CAR", "AIT", "MOL"]),
    help="Of a WCS cube; ZEA for a field and CAR for the whole sky unless given.",
)
@click.option(
    "--coordsys",
    type=click.Choice(["GAL", "CEL"]),
    default=SimulateConfig().coordsys,
    show_default=True,
    help="Frame of the count files.",
)
@click.option("--pixel", type=float, metavar="DEG", help="Pixel of a WCS cube.")
@click.option(
    "--skies",
    type=int,
    default=SimulateConfig().skies,
    show_default=True,
    help="So many skies, of seeds that count on, in folders sky00000 and so on.",
)
@click.option(
    "--workers",
    type=int,
    default=SimulateConfig().workers,
    show_default=True,
    help="Processes that make them.",
)
@click.option("--scheduler", metavar="ADDRESS", help="dask scheduler that makes them.")
@overwrite_option
@click.pass_obj
def simulate(
    session: _Session, output: Path, overwrite: bool, steady: bool, **options: Any
) -> None:
    """Simulate a sky with a known truth, written beside it as truth.fits."""
    config = build(SimulateConfig, {**options, "variable": not steady})
    from .simulate.many import simulate_skies

    written = simulate_skies(config, output, overwrite=overwrite, progress=session.progress)
    session.tell("\n".join(str(path) for path in written))


@main.command()
@click.argument("network", type=click.Choice(["localizer", "classifier"]))
@click.argument("config_file", metavar="CONFIG.yaml", type=Path)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option(
    "--skies-only",
    is_flag=True,
    help="Simulate a classifier's skies and stop, before there is a localizer to search them.",
)
@click.pass_obj
def train(
    session: _Session, network: str, config_file: Path, resume: bool, skies_only: bool
) -> None:
    """Train a network as a YAML file says."""
    if skies_only and network != "classifier":
        raise click.UsageError("--skies-only is for the classifier; a localizer keeps its patches")
    if network == "classifier":
        settings = load_yaml(config_file, TrainClassifierConfig)
        from .training.classifier.train import simulate_skies, train_classifier

        if skies_only:
            made = simulate_skies(settings, progress=session.progress)
            session.tell("\n".join(str(path) for path in made))
            return
        weights = train_classifier(settings, resume=resume, progress=session.progress)
    else:
        config = load_yaml(config_file, TrainConfig)
        from .training.localizer.train import train_localizer

        weights = train_localizer(config, resume=resume, progress=session.progress)
    session.tell(f"weights written to {weights}")


@main.command(cls=ListOptions)
@inputs_argument
@click.option(
    "--flux",
    type=float,
    multiple=True,
    required=True,
    metavar="FLUX...",
    help="Photon fluxes 1 to 100 GeV, cm-2 s-1.",
)
@click.option("--number", type=int, default=50, show_default=True, help="Sources of each flux.")
@click.option("--index", type=float, default=2.2, show_default=True, help="Photon index.")
@click.option("--years", type=float, help="Live time, where the input does not say it.")
@click.option(
    "--exposure", type=Path, metavar="FILE", help="gtexpcube2 or gtltcube file of the photons."
)
@click.option(
    "--radius", type=float, default=0.3, show_default=True, metavar="DEG",
    help="Greatest distance of a match.",
)  # fmt: skip
@threshold_option
@centers_option
@region_option
@model_option
@evtype_option
@zmax_option
@device_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of places and photons.")
@folder_option(required=True)
@overwrite_option
@click.pass_obj
def inject(
    session: _Session, inputs: tuple[str, ...], output: Path, overwrite: bool, **options: Any
) -> None:
    """Add sources of known flux to counts and tell how many are found, and how far off."""
    config = build(InjectConfig, options)
    from .pipeline import inject_to_folder

    done = inject_to_folder(inputs, output, config, overwrite=overwrite, progress=session.progress)
    session.tell(f"{done.to_text()}\nwritten to {output}")


@main.command()
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@click.option("--truth", required=True, metavar="truth.fits", type=Path, help="From `simulate`.")
@click.option(
    "--radius",
    type=float,
    default=EvaluateConfig().radius,
    show_default=True,
    metavar="DEG",
    help="Greatest distance of a match.",
)
@folder_option()
@overwrite_option
@click.pass_obj
def evaluate(
    session: _Session,
    catalog: Path,
    truth: Path,
    radius: float,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Purity, completeness and position errors of a catalog against the simulated truth."""
    config = build(EvaluateConfig, {"radius": radius})
    from .evaluate import evaluate_files

    text = evaluate_files(catalog, truth, output, radius_deg=config.radius, overwrite=overwrite)
    session.tell(text.rstrip())


@main.command()
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@click.option(
    "--reference",
    default=CompareConfig().reference,
    show_default=True,
    metavar="NAME|FILE",
    help="4FGL release.",
)
@click.option(
    "--radius",
    type=float,
    default=CompareConfig().radius,
    show_default=True,
    metavar="DEG",
    help="Greatest distance of a match.",
)
@folder_option()
@overwrite_option
@click.pass_obj
def compare(
    session: _Session, catalog: Path, output: Path | None, overwrite: bool, **options: Any
) -> None:
    """Which sources of a 4FGL release a catalog has, by significance and latitude."""
    config = build(CompareConfig, options)
    from .evaluate import compare_files

    text = compare_files(catalog, config.reference, config.radius, output, overwrite=overwrite)
    session.tell(text.rstrip())


@main.command(cls=ListOptions)
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@inputs_argument
@click.option(
    "-o", "--output", required=True, metavar="NEW.fits", type=Path, help="Catalog to write."
)
@click.option(
    "--exposure",
    multiple=True,
    metavar="FILE...",
    type=Path,
    help="gtexpcube2 map, or one a PSF; or a gtltcube file.",
)
@click.option(
    "--caldb", type=Path, metavar="DIR", help="CALDB files for a gtltcube file, else $CALDB."
)
@click.option(
    "--psf", multiple=True, metavar="FILE...", type=Path, help="gtpsf file, or one a component."
)
@click.option("--diffuse", metavar="FILE", type=Path, help="Galactic mapcube (gll_iem_v07.fits).")
@click.option("--iso", metavar="FILE", type=Path, help="Isotropic spectrum (iso_*.txt).")
@click.option(
    "--background",
    default=RefitConfig().background,
    show_default=True,
    metavar="NAME",
    help="Diffuse model where no files are given, as in `simulate`.",
)
@click.option("--years", type=float, help="Live span, where the files do not say.")
@click.option("--fake-ts", type=float, metavar="TS", help="Mark candidates below this as Fake.")
@evtype_option
@zmax_option
@click.option("--scheduler", metavar="ADDRESS", help="dask scheduler to work on.")
@click.option(
    "--workers", type=int, default=RefitConfig().workers, show_default=True, help="Processes here."
)
@overwrite_option
@click.pass_obj
def refit(
    session: _Session,
    catalog: Path,
    inputs: tuple[str, ...],
    output: Path,
    overwrite: bool,
    **options: Any,
) -> None:
    """Fit the candidates of a catalog: TS, fluxes, spectra, positions.

    INPUT are the photons or cubes that the catalog was found in.
    """
    config = build(RefitConfig, options)
    from .measure import refit_to_file

    after = refit_to_file(
        catalog, inputs, output, config, overwrite=overwrite, progress=session.progress
    )
    from .report import summary_line

    session.tell(f"{summary_line(after)}, refitted, written to {output}")


@main.command(cls=ListOptions)
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@click.option("-o", "--output", required=True, metavar="NEW.fits", type=Path, help="To write.")
@click.option(
    "--services",
    default=",".join(AssociateConfig().services),
    show_default=True,
    metavar="NAMES",
    help="Remote services, or none.",
)
@click.option(
    "--catalogs",
    multiple=True,
    metavar="FILE...",
    help="Local catalogs: files, NAME=FILE, or 4FGL releases by name.",
)
@click.option(
    "--min-probability",
    type=float,
    default=AssociateConfig().min_probability,
    show_default=True,
    help="Least probability of ASSOC1.",
)
@click.option(
    "--counterparts", type=Path, metavar="FILE", help="Table of all objects inside the ellipses."
)
@click.option("--new-only", is_flag=True, help="Leave out what has a 4FGL source within 0.3 deg.")
@click.option("--cache", type=Path, metavar="DIR", help="Where answers are kept.")
@click.option(
    "--max-age",
    type=float,
    default=AssociateConfig().max_age,
    show_default=True,
    metavar="DAYS",
    help="Older answers are asked for again.",
)
@click.option(
    "--timeout",
    type=float,
    default=AssociateConfig().timeout,
    show_default=True,
    metavar="S",
    help="Patience with one try.",
)
@click.option(
    "--tries",
    type=int,
    default=AssociateConfig().tries,
    show_default=True,
    help="Before a service is taken for down.",
)
@click.option("--server", multiple=True, metavar="NAME=URL", help="A mirror of a service.")
@click.option(
    "--prior", multiple=True, metavar="FAMILY=VALUE", help="In place of the one of 4FGL-DR4."
)
@overwrite_option
@click.pass_obj
def associate(
    session: _Session,
    catalog: Path,
    output: Path,
    counterparts: Path | None,
    server: tuple[str, ...],
    prior: tuple[str, ...],
    overwrite: bool,
    **options: Any,
) -> None:
    """Look for counterparts in public archives and local catalogs."""
    options |= {"servers": _named(server, "--server"), "priors": _named(prior, "--prior")}
    config = build(AssociateConfig, options)
    from .associate.files import associate_files, summary

    done = associate_files(
        catalog,
        output,
        config,
        counterparts=counterparts,
        overwrite=overwrite,
        progress=session.progress,
    )
    session.tell(f"{summary(done)}\nwritten to {output}")


def _named(values: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` of a repeatable option as a mapping."""
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.UsageError(f"{option} is {name + equals + value!r}, expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


@main.command()
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@click.option(
    "-o",
    "--output",
    required=True,
    type=Path,
    metavar="FILE",
    help="Its suffix gives the form: .vot, .csv, .ecsv, .reg, .xml or .yaml.",
)
@click.option("--samp", is_flag=True, help="Send the VOTable to TOPCAT, Aladin, DS9 too.")
@overwrite_option
@click.pass_obj
def export(session: _Session, catalog: Path, output: Path, samp: bool, overwrite: bool) -> None:
    """Write a catalog as a table, DS9 regions, or a source model.

    \b
    .vot .csv .ecsv  a VOTable, CSV or ECSV table
    .reg             DS9 regions of the 95% error ellipses
    .xml             a source model for gtlike and for `catalogs:` of fermipy
    .yaml            `model: sources:` of a fermipy configuration
    """
    from .catalog.export import export_file

    told = export_file(catalog, output, samp=samp, overwrite=overwrite)
    session.tell(told)


@main.command()
@click.argument("catalog", metavar="CATALOG.fits", type=Path)
@click.argument("inputs", nargs=-1, metavar="[INPUT...]")
@folder_option(required=True)
@click.option(
    "--reference",
    metavar="NAME|FILE",
    help="4FGL release to compare with, 'none' for none; the catalog's own unless given.",
)
@evtype_option
@zmax_option
@overwrite_option
@click.pass_obj
def report(
    session: _Session,
    catalog: Path,
    inputs: tuple[str, ...],
    output: Path,
    overwrite: bool,
    **options: Any,
) -> None:
    """Write the page of a catalog, with what a refit or an association has added to it.

    INPUT is the photons it was made from, as for `find`; without them the page has no counts.
    """
    config = build(ReportConfig, options)
    from .pipeline import report_to_folder
    from .report import summary_line

    made = report_to_folder(
        catalog, inputs, output, config, overwrite=overwrite, progress=session.progress
    )
    session.tell(f"{summary_line(made)}, report written to {output}")


@main.command()
@click.argument("item", metavar="CATALOG.fits|MODEL|INPUT")
@click.pass_obj
def info(session: _Session, item: str) -> None:
    """Tell what a catalog, a model or an input holds."""
    from .pipeline import describe

    click.echo(describe(item))
