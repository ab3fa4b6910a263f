"""The fit of one candidate: which form its spectrum has, and when."""

from __future__ import annotations

import numpy as np
import pytest
from measure_samples import FLUXES, INDEX, PLACES, flat_sky, small_sky

from fermi_unek.measure.fit import fit_fully, fit_roughly
from fermi_unek.measure.pixels import PixelCounts
from fermi_unek.measure.region import LEAST_RADIUS_DEG, divide, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.state import SourceState
from fermi_unek.measure.window import RegionSky

BETA = 0.4


def region_sky(beta):
    counts = PixelCounts(small_sky(beta=beta))
    states = [SourceState(*place, 1e-4 * flux) for place, flux in zip(PLACES, FLUXES, strict=True)]
    region = divide(np.array([one.vector for one in states]), np.array(FLUXES))[0]
    return RegionSky(
        make_task(region, states, counts, build_response(counts), flat_sky()).data, states
    )


@pytest.fixture(scope="module")
def curved():
    return region_sky(BETA)


def test_a_bright_source_is_curved_while_positions_are_found(curved):
    alone = fit_roughly(curved, 0, together=False, localise=False)
    shaped = fit_roughly(curved, 0, together=True, localise=True)
    assert alone.beta == 0.0
    assert shaped.beta == pytest.approx(BETA, abs=0.25)
    assert np.hypot((shaped.lon_deg - PLACES[0][0]) * 0.64, shaped.lat_deg - PLACES[0][1]) < 0.03


def test_a_source_that_was_curved_before_still_gets_its_power_law(curved):
    sky = RegionSky(curved.data, curved.states)
    sky.update(0, fit_roughly(sky, 0, together=True, localise=True))
    found = fit_fully(sky, 0, 0)
    assert set(found.power_law.values) == {"index", "amplitude", "reference"}
    assert found.power_law.errors["index"] > 0
    assert found.log_parabola.stat < found.power_law.stat - 9.0
    assert found.state.beta == pytest.approx(found.log_parabola.values["beta"])
    assert found.ellipse_deg is not None


def test_a_source_without_curvature_ends_as_a_power_law():
    sky = region_sky(0.0)
    sky.update(0, fit_roughly(sky, 0, together=True, localise=True))
    found = fit_fully(sky, 0, 0)
    assert found.state.beta == 0.0
    assert abs(found.state.index - INDEX) < 4.0 * found.power_law.errors["index"]


def test_a_region_of_few_candidates_looks_as_far_around_as_one_of_many():
    places = np.array([SourceState(*place, 1e-12).vector for place in PLACES])
    region = divide(places, np.array(FLUXES))[0]
    assert region.radius_deg == LEAST_RADIUS_DEG
    assert set(region.rows) == {0, 1}
