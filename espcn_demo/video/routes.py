"""The ways that one stream beside the picture can take into the result: as it is, encoded anew, or as other text."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.stream import Stream

_TAG = re.compile(r"<[^>]{0,80}>|\{\\[^}]*\}")


@dataclass(frozen=True)
class Window:
    """The part of the source that is kept, in seconds of its own clock; times become earlier by `shift`."""

    begin: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    def holds(self, packet: Packet[Any]) -> bool:
        """Whether a packet belongs to the part."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.time_base is None:
            return self.begin is None
        time = stamp * packet.time_base
        return (self.begin is None or time >= self.begin) and (self.end is None or time < self.end)

    def move(self, packet: Packet[Any]) -> None:
        """Shift a packet's times."""
        if self.shift and packet.time_base:
            ticks = round(self.shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks


class Route(Protocol):
    """The way of one stream into the result."""

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Packets for the result."""

    def finish(self) -> Iterator[Packet[Any]]:
        """What is left at the end."""


@dataclass
class Copy:
    """Packets as they are; `still` for a cover picture, which has no time."""

    target: Stream
    window: Window
    still: bool = False
    _last: int | None = None

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The same packet, for the other stream."""
        if self.still:
            packet.pts = packet.dts = 0
        elif not self.window.holds(packet):
            return
        else:
            self.window.move(packet)
            self._order(packet)
        packet.stream = self.target
        yield packet

    def _order(self, packet: Packet[Any]) -> None:
        """Damaged clips go back in time, which no muxer takes: such a packet comes right after the one before."""
        if packet.dts is None:
            return
        if self._last is not None and packet.dts < self._last:
            packet.dts = self._last + 1
            packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        self._last = packet.dts

    def finish(self) -> Iterator[Packet[Any]]:
        """Nothing."""
        return iter(())


class Sound:
    """Sound that the target cannot hold, decoded and encoded again."""

    def __init__(self, source: AudioStream, target: AudioStream, window: Window) -> None:
        from av import AudioResampler

        context = target.codec_context
        self._source, self._target, self._window = source, target, window
        self._resampler = AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Encode what the packet holds; what does not decode is silent."""
        if self._window.holds(packet):
            self._window.move(packet)
            yield from self._encode(packet)

    def finish(self) -> Iterator[Packet[Any]]:
        """Flush decoder, resampler and encoder."""
        yield from self._encode(None)
        for piece in self._resampler.resample(None):
            yield from self._target.encode(piece)
        yield from self._target.encode(None)

    def _encode(self, packet: Packet[Any] | None) -> Iterator[Packet[Any]]:
        from av.error import FFmpegError

        try:
            frames = self._source.decode(packet)
        except FFmpegError:
            return
        for frame in frames:
            for piece in self._resampler.resample(frame):
                yield from self._target.encode(piece)


@dataclass
class Text:
    """Subtitles of one text format turned into another; styles are lost, words and times stay."""

    codec: str
    target: Any
    window: Window

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The same words in the target's format."""
        from av.packet import Packet as New

        words = read_text(bytes(packet), self.codec)
        if not words or packet.pts is None or not self.window.holds(packet):
            return
        self.window.move(packet)
        data = words.encode()
        changed: Packet[Any] = New(struct.pack(">H", len(data)) + data if self.target.name == "mov_text" else data)
        changed.pts = changed.dts = packet.pts
        changed.duration, changed.time_base, changed.stream = packet.duration, packet.time_base, self.target
        changed.is_keyframe = True
        yield changed

    def finish(self) -> Iterator[Packet[Any]]:
        """Nothing."""
        return iter(())


def read_text(data: bytes, codec: str) -> str:
    """The words of one subtitle packet, without styles."""
    if codec == "mov_text":
        size = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 0
        data = data[2 : 2 + size]
    words = data.decode("utf-8", "replace").replace("\r\n", "\n").strip("\0\n ")
    if codec in ("ass", "ssa"):
        words = words.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n")
    return _TAG.sub("", words).strip()
