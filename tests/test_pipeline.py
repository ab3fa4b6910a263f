"""From files to catalogs: what the settings do to a search of a piece of the sample field."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from regions import CircleSkyRegion

import fermi_unek
from fermi_unek import pipeline
from fermi_unek.catalog.releases import release_path
from fermi_unek.config import FindConfig, InjectConfig, ReportConfig
from fermi_unek.errors import ConfigError, InputError, OutputError, UnekWarning
from fermi_unek.measure import refit_catalog
from fermi_unek.pipeline import demo, inputs
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import COVERAGE_ORDER, N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.io.skyfile import cut_region, write_sky
from fermi_unek.sky.io.writers import write_healpix_counts
from fermi_unek.sky.selection import Selection

FIELD = (80.0, 18.0, 2.5)
CRAB = (184.5575, -5.7844)  # 4FGL J0534.5+2200

pytestmark = [
    pytest.mark.usefixtures("one_look"),
    pytest.mark.filterwarnings("ignore:no times:fermi_unek.errors.UnekWarning"),
]


def cone(lon, lat, radius):
    mask = np.zeros(12 * 4**COVERAGE_ORDER, bool)
    vector = healpy.ang2vec(lon, lat, lonlat=True)
    mask[healpy.query_disc(2**COVERAGE_ORDER, vector, np.radians(radius), nest=True)] = True
    return mask


def sky(coverages):
    return SkyCounts(
        tuple(
            bin_from_pixels(
                index,
                healpy.ang2pix(2 ** NATIVE_ORDERS[index], *CRAB, nest=True, lonlat=True),
                coverages[index],
            )
            for index in range(N_BINS)
        ),
        origin={"file 1": "crab.fits"},
    )


@pytest.fixture(scope="module")
def field_file(tmp_path_factory):
    """A circle of the sample field, which ten years of a simulated sky are in."""
    cubes, _ = pipeline.demo_sample()
    path = tmp_path_factory.mktemp("field") / "field.fits"
    write_sky(cut_region(pipeline.read_photons(cubes), FIELD), path)
    return path


@pytest.fixture(scope="module")
def field_catalog(field_file):
    """What a search with all defaults finds there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnekWarning)
        return fermi_unek.find_sources(field_file)


@pytest.fixture
def expcube(tmp_path):
    """A gtexpcube2 file of 1e11 cm2 s everywhere."""
    header = fits.Header({"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "GAL"})
    columns = [fits.Column(f"ENERGY{i}", "E", array=np.full(192, 1e11)) for i in (1, 2)]
    energies = fits.Column("Energy", "D", array=np.array([3e2, 1e6]))
    table = fits.BinTableHDU.from_columns(columns, header, name="HPXEXPOSURES")
    nodes = fits.BinTableHDU.from_columns([energies], name="ENERGIES")
    fits.HDUList([fits.PrimaryHDU(), table, nodes]).writeto(tmp_path / "expcube.fits")
    return tmp_path / "expcube.fits"


def test_a_search_can_end_with_a_fit_which_is_that_of_refit(field_file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnekWarning)
        options = {"threshold": 0.8, "classify": False}
        found = fermi_unek.find_sources(field_file, measure=True, **options)
        plain = fermi_unek.find_sources(field_file, **options)
        after = refit_catalog(plain, pipeline.read_photons(field_file, FindConfig(measure=True)))
    assert len(found) > 0
    assert np.isfinite(found["Flux1000"]).all()
    for name in ("TS", "Flux1000", "Flux_Band", "RAJ2000"):
        np.testing.assert_array_equal(found[name], after[name])


# settings ---------------------------------------------------------------------------------------


def test_what_is_found_is_as_probable_and_where_it_was_asked_for(field_file, field_catalog):
    assert len(field_catalog) > 3
    assert field_catalog["Probability"].min() >= 0.2
    brightest = field_catalog[int(np.argmax(field_catalog["Probability"]))]
    middle = SkyCoord(brightest["GLON"], brightest["GLAT"], unit="deg", frame="galactic")
    found = fermi_unek.find_sources(field_file, {"threshold": 0.5, "region": (middle, 0.5)})
    assert 0 < len(found) < len(field_catalog)
    assert found["Probability"].min() >= 0.5
    assert found.positions.separation(middle).max() < 0.5 * u.deg
    beside = middle.directional_offset_by(0 * u.deg, 0.7 * u.deg)
    assert not found.covers(np.array([beside.l.deg]), np.array([beside.b.deg]))[0]


def test_keywords_mappings_and_records_of_settings_are_the_same(field_file):
    circle = CircleSkyRegion(SkyCoord(80.0, 18.0, unit="deg", frame="galactic"), 2.0 * u.deg)
    settings = {"threshold": 0.4, "classify": False, "region": "80,18,2"}
    ways = [
        fermi_unek.find_sources(field_file, settings),
        fermi_unek.find_sources(field_file, FindConfig(**settings)),
        fermi_unek.find_sources(field_file, threshold=0.4, classify=False, region=circle),
        fermi_unek.find_sources(field_file, {"threshold": 0.9}, **settings),
        fermi_unek.find_sources(field_file, FindConfig(**settings | {"threshold": 0.9}),
                                threshold=0.4),
    ]  # fmt: skip
    assert len(ways[0]) > 0
    for other in ways[1:]:
        np.testing.assert_array_equal(other["Source_Name"], ways[0]["Source_Name"])
        np.testing.assert_array_equal(other["Probability"], ways[0]["Probability"])


@pytest.mark.parametrize("key", ["report", "overwrite", "output"])
def test_a_setting_that_would_be_without_effect_in_python_is_refused(key):
    with pytest.raises(ConfigError, match=f"{key} would be without effect"):
        fermi_unek.find_sources("crab.fits", **{key: "x"})
    with pytest.raises(ConfigError, match=f"{key} would be without effect"):
        fermi_unek.find_sources("crab.fits", {key: "x"})


def test_an_unknown_setting_is_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match="unknown key 'treshold'"):
        fermi_unek.find_sources("missing.fits", treshold=0.3)


def test_cuts_reach_the_reader(field_file):
    with pytest.raises(InputError, match="holds front counts, back cannot be selected"):
        fermi_unek.find_sources(field_file, evtype="back")
    with pytest.raises(InputError, match="zmax"):
        fermi_unek.find_sources(field_file, zmax=90 * u.deg)


@pytest.mark.parametrize("bad", [{"model": "none-such"}, {"reference": "5FGL"}])
def test_a_wrong_model_or_reference_is_refused_before_photons_are_read(bad):
    with pytest.raises(InputError, match=next(iter(bad.values()))):
        fermi_unek.find_sources("missing.fits", bad)


@pytest.mark.parametrize(("named", "told"), [("none", False), ("v07", True)])
def test_the_network_is_told_of_the_diffuse_emission_unless_none_is_wanted(named, told):
    shape = pipeline.models.find_shape(named)
    assert (shape is not None) == told


def test_an_isotropic_spectrum_without_a_mapcube_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="name that file as --diffuse"):
        pipeline.models.find_shape("v07", tmp_path / "iso.txt")


def test_a_diffuse_emission_that_is_not_there_is_refused_with_what_is():
    with pytest.raises(InputError, match=r"no diffuse shape 'v08': neither a file nor one of"):
        pipeline.models.find_shape("v08")


def write_mapcube(path, energies, spectrum):
    """A whole sky that is twice as bright in the north, as gll_iem is laid out."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crpix = ["GLON-CAR", "GLAT-CAR"], [-2, 2], [91, 46]
    image = np.where(np.arange(91)[:, None] >= 45, 2.0, 1.0) * np.ones(181)
    nodes = fits.BinTableHDU(Table({"Energy": energies}), name="ENERGIES")
    cube = fits.PrimaryHDU((spectrum[:, None, None] * image).astype("f4"), wcs.to_header())
    fits.HDUList([cube, nodes]).writeto(path)
    return path


def test_a_mapcube_and_its_isotropic_spectrum_are_what_the_network_is_told_of(tmp_path):
    """Spectra of index 2, the isotropic one three times the southern sky."""
    energies = np.geomspace(50.0, 2e6, 14)
    cube = write_mapcube(tmp_path / "cube.fits", energies, 2e-3 * energies**-2.0)
    np.savetxt(
        tmp_path / "iso.txt", np.column_stack([energies, 6e-3 * energies**-2.0, 0 * energies])
    )
    config = FindConfig(
        diffuse=str(cube), iso=tmp_path / "iso.txt", reference="none", classify=False
    )
    shape = pipeline.load_models(config).shape
    edges = np.array(BINNING.edges_mev)
    integral = 1.0 / edges[:-1] - 1.0 / edges[1:]
    for b, plane in enumerate(shape.galactic):
        nside = BINNING.template_nsides[b]
        for lat, bright in ((50.0, 2.0), (-50.0, 1.0)):
            pixel = healpy.ang2pix(nside, 77.0, lat, nest=True, lonlat=True)
            assert plane[pixel] == pytest.approx(2e-3 * bright * integral[b], rel=0.01)
        assert shape.isotropic["front"][b] == pytest.approx(6e-3 * integral[b], rel=0.01)
    with pytest.raises(ConfigError, match="cube.fits: iso_P8R3_SOURCE_V3_v1.txt is not beside it"):
        pipeline.load_models(config.model_copy(update={"iso": None}))


# event types ------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    """FRONT and BACK cubes of a field that say what they are, and the same that do not."""
    rng = np.random.default_rng(9)
    cubes = {}
    for name, number in (("front", 40), ("back", 25)):
        lon, lat = 80.0 + rng.uniform(-2, 2, (N_BINS, number)), rng.uniform(-2, 2, number)
        bins = [
            bin_from_pixels(
                b, healpy.ang2pix(2 ** NATIVE_ORDERS[b], lon[b], lat, nest=True, lonlat=True)
            )
            for b in range(N_BINS)
        ]
        told, silent = tmp_path / f"{name}.fits", tmp_path / f"silent_{name}.fits"
        made = SkyCounts(tuple(bins), name, livetime_years=2.0)
        write_healpix_counts(made, told, 9, rng=rng, region=(80.0, 0.0, 4.0))
        with fits.open(told) as hdus:
            header = hdus["SKYMAP"].header
            (key,) = [k for k in header if "EVENT_TYPE" in str(header[k])]
            assert "BIT_MASK" in header[key]
            header[key] = "OTHER"
            hdus.writeto(silent)
        cubes[name] = (told, silent)
    return cubes


def test_files_named_by_their_event_type_are_those_that_say_it_themselves(parts):
    told, silent = ([parts[name][k] for name in ("front", "back")] for k in (0, 1))
    by_dss = pipeline.read_photons(told, FindConfig(seed=3))
    named = pipeline.read_photons((), FindConfig(front=silent[:1], back=silent[1:], seed=3))
    for sky in (by_dss, named):
        assert [layer.event_type for layer in sky.layers] == ["front", "back"]
        assert [int(layer.totals[3]) for layer in sky.layers] == [40, 25]
        assert sky.livetime_years == pytest.approx(2.0, rel=1e-6)
        for layer, path in zip(sky.layers, told, strict=True):
            alone = pipeline.read_photons(path, FindConfig(seed=3))
            for b in range(N_BINS):
                # order 9 is finer than the first bins of the network and coarser than the last
                if NATIVE_ORDERS[b] <= 9:
                    np.testing.assert_array_equal(layer.bins[b].pixels, alone.bins[b].pixels)
                    np.testing.assert_array_equal(layer.bins[b].counts, alone.bins[b].counts)
    alone = pipeline.read_photons((), FindConfig(back=silent[1:]))
    assert (alone.event_type, alone.layers) == ("back", ())


def test_files_that_do_not_say_what_they_are_make_no_layers(parts):
    silent = [parts[name][1] for name in ("front", "back")]
    with pytest.warns(UnekWarning, match="a cube of unknown event type"):
        sky = pipeline.read_photons(silent)
    assert (sky.event_type, sky.layers) == ("all", ())


def test_what_is_named_by_its_event_type_is_not_what_the_file_says(parts):
    with pytest.raises(InputError, match="holds BACK counts, front cannot be selected"):
        pipeline.read_photons((), FindConfig(front=(parts["back"][0],)))


# the region -------------------------------------------------------------------------------------


def test_a_region_outside_the_data_is_refused_with_what_they_cover(field_file):
    with pytest.raises(InputError) as caught:
        fermi_unek.find_sources(field_file, region=(250.0, -40.0, 3.0))
    assert str(caught.value) == (
        "region 250,-40,3 (Galactic degrees) lies outside the data, which cover up to 2.5 degrees "
        "around 80.00,18.00"
    )


def test_right_ascension_given_as_longitude_is_recognised(field_file):
    place = SkyCoord(*FIELD[:2], unit="deg", frame="galactic").icrs
    text = f"{place.ra.deg:.2f},{place.dec.deg:.2f},2"
    with pytest.raises(InputError, match=f"right ascension and .* given as icrs:{text}"):
        fermi_unek.find_sources(field_file, region=text)


def test_what_is_searched_is_what_any_bin_covers_inside_the_region():
    west, east = cone(0.0, 0.0, 4.0), cone(6.0, 0.0, 4.0)
    both = sky([west, east, west, west, west, west])
    np.testing.assert_array_equal(pipeline.searched_area(both), west | east)
    region = (6.0, 0.0, 2.0)
    np.testing.assert_array_equal(pipeline.searched_area(both, region), cone(*region))
    whole = sky([None] * N_BINS)
    assert pipeline.searched_area(whole) is None
    np.testing.assert_array_equal(pipeline.searched_area(whole, region), cone(*region))
    # a circle that holds the center of no pixel is no circle outside
    assert pipeline.searched_area(both, (0.03, 0.03, 0.001)).sum() <= 1


# the header -------------------------------------------------------------------------------------


def test_the_catalog_says_how_it_was_made(field_catalog):
    header = field_catalog.header
    assert header["setting threshold"] == 0.2
    assert re.fullmatch("[0-9a-f]{64}", header["model sha256"])
    assert header["model model"] == "localizer-v7"
    assert header["class model"] == "classifier-v5"
    assert header["years of photons"] == "no times"
    assert header["event type"] == "front"
    assert header["photons bin 5"] > 0


def test_the_header_names_no_folder_of_the_machine(field_file, expcube, tmp_path):
    catalog = fermi_unek.find_sources(
        field_file, exposure=expcube, reference=str(release_path("3FGL"))
    )
    text = "\n".join(f"{key}: {value}" for key, value in catalog.header.items())
    assert catalog.header["setting exposure"] == "expcube.fits"
    assert not re.search(r"(?<![\w.])/\w+/", text)
    assert str(tmp_path) not in text
    assert str(Path(fermi_unek.__file__).parent) not in text


def test_the_nearest_source_of_a_release_is_named_unless_there_is_none_to_look_in():
    found = fermi_unek.pipeline.search(
        pipeline.read_photons(pipeline.demo_sample()[0]),
        FindConfig(reference="none", region=(80, 18, 2), classify=False),
    )
    assert set(found["ASSOC_FGL"]) == {""}


# exposure and years -----------------------------------------------------------------------------


def test_the_exposure_reaches_the_classifier_and_the_header(field_file, field_catalog, expcube):
    catalog = fermi_unek.find_sources(field_file, exposure=expcube)
    assert catalog.header["exposure"].startswith("sha256 ")
    np.testing.assert_array_equal(catalog["Source_Name"], field_catalog["Source_Name"])
    assert np.any(catalog["Prob_BLL"] != field_catalog["Prob_BLL"])


def test_what_nothing_depends_on_is_told(field_file, expcube):
    with pytest.warns(UnekWarning, match="exposure and classifier: without effect where nothing"):
        pipeline.load_models(FindConfig(exposure=expcube, classifier="x", classify=False))


@pytest.mark.parametrize("classify", [True, False])
def test_an_exposure_of_other_photons_is_refused_before_anything_is_sought(
    field_file, expcube, classify, monkeypatch
):
    monkeypatch.setattr("fermi_unek.detect.find.find_candidates", None)
    fits.setval(expcube, "NDSKEYS", value=1, ext=1)
    fits.setval(expcube, "DSTYP1", value="BIT_MASK(EVENT_TYPE,2,P8R3)", ext=1)
    fits.setval(expcube, "DSVAL1", value="1:1", ext=1)
    with pytest.raises(InputError, match="is the exposure of BACK events, the photons are FRONT"):
        fermi_unek.find_sources(field_file, exposure=expcube, classify=classify)


def test_an_exposure_of_other_photons_is_refused_by_inject_too(field_file, expcube, tmp_path):
    fits.setval(expcube, "TUNIT1", value="m2 s", ext=1)
    config = InjectConfig(flux=(1e-9,), number=1, exposure=expcube)
    with pytest.raises(InputError, match="are no exposure of FRONT photons"):
        pipeline.inject_to_folder(field_file, tmp_path / "out", config)


def test_an_exposure_that_cannot_be_used_is_refused_before_photons_are_read(tmp_path):
    (tmp_path / "notes.txt").write_text("exposure")
    for name in ("none.fits", "notes.txt"):
        with pytest.raises(InputError, match=name):
            fermi_unek.find_sources("missing.fits", {"exposure": tmp_path / name})


def test_candidates_are_classified_unless_told_otherwise(field_file, field_catalog):
    assert np.isfinite(field_catalog["Prob_BLL"]).all()
    catalog = fermi_unek.find_sources(field_file, classify=False)
    assert set(catalog["CLASS1"]) == {""}
    assert np.isnan(catalog["Prob_BLL"]).all()
    assert "class model" not in catalog.header


def test_yearly_cubes_are_the_layers_of_the_sky_they_belong_to(field_file):
    config = FindConfig(yearly=(field_file,))
    assert len(pipeline.read_photons(field_file, config).years) == 1
    idle = FindConfig(yearly=(field_file,), classify=False)
    assert len(pipeline.read_photons(field_file, idle).years) == 0
    assert len(pipeline.read_photons(field_file, idle, for_report=True).years) == 1


def test_files_that_differ_by_bin_alone_are_of_one_year():
    names = [f"a/counts_year0{y}_bin{b}.fits" for y in (0, 1) for b in (0, 1)] + ["b/c.fits"]
    groups = inputs.by_year([Path(name) for name in names])
    assert [[str(path) for path in group] for group in groups] == [names[:2], names[2:4], names[4:]]


def test_yearly_cubes_of_other_photons_are_refused():
    whole = sky([None] * N_BINS)
    many = SkyCounts(tuple(
        bin_from_pixels(b, np.arange(100)) for b in range(N_BINS)
    ))  # fmt: skip
    assert len(inputs.with_years(whole, [whole, whole]).years) == 2
    with pytest.raises(InputError, match="the 1 yearly inputs hold 100 photons in energy bin 0"):
        inputs.with_years(whole, [many])


# files ------------------------------------------------------------------------------------------


def test_a_catalog_file_and_a_report_are_written_and_an_empty_one_replaces_them(
    field_file, tmp_path
):
    out, report = tmp_path / "crab.fits", tmp_path / "report"
    for threshold, empty in ((0.2, False), (0.9999, True)):
        pipeline.find_to_file(
            field_file, out, FindConfig(threshold=threshold), report=report, overwrite=empty
        )
        assert (len(fermi_unek.Catalog.read(out)) == 0) is empty
        names = ["catalog.reg", "field.png", "report.html"]
        assert sorted(path.name for path in report.iterdir()) == names
    assert sorted(tmp_path.iterdir()) == [out, report]


@pytest.mark.parametrize("with_photons", [False, True])
def test_a_catalog_file_gets_its_report_with_or_without_photons(
    field_file, field_catalog, tmp_path, with_photons
):
    bare = replace(field_catalog, header={**field_catalog.header, "reference catalog": "none"})
    bare.write(tmp_path / "field.fits")
    photons = (field_file,) if with_photons else ()
    pipeline.report_to_folder(tmp_path / "field.fits", photons, tmp_path / "report")
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written == {"catalog.reg", "report.html"} | ({"field.png"} if with_photons else set())
    text = (tmp_path / "report" / "report.html").read_text()
    assert ('"packed"' in text) is with_photons
    assert "No release was compared with." in text


@pytest.mark.parametrize(
    ("made_with", "asked", "named"),
    [
        ("3FGL", None, "3FGL"),
        ("3FGL", "4FGL-DR2", "4FGL-DR2"),
        ("3FGL", "none", ""),
        ("gll_psc_v16.fit", None, ""),
    ],
)
def test_a_report_compares_with_the_catalogs_release_or_the_one_asked_for(
    field_catalog, tmp_path, made_with, asked, named
):
    header = {**field_catalog.header, "reference catalog": made_with}
    replace(field_catalog, header=header).write(tmp_path / "field.fits")
    settings = ReportConfig(reference=asked)
    pipeline.report_to_folder(tmp_path / "field.fits", (), tmp_path / "report", settings)
    text = (tmp_path / "report" / "report.html").read_text()
    assert f'"release":"{named}"' in text


def test_a_report_that_exists_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "catalog.reg").write_text("mine")
    with pytest.raises(OutputError, match="catalog.reg: exists already"):
        pipeline.find_to_file("missing.fits", tmp_path / "c.fits", report=tmp_path)


def test_a_live_time_that_nobody_tells_is_asked_for(field_file, tmp_path):
    timeless = replace(pipeline.read_photons(field_file), livetime_years=float("nan"))
    write_sky(timeless, tmp_path / "timeless.fits")
    with pytest.raises(InputError, match="give it as --years"):
        pipeline.inject_to_folder(
            tmp_path / "timeless.fits", tmp_path / "out", InjectConfig(flux=(1e-9,))
        )
    assert not (tmp_path / "out").exists()


# the demo ---------------------------------------------------------------------------------------


def test_the_demo_leaves_a_catalog_and_a_report_and_says_what_to_open(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnekWarning)
        done = pipeline.run_demo(tmp_path / "out")
    names = {"catalog.fits", "catalog.reg", "field.png", "report.html"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert "undefined" not in done.summary
    assert done.summary.endswith(f"open {tmp_path / 'out' / 'report.html'} in a browser")
    # a simulated sky is compared with its truth, not with the real one
    assert set(done.catalog["ASSOC_FGL"]) == {""}


def test_a_sample_that_was_not_installed_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="was the package installed whole"):
        pipeline.demo_sample()


# simulated photons ------------------------------------------------------------------------------


def test_simulated_photons_are_looked_up_in_a_release_when_that_is_asked_for(field_file, tmp_path):
    sky = pipeline.read_photons(field_file)
    assert not sky.selection.simulated, "the cubes of the sample say nothing"
    sky = replace(sky, selection=Selection(simulated=True))
    rng = np.random.default_rng(1)
    cubes = write_healpix_counts(sky, tmp_path / "sky.fits", NATIVE_ORDERS, rng=rng, region=FIELD)
    settings = {"threshold": 0.5, "classify": False}
    with pytest.warns(UnekWarning, match="simulated photons"):
        alone = fermi_unek.find_sources(cubes, **settings)
    assert len(alone) > 0
    assert set(alone["Nearest_FGL"]) == {""}
    assert alone.header["reference catalog"] == "none"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnekWarning)
        compared = fermi_unek.find_sources(cubes, reference="4FGL-DR2", **settings)
    assert all(name.startswith("4FGL J") for name in compared["Nearest_FGL"])
