"""The network as TensorRT gets it: half precision inside, codes in half precision out, exported by torch.export."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.backends.layers import Layer, fold, power_above
from espcn_demo.dimensions import SCALE

WHITE = 255  # half precision holds codes of 8 bits exactly
UNIT = 1 / power_above(WHITE)


@dataclass(frozen=True)
class Profile:
    """Frame sizes that an engine takes: (height, width) smallest, expected and largest; all equal when static."""

    smallest: tuple[int, int]
    expected: tuple[int, int]
    largest: tuple[int, int]

    @property
    def static(self) -> bool:
        """Whether there is one size only."""
        return self.smallest == self.largest

    def holds(self, height: int, width: int) -> bool:
        """Whether a frame of this size can be computed."""
        return all(a <= b <= c for a, b, c in zip(self.smallest, (height, width), self.largest, strict=True))

    def __str__(self) -> str:
        """As it stands in a file's name: 1x1x720x1280, or the ends of the range."""
        ends = [f"{height}x{width}" for height, width in dict.fromkeys((self.smallest, self.expected, self.largest))]
        return "1x1x" + "_".join(ends)


def exactly(height: int, width: int) -> Profile:
    """One size only: the fastest, for clips."""
    return Profile((height, width), (height, width), (height, width))


PICTURES = Profile((16, 16), (720, 1280), (2160, 3840))  # any size in this range with one engine


class ExportNetwork(nn.Module):
    """(1, 1, H, W) codes * UNIT in half precision -> (1, 1, 2H, 2W) codes, clamped and rounded, in half precision."""

    def __init__(self, layers: tuple[Layer, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self.count = len(layers)
        for index, layer in enumerate(fold(layers, WHITE, unit=UNIT)):
            self.register_buffer(f"kernel{index}", torch.from_numpy(layer.kernel).to(dtype))
            self.register_buffer(f"bias{index}", torch.from_numpy(layer.bias).to(dtype))

    def forward(self, luma: Tensor) -> Tensor:
        """The skip, clamping and rounding (half to even) are in float32, as TensorRT keeps the types it is given."""
        features = luma
        for index in range(self.count):
            kernel, bias = self.get_buffer(f"kernel{index}"), self.get_buffer(f"bias{index}")
            features = F.conv2d(features, kernel, bias, padding=kernel.shape[-1] // 2)
            if index + 1 < self.count:
                features = F.relu(features)
        total = features.to(torch.float32) + luma.to(torch.float32) * (1.0 / UNIT)
        return F.pixel_shuffle(total.clamp(0.0, float(WHITE)).round(), SCALE).to(luma.dtype)


def export(
    layers: tuple[Layer, ...], profile: Profile, *, dtype: torch.dtype = torch.float16, device: str = "cuda"
) -> torch.export.ExportedProgram:
    """The exported graph for `profile`, with its axes fixed or free as the profile says."""
    network = ExportNetwork(layers, dtype).to(device).eval()
    height, width = profile.expected
    example = torch.zeros((1, 1, height, width), dtype=dtype, device=device)
    free = None
    if not profile.static:
        axes = zip(("height", "width"), profile.smallest, profile.largest, strict=True)
        named = [torch.export.Dim(name, min=low, max=high) for name, low, high in axes]
        free = {"luma": {2: named[0], 3: named[1]}}
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=free)
