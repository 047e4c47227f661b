"""Networks and batches that experiments compare with the real ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.model import ESPCN, conv_layers
from train.pool import Batch, Batches


class OtherActivation(ESPCN):
    """The network with another function than ReLU between its convolutions."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, 2H, 2W)."""
        features = luma
        for convolution in self.convolutions[:-1]:
            features = self.activation(convolution(features))
        detail = F.pixel_shuffle(self.convolutions[-1](features), 2)
        return detail + F.interpolate(luma, scale_factor=2, mode="nearest")


class NoSkip(ESPCN):
    """The network of the paper: nothing is added to the shuffled output."""

    def forward(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, 2H, 2W)."""
        return super().forward(luma) - F.interpolate(luma, scale_factor=2, mode="nearest")


class Branched(ESPCN):
    """Training-time branches beside each convolution, which fold into it: a 1x1 and a scale for each output channel."""

    def __init__(self) -> None:
        super().__init__()
        layers = conv_layers(self)
        self.points = nn.ParameterList(nn.Parameter(torch.zeros(c.out_channels, c.in_channels, 1, 1)) for c in layers)
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(c.out_channels)) for c in layers)

    def forward(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, 2H, 2W), with every branch computed by itself."""
        features = luma
        layers = conv_layers(self)
        for layer, point, scale in zip(layers, self.points, self.scales, strict=True):
            branches = F.conv2d(features, layer.weight, padding=_side(layer)) + F.conv2d(features, point)
            features = branches * scale.view(1, -1, 1, 1)
            if layer.bias is not None:
                features = features + layer.bias.view(1, -1, 1, 1)
            features = features if layer is layers[-1] else F.relu(features)
        return F.pixel_shuffle(features, 2) + F.interpolate(luma, scale_factor=2, mode="nearest")

    def fold(self) -> ESPCN:
        """The plain network that computes the same."""
        plain = ESPCN()
        for target, layer, point, scale in zip(
            conv_layers(plain), conv_layers(self), self.points, self.scales, strict=True
        ):
            kernel = (layer.weight + F.pad(point, [_side(layer)] * 4)) * scale.view(-1, 1, 1, 1)
            target.load_state_dict({"weight": kernel.detach(), "bias": layer.bias})
        return plain.eval().requires_grad_(False)


def _side(layer: nn.Conv2d) -> int:
    return int(layer.kernel_size[0]) // 2


class ShuffledApart:
    """Batches whose inputs and targets are shuffled independently, as the original's training loop did."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.waited, self.first_load = batches, 0.0, 0.0

    def __call__(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step` with its targets in another order."""
        low, high = self.batches(step, rank=rank, world=world)
        return low, high[np.random.default_rng((77, step)).permutation(len(high))]

    def prepare(self, step: int) -> None:
        """Load what batch `step` needs."""
        self.batches.prepare(step)
