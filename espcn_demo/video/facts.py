"""What a clip is: read from its headers, its packets (not decoded) and its first frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..limits import Limits
from . import source
from .timing import is_variable, mean_rate, presentation_times, span
from .upright import side_data

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FIRST_FRAMES = 4  # decoded to see rotation, colour, side data and interlacing

# ITU-T H.273 code points in the field's names
MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc"}
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"}
PRIMARIES |= {11: "dci-p3", 12: "display-p3"}
TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "srgb"}
TRANSFERS |= {14: "bt2020-10", 15: "bt2020-12", 16: "pq", 18: "hlg"}
RANGES = {1: "limited", 2: "full"}
LIGHT = {"MASTERING_DISPLAY_METADATA": "mastering display", "CONTENT_LIGHT_LEVEL": "content light level"}
DYNAMIC = {"DYNAMIC_HDR_PLUS": "HDR10+", "DOVI_RPU_BUFFER": "Dolby Vision", "DOVI_METADATA": "Dolby Vision"}


@dataclass(frozen=True)
class StreamFacts:
    """One stream of the container: `kind` is video, audio, subtitle, data or attachment; `chosen` the one enlarged."""

    index: int
    kind: str
    codec: str
    language: str
    detail: str
    chosen: bool = False


@dataclass(frozen=True)
class Facts:
    """A clip in numbers; lengths in seconds, sizes in pixels, unknown text empty and unknown numbers None.

    width, height    of the stored frames, before rotation
    counted          whether `frames` was counted, not taken from the headers
    lost             frames that the headers announce and the file does not hold
    rate             mean frames a second, a fraction such as "30000/1001"
    aspect           sample aspect ratio, "1:1" for square pixels
    rotation         degrees clockwise that show it upright; `mirrored` left to right after that
    hdr              "PQ", "HLG" or ""; `light` and `dynamic` name the metadata that come with it
    chroma           "4:2:0", "4:2:2", "4:4:4", "gray" or "rgb"
    """

    container: str
    bytes: int
    duration: float | None
    start: float
    width: int
    height: int
    frames: int | None
    counted: bool
    lost: int
    rate: str
    variable_rate: bool
    codec: str
    pixel_format: str
    bits: int
    chroma: str
    alpha: bool
    interlaced: bool
    aspect: str
    rotation: int
    mirrored: bool
    matrix: str
    primaries: str
    transfer: str
    range: str
    hdr: str
    light: tuple[str, ...]
    dynamic: tuple[str, ...]
    chapters: int
    metadata: dict[str, str]
    streams: tuple[StreamFacts, ...]
    decodes: bool

    @property
    def fps(self) -> float:
        """Mean frames a second."""
        return float(Fraction(self.rate))

    def of_kind(self, kind: str) -> tuple[StreamFacts, ...]:
        """The other streams of one kind, without the one that is enlarged."""
        return tuple(one for one in self.streams if one.kind == kind and not one.chosen)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def read_facts(path: Path, *, limits: Limits | None = None) -> Facts:
    """Read what a clip is; a damaged one is described as far as it goes (`decodes` is False when no frame comes out).

    A clip longer than the limits is described too: a part of it may still be worked on.

    Raises:
        InputError: see `source.open_source`.
    """
    with source.open_source(path, limits=limits, part=0.0) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        frames = _first_frames(container, video)
    with source.open_source(path, limits=limits, part=0.0) as container:
        video = source.video_stream(container)
        assert video is not None
        return _assemble(Path(path), container, video, frames)


def _first_frames(container: InputContainer, video: VideoStream) -> list[VideoFrame]:
    from av.error import FFmpegError

    frames: list[VideoFrame] = []
    try:
        for frame in container.decode(video):
            frames.append(frame)
            if len(frames) == FIRST_FRAMES:
                break
    except FFmpegError:
        return frames  # damage further on is the work's own business; here only the beginning is looked at
    return frames


def _assemble(path: Path, container: InputContainer, video: VideoStream, frames: Sequence[VideoFrame]) -> Facts:
    times, counted, hidden = presentation_times(container, video)
    context = video.codec_context
    first = frames[0] if frames else None
    layout = first.format if first else context.format
    tags: Any = first or context
    transfer = int(tags.color_trc)
    kinds = {data.type.name for frame in frames for data in side_data(frame)}
    alpha = video.metadata.get("alpha_mode") == "1" or bool(layout and any(c.is_alpha for c in layout.components))
    length = source.seconds(container, video)
    aspect = video.sample_aspect_ratio or Fraction(1)
    rotation, mirrored = orientation(first) if first else (0, False)
    return Facts(
        container=container.format.name,
        bytes=path.stat().st_size,
        duration=length if length is not None else span(times, source.frame_rate(video)),
        start=times[0] if times else 0.0,
        width=first.width if first else context.width,
        height=first.height if first else context.height,
        frames=len(times) if counted and times else source.frame_count(container, video),
        counted=counted and bool(times),
        lost=max(0, video.frames - len(times) - hidden) if counted else 0,
        rate=str(mean_rate(video, times)),
        variable_rate=is_variable(times, float(video.time_base or 0)),
        codec=context.codec.canonical_name,
        pixel_format=layout.name if layout else "",
        bits=max((c.bits for c in layout.components), default=8) if layout else 8,
        chroma=_chroma(layout),
        alpha=alpha,
        interlaced=any(frame.interlaced_frame for frame in frames),
        aspect=f"{aspect.numerator}:{aspect.denominator}",
        rotation=rotation,
        mirrored=mirrored,
        matrix=MATRICES.get(int(tags.colorspace), ""),
        primaries=PRIMARIES.get(int(tags.color_primaries), ""),
        transfer=TRANSFERS.get(transfer, ""),
        range=RANGES.get(int(tags.color_range), ""),
        hdr={16: "PQ", 18: "HLG"}.get(transfer, ""),
        light=tuple(sorted({LIGHT[kind] for kind in kinds & LIGHT.keys()})),
        dynamic=tuple(sorted({DYNAMIC[kind] for kind in kinds & DYNAMIC.keys()})),
        chapters=len(container.chapters()),
        metadata=dict(container.metadata),
        streams=tuple(_stream_facts(stream, stream.index == video.index) for stream in container.streams),
        decodes=bool(frames),
    )


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Degrees clockwise that show a frame upright, and whether it is mirrored left to right besides."""
    import numpy as np

    for data in side_data(frame):
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), "<i4")[:5].astype(float)
            mirrored = bool(a * d - b * c < 0)
            if mirrored:  # undo the mirror first: the first column changes sign
                a, c = -a, -c
            angle = 0.0 if (a, b) == (0, 0) else float(np.degrees(np.arctan2(b, a)))
            return round(angle / 90) * 90 % 360, mirrored
    return 0, False


def _chroma(layout: VideoFormat | None) -> str:
    if layout is None:
        return ""
    if layout.is_rgb or layout.has_palette:
        return "rgb"
    if len(layout.components) < 3:
        return "gray"
    ratio = (layout.width // max(layout.chroma_width(), 1), layout.height // max(layout.chroma_height(), 1))
    return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (1, 2): "4:4:0"}.get(ratio, "4:1:0")


def _stream_facts(stream: Stream, chosen: bool) -> StreamFacts:
    context: Any = stream.codec_context
    codec = context.codec.canonical_name if context is not None else "unknown"
    detail = stream.metadata.get("title", "") or stream.metadata.get("filename", "")
    if stream.type == "audio" and context is not None:
        detail = f"{context.sample_rate} Hz {context.layout.name if context.layout else ''} {detail}".strip()
    elif stream.type == "video" and context is not None:
        detail = f"{context.width}x{context.height} {detail}".strip()
    return StreamFacts(stream.index, str(stream.type), codec, stream.language or "", detail, chosen)
