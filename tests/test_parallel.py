"""`map_tasks`: the same results on one process and on several, and when one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fermi_unek.errors import ConfigError, InputError
from fermi_unek.parallel import map_tasks, task_workers


def draw(seed: int) -> tuple[int, list[float]]:
    """Process that did it, and a few random numbers."""
    return os.getpid(), np.random.default_rng(seed).random(3).tolist()


def die_once(seed: int, folder: Path) -> list[float]:
    """The same numbers; the first call for seed 1 takes its process with it."""
    grave = folder / "dead"
    if seed == 1 and not grave.exists():
        grave.touch()
        os._exit(1)
    return draw(seed)[1]


def refuse(seed: int) -> int:
    if seed == 2:
        raise InputError("sky 2: no such thing")
    return seed


def test_one_process_and_two_give_the_same_in_order():
    alone = map_tasks(draw, range(6))
    together = map_tasks(draw, range(6), workers=2)
    assert [numbers for _, numbers in together] == [numbers for _, numbers in alone]
    assert {process for process, _ in alone} == {os.getpid()}
    assert os.getpid() not in {process for process, _ in together}


def test_workers_stay_for_several_calls():
    with task_workers(4, workers=2) as run:
        first, second = (run(draw, range(4), total=4) for _ in range(2))
    assert {process for process, _ in first} == {process for process, _ in second}
    assert [numbers for _, numbers in second] == [draw(seed)[1] for seed in range(4)]


def test_workers_keep_memory_as_this_process_does(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert map_tasks(os.environ.get, ["MALLOC_TRIM_THRESHOLD_"] * 2, workers=2) == [None, None]


def test_the_work_of_a_process_that_dies_is_done_by_another(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        again = map_tasks(
            partial(die_once, folder=tmp_path), range(4), scheduler=cluster.scheduler_address
        )
    assert (tmp_path / "dead").exists()
    assert again == [draw(seed)[1] for seed in range(4)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_users_comes_through_as_it_is(workers):
    with pytest.raises(InputError, match="sky 2: no such thing"):
        map_tasks(refuse, range(4), workers=workers)


def always_die(seed: int) -> None:
    os._exit(1)


def test_work_that_kills_every_process_is_told():
    with pytest.raises(ConfigError, match="workers died again and again"):
        map_tasks(always_die, range(2), workers=2)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr("fermi_unek.parallel._CONNECT_TIMEOUT_S", 0.2)
    with pytest.raises(ConfigError, match="no dask scheduler answers"):
        map_tasks(draw, range(2), scheduler="tcp://127.0.0.1:9")


def test_without_dask_several_workers_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="pip install"):
        map_tasks(draw, range(2), workers=2)
    assert len(map_tasks(draw, range(2))) == 2


SCRIPT = """
from fermi_unek.errors import UnekError
from fermi_unek.parallel import map_tasks, task_workers

{guard}
    try:
        print(map_tasks(abs, [-1, -2], workers=2))
    except UnekError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        ('if __name__ == "__main__":', "[1, 2]"),
        ("if True:", "script.py: several workers start this script again"),
    ],
)
def test_a_script_without_the_guard_that_workers_need_is_told(tmp_path, guard, told):
    (tmp_path / "script.py").write_text(SCRIPT.format(guard=guard))
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert done.stdout.startswith(told)
    assert "Traceback" not in done.stderr
