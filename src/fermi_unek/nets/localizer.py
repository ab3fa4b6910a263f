"""The localizer: a multi-input U-Net that marks the pixels that belong to point sources."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .filters import MatchedFilter, smooth
from .spec import ModelSpec, PatchBatch, architecture

OUTPUT_PLANES = 5
"""Mask logit, offset to the source in columns and in rows, log of the offset's error, logit of
belonging to an extended source."""

LAYERS = 2
PLANES = 5
_PHOTON_PLANES = 3
_BLOCKS = 8
_OUTLIER_SIGMA = 2.0
_TEMPLATE_ERROR = 0.15
_SURELY_SEEN = 10.0


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
    """Counts of one energy bin of a layer to five planes.

    Stabilised counts, contrast, mask, expected diffuse counts, and contrast with those. The
    contrast is a matched filter: counts smoothed with the PSF less counts smoothed with a PSF three
    times wider, over the Poisson error of that background. The filter is that of the observation;
    the scaling of the counts is a buffer, kept in the weights file.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, mean: float, scale: float) -> None:
        """Set mean and scale of the stabilised counts."""
        self.mean.fill_(mean)
        self.scale.fill_(scale)

    def forward(
        self, counts: Tensor, mask: Tensor, matched: MatchedFilter, template: Tensor | None
    ) -> Tensor:
        """(B, n, n) counts and mask, and a template (B, t, t) or None, to (B, 5, n, n)."""
        counts = counts * mask
        # smoothing a mask takes as long as smoothing counts; most batches share one. A GPU would
        # wait for the answer longer than it smooths
        on_cpu = mask.device.type == "cpu"
        shared = mask[:1] if on_cpu and bool((mask == mask[:1]).all()) else mask
        core = _mean(counts, shared, matched.core, matched.core_signs)
        background = _mean(counts, shared, matched.wide, matched.wide_signs).clamp_min(0.0)
        contrast = _contrast(core, background, matched.noise)
        planes = [self._stable(counts), contrast, torch.ones_like(mask)]
        if template is None:
            planes += 2 * [torch.zeros_like(mask)]
        else:
            expected = expected_counts(counts, mask, template)
            planes += [self._stable(expected), _contrast(core, expected, matched.noise)]
        return torch.stack(planes, dim=1) * mask[:, None]

    def _stable(self, counts: Tensor) -> Tensor:
        # bright sources would swamp the rest: linear near the mean, logarithmic far above
        return _asinh((2.0 * torch.sqrt(counts + 0.375) - self.mean) / self.scale)


def _contrast(core: Tensor, background: Tensor, noise: Tensor) -> Tensor:
    return _asinh((core - background) / torch.sqrt((background + 0.005) * noise) / 3.0)


def _mean(counts: Tensor, mask: Tensor, matrices: Tensor, signs: Tensor) -> Tensor:
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


@architecture("layers")
class Localizer(nn.Module):
    """Multi-input U-Net over the energy bins of one or two layers of photons.

    Of the first layer bins of the finest pixels (128 along a side) and of half of them enter at the
    first level (the former as 2 x 2 sub-pixels, so that all convolutions run at 64 pixels or
    coarser), bins of a quarter at the second. The second layer, whose PSF is wider, is shown in
    pixels of at most half as many. The output has the finest pixels.

    Parameters
    ----------
    spec : ModelSpec, optional
        Default widths when absent.

    Notes
    -----
    What lies under a mask of zero does not influence the output.
    """

    def __init__(self, spec: ModelSpec | None = None) -> None:
        super().__init__()
        self.spec = spec or ModelSpec()
        w0, w1, w2, w3 = self.spec.widths
        binning = self.spec.binning
        finest = binning.output_pixels
        self.pixels = (binning.pixels, binning.blurred_pixels)
        self.inputs = nn.ModuleList(BinInput() for _ in range(LAYERS * binning.n_bins))
        fine, middle, coarse = (binning.pixels.count(finest // k) for k in (1, 2, 4))
        # what a model leads one to expect has no structure in the sub-pixels
        first = (4 * _PHOTON_PLANES + 5) * fine + PLANES * middle
        first += PLANES * binning.blurred_pixels.count(finest // 2)
        second = PLANES * (coarse + binning.blurred_pixels.count(finest // 4))
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
        bias = self.head.get_parameter("2.bias")
        for logit in (bias[:4], bias[-4:]):
            nn.init.constant_(logit, -4.0)

    def forward(self, batch: PatchBatch) -> Tensor:
        """Source mask and offsets of a batch of patches; see `SourceNetwork.predict`."""
        return self.predict(self.planes(batch))

    def planes(self, batch: PatchBatch) -> list[Tensor]:
        """Input planes of the layers and bins, (B, 5, n, n) each, as `forward` makes them.

        Turning counts and masks turns the planes: who wants a patch shown in several
        orientations needs them once. Of a layer that is absent they are zero.
        """
        planes = []
        n_bins = self.spec.binning.n_bins
        # small differences of large counts: half precision would lose them
        with torch.autocast(batch[0].counts[0].device.type, enabled=False):
            for number, (module, n_pixels) in enumerate(
                zip(self.inputs, sum(self.pixels, ()), strict=True)
            ):
                k, b = divmod(number, n_bins)
                first = batch[0].counts[b]
                on_cpu = first.device.type == "cpu"
                if k >= len(batch) or (on_cpu and not bool(batch[k].masks[b].any())):
                    shape = (first.shape[0], PLANES, n_pixels, n_pixels)
                    planes.append(torch.zeros(shape, device=first.device))
                    continue
                layer = batch[k]
                counts, mask = _pooled(layer.counts[b].float(), layer.masks[b].float(), n_pixels)
                template = None if layer.template is None else layer.template[b].float()
                planes.append(module(counts, mask, layer.filters[b], template))
        return planes

    def predict(self, planes: Sequence[Tensor]) -> Tensor:
        """What `forward` returns, from the planes of the layers and bins."""
        n_bins = self.spec.binning.n_bins
        quarter = self.spec.binning.output_pixels // 4
        sharp, blurred = planes[:n_bins], planes[n_bins:]
        x0 = self.down0(self._first_level(sharp, blurred))
        coarse = [
            *_photons_first([p for p in sharp if p.shape[-1] == quarter]),
            *(p for p in blurred if p.shape[-1] == quarter),
        ]
        x1 = self.down1(torch.cat([F.max_pool2d(x0, 2), *coarse], dim=1))
        x2 = self.down2(F.max_pool2d(x1, 2))
        x3 = self.down3(F.max_pool2d(x2, 2))
        y2 = self.up2(torch.cat([_double(x3), x2], dim=1))
        y1 = self.up1(torch.cat([_double(y2), x1], dim=1))
        y0 = self.up0(torch.cat([_double(self.squeeze(y1)), x0], dim=1))
        return F.pixel_shuffle(self.head(y0), 2)

    def _first_level(self, sharp: Sequence[Tensor], blurred: Sequence[Tensor]) -> Tensor:
        """Planes of the finest and of half as many pixels as channels at the latter."""
        finest = self.spec.binning.output_pixels
        fine, middle = ([p for p in sharp if p.shape[-1] == size] for size in (finest, finest // 2))
        photons = torch.cat([plane[:, :_PHOTON_PLANES] for plane in fine], dim=1)
        expected = torch.cat([plane[:, _PHOTON_PLANES : _PHOTON_PLANES + 1] for plane in fine], 1)
        contrast = torch.cat([plane[:, _PHOTON_PLANES + 1 :] for plane in fine], dim=1)
        channels = [
            F.pixel_unshuffle(photons, 2),
            *(plane[:, :_PHOTON_PLANES] for plane in middle),
            F.avg_pool2d(expected, 2),
            F.pixel_unshuffle(contrast, 2),
            *(plane[:, _PHOTON_PLANES:] for plane in middle),
            *(plane for plane in blurred if plane.shape[-1] == finest // 2),
        ]
        return torch.cat(channels, dim=1)


def _pooled(counts: Tensor, mask: Tensor, n_pixels: int) -> tuple[Tensor, Tensor]:
    """Counts (B, n, n) and mask in fewer pixels; observed is what is so throughout."""
    factor = counts.shape[-1] // n_pixels
    if factor == 1:
        return counts, mask
    whole = (F.avg_pool2d(mask, factor) > 1.0 - 0.5 / factor**2).to(mask.dtype)
    return F.avg_pool2d(counts * mask, factor) * factor**2, whole


def _photons_first(planes: Sequence[Tensor]) -> list[Tensor]:
    """Planes of photons of all bins, then those of the template."""
    photons = [plane[:, :_PHOTON_PLANES] for plane in planes]
    return photons + [plane[:, _PHOTON_PLANES:] for plane in planes]


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
