"""The last look before a result gets its name: all frames there, as long as it should be, readable, not black."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .frames import plane_rows

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Expected:
    """What the result must hold.

    span           seconds from the first frame's time to the last one's
    first, last    mean of the enlarged luma of these frames, as shares of white; None when not known (resumed)
    """

    frames: int
    span: Fraction
    first: float | None
    last: float | None


class Unsound(InputError):
    """The result is not what it should be; it was thrown away."""


def verify(path: Path, expected: Expected) -> None:
    """Read the result back.

    Raises:
        Unsound: frames are missing, it has another length, does not decode, or is black where the source is not.
    """
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times, last_key = _times(container, stream)
            _compare(times, stream, expected)
        first, last = _ends(path, last_key)
    except (FFmpegError, IndexError) as error:
        raise Unsound(f"the result cannot be read back ({error}): it was thrown away, try another codec.") from error
    for name, frame, mean in (("first", first, expected.first), ("last", last, expected.last)):
        if mean is not None and mean > 0.15 and _mean(frame) < mean / 4:
            raise Unsound(f"the {name} frame of the result is black and the source's is not: it was thrown away.")


def _times(container: InputContainer, stream: VideoStream) -> tuple[list[int], int | None]:
    times, last_key = [], None
    for packet in container.demux(stream):
        if packet.size and packet.pts is not None:
            times.append(packet.pts)
            if packet.is_keyframe:
                last_key = packet.pts
    return sorted(times), last_key


def _compare(times: list[int], stream: VideoStream, expected: Expected) -> None:
    if len(times) != expected.frames:
        raise Unsound(f"the result holds {len(times)} of {expected.frames} frames: it was thrown away.")
    tick = stream.time_base or Fraction(1, 1000)
    span = (times[-1] - times[0]) * tick
    if abs(span - expected.span) > Fraction(1, 10) + 2 * tick:
        raise Unsound(
            f"the result lasts {float(span):.2f} s instead of {float(expected.span):.2f} s: it was thrown away."
        )


def _ends(path: Path, last_key: int | None) -> tuple[VideoFrame, VideoFrame]:
    import av

    with av.open(str(path)) as container:
        first = next(container.decode(container.streams.video[0]))
    with av.open(str(path)) as container:  # afresh: a decoder that was flushed takes nothing more
        stream = container.streams.video[0]
        if last_key is not None and last_key > (first.pts or 0):
            container.seek(last_key, stream=stream)
        last = first
        for frame in container.decode(stream):
            last = frame
    return first, last


def _mean(frame: VideoFrame) -> float:
    """Mean of the luma as a share of white."""
    if frame.format.is_rgb or frame.format.has_palette:
        frame = frame.reformat(format="gray")
    bits = frame.format.components[0].bits
    rows = plane_rows(frame.planes[0])
    samples = rows if bits <= 8 else rows.view("<u2")
    return float(samples[:, : frame.width].mean()) / ((1 << bits) - 1)
