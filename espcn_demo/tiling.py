"""One plane through an engine in tiles of few sizes: equal to the whole plane, with bounded memory.

The network zero-pads every layer, so a tile behaves like the whole at the picture's own border only when it ends
there, and elsewhere only beyond a halo of half the receptive field. All tiles of a plane therefore have one size: the
first starts at the border, the last is moved back until it ends at the border, and each hands over its inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from espcn_demo.dimensions import HALO
from espcn_demo.upscaler import Codes, Upscaler

# Pixels along an axis. Few sizes keep the number of compiled graphs small; these compute 9 % of a plane twice on
# average, three of them 21 %.
SIZES = tuple(range(512, 255, -32))


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in low-resolution pixels: it reads [start, stop) and hands over [first, last)."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, halo: int, sizes: tuple[int, ...] = SIZES) -> list[Span]:
    """Cut an axis into tiles of one of `sizes`, the one with the least work; an axis as short as a tile stays whole."""
    if length <= max(sizes):
        return [Span(0, length, 0, length)]
    size = min(sizes, key=lambda one: one * _count(length, one, halo))
    starts = [*range(0, length - size, size - 2 * halo), length - size]
    tiles, first = [], 0
    for start in starts:
        last = length if start == starts[-1] else start + size - halo
        tiles.append(Span(start, start + size, first, last))
        first = last
    return tiles


def halo_of(scale: int) -> int:
    """Low-resolution pixels that reach into a result: 5 at 2x, 8 for a chain to 4x (its second pass adds half of 5)."""
    return ceil(2 * HALO * (1 - 1 / scale))


def upscale_plane(
    upscaler: Upscaler,
    plane: Codes,
    *,
    white: int | None = None,
    sizes: tuple[int, ...] = SIZES,
    on_progress: Callable[[float], None] | None = None,
) -> Codes:
    """(H, W) uint8 or uint16 -> (scale*H, scale*W) of the same dtype.

    `white` is the largest code value, as for `Upscaler.upscale`; `on_progress` gets the share done, 0 to 1.
    """
    scale = upscaler.scale
    height, width = plane.shape
    result = np.empty((scale * height, scale * width), plane.dtype)
    halo = halo_of(scale)
    down, across = spans(height, halo, sizes), spans(width, halo, sizes)
    for row, y in enumerate(down):
        for column, x in enumerate(across):
            tile = np.ascontiguousarray(plane[y.start : y.stop, x.start : x.stop])[None]
            enlarged = upscaler.upscale(tile, white=white)[0]
            inside = enlarged[_scaled(y, scale), _scaled(x, scale)]
            result[scale * y.first : scale * y.last, scale * x.first : scale * x.last] = inside
            if on_progress is not None:
                on_progress((row * len(across) + column + 1) / (len(down) * len(across)))
    return result


def _count(length: int, size: int, halo: int) -> int:
    return 1 + ceil((length - size) / (size - 2 * halo))


def _scaled(span: Span, scale: int) -> slice:
    return slice(scale * (span.first - span.start), scale * (span.last - span.start))
