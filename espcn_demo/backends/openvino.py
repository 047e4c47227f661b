"""The OpenVINO backend: the fastest on a CPU, float32 or bf16.

One graph is compiled for each shape and depth and kept; batches run as a stream of single frames, which keeps the
working set in cache and the result independent of the batch.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from espcn_demo.backends.graph import build_model, read_layers
from espcn_demo.backends.machine import granted_cores, has_bfloat16
from espcn_demo.dimensions import SCALE
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes, default_white
from espcn_demo.weights import Weights

_HINTS = {"float32": "f32", "bf16": "bf16"}
_COMPILED_KEPT = 8  # shapes; a folder of pictures meets many


class OpenVINO:
    """OpenVINO on the CPU with static shapes."""

    scale = SCALE

    def __init__(self, weights: Weights, precision: str, reason: str) -> None:
        import openvino

        self._core = openvino.Core()
        self.name, self.reason = f"openvino {precision}", reason
        self.refusals: tuple[str, ...] = ()
        self._precision = precision
        self._layers = read_layers(weights.path)
        self._compiled: OrderedDict[tuple[int, int, str, int], Any] = OrderedDict()

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W)."""
        white = default_white(frames, white)
        count, height, width = frames.shape
        request = self._request(height, width, frames.dtype, white)
        result = np.empty((count, SCALE * height, SCALE * width), frames.dtype)
        for index in range(count):
            source = np.ascontiguousarray(frames[index])[None, None]
            result[index] = request.infer({0: source}, share_inputs=True, share_outputs=True)[0][0, 0]
        return result

    def _request(self, height: int, width: int, dtype: np.dtype[Any], white: int) -> Any:  # noqa: ANN401 (openvino is untyped)
        key = (height, width, str(dtype), white)
        if key not in self._compiled:
            self._compiled[key] = self._compile(height, width, dtype, white).create_infer_request()
            while len(self._compiled) > _COMPILED_KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]

    def _compile(self, height: int, width: int, dtype: np.dtype[Any], white: int) -> Any:  # noqa: ANN401
        model = build_model(self._layers, height=height, width=width, dtype=dtype, white=white)
        # 16-bit samples carry more than bf16 can: they are computed in float32.
        precision = self._precision if white <= 255 else "float32"
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": granted_cores(),
        }
        return self._core.compile_model(model, "CPU", settings)


def open_engine(weights: Weights, precision: str | None = None) -> OpenVINO:
    """Open OpenVINO in `precision` (float32 or bf16; by default bf16 where the CPU has it)."""
    if precision is None and has_bfloat16():
        return OpenVINO(weights, "bf16", "openvino bf16: the CPU computes bfloat16")
    if precision is None:
        return OpenVINO(weights, "float32", "openvino float32: the CPU has no bfloat16")
    if precision not in _HINTS:
        raise EngineError(f"openvino: no {precision}, use float32 or bf16")
    return OpenVINO(weights, precision, f"openvino {precision}: asked for")
