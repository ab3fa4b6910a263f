"""The program: its own options, its commands, and the status that it ends with."""

from __future__ import annotations

import errno
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import click

from .. import __version__
from ..config import Config, build
from ..config.base import setting
from ..errors import UnekError, UnekWarning
from ..progress import Progress, bar, silent
from .messages import PROGRAM, one_line_warnings, say, set_up_log
from .options import Command, flag_of, given, parameters

USER_ERROR = 2
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPED = {128 + number for number in SIGNALS}
"""Status of a process that a signal ended, as shells have it."""

AnyConfig = TypeVar("AnyConfig", bound=Config)
Work = Callable[[AnyConfig, Progress], str]
"""Does the work of a command; returns what is told when it is done."""


class ProgramOptions(Config):
    """Find and classify point sources in Fermi-LAT photons with neural networks.

    Exit status: 0 on success (an empty sky is success), 2 for what can be mended in the
    call or the files, told in one line. These options are taken after the command as well.
    """

    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", "Least weight of what is told on stderr; info has stages and times."
    )
    quiet: bool = setting(False, "Errors only: no summary, no progress bar.", flag="-q --quiet")


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop.

    A plain KeyboardInterrupt that passes through executed text makes python end itself by SIGINT
    later, with the status of that whatever the signal was.
    """


@contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM raise `Interrupted`, so that what was begun is cleared away.

    The second one finds the handlers of before, which may end the process at once.

    Yields
    ------
    list of int
        Signals that came.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: object) -> None:
        restore()
        came.append(number)
        raise Interrupted

    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        yield came
    finally:
        restore()


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
            with one_line_warnings() as held:
                status = super().main(args, PROGRAM, complete_var, False, **extra)
                if status in STOPPED:
                    held.clear()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = USER_ERROR
        except click.ClickException as error:
            say(f"error: {_usage_message(error)}")
            status = error.exit_code
        except UnekError as error:
            say(f"error: {error}")
            status = USER_ERROR
        except Exception as error:
            if not _out_of_memory(error):
                raise
            say(
                "error: not enough memory; a smaller region, fewer workers or coarser counts need "
                "less"
            )
            status = USER_ERROR
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a signal ends it with the status that shells give it."""
        with stopped_by_signals() as came:
            try:
                return super().invoke(ctx)
            except BaseException as error:
                # a library may have made another error of the interruption
                if not came and not isinstance(error, KeyboardInterrupt):
                    raise
                say("interrupted")
                raise click.exceptions.Exit(128 + (came or [signal.SIGINT])[0]) from None


def _out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what it came of, is that there is no memory left.

    numpy raises MemoryError, torch and what loads libraries others.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if re.search("(?i)allocate memory|enough memory|out of memory|failed to map", str(error)):
        return True
    return error.__cause__ is not None and _out_of_memory(error.__cause__)


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context else message


def _program_options(hidden: bool) -> list[click.Parameter]:
    """Those of `ProgramOptions` and --version; hidden where they are an offer besides."""
    holder = click.Command(None, params=parameters(ProgramOptions))
    click.version_option(__version__, prog_name=PROGRAM, hidden=hidden)(holder)
    for option in holder.params:
        option.hidden = hidden  # type: ignore[attr-defined]  # they are no arguments
    return holder.params


main = Program(
    name=PROGRAM,
    help=ProgramOptions.summary,
    params=_program_options(hidden=False),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(model: type[AnyConfig]) -> Callable[[Work[AnyConfig]], Work[AnyConfig]]:
    """Make a command of a function that works on the settings of a model.

    Its name is that of the model, its help the model's docstring, its options the fields.
    """

    def register(work: Work[AnyConfig]) -> Work[AnyConfig]:
        def run(**values: Any) -> None:
            context = click.get_current_context()
            above = context.parent.params if context.parent else {}
            own = {name: values.pop(name, None) for name in ProgramOptions.model_fields}
            program = build(ProgramOptions, {**given(above), **given(own)})
            set_up_log("error" if program.quiet else program.log_level)
            if program.log_level == "debug":
                warnings.simplefilter("default")
                warnings.simplefilter("always", UnekWarning)
            settings = build(model, given(values), called=lambda name: flag_of(name, model))
            told = work(settings, silent if program.quiet else bar)
            if told and not program.quiet:
                click.echo(told)

        main.add_command(
            Command(
                model.__name__.lower(),
                callback=run,
                params=[*parameters(model), *_program_options(hidden=True)],
                help=model.summary,
                short_help=model.summary.partition("\n\n")[0].replace("\n", " "),
            )
        )
        return work

    return register
