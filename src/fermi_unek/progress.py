"""Progress bars on long work, which vanish when stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """Wraps an iterable, showing how far it has come."""

    def __call__(
        self, items: Iterable[Item], *, total: int | None = None, label: str = ""
    ) -> Iterable[Item]:
        """The same items in the same order."""
        ...


def bar(items: Iterable[Item], *, total: int | None = None, label: str = "") -> Iterable[Item]:
    """Items with a bar on stderr, or bare when stderr is no terminal.

    Parameters
    ----------
    items : iterable
        What is worked through.
    total : int or None
        Number of items; None takes ``len(items)`` where there is one.
    label : str
        What is being done, shown before the bar.
    """
    if not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    return tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)


def silent(items: Iterable[Item], *, total: int | None = None, label: str = "") -> Iterable[Item]:
    """Items without a bar, whatever stderr is."""
    return items
