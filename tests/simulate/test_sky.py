"""Whole skies and regions: the same statistics as rendered patches, and files others read."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from gammapy.data import GTI, EventList
from simulate_samples import BRIGHT, FAINT, MIDDLE, OUTSIDE, empty_model, power_laws, small_model

from fermi_unek.diffuse.named import DiffuseModel
from fermi_unek.errors import InputError, OutputError
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.photons import render_patch
from fermi_unek.simulate.sky import (
    simulate_counts,
    simulate_photons,
    sources_in_reach,
    year_lengths,
)
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.sky.bins import (
    ENERGY_EDGES_MEV,
    MISSION_START_MET,
    N_BINS,
    NATIVE_ORDERS,
    NATIVE_PIXELS,
    YEAR_S,
)
from fermi_unek.sky.geometry.coverage import circle_coverage, coverage_vectors, inside_circle
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.geometry.patches import cut_patch
from fermi_unek.sky.io.readers import read_sky

REGION = (21.0, 0.0, 7.7)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def photon_vectors(sky, b: int) -> np.ndarray:
    one = sky.bins[b]
    pixels = np.repeat(one.pixels.astype(np.int64), one.counts)
    return np.stack(hp.pix2vec(2**one.order, pixels, nest=True), axis=-1)


# counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lon", "lat"), [(21.0, 0.0), (150.0, 60.0)])
def test_a_patch_cut_from_a_simulated_sky_is_a_rendered_patch(lon, lat):
    """Mean images of repeated draws, in blocks of two by two pixels or more."""
    model, frame, draws = small_model(), PatchFrame(lon, lat, 30.0), 6
    sums = {name: [np.zeros((16, 16)) for _ in range(N_BINS)] for name in ("cut", "rendered")}
    for draw in range(draws):
        sky = simulate_counts(model, 10.0, rng(1, draw), (lon, lat, 7.7))
        for name, patch in (
            ("cut", cut_patch(sky, frame)),
            ("rendered", render_patch(model, frame, 10.0, rng(2, draw))),
        ):
            for b, counts in enumerate(patch.counts):
                block = NATIVE_PIXELS[b] // 16
                sums[name][b] += counts.reshape(16, block, 16, block).sum(axis=(1, 3))
    for b in range(N_BINS):
        cut, rendered = sums["cut"][b], sums["rendered"][b]
        total = cut.sum() + rendered.sum()
        assert abs(cut.sum() - rendered.sum()) < 4.5 * np.sqrt(total) + 0.002 * total
        # bright images are rendered to two percent where they peak
        error = np.sqrt(cut + rendered + (0.02 * rendered) ** 2)
        chi = (cut - rendered) / np.maximum(error, 1.0)
        assert np.mean(chi**2) < 1.35
        assert np.max(np.abs(chi)) < 5.5


def test_the_whole_sky_has_the_photons_that_are_expected():
    model = small_model()
    sky = simulate_counts(model, 0.2, rng(3))
    expected = 0.2 * (model.background.mean(axis=1) * 4 * np.pi + model.expected_counts.sum(axis=0))
    assert np.all(np.abs(sky.totals - expected) < 5 * np.sqrt(expected))
    assert sky.coverage is None
    assert sky.livetime_years == 0.2
    assert sky.event_type == "front"


def test_background_photons_are_poisson_and_uniform_inside_their_pixel():
    sky = simulate_counts(empty_model(), 10.0, rng(4), (150.0, 60.0, 5.0))
    for b in (0, 3):
        one = sky.bins[b]
        levels = 2 * (NATIVE_ORDERS[b] - 9)
        share = np.bincount(one.pixels & ((1 << levels) - 1), one.counts, 1 << levels)
        assert np.all(np.abs(share - share.mean()) < 5 * np.sqrt(share.mean()))
        inside = np.flatnonzero(one.coverage)
        each = np.bincount(np.searchsorted(inside, one.pixels >> levels), one.counts, inside.size)
        assert each.var() == pytest.approx(each.mean(), rel=0.1)


def test_one_seed_is_one_sky_and_another_seed_another():
    first, again, other = (
        simulate_counts(small_model(), 1.0, rng(seed), REGION) for seed in (5, 5, 6)
    )
    for a, b, c in zip(first.bins, again.bins, other.bins, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.counts, b.counts)
        assert not np.array_equal(a.pixels, c.pixels)


def test_twice_the_live_time_is_twice_the_photons():
    one, two = (simulate_counts(small_model(), years, rng(7), REGION).totals for years in (2, 4))
    assert np.all(np.abs(two - 2 * one) < 5 * np.sqrt(two + 4 * one))


# regions ---------------------------------------------------------------------------------------


def test_a_region_covers_its_circle_and_holds_no_photon_outside():
    sky = simulate_counts(small_model(), 5.0, rng(8), REGION)
    np.testing.assert_array_equal(sky.coverage, circle_coverage(*REGION))
    for b in range(N_BINS):
        inside = sky.bins[b].coverage[sky.bins[b].pixels >> 2 * (NATIVE_ORDERS[b] - 9)]
        assert inside.all()


def test_photons_of_a_bright_source_outside_spill_in():
    """The source lies 0.8 degrees outside; the photons expected there are its PSF's."""
    model = small_model()
    region = (21.0, 0.0, 7.7)
    sky, without = (
        simulate_counts(m, 10.0, rng(9), region) for m in (model, only(model, BRIGHT, MIDDLE))
    )
    edge = lonlat_to_vectors(np.array(28.6), np.array(0.0))
    counts, alone = (
        np.sum(photon_vectors(s, 0) @ edge > np.cos(np.radians(0.5))) for s in (sky, without)
    )
    assert counts > alone + 20 * np.sqrt(alone)


def only(model, *rows: int):
    """The model with the light of some sources only."""
    dark = np.ones(len(model.sources), bool)
    dark[list(rows)] = False
    rates = tuple(np.where(dark[:, None], 0, r).astype(np.float32) for r in model.rates)
    return type(model)(
        model.sources, rates, model.background, model.fine_background, model.responses,
        model.event_type, model.background_name,
    )  # fmt: skip


def test_sources_in_reach_are_the_near_ones_and_the_bright_ones_further_out():
    model = small_model()
    assert sources_in_reach(model, None).tolist() == [0, 1, 2, 3]
    assert sources_in_reach(model, (0.0, 0.0, 180.0)).tolist() == [0, 1, 2, 3]
    # 20 degrees off the edge: too far for the faint one, not for the others
    assert sources_in_reach(model, (-5.0, 0.0, 5.0)).tolist() == [BRIGHT, MIDDLE]
    assert FAINT not in sources_in_reach(model, (-5.0, 0.0, 5.0))
    assert sources_in_reach(model, (180.0, 0.0, 5.0)).size == 0
    assert OUTSIDE in sources_in_reach(model, REGION)


# years -----------------------------------------------------------------------------------------


def test_the_years_add_up_to_the_whole():
    sky = simulate_counts(small_model(), 2.5, rng(10), REGION, yearly=True)
    assert [layer.livetime_years for layer in sky.years] == [1.0, 1.0, 0.5]
    np.testing.assert_array_equal(sum(layer.totals for layer in sky.years), sky.totals)
    for b in range(N_BINS):
        for layer in sky.years:
            assert np.isin(layer.bins[b].pixels, sky.bins[b].pixels).all()
    first, last = sky.years[0].totals, sky.years[2].totals
    assert np.all(np.abs(first - 2 * last) < 5 * np.sqrt(first + 4 * last))


def test_a_source_may_shine_in_one_year_only():
    factors = np.zeros((4, 2))
    factors[BRIGHT] = [0.0, 2.0]
    sky = simulate_counts(small_model(), 2.0, rng(11), REGION, yearly=True, factors=factors)
    dark = simulate_counts(only(small_model()), 1.0, rng(12), REGION)
    place = small_model().vectors[BRIGHT]
    counts = [
        np.sum(photon_vectors(layer, 3) @ place > np.cos(np.radians(0.3)))
        for layer in (*sky.years, dark)
    ]
    assert counts[1] > 20 * counts[0]
    assert abs(counts[0] - counts[2]) < 5 * np.sqrt(counts[0] + counts[2])
    total = simulate_counts(small_model(), 2.0, rng(11), REGION, factors=factors)
    np.testing.assert_array_equal(total.totals, sky.totals)
    assert total.years == ()


def test_factors_of_another_shape_are_refused():
    with pytest.raises(InputError, match="a row for each of 4 sources and a column for each of 3"):
        simulate_counts(small_model(), 2.5, rng(0), REGION, factors=np.ones((4, 2)))


@pytest.mark.parametrize("years", [0.0, -1.0, np.nan])
def test_a_live_time_that_is_none_is_refused(years):
    for function in (simulate_counts, simulate_photons):
        with pytest.raises(InputError, match="expected more than zero"):
            function(small_model(), years, rng(0))


def test_flux_factors_of_another_shape_are_refused():
    for function in (simulate_counts, simulate_photons):
        with pytest.raises(InputError, match="expected a row for each of 4 sources and a column"):
            function(small_model(), 2.0, rng(0), factors=np.ones((4, 3)))


def test_a_region_that_is_no_circle_is_refused():
    for function in (simulate_counts, simulate_photons):
        with pytest.raises(InputError, match="is no circle"):
            function(small_model(), 1.0, rng(0), (0.0, 95.0, 5.0))


def test_mission_years_are_whole_but_for_the_last():
    assert year_lengths(3.0) == [1.0, 1.0, 1.0]
    assert year_lengths(0.25) == [0.25]
    assert year_lengths(10.5)[-1] == pytest.approx(0.5)


# photons ---------------------------------------------------------------------------------------


def test_photons_one_by_one_have_the_numbers_of_the_counts():
    model = small_model()
    photons = simulate_photons(model, 5.0, rng(13), REGION)
    counts = simulate_counts(model, 5.0, rng(14), REGION).totals
    numbers = np.histogram(photons.energies_mev, ENERGY_EDGES_MEV)[0]
    assert numbers.sum() == len(photons)
    # the circle is cut by pixels in the counts: a thousandth
    assert np.all(np.abs(numbers - counts) < 5 * np.sqrt(numbers + counts) + 2e-3 * counts)
    assert inside_circle(photons.vectors, REGION).all()
    assert np.all(np.diff(photons.times_met) >= 0)
    assert photons.span_met == (MISSION_START_MET, MISSION_START_MET + 5.0 * YEAR_S)
    assert (photons.conversion == 0).all()


def test_diffuse_photons_follow_a_power_law_inside_the_bins():
    photons = simulate_photons(empty_model(), 10.0, rng(15), (150.0, 60.0, 12.0))
    edges = np.array([1000.0, 1260.0, 1587.0, 2000.0])
    counts = np.histogram(photons.energies_mev, edges)[0]
    # index 2.4 and an effective area that hardly changes
    expected = edges[:-1] ** -1.4 - edges[1:] ** -1.4
    expected *= counts.sum() / expected.sum()
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected) + 0.05 * expected)


@pytest.mark.parametrize("event_type", ["back", "all"])
def test_photons_tell_where_they_converted(event_type):
    model = small_model(event_type)
    photons = simulate_photons(model, 1.0, rng(16), REGION)
    if event_type == "back":
        assert (photons.conversion == 1).all()
        return
    front = len(simulate_photons(small_model("front"), 1.0, rng(17), REGION))
    number = int(np.sum(photons.conversion == 0))
    assert abs(number - front) < 5 * np.sqrt(number + front) + 0.01 * front


def test_times_are_uniform_from_the_start_that_is_given():
    start = MISSION_START_MET + 3 * YEAR_S
    photons = simulate_photons(small_model(), 1.0, rng(18), REGION, start_met=start)
    quarters = np.histogram(photons.times_met, np.linspace(*photons.span_met, 5))[0]
    assert quarters.sum() == len(photons)
    assert photons.span_met[0] == start
    assert np.all(np.abs(quarters - quarters.mean()) < 5 * np.sqrt(quarters.mean()))


def test_a_source_that_varies_sends_its_photons_in_its_bright_years():
    model = small_model()
    factors = np.ones((4, 3))
    factors[0] = [0.0, 2.0, 1.0]
    start = MISSION_START_MET + YEAR_S
    photons = simulate_photons(model, 2.5, rng(30), REGION, start_met=start, factors=factors)
    assert np.all(np.diff(photons.times_met) >= 0)
    assert photons.span_met == (start, start + 2.5 * YEAR_S)
    near = inside_circle(photons.vectors, (20.3, 0.8, 0.2)) & (photons.energies_mev > 2000.0)
    far = ~inside_circle(photons.vectors, (20.3, 0.8, 6.0))
    years = (photons.times_met - start) / YEAR_S
    counts = np.histogram(years[near], [0.0, 1.0, 2.0, 2.5])[0]
    assert counts[0] < 0.05 * counts[1]
    assert counts[1] / counts[2] == pytest.approx(4.0, rel=0.2)
    inside = np.histogram(years[near], np.linspace(1.0, 2.0, 6))[0]
    assert np.all(np.abs(inside - inside.mean()) < 5 * np.sqrt(inside.mean()))
    others = np.histogram(years[far], np.linspace(0.0, 2.5, 6))[0]
    assert np.all(np.abs(others - others.mean()) < 5 * np.sqrt(others.mean()))
    steady = simulate_photons(model, 2.5, rng(31), REGION)
    brighter = len(photons) / len(steady)
    # (0 + 2 + 0.5) / 2.5 is one
    assert brighter == pytest.approx(1.0, abs=0.05)


# FT1 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ft1(tmp_path_factory):
    photons = simulate_photons(small_model("all"), 0.5, rng(19), (21.0, 0.0, 5.0))
    path = tmp_path_factory.mktemp("ft1") / "photons.fits"
    return photons, write_ft1(photons, path, rng(20))


def test_gammapy_opens_the_photons(ft1):
    photons, path = ft1
    events = EventList.read(path)
    assert len(events.table) == len(photons)
    np.testing.assert_allclose(events.energy.to_value("MeV"), photons.energies_mev, rtol=1e-6)
    galactic = events.radec.galactic
    found = lonlat_to_vectors(galactic.l.deg, galactic.b.deg)
    assert np.max(np.linalg.norm(found - photons.vectors, axis=1)) < 1e-6
    start = events.time[0].mjd
    assert start == pytest.approx(54682.65, abs=0.05)
    assert events.time[-1].mjd - start == pytest.approx(0.5 * 365.25, abs=0.1)
    assert GTI.read(path).time_sum.to_value("yr") == pytest.approx(0.5)


def test_our_reader_counts_the_same_photons(ft1):
    photons, path = ft1
    for event_type in ("front", "back", "all"):
        sky = read_sky(path, rng=rng(0), event_type=event_type)
        kept = {"front": [0], "back": [1], "all": [0, 1]}[event_type]
        energies = photons.energies_mev[np.isin(photons.conversion, kept)]
        np.testing.assert_array_equal(sky.totals, np.histogram(energies, ENERGY_EDGES_MEV)[0])
        assert sky.livetime_years == pytest.approx(0.5)
        np.testing.assert_array_equal(sky.coverage, circle_coverage(21.0, 0.0, 5.0))


def test_the_file_has_the_columns_and_good_times_of_ft1(ft1):
    photons, path = ft1
    with fits.open(path) as hdus:
        data, header = hdus["EVENTS"].data, hdus["EVENTS"].header
        np.testing.assert_array_equal(data["CONVERSION_TYPE"], photons.conversion)
        bits = np.asarray(data["EVENT_TYPE"])
        np.testing.assert_array_equal(bits[:, -1], photons.conversion == 0)
        np.testing.assert_array_equal(bits[:, -2], photons.conversion == 1)
        assert np.asarray(data["EVENT_CLASS"])[:, -8].all()
        assert data["ZENITH_ANGLE"].min() >= 0
        assert data["ZENITH_ANGLE"].max() < 100.0
        np.testing.assert_allclose(
            lonlat_to_vectors(data["L"], data["B"]), photons.vectors, atol=1e-6
        )
        gti = hdus["GTI"].data
        assert np.sum(gti["STOP"] - gti["START"]) == pytest.approx(0.5 * YEAR_S)
        assert len(gti) == int(np.ceil(0.5 * YEAR_S / (7 * 86400)))
        np.testing.assert_array_equal(gti["START"][1:], gti["STOP"][:-1])
        assert header["NDSKEYS"] == 6
        assert header["DSVAL4"] == "300:1e+06"


def test_the_file_has_every_keyword_and_column_that_files_of_the_archive_have(ft1, shared_data):
    """gtselect refuses files without PASS_VER; the rest is what its neighbours look at."""
    # who made the file, and when
    kept = {"FILENAME", "CREATOR", "DATE", "TASSIGN", "CHECKSUM", "DATASUM"}
    with (
        fits.open(ft1[1]) as ours,
        fits.open(shared_data / "fermitools" / "photons_week1.fits.gz") as theirs,
    ):
        assert [hdu.name for hdu in ours] == [hdu.name for hdu in theirs]
        for mine, real in zip(ours, theirs, strict=True):
            missing = set(real.header) - set(mine.header) - kept
            assert {key for key in missing if key[:2] != "DS"} == set()
            for key in ("TELESCOP", "INSTRUME", "RADECSYS", "TIMESYS", "PASS_VER", "HDUCLAS1"):
                assert mine.header.get(key) == real.header.get(key)
        columns = [
            [(c.name, c.format, c.unit) for c in f["EVENTS"].columns] for f in (ours, theirs)
        ]
        assert columns[0] == columns[1]
        cuts = [[f["EVENTS"].header[f"DSTYP{k}"] for k in range(1, 6)] for f in (ours, theirs)]
        assert set(cuts[1]) <= {*cuts[0], "TIME"}
        assert ours["EVENTS"].header["DATE-OBS"].startswith("2008-08-04T15:43:3")


def test_a_whole_sky_of_photons_says_so(tmp_path):
    photons = simulate_photons(small_model(), 0.002, rng(21))
    path = write_ft1(photons, tmp_path / "photons.fits", rng(22))
    assert read_sky(path, rng=rng(0)).coverage is None
    with pytest.raises(OutputError, match="exists already"):
        write_ft1(photons, path, rng(23))
    write_ft1(photons, path, rng(22), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["photons.fits"]


def test_a_list_without_photons_is_written(tmp_path):
    photons = simulate_photons(empty_model(), 1e-7, rng(24), (150.0, 60.0, 0.5))
    assert len(photons) == 0
    path = write_ft1(photons, tmp_path / "photons.fits", rng(25))
    assert len(EventList.read(path).table) == 0


def test_energies_of_diffuse_photons_follow_the_spectrum_of_their_place():
    """Inside of a bin as well: half of the sky is hard, the other soft."""
    nodes = np.array([100.0, 1e6])
    hard, soft = (3e-9 * (nodes / 1e3) ** -index for index in (1.2, 3.6))
    east = coverage_vectors()[:, 1].reshape(-1, 4).mean(axis=1) > 0
    maps = np.where(east, hard[:, None], soft[:, None]).astype(np.float32)
    diffuse = DiffuseModel("halves", nodes, maps, nodes, 1e-3 * hard, psf_included=True)
    sources = power_laws([(7.0, 0.0), (353.0, 0.0)], [1e-15, 1e-15])
    model = build_sky_model(sources, diffuse, load_instrument())
    photons = simulate_photons(model, 1.0, rng(3), (0.0, 0.0, 8.0))
    low, high = ENERGY_EDGES_MEV[2:4]
    inside = (photons.energies_mev > low) & (photons.energies_mev < high)
    in_east = photons.vectors[:, 1] > 0
    means = [np.log(photons.energies_mev[inside & side]).mean() for side in (in_east, ~in_east)]
    expected = [_mean_log(low, high, index) for index in (1.2, 3.6)]
    np.testing.assert_allclose(means, expected, atol=0.02)


def _mean_log(low, high, index):
    """Mean log energy of a power law between two energies."""
    energies = np.geomspace(low, high, 1000)
    return float(np.average(np.log(energies), weights=energies ** (1.0 - index)))
