"""The luma of a clip, frame by frame, as the network sees it: upright, deinterlaced, in code values."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..limits import Limits
from . import source
from .decode import Reader
from .frames import FULL, plane_array
from .upright import Upright

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

DENSE = 60  # frames between two samples from which on seeking is quicker than decoding
PLANAR = ("yuv", "gray", "nv")  # formats whose first plane is luma in the low bits of each sample


@dataclass(frozen=True)
class Luma:
    """One frame: `time` in seconds on the clip's clock, `plane` (H, W) uint8 or uint16, `white` its largest code."""

    time: float
    plane: NDArray[np.unsignedinteger[Any]]
    white: int
    full_range: bool

    def eight_bits(self) -> NDArray[np.float32]:
        """The plane in 8-bit limited-range code values (16 to 235), float32, so that any two clips can be compared."""
        values = np.asarray(self.plane, np.float32)
        if self.full_range:
            return np.asarray(16.0 + values * np.float32(219.0 / self.white), np.float32)
        return values if self.white == 255 else values * np.float32(256.0 / (self.white + 1))


def read_luma(
    path: Path, *, start: float = 0.0, duration: float | None = None, limits: Limits | None = None
) -> Generator[Luma]:
    """The frames from `start` seconds on, for `duration` seconds; they are copies that may be kept.

    Raises:
        InputError: see `source.open_source`.
    """
    with source.open_source(path, limits=limits, part=duration) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        reader = Reader(
            container, video, start=Fraction(start), duration=None if duration is None else Fraction(duration)
        )
        for frame in Upright(reader.time_base).frames(reader):
            yield _luma(frame, start + float((frame.pts or 0) * reader.time_base))


def sample_luma(
    path: Path, count: int, *, start: float = 0.0, duration: float | None = None, limits: Limits | None = None
) -> Iterator[Luma]:
    """About `count` frames spread evenly over a part, in order of time; all of them when it has fewer.

    Raises:
        InputError: see `source.open_source`.
    """
    with source.open_source(path, limits=limits, part=duration) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        whole, total = source.seconds(container, video), source.frame_count(container, video)
        rate = float(source.frame_rate(video))
    length = max(0.0, (whole or 0.0) - start) if duration is None else duration
    expected = round(length * rate) if start or duration is not None or not total else total
    if expected <= max(count, 1) * DENSE:
        wanted = {int((index + 0.5) * expected / count) for index in range(count)} if expected > count else None
        for index, luma in enumerate(read_luma(path, start=start, duration=duration, limits=limits)):
            if wanted is None or index in wanted:
                yield luma
        return
    for index in range(count):  # far apart: go there
        with closing(
            read_luma(path, start=start + (index + 0.5) * length / count, duration=1.0, limits=limits)
        ) as frames:
            yield from islice(frames, 1)


def _luma(frame: VideoFrame, time: float) -> Luma:
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    if not frame.format.name.startswith(PLANAR) or frame.format.is_big_endian:
        deep = max(component.bits for component in frame.format.components) > 8
        rgb = frame.format.is_rgb or frame.format.has_palette
        full = full or rgb
        frame = frame.reformat(
            format="yuv444p12le" if deep else "yuv444p",
            dst_colorspace="itu709" if rgb else None,
            dst_color_range="JPEG" if full else "MPEG",
        )
    bits = frame.format.components[0].bits
    return Luma(time, plane_array(frame.planes[0], bits).copy(), (1 << bits) - 1, full)
