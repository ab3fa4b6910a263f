"""What the search hands over checks itself, and its angles turn as astropy's do."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from catalog_samples import some

from fermi_unek.catalog import Candidates, equatorial_position_angle
from fermi_unek.errors import InputError


def test_no_candidates_at_all_are_fine():
    assert len(Candidates.empty()) == 0
    assert len(some(0)) == 0


def test_ellipses_may_be_unknown():
    assert len(some(semimajor68_deg=np.full(3, np.nan))) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lat_deg": np.array([0.0, 1.0])}, "lat_deg has shape"),
        ({"lat_deg": np.array([0.0, 91.0, 0.0])}, "positions off the sky"),
        ({"lon_deg": np.array([0.0, np.nan, 0.0])}, "positions off the sky"),
        ({"probability": np.array([0.0, 1.1, 0.0])}, "probabilities outside"),
        ({"probability": np.array([0.0, np.nan, 0.0])}, "probabilities outside"),
        ({"semiminor68_deg": np.array([0.03, 0.05, 0.03])}, "semiminor <= semimajor"),
        ({"semiminor68_deg": np.array([0.03, -0.05, 0.03])}, "semiminor <= semimajor"),
        ({"counts": np.zeros((3, 5))}, "counts has shape"),
        ({"class_probabilities": np.full((3, 5), 2.0)}, "class probabilities outside"),
    ],
)
def test_impossible_candidates_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        some(**changes)


def test_a_selection_keeps_every_field_in_the_order_asked_for():
    chosen = some(counts=np.arange(18.0).reshape(3, 6)).select(np.array([2, 0]))
    np.testing.assert_array_equal(chosen.lon_deg, [300, 10])
    np.testing.assert_array_equal(chosen.counts[:, 0], [12, 0])
    assert chosen.fake is None


def test_position_angles_turn_as_a_step_on_the_sky_does():
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    angle = rng.uniform(-90, 90, 200)
    start = SkyCoord(lon, lat, unit="deg", frame="galactic")
    end = start.directional_offset_by(angle * start.l.unit, 1e-3 * start.l.unit)
    truth = start.icrs.position_angle(end.icrs).deg
    found = equatorial_position_angle(lon, lat, angle)
    assert np.all((found > -90) & (found <= 90))
    assert np.abs(np.sin(np.radians(found - truth))).max() < 1e-4
