"""The CUDA backend: float16 on an NVIDIA GPU, integers in and out.

A pipeline of two lanes with a CUDA graph each is kept for every shape. The kernels are torch's own, or those of
`layered` or `fused` where they run, agree and measure faster. A GPU without enough memory gets smaller batches, then
strips.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.fastest import Compute, fastest
from espcn_demo.backends.fused import Fused
from espcn_demo.backends.lanes import Pipeline
from espcn_demo.backends.layered import Layered
from espcn_demo.backends.layers import read_layers
from espcn_demo.dimensions import HALO, SCALE
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes, default_white
from espcn_demo.weights import Weights

log = logging.getLogger(__name__)

_DTYPES = {"float16": torch.float16, "bf16": torch.bfloat16, "float32": torch.float32}
_BATCH = 8  # frames; more gains nothing once the GPU is full
_BYTES_PER_PIXEL = 2 * 1100  # two lanes: activations of 64 channels in and out, workspace, float32 before rounding
_SMALLEST = 64 * 64  # low-resolution pixels in a call below which running out of memory is final
_PIPELINES_KEPT = 4
_EXAMPLE = (720, 1280)  # rows at most, columns: the frame on which the ways to compute are timed, once

Plan = tuple[int, int, int, str, int]  # batch, height, width, dtype, white


class CUDA:
    """torch on an NVIDIA GPU. `device="cpu"` is for tests."""

    scale = SCALE

    def __init__(
        self, weights: Weights, precision: str, reason: str, *, device: str = "cuda", pixels: int | None = None
    ) -> None:
        self.name, self.reason = f"cuda {precision}", reason
        self.refusals: tuple[str, ...] = ()
        self._layers, self._device = read_layers(weights.path), device
        self._dtype = _DTYPES[precision]
        self._pixels = pixels or _room(device)
        self._pipelines: OrderedDict[Plan, Pipeline] = OrderedDict()
        self._ways: dict[tuple[str, int], tuple[Compute, Compute]] = {}  # by dtype and white: the plain, the fastest
        self._lock = threading.Lock()

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W)."""
        white = default_white(frames, white)
        count, height, width = frames.shape
        result = np.empty((count, SCALE * height, SCALE * width), frames.dtype)
        with self._lock, torch.inference_mode():
            while True:
                try:
                    self._enlarge(np.ascontiguousarray(frames), result, white)
                    return result
                except torch.OutOfMemoryError:
                    self._shrink(count * height * width)

    def _enlarge(self, frames: Codes, result: Codes, white: int) -> None:
        count, height, width = frames.shape
        if not count:
            return
        if height * width <= self._pixels or height <= 2 * HALO:
            batch = max(1, min(count, _BATCH, self._pixels // (height * width)))
            self._pipeline((batch, height, width, str(frames.dtype), white)).run(frames, result)
            return
        rows = max(HALO, self._pixels // width - 2 * HALO)
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            above, below = min(HALO, top), min(HALO, height - bottom)
            strip = np.ascontiguousarray(frames[:, top - above : bottom + below])
            enlarged = np.empty((count, SCALE * strip.shape[1], SCALE * width), frames.dtype)
            self._pipeline((1, strip.shape[1], width, str(frames.dtype), white)).run(strip, enlarged)
            result[:, SCALE * top : SCALE * bottom] = enlarged[:, SCALE * above : SCALE * (above + bottom - top)]

    def _shrink(self, asked: int) -> None:
        """Allow half as many pixels in a call; re-raises when that is already very few."""
        self._pipelines.clear()
        if self._device != "cpu":
            torch.cuda.empty_cache()
        self._pixels = min(self._pixels, asked) // 2
        if self._pixels < _SMALLEST:
            raise EngineError("cuda: the GPU has too little free memory")
        log.warning("cuda: out of memory, going on with %d pixels at a time", self._pixels)

    def _pipeline(self, plan: Plan) -> Pipeline:
        if plan not in self._pipelines:
            self._pipelines[plan] = self._new_pipeline(plan)
            while len(self._pipelines) > _PIPELINES_KEPT:
                self._pipelines.popitem(last=False)
        self._pipelines.move_to_end(plan)
        return self._pipelines[plan]

    def _new_pipeline(self, plan: Plan) -> Pipeline:
        batch, height, width, dtype, white = plan
        if (dtype, white) not in self._ways:
            self._ways[dtype, white] = self._fastest(np.dtype(dtype), white)
        plain, way = self._ways[dtype, white]
        shape, kind = (batch, height, width), np.dtype(dtype)
        try:
            return Pipeline(way, shape, kind, device=self._device)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if way is plain:
                raise
            # What ran on the example may still fail at another size; torch's own kernels do not.
            log.warning("cuda: going on with torch's own kernels: %s", (str(error) or repr(error)).splitlines()[0])
            self._ways[dtype, white] = plain, plain
            return Pipeline(plain, shape, kind, device=self._device)

    def _fastest(self, dtype: np.dtype[Any], white: int) -> tuple[Compute, Compute]:
        codes = torch.uint8 if dtype == np.uint8 else torch.int16
        # Samples of more than 8 bits carry more than float16 can: they are computed in float32.
        compute = self._dtype if white <= 255 else torch.float32
        plain = _exact(CodeNetwork(self._layers, white=white, codes=codes, compute=compute).to(self._device))
        if self._device == "cpu" or compute != torch.float16 or dtype != np.uint8:
            return plain, plain
        most, columns = _EXAMPLE
        shape = (1, 1, max(1, min(most, self._pixels // columns)), columns)
        example = torch.randint(0, white + 1, shape, dtype=torch.uint8, device=self._device)
        others: dict[str, Callable[[], Compute]] = {
            "cuDNN in eights": lambda: Layered(self._layers, white, example.device),
            "fused kernel": lambda: Fused(self._layers, white, example.device),
        }
        way, measured = fastest(plain, others, example)
        log.info("cuda: a frame of %dx%d: %s", columns, shape[2], measured)
        return plain, way


def _exact(network: CodeNetwork) -> Callable[[torch.Tensor], torch.Tensor]:
    """`network` with cuDNN's choice of kernels by measurement, and float32 that is not rounded to TF32."""

    def compute(codes: torch.Tensor) -> torch.Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            result: torch.Tensor = network(codes)
        return result

    return compute


def _room(device: str) -> int:
    """Low-resolution pixels that fit into half of the free memory."""
    if device == "cpu":
        return 2**22
    free, _ = torch.cuda.mem_get_info()
    return max(_SMALLEST, free // 2 // _BYTES_PER_PIXEL)


def why_not() -> str | None:
    """Why CUDA cannot be used here; None where it can."""
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    if not torch.cuda.is_available():
        return "no NVIDIA GPU, or no driver for it"
    return None


def open_engine(weights: Weights, precision: str | None = None) -> CUDA:
    """Open CUDA in `precision`: float16 (the default), bf16 or float32; EngineError without an NVIDIA GPU."""
    if reason := why_not():
        raise EngineError(f"cuda: {reason}")
    chosen = precision or "float16"
    if chosen not in _DTYPES:
        raise EngineError(f"cuda: no {chosen}, use float16, bf16 or float32")
    return CUDA(weights, chosen, f"cuda {chosen}: {torch.cuda.get_device_name()}")
