"""Mock skies against 4FGL-DR2: counts, spectra, places; and the extended sources beside them."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from astropy.table import Table, vstack

from fermi_unek.catalog import load_release
from fermi_unek.catalog.spectra import photon_flux
from fermi_unek.diffuse.model import DIFFUSE_NSIDE
from fermi_unek.simulate.extended import extended_model, extended_table, source_pixels
from fermi_unek.simulate.mock import CLASSES, Law, dr2_classes, laws, mock_population
from fermi_unek.simulate.population import resampled_population, select_columns
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

NEBULAE = ("pwn", "snr", "spp")


@pytest.fixture(scope="module")
def mock() -> Table:
    return mock_population(np.random.default_rng(4))


@pytest.fixture(scope="module")
def resampled() -> Table:
    return resampled_population(np.random.default_rng(4))


@pytest.fixture(scope="module")
def several() -> Table:
    """Bright parts of five skies, for distributions of few sources."""
    skies = [mock_population(np.random.default_rng(s), tail=False) for s in range(5)]
    return vstack(skies)


def of_class(table: Table, name: str) -> np.ndarray:
    names = NEBULAE if name == "pwn" else (name,)
    return np.isin(table["CLASS1"], names)


def distance(sample: np.ndarray, reference: np.ndarray, weights: np.ndarray) -> float:
    """Largest difference of two cumulative distributions, the second one weighted."""
    order = np.argsort(reference)
    steps = np.concatenate([[0.0], np.cumsum(weights[order])]) / weights.sum()
    values = np.sort(np.concatenate([sample, reference]))
    ours = np.searchsorted(np.sort(sample), values, side="right") / sample.size
    theirs = steps[np.searchsorted(reference[order], values, side="right")]
    return float(np.abs(ours - theirs).max())


def measured(mock: Table, real: Table, rows: np.ndarray, name: str, mine: np.ndarray) -> np.ndarray:
    """A spectral parameter of mock sources with the errors of DR2 sources of like flux."""
    flux, known = (np.asarray(t["Flux1000"], float) for t in (mock[mine], real[rows]))
    order = np.argsort(known)
    near = order[np.minimum(np.searchsorted(known[order], flux), order.size - 1)]
    error = np.nan_to_num(np.asarray(real[f"Unc_{name}"], float)[rows][near])
    noise = np.random.default_rng(8).standard_normal(mine.sum())
    return np.asarray(mock[name], float)[mine] + error * noise


# what DR2's sources are ------------------------------------------------------------------------


def test_named_sources_are_of_their_class_and_others_are_shared_out_in_published_numbers():
    table, weights = dr2_classes()
    kind, latitude = np.asarray(table["CLASS1"]), np.abs(table["GLAT"])
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    for name in ("bll", "fsrq"):
        assert np.all(weights[kind == name, CLASSES.index(name)] == 1.0)
    pulsars = weights[kind == "psr"].sum(axis=0)
    # of 271 pulsars DR4 calls 144 millisecond pulsars
    assert pulsars[CLASSES.index("msp")] == pytest.approx(144, abs=3)
    bcu = weights[kind == "bcu"].sum(axis=0)
    np.testing.assert_allclose(bcu / bcu.sum(), [801 / 1207, 406 / 1207, 0, 0, 0], atol=0.01)
    unnamed = np.isin(kind, ("", "unk"))
    low = weights[unnamed & (latitude < 10)].mean(axis=0)
    assert low[:2].sum() == pytest.approx(290 / 1167, abs=0.005)
    assert low[2:4].sum() == pytest.approx(135 / 1167, abs=0.005)
    high = weights[unnamed & (latitude > 20)].mean(axis=0)
    assert high[:2].sum() == pytest.approx(1037 / 1125, abs=0.005)


def test_unnamed_sources_of_hard_and_straight_spectrum_are_bl_lacs():
    table, weights = dr2_classes()
    bcu = np.asarray(table["CLASS1"]) == "bcu"
    index = np.asarray(table["PL_Index"])
    assert weights[bcu & (index < 1.9), 0].mean() > 0.95
    assert weights[bcu & (index > 2.6), 1].mean() > 0.7


# counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [2.5e-10, 6e-10, 2e-9])
@pytest.mark.parametrize("name", ["bll", "fsrq"])
def test_blazars_have_dr2s_counts_where_dr2_is_complete(several, name, threshold):
    real, weights = dr2_classes()
    there = (np.abs(real["GLAT"]) > 10) & (real["Flux1000"] > threshold)
    expected = weights[there, CLASSES.index(name)].sum()
    ours = of_class(several, name) & (np.abs(several["GLAT"]) > 10)
    number = np.sum(ours & (several["Flux1000"] > threshold)) / 5
    assert number == pytest.approx(expected, rel=0.06, abs=3 * np.sqrt(expected / 5))


# a mock does not tell millisecond pulsars from young ones
@pytest.mark.parametrize("name", ["bll", "fsrq", "psr", "pwn"])
def test_every_class_has_the_flux_distribution_of_dr2(several, name):
    real, weights = dr2_classes()
    weight = weights[:, CLASSES.index(name)].copy()
    if name == "psr":
        weight += weights[:, CLASSES.index("msp")]
    latitude = 10.0 if name in ("bll", "fsrq") else 0.0
    threshold = 2.5e-10 if latitude else 1.5e-9
    theirs = (np.abs(real["GLAT"]) >= latitude) & (real["Flux1000"] > threshold)
    ours = of_class(several, name) & (np.abs(several["GLAT"]) >= latitude)
    ours &= np.asarray(several["Flux1000"]) > threshold
    assert ours.sum() / 5 == pytest.approx(weight[theirs].sum(), rel=0.12)
    apart = distance(
        np.log(several["Flux1000"][ours]),
        np.log(np.asarray(real["Flux1000"], float)[theirs]),
        weight[theirs],
    )
    assert apart < 0.07


def test_the_energy_flux_follows_from_flux_and_spectrum_as_in_dr2(several):
    real, weights = dr2_classes()
    values = select_columns(load_release("4FGL-DR2"), ("Energy_Flux100", "Extended_Source_Name"))
    values = values[np.asarray(values["Extended_Source_Name"]) == ""]
    # of fainter sources DR2's energy flux is that of a straight power law
    there = (np.abs(real["GLAT"]) > 10) & (real["Flux1000"] > 1e-9)
    for k, name in enumerate(("bll", "fsrq")):
        ours = of_class(several, name) & (np.abs(several["GLAT"]) > 10)
        ours &= np.asarray(several["Flux1000"]) > 1e-9
        theirs = np.log(np.asarray(values["Energy_Flux100"], float)[there])
        assert distance(np.log(several["Energy_Flux100"][ours]), theirs, weights[there, k]) < 0.1


def test_the_faint_end_goes_on_from_dr2_without_a_step(mock, several):
    flux = np.asarray(mock["Flux1000"])
    high = np.abs(mock["GLAT"]) > 20
    blazar = high & np.isin(mock["CLASS1"], ("bll", "fsrq"))
    # the law of all sources beyond 20 degrees, 3.4e-7 / S, less the pulsars among them
    for threshold in (1e-10, 2e-10, 5e-10):
        assert np.sum(blazar & (flux > threshold)) == pytest.approx(3.4e-7 / threshold, rel=0.12)
    steps = np.histogram(flux[blazar], [1e-10, 1.5e-10, 2e-10, 2.5e-10, 3e-10])[0]
    assert np.all(np.diff(steps) < 0)
    assert flux.min() >= 2e-11
    assert np.asarray(several["Flux1000"]).min() >= 0.999 * 2e-10


def test_the_mock_has_about_as_many_faint_sources_as_the_resampled_sky(mock, resampled):
    for threshold in (1e-10, 3e-10):
        number = np.sum(mock["Flux1000"] > threshold)
        assert number == pytest.approx(np.sum(resampled["Flux1000"] > threshold), rel=0.3)


def test_counts_bend_at_the_break_and_do_not_jump():
    law = Law(threshold=2e-10, faintest=2e-11, number=100.0, slope=1.1)
    at = law.number_above(np.array([2e-10, 1.001e-10, 0.999e-10, 2e-11]))
    assert at[0] == 100.0
    assert at[2] == pytest.approx(at[1], rel=5e-3)
    assert at[3] == pytest.approx(100 * 2**1.1 * (1 + 1.1 / 0.9 * (5**0.9 - 1)), rel=1e-6)


def test_each_class_ends_below_dr2s_threshold():
    names = [name for name, _ in laws()]
    assert set(names) == set(CLASSES)
    for _, law in laws():
        assert law.faintest < law.threshold
        assert 0.4 < law.slope < 1.3


# spectra ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flux", "limit"),
    [("bll", 2.5e-10, 0.12), ("fsrq", 2.5e-10, 0.12), ("bll", 2e-9, 0.16), ("fsrq", 2e-9, 0.16),
     ("pwn", 1.5e-9, 0.17)],
)  # fmt: skip
@pytest.mark.parametrize("parameter", ["LP_Index", "LP_beta"])
def test_index_and_curvature_measured_as_in_dr2_have_dr2s_distribution(
    several, name, flux, limit, parameter
):
    real, weights = dr2_classes()
    latitude = 0.0 if name == "pwn" else 10.0
    theirs = (np.abs(real["GLAT"]) >= latitude) & (real["Flux1000"] > flux)
    theirs &= weights[:, CLASSES.index(name)] > 1e-3
    ours = of_class(several, name) & (np.abs(several["GLAT"]) >= latitude)
    ours &= np.asarray(several["Flux1000"]) > flux
    sample = measured(several, real, theirs, parameter, ours)
    apart = distance(
        sample,
        np.asarray(real[parameter], float)[theirs],
        weights[theirs, CLASSES.index(name)],
    )
    # a hundred bright sources of DR2 are known to 0.13 themselves
    assert apart < limit


def test_pulsars_have_the_cutoffs_of_dr2(several):
    real, _ = dr2_classes()
    theirs = (np.asarray(real["CLASS1"]) == "psr") & (real["Flux1000"] > 1.5e-9)
    theirs &= np.asarray(real["SpectrumType"]) == "PLSuperExpCutoff"
    ours = of_class(several, "psr") & (several["Flux1000"] > 1.5e-9)
    assert set(several["SpectrumType"][ours]) == {"PLSuperExpCutoff"}
    even = np.ones(theirs.sum())
    for parameter in ("PLEC_Index", "PLEC_Expfactor", "Pivot_Energy"):
        reference = np.asarray(real[parameter], float)[theirs]
        assert distance(np.asarray(several[parameter], float)[ours], reference, even) < 0.13


def test_index_goes_with_flux_curvature_and_pivot_as_in_dr2(several):
    real, weights = dr2_classes()
    high = np.abs(several["GLAT"]) > 10
    for k, name in enumerate(("bll", "fsrq")):
        theirs = (np.abs(real["GLAT"]) > 10) & (real["Flux1000"] > 1e-9) & (weights[:, k] > 0.9)
        ours = high & of_class(several, name) & (several["Flux1000"] > 1e-9)
        for other in ("LP_beta", "Pivot_Energy"):
            expected = np.corrcoef(real["LP_Index"][theirs], real[other][theirs])[0, 1]
            got = np.corrcoef(several["LP_Index"][ours], several[other][ours])[0, 1]
            assert got == pytest.approx(expected, abs=0.3)
    # bright FSRQ are harder
    fsrq = of_class(several, "fsrq")
    faint, bright = (
        np.median(several["LP_Index"][fsrq & (several["Flux1000"] > low)
                                      & (several["Flux1000"] < high)])
        for low, high in ((2e-10, 4e-10), (2e-9, 1e-6))
    )  # fmt: skip
    assert 0.05 < faint - bright < 0.3


def test_faint_blazars_are_curved_like_bright_ones_but_pulsars_stay_apart(mock):
    faint = of_class(mock, "fsrq") & (mock["Flux1000"] < 1e-10)
    assert 0.05 < np.median(mock["LP_beta"][faint]) < 0.14
    assert np.mean(mock["SpectrumType"][faint] == "LogParabola") > 0.8


# places ----------------------------------------------------------------------------------------


def test_blazars_are_uniform_and_the_others_keep_dr2s_latitudes(several):
    sine = np.sin(np.radians(several["GLAT"][np.isin(several["CLASS1"], ("bll", "fsrq"))]))
    assert distance(np.asarray(sine), np.linspace(-1, 1, 2001), np.ones(2001)) < 0.025
    real, weights = dr2_classes()
    bright = np.asarray(real["Flux1000"]) > 1.5e-9
    for name in ("psr", "pwn"):
        weight = weights[bright, CLASSES.index(name)].copy()
        if name == "psr":
            weight += weights[bright, CLASSES.index("msp")]
        ours = of_class(several, name) & (several["Flux1000"] > 1.5e-9)
        latitude = np.abs(np.asarray(real["GLAT"], float))[bright]
        assert distance(np.abs(several["GLAT"][ours]), latitude, weight) < 0.11


def test_all_classes_together_have_dr2s_numbers_in_latitude(several):
    real, _ = dr2_classes()
    for flux, low, high in ((1.5e-9, 0, 2), (1.5e-9, 2, 20), (6e-10, 2, 10), (2.5e-10, 20, 90)):
        numbers = []
        for table in (several, real):
            latitude = np.abs(table["GLAT"])
            there = (latitude >= low) & (latitude < high)
            numbers.append(np.sum(there & (np.asarray(table["Flux1000"]) > flux)))
        # 2 to 10 degrees: blazars of uniform density are fewer than DR2's weights have there
        assert numbers[0] / 5 == pytest.approx(numbers[1], rel=0.25 if high == 10 else 0.12)


# the table -------------------------------------------------------------------------------------


def test_a_mock_is_a_population_like_the_others(mock, resampled):
    assert set(mock.colnames) == set(resampled.colnames)
    assert set(mock["CLASS1"]) <= {"bll", "fsrq", "psr", *NEBULAE}
    assert np.unique(mock["Source_Name"]).size == len(mock)
    assert not np.isfinite(mock["Signif_Avg"]).any()
    np.testing.assert_allclose(mock["Flux1000"], photon_flux(mock))
    assert (np.asarray(mock["Flux1000"]) > 0).all()


def test_a_seed_is_a_mock_and_another_seed_another(several):
    again = mock_population(np.random.default_rng(0), tail=False)
    first, others = several[: len(again)], several[len(again) :]
    for name in ("GLON", "Flux1000", "CLASS1", "LP_beta"):
        np.testing.assert_array_equal(again[name], first[name])
    assert not np.isin(others["GLON"], again["GLON"]).any()


# extended sources ------------------------------------------------------------------------------


def test_the_extended_sources_of_dr2_have_their_spectra_and_shapes():
    table = extended_table()
    assert len(table) == 75
    assert dict(zip(*np.unique(table["Spatial_Function"], return_counts=True), strict=True)) == {
        "RadialDisk": 43, "RadialGauss": 13, "SpatialMap": 19,
    }  # fmt: skip
    catalog = select_columns(load_release("4FGL-DR2"), ("Source_Name", "Flux1000"))
    flux = dict(zip(catalog["Source_Name"].tolist(), catalog["Flux1000"].tolist(), strict=True))
    expected = [flux[name] for name in table["Source_Name"].tolist()]
    np.testing.assert_allclose(table["Flux1000"], expected, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "size"),
    [("HB 21", 1.19 / np.sqrt(2)), ("Cygnus Cocoon", 3.0 / 1.51 * np.sqrt(2))],
)
def test_disks_and_gaussians_have_their_size(name, size):
    table = extended_table()
    row = table[np.asarray(table["Extended_Source_Name"]) == name][0]
    pixels, share = source_pixels(row)
    centre = lonlat_to_vectors(np.asarray(float(row["GLON"])), np.asarray(float(row["GLAT"])))
    vectors = np.array(hp.pix2vec(DIFFUSE_NSIDE, pixels, nest=True)).T
    away = np.degrees(np.arccos(np.clip(vectors @ centre, -1, 1)))
    assert share.sum() == pytest.approx(1.0)
    assert np.sqrt((share * away**2).sum()) == pytest.approx(size, rel=0.03)


def test_a_template_falls_where_its_map_says():
    table = extended_table()
    row = table[np.asarray(table["Extended_Source_Name"]) == "LMC-North"][0]
    pixels, share = source_pixels(row)
    vectors = np.array(hp.pix2vec(DIFFUSE_NSIDE, pixels, nest=True)).T
    mean = share @ vectors
    centre = lonlat_to_vectors(np.asarray(float(row["GLON"])), np.asarray(float(row["GLAT"])))
    assert np.degrees(np.arccos(mean @ centre / np.linalg.norm(mean))) < 0.1
    assert np.unique(pixels).size == pixels.size


def test_the_model_of_extended_sources_holds_their_flux_and_no_more():
    table = extended_table()[[0, 10]]
    model = extended_model(table)
    edges = np.array([1e3, 1e4, 1e5])
    total = model.galactic(edges).sum(axis=1) * hp.nside2pixarea(DIFFUSE_NSIDE)
    expected = [photon_flux(table, lo, hi).sum() for lo, hi in ((1e3, 1e4), (1e4, 1e5))]
    np.testing.assert_allclose(total, expected, rtol=0.01)
    assert model.isotropic(edges).max() < 1e-20
    assert not model.psf_included
    assert extended_model(table[:0]).maps.max() == 0.0
