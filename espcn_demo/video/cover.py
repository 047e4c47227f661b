"""Cover pictures: a stream of one frame for FFmpeg, an attachment in Matroska, a metadata box in MP4."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

# Codecs that MP4 takes for cover pictures, and what files of them are called.
NAMES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png"), "bmp": ("cover.bmp", "image/bmp")}


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def takes_cover(stream: Stream, container: str) -> bool:
    """Whether MP4 keeps this cover picture; Matroska keeps every one, as an attachment, and others none."""
    return container == "mp4" and stream.codec_context.codec.canonical_name in NAMES


def keeps_cover(source: InputContainer, container: str) -> bool:
    """Whether a cover picture of `source` goes into MP4."""
    return any(is_cover(stream) and takes_cover(stream, container) for stream in source.streams.video)


def read_covers(source: InputContainer) -> dict[int, bytes]:
    """Cover pictures by the index of their streams; FFmpeg gives them before anything else."""
    streams = [stream for stream in source.streams.video if is_cover(stream)]
    found: dict[int, bytes] = {}
    for packet in source.demux(streams) if streams else ():
        if packet.size:
            found[packet.stream.index] = bytes(packet)
        if len(found) == len(streams) or not packet.size:
            break
    return found


def attach_cover(stream: Stream, data: bytes, out: OutputContainer) -> None:
    """Put a cover picture into a Matroska."""
    name, mimetype = NAMES.get(stream.codec_context.codec.canonical_name, ("cover", "application/octet-stream"))
    words = stream.metadata
    out.add_attachment(words.get("filename") or name, words.get("mimetype") or mimetype, data)
