"""What the refit knows of a candidate: the model at one moment, and the result at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from gammapy.modeling.models import SpectralModel

from ..catalog.build import RATIO_95_TO_68
from ..sky.geometry.frame import lonlat_to_vectors
from .extent import Extension, Extent
from .spectra import INDEX_MEAN, fine_flux, log_parabola, power_law

if TYPE_CHECKING:
    from .history import History

SpectrumForm = Literal["PowerLaw", "LogParabola", "PLSuperExpCutoff"]
"""What SpectrumType may say."""

START_INDEX, START_REFERENCE_MEV = INDEX_MEAN, 2000.0


@dataclass(frozen=True)
class SourceState:
    """Model of a candidate at one moment of the refit.

    Attributes
    ----------
    lon_deg, lat_deg : float
        Galactic degrees.
    amplitude : float
        dN/dE at the reference energy, cm-2 s-1 MeV-1.
    index, beta : float
        Of a log parabola; a power law where beta is 0.
    reference_mev : float
    extent : Extent or None
        None of a point.
    """

    lon_deg: float
    lat_deg: float
    amplitude: float
    index: float = START_INDEX
    beta: float = 0.0
    reference_mev: float = START_REFERENCE_MEV
    extent: Extent | None = None

    @property
    def vector(self) -> np.ndarray:
        """Galactic unit vector (3,)."""
        return lonlat_to_vectors(np.asarray(self.lon_deg), np.asarray(self.lat_deg))

    @property
    def size_deg(self) -> float:
        """Radius of the source, 0 of a point."""
        return 0.0 if self.extent is None else self.extent.radius_deg

    def values(self) -> dict[str, float]:
        """Parameters by gammapy's names, as `SpectrumFit.values`."""
        shape = {"alpha": self.index, "beta": self.beta} if self.beta else {"index": self.index}
        return {"amplitude": self.amplitude, "reference": self.reference_mev} | shape

    def scaled(self, amplitude: float) -> SourceState:
        """The same with another amplitude."""
        return replace(self, amplitude=float(amplitude))

    def changed(self, **values: Any) -> SourceState:
        """The same with other values."""
        return replace(self, **values)

    def fine_flux(self) -> np.ndarray:
        """Photon flux (45,) in the true-energy bins, cm-2 s-1."""
        return fine_flux(self.amplitude, self.index, self.beta, self.reference_mev)

    def spectral_model(self) -> SpectralModel:
        """gammapy's model of the spectrum."""
        if self.beta:
            return log_parabola(self.amplitude, self.index, self.beta, self.reference_mev)
        return power_law(self.amplitude, self.index, self.reference_mev)


@dataclass(frozen=True)
class SpectrumFit:
    """Best fit of one spectral form.

    Attributes
    ----------
    values, errors : dict
        By gammapy's names of the parameters, in MeV and cm-2 s-1 MeV-1; errors 1 sigma, NaN for
        what was not free.
    covariance : array (n, n)
        Of the free parameters, in the order of `free`.
    free : tuple of str
    stat : float
        Cash statistic of the window.
    """

    values: dict[str, float]
    errors: dict[str, float]
    covariance: np.ndarray
    free: tuple[str, ...]
    stat: float


@dataclass(frozen=True)
class BandFit:
    """Flux in one energy bin relative to that of the best spectrum; NaN where no data are.

    Attributes
    ----------
    norm, lower, upper : float
        Ratio and its 1 sigma errors (both positive), from the profile of the likelihood.
    upper_limit : float
        95% upper limit of the ratio.
    ts : float
    source, background : float
        Expected photons of the source, and of all else, within the radius that holds 68% of the
        PSF (at most that of one square degree).
    """

    norm: float
    lower: float
    upper: float
    upper_limit: float
    ts: float
    source: float
    background: float


@dataclass(frozen=True)
class SourceResult:
    """Everything the last fit of a candidate found.

    Attributes
    ----------
    row : int
        Of the catalog.
    state : SourceState
        Position, and the power law or log parabola that is nearest to the chosen spectrum.
    ts : float
        Of the chosen spectrum against no source.
    form : SpectrumForm
        Of the chosen spectrum.
    power_law : SpectrumFit
    straight_stat : float
        Cash statistic of the power law without a prior of its index.
    log_parabola, cutoff : SpectrumFit or None
        Position and neighbours' spectra as with the power law; None for faint candidates.
    loose : SpectrumFit or None
        The power law that was chosen as a log parabola without curvature, of which as much is
        unknown as is usual: for the error of Flux1000. None where that is of photons alone.
    ellipse_deg : tuple of three floats or None
        68% semimajor and semiminor axis and position angle from celestial north, degrees; None
        where the position was not refined.
    bands : tuple of eight BandFit
    upper_limit : float
        95% upper limit of the flux over its best value; NaN unless the TS is below 25.
    npred : float
        Photons of the source in the sky.
    history, periods : History or None
        Fluxes of the years, and of other spans of time, over that of all; None where times are not
        known.
    extension : Extension or None
        None where it was not asked for, or of a faint candidate.
    ratio95 : float
        95% axes of the ellipse over those of 68%.
    """

    row: int
    state: SourceState
    ts: float
    form: SpectrumForm
    power_law: SpectrumFit
    straight_stat: float
    log_parabola: SpectrumFit | None
    cutoff: SpectrumFit | None
    loose: SpectrumFit | None
    ellipse_deg: tuple[float, float, float] | None
    bands: tuple[BandFit, ...]
    upper_limit: float
    npred: float
    history: History | None = None
    periods: History | None = None
    extension: Extension | None = None
    ratio95: float = RATIO_95_TO_68

    @property
    def spectrum(self) -> SpectrumFit:
        """The chosen spectrum."""
        fits = {"LogParabola": self.log_parabola, "PLSuperExpCutoff": self.cutoff}
        return fits.get(self.form) or self.power_law
