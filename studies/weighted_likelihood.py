"""Errors by the measured scatter of the residuals beside a likelihood weighted as 4FGL's.

    PYTHONPATH=src python studies/weighted_likelihood.py [--off 4] [--plane 4] [--seed 1]
        [--diffuse v07|model_O|own] [--epsilon 0.03]

Fields as those of `measured_rows.py`, FRONT and ten years over v07, their sources of ideal TS
above 25 at their true places. The diffuse model of the fit is ``--diffuse``. Each region is fitted,
and each source by itself, as `refit` does it with held positions; then once more with the
log-likelihood of each pixel times the weight of 4FGL (Abdollahi et al. 2020, ApJS 247, 33,
appendix B), 1 / (1 + epsilon^2 N), where N are all photons expected under the PSF at this energy
and above. Printed are pulls and errors of Flux1000 with the errors of the likelihood alone, with
the measured scatter, and with the weights; the latter two hold that a power law may be curved.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.table import Table, vstack
from fields import listed, photons_of, separation_deg
from measured_rows import BACKGROUND, RADIUS_DEG, YEARS, off_plane, places_of, true_sources

from fermi_unek.catalog import Catalog
from fermi_unek.catalog.io import read_source_list
from fermi_unek.config import RefitConfig
from fermi_unek.diffuse.named import DiffuseModel, choose
from fermi_unek.irf.instrument import PROFILE_DEG, load_instrument
from fermi_unek.measure import refit_catalog
from fermi_unek.measure.background import DiffuseImages
from fermi_unek.measure.columns import refitted
from fermi_unek.measure.command import find_responses
from fermi_unek.measure.data import lookup
from fermi_unek.measure.fit import fit_fully
from fermi_unek.measure.model import RegionModel
from fermi_unek.measure.region import divide, make_task, set_shapes
from fermi_unek.measure.response import Response
from fermi_unek.measure.spectra import INDEX_MEAN, USUAL_BETA
from fermi_unek.measure.start import start_states, states_beyond
from fermi_unek.simulate.population import dr2_population
from fermi_unek.simulate.skymodel import build_sky_model
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.geometry.frame import lonlat_to_vectors

MARGIN_DEG = 1.0
ORDER, FINE_ORDER = 7, 9  # on whose pixels the weights are known, and summed under a PSF
AROUND_DEG = 6.0  # of the domain of a channel around its region
ERRORS = ("alone", "scatter", "weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--off", type=int, default=4)
    parser.add_argument("--plane", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--diffuse", default=BACKGROUND)
    parser.add_argument("--epsilon", type=float, default=0.03)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, numbers in (
        ("off the plane", range(options.off)),
        ("in the plane", range(options.off, options.off + options.plane)),
    ):
        found = []
        for number in numbers:
            rng = np.random.default_rng([options.seed, number])
            lon, lat = off_plane(rng)
            if number >= options.off:
                lat = rng.uniform(-1.0, 1.0)
            found.append(fit_field(rng, (lon, lat), choose(options.diffuse), options.epsilon))
        if found:
            report(name, vstack(found))


def fit_field(
    rng: np.random.Generator, centre: tuple[float, float], diffuse: DiffuseModel, epsilon: float
) -> Table:
    """Fluxes, errors and TS of the three kinds beside the true ones, of the sources of a field."""
    model = build_sky_model(dr2_population(rng), choose(BACKGROUND), load_instrument())
    truth = true_sources(model)
    away = separation_deg(truth, centre)
    around, truth = truth[(away > RADIUS_DEG) & (away < 3.0 * RADIUS_DEG)], truth[away < RADIUS_DEG]
    before = listed(places_of(truth))
    with tempfile.TemporaryDirectory() as folder:
        sky = photons_of(model, YEARS, (*centre, RADIUS_DEG), rng, Path(folder))
        around.write(beyond := Path(folder) / "around.fits")
        settings = {"surroundings": str(beyond), "localize": False, "history": "none"}
        found = {
            "alone": refit_catalog(
                before, sky, RefitConfig(scatter=False, **settings), diffuse=diffuse
            ),
            "scatter": refit_catalog(before, sky, RefitConfig(**settings), diffuse=diffuse),
        }
        found["weights"] = weighted(found["alone"], sky, diffuse, read_source_list(beyond), epsilon)
    order = [int(np.argmin(separation_deg(before.table, place))) for place in places_of(truth)]
    rows = truth[["Flux1000", "Ideal_TS"]]
    for name, catalog in found.items():
        for column in ("Flux1000", "Unc_Flux1000", "TS"):
            rows[f"{name}_{column}"] = np.asarray(catalog.table[column], float)[order]
    return rows[separation_deg(truth, centre) < RADIUS_DEG - MARGIN_DEG]


def weighted(
    catalog: Catalog, sky: SkyCounts, diffuse: DiffuseModel, around: Catalog, epsilon: float
) -> Catalog:
    """A refitted catalog once more, with weights."""
    table = catalog.table
    vectors = lonlat_to_vectors(
        *(np.asarray(table[name], float) for name in ("GLON", "GLAT"))
    ).reshape(-1, 3)
    responses = find_responses(sky, RefitConfig())
    beyond = states_beyond(around, sky, vectors)
    states = [*start_states(catalog, responses, diffuse), *beyond]
    regions = divide(
        np.array([state.vector for state in states]),
        np.array([state.amplitude for state in states]),
        np.arange(len(states)) < len(vectors),
    )
    results = []
    for region in regions:
        task = make_task(
            region, states, responses, diffuse, (INDEX_MEAN, RefitConfig().index_prior)
        )
        model = RegionModel(
            task.data, task.states, len(region.own) + len(region.border), task.prior
        )
        set_shapes(model)
        model.fit()
        weigh(model, diffuse, responses[0], region.radius_deg, epsilon)
        set_shapes(model)
        model.fit()
        expected = model.expected()
        known = model.informations(model.grams(expected)[0], range(len(region.own)))
        results += [
            fit_fully(
                model,
                number,
                row,
                expected=expected,
                information=information,
                ellipse=None,
                usual_beta=USUAL_BETA,
            )
            for number, (row, information) in enumerate(zip(region.own, known, strict=True))
        ]
    return refitted(catalog, results, regions)


def weigh(
    model: RegionModel, diffuse: DiffuseModel, response: Response, radius_deg: float, epsilon: float
) -> None:
    """Multiply the log-likelihood of each pixel of a fitted region by its weight.

    ``w (n log m - m)`` is ``n' log m' - m'`` of w n and w m, up to a constant.
    """
    data = model.data
    images = DiffuseImages(diffuse, response, data.centre, radius_deg + AROUND_DEG)
    disc = hp.query_disc(2**ORDER, data.centre, np.radians(radius_deg + AROUND_DEG), nest=True)
    points = np.stack(hp.pix2vec(2**ORDER, disc, nest=True), axis=-1)
    factors = model.diffuse_factors()
    density = np.array([factors[:, c] @ images.per_sr(c, points) for c in range(data.n_channels)])
    profiles = [data.profiles(state.fine_flux()) for state in model.states]
    for number, (state, profile) in enumerate(zip(model.states, profiles, strict=True)):
        density += model.photons_of(number)[:, None] * _at(points @ state.vector, profile)
    under = density * _psf_sr(profiles[0])[:, None]
    above = np.cumsum(under[::-1], axis=0)[::-1]
    weights = np.ones((data.n_channels, 12 * 4**ORDER))
    weights[:, disc] = 1.0 / (1.0 + epsilon**2 * above)
    pixels = hp.vec2pix(2**ORDER, *data.vectors.T, nest=True)
    weight = weights[data.channel, pixels]
    data.counts[:] *= weight
    model.light *= weight.astype(np.float32)
    model.frozen *= weight
    model.inside[model.free :] = [
        [
            (images.per_sr(c, area.observed)[kind] * _of(weights[c], area.observed))
            @ area.observed_sr
            for c, area in enumerate(data.domains)
        ]
        for kind in range(2)
    ]
    fine = hp.query_disc(2**FINE_ORDER, data.centre, np.radians(radius_deg + AROUND_DEG), nest=True)
    grid = np.stack(hp.pix2vec(2**FINE_ORDER, fine, nest=True), axis=-1)
    on_grid = weights[:, fine >> 2 * (FINE_ORDER - ORDER)]
    wide = data.radii_deg > 2.0 * np.degrees(hp.nside2resol(2**FINE_ORDER))
    for number in range(model.free):  # all others are a constant
        vector = model.states[number].vector
        part = _at(grid @ vector, profiles[number])
        blurred = np.sum(part * on_grid, axis=1) / np.maximum(part.sum(axis=1), 1e-300)
        model.inside[number] *= np.where(wide, blurred, _of(weights, vector))


def _at(cosine: np.ndarray, profiles: np.ndarray) -> np.ndarray:
    """Profiles (C, 2048) per sr at the cosines (Q,) of some angles: (C, Q)."""
    return np.array(
        [
            lookup(cosine, profiles, np.full(len(cosine), channel))
            for channel in range(len(profiles))
        ]
    )


def _of(weights: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Weights in the pixels of some directions."""
    return weights[..., hp.vec2pix(2**ORDER, *np.asarray(vectors).T, nest=True)]


def _psf_sr(profiles: np.ndarray) -> np.ndarray:
    """Solid angle (C,) under profiles (C, 2048): one over the integral of their squares."""
    angle = np.radians(PROFILE_DEG)
    return 1.0 / np.trapezoid(profiles**2 * 2.0 * np.pi * np.sin(angle), angle, axis=1)


def report(name: str, rows: Table) -> None:
    """Print what each kind of error makes of the sources of some fields."""
    true = np.asarray(rows["Flux1000"], float)
    for kind in ERRORS:
        flux, error, ts = (rows[f"{kind}_{c}"] for c in ("Flux1000", "Unc_Flux1000", "TS"))
        pull = np.asarray((flux - true) / error)
        pull = pull[np.isfinite(pull)]
        low, high = np.percentile(pull, [15.87, 84.13])
        print(
            f"{name}, {kind}: {len(rows)} sources, flux pull {pull.mean():+.2f} +- "
            f"{pull.std() / np.sqrt(len(pull)):.2f}, width {pull.std():.2f}, half of the central "
            f"68% {0.5 * (high - low):.2f}; flux off by {np.median(np.abs(flux / true - 1.0)):.3f} "
            f"in the median, error {np.median(error / true):.3f} of the flux, TS over the ideal "
            f"{np.median(ts / rows['Ideal_TS']):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
