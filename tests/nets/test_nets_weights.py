"""Weights files: written, read back, and refused when they are something else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nets_samples import layers, templates
from safetensors.torch import save_file

from fermi_unek.errors import InputError, OutputError
from fermi_unek.nets import weights
from fermi_unek.nets.localizer import Localizer
from fermi_unek.nets.spec import ARCHITECTURES, ModelSpec
from fermi_unek.nets.weights import load_localizer, save_localizer
from fermi_unek.sky.binning import Binning

SPEC = ModelSpec((8, 12, 16, 20))


@pytest.fixture
def network() -> Localizer:
    torch.manual_seed(1)
    network = Localizer(SPEC)
    network.inputs[2].mean.fill_(3.25)
    return network.eval()


@pytest.fixture
def saved(network: Localizer, tmp_path: Path) -> Path:
    calibration = {"weights": [1.0, 2.0], "probability_nodes": [[0.1], [0.2], [0.3]]}
    return save_localizer(network, tmp_path / "mine.safetensors", {"steps": "7"}, calibration)


def test_a_network_read_back_is_the_one_that_was_written(network, saved):
    loaded = load_localizer(saved).network
    assert loaded.spec == SPEC
    assert not loaded.training
    for name, value in network.state_dict().items():
        # kernels are kept in half precision, everything else as it is
        rounded = value.half().float() if value.ndim == 4 else value
        torch.testing.assert_close(loaded.state_dict()[name], rounded, rtol=0, atol=0)
    batch = layers(1, 1, templates(1))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(batch), network(batch), rtol=1e-3, atol=1e-3)


def test_the_spec_of_a_network_travels_in_the_header(tmp_path):
    binning = Binning((1e3, 3e3, 1e4, 1e6), (16, 32, 64))
    spec = ModelSpec((8, 8, 8, 8), binning=binning)
    path = save_localizer(Localizer(spec), tmp_path / "other.safetensors", {})
    assert load_localizer(path).network.spec == spec


def test_an_architecture_that_is_not_known_is_refused(network, tmp_path):
    path = tmp_path / "later.safetensors"
    shape = json.dumps({"widths": SPEC.widths, "architecture": "transformer"})
    save_file(network.state_dict(), path, metadata=header(shape=shape))
    with pytest.raises(InputError, match=r"architecture 'transformer' is none of \['layers'\]"):
        load_localizer(path)


@pytest.mark.parametrize("told", [{}, {"architecture": "unet"}])
def test_weights_of_the_networks_before_layers_are_refused_in_one_line(network, tmp_path, told):
    path = tmp_path / "localizer-v5.safetensors"
    shape = json.dumps({"widths": SPEC.widths, "template": True, **told})
    save_file(network.state_dict(), path, metadata=header(shape=shape))
    with pytest.raises(InputError, match="'unet' is none of .* with another release") as caught:
        load_localizer(path)
    assert "\n" not in str(caught.value)


def test_history_checksum_and_calibration_come_back(saved):
    loaded = load_localizer(str(saved))
    checksum = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert loaded.provenance == {"model": "mine", "sha256": checksum, "steps": "7"}
    assert loaded.calibration == {
        "weights": [1.0, 2.0],
        "probability_nodes": [[0.1], [0.2], [0.3]],
    }


def test_history_cannot_pass_for_the_name_or_checksum_of_the_file(network, tmp_path):
    path = save_localizer(network, tmp_path / "a.safetensors", {"model": "b", "sha256": "0"})
    provenance = load_localizer(path).provenance
    assert provenance["model"] == "a"
    assert provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_without_calibration_the_mapping_is_empty(network, tmp_path):
    assert load_localizer(save_localizer(network, tmp_path / "x.st", {})).calibration == {}


def test_a_write_that_fails_leaves_what_was_there(network, saved, monkeypatch):
    before = saved.read_bytes()

    def fail(tensors, metadata):
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save", fail)
    with pytest.raises(OutputError, match="cannot be written .disk full"):
        save_localizer(network, saved, {})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_shipped_models_are_found_by_name_and_one_is_the_default(network, tmp_path, monkeypatch):
    shipped = tmp_path / "data" / "models"
    shipped.mkdir(parents=True)
    save_localizer(network, shipped / f"{weights.DEFAULT_LOCALIZER}.safetensors", {})
    monkeypatch.setattr(weights, "files", lambda package: tmp_path)
    for name in (None, weights.DEFAULT_LOCALIZER):
        assert load_localizer(name).provenance["model"] == weights.DEFAULT_LOCALIZER


def test_an_unknown_model_is_refused_with_the_names_that_are_known(network, tmp_path, monkeypatch):
    shipped = tmp_path / "data" / "models"
    shipped.mkdir(parents=True)
    save_localizer(network, shipped / "one.safetensors", {})
    monkeypatch.setattr(weights, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match=r"no model 'two': neither a file nor one of \['one'\]"):
        load_localizer("two")
    with pytest.raises(InputError, match=weights.DEFAULT_LOCALIZER):
        load_localizer()


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not weights at all")
    with pytest.raises(InputError, match="notes.txt is no weights file of a localizer"):
        load_localizer(path)


@pytest.mark.parametrize("left", [0, 5, 3000, -40])
def test_a_truncated_file_is_refused(saved, left):
    saved.write_bytes(saved.read_bytes()[:left])
    with pytest.raises(InputError, match="is no weights file of a localizer"):
        load_localizer(saved)


def header(**changes: str | None) -> dict[str, str]:
    whole = {
        "kind": "localizer",
        "shape": json.dumps(SPEC.as_mapping()),
        "history": "{}",
        "calibration": "{}",
    }
    return {k: v for k, v in {**whole, **changes}.items() if v is not None}


def shape_of(widths: list[int]) -> str:
    return json.dumps({"widths": widths, "architecture": "layers"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "classifier"}, "holds no localizer but 'classifier'"),
        ({"kind": None}, "holds no localizer but 'weights of unknown kind'"),
        ({"shape": None}, "is no weights file of a localizer"),
        ({"shape": "{"}, "is no weights file of a localizer"),
        ({"shape": shape_of([8, 12])}, "is no weights file of a localizer"),
        ({"shape": shape_of([8, 12, 16, 24])}, "is no weights file of a localizer"),
        ({"history": None}, "is no weights file of a localizer"),
        ({"calibration": "nothing"}, "is no weights file of a localizer"),
    ],
)
def test_a_file_of_another_kind_or_with_a_broken_header_is_refused(
    network, tmp_path, changes, message
):
    path = tmp_path / "other.safetensors"
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path, metadata=header(**changes))
    with pytest.raises(InputError, match=message):
        load_localizer(path)


def test_the_header_of_the_test_above_is_whole_when_nothing_is_changed(network, tmp_path):
    path = tmp_path / "whole.safetensors"
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path, metadata=header())
    assert load_localizer(path).network.spec == SPEC


def test_weights_with_tensors_missing_are_refused(network, tmp_path):
    path = tmp_path / "some.safetensors"
    tensors = {k: v.contiguous() for k, v in network.state_dict().items() if "down2" not in k}
    save_file(tensors, path, metadata=header())
    with pytest.raises(InputError, match="is no weights file of a localizer"):
        load_localizer(path)


def test_a_second_architecture_is_loaded_beside_the_first(network, saved, tmp_path, monkeypatch):
    class Wide(Localizer):
        """The same layers under another key."""

    monkeypatch.setitem(ARCHITECTURES, "wide", Wide)
    other = Wide(replace(SPEC, architecture="wide"))
    path = save_localizer(other, tmp_path / "wide.safetensors", {})
    assert type(load_localizer(path).network) is Wide
    assert type(load_localizer(saved).network) is Localizer
