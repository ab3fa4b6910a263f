"""The classifier's features and its weights file."""

from __future__ import annotations

import pytest
import torch

from fermi_unek.errors import InputError
from fermi_unek.nets.classifier import (
    N_SPECTRUM,
    Classifier,
    ClassifierInput,
    ClassifierShape,
    reference_spectrum,
    spectrum_features,
    year_features,
)
from fermi_unek.nets.classifier_weights import load_classifier, save_classifier
from fermi_unek.nets.localizer import Localizer
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.nets.weights import find_model, kind_of, save_localizer

SHAPE = ClassifierShape(hidden=8, filters=4, year_units=6, members=2)


def constant_light(number: int = 3, years: int = 5) -> ClassifierInput:
    """A power law of index 2.4 that shines steadily through exposures that differ by year."""
    exposure = 1e10 * torch.linspace(1.0, 2.0, years)[None, :, None].expand(number, years, 6)
    net = 1e-9 * reference_spectrum(exposure) * exposure
    total = net.sum(dim=1)
    return ClassifierInput(
        torch.ones(number, 6, 12, 12), torch.ones(number, 6), torch.zeros(number, 6), net, net,
        torch.sqrt(total + 5.0), total, torch.sqrt(total + 5.0), torch.full((number, 6), 5.0),
        exposure.contiguous(), torch.full((number,), 0.9), torch.full((number, 2), 0.5),
    )  # fmt: skip


def test_steady_light_deviates_in_no_year_whatever_its_exposure():
    features, present = year_features(constant_light())
    assert present.all()
    torch.testing.assert_close(features[..., :8], torch.zeros(3, 5, 8), atol=1e-3, rtol=0)


def test_a_flare_shows_in_its_year_alone():
    given = constant_light()
    net = given.net.clone()
    net[:, 2] *= 4.0
    z = year_features(given._replace(net=net))[0][..., 7]
    assert (z[:, 2] > 2.0).all()
    assert (z[:, [0, 1, 3, 4]] < 0.0).all()


def test_the_reference_spectrum_has_one_ratio_in_all_bins():
    features = spectrum_features(constant_light())
    assert features.shape == (3, N_SPECTRUM)
    torch.testing.assert_close(features[:, :6], torch.full((3, 6), torch.asinh(torch.ones(()))))
    torch.testing.assert_close(features[:, 48], torch.full((3,), torch.log(torch.tensor(10.0))))


def test_the_mean_of_the_members_is_what_comes_out():
    torch.manual_seed(0)
    network = Classifier(SHAPE).eval()
    given = constant_light()
    parts = torch.stack([member(given) for member in network.members])
    torch.testing.assert_close(network(given), parts.mean(dim=0))


@pytest.mark.parametrize("shape", [{"filters": 0}, {"year_units": 0}])
def test_a_branch_can_be_left_out(shape):
    assert Classifier(ClassifierShape(hidden=4, **shape)).eval()(constant_light()).shape == (3, 5)


def test_what_the_localizer_saw_is_looked_at_where_it_is_known():
    torch.manual_seed(2)
    network = Classifier(ClassifierShape(hidden=4, filters=0, year_units=0, finder=True)).eval()
    given = constant_light()
    mask = torch.tensor([[0.2, 0.05], [0.9, 0.3], [float("nan"), float("nan")]])
    logits = network(given._replace(mask=mask))
    assert logits.shape == (3, 6)
    assert torch.isfinite(logits).all()
    assert not torch.allclose(logits[0], logits[1])
    plain = Classifier(ClassifierShape(hidden=4, filters=0, year_units=0)).eval()
    torch.testing.assert_close(plain(given._replace(mask=mask)), plain(given))


def test_a_classifier_read_back_is_the_one_that_was_written(tmp_path):
    torch.manual_seed(1)
    network = Classifier(SHAPE).eval()
    path = save_classifier(network, tmp_path / "c.safetensors", {"epochs": "3"}, {"fake_cut": 0.7})
    loaded = load_classifier(path)
    assert loaded.network.shape == SHAPE
    assert loaded.calibration == {"fake_cut": 0.7}
    assert loaded.provenance["model"] == "c"
    given = constant_light()
    torch.testing.assert_close(loaded.network(given), network(given))
    assert kind_of(path) == "classifier"


def test_a_localizer_is_no_classifier(tmp_path):
    path = save_localizer(Localizer(ModelSpec((8, 8, 8, 8))), tmp_path / "l.safetensors", {})
    with pytest.raises(InputError, match="holds no classifier but 'localizer'"):
        load_classifier(path)


def test_what_is_no_weights_file_has_no_kind(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_text("nothing")
    with pytest.raises(InputError, match="is no weights file"):
        kind_of(path)
    with pytest.raises(InputError, match="no model 'none-such'"):
        find_model("none-such", "localizer-v1")
