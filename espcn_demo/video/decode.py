"""Frames of a clip in showing order: every one of them, with its own time, what does not decode repeated.

Times are kept in the stream's own ticks. A frame that the decoder refuses is replaced by the one before it at the
same moment, so that sound and picture stay together and the number of frames is right; `Health` counts what happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .frames import copy_frame
from .source import frame_rate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_JUMP = 10  # seconds; times that go back by more start a new recording (a joined or restarted stream)
_BT601 = 5  # ITU-T H.273
_FLUSHES = 64  # refusals of a damaged stream's end before it is left alone


@dataclass
class Health:
    """What was wrong with a clip.

    refused   times that the decoder refused data
    repeated  frames that did not decode and repeat the one before
    patched   frames that decoded with gaps, which the decoder filled
    retimed   frames whose times did not rise and were moved
    hidden    frames that an edit list hides
    cut_off   whether the data end in the middle
    """

    refused: int = 0
    patched: int = 0
    repeated: int = 0
    retimed: int = 0
    hidden: int = 0
    cut_off: bool = False


class Reader:
    """Iterates over the decoded frames of `stream` from `start` seconds on, for `duration` seconds.

    Frames carry strictly rising `pts` and a `duration` in `time_base` ticks; those of a cut clip begin `start` seconds
    earlier than in the source, so that the cut begins where the source began.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        start: Fraction = Fraction(0),
        duration: Fraction | None = None,
    ) -> None:
        self.health = Health()
        self.time_base = stream.time_base or Fraction(1, 1000)
        self.rate = frame_rate(stream)
        self._container, self._stream = container, stream
        self._step = max(1, round(1 / self.rate / self.time_base))
        self._cut = _ticks(start, self.time_base)
        self._length = None if duration is None else _ticks(duration, self.time_base)
        self._origin = _origin(container, stream, self.time_base)
        self._decoder = _decoder(stream)
        self._sent: int | None = None  # the latest time that went into the decoder, now and at the last refusal
        self._suspect: int | None = None
        # AVI knows no showing times: with B-frames those that FFmpeg makes up are wrong, and the order alone is right.
        self._by_order = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames of the part, times shifted."""
        if self._cut:
            self._seek()
        first = self._origin + self._cut
        for frame in self._timed():
            assert frame.pts is not None
            if frame.pts + frame.duration // 2 < first:
                continue
            if self._length is not None and frame.pts + frame.duration // 2 >= first + self._length:
                return
            frame.pts -= self._cut
            yield frame

    def _seek(self) -> None:
        """Go to the last key frame before the part; a second earlier, since some indexes point too far."""
        from av.error import FFmpegError

        target = self._origin + self._cut - _ticks(Fraction(1), self.time_base)
        if target <= self._origin:
            return
        try:
            self._container.seek(target, stream=self._stream)
        except FFmpegError:
            return  # no index: read from the beginning

    def _timed(self) -> Iterator[VideoFrame]:
        """Give every frame a time after the one before it."""
        last: int | None = None
        shift = 0
        for frame in self._complete():
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = stamp + shift if stamp is not None else (self._origin if last is None else last + self._step)
            if last is not None and time <= last:
                self.health.retimed += 1
                if last - time > _JUMP / self.time_base:
                    shift += last + self._step - time
                    time = last + self._step
                else:
                    time = last + 1
            self.health.patched += frame.is_corrupt
            frame.pts, frame.time_base = time, self.time_base
            frame.duration = frame.duration if 0 < frame.duration < 100 * self._step else self._step
            last = time
            yield frame

    def _complete(self) -> Iterator[VideoFrame]:
        """Decoded frames, and in place of one that was refused the one before it."""
        due: list[int] = []  # heap of times of packets that have not come out as frames
        previous: VideoFrame | None = None
        for frame in self._decoded(due):
            if self._by_order and due:
                frame.pts = heapq.heappop(due)
            while frame.pts is not None and due and due[0] <= frame.pts:
                missing = heapq.heappop(due)
                if previous is not None and missing < frame.pts and self._is_suspect(missing):
                    yield self._again(previous, missing)
            previous = frame
            yield frame
        while due:
            missing = heapq.heappop(due)
            if previous is not None and self._is_suspect(missing):
                yield self._again(previous, missing)

    def _is_suspect(self, time: int) -> bool:
        """Whether a packet that brought no frame was refused: the decoder may tell only some packets later."""
        hidden = self._stream.codec_context.name == "vp8"  # has packets that are never shown
        return self._suspect is not None and time <= self._suspect and not hidden and not self._by_order

    def _refuse(self) -> None:
        self.health.refused += 1
        self._suspect = self._sent

    def _again(self, frame: VideoFrame, pts: int) -> VideoFrame:
        self.health.repeated += 1
        copy = copy_frame(frame)
        copy.pts, copy.time_base, copy.duration = pts, self.time_base, self._step
        return copy

    def _decoded(self, due: list[int]) -> Iterator[VideoFrame]:
        from av.error import FFmpegError

        try:
            for packet in self._container.demux(self._stream):
                if not packet.size:
                    break  # the demuxer's own sign of the end
                self.health.hidden += packet.is_discard
                stamp = packet.dts if self._by_order else packet.pts
                if stamp is not None and not packet.is_discard:
                    heapq.heappush(due, stamp)
                    self._sent = stamp if self._sent is None else max(self._sent, stamp)
                yield from self._decode(packet)
        except FFmpegError:
            self.health.cut_off = True
        yield from self._flush()

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        from av.error import FFmpegError

        try:
            frames = self._decoder.decode(packet)
            if self._decoder.name == "libvpx":  # VP8 knows no other matrix (RFC 6386, 9.2), and libvpx names none
                for frame in frames:
                    frame.colorspace = _BT601
            return frames
        except EOFError:
            return []
        except (FFmpegError, UnicodeDecodeError):
            self._refuse()
            return []

    def _flush(self) -> Iterator[VideoFrame]:
        from av.error import FFmpegError

        for _ in range(_FLUSHES):
            try:
                yield from self._decoder.decode(None)
                return
            except EOFError:
                return
            except FFmpegError:
                self._refuse()


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder, on all cores; libvpx for VP8 and VP9 with alpha, which FFmpeg's own decoders ignore."""
    import av

    context = stream.codec_context
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and context.name in ("vp8", "vp9"):
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}[context.name]
        alpha = av.CodecContext.create(name, "r")
        assert isinstance(alpha, av.VideoCodecContext)
        alpha.color_primaries, alpha.color_trc = context.color_primaries, context.color_trc  # told by the container
        return alpha
    context.thread_type = "AUTO"
    return context


def _origin(container: InputContainer, stream: VideoStream, time_base: Fraction) -> int:
    """The clip's beginning in ticks of the stream: `--start` counts from here, never from a sound's lead-in."""
    if container.start_time is not None:
        return _ticks(Fraction(max(0, container.start_time), 1_000_000), time_base)
    return stream.start_time or 0


def _ticks(seconds: Fraction, time_base: Fraction) -> int:
    return round(seconds / time_base)
