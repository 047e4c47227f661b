"""Where segments begin inside a clip, so that a worker can go there without decoding all that lies before.

The head reads the packets' times once, without decoding. A worker that goes to a segment counts the frames on its way
and compares the times at both ends; where anything differs it reads the clip from its beginning instead.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espcn_demo.limits import Limits
from espcn_demo.video.segments import Segment
from espcn_demo.video.source import open_source, video_stream

# Codecs whose key frames stand alone and whose packets hold one shown frame each; the count along the way is the proof.
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "prores")
_EARLIER = 2  # key frames before a segment to start from: the nearest may be one that later frames look behind


class Astray(Exception):
    """A clip does not match its index."""


@dataclass(frozen=True)
class Anchor:
    """A segment inside a clip, in ticks of its stream.

    key          time of a key frame before it
    between      frames from there up to the segment
    first, last  times of the segment's first and last frame
    frames       in the segment
    """

    key: int
    between: int
    first: int
    last: int
    frames: int

    def fits(self, segment: Segment | None) -> bool:
        """Whether a finished segment is the one that the index means."""
        return segment is not None and (segment.first, segment.last, segment.frames) == (
            self.first,
            self.last,
            self.frames,
        )


@dataclass(frozen=True)
class Index:
    """Times of all frames and of the key frames, rising."""

    times: Sequence[int]
    keys: Sequence[int]

    def anchor(self, index: int, frames: int) -> Anchor | None:
        """The segment `index` of `frames` frames each; None when the clip ends before."""
        begin, end = index * frames, min((index + 1) * frames, len(self.times))
        if begin >= end:
            return None
        position = max(0, bisect_right(self.keys, self.times[begin]) - _EARLIER)
        start = bisect_left(self.times, self.keys[position])
        if start > begin:  # the first frames have no key frame
            return None
        return Anchor(self.times[start], begin - start, self.times[begin], self.times[end - 1], end - begin)


def read_index(path: Path, *, limits: Limits | None = None) -> Index | None:
    """The index of a clip; None when its packets do not tell frames, so that it must be read from the beginning.

    Raises:
        InputError: the clip cannot be opened.
    """
    from av.error import FFmpegError

    times: list[int] = []
    keys: list[int] = []
    with open_source(path, limits=limits) as container:
        stream = video_stream(container)
        if stream is None or stream.codec_context.name not in CODECS:
            return None
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    break
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    return None
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        except FFmpegError:
            return None
    ordered = sorted(times)
    if not keys or any(one == following for one, following in zip(ordered, ordered[1:], strict=False)):
        return None
    return Index(ordered, sorted(keys))
