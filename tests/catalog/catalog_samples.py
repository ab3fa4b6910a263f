"""Candidates made by hand for the tests of the catalog."""

import numpy as np

from fermi_unek.catalog import Candidates


def some(n=3, **changes):
    values = {
        "lon_deg": np.linspace(10, 300, n),
        "lat_deg": np.linspace(-80, 80, n),
        "probability": np.full(n, 0.5),
        "semimajor68_deg": np.full(n, 0.04),
        "semiminor68_deg": np.full(n, 0.03),
        "position_angle_deg": np.zeros(n),
        "near_edge": np.zeros(n, bool),
    }
    return Candidates(**(values | changes))
