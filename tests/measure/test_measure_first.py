"""First fits: what shines into a region from outside is about right before the region is fitted."""

from __future__ import annotations

import numpy as np
import pytest
from measure_samples import FLUXES, INDEX, PLACES, catalog_of, flat_sky, small_sky

from fermi_unek.measure.first import first_fit, first_states, in_coarse_bins, with_found
from fermi_unek.measure.model import RegionModel
from fermi_unek.measure.region import Region, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.spectra import INDEX_MEAN
from fermi_unek.measure.start import start_states
from fermi_unek.measure.state import SourceState
from fermi_unek.parallel import task_workers
from fermi_unek.sky.bins import N_BINS

TRUE = [
    SourceState(*place, 1.2e-4 * flux, INDEX) for place, flux in zip(PLACES, FLUXES, strict=True)
]
TOO_BRIGHT = [state.scaled(6.0 * state.amplitude).changed(index=INDEX_MEAN) for state in TRUE]
APART = [
    Region(number + 1, TRUE[number].vector, 6.0, (number,), (), (1 - number,))
    for number in range(2)
]
"""Each source is the surroundings of the other one, as across the border of two regions."""


def tasks(states, responses=None):
    responses = responses or [in_coarse_bins(build_response(small_sky()), small_sky())]
    return [make_task(region, states, responses, flat_sky(), (INDEX_MEAN, 0.3)) for region in APART]


def flux_above_1_gev(state):
    amplitude, index = state.amplitude, state.index
    return (
        amplitude * state.reference_mev / (index - 1.0) * (1e3 / state.reference_mev) ** (1 - index)
    )


def test_sources_that_shine_into_each_others_region_come_near_their_fluxes():
    settings = {
        "responses": [in_coarse_bins(build_response(small_sky()), small_sky())],
        "diffuse": flat_sky(),
        "prior": (INDEX_MEAN, 0.3),
    }
    with task_workers(None) as run:
        states = first_states(TOO_BRIGHT, APART, run, **settings)
    once = with_found(TOO_BRIGHT, APART, [first_fit(task) for task in tasks(TOO_BRIGHT)])
    off, before = (
        [abs(flux_above_1_gev(s) / flux - 1.0) for s, flux in zip(some, FLUXES, strict=True)]
        for some in (states, once)
    )
    assert max(off) < 0.2
    assert max(off) < max(before)


def test_bins_are_those_of_the_networks_and_the_live_time_stays():
    sky = small_sky()
    response = build_response(sky)
    coarse = in_coarse_bins(response, sky)
    assert len(coarse.channels) == N_BINS
    assert sum(channel.counts.total for channel in coarse.channels) == sum(
        counts.total for counts in sky.bins
    )
    at = TRUE[0].vector[None]
    np.testing.assert_allclose(
        coarse.components[0].exposure(at), response.components[0].exposure(at)
    )


def test_a_region_whose_numbers_fail_keeps_what_it_had(monkeypatch):
    def fail(*_args, **_options):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(RegionModel, "fit", fail)
    found = [first_fit(task) for task in tasks(TOO_BRIGHT)]
    assert found == [None, None]
    assert with_found(TOO_BRIGHT, APART, found) == TOO_BRIGHT


def test_a_source_too_faint_for_an_index_keeps_the_one_it_came_with():
    nowhere = TRUE[0].changed(lat_deg=PLACES[0][1] + 3.0, index=2.7, amplitude=1e-16)
    region = Region(1, TRUE[0].vector, 6.0, (0, 2), (1,), ())
    responses = [in_coarse_bins(build_response(small_sky()), small_sky())]
    task = make_task(region, [*TRUE, nowhere], responses, flat_sky(), (INDEX_MEAN, 0.3))
    bright, faint = first_fit(task)
    assert faint.index == pytest.approx(2.7)
    assert bright.index != INDEX


def test_an_aperture_holds_the_light_of_neighbors():
    """Which is why there are first fits."""
    sky = small_sky()
    faint = start_states(catalog_of(PLACES), [build_response(sky)], flat_sky())[1]
    assert flux_above_1_gev(faint) > FLUXES[1]
