"""How often associations are right: 4FGL-DR3's sources seen again, in crowds of other objects.

    PYTHONPATH=src python studies/check_associations.py

Every associated source of 4FGL-DR3 with a listed counterpart is put at a place drawn around that
counterpart from its own error ellipse, every other one stays where it is without a counterpart, and
`associate` gets the counterparts of all of them hidden among random objects of a given density.
A named counterpart is right when it is the one the LAT team gave. The prior is not that of new
candidates but the share of these sources that has a counterpart, so that what the probabilities
claim can be compared with what is true.
"""

from __future__ import annotations

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from fermi_unek.associate.matching import INSIDE_95, drop_repeats, match_counterparts
from fermi_unek.associate.records import Objects, Places, Surroundings
from fermi_unek.catalog import load_release

DENSITIES = (0.0, 0.1, 1.0, 10.0)
"""Random objects per square degree: none, 5BZCAT's and CRATES' order, and that of Milliquas."""


def seen_again(table: Table, rng: np.random.Generator) -> tuple[Places, np.ndarray]:
    """Places of the sources, and which of them have a counterpart."""
    known = np.isfinite(table["RA_Counterpart"]) & (table["ASSOC1"] != "")
    centre = SkyCoord(
        np.where(known, table["RA_Counterpart"], table["RAJ2000"]),
        np.where(known, table["DEC_Counterpart"], table["DEJ2000"]),
        unit="deg",
    )
    axes = [np.asarray(table[f"Conf_95_Semi{one}"], float) for one in ("Major", "Minor")]
    angle = np.asarray(table["Conf_95_PosAng"], float)
    along, across = (rng.normal(size=len(table)) * axis / np.sqrt(INSIDE_95) for axis in axes)
    turn = np.radians(angle) + np.arctan2(across, along)
    unit = centre.ra.unit
    moved = centre.directional_offset_by(np.degrees(turn) * unit, np.hypot(along, across) * unit)
    return Places(moved.ra.deg, moved.dec.deg, *axes, angle), known


def crowd(density: float, rng: np.random.Generator) -> Objects:
    """Random objects all over the sky."""
    n = round(density * 41_253)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    text = np.full(n, "random", dtype="U28"), np.full(n, "bcu", dtype="U10")
    return Objects(text[0], rng.uniform(0, 360, n), dec, np.zeros(n), text[1])


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    table = load_release("4FGL-DR3")
    table = table[np.isfinite(table["Conf_95_PosAng"]) & (table["Conf_95_SemiMinor"] > 0)]
    places, known = seen_again(table, rng)
    given = Objects(
        np.asarray(table["ASSOC1"])[known],
        np.asarray(table["RA_Counterpart"], float)[known],
        np.asarray(table["DEC_Counterpart"], float)[known],
        np.zeros(known.sum()),
        np.full(known.sum(), "bcu", dtype="U10"),
    )
    print(f"{len(table)} sources, {known.sum()} with a counterpart")
    print("density   named  of those that have one   right   claimed   inside r95 by chance")
    for density in DENSITIES:
        objects = drop_repeats(Objects.joined([given, crowd(density, rng)]))
        around = Surroundings(objects, np.full(len(places), 4.0), whole_sky=True)
        share = {"blazar": float(known.mean())}
        found = match_counterparts(places, around, real=np.ones(len(places)), priors=share)
        index, best = found.best(len(places))
        named = best >= 0.8
        names = objects.name[found.pairs.object_[index]]
        right = named & (names == np.asarray(table["ASSOC1"]))
        print(
            f"{density:7.1f} {named.sum():7d} {right.sum() / known.sum():22.3f} "
            f"{right.sum() / named.sum():12.3f} {best[named].mean():9.3f} "
            f"{np.nanmean(found.by_chance > 0):14.4f}"
        )


if __name__ == "__main__":
    main()
