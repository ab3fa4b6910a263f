"""What every test file shares: where the real data lie, and quiet single-threaded numerics."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# tests compare seconds of work; a pool of threads per library only slows them down
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# figures are written to files, never shown
os.environ.setdefault("MPLBACKEND", "Agg")
# what commands keep for the next run goes to a folder that goes away, never into $HOME
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fermi-unek-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

import pytest  # noqa: E402  (after the environment is set)

REPOSITORY = Path(__file__).resolve().parents[1]


def find_shared_data() -> Path | None:
    """Folder of the public Fermi data kept beside the project, or None where there is none."""
    named = os.environ.get("FERMI_UNEK_DATA")
    candidates = [Path(named)] if named else [REPOSITORY.parent / "shared" / "data"]
    for candidate in candidates:
        if (candidate / "MANIFEST.md").is_file() or (candidate / "real").is_dir():
            return candidate
    return None


@pytest.fixture(scope="session")
def shared_data_or_none() -> Path | None:
    """As `shared_data`, for tests that have less to do without."""
    return find_shared_data()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Path of the shared data; the test is skipped, saying so, where they are absent."""
    path = find_shared_data()
    if path is None:
        pytest.skip("shared Fermi data absent (looked at $FERMI_UNEK_DATA and ../shared/data)")
    return path
