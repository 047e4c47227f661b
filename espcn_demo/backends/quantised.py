"""The int8 form of a weights file: `name_int8.safetensors` beside `name.safetensors`, trained by `train.quantise`.

For each convolution i it holds `i.kernel` (int8), `i.scale` (float32, one for each output channel) and `i.bias`
(float32), in the units of luma in [0, 1]; `ceilings` holds the largest value that each ReLU passes on, which is code
255 of the next layer's input. Its card names the SHA-256 of the float weights that it was trained from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espcn_demo.backends.layers import Layer, fold, gain, kernel_shape, power_above
from espcn_demo.dimensions import DIMENSIONS
from espcn_demo.errors import EngineError
from espcn_demo.weights import Weights

SUFFIX = "_int8"
WHITE = 255  # int8 is for samples of 8 bits


@dataclass(frozen=True)
class Quantised:
    """Layers for codes in, codes out, their kernels on an int8 grid; the grid's steps; the activations' ceilings."""

    layers: tuple[Layer, ...]
    steps: tuple[NDArray[np.float32], ...]  # (out,) each
    ceilings: tuple[float, ...]  # after each layer but the last


def twin_path(path: Path) -> Path:
    """Where the int8 form of the weights in `path` lies, if there is one."""
    return path.with_name(f"{path.stem}{SUFFIX}.safetensors")


def read_twin(weights: Weights) -> Quantised:
    """The int8 form of `weights`; raises EngineError when there is none that fits."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = twin_path(weights.path)
    try:
        data, card = path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        stated, origin = card["sha256"], card["quantised_from"]
    except FileNotFoundError as error:
        raise EngineError(
            f"openvino int8: {weights.name} has no int8 form, make one with python -m train quantise"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"openvino int8: the card of {path.name} cannot be read, run python -m train quantise"
        ) from error
    if hashlib.sha256(data).hexdigest() != stated:
        raise EngineError(f"openvino int8: {path.name} is damaged, its SHA-256 differs from its card")
    if origin != weights.sha256:
        raise EngineError(f"openvino int8: {path.name} was made from other weights, run python -m train quantise")
    try:
        return _folded(load(data))
    except (SafetensorError, KeyError, ValueError) as error:
        raise EngineError(f"openvino int8: {path.name} does not hold this network") from error


def _folded(tensors: Mapping[str, NDArray[np.float32]]) -> Quantised:
    count = len(DIMENSIONS.kernels)
    layers = []
    for index in range(count):
        kernel, step = tensors[f"{index}.kernel"], tensors[f"{index}.scale"]
        if kernel.shape != kernel_shape(index) or step.shape != kernel.shape[:1]:
            raise ValueError(f"layer {index} has shape {kernel.shape}")
        layers.append(Layer(kernel.astype(np.float32) * step[:, None, None, None], tensors[f"{index}.bias"]))
    steps = [tensors[f"{index}.scale"] for index in range(count)]
    scale = np.float32(power_above(WHITE))
    steps[0], steps[-1] = steps[0] / scale, steps[-1] * scale
    ceilings = tuple(gain(WHITE) * float(value) for value in tensors["ceilings"])
    if len(ceilings) != count - 1:
        raise ValueError(f"{len(ceilings)} ceilings")
    return Quantised(fold(tuple(layers), WHITE), tuple(steps), ceilings)
