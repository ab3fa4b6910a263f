"""Class probabilities under another mix of classes."""

import numpy as np
import pytest

from fermi_unek.catalog.schema import CLASSES
from fermi_unek.classify.priors import check_priors, shares_of_dr2, with_priors
from fermi_unek.errors import ConfigError

HIGH, PLANE = 2, 0


def drawn(shares: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Likelihoods (N, 5) of what `number` candidates of these shares of classes look like."""
    label = rng.choice(5, number, p=shares)
    seen = label[:, None] + 0.8 * rng.normal(size=(number, 1))
    return np.exp(-0.5 * ((seen - np.arange(5)) / 0.8) ** 2)


def posterior(likelihood: np.ndarray, shares: np.ndarray) -> np.ndarray:
    joint = likelihood * shares
    return joint / joint.sum(axis=1, keepdims=True)


def test_probabilities_of_one_mix_become_those_of_another():
    rng = np.random.default_rng(1)
    sources = {"bll": 0.1, "fsrq": 0.2, "psr": 0.6, "pwn": 0.1}
    told = np.append(0.8 * shares_of_dr2()[HIGH], 0.2)
    true = np.append(0.8 * np.array(list(sources.values())), 0.2)
    likelihood = drawn(true, 50_000, rng)
    lat = np.full(len(likelihood), 40.0)
    found = with_priors(posterior(likelihood, told), lat, sources)
    np.testing.assert_allclose(found, posterior(likelihood, true), rtol=1e-9)
    # calibrated: on the mean each class has its share
    np.testing.assert_allclose(found.mean(axis=0), true, atol=0.01)


def test_classes_that_are_not_named_keep_their_proportions():
    chances = np.full((2, 5), 0.2)
    lat = np.array([1.0, 50.0])
    found = with_priors(chances, lat, {"psr": 0.5})
    for row, band in ((0, PLANE), (1, HIGH)):
        dr2 = shares_of_dr2()[band]
        expected = 0.5 / (1.0 - dr2[2]) * chances[row, 0]
        np.testing.assert_allclose(
            found[row, [0, 1, 3]] / found[row, 4], expected / chances[row, 4], rtol=1e-9
        )
        assert found[row, 2] / found[row, 4] == pytest.approx(0.5 / dr2[2])


def test_the_mix_of_dr2_changes_nothing():
    chances = np.random.default_rng(2).dirichlet(np.ones(5), 20)
    shares = shares_of_dr2()[HIGH]
    same = dict(zip(CLASSES[:4], shares / shares.sum(), strict=True))
    np.testing.assert_allclose(with_priors(chances, np.full(20, -60.0), same), chances, rtol=1e-9)


@pytest.mark.parametrize(
    ("priors", "named"),
    [
        ({"agn": 0.5}, "agn"),
        ({"fake": 0.5}, "fake"),
        ({"psr": 0.6, "bll": 0.4}, "leave nothing"),
        ({"psr": 0.3, "bll": 0.3, "fsrq": 0.3, "pwn": 0.3}, "1.2"),
    ],
)
def test_shares_that_make_no_whole_are_refused(priors: dict[str, float], named: str):
    with pytest.raises(ConfigError, match=named):
        check_priors(priors)
