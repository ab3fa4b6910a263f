"""Which variable sources `refit` tells from steady ones, beside 4FGL-DR2.

    PYTHONPATH=src python studies/variable_sources.py [--fields 8] [--seed 7]

Fields as in `measured_rows.py`, off the plane, with FRONT and BACK events of ten years, in which
the sources of 4FGL-DR2 vary by their yearly fluxes there, noise taken out of them. Printed is, by
what DR2 says of a source, in how many Variability_Index is above the 99% of a steady source, and
their median over DR2's.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from astropy.table import vstack
from measured_rows import YEARS, fit_field, off_plane
from scipy.stats import chi2

from fermi_unek.catalog.releases import load_release

FLUX_EDGES = (0.0, 3e-10, 1e-9, np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for number in range(options.fields):
        rng = np.random.default_rng([options.seed, number])
        found.append(fit_field(rng, off_plane(rng), 0.0, event_type="all", variable=True))
        print(f"field {number}: {len(found[-1])} sources", flush=True)
    rows = vstack(found)
    release = load_release("4FGL-DR2")
    place = {name: row for row, name in enumerate(release["Source_Name"])}
    rows = rows[[str(name).strip() in place for name in rows["true_Source_Name"]]]
    known = release[[place[str(name).strip()] for name in rows["true_Source_Name"]]]
    ours, theirs = (np.asarray(table["Variability_Index"], float) for table in (rows, known))
    least = chi2.isf(0.01, YEARS - 1.0)
    flux = np.asarray(known["Flux1000"], float)
    print(f"Variability_Index above {least:.1f}, {len(rows)} sources of 4FGL-DR2:")
    for low, high in zip(FLUX_EDGES[:-1], FLUX_EDGES[1:], strict=True):
        here = (flux > low) & (flux <= high)
        varies = here & (theirs > least)
        print(
            f"  Flux1000 {low:g} to {high:g}: {here.sum()} sources, {varies.sum()} variable in "
            f"DR2, {(here & (ours > least)).sum()} here, {(varies & (ours > least)).sum()} in "
            f"both; median index of those over DR2's {np.median((ours / theirs)[varies]):.2f}"
        )


if __name__ == "__main__":
    main()
