"""Fields and catalogs that the tests of both faces share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.wcs import WCS

from fermi_unek.catalog import Candidates, Catalog, build_catalog
from fermi_unek.pipeline import demo_sample, read_photons
from fermi_unek.sky.counts import BinCounts, SkyCounts

CENTRE = (82.0, 18.0)
"""Middle of the field, Galactic degrees."""

BRIGHT = ((81.5587, 15.2763), (81.6849, 20.6939))
"""Two sources of the sample field with an ideal TS above 1,500, Galactic degrees."""

NO_SOURCE = (83.6, 15.8, 0.5)
"""A circle of the field, Galactic degrees, in which nothing is found."""


def demo_sky() -> SkyCounts:
    """The simulated FRONT photons of the sample that ships with the package."""
    return read_photons(demo_sample()[0])


def thinned(sky: SkyCounts, share: float, event_type: str, rng: np.random.Generator) -> SkyCounts:
    """A random part of the photons."""
    bins = []
    for one in sky.bins:
        counts = rng.binomial(one.counts, share).astype(np.uint32)
        kept = counts > 0
        bins.append(BinCounts(one.order, one.pixels[kept], counts[kept], one.coverage))
    return replace(sky, bins=tuple(bins), event_type=event_type)


def field_wcs(pixel_deg: float, width_deg: float = 8.0) -> tuple[WCS, tuple[int, int]]:
    """The square that fermipy bins an ROI into: CAR about its middle, as gtbin has it."""
    number = round(width_deg / pixel_deg)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    wcs.wcs.crval = list(CENTRE)
    wcs.wcs.crpix = [(number + 1) / 2] * 2
    wcs.wcs.cdelt = [-pixel_deg, pixel_deg]
    return wcs, (number, number)


def found_catalog(number: int) -> Catalog:
    """Candidates a degree apart about `CENTRE`, not refitted."""
    return build_catalog(
        Candidates(
            lon_deg=CENTRE[0] + np.arange(number) % 4,
            lat_deg=CENTRE[1] + np.arange(number) // 4,
            probability=np.linspace(0.95, 0.5, number),
            semimajor68_deg=np.full(number, 0.05),
            semiminor68_deg=np.full(number, 0.03),
            position_angle_deg=np.linspace(0.0, 80.0, number),
            near_edge=np.zeros(number, bool),
            class_probabilities=np.tile([0.5, 0.3, 0.1, 0.05, 0.05], (number, 1)),
            fake=np.arange(number) == 1,
        )
    )


SPECTRA = {
    "PowerLaw": {"PL_Flux_Density": 3e-13, "PL_Index": 2.3},
    "LogParabola": {"LP_Flux_Density": 4e-13, "LP_Index": 2.1, "LP_beta": 0.2},
    "PLSuperExpCutoff": {
        "PLEC_Flux_Density": 5e-13,
        "PLEC_IndexS": 1.9,
        "PLEC_ExpfactorS": 0.4,
        "PLEC_Exp_Index": 0.6667,
    },
}
"""What a refit writes for each form of spectrum."""


def refitted_catalog(number: int) -> Catalog:
    """As `found_catalog`, with spectra as a refit gives them, the forms in turn."""
    catalog = found_catalog(number)
    table = catalog.table.copy()
    # a refit adds columns of its own
    table["TS"] = np.linspace(60.0, 70.0, number).astype("f4")
    table["Flux1000_UL95"] = np.full(number, np.nan, "f4")
    for row, form in enumerate(np.resize(list(SPECTRA), number)):
        table["SpectrumType"][row] = form
        table["Pivot_Energy"][row] = 2000.0
        table["Signif_Avg"][row] = 7.0 + row
        # all forms are fitted to each source, one is chosen
        for values in SPECTRA.values():
            for name, value in values.items():
                table[name][row] = value
                table[f"Unc_{name}"][row] = 0.1 * value
    return replace(catalog, table=table)
