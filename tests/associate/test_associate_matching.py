"""Counterparts are rated by where they lie, how crowded it is, and what is known beforehand."""

import numpy as np
import pytest
from associate_samples import all_over, objects_at, places_at
from astropy.coordinates import SkyCoord
from scipy.stats import chi2, multivariate_normal

from fermi_unek.associate import Objects, Places, Surroundings
from fermi_unek.associate.matching import (
    INSIDE_95,
    SHIFTS,
    cap_area,
    drop_repeats,
    find_pairs,
    galactic_latitude,
    local_density,
    match_counterparts,
    shifted_places,
)
from fermi_unek.associate.priors import FAMILIES, PRIORS, families_of, measure_priors, prior
from fermi_unek.catalog import load_release
from fermi_unek.errors import InputError


def whole(objects, n, reach=4.0):
    return Surroundings(objects, np.full(n, reach), whole_sky=True)


def test_the_search_region_holds_95_percent_of_a_gaussian():
    assert chi2.cdf(INSIDE_95, df=2) == pytest.approx(0.95)


def test_ellipses_hold_what_astropy_and_scipy_say_they_hold():
    rng = np.random.default_rng(0)
    places = Places(
        np.array([10.0, 200.0, 359.99]),
        np.array([-60.0, 5.0, 88.0]),
        np.array([0.3, 0.2, 0.25]),
        np.array([0.1, 0.2, 0.05]),
        np.array([30.0, 0.0, -75.0]),
    )
    centre = SkyCoord(places.ra_deg, places.dec_deg, unit="deg")
    which = np.repeat(np.arange(3), 100)
    angle, far = rng.uniform(0, 360, 300), rng.uniform(0, 0.5, 300)
    sky = centre[which].directional_offset_by(angle * centre.ra.unit, far * centre.ra.unit)
    objects = objects_at(sky.ra.deg, sky.dec.deg, error=0.05)
    pairs = find_pairs(places, objects)
    found = set(zip(pairs.place.tolist(), pairs.object_.tolist(), strict=True))
    for number in range(300):
        place = which[number]
        east, north = centre[place].spherical_offsets_to(sky[number])
        turn = np.radians(places.angle_deg[place])
        axes = np.array([[np.sin(turn), np.cos(turn)], [np.cos(turn), -np.sin(turn)]])
        sizes = np.array([places.semimajor95_deg[place], places.semiminor95_deg[place]])
        covariance = axes.T @ np.diag((sizes**2 + 0.05**2) / INSIDE_95) @ axes
        offset = np.array([east.deg, north.deg])
        squared = offset @ np.linalg.inv(covariance) @ offset
        if abs(squared / INSIDE_95 - 1) > 0.01:  # the frames differ by the curvature of the sky
            assert ((place, number) in found) == (squared < INSIDE_95)
        if (place, number) in found:
            at = np.flatnonzero((pairs.place == place) & (pairs.object_ == number))[0]
            expected = multivariate_normal(cov=covariance).pdf(offset)
            assert pairs.density[at] == pytest.approx(expected, rel=0.03)
            separation = centre[place].separation(sky[number]).deg
            assert pairs.separation_deg[at] == pytest.approx(separation, abs=1e-9)


def test_an_extended_object_is_found_when_the_source_lies_inside_it():
    remnant = objects_at([100.0], [0.0], error=1.0)
    assert len(find_pairs(places_at([100.8], 0.0), remnant).place) == 1
    assert len(find_pairs(places_at([101.2], 0.0), remnant).place) == 0


def test_the_density_is_what_was_put_there_and_does_not_count_the_counterpart():
    rng = np.random.default_rng(1)
    objects = objects_at(*all_over(41_253, rng))
    places = places_at(*all_over(300, rng))
    member = np.ones(len(objects), bool)
    latitude = galactic_latitude(places.ra_deg, places.dec_deg)
    density = local_density(places, whole(objects, 300), member, latitude)
    assert density.mean() == pytest.approx(1.0, abs=0.02)
    assert density.std() == pytest.approx(1 / np.sqrt(cap_area(4.0)), rel=0.3)
    crowd = objects_at(np.full(500, 50.0) + rng.uniform(-0.01, 0.01, 500), 20.0)
    alone = local_density(places_at([50.0], 20.0), whole(crowd, 1), np.ones(500, bool), [-30.0])
    assert alone[0] < 0.1


def test_an_empty_neighbourhood_has_the_density_of_its_latitude_not_zero():
    rng = np.random.default_rng(2)
    objects = objects_at(*all_over(100, rng))
    places = places_at(*all_over(50, rng))
    latitude = galactic_latitude(places.ra_deg, places.dec_deg)
    every = np.ones(100, bool)
    density = local_density(places, whole(objects, 50), every, latitude)
    assert density.min() > 0
    assert density.mean() == pytest.approx(100 / 41_253, rel=0.6)
    # cones around the places hold none: less than one object in all of them is all that is known
    cones = Surroundings(Objects.empty(), np.full(50, 1.0), whole_sky=False)
    density = local_density(places, cones, np.zeros(0, bool), latitude)
    assert np.all((density > 0) & (density < 1 / (3 * cap_area(1.0))))


def test_the_same_offset_is_worth_less_in_a_crowd():
    rng = np.random.default_rng(3)
    near = objects_at([120.05], [40.0])
    places = places_at([120.0], 40.0)
    chances = []
    for crowd in (10, 10_000, 1_000_000):
        ra, dec = rng.uniform(115, 125, crowd // 40), rng.uniform(35, 45, crowd // 40)
        far = np.hypot((ra - 120) * np.cos(np.radians(40)), dec - 40) > 0.2
        objects = Objects.joined([near, objects_at(ra[far], dec[far])])
        found = match_counterparts(places, whole(objects, 1), real=np.ones(1))
        chances.append(found.probability[found.pairs.object_ == 0][0])
    assert chances[0] > 0.99
    assert chances[0] > chances[1] > chances[2]
    assert chances[2] < 0.5


def test_the_probability_is_the_rule_of_bayes_written_out():
    places = places_at([80.0], 30.0, r95=0.2)
    objects = objects_at([80.05, 80.1, 80.02], [30.0, 30.05, 29.95], class_=["bll", "fsrq", "psr"])
    found = match_counterparts(places, whole(objects, 1), real=np.array([0.7]))
    latitude = galactic_latitude([80.0], [30.0])
    weight = {f: 0.7 * prior(f, latitude)[0] for f in ("blazar", "pulsar")}
    family = families_of(objects.class_)
    likelihood = []
    for index, density in zip(found.pairs.object_, found.pairs.density, strict=True):
        rho = local_density(places, whole(objects, 1), family == family[index], latitude)[0]
        likelihood.append(weight[family[index]] * density / rho)
    rest = 1 - 0.95 * sum(weight.values())
    np.testing.assert_allclose(found.probability, np.array(likelihood) / (rest + sum(likelihood)))
    assert found.probability.sum() < 1


@pytest.mark.parametrize("n_background", [4_000, 400_000])
def test_probabilities_are_calibrated_on_a_sky_with_known_counterparts(n_background):
    """As many named counterparts are false as their probabilities say."""
    rng = np.random.default_rng(4)
    n, share = 4000, 0.4
    ra, dec = all_over(n, rng)
    places = places_at(ra, dec, r95=rng.uniform(0.05, 0.2, n))
    true = rng.random(n) < share
    sigma = places.semimajor95_deg / np.sqrt(INSIDE_95)
    step, angle = sigma * rng.rayleigh(size=n), rng.uniform(0, 360, n)
    sky = SkyCoord(ra, dec, unit="deg")
    sky = sky.directional_offset_by(angle * sky.ra.unit, step * sky.ra.unit)
    objects = Objects.joined(
        [
            objects_at(sky.ra.deg[true], sky.dec.deg[true]),
            objects_at(*all_over(n_background, rng)),
        ]
    )
    found = match_counterparts(places, whole(objects, n), real=np.ones(n), priors={"blazar": share})
    owner = np.full(len(objects), -1)
    owner[: true.sum()] = np.flatnonzero(true)
    right = owner[found.pairs.object_] == found.pairs.place
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        chosen = (found.probability > low) & (found.probability <= high)
        if chosen.sum() < 100:
            continue
        expected = found.probability[chosen].mean()
        error = np.sqrt(expected * (1 - expected) / chosen.sum())
        assert abs(right[chosen].mean() - expected) < 4 * error + 0.015
    # a place without a counterpart has one by chance as often as shifted positions say
    index, best = found.best(n)
    lucky = np.mean(index[~true] >= 0)
    assert lucky == pytest.approx(np.mean(found.by_chance > 0), rel=0.15)
    lucky = np.mean(best[~true] >= 0.5)
    assert lucky == pytest.approx(np.mean(found.by_chance >= 0.5), rel=0.35, abs=0.002)


def test_a_candidate_that_may_be_no_source_has_less_probable_counterparts():
    objects = objects_at([80.05], 30.0)
    chances = [
        match_counterparts(
            places_at([80.0], 30.0), whole(objects, 1), real=np.array([p])
        ).probability[0]
        for p in (1.0, 0.3, 0.01)
    ]
    assert chances[0] > chances[1] > chances[2]


def test_shifted_places_keep_the_latitude_and_leave_the_source_behind():
    rng = np.random.default_rng(5)
    places = places_at(*all_over(200, rng), r95=0.2)
    shifted, possible = shifted_places(places, np.full(200, 2.0))
    assert possible.all()
    assert len(shifted) == 200 * SHIFTS
    before = SkyCoord(places.ra_deg, places.dec_deg, unit="deg")[np.arange(200).repeat(SHIFTS)]
    after = SkyCoord(shifted.ra_deg, shifted.dec_deg, unit="deg")
    separation = before.separation(after).deg
    assert separation.min() == pytest.approx(0.6)
    assert separation.max() == pytest.approx(1.8)
    drift = np.abs(after.galactic.b.deg - before.galactic.b.deg)
    assert np.median(drift) < 0.05
    assert drift.max() < 1.81  # at the pole every step changes the latitude


def test_a_reach_too_small_to_shift_in_gives_no_rate_of_chance():
    objects = objects_at([80.0], 30.0)
    around = Surroundings(objects, np.array([0.3]), whole_sky=False)
    assert np.isnan(
        match_counterparts(places_at([80.0], 30.0), around, real=np.ones(1)).by_chance
    ).all()


def test_no_places_and_no_objects_are_fine():
    none = match_counterparts(places_at([], []), whole(objects_at([1.0], 1.0), 0), real=np.zeros(0))
    assert none.by_chance.shape == (0, SHIFTS)
    empty = match_counterparts(places_at([1.0], 1.0), whole(Objects.empty(), 1), real=np.ones(1))
    index, best = empty.best(1)
    assert index[0] == -1
    assert np.isnan(best[0])
    np.testing.assert_array_equal(empty.by_chance, np.zeros((1, SHIFTS)))


def test_components_of_one_object_are_one_and_other_families_stay():
    ra = np.array([10.0, 10.0 + 3 / 3600, 10.0, 10.1])
    cached = drop_repeats(objects_at(ra, 0.0, class_=["bll", "bcu", "psr", "bcu"]))
    assert cached.name.tolist() == ["object-0", "object-2", "object-3"]
    assert len(drop_repeats(objects_at([1.0], 1.0))) == 1


def test_priors_are_the_shares_of_4fgl_dr4():
    measured = measure_priors(load_release("4FGL-DR4"))
    assert set(measured) == set(PRIORS) == set(FAMILIES)
    for family, values in PRIORS.items():
        np.testing.assert_allclose(values, measured[family], atol=6e-5)
    # counted once more by hand
    table = load_release("4FGL-DR4")
    faint = (table["Signif_Avg"] < 7) & (np.abs(table["GLAT"]) >= 10)
    blazar = [c.lower() in ("bll", "fsrq", "bcu") for c in table["CLASS1"][faint]]
    assert PRIORS["blazar"][1] == pytest.approx(np.mean(blazar), abs=6e-5)


def test_priors_depend_on_latitude_and_may_be_replaced():
    np.testing.assert_allclose(prior("blazar", [-5.0, 40.0]), PRIORS["blazar"])
    np.testing.assert_allclose(prior("blazar", [-5.0, 40.0], {"blazar": 0.3}), 0.3)
    assert families_of(np.array(["BLL", " psr", "rad", ""])).tolist() == [
        "blazar", "pulsar", "other", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: places_at([1.0], 1.0, r95=0.0), "0 < semiminor"),
        (
            lambda: Places(*(np.array([v]) for v in (1.0, 1.0, 0.1, 0.2, 0.0))),
            "semiminor <= semimajor",
        ),
        (lambda: Places(np.zeros(2), *(np.ones(1) for _ in range(4))), "arrays of one length"),
        (lambda: objects_at([np.nan], 1.0), "off the sky"),
        (lambda: objects_at([1.0], 1.0, error=-1.0), "position errors below 0"),
    ],
)
def test_impossible_places_and_objects_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
