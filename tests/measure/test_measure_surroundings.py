"""Sources beyond the rim of the photons: they shine into the field, and get no rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from measure_samples import REGION, catalog_of, flat_sky, source_table

from fermi_unek.catalog.io import read_source_list
from fermi_unek.config import RefitConfig
from fermi_unek.errors import InputError
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure import refit_catalog, refit_to_file
from fermi_unek.measure.command import _beyond
from fermi_unek.measure.start import states_beyond
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

INSIDE, BEYOND = (200.0, 54.9), (200.0, 56.7)
FLUX, BRIGHT = 2e-9, 4e-7


@pytest.fixture(scope="module")
def sky():
    model = build_sky_model(
        source_table((INSIDE, BEYOND), (FLUX, BRIGHT)), flat_sky(), load_instrument()
    )
    return simulate_counts(model, 10.0, np.random.default_rng(5), REGION)


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    """A list of the bright source alone, as 4FGL would have it."""
    path = tmp_path_factory.mktemp("list") / "around.fits"
    table = source_table((INSIDE, BEYOND), (FLUX, BRIGHT))
    Table(table[1:], meta={}).write(path)
    return path


def refitted(sky, **settings):
    config = RefitConfig(localize=False, scatter=False, **settings)
    return refit_catalog(catalog_of([INSIDE]), sky, config, diffuse=flat_sky()).table


def test_light_from_beyond_the_rim_is_not_taken_for_that_of_candidates(sky, around):
    pulls = []
    for name in ("none", str(around)):
        table = refitted(sky, surroundings=name)
        assert len(table) == 1
        pulls.append(float((table["Flux1000"][0] - FLUX) / table["Unc_Flux1000"][0]))
    assert abs(pulls[1]) < 2.5
    assert abs(pulls[0]) > abs(pulls[1]) + 2.0


def test_what_a_list_has_close_to_a_candidate_is_the_candidate(sky, around):
    """A search may place it just inside of the rim, where the list has it just outside."""
    known = read_source_list(around)
    vectors = [lonlat_to_vectors(np.asarray(200.0), np.asarray(BEYOND[1] - d)) for d in (0.5, 0.2)]
    assert [len(states_beyond(known, sky, vector[None])) for vector in vectors] == [1, 0]


def test_a_release_is_asked_of_real_photons_unless_another_is_named(sky, around):
    real = replace(sky, selection=replace(sky.selection, simulated=False))
    made = replace(sky, selection=replace(sky.selection, simulated=True))
    inside, both = catalog_of([INSIDE]), catalog_of([INSIDE, BEYOND])
    named = RefitConfig(surroundings=str(around))

    def number(catalog, photons, config):
        return len(_beyond(catalog, photons, config))

    assert 20 < number(inside, real, RefitConfig()) < 200
    assert number(inside, real, RefitConfig(surroundings="none")) == 0
    assert number(inside, made, RefitConfig()) == 0
    assert number(inside, made, named) == 1
    # such a list says itself what is around
    assert number(both, real, RefitConfig()) == 0
    assert number(both, real, named) == 0  # BEYOND is in it already


def test_a_list_that_is_not_there_is_told_before_photons_are_read(tmp_path, around):
    with pytest.raises(InputError, match="neither a file nor one of"):
        refit_to_file(
            around, [tmp_path / "nothing"], tmp_path / "new.fits", RefitConfig(surroundings="dr9")
        )
