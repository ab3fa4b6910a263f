"""A localizer with more filters that says what a trained one says, to go on from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ...nets.localizer import Localizer

Parts = tuple[tuple[int, int], ...]
"""Old and new number of channels of each input that a convolution sees side by side."""


@torch.no_grad()
def widened(narrow: Localizer, widths: tuple[int, int, int, int]) -> Localizer:
    """The same function with more filters.

    Old filters see nothing of the new ones, which see everything and start at random: they weigh
    nothing until a step of training finds a use for them.

    Parameters
    ----------
    narrow : Localizer
    widths : tuple of four int
        None smaller than those of `narrow`.

    Raises
    ------
    ValueError
        When one is.
    """
    pairs = tuple(zip(narrow.spec.widths, widths, strict=True))
    if any(new < old for old, new in pairs):
        raise ValueError(f"widths {widths} are not all at least {narrow.spec.widths}")
    wide = Localizer(replace(narrow.spec, widths=widths))
    wide.inputs.load_state_dict(narrow.inputs.state_dict())
    w0, w1, w2, w3 = pairs
    inputs: dict[str, Parts] = {
        "down0": (_same(narrow.down0, 0),),
        "down1": (w0, _same(narrow.down1, w0[0])),
        "down2": (w1,),
        "down3": (w2,),
        "up2": (w3, w2),
        "up1": (w2, w1),
        "squeeze": (w1,),
        "up0": (w0, w0),
        "head": (w0,),
    }
    for name, parts in inputs.items():
        for old, new in zip(_layers(narrow, name), _layers(wide, name), strict=True):
            if isinstance(old, nn.Conv2d) and isinstance(new, nn.Conv2d):
                _fill(new.weight, old.weight, parts)
                parts = ((old.out_channels, new.out_channels),)
                if old.bias is not None and new.bias is not None:
                    new.bias[: old.out_channels] = old.bias
            elif isinstance(old, nn.BatchNorm2d):
                for key, value in old.state_dict().items():
                    if value.ndim:
                        new.state_dict()[key][: len(value)] = value
    return wide


def _same(block: nn.Sequential, others: int) -> tuple[int, int]:
    """Channels of the planes that a block sees beside `others` filters; no more than before."""
    first = block[0]
    assert isinstance(first, nn.Conv2d)
    return first.in_channels - others, first.in_channels - others


def _layers(network: Localizer, name: str) -> list[nn.Module]:
    """The layers of a part of the network in order."""
    part = network.get_submodule(name)
    return list(part) if isinstance(part, nn.Sequential) else [part]


def _fill(new: Tensor, old: Tensor, parts: Parts) -> None:
    """Put an old kernel (o, i, k, k) into a new one: its filters see its inputs and no others."""
    count = len(old)
    new[:count] = 0.0
    first = start = 0
    for before, after in parts:
        new[:count, start : start + before] = old[:, first : first + before]
        first, start = first + before, start + after
