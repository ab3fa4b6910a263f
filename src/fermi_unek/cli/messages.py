"""What is said on stderr: errors, warnings and the log, a line each."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import UnekError, UnekWarning

PROGRAM = "fermi-unek"

log = logging.getLogger("fermi_unek")


def say(text: str) -> None:
    """One line on stderr."""
    click.echo(f"{PROGRAM}: {one_line(text)}", err=True)


def one_line(text: str) -> str:
    """Text without line breaks."""
    return " ".join(text.split())


class _LogFormat(logging.Formatter):
    """`fermi-unek: warning: text` on one line; with the time of day where it tells stages."""

    def format(self, record: logging.LogRecord) -> str:
        when = f"{self.formatTime(record, '%H:%M:%S')} " if record.levelno == logging.INFO else ""
        text = one_line(record.getMessage())
        return f"{PROGRAM}: {record.levelname.lower()}: {when}{text}"


def set_up_log(level: str) -> None:
    """Send the package's log to what stderr is now, and nowhere else, at a level."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormat())
    log.handlers = [handler]
    log.setLevel(level.upper())


Held = dict[str, tuple[int, list[str]]]
"""Kind of a warning to the level it is told at and the texts that came."""


@contextmanager
def one_line_warnings() -> Iterator[Held]:
    """Tell each `UnekWarning` once, with a count, when the block ends; none of other libraries'.

    Warnings that differ only in the file they name and in their numbers, as those of hundreds of
    weekly files do, are one. They are held back until the end so that an error of the user's,
    which ends the block, stands alone: what a warning says of the input matters only where there
    is a result.

    Yields
    ------
    Held
        What is to be told.
    """
    held: Held = {}

    def hold(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        ours = issubclass(category, UnekWarning)
        text = one_line(str(message) if ours else f"{category.__name__}: {message}")
        level = logging.WARNING if ours else logging.DEBUG
        held.setdefault(_kind(text), (level, []))[1].append(text)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UnekWarning)
        warnings.showwarning = hold
        failed = False
        try:
            yield held
        except (UnekError, click.ClickException):
            failed = True
            raise
        finally:
            for level, texts in held.values():
                log.log(logging.DEBUG if failed else level, "%s", _with_count(texts))


def _kind(text: str) -> str:
    """What warnings of one kind have in common: no file at the beginning, no numbers."""
    head, _, rest = text.partition(": ")
    names_a_file = rest and re.search(r"[./]", head)
    return re.sub(r"\d[\d.,]*", "#", rest if names_a_file else text)


def _with_count(texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    same = len(set(texts)) == 1
    return f"{texts[0]} ({f'{len(texts)} times' if same else f'and {len(texts) - 1} more like it'})"
