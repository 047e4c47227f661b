"""Frames through a device in batches of a fixed shape: copy in, compute, copy out, two batches in flight.

On CUDA each lane has its own stream, pinned buffers and, for plain modules, one CUDA graph: while one lane computes
the other copies. On the CPU, where the tests run, the same code works without streams.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espcn_demo.backends.fastest import Compute
from espcn_demo.dimensions import SCALE
from espcn_demo.upscaler import Codes

_TORCH = {
    "uint8": torch.uint8,
    "uint16": torch.int16,
}  # uint16 travels as int16 of the same bits: torch has few uint16 kernels
_WARM_UP = 3  # runs before capture, in which libraries choose kernels and allocate


class Lane:
    """One batch's buffers, stream and graph."""

    def __init__(
        self, compute: Compute, shape: tuple[int, int, int], dtype: np.dtype[Any], device: str, *, capture: bool
    ) -> None:
        count, height, width = shape
        kind, pin = _TORCH[str(dtype)], device != "cpu"
        self.dtype, self.compute = dtype, compute
        self.graph: torch.cuda.CUDAGraph | None = None
        self.sent = torch.zeros((count, 1, height, width), dtype=kind, pin_memory=pin)
        self.received = torch.zeros((count, 1, SCALE * height, SCALE * width), dtype=kind, pin_memory=pin)
        self.input = torch.zeros(self.sent.shape, dtype=kind, device=device)
        self.stream = torch.cuda.Stream(device) if pin else None
        self.done = torch.cuda.Event() if pin else None
        self.waiting: Codes | None = None
        self.turn: torch.cuda.Event | None = None
        if self.stream is not None:
            torch.cuda.synchronize()  # buffers are cleared on another stream
            if capture:
                self._capture()

    def submit(self, frames: Codes, result: Codes) -> None:
        """Start on `frames` (at most the lane's batch); `collect` puts the outcome into `result`."""
        count = len(frames)
        self.sent.numpy()[:count, 0] = frames.view(self.sent.numpy().dtype)
        with self._on_stream():
            self.input.copy_(self.sent, non_blocking=True)
            if self.turn is not None and self.stream is not None:
                self.stream.wait_event(self.turn)
            output = self._enlarged()
            if self.turn is not None:
                self.turn.record()
            self.received.copy_(output, non_blocking=True)
            if self.done is not None:
                self.done.record()
        self.waiting = result

    def _enlarged(self) -> Tensor:
        if self.graph is None:
            return self.compute(self.input)
        self.graph.replay()
        return self.output

    def collect(self) -> None:
        """Wait for the batch in flight, if any, and hand its frames over."""
        if self.waiting is None:
            return
        if self.done is not None:
            self.done.synchronize()
        self.waiting[:] = self.received.numpy()[: len(self.waiting), 0].view(self.dtype)
        self.waiting = None

    def _on_stream(self) -> contextlib.AbstractContextManager[Any]:
        return torch.cuda.stream(self.stream) if self.stream is not None else contextlib.nullcontext()

    def _capture(self) -> None:
        with self._on_stream():
            for _ in range(_WARM_UP):
                self.output = self.compute(self.input)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # thread_local: a TensorRT engine that is built in the background allocates memory meanwhile.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self.output = self.compute(self.input)
        self.graph = graph


class Pipeline:
    """Two lanes taking turns; with `exclusive` only one computes at a time, for engines with state of their own."""

    def __init__(
        self,
        compute: Compute,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        *,
        device: str = "cuda",
        exclusive: bool = False,
    ) -> None:
        self.batch = shape[0]
        self._lanes = [Lane(compute, shape, dtype, device, capture=not exclusive) for _ in range(2)]
        if exclusive and device != "cpu":
            turn = torch.cuda.Event()
            for lane in self._lanes:
                lane.turn = turn

    def run(self, frames: Codes, result: Codes) -> None:
        """(N, H, W) -> `result` (N, 2H, 2W), any N; a last batch that is not full computes the rest in vain."""
        try:
            for turn, start in enumerate(range(0, len(frames), self.batch)):
                lane = self._lanes[turn % 2]
                lane.collect()
                lane.submit(frames[start : start + self.batch], result[start : start + self.batch])
        finally:
            for lane in self._lanes:
                lane.collect()
