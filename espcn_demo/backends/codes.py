"""The network as a torch module between integer code values, with the factors of `layers.fold` folded in."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.backends.layers import Layer, fold, power_above, split_first
from espcn_demo.dimensions import SCALE


class CodeNetwork(nn.Module):
    """Integers to integers: (N, 1, H, W) -> (N, 1, 2H, 2W), uint8, uint16, or int16 that holds the bits of uint16.

    Equal to `model.CodeValues` but for rounding errors. Convolutions run in `compute`; the skip, clamping and rounding
    (half to even) in float32 and at low resolution, so that the shuffle moves integers only. `layers` are those of the
    weights file, `white` the largest code.
    """

    def __init__(self, layers: tuple[Layer, ...], *, white: int, codes: torch.dtype, compute: torch.dtype) -> None:
        super().__init__()
        self.white, self.codes, self.compute = float(white), codes, compute
        # A power of two: exact, and it keeps the first kernel out of float16's subnormal range.
        self.unit = 1 / power_above(white)
        self.count = len(layers)
        folded = fold(layers, white, unit=self.unit)
        for index, layer in enumerate(split_first(folded) if compute == torch.bfloat16 else folded):
            kernel = torch.from_numpy(layer.kernel).to(compute)
            self.register_buffer(f"kernel{index}", kernel.contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"bias{index}", torch.from_numpy(layer.bias).to(compute))

    def forward(self, codes: Tensor) -> Tensor:
        """Enlarge a batch of integer frames."""
        wrapped = self.codes == torch.int16
        values = (codes.to(torch.int32) & 0xFFFF if wrapped else codes).to(torch.float32)
        detail = self.detail((values * self.unit).to(self.compute))
        low = (detail.to(torch.float32) + values).clamp(0.0, self.white).round()
        return shuffle((low.to(torch.int32) if wrapped else low).to(self.codes))

    def detail(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) codes * unit in `compute` -> (N, 4, H, W), in codes: what each pixel's four add to it."""
        copies = self.get_buffer("kernel0").shape[1]
        features = luma.expand(-1, copies, -1, -1).contiguous(memory_format=torch.channels_last)
        for index in range(self.count):
            features = self._convolve(features, index)
            if index + 1 < self.count:
                features = features.relu_()
        return features

    def _convolve(self, features: Tensor, index: int) -> Tensor:
        kernel, bias = self.get_buffer(f"kernel{index}"), self.get_buffer(f"bias{index}")
        return F.conv2d(features, kernel, bias, padding=kernel.shape[-1] // 2)


def shuffle(low: Tensor) -> Tensor:
    """(N, 4, H, W) -> (N, 1, 2H, 2W) as `F.pixel_shuffle`, which does not take every integer type."""
    count, _, height, width = low.shape
    spread = low.reshape(count, SCALE, SCALE, height, width).permute(0, 3, 1, 4, 2)
    return spread.reshape(count, 1, SCALE * height, SCALE * width)
