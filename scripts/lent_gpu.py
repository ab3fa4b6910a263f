"""Train a localizer on a machine that is lent for minutes and has nothing installed.

    python scripts/lent_gpu.py pack DATASET FOLDER      # here: each sky of a dataset in 9 MB
    python scripts/lent_gpu.py train FOLDER CONFIG OUT  # there, with minutes in CONFIG

What the machine lacks travels as wheels (healpy, astropy and its needs, regions, mocpy, pydantic),
some 40 MB with this package. Skies may be added to FOLDER while it trains. OUT gets
`latest.safetensors` every 250 steps, so that a run that is cut off leaves something, and
`weights.safetensors`.
"""

from __future__ import annotations

import json
import lzma
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import Pool
from multiprocessing.pool import AsyncResult
from pathlib import Path

import numpy as np

from fermi_unek.config import TrainConfig, load_yaml
from fermi_unek.diffuse.template import load_shape
from fermi_unek.nets.weights import save_localizer
from fermi_unek.outputs import replacing
from fermi_unek.training.localizer import train
from fermi_unek.training.localizer.resident import ResidentSky, Templates, cut_templates
from fermi_unek.training.localizer.skies import SkyPatches

_EVERY = 250
_LEAST_SKIES = 8
_PLACES = np.float32(512)
_MOST_TS = np.float32(6e4)


def pack(dataset: Path, folder: Path) -> None:
    """Write each sky of a dataset as one small file; counts as two planes of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for sky in sorted(path.parent for path in dataset.glob("sky*/recipe.json")):
        out = folder / f"{sky.name}.pkl"
        if out.exists():
            continue
        truth = dict(np.load(sky / "truth.npz"))
        truth |= {axis: np.round(truth[axis] * _PLACES) / _PLACES for axis in "xy"}
        truth["ts_per_year"] = np.minimum(truth["ts_per_year"], _MOST_TS).astype(np.float16)
        parts = {"truth": _packed(pickle.dumps(truth)), "recipe": (sky / "recipe.json").read_text()}
        planes = {path.name: np.load(path) for path in sorted(sky.glob("*.npy"))}
        halves = {
            name: (a.shape, a.dtype.str, *(_packed(b.tobytes()) for b in _bytes_of(a)))
            for name, a in planes.items()
        }
        with replacing(out) as temporary:
            Path(temporary).write_bytes(pickle.dumps((parts, halves)))


def _packed(raw: bytes) -> bytes:
    return lzma.compress(raw, preset=4)


def _bytes_of(array: np.ndarray) -> list[np.ndarray]:
    """The lower and higher bytes apart: the latter are nearly all zero."""
    return [array.view(np.uint8)[..., k :: array.itemsize] for k in range(array.itemsize)]


def unpack(path: Path, skies: Path) -> Path:
    """Bring one sky back as a folder of a dataset, with its templates cut."""
    parts, halves = pickle.loads(path.read_bytes())
    sky = skies / path.stem
    sky.mkdir(parents=True, exist_ok=True)
    for name, (shape, dtype, *planes) in halves.items():
        raw = np.stack([np.frombuffer(lzma.decompress(p), np.uint8) for p in planes], axis=-1)
        np.save(sky / name, np.ascontiguousarray(raw).view(dtype).reshape(shape))
    truth = pickle.loads(lzma.decompress(parts["truth"]))
    truth["ts_per_year"] = truth["ts_per_year"].astype(np.float32)
    np.savez(sky / "truth.npz", **truth)
    (sky / "recipe.json").write_text(parts["recipe"])
    templates = cut_templates(SkyPatches(sky), load_shape())
    (sky / "templates.pkl").write_bytes(pickle.dumps(templates))
    return sky


class LentTrainer(train.Trainer):
    """Takes in skies as they are ready, and leaves the weights so far at each report."""

    def __init__(self, config: TrainConfig, out: Path, arrived: Callable[[int], list[Path]]):
        self.out, self.arrived = out, arrived
        self.first = arrived(_LEAST_SKIES)
        skies = [SkyPatches(path) for path in self.first]
        super().__init__(config, skies, Path(config.out) / "checkpoint.pt")
        self.resident = True

    def resident_skies(self) -> list[ResidentSky]:
        self.here = [self._resident(path) for path in self.first]
        return self.here

    def _resident(self, path: Path) -> ResidentSky:
        templates: Templates = pickle.loads((path / "templates.pkl").read_bytes())
        return ResidentSky(SkyPatches(path), templates, self.accelerator.device)

    def report(self) -> dict[str, float]:
        self.here += [self._resident(path) for path in self.arrived(0)]
        self.skies = [sky.patches for sky in self.here]
        told = super().report() | {"skies": len(self.here)}
        print(json.dumps(told), flush=True)
        save_localizer(self.averaged, self.out / "latest.safetensors", self._history())
        return told


def run(folder: Path, config: TrainConfig, out: Path) -> None:
    """Unpack what is in `folder` or comes there, and train meanwhile."""
    train.CHECKPOINT_EVERY = _EVERY
    Path(config.out).mkdir(parents=True, exist_ok=True)
    if not any(folder.glob("*.pkl")):
        sys.exit(f"{folder} holds no packed sky")
    jobs: dict[Path, AsyncResult[Path]] = {}
    taken: set[Path] = set()
    with tempfile.TemporaryDirectory() as skies, Pool() as pool:

        def arrived(least: int) -> list[Path]:
            while True:
                for path in set(folder.glob("*.pkl")) - jobs.keys():
                    jobs[path] = pool.apply_async(unpack, (path, Path(skies)))
                ready = [p for p, job in jobs.items() if p not in taken and job.ready()]
                if len(ready) >= min(least, len(jobs)):
                    taken.update(ready)
                    return [jobs[path].get() for path in ready]
                time.sleep(0.2)

        weights = LentTrainer(config, out, arrived).run()
    (out / "weights.safetensors").write_bytes(weights.read_bytes())


if __name__ == "__main__":
    what, *names = sys.argv[1:]
    if what == "pack":
        pack(*map(Path, names))
    else:
        run(Path(names[0]), load_yaml(Path(names[1]), TrainConfig), Path(names[2]))
