"""Exposure maps and livetime cubes against what the Fermitools made of the same observation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from gammapy.maps import Map

from fermi_unek.errors import InputError
from fermi_unek.irf import caldb
from fermi_unek.irf.exposure import read_exposure
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV
from fermi_unek.irf.livetime import read_livetime
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.maps import read_map

MAPS = (
    "fermitools/exp_z100_front_car.fits.gz",
    "fermitools/exp_z100_front_hpx.fits.gz",
    "fermitools/exp_z100_psf3_hpx.fits.gz",
    "fermitools/exp_z100_front_center_car.fits.gz",
    "fermitools/exp_z100_front_like_ccube.fits.gz",
    "fermitools/fit_bexpmap_00.fits.gz",
    "fermitools/fit_bexpmap_roi_01.fits.gz",
    "exposure/fermi_3fhl_exposure_cube_hpx.fits.gz",
    "real/fermipy-crab/bexpmap_00.fits",
)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_gtexpcube2_is_read_as_gammapy_reads_it(shared_data, name):
    ours, theirs = read_exposure(shared_data / name), Map.read(shared_data / name)
    rng = np.random.default_rng(1)
    place = theirs.geom.center_skydir.directional_offset_by(
        rng.uniform(0, 360, 50) * u.deg, rng.uniform(0, 5, 50) * u.deg
    )
    axis = theirs.geom.axes[0]
    vectors = lonlat_to_vectors(place.galactic.l.deg, place.galactic.b.deg)
    coords = {"skycoord": place[None], axis.name: axis.center[:, None]}
    np.testing.assert_allclose(ours.map.energies_mev, axis.center.to_value("MeV"))
    np.testing.assert_allclose(
        ours.map.at(vectors), theirs.interp_by_coord(coords), rtol=2e-3, err_msg=name
    )


def test_healpix_and_car_maps_of_one_observation_agree(shared_data):
    car, healpix = (
        read_exposure(shared_data / "fermitools" / f"exp_z100_front_{kind}.fits.gz")
        for kind in ("car", "hpx")
    )
    lon, lat = np.meshgrid(np.arange(0.0, 360.0, 30.0), np.arange(-60.0, 61.0, 20.0))
    vectors = lonlat_to_vectors(lon.ravel(), lat.ravel())
    ratio = car.at(vectors) / healpix.at(vectors)
    # interpolated between pixels of four degrees
    assert np.median(np.abs(ratio - 1)) < 0.01
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.005)


@cache
def exposure_of(livetime, irfs):
    """That of a livetime cube, whose many bins of inclination need not be split much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caldb, "SPLIT", 4)
        return read_exposure(livetime, irfs)


@pytest.mark.parametrize("cube", ["z100", "z90", "z180", "z100_phi15"])
@pytest.mark.parametrize("part", ["front", "back"])
def test_livetime_and_calibration_give_the_exposure_of_gtexpcube2(shared_data, cube, part):
    """The package averages the sky along parallels but for one energy; 20 days are uneven."""
    folder = shared_data / "fermitools"
    ours = exposure_of(folder / f"ltcube_{cube}.fits.gz", shared_data / "irf")
    theirs = read_map(folder / f"exp_{cube}_{part}_car.fits.gz", "exposure", "cm2 s")
    lon, lat = np.meshgrid(np.arange(0.0, 360.0, 10.0), np.arange(-85.0, 86.0, 10.0))
    weight = np.cos(np.radians(lat.ravel()))
    vectors = lonlat_to_vectors(lon.ravel(), lat.ravel())
    total = getattr(ours.response, part).exposure_at(vectors) * ours.years
    for energy, there in zip(theirs.energies_mev[1:-1], theirs.at(vectors)[1:-1], strict=True):
        here = np.exp(
            [np.interp(np.log(energy), np.log(FINE_ENERGIES_MEV), np.log(c)) for c in total.T]
        )
        assert np.average(here, weights=weight) == pytest.approx(
            np.average(there, weights=weight), rel=0.02
        )
        assert np.sqrt(np.average((here / there - 1) ** 2, weights=weight)) < 0.065


def test_bins_of_azimuth_add_up_to_the_livetime_without_them(shared_data):
    folder = shared_data / "fermitools"
    with_phi, without = (
        read_livetime(folder / f"ltcube_{name}.fits.gz") for name in ("z100_phi15", "z100")
    )
    # README: the mean over the sky is 1331690.219 s times the part that is in view
    assert with_phi.seconds.sum(axis=1).mean() == pytest.approx(1331690.219 * 0.408894, rel=1e-4)
    assert without.seconds.sum(axis=1).mean() == pytest.approx(1331690.219 * 0.408890, rel=1e-4)
    assert with_phi.years == pytest.approx(without.years)
    assert 20.0 * 86400 > with_phi.selection.good_s == pytest.approx(1476523.16, abs=0.01)


def test_an_exposure_of_other_events_is_refused(shared_data):
    from fermi_unek.irf.exposure import instrument_for

    path = shared_data / "fermitools" / "exp_z100_back_car.fits.gz"
    with pytest.raises(InputError, match="is the exposure of BACK events, expected front"):
        instrument_for(path, None, 1.0, "front")


def test_an_equatorial_map_of_the_fermitools_is_not_taken_for_a_galactic_one(shared_data):
    """The 3FHL map has RADECSYS and EQUINOX and no COORDSYS."""
    path = shared_data / "exposure" / "fermi_3fhl_exposure_cube_hpx.fits.gz"
    found = read_map(path, "exposure", "cm2 s")
    pole = SkyCoord([0.0, 0.0], [89.0, -89.0], unit="deg").galactic
    vectors = lonlat_to_vectors(pole.l.deg, pole.b.deg)
    # RING maps begin at the north pole
    np.testing.assert_allclose(found.at(vectors)[0], found.planes[0][[4095, 8 * 4096]], rtol=0.03)
    assert not found.grid.scheme.galactic
