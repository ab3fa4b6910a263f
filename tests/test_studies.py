"""Studies and benchmarks follow the package: each can be loaded, and the index names them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(
    path for folder in ("studies", "benchmarks", "scripts") for path in (ROOT / folder).glob("*.py")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_study_loads_with_the_package_as_it_is(path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location(f"_loaded_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.__doc__


def test_the_index_names_every_study():
    index = (ROOT / "studies" / "README.md").read_text()
    studies = [path.name for path in (ROOT / "studies").iterdir() if path.suffix in (".py", ".sh")]
    assert [name for name in studies if f"`{name}`" not in index] == []


def _verify():
    spec = importlib.util.spec_from_file_location("verify", ROOT / "studies" / "verify.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify"] = module
    spec.loader.exec_module(module)
    return module


def test_the_figures_that_are_guarded_stand_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    said = [figure.says for _, figures in _verify().runs() for figure in figures]
    assert len(said) > 10
    assert [words for words in said if words not in readme] == []


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("fb 3 found\n DR2 4-10 sigma 0.851, above 1", "ok, 0.851"),
        ("fb 3 found\n DR2 4-10 sigma 0.801, above 1", "MOVED from 0.86 to 0.801"),
        ("fb", "is not printed any more"),
    ],
)
def test_a_figure_that_moved_is_told(printed, verdict):
    figure = _verify().Figure("86%", r"^fb .*\n.*sigma ([\d.]+)", 0.86, 0.02)
    assert figure.verdict(f"head\n{printed}") == verdict
