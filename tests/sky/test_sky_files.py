"""Opening inputs, the package's own sky file, records that check themselves."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from sky_samples import (
    BIN_EDGES,
    random_vectors,
    sky_of,
    vectors_near,
    write_ccube,
    write_ft1,
)

from fermi_unek.errors import InputError, OutputError
from fermi_unek.sky.bins import MISSION_START_MET, NATIVE_ORDERS, YEAR_S
from fermi_unek.sky.counts import BinCounts, Pixels, SkyCounts, bin_from_pixels
from fermi_unek.sky.geometry.coverage import circle_coverage, estimated_coverage
from fermi_unek.sky.io.dss import read_selection
from fermi_unek.sky.io.files import checksum, open_fits, stream_table, write_fits
from fermi_unek.sky.io.parts import PixelSum, merge_pixels
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.skyfile import cut_region, load_sky, write_sky
from fermi_unek.sky.selection import Selection, merged_years


def read(path, **options):
    return read_sky(path, rng=np.random.default_rng(1), **options)


@pytest.fixture
def photons(tmp_path):
    """A photon file of two years and a little over 400 kB."""
    rng = np.random.default_rng(0)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 6000)))
    time = MISSION_START_MET + rng.uniform(0, 2, 6000) * YEAR_S
    return write_ft1(
        tmp_path / "p.fits", rng.uniform(0, 360, 6000), lat, 10 ** rng.uniform(2.5, 5, 6000),
        time=time,
    )  # fmt: skip


def assert_same(one: SkyCounts, other: SkyCounts) -> None:
    assert one.event_type == other.event_type
    assert one.livetime_years == pytest.approx(other.livetime_years, nan_ok=True)
    assert dict(one.origin) == dict(other.origin)
    for a, b in zip(one.bins, other.bins, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert np.array_equal(a.pixels, b.pixels)
            assert np.array_equal(a.counts, b.counts)
            assert (a.coverage is None) == (b.coverage is None)
            assert a.coverage is None or np.array_equal(a.coverage, b.coverage)
    assert len(one.years) == len(other.years)
    for a, b in zip(one.years, other.years, strict=True):
        assert_same(a, b)


def test_a_sky_is_written_and_read_back_whole_with_its_years(tmp_path, photons):
    sky = read(photons, yearly=True, region=(40.0, 10.0, 60.0), energy_mev=(1000.0, 1e6))
    path = write_sky(sky, tmp_path / "sky.fits")
    assert len(sky.years) == 2
    assert_same(load_sky(path), sky)
    assert_same(read(path), sky)


def test_how_a_sky_was_counted_is_read_back(tmp_path):
    selection = Selection(
        128, 1, (300.0, 1e6), (0.0, 100.0), ((10.0, -20.0, 5.0),), False,
        ((MISSION_START_MET, MISSION_START_MET + YEAR_S),), 3e7, 0.4,
    )  # fmt: skip
    pixels = (Pixels.of_order(7), Pixels(0.1), *(Pixels(),) * 4)
    year = replace(sky_of(np.eye(3)), mission_year=3, selection=selection)
    sky = replace(
        sky_of(np.eye(3)), selection=selection, intervals_mev=((300.0, 5e5),), counted_in=pixels,
        years=(year,),
    )  # fmt: skip
    back = load_sky(write_sky(sky, tmp_path / "sky.fits"))
    assert (back.selection, back.intervals_mev) == (selection, ((300.0, 5e5),))
    assert back.counted_in == pixels
    assert (back.mission_year, back.years[0].mission_year) == (None, 3)
    assert back.years[0].selection == selection


def test_a_sky_that_an_earlier_version_wrote_is_read(tmp_path):
    """Then what now are fields stood as text in the origin."""
    told = {
        "a.fits": "sha256 0", "observed MeV": "300-2000 7000-1e+06", "pixels": "G7 G7 G8 0.2 0 -",
    }  # fmt: skip
    year = replace(sky_of(np.eye(3)), origin=told | {"mission_year": "4"})
    path = write_sky(replace(year, origin=told, years=(year,)), tmp_path / "sky.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["HDUVERS"], hdus[0].header["LIVETIME"] = 1, 2.5
        for hdu in hdus[1:]:
            hdu.header.remove("COUNTED", ignore_missing=True)
    sky = load_sky(path)
    assert sky.origin == {"a.fits": "sha256 0"}
    assert sky.intervals_mev == ((300.0, 2000.0), (7000.0, 1e6))
    assert [pixels.galactic_order for pixels in sky.counted_in] == [7, 7, 8, None, None, None]
    assert sky.counted_in[3].side_deg == 0.2
    assert (sky.livetime_years, sky.mission_year, sky.years[0].mission_year) == (2.5, None, 4)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
def test_headers_that_claim_more_than_the_file_holds_are_refused_at_once(tmp_path, photons, suffix):
    raw = bytearray(photons.read_bytes())
    start = raw.find(b"NAXIS2  =")
    raw[start : start + 30] = b"NAXIS2  = " + str(2**40).rjust(20).encode()
    path = tmp_path / f"huge.{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    with pytest.raises(InputError, match="the file is truncated or corrupt"):
        read(path)


def test_columns_that_do_not_fill_their_row_are_refused(tmp_path, photons):
    fits.setval(photons, "TFORM1", value="2E", extname="EVENTS")
    with pytest.raises(InputError, match="columns of EVENTS take .* its header says"):
        read(photons)


def test_a_whole_sky_of_unknown_live_time_and_origin_is_read_back(tmp_path):
    one = sky_of(random_vectors(np.random.default_rng(0), 100))
    sky = SkyCounts(one.bins, event_type="back")
    assert_same(load_sky(write_sky(sky, tmp_path / "sky.fits.gz")), sky)


def test_a_region_is_cut_out_of_a_written_sky_and_its_years(tmp_path, photons):
    path = write_sky(read(photons, yearly=True), tmp_path / "sky.fits")
    cut = read(path, region=(40.0, 10.0, 30.0))
    straight = read(photons, region=(40.0, 10.0, 30.0), yearly=True)
    # a pixel on the border counts by its centre once photons are binned
    assert np.abs(cut.totals - straight.totals).max() <= 3
    assert np.array_equal(cut.coverage, straight.coverage)
    assert np.array_equal(sum(layer.totals for layer in cut.years), cut.totals)


def test_a_region_without_photons_is_an_error():
    sky = sky_of(vectors_near(np.random.default_rng(0), 10, 0.0, 0.0, 1.0))
    with pytest.raises(InputError, match="no events in it"):
        cut_region(sky, (180.0, 0.0, 5.0))


@pytest.mark.parametrize(
    "options",
    [{"event_type": "back"}, {"zmax_deg": 90.0}, {"energy_mev": (1e3, 1e4)}],
)
def test_other_cuts_cannot_be_made_on_a_written_sky(tmp_path, options):
    path = write_sky(sky_of(np.eye(3)), tmp_path / "sky.fits")
    with pytest.raises(InputError, match="binned sky"):
        read(path, **options)


def test_a_written_sky_cannot_be_joined_with_others(tmp_path, photons):
    path = write_sky(sky_of(np.eye(3)), tmp_path / "sky.fits")
    with pytest.raises(InputError, match="cannot be joined"):
        read([photons, path])


def test_another_fits_file_is_no_written_sky(photons):
    with pytest.raises(InputError, match="not a binned sky"):
        load_sky(photons)


def test_a_sky_written_for_other_bins_is_refused(tmp_path):
    path = write_sky(sky_of(np.eye(3)), tmp_path / "sky.fits")
    fits.setval(path, "E_MAX", value=450.0, extname="BIN0")
    with pytest.raises(InputError, match="holds 300 to 450 MeV"):
        load_sky(path)


def test_a_written_sky_that_lacks_a_part_is_damaged(tmp_path):
    sky = sky_of(np.eye(3), coverage=circle_coverage(0.0, 0.0, 120.0))
    path = write_sky(sky, tmp_path / "sky.fits")
    with fits.open(path) as hdus:
        del hdus["COVER0"]
        hdus.writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match="is damaged"):
        load_sky(tmp_path / "b.fits")


def test_an_output_that_exists_is_kept_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "sky.fits"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_sky(sky_of(np.eye(3)), path)
    assert path.read_text() == "mine"
    write_sky(sky_of(np.eye(3)), path, overwrite=True)
    assert load_sky(path).totals.tolist() == [3] * 6


def test_an_output_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_sky(sky_of(np.eye(3)), tmp_path / "nowhere" / "sky.fits")
    with pytest.raises(OutputError, match="is a folder"):
        write_fits([fits.PrimaryHDU()], tmp_path, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits.HDUList, "writeto", full)
    with pytest.raises(OutputError, match="No space left"):
        write_fits([fits.PrimaryHDU()], tmp_path / "a.fits")
    assert not list(tmp_path.iterdir())


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = write_fits([fits.PrimaryHDU()], tmp_path / "a.fits")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_file_a_directory_and_no_input_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.fits: no such file"):
        read(tmp_path / "nothing.fits")
    with pytest.raises(InputError, match="no such file"):
        read("x" * 300)  # longer than a name can be
    with pytest.raises(InputError, match="is a directory"):
        read(tmp_path)
    with pytest.raises(InputError, match="no input file"):
        read([])


def test_lists_that_are_none_are_errors(tmp_path, photons):
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing yet\n")
    with pytest.raises(InputError, match="list is empty"):
        read(f"@{empty}")
    (tmp_path / "binary").write_bytes(b"SIMPLE\x00\x01")
    with pytest.raises(InputError, match="not a text file"):
        read(f"@{tmp_path / 'binary'}")
    with pytest.raises(InputError, match="no such file"):
        read(f"@{tmp_path / 'gone.txt'}")


def test_one_file_named_twice_is_an_error(photons):
    with pytest.raises(InputError, match="given twice"):
        read([photons, photons.parent / "." / photons.name])


@pytest.mark.parametrize("fraction", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_truncated_file_is_an_error(tmp_path, photons, fraction, zipped):
    whole = photons.read_bytes()
    content = gzip.compress(whole) if zipped else whole
    path = tmp_path / "cut.fits"
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(path)


def test_a_truncated_cube_and_healpix_table_are_errors(tmp_path):
    cube = write_ccube(tmp_path / "a.fits", np.ones((6, 50, 50), np.int32), BIN_EDGES)
    cube.write_bytes(cube.read_bytes()[:30_000])
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(cube)


@pytest.mark.parametrize("content", [b"", b"SIMPLE", b"hello, world", b"SIMPLE  =   T" * 300])
def test_a_file_that_is_no_fits_file_is_an_error(tmp_path, content):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.fits: (not a FITS file|the file is truncated)"):
        read(path)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"NLAYERS": 2**40}, "layers"),
        ({"NYEARS": 2**40}, "years"),
        ({"NYEARS": 0}, "YEAR0_ORIGIN"),
        ({"NLAYERS": 1}, "is damaged"),
        ({"NLAYERS": "two"}, "is damaged"),
    ],
)
def test_a_written_sky_whose_header_speaks_of_other_tables_is_damaged(
    tmp_path, photons, changed, complaint
):
    """A number of layers was once believed until the memory was full, and years were left out."""
    path = write_sky(read(photons, yearly=True), tmp_path / "sky.fits")
    with fits.open(path, "update") as hdus:
        hdus[0].header.update(changed)
    with pytest.raises(InputError, match=complaint):
        load_sky(path)


def test_a_written_sky_with_a_table_too_many_is_damaged(tmp_path):
    path = write_sky(sky_of(np.eye(3)), tmp_path / "sky.fits")
    with fits.open(path, "update") as hdus:
        hdus["BIN2"].name = "BIX2"
    with pytest.raises(InputError, match="BIX2"):
        load_sky(path)


def test_a_damaged_gzip_file_is_an_error(tmp_path, photons):
    content = bytearray(gzip.compress(photons.read_bytes()))
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(path)


def test_a_file_of_another_kind_is_refused_with_what_it_holds(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])], name="SC_DATA")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "ft2.fits")
    with pytest.raises(InputError, match="neither photons nor a count cube .*SC_DATA"):
        read(tmp_path / "ft2.fits")


def test_photons_and_cubes_cannot_be_mixed(tmp_path, photons):
    cube = write_ccube(tmp_path / "a.fits", np.ones((6, 5, 5), np.int32), BIN_EDGES)
    with pytest.raises(InputError, match="different kinds"):
        read([photons, cube])


def test_the_kind_is_found_in_the_file_whatever_its_name(tmp_path, photons):
    renamed = photons.rename(tmp_path / "ccube.txt")
    assert read(renamed).origin["kind"] == "photons"


def test_the_origin_holds_the_checksum_of_each_file(photons):
    import hashlib

    digest = hashlib.sha256(photons.read_bytes()).hexdigest()
    assert read(photons).origin[str(photons)] == f"sha256 {digest}"
    assert checksum(photons) == digest


def test_sums_of_sparse_counts_are_those_of_dense_ones():
    rng = np.random.default_rng(0)
    collected = PixelSum(limit=50)
    dense = np.zeros(100, int)
    for _ in range(40):
        pixels = rng.integers(0, 100, 17)
        counts = rng.integers(1, 5, 17)
        collected.add(pixels, counts)
        collected.add(pixels)
        np.add.at(dense, pixels, counts + 1)
    collected.add(np.zeros(0, int))
    pixels, counts = collected.result()
    assert np.array_equal(pixels, np.flatnonzero(dense))
    assert np.array_equal(counts, dense[dense > 0])
    assert all(len(part) == 0 for part in merge_pixels([]))


@pytest.mark.parametrize(
    ("pixels", "counts", "message"),
    [
        ([1, 2], [1], "two lists of one length"),
        ([2, 1], [1, 1], "must increase"),
        ([1, 1], [1, 1], "must increase"),
        ([12 * 4**10], [1], "must increase and lie below"),
    ],
)
def test_counts_that_are_none_are_refused(pixels, counts, message):
    with pytest.raises(InputError, match=message):
        BinCounts(10, np.array(pixels, np.uint32), np.array(counts, np.uint32))


@pytest.mark.parametrize("order", [-1, 30, 10**9])
def test_orders_that_healpix_has_not_are_refused_at_once(order):
    with pytest.raises(InputError, match=f"order of HEALPIX pixels is {order}, expected 0 to 29"):
        BinCounts(order, np.array([1], np.uint32), np.array([1], np.uint32))


def test_skies_that_are_none_are_refused():
    one = bin_from_pixels(0, np.array([5, 3, 5]))
    assert one.total == 3
    none = (None,) * 5
    with pytest.raises(InputError, match="2 energy bins, expected 6"):
        SkyCounts((one, None))
    with pytest.raises(InputError, match="no energy bin has data"):
        SkyCounts((None, *none))
    with pytest.raises(InputError, match="event type 'edisp0' is none of"):
        SkyCounts((one, *none), event_type="edisp0")
    with pytest.raises(InputError, match="HEALPIX order 10, expected 12"):
        SkyCounts((*none, one))
    with pytest.raises(InputError, match="coverage has shape"):
        bin_from_pixels(0, np.array([1]), np.zeros(7, bool))


def test_the_coverage_of_a_sky_is_what_any_bin_covers():
    first, second = circle_coverage(0.0, 0.0, 5.0), circle_coverage(3.0, 0.0, 5.0)
    pixel = np.array([1])
    bins = (bin_from_pixels(0, pixel, first), bin_from_pixels(1, pixel, second), *(None,) * 4)
    assert np.array_equal(SkyCounts(bins).coverage, first | second)
    assert hp.npix2order(len(first)) == 9
    assert NATIVE_ORDERS[0] == 10


def test_spans_are_joined_and_cut_to_a_window():
    assert merged_years([(0.0, 2.0), (1.0, 3.0), (10.0, 11.0)]) == 4.0 / YEAR_S
    assert merged_years([(0.0, 2.0), (1.0, 3.0)], (1.5, 2.5)) == 1.0 / YEAR_S
    assert merged_years([(0.0, 2.0)], (5.0, 6.0)) == 0.0
    assert np.isnan(merged_years([]))


def selection_of(*entries: tuple[str, str]):
    hdu = fits.PrimaryHDU()
    hdu.header["NDSKEYS"] = len(entries)
    for number, (kind, value) in enumerate(entries, 1):
        hdu.header[f"DSTYP{number}"], hdu.header[f"DSVAL{number}"] = kind, value
    return read_selection(Path("x.fits"), fits.HDUList([hdu]), 0)


def test_data_subspace_keywords_are_understood():
    found = selection_of(
        ("BIT_MASK(EVENT_CLASS,128,P8R3)", "1:1"),
        ("BIT_MASK(EVENT_TYPE,2,P8R3)", "1:1"),
        ("ENERGY", "1000:500000"),
        ("ZENITH_ANGLE", "0:100"),
        ("POS(RA,DEC)", "circle(10.5,-20.25,5)"),
        ("POS(RA,DEC)", "CIRCLE(1e1, -2.0E+1 ,6)"),
        ("TIME", "TABLE"),
    )
    assert found.event_class == 128
    assert found.kind == "back"
    assert found.label == "BACK"
    assert found.energy_mev == (1000.0, 500000.0)
    assert found.zenith_deg == (0.0, 100.0)
    assert found.circles == ((10.5, -20.25, 5.0), (10.0, -20.0, 6.0))
    assert found.spans_met == ()
    assert not found.whole_sky


def test_odd_keywords_are_passed_over():
    assert selection_of(("CONVERSION_TYPE", "0:0")).kind == "front"
    assert selection_of(("CONVERSION_TYPE", "0:1")).kind is None
    assert selection_of(("BIT_MASK(EVENT_TYPE,64,P8R3)", "1:1")).kind == "all"
    assert selection_of(("BIT_MASK(EVENT_TYPE,64,P8R3)", "1:1")).label == "EDISP0"
    assert selection_of(("TIME", "table")).spans_met == ()
    with pytest.raises(InputError, match="its value is 'TABLE', expected rising ranges"):
        selection_of(("ENERGY", "TABLE"))
    assert selection_of(("POS(RA,DEC)", "BOX(1,2,3,4)")).circles == ()
    assert selection_of(("POS(RA,DEC)", "CIRCLE(83.60.2,1,25)")).circles == ()
    assert selection_of(("POS(RA,DEC)", "CIRCLE(0,0,180)")).whole_sky
    assert selection_of().label == "unknown"


def test_an_error_while_reading_data_is_one_about_the_file(photons):
    with pytest.raises(InputError, match="corrupt, or holds what was not expected .broken"):
        with open_fits(photons):
            raise OSError("broken")


def test_a_table_that_ends_early_is_an_error(photons):
    with open_fits(photons) as hdus:
        hdus["EVENTS"].header["NAXIS2"] = 10**7
        with pytest.raises(InputError, match="truncated .table EVENTS"):
            list(stream_table(photons, hdus["EVENTS"], ["ENERGY"]))


def test_scaled_columns_are_read_as_astropy_reads_them(tmp_path):
    values = np.array([0, 5, 40_000], dtype=np.uint16)  # stored with TZERO
    table = fits.BinTableHDU.from_columns([fits.Column("A", "I", bzero=32768, array=values)])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    with open_fits(tmp_path / "a.fits") as hdus:
        (rows,) = stream_table(tmp_path / "a.fits", hdus[1], ["A"])
        assert rows["A"].tolist() == hdus[1].data["A"].tolist() == values.tolist()


def test_a_file_that_may_not_be_read_is_an_error(photons, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(InputError, match="cannot be read .Permission denied"):
        with open_fits(photons):
            pass


def test_the_span_of_a_file_without_good_times_is_that_of_its_header(photons):
    with fits.open(photons) as hdus:
        del hdus["GTI"]
        hdus["EVENTS"].header["TSTART"] = MISSION_START_MET
        hdus["EVENTS"].header["TSTOP"] = MISSION_START_MET + 3 * YEAR_S
        hdus.writeto(photons.parent / "b.fits")
    assert read(photons.parent / "b.fits").livetime_years == pytest.approx(3.0)


def test_a_circle_of_the_whole_sky_cuts_nothing_out(tmp_path):
    sky = sky_of(random_vectors(np.random.default_rng(0), 50))
    assert_same(cut_region(sky, (0.0, 0.0, 180.0)), sky)


def test_absent_bins_stay_absent_in_a_region():
    sky = sky_of(np.eye(3), present=range(2, 6))
    cut = cut_region(sky, (0.0, 0.0, 10.0))
    assert cut.totals.tolist() == [0, 0, 1, 1, 1, 1]
    assert np.array_equal(cut.present, sky.present)


def test_the_coverage_estimated_from_no_photon_is_empty():
    assert not estimated_coverage(np.zeros(12 * 4**9, bool)).any()
