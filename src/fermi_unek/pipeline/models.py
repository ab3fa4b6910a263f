"""What a search needs beside photons: networks, a 4FGL release, the exposure."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..catalog import load_release
from ..config import FindConfig
from ..errors import ConfigError, UnekWarning
from ..irf.exposure import ExposureFile, read_exposure
from ..irf.instrument import Instrument
from ..progress import stage
from ..sky.binning import BINNING
from ..sky.selection import EVENT_TYPES

if TYPE_CHECKING:
    from ..diffuse.template import DiffuseShape
    from ..nets.classifier_weights import ClassifierFile
    from ..nets.weights import LocalizerFile


@dataclass(frozen=True)
class Models:
    """What a search needs beside photons.

    Attributes
    ----------
    localizer : LocalizerFile
    reference : Table or None
        4FGL release in which the nearest source is looked up.
    classifier : ClassifierFile or None
        None leaves candidates without classes.
    shape : DiffuseShape or None
        What the localizer is told of the diffuse emission.
    exposure : ExposureFile or None
        What the classifier takes instead of the package's own table.
    """

    localizer: LocalizerFile
    reference: Table | None
    classifier: ClassifierFile | None = None
    shape: DiffuseShape | None = None
    exposure: ExposureFile | None = None

    @property
    def instrument(self) -> Instrument | None:
        """What the localizer's filters and templates are made with; None is the shipped tables.

        A livetime cube with CALDB files says it of each event type, an exposure map of one only.
        """
        return None if self.exposure is None or self.exposure.map else self.exposure.response


def load_models(config: FindConfig) -> Models:
    """Networks, release and exposure that `config` names; quick to fail, so before photons.

    Raises
    ------
    InputError
        When there is no such model or release, or the exposure file cannot be used.

    Warns
    -----
    UnekWarning
        Something is given that only a classification uses, and nothing is to be classified.
    """
    from ..classify.priors import check_priors
    from ..nets.classifier_weights import load_classifier
    from ..nets.weights import load_localizer

    with stage("loading networks and catalogs"):
        exposure = None if config.exposure is None else read_exposure(config.exposure)
        check_priors(config.priors)
        idle = [name for name in ("classifier", "priors") if getattr(config, name)]
        if exposure is not None and exposure.map is not None and not config.measure:
            idle = ["exposure", *idle]
        if idle and not config.classify:
            warnings.warn(
                f"{' and '.join(idle)}: without effect where nothing is classified; positions and "
                "their probabilities are made from counts alone",
                UnekWarning,
                stacklevel=2,
            )
        reference = None if config.reference == "none" else load_release(config.reference)
        localizer = load_localizer(config.model)
        shape = find_shape(config.diffuse, config.iso)
        classifier = load_classifier(config.classifier) if config.classify else None
    return Models(localizer, reference, classifier, shape, exposure)


def find_shape(diffuse: str, iso: Path | None = None) -> DiffuseShape | None:
    """What a localizer is told of the diffuse emission.

    Parameters
    ----------
    diffuse : str
        The shape that ships with the package (v07), a mapcube file, or none.
    iso : path, optional
        Isotropic spectrum that goes with a file, of all event types.

    Raises
    ------
    InputError
        A file that cannot be used.
    ConfigError
        A file without an isotropic spectrum beside it, or a spectrum without a file.
    """
    from ..diffuse.named import choose
    from ..diffuse.template import load_shape, shape_of

    if not Path(diffuse).is_file():
        if iso is not None:
            raise ConfigError(
                f"{iso}: an isotropic spectrum goes with a mapcube; name that file as --diffuse"
            )
        return None if diffuse == "none" else load_shape(diffuse)
    model = choose(diffuse, "all", iso)
    isotropic = tuple(model.isotropic(np.array(BINNING.edges_mev)).tolist())
    return shape_of(model, dict.fromkeys(EVENT_TYPES, isotropic))
