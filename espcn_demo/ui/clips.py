"""Clips that every browser plays: H.264, 8-bit 4:2:0, square pixels, tagged BT.709, the source's own frame times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..limits import Limits
from ..video import source
from ..video.decode import Reader
from ..video.upright import Upright

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

HD_HEIGHT = 720  # players take untagged clips from this height on for BT.709, smaller ones for BT.601
CLOCK = Fraction(1, 90_000)
BT709, UNSPECIFIED, FULL = 1, 2, 2
LARGEST_SIDE = 4096  # H.264 decoders in browsers go no further


@dataclass(frozen=True)
class Played:
    """A written clip: size in pixels, and every frame's time in seconds from the first."""

    path: Path
    width: int
    height: int
    times: tuple[float, ...]


def write_clip(
    path: Path,
    out: Path,
    *,
    factor: int = 1,
    method: str = "bicubic",
    start: float = 0.0,
    duration: float | None = None,
    crf: int = 14,
    like: Played | None = None,
    matrix: str | None = None,
    limits: Limits | None = None,
) -> Played:
    """Re-encode a clip for looking at, without sound.

    factor   how much larger it becomes by `method` (bicubic, lanczos, bilinear)
    like     a clip whose size and number of frames it takes
    matrix   "itu601" or "itu709" for sources that do not say; None goes by the height, as players do

    Raises:
        InputError: it cannot be read.
    """
    import av

    with source.open_source(path, limits=limits, part=duration) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        length = None if duration is None else Fraction(duration).limit_denominator(1000)
        reader = Reader(container, video, start=Fraction(start).limit_denominator(1000), duration=length)
        aspect = Fraction(video.sample_aspect_ratio or 1)
        times: list[float] = []
        with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as target:
            stream = None
            for frame in Upright(reader.time_base).frames(reader):
                if like is not None and len(times) == len(like.times):
                    break
                if stream is None:
                    size = (like.width, like.height) if like else shown_size(frame, aspect, factor)
                    stream = target.add_stream("libx264", rate=reader.rate)
                    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
                    context = stream.codec_context
                    context.time_base, context.max_b_frames = CLOCK, 0
                    context.colorspace = context.color_primaries = context.color_trc = BT709
                    context.options = {"preset": "ultrafast", "crf": str(crf), "tune": "fastdecode"}
                    first = frame.pts or 0
                moment = ((frame.pts or 0) - first) * reader.time_base
                shown = _as_shown(frame, size, method, matrix)
                shown.pts, shown.time_base = round(moment / CLOCK), CLOCK
                times.append(float(moment))
                target.mux(stream.encode(shown))
            if stream is not None:
                target.mux(stream.encode(None))
    return Played(out, *size, tuple(times))


def shown_size(frame: VideoFrame, aspect: Fraction, factor: int) -> tuple[int, int]:
    """Even width and height of a frame with square pixels, `factor` times as large, no larger than browsers play."""
    width, height = round(frame.width * aspect) * factor, frame.height * factor
    fit = min(1.0, LARGEST_SIDE / max(width, height))
    return max(2, int(width * fit) // 2 * 2), max(2, int(height * fit) // 2 * 2)


def frame_times(path: Path, *, limits: Limits | None = None) -> Iterator[float]:
    """Every frame's time in seconds from the first."""
    with source.open_source(path, limits=limits) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        reader, first = Reader(container, video), None
        for frame in reader:
            first = frame.pts if first is None else first
            yield float(((frame.pts or 0) - (first or 0)) * reader.time_base)


def _as_shown(frame: VideoFrame, size: tuple[int, int], method: str, matrix: str | None) -> VideoFrame:
    from av.video.reformatter import Interpolation

    guess = matrix or ("itu709" if frame.height >= HD_HEIGHT else "itu601")
    unknown = int(frame.colorspace) == UNSPECIFIED and not frame.format.is_rgb
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj") or frame.format.is_rgb
    return frame.reformat(
        *size,
        "yuv420p",
        src_colorspace=guess if unknown else None,
        dst_colorspace="itu709",
        src_color_range="JPEG" if full else "MPEG",
        dst_color_range="MPEG",
        interpolation=Interpolation[method.upper()] | Interpolation.ACCURATE_RND,
    )
