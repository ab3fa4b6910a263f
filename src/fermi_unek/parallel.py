"""Independent pieces of work on threads, on processes, or on a dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import joblib

from .errors import ConfigError
from .progress import Progress, silent

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECT_TIMEOUT_S = 10
_AHEAD = 2  # items that a worker is given at once
_TRIMMED = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"


def map_tasks(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    total: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    label: str = "",
    progress: Progress = silent,
) -> list[Result]:
    """Results of a function for each item, in the order of the items.

    Items are taken as workers become free, so that few of them are in memory at once where they are
    made on the way. A worker process that dies is started again and its items are given to another,
    up to three times (dask's rule), so the function must give the same result when it is called
    again.

    Parameters
    ----------
    function : callable
        Of one item; pickled where it leaves this process.
    items : iterable
    total : int, optional
        Number of the items, where they have no length.
    workers : int
        Processes on this machine; one is this process itself.
    scheduler : str or None
        Address of a dask scheduler whose workers are taken instead.
    label : str
    progress : Progress

    Raises
    ------
    ConfigError
        A script without the guard that worker processes need; dask's `distributed` is not
        installed, no scheduler answers, or workers die again and again.
    Exception
        What the function raises; items not yet begun are dropped.
    """
    total = len(items) if isinstance(items, Sized) else total
    with task_workers(total, workers=workers, scheduler=scheduler) as run:
        return run(function, items, total=total, label=label, progress=progress)


@contextmanager
def task_workers(
    total: int | None, *, workers: int = 1, scheduler: str | None = None
) -> Iterator[Callable[..., list[Any]]]:
    """Workers that stay for several calls: what they run is called as `map_tasks` without them.

    Parameters
    ----------
    total : int or None
        Number of the items of a call; no more workers are started.
    workers, scheduler
        As of `map_tasks`, with its errors.
    """
    if scheduler is None and (workers == 1 or (total is not None and total < 2)):
        yield _here
        return
    if scheduler is None:
        _check_main_guard()
        workers = min(workers, total or workers)
    with _client(workers, scheduler) as client:
        yield partial(_on_client, client)


def _here(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    progress: Progress = silent,
    **told: Any,
) -> list[Result]:
    """`map_tasks` in this process."""
    return [function(item) for item in progress(items, **told)]


def _on_client(
    client: Any,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    total: int | None = None,
    label: str = "",
    progress: Progress = silent,
) -> list[Result]:
    """`map_tasks` on a dask client."""
    from distributed import KilledWorker, as_completed

    left, running = enumerate(items), as_completed()
    places: dict[str, int] = {}
    results: dict[int, Result] = {}

    def begin() -> None:
        # workers of a cluster come and go
        wanted = _AHEAD * max(sum(client.nthreads().values()), 1)
        for place, item in islice(left, max(wanted - len(places), 0)):
            future = client.submit(function, item, pure=False)
            places[future.key] = place
            running.add(future)

    try:
        begin()
        for future in progress(running, total=total, label=label):
            results[places.pop(future.key)] = future.result()
            begin()
    except KilledWorker as error:
        raise ConfigError(
            "workers died again and again at the same piece of work (too little memory?): "
            f"{' '.join(str(error).split())}"
        ) from None
    finally:
        # what has not begun never will
        client.cancel(list(running.futures))
    return [results[place] for place in range(len(results))]


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results of a function for each item, on as many threads as this process has cores.

    Worth it for work that numpy and healpy do outside Python's lock.
    """
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        return list(pool.map(function, items))


def _check_main_guard() -> None:
    """ConfigError in a script that its worker processes, which import it, would run again."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    if script.endswith(".py") and "__main__" not in Path(script).read_text(errors="replace"):
        raise ConfigError(
            f"{Path(script).name}: several workers start this script again, each for itself; put "
            "what it does under: if __name__ == '__main__':"
        )


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigError(
            "several workers need dask's distributed package; pip install 'fermi-unek[dask]'"
        ) from None
    if scheduler is None:
        with (
            # it makes workers give back each array at once: a third of a fit goes by on new pages
            dask.config.set({_TRIMMED: None}),
            LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"scheduler {scheduler!r}: no dask scheduler answers ({type(error).__name__})"
        ) from None
    with client:
        yield client
