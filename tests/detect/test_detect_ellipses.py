"""Error ellipses: their axes, where they point, and what lies inside them."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from fermi_unek.detect.calibration import Calibration
from fermi_unek.detect.centers import Centers
from fermi_unek.detect.ellipses import ellipses, offsets_deg, round_distance_deg, tangent_axes
from fermi_unek.detect.find import _candidates
from fermi_unek.sky.geometry.frame import lonlat_to_vectors, vectors_to_lonlat

PLACES = [(0.0, 0.0), (123.4, -45.0), (10.0, 89.0), (200.0, -88.0), (359.9, 30.0)]


def centers(lon, lat, elongation=None, angle_deg=None):
    vectors = lonlat_to_vectors(np.atleast_1d(lon), np.atleast_1d(lat))
    one = np.ones(len(vectors))
    if elongation is None:
        return Centers(vectors, one, one, 0.05 * one)
    return Centers(vectors, one, one, 0.05 * one, elongation * one, angle_deg * one)


def covariance(major, minor, angle_deg):
    """(1, 2, 2) along east and north."""
    turn = np.radians(angle_deg)
    axis = np.array([np.sin(turn), np.cos(turn)])
    across = np.array([axis[1], -axis[0]])
    return (major**2 * np.outer(axis, axis) + minor**2 * np.outer(across, across))[None]


@pytest.mark.parametrize(("lon", "lat"), [*PLACES, (0.0, 90.0), (0.0, -90.0)])
def test_the_axes_at_a_place_are_east_and_north(lon, lat):
    vectors = lonlat_to_vectors(np.array([lon]), np.array([lat]))
    axes = tangent_axes(vectors)
    basis = np.concatenate([axes[:, 0], vectors])
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
    if abs(lat) < 90:
        east, north = (vectors_to_lonlat(vectors + 1e-4 * axis) for axis in axes)
        assert (east[0][0] - lon + 180) % 360 - 180 > 0
        assert north[1][0] > lat
        assert east[1][0] == pytest.approx(lat, abs=1e-4)


@pytest.mark.parametrize("angle", [-80.0, -45.0, 0.0, 30.0, 90.0])
def test_axes_and_angle_are_those_of_the_covariance(angle):
    error, elongation, found = ellipses(np.linalg.inv(covariance(0.08, 0.02, angle)))
    assert error[0] == pytest.approx(0.04)
    assert elongation[0] == pytest.approx(4.0)
    assert (found[0] - angle + 90.0) % 180.0 - 90.0 == pytest.approx(0.0, abs=1e-9)
    assert -90.0 < found[0] <= 90.0


def test_a_circle_is_one():
    error, elongation, _ = ellipses(400.0 * np.eye(2)[None])
    assert (error[0], elongation[0]) == (pytest.approx(0.05), pytest.approx(1.0))


@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_all_places_on_an_ellipse_are_equally_far(lon, lat):
    turn = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
    one = centers(np.full(12, lon), np.full(12, lat), 3.0, 25.0)
    major = np.radians(25.0)
    along, across = 0.3 * np.sqrt(3.0) * np.cos(turn), 0.3 / np.sqrt(3.0) * np.sin(turn)
    east = along * np.sin(major) + across * np.cos(major)
    north = along * np.cos(major) - across * np.sin(major)
    axes = tangent_axes(one.vectors)
    places = (
        one.vectors + np.radians(east)[:, None] * axes[0] + np.radians(north)[:, None] * axes[1]
    )
    np.testing.assert_allclose(offsets_deg(axes, one.vectors, places), np.stack([east, north], 1))
    np.testing.assert_allclose(round_distance_deg(one, places), 0.3, rtol=1e-6)


def test_of_a_circle_it_is_the_distance():
    one = centers([10.0], [40.0])
    there = lonlat_to_vectors(np.array([10.3]), np.array([40.1]))
    expected = np.degrees(np.arccos((one.vectors * there).sum()))
    assert round_distance_deg(one, there)[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_a_candidate_has_its_ellipse_from_celestial_north(lon, lat):
    found = centers([lon], [lat], 4.0, 35.0)
    listed = np.ones(1, bool)
    known = Calibration(
        error_nodes_deg=(0.01, 0.1), radius_nodes_deg=(0.02, 0.2), radius95_nodes_deg=(0.04, 0.4)
    )
    one = _candidates(found, np.array([lon]), np.array([lat]), np.ones(1), known, None, listed)
    assert one.semimajor68_deg[0] == pytest.approx(0.2)
    assert one.semiminor68_deg[0] == pytest.approx(0.05)
    assert one.ratio95[0] == pytest.approx(2.0)
    east, north = tangent_axes(found.vectors)[:, 0]
    step = np.sin(np.radians(35.0)) * east + np.cos(np.radians(35.0)) * north
    here, there = (
        SkyCoord(*(float(c[0]) for c in vectors_to_lonlat(v)), unit="deg", frame="galactic").icrs
        for v in (found.vectors, found.vectors + 1e-5 * step)
    )
    along = here.position_angle(there).deg
    assert (one.position_angle_deg[0] - along + 90.0) % 180.0 - 90.0 == pytest.approx(0.0, abs=0.1)
