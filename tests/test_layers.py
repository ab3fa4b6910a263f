"""Imports go one way: from the outer layers to the inner ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import fermi_unek

ROOT = Path(fermi_unek.__file__).parent

RANKS = {
    "errors": 0,
    "memory": 1,
    "outputs": 0,
    "plots": 0,
    "progress": 0,
    "parallel": 1,
    "sky": 2,
    "nets": 3,
    "irf": 3,
    "diffuse": 4,
    "catalog": 4,
    "config": 5,  # of catalogs it asks where a named source is
    "detect": 6,
    "classify": 6,
    "measure": 6,
    "associate": 6,
    "simulate": 7,
    "training": 8,
    "evaluate": 8,
    "report": 9,
    "pipeline": 10,
    "plugins": 11,
    "cli": 11,
    "__init__": 12,
    "__main__": 12,
}
"""Rooms of the package and how far out they lie (docs/design.md)."""

HOMES = {
    "torch": {"nets", "training", "detect", "classify"},
    "astroquery": {"associate"},
    "click": {"cli"},
}
"""Rooms that may import a library at all."""

LAZY = {"fermipy": {"plugins"}, "matplotlib": set(RANKS)}
"""Rooms that may import a library inside a function only."""

PLOT_MODULES = ("plots", "report")
"""How the names of modules that draw end."""


class Import(NamedTuple):
    """One import statement: who, what (dotted, from the top), and whether inside a function."""

    room: str
    module: str
    target: str
    lazy: bool
    where: str


def _imports(path: Path, root: Path = ROOT) -> Iterator[Import]:
    parts = path.relative_to(root).with_suffix("").parts
    package = ("fermi_unek", *parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(outer)
    }
    typing_only = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.If) and ast.unparse(outer.test).endswith("TYPE_CHECKING")
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            # `from .. import sky` names rooms, `from ..sky import bins` a room's module
            names = [alias.name for alias in node.names]
            targets = [f"{stem}.{name}" for name in names] if stem == "fermi_unek" else [stem]
        else:
            continue
        lazy = id(node) in inside or id(node) in typing_only
        for target in targets:
            where = f"{path.relative_to(root)}:{node.lineno}"
            yield Import(parts[0], parts[-1], target, lazy, where)


@cache
def _all_imports() -> list[Import]:
    return [one for path in sorted(ROOT.rglob("*.py")) for one in _imports(path)]


def _breaks_rank(one: Import) -> bool:
    """Whether an import of ours goes sideways or outwards."""
    parts = one.target.split(".")
    if parts[0] != "fermi_unek" or len(parts) < 2:
        return False
    if parts[1] not in RANKS:  # a name of fermi_unek/__init__.py, such as __version__
        return False
    if parts[1] in (one.room, "errors"):
        return False
    return RANKS[parts[1]] >= RANKS[one.room]


def _breaks_home(one: Import) -> bool:
    """Whether a library is imported outside the rooms it lives in, or not lazily."""
    library = one.target.split(".")[0]
    if library in HOMES and one.room in HOMES[library]:
        return False
    if one.lazy and one.room in LAZY.get(library, set()):
        return library == "matplotlib" and not one.module.endswith(PLOT_MODULES)
    if library == "matplotlib":
        return not one.module.endswith(PLOT_MODULES)
    return library in HOMES or library in LAZY


def test_every_room_of_the_package_has_a_rank():
    found = {path.stem if path.is_file() else path.name for path in ROOT.iterdir()}
    rooms = found - {"__pycache__", "data", "py"}
    assert rooms <= set(RANKS)


def test_imports_go_to_lower_ranks_only():
    assert [one for one in _all_imports() if _breaks_rank(one)] == []


def test_the_wall_between_what_looks_at_photons_and_what_makes_them_stands():
    seen = [one for one in _all_imports() if one.target.startswith("fermi_unek.simulate")]
    behind = {"detect", "classify", "measure", "associate", "report", "irf", "diffuse", "sky"}
    assert [one for one in seen if one.room in behind] == []


def test_libraries_stay_in_the_rooms_that_need_them():
    assert [one for one in _all_imports() if _breaks_home(one)] == []


@pytest.mark.parametrize(
    ("file", "line", "caught"),
    [
        ("sky/a.py", "from ..nets import unet", True),
        ("sky/a.py", "from .. import catalog", True),
        ("sky/a.py", "import fermi_unek.detect.find", True),
        ("sky/a.py", "from ..errors import InputError", False),
        ("sky/a.py", "from .bins import N_BINS", False),
        ("sky/a.py", "from fermi_unek.sky.bins import N_BINS", False),
        ("detect/a.py", "from ..sky.bins import N_BINS", False),
        ("detect/a.py", "def f():\n    from ..evaluate import match", True),
        ("sky/a.py", "import torch", True),
        ("sky/a.py", "def f():\n    import torch", True),
        ("nets/a.py", "import torch.nn", False),
        ("pipeline.py", "import torch", True),
        ("pipeline.py", "def f():\n    import torch", True),
        ("report.py", "def f():\n    from .pipeline import search", True),
        ("catalog/a.py", "from fermipy.catalog import Catalog", True),
        ("catalog/a.py", "def f():\n    import fermipy", True),
        ("plugins/a.py", "import fermipy", True),
        ("plugins/a.py", "def f():\n    import fermipy", False),
        ("evaluate/plots.py", "import matplotlib.pyplot", False),
        ("evaluate/match.py", "def f():\n    import matplotlib", True),
    ],
)
def test_the_rule_itself_sees_what_it_should(tmp_path, file, line, caught):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line + "\n")
    broken = [one for one in _imports(path, tmp_path) if _breaks_rank(one) or _breaks_home(one)]
    assert bool(broken) is caught


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = "torch", "gammapy", "fermipy", "matplotlib", "astropy", "healpy", "sklearn"
    code = f"import sys, fermi_unek.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
