"""`info` says of every file of an analysis what it is and which option takes it."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.catalog.releases import load_release, release_path
from fermi_unek.errors import InputError
from fermi_unek.pipeline import demo_sample, describe
from fermi_unek.sky.bins import N_BINS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels
from fermi_unek.sky.io.skyfile import write_sky
from fermi_unek.sky.layers import with_layers


def write_mapcube(path, value, with_energies=True):
    """A cube of one value in an all-sky projection, as gtexpcube2 and gll_iem are laid out."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["GLON-CAR", "GLAT-CAR"], [-10, 10]
    wcs.wcs.crpix = [18.5, 9.5]
    hdus = [fits.PrimaryHDU(np.full((3, 18, 36), value, "f4"), wcs.to_header())]
    if with_energies:
        energies = Table({"Energy": np.array([1e2, 1e3, 1e4])})
        hdus.append(fits.BinTableHDU(energies, name="ENERGIES"))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1e11, "exposure map of gtexpcube2 at 3 energies from 100 to 10000 MeV;\n--exposure"),
        (1e-7, "mapcube of diffuse emission at 3 energies from 100 to 10000 MeV;\n--diffuse"),
    ],
)
def test_an_exposure_is_told_from_an_intensity(tmp_path, value, told):
    assert describe(str(write_mapcube(tmp_path / "cube.fits", value))).startswith(told)


def test_a_release_is_told_with_its_sources():
    told = describe(str(release_path("4FGL-DR2")))
    assert told.startswith(
        f"catalog of the LAT collaboration, {len(load_release('4FGL-DR2'))} sources, "
    )
    assert "--reference of find" in told


def test_the_truth_of_a_simulation_goes_to_evaluate():
    told = describe(str(demo_sample()[1]))
    assert told.startswith("truth of a simulated sky, 244 sources of population mock, 10.0 years")
    assert told.endswith("--truth of evaluate")


def test_a_model_is_told_by_its_history_without_the_folders_of_its_training():
    told = describe("classifier-v5")
    assert told.startswith("classifier; --classifier of find\n")
    assert "sha256: " in told
    assert "/work/" not in told
    assert describe("localizer-v7").startswith("localizer; --model of find and inject\n")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("fermitools/exp_z100_fb_hpx.fits.gz", "exposure map of gtexpcube2 at 8 energies"),
        ("fermitools/exp_z100_fb_car.fits.gz", "exposure map of gtexpcube2 at 8 energies"),
        ("fermitools/psf_z100_fb.fits.gz", "PSF table of gtpsf; --psf of refit"),
        ("fermitools/spacecraft.fits.gz", "spacecraft file, 54294 intervals"),
        ("diffuse/gll_iem_v07_240x131.fits", "mapcube of diffuse emission at 28 energies"),
        ("real/fermi-gc/gll_iem_v07_gc.fits.gz", "mapcube of diffuse emission"),
        ("diffuse/iso_P8R3_SOURCE_V3_v1.txt", "isotropic spectrum, 48 energies from 33.68"),
        ("real/fermi-gc/drm_00.fits", "energy dispersion of gtdrm"),
        ("real/fermi-3fhl-gc-background-cube.fits.gz", "model cube of gtmodel"),
        ("caldb/data/glast/lat/bcf/psf/psf_P8R3_CLEAN_V3_FB.fits", "instrument response"),
        ("caldb/data/glast/lat/bcf/ea/aeff_P8R3_CLEAN_V3_FB.fits", "instrument response"),
        ("caldb/data/glast/lat/bcf/edisp/edisp_P8R3_CLEAN_V3_FB.fits", "instrument response"),
        ("catalogs/gll_psch_v13.fit.gz", "catalog of the LAT collaboration, 1556 sources"),
        ("real/fermi-gc/config_fermipy_gc_example.yaml", "configuration of fermipy"),
        ("real/fermi-gc/ccube_00.fits", "10,287 photons (psf2), within 5.0 deg"),
    ],
)
def test_files_of_the_fermitools_and_of_fermipy_are_known(shared_data, file, told):
    assert describe(str(shared_data / file)).startswith(told)


@pytest.mark.parametrize(
    ("file", "years"), [("fermitools/ltcube_z100", "0.05"), ("exposure/ltcube_4yr_nside32", "3.98")]
)
def test_a_livetime_cube_is_no_input_and_is_told_where_it_goes(shared_data, file, years):
    (path,) = (shared_data / "x").parent.glob(f"{file}.fits*")
    told = f"no counts but a livetime cube of gtltcube, {years} years; --exposure of find"
    with pytest.raises(InputError, match=told):
        describe(str(path))


def test_a_folder_of_fermipy_is_told_file_by_file(shared_data):
    told = describe(str(shared_data / "real" / "fermipy-crab")).splitlines()
    assert told[0] == "working folder of fermipy"
    assert "  ccube_00.fits, ccube_01.fits  (count cubes: INPUT of find, refit, report)" in told
    assert "  bexpmap_00.fits, bexpmap_01.fits  (exposure maps: --exposure of refit)" in told


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "m.xml",
            "<source_library title='a'>\n<source name='b'>",
            "source list of gtlike; --population",
        ),
        ("m.yaml", "components:\n- name: a\n", "models of gammapy; --population"),
        ("t.yaml", "steps: 3\n", "YAML; train takes it"),
        ("iso.txt", "100 1e-7 1e-8\n1000 1e-9 1e-10\n", "isotropic spectrum, 2 energies"),
    ],
)
def test_text_files_are_known_by_what_stands_in_them(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    assert describe(str(tmp_path / name)).startswith(told)


def test_what_is_nothing_known_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("photons")
    (tmp_path / "data.npy").write_bytes(b"\x93NUMPY\xff\xfe")
    for name in ("notes.txt", "data.npy"):
        with pytest.raises(InputError, match=f"{name}: nothing that is known here"):
            describe(str(tmp_path / name))
    with pytest.raises(InputError, match="a folder without count cubes"):
        describe(str(tmp_path))
    with pytest.raises(InputError, match="no model 'no-such': neither a file nor one of"):
        describe("no-such")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    with pytest.raises(InputError, match="neither photons nor a count cube"):
        describe(str(tmp_path / "empty.fits"))


def test_a_catalog_is_told_with_errors_classes_and_neighbors(tmp_path):
    one = np.ones(2)
    crab = Candidates(
        np.array([184.5575, 100.0]), np.array([-5.7844, 50.0]), np.array([0.99, 0.41]),
        0.02 * one, 0.01 * one, 0 * one, one > 2,
    )  # fmt: skip
    header = {
        "setting exposure": "/home/someone/data/exp.fits",
        "class config": '{"out": "/work/runs"}',
        "model model": "localizer-v7",
        "version numpy": "2.0",
    }
    release = load_release("4FGL-DR2")
    made = build_catalog(crab, provenance=header, reference=release, purity=0.4)
    made.table["CLASS1"], made.table["Fake"] = ["psr", ""], [False, True]
    made.write(tmp_path / "catalog.fits")
    told = describe(str(tmp_path / "catalog.fits")).splitlines()
    assert told[0] == "2 candidates (2 selected for a purity of 0.4, 1 likely fake)"
    assert told[2] == "all: 1.4 of 2 expected to be real (0.70)"
    first, second = told[4].split(), told[5].split()
    assert first[1] == made[1]["Source_Name"].split()[1] or first[1].startswith("J0534")
    assert first[4:8] == ["1.4'", "0.990", "psr", "no"]
    assert " ".join(first[8:]).startswith("4FGL J0534.5+220")
    assert first[-1].endswith("'")
    assert second[8].startswith("(4FGL")
    assert second[-1].endswith("')")
    assert second[5:8] == ["0.410", "-", "yes"]
    text = "\n".join(told)
    assert "setting exposure: exp.fits" in text
    assert "localizer: localizer-v7" in text
    assert "config" not in text
    assert "/home" not in text


def test_a_binned_sky_is_told_by_the_event_types_that_it_keeps_apart(tmp_path):
    pixels = {"front": np.arange(7), "back": np.arange(4)}
    layers = [
        SkyCounts((None,) * (N_BINS - 1) + (bin_from_pixels(N_BINS - 1, where),), name)
        for name, where in pixels.items()
    ]
    told = describe(str(write_sky(with_layers(layers), tmp_path / "sky.fits"))).splitlines()
    assert told[0] == "11 photons (front, back), the whole sky"
    assert told[-1] == "  20 to 1000 GeV: 7 front, 4 back"
    told = describe(str(write_sky(layers[1], tmp_path / "back.fits"))).splitlines()
    assert told[0] == "4 photons (back), the whole sky"
    assert told[-1] == "  20 to 1000 GeV: 4"
