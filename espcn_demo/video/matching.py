"""Which frame of a result belongs to which frame of a reference: the one shown at the same time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .luma import Luma

Plane = NDArray[np.float32]


class Matching:
    """Iterates over (time, reference, result): frames that are each other's nearest in time since their first frames.

    They may lie half a frame apart. Planes are 8-bit code values as float32; `missing` and `extra` count frames that
    have no partner on the other side.
    """

    def __init__(self, reference: Iterator[Luma], result: Iterator[Luma]) -> None:
        self._reference, self._result = _Timed(reference), _Timed(result)

    @property
    def missing(self) -> int:
        """Frames of the reference without a partner, so far."""
        return self._reference.skipped

    @property
    def extra(self) -> int:
        """Frames of the result without a partner, so far."""
        return self._result.skipped

    def __iter__(self) -> Iterator[tuple[float, Plane, Plane]]:
        """The pairs in order."""
        one, other = self._reference, self._result
        while one.frame is not None and other.frame is not None:
            gap = abs(one.time - other.time)
            early = one.time < other.time
            if early and (gap > one.reach or abs(one.next_time - other.time) < gap):
                one.skip()
            elif not early and (gap > one.reach or abs(one.time - other.next_time) < gap):
                other.skip()
            else:
                yield one.time, one.frame.eight_bits(), other.frame.eight_bits()
                one.advance()
                other.advance()
        while one.frame is not None:
            one.skip()
        while other.frame is not None:
            other.skip()


class _Timed:
    """A clip's frames with their times since the first, read one ahead; `reach` is half of a frame's length."""

    def __init__(self, frames: Iterator[Luma]) -> None:
        self._frames = frames
        self.frame, self._next = next(frames, None), next(frames, None)
        self._first = self.frame.time if self.frame else 0.0
        self.skipped = 0
        self.reach = 0.0
        self._measure()

    @property
    def time(self) -> float:
        return self.frame.time - self._first if self.frame else float("inf")

    @property
    def next_time(self) -> float:
        return self._next.time - self._first if self._next else float("inf")

    def advance(self) -> None:
        self.frame, self._next = self._next, next(self._frames, None)
        self._measure()

    def skip(self) -> None:
        self.skipped += 1
        self.advance()

    def _measure(self) -> None:
        if self._next is not None:  # the last frame counts as long as the one before it
            self.reach = max((self.next_time - self.time) / 2, 0.002)
