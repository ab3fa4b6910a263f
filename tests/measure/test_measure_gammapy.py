"""The fast likelihood of a region against a plain gammapy MapDataset of the same photons."""

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

from fermi_unek.measure import data as measure_data
from fermi_unek.measure.data import region_data
from fermi_unek.measure.map_dataset import map_dataset
from fermi_unek.measure.model import RegionModel, inverse
from fermi_unek.measure.response import build_response
from fermi_unek.measure.source import SourceLikelihood
from fermi_unek.measure.state import SourceState
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

NORMS = [flux * (INDEX - 1) / (1 - 100.0 ** (1 - INDEX)) / 1e3 for flux in FLUXES]
RADIUS_DEG = 1.0


@pytest.fixture(scope="module")
def response():
    return build_response(small_sky())


@pytest.fixture(scope="module")
def fitted(response):
    """The package's own fit of both sources at their true places, diffuse emission held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_data, "WINDOW_DEG", (1.0, 3.4))
        centre = lonlat_to_vectors(*map(np.asarray, PLACES[0]))
        data = region_data(centre, RADIUS_DEG, [response], flat_sky())
    states = [
        SourceState(*place, norm, INDEX, 0.0, 1000.0)
        for place, norm in zip(PLACES, NORMS, strict=True)
    ]
    model = RegionModel(data, states, 2)
    model.shapes, model.background_free = [2, 2], False
    model.fit()
    curvature, _ = model.grams(model.expected())
    return model, inverse(model.system(curvature))


@pytest.fixture(scope="module")
def plain(fitted, response):
    """gammapy's fit of a MapDataset, in the same pixels' circles."""
    dataset = map_dataset(response, flat_sky(), PLACES[0], 9.0)
    here = SkyCoord(*PLACES[0], unit="deg", frame="galactic")
    near = dataset.counts.geom.to_image().separation(here).deg
    dataset.mask_fit = Map.from_geom(
        dataset.counts.geom,
        data=np.array([near < domain.radius_deg for domain in fitted[0].data.domains]),
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
    background = dataset.models[0]
    background.spectral_model.norm.frozen = True
    dataset.models = Models([background, *models])
    result = Fit().run(Datasets([dataset]))
    assert result.success
    return dataset


def test_fluxes_indices_and_errors_agree_with_a_plain_map_dataset(fitted, plain):
    model, covariance = fitted
    errors = np.sqrt(np.diag(covariance)).reshape(2, 2)
    for number, state in enumerate(model.states):
        other = plain.models[f"source-{number}"].spectral_model
        mine = state.amplitude * (1000.0 / state.reference_mev) ** -state.index
        assert abs(mine / other.amplitude.value - 1.0) < 0.5 * errors[number, 0]
        assert abs(state.index - other.index.value) < 0.5 * errors[number, 1]
        relative = other.amplitude.error / other.amplitude.value
        assert errors[number, 0] == pytest.approx(relative, rel=0.15)
        assert errors[number, 1] == pytest.approx(other.index.error, rel=0.15)


def test_the_gain_of_a_source_agrees_with_a_plain_map_dataset(fitted, plain):
    full = plain.stat_sum()
    amplitude = plain.models["source-1"].spectral_model.amplitude
    best, amplitude.value = amplitude.value, 0.0
    theirs = plain.stat_sum() - full
    amplitude.value = best
    assert np.sqrt(fitted[0].gains()[1]) == pytest.approx(np.sqrt(theirs), rel=0.05)


def test_the_fit_of_one_source_by_minuit_ends_where_the_joint_one_did(fitted):
    model, _ = fitted
    source = SourceLikelihood(model, 0, expected=model.expected())
    start = model.states[0]
    assert -source.stat() == pytest.approx(model.gains()[0], rel=1e-3)
    source.amplitude.value *= 1.3
    source.fit()
    assert source.amplitude.value == pytest.approx(start.amplitude, rel=0.005)
    assert source.spectral.index.value == pytest.approx(start.index, abs=0.01)


def test_expected_photons_of_all_pixels_are_what_the_domains_hold(fitted):
    """The sum over HEALPIX pixels, of which the fit keeps those with photons alone."""
    model, _ = fitted
    data = model.data
    flux = model.states[1].fine_flux()
    vector = model.states[1].vector
    profiles = data.profiles(flux)
    contained = data.contained(vector, profiles)
    for c in range(data.n_channels):
        domain = data.domains[c]
        density = measure_data.lookup(
            domain.observed @ vector, profiles, np.full(len(domain.observed), c)
        )
        if data.radii_deg[c] > 0.3:  # else the points are too far apart for a sum
            assert contained[c] == pytest.approx(density @ domain.observed_sr, abs=0.02)
        assert 0.5 < contained[c] <= 1.0
