"""The classifier: a small network over the spectrum, the years and the image of a candidate.

What it is given are photons and exposures; the numbers it works on (ratios over a reference
spectrum, deviations of the years from constant light) are made inside, so that a weights file is
all that is needed. The years enter one by one through the same layers and are pooled, which takes
any number of them in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sky.binning import BINNING, by_energy

N_CLASSES = 5
"""bll, fsrq, psr, pwn, fake."""

_INDEX = 2.4
_FLUX_UNIT = 1e-10  # ph cm-2 s-1 above 1 GeV, where log fluxes are zero
_EPS = 1e-6


class ClassifierInput(NamedTuple):
    """A batch of B candidates, Y years (padded with years of no exposure), six bins.

    Attributes
    ----------
    image : Tensor (B, 6, 12, 12)
        Photons of all years.
    observed : Tensor (B, 6)
        Share of the stamp observed; 0: the bin is absent.
    spread : Tensor (B, 6)
        Logarithm of the width of the PSF over that of FRONT photons.
    net, core, exposure : Tensor (B, Y, 6)
        Photons of the candidate by fit, photons in the core, cm2 s.
    error, net_alone, error_alone, core_background : Tensor (B, 6)
        Of the sum over the years.
    probability : Tensor (B,)
        The localizer's; NaN where it is not to be used.
    mask : Tensor (B, 2)
        Peak and area in the localizer's mask; NaN where they are not to be used.
    """

    image: Tensor
    observed: Tensor
    spread: Tensor
    net: Tensor
    core: Tensor
    error: Tensor
    net_alone: Tensor
    error_alone: Tensor
    core_background: Tensor
    exposure: Tensor
    probability: Tensor
    mask: Tensor


@dataclass(frozen=True)
class ClassifierShape:
    """Size of a classifier.

    Attributes
    ----------
    hidden : int
        Units of the layers over the features.
    filters : int
        Filters of the convolutions; 0: no image.
    year_units : int
        Units of the layers that every year passes; 0: no years.
    members : int
        Networks whose mean is taken, each trained without one part of the sources of DR2.
    finder : bool
        Whether peak and area in the localizer's mask are looked at, and a sixth logit tells
        sources of ideal TS above 25 from fainter ones: what Fake must not cost, and what it may.
    layers : bool
        Whether it was trained on photons of several layers and is told the width of their PSF.
    stamp_pixels : int
        Pixels along the side of a stamp.
    stamp_deg : tuple of float
        Side of the stamps of each energy bin: two to six times the radius that holds 68% of its
        photons.
    core_deg : tuple of float
        Radius of the aperture of each bin in which photons are simply counted.
    """

    hidden: int = 96
    filters: int = 24
    year_units: int = 32
    members: int = 1
    finder: bool = False
    layers: bool = False
    stamp_pixels: int = 12
    stamp_deg: tuple[float, ...] = by_energy(5.0, 4.0, 2.7, 1.6, 1.0, 0.8)
    core_deg: tuple[float, ...] = by_energy(1.1, 0.8, 0.42, 0.22, 0.12, 0.1)

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return N_CLASSES + self.finder


N_SPECTRUM, N_FINDER, N_YEAR = 52, 3, 10


class Classifier(nn.Module):
    """Mean of the logits of its members; see `Member`."""

    def __init__(self, shape: ClassifierShape) -> None:
        super().__init__()
        self.shape = shape
        self.members = nn.ModuleList(Member(shape) for _ in range(shape.members))

    def forward(self, given: ClassifierInput) -> Tensor:
        """Logits (B, shape.outputs)."""
        return torch.stack([member(given) for member in self.members]).mean(dim=0)


class Member(nn.Module):
    """One network; its features are scaled to zero mean and unit width by `fit`."""

    mean: Tensor
    width: Tensor
    year_mean: Tensor
    year_width: Tensor

    def __init__(self, shape: ClassifierShape) -> None:
        super().__init__()
        self.shape = shape
        plain = N_SPECTRUM + N_FINDER * shape.finder + BINNING.n_bins * shape.layers
        for name, number in (("", plain), ("year_", N_YEAR)):
            self.register_buffer(f"{name}mean", torch.zeros(number))
            self.register_buffer(f"{name}width", torch.ones(number))
        inner = plain
        if shape.filters:
            self.image = ImageBranch(shape.filters)
            inner += self.image.outputs
        if shape.year_units:
            self.years = YearBranch(shape.year_units)
            inner += self.years.outputs
        # what is linear in the numbers, such as the localizer's opinion, need not pass the layers
        self.direct = nn.Linear(plain, shape.outputs)
        self.head = nn.Sequential(
            nn.Linear(inner, shape.hidden), nn.SiLU(), nn.Dropout(0.15),
            nn.Linear(shape.hidden, shape.hidden), nn.SiLU(), nn.Dropout(0.15),
            nn.Linear(shape.hidden, shape.outputs),
        )  # fmt: skip

    def forward(self, given: ClassifierInput) -> Tensor:
        """Logits (B, shape.outputs)."""
        numbers = (self._numbers(given) - self.mean) / self.width
        # what is not known is as on the average
        numbers = torch.nan_to_num(numbers).clamp(-6.0, 6.0)
        parts = [numbers]
        if self.shape.filters:
            parts.append(self.image(given.image, given.observed))
        if self.shape.year_units:
            features, present = year_features(given)
            scaled = ((features - self.year_mean) / self.year_width).clamp(-8.0, 8.0)
            parts.append(self.years(scaled, present))
        logits: Tensor = self.head(torch.cat(parts, dim=1)) + self.direct(numbers)
        return logits

    def _numbers(self, given: ClassifierInput) -> Tensor:
        numbers = [spectrum_features(given)]
        if self.shape.finder:
            numbers.append(finder_features(given))
        if self.shape.layers:
            numbers.append(given.spread)
        return torch.cat(numbers, dim=1)

    @torch.no_grad()
    def fit(self, given: ClassifierInput) -> None:
        """Take mean and width of the features from some candidates, of which all is known."""
        numbers = self._numbers(given)
        self.mean.copy_(numbers.mean(dim=0))
        self.width.copy_(numbers.std(dim=0).clamp_min(0.05))
        features, present = year_features(given)
        chosen = features[present]
        self.year_mean.copy_(chosen.mean(dim=0))
        self.year_width.copy_(chosen.std(dim=0).clamp_min(0.05))


class ImageBranch(nn.Module):
    """Convolutions over the stamp, all energies as channels."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, filters, 4, stride=2, padding=1)
        self.second = nn.Conv2d(filters, filters, 3, padding=1)
        self.outputs = 2 * filters

    def forward(self, image: Tensor, observed: Tensor) -> Tensor:
        """(B, outputs): of the middle of the stamp and of all of it."""
        level = image.mean(dim=(2, 3), keepdim=True)
        # counts over the noise of their mean, and as a share of the brightest pixel
        excess = torch.asinh((image - level) / torch.sqrt(level + 0.25) / 2.0)
        bright = torch.log1p(image) / torch.log1p(image.amax(dim=(2, 3), keepdim=True)).clamp_min(
            0.7
        )
        seen = (observed > 0).to(image.dtype)[:, :, None, None]
        planes = torch.cat([excess * seen, bright * seen], dim=1)
        planes = F.silu(self.second(F.silu(self.first(planes))))
        return torch.cat([planes[:, :, 2:4, 2:4].mean(dim=(2, 3)), planes.mean(dim=(2, 3))], dim=1)


class YearBranch(nn.Module):
    """The same layers for every year, then mean, spread and largest over the years."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(N_YEAR, units), nn.SiLU(), nn.Linear(units, units), nn.SiLU()
        )
        self.outputs = 3 * units + 3

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """(B, outputs) of (B, Y, features) and bool (B, Y)."""
        years = self.layers(features)
        weight = present.to(years.dtype)[..., None]
        number = weight.sum(dim=1).clamp_min(1.0)
        mean = (years * weight).sum(dim=1) / number
        spread = torch.sqrt(((years - mean[:, None]) ** 2 * weight).sum(dim=1) / number + _EPS)
        largest = years.masked_fill(~present[..., None], -1e4).amax(dim=1).clamp_min(-10.0)
        z = features[..., 7].masked_fill(~present, 0.0)
        chance = torch.stack(
            [
                torch.log(number[:, 0]),
                torch.log1p((z**2).sum(dim=1)) - torch.log(number[:, 0]),
                z.abs().amax(dim=1),
            ],
            dim=1,
        )
        return torch.cat([mean, spread, largest, chance], dim=1)


def reference_spectrum(like: Tensor) -> Tensor:
    """Photons (6,) of a power law of index 2.4 per bin, one above 1 GeV."""
    edges = torch.tensor(BINNING.edges_mev, dtype=torch.float64) ** (1.0 - _INDEX)
    photons = edges[:-1] - edges[1:]
    return (photons / photons[2:].sum()).to(like)


def _amplitude(flux: Tensor, error: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Flux above 1 GeV, in units of `_FLUX_UNIT`, of the reference that fits (...,), and error."""
    shape = reference_spectrum(flux)
    weight = present / error.clamp_min(_EPS) ** 2
    information = (weight * shape**2).sum(dim=-1).clamp_min(_EPS)
    return (weight * shape * flux).sum(dim=-1) / information, information**-0.5


def _flux(given: ClassifierInput, counts: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flux of the bins (B, 6) in `_FLUX_UNIT`, its error, and whether the bin is there."""
    exposure = given.exposure.sum(dim=1)
    present = ((exposure > 0) & (given.observed > 0.05)).to(counts.dtype)
    unit = (exposure * _FLUX_UNIT).clamp_min(1e-3)
    # no photon at all still leaves one possible
    floor = torch.sqrt(error**2 + 0.5)
    return counts / unit * present, floor / unit, present


def spectrum_features(given: ClassifierInput) -> Tensor:
    """Numbers (B, 52) on the sum over the years."""
    counts = given.net.sum(dim=1)
    flux, error, present = _flux(given, counts, given.error)
    amplitude, its_error = _amplitude(flux, error, present)
    level = torch.maximum(amplitude, its_error)[:, None] * reference_spectrum(flux)
    ratio = torch.asinh(flux / level) * present
    width = torch.log(error / level).clamp(-6.0, 6.0) * present
    z = flux / error
    alone = given.net_alone / torch.sqrt(given.error_alone**2 + 0.5) * present
    core = given.core.sum(dim=1)
    expected = given.core_background
    excess = (core - expected) / torch.sqrt(expected + 1.0) * present
    below = torch.log((expected + 0.1) / (given.exposure.sum(dim=1) * 1e-12).clamp_min(0.1))
    known = torch.isfinite(given.probability)
    chance = torch.where(known, given.probability, torch.full_like(given.probability, 0.5))
    chance = chance.clamp(1e-3, 1.0 - 1e-3)
    single = [
        torch.log(torch.maximum(amplitude, its_error)),
        amplitude / its_error,
        torch.log1p((z.clamp_min(0.0) ** 2).sum(dim=1)),
        torch.log(chance / (1.0 - chance)),
    ]
    single[1] = torch.asinh(single[1])
    return torch.cat(
        [
            ratio, width, torch.asinh(z), torch.asinh(alone), torch.asinh(excess),
            torch.log1p(core) * present, below * present, present,
            torch.stack(single, dim=1),
        ],
        dim=1,
    )  # fmt: skip


def finder_features(given: ClassifierInput) -> Tensor:
    """Numbers (B, 3) on the candidate in the localizer's mask: peak, area, whether known.

    The first two are NaN where they are not known.
    """
    peak = given.mask[:, 0].clamp(1e-4, 1.0 - 1e-4)
    known = torch.isfinite(given.mask).all(dim=1)
    area = torch.log(given.mask[:, 1].clamp_min(1e-4))
    return torch.stack([torch.logit(peak), area, known.to(peak.dtype)], dim=1)


def year_features(given: ClassifierInput) -> tuple[Tensor, Tensor]:
    """Numbers (B, Y, 10) on each year, and whether it holds any exposure, bool (B, Y).

    Deviations from constant light in each bin over their error; the flux of the year over the
    mean flux, its deviation over its error (number 7), that error, and the sorted rank.
    """
    total = given.exposure.sum(dim=1, keepdim=True)
    share = given.exposure / total.clamp_min(1.0)
    present = share.sum(dim=2) > 0
    sums = given.net.sum(dim=1, keepdim=True)
    error = torch.sqrt(given.error[:, None] ** 2 * share + 0.5 * share + _EPS)
    deviation = (given.net - sums * share) / error
    here = ((share > 0) & (given.observed[:, None] > 0.05)).to(given.net.dtype)
    # the candidate's own spectrum, where it shows, weighs the bins
    shape = torch.maximum(sums, torch.sqrt(given.error[:, None] ** 2 + 0.5)) * share
    weight = here / error**2
    information = (weight * shape**2).sum(dim=2).clamp_min(_EPS)
    level = (weight * shape * given.net).sum(dim=2) / information
    its_error = information**-0.5
    constant = (weight * shape * sums * share).sum(dim=2) / information
    z = (level - constant) / its_error
    above = (level[:, None, :] > level[:, :, None]) & present[:, None, :]
    rank = above.sum(dim=2) / present.sum(dim=1, keepdim=True).clamp_min(1)
    features = torch.cat(
        [
            torch.asinh(deviation) * here,
            torch.stack(
                [
                    torch.asinh((level - constant).clamp(-10.0, 30.0)),
                    torch.asinh(z),
                    torch.log(its_error).clamp(-5.0, 3.0),
                    rank,
                ],
                dim=2,
            ),
        ],
        dim=2,
    )
    return features * present[..., None].to(features.dtype), present
