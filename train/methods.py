"""What is compared: interpolation, SRCNN and the network, all as luma planes in, enlarged luma planes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from espcn_demo.degrade import METHODS, Plane, resize, to_codes

Method = Callable[[Plane], Plane]  # (H, W) float32 in [0, 1] -> (2H, 2W)


def interpolation(name: str, scale: int = 2) -> Method:
    """Pillow's interpolation `name`, one of nearest, bilinear, bicubic, lanczos."""

    def enlarge(low: Plane) -> Plane:
        return resize(low, scale * low.shape[1], scale * low.shape[0], name)

    return enlarge


def neural(network: nn.Module) -> Method:
    """A network (1, 1, H, W) -> (1, 1, 2H, 2W) in float32."""
    network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # absent from the stubs

    def enlarge(low: Plane) -> Plane:
        with torch.inference_mode():
            luma = torch.from_numpy(np.ascontiguousarray(low, np.float32))[None, None]
            return np.asarray(network(luma.to(memory_format=torch.channels_last))[0, 0])

    return enlarge


def chain(first: Method, second: Method) -> Method:
    """4x: `second` on the 8-bit codes of `first`, as the product hands them over."""

    def enlarge(low: Plane) -> Plane:
        return second(np.asarray(to_codes(first(low)) / np.float32(255), np.float32))

    return enlarge


def interpolations(scale: int = 2) -> dict[str, Method]:
    """All interpolations by name."""
    return {name: interpolation(name, scale) for name in METHODS}


def load_methods(files: list[Path]) -> dict[str, Method]:
    """The networks of weights files and checkpoints by file name; SRCNN is recognised by its name."""
    from train.srcnn import load_srcnn
    from train.start import start_network

    return {path.stem: neural(load_srcnn(path) if "srcnn" in path.stem else start_network(path)) for path in files}
