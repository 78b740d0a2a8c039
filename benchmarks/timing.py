"""Timing that several benchmarks share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of `work`, the device's part included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median over rounds of how many times as long `slow` took as `fast`."""
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of some work: its products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@torch.inference_mode()
def measure_ceiling(rounds: int, device: torch.device, precision: torch.dtype) -> float:
    """GFLOP/s of the best of two large products, of matrices and 3x3 convolution."""
    size = 2048 if device.type == "cpu" else 8192
    kind = {"device": device, "dtype": precision}
    a, b = torch.randn(2, size, size, **kind)
    images = torch.randn(32, 64, 32, 32, **kind).to(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, **kind).to(memory_format=torch.channels_last)
    products = 2 * size**3 / min(seconds(lambda: a @ b, device) for _ in range(rounds))
    convolutions = (
        2
        * 32
        * 32**2
        * 64
        * 64
        * 9
        / min(seconds(lambda: F.conv2d(images, kernel, padding=1), device) for _ in range(rounds))
    )
    return max(products, convolutions) / 1e9
