"""What every test file shares: where the real data lie, and quiet single-threaded numerics."""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def one_look() -> Iterator[None]:
    """The network looks once at the same counts: its mask is kept for the searches that follow.

    For tests of what is made of a search; those of the search itself do without.
    """
    from fermi_unek.detect import find

    sky_mask, kept = find.sky_mask, {}

    def remembered(sky, localizer, frames, scene, config=None, **others):
        counts = [layer.bins for layer in sky.layers or (sky,)]
        given = [scene.observed, bool(scene.templates)]
        look = pickle.dumps([counts, localizer.provenance, frames, given, config])
        key = hashlib.sha256(look).digest()
        if key not in kept:
            kept[key] = sky_mask(sky, localizer, frames, scene, config, **others)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "sky_mask", remembered)
        yield
