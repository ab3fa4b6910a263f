"""The localizer: a multi-input U-Net that marks the pixels that belong to point sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .filters import banded_factors, smooth

N_BINS = 6
BIN_PIXELS = (32, 32, 64, 128, 128, 128)
OUTPUT_PLANES = 4
"""Mask logit, offset to the source in columns and in rows, log of the offset's error."""

TEMPLATE_SIZES = (196_608, 196_608, 786_432, 786_432, 786_432, 786_432)
"""Pixels of the maps of the diffuse template per bin (HEALPIX nside 128 and 256)."""

_RANK = 3
_PLANES = 3
_TEMPLATE_PLANES = 2
_BLOCKS = 8
_OUTLIER_SIGMA = 2.0
_TEMPLATE_ERROR = 0.15
_SURELY_SEEN = 10.0


@dataclass(frozen=True)
class LocalizerShape:
    """Widths of the U-Net at 64, 32, 16 and 8 pixels a side.

    Attributes
    ----------
    widths : tuple of four int
    template : bool
        Whether the network holds a template of the diffuse emission and wants it cut along
        with the counts.
    """

    widths: tuple[int, int, int, int] = (48, 80, 112, 160)
    template: bool = False


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in in (inputs, outputs):
        layers += [
            nn.Conv2d(n_in, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class BinInput(nn.Module):
    """Counts of one energy bin to three planes: stabilised counts, contrast, mask.

    The contrast is a matched filter: counts smoothed with the PSF of the bin less counts
    smoothed with a PSF three times wider, over the Poisson error of that background. Where a
    template of the diffuse emission is given there are two planes more: the counts it leads one
    to expect, and the contrast with them. Filters and scaling are buffers, kept in the weights
    file; `fit` sets them.

    Parameters
    ----------
    n_pixels : int
        Pixels along the side of the planes of this bin.
    """

    core: Tensor
    core_signs: Tensor
    wide: Tensor
    wide_signs: Tensor
    noise: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, n_pixels: int) -> None:
        super().__init__()
        for name in ("core", "wide"):
            self.register_buffer(name, torch.zeros(_RANK, n_pixels, n_pixels))
            self.register_buffer(f"{name}_signs", torch.ones(_RANK))
        self.register_buffer("noise", torch.ones(()))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, core: np.ndarray, wide: np.ndarray, mean: float, scale: float) -> None:
        """Set the two kernels (k, k), sum one, and mean and scale of the stabilised counts."""
        n_pixels = self.core.shape[-1]
        for name, kernel in (("core", core), ("wide", wide)):
            matrices, signs = banded_factors(kernel, n_pixels, _RANK)
            getattr(self, name).copy_(matrices)
            getattr(self, f"{name}_signs").copy_(signs)
        self.noise.fill_(float((core**2).sum()))
        self.mean.fill_(mean)
        self.scale.fill_(scale)

    def forward(self, counts: Tensor, mask: Tensor, template: Tensor | None = None) -> Tensor:
        """(B, n, n) counts and mask to (B, 3, n, n), with a template (B, t, t) to (B, 5, n, n)."""
        counts = counts * mask
        # smoothing a mask takes as long as smoothing counts; most batches share one
        shared = mask[:1] if bool((mask == mask[:1]).all()) else mask
        core = self._mean(counts, shared, "core")
        background = self._mean(counts, shared, "wide").clamp_min(0.0)
        planes = [self._stable(counts), self._contrast(core, background), torch.ones_like(mask)]
        if template is not None:
            expected = expected_counts(counts, mask, template)
            planes += [self._stable(expected), self._contrast(core, expected)]
        return torch.stack(planes, dim=1) * mask[:, None]

    def _stable(self, counts: Tensor) -> Tensor:
        # bright sources would swamp the rest: linear near the mean, logarithmic far above
        return _asinh((2.0 * torch.sqrt(counts + 0.375) - self.mean) / self.scale)

    def _contrast(self, core: Tensor, background: Tensor) -> Tensor:
        noise = torch.sqrt((background + 0.005) * self.noise)
        return _asinh((core - background) / noise / 3.0)

    def _mean(self, counts: Tensor, mask: Tensor, name: str) -> Tensor:
        matrices, signs = getattr(self, name), getattr(self, f"{name}_signs")
        seen = smooth(mask, matrices, signs).clamp_min(0.05)
        return smooth(counts, matrices, signs) / seen


def _asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine to 3e-7, six times faster on a CPU than torch's."""
    size = x.abs()
    return torch.copysign(torch.log(size + torch.sqrt(size * size + 1.0)), x)


def expected_counts(counts: Tensor, mask: Tensor, template: Tensor) -> Tensor:
    """The template at the level that explains the counts of a patch, photons per pixel.

    The level is one number for the patch, from blocks of it without those that hold far more
    than their share, which have bright sources, and without those that are empty where many
    photons are due, which were not observed, whatever the mask says.

    Parameters
    ----------
    counts, mask : Tensor (B, n, n)
    template : Tensor (B, t, t)
        In any unit, not negative.

    Returns
    -------
    Tensor (B, n, n)
        Zero where nothing was observed.
    """
    n_pixels = counts.shape[-1]
    if template.shape[-1] != n_pixels:
        template = F.interpolate(
            template[:, None], size=(n_pixels, n_pixels), mode="bilinear", align_corners=False
        )[:, 0]
    block = n_pixels // _BLOCKS
    seen = F.avg_pool2d(counts * mask, block) * block**2
    share = F.avg_pool2d(template * mask, block) * block**2
    level = _level(seen, share, torch.ones_like(seen))
    # a file of the whole sky may hold a field's photons alone: no chance leaves such blocks empty
    observed = ((seen > 0) | (level * share < _SURELY_SEEN)).to(seen.dtype)
    used = observed
    for _ in range(3):
        level = _level(seen, share, used)
        hope = level * share
        error = torch.sqrt(hope + (_TEMPLATE_ERROR * hope) ** 2)
        used = observed * (seen <= hope + _OUTLIER_SIGMA * error + 1.0)
    return level * template * mask


def _level(seen: Tensor, share: Tensor, used: Tensor) -> Tensor:
    """Counts over template, (B, 1, 1), of the blocks (B, 8, 8) that are used."""
    least = 1e-6 * share.sum(dim=(1, 2), keepdim=True) + 1e-12
    told = (share * used).sum(dim=(1, 2), keepdim=True)
    return (seen * used).sum(dim=(1, 2), keepdim=True) / torch.maximum(told, least)


class Localizer(nn.Module):
    """Multi-input U-Net over six energy bins.

    Bins of 128 and 64 pixels enter at the first level (the former as 2 x 2 sub-pixels, so
    that all convolutions run at 64 pixels or coarser), bins of 32 pixels at the second; the
    output is at 128 pixels.

    Parameters
    ----------
    shape : LocalizerShape, optional
        Default widths when absent.

    Notes
    -----
    What lies under a mask of zero does not influence the output.
    """

    def __init__(self, shape: LocalizerShape | None = None) -> None:
        super().__init__()
        self.shape = shape or LocalizerShape()
        w0, w1, w2, w3 = self.shape.widths
        self.inputs = nn.ModuleList(BinInput(n) for n in BIN_PIXELS)
        fine, middle, coarse = (BIN_PIXELS.count(n) for n in (128, 64, 32))
        first, second = _PLANES * (4 * fine + middle), _PLANES * coarse
        if self.shape.template:
            # what the template leads one to expect has no structure in the sub-pixels
            first += (4 + 1) * fine + _TEMPLATE_PLANES * middle
            second += _TEMPLATE_PLANES * coarse
            for b, size in enumerate(TEMPLATE_SIZES):
                self.register_buffer(f"template{b}", torch.ones(size, dtype=torch.float16))
        self.down0 = _block(first, w0)
        self.down1 = _block(w0 + second, w1)
        self.down2 = _block(w1, w2)
        self.down3 = _block(w2, w3)
        self.up2 = _block(w3 + w2, w2)
        self.up1 = _block(w2 + w1, w1)
        self.squeeze = nn.Conv2d(w1, w0, 1)
        self.up0 = _block(w0 + w0, w0)
        self.head = nn.Sequential(
            nn.Conv2d(w0, w0, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w0, 4 * OUTPUT_PLANES, 1),
        )
        # start from the share of pixels that belong to sources, about two percent
        nn.init.constant_(self.head.get_parameter("2.bias")[:4], -4.0)

    @property
    def template(self) -> tuple[Tensor, ...]:
        """Maps of the diffuse template per bin, NESTED; empty where the network has none."""
        if not self.shape.template:
            return ()
        return tuple(self.get_buffer(f"template{b}") for b in range(N_BINS))

    def forward(
        self,
        counts: Sequence[Tensor],
        masks: Sequence[Tensor],
        template: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Source mask and offsets of a batch of patches.

        Parameters
        ----------
        counts : six tensors (B, n_b, n_b), photons per pixel
        masks : six tensors (B, n_b, n_b), one where observed, else zero
        template : six tensors (B, t_b, t_b)
            The network's template in the patches, if it has one.

        Returns
        -------
        Tensor (B, 4, 128, 128)
            Mask logit; offset to the source in pixels (columns, rows); log of its error.
        """
        return self.judge(self.planes(counts, masks, template))

    def planes(
        self,
        counts: Sequence[Tensor],
        masks: Sequence[Tensor],
        template: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """Input planes of the six bins, (B, 3 or 5, n_b, n_b) each, as `forward` makes them.

        Turning counts and masks turns the planes: who wants a patch judged in several
        orientations needs them once.
        """
        given = [None] * N_BINS if template is None else [t.float() for t in template]
        # small differences of large counts: half precision would lose them
        with torch.autocast(counts[0].device.type, enabled=False):
            return [
                module(c.float(), m.float(), t)
                for module, c, m, t in zip(self.inputs, counts, masks, given, strict=True)
            ]

    def judge(self, planes: Sequence[Tensor]) -> Tensor:
        """What `forward` returns, from the planes of the six bins."""
        x0 = self.down0(self._first_level(planes))
        coarse = [plane for plane in planes if plane.shape[-1] == 32]
        x1 = self.down1(torch.cat([F.max_pool2d(x0, 2), *_photons_first(coarse)], dim=1))
        x2 = self.down2(F.max_pool2d(x1, 2))
        x3 = self.down3(F.max_pool2d(x2, 2))
        y2 = self.up2(torch.cat([_double(x3), x2], dim=1))
        y1 = self.up1(torch.cat([_double(y2), x1], dim=1))
        y0 = self.up0(torch.cat([_double(self.squeeze(y1)), x0], dim=1))
        return F.pixel_shuffle(self.head(y0), 2)

    @staticmethod
    def _first_level(planes: Sequence[Tensor]) -> Tensor:
        """Planes of 128 and 64 pixels as channels at 64 pixels."""
        fine, middle = ([p for p in planes if p.shape[-1] == size] for size in (128, 64))
        photons = torch.cat([plane[:, :_PLANES] for plane in fine], dim=1)
        channels = [F.pixel_unshuffle(photons, 2), *(plane[:, :_PLANES] for plane in middle)]
        if fine[0].shape[1] > _PLANES:
            expected = torch.cat([plane[:, _PLANES : _PLANES + 1] for plane in fine], dim=1)
            contrast = torch.cat([plane[:, _PLANES + 1 :] for plane in fine], dim=1)
            channels += [F.avg_pool2d(expected, 2), F.pixel_unshuffle(contrast, 2)]
            channels += [plane[:, _PLANES:] for plane in middle]
        return torch.cat(channels, dim=1)


def _photons_first(planes: Sequence[Tensor]) -> list[Tensor]:
    """Planes of photons of all bins, then those of the template."""
    return [plane[:, :_PLANES] for plane in planes] + [plane[:, _PLANES:] for plane in planes]


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
