"""The OpenVINO backend: the fastest on a CPU, in float32, bf16 or int8.

One graph with static shapes is compiled for each frame size and depth (some 30 ms) and kept. A batch runs frame by
frame, which keeps the working set in cache and the result independent of the batch. Frames go in without a copy; the
one copy out of the graph's memory puts each pixel's four results in their places.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from espcn_demo.backends.graph import build_model
from espcn_demo.backends.layers import fold, read_layers, split_first
from espcn_demo.backends.machine import granted_cores, has_bfloat16, has_int8
from espcn_demo.backends.quantised import WHITE, read_twin
from espcn_demo.dimensions import SCALE
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes, default_white
from espcn_demo.weights import Weights

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

_HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}
_COMPILED_KEPT = 8  # shapes; a folder of pictures meets many


class OpenVINO:
    """OpenVINO on the CPU with static shapes."""

    scale = SCALE

    def __init__(self, weights: Weights, precision: str, reason: str) -> None:
        # `import openvino` reports to its makers over the network, unless the package that does it is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail
        import openvino

        self._core = openvino.Core()
        self.name, self.reason = f"openvino {precision}", reason
        self.refusals: tuple[str, ...] = ()
        self._precision = precision
        self._layers = read_layers(weights.path)
        self._quantised = read_twin(weights) if precision == "int8" else None
        self._requests: OrderedDict[tuple[int, int, str, int, int], list[InferRequest]] = OrderedDict()
        self._lock = threading.Lock()  # a request serves one caller at a time

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W)."""
        white = default_white(frames, white)
        count, height, width = frames.shape
        result = np.empty((count, SCALE * height, SCALE * width), frames.dtype)
        streams = min(granted_cores(), count)
        with self._lock:
            requests = self._request(height, width, frames.dtype, white, streams)
            # The arrays are shared with the requests: they must outlive them, whatever happens meanwhile.
            sources = [np.ascontiguousarray(frame)[None, None] for frame in frames]
            begun: list[InferRequest] = []
            try:
                for index, source in enumerate(sources):
                    if index >= streams:
                        _collect(requests[index % streams], result[index - streams])
                    requests[index % streams].start_async({0: source}, share_inputs=True)
                    begun.append(requests[index % streams])
                for index in range(count - streams, count):
                    _collect(requests[index % streams], result[index])
            finally:
                for request in begun[-streams:]:
                    request.wait()
        return result

    def _request(self, height: int, width: int, dtype: np.dtype[Any], white: int, streams: int) -> list[InferRequest]:
        """Requests of one graph: one that uses all cores, or one a core, which do not wait for each other's threads."""
        key = (height, width, str(dtype), white, streams)
        if key not in self._requests:
            compiled = self._compile(height, width, dtype, white, streams)
            self._requests[key] = [compiled.create_infer_request() for _ in range(streams)]
            while len(self._requests) > _COMPILED_KEPT:
                self._requests.popitem(last=False)
        self._requests.move_to_end(key)
        return self._requests[key]

    def _compile(self, height: int, width: int, dtype: np.dtype[Any], white: int, streams: int) -> CompiledModel:
        # Samples of more than 8 bits carry more than bf16 and int8 can: they are computed in float32.
        precision = self._precision if white <= WHITE else "float32"
        layers = fold(self._layers, white)
        model = build_model(
            split_first(layers) if precision == "bf16" else layers,
            height=height,
            width=width,
            dtype=dtype,
            white=white,
            quantised=self._quantised if white == WHITE else None,
        )
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": granted_cores(),
        }
        return self._core.compile_model(model, "CPU", settings)


def _collect(request: InferRequest, enlarged: Codes) -> None:
    """Wait for a request and put its pixels, which lie in pairs of rows, in order into `enlarged` (2H, 2W)."""
    request.wait()
    together = request.get_output_tensor(0).data
    height, width = enlarged.shape[0] // SCALE, enlarged.shape[1] // SCALE
    pair = np.uint16 if enlarged.dtype == np.uint8 else np.uint32  # two neighbours are moved as one
    rows = enlarged.view(pair).reshape(height, SCALE, width)
    rows[:] = together.view(pair).reshape(height, width, SCALE).transpose(0, 2, 1)


def open_engine(weights: Weights, precision: str | None = None) -> OpenVINO:
    """Open OpenVINO in `precision`: float32, bf16 or int8.

    By default bf16 where the CPU computes it, else int8 where the CPU has VNNI and the weights have an int8 form,
    else float32.
    """
    if precision is not None:
        if precision not in _HINTS:
            raise EngineError(f"openvino: no {precision}, use float32, bf16 or int8")
        return OpenVINO(weights, precision, f"openvino {precision}: asked for")
    if has_bfloat16():
        return OpenVINO(weights, "bf16", "openvino bf16: the CPU computes bfloat16")
    if not has_int8():
        return OpenVINO(weights, "float32", "openvino float32: the CPU has neither bfloat16 nor VNNI")
    try:
        return OpenVINO(weights, "int8", "openvino int8: the CPU has VNNI and no bfloat16")
    except EngineError as error:
        return OpenVINO(weights, "float32", f"openvino float32: the CPU has no bfloat16; {error}")
