"""When the frames of a clip are shown, read from its packets without decoding them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

from . import source

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

MAX_PACKETS = 60_000  # counted exactly up to here (about half an hour); beyond, the headers are believed


def presentation_times(container: InputContainer, video: VideoStream) -> tuple[list[float], bool, int]:
    """Sorted presentation times of the video packets in seconds, whether these are all, and how many are not shown."""
    from av.error import FFmpegError

    times: list[float] = []
    hidden = 0
    tick = float(video.time_base or 0)
    try:
        for packet in container.demux(video):
            moment = packet.pts if packet.pts is not None else packet.dts
            if moment is None or not packet.size:
                continue
            if not _is_shown(packet, video.codec_context.codec.canonical_name):
                hidden += 1
                continue
            times.append(float(moment * tick))
            if len(times) >= MAX_PACKETS:
                return sorted(times), False, hidden
    except FFmpegError:
        return sorted(times), bool(times), hidden  # a damaged end: what came before it is all there is
    return sorted(times), True, hidden


def _is_shown(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether a packet brings a picture to see: those outside the edit list do not, nor VP8's reference frames."""
    if packet.is_discard:
        return False
    return codec != "vp8" or bool(memoryview(packet)[0] & 0x10)  # RFC 6386, 9.1: show_frame


def is_variable(times: Sequence[float], tick: float) -> bool:
    """Whether frames last different times: some gap differs from the usual one by over 1.5 ticks and 2 %."""
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    if len(gaps) < 2:
        return False
    usual = median(gaps)
    return any(abs(gap - usual) > max(1.5 * tick, 0.02 * usual) for gap in gaps)


def mean_rate(video: VideoStream, times: Sequence[float]) -> Fraction:
    """The headers' rate, unless the packets' times contradict it."""
    told = source.frame_rate(video)
    if len(times) > 2 and times[-1] > times[0]:
        seen = Fraction((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)
        if abs(seen - told) > told / 20:
            return seen
    return told


def span(times: Sequence[float], rate: Fraction) -> float | None:
    """Seconds from the first frame to the end of the last one; None without frames."""
    return times[-1] - times[0] + float(1 / rate) if times else None
