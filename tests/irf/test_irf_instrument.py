"""The instrument tables: against the CALDB files, gammapy, and their own definitions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from scipy.integrate import quad

from fermi_unek.config import SimulateConfig
from fermi_unek.errors import InputError
from fermi_unek.irf import caldb, make_tables
from fermi_unek.irf.exposure import instrument_for, read_exposure
from fermi_unek.irf.instrument import (
    FINE_EDGES_MEV,
    FINE_ENERGIES_MEV,
    PROFILE_DEG,
    load_instrument,
    profile_index,
    psf_scale_deg,
)
from fermi_unek.irf.livetime import read_livetime
from fermi_unek.simulate.photons import draw_energy
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, YEAR_S
from fermi_unek.sky.geometry.coverage import icrs_to_galactic
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

PLACES_MEV = (300.0, 700.0, 1400.0, 3500.0, 11000.0, 50000.0)
R68_AT_075 = (1.63, 0.74, 0.40, 0.20, 0.095, 0.063)
"""FRONT at cos(theta) = 0.75, P8R3_SOURCE_V3: MANIFEST.md of the shared data."""

PARTS = ("front", "back")


def at(energies_mev, values) -> np.ndarray:
    return np.interp(np.log(energies_mev), np.log(FINE_ENERGIES_MEV), values)


@cache
def made_from_caldb(data, split):
    """The instrument of CALDB files and four years, bins of inclination in so many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caldb, "SPLIT", split)
        return caldb.instrument_from_caldb(data / "irf", livetime_file(data))


def livetime_file(shared_data):
    return shared_data / "exposure" / "ltcube_4yr_nside32.fits"


# what ships ----------------------------------------------------------------------------------


def test_the_shipped_psf_is_a_little_wider_than_the_caldb_psf_at_a_favourable_inclination():
    ratio = at(PLACES_MEV, load_instrument().front.containment_deg(0.68)) / R68_AT_075
    assert np.all((ratio > 1.0) & (ratio < 1.15))


def test_the_mean_front_exposure_of_ten_years_is_that_of_the_manifest():
    table = load_instrument().front.exposure_per_year
    assert 10.0 * at(1400.0, table.mean(axis=1)) == pytest.approx(2.4e11, rel=0.02)


@pytest.mark.parametrize("part", PARTS)
def test_the_shipped_tables_are_what_the_command_makes_of_the_caldb_files(shared_data, part):
    fresh = getattr(made_from_caldb(shared_data, caldb.SPLIT), part)
    shipped = getattr(load_instrument(), part)
    for fraction in (0.68, 0.95):
        np.testing.assert_allclose(
            shipped.containment_deg(fraction), fresh.containment_deg(fraction), rtol=0.03
        )
    np.testing.assert_allclose(shipped.exposure_per_year, fresh.exposure_per_year, rtol=0.05)
    np.testing.assert_allclose(shipped.dispersion, fresh.dispersion, rtol=0.01)


@pytest.mark.parametrize("part", PARTS)
def test_the_shipped_tables_agree_with_a_finer_average_over_inclination(shared_data, part):
    """Each of the ten inclination bins of the livetime cube in 32 parts; 3% in r68 are wanted."""
    fine = getattr(made_from_caldb(shared_data, 32), part)
    shipped = getattr(load_instrument(), part)
    np.testing.assert_allclose(shipped.containment_deg(0.68), fine.containment_deg(0.68), rtol=0.01)
    used = FINE_ENERGIES_MEV > 250.0
    np.testing.assert_allclose(
        shipped.exposure_per_year[used], fine.exposure_per_year[used], rtol=0.02
    )


# the exposure of an observation ----------------------------------------------------------------


def write_expcube(path, value, frame="GAL"):
    """A gtexpcube2 file of one value, or of a map of them, at 1 and 10 GeV."""
    plane = np.ones(12 * 8**2) * value if np.isscalar(value) else value
    columns = [fits.Column(f"ENERGY{i}", "E", array=plane) for i in (1, 2)]
    table = fits.BinTableHDU.from_columns(columns, name="HPXEXPOSURES")
    table.header.update({"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": frame})
    energies = fits.Column("Energy", "D", array=np.array([1e3, 1e4]))
    bounds = fits.BinTableHDU.from_columns([energies], name="ENERGIES")
    fits.HDUList([fits.PrimaryHDU(), table, bounds]).writeto(path)
    return path


def expcube_file(shared_data):
    return shared_data / "exposure" / "fermi_3fhl_exposure_cube_hpx.fits.gz"


def test_a_gtexpcube2_file_sets_the_exposure_and_nothing_else(shared_data):
    """3FHL: FRONT and BACK over seven years, from 10 GeV on."""
    config = SimulateConfig(exposure=expcube_file(shared_data), years=7.0, evtype="all")
    ours, shipped = (
        instrument_for(config.exposure, config.caldb, config.years, config.evtype),
        load_instrument(),
    )
    with fits.open(expcube_file(shared_data)) as hdus:
        reference = hdus["HPXEXPOSURES"].data["ENERGY1"].astype(float)
    equatorial = np.array(hp.pix2vec(64, np.arange(reference.size))).T
    vectors = equatorial @ icrs_to_galactic().T
    total = 7.0 * sum(part.exposure_at(vectors) for part in ours.parts("all"))
    at_10_gev = [np.interp(np.log(1e4), np.log(FINE_ENERGIES_MEV), column) for column in total.T]
    np.testing.assert_allclose(at_10_gev, reference, rtol=0.02)
    assert np.mean(at_10_gev) == pytest.approx(reference.mean(), rel=0.003)
    for part in PARTS:
        one, other = getattr(ours, part), getattr(shipped, part)
        np.testing.assert_array_equal(one.psf_density, other.psf_density)
        # below the file's energies in proportion to the shipped table
        ratio = one.exposure_per_year[:20] / other.exposure_per_year[:20]
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-4)


def test_half_the_live_time_is_twice_the_exposure_per_year(shared_data):
    whole, half = (
        read_exposure(expcube_file(shared_data)).instrument(years, "all") for years in (7.0, 3.5)
    )
    np.testing.assert_allclose(
        half.front.exposure_per_year, 2.0 * whole.front.exposure_per_year, rtol=1e-5
    )


def test_a_livetime_cube_takes_the_calibration_files(shared_data):
    config = SimulateConfig(exposure=livetime_file(shared_data), caldb=shared_data / "irf")
    ours, shipped = (
        instrument_for(config.exposure, config.caldb, config.years, config.evtype),
        load_instrument(),
    )
    np.testing.assert_allclose(
        # a day and more without data, 0.3% of four years, counts as no time of the cube
        ours.back.exposure_per_year,
        shipped.back.exposure_per_year,
        rtol=0.004,
    )
    # pixel by pixel, without the mean over right ascension, which is four percent off at most
    with fits.open(livetime_file(shared_data)) as hdus:
        data, header = hdus["EXPOSURE"].data, hdus["EXPOSURE"].header
        live = data["COSBINS"].astype(float) / ((header["TSTOP"] - header["TSTART"]) / YEAR_S)
        weighted = hdus["WEIGHTED_EXPOSURE"].data["COSBINS"].astype(float)
        weighted /= (header["TSTOP"] - header["TSTART"]) / YEAR_S
        place = SkyCoord(data["RA"], data["DEC"], unit="deg").galactic
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / 1e4)).argmin())
    path = caldb.find_caldb_file("aeff", path=shared_data / "irf")
    cosines, _, _ = caldb.livetime_per_year(read_livetime(livetime_file(shared_data)))
    area = caldb._effective_area(path, "FRONT", cosines).reshape(45, -1, caldb.SPLIT).mean(axis=2)
    lowered, constant = (one[k] for one in caldb._efficiency(path, "FRONT"))
    direct = (weighted * lowered + live * constant) @ area[k]
    found = ours.front.exposure_at(lonlat_to_vectors(place.l.deg, place.b.deg))[k]
    np.testing.assert_allclose(found, direct, rtol=0.01)


def test_without_files_it_is_the_shipped_instrument():
    assert instrument_for() is load_instrument()


def test_calibration_files_without_an_exposure_are_refused(tmp_path):
    with pytest.raises(InputError, match="name the gtltcube file"):
        instrument_for(caldb=tmp_path)


@pytest.mark.parametrize("value", [0.0, 2e-5, np.nan], ids=str)
def test_a_map_of_something_else_or_of_nothing_is_refused(tmp_path, value):
    path = write_expcube(tmp_path / "expcube.fits", value)
    with pytest.raises(InputError, match="no exposure"):
        instrument_for(path)


def write_field(path):
    """A gtexpcube2 map of 9 x 9 degrees, twice as high as the shipped exposure of a year."""
    header = fits.Header(
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CDELT1": -1.0, "CDELT2": 1.0}
        | {"CRPIX1": 5.0, "CRPIX2": 5.0, "CRVAL1": 30.0, "CRVAL2": 0.0}
    )
    nodes = np.array([1e3, 1e4])
    level = [
        np.interp(np.log(energy), np.log(FINE_ENERGIES_MEV), row)
        for energy in nodes
        for row in [load_instrument().front.exposure_at(FIELD)[:, 0]]
    ]
    energies = fits.Column("Energy", "D", array=nodes)
    bounds = fits.BinTableHDU.from_columns([energies], name="ENERGIES")
    image = fits.PrimaryHDU(2.0 * np.ones((2, 9, 9)) * np.reshape(level, (2, 1, 1)), header)
    fits.HDUList([image, bounds]).writeto(path)
    return path


FIELD = lonlat_to_vectors(np.array([30.0]), np.array([0.0]))


def test_an_exposure_of_a_field_serves_there_and_scales_the_shipped_one_elsewhere(tmp_path):
    path = write_field(tmp_path / "field.fits")
    ours = read_exposure(path).instrument(1.0, "front").front
    shipped = load_instrument().front
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / 3e3)).argmin())
    elsewhere = lonlat_to_vectors(np.array([200.0]), np.array([60.0]))
    for place, exact in ((FIELD, 0.03), (elsewhere, 0.05)):
        ratio = ours.exposure_at(place)[k] / shipped.exposure_at(place)[k]
        assert ratio == pytest.approx(2.0, rel=exact)


def livetime_cube(path, header, pixels=12, bins=1, columns=1, weighted=True):
    """A livetime cube of one second a pixel and bin."""
    edges = np.linspace(1.0, 0.2, bins + 1)
    bounds = fits.BinTableHDU(
        Table({"CTHETA_MIN": edges[1:], "CTHETA_MAX": edges[:-1]}), name="CTHETABOUNDS"
    )
    ra, dec = hp.pix2ang(hp.npix2nside(12), np.arange(12), lonlat=True)
    columns = {"COSBINS": np.ones((pixels, bins * columns)), "RA": ra[:pixels], "DEC": dec[:pixels]}
    names = ("EXPOSURE", "WEIGHTED_EXPOSURE") if weighted else ("EXPOSURE",)
    tables = [fits.BinTableHDU(Table(columns), fits.Header(header), name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *tables, bounds]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header": {"TSTART": 5.0, "TSTOP": 5.0}}, "spans no time"),
        ({"header": {}}, "spans no time"),
        ({"pixels": 11}, "of 11 pixels"),
        ({"weighted": False}, "expected the tables EXPOSURE"),
    ],
)
def test_a_livetime_cube_that_is_damaged_is_refused(tmp_path, changes, reason):
    settings = {"header": {"TSTART": 0.0, "TSTOP": 3e7}} | changes
    path = livetime_cube(tmp_path / "ltcube.fits", **settings)
    with pytest.raises(InputError, match=f"cannot be read as a livetime cube.*{reason}"):
        read_exposure(path)


def test_a_livetime_cube_says_how_long_it_is_and_a_map_does_not(shared_data, tmp_path):
    cube = read_exposure(livetime_file(shared_data), shared_data / "irf")
    assert cube.years == pytest.approx(3.98, abs=0.02)
    assert cube.instrument(1.0, "front") is cube.instrument(5.0, "all")
    assert np.isnan(read_exposure(write_expcube(tmp_path / "expcube.fits", 1e11)).years)


def test_a_parallel_without_exposure_stays_dark(tmp_path):
    """A pointed observation: nothing but half the sky was in view."""
    npix = 12 * 64**2
    north = np.array(hp.pix2vec(64, np.arange(npix)))[2] > 0
    path = write_expcube(tmp_path / "expcube.fits", 1e10 * north, "EQU")
    front = read_exposure(path).instrument(1.0, "front").front
    pole = SkyCoord([0.0, 0.0], [80.0, -80.0], unit="deg").galactic
    seen, unseen = front.exposure_at(lonlat_to_vectors(pole.l.deg, pole.b.deg)).T
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / 1e3)).argmin())
    assert seen[k] == pytest.approx(1e10, rel=0.05)
    np.testing.assert_array_equal(unseen, 0.0)


# against independent references ----------------------------------------------------------------


def test_the_psf_at_one_inclination_has_the_containment_of_the_manifest(shared_data):
    path = caldb.find_caldb_file("psf", path=shared_data / "irf")
    one = np.ones((FINE_ENERGIES_MEV.size, 1))
    scale, density = caldb._psf(path, "FRONT", np.array([0.75]), one)
    table = load_instrument().front
    same = type(table)(table.sin_dec, table.exposure_per_year, scale, density, table.dispersion)
    np.testing.assert_allclose(at(PLACES_MEV, same.containment_deg(0.68)), R68_AT_075, rtol=0.07)


def test_the_psf_is_the_sum_of_core_and_tail_with_the_weights_of_the_cicerone(shared_data):
    """The Cicerone writes f K_core + (1 - f) K_tail, f = 1 / (1 + N s_t^2 / s_c^2)."""
    path = caldb.find_caldb_file("psf", path=shared_data / "irf")
    row = fits.getdata(path, "RPSF_FRONT")[0]
    j, i = 12, 6  # a node of the table in energy and inclination
    energy = float(np.sqrt(row["ENERG_LO"][j] * row["ENERG_HI"][j]))
    cosine = float(row["CTHETA_LO"][i] + row["CTHETA_HI"][i]) / 2.0
    n, sc, st, gc, gt = (float(row[k][i, j]) for k in ("NTAIL", "SCORE", "STAIL", "GCORE", "GTAIL"))
    core = 1.0 / (1.0 + n * st**2 / sc**2)

    def king(x, s, g):
        return (1 - 1 / g) / (2 * np.pi * s**2) * (1 + x**2 / (2 * g * s**2)) ** -g

    def contained(x):
        return quad(
            lambda r: 2 * np.pi * r * (core * king(r, sc, gc) + (1 - core) * king(r, st, gt)),
            0.0, x, points=[sc, st], limit=200,
        )[0]  # fmt: skip

    one = np.ones((FINE_ENERGIES_MEV.size, 1))
    scale, density = caldb._psf(path, "FRONT", np.array([cosine]), one)
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / energy)).argmin())
    table = load_instrument().front
    same = type(table)(table.sin_dec, table.exposure_per_year, scale, density, table.dispersion)
    for fraction in (0.3, 0.68, 0.95):
        x = same.containment_deg(fraction)[k] / scale[k]
        # the nearest energy of ours is within a tenth of a decade of the node
        assert contained(x) == pytest.approx(fraction, abs=0.03)


def test_the_exposure_along_a_parallel_is_that_of_every_pixel_of_the_livetime_cube(shared_data):
    """The cube says NESTED but gives its places; averaging over RA costs a few percent."""
    path = caldb.find_caldb_file("aeff", path=shared_data / "irf")
    cosines, _, _ = caldb.livetime_per_year(read_livetime(livetime_file(shared_data)))
    area = caldb._effective_area(path, "FRONT", cosines)
    # the mean over the parts of each of the file's bins
    area = area.reshape(len(area), -1, caldb.SPLIT).mean(axis=2)
    weighted, plain = caldb._efficiency(path, "FRONT")
    with fits.open(livetime_file(shared_data)) as hdus:
        header, data = hdus["EXPOSURE"].header, hdus["EXPOSURE"].data
        # a year of data has no gap of more than a day in it
        start, stop = (np.sort(hdus["GTI"].data[name]) for name in ("START", "STOP"))
        gaps = start[1:] - stop[:-1]
        calendar = header["TSTOP"] - header["TSTART"] - gaps[gaps > 86400.0].sum()
        years = calendar / (365.25 * 86400.0)
        live = data["COSBINS"].astype(float) / years
        fraction = hdus["WEIGHTED_EXPOSURE"].data["COSBINS"].astype(float) / years
        sin_dec = np.sin(np.radians(data["DEC"]))
    table = load_instrument().front.exposure(sin_dec)
    for k in (3, 12, 25, 40):
        direct = (fraction * weighted[k] + live * plain[k]) @ area[k]
        np.testing.assert_allclose(table[k], direct, rtol=0.05)
        assert table[k].mean() == pytest.approx(direct.mean(), rel=0.003)


def test_the_exposure_follows_declination_as_gtexpcube2_has_it(shared_data):
    """3FHL: FRONT+BACK of P8R2 over seven years, 10 GeV; its nodes of energy are the columns."""
    with fits.open(shared_data / "exposure" / "fermi_3fhl_exposure_cube_hpx.fits.gz") as hdus:
        reference = hdus["HPXEXPOSURES"].data["ENERGY1"]
        assert hdus["ENERGIES"].data.field(0)[0] == pytest.approx(1e4)
        assert hdus["HPXEXPOSURES"].header["ORDERING"] == "RING"
    # equatorial, as MANIFEST.md says
    z = hp.pix2vec(64, np.arange(reference.size))[2]
    instrument = load_instrument()
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / 1e4)).argmin())
    ours = 7.0 * sum(part.exposure(z)[k] for part in instrument.parts("all"))
    assert ours.mean() == pytest.approx(reference.mean(), rel=0.06)
    profile = [np.mean((ours / reference)[(z > a) & (z <= a + 0.2)]) for a in np.arange(-1, 1, 0.2)]
    np.testing.assert_allclose(profile, np.mean(profile), rtol=0.05)


def test_the_psf_of_front_and_back_is_that_of_gammapy_at_the_galactic_centre(shared_data):
    from gammapy.irf import PSFMap

    instrument = caldb.instrument_from_caldb(
        shared_data / "irf", livetime_file(shared_data), "P8R2_SOURCE_V6"
    )
    reference = PSFMap.read(shared_data / "real" / "fermi-3fhl-gc-psf-cube.fits.gz", format="gtpsf")
    # both normalised inside the largest angle of the file
    largest = float(reference.psf_map.geom.axes["rad"].edges.max().to_value("deg"))
    angles = np.concatenate([[0.0], np.geomspace(1e-3, largest, 2000)])
    sin_dec = np.sin(np.radians([-28.9]))
    parts = instrument.parts("all")
    for k in (26, 30, 34, 38):
        psf = sum(part.exposure(sin_dec)[k] * part.psf_per_sr(k, angles) for part in parts)
        ring = psf * np.sin(np.radians(angles))
        grown = np.concatenate([[0], np.cumsum((ring[1:] + ring[:-1]) * np.diff(angles))])
        # Ours is wider by a few percent; why is not known (the reference has seven years, ours
        # four).
        for fraction, tolerance in ((0.3, 0.03), (0.68, 0.03), (0.95, 0.05)):
            energy = FINE_ENERGIES_MEV[[k]] * u.MeV
            expected = float(reference.containment_radius(fraction, energy).to_value("deg")[0])
            ours = np.interp(fraction, grown / grown[-1], angles)
            assert ours == pytest.approx(expected, rel=tolerance)


# definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_the_psf_holds_every_photon_and_its_quantiles_are_its_integral(part):
    table = getattr(load_instrument(), part)
    edges = np.concatenate([[0.0], np.geomspace(1e-4, 45.0, 4000)])
    for k in (2, 12, 25, 40):
        psf = table.psf_per_sr(k, edges)
        ring = 2 * np.pi * psf * np.radians(edges) * np.radians(1.0)
        grown = np.concatenate([[0], np.cumsum(0.5 * (ring[1:] + ring[:-1]) * np.diff(edges))])
        assert grown[-1] == pytest.approx(1.0, abs=0.01)
        for fraction in (0.1, 0.68, 0.95):
            contained = np.interp(table.containment_deg(fraction)[k], edges, grown / grown[-1])
            assert contained == pytest.approx(fraction, abs=0.005)
    assert table.psf_per_sr(0, np.array([46.0]))[0] == 0.0


def test_the_profile_looked_up_by_chord_is_the_psf():
    table = load_instrument().front
    angles = np.array([0.0, 0.1, 1.0, 7.0, 30.0])
    chord_squared = (2 * np.sin(np.radians(angles) / 2)) ** 2
    found = PROFILE_DEG[profile_index(chord_squared)]
    np.testing.assert_allclose(found, angles, atol=0.001, rtol=0.03)
    np.testing.assert_allclose(
        table.psf_profiles[20][profile_index(chord_squared)], table.psf_per_sr(20, found)
    )


def test_a_steep_spectrum_has_the_photons_in_each_bin_that_the_whole_dispersion_gives(
    shared_data, monkeypatch
):
    """What little the 65 quantiles say of the tails must not move photons of lower energies up."""
    path = caldb.find_caldb_file("edisp", path=shared_data / "irf")
    cosines, _, _ = caldb.livetime_per_year(read_livetime(livetime_file(shared_data)))
    share = np.ones((len(FINE_ENERGIES_MEV), len(cosines)))
    bins, found = np.stack([ENERGY_EDGES_MEV[:-1], ENERGY_EDGES_MEV[1:]], 1), []
    for quantiles in (65, 4097):
        monkeypatch.setattr(caldb, "_DISPERSION_QUANTILES", quantiles)
        dispersion = caldb._dispersion(path, "FRONT", cosines, share)
        table = replace(load_instrument().front, dispersion=dispersion)
        found.append(FINE_ENERGIES_MEV**-2.0 @ table.fractions_within(bins))
    np.testing.assert_allclose(*found, rtol=0.003)


@pytest.mark.parametrize("part", PARTS)
def test_the_fractions_in_the_bins_are_those_of_drawn_energies(part):
    table = getattr(load_instrument(), part)
    rng = np.random.default_rng(3)
    for k in (1, 4, 9, 20, 43):
        drawn = draw_energy(table, np.full(40_000, k), rng)
        counts = np.histogram(drawn, ENERGY_EDGES_MEV)[0] / drawn.size
        np.testing.assert_allclose(table.bin_fractions[k], counts, atol=0.012)


def test_reconstructed_energies_are_near_the_true_ones():
    table = load_instrument().front
    middle = (table.dispersion.shape[1] - 1) // 2
    assert np.all(np.abs(table.dispersion[:, middle] - 1.0) < 0.05)
    # half width of the middle 68%: five to seventeen percent
    width = (table.dispersion[:, 54] - table.dispersion[:, 10]) / 2.0
    assert np.all((width > 0.04) & (width < 0.18))


def test_the_fine_bins_contain_the_edges_of_the_six():
    assert np.isin(np.round(ENERGY_EDGES_MEV, 6), np.round(FINE_EDGES_MEV, 6)).all()
    assert FINE_ENERGIES_MEV.shape == (45,)


def test_the_scale_of_the_psf_falls_to_its_floor():
    scale = psf_scale_deg(np.array([1e2, 1e9]), 0.0575, 9.66e-4, -0.8)
    np.testing.assert_allclose(scale, np.degrees([np.hypot(0.0575, 9.66e-4), 9.66e-4]), rtol=1e-4)


# files -----------------------------------------------------------------------------------------


def test_saved_tables_come_back(tmp_path):
    instrument = load_instrument()
    relative = np.linspace(0.9, 1.1, 12)
    uneven = replace(instrument, front=replace(instrument.front, relative_exposure=relative))
    uneven.save(tmp_path / "uneven.npz")
    again = load_instrument(tmp_path / "uneven.npz")
    np.testing.assert_array_equal(again.front.relative_exposure, relative)
    assert again.back.relative_exposure is None
    (tmp_path / "uneven.npz").unlink()
    instrument.save(tmp_path / "tables.npz")
    again = load_instrument(tmp_path / "tables.npz")
    assert again.irf == "P8R3_SOURCE_V3"
    for part in PARTS:
        for name in ("exposure_per_year", "psf_density", "dispersion", "sin_dec"):
            np.testing.assert_array_equal(
                getattr(getattr(again, part), name), getattr(getattr(instrument, part), name)
            )
    assert [path.name for path in tmp_path.iterdir()] == ["tables.npz"]


def test_both_event_types_are_two_parts_and_an_unknown_one_is_refused():
    instrument = load_instrument()
    assert instrument.parts("all") == (instrument.front, instrument.back)
    assert instrument.parts("psf01") == instrument.psf[:2]
    with pytest.raises(InputError, match="event type 'edisp3' is none of"):
        instrument.parts("edisp3")


@pytest.mark.parametrize("variable", ["CALDB", "FERMI_DIR"])
def test_calibration_files_are_sought_below_the_folders_of_the_environment(
    tmp_path, monkeypatch, variable
):
    for name in ("CALDB", "FERMI_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="not found in any folder"):
        caldb.find_caldb_file("psf")
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(InputError, match="set CALDB or FERMI_DIR"):
        caldb.find_caldb_file("psf")
    file = tmp_path / "data" / "glast" / "lat" / "bcf" / "psf_P8R3_SOURCE_V3_FB.fits"
    file.parent.mkdir(parents=True)
    file.touch()
    assert caldb.find_caldb_file("psf") == file


def test_the_command_writes_the_tables_and_shows_its_usage(shared_data, tmp_path, capsys):
    assert make_tables.main(["one"]) == 2
    assert "CALDB_FOLDER LTCUBE OUTPUT.npz" in capsys.readouterr().err
    output = tmp_path / "tables.npz"
    assert make_tables.main([str(shared_data / "irf"), str(livetime_file(shared_data)),
                             str(output)]) == 0  # fmt: skip
    np.testing.assert_allclose(
        load_instrument(output).back.psf_density, load_instrument().back.psf_density, rtol=1e-4
    )
