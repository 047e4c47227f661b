"""The torch backend: runs wherever torch does.

float32 is the reference that the others are compared with; bf16 is used where the processor computes it and the
samples are 8 bits deep.
"""

from __future__ import annotations

import numpy as np
import torch

from espcn_demo.backends.machine import granted_cores, has_bfloat16
from espcn_demo.errors import EngineError
from espcn_demo.model import SCALE, CodeValues
from espcn_demo.upscaler import Codes, default_white
from espcn_demo.weights import Weights, load_network

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


class Eager:
    """torch on the CPU, channels last."""

    scale = SCALE

    def __init__(self, weights: Weights, precision: str) -> None:
        self.name = f"torch {precision}"
        self.reason = f"{self.name}: runs everywhere, {granted_cores()} threads"
        self.refusals: tuple[str, ...] = ()
        torch.set_num_threads(granted_cores())
        self._network = load_network(weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._dtype = _DTYPES[precision]

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W); one frame at a time, so that results do not depend on N."""
        white = default_white(frames, white)
        dtype = self._dtype if white <= 255 else torch.float32
        output = torch.uint8 if frames.dtype == np.uint8 else torch.uint16
        graph = CodeValues(self._network, white=white, dtype=output)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            # torch.from_numpy does not take read-only arrays without a warning, hence the copy of one frame.
            results = [graph(torch.from_numpy(frame[None, None].copy()))[0, 0].numpy() for frame in frames]
        return np.stack(results)


def open_engine(weights: Weights, precision: str | None = None) -> Eager:
    """Open torch in `precision` (float32 or bf16; by default bf16 where the CPU has it)."""
    chosen = precision or ("bf16" if has_bfloat16() else "float32")
    if chosen not in _DTYPES:
        raise EngineError(f"torch: no {chosen} on the CPU, use float32 or bf16")
    return Eager(weights, chosen)
