"""What a search needs beside photons: networks, a 4FGL release, the exposure."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astropy.table import Table

from ..catalog import load_release
from ..config import FindConfig
from ..errors import UnekWarning
from ..irf.exposure import ExposureFile, read_exposure
from ..progress import stage
from ..sky.counts import SkyCounts

if TYPE_CHECKING:
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
    coarse : LocalizerFile or None
        The localizer for photons counted in coarse pixels; None: the one serves all.
    exposure : ExposureFile or None
        What the classifier takes instead of the package's own table.
    """

    localizer: LocalizerFile
    reference: Table | None
    classifier: ClassifierFile | None = None
    coarse: LocalizerFile | None = None
    exposure: ExposureFile | None = None

    def localizer_for(self, sky: SkyCounts) -> LocalizerFile:
        """The localizer that was trained for pixels such as the photons were counted in."""
        return self.coarse if self.coarse is not None and sky.counted_coarsely else self.localizer


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
    from ..nets.classifier_weights import load_classifier
    from ..nets.weights import COARSE_LOCALIZER, load_localizer

    with stage("loading networks and catalogs"):
        exposure = None if config.exposure is None else read_exposure(config.exposure)
        idle = [name for name in ("exposure", "classifier") if getattr(config, name)]
        if idle and not config.classify:
            warnings.warn(
                f"{' and '.join(idle)}: without effect where nothing is classified; positions and "
                "their probabilities are made from counts alone",
                UnekWarning,
                stacklevel=2,
            )
        reference = None if config.reference == "none" else load_release(config.reference)
        localizer = load_localizer(config.model)
        coarse = None if config.model else load_localizer(COARSE_LOCALIZER)
        classifier = load_classifier(config.classifier) if config.classify else None
    return Models(localizer, reference, classifier, coarse, exposure)
