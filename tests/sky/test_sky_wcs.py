"""Count cubes in WCS projections."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from gammapy.maps import Map, MapAxis, WcsGeom
from sky_samples import BIN_EDGES, bounds_table, sky_of, vectors_near, write_ccube

from fermi_unek.errors import InputError, OutputError, UnekWarning
from fermi_unek.sky.geometry.coverage import circle_coverage, coverage_vectors
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.grid import tangent_distance
from fermi_unek.sky.geometry.patches import cut_patch
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.wcs import pixels_to_vectors, wcs_coverage
from fermi_unek.sky.io.writers import write_wcs_counts


def read(path, **options):
    return read_sky(path, rng=np.random.default_rng(1), **options)


def poisson_cube(channels: int = 6, rows: int = 20, columns: int = 30) -> np.ndarray:
    return np.random.default_rng(2).poisson(2.0, (channels, rows, columns)).astype(np.int32)


def test_a_quote_without_its_pair_does_not_crash_wcslib(tmp_path):
    header = fits.PrimaryHDU(np.zeros((4, 5, 5), np.float32)).header
    header.update(CTYPE1="GLON-CAR", CTYPE2="GLAT-CAR", CRPIX1=3.0, CRPIX2=3.0, CRVAL1=0.0,
                  CRVAL2=0.0, CDELT1=-15.0, CDELT2=15.0, CUNIT1="deg", CUNIT2="deg")  # fmt: skip
    cards = header.tostring()
    assert cards.count("'GLAT-CAR'") == 1
    (tmp_path / "cards").write_text(cards.replace("'GLAT-CAR'", "'GLAT-CA''"))
    # in a process of its own: the crash depends on what lies in memory
    script = (
        "from astropy.io import fits; from fermi_unek.sky.io.wcs import celestial_wcs; "
        "celestial_wcs('cube.fits', fits.Header.fromstring(open('cards').read()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.returncode
    assert "InputError: cube.fits: the WCS of the image cannot be read" in done.stderr


def field_wcs(projection: str, frame: str, lon: float, lat: float) -> WCS:
    """0.25 degree pixels, 100 x 100, centred on Galactic (lon, lat)."""
    place = SkyCoord(lon, lat, unit="deg", frame="galactic")
    x, y = (lon, lat) if frame == "GAL" else (place.icrs.ra.deg, place.icrs.dec.deg)
    names = ("GLON", "GLAT") if frame == "GAL" else ("RA--", "DEC-")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{name}-{projection}" for name in names]
    wcs.wcs.cdelt = [-0.25, 0.25]
    if projection == "CAR":  # gtbin and gammapy put the reference point on the equator
        wcs.wcs.crval, wcs.wcs.crpix = [x, 0.0], [50.5, 50.5 - y / 0.25]
    else:
        wcs.wcs.crval, wcs.wcs.crpix = [x, y], [50.5, 50.5]
    return wcs


def test_counts_of_a_cube_are_conserved_bin_by_bin(tmp_path):
    data = poisson_cube()
    sky = read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES))
    assert sky.totals.tolist() == data.sum(axis=(1, 2)).tolist()
    assert sky.event_type == "front"
    assert np.isnan(sky.livetime_years)


@pytest.mark.parametrize("projection", ["CAR", "AIT", "TAN", "ZEA", "STG"])
@pytest.mark.parametrize("frame", ["GAL", "CEL"])
def test_a_written_cube_reads_back_in_any_projection_and_gammapy_agrees(
    tmp_path, projection, frame
):
    rng = np.random.default_rng(3)
    sky = sky_of(vectors_near(rng, 2000, 358.0, 16.0, 2.0))
    wcs = field_wcs(projection, frame, 358.0, 16.0)
    path = write_wcs_counts(sky, tmp_path / "a.fits", wcs, (100, 100), rng=rng)
    seen = Map.read(path)
    assert seen.data.sum(axis=(1, 2)).tolist() == sky.totals.tolist()
    assert seen.geom.axes[0].edges.to_value("MeV") == pytest.approx([*BIN_EDGES[:, 0], 1e6])
    back = read(path)
    assert back.totals.tolist() == sky.totals.tolist()
    assert back.event_type == "front"
    assert back.livetime_years == pytest.approx(2.0)
    # the same place: the centroid in a patch is where it was
    frame_here = PatchFrame(358.0, 16.0)
    rows, columns = np.mgrid[:128, :128]
    for grid in (rows, columns):
        before, after = (
            (plane * grid).sum() / plane.sum()
            for plane in (cut_patch(s, frame_here).counts[5] for s in (sky, back))
        )
        assert after == pytest.approx(before, abs=0.1)


@pytest.mark.parametrize("projection", ["CAR", "TAN"])
def test_coverage_is_the_footprint_of_the_map(projection):
    wcs = field_wcs(projection, "GAL", 358.0, 16.0)
    mask = wcs_coverage(wcs, (100, 100))
    lon = np.degrees(np.arctan2(*coverage_vectors().T[1::-1])) % 360
    lat = np.degrees(np.arcsin(coverage_vectors()[:, 2]))
    if projection == "CAR":
        expected = (np.abs((lon - 358 + 180) % 360 - 180) < 12.5) & (np.abs(lat - 16) < 12.5)
    else:
        expected = tangent_distance(PatchFrame(358.0, 16.0), coverage_vectors()) < 12.5
    assert np.array_equal(mask, expected)


def test_a_whole_sky_map_covers_the_whole_sky(tmp_path):
    data = np.ones((6, 36, 72), dtype=np.int16)
    path = write_ccube(tmp_path / "a.fits", data, BIN_EDGES, crval=(0.0, 0.0), pixel_deg=5.0)
    sky = read(path)
    assert sky.coverage is None
    assert sky.totals.tolist() == [36 * 72] * 6


def test_a_whole_sky_in_aitoff_keeps_its_counts_and_none_fall_off_the_sky(tmp_path):
    geom = WcsGeom.create(
        npix=(144, 72), binsz=2.5, proj="AIT", frame="galactic",
        axes=[MapAxis.from_energy_bounds("1 GeV", "2 GeV", nbin=1)],
    )  # fmt: skip
    inside = np.isfinite(geom.get_coord()["lon"].to_value("deg")[0])
    data = inside[None].astype(np.int32)
    header = geom.to_image().to_header()
    hdu = fits.PrimaryHDU(data, header=header)
    fits.HDUList([hdu, bounds_table(np.array([[1000.0, 2000.0]]))]).writeto(tmp_path / "a.fits")
    sky = read(tmp_path / "a.fits", event_type="front")
    assert sky.totals.sum() == inside.sum()
    assert sky.coverage is None


def test_counts_off_the_sky_are_an_error(tmp_path):
    data = np.ones((6, 60, 120), dtype=np.int16)
    path = write_ccube(
        tmp_path / "a.fits", data, BIN_EDGES, ctype=("GLON-AIT", "GLAT-AIT"), pixel_deg=4.0
    )
    with pytest.raises(InputError, match="off the sky"):
        read(path)


def test_a_cylindrical_map_that_starts_far_from_its_reference_point_is_covered_whole(tmp_path):
    primary = fits.PrimaryHDU(np.ones((6, 40, 60), dtype=np.int16))
    primary.header.update(
        CTYPE1="GLON-CAR", CRVAL1=0.0, CRPIX1=400.5, CDELT1=-0.5, CUNIT1="deg",
        CTYPE2="GLAT-CAR", CRVAL2=0.0, CRPIX2=20.5, CDELT2=0.5, CUNIT2="deg",
    )  # fmt: skip
    fits.HDUList([primary, bounds_table(BIN_EDGES)]).writeto(tmp_path / "a.fits")
    sky = read(tmp_path / "a.fits", event_type="front")  # longitudes 170 to 200
    assert sky.totals.sum() == 6 * 40 * 60
    assert sky.coverage.mean() * 41252.96 == pytest.approx(30 * 20, rel=0.02)


def test_photons_are_spread_over_their_pixel_and_stay_inside(tmp_path):
    data = np.zeros((6, 9, 9), dtype=np.int32)
    data[:, 4, 4] = 20_000
    sky = read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES, pixel_deg=2.0))
    plane = cut_patch(sky, PatchFrame(30.0, 0.0)).counts[5]  # 0.078 degree pixels
    inside = plane[52:76, 52:76]  # the pixel reaches from 50.7 to 76.3
    assert inside.sum() == pytest.approx(20_000 * (24 / 25.6) ** 2, rel=0.02)
    assert inside.std() < 1.3 * np.sqrt(inside.mean())  # Poisson, no pattern
    assert plane[:50].sum() == plane[:, :50].sum() == 0


def test_finer_channels_are_summed_and_straddling_ones_split_with_a_warning(tmp_path):
    edges = np.array([[300.0, 400.0], [400.0, 500.0], [500.0, 900.0], [900.0, 1100.0],
                      [1100.0, 2000.0]])  # fmt: skip
    data = poisson_cube(5)
    total = data.sum(axis=(1, 2))
    path = write_ccube(tmp_path / "a.fits", data, edges)
    with pytest.warns(UnekWarning, match="% of the counts were moved"):
        sky = read(path)
    assert sky.totals.sum() == data.sum()
    assert sky.totals[0] == total[0] + total[1]
    assert total[2] < sky.totals[1] < total[2] + total[3]
    assert sky.present.tolist() == [True, True, True, False, False, False]


def test_cubes_of_different_energies_are_put_together(tmp_path):
    data = poisson_cube()
    first = write_ccube(tmp_path / "a.fits", data[:2], BIN_EDGES[:2], pixel_deg=0.5)
    second = write_ccube(tmp_path / "b.fits", data[2:], BIN_EDGES[2:], pixel_deg=0.25)
    sky = read([first, second])
    assert sky.totals.tolist() == data.sum(axis=(1, 2)).tolist()
    assert sky.bins[0].coverage.sum() > 3 * sky.bins[5].coverage.sum()


def test_components_of_the_same_energies_and_other_event_types_are_added(tmp_path, recwarn):
    data = poisson_cube()
    paths = [
        write_ccube(
            tmp_path / f"ccube_0{k}.fits", data, BIN_EDGES,
            dss=((f"BIT_MASK(EVENT_TYPE,{mask},P8R3)", "1:1"),),
        )
        for k, mask in enumerate((16, 32))
    ]  # fmt: skip
    sky = read(paths)
    assert sky.totals.tolist() == (2 * data.sum(axis=(1, 2))).tolist()
    assert sky.event_type == "psf23"
    assert not recwarn.list


def test_cubes_that_may_hold_the_same_photons_earn_a_warning(tmp_path):
    data = poisson_cube()
    one = write_ccube(tmp_path / "ccube.fits", data, BIN_EDGES)
    other = write_ccube(tmp_path / "ccube_00.fits", data, BIN_EDGES)
    with pytest.warns(UnekWarning, match="counted twice"):
        read([one, other])


def test_cubes_of_other_times_or_places_earn_none(tmp_path, recwarn):
    data = poisson_cube()
    spans = [(0.0, 1e7), (1e7, 2e7)]
    paths = []
    for number, span in enumerate(spans):
        gti = fits.BinTableHDU.from_columns(
            [fits.Column(n, "D", array=[t]) for n, t in zip(("START", "STOP"), span, strict=True)],
            name="GTI",
        )
        path = tmp_path / f"{number}.fits"
        paths.append(write_ccube(path, data, BIN_EDGES, extra=(gti,)))
    paths.append(write_ccube(tmp_path / "far.fits", data, BIN_EDGES, crval=(200.0, 0.0)))
    read(paths)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("mask", "expected"), [(2, "back"), (3, "all"), (32, "psf3"), (48, "psf23")]
)
def test_a_cube_is_of_the_event_types_that_it_says_it_is_of(tmp_path, mask, expected, recwarn):
    dss = ((f"BIT_MASK(EVENT_TYPE,{mask},P8R3)", "1:1"),)
    sky = read(write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, dss=dss))
    assert (sky.event_type, sky.layers) == (expected, ())
    assert not recwarn.list


def test_a_cube_that_does_not_say_its_event_types_earns_a_warning(tmp_path):
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, dss=())
    with pytest.warns(UnekWarning, match="unknown event type, taken as FRONT and BACK together"):
        assert read(path).event_type == "all"


def test_an_event_type_that_is_asked_for_silences_the_warning_or_is_refused(tmp_path, recwarn):
    unknown = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, dss=())
    assert read(unknown, event_type="front").event_type == "front"
    front = write_ccube(tmp_path / "b.fits", poisson_cube(), BIN_EDGES)
    assert read(front, event_type="all").event_type == "front"
    assert not recwarn.list
    with pytest.raises(InputError, match="holds FRONT counts, back cannot be selected"):
        read(front, event_type="back")


@pytest.mark.parametrize(
    "options",
    [
        {"zmax_deg": 80.0},
        {"event_class": 256},
        {"energy_mev": (1e3, 1e4)},
        {"time_met": (0.0, 1.0)},
    ],
)
def test_cuts_that_only_photons_allow_are_refused(tmp_path, options):
    dss = (("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:100"))
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, dss=dss)
    with pytest.raises(InputError, match="cannot be (selected|made)"):
        read(path, event_type="front", **options)


def test_cuts_a_cube_satisfies_are_accepted(tmp_path):
    dss = (("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"), ("ZENITH_ANGLE", "0:100"))
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, dss=dss)
    sky = read(path, event_type="front", zmax_deg=100.0, event_class=128)
    assert sky.totals.sum() == poisson_cube().sum()


def test_a_zenith_cut_on_a_cube_that_states_none_is_refused(tmp_path):
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES)
    with pytest.raises(InputError, match="cube of unknown zenith angle"):
        read(path, zmax_deg=100.0)


def test_the_circle_of_the_dss_keywords_cuts_the_corners(tmp_path):
    centre = SkyCoord(30.0, 0.0, unit="deg", frame="galactic").icrs
    dss = (("POS(RA,DEC)", f"CIRCLE({centre.ra.deg},{centre.dec.deg},3)"),)
    data = np.zeros((6, 20, 20), np.int32)
    data[:, 10, 10] = 5
    path = write_ccube(tmp_path / "a.fits", data, BIN_EDGES, dss=dss)
    sky = read(path, event_type="front")
    assert np.sum(sky.coverage ^ circle_coverage(30.0, 0.0, 3.0)) <= 4


def test_a_region_is_cut_out_of_a_cube(tmp_path):
    data = poisson_cube(6, 40, 40) * 10
    sky = read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES), region=(30.0, 0.0, 4.0))
    assert sky.totals.sum() == pytest.approx(data.sum() * np.pi * 16 / 400, rel=0.05)
    assert np.array_equal(sky.coverage, circle_coverage(30.0, 0.0, 4.0))


def test_gammapys_own_map_files_are_read(tmp_path):
    axis = MapAxis.from_energy_bounds("1 GeV", "20 GeV", nbin=13)
    counts = Map.create(skydir=(30.0, 5.0), width=8, binsz=0.2, frame="galactic", axes=[axis])
    counts.data = np.random.default_rng(0).poisson(1.0, counts.data.shape).astype(float)
    counts.write(tmp_path / "a.fits")
    with pytest.warns(UnekWarning):
        sky = read(tmp_path / "a.fits")
    assert sky.totals.sum() == counts.data.sum()
    assert sky.present.tolist() == [False, False, True, True, True, False]


def test_a_map_of_one_channel_takes_its_energies_from_the_keywords(tmp_path):
    dss = (("BIT_MASK(EVENT_TYPE,1,P8R3)", "1:1"), ("ENERGY", "1000:2000"))
    sky = read(write_ccube(tmp_path / "a.fits", poisson_cube()[0], None, dss=dss))
    assert sky.present.tolist() == [False, False, True, False, False, False]
    assert sky.totals.sum() == poisson_cube()[0].sum()


def test_pixels_that_are_not_a_number_count_as_not_observed(tmp_path):
    data = poisson_cube().astype(float)
    data[:, :, :15] = np.nan
    sky = read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES))
    whole = read(write_ccube(tmp_path / "b.fits", poisson_cube(), BIN_EDGES))
    assert sky.totals.sum() == np.nansum(data)
    assert sky.coverage.sum() == pytest.approx(whole.coverage.sum() / 2, rel=0.02)


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "whole numbers"), (-1.0, "negative"), (np.inf, "inf in a pixel")],
)
def test_values_that_are_no_counts_are_refused(tmp_path, value, message):
    data = poisson_cube().astype(float)
    data[1, 2, 3] = value
    with pytest.raises(InputError, match=message):
        read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES))


def test_a_negative_integer_is_refused(tmp_path):
    data = poisson_cube()
    data[0, 0, 0] = -2
    with pytest.raises(InputError, match="negative values"):
        read(write_ccube(tmp_path / "a.fits", data, BIN_EDGES))


def test_a_cube_without_energy_bounds_is_refused(tmp_path):
    with pytest.raises(InputError, match="no energy bounds"):
        read(write_ccube(tmp_path / "a.fits", poisson_cube(), None))


def test_another_number_of_energy_bounds_than_of_channels_is_refused(tmp_path):
    with pytest.raises(InputError, match="5 energy bounds in EBOUNDS for 6 channels"):
        read(write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES[:5]))


def test_energy_bounds_in_a_unit_of_length_are_refused(tmp_path):
    bounds = bounds_table(BIN_EDGES)
    bounds.columns["E_MIN"].unit = "cm"
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), None, extra=(bounds,))
    with pytest.raises(InputError, match="unit 'cm' cannot be brought to MeV"):
        read(path)


def test_a_cube_coarser_than_the_network_is_refused(tmp_path):
    edges = np.array([[300.0, 1000.0], [1000.0, 2000.0]])
    with pytest.raises(InputError, match="coarser than the network"):
        read(write_ccube(tmp_path / "a.fits", poisson_cube(2), edges))


def test_a_cube_without_counts_is_refused(tmp_path):
    with pytest.raises(InputError, match="no events"):
        read(write_ccube(tmp_path / "a.fits", 0 * poisson_cube(), BIN_EDGES))


@pytest.mark.parametrize(
    ("ctype", "message"), [(("X", "Y"), "expected Galactic"), (("GLON-CAR", "DEC--TAN"), "WCS")]
)
def test_axes_that_are_not_of_the_sky_are_refused(tmp_path, ctype, message):
    with pytest.raises(InputError, match=message):
        read(write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES, ctype=ctype))


def test_yearly_counts_of_a_cube_cannot_be_had(tmp_path):
    path = write_ccube(tmp_path / "a.fits", poisson_cube(), BIN_EDGES)
    with pytest.warns(UnekWarning, match="times of its photons"):
        assert read(path, yearly=True).years == ()


def test_an_output_that_exists_is_left_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    sky = sky_of(vectors_near(rng, 10, 0.0, 0.0, 1.0))
    path = tmp_path / "a.fits"
    path.write_text("mine")
    wcs = field_wcs("TAN", "GAL", 0.0, 0.0)
    with pytest.raises(OutputError, match="exists already"):
        write_wcs_counts(sky, path, wcs, (100, 100), rng=rng)
    assert path.read_text() == "mine"
    write_wcs_counts(sky, path, wcs, (100, 100), rng=rng, overwrite=True)
    assert read(path).totals.tolist() == sky.totals.tolist()
    assert [one.name for one in tmp_path.iterdir()] == ["a.fits"]


def test_equatorial_and_galactic_pixels_are_the_places_astropy_says():
    wcs = field_wcs("ZEA", "CEL", 100.0, 30.0)
    x, y = np.array([3.0, 50.0, 77.5]), np.array([8.0, 49.0, 90.25])
    place = wcs.pixel_to_world(x, y).galactic
    expected = lonlat_to_vectors(place.l.deg, place.b.deg)
    assert np.allclose(pixels_to_vectors(wcs, x, y), expected, atol=1e-8)


REAL = ["fermi-3fhl-gc-counts-cube.fits.gz"] + [
    f"{folder}/ccube_0{k}.fits" for folder in ("fermi-gc", "fermipy-crab") for k in (0, 1)
]


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
@pytest.mark.parametrize("name", REAL)
def test_real_cubes_hold_what_gammapy_reads(shared_data, name):
    path = shared_data / "real" / name
    counts = Map.read(path)
    edges = counts.geom.axes[0].edges.to_value("MeV")
    total = counts.data.sum(axis=(1, 2))
    sky = read(path)
    for index in np.flatnonzero(sky.present):
        low, high = BIN_EDGES[index]
        inside = total[(edges[:-1] >= low * 0.999) & (edges[1:] <= high * 1.001)].sum()
        touching = total[(edges[:-1] < high) & (edges[1:] > low)].sum()
        assert inside <= sky.totals[index] <= touching
    place = counts.geom.center_skydir.galactic
    centre = lonlat_to_vectors(place.l.deg, place.b.deg)
    covered = coverage_vectors(np.flatnonzero(sky.coverage)).mean(axis=0)
    assert covered @ centre / np.linalg.norm(covered) > np.cos(np.radians(0.1))


@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
def test_the_components_of_a_real_fermipy_analysis_are_summed(shared_data):
    paths = [shared_data / "real" / "fermi-gc" / f"ccube_0{k}.fits" for k in (0, 1)]
    sky = read(paths)
    assert sky.event_type == "psf23"
    assert sky.totals[5] == pytest.approx(sum(read(p).totals[5] for p in paths), abs=60)
    assert sky.livetime_years == pytest.approx(16.2, abs=0.1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fermi-3fhl-gc-background-cube.fits.gz", "whole numbers"),
        ("fermi-3fhl-gc-exposure-cube.fits.gz", "no energy bounds"),
        ("fermi-3fhl-gc-psf-cube.fits.gz", "neither photons nor a count cube"),
        ("fermidata_counts.npy", "not a FITS file"),
    ],
)
@pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning")
def test_real_files_that_are_no_counts_are_refused(shared_data, name, message):
    with pytest.raises(InputError, match=message):
        read(shared_data / "real" / name)
