"""What a plain `pip install fermi-unek` must do: no fermipy is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from astropy.io import fits

import fermi_unek

# read by Python at its start, before anything of ours
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fermipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module")
def without_fermipy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hide")
    (folder / "sitecustomize.py").write_text(HIDE)
    source = Path(fermi_unek.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{source}"}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
        )

    assert "No module named 'fermipy'" in run("-c", "import fermipy").stderr
    return run


@pytest.mark.slow
def test_simulate_find_and_compare_need_no_fermipy(without_fermipy, tmp_path):
    sky, found = tmp_path / "sky", tmp_path / "catalog.fits"
    region = "--region=80,18,4"
    for command in (
        ["simulate", "-o", sky, region, "--extended", "--seed=1", "--background=own"],
        ["find", *(sky / f"counts_bin{b}.fits" for b in range(6)), "-o", found, region],
        ["compare", found, "-o", tmp_path / "compared"],
    ):
        done = without_fermipy("-m", "fermi_unek", *map(str, command))
        assert done.returncode == 0, done.stderr
    assert len(fits.getdata(found, 1)) > 3
    assert any(name.startswith("4FGL") for name in fits.getdata(found, 1)["ASSOC_FGL"])


@pytest.mark.slow
def test_the_demo_needs_no_fermipy(without_fermipy, tmp_path):
    done = without_fermipy("-m", "fermi_unek", "demo", "--output", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr


def test_the_plain_requirements_name_neither_fermipy_nor_caps():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    plain = project["dependencies"]
    assert not [text for text in plain if re.match(r"(fermipy|six)\b", text)]
    assert not [text for text in plain if "<" in text]
    assert "fermipy" in project["optional-dependencies"]["dev"][0]
