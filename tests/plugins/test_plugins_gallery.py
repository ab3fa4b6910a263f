"""The worked examples of the documentation run from beginning to end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("plot_fermipy_seed_step.py", "SpectrumType   : PowerLaw"),
        ("plot_gammapy_estimator.py", "Region: EllipseSkyRegion"),
        ("plot_refit.py", "SpectrumType   : LogParabola"),
    ],
)
def test_a_worked_example_runs(script, said, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", GALLERY / script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert list(tmp_path.iterdir()) == []  # what a page writes lies in a temporary folder
