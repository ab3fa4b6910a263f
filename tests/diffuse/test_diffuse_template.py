"""The diffuse template and how it is cut into patches."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest

from fermi_unek.diffuse.model import DiffuseModel
from fermi_unek.diffuse.structure import smear
from fermi_unek.diffuse.template import (
    DiffuseShape,
    SkyTemplate,
    expected_template,
    load_shape,
    relative_exposures,
    save_shape,
    shape_of,
)
from fermi_unek.errors import InputError
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument
from fermi_unek.irf.observation import shipped_observation
from fermi_unek.sky.binning import BINNING, Binning
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS
from fermi_unek.sky.geometry.frame import PatchFrame, lonlat_to_vectors
from fermi_unek.sky.selection import EVENT_TYPES

FRAME = PatchFrame(123.0, -37.0, 28.0)


EDGES = np.array(BINNING.edges_mev)
COARSE = Binning(BINNING.edges_mev, (32,) * N_BINS)
"""Half a degree a pixel, so that the sky is smoothed in no time."""

FLAT_ISOTROPIC = dict.fromkeys(EVENT_TYPES, (0.5,) * N_BINS)


def template_of(value, binning: Binning = BINNING) -> SkyTemplate:
    """A template from a function of bin and unit vectors (3, npix)."""
    return SkyTemplate(
        tuple(
            value(b, np.array(hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)))
            for b, nside in enumerate(binning.template_nsides)
        ),
        binning,
    )


def shape(value, isotropic=FLAT_ISOTROPIC, psf_included: bool = False) -> DiffuseShape:
    return DiffuseShape(template_of(value, COARSE).maps, isotropic, psf_included, COARSE)


def plane_and_cloud(b: int, vectors: np.ndarray) -> np.ndarray:
    """A plane four degrees thick, and far from it one bright cloud."""
    cloud = lonlat_to_vectors(np.array(124.0), np.array(-38.0))
    bright = 40.0 * np.exp(-0.5 * ((1.0 - vectors.T @ cloud) * 2.0) / np.radians(0.6) ** 2)
    return (1.0 + 20.0 * np.exp(-0.5 * (vectors[2] / np.radians(4.0)) ** 2) + bright).astype("f4")


def test_a_patch_of_a_template_is_the_sky_at_the_centres_of_its_pixels():
    planes = template_of(lambda b, vectors: 1.0 + (b + 1) * 0.1 * vectors[2]).cut(FRAME)
    for b, (plane, n) in enumerate(zip(planes, BINNING.template_pixels, strict=True)):
        assert plane.shape == (n, n)
        assert plane.dtype == np.float32
        z = FRAME.pixel_vectors(n)[..., 2]
        np.testing.assert_allclose(plane, 1.0 + (b + 1) * 0.1 * z, rtol=2e-3)


def test_a_bright_cloud_lies_where_the_frame_puts_it():
    place = lonlat_to_vectors(np.array(124.5), np.array(-38.0))
    near = np.cos(np.radians(1.0))
    planes = template_of(lambda b, v: np.where(place @ v > near, 9.0, 1.0)).cut(FRAME)
    for plane, n in zip(planes, BINNING.template_pixels, strict=True):
        x, y = FRAME.project(place[None], n)
        rows, columns = np.nonzero(plane > 0.5 * plane.max())
        assert abs(columns.mean() - x[0]) < 0.5
        assert abs(rows.mean() - y[0]) < 0.5


def test_a_template_is_never_finer_than_the_counts():
    assert all(t <= n for t, n in zip(BINNING.template_pixels, NATIVE_PIXELS, strict=True))


def test_maps_of_another_size_are_refused():
    with pytest.raises(InputError, match="maps of a template have shapes"):
        SkyTemplate(tuple(np.ones(12) for _ in range(N_BINS)))


# --- shapes


def test_the_shape_of_a_model_is_its_intensity_in_each_bin():
    """A power law of index 2, whose integral is known."""
    energies = np.geomspace(100.0, 2e6, 12)
    z = hp.pix2vec(256, np.arange(12 * 256**2), nest=True)[2]
    bright = (1.0 + 0.5 * z).astype(np.float32)
    maps = (energies[:, None] ** -2.0 * bright).astype(np.float32)
    model = DiffuseModel("law", energies, maps, energies, 3.0 * energies**-2.0)
    isotropic = {name: tuple(model.isotropic(EDGES).tolist()) for name in EVENT_TYPES}
    found = shape_of(model, isotropic)
    integral = 1.0 / EDGES[:-1] - 1.0 / EDGES[1:]
    np.testing.assert_allclose(found.isotropic["front"], 3.0 * integral, rtol=1e-4)
    for plane, nside, level in zip(found.galactic, BINNING.template_nsides, integral, strict=True):
        z = hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)[2]
        np.testing.assert_allclose(plane, level * (1.0 + 0.5 * z), rtol=2e-3)


def test_a_shape_read_back_is_the_one_that_was_written_but_for_its_level(tmp_path):
    written = shape(lambda b, v: 10.0 ** (b - 8) * plane_and_cloud(b, v), psf_included=True)
    read = load_shape(save_shape(written, tmp_path / "own.safetensors"))
    assert read.psf_included
    assert read.binning == COARSE
    assert set(read.isotropic) == set(EVENT_TYPES)
    for b in range(N_BINS):
        level = read.galactic[b].astype(float).mean() / written.galactic[b].mean()
        np.testing.assert_allclose(read.galactic[b], level * written.galactic[b], rtol=2e-3)
        for name in EVENT_TYPES:
            assert read.isotropic[name][b] == pytest.approx(level * 0.5, rel=2e-3)


def test_the_shipped_shape_has_every_event_type_and_the_galactic_plane():
    shipped = load_shape("v07")
    assert set(shipped.isotropic) == set(EVENT_TYPES)
    for b, (plane, nside) in enumerate(zip(shipped.galactic, BINNING.template_nsides, strict=True)):
        assert plane.shape == (12 * nside**2,)
        lat = np.degrees(np.arcsin(hp.pix2vec(nside, np.arange(plane.size), nest=True)[2]))
        assert plane[np.abs(lat) < 2].mean() > 4.0 * plane[np.abs(lat) > 60].mean()
        assert all(0.0 < values[b] < 5.0 for values in shipped.isotropic.values())


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_file_that_holds_no_shape_is_refused(tmp_path, content):
    path = tmp_path / "no.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no.safetensors") as caught:
        load_shape(path)
    assert "\n" not in str(caught.value)


# --- what is seen of a shape


def test_what_front_events_see_of_a_blurred_shape_is_it_times_the_exposure():
    given = shape(plane_and_cloud, psf_included=True)
    seen = expected_template(given, shipped_observation("front"))
    front = load_instrument().front
    for b, nside in enumerate(COARSE.template_nsides):
        vectors = np.array(hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T[::997]
        weight = front.bin_fractions[:, b] * FINE_ENERGIES_MEV**-1.4
        expected = (given.galactic[b][::997] + 0.5) * (weight @ front.exposure_at(vectors))
        found = seen.maps[b][::997].astype(float)
        np.testing.assert_allclose(found / found.mean(), expected / expected.mean(), rtol=5e-3)
        assert seen.maps[b].astype(float).mean() == pytest.approx(1.0, rel=1e-3)


def off_the_poles(nside: int) -> np.ndarray:
    """All but the four pixels at each pole, which harmonics without iteration miss by percents."""
    return np.abs(hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)[2]) < 0.9999


def test_what_back_events_see_of_a_sharp_shape_is_smoothed_as_healpy_does():
    given, seen = shape(plane_and_cloud), shipped_observation("back")
    found = expected_template(given, seen).maps
    exposures = relative_exposures(seen, COARSE.template_nsides)
    for b, nside in enumerate(COARSE.template_nsides):
        bright = (given.galactic[b] + 0.5) * exposures[b]
        angles, density = seen.psf(b)
        window = hp.beam2bl(density, angles, 3 * nside - 1)
        ring = hp.smoothing(hp.reorder(bright, n2r=True), beam_window=window / window[0])
        expected = hp.reorder(ring, r2n=True)
        here = off_the_poles(nside)
        expected /= expected.mean()
        np.testing.assert_allclose(found[b][here].astype(float), expected[here], rtol=0.02)
        if b < 3:  # and the cloud is blurred at all
            assert found[b].max() < 0.97 * (bright / bright.mean()).max()


def test_the_wider_the_psf_and_the_pixels_the_fainter_the_middle_of_a_cloud():
    given = shape(plane_and_cloud, psf_included=True)
    observed = [*map(shipped_observation, ("front", "all", "back", "psf0")),
                shipped_observation("psf0", (2.0,) * N_BINS)]  # fmt: skip
    peaks = [[plane.max() for plane in expected_template(given, seen).maps] for seen in observed]
    assert np.all(np.diff(np.array(peaks, float)[:, :3], axis=0) < 0)


def test_a_shape_that_front_events_saw_is_not_blurred_twice():
    """FRONT's blur, then what BACK adds to it, is BACK's own."""
    sharp = shape(plane_and_cloud)
    front, back = map(shipped_observation, ("front", "back"))
    blurred = DiffuseShape(
        tuple(smear(plane[None], [front.psf(b)])[0] for b, plane in enumerate(sharp.galactic)),
        sharp.isotropic,
        psf_included=True,
        binning=COARSE,
    )
    once, twice = expected_template(sharp, back), expected_template(blurred, back)
    for one, other in zip(once.maps, twice.maps, strict=True):
        here = off_the_poles(hp.npix2nside(one.size))
        np.testing.assert_allclose(other[here].astype(float), one[here], rtol=0.03)


def test_event_types_see_the_isotropic_part_of_their_own():
    isotropic = {**FLAT_ISOTROPIC, "front": (0.0,) * N_BINS, "back": (50.0,) * N_BINS}
    given = shape(plane_and_cloud, isotropic)
    contrast = [
        float(np.ptp(expected_template(given, shipped_observation(name)).maps[0].astype(float)))
        for name in ("front", "back")
    ]
    assert contrast[0] > 5.0 * contrast[1]


@pytest.mark.parametrize("name", ["front", "back", "all", "psf3", "psf01"])
def test_the_relative_exposure_follows_the_declination_as_the_tables_do(name):
    seen = shipped_observation(name)
    exposure = relative_exposures(seen, (64,) * N_BINS)[3]
    assert exposure.mean() == pytest.approx(1.0, rel=1e-4)
    vectors = np.array(hp.pix2vec(64, np.arange(exposure.size), nest=True)).T
    k = int(np.argmin(np.abs(FINE_ENERGIES_MEV - 3e3)))
    direct = sum(part.exposure_at(vectors)[k] for part in seen.parts)
    np.testing.assert_allclose(exposure, direct / direct.mean(), rtol=0.02)
