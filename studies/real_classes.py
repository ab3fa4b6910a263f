#!/usr/bin/env python
"""Classes in the real fields of the shared data, beside those of 4FGL-DR2, as a Markdown table.

studies/real_classes.py [DATA/real]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import fermi_unek
from fermi_unek.catalog import load_release
from fermi_unek.catalog.schema import CLASS_OF
from fermi_unek.evaluate.match import match

FIELDS = (
    "smc_ft1_p8r2_1GeV_r9.fits",
    "j1120_ft1_p8r2_1GeV_r5.fits",
    "j2310_ft1_p8r2_1GeV_r5.fits",
    "crab_ft1_p8r2_10GeV.fits.gz",
    "fermi-3fhl-gc-events.fits.gz",
)
COLUMNS = ("Prob_BLL", "Prob_FSRQ", "Prob_PSR", "Prob_PWN", "Prob_Fake")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/real")
    release = load_release("4FGL-DR2")
    classes = np.char.lower(np.char.strip(np.asarray(release["CLASS1"]).astype(str)))
    known = release[np.isin(classes, list(CLASS_OF))]
    print("| field | DR2 source | sigma | class | CLASS1 | BLL | FSRQ | PSR | PWN | Fake |")
    print("|---" * 10 + "|")
    right = total = 0
    for name in FIELDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = fermi_unek.find_sources(folder / name).table
        found = match(
            np.asarray(known["GLON"], float), np.asarray(known["GLAT"], float),
            np.asarray(known["Signif_Avg"], float), np.asarray(table["GLON"], float),
            np.asarray(table["GLAT"], float), 0.3,
        )  # fmt: skip
        for source, detection in zip(found.truth, found.detection, strict=True):
            true, row = known[int(source)], table[int(detection)]
            total += 1
            said = str(row["CLASS1"]).strip()
            right += CLASS_OF.get(said) == CLASS_OF[str(true["CLASS1"]).strip().lower()]
            chances = " | ".join(f"{row[column]:.2f}" for column in COLUMNS)
            print(
                f"| {name.split('_')[0].split('.')[0]} | {str(true['Source_Name']).strip()} "
                f"| {true['Signif_Avg']:.1f} | {str(true['CLASS1']).strip()} | {said or '-'} "
                f"| {chances} |",
                flush=True,
            )
    print(f"\n{right} of {total} as in 4FGL-DR2 (blank counts as wrong)")


if __name__ == "__main__":
    main()
