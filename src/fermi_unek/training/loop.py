"""What the training loops share: the device or devices, the learning rate, averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..nets.precision import fast_bfloat16

if TYPE_CHECKING:
    from accelerate import Accelerator

_WARM_UP = 200


def accelerator_for(device: str = "auto", threads: int = 0) -> Accelerator:
    """Where a run computes: the CPU, one GPU, or all the processes that `torchrun` has started.

    A batch is shared out among the processes, so that a run is the same on any number of them.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where there is one.
    threads : int
        CPU threads torch may use; 0 leaves it to torch.

    Raises
    ------
    ConfigError
        When there is no CUDA device, or the package accelerate is missing.
    """
    try:
        from accelerate import Accelerator, DataLoaderConfiguration
    except ImportError:
        raise ConfigError(
            "training needs the package accelerate: pip install 'fermi-unek[train]'"
        ) from None
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda was asked for, but torch sees no CUDA device here")
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if threads:
        torch.set_num_threads(threads)
    return Accelerator(
        cpu=on_cpu,
        mixed_precision="bf16" if fast_bfloat16("cpu" if on_cpu else "cuda") else "no",
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )


def learning_rate(step: int, steps: int) -> float:
    """Learning rate over its peak: a short rise, then a cosine down to one percent."""
    rise = min(1.0, (step + 1) / min(_WARM_UP, max(steps // 5, 1)))
    return rise * (0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * step / steps))))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters of an optimizer one learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def average_into(
    means: Mapping[str, Tensor], current: Iterable[tuple[str, Tensor]], step: int, decay: float
) -> None:
    """Move running means towards tensors of the same names, faster in the first steps."""
    decay = min(decay, (step + 1) / (step + 10))
    for name, value in current:
        if means[name].dtype.is_floating_point:
            means[name].lerp_(value, 1.0 - decay)
        else:
            means[name].copy_(value)
