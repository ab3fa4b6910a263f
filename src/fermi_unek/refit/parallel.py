"""Regions one after the other, or on a dask cluster; the results do not depend on which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import ConfigError
from ..progress import Progress, silent

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_all(
    work: Callable[..., Result],
    tasks: Sequence[Callable[[], Task]],
    shared: tuple[Any, ...],
    *,
    scheduler: str | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> list[Result]:
    """``work(task, *shared)`` for all tasks, results in their order.

    Parameters
    ----------
    work : function
        Of a task and of what all share; its result depends on these alone.
    tasks : sequence of functions
        Each makes a task when it is time.
    shared : tuple
        Sent to each worker once.
    scheduler : str, optional
        Address of a dask scheduler.
    workers : int
        Processes on this machine, where no scheduler is named; 1 works here.
    progress : Progress

    Raises
    ------
    ConfigError
        dask is not installed, or there is no scheduler at the address.
    """
    if scheduler is None and workers == 1:
        return [work(make(), *shared) for make in progress(tasks, label="regions")]
    with _client(scheduler, workers) as client:
        spread = [client.scatter(one, broadcast=True, hash=False) for one in shared]
        futures = [client.submit(work, make(), *spread, pure=False) for make in tasks]
        return [future.result() for future in progress(futures, label="regions")]


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigError(
            "to refit on several workers dask is needed; install fermi-unek[dask]"
        ) from None
    if scheduler is None:
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            f"no dask scheduler answers at {scheduler!r} ({error}); expected an address such as "
            "tcp://host:8786"
        ) from None
    with client:
        yield client
