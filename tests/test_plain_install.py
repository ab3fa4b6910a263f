"""What a plain `pip install fermi-unek` must do: no fermipy is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from astropy.io import fits

import fermi_unek
from fermi_unek.pipeline import demo_sample

# read by Python at its start, before anything of ours
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fermipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


COMMANDS = """
import json, sys
from fermi_unek.cli import main

assert "fermipy" not in sys.modules
try:
    import fermipy
except ModuleNotFoundError:
    for command in json.loads(sys.argv[1]):
        main(command, standalone_mode=False)
"""


@pytest.mark.slow
def test_find_and_compare_need_no_fermipy(tmp_path):
    """That nothing else does, tests/test_layers.py sees in the imports."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    source = Path(fermi_unek.__file__).parents[1]
    found = tmp_path / "found.fits"
    commands = [
        ["find", *demo_sample()[0], "-o", found, "--region=81.6,15.3,1"],
        ["compare", found, "-o", tmp_path / "compared"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands, default=str)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{source}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(fits.getdata(found, 1)) > 0
    assert (tmp_path / "compared" / "summary.txt").is_file()


def test_the_plain_requirements_name_neither_fermipy_nor_caps():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    plain = project["dependencies"]
    assert not [text for text in plain if re.match(r"(fermipy|six)\b", text)]
    assert not [text for text in plain if "<" in text]
    assert "fermipy" in project["optional-dependencies"]["dev"][0]
