"""What the photons of a layer were seen through, against photons that are thrown one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fermi_unek.errors import InputError
from fermi_unek.irf.instrument import containment_deg, load_instrument, mean_psf
from fermi_unek.irf.observation import (
    Observation,
    observations,
    shipped_observation,
    through_pixels,
)
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.counts import Pixels, SkyCounts, bin_from_pixels
from fermi_unek.sky.layers import with_layers
from fermi_unek.sky.selection import EVENT_TYPES

INSTRUMENT = load_instrument()
THROWN = 400_000


def thrown(angles: np.ndarray, density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places (2, N), degrees, of photons of a source, drawn from a radial profile."""
    fine = np.linspace(0.0, np.radians(15.0), 100_000)
    share = np.cumsum(np.interp(fine, angles, density, right=0.0) * fine)
    radius = np.degrees(np.interp(rng.random(THROWN), share / share[-1], fine))
    turn = rng.uniform(0.0, 2.0 * np.pi, THROWN)
    return radius * np.stack([np.cos(turn), np.sin(turn)])


def counted(places: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Photons counted in square pixels that lie anyhow, and given a random place in their own."""
    corner = rng.uniform(0.0, side, (2, 1))
    return (np.floor((places - corner) / side) + rng.random(places.shape)) * side + corner


@pytest.mark.parametrize(("b", "side"), [(2, 0.5), (3, 0.23), (5, 0.1), (5, 0.4)])
def test_photons_placed_in_their_pixels_have_the_profile_that_is_told(b, side):
    rng = np.random.default_rng(b)
    angles, density = mean_psf(INSTRUMENT.front, b)
    found = through_pixels(angles, density, side)
    # sources lie anywhere in a pixel: many of them
    places = np.concatenate(
        [counted(part, side, rng) for part in np.array_split(thrown(angles, density, rng), 200, 1)],
        axis=1,
    )
    radius = np.hypot(*places)
    edges = np.linspace(0.0, 3.0 * containment_deg(angles, found), 16)
    number = np.histogram(radius, edges)[0]
    fine = np.linspace(0.0, np.radians(15.0), 100_000)
    ring = np.interp(fine, angles, found, right=0.0) * fine
    below = np.interp(np.radians(edges), fine, np.cumsum(ring) / ring.sum())
    expected = THROWN * np.diff(below)
    assert np.abs(number / expected - 1.0).max() < 0.06
    before = np.histogram(np.hypot(*thrown(angles, density, rng)), edges)[0]
    assert before[0] > 1.2 * number[0]


def test_pixels_lose_no_photons_and_none_at_all_change_nothing():
    angles, density = mean_psf(INSTRUMENT.back, 4)
    assert through_pixels(angles, density, 0.0) is density
    fine = np.linspace(0.0, np.radians(30.0), 400_000)
    for side in (0.02, 0.2, 0.5):
        seen = through_pixels(angles, density, side)
        sums = [(np.interp(fine, angles, p) * fine).sum() for p in (density, seen)]
        assert sums[1] == pytest.approx(sums[0], rel=0.02)


def test_the_mean_square_grows_by_that_of_two_places_in_a_pixel():
    angles = np.radians(np.linspace(0.0, 4.0, 2000))
    gaussian = np.exp(-0.5 * (angles / np.radians(0.3)) ** 2)
    side = 0.5
    ring = through_pixels(angles, gaussian, side) * angles
    mean_square = np.degrees(1.0) ** 2 * (ring * angles**2).sum() / ring.sum()
    # 2 sigma^2, and for two axes two places that each scatter by side^2 / 12
    assert mean_square == pytest.approx(2.0 * 0.3**2 + 2.0 * 2.0 * side**2 / 12.0, rel=0.02)


def sky(event_type: str, sides: float = 0.0) -> SkyCounts:
    bins = (bin_from_pixels(0, np.array([3])), *[None] * (N_BINS - 1))
    return SkyCounts(bins, event_type, counted_in=(Pixels(sides),) * N_BINS)


def test_each_layer_of_a_sky_has_its_own_response_and_pixels():
    found = observations(with_layers([sky("back", 0.4), sky("front", 0.1)]))
    assert [one.event_type for one in found] == ["front", "back"]
    assert [one.pixels_deg for one in found] == [(0.1,) * N_BINS, (0.4,) * N_BINS]
    assert found[0].parts == (INSTRUMENT.front,)
    assert found[1].parts == (INSTRUMENT.back,)
    (alone,) = observations(sky("psf23"))
    assert alone.parts == INSTRUMENT.psf[2:]


def test_another_instrument_is_taken_where_it_is_given():
    other = replace(INSTRUMENT, front=INSTRUMENT.back)
    assert observations(sky("front"), other)[0].parts == (INSTRUMENT.back,)
    without = replace(INSTRUMENT, psf=())
    with pytest.raises(InputError, match="has no response of PSF3 events"):
        observations(sky("psf3"), without)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_the_psf_of_several_event_types_is_their_mean_by_exposure(name):
    seen = shipped_observation(name)
    quartiles = [INSTRUMENT.psf[k] for k in range(4) if EVENT_TYPES[name] & 4 << k]
    expected = {"front": [INSTRUMENT.front], "back": [INSTRUMENT.back],
                "all": [INSTRUMENT.front, INSTRUMENT.back]}.get(name, quartiles)  # fmt: skip
    weight = np.array([part.exposure_per_year.mean() for part in expected])
    profile = sum(w * mean_psf(p, 3)[1] for w, p in zip(weight, expected, strict=True))
    np.testing.assert_allclose(seen.psf(3)[1], profile / weight.sum(), rtol=1e-6)


def test_quartiles_of_the_psf_are_as_front_and_back_together():
    """Each holds a quarter of the photons or so, and sharper ones fall nearer."""
    both = INSTRUMENT.front.exposure_per_year + INSTRUMENT.back.exposure_per_year
    quartiles = [part.exposure_per_year for part in INSTRUMENT.psf]
    np.testing.assert_allclose(np.sum(quartiles, axis=0), both, rtol=0.06)
    for b in range(N_BINS):
        r68 = [containment_deg(*shipped_observation(f"psf{k}").psf(b)) for k in range(4)]
        assert np.all(np.diff(r68) < 0)
        front, back = (containment_deg(*shipped_observation(n).psf(b)) for n in ("front", "back"))
        assert r68[3] < front < back < r68[0]
        # the pairs of both are as the whole
        profiles = [shipped_observation(name).psf(b) for name in ("psf", "all")]
        assert containment_deg(*profiles[0]) == pytest.approx(
            containment_deg(*profiles[1]), rel=0.1
        )


def test_an_observation_of_pixels_blurs_its_psf():
    seen = Observation("front", (INSTRUMENT.front,), (0.0, 0.0, 0.0, 0.0, 0.0, 0.4))
    np.testing.assert_allclose(seen.psf(4)[1], mean_psf(INSTRUMENT.front, 4)[1])
    assert containment_deg(*seen.psf(5)) > 1.5 * containment_deg(*mean_psf(INSTRUMENT.front, 5))
