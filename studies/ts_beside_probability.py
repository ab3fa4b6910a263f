"""What the TS of a refit tells of a candidate beside the probability of the network.

    PYTHONPATH=src python studies/ts_beside_probability.py [--fields 6] [--radius 10] [--seed 1]
        [--diffuse v07]

Fields of ten years of FRONT photons all over the sky, 4FGL-DR2 with its faint tail over v07, are
searched, and the candidates measured with ``--diffuse``: the model that the fields were made with,
or another one. A candidate is real where a source of ideal TS above 9 is within 0.3 degrees. Of
each field in turn a logistic regression on the other ones makes a score from the probability, the
TS, or both.
Printed is how many real candidates each score leaves in lists of 95% purity, field by field, and
the area under the curve of real against false ones.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fields import separation_deg
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fermi_unek.config import FindConfig, RefitConfig
from fermi_unek.diffuse.named import choose
from fermi_unek.evaluate.match import match
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.measure import refit_to_file
from fermi_unek.pipeline import find_to_file
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.sky import simulate_photons
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.simulate.truth import truth_table

YEARS, BACKGROUND, PURITY = 10.0, "v07", 0.95
REAL_TS, RIM_DEG = 9.0, 1.0
SCORES = {"probability": (0,), "TS": (1,), "both": (0, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--radius", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--diffuse", default=BACKGROUND)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    known = []
    for number in range(options.fields):
        rng = np.random.default_rng([options.seed, number])
        features, real = candidates(rng, options.radius, options.diffuse)
        print(f"field {number}: {len(real)} candidates, {real.sum()} real", flush=True)
        known.append((features, real))
    for name, columns in SCORES.items():
        listed, area = zip(*(judged(known, n, columns) for n in range(len(known))), strict=True)
        print(f"{name}: {sum(listed)} real ones listed {listed}, area {np.mean(area):.4f}")


def candidates(
    rng: np.random.Generator, radius_deg: float, diffuse: str
) -> tuple[np.ndarray, np.ndarray]:
    """Logit of the probability and root of TS (N, 2) of a field's candidates; which are real."""
    centre = rng.uniform(0.0, 360.0), float(np.degrees(np.arcsin(rng.uniform(-1.0, 1.0))))
    model = build_sky_model(dr2_population(rng), choose(BACKGROUND), load_instrument())
    photons = simulate_photons(model, YEARS, rng, (*centre, radius_deg))
    with tempfile.TemporaryDirectory() as folder:
        path = write_ft1(photons, Path(folder) / "photons.fits", rng)
        found = path.with_name("found.fits")
        # all that the network thinks possible
        find_to_file([path], found, FindConfig(threshold=0.05))
        config = RefitConfig(background=diffuse, localize=False, history="none")
        table = refit_to_file(found, [path], path.with_name("measured.fits"), config).table
    table = table[(separation_deg(table, centre) < radius_deg - RIM_DEG) & np.isfinite(table["TS"])]
    truth = truth_table(model, YEARS)
    truth = truth[(truth["Ideal_TS"] > REAL_TS) & (separation_deg(truth, centre) < radius_deg)]
    pairs = match(
        *(np.asarray(truth[name], float) for name in ("GLON", "GLAT", "Flux1000")),
        *(np.asarray(table[name], float) for name in ("GLON", "GLAT")),
    )
    real = np.zeros(len(table), bool)
    real[pairs.detection] = True
    probability = np.clip(np.asarray(table["Probability"], float), 1e-4, 1.0 - 1e-4)
    root = np.sqrt(np.maximum(np.asarray(table["TS"], float), 0.0))
    return np.stack([np.log(probability / (1.0 - probability)), np.minimum(root, 10.0)], 1), real


def judged(
    known: list[tuple[np.ndarray, np.ndarray]], number: int, columns: tuple[int, ...]
) -> tuple[int, float]:
    """Real candidates of a field in its pure list, and the area, by the score of other fields."""
    others = [pair for n, pair in enumerate(known) if n != number]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    features = np.concatenate([features for features, _ in others])
    model.fit(features[:, columns], np.concatenate([real for _, real in others]))
    features, real = known[number]
    score = model.decision_function(features[:, columns])
    kept = real[np.argsort(-score, kind="stable")]
    pure = np.flatnonzero(np.cumsum(kept) >= PURITY * np.arange(1, len(kept) + 1))
    return int(kept[: pure[-1] + 1].sum()) if len(pure) else 0, float(roc_auc_score(real, score))


if __name__ == "__main__":
    main()
