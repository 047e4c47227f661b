"""The network: ESPCN (Shi et al. 2016, arXiv:1609.05158) with a nearest-neighbour skip.

Four convolutions work at low resolution and a sub-pixel shuffle doubles each axis. The nearest-neighbour enlarged
luma is added to the output, so that the network predicts only what is missing; that keeps it accurate in bfloat16
and int8 (measured in train/RESULTS.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.dimensions import DIMENSIONS, FLOP_PER_PIXEL, HALO, MULTIPLY_ADDS, PARAMETERS, SCALE, Dimensions

__all__ = [
    "DIMENSIONS",
    "ESPCN",
    "FLOP_PER_PIXEL",
    "HALO",
    "MULTIPLY_ADDS",
    "PARAMETERS",
    "SCALE",
    "CodeValues",
    "Dimensions",
    "conv_layers",
    "count_parameters",
]


class ESPCN(nn.Module):
    """Luma in, luma of twice the size out: (N, 1, H, W) float in [0, 1] -> (N, 1, 2H, 2W) float, not clamped."""

    def __init__(self, dimensions: Dimensions = DIMENSIONS) -> None:
        super().__init__()
        widths = zip(dimensions.channels[:-1], dimensions.channels[1:], dimensions.kernels, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in widths)

    def forward(self, luma: Tensor) -> Tensor:
        """Enlarge `luma` by two; borders are zero-padded in every layer."""
        features = luma
        for convolution in self.convolutions[:-1]:
            features = F.relu(convolution(features))
        detail = F.pixel_shuffle(self.convolutions[-1](features), SCALE)
        # Added after the shuffle: adding before it by broadcasting trips OpenVINO's layout pass.
        enlarged: Tensor = detail + F.interpolate(luma, scale_factor=SCALE, mode="nearest")
        return enlarged


class CodeValues(nn.Module):
    """The network between integer code values: (N, 1, H, W) uint8 or uint16 -> the same dtype, (N, 1, 2H, 2W).

    Scaling, clamping and rounding (half to even, as `numpy.rint`) belong to the compiled graph, so that a backend
    moves integers only. `white` is the largest code value: 255, 1023 or 65535.
    """

    def __init__(self, network: nn.Module, *, white: int = 255, dtype: torch.dtype = torch.uint8) -> None:
        super().__init__()
        self.network, self.white, self.dtype = network, float(white), dtype

    def forward(self, codes: Tensor) -> Tensor:
        """Enlarge one batch of integer frames."""
        luma = codes.to(next(self.network.parameters()).dtype) * (1.0 / self.white)
        enlarged: Tensor = self.network(luma).to(torch.float32) * self.white
        return enlarged.clamp(0.0, self.white).round().to(self.dtype)


def conv_layers(network: ESPCN) -> list[nn.Conv2d]:
    """The four convolutions, in order."""
    return [layer for layer in network.convolutions if isinstance(layer, nn.Conv2d)]


def count_parameters(network: nn.Module) -> int:
    """The number of trained values of `network`."""
    return sum(parameter.numel() for parameter in network.parameters())
