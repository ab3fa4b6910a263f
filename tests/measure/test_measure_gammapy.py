"""The fast likelihood of a window against a plain gammapy MapDataset of the same photons."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.maps import Map
from gammapy.modeling import Fit
from gammapy.modeling.models import Models, PointSpatialModel, PowerLawSpectralModel, SkyModel
from measure_samples import FLUXES, INDEX, PLACES, flat_sky, small_sky

from fermi_unek.measure.fit import covariance, optimize
from fermi_unek.measure.map_dataset import map_dataset
from fermi_unek.measure.pixels import PixelCounts
from fermi_unek.measure.region import divide, make_task
from fermi_unek.measure.response import build_response
from fermi_unek.measure.state import SourceState
from fermi_unek.measure.window import WINDOW_DEG, RegionSky

NORMS = [flux * (INDEX - 1) / (1 - 100.0 ** (1 - INDEX)) / 1e3 for flux in FLUXES]


@pytest.fixture(scope="module")
def window():
    """The package's own fit of both sources at their true places."""
    counts = PixelCounts(small_sky())
    response = build_response(counts)
    states = [
        SourceState(*place, norm, INDEX, 0.0, 1000.0)
        for place, norm in zip(PLACES, NORMS, strict=True)
    ]
    region = divide(np.array([one.vector for one in states]), np.array(NORMS))[0]
    task = make_task(region, states, counts, response, flat_sky())
    dataset, sources = RegionSky(task.data, task.states).window(0, [1])
    dataset.tilt.frozen = True
    optimize(dataset)
    return dataset, sources, covariance(dataset)


@pytest.fixture(scope="module")
def plain():
    """gammapy's fit of a MapDataset, in the same pixels' circles."""
    sky = small_sky()
    response = build_response(PixelCounts(sky))
    dataset = map_dataset(sky, response, flat_sky(), PLACES[0], 9.0)
    here = SkyCoord(*PLACES[0], unit="deg", frame="galactic")
    near = dataset.counts.geom.to_image().separation(here).deg
    dataset.mask_fit = Map.from_geom(
        dataset.counts.geom, data=np.array([near < min(r, 4.4) for r in WINDOW_DEG])
    )
    models = [
        SkyModel(
            PowerLawSpectralModel(
                index=INDEX,
                amplitude=norm * u.Unit("cm-2 s-1 MeV-1"),
                reference=1 * u.GeV,
            ),
            PointSpatialModel(lon_0=lon * u.deg, lat_0=lat * u.deg, frame="galactic"),
            name=f"source-{number}",
        )
        for number, ((lon, lat), norm) in enumerate(zip(PLACES, NORMS, strict=True))
    ]
    for model in models:
        model.spatial_model.lon_0.frozen = model.spatial_model.lat_0.frozen = True
    dataset.models = Models([*dataset.models, *models])
    result = Fit().run(Datasets([dataset]))
    assert result.success
    return dataset


def test_fluxes_and_indices_agree_with_a_plain_map_dataset(window, plain):
    _, sources, errors = window
    for number, source in enumerate(sources):
        other = plain.models[f"source-{number}"].spectral_model
        for name in ("amplitude", "index"):
            mine, theirs = source.spectral.parameters[name], other.parameters[name]
            error = np.sqrt(errors.get_subcovariance([mine]).data[0, 0])
            assert abs(mine.value - theirs.value) < 0.5 * error
            assert error == pytest.approx(theirs.error, rel=0.15)


def test_the_gain_of_a_source_agrees_with_a_plain_map_dataset(window, plain):
    dataset, sources, _ = window
    mine = dataset.stat_sum(without=sources[1]) - dataset.stat_sum()
    full = plain.stat_sum()
    amplitude = plain.models["source-1"].spectral_model.amplitude
    best, amplitude.value = amplitude.value, 0.0
    theirs = plain.stat_sum() - full
    amplitude.value = best
    assert np.sqrt(mine) == pytest.approx(np.sqrt(theirs), rel=0.05)


def test_the_statistic_is_gammapys_cash_sum(window):
    dataset, _, _ = window
    assert dataset.stat_sum() == pytest.approx(dataset.stat_array().sum(), rel=1e-12)


def test_parts_of_a_bin_give_the_counts_of_the_whole_response(window):
    _, sources, _ = window
    counts = PixelCounts(small_sky())
    response = build_response(counts)
    full = response.counts_per_flux(sources[0].vector()[None])[0]
    np.testing.assert_allclose(sources[0].counts_per_flux.sum(axis=2), full, rtol=1e-12)


def test_gammapys_fit_takes_a_window_as_a_dataset(window):
    dataset, sources, _ = window
    before = dataset.stat_sum()
    for parameter in dataset.parameters:
        parameter.frozen = parameter is not sources[0].amplitude
    best = sources[0].amplitude.value
    sources[0].amplitude.value *= 1.1
    Fit().optimize([dataset])
    assert dataset.stat_sum() == pytest.approx(before, abs=0.05)
    assert sources[0].amplitude.value == pytest.approx(best, rel=0.01)
