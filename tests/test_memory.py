"""What is free of memory, and work that would take more."""

import logging
import resource
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import fermi_unek
from fermi_unek import cli, memory
from fermi_unek.errors import ConfigError

ROOT = Path(fermi_unek.__file__).parent
DEMO = ROOT / "data" / "demo" / "counts.fits.gz"
LISTED = ROOT / "data" / "demo" / "truth.fits"
MEMINFO = "MemTotal:       1000 kB\nMemAvailable:    600 kB\nSwapFree:         24 kB\n"


@pytest.fixture
def machine(tmp_path):
    """A folder in the place of / with a machine of 624 KiB free."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/meminfo", MEMINFO)
    write("proc/self/status", "VmSize:\t 100 kB\nVmRSS:\t 50 kB\n")
    write("proc/self/cgroup", "")
    return tmp_path, write


def test_free_is_what_the_machine_has_with_its_swap(machine):
    root, _ = machine
    assert memory.free_bytes(root) == 624 * 1024


def test_the_least_of_all_control_groups_counts(machine):
    root, write = machine
    write("proc/self/cgroup", "0::/job/step\n")
    for name, limit, taken, idle in (("job/step", "max", 5000, 0), ("job", "300000", 9000, 4000)):
        write(f"sys/fs/cgroup/{name}/memory.max", f"{limit}\n")
        write(f"sys/fs/cgroup/{name}/memory.current", f"{taken}\n")
        write(f"sys/fs/cgroup/{name}/memory.stat", f"anon 1\ninactive_file {idle}\n")
    assert memory.free_bytes(root) == 300000 - 9000 + 4000


def test_a_control_group_of_version_1_inside_of_a_container(machine):
    root, write = machine
    write("proc/self/cgroup", "5:cpu:/\n4:memory:/docker/of-the-host\n")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000\n")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "40000\n")
    write("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1000\n")
    assert memory.free_bytes(root) == 61000


def test_a_limit_on_the_address_space_counts(machine, monkeypatch):
    root, _ = machine
    monkeypatch.setattr(resource, "getrlimit", lambda _: (300 * 1024, 400 * 1024))
    assert memory.free_bytes(root) == 200 * 1024


def test_nothing_is_known_of_another_system(tmp_path):
    assert memory.free_bytes(tmp_path) == float("inf")


def test_work_that_takes_more_than_is_free_is_refused_before_it_begins(monkeypatch, caplog):
    monkeypatch.setattr(memory, "free_bytes", lambda: 1.5e9)
    with caplog.at_level(logging.INFO, "fermi_unek"):
        memory.need_memory(1.4, "a search of the whole sky")
    assert "a search of the whole sky takes about 1.4 GB of memory beside" in caplog.text
    with pytest.raises(ConfigError, match="not enough memory: .* about 1.6 GB, 1.5 GB are free"):
        memory.need_memory(1.6, "a search of the whole sky")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel and glibc")
def test_what_was_let_go_of_is_given_back():
    """Below what is still in use the C library keeps it by itself."""
    some = [np.ones(12_000) for _ in range(3000)]
    last = np.ones(12_000)
    held = psutil.Process().memory_info().rss
    del some
    memory.give_back()
    assert psutil.Process().memory_info().rss < held - 2e8
    assert last.sum() == len(last)


@pytest.mark.parametrize(
    ("command", "work"),
    [
        (["simulate", "--region", "80,18,2", "-o", "new"], "the simulation"),
        (["find", "DEMO", "-o", "new"], "the search"),
        (["refit", "LISTED", "DEMO", "-o", "new"], "the fit of"),
    ],
)
def test_commands_refuse_what_does_not_fit_and_leave_nothing(tmp_path, monkeypatch, command, work):
    names = {"DEMO": str(DEMO), "LISTED": str(LISTED), "new": str(tmp_path / "new.fits")}
    monkeypatch.setattr(memory, "free_bytes", lambda: 1e8)
    result = CliRunner().invoke(cli.main, [names.get(word, word) for word in command])
    assert result.exit_code == 2, result.output
    assert f"error: not enough memory: {work}" in result.stderr
    assert " GB, 0.1 GB are free; a smaller region" in result.stderr
    assert list(tmp_path.iterdir()) == []
