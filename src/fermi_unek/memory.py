"""Memory that a piece of work needs: said before it begins, and refused where it is not free."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .errors import ConfigError

_log = logging.getLogger("fermi_unek")
_STATUS = Path("/proc/self/status")
_GROUPS = Path("sys/fs/cgroup")
_CONTROLS = {
    "": ("memory.max", "memory.current", "inactive_file"),  # version 2
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Limit, usage and files that can be let go of, of a control group, by its controller."""


def need_memory(gigabytes: float, work: str) -> None:
    """Log what work takes of memory beside what is taken now.

    Parameters
    ----------
    gigabytes : float
        Of 10^9 bytes.
    work : str
        For the message.

    Raises
    ------
    ConfigError
        So much is not free.
    """
    give_back()
    free, taken = free_bytes() / 1e9, 1.024e-6 * _numbers(_STATUS).get("VmRSS", 0.0)
    _log.info(
        "%s takes about %.1f GB of memory beside %.1f GB that are taken, %.1f GB are free",
        work, gigabytes, taken, free,
    )  # fmt: skip
    if gigabytes > free:
        raise ConfigError(
            f"not enough memory: {work} takes about {gigabytes:.1f} GB, {free:.1f} GB are free; a "
            "smaller region, fewer workers or coarser counts need less"
        )


def give_back() -> None:
    """Return to the system what this process has let go of.

    The C library keeps it for later, after the photons of a whole sky were read some 2 GB.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def free_bytes(root: Path = Path("/")) -> float:
    """What this process may still take; infinite where the system does not say.

    The least of free memory and swap of the machine, what the process's control groups (containers,
    batch systems) leave, and what its own limit (ulimit -v) leaves.

    Parameters
    ----------
    root : path
        Where /proc and /sys are.
    """
    left = [_left_by_limit(root), *_left_by_groups(root)]
    machine = _numbers(root / "proc/meminfo")
    if "MemAvailable" in machine:
        left.append(1024.0 * (machine["MemAvailable"] + machine.get("SwapFree", 0.0)))
    return max(min(left), 0.0)


def _left_by_limit(root: Path) -> float:
    try:
        import resource
    except ImportError:  # on Windows
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _numbers(root / _STATUS.relative_to("/")).get("VmSize")
    if limit == resource.RLIM_INFINITY or taken is None:
        return float("inf")
    return limit - 1024.0 * taken


def _left_by_groups(root: Path) -> Iterator[float]:
    """What each control group above this process leaves it, where it has a limit."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controller, name = line.split(":", 2)
        if controller not in _CONTROLS:
            continue
        limit_name, taken_name, idle_name = _CONTROLS[controller]
        top = root / _GROUPS / controller
        group = top / name.strip("/")
        # inside of a container the name may be one of the machine outside
        for folder in (group, *group.parents) if group.is_dir() else (top,):
            limit, taken = (_number(folder / name) for name in (limit_name, taken_name))
            if limit is not None and taken is not None:
                yield limit - taken + _numbers(folder / "memory.stat").get(idle_name, 0.0)
            if folder == top:
                break


def _numbers(path: Path) -> dict[str, float]:
    """Values of a file of lines `name: value unit`."""
    fields = [line.replace(":", " ").split() for line in _lines(path)]
    return {words[0]: float(words[1]) for words in fields if len(words) > 1 and words[1].isdigit()}


def _number(path: Path) -> float | None:
    lines = _lines(path)
    return float(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
