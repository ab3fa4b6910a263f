"""What every test file shares: where the real data lie, and quiet single-threaded numerics."""

from __future__ import annotations

import atexit
import copy
import hashlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# tests compare seconds of work; a pool of threads per library only slows them down
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# figures are written to files, never shown
os.environ.setdefault("MPLBACKEND", "Agg")
# what commands keep for the next run goes to a folder that goes away, never into $HOME; workers of
# xdist have that of the process that started them
if "PYTEST_XDIST_WORKER" not in os.environ:
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


def _remembering(function: Callable, key_of: Callable) -> Callable:
    """The function, which is called once for each key and then gives copies of what it gave."""
    kept = {}

    def remembered(*arguments, **others):
        key = hashlib.sha256(pickle.dumps(key_of(*arguments))).digest()
        if key not in kept:
            kept[key] = function(*arguments, **others)
        return copy.deepcopy(kept[key])

    return remembered


@pytest.fixture(scope="session")
def one_look() -> Iterator[None]:
    """The network looks once at the same counts: its mask is kept for the searches that follow.

    For tests of what is made of a search; those of the search itself do without.
    """
    from fermi_unek.detect import find

    def key(sky, localizer, frames, scene, config=None):
        counts = [layer.bins for layer in sky.layers or (sky,)]
        given = scene.observed, bool(scene.templates)
        return counts, localizer.provenance, frames, given, config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "sky_mask", _remembering(find.sky_mask, key))
        yield


@pytest.fixture(scope="session")
def one_search() -> Iterator[None]:
    """The plugins search the same counts with the same settings once."""
    from fermi_unek.plugins import fermipy, gammapy

    def key(sky, config):
        names = [Path(name).name for name in sky.origin]
        layers = [(layer.bins, layer.event_type) for layer in sky.layers]
        return sky.bins, layers, names, sky.event_type, sky.counted_in, config

    with pytest.MonkeyPatch.context() as patch:
        for plugin in (fermipy, gammapy):
            patch.setattr(plugin, "search", _remembering(plugin.search, key))
        yield
