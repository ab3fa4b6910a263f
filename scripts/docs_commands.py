"""The `fermi-unek` command lines of the README and the documentation, and a way to run them all.

    PYTHONPATH=src python scripts/docs_commands.py FOLDER [PAGE...]

runs them page by page, each page in a folder of its own below FOLDER, on stand-ins for the
files that the pages talk about: simulated photons, HEALPIX counts, cubes and a catalog of a
field. Whole skies are cut to a field of six degrees and one year, many to two. Python blocks of
a page are run as one script, after its commands. A table of what happened is printed; the
status is the number of what failed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "fermi-unek"
FIELD = "80,18,6"

SYNOPSES = {"docs/design.md"}
"""Pages whose blocks show how options may be combined, not what to type."""

NOT_HERE = {
    "configs/train-localizer": "hours of work",
    "configs/train-classifier": "hours of work",
    "--scheduler": "needs a cluster",
    "bexpmap.fits": "needs the analyst's own files",
    "--psf": "needs the analyst's own files",
    "model.xml": "needs the analyst's own files",
    "runs/classifier/": "needs the weights of a training of hours",
}
"""What a command holds that is not run here, and why."""

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*\{?([\w-]*)")
_NAMED = re.compile(rf"`{PROGRAM} ([a-z][a-z-]*)")


@dataclass(frozen=True)
class Line:
    """One command line, with the page (relative to the repository) and line it stands in."""

    page: str
    number: int
    text: str


def pages(root: Path = ROOT) -> list[Path]:
    """README and all pages of the documentation that people wrote."""
    built = ("_build", "auto_gallery", "api")
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    found += sorted((root / "catalogs").glob("**/*.md"))
    return [path for path in found if not set(built) & set(path.relative_to(root).parts)]


def code_blocks(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """First line, language ("" where none is named) and lines of each block of code."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        start = number + 1
        if fence:
            stop = start
            while stop < len(lines) and not lines[stop].strip().startswith(fence[1]):
                stop += 1
            yield start, fence[2], lines[start:stop]
            number = stop + 1
        elif lines[number].startswith("    "):
            stop = number
            while stop < len(lines) and (lines[stop].startswith("    ") or not lines[stop].strip()):
                stop += 1
            yield number, "", lines[number:stop]
            number = stop
        else:
            number += 1


def command_lines(path: Path, root: Path = ROOT) -> list[Line]:
    """The `fermi-unek` lines of a page, continued lines joined."""
    page = str(path.relative_to(root))
    found = []
    for start, language, lines in [] if page in SYNOPSES else code_blocks(path):
        if language in ("python", "yaml", "text"):
            continue
        joined = ""
        for offset, line in enumerate(lines):
            joined = f"{joined} {line.strip().removeprefix('$ ')}".strip()
            if joined.endswith("\\"):
                joined = joined[:-1].rstrip()
                continue
            if joined.startswith(f"{PROGRAM} "):
                found.append(Line(page, start + offset + 1, joined))
            joined = ""
    return found


def named_commands(path: Path) -> set[str]:
    """Commands that the prose of a page names in backticks."""
    return set(_NAMED.findall(path.read_text(encoding="utf-8")))


def python_code(path: Path) -> str:
    """All Python blocks of a page as one script."""
    blocks = [lines for _, language, lines in code_blocks(path) if language in ("python", "py")]
    return "\n".join("\n".join(lines) for lines in blocks)


def why_not(text: str) -> str:
    """Why a command is not run here; empty where it is."""
    return next((reason for part, reason in NOT_HERE.items() if part in text), "")


def runnable(text: str) -> str:
    """A command as it is run here: outputs replaced, skies cut to the field of the stand-ins."""
    text = re.sub(r"--region [-+.,\d]+", f"--region {FIELD}", text)
    words = text.split()
    verb = words[1] if len(words) > 1 else ""
    # the last one given counts
    if verb == "simulate":
        text += f" --region {FIELD} --years 1" if "--region" not in text else ""
        text += " --skies 2 --workers 1" if "--skies" in text else ""
    replaces = verb not in ("info", "train", "--help", "--version")
    return text if "--overwrite" in text or not replaces else f"{text} --overwrite"


def make_stand_ins(folder: Path) -> None:
    """Files that the pages speak of, made once."""
    if (folder / "catalog.fits").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    common = f"--population mock --background own --region {FIELD}"
    for week in (1, 2):
        _shell(f"{PROGRAM} -q simulate -o week{week} {common} --years 0.5 --seed {week} "
               f"--format photons --overwrite && mv week{week}/photons.fits week{week}.fits",
               folder)  # fmt: skip
    shutil.copy(folder / "week1.fits", folder / "photons.fits")
    (folder / "weeks.txt").write_text("week1.fits\nweek2.fits\n")
    _shell(f"{PROGRAM} -q simulate -o maps {common} --years 10 --seed 7 --yearly "
           "--overwrite && mv maps/counts_*.fits .", folder)  # fmt: skip
    _shell(f"{PROGRAM} -q simulate -o cubes {common} --years 3 --seed 8 --yearly --format wcs "
           "--overwrite", folder)  # fmt: skip
    for cube in (folder / "cubes").glob("counts*.fits"):
        shutil.copy(cube, folder / cube.name.replace("counts", "ccube"))
    shutil.copy(folder / "cubes" / "truth.fits", folder)
    _shell(f"{PROGRAM} -q find ccube.fits -o catalog.fits --overwrite", folder)
    shutil.copy(folder / "catalog.fits", folder / "refitted.fits")
    (folder / "my_radio_list.csv").write_text("Name,RA,DEC,CLASS\nA,80.0,18.0,bcu\n")


def run_page(
    path: Path, folder: Path, stand_ins: Path, root: Path = ROOT
) -> Iterator[tuple[str, str, float, str]]:
    """(outcome, command, seconds, last words) of each command of a page, in its own folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(stand_ins, folder)
    for name in ("configs", "scripts", "catalogs"):
        (folder / name).symlink_to(ROOT / name)
    jobs = [(line.text, runnable(line.text)) for line in command_lines(path, root)]
    code = python_code(path)
    if "gta." in code and importlib.util.find_spec("pyLikelihood") is None:
        yield "not run", f"python blocks of {path.name}", 0.0, "needs the Fermitools"
    elif code:
        (folder / "page.py").write_text(code)
        jobs.append((f"python blocks of {path.name}", f"{sys.executable} page.py"))
    for shown, command in jobs:
        start = time.monotonic()
        if why_not(shown):
            yield "not run", shown, 0.0, why_not(shown)
            continue
        result = _shell(command, folder, check=False)
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        outcome = "ran" if result.returncode == 0 else f"status {result.returncode}"
        yield outcome, shown, time.monotonic() - start, " ".join(words)


def _shell(command: str, folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{here}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "MPLBACKEND": "Agg",
    }
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, check=check,
        capture_output=True, text=True,
    )  # fmt: skip


def main() -> int:
    """Run the pages of the command line, or all."""
    folder = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    make_stand_ins(folder / "stand-ins")
    failed = 0
    for path in pages():
        page = str(path.relative_to(ROOT))
        if (wanted and page not in wanted) or not (command_lines(path) or python_code(path)):
            continue
        print(f"== {page}", flush=True)
        for outcome, command, seconds, words in run_page(
            path, folder / page.replace("/", "_"), folder / "stand-ins"
        ):
            failed += outcome.startswith("status")
            print(f"  {outcome:<9} {seconds:5.0f} s  {command}", flush=True)
            if outcome != "ran":
                print(f"            {words}", flush=True)
    print(f"{failed} failed")
    return min(failed, 99)


if __name__ == "__main__":
    sys.exit(main())
