"""Positions follow the photons: as a brute-force likelihood has them, and no further."""

from dataclasses import replace

import healpy as hp
import numpy as np
import pytest
from scipy.optimize import minimize

from fermi_unek.detect.centers import Centers
from fermi_unek.detect.ellipses import ellipses, tangent_axes
from fermi_unek.detect.refine import most_likely_places, near_pixels, refine_centers
from fermi_unek.detect.settings import RefineConfig
from fermi_unek.irf.instrument import containment_deg, load_instrument, mean_psf
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.simulate.photons import displace
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.layers import with_layers

BIN = 3
FRONT = load_instrument().front
RADIUS_DEG = containment_deg(*mean_psf(FRONT, BIN)) + RefineConfig.margin_deg


def separation_deg(one, other):
    return np.degrees(2.0 * np.arcsin(np.linalg.norm(one - other, axis=-1) / 2.0))


def psf_photons(vector, number, rng, b=BIN, response=FRONT):
    """Unit vectors of photons of a point source, angles drawn from the PSF of the bin."""
    angles, density = mean_psf(response, b)
    fine = np.linspace(0.0, np.radians(20.0), 200_000)
    share = np.cumsum(np.interp(fine, angles, density) * np.sin(fine))
    angle = np.interp(rng.random(number), share / share[-1], fine)
    return displace(np.tile(vector, (number, 1)).astype(np.float32), angle, rng)


def even_photons(vector, per_deg2, rng, radius_deg=3.0):
    number = rng.poisson(per_deg2 * np.pi * radius_deg**2)
    angle = np.radians(radius_deg) * np.sqrt(rng.random(number))
    return displace(np.tile(vector, (number, 1)).astype(np.float32), angle, rng)


def sky_of(vectors, b=BIN, event_type="front"):
    pixels = hp.vec2pix(2 ** NATIVE_ORDERS[b], *vectors.T, nest=True)
    bins = [None] * N_BINS
    bins[b] = bin_from_pixels(b, pixels)
    return SkyCounts(tuple(bins), event_type, 10.0)


def moved(vector, dx_deg, dy_deg):
    first, second = tangent_axes(vector[None])
    near = vector + np.radians(dx_deg) * first[0] + np.radians(dy_deg) * second[0]
    return near / np.linalg.norm(near)


@pytest.mark.parametrize(
    ("lon", "lat"), [(0.0, 0.0), (123.4, -45.0), (10.0, 89.99), (200.0, -90.0)]
)
def test_a_source_is_found_where_brute_force_finds_it(lon, lat):
    rng = np.random.default_rng(5)
    true = lonlat_to_vectors(np.array(lon), np.array(lat))
    photons = np.concatenate([psf_photons(true, 150, rng), even_photons(true, 100.0, rng)])
    start = moved(true, 0.06, -0.05)
    found = most_likely_places(sky_of(photons), start[None])

    angles, density = mean_psf(FRONT, BIN)
    first, second = tangent_axes(start[None])
    x, y = (np.degrees(photons @ axis[0]) for axis in (first, second))
    near = (np.hypot(x, y) < RADIUS_DEG) & (photons @ start > 0)
    area = np.pi * RADIUS_DEG**2

    def surprise(parameters):
        dx, dy, source, ground = parameters
        angle = np.radians(np.hypot(x[near] - dx, y[near] - dy))
        psf = np.interp(angle, angles, density) * np.radians(1.0) ** 2
        # the disc holds nearly all of the PSF
        return (
            np.exp(source) * share
            + np.exp(ground) * area
            - np.sum(np.log(np.exp(source) * psf + np.exp(ground)))
        )

    fine = np.linspace(0.0, np.radians(RADIUS_DEG), 20_000)
    share = 2.0 * np.pi * np.sum(np.interp(fine, angles, density) * np.sin(fine)) * fine[1]
    best = minimize(surprise, [0.0, 0.0, np.log(100.0), np.log(100.0)], method="Nelder-Mead",
                    options={"xatol": 1e-5, "fatol": 1e-5, "maxiter": 4000}).x  # fmt: skip
    expected = moved(start, best[0], best[1])
    assert separation_deg(found.vectors[0], expected) < 0.003
    assert separation_deg(found.vectors[0], true) < 4.0 * found.error_deg[0]


def test_the_error_is_the_scatter_of_many_sources():
    rng = np.random.default_rng(6)
    places = lonlat_to_vectors(np.arange(0.0, 360.0, 6.0), np.full(60, 30.0))
    photons = np.concatenate(
        [p for v in places for p in (psf_photons(v, 200, rng), even_photons(v, 50.0, rng, 2.0))]
    )
    found = most_likely_places(sky_of(photons), places)
    pull = separation_deg(found.vectors, places) / found.error_deg
    # two axes of unit error
    assert np.sqrt((pull**2).mean() / 2.0) == pytest.approx(1.0, abs=0.2)


def test_neighbours_do_not_pull_each_other():
    rng = np.random.default_rng(7)
    bright = lonlat_to_vectors(np.array(80.0), np.array(20.0))
    faint = moved(bright, 0.35, 0.0)
    photons = np.concatenate(
        [
            psf_photons(bright, 3000, rng),
            psf_photons(faint, 300, rng),
            even_photons(bright, 50, rng),
        ]
    )
    both = most_likely_places(sky_of(photons), np.stack([bright, faint]))
    assert separation_deg(both.vectors[1], faint) < 4.0 * both.error_deg[1]
    alone = most_likely_places(sky_of(photons), faint[None])
    assert separation_deg(alone.vectors[0], faint) > 2.0 * separation_deg(both.vectors[1], faint)


def test_photons_shared_with_a_bright_neighbour_tell_less_of_a_place():
    """As the mean information has it: the squares of what a step changes, over what is there."""
    rng = np.random.default_rng(8)
    first = lonlat_to_vectors(np.array(30.0), np.array(30.0))
    apart = 0.25 * np.array([np.sin(np.radians(40.0)), np.cos(np.radians(40.0))])
    second = moved(first, *apart)
    photons = np.concatenate(
        [
            psf_photons(first, 3000, rng),
            psf_photons(second, 30_000, rng),
            even_photons(first, 50, rng),
        ]
    )
    found = most_likely_places(
        sky_of(photons), np.stack([first, second]), config=RefineConfig(background_error=0.0)
    )
    angles, density = mean_psf(FRONT, BIN)
    step = 0.01
    x, y = (axis * step for axis in np.mgrid[-50:51, -50:51])
    inside = np.hypot(x, y) < RADIUS_DEG

    def light(dx, dy):
        away = np.radians(np.hypot(x - dx, y - dy))
        return np.interp(away, angles, density) * np.radians(1.0) ** 2

    there = 3000.0 * light(0.0, 0.0) + 30_000.0 * light(*apart) + 50.0
    changes = [3000.0 * (light(*one) - light(*-one)) / (2.0 * step) for one in step * np.eye(2)]
    expected = np.array(
        [[(one * other / there)[inside].sum() * step**2 for one in changes] for other in changes]
    )
    assert found.error_deg[0] == pytest.approx(np.linalg.det(expected) ** -0.25, rel=0.05)
    alone = most_likely_places(
        sky_of(photons[:3000]), first[None], config=RefineConfig(background_error=0.0)
    )
    assert found.error_deg[0] > 1.3 * alone.error_deg[0]


def test_a_place_is_less_well_known_along_a_line_of_photons():
    """Photons at both ends of a line: the likelihood bends as the logarithm of the PSF does there.

    Towards the photons it bends less than across, since far from its middle the PSF is no
    Gaussian.
    """
    place = lonlat_to_vectors(np.array(30.0), np.array(30.0))
    angle = np.radians(40.0)
    ends = [moved(place, s * 0.09 * np.sin(angle), s * 0.09 * np.cos(angle)) for s in (-1, 1)]
    found = most_likely_places(sky_of(np.repeat(ends, 2000, axis=0)), place[None])
    _, elongation, at = ellipses(found.information)
    angles, density = mean_psf(FRONT, BIN)
    low, middle, high = np.log(np.interp(np.radians([0.06, 0.09, 0.12]), angles, density))
    along, across = (2.0 * middle - low - high) / 0.03**2, (low - high) / 0.06 / 0.09
    assert elongation[0] == pytest.approx(np.sqrt(across / along), rel=0.1)
    assert elongation[0] > 1.3
    assert at[0] == pytest.approx(40.0, abs=3.0)


def test_a_source_alone_has_a_round_error():
    rng = np.random.default_rng(9)
    place = lonlat_to_vectors(np.array([50.0]), np.array([-20.0]))
    photons = np.concatenate([psf_photons(place[0], 5000, rng), even_photons(place[0], 50.0, rng)])
    one = np.ones(1)
    found = refine_centers(sky_of(photons), Centers(place, one, one, one))
    assert found.elongation[0] == pytest.approx(1.0, abs=0.05)


def test_photons_say_less_of_a_place_where_there_is_much_background():
    rng = np.random.default_rng(10)
    place = lonlat_to_vectors(np.array([50.0]), np.array([-20.0]))
    for per_deg2, at_least, at_most in ((1.0, 1.0, 1.05), (20_000.0, 1.5, 6.0)):
        photons = np.concatenate(
            [psf_photons(place[0], 2000, rng), even_photons(place[0], per_deg2, rng, 1.0)]
        )
        exact, rough = (
            most_likely_places(
                sky_of(photons), place, config=RefineConfig(background_error=error)
            ).error_deg[0]
            for error in (0.0, 0.06)
        )
        assert at_least <= rough / exact < at_most


def test_where_the_likelihood_does_not_fall_off_nothing_is_told():
    """Photons on a ring: the middle is the worst of places."""
    place = lonlat_to_vectors(np.array([50.0]), np.array([0.0]))
    axes = tangent_axes(place)[:, 0]
    turn = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    ring = place + np.radians(0.45) * (
        np.cos(turn)[:, None] * axes[0] + np.sin(turn)[:, None] * axes[1]
    )
    found = most_likely_places(sky_of(ring / np.linalg.norm(ring, axis=1)[:, None]), place)
    assert np.linalg.eigvalsh(found.information[0]).min() >= 0.0
    assert found.error_deg[0] > 10.0


def test_without_photons_a_candidate_stays_where_the_network_put_it():
    place = lonlat_to_vectors(np.array([10.0, 200.0]), np.array([5.0, -60.0]))
    far = psf_photons(
        lonlat_to_vectors(np.array(100.0), np.array(0.0)), 10, np.random.default_rng(1)
    )
    one = np.ones(2)
    centers = Centers(place, 0.9 * one, 0.1 * one, 0.05 * one)
    found = refine_centers(sky_of(far), centers, config=RefineConfig(doubt=0.0))
    np.testing.assert_allclose(found.vectors, place, atol=1e-12)
    np.testing.assert_allclose(found.error_deg, 0.05)
    doubtful = refine_centers(
        sky_of(far), replace(centers, peak=0.01 * one), config=RefineConfig(doubt=0.5)
    )
    np.testing.assert_allclose(doubtful.error_deg, 0.5)


def test_photons_below_1_gev_move_nothing():
    rng = np.random.default_rng(2)
    true = lonlat_to_vectors(np.array(40.0), np.array(40.0))
    start = moved(true, 0.1, 0.0)[None]
    sky = sky_of(psf_photons(true, 100, rng, b=1), b=1)
    found = most_likely_places(sky, start)
    np.testing.assert_allclose(found.vectors, start, atol=1e-12)
    assert np.all(np.isinf(found.error_deg))


def test_no_candidates_stay_no_candidates():
    none = np.zeros(0)
    centers = Centers(np.zeros((0, 3)), none, none, none)
    sky = sky_of(lonlat_to_vectors(np.array([1.0]), np.array([1.0])))
    assert len(refine_centers(sky, centers)) == 0


def test_place_of_network_and_photons_are_weighted_by_their_errors():
    rng = np.random.default_rng(3)
    true = lonlat_to_vectors(np.array(40.0), np.array(40.0))
    photons = np.concatenate([psf_photons(true, 100, rng), even_photons(true, 20.0, rng)])
    start = moved(true, 0.05, 0.0)[None]
    likely = most_likely_places(sky_of(photons), start)
    one = np.ones(1)
    for network_error in (1e-4, 10.0):
        centers = Centers(start, one, one, network_error * one)
        both = refine_centers(sky_of(photons), centers, config=RefineConfig(photon_share=1.0))
        expected = start if network_error < 1e-3 else likely.vectors
        assert separation_deg(both.vectors, expected)[0] < 0.001
        assert both.error_deg[0] < min(network_error, likely.error_deg[0])


def test_each_layer_is_looked_at_through_its_own_psf():
    """The information of both adds up; through one PSF for all, BACK's would be overrated."""
    rng = np.random.default_rng(11)
    places = lonlat_to_vectors(np.arange(0.0, 360.0, 9.0), np.full(40, 30.0))
    photons = [
        np.concatenate([p for v in places for p in (psf_photons(v, 200, rng, response=response),
                                                    even_photons(v, 50.0, rng, 2.0))])
        for response in (FRONT, load_instrument().back)
    ]  # fmt: skip
    apart = [sky_of(photons[0]), sky_of(photons[1], event_type="back")]
    both = most_likely_places(with_layers(apart), places)
    alone = [most_likely_places(sky, places) for sky in apart]
    added = sum(one.information for one in alone)
    np.testing.assert_allclose(np.median(both.information / added, axis=0).diagonal(), 1, atol=0.1)
    pull = separation_deg(both.vectors, places) / both.error_deg
    assert np.sqrt((pull**2).mean() / 2.0) == pytest.approx(1.0, abs=0.25)
    errors = [np.sqrt((separation_deg(f.vectors, places) ** 2).mean()) for f in (both, *alone)]
    assert errors[0] < errors[1] < errors[2]


def test_what_the_photons_were_seen_through_may_be_said():
    rng = np.random.default_rng(12)
    true = lonlat_to_vectors(np.array(40.0), np.array(40.0))
    sky = sky_of(np.concatenate([psf_photons(true, 300, rng), even_photons(true, 50.0, rng)]))
    sharp, blurred = (
        most_likely_places(sky, true[None], (shipped_observation(name),))
        for name in ("front", "back")
    )
    np.testing.assert_array_equal(sharp.vectors, most_likely_places(sky, true[None]).vectors)
    assert blurred.error_deg[0] > 1.1 * sharp.error_deg[0]


def test_pixels_near_a_candidate_are_all_paired_with_it():
    rng = np.random.default_rng(4)
    where = even_photons(lonlat_to_vectors(np.array(0.0), np.array(41.8)), 300.0, rng)
    counts = sky_of(where).bins[BIN]
    places = where[:5].astype(float)
    candidate, index = near_pixels(counts, places, 0.4)
    centre = np.stack(hp.pix2vec(2**counts.order, counts.pixels.astype(np.int64), nest=True), -1)
    for row, place in enumerate(places):
        expected = np.flatnonzero(separation_deg(centre, place) < 0.4)
        assert np.isin(expected, index[candidate == row]).all()
