"""The network on NVIDIA GPUs as four convolutions of cuDNN that each read and write memory once.

Plain torch adds the bias and takes the ReLU in passes of their own, and cuDNN's half-precision kernels want channels in
eights: here the input is five rows as eight channels, the output eight of which four are kept, bias and ReLU are part
of the convolution, and what surrounds the convolutions are two small Triton kernels. By count, about a third
of the traffic.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from espcn_demo.backends.layers import Layer, fold, power_above
from espcn_demo.dimensions import SCALE

_BLOCK = 1024  # values that one program of the surrounding kernels computes
_EIGHT = 8


class Layered:
    """The network with its weights on one device: (N, 1, H, W) uint8 -> (N, 1, 2H, 2W)."""

    def __init__(self, layers: tuple[Layer, ...], white: int, device: torch.device) -> None:
        self.white, self.unit = white, 1 / power_above(white)
        folded = fold(layers, white, unit=self.unit)
        kernels = [torch.from_numpy(layer.kernel) for layer in folded]
        kernels[0] = _filled(kernels[0].transpose(1, 2), axis=1)  # (out, 1, 5, 5) -> (out, 8, 1, 5): rows are channels
        kernels[-1] = _filled(kernels[-1], axis=0)
        self.kernels = [
            kernel.to(device, torch.float16).contiguous(memory_format=torch.channels_last) for kernel in kernels
        ]
        self.biases = [torch.from_numpy(layer.bias).to(device, torch.float16) for layer in folded[:-1]]
        self.last_bias = torch.from_numpy(folded[-1].bias).to(device)

    def __call__(self, codes: Tensor) -> Tensor:
        """Enlarge a batch."""
        from espcn_demo.backends.ends import begin, end

        count, _, height, width = codes.shape
        # Channels last, as its convolutions keep it: (N, H, W, 8) in memory.
        rows = torch.empty((count, height, width, _EIGHT), dtype=torch.float16, device=codes.device)
        begin[_programs(rows)](codes, rows, height, width, rows.numel(), UNIT=self.unit, BLOCK=_BLOCK)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            detail = self._detail(rows.permute(0, 3, 1, 2))
        detail = detail.contiguous(memory_format=torch.channels_last)  # a copy only should cuDNN have chosen otherwise
        output = torch.empty((count, 1, SCALE * height, SCALE * width), dtype=torch.uint8, device=codes.device)
        end[_programs(output)](
            codes, detail, self.last_bias, output, height, width, output.numel(), WHITE=float(self.white), BLOCK=_BLOCK
        )
        return output

    def _detail(self, features: Tensor) -> Tensor:
        for kernel, bias in zip(self.kernels[:-1], self.biases, strict=True):
            features = torch.cudnn_convolution_relu(features, kernel, bias, [1, 1], _padding(kernel), [1, 1], 1)
        return F.conv2d(features, self.kernels[-1], padding=_padding(self.kernels[-1]))


def _filled(kernel: Tensor, *, axis: int) -> Tensor:
    """`kernel` with zeros up to eight channels on `axis`."""
    missing = _EIGHT - kernel.shape[axis]
    zeros = torch.zeros((*kernel.shape[:axis], missing, *kernel.shape[axis + 1 :]))
    return torch.cat([kernel, zeros], axis)


def _padding(kernel: Tensor) -> list[int]:
    return [side // 2 for side in kernel.shape[2:]]


def _programs(values: Tensor) -> tuple[int]:
    return (-(-values.numel() // _BLOCK),)
