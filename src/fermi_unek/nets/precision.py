"""Half precision where the machine computes it faster than single."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

import torch


@lru_cache(maxsize=2)
def fast_bfloat16(device: str = "cpu") -> bool:
    """Whether bfloat16 convolutions run in hardware; emulated they take many times longer."""
    if device != "cpu":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    # older torch releases do not tell, and stay with single precision
    told = getattr(torch.cpu, "get_capabilities", None)
    capabilities = {} if told is None else told()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def half_precision(device: str = "cpu") -> AbstractContextManager[object]:
    """Context in which convolutions run in bfloat16, where that is fast; else as they are."""
    return torch.autocast(device, torch.bfloat16, enabled=fast_bfloat16(device))
