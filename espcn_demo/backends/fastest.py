"""The fastest of several ways to compute the same frames on this GPU, measured; a way that fails or differs is out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Compute = Callable[[Tensor], Tensor]  # (N, 1, H, W) integers -> (N, 1, 2H, 2W), on the device
_TOLERANCE, _SHARE = 2, 1e-3  # codes on noise, and the share of pixels that may differ by more than one


def fastest(plain: Compute, others: Mapping[str, Callable[[], Compute]], example: Tensor) -> tuple[Compute, str]:
    """The fastest of `plain` and those that `others` make, on `example`, and what was measured, as a sentence.

    `plain` is trusted: one that differs from it by more than a rounding, or fails, is left out and its reason stated.
    """
    exact = plain(example)
    chosen, least = plain, milliseconds(plain, example)
    measured = [f"plain {least:.3f} ms a call"]
    for name, make in others.items():
        try:
            candidate = make()
            difference = (candidate(example).int() - exact.int()).abs()
            if int(difference.max()) > _TOLERANCE or float((difference > 1).float().mean()) > _SHARE:
                measured.append(f"{name} differs by {int(difference.max())} codes")
                continue
            spent = milliseconds(candidate, example)
        except Exception as error:
            # Kernels are compiled at run time and may fail in many ways on GPUs they do not know; another serves there.
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            measured.append(f"{name} does not run: {first_line}")
            continue
        measured.append(f"{name} {spent:.3f}")
        if spent < least:
            chosen, least = candidate, spent
    return chosen, ", ".join(measured)


def milliseconds(compute: Compute, example: Tensor, runs: int = 10) -> float:
    """Mean time of a call on the GPU, without launch gaps: all runs in one CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            compute(example)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        for _ in range(runs):
            compute(example)
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    start.record()
    graph.replay()
    stop.record()
    stop.synchronize()
    return float(start.elapsed_time(stop)) / runs
