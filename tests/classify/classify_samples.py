"""CandidateFeatures, skies and networks that the tests of the classifier make for themselves."""

from __future__ import annotations

import numpy as np
import torch
from astropy.table import Table

from fermi_unek.classify.features import CandidateFeatures
from fermi_unek.diffuse.named import DiffuseModel
from fermi_unek.irf.instrument import load_instrument
from fermi_unek.nets.classifier import Classifier, ClassifierShape
from fermi_unek.simulate.population import complete
from fermi_unek.simulate.skymodel import SkyModel, build_sky_model
from fermi_unek.sky.bins import N_BINS, NATIVE_ORDERS
from fermi_unek.sky.counts import SkyCounts, bin_from_pixels

SMALL = ClassifierShape(hidden=8, filters=4, year_units=6, members=2)


def small_network(shape: ClassifierShape = SMALL, seed: int = 0) -> Classifier:
    """A network that nobody trained, in evaluation mode."""
    torch.manual_seed(seed)
    return Classifier(shape).eval()


def some_evidence(number: int = 6, n_years: int = 10, seed: int = 0) -> CandidateFeatures:
    """CandidateFeatures of plausible size that follows from no sky."""
    rng = np.random.default_rng(seed)
    net = rng.gamma(2.0, 20.0, (number, n_years, N_BINS)).astype(np.float32)
    total = net.sum(axis=1)
    return CandidateFeatures(
        image=rng.poisson(3.0, (number, N_BINS, 12, 12)).astype(np.float32),
        observed=np.ones((number, N_BINS), np.float32),
        spread=np.zeros((number, N_BINS), np.float32),
        net=net,
        core=rng.poisson(net).astype(np.float32),
        error=np.sqrt(total + 10.0),
        net_alone=total * 1.1,
        error_alone=np.sqrt(total + 5.0),
        core_background=np.full((number, N_BINS), 30.0, np.float32),
        exposure=np.full((number, n_years, N_BINS), 2e10, np.float32),
        probability=rng.random(number).astype(np.float32),
        mask=rng.uniform(0.1, 0.9, (number, 2)).astype(np.float32),
    )


def sky_of_photons(vectors: list[np.ndarray], **more: object) -> SkyCounts:
    """A sky with photons (P, 3) in each of the six bins."""
    import healpy

    bins = tuple(
        bin_from_pixels(b, healpy.vec2pix(2 ** NATIVE_ORDERS[b], *vectors[b].T, nest=True))
        for b in range(N_BINS)
    )
    return SkyCounts(bins, **more)  # type: ignore[arg-type]


def two_close_sources(event_type: str = "front") -> SkyModel:
    """At (30, 50) and 0.9 degrees from it, and one five degrees away."""
    flux = np.array([3e-8, 1.5e-8, 2e-8])
    places = [(30.0, 50.0), (30.0, 50.9), (38.0, 50.0)]
    number, index = len(places), 2.2
    lon, lat = np.array(places).T
    norm = flux * (index - 1.0) / (1.0 - 100.0 ** (1.0 - index)) / 1e3
    columns = {
        "Source_Name": np.full(number, "", "U24"),
        "GLON": lon,
        "GLAT": lat,
        "Signif_Avg": np.full(number, 10.0),
        "Pivot_Energy": np.full(number, 1e3),
        "SpectrumType": np.full(number, "PowerLaw", "U17"),
        "CLASS1": np.full(number, "bll", "U4"),
        "LP_beta": np.zeros(number),
        "PLEC_Expfactor": np.zeros(number),
        "PLEC_Exp_Index": np.ones(number),
    }
    for kind in ("PL", "LP", "PLEC"):
        columns |= {f"{kind}_Flux_Density": norm, f"{kind}_Index": np.full(number, index)}
    nodes = np.array([100.0, 1e6])
    spectrum = 1e-9 * (nodes / 1e3) ** -2.4
    maps = np.zeros((2, 12 * 64**2), np.float32)
    flat = DiffuseModel("flat", nodes, maps, nodes, spectrum, psf_included=True)
    return build_sky_model(complete(Table(columns)), flat, load_instrument(), event_type)
