"""How much a perfect likelihood would find on a simulated DR2 sky: the ceiling of every detector.

Each source is judged by the likelihood ratio of its own template, with position, spectrum,
background and all neighbours known exactly, in one Poisson draw of the photons. Candidates are
ranked by it and cut where purity (sources of ideal TS above 9) is 0.95. Nothing that has to find
positions and spectra by itself can do better.

    python studies/detection_ceiling.py [--seed 8001] [--background v07] [--data ../shared/data]
"""

from __future__ import annotations

import argparse

import numpy as np

from fermi_unek.diffuse.named import by_name
from fermi_unek.irf.instrument import FINE_ENERGIES_MEV, load_instrument
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.skymodel import _ANGLES_DEG, _neighbours, build_sky_model

YEARS = 10.0
TS_EDGES = (16.0, 25.0, 36.0, 64.0, 100.0, np.inf)


def likelihood_ratios(model, rng, lowest_mev):
    """Observed and ideal TS of every source from true energies above `lowest_mev`."""
    response, rates = model.responses[0], model.rates[0]
    background = model.fine_background[0] + _neighbours(rates, model.vectors, response)
    middle = np.sqrt(_ANGLES_DEG[1:] * np.maximum(_ANGLES_DEG[:-1], 0.25 * _ANGLES_DEG[1]))
    ring_sr = -2.0 * np.pi * np.diff(np.cos(np.radians(_ANGLES_DEG)))
    observed, ideal = np.zeros(len(rates)), np.zeros(len(rates))
    for k, energy in enumerate(FINE_ENERGIES_MEV):
        share = response.bin_fractions[k].sum() * YEARS
        if energy < lowest_mev or share == 0:
            continue
        psf = response.psf_per_sr(k, middle) * ring_sr
        signal = rates[:, k, None] * psf / psf.sum() * share
        noise = background[:, k, None] * ring_sr * share + 1e-12
        gain = np.log1p(signal / noise)
        observed += 2.0 * (rng.poisson(signal + noise) * gain - signal).sum(axis=1)
        ideal += 2.0 * ((signal + noise) * gain - signal).sum(axis=1)
    return observed, ideal


def report(title, statistic, true_ts, signif, lat_deg):
    """One line: completeness at purity 0.95 of a ranking."""
    order = np.argsort(-statistic)
    purity = np.cumsum(true_ts[order] > 9.0) / np.arange(1, len(order) + 1)
    found = np.zeros(len(order), bool)
    found[order[: np.flatnonzero(purity >= 0.95)[-1] + 1]] = True
    listed, high = np.isfinite(signif), np.abs(lat_deg) > 20.0
    parts = [f"{found[listed & (signif < 10)].mean():.3f} / "
             f"{found[listed & (signif >= 10)].mean():.3f}"]  # fmt: skip
    for here in (high, ~high):
        for low, top in zip(TS_EDGES[:-1], TS_EDGES[1:], strict=True):
            parts.append(f"{found[here & (true_ts > low) & (true_ts <= top)].mean():.2f}")
    print(f"{title:<28} {' '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=8001)
    parser.add_argument("--background", default="v07")
    parser.add_argument("--data", default="../shared/data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    population = dr2_population(rng)
    diffuse = by_name(options.background, options.data, "front")
    model = build_sky_model(population, diffuse, load_instrument(), "front")
    signif = np.asarray(model.sources["Signif_Avg"], float)
    lat_deg = np.asarray(model.sources["GLAT"], float)
    print(
        "completeness at purity 0.95: DR2 below / above 10 sigma; then ideal TS 16-25 25-36 36-64"
    )
    print("64-100 >100 at abs(b) > 20, and the same at abs(b) < 20")
    everything, true_ts = likelihood_ratios(model, rng, 0.0)
    report("all photons", everything, true_ts, signif, lat_deg)
    above, _ = likelihood_ratios(model, rng, 1000.0)
    report("photons above 1 GeV", above, true_ts, signif, lat_deg)
    for error in (1.0, 2.0):
        blurred = np.sqrt(true_ts) + error * rng.standard_normal(len(true_ts))
        report(f"sqrt(TS) known to {error:g}", blurred, true_ts, signif, lat_deg)


if __name__ == "__main__":
    main()
