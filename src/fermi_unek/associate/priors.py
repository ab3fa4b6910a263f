"""How often a faint LAT source has a counterpart of each family, before one looks around it.

The shares are those of 4FGL-DR4 (gll_psc_v35, arXiv:2307.12546) among its sources below 7
sigma, which new candidates resemble most. `measure_priors` makes the table again from that file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from ..errors import ConfigError

FAMILIES: dict[str, tuple[str, ...]] = {
    "blazar": ("bll", "fsrq", "bcu"),
    "agn": ("agn", "rdg", "sey", "nlsy1", "css", "ssrq"),
    "pulsar": ("psr", "msp"),
    "remnant": ("snr", "spp", "pwn"),
    "cluster": ("glc",),
    "binary": ("hmb", "lmb", "bin", "nov"),
    "galaxy": ("gal", "sbg", "sfr"),
}
"""Families of the classes of 4FGL; what is in none of them is "other"."""

LOW_LATITUDE_DEG = 10.0
"""Below this |b| the priors of the Galactic plane hold."""

FAINT_SIGNIFICANCE = 7.0

PRIORS: dict[str, tuple[float, float]] = {
    "blazar": (0.1132, 0.5165),
    "agn": (0.0009, 0.0131),
    "pulsar": (0.0166, 0.0058),
    "remnant": (0.0745, 0.0024),
    "cluster": (0.0064, 0.0044),
    "binary": (0.0064, 0.0015),
    "galaxy": (0.0018, 0.0029),
}
"""Family to its prior below and above 10 degrees of Galactic latitude."""

OTHER_PRIOR = 0.1
"""For objects of no known class: a guess, as nothing can be measured for them."""

GAMMA_PRIOR = 0.5
"""That a candidate is a source of a given gamma-ray catalog: taken as undecided."""

NOT_MEASURED = ("other", "gamma")
"""Families with a prior that is no share of 4FGL's."""

_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}


def families_of(classes: np.ndarray) -> np.ndarray:
    """Family of each class of an array (M,), "other" for those of none."""
    lower = np.char.strip(np.char.lower(np.asarray(classes, dtype=str)))
    return np.array([_FAMILY_OF.get(name, "other") for name in lower], dtype="U10")


def check_chosen(chosen: Mapping[str, float]) -> None:
    """`ConfigError` when a prior is chosen for a family that does not exist."""
    known = [*FAMILIES, *NOT_MEASURED]
    for name in chosen:
        if name not in known:
            raise ConfigError(f"prior of {name!r}: expected a family, one of {', '.join(known)}")


def prior(
    family: str, glat_deg: np.ndarray, chosen: Mapping[str, float] | None = None
) -> np.ndarray:
    """Prior of a family at each Galactic latitude (N,); `chosen` replaces it everywhere."""
    glat_deg = np.asarray(glat_deg, float)
    if chosen and family in chosen:
        return np.full(glat_deg.shape, float(chosen[family]))
    low, high = PRIORS.get(family, (OTHER_PRIOR, OTHER_PRIOR))
    return np.where(np.abs(glat_deg) < LOW_LATITUDE_DEG, low, high)


def measure_priors(release: Table) -> dict[str, tuple[float, float]]:
    """Shares of each family among the faint sources of a 4FGL release.

    Parameters
    ----------
    release : astropy Table
        Of `catalog.load_release`, with CLASS1.

    Returns
    -------
    dict
        Family to (share at |b| < 10 deg, share above); NaN where there is no faint source.
    """
    family = families_of(np.asarray(release["CLASS1"]))
    faint = np.asarray(release["Signif_Avg"], float) < FAINT_SIGNIFICANCE
    low = np.abs(np.asarray(release["GLAT"], float)) < LOW_LATITUDE_DEG
    shares: dict[str, tuple[float, float]] = {}
    for name in FAMILIES:
        counted = [family[faint & side] == name for side in (low, ~low)]
        one, two = (float(c.mean()) if c.size else float("nan") for c in counted)
        shares[name] = (one, two)
    return shares
