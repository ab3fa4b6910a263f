"""Disks and points: profiles against drawn light, radii, and the tables that name them."""

from __future__ import annotations

import numpy as np
import pytest
from gammapy.catalog import SourceCatalog4FGL
from measure_samples import (
    PLACES,
    REGION,
    catalog_of,
    flat_sky,
    nearest_row,
    sky_model,
    source_table,
)

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import FindConfig, RefitConfig, build
from fermi_unek.errors import ConfigError
from fermi_unek.irf.instrument import PROFILE_DEG, load_instrument
from fermi_unek.measure import refit_catalog
from fermi_unek.measure.extent import RADIUS_68, Extent
from fermi_unek.measure.response import cumulative
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model

DISK_DEG, DISK_FLUX = 0.5, 3e-9
FAR = (203.0, 52.0)


def spread_evenly(form, radius_deg, number):
    """Offsets (2, number), degrees, as even as on a sunflower."""
    k = np.arange(number) + 0.5
    part, angle = k / number, k * np.pi * (3.0 - np.sqrt(5.0))
    sigma = radius_deg / RADIUS_68
    distance = radius_deg * np.sqrt(part) if form == "Disk" else sigma * np.sqrt(-2 * np.log(part))
    return distance * np.array([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("form", ["Disk", "2D Gaussian"])
@pytest.mark.parametrize("radius", [0.05, 0.4, 1.5])
def test_a_profile_is_that_of_points_spread_over_the_shape(form, radius):
    profiles = load_instrument().front.psf_profiles[[12, 40]]
    x, y = spread_evenly(form, radius, 100_000)
    found = Extent(form, radius).spread(profiles)
    for angle in radius * np.array([0.3, 0.9, 1.3]):
        away = np.hypot(x - angle, y)
        for profile, row in zip(profiles, found, strict=True):
            expected = np.interp(away, PROFILE_DEG, profile).mean()
            assert np.interp(angle, PROFILE_DEG, row) == pytest.approx(expected, rel=0.015)


@pytest.mark.parametrize("form", ["Disk", "2D Gaussian"])
def test_no_light_is_lost_and_a_small_shape_is_a_point(form):
    profiles = load_instrument().front.psf_profiles[::9]
    total = cumulative(profiles)[:, -1]
    for radius in (0.03, 0.3, 2.0):
        spread = cumulative(Extent(form, radius).spread(profiles))[:, -1]
        np.testing.assert_allclose(spread, total, rtol=4e-3)
    wide = profiles[:1]  # of low energy
    np.testing.assert_allclose(Extent(form, 0.02).spread(wide), wide, rtol=0.02)


@pytest.fixture(scope="module")
def refitted():
    """A disk and a point, both listed as points."""
    east, north = spread_evenly("Disk", DISK_DEG, 200)
    lon = PLACES[0][0] + east / np.cos(np.radians(PLACES[0][1]))
    places = [*zip(lon, PLACES[0][1] + north, strict=True), FAR]
    table = source_table(places, [*np.full(200, DISK_FLUX / 200), 1e-9])
    model = build_sky_model(table, flat_sky(), load_instrument())
    sky = simulate_counts(model, 10.0, np.random.default_rng(3), REGION)
    catalog = catalog_of([PLACES[0], FAR])
    return sky, refit_catalog(catalog, sky, RefitConfig(extension=True), diffuse=flat_sky())


def test_a_disk_is_extended_and_has_its_radius_and_all_of_its_flux(refitted):
    row, moved = nearest_row(refitted[1], PLACES[0])
    assert row["TS_ext"] == row["TS_ext_Disk"] > row["TS_ext_Gauss"] > 100.0
    lower, upper = row["Unc_Disk_Radius"]
    assert -lower < 0.05
    assert upper < 0.05
    assert DISK_DEG + 4.0 * lower < row["Disk_Radius"] < DISK_DEG + 4.0 * upper
    assert row["Disk_Radius"] < row["Disk_Radius_UL95"] < row["Disk_Radius"] + 3.0 * upper
    assert moved < 0.06
    assert row["Flux1000"] == pytest.approx(DISK_FLUX, abs=4.0 * float(row["Unc_Flux1000"]))


def test_a_point_stays_one_and_has_limits(refitted):
    row, _ = nearest_row(refitted[1], FAR)
    assert row["TS_ext"] < 9.0
    assert row["Extended_Source_Name"] == ""
    assert 0.0 <= row["Disk_Radius"] < row["Disk_Radius_UL95"] < 0.2
    assert 0.0 <= row["Gauss_R68"] < row["Gauss_R68_UL95"] < 0.2


def test_without_the_disk_a_point_has_too_little_flux(refitted):
    plain = refit_catalog(catalog_of([PLACES[0], FAR]), refitted[0], diffuse=flat_sky())
    assert "TS_ext" not in plain.table.colnames
    row, _ = nearest_row(plain, PLACES[0])
    assert row["Flux1000"] < 0.95 * DISK_FLUX


def test_gammapy_reads_the_shape_and_a_rerun_starts_from_it(refitted, tmp_path):
    sky, found = refitted
    write_catalog(found, tmp_path / "new.fits")
    row, _ = nearest_row(found, PLACES[0])
    shape = SourceCatalog4FGL(tmp_path / "new.fits")[row["Source_Name"]].spatial_model()
    assert shape.tag[0] == "DiskSpatialModel"
    assert shape.r_0.value == pytest.approx(row["Disk_Radius"])
    back = read_catalog(tmp_path / "new.fits")
    assert len(back.extended) == 1
    assert back.extended["Spatial_Function"][0] == "RadialDisk"
    again = refit_catalog(back, sky, RefitConfig(localize=False), diffuse=flat_sky())
    once_more, _ = nearest_row(again, PLACES[0])
    # the joint fit has the disk from its start, and gives the diffuse emission a little less
    assert once_more["TS"] == pytest.approx(row["TS"], rel=5e-3)
    assert once_more["Flux1000"] == pytest.approx(row["Flux1000"], rel=0.01)
    # without the row the file says that nothing is extended
    write_catalog(found[np.asarray(found.table["Extended_Source_Name"]) == ""], tmp_path / "b.fits")
    assert read_catalog(tmp_path / "b.fits").extended is None


def test_only_the_rows_that_are_named_are_looked_at():
    catalog = catalog_of(PLACES)
    first, second = (str(name) for name in catalog.table["Source_Name"])
    sky = simulate_counts(sky_model(), 2.0, np.random.default_rng(3), REGION)
    config = RefitConfig(extension=True, rows=f"{second},", localize=False)
    found = refit_catalog(catalog, sky, config, diffuse=flat_sky())
    assert np.isfinite(found[second]["TS_ext"])
    assert np.isnan(found[first]["TS_ext"])
    with pytest.raises(ConfigError, match="--rows: the catalog has no source 'X'"):
        refit_catalog(catalog, sky, RefitConfig(extension=True, rows="X"), diffuse=flat_sky())


def test_a_search_fits_extensions_only_where_it_measures():
    with pytest.raises(ConfigError, match="--extension is a fit; it needs --measure"):
        build(FindConfig, {"extension": True})
    assert build(FindConfig, {"extension": True, "measure": True}).extension
