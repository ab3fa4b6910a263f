"""CPU seconds of a whole-sky search and of classifying what it finds, ten years of photons.

Run with ``PYTHONPATH=src python benchmarks/bench_classify.py [--years 10] [--region L,B,R]``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fermi_unek.classify.classes import classify, run_classifier
from fermi_unek.classify.features import gather
from fermi_unek.detect.find import find_candidates
from fermi_unek.diffuse.template import load_shape
from fermi_unek.nets.classifier_weights import load_classifier
from fermi_unek.nets.weights import load_localizer
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.training.localizer.skies import SkyRecipe, make_sky_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--region", help="Galactic LON,LAT,RADIUS; the whole sky unless given")
    args = parser.parse_args()
    region = tuple(float(part) for part in args.region.split(",")) if args.region else None
    model = make_sky_models(SkyRecipe(99, "own-99", "fb", 0), None)[0]
    sky = simulate_counts(model, args.years, np.random.default_rng(0), region, yearly=True)
    localizer, classifier = load_localizer(), load_classifier()
    start = time.process_time()
    found = find_candidates(sky, localizer, shape=load_shape())
    searched = time.process_time()
    classify(sky, found, classifier)
    done = time.process_time()
    vectors = lonlat_to_vectors(found.lon_deg, found.lat_deg)
    features = gather(sky, vectors, found.probability, shape=classifier.network.shape)
    gathered = time.process_time()
    run_classifier(classifier.network, features)
    network = time.process_time() - gathered
    print(f"{len(found)} candidates, {sky.totals.sum():,} photons, {len(sky.years)} years")
    print(f"search   {searched - start:7.1f} s")
    print(f"classify {done - searched:7.1f} s, of which the network {network:.1f} s")
    print(f"find with classes over find without: {(done - start) / (searched - start):.2f}")


if __name__ == "__main__":
    main()
