"""`inject`: what a search finds of sources that were added to a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..config import FindConfig, InjectConfig, SearchSettings
from ..errors import InputError
from ..evaluate.files import INJECTION_FILES, write_injection
from ..evaluate.injection import Injection, inject
from ..irf.exposure import read_exposure
from ..irf.instrument import load_instrument
from ..outputs import check_folder
from ..progress import Progress, silent
from .inputs import Inputs, read_photons
from .models import load_models
from .search import search


def inject_to_folder(
    inputs: Inputs,
    folder: str | Path,
    config: InjectConfig,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Injection:
    """Completeness and position errors of exactly one field, from sources added to its counts.

    Writes the files of `evaluate.files.INJECTION_FILES` into `folder`, which is made.

    Raises
    ------
    OutputError
        Before anything is read, when one of them exists and `overwrite` is false, or they
        cannot be written.
    InputError
        As `find_sources`; the input does not say its live time and none was given; or the field
        is too small to add sources to.
    """
    folder = check_folder(folder, INJECTION_FILES, overwrite)
    # only positions are compared, so nothing is classified
    shared = {name: getattr(config, name) for name in SearchSettings.model_fields}
    looking = FindConfig(**shared, reference="none", classify=False)
    models = load_models(looking)
    sky = read_photons(inputs, looking)
    years = config.years or sky.livetime_years
    if not years > 0:
        raise InputError(f"{inputs}: the live time is not in the input, give it as --years")
    injection = inject(
        sky,
        lambda counts: search(counts, looking, models),
        load_instrument()
        if config.exposure is None
        else read_exposure(config.exposure).instrument_of(sky, years),
        years,
        np.array(config.flux),
        config.number,
        np.random.default_rng(config.seed),
        index=config.index,
        radius_deg=config.radius,
        progress=progress,
    )
    write_injection(injection, folder)
    return injection
