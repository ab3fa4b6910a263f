"""How much the diffuse background matters: networks against backgrounds, as a table.

    studies/background_effect.py FOLDER [--models NAME FILE ...] [--tests own v07 ...]
    studies/background_effect.py FOLDER --train configs/train-localizer.yaml [--on own v07 ...]

The first call simulates one new sky over each background, searches it with each network and
writes FOLDER/background_effect.md: the sources found at purity 0.95, and the purity at a fixed
probability, which is what suffers when the background is strange. The second trains a network on
each single background (--on) with everything else as the YAML file says, and then tests those.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fermi_unek.config import FindConfig, SimulateConfig, TrainConfig, load_yaml
from fermi_unek.diffuse.named import MODEL_NAMES, choose
from fermi_unek.evaluate import Scores, score
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.weights import DEFAULT_LOCALIZER
from fermi_unek.pipeline import load_models, search
from fermi_unek.progress import bar
from fermi_unek.simulate.command import find_population
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.simulate.truth import truth_table
from fermi_unek.sky.geometry.coverage import inside_circle

PROBABILITY = 0.5
LOWEST = 0.05


def train_on(background: str, base: TrainConfig, folder: Path) -> Path:
    """Weights of a network that has seen one background only."""
    from fermi_unek.training.localizer.train import train_localizer

    changes = {
        "backgrounds": (background,),
        "out": folder / f"on-{background}",
        "bank": folder / f"bank-{background}",
    }
    return train_localizer(base.model_copy(update=changes), resume=True, progress=bar)


def test_sky(name: str, models: list[str], config: SimulateConfig) -> dict[str, Scores]:
    """Scores of each network on one new sky over a background."""
    rng = np.random.default_rng(config.seed)
    model = build_sky_model(
        find_population(config, rng),
        choose(config.background, config.evtype, config.isotropic),
        load_instrument(),
    )
    sky = simulate_counts(model, config.years, rng, config.region, progress=bar)
    inside = None if config.region is None else inside_circle(model.vectors, config.region)
    truth = truth_table(model, config.years, inside)
    scores = {}
    for network in models:
        find = FindConfig(model=network, threshold=LOWEST, classify=False, reference="none")
        catalog = search(sky, find, load_models(find), progress=bar)
        scores[network] = score(catalog, truth)
        print(f"== {network} on {name}", scores[network].to_text(), sep="\n", flush=True)
    return scores


def purity_at(scores: Scores, probability: float) -> float:
    """Purity of the list from a probability up."""
    curve = scores.tables["curve"]
    above = np.flatnonzero(np.asarray(curve["threshold"]) >= probability)
    if not above.size:
        return float("nan")
    return float(curve["purity"][above[np.argmin(np.asarray(curve["threshold"])[above])]])


def label(network: str) -> str:
    """Name of a network; weights of a run are called like its folder."""
    path = Path(network)
    return path.parent.name if path.stem == "weights" else path.stem


def as_table(results: dict[str, dict[str, Scores]], models: list[str]) -> str:
    """Markdown: one row a network and sample, one column a background."""
    tests = list(results)
    head = ["network", "what", *tests]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for network in models:
        scores = [results[test][network] for test in tests]
        samples = [key for key in scores[0].summary if key.startswith("completeness")]
        rows = {f"purity at probability {PROBABILITY:g}": [f"{purity_at(one, PROBABILITY):.3f}"
                                                           for one in scores]}  # fmt: skip
        for key in (key for key in samples if "[" not in key):
            at_purity = [
                next((rate for name, rate in one.summary.items() if name.startswith(f"{key} [")),
                     None) for one in scores
            ]  # fmt: skip
            if not any(one.summary[key].total for one in scores):
                continue
            rows[f"{key}, at purity 0.95"] = [
                "-" if rate is None else f"{rate.value:.3f} of {rate.total}" for rate in at_purity
            ]
        lines += [f"| {label(network)} | {what} | {' | '.join(cells)} |"
                  for what, cells in rows.items()]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Train where that is asked for, test, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--train", type=Path, metavar="CONFIG.yaml")
    parser.add_argument("--on", nargs="+", default=["own", "v07"])
    parser.add_argument("--tests", nargs="+", default=list(MODEL_NAMES))
    parser.add_argument("--region", help="LON,LAT,RADIUS; the whole sky unless given")
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=9500)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    models = list(options.models)
    if options.train is not None:
        base = load_yaml(options.train, TrainConfig)
        models += [str(train_on(one, base, options.folder)) for one in options.on]
    models = models or [DEFAULT_LOCALIZER]
    results = {}
    for name in options.tests:
        config = SimulateConfig.model_validate(
            {
                "population": "mock",
                "background": name,
                "years": options.years,
                "seed": options.seed,
                "region": options.region,
            }
        )
        results[name] = test_sky(name, models, config)
    table = as_table(results, models)
    (options.folder / "background_effect.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
