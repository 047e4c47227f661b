"""The network as an OpenVINO graph between integer code values, built without torch or a converter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from espcn_demo.backends.layers import Layer
from espcn_demo.backends.quantised import Quantised

Node = Any  # openvino is untyped


def build_model(
    layers: tuple[Layer, ...],
    *,
    height: int,
    width: int,
    dtype: np.dtype[Any],
    white: int,
    quantised: Quantised | None = None,
) -> Node:
    """A model from codes (1, 1, H, W) of `dtype` to codes (1, H, W, 4): each pixel's four results side by side.

    `layers` are folded for codes; with `quantised` its int8 layers serve instead.
    """
    import openvino
    from openvino import opset13 as ov

    kind = openvino.Type(dtype)
    codes = ov.parameter([1, 1, height, width], kind, name="codes")
    source = ov.convert(codes, "f32")
    copies = ov.concat([source] * layers[0].kernel.shape[1], 1)
    features = _chain(copies, layers) if quantised is None else _quantised_chain(source, quantised)
    # Four copies, not a broadcast: OpenVINO then adds them inside the last convolution, in float32.
    total = ov.add(features, ov.concat([source] * layers[-1].kernel.shape[0], 1))
    low = ov.convert(ov.round(ov.clamp(total, 0.0, float(white)), "half_to_even"), kind)
    # The CPU computes with channels last, so this transposition moves nothing.
    together = ov.transpose(low, ov.constant(np.array([0, 2, 3, 1], np.int64)))
    return openvino.Model([together], [codes], "espcn")


def _chain(features: Node, layers: tuple[Layer, ...]) -> Node:
    from openvino import opset13 as ov

    for layer in layers[:-1]:
        features = ov.relu(_convolve(features, layer, ov.constant(layer.kernel)))
    return _convolve(features, layers[-1], ov.constant(layers[-1].kernel))


def _quantised_chain(source: Node, quantised: Quantised) -> Node:
    """The chain with the input and every ReLU's result on 256 levels, kernels on 255."""
    from openvino import opset13 as ov

    features = _on_grid(source, 0.0, 255.0, 256)
    ceilings = (*quantised.ceilings, None)
    for layer, step, ceiling in zip(quantised.layers, quantised.steps, ceilings, strict=True):
        reach = 127.0 * step.reshape(-1, 1, 1, 1)
        features = _convolve(features, layer, _on_grid(ov.constant(layer.kernel), -reach, reach, 255))
        if ceiling is not None:
            features = _on_grid(ov.relu(features), 0.0, ceiling, 256)
    return features


def _convolve(features: Node, layer: Layer, kernel: Node) -> Node:
    from openvino import opset13 as ov

    pad = [layer.padding] * 2
    product = ov.convolution(features, kernel, [1, 1], pad, pad, [1, 1])
    return ov.add(product, ov.constant(layer.bias.reshape(1, -1, 1, 1)))


def _on_grid(node: Node, low: float | NDArray[np.float32], high: float | NDArray[np.float32], levels: int) -> Node:
    from openvino import opset13 as ov

    ends = [ov.constant(np.asarray(end, np.float32)) for end in (low, high)]
    return ov.fake_quantize(node, *ends, *ends, levels)
