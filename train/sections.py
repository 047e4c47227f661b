"""Videos as training data: a section from one keyframe to the next is decoded when its frames are needed.

PyAV is imported only when a video is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espcn_demo.degrade import crop_even, shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import studio_luma
from train.codecs import Codes8, luma_plane
from train.data import Pair, as_plane
from train.material import Unit

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

KEPT = 12  # frames of a section: neighbouring frames teach the same
PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "gray", "nv12")


@dataclass(frozen=True)
class SectionUnit:
    """Frames of one video from a keyframe on."""

    path: Path
    bytes: int
    start: int  # PTS of the keyframe
    frames: int  # up to the next keyframe
    degradation: str

    def load(self, seed: int) -> list[Pair]:
        """Up to KEPT frames, evenly spaced, the first one chosen by `seed`."""
        import av

        stride = -(-self.frames // KEPT)
        wanted = range(int(np.random.default_rng((seed, abs(self.start))).integers(stride)), self.frames, stride)
        pairs: list[Pair] = []
        try:
            with av.open(str(self.path)) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                container.seek(self.start, stream=stream)
                for index, frame in enumerate(f for f in container.decode(stream) if (f.pts or 0) >= self.start):
                    if index in wanted:
                        pairs.append(_pair(_luma(frame), self.degradation))
                    if index >= wanted[-1]:
                        break
        except av.error.FFmpegError as error:
            if not pairs:
                raise OSError(str(error)) from error
        return pairs


def section_units(paths: Sequence[Path], degradation: str) -> tuple[list[Unit], list[str]]:
    """Units for each readable video, found without decoding, and a sentence on each file that is not one."""
    if not paths:
        return [], []
    try:
        import av
    except ImportError as error:
        raise InputError("reading videos needs PyAV: pip install av, or give --data pictures only.") from error
    units: list[Unit] = []
    damaged = []
    for path in paths:
        try:
            with av.open(str(path)) as container:
                units += _sections(path, container, degradation)
        except (av.error.FFmpegError, OSError, IndexError) as error:
            damaged.append(f"{path}: {error}")
    return units, damaged


def _sections(path: Path, container: InputContainer, degradation: str) -> list[Unit]:
    stream = container.streams.video[0]
    starts: list[int] = []
    counts: list[int] = []
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        if packet.is_keyframe or not starts:
            starts.append(packet.pts)
            counts.append(0)
        counts[-1] += 1
    if not starts:
        raise OSError("no video frames")
    size = stream.width * stream.height * 5 // 4
    return [SectionUnit(path, size * min(n, KEPT), s, n, degradation) for s, n in zip(starts, counts, strict=True)]


def _luma(frame: VideoFrame) -> Codes8:
    if frame.format.name in PLANAR:
        return luma_plane(frame)
    return to_codes(studio_luma(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))


def _pair(high: Codes8, degradation: str) -> Pair:
    high = np.asarray(crop_even(high), np.uint8)
    return Pair(high, np.asarray(to_codes(shrink(as_plane(high), 2, degradation)), np.uint8), degradation != "decimate")
