"""The number format that the networks compute in."""

from __future__ import annotations

import functools
from pathlib import Path

import torch


def computes_in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16.

    A CPU without instructions for bfloat16 emulates it, 10 times slower than float32.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _cpu_has_bfloat16()


@functools.cache
def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
