"""What is said on stderr: errors, warnings and the log, a line each."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    """`fermi-unek: warning: text` on one line; with the time of day below warnings."""

    def format(self, record: logging.LogRecord) -> str:
        when = f"{self.formatTime(record, '%H:%M:%S')} " if record.levelno == logging.INFO else ""
        level = record.levelname.lower()
        text = f"{PROGRAM}: {level}: {when}{one_line(record.getMessage())}"
        return text if not record.exc_info else f"{text}\n{self.formatException(record.exc_info)}"


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the time, which tests and callers may exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def set_up_log(level: str) -> None:
    """Send the package's log to stderr, once, at a level."""
    handler = _ToStderr()
    handler.setFormatter(_LogFormat())
    log.handlers = [handler]
    log.setLevel(level.upper())


@dataclass
class _Held:
    """A warning, and how often one like it came."""

    text: str
    level: int
    texts: set[str] = field(default_factory=set)
    count: int = 0

    def __str__(self) -> str:
        if self.count == 1:
            return self.text
        if len(self.texts) == 1:
            return f"{self.text} ({self.count} times)"
        return f"{self.text} (and {self.count - 1} more like it)"


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Tell each `UnekWarning` once, with a count, when the block ends; none of other libraries'.

    Warnings that differ only in the file they name and in their numbers, as those of hundreds of
    weekly files do, are one. They are held back until the end so that an error of the user's,
    which ends the block, stands alone: what a warning says of the input matters only where there
    is a result.
    """
    held: dict[str, _Held] = {}

    def hold(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        ours = issubclass(category, UnekWarning)
        text = one_line(str(message) if ours else f"{category.__name__}: {message}")
        level = logging.WARNING if ours else logging.DEBUG
        entry = held.setdefault(_kind(text), _Held(text, level))
        entry.texts.add(text)
        entry.count += 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UnekWarning)
        warnings.showwarning = hold
        failed = False
        try:
            yield
        except (UnekError, click.ClickException):
            failed = True
            raise
        finally:
            for entry in held.values():
                log.log(logging.DEBUG if failed else entry.level, "%s", entry)


def _kind(text: str) -> str:
    """What warnings of one kind have in common: no file at the beginning, no numbers."""
    head, _, rest = text.partition(": ")
    names_a_file = rest and re.search(r"[./]", head)
    return re.sub(r"\d[\d.,]*", "#", rest if names_a_file else text)
