"""`simulate_to_dir`: the files it writes, read back by the package and others, and its refusals."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import fermipy
import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from gammapy.maps import Map
from simulate_samples import (
    empty_model,
    plane_and_isotropic,
    power_laws,
    put_in_place_of_any_sky,
    small_model,
)

from fermi_unek.config import SimulateConfig
from fermi_unek.diffuse import named
from fermi_unek.diffuse.named import ISO_FILES, choose
from fermi_unek.errors import ConfigError, InputError, OutputError, UnekWarning
from fermi_unek.evaluate.files import read_truth_table
from fermi_unek.simulate import command, writing
from fermi_unek.simulate.command import simulate_to_dir
from fermi_unek.simulate.population import read_population
from fermi_unek.simulate.truth import LOWEST_TS, truth_table, write_truth
from fermi_unek.simulate.writing import FIELD_PROJECTIONS, WHOLE_SKY_PROJECTIONS, cube_geometry
from fermi_unek.sky.bins import MISSION_START_MET, N_BINS, NATIVE_PIXELS, PATCH_DEG, YEAR_S
from fermi_unek.sky.geometry.coverage import inside_circle
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.wcs import vectors_to_pixels

REGION = (21.0, 0.0, 4.0)
FORMATS = ("healpix", "wcs", "photons")


def config(**changes) -> SimulateConfig:
    values = {"population": "mock", "years": 2.0, "seed": 3, "region": REGION}
    return SimulateConfig(**(values | {"background": "own"} | changes))


@pytest.fixture
def quick(monkeypatch):
    """The four sources of the samples in place of any population and background."""
    model = small_model()
    put_in_place_of_any_sky(monkeypatch, model)
    return model


def truth_of(folder: Path) -> Table:
    return read_truth_table(folder / "truth.fits")


# formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_back_as_one_sky(quick, tmp_path, form):
    written = simulate_to_dir(config(format=form), tmp_path / "out")
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    assert written[-1].name == "truth.fits"
    sky = read_sky(written[:-1], rng=np.random.default_rng(0))
    assert sky.present.all()
    assert sky.event_type == "front"
    assert sky.livetime_years == pytest.approx(2.0)
    area = {"wcs": 64.0, "healpix": np.pi * 16, "photons": np.pi * 16}[form]
    assert sky.coverage.sum() * 4 * np.pi * np.degrees(1.0) ** 2 / sky.coverage.size == (
        pytest.approx(area, rel=0.03)
    )
    # about the photons of the model in that area; the sources make up a third
    near = inside_circle(quick.vectors, REGION)
    expected = 2.0 * quick.expected_counts[near].sum(axis=0)
    assert np.all(sky.totals > 0.8 * expected)


@pytest.mark.parametrize("form", FORMATS)
def test_one_seed_is_one_sky_and_another_seed_another(quick, tmp_path, form):
    data = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        files = simulate_to_dir(config(format=form, seed=seed), tmp_path / name)
        data.append(read_sky(files[:-1], rng=np.random.default_rng(0)))
    for a, b, c in zip(*(sky.bins for sky in data), strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.counts, b.counts)
        assert a.pixels.shape != c.pixels.shape or np.any(a.pixels != c.pixels)


def test_one_seed_is_one_sky_in_whichever_photons_it_is_seen(tmp_path, monkeypatch):
    def scattered(config, rng):
        places = np.column_stack([rng.uniform(18, 24, 6), rng.uniform(-3, 3, 6)])
        return power_laws(places, rng.uniform(1e-9, 4e-9, 6))

    monkeypatch.setattr(command, "find_population", scattered)
    monkeypatch.setattr(command, "choose", lambda *_: plane_and_isotropic())
    skies, truths, files = {}, {}, {}
    for name in ("front", "back", "psf3"):
        files[name] = simulate_to_dir(config(evtype=name, format="wcs"), tmp_path / name)[:-1]
        skies[name] = read_sky(files[name], rng=np.random.default_rng(0))
        truths[name] = truth_of(tmp_path / name)
        assert skies[name].event_type == name
    for name in ("back", "psf3"):
        for column in ("GLON", "GLAT", "Flux1000"):
            np.testing.assert_array_equal(truths[name][column], truths["front"][column])
        assert np.any(truths[name]["Ideal_TS"] != truths["front"]["Ideal_TS"])
    # a quarter of all photons, and nearly as many that were converted in front as in the back
    total = {name: int(sky.totals[2:].sum()) for name, sky in skies.items()}
    both = total["front"] + total["back"]
    assert 0.15 < total["psf3"] / both < 0.35
    assert 0.35 < total["back"] / both < 0.65
    layers = read_sky([*files["front"], *files["back"]], rng=np.random.default_rng(0)).layers
    assert [layer.event_type for layer in layers] == ["front", "back"]
    assert [int(layer.totals[2:].sum()) for layer in layers] == [total["front"], total["back"]]


def test_the_pixels_at_the_edge_are_as_full_as_those_inside(quick, tmp_path, monkeypatch):
    """HEALPIX pixels stick out of the circle, and the corners of a cube do."""
    model = empty_model()
    monkeypatch.setattr(command, "build_sky_model", lambda *_, **__: model)
    files = simulate_to_dir(config(order="coarse", years=10.0), tmp_path / "healpix")
    table = fits.getdata(files[0], "SKYMAP")
    # the mean of four places in each
    children = (table["PIX"].astype(int)[:, None] << 2) + np.arange(4)
    places = hp.pix2ang(2**8, children, nest=True)
    density = hp.get_interp_val(model.background[0], *places, nest=True).mean(axis=1)
    expected = 10.0 * density * hp.nside2pixarea(2**7)
    edge = ~inside_circle(np.array(hp.pix2vec(2**7, table["PIX"], nest=True)).T, (21, 0, 3.6))
    assert 20 < edge.sum() < len(table) / 2
    difference = table["CHANNEL1"][edge] - expected[edge]
    assert np.mean(difference**2 / expected[edge]) < 1.5
    assert abs(difference.sum()) < 4 * np.sqrt(expected[edge].sum())
    cube = fits.getdata(simulate_to_dir(config(format="wcs", years=30.0), tmp_path / "wcs")[0])
    corners = [cube[0, r, c].mean() for r in (slice(0, 8), slice(-8, None)) for c in
               (slice(0, 8), slice(-8, None))]  # fmt: skip
    sides = cube[0, [0, 1, -2, -1], 40:120].mean()
    assert min(corners) > 0.6 * sides


def test_gammapy_reads_the_count_files(quick, tmp_path):
    files = simulate_to_dir(config(format="healpix"), tmp_path / "healpix")
    assert [path.name for path in files[:-1]] == [f"counts_bin{b}.fits" for b in range(N_BINS)]
    one = Map.read(files[5])
    assert one.geom.frame == "galactic"
    assert one.data.sum() == fits.getdata(files[5], "SKYMAP")["CHANNEL1"].sum()
    cube = Map.read(simulate_to_dir(config(format="wcs"), tmp_path / "wcs")[0])
    assert cube.geom.data_shape == (6, 160, 160)
    assert cube.geom.projection == "ZEA"
    centre = SkyCoord(21.0, 0.0, unit="deg", frame="galactic")
    assert cube.geom.center_skydir.separation(centre).deg < 1e-6


def test_many_photons_are_one_file_a_year(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_MANY_PHOTONS", 1e3)
    files = simulate_to_dir(config(format="photons", years=2.5), tmp_path / "out")
    assert [path.name for path in files] == [
        "photons_year00.fits", "photons_year01.fits", "photons_year02.fits", "truth.fits",
    ]  # fmt: skip
    sky = read_sky(files[:-1], rng=np.random.default_rng(0), yearly=True)
    assert sky.livetime_years == pytest.approx(2.5)
    assert len(sky.years) == 3


def test_the_cube_of_the_whole_sky_holds_every_direction():
    wcs, shape, circle = cube_geometry(None)
    assert circle is None
    assert cube_geometry((10.0, 20.0, 90.0))[1] == shape
    vectors = np.array(hp.pix2vec(16, np.arange(hp.nside2npix(16)))).T
    columns, rows = vectors_to_pixels(wcs, vectors, shape)
    assert (columns >= 0).all()
    assert (rows >= 0).all()


@pytest.mark.parametrize("years", [2.0, 0.1])
@pytest.mark.parametrize("form", ["healpix", "wcs"])
def test_the_years_of_count_files_add_up_to_the_whole(quick, tmp_path, form, years):
    files = simulate_to_dir(config(format=form, yearly=True, years=years), tmp_path / "out")
    names = [path.name for path in files[:-1]]
    assert set(names) <= set(command.output_names(config(format=form, yearly=True, years=years)))
    end = "_bin1.fits" if form == "healpix" else ".fits"
    n_years = int(np.ceil(years))
    layers = [f"counts_year{year:02d}{end}" for year in range(n_years)]
    assert set(layers) < set(names)
    column = 1 if form == "healpix" else 0

    def counts(name: str) -> np.ndarray:
        with fits.open(tmp_path / "out" / name) as hdus:
            data = hdus[column].data
            return np.array(data["CHANNEL1"] if form == "healpix" else data)

    np.testing.assert_array_equal(sum(counts(name) for name in layers), counts("counts" + end))
    last = fits.getdata(tmp_path / "out" / layers[-1], "GTI")
    assert last["START"][0] == MISSION_START_MET + (n_years - 1) * YEAR_S
    assert last["STOP"][-1] == pytest.approx(MISSION_START_MET + years * YEAR_S)


def test_photons_of_single_years_are_files_of_their_own(quick, tmp_path):
    files = simulate_to_dir(config(format="photons", yearly=True, years=1.5), tmp_path / "out")
    names = ["photons_year00.fits", "photons_year01.fits"]
    assert [path.name for path in files[:-1]] == names
    assert np.diff(fits.getdata(files[1], "EVENTS")["TIME"]).min() >= 0
    sky = read_sky(files[:-1], rng=np.random.default_rng(0), yearly=True)
    assert [layer.livetime_years for layer in sky.years] == pytest.approx([1.0, 0.5])


def test_one_order_for_all_bins_is_one_file_in_the_frame_asked_for(quick, tmp_path):
    files = simulate_to_dir(config(order=8, coordsys="CEL"), tmp_path / "out")
    assert [path.name for path in files] == ["counts.fits", "truth.fits"]
    header = fits.getheader(files[0], "SKYMAP")
    assert (header["ORDER"], header["COORDSYS"]) == (8, "CEL")
    sky = read_sky(files[:-1], rng=np.random.default_rng(0))
    default = read_sky(
        simulate_to_dir(config(), tmp_path / "default")[:-1], rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(sky.totals, default.totals, rtol=0.05)


def orders_of(paths) -> list[int]:
    return [fits.getheader(path, "SKYMAP")["ORDER"] for path in paths]


def test_count_files_are_finer_than_the_networks_pixels_unless_coarse_ones_are_asked_for(
    quick, tmp_path
):
    *fine, _ = simulate_to_dir(config(), tmp_path / "fine")
    *coarse, _ = simulate_to_dir(config(order="coarse"), tmp_path / "coarse")
    assert [path.name for path in coarse] == [path.name for path in fine]
    assert orders_of(fine) == [8, 8, 9, 10, 11, 11]
    assert orders_of(coarse) == [7, 7, 8, 9, 10, 10]
    pixels = np.degrees(hp.nside2resol(2 ** np.array(orders_of(fine))))
    assert np.all(pixels < PATCH_DEG / np.array(NATIVE_PIXELS))


def test_empty_pixels_of_a_whole_sky_are_listed_only_where_one_convention_is_asked_for(
    quick, tmp_path
):
    whole = {"region": None, "years": 0.1}
    *default, _ = simulate_to_dir(config(**whole), tmp_path / "default")
    *coarse, _ = simulate_to_dir(config(**whole, order="coarse"), tmp_path / "coarse")
    schemes = {fits.getheader(path, "SKYMAP")["INDXSCHM"] for path in coarse}
    assert schemes == {"IMPLICIT"}
    assert fits.getheader(default[-1], "SKYMAP")["INDXSCHM"] == "SPARSE"
    rng = np.random.default_rng(0)
    assert np.array_equal(read_sky(default, rng=rng).totals, read_sky(coarse, rng=rng).totals)


@pytest.mark.parametrize("coordsys", ["GAL", "CEL"])
@pytest.mark.parametrize("projection", FIELD_PROJECTIONS)
def test_a_field_fits_into_its_cube_in_any_projection(projection, coordsys):
    region = (120.0, -30.0, 20.0)
    wcs, shape, circle = cube_geometry(region, projection, coordsys, 0.2)
    turns = np.linspace(0, 360, 73)
    centre = SkyCoord(120.0, -30.0, unit="deg", frame="galactic")
    rim = centre.directional_offset_by(turns * u.deg, 19.8 * u.deg).galactic
    vectors = lonlat_to_vectors(rim.l.deg, rim.b.deg)
    columns, _ = vectors_to_pixels(wcs, vectors, shape)
    # cylinders and Aitoff are measured along the axes only
    assert np.mean(columns >= 0) > (0.99 if projection in ("ZEA", "TAN", "STG") else 0.8)
    everywhere = np.array(hp.pix2vec(64, np.arange(hp.nside2npix(64)))).T
    shown = vectors_to_pixels(wcs, everywhere, shape)[0] >= 0
    assert inside_circle(everywhere[shown], circle).all()
    assert circle[2] < 45.0


@pytest.mark.parametrize("projection", WHOLE_SKY_PROJECTIONS)
def test_the_whole_sky_fits_into_its_cube_in_any_projection(projection):
    wcs, shape, circle = cube_geometry(None, projection, "CEL", 0.5)
    vectors = np.array(hp.pix2vec(16, np.arange(hp.nside2npix(16)))).T
    assert circle is None
    assert np.mean(vectors_to_pixels(wcs, vectors, shape)[0] >= 0) > 0.99


@pytest.mark.parametrize(("region", "projection"), [(None, "TAN"), (REGION, "MOL")])
def test_a_projection_that_cannot_show_the_region_is_refused(region, projection):
    with pytest.raises(ConfigError, match=f"projection '{projection}'"):
        cube_geometry(region, projection)


@pytest.mark.parametrize("lat", [0.0, 70.0, 90.0])
@pytest.mark.parametrize("radius", [2.0, 10.0, 50.0])
def test_the_circle_that_is_drawn_holds_the_corners_of_the_cube(lat, radius):
    wcs, shape, circle = cube_geometry((100.0, lat, radius))
    corners = np.array([[-0.5, -0.5], [-0.5, shape[0] - 0.5], [shape[1] - 0.5, -0.5]])
    lon, b = wcs.wcs_pix2world(corners, 0).T
    centre = SkyCoord(100.0, lat, unit="deg")
    apart = SkyCoord(lon, b, unit="deg").separation(centre).deg
    assert np.all(apart < circle[2])
    assert np.all(apart > 0.9 * circle[2] - 0.5)


# truth -----------------------------------------------------------------------------------------


def test_the_truth_has_what_a_perfect_analysis_could_know(quick, tmp_path):
    simulate_to_dir(config(), tmp_path / "out")
    table = truth_of(tmp_path / "out")
    inside = np.flatnonzero(inside_circle(quick.vectors, REGION))
    assert sorted(table["Flux1000"]) == sorted(quick.sources["Flux1000"][inside])
    order = inside[np.argsort(-quick.ideal_ts[inside].sum(axis=1))]
    np.testing.assert_allclose(table["Ideal_TS"], 2.0 * quick.ideal_ts[order].sum(axis=1))
    np.testing.assert_allclose(table["Ideal_TS_Bin"].sum(axis=1), table["Ideal_TS"])
    np.testing.assert_allclose(table["Npred"], 2.0 * quick.expected_counts[order], rtol=1e-6)
    assert table["Flux1000"].unit == "ph cm-2 s-1"
    header = fits.getheader(tmp_path / "out" / "truth.fits", 1)
    expected = {"SEED": 3, "POPUL": "mock", "YEARS": 2.0, "EVTYPE": "front", "REGION": "21,0,4"}
    expected |= {"FORMAT": "healpix", "BACKGR": "plane", "TSMIN": LOWEST_TS}
    assert {key: header[key] for key in expected} == expected
    assert "not a Fermi-LAT collaboration product" in str(header["COMMENT"])


def test_the_truth_of_a_cube_is_what_lies_in_its_square(quick, tmp_path):
    # the source at (19.0, 2.5) lies in the square of two degrees, not in its circle
    simulate_to_dir(config(format="wcs", region=(20.9, 0.7, 2.0)), tmp_path / "out")
    assert 19.0 in truth_of(tmp_path / "out")["GLON"]


def test_faint_sources_are_left_out_of_the_truth_and_no_source_is_an_empty_table(tmp_path):
    model = small_model()
    table = truth_table(model, 1e-6)
    assert len(table) < 4
    assert np.all(table["Ideal_TS"] > LOWEST_TS)
    none = truth_table(model, 1.0, np.zeros(4, bool))
    path = write_truth(none, tmp_path / "truth.fits", {})
    assert len(read_truth_table(path)) == 0
    with pytest.raises(OutputError, match="exists already"):
        write_truth(none, path, {})


def test_a_truth_is_a_population(quick, tmp_path):
    simulate_to_dir(config(region=(21.0, 0.0, 12.0)), tmp_path / "out")
    again = read_population(tmp_path / "out" / "truth.fits")
    assert len(again) == 4
    np.testing.assert_allclose(again["Flux1000"], truth_of(tmp_path / "out")["Flux1000"])


# populations and backgrounds -------------------------------------------------------------------


def test_a_users_list_over_the_packages_own_background(tmp_path):
    """Nothing replaced, and no file but the list needed."""
    power_laws([(80.0, 25.0)], [3e-8]).write(tmp_path / "list.fits")
    out = tmp_path / "out"
    files = simulate_to_dir(
        config(population=str(tmp_path / "list.fits"), region=(80.0, 25.0, 1.0), years=1.0), out
    )
    table = truth_of(out)
    assert len(table) == 1
    assert table["Ideal_TS"][0] > 1000
    header = fits.getheader(out / "truth.fits", 1)
    assert (header["POPUL"], header["BACKGR"]) == ("list.fits", "own")
    counts = fits.getdata(files[5], "SKYMAP")
    nside = fits.getheader(files[5], "SKYMAP")["NSIDE"]
    at = hp.pix2vec(nside, counts["PIX"][counts["CHANNEL1"].argmax()], nest=True)
    assert inside_circle(np.array([at]), (80.0, 25.0, 0.15)).all()


def test_the_named_populations_are_dr2_and_new_skies():
    rng = np.random.default_rng
    dr2 = command.find_population(config(population="dr2"), rng(0))
    assert "4FGL J0534.5+2200" in dr2["Source_Name"]
    mock = command.find_population(config(), rng(0))
    assert "4FGL J0534.5+2200" not in mock["Source_Name"]
    resampled = command.find_population(config(population="resampled"), rng(0))
    assert len(resampled) != len(mock)
    release = Path(fermipy.__file__).parent / "data" / "catalogs" / "gll_psc_v27.fit"
    assert len(command.find_population(config(population=str(release)), rng(0))) < len(dr2)


def test_a_gtlike_model_is_a_population(tmp_path):
    (tmp_path / "model.xml").write_text(
        """<source_library title="one">
        <source name="mine" type="PointSource">
        <spectrum type="PowerLaw">
        <parameter name="Prefactor" scale="1e-12" value="3"/>
        <parameter name="Index" scale="-1" value="2.1"/>
        <parameter name="Scale" scale="1" value="1000"/></spectrum>
        <spatialModel type="SkyDirFunction">
        <parameter name="RA" scale="1" value="83.6"/><parameter name="DEC" scale="1" value="22"/>
        </spatialModel></source></source_library>"""
    )
    table = command.find_population(
        config(population=str(tmp_path / "model.xml")), np.random.default_rng(0)
    )
    assert table["Source_Name"].tolist() == ["mine"]


# variability and extended sources --------------------------------------------------------------


def test_light_curves_are_drawn_where_times_are_written():
    rng = np.random.default_rng(0)
    sources = command.find_population(config(population="dr2"), rng)
    assert command.find_factors(config(), sources, rng) is None
    assert command.find_factors(config(yearly=True, variable=False), sources, rng) is None
    lengths = np.array([1.0, 1.0, 0.5])
    for changes in ({"yearly": True}, {"format": "photons"}):
        factors = command.find_factors(config(years=2.5, **changes), sources, rng)
        assert factors.shape == (len(sources), 3)
        np.testing.assert_allclose(factors @ lengths / 2.5, 1.0, rtol=1e-6)
    spread = factors.std(axis=1)
    kinds = np.asarray(sources["CLASS1"])
    assert np.median(spread[kinds == "fsrq"]) > 0.2
    assert np.median(spread[kinds == "psr"]) < 0.1


def test_sources_of_a_users_list_that_say_no_class_are_steady():
    sources = power_laws([(10.0, 40.0), (20.0, 40.0)], [1e-8, 1e-8])
    sources["CLASS1"] = np.array(["", "fsrq"])
    factors = command.find_factors(
        config(population="list.fits", yearly=True), sources, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(factors[0], 1.0)
    assert factors[1].std() > 0.01


def test_the_truth_tells_the_light_curves(quick, tmp_path):
    simulate_to_dir(config(yearly=True), tmp_path / "out")
    table = truth_of(tmp_path / "out")
    assert table["Flux_Factor"].shape == (len(table), 2)
    np.testing.assert_allclose(np.mean(table["Flux_Factor"], axis=1), 1.0, rtol=1e-5)
    simulate_to_dir(config(yearly=True, variable=False), tmp_path / "steady")
    assert "Flux_Factor" not in truth_of(tmp_path / "steady").colnames


def test_extended_sources_join_the_sky_and_are_told_beside_the_truth(tmp_path, monkeypatch):
    seen = []
    alone = power_laws([(80.0, 25.0)], [3e-8])
    monkeypatch.setattr(command, "choose", lambda *_: None)
    monkeypatch.setattr(command, "find_population", lambda *_: alone)
    monkeypatch.setattr(
        command,
        "build_sky_model",
        lambda sources, *_, extended: seen.append((sources, extended)) or small_model(),
    )
    files = simulate_to_dir(config(extended=True), tmp_path / "out")
    simulate_to_dir(config(), tmp_path / "without")
    assert seen[0][1].maps.any()
    assert len(seen[1][0]) == 1
    assert seen[1][1] is None
    # the Crab's inverse Compton nebula is a point to the LAT
    assert "4FGL J0534.5+2201i" in seen[0][0]["Source_Name"]
    listed = Table.read(files[-1], hdu="EXTENDED")
    assert len(listed) + len(seen[0][0]) - 1 == 75
    assert "Model_SemiMajor" in listed.colnames
    assert len(truth_of(tmp_path / "out")) == len(truth_of(tmp_path / "without"))


def test_a_list_that_is_not_there_is_told_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "choose", lambda *_: None)
    with pytest.raises(InputError, match="no such file"):
        simulate_to_dir(config(population="none.fits"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_background_is_v07_where_its_files_are_and_own_elsewhere(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(named, "by_name", lambda name, data, kind: asked.append((name, data)))
    for name in ("FERMI_DIR", "FERMI_DIFFUSE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FERMI_UNEK_DATA", str(tmp_path))
    choose("auto")
    (tmp_path / "diffuse").mkdir()
    (tmp_path / "diffuse" / "gll_iem_v07_240x131.fits").touch()
    choose("auto")
    choose("own-7")
    assert asked == [("own", None), ("v07", tmp_path), ("own-7", tmp_path)]
    monkeypatch.delenv("FERMI_UNEK_DATA")
    assert named.find_data() is None


@pytest.mark.parametrize("name", ["v07", "model_O"])
def test_a_background_whose_files_are_not_there_is_told(monkeypatch, tmp_path, name):
    monkeypatch.setenv("FERMI_UNEK_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="set FERMI_UNEK_DATA"):
        choose(name)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("FERMI_DIFFUSE_DIR", "."), ("FERMI_DIR", "refdata/fermi/galdiffuse")],
)
def test_the_official_model_is_taken_where_an_analyst_has_it(
    monkeypatch, tmp_path, variable, folder
):
    asked = []
    monkeypatch.setattr(named, "official", lambda *paths: asked.append(paths))
    for name in ("FERMI_DIR", "FERMI_DIFFUSE_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="neither in \\$FERMI_DIFFUSE_DIR nor in"):
        choose("official")
    monkeypatch.setenv(variable, str(tmp_path))
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    galactic, isotropic = place / named.OFFICIAL, place / ISO_FILES["back"]
    galactic.touch()
    with pytest.raises(ConfigError, match="is not beside it; give --isotropic"):
        choose("official", event_type="back")
    isotropic.touch()
    for name in ("auto", "official", str(galactic)):
        choose(name, event_type="back")
    mine = tmp_path / "mine.txt"
    choose("auto", isotropic=mine)
    assert asked == [*[(str(galactic), isotropic)] * 3, (str(galactic), mine)]


def test_an_isotropic_spectrum_of_the_analysts_takes_the_place_of_the_models(tmp_path):
    (tmp_path / "iso.txt").write_text("100 1e-7 1e-9\n1000 1e-9 1e-11\n100000 1e-13 1e-15\n")
    model = choose("own", isotropic=tmp_path / "iso.txt")
    assert model.name == "own"
    np.testing.assert_allclose(model.isotropic_intensity([1000.0]), 1e-9, rtol=1e-6)


def test_an_unknown_background_is_told():
    with pytest.raises(ConfigError, match="'milky' is none of"):
        choose("milky")


# outputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_what_exists_is_refused_before_the_work_and_replaced_when_told(quick, tmp_path, form):
    files = simulate_to_dir(config(format=form), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path in files[:-1]:
        assert path.name in command.output_names(config(format=form))
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        simulate_to_dir(config(format=form, seed=9), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    simulate_to_dir(config(format=form, seed=9), tmp_path, overwrite=True)
    assert files[0].read_bytes() != before[files[0]]


def test_a_simulation_that_fails_leaves_nothing(quick, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OutputError("disk full")

    monkeypatch.setattr(command, "write_truth", fail)
    with pytest.raises(OutputError, match="disk full"):
        simulate_to_dir(config(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_more_photons_than_any_is_refused():
    model = SimpleNamespace(rates=(np.array([[1.0, 2.0], [9e6, 9e6]]),), sources=Table(
        {"Source_Name": ["A", "B"], "Flux1000": [1e-9, 3e-6]}))  # fmt: skip
    with pytest.raises(InputError, match="B would have 1.8e.07 photons.*sign of its index"):
        command._check_brightness(SimulateConfig(years=1.0), model)
    command._check_brightness(SimulateConfig(years=0.1), model)
    with pytest.warns(UnekWarning, match="B has 3e-06 photons .* more than Vela"):
        command._check_brightness(SimulateConfig(years=0.1, population="list.fits"), model)


def test_a_list_of_which_nothing_can_be_seen_is_told():
    model = SimpleNamespace(rates=(np.array([[1e-3], [5.0]]),), sources=[0, 1])
    settings = SimulateConfig(years=1.0, population="list.fits")
    for inside, told in (([False, False], "none lies in the region"), ([True, False], "0.001 ph")):
        with pytest.warns(UnekWarning, match=f"list.fits: of 2 sources .*{told}"):
            command._tell_unseen(settings, model, np.array(inside))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        command._tell_unseen(settings, model, None)
