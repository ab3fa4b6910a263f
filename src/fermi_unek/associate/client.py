"""Queries of a remote service: in batches, with time-outs, retried, and cached.

Responses are cached on disk with the time they were given, so that a second run sends nothing and
says how old they are; when a service is down, an old response does, and that is said too.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ..outputs import replacing
from ..progress import Progress, silent
from .records import Objects, ServiceFailure

BACKOFF_S = 2.0
"""Wait before the second try; doubled before each further one."""

Query = Mapping[str, Any]
"""What is asked, in words that JSON can hold; the name of the cached answer is made of it."""


class TransientError(Exception):
    """An answer that another try may mend: a time-out, HTTP 5xx, or garbage."""


class Unreachable(TransientError):
    """No connection at all, which holds for everything at that address."""


class TooManyRows(Exception):
    """A service cut its answer short; the batch must be smaller."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long a query may take and how often it is sent.

    Attributes
    ----------
    timeout_s : float
        For a connection, and for each pause in the answer.
    tries : int
        At least 1.
    backoff_s : float
        Wait before the second try, doubled before each further one.
    sleep : callable
        Waits some seconds.
    """

    timeout_s: float = 60.0
    tries: int = 3
    backoff_s: float = BACKOFF_S
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Cache:
    """Answers cached in a folder, which is made when the first one comes.

    Attributes
    ----------
    folder : path or None
        None keeps nothing.
    max_age_days : float
        Older answers are asked for again; 0 asks always.
    """

    folder: Path | None
    max_age_days: float = 30.0

    def read(self, query: Query) -> CachedResponse | None:
        """The cached answer to a query, of whatever age; None where there is none to be read."""
        path = self._path(query)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as cached:
                objects = Objects(*(cached[name] for name in _FIELDS))
                return CachedResponse(objects, datetime.fromisoformat(str(cached["asked"])))
        except Exception:  # half a file, another version: as if it were not there
            return None

    def write(self, query: Query, objects: Objects, asked: datetime) -> None:
        """Keep an answer; a folder that cannot be written to keeps none."""
        path = self._path(query)
        if path is None:
            return
        values: dict[str, Any] = {name: getattr(objects, name) for name in _FIELDS}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                np.savez_compressed(temporary, asked=np.array(asked.isoformat()), **values)
        except OSError:
            return

    def fresh(self, cached: CachedResponse) -> bool:
        """Whether an answer need not be asked for again."""
        return datetime.now(UTC) - cached.asked < timedelta(days=self.max_age_days)

    def _path(self, query: Query) -> Path | None:
        if self.folder is None:
            return None
        words = json.dumps(query, sort_keys=True).encode()
        name = f"{query.get('service', 'answer')}-{hashlib.sha256(words).hexdigest()[:20]}.npz"
        return self.folder / name


_FIELDS = ("name", "ra_deg", "dec_deg", "error95_deg", "class_")


@dataclass(frozen=True)
class CachedResponse:
    """An answer and when it was given (UTC)."""

    objects: Objects
    asked: datetime


def default_folder() -> Path:
    """Where answers are cached unless told otherwise: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fermi_unek" / "associate"


@dataclass
class Host:
    """An address that several services share; `down` says why it cannot be reached."""

    down: str = ""


class Client:
    """Sends the queries of one service, with retries and a cache.

    Once all tries of a query have failed the service is taken for down: what is cached still
    serves, everything else fails at once. When there was no connection, so do the other
    services of the host.
    """

    def __init__(
        self,
        retry: RetryPolicy | None = None,
        cache: Cache | None = None,
        progress: Progress = silent,
        host: Host | None = None,
    ) -> None:
        self.retry = retry or RetryPolicy()
        self.cache = cache or Cache(None)
        self.progress = progress
        self.host = host or Host()
        self._down = ""

    def send(self, query: Query, once: Callable[[], Objects]) -> CachedResponse:
        """The answer to a query.

        Parameters
        ----------
        query : mapping
            What tells this query from others.
        once : callable
            Sends it once; raises `TransientError` where another try may help.

        Returns
        -------
        CachedResponse
            With the time of the answer, which lies before today when it was cached.

        Raises
        ------
        ServiceFailure
            When no try succeeded and no old answer is cached.
        TooManyRows
            When the service cut its answer short.
        """
        cached = self.cache.read(query)
        if cached is not None and self.cache.fresh(cached):
            return cached
        try:
            objects = self._try(once)
        except ServiceFailure:
            if cached is None:
                raise
            return cached
        now = datetime.now(UTC).replace(microsecond=0)
        self.cache.write(query, objects, now)
        return CachedResponse(objects, now)

    def _try(self, once: Callable[[], Objects]) -> Objects:
        if self._down or self.host.down:
            raise ServiceFailure(self._down or self.host.down)
        wait = self.retry.backoff_s
        for number in range(self.retry.tries):
            if number:
                self.retry.sleep(wait)
                wait *= 2
            try:
                return once()
            except TransientError as reason:
                last = reason
        tries = self.retry.tries
        self._down = f"{last} ({tries} {'try' if tries == 1 else 'tries'})"
        if isinstance(last, Unreachable):
            self.host.down = self._down
        raise ServiceFailure(self._down)


def send_in_batches(
    order: np.ndarray,
    size: int,
    send: Callable[[np.ndarray], CachedResponse],
    progress: Progress = silent,
    label: str = "",
) -> list[CachedResponse]:
    """Answers for indices in batches, halved where a service cuts its answer short.

    Parameters
    ----------
    order : int array (N,)
        What is asked for; N may be 0.
    size : int
        Most indices in a batch.
    send : callable
        Sends the query for some indices; raises `TooManyRows` for too many.
    progress : Progress
        Wraps the loop over batches.
    label : str
        Of the progress bar.

    Raises
    ------
    ServiceFailure
        When one index alone is too many, or `send` fails.
    """
    answers = []
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    for batch in progress(batches, label=label):
        try:
            answers.append(send(batch))
        except TooManyRows as reason:
            if len(batch) == 1:
                raise ServiceFailure(f"{reason} around a single source") from None
            answers += send_in_batches(batch, (len(batch) + 1) // 2, send)
    return answers


def joined(answers: list[CachedResponse], cache: Cache) -> tuple[Objects, str, str]:
    """All objects of some answers, when the oldest was given, and a note where it is old.

    Objects of two answers at the same place with the same name are one.
    """
    if not answers:
        return Objects.empty(), "", ""
    objects = Objects.joined([answer.objects for answer in answers])
    key = Table([objects.name, objects.ra_deg, objects.dec_deg]).as_array()
    _, first = np.unique(key, return_index=True)
    oldest = min(answer.asked for answer in answers)
    stale = [answer for answer in answers if cache.max_age_days > 0 and not cache.fresh(answer)]
    note = "" if not stale else "the service did not answer, cached answers were used"
    return objects.select(np.sort(first)), oldest.isoformat(), note
