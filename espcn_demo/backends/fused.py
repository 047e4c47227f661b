"""The whole network in one Triton kernel, for NVIDIA GPUs; used only where it agrees and measures faster.

A program computes a tile of 16 x 32 low-resolution pixels, all four layers with a shrinking halo, and takes the next.
Features lie in a scratch area of its own, some 200 kB, which stays in the GPU's second-level cache; only codes are
read from and written to memory. Triton is not a dependency: CUDA builds of torch bring it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from espcn_demo.backends.layers import Layer, fold, power_above
from espcn_demo.dimensions import SCALE

TILE = (16, 32)  # rows, columns
_PIXELS = 128  # rows of one matrix product
_HALOS = (3, 2)  # pixels around the tile that layers 1 and 2 must compute for the next
_TOLERANCE, _SHARE = 2, 1e-3  # codes on noise, and the share of pixels that may differ by more than one


class Fused:
    """The kernel with its weights and scratch on one device: (N, 1, H, W) uint8 -> (N, 1, 2H, 2W)."""

    def __init__(
        self, layers: tuple[Layer, ...], white: int, device: torch.device, *, programs: int | None = None
    ) -> None:
        self.white, self.unit = white, 1 / power_above(white)
        folded = fold(layers, white, unit=self.unit)
        self.kernels = [_matrix(layer, index).to(device, torch.float16) for index, layer in enumerate(folded)]
        self.biases = [_padded(torch.from_numpy(layer.bias), 16).to(device) for layer in folded]
        self.programs = programs or 2 * torch.cuda.get_device_properties(device).multi_processor_count
        self._regions = [(TILE[0] + 2 * halo) * (TILE[1] + 2 * halo) for halo in _HALOS]

    def __call__(self, codes: Tensor) -> Tensor:
        """Enlarge a batch."""
        count, _, height, width = codes.shape
        output = torch.empty((count, 1, SCALE * height, SCALE * width), dtype=torch.uint8, device=codes.device)
        down, across = -(-height // TILE[0]), -(-width // TILE[1])
        tiles = count * down * across
        programs = min(self.programs, tiles)
        # Taken for each call: two streams that shared it would overwrite one another's features.
        shapes = [(programs, region, 64) for region in self._regions]
        scratch = [torch.empty(shape, dtype=torch.float16, device=codes.device) for shape in shapes]
        _kernel()[(programs,)](
            codes, output, *scratch, *self.kernels, *self.biases,
            height, width, down, across, tiles,
            ROWS=TILE[0], COLUMNS=TILE[1], PIXELS=_PIXELS, UNIT=self.unit, WHITE=float(self.white),
            num_warps=8,
        )  # fmt: skip
        return output


def choose(
    layers: tuple[Layer, ...], white: int, plain: Callable[[Tensor], Tensor], example: Tensor
) -> tuple[Callable[[Tensor], Tensor], str]:
    """The faster of `plain` and the fused kernel on `example`, and why; `plain` when the kernel fails or differs."""
    if importlib.util.find_spec("triton") is None:
        return plain, "cuDNN kernels: triton is not installed"
    try:
        candidate = Fused(layers, white, example.device)
        difference = (candidate(example).int() - plain(example).int()).abs()
        if int(difference.max()) > _TOLERANCE or float((difference > 1).float().mean()) > _SHARE:
            return plain, f"cuDNN kernels: the fused kernel differs by {int(difference.max())} codes"
        times = {"fused": milliseconds(candidate, example), "cuDNN": milliseconds(plain, example)}
    except Exception as error:
        # Triton compiles at run time and may fail in many ways on GPUs it does not know; cuDNN serves there.
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return plain, f"cuDNN kernels: the fused kernel does not run: {first_line}"
    why = f"fused kernel {times['fused']:.3f} ms, cuDNN kernels {times['cuDNN']:.3f} ms a call"
    return (candidate if times["fused"] < times["cuDNN"] else plain), why


def milliseconds(compute: Callable[[Tensor], Tensor], example: Tensor, runs: int = 10) -> float:
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


def _matrix(layer: Layer, index: int) -> Tensor:
    """Kernel (out, in, k, k) as matrices: the first (32, out) over padded taps, the others (taps, in, padded out)."""
    kernel = torch.from_numpy(layer.kernel)
    if index == 0:
        taps = kernel.flatten(1).t()  # (25, out)
        return torch.nn.functional.pad(taps, (0, 0, 0, 32 - taps.shape[0])).contiguous()
    return _padded(kernel.flatten(2).permute(2, 1, 0), 16).contiguous()


def _padded(values: Tensor, least: int) -> Tensor:
    """The last axis filled up with zeros to what a matrix product takes."""
    return torch.nn.functional.pad(values, (0, max(0, least - values.shape[-1])))


@cache
def _kernel() -> Any:  # noqa: ANN401 (triton is untyped)
    from espcn_demo.backends.fused_kernel import network

    return network
