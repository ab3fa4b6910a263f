"""Energy channels of any file become the six bins of the networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from sky_samples import BIN_EDGES

from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.sky.bins import ENERGY_EDGES_MEV
from fermi_unek.sky.io.rebin import covered_fraction, observed_bins, plan_rebin, warn_moved


def channels(edges: list[float]) -> np.ndarray:
    return np.stack([edges[:-1], edges[1:]], axis=-1)


def expected_counts(low: float, high: float) -> float:
    return quad(lambda e: e**-2.4, low, high)[0]


def test_the_networks_own_bins_pass_unchanged():
    plan = plan_rebin(BIN_EDGES, "x")
    assert np.array_equal(plan.shares[:, 1:-1], np.eye(6))
    assert not any(plan.straddles(k) for k in range(6))


def test_finer_channels_are_summed_without_a_draw():
    plan = plan_rebin(channels([1000.0, 1200.0, 2000.0, 3500.0, 7000.0]), "x")
    assert np.array_equal(np.argmax(plan.shares, axis=1) - 1, [2, 2, 3, 3])
    assert plan.shares.max(axis=1).tolist() == [1.0] * 4


def test_edges_off_by_the_rounding_of_a_file_line_up():
    plan = plan_rebin(BIN_EDGES * (1 + 2e-4), "x")
    assert np.array_equal(plan.shares[:, 1:-1], np.eye(6))


def test_a_channel_across_an_edge_is_split_by_a_power_law_of_index_2_4():
    plan = plan_rebin(np.array([[800.0, 1300.0]]), "x")
    left, right = expected_counts(800, 1000), expected_counts(1000, 1300)
    assert plan.shares[0, 2] == pytest.approx(left / (left + right))
    assert plan.shares[0].sum() == pytest.approx(1.0)


def test_split_counts_are_whole_conserved_and_shared_as_expected():
    plan = plan_rebin(np.array([[800.0, 1300.0]]), "x")
    counts = np.random.default_rng(0).poisson(3.0, 20_000)
    split = plan.split(0, counts, np.random.default_rng(1))
    assert split.dtype.kind == "i"
    assert np.array_equal(split.sum(axis=0), counts)
    expected = plan.shares[0] * counts.sum()
    assert np.all(np.abs(split.sum(axis=1) - expected) <= 5 * np.sqrt(expected + 1e-9))


def test_what_lies_outside_of_the_networks_energies_is_set_apart():
    plan = plan_rebin(np.array([[100.0, 200.0], [250.0, 350.0], [9e5, 2e6]]), "x")
    assert plan.shares[0, 0] == 1.0
    assert plan.shares[1, 0] > 0.5
    assert plan.shares[1, 1] == pytest.approx(1 - plan.shares[1, 0])
    assert plan.shares[2, 6] + plan.shares[2, 7] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "channel", [[300, 1000], [316, 1000], [500, 2000], [7000, 1e6], [100, 600], [1000, 1e5]]
)
def test_a_channel_that_cannot_resolve_the_bins_is_refused(channel):
    with pytest.raises(InputError, match="coarser than the network"):
        plan_rebin(np.array([channel], dtype=float), "cube.fits")


def test_a_channel_a_little_wider_than_a_bin_is_split():
    assert plan_rebin(np.array([[300.0, 520.0]]), "x").shares[0, 1] > 0.9
    assert plan_rebin(np.array([[20_000.0, 2e6]]), "x").shares[0, 6] > 0.9


@pytest.mark.parametrize("channel", [[0.0, 500.0], [500.0, 400.0], [np.nan, 1.0], [-1.0, 5.0]])
def test_energy_bounds_that_are_none_are_refused(channel):
    with pytest.raises(InputError, match="positive and rising"):
        plan_rebin(np.array([channel]), "x")


def test_a_cube_outside_of_the_networks_energies_is_refused():
    with pytest.raises(InputError, match="lie outside of the network's 300 to 1e"):
        plan_rebin(channels([30.0, 100.0, 200.0]), "x")


def test_the_warning_says_what_fraction_was_moved():
    with pytest.warns(UnekWarning, match=r"12\.50% of the counts were moved"):
        warn_moved(1, 8, "x")
    warn_moved(0, 8, "x")  # would be an error under pytest.warns; nothing to say


def test_covered_fractions_are_those_of_the_expected_counts():
    fraction = covered_fraction([(10_000.0, 2e6)])
    expected = expected_counts(10_000, 20_000) / expected_counts(7000, 20_000)
    assert fraction[4] == pytest.approx(expected)
    assert fraction.tolist()[:4] == [0.0] * 4
    assert fraction[5] == pytest.approx(1.0)


def test_overlapping_energy_ranges_are_not_counted_twice():
    once = covered_fraction([(300.0, 2000.0)])
    twice = covered_fraction([(300.0, 1500.0), (400.0, 700.0), (500.0, 2000.0)])
    assert np.allclose(once, twice)
    assert covered_fraction([]).tolist() == [0.0] * 6


def test_bins_wholly_observed_say_nothing(recwarn):
    assert observed_bins([(1000.0, 5e5)], "x").tolist() == [False, False, True, True, True, True]
    assert not recwarn.list


def test_a_bin_half_observed_is_kept_with_a_warning():
    with pytest.warns(UnekWarning, match="49% .* 7000 to 20000 MeV .* kept"):
        assert observed_bins([(10_000.0, 1e6)], "x").tolist() == [False] * 4 + [True] * 2


def test_a_bin_observed_in_its_smaller_part_is_left_out_with_a_warning():
    with pytest.warns(UnekWarning, match="25% .* 2000 to 7000 MeV .* left out"):
        assert observed_bins([(4000.0, 1e6)], "x").tolist() == [False] * 4 + [True] * 2


def test_the_best_covered_bin_is_kept_when_none_is_covered_well():
    with pytest.warns(UnekWarning, match="only 1% .* kept"):
        assert observed_bins([(4e5, 1e6)], "x").tolist() == [False] * 5 + [True]


def test_no_energies_inside_the_range_is_an_error():
    with pytest.raises(InputError, match="no energies between 300 and"):
        observed_bins([(10.0, 250.0)], "x")


def test_the_edges_are_those_the_networks_were_made_for():
    assert ENERGY_EDGES_MEV.tolist() == [300, 500, 1000, 2000, 7000, 20000, 1000000]
