"""Runs of a tiny localizer: schedule, log, resumption, refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from training_samples import RECIPE, WIDTHS, random_layers, tiny_config

from fermi_unek.diffuse.template import DiffuseShape, SkyTemplate
from fermi_unek.errors import ConfigError
from fermi_unek.irf.observation import Observation
from fermi_unek.nets.localizer import Localizer
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.nets.weights import load_localizer
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.selection import EVENT_TYPES
from fermi_unek.training.localizer import dataset, skies, train
from fermi_unek.training.localizer.dataset import Batch, PatchDataset, batches
from fermi_unek.training.localizer.skies import SkyPatches, default_recipes, make_patches
from fermi_unek.training.localizer.train import (
    Trainer,
    calibration_recipes,
    start_from,
    train_localizer,
)
from fermi_unek.training.loop import learning_rate


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sky that `tiny_config` asks for, made of a few sources."""
    folder = tmp_path_factory.mktemp("dataset")
    asked = tiny_config(folder, folder)
    (recipe,) = default_recipes(
        asked.skies, asked.patches, asked.sky_seed, asked.backgrounds, asked.structure
    )
    with pytest.MonkeyPatch.context() as patch:
        models = random_layers()
        patch.setattr(skies, "make_sky_models", lambda recipe, data_dir: models)
        make_patches(recipe, folder, None)
    yield folder
    assert len(list(folder.iterdir())) == 1, "a run has simulated a sky of its own"


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
    config = tiny_config(tmp_path, bank, steps=40, lr=1e-2)
    trainer = Trainer(config, opened(bank), tmp_path / "checkpoint.pt")
    (batch,) = batches(PatchDataset(opened(bank), 2, 2, 1), ModelSpec(WIDTHS))
    entropies = []
    for _ in range(40):
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
    models = random_layers(1, 300)
    monkeypatch.setattr(skies, "make_sky_models", lambda recipe, data_dir: models)
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


@pytest.mark.parametrize("number", [3, 9, 11])
def test_inputs_are_fitted_to_ten_years_of_the_patches_in_the_pixels_shown(bank, tmp_path, number):
    trainer = Trainer(tiny_config(tmp_path, bank), opened(bank), tmp_path / "checkpoint.pt")
    k, b = divmod(number, N_BINS)
    counts = np.asarray(opened(bank)[0].counts[k][b], float) * 10.0 / 16.0
    if k:  # the second layer is shown in pixels of half as many
        counts = counts[:, ::2, ::2] + counts[:, 1::2, ::2] + counts[:, ::2, 1::2] + (
            counts[:, 1::2, 1::2])  # fmt: skip
    stable = 2.0 * np.sqrt(counts + 0.375)
    module = trainer.network.inputs[number]
    assert float(module.mean) == pytest.approx(stable.mean(), rel=0.1)
    assert float(module.scale) == pytest.approx(stable.std(), rel=0.3)


# --- the template and the start


def test_a_run_says_which_diffuse_shape_it_was_told_of(bank, tmp_path, monkeypatch):
    told, flat = [], {}

    def named(name: str) -> DiffuseShape:
        told.append(name)
        galactic = tuple(np.ones(12 * n**2, np.float32) for n in BINNING.template_nsides)
        return DiffuseShape(galactic, dict.fromkeys(EVENT_TYPES, (1.0,) * N_BINS), True)

    def seen(shape: DiffuseShape, observation: Observation) -> SkyTemplate:
        flat[observation.event_type] = shape
        return SkyTemplate(shape.galactic)

    monkeypatch.setattr(train, "load_shape", named)
    monkeypatch.setattr(dataset, "expected_template", seen)
    path = train_localizer(tiny_config(tmp_path / "run", bank, steps=2, template="mine"))
    assert load_localizer(path).provenance["template"] == "mine"
    assert set(told) == {"mine"}
    assert set(flat) <= {"front", "back", "all"}
    assert flat


def test_a_network_starts_from_another_of_its_spec_and_from_no_other():
    torch.manual_seed(3)
    old, new = (Localizer(ModelSpec(WIDTHS)).eval() for _ in range(2))
    assert not torch.equal(old.down0[0].weight, new.down0[0].weight)
    start_from(new, old)
    for name, value in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], value)
    for other in (Localizer(ModelSpec((8, 8, 8, 12))), torch.nn.Linear(2, 2)):
        with pytest.raises(ConfigError, match=r"cannot start from one of"):
            start_from(new, other)


def test_a_wider_network_starts_as_the_narrow_one_and_uses_its_new_filters(bank):
    torch.manual_seed(4)
    narrow, wide = Localizer(ModelSpec(WIDTHS)), Localizer(ModelSpec((12, 16, 9, 8)))
    (batch,) = batches(PatchDataset(opened(bank), 4, 4, 1), narrow.spec)
    narrow(batch.given)  # running means that are not those of a new network
    start_from(wide, narrow)
    with torch.no_grad():
        expected = narrow.eval()(batch.given)
        torch.testing.assert_close(wide.eval()(batch.given), expected, rtol=1e-4, atol=1e-5)
    wide.train()(batch.given).square().mean().backward()
    for block, parts in ((wide.up1, ((8, 9), (8, 16))), (wide.up0, ((8, 12), (8, 12)))):
        kernel = block[0].weight
        start = 0
        for old, new in parts:
            fresh = slice(start + old, start + new)
            assert not kernel[:8, fresh].any()
            assert kernel.grad[:8, fresh].abs().sum() > 0
            start += new


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_trains_all_but_its_running_means(bank, tmp_path, frozen):
    start = train_localizer(tiny_config(tmp_path / "first", bank, steps=2))
    config = tiny_config(tmp_path / "second", bank, steps=3, start=start, frozen_norm=frozen)
    before, after = tensors(start), tensors(train_localizer(config))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"down0.0.weight", "down0.1.weight", "head.2.bias"} <= changed
    assert any("running_" in name for name in changed) != frozen


def test_a_random_network_has_no_means_to_freeze(bank, tmp_path):
    with pytest.raises(ConfigError, match=r"frozen_norm: a random network has no running means"):
        train_localizer(tiny_config(tmp_path, bank, frozen_norm=True))


def test_several_processes_are_given_no_minutes(bank, tmp_path, monkeypatch):
    several = Accelerator(cpu=True)
    monkeypatch.setattr(type(several), "num_processes", property(lambda self: 2))
    with pytest.raises(ConfigError, match=r"minutes: several processes have no clock in common"):
        Trainer(tiny_config(tmp_path, bank, minutes=1.0), opened(bank), tmp_path / "c.pt")


def test_a_run_ends_with_its_minutes_and_a_low_rate(bank, tmp_path, monkeypatch):
    """By a clock on which every step takes a second."""
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=count().__next__))
    config = tiny_config(tmp_path / "run", bank, steps=10**6, minutes=0.5)
    path = train_localizer(config)
    (*_, last) = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert last["seconds"] == last["step"] == 30
    assert last["lr"] < 0.05 * config.lr
    assert load_localizer(path).provenance["steps"] == str(last["step"])


def test_a_run_on_patches_in_memory_goes_on_as_it_would_have(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 2)

    def run(name: str) -> Path:
        config = tiny_config(tmp_path / name, bank, steps=4)
        trainer = Trainer(config, opened(bank), tmp_path / f"{name}.pt")
        trainer.resident = True
        return trainer.run()

    whole = tensors(run("whole"))
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(Killed):
            run("killed")
    resumed = tensors(run("killed"))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-6, atol=1e-7)


def test_a_third_of_the_calibration_skies_are_of_quartiles_and_none_is_coarse(tmp_path):
    recipes = calibration_recipes(tiny_config(tmp_path, tmp_path, calibration_skies=9))
    assert [recipe.kept_apart for recipe, _ in recipes] == ["fb", "fb", "psf"] * 3
    assert {recipe.coarse for recipe, _ in recipes} == {None}
    # every way of looking has short live times too
    for kept_apart in ("fb", "psf"):
        years = [y for recipe, y in recipes if recipe.kept_apart == kept_apart]
        assert min(years) <= 1.0
        assert max(years) >= 10.0
    trained = {recipe.seed for recipe in default_recipes(2000, 1, 7, ["own"])}
    assert not trained & {recipe.seed for recipe, _ in recipes}


# --- several processes


def test_each_process_gets_its_half_of_a_batch_and_the_whole_filters(bank):
    loader = batches(PatchDataset(opened(bank), 8, 4, 1), ModelSpec(WIDTHS))
    shared = {"num_processes": 2, "split_batches": True, "put_on_device": True}
    halves = [
        prepare_data_loader(loader, torch.device("cpu"), process_index=k, **shared) for k in (0, 1)
    ]
    for whole, first, second in zip(loader, *halves, strict=True):
        assert len(first.target) == len(second.target) == 2
        assert torch.equal(torch.cat([first.target, second.target]), whole.target)
        for layer, one, other in zip(whole.given, first.given, second.given, strict=True):
            for b in range(N_BINS):
                assert torch.equal(torch.cat([one.counts[b], other.counts[b]]), layer.counts[b])
                for given in (one, other):
                    for found, expected in zip(given.filters[b], layer.filters[b], strict=True):
                        assert torch.equal(found, expected)


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
        config = tiny_config(tmp_path / f"of{number}", bank, steps=8, batch=8, lr=1e-2)
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
    assert len(one) == len(two) == 8
    np.testing.assert_allclose(two, one, rtol=0.1)
    assert np.corrcoef(one, two)[0, 1] > 0.8
    assert np.any(one != two)
