"""Simulated skies beside the real one: writes docs/validation.md and its figures.

    PYTHONPATH=src python scripts/validate_simulator.py [DATA] [--docs docs] [--seed 1]

DATA is the folder of the public Fermi data, ../shared/data unless given. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import healpy as hp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import get_sun
from astropy.io import fits
from astropy.table import Table, vstack
from astropy.time import Time

from fermi_unek.simulate import caldb
from fermi_unek.simulate.caldb import instrument_from_caldb
from fermi_unek.simulate.diffuse import DiffuseModel, by_name, read_isotropic
from fermi_unek.simulate.exposure import with_exposure
from fermi_unek.simulate.extended import extended_model, extended_table, split_compact
from fermi_unek.simulate.instrument import FINE_ENERGIES_MEV, Instrument, load_instrument
from fermi_unek.simulate.mock import CLASSES, dr2_classes, mock_population
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.shipped import DR2_FILE, shipped_columns
from fermi_unek.simulate.sky import Photons, simulate_counts, simulate_photons
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.simulate.variability import histories, measured_variability
from fermi_unek.sky.bins import ENERGY_EDGES_MEV, YEAR_S
from fermi_unek.sky.coverage import icrs_to_galactic, inside_circle
from fermi_unek.sky.frame import lonlat_to_vectors, vectors_to_lonlat

ISO_P8R2 = "iso_P8R2_SOURCE_V6_FRONT_v06.txt"
EXPCUBE, EXPCUBE_YEARS = "exposure/fermi_3fhl_exposure_cube_hpx.fits.gz", 7.0
LTCUBE = "exposure/ltcube_4yr_nside32.fits"
REAL, SIMULATED = "black", "tab:red"
DRAWS = 4
"""Simulations of a field that are averaged: their own scatter is half of the real field's."""

SUN_DEG = 5.0
"""Photons nearer to the Sun are left out of the second comparison."""

MJD_ZERO = 51910.00074287037


@dataclass(frozen=True)
class Field:
    """A real photon file and the part of it that is compared.

    `box` is (|l|, |b|) in degrees around a Galactic centre, or None for the circle `region`.
    """

    name: str
    file: str
    region: tuple[float, float, float]
    event_type: str
    lowest_mev: float
    box: tuple[float, float] | None = None


FIELDS = (
    Field("SMC", "smc_ft1_p8r2_1GeV_r9.fits", (302.2, -44.4, 8.5), "front", 1e3),
    Field("J1120", "j1120_ft1_p8r2_1GeV_r5.fits", (251.5, 60.7, 4.8), "front", 1e3),
    Field("J2310", "j2310_ft1_p8r2_1GeV_r5.fits", (69.8, -57.8, 4.8), "front", 1e3),
)
CRAB_FILE = "crab_ft1_p8r2_10GeV.fits.gz"
HARD_FIELDS = (
    Field("Galactic centre", "fermi-3fhl-gc-events.fits.gz", (0.0, 0.0, 11.2), "all", 1e4, (10, 5)),
    Field("Crab, 9.5 deg", CRAB_FILE, (184.56, -5.78, 9.5), "all", 1e4),
    Field("Crab, 0.5 deg", CRAB_FILE, (184.56, -5.78, 0.5), "all", 1e4),
)
HARD_EDGES_MEV = np.array([1e4, 2e4, 5e4, 1e6])


@dataclass(frozen=True)
class Events:
    """Photons of a field: Galactic unit vectors, energies, and times where they are known."""

    vectors: np.ndarray
    energies_mev: np.ndarray
    times_met: np.ndarray

    def cut(self, keep: np.ndarray) -> Events:
        return Events(self.vectors[keep], self.energies_mev[keep], self.times_met[keep])

    @cached_property
    def lonlat(self) -> tuple[np.ndarray, np.ndarray]:
        return vectors_to_lonlat(self.vectors)

    def counts(self, edges: np.ndarray) -> np.ndarray:
        return np.histogram(self.energies_mev, edges)[0]


def read_events(path: Path, field: Field) -> tuple[Events, float]:
    """Photons of the field and the years between the first and the last good time."""
    with fits.open(path) as hdus:
        data, gti = hdus["EVENTS"].data, hdus["GTI"].data
        vectors = lonlat_to_vectors(data["L"].astype(float), data["B"].astype(float))
        events = Events(vectors, data["ENERGY"].astype(float), data["TIME"].astype(float))
        if field.event_type == "front":
            events = events.cut(data["CONVERSION_TYPE"] == 0)
        years = (gti["STOP"].max() - gti["START"].min()) / YEAR_S
    return in_field(events, field), float(years)


def in_field(events: Events, field: Field) -> Events:
    """Photons inside the field and above its lowest energy."""
    keep = events.energies_mev >= field.lowest_mev
    if field.box is None:
        return events.cut(keep & inside_circle(events.vectors, field.region))
    lon, lat = vectors_to_lonlat(events.vectors)
    lon = (lon + 180.0) % 360.0 - 180.0
    return events.cut(keep & (np.abs(lon) < field.box[0]) & (np.abs(lat) < field.box[1]))


def as_events(photons: Photons) -> Events:
    return Events(
        photons.vectors.astype(float), photons.energies_mev.astype(float), photons.times_met
    )


def sun_distance_deg(vectors: np.ndarray, times_met: np.ndarray) -> np.ndarray:
    """Distance of directions from the Sun at the time."""
    sun = get_sun(Time(MJD_ZERO + times_met / 86400.0, format="mjd", scale="tt"))
    places = lonlat_to_vectors(sun.ra.deg, sun.dec.deg) @ icrs_to_galactic().T
    return np.degrees(np.arccos(np.clip((vectors * places).sum(axis=1), -1.0, 1.0)))


def part_near_sun(field: Field, years: float, rng: np.random.Generator) -> float:
    """Part of the field's area and live time that is near to the Sun."""
    number = 20_000
    away = np.arccos(1.0 - rng.random(number) * (1.0 - np.cos(np.radians(field.region[2]))))
    centre = lonlat_to_vectors(*(np.asarray(x) for x in field.region[:2]))
    first = np.cross(centre, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    turn = rng.random(number) * 2.0 * np.pi
    side = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * np.cross(centre, first)
    vectors = np.cos(away)[:, None] * centre + np.sin(away)[:, None] * side
    times = 239557417.0 + rng.random(number) * years * YEAR_S
    return float(np.mean(sun_distance_deg(vectors, times) < SUN_DEG))


class Sky:
    """The DR2 sky with its extended sources over v07, seen by instruments as they are asked for."""

    def __init__(self, data: Path, seed: int) -> None:
        self.data = data
        self.rng = np.random.default_rng(seed)
        compact, extended = split_compact(extended_table())
        self.sources = vstack([dr2_population(self.rng), compact])
        self.diffuse = by_name("v07", data, "front")
        self.extended = extended_model(extended)

    @cached_property
    def p8r2(self) -> Instrument:
        return instrument_from_caldb(
            self.data / "irf", self.data / LTCUBE, "P8R2_SOURCE_V6", by_position=True
        )

    @cached_property
    def p8r2_of_seven_years(self) -> Instrument:
        """With the exposure of the 3FHL catalog, FRONT and BACK from 10 GeV on."""
        return with_exposure(self.p8r2, self.data / EXPCUBE, EXPCUBE_YEARS, "all")

    def model(self, instrument: Instrument, diffuse: DiffuseModel, event_type: str) -> SkyModel:
        return build_sky_model(
            self.sources, diffuse, instrument, event_type, extended=self.extended
        )

    @cached_property
    def front_p8r2(self) -> SkyModel:
        energies, intensity = read_isotropic(self.data / "diffuse" / ISO_P8R2)
        diffuse = replace(self.diffuse, iso_energies_mev=energies, iso_intensity=intensity)
        return self.model(self.p8r2, diffuse, "front")


# the fields ------------------------------------------------------------------------------------


def compare_fields(sky: Sky, figures: Path) -> list[str]:
    """Table of counts per bin and the figure of the three fields above 1 GeV."""
    lines = ["| field | bin [GeV] | real | simulated | real/simulated | Sun beyond 5 deg | "
             "and seven years' exposure |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    edges = ENERGY_EDGES_MEV[2:]
    figure, panels = plt.subplots(3, 3, figsize=(12, 9.5), layout="constrained")
    for field, row in zip(FIELDS, panels, strict=True):
        real, years = read_events(sky.data / "real" / field.file, field)
        draws = [
            in_field(
                as_events(simulate_photons(sky.front_p8r2, years, sky.rng, field.region)), field
            )
            for _ in range(DRAWS)
        ]
        mean = np.mean([one.counts(edges) for one in draws], axis=0)
        calm = real.cut(sun_distance_deg(real.vectors, real.times_met) > SUN_DEG)
        left = 1.0 - part_near_sun(field, years, sky.rng)
        later = later_exposure(sky, field, years)
        for b, (count, expected, quiet) in enumerate(
            zip(real.counts(edges), mean, calm.counts(edges), strict=True)
        ):
            error = np.sqrt(1.0 / max(count, 1) + 1.0 / (DRAWS * max(expected, 1.0)))
            lines.append(
                f"| {field.name} | {edges[b] / 1e3:g} to {edges[b + 1] / 1e3:g} | {count:,} | "
                f"{expected:,.0f} | {count / expected:.3f} +- {error * count / expected:.3f} | "
                f"{quiet / (expected * left):.3f} | {quiet / (expected * left * later):.3f} |"
            )
        draw_field(row, field, real, draws, mean)
    figure.savefig(figures / "validation_fields.png", dpi=80)
    return lines


def later_exposure(sky: Sky, field: Field, years: float) -> float:
    """Exposure over that of the first four years' rate, by the seven years of 3FHL.

    What comes after the seven years is taken to be like the first four.
    """
    centre = lonlat_to_vectors(*(np.atleast_1d(x) for x in field.region[:2]))
    k = int(np.abs(np.log(FINE_ENERGIES_MEV / 1.2e4)).argmin())
    seven, four = (one.front.exposure_at(centre)[k, 0]
                   for one in (sky.p8r2_of_seven_years, sky.p8r2))  # fmt: skip
    return float((EXPCUBE_YEARS * seven / four + years - EXPCUBE_YEARS) / years)


def draw_field(
    row: Sequence[plt.Axes], field: Field, real: Events, draws: list[Events], mean: np.ndarray
) -> None:
    """Spectrum, latitude profile and one-point histogram of a field."""
    edges = ENERGY_EDGES_MEV[2:]
    counts = real.counts(edges)
    row[0].errorbar(np.sqrt(edges[1:] * edges[:-1]), counts, np.sqrt(counts), fmt=".", color=REAL)
    row[0].stairs(mean, edges, color=SIMULATED)
    row[0].set(xscale="log", yscale="log", xlabel="energy [MeV]", ylabel=f"{field.name}: photons")
    soft = lambda events: events.cut(events.energies_mev < 7e3)  # noqa: E731
    lat, radius = field.region[1:]
    bins = np.linspace(lat - radius, lat + radius, 13)
    compare_steps(row[1], bins, soft(real).lonlat[1], [soft(one).lonlat[1] for one in draws])
    row[1].set(xlabel="latitude [deg]", ylabel="photons, 1 to 7 GeV")
    inner = (*field.region[:2], field.region[2] - 0.5)
    pixels = hp.query_disc(128, lonlat_to_vectors(*map(np.asarray, inner[:2])),
                           np.radians(inner[2]))  # fmt: skip

    def in_pixels(events: Events) -> np.ndarray:
        found = hp.vec2pix(128, *soft(events).vectors.T)
        return np.bincount(found, minlength=hp.nside2npix(128))[pixels]

    bins = np.unique(np.round(np.geomspace(1, 200, 25))) - 0.5
    compare_steps(row[2], np.concatenate([[-0.5], bins]), in_pixels(real), map(in_pixels, draws))
    row[2].set(xlabel="photons in pixels of 0.46 deg, 1 to 7 GeV", ylabel="pixels", yscale="log",
               ylim=(0.3, None), xlim=(0, None), xscale="symlog")  # fmt: skip


def compare_steps(panel: plt.Axes, bins: np.ndarray, real: np.ndarray, draws: object) -> None:
    """Histograms of the real field and of the mean of the simulated ones."""
    counts = np.histogram(real, bins)[0]
    middle = 0.5 * (bins[1:] + bins[:-1])
    panel.errorbar(middle, counts, np.sqrt(counts), fmt=".", color=REAL)
    panel.stairs(np.mean([np.histogram(one, bins)[0] for one in draws], axis=0), bins,
                 color=SIMULATED)  # fmt: skip


def compare_hard_fields(sky: Sky) -> tuple[list[str], dict[str, tuple[Events, list[Events]]]]:
    """Counts per bin of the fields above 10 GeV, and their photons."""
    # both event types have about the isotropic spectrum of FRONT above 10 GeV
    model = sky.model(sky.p8r2_of_seven_years, sky.diffuse, "all")
    lines = [
        "| field | energy [GeV] | real | simulated | real/simulated |",
        "|---|---|---|---|---|",
    ]
    photons = {}
    for field in HARD_FIELDS:
        real, years = read_events(sky.data / "real" / field.file, field)
        draws = [
            in_field(as_events(simulate_photons(model, years, sky.rng, field.region)), field)
            for _ in range(DRAWS)
        ]
        photons[field.name] = real, draws
        mean = np.mean([one.counts(HARD_EDGES_MEV) for one in draws], axis=0)
        for b, (count, expected) in enumerate(zip(real.counts(HARD_EDGES_MEV), mean, strict=True)):
            lines.append(
                f"| {field.name} | {HARD_EDGES_MEV[b] / 1e3:g} to {HARD_EDGES_MEV[b + 1] / 1e3:g} "
                f"| {count:,} | {expected:,.0f} | {count / expected:.3f} +- "
                f"{np.sqrt(count) / expected:.3f} |"
            )
    return lines, photons


# the whole sky ---------------------------------------------------------------------------------


def compare_whole_sky(sky: Sky, figures: Path) -> list[str]:
    """Intensity from 2 to 20 GeV in bands of latitude, and profiles."""
    counts = np.load(sky.data / "real" / "fermidata_counts.npy").astype(float)
    exposure = np.load(sky.data / "diffuse" / "nside128" / "fermidata_exposure.npy")
    area = hp.nside2pixarea(128)
    real = counts / exposure / area
    model = sky.model(load_instrument(), sky.diffuse, "front")
    drawn = simulate_counts(model, 10.0, sky.rng)
    vectors = np.array(hp.pix2vec(128, np.arange(counts.size))).T
    mine = np.zeros(counts.size)
    response = model.responses[0]
    for b in (3, 4):
        one = drawn.bins[b]
        assert one is not None
        ring = hp.nest2ring(128, one.pixels.astype(int) >> 2 * (one.order - 7))
        weight = FINE_ENERGIES_MEV**-1.4 * response.bin_fractions[:, b]
        seen = weight @ response.exposure_at(vectors) / weight.sum() * 10.0
        mine += np.bincount(ring, one.counts, minlength=counts.size) / seen / area
    lon, lat = hp.pix2ang(128, np.arange(counts.size), lonlat=True)
    figure, panels = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    profile(panels[0], lat, np.arange(-90, 90.1, 3.0), real, mine, "latitude [deg]")
    plane = np.abs(lat) < 5.0
    around = (lon[plane] + 180.0) % 360.0 - 180.0
    profile(panels[1], around, np.arange(-180, 180.1, 5.0), real[plane], mine[plane],
            "longitude at abs(b) < 5 [deg]")  # fmt: skip
    coarse = [hp.ud_grade(one, 32) for one in (real, mine)]
    bins = np.geomspace(3e-7, 1e-4, 45)
    panels[2].hist(coarse[0], bins, histtype="step", color=REAL)
    panels[2].hist(coarse[1], bins, histtype="step", color=SIMULATED)
    panels[2].set(xscale="log", yscale="log", xlabel="intensity in pixels of 1.8 deg",
                  ylabel="pixels")  # fmt: skip
    figure.savefig(figures / "validation_sky.png", dpi=80)
    lines = ["| abs(b) [deg] | real | simulated | real/simulated |", "|---|---|---|---|"]
    for low, high in ((0, 2), (2, 5), (5, 10), (10, 20), (20, 40), (40, 60), (60, 90)):
        band = (np.abs(lat) >= low) & (np.abs(lat) < high)
        a, b = real[band].mean(), mine[band].mean()
        lines.append(f"| {low} to {high} | {a:.3g} | {b:.3g} | {a / b:.3f} |")
    return lines


def profile(
    panel: plt.Axes, where: np.ndarray, bins: np.ndarray, real: np.ndarray, mine: np.ndarray,
    label: str,
) -> None:  # fmt: skip
    """Mean intensity along a coordinate."""
    number = np.histogram(where, bins)[0]
    for values, color, name in ((real, REAL, "real"), (mine, SIMULATED, "simulated")):
        panel.stairs(np.histogram(where, bins, weights=values)[0] / number, bins, color=color,
                     label=name)  # fmt: skip
    panel.set(yscale="log", xlabel=label, ylabel="2 to 20 GeV [ph cm$^{-2}$ s$^{-1}$ sr$^{-1}$]")
    panel.legend()


# the PSF ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """Sources whose photons are put on top of each other, in one range of energy."""

    label: str
    energies_mev: tuple[float, float]
    reach_deg: float
    places: np.ndarray


def stacked(events: Events, stack: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Radii and the part of the source's photons inside, the background ring taken away."""
    low, high = stack.energies_mev
    some = events.cut((events.energies_mev >= low) & (events.energies_mev < high))
    radii = np.linspace(0.0, 1.6 * stack.reach_deg, 97)
    away = np.degrees(np.arccos(np.clip(some.vectors @ stack.places.T, -1.0, 1.0)))
    grown = np.cumsum(np.histogram(away, radii)[0])
    area = 1.0 - np.cos(np.radians(radii[1:]))
    edge = np.searchsorted(radii[1:], stack.reach_deg)
    background = (grown[-1] - grown[edge]) / (area[-1] - area[edge])
    inside = grown - background * area
    return radii[1 : edge + 2], inside[: edge + 1] / inside[edge]


def compare_psf(sky: Sky, hard: dict[str, tuple[Events, list[Events]]], figures: Path) -> list[str]:
    """Containment of stacked bright sources, real against simulated."""
    real, draws = [], []
    for field in FIELDS:
        events, years = read_events(sky.data / "real" / field.file, field)
        calm = sun_distance_deg(events.vectors, events.times_met) > SUN_DEG
        real.append(events.cut(calm))
        draws += [
            in_field(
                as_events(simulate_photons(sky.front_p8r2, years, sky.rng, field.region)), field
            )
            for _ in range(DRAWS)
        ]
    soft = join(real), join(draws)
    places = np.concatenate([isolated(sky.sources, field) for field in FIELDS])
    crab = lonlat_to_vectors(np.array([184.557]), np.array([-5.784]))
    hard_events = hard["Crab, 9.5 deg"][0], join(hard["Crab, 9.5 deg"][1])
    stacks = (
        (Stack(f"{len(places)} sources, 1 to 2 GeV", (1e3, 2e3), 1.4, places), soft),
        (Stack(f"{len(places)} sources, 2 to 7 GeV", (2e3, 7e3), 0.9, places), soft),
        (Stack("Crab, 10 to 20 GeV", (1e4, 2e4), 0.6, crab), hard_events),
        (Stack("Crab, 20 to 1000 GeV", (2e4, 1e6), 0.5, crab), hard_events),
    )
    lines = ["| sources and energy | real r68 [deg] | simulated r68 [deg] | real/simulated |",
             "|---|---|---|---|"]  # fmt: skip
    figure, panels = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    for panel, (stack, pair) in zip(panels, stacks, strict=True):
        r68 = []
        for events, color in zip(pair, (REAL, SIMULATED), strict=True):
            radii, part = stacked(events, stack)
            panel.plot(radii, part, color=color)
            # the first crossing: the curve is noisy where it is flat
            r68.append(float(np.interp(0.68, np.maximum.accumulate(part), radii)))
        panel.set(title=stack.label, xlabel="radius [deg]", ylabel="part of the photons inside")
        lines.append(f"| {stack.label} | {r68[0]:.3f} | {r68[1]:.3f} | {r68[0] / r68[1]:.3f} |")
    figure.savefig(figures / "validation_psf.png", dpi=80)
    return lines


def join(parts: Sequence[Events]) -> Events:
    names = ("vectors", "energies_mev", "times_met")
    return Events(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def isolated(sources: Table, field: Field) -> np.ndarray:
    """Unit vectors of bright sources of a field with no other of a fifth of their flux near."""
    vectors = lonlat_to_vectors(
        np.asarray(sources["GLON"], float), np.asarray(sources["GLAT"], float)
    )
    flux = np.asarray(sources["Flux1000"], float)
    inner = (*field.region[:2], field.region[2] - 2.3)
    rows = np.flatnonzero(inside_circle(vectors, inner) & (flux > 8e-10))
    alone = [
        row for row in rows
        if not np.any((vectors @ vectors[row] > np.cos(np.radians(2.3))) & (flux > 0.2 * flux[row])
                      & (np.arange(flux.size) != row))
    ]  # fmt: skip
    return vectors[alone].reshape(-1, 3)


# the population and the tables -----------------------------------------------------------------


def compare_population(rng: np.random.Generator) -> list[str]:
    """Numbers and median spectra of each class above a flux, mock against DR2."""
    real, weights = dr2_classes()
    mocks = [mock_population(rng) for _ in range(DRAWS)]
    lines = ["| class | above [ph/cm2/s] | DR2 | mock | median LP_Index DR2, mock |",
             "|---|---|---|---|---|"]  # fmt: skip
    groups = {"bll": ("bll",), "fsrq": ("fsrq",), "psr and msp": ("psr", "msp"), "pwn": ("pwn",)}
    ours = {"psr and msp": ("psr",), "pwn": ("pwn", "snr", "spp")}
    flux = np.asarray(real["Flux1000"], float)
    index = np.nan_to_num(np.asarray(real["LP_Index"], float), nan=2.5)
    for name, columns in groups.items():
        weight = weights[:, [CLASSES.index(one) for one in columns]].sum(axis=1)
        for threshold in (3e-10, 1e-9, 3e-9, 1e-8):
            bright = flux > threshold
            mine = [m[np.isin(m["CLASS1"], ours.get(name, columns)) & (m["Flux1000"] > threshold)]
                    for m in mocks]  # fmt: skip
            number = np.mean([len(one) for one in mine])
            theirs = weighted_median(index[bright], weight[bright])
            # the index of a spectrum that is cut off is another thing
            local = "-" if name == "psr and msp" else (
                f"{theirs:.2f}, {np.median(np.concatenate([one['LP_Index'] for one in mine])):.2f}"
            )  # fmt: skip
            lines.append(f"| {name} | {threshold:g} | {weight[bright].sum():.0f} | {number:.0f} | "
                         f"{local} |")  # fmt: skip
    return lines


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    grown = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(grown, grown[-1] / 2.0)])


def compare_variability(rng: np.random.Generator) -> list[str]:
    """Frac_Variability and Variability_Index of DR2's sources and of simulated ones like them."""
    names = ("CLASS1", "Flux1000", "Frac_Variability", "Variability_Index", "Flux_History",
             "Unc_Flux_History")  # fmt: skip
    real = shipped_columns(DR2_FILE, names)
    flux, error = histories(real)
    size = np.sqrt((error**2).mean(axis=1)) / flux.mean(axis=1)
    lines = ["| class | yearly error | sources | median Frac_Variability DR2, simulated | "
             "Variability_Index above 21.67 DR2, simulated |", "|---|---|---|---|---|"]  # fmt: skip
    for name in ("bll", "fsrq", "bcu", "psr"):
        for low, high in ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5)):
            rows = (np.asarray(real["CLASS1"]) == name) & (size >= low) & (size < high)
            if rows.sum() < 20:
                continue
            repeated = (np.tile(one, 10) for one in (
                np.asarray(real["CLASS1"])[rows], np.asarray(real["Flux1000"], float)[rows],
                size[rows],
            ))  # fmt: skip
            part, index = measured_variability(*repeated, rng)
            theirs = real["Frac_Variability"][rows], real["Variability_Index"][rows]
            lines.append(
                f"| {name} | {low:g} to {high:g} | {rows.sum()} | {np.median(theirs[0]):.2f}, "
                f"{np.median(part):.2f} | {np.mean(theirs[1] > 21.67):.2f}, "
                f"{np.mean(index > 21.67):.2f} |"
            )
    return lines


def compare_tables(sky: Sky) -> list[str]:
    """The shipped instrument against one made anew from the CALDB files."""
    shipped_split, caldb.SPLIT = caldb.SPLIT, 4 * caldb.SPLIT
    fresh = instrument_from_caldb(sky.data / "irf", sky.data / LTCUBE)
    caldb.SPLIT = shipped_split
    shipped = load_instrument()
    lines = ["| | FRONT | BACK |", "|---|---|---|"]

    def row(label: str, values: Callable[[str], str]) -> None:
        lines.append(f"| {label} | {values('front')} | {values('back')} |")

    at = [int(np.abs(np.log(FINE_ENERGIES_MEV / e)).argmin()) for e in (1e3, 1e4, 1e5)]

    def largest(part: str, values: Callable[[object], np.ndarray]) -> str:
        a, b = values(getattr(shipped, part)), values(getattr(fresh, part))
        return f"{np.nanmax(np.abs(a / b - 1.0)):.2%}"

    row("largest difference in r68", lambda p: largest(p, lambda r: r.containment_deg(0.68)))
    row("largest difference in r95", lambda p: largest(p, lambda r: r.containment_deg(0.95)))
    row("largest difference in exposure", lambda p: largest(p, lambda r: r.exposure_per_year[2:]))
    row(
        "r68 at 1, 10, 100 GeV [deg]",
        lambda p: ", ".join(f"{x:.3f}" for x in getattr(shipped, p).containment_deg(0.68)[at]),
    )
    row("mean exposure of ten years at 1.4 GeV [cm2 s]", lambda p: f"{mean_exposure(p):.3g}")
    return lines


def mean_exposure(part: str) -> float:
    """Exposure of ten years at 1.4 GeV, mean over the sky, cm2 s."""
    table = getattr(load_instrument(), part).exposure_per_year.mean(axis=1)
    return 10.0 * float(np.interp(1400.0, FINE_ENERGIES_MEV, table))


PAGE = """# Simulated skies beside the real one

Written by `scripts/validate_simulator.py`; every figure here comes from it. The simulated sky is
4FGL-DR2 with its faint tail and its extended sources over v07 (see `docs/guide/simulate.md`).

## Three fields above 1 GeV

P8R2 SOURCE FRONT photons of the real sky against the mean of {draws} simulations with the P8R2 response
and its isotropic spectrum. The goal is ten percent from 1 to 7 GeV. The exposure is that of a livetime
cube of the first four years; in the last column it is that of 3FHL's seven years at this place. Errors
are those of the photon numbers.

{fields}

The SMC is within the goal. J1120 and J2310 lie within three degrees of the ecliptic. The Sun shone into
J2310 in the great flare of 7 March 2012, so the last two columns
leave out what is near to the Sun. P8R2 has up to twice the residual background from 1 to 3 GeV within 20
degrees of the ecliptic (Bruel et al. 2018, arXiv:1810.11394); P8R3, the instrument that ships, does not,
and no simulation here adds it. **J1120 does not reach the goal. J2310 does from 2 to 7 GeV and is at its
edge from 1 to 2 GeV, on this or that side of it by exposure and Sun.** Above 20 GeV the isotropic spectrum of P8R2, which
came with another Galactic model, is too bright.

![spectrum, latitude profile and one-point counts of the fields, black real and red simulated](figures/validation_fields.png)

## Two fields above 10 GeV

FRONT and BACK together.

{hard}

## The whole sky from 2 to 20 GeV

The real map holds ULTRACLEANVETO events of the type PSF3, which have less residual background than the
SOURCE events simulated: at high latitudes it must lie below.

{sky}

![profiles in latitude and longitude and the one-point distribution](figures/validation_sky.png)

## The PSF of bright sources

Photons around isolated sources above 8e-10 ph cm-2 s-1 of the three fields, and around the Crab,
counted inside a radius after a background ring is taken away; simulated photons went through the same.

{psf}

![part of the photons inside a radius](figures/validation_psf.png)

## Population

Numbers above a flux (1 to 100 GeV) of a mock sky, mean of {draws}, against DR2, whose unnamed sources
count as what they are likely to be. Below about 1e-9 in the plane DR2 is not complete.

{population}

The variability of single years, in bins of the relative error of a yearly flux; 21.67 is where nine
degrees of freedom are exceeded once in a hundred times.

{variability}

Figures of `scripts/plot_population.py`: [counts](figures/population_counts.png),
[spectra](figures/population_spectra.png), [variability](figures/population_variability.png).

## Shipped instrument tables

Against tables made from the CALDB files with an average over inclination four times finer.

{tables}
"""  # noqa: E501


def main() -> None:
    """Compare everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = options.docs / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    sky = Sky(options.data, options.seed)
    parts: dict[str, list[str]] = {}

    def told(name: str, lines: list[str]) -> None:
        parts[name] = lines
        print(f"== {name}", *lines, sep="\n", flush=True)

    told("fields", compare_fields(sky, figures))
    lines, hard = compare_hard_fields(sky)
    told("hard", lines)
    told("psf", compare_psf(sky, hard, figures))
    told("sky", compare_whole_sky(sky, figures))
    told("population", compare_population(sky.rng))
    told("variability", compare_variability(sky.rng))
    told("tables", compare_tables(sky))
    page = PAGE.format(draws=DRAWS, **{name: "\n".join(lines) for name, lines in parts.items()})
    (options.docs / "validation.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
