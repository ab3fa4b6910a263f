"""Photons of sources: where they fall, with what energy, and how a patch shows them."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from scipy.stats import kstest
from simulate_samples import BRIGHT, MIDDLE, OUTSIDE, power_laws, small_model

from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, PSF_X, load_instrument
from fermi_unek.simulate.photons import (
    _sources_density,
    displace,
    draw_energy,
    draw_source_photons,
    render_patch,
)
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, N_BINS, NATIVE_PIXELS
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.patches import pixel_histogram

FRAME = PatchFrame(21.0, 0.0, 30.0)


def angles_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    chord = np.linalg.norm(first.astype(float) - second, axis=-1)
    return np.degrees(2.0 * np.arcsin(chord / 2.0))


def test_the_numbers_of_photons_are_those_expected():
    model = small_model()
    drawn = draw_source_photons(model, np.arange(4), 10.0, np.random.default_rng(0))
    for row in range(4):
        counts = np.bincount(drawn.bins[drawn.sources == row], minlength=N_BINS)
        expected = 10.0 * model.expected_counts[row]
        assert np.all(np.abs(counts - expected) < 4.5 * np.sqrt(expected) + 1)


def test_live_times_may_differ_from_source_to_source():
    model = small_model()
    rows, years = np.array([MIDDLE, OUTSIDE]), np.array([0.0, 2.0])
    drawn = draw_source_photons(model, rows, years, np.random.default_rng(0))
    assert set(drawn.sources) == {OUTSIDE}
    expected = 2.0 * model.expected_counts[OUTSIDE].sum()
    assert abs(len(drawn.sources) - expected) < 5 * np.sqrt(expected)


def test_no_source_gives_no_photon():
    model = small_model()
    drawn = draw_source_photons(model, np.zeros(0, int), 10.0, np.random.default_rng(0))
    assert drawn.vectors.shape == (0, 3)
    assert drawn.energies_mev.shape == drawn.bins.shape == drawn.responses.shape == (0,)


def test_energies_lie_in_their_bins():
    drawn = draw_source_photons(small_model(), np.arange(4), 3.0, np.random.default_rng(1))
    low, high = ENERGY_EDGES_MEV[drawn.bins], ENERGY_EDGES_MEV[drawn.bins + 1]
    assert np.all((drawn.energies_mev >= low * (1 - 1e-6)) & (drawn.energies_mev <= high))
    np.testing.assert_allclose(np.linalg.norm(drawn.vectors, axis=1), 1.0, atol=1e-6)


def test_photons_of_low_true_energy_can_be_left_out():
    model = small_model()
    rows = np.array([BRIGHT])
    full, part = (
        draw_source_photons(model, rows, 10.0, np.random.default_rng(2), lowest_mev=lowest)
        for lowest in (0.0, 1000.0)
    )
    low, high = np.bincount(full.bins, minlength=6), np.bincount(part.bins, minlength=6)
    assert high[0] < 0.005 * low[0]
    assert np.all(np.abs(high[3:] - low[3:]) < 5 * np.sqrt(2.0 * low[3:]) + 5)


def test_both_event_types_are_marked_by_the_response_that_saw_them():
    model = small_model("all")
    drawn = draw_source_photons(model, np.array([BRIGHT]), 1.0, np.random.default_rng(3))
    for index, (rates, response) in enumerate(zip(model.rates, model.responses, strict=True)):
        expected = float((rates[BRIGHT] @ response.bin_fractions).sum())
        assert abs(np.sum(drawn.responses == index) - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("k", [3, 10, 20, 35])
def test_photons_are_spread_as_the_table_of_the_psf(k):
    """Kolmogorov-Smirnov against the integral of the table itself, not of its quantiles."""
    model = small_model()
    table = load_instrument().front
    rates = np.zeros_like(model.rates[0])
    rates[MIDDLE, k] = 4e4
    one = type(model)(
        model.sources, (rates,), model.background, model.fine_background, model.responses,
        model.event_type, "test",
    )  # fmt: skip
    drawn = draw_source_photons(one, np.array([MIDDLE]), 1.0, np.random.default_rng(k))
    apart = angles_deg(drawn.vectors, model.vectors[MIDDLE])
    edges = np.concatenate([[0.0], np.geomspace(1e-3, 100.0, 5000)])
    density = np.interp(edges, PSF_X, table.psf_density[k])
    ring = edges * density
    grown = np.concatenate([[0], np.cumsum((ring[1:] + ring[:-1]) * np.diff(edges))])
    statistic = kstest(
        apart / table.psf_scale_deg[k], lambda x: np.interp(x, edges, grown / grown[-1])
    ).statistic
    assert statistic < 1.63 / np.sqrt(apart.size) + 0.003


@pytest.mark.parametrize("lat", [0.0, 63.9, 64.5, -90.0])
def test_photons_are_moved_by_the_angle_to_all_sides_alike(lat):
    rng = np.random.default_rng(4)
    place = lonlat_to_vectors(np.array(33.0), np.array(lat))
    wanted = rng.uniform(0, 10, 20_000)
    moved = displace(np.tile(place, (wanted.size, 1)), np.radians(wanted), rng)
    np.testing.assert_allclose(angles_deg(moved, place), wanted, atol=1e-5)
    # no direction is preferred: the mean of the tangential part vanishes
    sideways = moved - (moved @ place)[:, None] * place
    sideways /= np.linalg.norm(sideways, axis=1)[:, None]
    assert np.linalg.norm(sideways.mean(axis=0)) < 4.0 / np.sqrt(wanted.size)
    spread = sideways.T @ sideways / wanted.size
    np.testing.assert_allclose(np.linalg.eigvalsh(spread), [0, 0.5, 0.5], atol=0.02)


def test_the_energy_resolution_is_the_dispersion():
    table = load_instrument().front
    k = 14
    drawn = draw_energy(table, np.full(50_000, k), np.random.default_rng(5))
    middle, low, high = np.percentile(drawn / FINE_ENERGIES_MEV[k], [50, 16, 84])
    assert middle == pytest.approx(table.dispersion[k, 32], abs=0.01)
    # the width of the bin of true energies adds to it
    assert 0.08 < (high - low) / 2 < 0.15


# patches ---------------------------------------------------------------------------------------


def test_the_expected_image_of_a_source_is_that_of_many_photons():
    model = small_model()
    drawn = draw_source_photons(model, np.array([BRIGHT]), 40.0, np.random.default_rng(6))
    for b in range(3):
        n = NATIVE_PIXELS[b]
        image = pixel_histogram(FRAME, drawn.vectors[drawn.bins == b], None, n)
        expected = _sources_density(model, np.array([BRIGHT]), b, FRAME)
        expected = expected * FRAME.solid_angle_sr(n) * 40.0
        assert image.sum() == pytest.approx(expected.sum(), rel=0.01)
        # two by two points a pixel: three percent where the PSF peaks
        error = np.sqrt(expected + (0.04 * expected) ** 2)
        assert np.mean(((image - expected) / error) ** 2) < 1.25
        assert np.max(np.abs(image - expected) / error) < 6.0


def test_a_patch_has_whole_photons_in_all_six_bins_and_no_mask():
    patch = render_patch(small_model(), FRAME, 10.0, np.random.default_rng(7))
    for counts, mask in zip(patch.counts, patch.mask, strict=True):
        assert counts.dtype == np.float32
        np.testing.assert_array_equal(counts, np.round(counts))
        assert counts.min() >= 0
        assert counts.sum() > 0
        assert mask.all()


def test_the_sum_of_a_patch_is_background_and_sources():
    model = small_model()
    patch = render_patch(model, FRAME, 10.0, np.random.default_rng(8))
    rows = np.arange(4)
    drawn = draw_source_photons(model, rows, 10.0, np.random.default_rng(9))
    for b, counts in enumerate(patch.counts):
        n = NATIVE_PIXELS[b]
        theta, phi = hp.vec2ang(FRAME.pixel_vectors(n).reshape(-1, 3))
        intensity = hp.get_interp_val(
            hp.reorder(model.background[b], n2r=True), theta, phi
        ).reshape(n, n)
        background = 10.0 * np.sum(intensity * FRAME.solid_angle_sr(n))
        sources = pixel_histogram(FRAME, drawn.vectors[drawn.bins == b], None, n).sum()
        expected = background + sources
        assert abs(counts.sum() - expected) < 5 * np.sqrt(expected + sources) + 0.002 * expected


def test_a_source_appears_where_it_is():
    model = small_model()
    patch = render_patch(model, FRAME, 10.0, np.random.default_rng(10))
    x, y = FRAME.project(model.vectors[[BRIGHT]], NATIVE_PIXELS[5])
    row, column = np.unravel_index(patch.counts[5].argmax(), patch.counts[5].shape)
    assert abs(row - y[0]) <= 1.0
    assert abs(column - x[0]) <= 1.0


def test_a_seed_is_a_patch():
    first, again = (
        render_patch(small_model(), FRAME, 2.0, np.random.default_rng(11)) for _ in range(2)
    )
    for a, b in zip(first.counts, again.counts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_power_law_samples_have_the_flux_they_were_made_with():
    np.testing.assert_allclose(power_laws([(0, 0)], [2e-9])["Flux1000"], 2e-9, rtol=1e-3)
