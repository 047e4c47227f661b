"""The whole network in one kernel, for Hopper GPUs (H100, H200).

Frames are read once and written once, as codes; features never leave the chip's caches. It computes 1.1 to 1.2 times
the network's products for a 1920x1080 frame. Triton is not a dependency: CUDA builds of torch bring it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from espcn_demo.backends.layers import Layer, fold, power_above
from espcn_demo.backends.strips import SCRATCH, Strips, divide
from espcn_demo.dimensions import SCALE
from espcn_demo.errors import EngineError

_ABOVE, _BEFORE = 2, 5  # zeros above and to the left of a frame's codes: half a 5x5 kernel, and what three layers lose
_BELOW = 3  # half a kernel, and the sixth row that only zero weights read
_TAPS = (5, 6)  # of layer 1, with a column of zero weights: two neighbours are one load


class Fused:
    """The kernel with its weights on one device: (N, 1, H, W) uint8 -> (N, 1, 2H, 2W)."""

    def __init__(
        self, layers: tuple[Layer, ...], white: int, device: torch.device, *, processors: int | None = None
    ) -> None:
        if processors is None:
            properties = torch.cuda.get_device_properties(device)
            if properties.major != 9:
                raise EngineError(f"it is for Hopper GPUs, compute capability 9, not {properties.major}")
            processors = properties.multi_processor_count
        self.white, self.unit, self.processors = white, 1 / power_above(white), processors
        folded = fold(layers, white, unit=self.unit)
        self.kernels = [_matrices(layer, index).to(device, torch.float16) for index, layer in enumerate(folded)]
        self.biases = [_padded(torch.from_numpy(layer.bias), 8).to(device) for layer in folded]

    def __call__(self, codes: Tensor) -> Tensor:
        """Enlarge a batch."""
        from espcn_demo.backends.fused_kernel import network

        count, _, height, width = codes.shape
        strips = divide(count, height, width, self.processors)
        programs = count * strips.across * strips.down
        output = torch.empty((count, 1, SCALE * height, SCALE * width), dtype=torch.uint8, device=codes.device)
        # Taken for each call: two streams that shared it would overwrite one another's features.
        scratch = torch.empty((programs, SCRATCH), dtype=torch.float16, device=codes.device)
        padded = planes(codes, strips, self.unit)
        network[(programs,)](
            codes, padded, output, scratch, *self.kernels, *self.biases,
            height, width, strips.stride, padded[0, 0].numel(), strips.across, strips.pitch // 2, strips.down,
            strips.rows, WHITE=float(self.white), num_warps=8,
        )  # fmt: skip
        return output


def planes(codes: Tensor, strips: Strips, unit: float) -> Tensor:
    """(N, 1, H, W) uint8 -> (N, 2, H + 5, stride) float16: codes * unit with zeros around, and one column further."""
    count, _, height, width = codes.shape
    padded = torch.zeros((count, 2, _ABOVE + height + _BELOW, strips.stride), dtype=torch.float16, device=codes.device)
    for shift in range(2):
        left = _BEFORE - shift
        torch.mul(codes[:, 0], unit, out=padded[:, shift, _ABOVE : _ABOVE + height, left : left + width])
    return padded


def _matrices(layer: Layer, index: int) -> Tensor:
    """Kernel (out, in, k, k) as (taps, padded out, in); of the first layer (1, out, 32), its taps as the inputs."""
    kernel = torch.from_numpy(layer.kernel)
    if index == 0:
        rows, columns = _TAPS
        wide = F.pad(kernel[:, 0], (0, columns - kernel.shape[-1]))
        return F.pad(wide.flatten(1), (0, 32 - rows * columns))[None].contiguous()
    return _padded(kernel.permute(2, 3, 1, 0).flatten(0, 1), 8).transpose(1, 2).contiguous()


def _padded(values: Tensor, least: int) -> Tensor:
    """The last axis filled up with zeros to what a matrix product takes."""
    return F.pad(values, (0, max(0, least - values.shape[-1])))
