"""Sources added to counts have the photons, spectrum and spread of the instrument's own tables."""

import healpy as hp
import numpy as np
import pytest

from fermi_unek.irf.instrument import load_instrument
from fermi_unek.simulate.inject import add_sources, power_law_sources
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import BinCounts, SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

PLACE = 120.0, 45.0


def empty_sky(coverage=None, absent=(), event_type="front"):
    none = np.zeros(0, np.uint32)
    return SkyCounts(
        tuple(
            None if b in absent else BinCounts(order, none, none, coverage)
            for b, order in enumerate(NATIVE_ORDERS)
        ),
        event_type,
        10.0,
    )


def bright(flux=1e-6, index=2.0):
    return power_law_sources(*(np.array([p]) for p in PLACE), np.array([flux]), index)


def test_the_flux_asked_for_is_the_flux_of_the_source():
    wanted = np.array([1e-10, 3e-9])
    table = power_law_sources(np.zeros(2), np.zeros(2), wanted, 2.4)
    np.testing.assert_allclose(table["Flux1000"], wanted, rtol=1e-3)
    density = np.asarray(table["PL_Flux_Density"])
    energy = np.geomspace(1e3, 1e5, 20_001)
    integral = np.trapezoid(density[0] * (energy / 1000.0) ** -2.4, energy)
    assert integral == pytest.approx(1e-10, rel=1e-5)
    assert len(power_law_sources(np.zeros(0), np.zeros(0), np.zeros(0), 2.0)) == 0


def test_photons_come_at_the_rate_of_flux_and_exposure():
    filled, photons = add_sources(
        empty_sky(), bright(), load_instrument(), 10.0, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(photons[0], filled.totals)
    front = load_instrument().front
    exposure = front.exposure_at(lonlat_to_vectors(*(np.array([p]) for p in PLACE)))[:, 0] * 10.0
    # far from the edges of a wide bin energy dispersion moves few photons
    from fermi_unek.irf.instrument import FINE_ENERGIES_MEV

    low, high = ENERGY_EDGES_MEV[3:5]
    flux = 1e-6 * (1 / low - 1 / high) / (1e-3 - 1e-5)
    inside = (FINE_ENERGIES_MEV > low) & (FINE_ENERGIES_MEV < high)
    expected = flux * exposure[inside].mean()
    assert photons[0, 3] == pytest.approx(expected, rel=0.06)


def test_photons_are_spread_as_the_psf_says():
    sky, _ = add_sources(empty_sky(), bright(), load_instrument(), 10.0, np.random.default_rng(1))
    one = sky.bins[4]
    vectors = np.array(hp.pix2vec(2**one.order, one.pixels, nest=True)).T
    angle = np.degrees(np.arccos(np.clip(vectors @ lonlat_to_vectors(*PLACE), -1, 1)))
    r68 = np.quantile(np.repeat(angle, one.counts), 0.68)
    # FRONT at 7 to 20 GeV: 0.095 degrees at 11 GeV for cos(theta) 0.75
    assert 0.08 < r68 < 0.16


def test_both_event_types_have_more_photons_than_front():
    numbers = [
        add_sources(empty_sky(event_type=kind), bright(), load_instrument(), 10.0,
                    np.random.default_rng(2))[1].sum()
        for kind in ("front", "back", "all")
    ]  # fmt: skip
    assert numbers[2] == pytest.approx(numbers[0] + numbers[1], rel=0.02)


def test_bins_that_are_absent_stay_so_and_the_unobserved_stays_empty():
    coverage = circle_coverage(PLACE[0], PLACE[1] - 2.0, 2.0)
    sky, photons = add_sources(
        empty_sky(coverage, absent=(0, 3)), bright(), load_instrument(), 10.0,
        np.random.default_rng(3),
    )  # fmt: skip
    assert sky.bins[0] is None
    assert sky.bins[3] is None
    assert photons[0, [0, 3]].tolist() == [0, 0]
    whole = add_sources(empty_sky(), bright(), load_instrument(), 10.0, np.random.default_rng(3))[1]
    # the source sits on the edge, of which pixels of 0.1 degrees know at 0.5 to 1 GeV
    assert 0.4 < photons[0, 1] / whole[0, 1] < 0.6
    for one in sky.bins:
        if one is not None:
            assert coverage[one.pixels >> 2 * (one.order - 9)].all()


def test_what_was_there_is_still_there():
    first, _ = add_sources(empty_sky(), bright(), load_instrument(), 1.0, np.random.default_rng(4))
    second, photons = add_sources(first, bright(), load_instrument(), 1.0, np.random.default_rng(5))
    np.testing.assert_array_equal(second.totals, first.totals + photons[0])
    nothing, none = add_sources(
        first, bright()[:0], load_instrument(), 1.0, np.random.default_rng(6)
    )
    np.testing.assert_array_equal(nothing.totals, first.totals)
    assert none.shape == (0, N_BINS)
