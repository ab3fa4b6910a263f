"""gammapy's datasets go through the network, and our catalogs are catalogs of gammapy."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import yaml
from astropy import units as u
from astropy.coordinates import SkyCoord
from gammapy.catalog import CATALOG_REGISTRY, SourceCatalog4FGL
from gammapy.data import GTI
from gammapy.datasets import Datasets, FluxPointsDataset, MapDataset, SpectrumDataset
from gammapy.datasets.io import FermipyDatasetsReader
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator
from gammapy.irf import PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, RegionGeom, WcsGeom
from gammapy.modeling.models import Models, SkyModel
from plugin_samples import (
    BRIGHT,
    CENTRE,
    NO_SOURCE,
    SPECTRA,
    demo_sky,
    field_wcs,
    found_catalog,
    refitted_catalog,
)

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import FindConfig
from fermi_unek.errors import ConfigError, InputError, UnekWarning
from fermi_unek.plugins.gammapy import SourceCatalogUNEK, SourceTable, UNEKSourceEstimator, register
from fermi_unek.plugins.maps import read_datasets
from fermi_unek.sky.bins import ENERGY_EDGES_MEV
from fermi_unek.sky.io.writers import write_wcs_counts

pytestmark = pytest.mark.usefixtures("one_look", "one_search")

SKYDIR = SkyCoord(*CENTRE, unit="deg", frame="galactic")
NETWORK_AXIS = MapAxis.from_energy_edges(ENERGY_EDGES_MEV * u.MeV)
FRONT = {"evtype": "front", "classify": False, "diffuse": "none"}
EVERY = FRONT | {"selected_only": False}


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Counts of the simulated field, 0.1 degrees a pixel, in the network's bins."""
    path = tmp_path_factory.mktemp("field") / "ccube.fits"
    write_wcs_counts(demo_sky(), path, *field_wcs(0.1), rng=np.random.default_rng(1))
    counts = Map.read(path)
    return Map.from_geom(counts.geom, data=counts.data.astype(float))


def put_on(geom, field):
    """The counts of `field` as a dataset on another geometry of the same energies."""
    rng = np.random.default_rng(2)
    counts = Map.from_geom(geom)
    grid = field.geom.get_coord()
    number = field.data.astype(int).ravel()
    places = [np.repeat(np.asarray(one).ravel(), number) for one in (grid["lon"], grid["lat"])]
    jitter = rng.uniform(-0.05, 0.05, (2, number.sum()))
    lon = places[0] + jitter[0] / np.cos(np.radians(places[1]))
    here = SkyCoord(lon, places[1] + jitter[1], unit="deg", frame="galactic")
    channel = np.repeat(np.indices(field.data.shape)[0].ravel(), number)
    low, high = np.log(ENERGY_EDGES_MEV[channel]), np.log(ENERGY_EDGES_MEV[channel + 1])
    energy = np.exp(rng.uniform(low, high)) * u.MeV
    counts.fill_by_coord({"skycoord": here.transform_to(geom.frame), "energy": energy})
    return MapDataset(counts=counts, name="field")


def nearest_deg(table, lon, lat):
    places = SkyCoord(table["ra"], table["dec"], unit="deg")
    return places.separation(SkyCoord(lon, lat, unit="deg", frame="galactic")).deg.min()


def assert_bright_found(table, within_deg=0.1):
    for place in BRIGHT:
        assert nearest_deg(table, *place) < within_deg


# ------------------------------------------------------------------ estimator


def test_the_estimator_finds_the_bright_sources_of_a_dataset(field):
    table = UNEKSourceEstimator(threshold=0.5, **EVERY).run(MapDataset(counts=field, name="a"))
    assert table.colnames[:5] == ["value", "x", "y", "ra", "dec"]
    assert_bright_found(table)
    assert list(table["value"]) == sorted(table["value"], reverse=True)
    assert (table["value"] >= 0.5).all()


def test_pixels_of_the_table_are_those_of_the_counts(field):
    table = UNEKSourceEstimator(**EVERY).run(MapDataset(counts=field))
    image = field.sum_over_axes(keepdims=False)
    back = image.geom.pix_to_coord((table["x"], table["y"]))
    here = SkyCoord(table["ra"], table["dec"], unit="deg").galactic
    assert SkyCoord(*back, frame="galactic").separation(here).deg.max() < 0.08
    # as with find_peaks they index the image
    assert image.data[table["y"], table["x"]].shape == (len(table),)


def test_a_source_table_becomes_models_whole_or_in_part(field):
    table = UNEKSourceEstimator(threshold=0.5, **EVERY).run(MapDataset(counts=field))
    models = table.to_models()
    assert isinstance(models, Models)
    assert models.names == list(table["Source_Name"])
    for row, model in zip(table, models, strict=True):
        assert model.position.separation(SkyCoord(row["ra"], row["dec"], unit="deg")).deg < 1e-4
        assert np.isfinite(model.parameters.value).all()
    assert table[:2].to_models().names == models.names[:2]
    assert table[table["value"] > 2.0].to_models().names == []


def test_models_of_the_table_predict_counts_in_a_dataset(field):
    geom = field.geom.to_image().to_cube([NETWORK_AXIS])
    true = MapAxis.from_energy_bounds("100 MeV", "2 TeV", nbin=12, name="energy_true")
    dataset = MapDataset.create(geom, energy_axis_true=true, name="predicted")
    dataset.exposure.data += 1e15
    dataset.psf = PSFMap.from_gauss(true, sigma=0.2 * u.deg)
    dataset.edisp = dataset.mask_safe = None
    table = UNEKSourceEstimator(threshold=0.9, **EVERY).run(MapDataset(counts=field))
    dataset.models = table.to_models()
    assert dataset.npred_signal().data.sum() > 0.0


def test_a_dataset_in_which_nothing_is_found_gives_a_table_without_rows(field):
    table = UNEKSourceEstimator(region=NO_SOURCE, **EVERY).run(MapDataset(counts=field))
    assert isinstance(table, SourceTable)
    assert len(table) == 0
    assert {"value", "x", "y", "ra", "dec", "Probability"} <= set(table.colnames)
    assert len(table.to_models()) == 0


def test_the_classes_of_candidates_are_in_the_table(field):
    table = UNEKSourceEstimator(evtype="front", selected_only=False).run(MapDataset(counts=field))
    chances = np.array([table[f"Prob_{name}"] for name in ("BLL", "FSRQ", "PSR", "PWN", "Fake")])
    classified = np.isfinite(chances).all(axis=0)
    assert classified.any()
    assert set(table["CLASS1"]) <= {"bll", "fsrq", "psr", "pwn", ""}


def test_counts_of_several_datasets_are_added_up(field):
    rng = np.random.default_rng(4)
    part = Map.from_geom(field.geom, data=rng.binomial(field.data.astype(int), 0.5).astype(float))
    halves = Datasets(
        [MapDataset(counts=part, name="a"), MapDataset(counts=field - part, name="b")]
    )
    config = FindConfig(**FRONT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # two datasets are not the same photons twice
        both = read_datasets(halves, config)
    assert list(both.totals) == list(read_datasets([MapDataset(counts=field)], config).totals)
    assert_bright_found(UNEKSourceEstimator(threshold=0.5, **EVERY).run(halves))


def test_only_the_list_of_the_purity_is_in_the_table_unless_all_is_wanted(field):
    dataset = MapDataset(counts=field)
    table = UNEKSourceEstimator(**EVERY).run(dataset)
    # more than all have together, less than the best has
    purity = 0.5 * (np.mean(table["value"]) + max(table["value"]))
    estimator = UNEKSourceEstimator(purity=purity, **FRONT)
    chosen = estimator.run(dataset)
    assert 0 < len(chosen) < len(table)
    assert np.mean(chosen["value"]) >= purity
    assert set(chosen["Source_Name"]) < set(table["Source_Name"])
    assert len(estimator.search(dataset)) == len(table)


def test_the_search_gives_the_record_that_can_be_written(field, tmp_path):
    catalog = UNEKSourceEstimator(threshold=0.5, **EVERY).search(
        MapDataset(counts=field, name="A 1")
    )
    write_catalog(catalog, tmp_path / "catalog.fits")
    header = read_catalog(tmp_path / "catalog.fits").header
    # the dataset is named, the temporary folder is not
    assert any(key.startswith("input dataset_0_A_1") for key in header)
    assert not any("/" in key for key in header)


@pytest.mark.parametrize(("proj", "frame"), [("TAN", "icrs"), ("AIT", "galactic"), ("STG", "icrs")])
def test_any_projection_will_do(field, proj, frame):
    geom = WcsGeom.create(
        skydir=SKYDIR, width=8.0, binsz=0.1, proj=proj, frame=frame, axes=[NETWORK_AXIS]
    )
    assert_bright_found(UNEKSourceEstimator(threshold=0.5, **EVERY).run(put_on(geom, field)))


@pytest.mark.parametrize("nest", [True, False])
@pytest.mark.parametrize("region", ["DISK(82.0,18.0,5.0)", None])
def test_healpix_will_do(field, nest, region):
    frame = "galactic" if region else "icrs"
    nside = 512 if region else 256
    geom = HpxGeom.create(nside=nside, nest=nest, frame=frame, region=region, axes=[NETWORK_AXIS])
    dataset = put_on(geom, field)
    region = (*CENTRE, 5.0)  # of the whole sky, all but the field is empty
    table = UNEKSourceEstimator(threshold=0.5, region=region, **EVERY).run(dataset)
    # pixels of 0.11 and of 0.23 degrees
    assert_bright_found(table, within_deg=0.1 if nside == 512 else 0.2)
    assert np.isnan(table["x"]).all()


def test_a_finer_energy_axis_is_summed_and_what_straddles_is_told(field):
    axis = MapAxis.from_energy_bounds("0.3 GeV", "1 TeV", nbin=24)
    geom = field.geom.to_image().to_cube([axis])
    with pytest.warns(UnekWarning, match="do not line up with the network's"):
        table = UNEKSourceEstimator(threshold=0.5, **EVERY).run(put_on(geom, field))
    assert_bright_found(table)


@pytest.mark.parametrize(
    ("edges", "reason"),
    [([0.3, 10, 1000], "coarser than the network's energy bins"), ([0.01, 0.1], "lie outside")],
)
def test_an_energy_axis_that_does_not_fit_is_refused_with_the_reason(field, edges, reason):
    geom = field.geom.to_image().to_cube([MapAxis.from_energy_edges(edges * u.GeV)])
    counts = Map.from_geom(geom)
    counts.data += 1.0
    with pytest.raises(InputError, match=reason) as raised:
        UNEKSourceEstimator(**EVERY).run(MapDataset(counts=counts, name="coarse"))
    assert str(raised.value).startswith("dataset_0_coarse_0.fits:")


def test_counts_that_are_no_whole_numbers_are_refused(field):
    with pytest.raises(InputError, match="expected whole numbers of counts"):
        UNEKSourceEstimator(**EVERY).run(MapDataset(counts=field * 0.5))


@pytest.mark.parametrize("which", ["mask_safe", "mask_fit"])
def test_masked_pixels_and_energies_count_as_not_observed(field, which):
    mask = Map.from_geom(field.geom, data=np.ones(field.data.shape, bool))
    mask.data[:2] = False  # no energies below 1 GeV
    mask.data[:, :, :30] = False  # nor the side of large longitudes
    mask.data[2:4, :, :40] = False  # of which more is missing below 7 GeV
    sky = read_datasets([MapDataset(counts=field, name="m", **{which: mask})], FindConfig(**FRONT))
    assert list(sky.present) == [False, False, True, True, True, True]
    expected = np.where(mask.data, field.data, 0.0).sum(axis=(1, 2))
    assert list(sky.totals) == list(expected.astype(int))
    low, high = sky.bins[2].coverage.sum(), sky.bins[5].coverage.sum()
    assert low / high == pytest.approx(40 / 50, rel=0.02)
    assert high / field.geom.to_image().solid_angle().sum().to_value("deg2") == pytest.approx(
        (50 / 80) / (41253 / (12 * 4**9)), rel=0.02
    )


def test_masked_pixels_of_a_healpix_circle_count_as_not_observed(field):
    geom = HpxGeom.create(
        nside=256, frame="galactic", region="DISK(82.0,18.0,4.0)", axes=[NETWORK_AXIS]
    )
    dataset = put_on(geom, field)
    mask = Map.from_geom(geom, dtype=bool)
    mask.data = np.asarray(geom.separation(SKYDIR).deg < 2.0)
    mask.data = np.broadcast_to(mask.data, dataset.counts.data.shape)
    dataset.mask_safe = mask
    covered = read_datasets([dataset], FindConfig(**FRONT)).bins[3].coverage.mean() * 41253
    assert covered == pytest.approx(np.pi * 2.0**2, rel=0.05)


def test_a_dataset_that_is_masked_wholly_is_refused(field):
    nothing = Map.from_geom(field.geom, data=np.zeros(field.data.shape, bool))
    with pytest.raises(InputError, match="their masks leave nothing"):
        UNEKSourceEstimator(**EVERY).run(MapDataset(counts=field, mask_safe=nothing))


def test_datasets_without_counts_on_a_map_are_refused(field):
    region = RegionGeom.create("galactic;circle(82, 18, 1)", axes=[NETWORK_AXIS])
    for dataset, held in (
        (MapDataset(name="empty"), "no counts"),
        (SpectrumDataset(counts=Map.from_geom(region), name="s"), "counts in a RegionNDMap"),
        (FluxPointsDataset.__new__(FluxPointsDataset), "no counts"),
    ):
        dataset._name = "d"
        with pytest.raises(InputError, match=f"holds {held}, expected a MapDataset"):
            UNEKSourceEstimator(**EVERY).run(dataset)


def test_counts_with_more_axes_than_energy_are_refused(field):
    phase = MapAxis.from_bounds(0, 1, nbin=2, name="phase")
    geom = WcsGeom.create(skydir=SKYDIR, width=2.0, binsz=0.5, axes=[NETWORK_AXIS, phase])
    with pytest.raises(InputError, match="axes energy, phase, expected energy alone"):
        UNEKSourceEstimator(**EVERY).run(MapDataset(counts=Map.from_geom(geom)))


def test_good_times_of_a_dataset_give_the_years_of_the_data(field):
    gti = GTI.create(0 * u.yr, 3 * u.yr, reference_time="2008-08-04T15:43:37")
    sky = read_datasets([MapDataset(counts=field, gti=gti)], FindConfig(**FRONT))
    assert sky.livetime_years == pytest.approx(3.0, rel=1e-3)


def test_counts_of_unknown_event_type_are_taken_with_a_warning(field):
    with pytest.warns(UnekWarning, match=r"^dataset_0_x_0\.fits: a cube of unknown event type"):
        read_datasets([MapDataset(counts=field, name="x")], FindConfig())


def test_the_settings_of_the_estimator_are_checked_and_shown():
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        UNEKSourceEstimator(treshold=0.3)
    estimator = UNEKSourceEstimator(threshold=0.3)
    assert isinstance(estimator, Estimator)
    assert re.search(r"threshold +: 0\.3", str(estimator))
    assert estimator.copy().config == estimator.config


# ------------------------------------------------------------------ registries


def test_registering_twice_is_registering_once():
    before = len(ESTIMATOR_REGISTRY), len(CATALOG_REGISTRY)
    try:
        for _ in range(2):
            register()
            assert ESTIMATOR_REGISTRY.get_cls("UNEKSourceEstimator") is UNEKSourceEstimator
            assert CATALOG_REGISTRY.get_cls("unek") is SourceCatalogUNEK
            assert CATALOG_REGISTRY.get_cls("4fgl") is SourceCatalog4FGL
            assert (len(ESTIMATOR_REGISTRY), len(CATALOG_REGISTRY)) == (
                before[0] + 1,
                before[1] + 1,
            )
    finally:
        ESTIMATOR_REGISTRY.remove(UNEKSourceEstimator)
        CATALOG_REGISTRY.remove(SourceCatalogUNEK)


def test_a_reloaded_class_takes_the_place_of_the_old_one():
    class Reloaded(SourceCatalogUNEK):
        pass

    try:
        CATALOG_REGISTRY.append(Reloaded)
        register()
        assert CATALOG_REGISTRY.get_cls("unek") is SourceCatalogUNEK
        assert Reloaded not in CATALOG_REGISTRY
    finally:
        ESTIMATOR_REGISTRY.remove(UNEKSourceEstimator)
        CATALOG_REGISTRY.remove(SourceCatalogUNEK)


# ------------------------------------------------------------------ catalogs


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize("make", [found_catalog, refitted_catalog])
def test_a_catalog_is_a_model_of_gammapy_whatever_it_holds(make, number, tmp_path):
    write_catalog(make(number), tmp_path / "catalog.fits")
    catalog = SourceCatalogUNEK(tmp_path / "catalog.fits")
    assert len(catalog.positions) == number
    models = catalog.to_models()
    assert len(models) == number
    for source, model in zip(catalog, models, strict=True):
        assert isinstance(source.sky_model(), SkyModel)
        assert np.isfinite(model.parameters.value).all()
        flux = model.spectral_model.integral(1 * u.GeV, 100 * u.GeV)
        assert 0.0 < flux.to_value("cm-2 s-1") < 1e-6
        assert source.name in str(source)
    if number:
        models.write(tmp_path / "models.yaml")
        assert Models.read(tmp_path / "models.yaml").names == models.names


def test_gammapys_own_4fgl_class_opens_the_file_with_the_same_spectra(tmp_path):
    write_catalog(refitted_catalog(3), tmp_path / "catalog.fits")
    ours = SourceCatalogUNEK(tmp_path / "catalog.fits")
    theirs = SourceCatalog4FGL(str(tmp_path / "catalog.fits"))
    assert isinstance(ours, SourceCatalog4FGL)
    for one, other in zip(ours, theirs, strict=True):
        model, same = one.sky_model(), other.sky_model()
        assert model.spectral_model.tag == same.spectral_model.tag
        assert model.parameters.value == pytest.approx(same.parameters.value)


def test_refitted_spectra_of_every_form_reach_gammapy():
    models = SourceCatalogUNEK.from_catalog(refitted_catalog(3)).to_models()
    for model, values in zip(models, SPECTRA.values(), strict=True):
        spectrum = model.spectral_model
        held = [one.quantity.to_value(one.unit) for one in spectrum.parameters]
        for value in values.values():
            assert np.isclose(held, value, rtol=1e-4).any()
        assert spectrum.reference.quantity.to_value("MeV") == pytest.approx(2000.0)
        assert spectrum.amplitude.error == pytest.approx(0.1 * spectrum.amplitude.value)


def test_what_the_networks_say_is_at_each_source():
    catalog = found_catalog(3)
    for source, row in zip(SourceCatalogUNEK.from_catalog(catalog), catalog.table, strict=True):
        assert source.probability == pytest.approx(float(row["Probability"]))
        assert source.is_fake is bool(row["Fake"])
        assert source.near_edge is False
        assert source.class_probabilities == pytest.approx(
            {"bll": 0.5, "fsrq": 0.3, "psr": 0.1, "pwn": 0.05, "fake": 0.05}
        )


def test_the_region_of_a_source_is_its_error_ellipse():
    catalog = found_catalog(4)
    for source, row in zip(SourceCatalogUNEK.from_catalog(catalog), catalog.table, strict=True):
        region = source.region
        assert region.center.separation(source.position).deg < 1e-6
        assert region.height.to_value("deg") == pytest.approx(2 * row["Conf_95_SemiMajor"])
        # along the position angle it reaches to the major axis, across it to the minor one
        angle = row["Conf_95_PosAng"] * u.deg
        wcs = WcsGeom.create(skydir=source.position, width=1.0, binsz=0.001, frame="icrs").wcs
        for turn, axis in ((0, "Major"), (90, "Minor")):
            length = row[f"Conf_95_Semi{axis}"] * u.deg
            for share, inside in ((0.97, True), (1.03, False)):
                place = source.position.directional_offset_by(angle + turn * u.deg, share * length)
                assert region.contains(place, wcs) == inside


def test_the_region_of_a_source_without_an_error_is_a_point():
    catalog = found_catalog(1)
    catalog.table["Conf_95_SemiMajor"] = np.nan
    source = SourceCatalogUNEK.from_catalog(catalog)[0]
    assert type(source.region).__name__ == "PointSkyRegion"


# ------------------------------------------------------------------ real data

quiet = pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")


@quiet
def test_datasets_of_gammapys_fermipy_reader_go_through(shared_data, tmp_path):
    folder = shared_data / "real" / "fermipy-crab"
    config = yaml.safe_load((folder / "config_fermipy_std_5deg_qr.yaml").read_text())
    config["components"] = [{"selection": one["selection"]} for one in config["components"]]
    config["fileio"]["outdir"] = str(folder)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    datasets = FermipyDatasetsReader(tmp_path / "config.yaml").read()
    table = UNEKSourceEstimator(threshold=0.05).run(datasets)
    assert nearest_deg(table, 184.5575, -5.7844) < 0.3  # 24 photons in pixels of 0.2 degrees


@quiet
def test_the_3fhl_galactic_centre_goes_through_with_its_own_psf_and_exposure(shared_data):
    folder = shared_data / "real"
    counts = Map.read(folder / "fermi-3fhl-gc-counts-cube.fits.gz")
    exposure = Map.read(folder / "fermi-3fhl-gc-exposure-cube.fits.gz")
    psf = PSFMap.read(folder / "fermi-3fhl-gc-psf-cube.fits.gz", format="gtpsf")
    dataset = MapDataset(counts=counts, exposure=exposure, psf=psf, name="gc")
    table = UNEKSourceEstimator().run(dataset)
    # Sagittarius A*, Terzan 5 and 4FGL J1809.8-2332
    for place in ((359.944, -0.046), (3.839, 1.687), (7.389, -1.995)):
        assert nearest_deg(table, *place) < 0.15


@quiet
def test_cubes_of_fermipy_without_exposure_go_through(shared_data):
    folder = shared_data / "real" / "fermi-gc"
    datasets = [
        MapDataset(counts=Map.read(folder / f"ccube_{index:02d}.fits"), name=f"PSF{index + 2}")
        for index in (0, 1)
    ]
    table = UNEKSourceEstimator().run(Datasets(datasets))
    for place in ((359.944, -0.046), (3.839, 1.687)):
        assert nearest_deg(table, *place) < 0.15
