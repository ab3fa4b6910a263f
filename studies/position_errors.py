"""What the weights of photons in `detect.refine` do to positions and to their error ellipses.

Fields of two simulated skies are searched once; the centres are refined with each set of values,
radii are calibrated on the fields of the first sky, and those of the second are matched. Distances
are those with the ellipses made circles. A good set has small errors, 68 and 95% inside the
ellipses in every part of the sky, and a large mean logarithm of the probability density at the true
place ("fit"), which rewards ellipses of the right shape.

    python studies/position_errors.py [--model FILE] [--years N] [--seed N] [--background NAME]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fermi_unek.detect.calibration import R68_OF_SIGMA, Calibration
from fermi_unek.detect.centers import Centers, find_centers
from fermi_unek.detect.refine import refine_centers
from fermi_unek.detect.scene import scene_of
from fermi_unek.detect.settings import RefineConfig
from fermi_unek.detect.skymask import sky_mask
from fermi_unek.diffuse.template import load_shape
from fermi_unek.nets.weights import load_localizer
from fermi_unek.simulate.sky import simulate_counts
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.coverage import circle_coverage, inside_circle
from fermi_unek.sky.geometry.frame import vectors_to_lonlat
from fermi_unek.sky.geometry.grid import covering_grid
from fermi_unek.training.localizer.calibrate import MatchedCenters, fit_calibration, match_centers
from fermi_unek.training.localizer.skies import SkyRecipe, make_sky_models

FIELDS = (
    *((0.0, 0.0, 18.0), (100.0, 0.0, 18.0), (285.0, 3.0, 18.0)),
    *((60.0, 55.0, 20.0), (250.0, -45.0, 20.0), (180.0, 40.0, 20.0), (320.0, -60.0, 20.0)),
)
MARGIN_DEG = 0.5
USUAL = RefineConfig()
TRIED = (
    *(replace(USUAL, photon_share=share) for share in (0.3, 0.5, USUAL.photon_share, 1.0)),
    *(replace(USUAL, background_error=error) for error in (0.0, 0.03, 0.1)),
    *(replace(USUAL, doubt=doubt) for doubt in (0.0, 0.2)),
    *(replace(USUAL, margin_deg=margin) for margin in (0.1, 0.3)),
)
_WORST = -8.0


@dataclass(frozen=True)
class Searched:
    """A field, the centres of the network in it, and the sources of its sky."""

    field: tuple[float, float, float]
    sky: SkyCounts
    centers: Centers
    true_vectors: np.ndarray
    true_ts: np.ndarray

    def matched(self, config: RefineConfig) -> MatchedCenters:
        """Its centres refined, those off the edge of the field, held against the truth."""
        found = refine_centers(self.sky, self.centers, config=config)
        lon, lat, radius = self.field
        inside = inside_circle(found.vectors, (lon, lat, radius - MARGIN_DEG))
        found = Centers(*(getattr(found, name)[inside] for name in Centers.__annotations__))
        lat_deg = vectors_to_lonlat(found.vectors)[1]
        return match_centers(found, lat_deg, self.true_vectors, self.true_ts)


def search(options: argparse.Namespace, seed: int) -> Iterator[Searched]:
    """The fields of one sky."""
    localizer = load_localizer(options.model)
    model = make_sky_models(SkyRecipe(seed, options.background, "fb", 1), options.data)[0]
    ts = model.ideal_ts.sum(axis=1) * options.years
    for number, field in enumerate(FIELDS):
        sky = simulate_counts(model, options.years, np.random.default_rng([seed, number]), field)
        scene = scene_of(sky, localizer.network.spec, load_shape())
        frames = covering_grid(circle_coverage(*field))
        found = find_centers(sky_mask(sky, localizer, frames, scene))
        yield Searched(field, sky, found, model.vectors, ts)


def report(matched: list[MatchedCenters], calibration: Calibration) -> str:
    """Errors, coverage and fit of the matches, one line."""
    real = [field.real for field in matched]
    error, score, distance, ts, lat = (
        np.concatenate([values[mask] for values, mask in zip(columns, real, strict=True)])
        for columns in (
            [one.centers.error_deg for one in matched],
            [calibration.score(one.centers) for one in matched],
            [one.distance_deg for one in matched],
            [one.ts for one in matched],
            [np.abs(one.lat_deg) for one in matched],
        )
    )
    r68, r95 = calibration.radius68_deg(error, score), calibration.radius95_deg(error, score)
    sigma = r68 / R68_OF_SIGMA
    fit = np.maximum(-0.5 * (distance / sigma) ** 2, _WORST) - np.log(2.0 * np.pi * sigma**2)
    high, low = lat > 20, lat < 20
    radii = [np.quantile(distance[mask], 0.68) for mask in
             (high & (ts > 25) & (ts < 100), high & (ts > 100), low & (ts > 25))]  # fmt: skip
    parts = [lat < 5, (lat >= 5) & low, high, ts < 25, (ts >= 25) & (ts < 100), ts >= 100]
    inside = [f"{(distance < r68)[m].mean():.2f}/{(distance < r95)[m].mean():.3f}" for m in parts]
    return "  ".join([*(f"{one:.4f}" for one in radii), *inside, f"{fit.mean():.3f}"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="localizer; the shipped one unless given")
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=91001, help="of the first of two skies")
    parser.add_argument("--background", default="own")
    parser.add_argument("--data", help="shared data directory, for other backgrounds")
    options = parser.parse_args()
    first, second = (list(search(options, options.seed + number)) for number in (0, 1))
    print("share  error  doubt margin  r68: |b|>20 TS 25-100, >100, |b|<20 >25;  in 68/95%: |b|<5, "
          "5-20, >20; TS <25, 25-100, >100;  fit")  # fmt: skip
    for config in TRIED:
        calibration = fit_calibration([field.matched(config) for field in first])
        line = report([field.matched(config) for field in second], calibration)
        values = (config.photon_share, config.background_error, config.doubt, config.margin_deg)
        told = "  ".join(f"{value:5.2f}" for value in values)
        print(told, "", line, flush=True)


if __name__ == "__main__":
    main()
