"""Exact times for clips whose container rounded them: 24000/1001 frames a second in Matroska's milliseconds.

MP4 and MOV count in any unit. When all times of a clip are those of a steady rate, rounded to the source's tick, the
result gets the unrounded ones, so that it has the rate itself and not a mean of 41 and 42 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

_COARSE = Fraction(1, 1000)  # seconds; finer ticks are left as they are
_FINE = 10_000  # ticks a second of the new clock at least


@dataclass(frozen=True)
class Steady:
    """A clock that ticks with the frames.

    tick   of the source, seconds
    rate   frames a second
    start  time of the first frame, seconds
    """

    tick: Fraction
    rate: Fraction
    start: Fraction

    @property
    def time_base(self) -> Fraction:
        """Seconds of the new tick, of which a frame takes a whole number."""
        return Fraction(1, self.rate.numerator * -(-_FINE // self.rate.numerator))

    def move(self, packet: Packet[Any]) -> Packet[Any]:
        """Give a packet, timed in the source's ticks, the exact times."""
        assert packet.pts is not None and packet.dts is not None
        first, step = round(self.start / self.time_base), round(1 / self.rate / self.time_base)
        shown, ends = self._frame(packet.pts), self._frame(packet.pts + (packet.duration or 0))
        packet.dts = first + step * self._frame(packet.dts)
        packet.pts, packet.duration = first + step * shown, step * max(1, ends - shown)
        packet.time_base = self.time_base
        return packet

    def _frame(self, time: int) -> int:
        return round((time * self.tick - self.start) * self.rate)


def is_rounded(tick: Fraction, rate: Fraction) -> bool:
    """Whether times in such ticks can only be near those of this rate."""
    return tick >= _COARSE and (1 / rate / tick).denominator != 1


def find_steady(times: Sequence[int], tick: Fraction, rate: Fraction) -> Steady | None:
    """The clock of frames at these times (ticks, rising, one at least), some of them missing; None when not steady."""
    first, last = times[0], -1
    low, high = Fraction(-1), Fraction(1)  # where the first frame may be, in ticks from its rounded time
    for time in times:
        frame = round((time - first) * tick * rate)
        gap = time - first - frame / rate / tick
        low, high = max(low, gap - Fraction(1, 2)), min(high, gap + Fraction(1, 2))
        if frame <= last or low > high:
            return None
        last = frame
    return Steady(tick, rate, (first + min(max(Fraction(0), low), high)) * tick)
