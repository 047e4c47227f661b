"""Joining segments and everything beside the picture into the result."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aspect import PLACEHOLDER, write_aspect
from .cover import keeps_cover
from .encode import Encoding
from .light import lit
from .metadata import copy_metadata, describe, unusual_keys
from .routes import Window
from .segments import Segment, packets
from .side import SideStreams
from .steady import Steady, find_steady, is_rounded

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Joined:
    """What went into the result beside the picture; `dropped` frames are those that a GIF cannot show."""

    audio: str
    notes: tuple[str, ...]
    dropped: int = 0


def join(
    folder: Path,
    segments: list[Segment],
    source: InputContainer,
    chosen: VideoStream,
    encoding: Encoding,
    out: Path,
    window: Window,
) -> Joined:
    """Write the segments in `folder` and the other streams of `source` to `out`, ordered by time.

    `source` must be freshly opened: it is read from its beginning.
    """
    import av
    from av.error import ArgumentError, InvalidDataError

    side = SideStreams()
    unusual = bool(unusual_keys(source)) and not keeps_cover(source, encoding.settings.container)
    steady = _steady(folder, segments, encoding)
    time_base = steady.time_base if steady is not None else encoding.time_base
    options = _options(encoding, time_base, unusual=unusual)
    with (
        av.open(str(folder / segments[0].file)) as first,
        lit(first.streams.video[0], encoding.light) as template,
        av.open(str(out), "w", format=encoding.settings.container, container_options=options) as container,
    ):
        video = _add_video(container, template, encoding)
        video.time_base = time_base
        describe(chosen, video)
        end = (segments[-1].last + segments[-1].hold) * encoding.time_base
        side.add(source, chosen, container, window)
        copy_metadata(source, container, window, times_end=end)
        container.start_encoding()
        pictures = _ours(packets(folder, segments, encoding.time_base), video, steady)
        refused = 0
        for packet in heapq.merge(pictures, _others(source, side), key=_time):
            try:
                container.mux_one(packet)
            except (InvalidDataError, ArgumentError):
                if packet.stream.index == video.index:
                    raise
                refused += 1
    if _displays(encoding) and encoding.aspect is not None:  # the second for the type checker
        written = write_aspect(out, encoding.width, encoding.height, encoding.aspect)
        if not written:
            side.notes.append(f"the pixel aspect {encoding.aspect} is told by the video stream alone")
    if refused:
        side.notes.append(f"{refused} damaged packets beside the picture were left out")
    return Joined(side.audio, tuple(side.notes))


def _add_video(container: OutputContainer, template: VideoStream, encoding: Encoding) -> VideoStream:
    video = container.add_stream_from_template(template, opaque=True)
    context = video.codec_context
    context.framerate = encoding.rate
    if encoding.aspect is not None:
        context.sample_aspect_ratio = encoding.aspect
    if encoding.encoder in ("libx265", "hevc_nvenc") and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"
    if _displays(encoding):
        video.set_display_rotation(PLACEHOLDER)
    if encoding.layout.alpha:
        context.pix_fmt = encoding.layout.result  # Matroska's alpha flag is written for this format
    return video


def _steady(folder: Path, segments: list[Segment], encoding: Encoding) -> Steady | None:
    """The clip's clock when its container only rounded it and MP4 or MOV can do better."""
    tick, rate = encoding.time_base, encoding.rate
    if encoding.settings.container not in ("mp4", "mov") or not is_rounded(tick, rate):
        return None
    return find_steady(sorted(packet.pts or 0 for packet in packets(folder, segments, tick)), tick, rate)


def _options(encoding: Encoding, time_base: Fraction, *, unusual: bool) -> dict[str, str]:
    """Muxer options: MP4's index in front, so that a browser can play at once, and exact edit lists."""
    if encoding.settings.container not in ("mp4", "mov"):
        # Sound that begins before zero (an encoder's lead-in) would move the picture by as much.
        changed_later = {"write_crc32": "0"} if _displays(encoding) else {}
        return {"avoid_negative_ts": "disabled"} | changed_later
    flags = "+faststart"
    if unusual:
        flags += "+use_metadata_tags"
    options = {"movflags": flags}
    if time_base.denominator <= 1_000_000:
        options["movie_timescale"] = str(time_base.denominator)
    return options


def _displays(encoding: Encoding) -> bool:
    """Whether the container's own display size must say the pixel aspect."""
    return encoding.settings.container in ("matroska", "webm") and encoding.aspect not in (None, 1)


def _ours(pictures: Iterator[Packet[Any]], video: Stream, steady: Steady | None) -> Iterator[Packet[Any]]:
    for packet in pictures:
        packet.stream = video
        yield packet if steady is None else steady.move(packet)


def _others(source: InputContainer, side: SideStreams) -> Iterator[Packet[Any]]:
    """The other streams' packets in the order of the source; where it is damaged they end."""
    from av.error import FFmpegError

    if side.routes:
        try:
            for packet in source.demux([source.streams[index] for index in side.routes]):
                if packet.size:
                    yield from side.routes[packet.stream.index].convert(packet)
        except FFmpegError as error:
            side.notes.append(f"the other streams could be read only in part ({error.strerror})")
    for route in side.routes.values():
        yield from route.finish()


def _time(packet: Packet[Any]) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if stamp is None else stamp * packet.time_base
