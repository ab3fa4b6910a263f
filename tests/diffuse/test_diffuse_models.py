"""Diffuse models: integrals, readers, the package's own model, variation and blurring."""

from __future__ import annotations

from pathlib import Path

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from gammapy.maps import Map
from scipy.integrate import quad

from fermi_unek.diffuse import files
from fermi_unek.diffuse import named as diffuse
from fermi_unek.diffuse.files import read_mapcube
from fermi_unek.diffuse.model import DiffuseModel, integrate_power_laws
from fermi_unek.diffuse.own import gaussian_field, power_law_spectrum
from fermi_unek.diffuse.structure import beam_window
from fermi_unek.errors import ConfigError, InputError
from fermi_unek.sky.bins import ENERGY_EDGES_MEV
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

NODES = np.array([100.0, 1e3, 1e4, 1e6])
SMALL = 8
BANDS = ((0, 2), (2, 5), (5, 10), (10, 20), (20, 40), (40, 90))


def small_model(**changes) -> DiffuseModel:
    rng = np.random.default_rng(1)
    levels = np.array([1e-7, 1e-9, 3e-12, 1e-17], np.float32)
    maps = levels[:, None] * rng.uniform(0.5, 2.0, (4, 12 * SMALL**2)).astype(np.float32)
    values = {
        "name": "small",
        "energies_mev": NODES,
        "maps": maps,
        "iso_energies_mev": np.array([50.0, 1e6]),
        "iso_intensity": np.array([1e-6, 1e-16]),
    }
    return DiffuseModel(**(values | changes))


@pytest.fixture(scope="module")
def own() -> DiffuseModel:
    return diffuse.by_name("own")


@pytest.fixture(scope="module")
def v07(shared_data) -> DiffuseModel:
    return diffuse.shared_v07(shared_data)


# the record


def test_bin_integrals_agree_with_quadrature_also_beyond_the_nodes():
    # 1/E in the middle: the logarithmic case
    values = np.array([2.0, 1e-2, 1e-3, 1e-8])[:, None]
    edges = np.array([30.0, 300.0, 2000.0, 7000.0, 3e6])

    def function(energy):
        k = int(np.clip(np.searchsorted(NODES, energy) - 1, 0, 2))
        slope = np.log(values[k + 1, 0] / values[k, 0]) / np.log(NODES[k + 1] / NODES[k])
        return values[k, 0] * (energy / NODES[k]) ** slope

    got = integrate_power_laws(NODES, values, edges)[:, 0]
    for value, low, high in zip(got, edges[:-1], edges[1:], strict=True):
        inner = [np.log(e) for e in NODES if low < e < high]
        expected = quad(
            lambda u: function(np.exp(u)) * np.exp(u), np.log(low), np.log(high), points=inner
        )[0]
        assert value == pytest.approx(expected, rel=1e-6)


def test_intensity_equals_the_maps_at_the_nodes_and_a_power_law_between():
    model = small_model()
    assert np.allclose(model.galactic_intensity(NODES), model.maps, rtol=1e-5)
    middle = model.galactic_intensity(np.sqrt(NODES[:1] * NODES[1:2]))[0]
    assert np.allclose(middle, np.sqrt(model.maps[0] * model.maps[1]), rtol=1e-5)


def test_intensity_at_directions_agrees_with_healpy_interpolation():
    model = small_model()
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((5, 7, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    energies = [500.0, 5e4]
    got = model.intensity_at(energies, vectors)
    theta, phi = hp.vec2ang(vectors.reshape(-1, 3))
    for row, whole in zip(got, model.intensity(energies), strict=True):
        expected = hp.get_interp_val(whole, theta, phi, nest=True).reshape(5, 7)
        assert np.allclose(row, expected, rtol=1e-4)


def test_a_map_of_zeros_gives_finite_small_intensities():
    model = small_model(maps=np.zeros((4, 12), np.float32))
    assert np.all(np.isfinite(model.galactic(ENERGY_EDGES_MEV)))
    assert model.galactic(ENERGY_EDGES_MEV).max() < 1e-29


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energies_mev": NODES[::-1]}, "increasing"),
        ({"energies_mev": np.array([0.0, 1.0, 2.0, 3.0])}, "above zero"),
        ({"maps": np.ones((3, 12), np.float32)}, "maps have shape"),
        ({"maps": np.ones((4, 13), np.float32)}, "no NESTED sky"),
        ({"maps": np.full((4, 12), np.nan, np.float32)}, "NaN or negative"),
        ({"maps": np.full((4, 12), -1.0, np.float32)}, "NaN or negative"),
        ({"maps": np.full((4, 12), np.inf, np.float32)}, "NaN or negative"),
        ({"iso_intensity": np.array([1.0, 0.0])}, "positive"),
    ],
)
def test_a_broken_model_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        small_model(**changes)


def test_energies_and_edges_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="above zero"):
        small_model().intensity([0.0])
    with pytest.raises(InputError, match="bin edges"):
        small_model().galactic(np.array([1000.0]))


# files


def smooth_sky(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(lonlat_to_vectors(lon_deg, lat_deg), -1, 0)
    return 2.0 + x + 0.5 * y * z - 0.3 * z


def write_iso(path: Path) -> Path:
    np.savetxt(path, [[50.0, 1e-6, 1e-8], [1e3, 1e-9, 1e-11], [1e6, 1e-16, 1e-17]])
    return path


def write_cube(
    path: Path, frame: str = "G", projection: str = "CAR", step: float = 2.0, crop: int = 0
) -> Path:
    """A whole-sky cube of `smooth_sky` (seen in its own frame) at two energies."""
    n_lon, n_lat = int(360 / step) + 1, int(180 / step) + 1
    header = fits.Header()
    names = ("GLON", "GLAT") if frame == "G" else ("RA--", "DEC-")
    for axis, (name, n, cdelt) in enumerate(
        zip(names, (n_lon, n_lat), (-step, step), strict=True), 1
    ):
        header[f"CTYPE{axis}"] = f"{name}-{projection}"
        header[f"CRPIX{axis}"] = (n + 1) / 2
        header[f"CDELT{axis}"] = cdelt
        header[f"CRVAL{axis}"] = 0.0
    y, x = np.mgrid[:n_lat, :n_lon]
    lon, lat = WCS(header).all_pix2world(x, y, 0)
    image = np.nan_to_num(smooth_sky(lon, lat)).astype(np.float32)
    cube = np.stack([image, image * 1e-3])[:, : n_lat - crop]
    table = fits.BinTableHDU.from_columns(
        [fits.Column("energy", "D", array=[1e2, 1e3], unit="MeV")], name="ENERGIES"
    )
    fits.HDUList([fits.PrimaryHDU(cube, header), table]).writeto(path)
    return path


def expected_sky(nside: int, frame: str) -> np.ndarray:
    pixels = np.arange(hp.nside2npix(nside))
    lon, lat = hp.pix2ang(nside, pixels, nest=True, lonlat=True)
    if frame == "C":
        lon, lat = hp.Rotator(coord="GC")(lon, lat, lonlat=True)
    return smooth_sky(lon, lat)


@pytest.mark.parametrize(
    ("energies", "level", "told"),
    [
        ([100.0, 1e4], 4e-10, None),
        ([100.0, 1e4], 0.0, None),
        ([100.0, 1e4], 4e-6, "4e-06 cm-2 s-1 sr-1 MeV-1 at 1 GeV is no diffuse emission"),
        ([100.0, 1e4], 4e-13, "4e-13 cm-2 s-1"),
        ([0.1, 10.0], 4e-10, "energies from 0.1 to 10 MeV do not hold 1000"),
    ],
)
def test_a_spectrum_in_other_units_than_it_says_is_refused(energies, level, told):
    spectrum = np.array(energies), np.full(2, level)
    if told is None:
        files.check_level("iso.txt", *spectrum)
        return
    with pytest.raises(InputError, match=f"iso.txt: {told}"):
        files.check_level("iso.txt", *spectrum)


@pytest.mark.parametrize("step", [2.0, 0.5])
@pytest.mark.parametrize("frame", ["G", "C"])
def test_a_car_cube_is_read_in_galactic_and_equatorial_coordinates(
    tmp_path, frame, step, monkeypatch
):
    monkeypatch.setattr(files, "_HIGHEST_LEVEL", np.inf)  # of a map around one
    path = write_cube(tmp_path / "cube.fits", frame, step=step)
    model = diffuse.official(path, write_iso(tmp_path / "iso.txt"), nside=32)
    assert model.name == "cube"
    assert not model.psf_included
    assert np.allclose(model.maps[0], expected_sky(32, frame), atol=0.01)
    assert np.allclose(model.maps[1] / model.maps[0], 1e-3)


@pytest.mark.parametrize("ordering", ["RING", "NESTED"])
@pytest.mark.parametrize(("frame", "own_nside"), [("G", 16), ("G", 32), ("G", 64), ("C", 64)])
@pytest.mark.parametrize("columns", [1, 2])
def test_a_healpix_cube_is_read_in_every_order_and_frame(
    tmp_path, ordering, frame, own_nside, columns
):
    pixels = np.arange(hp.nside2npix(own_nside))
    lon, lat = hp.pix2ang(own_nside, pixels, nest=ordering == "NESTED", lonlat=True)
    sky = smooth_sky(lon, lat)
    planes = np.stack([sky, sky * 1e-3])
    if columns == 1:
        data = [fits.Column("SPECTRA", "2D", array=planes.T)]
    else:
        data = [fits.Column(f"ENERGY{i}", "D", array=p) for i, p in enumerate(planes, 1)]
    table = fits.BinTableHDU.from_columns(data, name="SKYMAP")
    table.header["PIXTYPE"] = "HEALPIX"
    table.header["ORDERING"] = ordering
    table.header["COORDSYS"] = {"G": "GAL", "C": "CEL"}[frame]
    energies = fits.BinTableHDU.from_columns(
        [fits.Column("MeV", "D", array=[1e2, 1e3])], name="ENERGIES"
    )
    path = tmp_path / "hpx.fits"
    fits.HDUList([fits.PrimaryHDU(), table, energies]).writeto(path)
    got_energies, maps = read_mapcube(path, nside=32)
    assert list(got_energies) == [1e2, 1e3]
    # bilinear interpolation of pixels of 3.7 degrees is not exact
    tolerance = 0.03 if own_nside == 16 else 0.01
    assert np.allclose(maps[0], expected_sky(32, frame), atol=tolerance)
    table.header["INDXSCHM"] = "EXPLICIT"
    fits.HDUList([fits.PrimaryHDU(), table, energies]).writeto(path, overwrite=True)
    with pytest.raises(InputError, match="INDXSCHM is EXPLICIT"):
        read_mapcube(path)


def test_energies_below_the_lowest_wanted_are_left_out(tmp_path):
    path = write_cube(tmp_path / "cube.fits")
    energies, maps = read_mapcube(path, lowest_mev=100.0, nside=4)
    assert list(energies) == [1000.0]
    assert maps.shape == (1, 192)


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_files_that_are_no_whole_sky_mapcube_are_refused(tmp_path):
    with pytest.raises(InputError, match="covers 9.% of the sky"):
        read_mapcube(write_cube(tmp_path / "part.fits", crop=10))
    with pytest.raises(InputError, match="covers"):
        read_mapcube(write_cube(tmp_path / "tan.fits", projection="TAN"))
    whole = write_cube(tmp_path / "whole.fits")
    with fits.open(whole) as hdus:
        fits.HDUList([hdus[0].copy()]).writeto(tmp_path / "bare.fits")
        hdus["ENERGIES"].data = hdus["ENERGIES"].data[:1]
        hdus.writeto(tmp_path / "fewer.fits")
        fits.HDUList([fits.PrimaryHDU(), hdus["ENERGIES"].copy()]).writeto(tmp_path / "no.fits")
    with pytest.raises(InputError, match="no ENERGIES"):
        read_mapcube(tmp_path / "bare.fits")
    with pytest.raises(InputError, match="1 energies for 2 maps"):
        read_mapcube(tmp_path / "fewer.fits")
    with pytest.raises(InputError, match="no diffuse cube"):
        read_mapcube(tmp_path / "no.fits")
    with pytest.raises(InputError, match="no such file"):
        read_mapcube(tmp_path / "absent.fits")
    (tmp_path / "cut.fits").write_bytes(whole.read_bytes()[:4000])
    with pytest.raises(InputError, match="cut.fits"):
        read_mapcube(tmp_path / "cut.fits")


def test_isotropic_tables_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match="isotropic"):
        diffuse.read_isotropic(tmp_path / "absent.txt")
    (tmp_path / "one.txt").write_text("100 1e-7 0\n")
    with pytest.raises(InputError, match="columns"):
        diffuse.read_isotropic(tmp_path / "one.txt")
    (tmp_path / "words.txt").write_text("not a table\n")
    with pytest.raises(InputError, match="isotropic"):
        diffuse.read_isotropic(tmp_path / "words.txt")


# the shared models


def test_the_coarse_v07_table_is_sampled_as_gammapy_samples_it(shared_data):
    path = shared_data / "diffuse/gll_iem_v07_240x131.fits"
    energies, maps = read_mapcube(path, lowest_mev=1000.0, nside=64)
    with fits.open(path) as hdus:
        header, plane = hdus[0].header.copy(), np.array(hdus[0].data[-10], float)
    for key in ("CRVAL3", "CDELT3", "NAXIS3", "CTYPE3", "CRPIX3"):
        header.remove(key, ignore_missing=True)
    image = Map.from_geom(Map.from_hdulist(fits.HDUList([fits.PrimaryHDU(plane, header)])).geom)
    image.data = plane
    lon, lat = hp.pix2ang(64, np.arange(12 * 64**2), nest=True, lonlat=True)
    inside = (np.abs(lat) < 88) & (np.abs(lon - 180) > 2)
    expected = image.interp_by_coord({"lon": lon[inside], "lat": lat[inside]}, method="linear")
    assert np.allclose(maps[-10][inside], expected, rtol=1e-3)


def test_v07_keeps_the_totals_of_the_coarse_table(v07, shared_data):
    _, coarse = read_mapcube(shared_data / "diffuse/gll_iem_v07_240x131.fits", 100.0)
    ratio = v07.maps.mean(1, dtype=float) / coarse.mean(1, dtype=float)
    assert v07.psf_included
    assert np.all(np.abs(ratio - 1) < 0.015)


def test_v07_agrees_with_a_cutout_of_the_official_file(v07, shared_data):
    with fits.open(shared_data / "real/fermi-gc/gll_iem_v07_gc.fits.gz") as hdus:
        wcs = WCS(hdus[0].header).celestial
        cube = np.array(hdus[0].data, float)
        energies = np.array(hdus[1].data.field(1), float)
    y, x = np.mgrid[: cube.shape[1], : cube.shape[2]]
    lon, lat = wcs.all_pix2world(x, y, 0)
    pixels = hp.ang2pix(256, lon, lat, nest=True, lonlat=True)
    edges = ENERGY_EDGES_MEV[1:]
    official = integrate_power_laws(energies, cube.reshape(len(cube), -1), edges)
    rebuilt = v07.galactic(edges)[:, pixels.ravel()]
    assert np.allclose(rebuilt.mean(1) / official.mean(1), 1.0, atol=0.02)
    # above 7 GeV the PSF hides little: structure agrees pixel by pixel as well
    assert np.corrcoef(rebuilt[4], official[4])[0, 1] > 0.95


@pytest.mark.parametrize("which", ["O", "A"])
def test_template_models_have_the_sky_level_of_v07_and_another_shape(which, v07, shared_data):
    model = diffuse.by_name(f"model_{which}", shared_data)
    edges = ENERGY_EDGES_MEV[2:5]
    mine, theirs = model.galactic(edges), v07.galactic(edges)
    ratio = mine / theirs
    assert np.allclose(mine.mean(1, dtype=float) / theirs.mean(1, dtype=float), 1.0, atol=0.02)
    assert np.all((ratio > 0.02) & (ratio < 20))
    assert np.std(np.log(ratio[1])) > 0.1


def test_every_event_type_has_its_isotropic_spectrum(v07, shared_data):
    back = diffuse.templates_model(shared_data, "A", "back")
    assert not np.allclose(
        back.isotropic(ENERGY_EDGES_MEV), v07.isotropic(ENERGY_EDGES_MEV), rtol=0.01
    )


def test_unknown_or_absent_shared_models_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("FERMI_UNEK_DATA", raising=False)
    with pytest.raises(InputError, match="event type"):
        diffuse.shared_v07(tmp_path, "edisp3")
    with pytest.raises(InputError, match="none of 'O', 'A'"):
        diffuse.templates_model(tmp_path, "B")
    with pytest.raises(InputError, match="templates cannot be read"):
        diffuse.templates_model(tmp_path, "A")
    with pytest.raises(ConfigError, match="none of"):
        diffuse.by_name("v06")
    with pytest.raises(ConfigError, match="needs the Fermi diffuse files"):
        diffuse.by_name("v07")
    folder = tmp_path / "diffuse"
    folder.mkdir()
    for name in ("iso_P8R3_SOURCE_V3_FRONT_v1.txt",):
        write_iso(folder / name)
    write_cube(folder / "gll_iem_v07_240x131.fits", step=10.0)
    with pytest.raises(InputError, match="fine shape"):
        diffuse.shared_v07(tmp_path)


# the package's own model


def test_the_own_model_needs_no_file_and_is_the_same_for_the_same_seed(own):
    other, again = diffuse.by_name("own-3"), diffuse.own_model(3, nside=256)
    assert own.name == "own"
    assert np.array_equal(other.maps[5], again.maps[5])
    assert not own.psf_included
    assert other.name == "own-3"
    assert np.std(np.log(other.maps[5] / own.maps[5])) > 0.05
    assert np.allclose(other.maps.mean(1, dtype=float), own.maps.mean(1, dtype=float), rtol=1e-3)


def test_the_own_model_without_structure_is_smooth(own):
    smooth = diffuse.own_model(structure=0.0, nside=64)
    ring = hp.reorder(np.log(smooth.maps[6].astype(float)), n2r=True)
    _, lat = hp.pix2ang(64, np.arange(len(ring)), lonlat=True)
    fine = ring - hp.smoothing(ring, fwhm=np.radians(5), iter=1)
    assert fine[np.abs(lat) > 20].std() < 0.02
    with pytest.raises(ConfigError, match="structure"):
        diffuse.own_model(structure=-1.0)


def test_the_own_model_follows_v07_in_totals_latitude_and_longitude(own, v07):
    edges = ENERGY_EDGES_MEV[1:]
    mine, theirs = own.galactic(edges), v07.galactic(edges)
    lon, lat = hp.pix2ang(256, np.arange(mine.shape[1]), nest=True, lonlat=True)
    assert np.allclose(mine.mean(1) / theirs.mean(1), 1.0, atol=0.05)
    for low, high in BANDS:
        band = (np.abs(lat) >= low) & (np.abs(lat) < high)
        assert np.allclose(mine[:, band].mean(1) / theirs[:, band].mean(1), 1.0, atol=0.15)
    for start in range(0, 360, 30):
        sector = (np.abs(lat) < 5) & (lon >= start) & (lon < start + 30)
        ratio = mine[:4, sector].mean(1) / theirs[:4, sector].mean(1)
        assert np.allclose(ratio, 1.0, atol=0.25)


def test_the_own_isotropic_spectrum_is_that_of_front_events(own, v07):
    assert np.allclose(
        own.isotropic(ENERGY_EDGES_MEV) / v07.isotropic(ENERGY_EDGES_MEV), 1.0, atol=0.02
    )


def test_small_scale_structure_of_the_own_model_is_as_strong_as_in_v07(own, v07):
    spread = []
    for model in (own, v07):
        ring = hp.reorder(np.log(model.galactic(np.array([2e3, 7e3]))[0].astype(float)), n2r=True)
        _, lat = hp.pix2ang(256, np.arange(len(ring)), lonlat=True)
        fine = ring - hp.smoothing(ring, fwhm=np.radians(5), lmax=400, iter=0)
        spread.append([fine[(np.abs(lat) >= b) & (np.abs(lat) < 2 * b)].std() for b in (10, 20)])
    assert np.allclose(np.array(spread[0]) / spread[1], 1.0, atol=0.35)


def test_a_gaussian_field_has_the_power_spectrum_that_was_asked_for():
    power = power_law_spectrum(1e-4, -2.8, 12, 64)
    field = gaussian_field(power, 64, np.random.default_rng(4))
    got = hp.anafast(hp.reorder(field, n2r=True), lmax=128, iter=1)
    for low, high in ((12, 20), (20, 40), (40, 80), (80, 120)):
        assert got[low:high].mean() == pytest.approx(power[low:high].mean(), rel=0.15)
    assert got[:10].max() < 1e-3 * power[12]


# variation and blurring


def test_variation_of_nothing_changes_nothing():
    model = small_model()
    same = diffuse.vary(model, np.random.default_rng(0), 0.0, 0.0, 0.0)
    assert np.array_equal(same.maps, model.maps)
    assert np.array_equal(same.iso_intensity, model.iso_intensity)


def test_levels_scatter_as_asked_and_independently():
    model = small_model()
    rng = np.random.default_rng(5)
    logs = []
    for _ in range(400):
        one = diffuse.vary(model, rng, 0.2, 0.1, 0.0)
        logs.append(
            [
                np.log(one.maps[0, 0] / model.maps[0, 0]),
                np.log(one.iso_intensity[0] / model.iso_intensity[0]),
            ]
        )
    assert np.allclose(np.std(logs, axis=0), [0.2, 0.1], rtol=0.15)
    assert abs(np.corrcoef(np.transpose(logs))[0, 1]) < 0.2


def test_varied_structure_has_its_strength_and_leaves_large_scales(own):
    rng = np.random.default_rng(6)
    factor = diffuse.vary(own, rng, 0.0, 0.0, 0.15).maps[4] / own.maps[4]
    assert np.log(factor).std() == pytest.approx(0.15, rel=0.1)
    assert hp.ud_grade(factor, 2, order_in="NESTED").std() < 0.02
    assert factor.mean() == pytest.approx(1.0, abs=0.01)


def test_variations_that_make_no_sense_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="iso_sigma"):
        diffuse.vary(small_model(), rng, iso_sigma=-0.1)
    coarse = small_model(maps=np.ones((4, 12 * 4**2), np.float32))
    with pytest.raises(InputError, match="too coarse"):
        diffuse.vary(coarse, rng, structure_sigma=0.1)


def gaussian_beam(sigma_deg: float) -> tuple[np.ndarray, np.ndarray]:
    theta = np.radians(np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 500)]))
    return theta, np.exp(-0.5 * (theta / np.radians(sigma_deg)) ** 2)


def test_smearing_agrees_with_healpy_for_a_gaussian():
    sky = np.random.default_rng(7).uniform(0.5, 1.5, 12 * 64**2)
    sky[:100] += 50.0
    got = diffuse.smear(hp.reorder(sky, r2n=True)[None], [gaussian_beam(2.0)])[0]
    expected = hp.smoothing(sky, sigma=np.radians(2.0), iter=0, lmax=191)
    assert np.allclose(hp.reorder(got, n2r=True), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("sigma_deg", [0.05, 0.4, 2.0, 8.0])
def test_smearing_keeps_flux_and_stays_between_the_extremes(sigma_deg):
    sky = np.zeros((1, 12 * 64**2), np.float32)
    sky[0, [5, 9000, 30000]] = [1.0, 7.0, 3.0]
    got = diffuse.smear(sky, [gaussian_beam(sigma_deg)])
    assert got.dtype == np.float32
    assert got.min() >= 0
    assert got.max() <= 7.001
    assert got.sum(dtype=float) == pytest.approx(11.0, rel=1e-4)


def test_a_psf_far_below_the_pixels_leaves_the_map_alone():
    sky = np.random.default_rng(8).lognormal(size=(1, 12 * 32**2)).astype(np.float32)
    assert np.allclose(diffuse.smear(sky, [gaussian_beam(0.01)]), sky, rtol=1e-3, atol=1e-3)


def test_the_window_of_a_gaussian_is_the_analytic_one():
    window = beam_window(*gaussian_beam(1.0), 300)
    assert np.allclose(
        window, hp.gauss_beam(np.radians(1.0) * np.sqrt(8 * np.log(2)), 300), atol=1e-3
    )


def test_psf_profiles_that_make_no_sense_are_refused():
    sky = np.ones((1, 12 * 8**2), np.float32)
    theta, profile = gaussian_beam(1.0)
    with pytest.raises(InputError, match="1 maps but 2"):
        diffuse.smear(sky, [(theta, profile)] * 2)
    with pytest.raises(InputError, match="angles for"):
        diffuse.smear(sky, [(theta, profile[:-1])])
    with pytest.raises(InputError, match="increase"):
        diffuse.smear(sky, [(theta[::-1], profile)])
    with pytest.raises(InputError, match="positive integral"):
        diffuse.smear(sky, [(theta, profile * 0)])


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ({"CTYPE3": "log_Energy", "CRVAL3": np.log(100.0), "CDELT3": np.log(10.0)}, None),
        ({"CTYPE3": "photon energy", "CRVAL3": 100.0, "CDELT3": 1.0}, None),
        ({"CTYPE3": "Energy", "CUNIT3": "GeV", "CRVAL3": 100.0}, "CRVAL3 100 GeV .* ENERGIES"),
        (
            {"CTYPE3": "log_Energy", "CRVAL3": np.log(100.0), "CDELT3": 0.5},
            "CDELT3 0.5 .* ENERGIES",
        ),
    ],
)
def test_the_energy_axis_of_a_mapcube_agrees_with_its_table(tmp_path, cards, told):
    image = fits.PrimaryHDU(np.ones((3, 18, 36), "f4"))
    image.header.update(
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CDELT1": -10.0, "CDELT2": 10.0}
    )
    image.header.update({"CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 18.5, "CRPIX2": 9.5} | cards)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("Energy", "D", "MeV", array=[100.0, 1e3, 1e4])], name="ENERGIES"
    )
    fits.HDUList([image, table]).writeto(tmp_path / "map.fits")
    if told is None:
        assert len(read_mapcube(tmp_path / "map.fits", nside=8)[0]) == 3
        return
    with pytest.raises(InputError, match=told):
        read_mapcube(tmp_path / "map.fits", nside=8)
