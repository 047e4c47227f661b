"""The kernel of `fused`, in Gluon, Triton's lower level; imported only where Triton is installed.

A program walks down a strip of 128 columns, one row a step. At step t layer 1 computes row t, layer 2 reads row t - 1
and completes t - 2, layer 3 reads t - 3 and completes t - 4, layer 4 reads t - 5 and completes t - 6: each reads what
was written a step before, so one barrier a step is enough. A row that is read adds to three rows of the next layer,
whose sums stay in registers; each row of features is thus read once for each of the three columns of a kernel, not
nine times. All kernels lie in shared memory; the rows being worked on, 87 kB a program, in the first-level cache.

A layer's position m stands for column `left - 3 + m` in layer 1 and for one more in each following layer, as a
product at m takes the positions m, m + 1 and m + 2.
"""

# Triton compiles these functions itself: arguments are pointers and numbers that Python's types do not describe, and
# constants are written in capitals as in Triton's own code.
# ruff: noqa: ANN001, ANN202, N803
# mypy: ignore-errors

from __future__ import annotations

import triton.language as tl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, warpgroup_mma, warpgroup_mma_wait

from espcn_demo.backends.strips import PIXELS as _PIXELS
from espcn_demo.backends.strips import ROW as _ROW
from espcn_demo.backends.strips import SCRATCH as _SCRATCH

PIXELS, ROW, SCRATCH = gl.constexpr(_PIXELS), gl.constexpr(_ROW), gl.constexpr(_SCRATCH)


@gluon.constexpr_function
def _product(channels):
    """Where a matrix product of eight warps leaves its (PIXELS, channels) results."""
    return gl.NVMMADistributedLayout([3, 0], [8, 1], [16, channels, 16])


@gluon.constexpr_function
def _stored(channels):
    """The same for the order of memory, where a thread's channels are neighbours: `_keep` and `_read` reorder them."""
    halves = [[0, 32]] if channels == 64 else []
    registers, lanes = [[0, 1], [0, 2], [0, 4], *halves, [8, 0]], [[0, 8], [0, 16], [1, 0], [2, 0], [4, 0]]
    return gl.DistributedLinearLayout(registers, lanes, [[16, 0], [32, 0], [64, 0]], [], [PIXELS, channels])


@gluon.jit(do_not_specialize=["height", "width", "strips", "half_pitch", "segments", "rows"])
def network(
    codes, planes, output, scratch, w1, w2, w3, w4, b1, b2, b3, b4,
    height, width, stride, plane, strips, half_pitch, segments, rows, WHITE: gl.constexpr,
) -> None:  # fmt: skip
    """One program: `rows` rows of one strip of one frame. `planes` are the codes with zeros around (`fused.planes`)."""
    program = gl.program_id(0)
    frame = program.to(gl.int64) // (strips * segments)
    left = program % strips * half_pitch * 2  # even, which the compiler cannot know of a pitch
    top = program // strips % segments * rows
    bottom = gl.minimum(top + rows, height)
    source = codes + frame * height * width
    target = output + frame * height * width * 4
    padded = planes + frame * 2 * plane + left
    a = scratch + program.to(gl.int64) * SCRATCH  # two rows each: of layer 1, at a; of 2, behind; of 3, at c
    c = a + 4 * ROW * 64
    _clear(a)
    k1, k2 = _kernels(w1, 1, 64, 32), _kernels(w2, 9, 64, 64)
    k3, k4 = _kernels(w3, 9, 32, 64), _kernels(w4, 9, 8, 32)
    fence_async_shared()
    tl.debug_barrier()

    a, c = a + _places(64), c + _places(32)
    around = _taps(stride, plane)
    x = left + gl.arange(0, PIXELS, gl.SliceLayout(1, _product(8)))
    valid = (x < width) & (x < left + half_pitch * 2)
    none2 = gl.zeros([PIXELS, 64], gl.float32, _product(64))
    none3 = gl.zeros([PIXELS, 32], gl.float32, _product(32))
    none4 = gl.zeros([PIXELS, 8], gl.float32, _product(8))
    next2, after2, next3, after3, next4, after4 = none2, none2, none3, none3, none4, none4
    for pair in range(top - 3, bottom + 6, 2):
        for now in gl.static_range(2):
            t = pair + now
            # Zero, but not for the compiler: it would otherwise keep the addresses of all 28 kernels in registers.
            zero = gl.maximum(t, 0) >> 20
            # Loads stand before the wait for what is under way, and sums are stored while the next are computed.
            luma = gl.load(padded + (gl.minimum(gl.maximum(t, 0), height - 1) * stride + around))
            values = _read(a + (1 - now) * (ROW * 64), 64)
            sum1 = warpgroup_mma(luma, k1.index(zero).permute((1, 0)), none2, use_acc=False, is_async=True)
            sum2, next2, after2 = _column(values, k2, zero, next2, after2, none2, 0)
            sum1 = warpgroup_mma_wait(3, deps=[sum1])
            _keep(a + now * (ROW * 64), sum1, b1, t, left - 3, height, width, 64)
            sum2, next2, after2 = _others(a + (1 - now) * (ROW * 64), k2, zero, sum2, next2, after2, 64)

            values = _read(a + (3 - now) * (ROW * 64), 64)
            sum2, next2, after2 = warpgroup_mma_wait(0, deps=[sum2, next2, after2])
            sum3, next3, after3 = _column(values, k3, zero, next3, after3, none3, 0)
            sum3, next3, after3 = _others(a + (3 - now) * (ROW * 64), k3, zero, sum3, next3, after3, 64)
            _keep(a + (2 + now) * (ROW * 64), sum2, b2, t - 2, left - 2, height, width, 64)

            values = _read(c + (1 - now) * (ROW * 32), 32)
            sum3, next3, after3 = warpgroup_mma_wait(0, deps=[sum3, next3, after3])
            sum4, next4, after4 = _column(values, k4, zero, next4, after4, none4, 0)
            sum4, next4, after4 = _others(c + (1 - now) * (ROW * 32), k4, zero, sum4, next4, after4, 32)
            _keep(c + now * (ROW * 32), sum3, b3, t - 4, left - 1, height, width, 32)
            sum4, next4, after4 = warpgroup_mma_wait(0, deps=[sum4, next4, after4])
            if (t - 6 >= top) & (t - 6 < bottom):
                _emit(target, sum4, b4, source, t - 6, x, valid, width, WHITE)
            tl.debug_barrier()


@gluon.jit
def _clear(scratch):
    """Zeros everywhere: what lies beyond the frame is never written again, and is the next layer's padding."""
    layout: gl.constexpr = gl.BlockedLayout([8], [32], [8], [0])
    for start in range(0, SCRATCH, 2048):
        place = start + gl.arange(0, 2048, layout)
        gl.store(scratch + place, gl.zeros([2048], gl.float16, layout), mask=place < SCRATCH)


@gluon.jit
def _kernels(source, TAPS: gl.constexpr, OUT: gl.constexpr, INTO: gl.constexpr):
    """(TAPS, OUT, INTO) into shared memory."""
    held = gl.allocate_shared_memory(
        gl.float16, [TAPS, OUT, INTO], gl.NVMMASharedLayout.get_default_for([OUT, INTO], gl.float16)
    )
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [256 // INTO, INTO // 8], [8, 1], [1, 0])
    row, column = gl.arange(0, OUT, gl.SliceLayout(1, layout)), gl.arange(0, INTO, gl.SliceLayout(0, layout))
    for tap in range(TAPS):
        held.index(tap).store(gl.load(source + tap * OUT * INTO + row[:, None] * INTO + column[None, :]))
    return held


@gluon.jit
def _places(CHANNELS: gl.constexpr):
    """Where each value of a row lies in it: 32 channels of all its pixels, then the others.

    Eight threads, 16 bytes each, thus take 128 neighbouring bytes: no two need the same bank of the cache.
    """
    layout: gl.constexpr = _stored(CHANNELS)
    pixel, channel = gl.arange(0, PIXELS, gl.SliceLayout(1, layout)), gl.arange(0, CHANNELS, gl.SliceLayout(0, layout))
    return pixel[:, None] * 32 + (channel // 32 * (ROW * 32) + channel % 32)[None, :]


@gluon.jit
def _taps(stride, plane):
    """Offsets of the inputs of layer 1, (PIXELS, 32): six columns of five rows, two at a time.

    Two samples are one aligned load for even positions; odd ones take them from the second plane, which is shifted.
    """
    layout: gl.constexpr = gl.DotOperandLayout(0, _product(64), 2)
    pixel, tap = gl.arange(0, PIXELS, gl.SliceLayout(1, layout)), gl.arange(0, 32, gl.SliceLayout(0, layout))
    return (pixel // 2 * 2 + pixel % 2 * plane)[:, None] + (tap // 6 * stride + tap % 6)[None, :]


@gluon.jit
def _column(values, kernels, column, above, here, below, COLUMN: gl.constexpr):
    """Add what a row contributes, by one column of the 3x3 kernels, to the rows above, at and below it; not awaited.

    The first column overwrites `below`.
    """
    above = warpgroup_mma(values, kernels.index(column + 6).permute((1, 0)), above, is_async=True)
    here = warpgroup_mma(values, kernels.index(column + 3).permute((1, 0)), here, is_async=True)
    below = warpgroup_mma(values, kernels.index(column).permute((1, 0)), below, use_acc=(COLUMN > 0), is_async=True)
    return above, here, below


@gluon.jit
def _others(row, kernels, zero, above, here, below, CHANNELS: gl.constexpr):
    """The second and the third column."""
    values1, values2 = _read(row + 32, CHANNELS), _read(row + 64, CHANNELS)
    above, here, below = _column(values1, kernels, zero + 1, above, here, below, 1)
    return _column(values2, kernels, zero + 2, above, here, below, 2)


@gluon.jit
def _read(row, CHANNELS: gl.constexpr):
    """(PIXELS, CHANNELS) of a row, as the left side of a product; the threads already hold what they need."""
    values = gl.load(row).reshape([PIXELS, CHANNELS // 32, 4, 2, 2, 2]).permute((0, 1, 3, 4, 2, 5))
    operand: gl.constexpr = gl.DotOperandLayout(0, _product(64), 2)
    return gl.convert_layout(values.reshape([PIXELS, CHANNELS]), operand, assert_trivial=True)


@gluon.jit
def _keep(row, sums, bias, y, left, height, width, CHANNELS: gl.constexpr):
    """Bias and ReLU; to memory, but for what lies beyond the frame: there the next layer must see zeros."""
    if y >= height:
        gl.store(row, gl.zeros([PIXELS, CHANNELS], gl.float16, _stored(CHANNELS)))
    elif y >= 0:
        offset = gl.load(bias + gl.arange(0, CHANNELS, gl.SliceLayout(0, _product(CHANNELS))))
        values = _halves(sums + offset[None, :]).reshape([PIXELS, CHANNELS // 32, 2, 2, 4, 2])
        values = values.permute((0, 1, 4, 2, 3, 5))
        values = gl.convert_layout(values.reshape([PIXELS, CHANNELS]), _stored(CHANNELS), assert_trivial=True)
        x = left + gl.arange(0, PIXELS, gl.SliceLayout(1, _stored(CHANNELS)))
        gl.store(row, values, mask=((x >= 0) & (x < width))[:, None])


@gluon.jit
def _halves(values):
    """ReLU and rounding to float16 in one instruction for two values."""
    assembly: gl.constexpr = "cvt.rn.relu.f16x2.f32 $0, $2, $1;"
    return gl.inline_asm_elementwise(assembly, "=r,r,r", [values], dtype=gl.float16, is_pure=True, pack=2)


@gluon.jit
def _emit(target, sums, bias, source, y, x, valid, width, WHITE: gl.constexpr):
    """Bias, skip, clamping, rounding and the shuffle; four of the eight columns of `sums` are the network's."""
    channel = gl.arange(0, 8, gl.SliceLayout(0, _product(8)))
    centre = gl.load(source + y * width + x, mask=valid, other=0).to(gl.float32)
    result = sums + gl.load(bias + channel)[None, :] + centre[:, None]
    result = gl.minimum(gl.maximum(result, 0.0), WHITE)
    # Adding 1.5 * 2**23 leaves no bits after the point: rounds half to even, as numpy.rint.
    result = (result + 12582912.0) - 12582912.0
    large = (2 * y + channel[None, :] // 2) * (2 * width) + 2 * x[:, None] + channel[None, :] % 2
    gl.store(target + large, result.to(gl.uint8), mask=valid[:, None] & (channel[None, :] < 4))
