"""Count cubes in HEALPIX pixels."""

from __future__ import annotations

import tracemalloc

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from gammapy.maps import HpxGeom, Map, MapAxis
from sky_samples import (
    BIN_EDGES,
    FRONT_DSS,
    add_dss,
    bounds_table,
    random_vectors,
    sky_of,
    vectors_near,
)

from fermi_unek.errors import InputError, OutputError, UnekWarning
from fermi_unek.sky.bins import NATIVE_ORDERS
from fermi_unek.sky.geometry.coverage import circle_coverage
from fermi_unek.sky.geometry.resample import transfer
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.writers import write_healpix_counts


def read(path, **options):
    return read_sky(path, rng=np.random.default_rng(1), **options)


def write_table(path, columns, edges=BIN_EDGES, dss=FRONT_DSS, **keywords):
    """A HEALPIX table of given columns; order 3, RING, GAL unless told otherwise."""
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    table.header.update(
        {"PIXTYPE": "HEALPIX", "ORDERING": "RING", "NSIDE": 8, "COORDSYS": "GAL"} | keywords
    )
    for key in [key for key, value in table.header.items() if value == "DROP"]:
        del table.header[key]
    add_dss(table.header, dss)
    hdus = [fits.PrimaryHDU(), table]
    if edges is not None:
        hdus.append(bounds_table(edges))
    fits.HDUList(hdus).writeto(path)
    return path


def six_channels(npix: int, form: str = "J", seed: int = 0) -> list[fits.Column]:
    rng = np.random.default_rng(seed)
    return [fits.Column(f"CHANNEL{k + 1}", form, array=rng.poisson(0.5, npix)) for k in range(6)]


@pytest.mark.parametrize("ordering", ["NESTED", "RING"])
@pytest.mark.parametrize("coordsys", ["GAL", "CEL"])
def test_a_whole_sky_reads_back_and_gammapy_agrees(tmp_path, ordering, coordsys):
    rng = np.random.default_rng(2)
    sky = sky_of(np.concatenate([random_vectors(rng, 1500), vectors_near(rng, 500, 33, 70, 0.5)]))
    (path,) = write_healpix_counts(
        sky, tmp_path / "a.fits", 6, rng=rng, ordering=ordering, coordsys=coordsys
    )
    counts = Map.read(path)
    assert counts.geom.is_allsky
    assert counts.data.sum(axis=1).tolist() == sky.totals.tolist()
    assert counts.geom.axes[0].edges.to_value("MeV") == pytest.approx([*BIN_EDGES[:, 0], 1e6])
    back = read(path)
    assert back.totals.tolist() == sky.totals.tolist()
    assert back.coverage is None
    assert back.event_type == "front"
    assert back.livetime_years == pytest.approx(2.0)
    near = back.bins[5]
    vectors = np.stack(hp.pix2vec(2**near.order, near.pixels.astype(int), nest=True), axis=-1)
    distance = np.degrees(np.arccos(vectors @ hp.ang2vec(33, 70, lonlat=True)))
    assert int(near.counts[distance < 4].sum()) == pytest.approx(500, abs=10)


def test_six_files_of_different_order_make_one_sky_of_exact_sums(tmp_path):
    rng = np.random.default_rng(3)
    sky = sky_of(random_vectors(rng, 2000))
    orders = (7, 7, 8, 9, 10, 10)
    paths = write_healpix_counts(sky, tmp_path / "c.fits", orders, rng=rng)
    assert [path.name for path in paths] == [f"c_bin{k}.fits" for k in range(6)]
    back = read(paths)
    for one, other, order in zip(sky.bins, back.bins, orders, strict=True):
        coarse = [np.repeat(b.pixels >> 2 * (b.order - order), b.counts) for b in (one, other)]
        assert np.array_equal(*coarse)


@pytest.mark.parametrize("ordering", ["NESTED", "RING"])
@pytest.mark.parametrize("coordsys", ["GAL", "CEL"])
def test_a_mostly_empty_sky_lists_its_filled_pixels_and_gammapy_agrees(
    tmp_path, ordering, coordsys
):
    rng = np.random.default_rng(9)
    sky = sky_of(random_vectors(rng, 3000))
    options = {"ordering": ordering, "coordsys": coordsys}
    (dense,) = write_healpix_counts(
        sky, tmp_path / "a.fits", 7, rng=np.random.default_rng(0), **options
    )
    (path,) = write_healpix_counts(
        sky, tmp_path / "b.fits", 7, rng=np.random.default_rng(0), sparse=True, **options
    )
    assert path.stat().st_size < 0.1 * dense.stat().st_size
    assert fits.getheader(path, 1)["INDXSCHM"] == "SPARSE"
    assert np.array_equal(Map.read(path).data, Map.read(dense).data)
    assert Map.read(path).geom.axes[0].nbin == 6
    back = read(path)
    assert back.totals.tolist() == sky.totals.tolist()
    assert back.coverage is None


def test_a_full_sky_is_written_pixel_by_pixel_where_a_list_would_be_longer(tmp_path):
    rng = np.random.default_rng(10)
    sky = sky_of(random_vectors(rng, 3000))
    (path,) = write_healpix_counts(sky, tmp_path / "a.fits", 3, rng=rng, sparse=True)
    assert fits.getheader(path, 1)["INDXSCHM"] == "IMPLICIT"
    assert read(path).totals.tolist() == sky.totals.tolist()


def test_a_sparse_table_without_a_region_is_the_whole_sky_however_few_its_photons(tmp_path):
    rng = np.random.default_rng(11)
    sky = sky_of(vectors_near(rng, 20, 30.0, -40.0, 1.0))
    (path,) = write_healpix_counts(sky, tmp_path / "a.fits", 8, rng=rng, sparse=True)
    assert read(path).coverage is None


def test_the_pixels_of_a_ring_file_are_where_healpy_says(tmp_path):
    values = np.zeros(768, int)
    values[[0, 100, 767]] = 1, 2, 3
    columns = [fits.Column(f"CHANNEL{k + 1}", "J", array=values) for k in range(6)]
    sky = read(write_table(tmp_path / "a.fits", columns))
    for one, order in zip(sky.bins, NATIVE_ORDERS, strict=True):
        nested = np.repeat(one.pixels.astype(int) >> 2 * (order - 3), one.counts)
        found = np.sort(hp.nest2ring(8, nested))
        assert found.tolist() == [0, 100, 100, 767, 767, 767]


def test_pixels_finer_than_the_native_ones_are_summed_exactly():
    pixels, counts = np.array([0, 3, 4, 1023]), np.array([1, 2, 3, 4])
    ((out, number),) = transfer(pixels, counts, 5, 4, np.random.default_rng(0))
    assert out.tolist() == [0, 0, 1, 255]
    assert number.tolist() == [1, 2, 3, 4]


def test_photons_of_coarse_pixels_are_spread_evenly_inside_them():
    rng = np.random.default_rng(4)
    pieces = list(transfer(np.array([7, 9]), np.array([64_000, 0]), 3, 6, rng))
    places = np.concatenate([piece[0] for piece in pieces])
    assert np.all(places >> 6 == 7)
    hits = np.bincount(places & 63, minlength=64)
    assert hits.std() < 1.3 * np.sqrt(1000)
    assert hits.sum() == 64_000


def test_nothing_is_transferred_from_an_empty_sky():
    empty = np.zeros(0, int)
    assert list(transfer(empty, empty, 5, 3, np.random.default_rng(0))) == []
    assert list(transfer(empty, empty, 3, 5, np.random.default_rng(0))) == []


def test_an_explicit_list_covers_its_pixels_only(tmp_path):
    pixels = hp.query_disc(64, hp.ang2vec(50, 20, lonlat=True), np.radians(8), nest=True)
    values = np.random.default_rng(5).poisson(0.5, len(pixels))
    columns = [fits.Column("PIX", "J", array=pixels)] + [
        fits.Column(f"CHANNEL{k + 1}", "D", array=values.astype(float)) for k in range(6)
    ]
    path = write_table(
        tmp_path / "a.fits", columns, ORDERING="NESTED", NSIDE=64, INDXSCHM="EXPLICIT"
    )
    sky = read(path)
    assert sky.totals.tolist() == [values.sum()] * 6
    expected = np.zeros(12 * 4**6, bool)
    expected[pixels] = True
    assert np.array_equal(sky.coverage, np.repeat(expected, 4**3))


def test_a_list_of_filled_pixels_covers_what_lies_between_them(tmp_path):
    rng = np.random.default_rng(6)
    vectors = vectors_near(rng, 3000, 50, 20, 2.5)
    pixels, values = np.unique(hp.vec2pix(1024, *vectors.T, nest=True), return_counts=True)
    columns = [
        fits.Column("PIX", "J", array=pixels), fits.Column("CHANNEL1", "J", array=values)
    ]  # fmt: skip
    path = write_table(
        tmp_path / "a.fits", columns, edges=BIN_EDGES[3:4], ORDERING="NESTED", NSIDE=1024
    )
    sky = read(path)
    assert sky.totals[3] == 3000
    inner = circle_coverage(50, 20, 5.0)
    assert np.all(sky.coverage[inner])


@pytest.mark.parametrize("coordsys", ["GAL", "CEL"])
def test_a_disk_region_is_read_back_and_gammapy_agrees(tmp_path, coordsys):
    rng = np.random.default_rng(7)
    sky = sky_of(vectors_near(rng, 1000, 11.3, 16.0, 2.0))
    circle = (11.3, 16.0, 12.0)
    (path,) = write_healpix_counts(
        sky, tmp_path / "a.fits", 8, rng=rng, ordering="RING", coordsys=coordsys, region=circle
    )
    assert Map.read(path).data.sum() == sky.totals.sum()
    back = read(path)
    assert back.totals.tolist() == sky.totals.tolist()
    assert np.sum(back.coverage ^ circle_coverage(*circle)) <= 4


@pytest.mark.parametrize("coordsys", ["GAL", "CEL"])
def test_a_sky_with_coverage_is_written_as_a_list_and_reads_back(tmp_path, coordsys):
    rng = np.random.default_rng(8)
    covered = circle_coverage(11.3, 16.0, 6.0)
    sky = sky_of(vectors_near(rng, 500, 11.3, 16.0, 1.5), coverage=covered)
    (path,) = write_healpix_counts(sky, tmp_path / "a.fits", 8, rng=rng, coordsys=coordsys)
    back = read(path)
    assert back.totals.tolist() == sky.totals.tolist()
    assert np.sum(back.coverage ^ covered) < 0.05 * covered.sum()


@pytest.mark.filterwarnings("ignore:.*of the counts were moved")
def test_gammapys_own_files_are_read_in_all_its_ways(tmp_path):
    axis = MapAxis.from_energy_bounds("1 GeV", "20 GeV", nbin=13)
    geom = HpxGeom(nside=16, nest=False, frame="icrs", axes=[axis])
    counts = Map.from_geom(geom)
    counts.data = np.random.default_rng(0).poisson(0.3, counts.data.shape).astype(float)
    for number, options in enumerate(
        ({"format": "gadf"}, {"format": "fgst-ccube"}, {"format": "fgst-ccube", "sparse": True})
    ):
        path = tmp_path / f"{number}.fits"
        counts.write(path, **options)
        sky = read(path, event_type="front")
        assert sky.totals.sum() == counts.data.sum()
        assert sky.coverage is None


def test_healpys_own_files_are_read(tmp_path):
    values = np.random.default_rng(0).poisson(1.0, 12 * 32**2)
    path = tmp_path / "a.fits"
    hp.write_map(path, values, nest=True, coord="G", dtype=np.int32)
    with fits.open(path) as hdus:
        hdus.append(bounds_table(BIN_EDGES[2:3]))
        hdus.writeto(tmp_path / "b.fits")
    sky = read(tmp_path / "b.fits", event_type="front")
    assert sky.totals[2] == values.sum()
    nested = np.repeat(sky.bins[2].pixels.astype(int) >> 2 * (11 - 5), sky.bins[2].counts)
    assert np.array_equal(np.bincount(nested, minlength=len(values)), values)


def test_unseen_pixels_count_as_not_observed(tmp_path):
    values = np.random.default_rng(1).poisson(1.0, 768).astype(float)
    values[300:] = hp.UNSEEN
    columns = [fits.Column("CHANNEL1", "E", array=values)]
    sky = read(write_table(tmp_path / "a.fits", columns, edges=BIN_EDGES[:1]))
    assert sky.totals[0] == values[:300].sum()
    assert sky.coverage.mean() == pytest.approx(300 / 768)


def test_the_circle_of_the_dss_keywords_limits_a_whole_sky_table(tmp_path):
    columns = six_channels(768)
    dss = (*FRONT_DSS, ("POS(RA,DEC)", "CIRCLE(266.405,-28.936,20)"))
    sky = read(write_table(tmp_path / "a.fits", columns, dss=dss))
    assert np.sum(sky.coverage ^ circle_coverage(0.0, 0.0, 20.0)) < 20


def test_a_region_is_cut_out_of_a_whole_sky(tmp_path):
    rng = np.random.default_rng(9)
    sky = sky_of(random_vectors(rng, 5000))
    (path,) = write_healpix_counts(sky, tmp_path / "a.fits", 9, rng=rng)
    cut = read(path, region=(100.0, -30.0, 20.0))
    one = sky.bins[5]
    vectors = np.stack(hp.pix2vec(2**one.order, one.pixels.astype(int), nest=True), axis=-1)
    inside = vectors @ hp.ang2vec(100, -30, lonlat=True) > np.cos(np.radians(20))
    assert cut.totals[5] == pytest.approx(int(one.counts[inside].sum()), abs=6)
    assert np.array_equal(cut.coverage, circle_coverage(100.0, -30.0, 20.0))


def test_straddling_channels_are_split_and_counts_conserved(tmp_path):
    edges = np.array([[300.0, 450.0], [450.0, 700.0], [700.0, 1000.0]])
    columns = six_channels(768)[:3]
    path = write_table(tmp_path / "a.fits", columns, edges=edges)
    with pytest.warns(UnekWarning, match="of the counts were moved"):
        sky = read(path)
    assert sky.totals.sum() == sum(column.array.sum() for column in columns)


def test_channels_outside_of_the_networks_energies_are_left_out(tmp_path):
    edges = np.array([[100.0, 300.0], [300.0, 500.0]])
    columns = six_channels(768)[:2]
    sky = read(write_table(tmp_path / "a.fits", columns, edges=edges))
    assert sky.totals.tolist() == [columns[1].array.sum(), 0, 0, 0, 0, 0]


def test_a_large_table_is_read_in_little_memory(tmp_path, monkeypatch):
    # 2 million pixels in six channels, 94 MB as the file holds it; the benchmark takes 50 million
    npix = 12 * 4**8
    columns = [fits.Column(f"CHANNEL{k + 1}", "D", array=np.zeros(npix)) for k in range(6)]
    for column in columns:
        column.array[::5000] = 2
    path = write_table(tmp_path / "a.fits", columns, NSIDE=256)
    monkeypatch.setattr("fermi_unek.sky.io.files.stream_table.__defaults__", (2**20,))
    size = path.stat().st_size
    tracemalloc.start()
    sky = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sky.totals.tolist() == [2 * len(range(0, npix, 5000))] * 6
    assert peak < 0.25 * size


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"NSIDE": 7}, "NSIDE 7 is no power of two"),
        ({"NSIDE": "DROP"}, "NSIDE None"),
        ({"ORDERING": "SPIRAL"}, "expected RING or NESTED"),
        ({"COORDSYS": "ECL"}, "expected GAL or CEL"),
        ({"NSIDE": 4}, "768 pixels in the table, and FIRSTPIX 0, LASTPIX 191 of NSIDE 4 are 192"),
    ],
)
def test_keywords_that_make_no_scheme_are_refused(tmp_path, keywords, message):
    path = write_table(tmp_path / "a.fits", six_channels(768), **keywords)
    with pytest.raises(InputError, match=message):
        read(path)


def test_a_file_that_does_not_name_its_frame_is_taken_as_galactic(tmp_path):
    path = write_table(tmp_path / "a.fits", six_channels(768), COORDSYS="DROP")
    with pytest.warns(UnekWarning, match="taken as Galactic"):
        assert read(path).totals.sum() > 0


def test_pixel_numbers_beyond_the_sphere_are_refused(tmp_path):
    columns = [fits.Column("PIX", "J", array=np.arange(5) + 765), *six_channels(5)]
    with pytest.raises(InputError, match="pixel numbers beyond NSIDE 8"):
        read(write_table(tmp_path / "a.fits", columns))


def test_a_file_without_energy_bounds_is_refused(tmp_path):
    with pytest.raises(InputError, match="no energy bounds"):
        read(write_table(tmp_path / "a.fits", six_channels(768), edges=None))


def test_values_that_are_no_counts_are_refused(tmp_path):
    columns = six_channels(768, "E")
    columns[2].array[5] = 0.25
    with pytest.raises(InputError, match="whole numbers"):
        read(write_table(tmp_path / "a.fits", columns))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": 5, "ordering": "SPIRAL"}, "expected NESTED or RING"),
        ({"orders": 5, "coordsys": "ECL"}, "expected NESTED or RING"),
        ({"orders": (5, 5)}, "2 orders, expected one or 6"),
    ],
)
def test_a_file_that_cannot_be_described_is_not_written(tmp_path, options, message):
    sky = sky_of(np.eye(3))
    with pytest.raises(OutputError, match=message):
        write_healpix_counts(sky, tmp_path / "a.fits", rng=np.random.default_rng(0), **options)
    assert not list(tmp_path.iterdir())


def test_none_of_several_files_is_written_when_one_exists(tmp_path):
    (tmp_path / "a_bin4.fits").write_text("mine")
    with pytest.raises(OutputError, match="a_bin4.fits: exists already"):
        write_healpix_counts(
            sky_of(np.eye(3)), tmp_path / "a.fits", [3] * 6, rng=np.random.default_rng(0)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a_bin4.fits"]
