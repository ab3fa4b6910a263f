"""Sources added to a field are counted as found when the field alone does not account for them."""

import numpy as np
import pytest
from astropy.table import Table
from evaluate_samples import catalog_of, cone_coverage

from fermi_unek import pipeline
from fermi_unek.config import InjectConfig
from fermi_unek.errors import ConfigError, InputError, OutputError
from fermi_unek.evaluate.files import INJECTION_FILES
from fermi_unek.evaluate.injection import APART_DEG, inject, random_places
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.sky.bins import NATIVE_ORDERS
from fermi_unek.sky.counts import BinCounts, SkyCounts
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

FIELD = 80.0, 30.0, 9.0


def empty_field():
    none, coverage = np.zeros(0, np.uint32), cone_coverage(*FIELD)
    bins = tuple(BinCounts(order, none, none, coverage) for order in NATIVE_ORDERS)
    return SkyCounts(bins, "front", 10.0)


def sees_more_than(least, known=()):
    """A search that lists what is known and the middle of each cluster of enough photons."""
    import healpy as hp

    def search(sky):
        one = sky.bins[4]
        places = [lonlat_to_vectors(*place) for place in known]
        vectors = np.array(hp.pix2vec(2**one.order, one.pixels, nest=True)).T
        left = np.ones(len(vectors), bool)
        while left.any():
            seed = vectors[np.argmax(one.counts * left)]
            near = left & (vectors @ seed > np.cos(np.radians(0.9)))
            if one.counts[near].sum() >= least:
                places.append(np.median(vectors[near], axis=0))
            left &= ~near
        middle = np.array(places).reshape(-1, 3)
        lon = np.degrees(np.arctan2(middle[:, 1], middle[:, 0]))
        lat = np.degrees(np.arcsin(middle[:, 2] / np.linalg.norm(middle, axis=1)))
        return catalog_of(lon, lat, np.full(len(lon), 0.7), coverage=cone_coverage(*FIELD))

    return search


def injected(search, flux, number=8, **more):
    return inject(
        empty_field(), search, load_instrument(), 10.0, np.array(flux), number,
        np.random.default_rng(1), **more,
    )  # fmt: skip


def test_bright_ones_are_found_where_they_are_and_faint_ones_are_not():
    injection = injected(sees_more_than(12), [1e-11, 2e-8])
    table = injection.completeness
    assert table["Flux1000"].tolist() == [1e-11, 2e-8]
    assert table["n"].tolist() == [8, 8]
    assert table["completeness"].tolist() == [0, 1]
    assert np.isnan(table["r68_deg"][0])
    assert table["r68_deg"][1] < 0.1
    assert table["photons"][1] > 100 * table["photons"][0] > 0
    assert 1e-11 < injection.flux_at(0.5) < 2e-8
    assert np.isnan(injected(sees_more_than(12), [2e-8]).flux_at(0.5))
    assert "50% are reached at" in injection.to_text()


def test_a_detection_that_the_field_has_by_itself_finds_no_added_source():
    # a finder that always lists the same dense grid, whatever the counts
    lon, lat = (axis.ravel() for axis in np.meshgrid(np.arange(70, 91, 0.3),
                                                     np.arange(21, 40, 0.3)))  # fmt: skip
    grid = list(zip(lon, lat, strict=True))
    injection = injected(sees_more_than(10**9, grid), [1e-9], number=5)
    row = injection.completeness[0]
    assert row["completeness"] == 0
    # a naive count would have claimed them all
    assert row["completeness_chance"] == 1.0
    assert injection.n_alone == len(grid)


def test_rounds_hold_as_many_sources_as_keep_apart():
    injection = injected(sees_more_than(12), [1e-9, 2e-9], number=6)
    sources = injection.sources
    assert len(sources) == 12
    assert injection.rounds == len(set(sources["Round"])) > 1
    for number in set(sources["Round"]):
        here = sources[sources["Round"] == number]
        vectors = lonlat_to_vectors(np.asarray(here["GLON"]), np.asarray(here["GLAT"]))
        cosine = vectors @ vectors.T - 2 * np.eye(len(here))
        assert cosine.max() < np.cos(np.radians(APART_DEG)) or len(here) == 1


def test_places_are_inside_the_field_and_off_its_edge():
    catalog = catalog_of([], [], coverage=cone_coverage(*FIELD))
    centre = lonlat_to_vectors(*FIELD[:2])
    rng = np.random.default_rng(2)
    angles = []
    for _ in range(40):
        lon, lat = random_places(catalog, 50, rng)
        angles.append(np.degrees(np.arccos(lonlat_to_vectors(lon, lat) @ centre)))
    angles = np.concatenate(angles)
    assert angles.max() < FIELD[2] - 0.4
    # half of the area lies beyond 0.7 of the radius
    assert (angles > 6.0).mean() == pytest.approx(0.5, abs=0.1)
    lon, lat = random_places(catalog_of([], []), 30, rng)
    assert len(lon) == 30
    assert lat.min() < -20 < 20 < lat.max()


def test_a_field_without_an_inside_is_refused():
    catalog = catalog_of([], [], coverage=cone_coverage(80.0, 30.0, 0.4))
    with pytest.raises(InputError, match="no place that is 0.5 degrees from its edge"):
        random_places(catalog, 5, np.random.default_rng(0))


def test_fluxes_are_needed_and_must_be_positive():
    from fermi_unek.config import build

    for values in ({}, {"flux": []}, {"flux": [0.0]}, {"flux": [1e-9], "index": 1.0}):
        with pytest.raises(ConfigError):
            build(InjectConfig, values)


def test_the_sample_field_is_injected_by_the_network_itself(tmp_path):
    cubes, _ = pipeline.demo_sample()
    config = InjectConfig(flux=(3e-9,), number=3, years=10.0)
    injection = pipeline.inject_to_folder(cubes, tmp_path / "out", config)
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(INJECTION_FILES)
    assert injection.completeness["completeness"][0] == 1.0
    assert injection.completeness["r95_deg"][0] < 0.1
    table = Table.read(tmp_path / "out" / "injected.fits")
    assert table["Found"].all()
    with pytest.raises(OutputError, match="summary.txt: exists already"):
        pipeline.inject_to_folder(cubes, tmp_path / "out", config)
