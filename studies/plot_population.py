"""Draw mock skies and yearly light curves beside 4FGL-DR2, for the documentation.

    PYTHONPATH=src python studies/plot_population.py [FOLDER]

Writes population_counts.png, population_spectra.png and population_variability.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table

from fermi_unek.catalog import load_release
from fermi_unek.plots import BLACK, BLUE, GRAY, PANEL_IN, STYLE, VERMILION
from fermi_unek.simulate.mock import CLASSES, dr2_classes, laws, mock_population
from fermi_unek.simulate.population import select_columns
from fermi_unek.simulate.variability import histories, measured_variability

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
GROUPS = {
    "BL Lac, |b| > 10": ("bll", 10.0), "FSRQ, |b| > 10": ("fsrq", 10.0),
    "pulsars": ("psr", 0.0), "PWN, SNR, SPP": ("pwn", 0.0),
}  # fmt: skip
NEBULAE = ("pwn", "snr", "spp")
REAL, MOCK = BLACK, VERMILION
WIDTH, HEIGHT = PANEL_IN


def of_class(table: Table, name: str) -> np.ndarray:
    """Rows of a mock that are of a class."""
    return np.isin(table["CLASS1"], NEBULAE if name == "pwn" else (name,))


def weights_of(weights: np.ndarray, name: str) -> np.ndarray:
    """DR2's weights of a class; pulsars are young and millisecond ones."""
    columns = ("psr", "msp") if name == "psr" else (name,)
    return weights[:, [CLASSES.index(one) for one in columns]].sum(axis=1)


def beyond(table: Table, latitude: float) -> np.ndarray:
    """Rows at least so far from the plane."""
    return np.abs(np.asarray(table["GLAT"], float)) >= latitude


def draw_counts(mock: Table, real: Table, weights: np.ndarray, path: Path) -> None:
    """N(>S) of four groups and the distribution in latitude."""
    figure, panels = plt.subplots(3, 2, figsize=(2 * WIDTH, 3 * HEIGHT))
    grid = np.geomspace(2e-11, 1e-7, 120)
    complete_from: dict[str, float] = {}
    for name, law in laws():
        name = "psr" if name == "msp" else name
        complete_from[name] = max(law.threshold, complete_from.get(name, 0.0))
    for panel, (label, (name, latitude)) in zip(panels.flat, GROUPS.items(), strict=False):
        there = beyond(real, latitude)
        weight = weights_of(weights, name)[there]
        flux = np.asarray(real["Flux1000"], float)[there]
        panel.loglog(grid, [weight[flux > s].sum() for s in grid], color=REAL, label="4FGL-DR2")
        ours = np.asarray(mock["Flux1000"])[of_class(mock, name) & beyond(mock, latitude)]
        panel.loglog(grid, [(ours > s).sum() for s in grid], color=MOCK, label="mock")
        panel.axvline(complete_from[name], color=GRAY, ls=":", label="DR2 complete")
        panel.set(title=label, xlabel="S, 1 to 100 GeV (cm$^{-2}$ s$^{-1}$)", ylabel="N(>S)",
                  ylim=(0.7, None))  # fmt: skip
    panels.flat[0].legend()
    edges = np.linspace(0, 90, 31)
    for panel, threshold in zip(panels.flat[4:], (3e-10, 1.5e-9), strict=True):
        for table, color in ((real, REAL), (mock, MOCK)):
            bright = np.asarray(table["Flux1000"], float) > threshold
            latitude = np.abs(np.asarray(table["GLAT"], float))[bright]
            panel.hist(latitude, edges, histtype="step", color=color)
        panel.set(title=f"all classes, S > {threshold:g}", xlabel="|b| (deg)", yscale="log",
                  ylabel="sources in 3 deg")  # fmt: skip
    figure.savefig(path)


def draw_spectra(mock: Table, real: Table, weights: np.ndarray, path: Path) -> None:
    """Index and curvature where DR2 is complete."""
    figure, panels = plt.subplots(4, 2, figsize=(2 * WIDTH, 4 * HEIGHT))
    thresholds = {"bll": 1e-9, "fsrq": 1e-9, "psr": 1.5e-9, "pwn": 1.5e-9}
    for row, (label, (name, latitude)) in zip(panels, GROUPS.items(), strict=True):
        theirs = beyond(real, latitude) & (real["Flux1000"] > thresholds[name])
        ours = beyond(mock, latitude) & of_class(mock, name)
        ours &= np.asarray(mock["Flux1000"]) > thresholds[name]
        pulsar = name == "psr"
        parameters = ("PLEC_Index", "PLEC_Expfactor") if pulsar else ("LP_Index", "LP_beta")
        if pulsar:
            theirs &= np.asarray(real["SpectrumType"]) == "PLSuperExpCutoff"
        weight = weights_of(weights, name)[theirs]
        for panel, parameter in zip(row, parameters, strict=True):
            known = np.asarray(real[parameter], float)[theirs]
            low, high = np.nanpercentile(known, [0.5, 99.5])
            style = dict(bins=np.linspace(low, high, 26), histtype="step", density=True)
            panel.hist(known, weights=weight, color=REAL, label="4FGL-DR2, measured", **style)
            panel.hist(mock[parameter][ours], color=MOCK, label="mock, true", **style)
            panel.set(xlabel=parameter, ylabel="density")
        row[0].set_title(f"{label}, S > {thresholds[name]:g}")
    panels[0, 1].legend()
    figure.savefig(path)


def draw_variability(path: Path) -> None:
    """Frac_Variability and Variability_Index of the blazars, in bins of yearly error."""
    names = ("CLASS1", "Flux1000", "Frac_Variability", "Variability_Index", "Flux_History",
             "Unc_Flux_History")  # fmt: skip
    real = select_columns(load_release("4FGL-DR2"), names)
    flux, error = histories(real)
    size = np.sqrt((error**2).mean(axis=1)) / flux.mean(axis=1)
    figure, panels = plt.subplots(4, 2, figsize=(2 * WIDTH, 4 * HEIGHT), sharey=True)
    rng = np.random.default_rng(0)
    for row, name in zip(panels, ("bll", "fsrq", "bcu", "psr"), strict=True):
        for (low, high), color in zip(
            ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5)), (BLACK, VERMILION, BLUE),
            strict=True,
        ):  # fmt: skip
            rows = (np.asarray(real["CLASS1"]) == name) & (size >= low) & (size < high)
            if rows.sum() < 20:
                continue
            ours = measured_variability(
                np.tile(real["CLASS1"][rows], 10),
                np.tile(real["Flux1000"][rows], 10),
                np.tile(size[rows], 10),
                rng,
            )
            theirs = real["Frac_Variability"][rows], real["Variability_Index"][rows]
            for panel, *samples in zip(row, theirs, ours, strict=True):
                for sample, style in zip(samples, ("-", "--"), strict=True):
                    ordered = np.sort(np.asarray(sample, float))
                    label = f"yearly error {low:g} to {high:g}" if style == "-" else None
                    panel.plot(ordered, np.linspace(0, 1, ordered.size), style, color=color,
                               label=label)  # fmt: skip
        row[0].set(title=name, xlabel="Frac_Variability", xlim=(0, 2), ylabel="part below")
        row[1].set(xlabel="Variability_Index", xscale="log", xlim=(2, 3e4))
        row[1].axvline(21.67, color=GRAY, ls=":")
    figure.suptitle("full: 4FGL-DR2, dashed: simulated")
    panels[0, 0].legend()
    figure.savefig(path)


def main() -> None:
    """Draw everything into the folder of the command line, or docs/figures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    plt.style.use(STYLE)
    mock = mock_population(np.random.default_rng(1))
    real, weights = dr2_classes()
    draw_counts(mock, real, weights, folder / "population_counts.png")
    draw_spectra(mock, real, weights, folder / "population_spectra.png")
    draw_variability(folder / "population_variability.png")


if __name__ == "__main__":
    main()
