"""Runs of a tiny localizer: schedule, log, resumption, refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
import pytest
import torch
from training_samples import RECIPE, WIDTHS, random_sky, tiny_config

from fermi_unek.errors import ConfigError
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.localizer import Localizer
from fermi_unek.nets.spec import ModelSpec, PatchBatch
from fermi_unek.nets.weights import load_localizer
from fermi_unek.sky.binning import BINNING
from fermi_unek.training.localizer import skies, train
from fermi_unek.training.localizer.dataset import Batch, PatchDataset, batches
from fermi_unek.training.localizer.skies import SkyPatches, make_patches
from fermi_unek.training.localizer.train import (
    Trainer,
    input_kernels,
    start_from,
    train_localizer,
)
from fermi_unek.training.loop import learning_rate


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        sky = random_sky()
        patch.setattr(skies, "make_sky_model", lambda recipe, data_dir: sky)
        folder = tmp_path_factory.mktemp("dataset")
        make_patches(replace(RECIPE, extended=True), folder, None)
        return folder


def opened(folder: Path) -> list[SkyPatches]:
    return [SkyPatches(path) for path in folder.iterdir()]


class Killed(Exception):
    """Stands for a signal in the middle of a run."""


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Trainer.train_step

    def step(self: Trainer, batch: Batch) -> None:
        if self.step == steps:
            raise Killed
        whole(self, batch)

    monkeypatch.setattr(Trainer, "train_step", step)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_localizer(path).network.state_dict()


def test_a_killed_run_that_is_resumed_ends_with_the_weights_of_an_uninterrupted_one(
    bank, tmp_path, monkeypatch
):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 2)
    whole = train_localizer(tiny_config(tmp_path / "whole", bank))
    with monkeypatch.context() as patch:
        killed_after(5, patch)
        with pytest.raises(Killed):
            train_localizer(tiny_config(tmp_path / "killed", bank))
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    resumed = train_localizer(tiny_config(tmp_path / "killed", bank), resume=True)
    expected, found = tensors(whole), tensors(resumed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)


def test_a_run_leaves_weights_a_log_and_a_checkpoint(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 4)
    out = tmp_path / "run"
    path = train_localizer(tiny_config(out, bank))
    assert path == out / "weights.safetensors"
    names = {p.name for p in out.iterdir()}
    assert names == {"weights.safetensors", "log.jsonl", "checkpoint.pt"}
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 6]
    assert all(np.isfinite(line["entropy"]) for line in lines)
    loaded = load_localizer(path)
    assert loaded.network.spec == ModelSpec(WIDTHS)
    assert loaded.provenance["steps"] == "6"
    assert loaded.provenance["skies"] == "1"


def test_training_lowers_the_loss_on_what_it_sees(bank, tmp_path):
    config = tiny_config(tmp_path, bank, steps=80, lr=1e-2)
    trainer = Trainer(config, opened(bank), tmp_path / "checkpoint.pt")
    (batch,) = batches(PatchDataset(opened(bank), 2, 1), 2)
    entropies = []
    for _ in range(80):
        trainer.train_step(batch)
        entropies.append(trainer.report()["entropy"])
    assert np.mean(entropies[-5:]) < 0.7 * np.mean(entropies[:5])


def test_an_existing_checkpoint_without_resume_is_refused_and_left_alone(bank, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"hours of work")
    with pytest.raises(ConfigError, match=r"checkpoint.pt exists; give --resume"):
        train_localizer(tiny_config(tmp_path, bank))
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"hours of work"


def test_resuming_without_a_checkpoint_starts_a_run(bank, tmp_path):
    path = train_localizer(tiny_config(tmp_path / "new", bank, steps=1), resume=True)
    assert path.is_file()


def test_resuming_a_finished_run_writes_its_weights_again(bank, tmp_path):
    config = tiny_config(tmp_path / "run", bank, steps=2)
    path = train_localizer(config)
    before = tensors(path)
    path.unlink()
    after = tensors(train_localizer(config, resume=True))
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_checkpoint_that_cannot_be_used_is_refused(bank, tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"step": 3}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint.pt is no checkpoint of a network of widths"):
        train_localizer(tiny_config(tmp_path, bank), resume=True)


def test_a_checkpoint_of_another_width_is_refused(bank, tmp_path):
    train_localizer(tiny_config(tmp_path / "run", bank, steps=1))
    wider = tiny_config(tmp_path / "run", bank, steps=1, widths=(8, 8, 8, 12))
    with pytest.raises(ConfigError, match=r"of widths \(8, 8, 8, 12\)"):
        train_localizer(wider, resume=True)


def test_patches_that_the_dataset_lacks_are_simulated_first(tmp_path, monkeypatch):
    sky = random_sky(1, 300)
    monkeypatch.setattr(skies, "make_sky_model", lambda recipe, data_dir: sky)
    config = tiny_config(tmp_path / "run", tmp_path / "bank", steps=1, skies=2, patches=1)
    train_localizer(config)
    recipes = sorted((s.recipe for s in opened(tmp_path / "bank")), key=lambda r: r.seed)
    assert [(r.seed, r.background, r.n_patches) for r in recipes] == [
        (7, "own-7", 1),
        (8, "own-8", 1),
    ]
    assert RECIPE.background == "own-7"


def test_two_runs_of_one_seed_are_alike_and_of_another_differ(bank, tmp_path):
    paths = [
        train_localizer(tiny_config(tmp_path / name, bank, steps=1, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = (tensors(p)["down0.0.weight"] for p in paths)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_the_rate_rises_and_falls_down_to_a_hundredth():
    rates = np.array([learning_rate(s, 1000) for s in range(1000)])
    assert rates[0] == pytest.approx(1 / 200, rel=0.01)
    assert rates.max() == pytest.approx(1.0, abs=0.1)
    peak = int(rates.argmax())
    assert np.all(np.diff(rates[:peak]) > 0)
    assert np.all(np.diff(rates[peak:]) < 0)
    assert rates[-1] == pytest.approx(0.01, abs=0.001)
    assert learning_rate(0, 1) == pytest.approx(1.0)


def test_inputs_are_fitted_to_ten_years_of_the_patches(bank, tmp_path):
    trainer = Trainer(tiny_config(tmp_path, bank), opened(bank), tmp_path / "checkpoint.pt")
    counts = np.asarray(opened(bank)[0].counts[3], float) * 10.0 / 16.0
    stable = 2.0 * np.sqrt(counts + 0.375)
    module = trainer.network.inputs[3]
    assert float(module.mean) == pytest.approx(stable.mean(), rel=0.1)
    assert float(module.scale) == pytest.approx(stable.std(), rel=0.3)


def test_the_matched_filter_of_each_bin_is_the_psf_and_the_background_wider():
    front = load_instrument().front
    for b, n_pixels in enumerate((32, 32, 64, 128, 128, 128)):
        core, wide = input_kernels(front, b, 10.0 / n_pixels)
        for kernel in (core, wide):
            assert kernel.sum() == pytest.approx(1.0)
        width = [np.sqrt((k.sum(axis=0) * _places(k) ** 2).sum()) for k in (core, wide)]
        assert width[1] > 1.4 * width[0]
        assert core.max() > wide.max()


def _places(kernel: np.ndarray) -> np.ndarray:
    return np.arange(len(kernel)) - len(kernel) // 2


# --- the template


def test_a_network_with_a_template_is_trained_and_keeps_it(tmp_path, monkeypatch):
    sky = random_sky(1, 300)
    monkeypatch.setattr(skies, "make_sky_model", lambda recipe, data_dir: sky)
    config = tiny_config(tmp_path / "run", tmp_path / "bank", steps=2, template="own")
    loaded = load_localizer(train_localizer(config))
    assert loaded.network.spec == ModelSpec(WIDTHS, template=True)
    assert loaded.provenance["template"] == "own"
    wide = torch.from_numpy(loaded.template[0]).float()
    assert float(wide.mean()) == pytest.approx(1.0, rel=1e-3)
    # the plane is far brighter than the poles
    lat = np.degrees(np.pi / 2 - hp.pix2ang(128, np.arange(len(wide)), nest=True)[0])
    assert float(wide[np.abs(lat) < 2].mean()) > 5 * float(wide[np.abs(lat) > 60].mean())


def test_a_network_with_a_template_starts_as_one_without_says(tmp_path):
    torch.manual_seed(3)
    old = Localizer(ModelSpec(WIDTHS)).eval()
    new = Localizer(ModelSpec(WIDTHS, template=True)).eval()
    start_from(new, old)
    rng = np.random.default_rng(0)
    counts = [torch.from_numpy(rng.poisson(3.0, (2, n, n))).float() for n in BINNING.pixels]
    masks = [torch.ones_like(c) for c in counts]
    template = [torch.from_numpy(rng.random((2, n, n))).float() for n in BINNING.template_pixels]
    with torch.inference_mode():
        torch.testing.assert_close(
            new(PatchBatch(counts, masks, template)), old(PatchBatch(counts, masks))
        )


def test_a_network_of_other_widths_is_no_start():
    with pytest.raises(ConfigError, match=r"cannot start from one of"):
        start_from(
            Localizer(ModelSpec((8, 8, 8, 12), template=True)),
            Localizer(ModelSpec(WIDTHS, template=True)),
        )


# --- several processes


@pytest.mark.slow
def test_two_processes_train_as_one_does_on_the_same_batches(bank, tmp_path, monkeypatch):
    """torchrun with gloo: each sees half of every batch, and batch norm half of the patches."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from fermi_unek.config import TrainConfig, load_yaml\n"
        "from fermi_unek.training.localizer import train\n"
        "train.CHECKPOINT_EVERY = 1\n"
        "train.train_localizer(load_yaml(sys.argv[1], TrainConfig))\n"
    )
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 1)
    curves = []
    for number in (1, 2):  # one is this process itself
        config = tiny_config(tmp_path / f"of{number}", bank, steps=16, batch=8, lr=1e-2)
        if number == 1:
            train_localizer(config)
        else:
            path = tmp_path / "of2.yaml"
            path.write_text(config.model_dump_json())
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
            where = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", str(script), str(path)]
            subprocess.run([*torchrun, *where], check=True, timeout=300)
        lines = (Path(config.out) / "log.jsonl").read_text().splitlines()
        curves.append([json.loads(line)["entropy"] for line in lines])
    one, two = np.array(curves)
    assert len(one) == len(two) == 16
    np.testing.assert_allclose(two, one, rtol=0.1)
    assert np.corrcoef(one, two)[0, 1] > 0.8
