"""The torch backend: runs wherever torch does.

float32 is the reference that the others are compared with; bf16 is used where the processor computes it and the
samples have at most 8 bits. Frames are computed in tiles whose 64 channels stay in the processor's second-level
cache, which measured 1.2 (float32) to 2 (bf16) times faster than whole frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.layers import read_layers
from espcn_demo.backends.machine import granted_cores, has_bfloat16
from espcn_demo.dimensions import HALO, SCALE
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes, default_white
from espcn_demo.weights import Weights

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
_TILE = (64, 512)  # rows and columns without the halo: 64 channels of them are 4 MiB in bf16


class Eager:
    """torch on the CPU, channels last, in tiles."""

    scale = SCALE

    def __init__(self, weights: Weights, precision: str, *, tile: tuple[int, int] = _TILE) -> None:
        self.name = f"torch {precision}"
        self.reason = f"{self.name}: runs everywhere, {granted_cores()} threads"
        self.refusals: tuple[str, ...] = ()
        torch.set_num_threads(granted_cores())
        self._layers, self._tile = read_layers(weights.path), tile
        self._dtype = _DTYPES[precision]
        self._graphs: dict[tuple[int, torch.dtype], CodeNetwork] = {}

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W); one frame at a time, so that results do not depend on N."""
        white = default_white(frames, white)
        graph = self._graph(white, torch.uint8 if frames.dtype == np.uint8 else torch.uint16)
        count, height, width = frames.shape
        result = np.empty((count, SCALE * height, SCALE * width), frames.dtype)
        with torch.inference_mode():
            for frame, enlarged in zip(frames, result, strict=True):
                for rows, columns in _tiles(height, width, self._tile):
                    _enlarge(graph, frame, enlarged, rows, columns)
        return result

    def _graph(self, white: int, codes: torch.dtype) -> CodeNetwork:
        if (white, codes) not in self._graphs:
            compute = self._dtype if white <= 255 else torch.float32
            self._graphs[white, codes] = CodeNetwork(self._layers, white=white, codes=codes, compute=compute)
        return self._graphs[white, codes]


def _enlarge(graph: CodeNetwork, frame: Codes, enlarged: Codes, rows: range, columns: range) -> None:
    """Compute one tile of `frame` with its halo and put its inside into `enlarged`."""
    top, left = max(0, rows.start - HALO), max(0, columns.start - HALO)
    # from_numpy takes neither read-only nor mirrored arrays, hence the copy of one tile.
    tile = frame[top : rows.stop + HALO, left : columns.stop + HALO].copy()
    result = graph(torch.from_numpy(tile)[None, None])[0, 0].numpy()
    y, x = SCALE * (rows.start - top), SCALE * (columns.start - left)
    inside = result[y : y + SCALE * len(rows), x : x + SCALE * len(columns)]
    enlarged[SCALE * rows.start : SCALE * rows.stop, SCALE * columns.start : SCALE * columns.stop] = inside


def _tiles(height: int, width: int, tile: tuple[int, int]) -> Iterator[tuple[range, range]]:
    for rows in _spans(height, tile[0]):
        for columns in _spans(width, tile[1]):
            yield rows, columns


def _spans(length: int, largest: int) -> list[range]:
    """`length` in equal parts of at most `largest`: no sliver at the end, where torch would pick other kernels."""
    parts = -(-length // largest)
    edges = [length * part // parts for part in range(parts + 1)]
    return [range(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def open_engine(weights: Weights, precision: str | None = None) -> Eager:
    """Open torch in `precision` (float32 or bf16; by default bf16 where the CPU has it)."""
    chosen = precision or ("bf16" if has_bfloat16() else "float32")
    if chosen not in _DTYPES:
        raise EngineError(f"torch: no {chosen} on the CPU, use float32 or bf16")
    return Eager(weights, chosen)
