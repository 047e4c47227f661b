"""The Triton kernel of `fused`; imported only where Triton is installed."""

# Triton compiles these functions itself: arguments are pointers and numbers that Python's types do not describe, and
# constants are written in capitals as in Triton's own code.
# ruff: noqa: ANN001, ANN201, ANN202, N803
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def network(
    codes, output, scratch_a, scratch_b, w1, w2, w3, w4, b1, b2, b3, b4,
    height, width, down, across, tiles,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr, UNIT: tl.constexpr, WHITE: tl.constexpr,
):  # fmt: skip
    """Persistent: each program takes every num_programs-th tile. Layer 1 and 3 write to a, layer 2 to b."""
    program = tl.program_id(0)
    a = scratch_a + program.to(tl.int64) * ((ROWS + 6) * (COLUMNS + 6) * 64)
    b = scratch_b + program.to(tl.int64) * ((ROWS + 4) * (COLUMNS + 4) * 64)
    for tile in range(program, tiles, tl.num_programs(0)):
        frame = (tile // (down * across)).to(tl.int64)
        top = (tile // across) % down * ROWS
        left = tile % across * COLUMNS
        source = codes + frame * height * width
        _first(source, a, w1, b1, top, left, height, width, ROWS + 6, COLUMNS + 6, PIXELS, UNIT)
        tl.debug_barrier()  # the program's own threads read what others of them wrote
        _hidden(a, b, w2, b2, top, left, height, width, ROWS + 4, COLUMNS + 4, 2, 64, PIXELS)
        tl.debug_barrier()
        _hidden(b, a, w3, b3, top, left, height, width, ROWS + 2, COLUMNS + 2, 1, 32, PIXELS)
        tl.debug_barrier()
        _last(
            source,
            output + frame * height * width * 4,
            a,
            w4,
            b4,
            top,
            left,
            height,
            width,
            ROWS,
            COLUMNS,
            PIXELS,
            WHITE,
        )
        tl.debug_barrier()


@triton.jit
def _first(
    source, target, kernel, bias, top, left, height, width,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    """5x5 over the codes: one product over 25 taps, padded to 32, for each block of pixels."""
    channels = tl.arange(0, 64)
    taps = tl.arange(0, 32)
    weights = tl.load(kernel + taps[:, None] * 64 + channels[None, :])
    offset = tl.load(bias + channels)
    for start in range(0, ROWS * COLUMNS, PIXELS):
        place = start + tl.arange(0, PIXELS)
        y, x = top - 3 + place // COLUMNS, left - 3 + place % COLUMNS
        from_y, from_x = y[:, None] + taps[None, :] // 5 - 2, x[:, None] + taps[None, :] % 5 - 2
        inside = (from_y >= 0) & (from_y < height) & (from_x >= 0) & (from_x < width) & (taps[None, :] < 25)
        values = tl.load(source + from_y * width + from_x, mask=inside, other=0).to(tl.float32) * UNIT
        result = tl.dot(values.to(tl.float16), weights) + offset[None, :]
        # Beyond the frame the next layer must see zeros, as padding gives it.
        valid = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        result = tl.where(valid[:, None], tl.maximum(result, 0.0), 0.0)
        tl.store(
            target + place[:, None] * 64 + channels[None, :],
            result.to(tl.float16),
            mask=(place < ROWS * COLUMNS)[:, None],
        )


@triton.jit
def _hidden(
    source, target, kernel, bias, top, left, height, width,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, HALO: tl.constexpr, OUT: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """3x3 from 64 channels to OUT, both 64 apart in scratch; the source has one pixel more on each side."""
    into = tl.arange(0, 64)
    channels = tl.arange(0, OUT)
    offset = tl.load(bias + channels)
    for start in range(0, ROWS * COLUMNS, PIXELS):
        place = start + tl.arange(0, PIXELS)
        row, column = place // COLUMNS, place % COLUMNS
        result = tl.zeros((PIXELS, OUT), tl.float32)
        for tap in tl.static_range(9):
            neighbour = (row + tap // 3) * (COLUMNS + 2) + column + tap % 3
            values = tl.load(
                source + neighbour[:, None] * 64 + into[None, :], mask=(place < ROWS * COLUMNS)[:, None], other=0.0
            )
            weights = tl.load(kernel + tap * 64 * OUT + into[:, None] * OUT + channels[None, :])
            result = tl.dot(values, weights, result)
        y, x = top - HALO + row, left - HALO + column
        valid = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        result = tl.where(valid[:, None], tl.maximum(result + offset[None, :], 0.0), 0.0)
        tl.store(
            target + place[:, None] * 64 + channels[None, :],
            result.to(tl.float16),
            mask=(place < ROWS * COLUMNS)[:, None],
        )


@triton.jit
def _last(
    codes, output, source, kernel, bias, top, left, height, width,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr, WHITE: tl.constexpr,
):  # fmt: skip
    """3x3 from 32 channels to 4 (padded to 16), the skip, clamping, rounding and the shuffle."""
    into = tl.arange(0, 32)
    channels = tl.arange(0, 16)
    offset = tl.load(bias + channels)
    for start in range(0, ROWS * COLUMNS, PIXELS):
        place = start + tl.arange(0, PIXELS)
        row, column = place // COLUMNS, place % COLUMNS
        result = tl.zeros((PIXELS, 16), tl.float32)
        for tap in tl.static_range(9):
            neighbour = (row + tap // 3) * (COLUMNS + 2) + column + tap % 3
            values = tl.load(
                source + neighbour[:, None] * 64 + into[None, :], mask=(place < ROWS * COLUMNS)[:, None], other=0.0
            )
            weights = tl.load(kernel + tap * 32 * 16 + into[:, None] * 16 + channels[None, :])
            result = tl.dot(values, weights, result)
        y, x = top + row, left + column
        valid = (place < ROWS * COLUMNS) & (y < height) & (x < width)
        centre = tl.load(codes + y * width + x, mask=valid, other=0).to(tl.float32)
        result = result + offset[None, :] + centre[:, None]
        result = tl.minimum(tl.maximum(result, 0.0), WHITE)
        # Adding 1.5 * 2**23 leaves no bits after the point: rounds half to even, as numpy.rint.
        result = (result + 12582912.0) - 12582912.0
        large = (2 * y[:, None] + channels[None, :] // 2) * (2 * width) + 2 * x[:, None] + channels[None, :] % 2
        tl.store(output + large, result.to(tl.uint8), mask=valid[:, None] & (channels[None, :] < 4))
