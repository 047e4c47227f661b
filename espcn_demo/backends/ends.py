"""What comes before and after the convolutions of `layered`, in Triton; imported only where Triton is installed."""

# Triton compiles these functions itself: arguments are pointers and numbers that Python's types do not describe, and
# constants are written in capitals as in Triton's own code.
# ruff: noqa: ANN001, N803
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def begin(codes, rows, height, width, count, UNIT: tl.constexpr, BLOCK: tl.constexpr) -> None:
    """(N, H, W) uint8 -> (N, H, W, 8) float16: codes * UNIT of the five rows around, and three zeros."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pixel, row = place // 8, place % 8
    y = pixel // width % height + row - 2
    inside = (place < count) & (row < 5) & (y >= 0) & (y < height)
    values = tl.load(codes + pixel + (row - 2) * width, mask=inside, other=0)
    tl.store(rows + place, (values.to(tl.float32) * UNIT).to(tl.float16), mask=place < count)


@triton.jit
def end(codes, detail, bias, output, height, width, count, WHITE: tl.constexpr, BLOCK: tl.constexpr) -> None:
    """(N, H, W, 8) float16 -> (N, 2H, 2W) uint8: bias, skip, clamping, rounding and the shuffle of the first four."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kept = place < count
    x, line = place % (2 * width), place // (2 * width)
    pixel = line // (2 * height) * (height * width) + line % (2 * height) // 2 * width + x // 2
    channel = line % 2 * 2 + x % 2
    result = tl.load(detail + pixel * 8 + channel, mask=kept, other=0).to(tl.float32) + tl.load(bias + channel)
    result += tl.load(codes + pixel, mask=kept, other=0).to(tl.float32)
    result = tl.minimum(tl.maximum(result, 0.0), WHITE)
    # Adding 1.5 * 2**23 leaves no bits after the point: rounds half to even, as numpy.rint.
    tl.store(output + place, ((result + 12582912.0) - 12582912.0).to(tl.uint8), mask=kept)
