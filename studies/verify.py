"""Every figure of the README printed anew, and which of them have moved.

    python studies/verify.py [--data DIR] [--only WORD ...]

`figures.toml` has the commands, where the figures stand and how far they may move. DIR is the
folder of the shared data, else $FERMI_UNEK_DATA. `--only` runs the commands that hold a word. What
a command prints is kept beside this file's caller, in verify_output/. Status 1 where one moved.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("figures.toml")
OUTPUT = Path("verify_output")


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Attributes
    ----------
    says : str
        Words of the page.
    pattern : str
        Finds it in what a command prints.
    value, tolerance : float
    """

    says: str
    pattern: str
    value: float
    tolerance: float

    def verdict(self, printed: str) -> str:
        """What came of it: `ok`, or how it moved."""
        found = re.search(self.pattern, printed, re.MULTILINE)
        if not found:
            return "is not printed any more"
        moved = abs(float(found[1]) - self.value) > self.tolerance + 1e-9
        return f"MOVED from {self.value:g} to {found[1]}" if moved else f"ok, {found[1]}"


def runs() -> list[tuple[str, list[Figure]]]:
    """Commands and the figures that each prints."""
    table = tomllib.loads(TABLE.read_text())["run"]
    return [(run["command"], [Figure(**figure) for figure in run["figures"]]) for run in table]


def printed_by(command: str, data: str) -> str:
    """What a command prints; it runs in the root with this interpreter and this tree."""
    filled = command.format(python=sys.executable, data=data, folder=OUTPUT.resolve())
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path, "FERMI_UNEK_DATA": data}
    done = subprocess.run(
        filled, shell=True, cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"    status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=os.environ.get("FERMI_UNEK_DATA", "../shared/data"))
    parser.add_argument("--only", nargs="+", default=[""])
    options = parser.parse_args()
    OUTPUT.mkdir(exist_ok=True)
    wrong = 0
    for number, (command, figures) in enumerate(runs()):
        if not any(word in command for word in options.only):
            continue
        start = time.monotonic()
        text = printed_by(command, str(Path(options.data).resolve()))
        (OUTPUT / f"{number}.txt").write_text(text)
        print(f"{command}: {time.monotonic() - start:.0f} s")
        for figure in figures:
            verdict = figure.verdict(text)
            wrong += not verdict.startswith("ok")
            print(f"    {figure.says}  {verdict}", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
