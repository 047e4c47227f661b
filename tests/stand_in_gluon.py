"""Gluon in numpy, as far as the fused kernel uses it, to run that kernel without a GPU or Triton.

A program's threads work at once here, so layouts have no meaning; whether they fit is for the real compiler
(`test_backends_fused.py`). What this checks instead, and a GPU would not: every load and store lies inside its tensor,
no two threads store to one place, no result of a matrix product is used before it is awaited, and between two barriers
no place is written and then read, or read and then written.
"""

from __future__ import annotations

import sys
import types
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import numpy as np
import torch


class Values(np.ndarray):
    """A tensor of Triton."""

    def to(self, dtype):
        return self.astype(dtype)

    def permute(self, order):
        return self.transpose(order)


class Program(int):
    """A program's number."""

    def to(self, _):
        return int(self)


def values(array) -> Values:
    return np.asarray(array).view(Values)


class Pointer:
    """Places in a flat buffer."""

    def __init__(self, buffer: Buffer, places=0) -> None:
        self.buffer, self.places = buffer, places

    def __add__(self, more) -> Pointer:
        return Pointer(self.buffer, self.places + more)

    def masked(self, mask) -> tuple[np.ndarray, np.ndarray]:
        places = np.asarray(self.places)
        mask = np.broadcast_to(True if mask is None else mask, places.shape)
        wanted = places[mask]
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < self.buffer.data.size):
            raise IndexError(f"places {wanted.min()} to {wanted.max()} of {self.buffer.data.size}")
        return places, mask


class Buffer:
    """A tensor in memory, with what happened to each place since the last barrier."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.changed, self.seen = np.zeros(data.size, bool), np.zeros(data.size, bool)

    def settle(self) -> None:
        self.changed[:] = self.seen[:] = False


class Pending:
    """What a matrix product will be."""

    def __init__(self, result: Values, number: int) -> None:
        self.result, self.number = result, number


class Shared:
    """Shared memory."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def index(self, place) -> Shared:
        return Shared(self.data[place])

    def permute(self, order) -> Shared:
        return Shared(self.data.transpose(order))

    def store(self, stored) -> None:
        assert stored.shape == self.data.shape
        self.data[:] = stored


class Machine:
    """What the stand-in modules share: the running program, its buffers, and counts for the tests."""

    def __init__(self) -> None:
        self.program, self.buffers = Program(0), []
        self.counts: dict[str, int] = defaultdict(int)

    def launch(self, kernel: Callable, grid: tuple[int], *arguments, num_warps: int, **constants) -> None:
        self.counts["programs"] += grid[0]
        assert num_warps == 8
        for program in range(grid[0]):
            self.program = Program(program)
            self.buffers = [Buffer(a.numpy().reshape(-1)) for a in arguments if isinstance(a, torch.Tensor)]
            left = iter(self.buffers)
            kernel(*(Pointer(next(left)) if isinstance(a, torch.Tensor) else a for a in arguments), **constants)

    def barrier(self) -> None:
        self.counts["barriers"] += 1
        for buffer in self.buffers:
            buffer.settle()

    def load(self, pointer: Pointer, mask=None, other=0) -> Values:
        places, mask = pointer.masked(mask)
        buffer = pointer.buffer
        if buffer.changed[places[mask]].any():
            raise RuntimeError("read without a barrier after writing")
        buffer.seen[places[mask]] = True
        return values(np.where(mask, buffer.data[np.where(mask, places, 0)], buffer.data.dtype.type(other)))

    def store(self, pointer: Pointer, stored, mask=None) -> None:
        places, mask = pointer.masked(mask)
        buffer, wanted = pointer.buffer, places[mask]
        if np.unique(wanted).size != wanted.size:
            raise RuntimeError("two threads store to one place")
        if buffer.seen[wanted].any() or buffer.changed[wanted].any():
            raise RuntimeError("written without a barrier after reading or writing")
        buffer.changed[wanted] = True
        buffer.data[wanted] = np.broadcast_to(stored, places.shape)[mask]

    def product(self, left, right: Shared, sums, use_acc: bool = True, is_async: bool = False) -> Pending:
        assert left.dtype == right.data.dtype == np.float16
        assert is_async
        before = sums.result if isinstance(sums, Pending) else sums
        result = left.astype(np.float32) @ right.data.astype(np.float32)
        assert result.shape == before.shape
        self.counts["products"] += 1
        return Pending(values(result + before if use_acc else result), self.counts["products"])

    def wait(self, outstanding: int, deps: list[Pending]) -> Values | tuple[Values, ...]:
        if max(pending.number for pending in deps) > self.counts["products"] - outstanding:
            raise RuntimeError("a product is used that is not awaited")
        results = tuple(pending.result for pending in deps)
        return results if len(results) > 1 else results[0]


class Kernel:
    """A compiled function: called from another, or launched over a grid."""

    def __init__(self, machine: Machine, function: Callable) -> None:
        self.machine, self.function = machine, function

    def __call__(self, *arguments, **options):
        return self.function(*arguments, **options)

    def __getitem__(self, grid: tuple[int]) -> Callable:
        return partial(self.machine.launch, self.function, grid)


def install(set_module: Callable[[str, types.ModuleType], None] = sys.modules.__setitem__) -> Machine:
    """Put the stand-in in place of Triton's modules with `set_module`."""
    machine = Machine()

    def jit(function=None, **_):
        return partial(Kernel, machine) if function is None else Kernel(machine, function)

    def asm(text, _constraints, arguments, dtype, is_pure, pack):
        assert text.startswith("cvt.rn.relu.f16x2.f32 $0, $2, $1")
        assert (is_pure, pack) == (True, 2)
        return np.maximum(arguments[0], 0).astype(dtype)

    def layout(*_, **__):
        return None

    layout.get_default_for = layout
    language = types.ModuleType("triton.experimental.gluon.language")
    vars(language).update(
        constexpr=lambda value: value, static_range=range, program_id=lambda _: machine.program,
        arange=lambda start, stop, _: values(np.arange(start, stop)), load=machine.load, store=machine.store,
        zeros=lambda shape, dtype, _: values(np.zeros(shape, dtype)), maximum=_either(max, np.maximum),
        minimum=_either(min, np.minimum), convert_layout=lambda given, _, assert_trivial: given,
        inline_asm_elementwise=asm, float16=np.float16, float32=np.float32, uint8=np.uint8, int64=np.int64,
        allocate_shared_memory=lambda dtype, shape, _: Shared(np.full(shape, np.nan, dtype)),
        NVMMASharedLayout=layout, NVMMADistributedLayout=layout, DistributedLinearLayout=layout,
        DotOperandLayout=layout, BlockedLayout=layout, SliceLayout=layout,
    )  # fmt: skip
    hopper = types.ModuleType("triton.experimental.gluon.language.nvidia.hopper")
    vars(hopper).update(
        fence_async_shared=lambda: machine.counts.update(fences=1),
        warpgroup_mma=machine.product,
        warpgroup_mma_wait=machine.wait,
    )
    gluon, plain = types.ModuleType("triton.experimental.gluon"), types.ModuleType("triton.language")
    gluon.jit, gluon.constexpr_function, gluon.language = jit, lambda function: function, language
    plain.debug_barrier = machine.barrier
    modules = [plain, gluon, language, hopper]
    modules += [types.ModuleType(n) for n in ("triton", "triton.experimental", f"{language.__name__}.nvidia")]
    for module in modules:
        set_module(module.__name__, module)
    return machine


def _either(plain: Callable, arrays: Callable) -> Callable:
    def choose(first, second):
        return arrays(first, second) if isinstance(first, np.ndarray) else plain(first, second)

    return choose
