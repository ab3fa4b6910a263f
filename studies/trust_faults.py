"""Commands whose disk, folder or memory gives out: one line, and nothing half-written.

Each command runs undisturbed once, which tells the size of its outputs. Then it is run

    full      into a disk (tmpfs) with room for a random part of them,
    quota     with a limit on the size of a file that they exceed, as a quota has it,
    readonly  into a disk that takes no writes,
    removed   into a folder that is removed at a random moment,
    memory    with a random part of the address space that it needs.

A command must end with status 2 and one line that names what gave out, or with whole outputs; no
other file may lie in the folder.

    python studies/trust_faults.py [--times 5] [--seed 0]
                                   [--faults full quota readonly removed memory]
                                   [--commands bin simulate find refit associate]

`full` and `readonly` mount a tmpfs, for which one must be root.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from trust_kill import CASES, PROGRAM, content, prepare, run

FAULTS = ("full", "quota", "readonly", "removed", "memory")
COMMANDS = ("bin", "simulate", "find", "refit", "associate")
LIMIT_S = 300
MIB = 2**20
TOLD = {
    "full": r"cannot be written \((No space left|no room)",
    "quota": r"cannot be written \((File too large|no room)",
    "readonly": r"cannot be (made|written).*Read-only",
    "removed": r"cannot be written \(No such file|there is no folder|No such file or directory",
    "memory": r"memory",
}
_NOISE = re.compile(r"warning|\r|%\|")


def limited(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def attempt(
    name: str, fault: str, out: Path, written: int, lasts_s: float, rng: np.random.Generator
) -> tuple[int, str]:
    """Status of a run with a fault, and what it said on stderr."""
    arguments, before, mounted = prepare(name, out), None, False
    part = rng.uniform(0.05, 0.95)
    try:
        if fault in ("full", "readonly"):
            size = max(int(part * written), 4096)
            how = f"size={size}" if fault == "full" else "size=64m,ro"
            subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", out], check=True)
            mounted = True
        elif fault == "quota":
            before = limited(resource.RLIMIT_FSIZE, max(int(part * written), 1))
        elif fault == "memory":
            before = limited(resource.RLIMIT_AS, int(MIB * rng.uniform(250, 1200)))
        process = subprocess.Popen(
            [*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=before,
        )  # fmt: skip
        if fault == "removed":
            time.sleep(lasts_s * rng.uniform(0.0, 1.0))
            shutil.rmtree(out, ignore_errors=True)
        told = process.communicate(timeout=LIMIT_S)[1]
        return process.returncode, told + judged(name, fault, out, process.returncode, told)
    finally:
        if mounted:
            subprocess.run(["umount", out], check=True)


def judged(name: str, fault: str, out: Path, status: int, told: str) -> str:
    """What is wrong, in a line that begins with FAULT; blank where nothing is."""
    lines = [line for line in told.splitlines() if line.strip() and not _NOISE.search(line)]
    outputs = {out / part for part in CASES[name].outputs}
    if status == 0 and fault != "removed":
        for path in outputs:
            try:
                content(path)
            except Exception as error:
                return f"\nFAULT {path.name} is half-written: {error}"
        return ""
    if status not in (0, 2) or (status == 2 and len(lines) != 1):
        return f"\nFAULT status {status}: {' | '.join(lines)[-300:]!r}"
    if status == 2 and not re.search(TOLD[fault], lines[0]):
        return f"\nFAULT names another cause: {lines[0]!r}"
    left = [path.name for path in out.rglob("*") if path.is_file()] if out.exists() else []
    if status == 2 and fault != "removed" and left:
        return f"\nFAULT left {', '.join(left)}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        if {"refit", "associate"} & set(options.commands):
            run([*CASES["find"].arguments(Path(folder))])
        for name in options.commands:
            begun = time.monotonic()
            fault = run(prepare(name, out))
            if fault:
                print(f"{name}: does not run: {fault}")
                continue
            lasts_s = time.monotonic() - begun
            written = max(path.stat().st_size for path in out.rglob("*") if path.is_file())
            for fault in options.faults:
                rng = np.random.default_rng([options.seed, len(name), FAULTS.index(fault)])
                ends, wrong = Counter[int](), []
                for _ in range(options.times):
                    status, told = attempt(name, fault, out, written, lasts_s, rng)
                    ends[status] += 1
                    wrong += [line for line in told.splitlines() if line.startswith("FAULT")]
                print(
                    f"{name:10s} {fault:9s} {options.times:3d} runs, status "
                    + ", ".join(f"{status} {number} times" for status, number in ends.items())
                    + f"; {len(wrong)} faults",
                    flush=True,
                )
                for line in wrong:
                    print(f"    {line}", flush=True)


if __name__ == "__main__":
    main()
