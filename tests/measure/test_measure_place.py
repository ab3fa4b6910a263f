"""Places and their ellipses, on many skies of one source."""

from __future__ import annotations

import numpy as np
from measure_samples import PLACES, flat_sky, sky_model

from fermi_unek.measure.extent import RADIUS_68
from fermi_unek.measure.model import RegionModel
from fermi_unek.measure.place import localise, widened
from fermi_unek.measure.region import divide, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.state import SourceState
from fermi_unek.simulate.sky import simulate_counts

SKIES, YEARS = 24, 1.0
PLACE, SMALL = PLACES[0], (200.0, 50.0, 4.0)


def placed(rng, start, circle=SMALL):
    """Offset (2,) of the place from the true one, degrees, its ellipse and the gain of the move."""
    sky = simulate_counts(sky_model(), YEARS, rng, circle)
    states = [
        SourceState(*place, 1e-4 * flux) for place, flux in ((start, 2e-9), (PLACES[1], 1e-9))
    ]
    region = divide(np.array([state.vector for state in states]), np.array([2.0, 1.0]))[0]
    task = make_task(region, states, [build_response(sky)], flat_sky())
    model = RegionModel(task.data, task.states, 2)
    model.fit()
    before = model.stat()
    moved, ellipse = localise(model, 0, model.expected())
    model.move(0, moved)
    away = (moved.lon_deg - PLACE[0]) * np.cos(np.radians(PLACE[1])), moved.lat_deg - PLACE[1]
    return np.array(away), ellipse, before - model.stat()


def test_ellipses_hold_as_many_true_places_as_they_say():
    rng = np.random.default_rng(2)
    found = [placed(rng, PLACE) for _ in range(SKIES)]
    away = np.array([np.hypot(*offset) for offset, _, _ in found])
    radius = np.array([np.sqrt(major * minor) for _, (major, minor, _), _ in found])
    assert all(gain > -0.1 for _, _, gain in found)
    # in units of one sigma the square is a chi-square of two degrees
    square = (away / radius * RADIUS_68) ** 2
    assert abs(square.mean() - 2.0) < 4.0 * 2.0 / np.sqrt(SKIES)
    assert 0.45 < np.mean(away < radius) < 0.9


def test_near_the_rim_places_are_not_drawn_into_the_field():
    """Towards the middle more of a source's light is inside, for which it has to pay."""
    rng = np.random.default_rng(4)
    found = [placed(rng, PLACE, (PLACE[0], PLACE[1] - 3.5, 4.0)) for _ in range(SKIES)]
    pulls = [
        offset[1] / np.sqrt(ellipse[0] * ellipse[1]) * RADIUS_68
        for offset, ellipse, _ in found
        if ellipse is not None
    ]
    assert len(pulls) > 0.8 * SKIES
    assert abs(np.mean(pulls)) < 3.0 / np.sqrt(len(pulls))


def test_the_light_of_far_pixels_changes_with_the_place_as_its_differences_say():
    state = SourceState(*PLACE, 2e-13)
    sky = simulate_counts(sky_model(), YEARS, np.random.default_rng(6), SMALL)
    region = divide(state.vector[None], np.array([1.0]))[0]
    data = make_task(region, [state], [build_response(sky)], flat_sky()).data
    profiles = data.profiles(state.fine_flux())
    north = np.cross(state.vector, [0.0, 0.0, 1.0])
    sides = np.array([north, np.cross(state.vector, north)])
    sides /= np.linalg.norm(sides, axis=1)[:, None]
    far = np.flatnonzero(data.vectors @ state.vector < np.cos(np.radians(1.0)))
    slopes, step = data.image_slopes(state.vector, sides, profiles, far), 0.02
    for side, slope in zip(np.radians(step) * sides, slopes, strict=True):
        there, back = (
            data.image(state.vector + sign * side, profiles, far) for sign in (1.0, -1.0)
        )
        difference = (there - back) / (2.0 * step)
        assert np.abs(slope - difference).max() < 0.02 * np.abs(difference).max()
        assert np.abs(difference).max() > 0


def test_an_ellipse_grows_by_half_of_what_a_flux_is_less_certain_by():
    photons, alone = np.array([3.0, 5.0]), np.array([2.0, 4.0])
    ellipse = (0.2, 0.1, 30.0)
    assert widened(ellipse, photons, alone, np.diag(alone)) == ellipse
    # a variance three times as large: the one of the position is twice as large
    grown = widened(ellipse, photons, alone, np.diag(alone) / 3.0)
    np.testing.assert_allclose(grown, (0.2 * np.sqrt(2.0), 0.1 * np.sqrt(2.0), 30.0))


def test_the_fit_finds_its_way_and_a_place_too_far_off_stays_where_it_is():
    near = placed(np.random.default_rng(3), (PLACE[0] + 0.2, PLACE[1] - 0.1))
    assert np.hypot(*near[0]) < 0.05
    assert near[2] > 25.0
    far = placed(np.random.default_rng(3), (PLACE[0], PLACE[1] - 0.6))
    assert far[1] is None
    assert abs(far[0][1] + 0.6) < 1e-9
