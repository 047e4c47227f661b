"""The network as an OpenVINO graph between integer code values, built without torch or a converter.

Codes enter the first convolution unscaled, with 1/white folded into its weights: 0 to 255 are exact in bfloat16, the
same codes divided by 255 are not. The last convolution gives code values for the same reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from espcn_demo.dimensions import DIMENSIONS, SCALE
from espcn_demo.errors import WeightsError

if TYPE_CHECKING:
    import openvino

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_layers(path: Path) -> list[Layer]:
    """Kernels (out, in, k, k) and biases (out,) of the convolutions, in order; WeightsError when one is missing."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    channels, kernels = DIMENSIONS.channels, DIMENSIONS.kernels
    try:
        tensors = load_file(path)
        layers = [(tensors[f"convolutions.{i}.weight"], tensors[f"convolutions.{i}.bias"]) for i in range(len(kernels))]
    except (SafetensorError, OSError, KeyError) as error:
        raise WeightsError(f"{path.name} does not hold this network's tensors: use other weights.") from error
    for i, (kernel, bias) in enumerate(layers):
        if kernel.shape != (channels[i + 1], channels[i], kernels[i], kernels[i]) or bias.shape != (channels[i + 1],):
            raise WeightsError(f"{path.name} does not hold this network's tensors: use other weights.")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{path.name} holds values that are not finite: train or download it again.")
    return layers


def build_model(layers: list[Layer], *, height: int, width: int, dtype: np.dtype[Any], white: int) -> openvino.Model:
    """A model from codes (1, 1, H, W) of `dtype` to codes (1, 1, 2H, 2W): the network, clamp and rounding included."""
    import openvino
    from openvino import opset13 as ov

    kind = openvino.Type(dtype)
    codes = ov.parameter([1, 1, height, width], kind, name="codes")
    source = ov.convert(codes, "f32")
    features = source
    for index, (kernel, bias) in enumerate(layers):
        first, last = index == 0, index == len(layers) - 1
        kernel = kernel / np.float32(white) if first else kernel * np.float32(white) if last else kernel
        bias = bias * np.float32(white) if last else bias
        pad = [kernel.shape[2] // 2] * 2
        features = ov.convolution(features, ov.constant(kernel), [1, 1], pad, pad, [1, 1])
        features = ov.add(features, ov.constant(bias.reshape(1, -1, 1, 1)))
        features = features if last else ov.relu(features)
    detail = ov.depth_to_space(features, "depth_first", SCALE)
    enlarged = ov.depth_to_space(ov.tile(source, ov.constant([1, SCALE * SCALE, 1, 1])), "depth_first", SCALE)
    result = ov.round(ov.clamp(ov.add(detail, enlarged), 0.0, float(white)), "half_to_even")
    return openvino.Model([ov.convert(result, kind)], [codes], "espcn")
