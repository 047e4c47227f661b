"""Closed segments: pieces of the enlarged video that stand alone, so that an interrupted run can go on.

A segment is a small file with its own encoder, beginning with a key frame, times counted from its first frame. The
manifest beside the segments says what they were made from and with; only segments that it lists count.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .encode import Encoding, add_video

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

VERSION = 1
MANIFEST = "manifest.json"
_ENDS = 1 << 20  # bytes at both ends of a file that identify it, with its size


@dataclass(frozen=True)
class Segment:
    """One closed piece, times in ticks of the clip.

    file    name inside the folder, bytes its size
    frames  in it
    first   time of its first frame; last that of its last one, which is shown for `hold` ticks
    delay   packets by which decoding order runs ahead of showing order
    """

    file: str
    bytes: int
    frames: int
    first: int
    last: int
    hold: int
    delay: int


class SegmentWriter:
    """Encodes frames into one segment file; the file gets its name when it is complete."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path, self._partial, self._encoding = path, path.with_suffix(path.suffix + ".part"), encoding
        # Matroska counts in milliseconds, MP4 in the clip's ticks, but only Matroska carries VP9's alpha.
        matroska = encoding.layout.alpha or encoding.encoder == "ffv1"
        self._container = self._open(self._partial, "matroska" if matroska else "mp4")
        self._stream = add_video(self._container, encoding)
        self._frames: list[int] = []
        self._packets: list[Packet[Any]] = []
        self._hold = 1

    @staticmethod
    def _open(path: Path, form: str) -> OutputContainer:
        import av

        return av.open(str(path), "w", format=form)

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return len(self._frames)

    def write(self, frame: VideoFrame) -> None:
        """Encode one frame; its `pts` and `duration` are ticks of the clip."""
        assert frame.pts is not None
        self._frames.append(frame.pts)
        self._hold = frame.duration
        frame.pts -= self._frames[0]
        self._packets += self._stream.encode(frame)

    def close(self) -> Segment:
        """Finish the file and give it its name."""
        self._packets += self._stream.encode(None)
        if len(self._packets) != len(self._frames):
            raise InputError(
                f"{self._encoding.encoder} wrote {len(self._packets)} of {len(self._frames)} frames: use another codec."
            )
        stamps = [round((packet.pts or 0) * packet.time_base / self._encoding.time_base) for packet in self._packets]
        delay = _delay(stamps)
        # x265 gives short clips decoding times that make no sense; they follow from the showing times anyway.
        for packet, dts in zip(self._packets, [*_before(sorted(stamps), delay), *sorted(stamps)], strict=False):
            packet.dts = round(dts * self._encoding.time_base / packet.time_base)
            self._container.mux_one(packet)
        self._container.close()
        os.replace(self._partial, self._path)
        return Segment(
            file=self._path.name,
            bytes=self._path.stat().st_size,
            frames=len(self._frames),
            first=self._frames[0],
            last=self._frames[-1],
            hold=self._hold,
            delay=delay,
        )

    def abandon(self) -> None:
        """Close the unfinished file; the folder is somebody else's to remove."""
        from av.error import FFmpegError

        try:
            self._container.close()
        except (FFmpegError, OSError, ValueError):
            return  # it is being thrown away, and what went wrong has been reported already


class Workshop:
    """The folder beside the result that holds segments and manifest until the result is complete."""

    def __init__(self, out: Path, key: dict[str, Any]) -> None:
        self.folder = out.parent / f".{out.name}.espcn"
        self.segments: list[Segment] = []
        self._key = key

    @property
    def frames(self) -> int:
        """Frames in finished segments."""
        return sum(segment.frames for segment in self.segments)

    def open(self, *, resume: bool) -> None:
        """Make the folder; with `resume`, take over finished segments of an equal run, else start empty."""
        self.segments = self._finished() if resume else []
        kept = {segment.file for segment in self.segments}
        if not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.name not in kept | {MANIFEST}:
                path.unlink()
        self._save()

    def next_path(self) -> Path:
        """Where the next segment goes."""
        return self.folder / f"{len(self.segments):06d}.segment"

    def add(self, segment: Segment) -> None:
        """Record a finished segment."""
        self.segments.append(segment)
        self._save()

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> list[Segment]:
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text())
            if manifest["version"] != VERSION or manifest["key"] != self._key:
                return []
            segments = [Segment(**entry) for entry in manifest["segments"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # no manifest, or one that was damaged: start again
        finished = []
        for segment in segments:
            path = self.folder / segment.file
            if not path.is_file() or path.stat().st_size != segment.bytes:
                break
            finished.append(segment)
        return finished

    def _save(self) -> None:
        content = {"version": VERSION, "key": self._key, "segments": [asdict(segment) for segment in self.segments]}
        partial = self.folder / f"{MANIFEST}.part"
        partial.write_text(json.dumps(content))
        os.replace(partial, self.folder / MANIFEST)


def packets(folder: Path, segments: list[Segment], time_base: Fraction) -> Iterator[Packet[Any]]:
    """The packets of all segments in decoding order, with times, decoding times and durations in ticks of the clip.

    Decoding times are counted anew over the whole clip: each encoder starts its own count, and those of neighbouring
    segments would overlap when frames last different times.
    """
    delay = max((segment.delay for segment in segments), default=0)
    shown: list[int] = []  # showing times not yet used as decoding times
    for index, segment in enumerate(segments):
        following = segments[index + 1].first if index + 1 < len(segments) else segment.last + segment.hold
        yield from _segment_packets(folder / segment.file, segment, following, delay, shown, time_base)


def _segment_packets(
    path: Path, segment: Segment, following: int, delay: int, shown: list[int], time_base: Fraction
) -> Iterator[Packet[Any]]:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = [packet for packet in container.demux(stream) if packet.size]
        ticks = stream.time_base or time_base
        times = [segment.first + round((packet.pts or 0) * ticks / time_base) for packet in found]
        order = sorted(times)
        length = dict(zip(order, [*order[1:], following], strict=True))
        if not shown:
            shown.extend(_before(order, delay))
        shown.extend(order)
        for packet, time in zip(found, times, strict=True):
            packet.pts, packet.dts = time, shown.pop(0)
            packet.duration = length[time] - time
            packet.time_base = time_base
            yield packet


def identity(path: Path) -> dict[str, Any]:
    """What tells a file from another: size and a SHA-256 of both ends."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    return {"bytes": size, "sha256_of_ends": digest.hexdigest()}


def _delay(times: list[int]) -> int:
    """By how many packets decoding runs ahead of showing, so that no packet is decoded after it is shown."""
    rank = {time: index for index, time in enumerate(sorted(times))}
    return max((index - rank[time] for index, time in enumerate(times)), default=0)


def _before(order: list[int], delay: int) -> list[int]:
    """Decoding times ahead of the first frame: one step back for every packet of delay."""
    step = max(1, order[1] - order[0]) if len(order) > 1 else 1
    return [order[0] - step * ahead for ahead in range(delay, 0, -1)]
