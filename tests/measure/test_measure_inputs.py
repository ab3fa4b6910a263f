"""What a refit is told: response files, live time, diffuse models, schedulers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from measure_samples import catalog_of, flat_sky, small_sky

from fermi_unek.config import RefitConfig
from fermi_unek.diffuse.named import DIFFUSE_NSIDE
from fermi_unek.errors import ConfigError, InputError, OutputError, UnekWarning
from fermi_unek.irf.exposure import read_exposure
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, PROFILE_DEG, load_instrument
from fermi_unek.irf.livetime import read_livetime
from fermi_unek.irf.psf import read_psf
from fermi_unek.measure import command, refit_to_file
from fermi_unek.measure.background import DiffuseImages
from fermi_unek.measure.channels import channels_of, counts_within, domain
from fermi_unek.measure.command import find_diffuse, find_responses, refit_catalog
from fermi_unek.measure.response import build_response, through_pixels
from fermi_unek.sky.bins import MISSION_START_MET, YEAR_S
from fermi_unek.sky.counts import Pixels
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.layers import with_layers
from fermi_unek.sky.selection import Selection

PIXELS = (
    Pixels.of_order(7),
    Pixels.of_order(7),
    Pixels.of_order(8),
    Pixels(0.2),
    Pixels(),
    Pixels(),
)
HERE = lonlat_to_vectors(np.array([200.0]), np.array([50.0]))


def whole_sky_wcs(step_deg):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    wcs.wcs.crval = [0.0, 0.0]
    wcs.wcs.cdelt = [-step_deg, step_deg]
    wcs.wcs.crpix = [(360 / step_deg + 1) / 2, (180 / step_deg + 1) / 2]
    return wcs


def write_exposure(path, value=1e11, nodes=(300.0, 1e4, 1e6), plane=None):
    plane = np.full((60, 120), 1.0) if plane is None else plane
    cube = np.stack([value * plane * (energy / 1e3) ** 0.1 for energy in nodes])
    image = fits.PrimaryHDU(cube.astype(np.float32), header=whole_sky_wcs(3.0).to_header())
    table = fits.BinTableHDU(Table({"Energy": np.array(nodes)}), name="ENERGIES")
    fits.HDUList([image, table]).writeto(path)
    return path


def write_psf(path, sigma_deg=0.2, exposure=2e11):
    theta = np.geomspace(1e-3, 30.0, 300)
    row = np.exp(-0.5 * (theta / sigma_deg) ** 2) / (2 * np.pi * np.radians(sigma_deg) ** 2)
    energies = np.array([200.0, 1e4, 1.5e6])
    psf = Table({"Energy": energies, "Exposure": np.full(3, exposure), "Psf": np.tile(row, (3, 1))})
    hdus = [
        fits.PrimaryHDU(),
        fits.BinTableHDU(psf, name="PSF"),
        fits.BinTableHDU(Table({"Theta": theta}), name="THETA"),
    ]
    fits.HDUList(hdus).writeto(path)
    return path


def counts():
    return small_sky()


def test_a_map_of_the_exposure_replaces_the_table(tmp_path):
    path = write_exposure(tmp_path / "expmap.fits", 3e11)
    component = build_response(counts(), exposure=[path]).components[0]
    expected = 3e11 * (FINE_ENERGIES_MEV / 1e3) ** 0.1
    inside = (FINE_ENERGIES_MEV > 300) & (FINE_ENERGIES_MEV < 1e6)
    np.testing.assert_allclose(component.exposure(HERE)[inside, 0], expected[inside], rtol=1e-3)


def test_the_exposure_is_read_at_the_place_on_the_sky(tmp_path):
    columns, rows = np.meshgrid(np.arange(120), np.arange(60))
    lon, lat = whole_sky_wcs(3.0).wcs_pix2world(columns, rows, 0)
    path = write_exposure(tmp_path / "expmap.fits", 1e11, plane=1.0 + 0.005 * lat)
    exposure = read_exposure(path)
    places = lonlat_to_vectors(np.array([5.0, 179.5, 181.0]), np.array([10.0, -40.0, 60.0]))
    near_1_gev = np.argmin(np.abs(FINE_ENERGIES_MEV - 1e3))
    level = 1e11 * (FINE_ENERGIES_MEV[near_1_gev] / 1e3) ** 0.1
    expected = level * (1.0 + 0.005 * np.array([10.0, -40.0, 60.0]))
    np.testing.assert_allclose(exposure.at(places)[near_1_gev], expected, rtol=2e-3)


def test_a_real_healpix_exposure_varies_over_the_sky_as_a_real_map_does(shared_data):
    healpix = read_exposure(shared_data / "exposure" / "fermi_3fhl_exposure_cube_hpx.fits.gz")
    image = read_exposure(shared_data / "real" / "fermi-3fhl-gc-exposure-cube.fits.gz")
    places = lonlat_to_vectors(np.array([0.5, 5.0, 355.0]), np.array([0.5, -2.0, 3.0]))
    k = np.searchsorted(FINE_ENERGIES_MEV, 2e4)
    first, second = healpix.at(places)[k], image.at(places)[k]
    # of other event selections, so that only the shape can be compared
    np.testing.assert_allclose(first / first[0], second / second[0], rtol=1e-2)
    assert first[2] > first[0] > first[1]


def test_a_psf_file_without_a_map_brings_its_own_exposure(tmp_path):
    path = write_psf(tmp_path / "psf.fits", exposure=2e11)
    response = build_response(counts(), psf=[path], centre=HERE[0])
    np.testing.assert_allclose(response.components[0].exposure(HERE)[:, 0], 2e11, rtol=1e-5)


def test_the_psf_of_a_file_replaces_the_tables(tmp_path):
    path = write_psf(tmp_path / "psf.fits", sigma_deg=0.2)
    response = build_response(counts(), psf=[path], centre=HERE[0])
    flux = FINE_ENERGIES_MEV**-1.2
    profile = response.profiles(flux, response.exposures(HERE[0]))[3]
    expected = 1.0 / (2 * np.pi * np.radians(0.2) ** 2)
    for angle in (0.05, 0.2, 0.4):
        value = np.interp(angle, PROFILE_DEG, profile)
        assert value == pytest.approx(expected * np.exp(-0.5 * (angle / 0.2) ** 2), rel=0.03)


def test_maps_and_psf_files_must_be_as_many(tmp_path):
    psf = write_psf(tmp_path / "psf.fits")
    maps = [write_exposure(tmp_path / f"{k}.fits") for k in range(2)]
    with pytest.raises(InputError, match="1 PSF files and 2 exposure maps"):
        build_response(counts(), exposure=maps, psf=[psf])
    with pytest.raises(InputError, match="2 exposure maps were given without PSF"):
        build_response(counts(), exposure=maps)


def test_a_livetime_cube_gives_the_exposure_of_its_own_span(shared_data):
    cube = shared_data / "exposure" / "ltcube_4yr_nside32.fits"
    caldb = shared_data / "irf"
    own = build_response(counts(), exposure=[cube], caldb=caldb).components[0].exposure(HERE)
    scaled = build_response(counts(), exposure=[cube], caldb=caldb, years=10.0)
    assert read_livetime(cube).years == pytest.approx(4.0, abs=0.05)
    ten_years = scaled.components[0].exposure(HERE)
    np.testing.assert_allclose(ten_years, own * 10.0 / read_livetime(cube).years)
    # the package's own table is that of this very cube, averaged along parallels
    package = build_response(counts(), years=10.0).components[0].exposure(HERE)
    np.testing.assert_allclose(ten_years, package, rtol=0.03)


def test_a_livetime_cube_without_calibration_files_is_refused(shared_data, tmp_path, monkeypatch):
    monkeypatch.delenv("CALDB", raising=False)
    monkeypatch.delenv("FERMI_DIR", raising=False)
    cube = shared_data / "exposure" / "ltcube_4yr_nside32.fits"
    with pytest.raises(InputError, match="aeff_P8R3_SOURCE_V3_FB.fits not found"):
        build_response(counts(), exposure=[cube], caldb=tmp_path)


def test_a_livetime_cube_does_not_go_with_psf_files_or_maps(shared_data, tmp_path):
    cube, caldb = shared_data / "exposure" / "ltcube_4yr_nside32.fits", shared_data / "irf"
    psf, other = write_psf(tmp_path / "psf.fits"), write_exposure(tmp_path / "map.fits")
    for more in ({"exposure": [cube], "psf": [psf]}, {"exposure": [cube, other]}):
        with pytest.raises(InputError, match="stands alone"):
            build_response(counts(), caldb=caldb, **more)


def test_calibration_files_alone_are_no_exposure(tmp_path):
    with pytest.raises(InputError, match="give no exposure"):
        build_response(counts(), caldb=tmp_path)


def test_files_that_are_no_response_are_refused(tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU(np.zeros((2, 3, 4))).writeto(path)
    with pytest.raises(InputError, match="no ENERGIES table"):
        read_exposure(path)
    with pytest.raises(InputError, match="PSF and THETA"):
        read_psf(path)


def test_an_exposure_map_of_other_size_than_its_energies_is_refused(tmp_path):
    table = fits.BinTableHDU(Table({"Energy": [1e3, 1e4]}), name="ENERGIES")
    path = tmp_path / "x.fits"
    image = fits.PrimaryHDU(np.zeros((3, 60, 120)), header=whole_sky_wcs(3.0).to_header())
    fits.HDUList([image, table]).writeto(path)
    with pytest.raises(InputError, match="2 energies for 3 maps"):
        read_exposure(path)


def test_an_empty_psf_is_refused(tmp_path):
    path = write_psf(tmp_path / "psf.fits")
    with fits.open(path, mode="update") as hdus:
        hdus["PSF"].data["Psf"][1] = 0.0
    with pytest.raises(InputError, match="no empty one"):
        read_psf(path)


def test_a_psf_file_of_no_exposure_asks_for_a_map(tmp_path):
    path = write_psf(tmp_path / "psf.fits", exposure=0.0)
    with pytest.raises(InputError, match="give an exposure map"):
        build_response(counts(), psf=[path], centre=HERE[0])


def test_without_a_live_time_it_says_how_to_give_one():
    unknown = replace(small_sky(), livetime_years=float("nan"))
    with pytest.raises(InputError, match="--years"):
        build_response(unknown)
    response = build_response(unknown, years=5.0)
    table = load_instrument().front
    np.testing.assert_allclose(response.components[0].share, 5.0)
    assert response.components[0].tables is table


def test_one_diffuse_file_alone_is_refused():
    with pytest.raises(ConfigError, match="--diffuse was given without --iso"):
        find_diffuse(RefitConfig(diffuse=Path("gll.fits")), "front")
    with pytest.raises(ConfigError, match="--iso was given without --diffuse"):
        find_diffuse(RefitConfig(iso=Path("iso.txt")), "front")


def test_the_approximate_diffuse_model_comes_with_a_warning(monkeypatch):
    for name in ("FERMI_UNEK_DATA", "FERMI_DIFFUSE_DIR", "FERMI_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir("/")
    with pytest.warns(UnekWarning, match="approximate"):
        assert find_diffuse(RefitConfig(), "front").name.startswith("own")


# photons and exposure that do not belong together ------------------------------------------------

YEARS = tuple(239557417.0 + YEAR_S * np.arange(11))


def seen_during(first, last, **selection):
    """The sky of the tests, with photons of FRONT events between two years of the mission."""
    spans = ((YEARS[first], YEARS[last]),)
    cuts = Selection(event_type=1, event_class=128, spans_met=spans, **selection)
    return replace(small_sky(), selection=cuts)


def exposure_during(path, first, last, event_type=1, **keywords):
    write_exposure(path, 3e11)
    start, stop = (fits.Column(n, "D", "s", array=[YEARS[k]])
                   for n, k in (("START", first), ("STOP", last)))  # fmt: skip
    with fits.open(path, mode="update") as hdus:
        hdus.append(fits.BinTableHDU.from_columns([start, stop], name="GTI"))
        hdus[0].header.update(
            {"NDSKEYS": 3, "DSTYP1": f"BIT_MASK(EVENT_TYPE,{event_type},P8R3)", "DSVAL1": "1:1"}
            | {"DSTYP2": "BIT_MASK(EVENT_CLASS,128,P8R3)", "DSVAL2": "1:1"}
            | {"DSTYP3": "ZENITH_ANGLE", "DSVAL3": "0:100", "DSUNI3": "deg"}
            | keywords
        )
    return path


def level(counts, path):
    component = build_response(counts, exposure=[path]).components[0]
    return component.exposure(HERE)[np.argmin(np.abs(FINE_ENERGIES_MEV - 1e3)), 0]


def test_an_exposure_of_more_time_than_the_photons_is_scaled(tmp_path):
    path = exposure_during(tmp_path / "map.fits", 0, 10)
    whole = level(seen_during(0, 10), path)
    with pytest.warns(UnekWarning, match="exposure of 10 years, the photons .GTI. are of 2"):
        assert level(seen_during(3, 5), path) == pytest.approx(0.2 * whole, rel=1e-6)
    assert level(seen_during(0, 10, phase=0.4), path) == pytest.approx(0.4 * whole, rel=1e-6)


@pytest.mark.parametrize(
    ("file", "photons", "reason"),
    [
        ((0, 4), (2, 6), "covers 2 of the 4 years of the photons"),
        ((0, 1), (5, 6), "covers 0 of the 1 years"),
        ((0, 10, 2), (0, 10), "is the exposure of BACK events, the photons are FRONT"),
        ((0, 10, 3), (0, 10), r"is the exposure of FRONT\+BACK events"),
    ],
)
def test_an_exposure_of_other_time_or_events_is_refused(tmp_path, file, photons, reason):
    path = exposure_during(tmp_path / "map.fits", *file)
    with pytest.raises(InputError, match=f"map.fits: {reason}"):
        build_response(seen_during(*photons), exposure=[path])


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"DSTYP2": "BIT_MASK(EVENT_CLASS,2048,P8R3)"}, "made for event class 2048, the photons"),
        ({"DSVAL3": "0:90"}, "made for zenith cut 90, the photons have 105"),
    ],
)
def test_another_class_or_zenith_cut_is_told(tmp_path, keywords, told):
    path = exposure_during(tmp_path / "map.fits", 0, 10, **keywords)
    zenith = (0.0, 105.0) if "zenith" in told else None
    with pytest.warns(UnekWarning, match=told):
        build_response(seen_during(0, 10, zenith_deg=zenith), exposure=[path])


def test_an_exposure_of_another_reconstruction_is_told(tmp_path):
    path = exposure_during(tmp_path / "map.fits", 0, 10)
    with pytest.warns(UnekWarning, match="made for release P8R3, the photons have P8R2"):
        build_response(seen_during(0, 10, release="P8R2"), exposure=[path])


def orbits(path, part):
    """Good times of a map during a part of each orbit of the first year."""
    starts = YEARS[0] + np.arange(0.0, YEAR_S, 5700.0)
    with fits.open(path, mode="update") as hdus:
        ends = {"START": starts, "STOP": starts + part * 5700.0}
        columns = [fits.Column(name, "D", "s", array=values) for name, values in ends.items()]
        hdus["GTI"] = fits.BinTableHDU.from_columns(columns, name="GTI")
    return path


def test_good_times_of_photons_and_exposure_are_compared(tmp_path):
    path = orbits(exposure_during(tmp_path / "map.fits", 0, 1), 0.84)
    whole = level(seen_during(0, 1), path)  # of calendar time, as a simulation has it
    like = seen_during(0, 1, good_s=0.8 * YEAR_S)
    with pytest.warns(UnekWarning, match=r"are 84.0% of its time, those of the photons are 80.0%"):
        assert level(like, path) == pytest.approx(0.8 / 0.84 * whole, rel=1e-3)
    with pytest.raises(InputError, match=r"those of the photons are 38.0%; expected the exposure"):
        build_response(seen_during(0, 1, good_s=0.38 * YEAR_S), exposure=[path])


@pytest.mark.parametrize("wrong", [1e-4, 1e4])
def test_an_exposure_in_another_unit_than_it_says_is_refused(tmp_path, wrong):
    path = write_exposure(tmp_path / "map.fits", 3e11 * wrong)
    with pytest.raises(InputError, match="are no exposure of FRONT photons, .* is its unit"):
        build_response(counts(), exposure=[path])
    with pytest.raises(InputError, match="are no exposure of FRONT photons"):
        read_exposure(path).instrument(10.0, "front")


@pytest.mark.parametrize("nodes", [(1e4, 1e5, 1e6), (0.3, 10.0, 1e3)])
def test_an_exposure_of_other_energies_than_the_photons_is_refused(tmp_path, nodes):
    path = write_exposure(tmp_path / "map.fits", 3e11, nodes=nodes)
    sky = replace(counts(), intervals_mev=((300.0, 1e6),))
    with pytest.raises(InputError, match="MeV, the photons are of 300 to 1e.06; expected their"):
        build_response(sky, exposure=[path])


def test_beyond_its_energies_an_exposure_goes_on_as_the_shipped_one(tmp_path):
    path = write_exposure(tmp_path / "map.fits", 3e11, nodes=(500.0, 1e4, 1e5))
    found = read_exposure(path).at(HERE)[:, 0]
    shipped = sum(t.exposure_per_year.mean(axis=1) for t in load_instrument().parts("all"))
    low, edge = np.searchsorted(FINE_ENERGIES_MEV, [250.0, 500.0])
    at_edge = 3e11 * 0.5**0.1
    expected = at_edge * shipped[low] / np.interp(np.log(500.0), np.log(FINE_ENERGIES_MEV), shipped)
    assert found[low] == pytest.approx(expected, rel=0.02)
    assert found[low] < 0.9 * at_edge < found[edge]


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_where_an_exposure_is_none_it_covers_nothing(tmp_path, value):
    plane = np.where(np.arange(60)[:, None] > 35, value, 1.0) * np.ones(120)
    path = write_exposure(tmp_path / "map.fits", 3e11, plane=plane)
    with pytest.raises(InputError, match="covers 0% of the field of the photons"):
        build_response(counts(), exposure=[path])
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[1] = value
    with pytest.raises(InputError, match="at 10000 MeV none of its values is positive and finite"):
        read_exposure(path)


def layered():
    """Photons of FRONT and BACK, kept apart."""
    front, back = (
        replace(
            small_sky(),
            event_type=kind,
            selection=Selection(event_type=bits, spans_met=((YEARS[0], YEARS[10]),)),
        )
        for kind, bits in (("front", 1), ("back", 2))
    )
    return with_layers([front, back])


def layer_levels(*paths):
    config = RefitConfig(exposure=paths)
    place = np.argmin(np.abs(FINE_ENERGIES_MEV - 1e3))
    return [
        sum(response.exposures(HERE[0]))[place]
        for response in find_responses(layered(), config, HERE[0])
    ]


def test_a_map_of_all_events_is_shared_out_among_the_layers(tmp_path):
    path = exposure_during(tmp_path / "map.fits", 0, 10, 3)
    front, back = layer_levels(path)
    place = np.argmin(np.abs(FINE_ENERGIES_MEV - 1e3))
    tables = load_instrument()
    means = [t.exposure_per_year[place].mean() for t in (tables.front, tables.back)]
    assert front + back == pytest.approx(3e11, rel=0.01)
    assert front / back == pytest.approx(means[0] / means[1], rel=1e-3)


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ((1,), "is the exposure of FRONT events, the photons are BACK"),
        ((2, 1), "is the exposure of BACK events, the photons are FRONT"),
        ((3, 3), r"is the exposure of FRONT\+BACK events, the photons are FRONT"),
    ],
)
def test_exposures_of_one_layer_or_of_both_in_turn_are_refused(tmp_path, types, told):
    paths = [exposure_during(tmp_path / f"{k}.fits", 0, 10, bits) for k, bits in enumerate(types)]
    with pytest.raises(InputError, match=told):
        layer_levels(*paths)


def test_a_map_of_unknown_events_does_not_serve_two_layers(tmp_path):
    path = write_exposure(tmp_path / "map.fits", 3e11)
    with pytest.raises(InputError, match="does not say of which event types"):
        layer_levels(path)


def test_parts_of_the_events_go_with_a_psf_each(tmp_path):
    maps = [exposure_during(tmp_path / f"{bits}.fits", 0, 10, bits) for bits in (1, 2)]
    psf = [write_psf(tmp_path / f"psf{k}.fits") for k in (0, 1)]
    sky = replace(seen_during(0, 10), event_type="all")
    sky = replace(sky, selection=replace(sky.selection, event_type=3))
    response = build_response(sky, exposure=maps, psf=psf, centre=HERE[0])
    assert len(response.components) == 2


@pytest.mark.parametrize(
    ("table", "name", "change", "told"),
    [
        ("EXPOSURE", "RA", lambda ra: ra / 15.0, "not the centers of its 768 HEALPIX pixels"),
        ("EXPOSURE", "DEC", lambda dec: dec * np.nan, "not the centers"),
        ("EXPOSURE", "COSBINS", lambda seconds: seconds * 1e3, "is the unit of COSBINS right"),
        ("EXPOSURE", "COSBINS", lambda seconds: -seconds, "times that are none"),
        ("CTHETABOUNDS", "CTHETA_MIN", lambda low: low + 1.0, "bins of the inclination"),
    ],
)
def test_a_livetime_cube_that_contradicts_itself_is_refused(tmp_path, table, name, change, told):
    path = tmp_path / "lt.fits"
    write_livetime(path)
    read_livetime(path)
    with fits.open(path, mode="update") as hdus:
        hdus[table].data[name] = change(hdus[table].data[name])
    with pytest.raises(InputError, match=f"cannot be read as a livetime cube: .*{told}"):
        read_livetime(path)


def write_livetime(path):
    """Eight years, even over the sky, as gtltcube writes them."""
    ra, dec = hp.pix2ang(8, np.arange(768), nest=True, lonlat=True)
    high = 1.0 - np.linspace(0.0, 1.0, 11)[:-1] ** 2
    low = 1.0 - np.linspace(0.0, 1.0, 11)[1:] ** 2
    seconds = np.tile((high - low) * 0.3 * 8 * YEAR_S, (768, 1))
    hdus = [fits.PrimaryHDU()]
    for kind in ("EXPOSURE", "WEIGHTED_EXPOSURE"):
        columns = [fits.Column("COSBINS", "10E", "s", array=seconds)]
        columns += [fits.Column(k, "E", "deg", array=v) for k, v in (("RA", ra), ("DEC", dec))]
        hdus.append(fits.BinTableHDU.from_columns(columns, name=kind))
        start = MISSION_START_MET
        hdus[-1].header.update({"TSTART": start, "TSTOP": start + 8 * YEAR_S, "ZENMAX": 90.0})
    ends = (("CTHETA_MIN", low), ("CTHETA_MAX", high))
    bounds = [fits.Column(k, "E", array=v) for k, v in ends]
    hdus.append(fits.BinTableHDU.from_columns(bounds, name="CTHETABOUNDS"))
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("highest", [180, 100, 90])
def test_the_zenith_cut_of_a_livetime_cube_is_known(shared_data, highest):
    cube = read_livetime(shared_data / "fermitools" / f"ltcube_z{highest}.fits.gz")
    assert cube.selection.zenith_deg == (0.0, highest)


def test_an_exposure_of_another_field_is_refused(shared_data):
    path = shared_data / "fermitools" / "fit_bexpmap_roi_00.fits.gz"  # 15 degrees around (60, 50)
    with pytest.raises(InputError, match="covers 0% of the field of the photons"):
        build_response(counts(), exposure=[path])


def test_two_sources_at_one_place_are_told():
    places = [(20.0, 60.0), (20.0, 50.0), (20.0, 60.004)]
    catalog = catalog_of(places)
    lon, lat = (np.asarray(catalog[name], float) for name in ("GLON", "GLAT"))
    vectors = lonlat_to_vectors(lon, lat)
    with pytest.warns(UnekWarning, match="1 pairs of sources lie within 0.01 deg .* sum of their"):
        command._tell_twins(catalog, vectors)
    vectors[1:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        command._tell_twins(catalog, vectors)


def test_photons_of_another_field_than_the_catalog_are_refused():
    sky = small_sky()
    elsewhere = catalog_of([(20.0, -60.0), (21.0, -60.0)])
    with pytest.raises(InputError, match="the photons cover none of the 2 sources"):
        refit_catalog(elsewhere, sky, diffuse=flat_sky())
    some = catalog_of([(200.0, 50.0), (20.0, -60.0)])
    with pytest.warns(UnekWarning, match="do not cover 1 of the 2 sources of the catalog, which"):
        after = refit_catalog(some, sky, diffuse=flat_sky())
    np.testing.assert_array_equal(after.table["Source_Name"], some.table["Source_Name"])
    near = np.asarray(after.table["GLAT"]) > 0
    np.testing.assert_array_equal(np.isfinite(after.table["TS"]), near)
    np.testing.assert_array_equal(np.isfinite(after.table["Flux1000"]), near)


@pytest.mark.parametrize(
    ("keyword", "unit", "scale"), [("BUNIT", "m2 s", 1e-4), ("BUNIT", "CM^2 S", 1.0)]
)
def test_the_unit_of_an_exposure_map_is_obeyed(tmp_path, keyword, unit, scale):
    write_exposure(tmp_path / "plain.fits", 3e11)
    write_exposure(tmp_path / "stated.fits", 3e11 * scale)
    fits.setval(tmp_path / "stated.fits", keyword, value=unit)
    first, second = (read_exposure(tmp_path / f"{n}.fits").at(HERE) for n in ("plain", "stated"))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    fits.setval(tmp_path / "stated.fits", keyword, value="Jy")
    with pytest.raises(InputError, match="unit 'Jy' cannot be brought to cm2 s"):
        read_exposure(tmp_path / "stated.fits")


def test_energies_observed_in_part_narrow_their_bin():
    channels = channels_of(replace(small_sky(), intervals_mev=((10000.0, 2e6),)))
    np.testing.assert_allclose(channels[4].energies_mev, [1e4, 2e4])
    np.testing.assert_allclose(channels[5].energies_mev, [2e4, 1e6])


def test_pixels_of_a_coarse_input_are_those_of_the_likelihood():
    coarse = build_response(replace(small_sky(), counted_in=PIXELS))
    fine = build_response(small_sky())
    limits = [pixels.galactic_order or 99 for pixels in PIXELS]
    assert coarse.orders == tuple(map(min, fine.orders, limits))
    np.testing.assert_allclose([c.side_deg for c in coarse.channels], [0, 0, 0, 0.2, 0, 0])
    area = domain(coarse.channels[0].counts.coverage, HERE[0], 3.0, coarse.orders[0])
    sums = [
        counts_within(response.channels[0].counts, area, response.orders[0])[1].sum()
        for response in (coarse, fine)
    ]
    assert sums[0] == sums[1] > 0


def test_a_domain_is_what_was_observed_of_a_disc():
    coverage = small_sky().bins[0].coverage
    area = domain(coverage, HERE[0], 8.0, 8)
    disc = 2 * np.pi * (1 - np.cos(np.radians(8.0)))
    assert area.observed_sr.sum() + area.missing_sr.sum() == pytest.approx(disc, rel=0.01)
    assert area.observed_sr.sum() == pytest.approx(
        2 * np.pi * (1 - np.cos(np.radians(6.0))), rel=0.03
    )
    inside = domain(coverage, HERE[0], 5.0, 8)
    pixels, number = counts_within(small_sky().bins[0], inside, 8)
    assert np.all(np.diff(pixels) > 0)
    vectors = np.stack(hp.pix2vec(2**10, small_sky().bins[0].pixels.astype(int), nest=True), -1)
    near = np.degrees(np.arccos(vectors @ HERE[0])) < 5.0
    # the rim follows the pixels of the coverage
    assert number.sum() == pytest.approx(small_sky().bins[0].counts[near].sum(), rel=0.01)


def test_pixels_widen_a_profile_and_keep_its_photons():
    sigma = 0.1
    profile = np.exp(-0.5 * (PROFILE_DEG / sigma) ** 2)
    blurred = through_pixels(through_pixels(profile[None], 0.2), 0.2)[0]
    ring = 2 * np.pi * np.sin(np.radians(PROFILE_DEG))

    def moment(values, power):
        return np.trapezoid(values * ring * PROFILE_DEG**power, PROFILE_DEG)

    assert moment(blurred, 0) == pytest.approx(moment(profile, 0), rel=0.01)
    # each of the two pixels adds width^2 / 12 to the variance along each axis
    spread = moment(blurred, 2) / moment(blurred, 0)
    assert spread == pytest.approx(2 * (sigma**2 + 2 * 0.2**2 / 12), rel=0.03)


def test_an_output_that_cannot_be_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(OutputError, match="must end in .fits or .fit"):
        refit_to_file("absent.fits", ["absent.fits"], tmp_path / "new.csv")
    (tmp_path / "new.fits").touch()
    with pytest.raises(OutputError, match="exists already"):
        refit_to_file("absent.fits", ["absent.fits"], tmp_path / "new.fits")


def test_a_ridge_of_diffuse_emission_is_not_flattened():
    sky = small_sky()
    response = build_response(sky)
    _, lat = hp.pix2ang(DIFFUSE_NSIDE, np.arange(12 * DIFFUSE_NSIDE**2), nest=True, lonlat=True)
    ridge = np.exp(-0.5 * ((lat - 50.0) / 0.6) ** 2).astype(np.float32)
    flat = flat_sky()
    model = replace(flat, maps=flat.maps[:, :1] * (1.0 + 2000.0 * ridge))
    vectors = lonlat_to_vectors(np.full(4, 200.0), np.array([49.3, 49.9, 50.1, 50.7]))
    found, plain = (
        DiffuseImages(one, response, HERE[0], 2.0).per_sr(0, vectors).sum(axis=0)
        for one in (model, flat)
    )
    # what the model itself says, photon energies of the bin being much alike
    energy = np.array([390.0])
    expected = model.intensity_at(energy, vectors)[0] / flat.intensity_at(energy, vectors)[0]
    np.testing.assert_allclose(found / plain, expected, rtol=1.5e-2)
