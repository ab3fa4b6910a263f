"""Progress of long work: bars on a terminal, and stages with their times in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")

_log = logging.getLogger("fermi_unek")


class Progress(Protocol):
    """Wraps an iterable, showing how far it has come."""

    def __call__(
        self, items: Iterable[Item], *, total: int | None = None, label: str = ""
    ) -> Iterable[Item]:
        """The same items in the same order."""
        ...


@contextmanager
def stage(label: str) -> Iterator[None]:
    """Log, at level info, that a piece of work begins, and how long it took."""
    start = time.monotonic()
    _log.info("%s", label)
    yield
    _log.info("%s: %.1f s", label, time.monotonic() - start)


def bar(items: Iterable[Item], *, total: int | None = None, label: str = "") -> Iterable[Item]:
    """Items as a `stage`, with a bar on stderr where that is a terminal.

    Parameters
    ----------
    items : iterable
        What is worked through.
    total : int or None
        Number of items; None takes ``len(items)`` where there is one.
    label : str
        What is being done, shown before the bar.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        items = tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
    with stage(label):
        yield from items


def silent(items: Iterable[Item], *, total: int | None = None, label: str = "") -> Iterable[Item]:
    """Items without a bar, whatever stderr is."""
    return items
