"""The catalog file survives a round trip, and gammapy and fermipy open it."""

import warnings
from dataclasses import replace
from pathlib import Path

import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from catalog_samples import some
from mocpy import MOC

from fermi_unek.catalog import (
    Candidates,
    build_catalog,
    load_release,
    read_catalog,
    write_catalog,
    write_regions,
)
from fermi_unek.catalog.io import read_source_list
from fermi_unek.catalog.schema import NOT_A_FERMI_PRODUCT
from fermi_unek.errors import InputError, OutputError, UnekWarning


def made(n, **more):
    rng = np.random.default_rng(4)
    chances = rng.dirichlet(np.ones(5), n) if n else np.zeros((0, 5))
    candidates = some(
        n,
        lon_deg=rng.uniform(0, 360, n),
        lat_deg=np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        position_angle_deg=rng.uniform(-90, 90, n),
        class_probabilities=chances,
    )
    return build_catalog(candidates, **more)


def refitted(n):
    """A catalog whose first spectra were measured, one of each form."""
    catalog = made(n)
    table = catalog.table
    forms = ["PowerLaw", "LogParabola", "PLSuperExpCutoff"]
    table["SpectrumType"][: len(forms)] = forms
    for name in table.colnames:
        if table[name].dtype.kind == "f" and not name.startswith(("RA", "DE", "GL", "Conf")):
            table[name][:] = 1.5
    return catalog


@pytest.mark.parametrize("n", [0, 1, 200])
def test_a_catalog_comes_back_as_it_was_written(tmp_path, n):
    path = tmp_path / "c.fits"
    coverage = np.repeat(np.random.default_rng(0).random(12 * 4**1) > 0.5, 4**8)
    told = {"model sha256": "ab" * 40, "THRESHLD": 0.2, "bins": 6, "front": True, "odd": np.nan}
    told["input /data/ä\nb.fits"] = "x" * 200
    catalog = made(n, provenance=told, coverage=coverage, reference=load_release("4FGL-DR2"))
    write_catalog(catalog, path)
    back = read_catalog(path)
    assert back.table.colnames == catalog.table.colnames
    for name in catalog.table.colnames:
        one, two = catalog.table[name], back.table[name]
        assert one.dtype == two.dtype, name
        assert one.unit == two.unit, name
        np.testing.assert_array_equal(one, two, err_msg=name)
    np.testing.assert_array_equal(back.coverage, coverage)
    np.testing.assert_array_equal(back.year_edges_met, catalog.year_edges_met)
    assert back.header["model sha256"] == "ab" * 40
    assert back.header["THRESHLD"] == 0.2
    assert back.header["bins"] == 6
    assert back.header["front"] is True
    assert back.header["odd"] == "nan"
    assert back.header["input /data/\\xe4 b.fits"] == "x" * 200


def test_a_second_round_trip_changes_nothing(tmp_path):
    write_catalog(made(3, provenance={"a": 1}), tmp_path / "one.fits")
    first = read_catalog(tmp_path / "one.fits")
    write_catalog(first, tmp_path / "two.fits")
    second = read_catalog(tmp_path / "two.fits")
    assert dict(first.header) == dict(second.header)
    assert first.table.colnames == second.table.colnames


def test_columns_added_by_others_survive(tmp_path):
    catalog = made(2)
    catalog.table["Note"] = ["short", "much longer"]
    catalog.table["Extra"] = [1.0, 2.0]
    write_catalog(catalog, tmp_path / "c.fits")
    back = read_catalog(tmp_path / "c.fits").table
    assert list(back["Note"]) == ["short", "much longer"]
    assert list(back["Extra"]) == [1.0, 2.0]


def test_the_file_says_that_it_is_not_a_product_of_the_collaboration(tmp_path):
    write_catalog(made(0), tmp_path / "c.fits")
    assert fits.getheader(tmp_path / "c.fits")["NOTICE"] == NOT_A_FERMI_PRODUCT


def test_fits_itself_finds_nothing_wrong_with_the_file(tmp_path):
    write_catalog(made(5, provenance={"long": "x" * 300}), tmp_path / "c.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
            hdus.verify("exception")
            # fermipy would cut text that it puts in to what is there
            assert hdus[1].columns["SpectrumType"].format == "17A"


def test_a_catalog_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "c.fits"
    write_catalog(made(1), path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_catalog(made(2), path)
    assert path.read_bytes() == before
    write_catalog(made(2), path, overwrite=True)
    assert len(read_catalog(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["c.fits"]


@pytest.mark.parametrize("name", ["c.csv", "c", "c.fits.gz"])
def test_a_name_that_fermipy_would_not_know_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match="must end in .fits or .fit"):
        write_catalog(made(1), tmp_path / name)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        write_catalog(made(1), tmp_path / "none" / "c.fits")
    with pytest.raises(OutputError, match="no folder"):
        write_regions(made(1), tmp_path / "none" / "c.reg")


def test_bad_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_catalog(tmp_path / "none.fits")
    junk = tmp_path / "junk.fits"
    junk.write_text("no FITS here")
    with pytest.raises(InputError, match="junk.fits: not a FITS file"):
        read_catalog(junk)
    fits.PrimaryHDU().writeto(tmp_path / "bare.fits")
    with pytest.raises(InputError, match="has no table LAT_Point_Source_Catalog"):
        read_catalog(tmp_path / "bare.fits")


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "c.fits"
    write_catalog(made(300), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="c.fits: "):
            read_catalog(path)


def test_a_published_catalog_is_not_taken_for_one_of_ours():
    import fermipy

    from fermi_unek.catalog.releases import release_path

    with pytest.raises(InputError, match="has no table .* written by fermi-unek"):
        read_catalog(Path(fermipy.PACKAGE_DATA) / "catalogs" / "gll_psc_v29.fit")
    with pytest.raises(InputError, match="has no table .* written by fermi-unek"):
        read_catalog(release_path("4FGL-DR3"))


def test_a_catalog_cut_down_by_another_program_is_read(tmp_path):
    """astropy.table writes the rows that were picked, and no other HDU."""
    whole = made(5)
    write_catalog(whole, tmp_path / "c.fits")
    table = Table.read(tmp_path / "c.fits", hdu=1)
    table[table["Probability"] > 0].write(tmp_path / "part.fits")
    with pytest.warns(UnekWarning, match="part.fits: was cut down .* no HDU Hist_Start"):
        part = read_catalog(tmp_path / "part.fits")
    np.testing.assert_allclose(part.year_edges_met, whole.year_edges_met)
    np.testing.assert_array_equal(part.table["Source_Name"], whole.table["Source_Name"])
    assert part.coverage is None
    del table.meta["TSTART"]
    table.write(tmp_path / "bare.fits")
    with pytest.raises(InputError, match="bare.fits: has no HDU Hist_Start, which says when"):
        read_catalog(tmp_path / "bare.fits")


def disc(lon_deg, lat_deg, radius_deg):
    vector = hp.ang2vec(lon_deg, lat_deg, lonlat=True)
    mask = np.zeros(12 * 4**9, bool)
    mask[hp.query_disc(2**9, vector, np.radians(radius_deg), nest=True)] = True
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        disc(80.0, 18.0, 10.0),
        disc(122.93, 27.13, 5.0) & ~disc(122.93, 27.13, 2.0),  # around the celestial pole
        disc(0.0, -90.0, 80.0),
        ~disc(45.0, 41.8, 0.3),  # all but a hole in a corner of HEALPIX
        np.arange(12 * 4**9) == 12345,
        np.zeros(12 * 4**9, bool),
        np.ones(12 * 4**9, bool),
    ],
    ids=["field", "ring", "half", "hole", "pixel", "nothing", "all"],
)
def test_coverage_is_a_moc_from_which_each_pixel_comes_back(tmp_path, mask):
    write_catalog(made(1, coverage=mask), tmp_path / "c.fits")
    np.testing.assert_array_equal(read_catalog(tmp_path / "c.fits").coverage, mask)


def test_a_coverage_with_cells_beyond_the_sky_is_refused(tmp_path):
    """healpy walks over memory that is not its own where it is asked for such a pixel."""
    write_catalog(made(1, coverage=disc(80.0, 18.0, 10.0)), tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits", mode="update") as hdus:
        hdus["COVERAGE"].data.field(0)[-1] = 2**62  # the sky ends at 12 * 4**29
    with pytest.raises(InputError, match="COVERAGE is no MOC .it has cells that the sky has not"):
        read_catalog(tmp_path / "c.fits")


@pytest.mark.parametrize("read", [read_catalog, read_source_list, load_release])
def test_places_that_contradict_each_other_are_refused(tmp_path, read):
    write_catalog(made(3), tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits", mode="update") as hdus:
        hdus[1].data["DEJ2000"][1] -= 0.1
    with pytest.raises(InputError, match="RAJ2000, DEJ2000 and GLON, GLAT of .*0.1 degrees apart"):
        read(tmp_path / "c.fits")


@pytest.mark.parametrize("read", [read_catalog, read_source_list, load_release])
def test_angles_in_other_units_are_brought_to_degrees(tmp_path, read):
    write_catalog(made(3), tmp_path / "c.fits")
    before = read(tmp_path / "c.fits")
    before = getattr(before, "table", before)
    with fits.open(tmp_path / "c.fits") as hdus:
        for name in ("RAJ2000", "DEJ2000"):
            hdus[1].data[name][:] = np.radians(hdus[1].data[name])
            hdus[1].columns[name].unit = "rad"
        hdus.writeto(tmp_path / "d.fits")
    after = read(tmp_path / "d.fits")
    after = getattr(after, "table", after)
    for name in ("RAJ2000", "DEJ2000", "GLON", "GLAT"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-4)
    with fits.open(tmp_path / "c.fits") as hdus:
        hdus[1].columns["RAJ2000"].unit = "s"
        hdus.writeto(tmp_path / "e.fits")
    with pytest.raises(InputError, match="RAJ2000.*unit 's' cannot be brought to deg"):
        read(tmp_path / "e.fits")


def test_mocpy_reads_the_coverage_as_the_field_that_was_searched(tmp_path):
    write_catalog(made(1, coverage=disc(80.0, 18.0, 10.0)), tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        header = hdus["COVERAGE"].header
        fits.HDUList([fits.PrimaryHDU(), hdus["COVERAGE"].copy()]).writeto(tmp_path / "moc.fits")
    assert (header["MOCDIM"], header["COORDSYS"]) == ("SPACE", "C")
    moc = MOC.from_fits(tmp_path / "moc.fits")
    center = SkyCoord(80.0, 18.0, unit="deg", frame="galactic")
    place = center.icrs.ra, center.icrs.dec
    cone = MOC.from_cone(*place, radius=10.0 * u.deg, max_depth=11)
    # they differ by pixels along the rim
    assert moc.symmetric_difference(cone).sky_fraction < 0.01 * cone.sky_fraction
    assert moc == read_catalog(tmp_path / "c.fits").moc


def test_the_coverage_of_catalogs_from_before_the_moc_is_read(tmp_path):
    path = tmp_path / "c.fits"
    mask = disc(80.0, 18.0, 10.0)
    write_catalog(made(1, coverage=mask), path)
    steps = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    ranges = Table({"START": np.flatnonzero(steps == 1), "STOP": np.flatnonzero(steps == -1)})
    old = fits.BinTableHDU(ranges, name="COVERAGE")
    old.header.update({"ORDERING": "NESTED", "COORDSYS": "G", "ORDER": 9})
    with fits.open(path, mode="update") as hdus:
        hdus["COVERAGE"] = old
    np.testing.assert_array_equal(read_catalog(path).coverage, mask)
    fits.setval(path, "ORDER", value=5, extname="COVERAGE")
    with pytest.raises(InputError, match="coverage is of HEALPIX order 5"):
        read_catalog(path)


def test_a_catalog_from_before_nearest_fgl_is_read_with_the_meaning_of_today(tmp_path):
    """ASSOC_FGL was the nearest source within a degree."""
    catalog = made(50, reference=load_release("4FGL-DR2"))
    old = catalog.table.copy()
    old["ASSOC_FGL"] = np.where(old["Sep_FGL"] <= 1.0, old["Nearest_FGL"], "").astype("U19")
    for number, header in enumerate((catalog.header, {"reference catalog": "my.fits"})):
        path = tmp_path / f"{number}.fits"
        write_catalog(replace(catalog, table=old, header=header), path)
        with fits.open(path, mode="update") as hdus:
            columns = [c for c in hdus[1].columns if c.name != "Nearest_FGL"]
            hdus[1] = fits.BinTableHDU.from_columns(columns, name=hdus[1].name)
        back = read_catalog(path).table
        assert back.colnames == catalog.table.colnames
        if number == 0:
            for name in ("ASSOC_FGL", "Nearest_FGL", "Sep_FGL"):
                np.testing.assert_array_equal(back[name], catalog.table[name], err_msg=name)
        else:
            # of a release that is not at hand the errors are not known
            np.testing.assert_array_equal(back["Nearest_FGL"], old["ASSOC_FGL"])
            assert not np.any(back["ASSOC_FGL"] != "")


def test_a_catalog_from_before_selected_is_one_list(tmp_path):
    catalog = made(5)
    assert not any(catalog.table["Selected"])
    write_catalog(catalog, tmp_path / "c.fits")
    assert not any(read_catalog(tmp_path / "c.fits").table["Selected"])
    with fits.open(tmp_path / "c.fits", mode="update") as hdus:
        columns = [c for c in hdus[1].columns if c.name != "Selected"]
        hdus[1] = fits.BinTableHDU.from_columns(columns, name=hdus[1].name)
    back = read_catalog(tmp_path / "c.fits")
    assert back.table.colnames == catalog.table.colnames
    assert back.table["Selected"].dtype == bool
    assert len(back.selected) == 5


def test_a_coverage_that_is_no_moc_is_refused(tmp_path):
    path = tmp_path / "c.fits"
    write_catalog(made(1, coverage=disc(80.0, 18.0, 10.0)), path)
    with fits.open(path, mode="update") as hdus:
        hdus["COVERAGE"] = fits.BinTableHDU(Table({"PIXEL": [1, 2]}), name="COVERAGE")
    with pytest.raises(InputError, match="c.fits: COVERAGE is no MOC"):
        read_catalog(path)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_gammapy_opens_the_catalog(tmp_path, n):
    from gammapy.catalog import SourceCatalog4FGL

    write_catalog(made(n, reference=load_release("4FGL-DR2")), tmp_path / "c.fits")
    opened = SourceCatalog4FGL(tmp_path / "c.fits")
    assert len(opened.table) == n
    assert len(opened.positions) == n
    if n:
        catalog = read_catalog(tmp_path / "c.fits")
        source = opened[n - 1]
        assert source.name == catalog.table["Source_Name"][n - 1]
        assert source.is_pointlike
        assert source.position.separation(catalog.positions[n - 1]).arcsec < 0.1
        with warnings.catch_warnings():
            # gammapy formats masked numbers
            warnings.simplefilter("ignore")
            assert source.name in str(source)
            assert len(source.flux_points_table) == 8
        assert opened[source.name].row_index == n - 1


def test_gammapy_makes_models_of_a_refitted_catalog(tmp_path):
    from gammapy.catalog import SourceCatalog4FGL

    write_catalog(refitted(3), tmp_path / "c.fits")
    opened = SourceCatalog4FGL(tmp_path / "c.fits")
    models = opened.to_models()
    assert len(models) == 3
    tags = [m.spectral_model.tag[0] for m in models]
    assert tags == [
        "PowerLawSpectralModel",
        "LogParabolaSpectralModel",
        "SuperExpCutoffPowerLaw4FGLDR3SpectralModel",
    ]
    assert opened[0].lightcurve().geom.axes["time"].nbin == 12
    np.testing.assert_allclose(
        opened[0].flux_points_table["e_min"],
        [50, 100, 300, 1000, 3000, 10000, 30000, 100000],
    )


@pytest.mark.parametrize("n", [1, 30])
def test_fermipy_opens_the_catalog(tmp_path, n):
    from fermipy.catalog import Catalog, Catalog4FGLDR3

    write_catalog(made(n), tmp_path / "c.fits")
    opened = Catalog.create(str(tmp_path / "c.fits"))
    assert isinstance(opened, Catalog4FGLDR3)
    assert len(opened.table) == n
    assert not np.any(opened.table["extended"])
    np.testing.assert_allclose(
        np.sort(opened.radec[:, 0]), read_catalog(tmp_path / "c.fits").positions.ra.deg, rtol=1e-6
    )


def test_fermipy_reads_the_parameters_of_a_refitted_catalog(tmp_path):
    from fermipy.catalog import Catalog

    write_catalog(refitted(3), tmp_path / "c.fits")
    table = Catalog.create(str(tmp_path / "c.fits")).table
    assert set(table["SpectrumType"]) == {"PowerLaw", "LogParabola", "PLSuperExpCutoff4"}
    assert np.all(np.isfinite(table["param_values"][:, 0]))
    np.testing.assert_allclose(table["TS"], 2.25)


def test_fermipy_cannot_open_an_empty_catalog_and_this_is_known(tmp_path):
    from fermipy.catalog import Catalog

    write_catalog(made(0), tmp_path / "c.fits")
    with pytest.raises(ValueError, match="must both have at least one row"):
        Catalog.create(str(tmp_path / "c.fits"))


def test_ds9_regions_hold_the_ellipses_and_the_names(tmp_path):
    import astropy.units as u
    from regions import EllipseSkyRegion, Regions

    catalog = made(20)
    write_regions(catalog, tmp_path / "c.reg")
    read = Regions.read(tmp_path / "c.reg", format="ds9")
    assert len(read) == 20
    table = catalog.table
    for row, region in zip(table, read, strict=True):
        assert isinstance(region, EllipseSkyRegion)
        assert region.meta["text"] == row["Source_Name"]
        # regions keeps full axes; height lies along north before it is turned
        assert region.height.to_value("deg") == pytest.approx(2 * row["Conf_95_SemiMajor"], 1e-3)
        assert region.width.to_value("deg") == pytest.approx(2 * row["Conf_95_SemiMinor"], 1e-3)
    row, region = table[7], read[7]
    along = catalog.positions[7].directional_offset_by(
        row["Conf_95_PosAng"] * u.deg, 0.99 * row["Conf_95_SemiMajor"] * u.deg
    )
    across = catalog.positions[7].directional_offset_by(
        (row["Conf_95_PosAng"] + 90) * u.deg, 0.99 * row["Conf_95_SemiMajor"] * u.deg
    )
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [row["RAJ2000"], row["DEJ2000"]]
    wcs.wcs.cdelt = [-0.001, 0.001]
    assert region.contains(along, wcs)
    assert not region.contains(across, wcs)


def test_regions_of_an_empty_catalog_are_a_header(tmp_path):
    write_regions(build_catalog(Candidates.empty()), tmp_path / "c.reg")
    assert (tmp_path / "c.reg").read_text().splitlines()[-1] == "icrs"


def test_sources_without_an_ellipse_are_crosses_and_fakes_are_red(tmp_path):
    lost = some(1, semimajor68_deg=np.array([np.nan]), fake=np.array([True]))
    write_regions(build_catalog(lost), tmp_path / "c.reg")
    line = (tmp_path / "c.reg").read_text().splitlines()[-1]
    assert line.startswith("point(")
    assert "color=red" in line
    with pytest.raises(OutputError, match="exists already"):
        write_regions(build_catalog(lost), tmp_path / "c.reg")
