"""The planes of a frame: luma (and alpha) out to the network and back in, chroma enlarged beside it.

Luma stays as the clip holds it, 8 to 12 bits, limited or full range; chroma is enlarged by swscale (bicubic), which
knows where chroma samples lie. RGB and palette sources become full-range BT.709 luma and chroma once, and since the
chroma of a doubled 4:2:0 frame has the size of the source, none of theirs is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

Samples = NDArray[np.unsignedinteger[Any]]

BT709, SRGB, LIMITED, FULL, UNKNOWN = 1, 13, 1, 2, 2  # ITU-T H.273 and FFmpeg's color_range
_BITS = (8, 10, 12)


@dataclass(frozen=True)
class Layout:
    """How frames pass through.

    work    planar format whose first plane is the network's input
    result  format of the enlarged frame, as the encoder takes it
    bits    of one sample: 8, 10 or 12
    gray    no chroma in the source
    rgb     the source is RGB or has a palette
    alpha   transparency is enlarged too and kept
    """

    work: str
    result: str
    bits: int
    gray: bool
    rgb: bool
    alpha: bool

    @property
    def white(self) -> int:
        """The largest code value."""
        return (1 << self.bits) - 1


@dataclass(frozen=True)
class Tags:
    """Colour tags as ITU-T H.273 numbers, `range` as FFmpeg's (1 limited, 2 full); `chroma` is a location's name."""

    matrix: int = UNKNOWN
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN
    range: int = 0
    chroma: str = ""


def choose_layout(
    source: VideoFormat, *, depths: dict[str, tuple[int, ...]], transparent: bool, alpha: bool
) -> tuple[Layout, list[str]]:
    """The layout for a source format, given what the encoder takes, and notes on what had to be converted.

    depths       chroma layout ("420", "422", "444") -> bits that the encoder takes
    transparent  whether the source has transparency (see `is_transparent`)
    alpha        whether encoder and container keep it
    """
    notes = []
    rgb = bool(source.is_rgb or source.has_palette)
    gray = not rgb and len(source.components) < 3
    bits = max((component.bits for component in source.components), default=8)
    chroma = chroma_layout(source)
    keeps_alpha = alpha and transparent and not gray
    if chroma not in depths:
        notes.append(f"4:{chroma[1]}:{chroma[2]} chroma became 4:2:0: the encoder takes no other")
        chroma = "420"
    wanted = next((depth for depth in _BITS if depth >= bits), _BITS[-1])
    depth = max((one for one in depths[chroma] if one <= wanted), default=8)
    if depth < bits:
        notes.append(f"{bits} bits became {depth}: the encoder takes no more")
    if transparent and not keeps_alpha:
        notes.append("transparency was left out: codec and container cannot hold it (use .webm with vp9)")
    suffix = "" if depth == 8 else f"{depth}le"
    letters = "yuva" if keeps_alpha else "yuv"
    return Layout(
        work=_gray(depth) if gray else f"{letters}{'444' if rgb else chroma}p{suffix}",
        result=f"{letters}{chroma}p{suffix}",
        bits=depth,
        gray=gray,
        rgb=rgb,
        alpha=keeps_alpha,
    ), notes


def chroma_layout(source: VideoFormat) -> str:
    """The nearest of "420", "422" and "444" that holds the source's chroma; "420" for RGB, see the top, and gray."""
    if source.is_rgb or source.has_palette or len(source.components) < 3:
        return "420"
    if source.chroma_width(64) == 64:
        return "444"
    return "422" if source.chroma_height(64) == 64 else "420"


def is_transparent(frame: VideoFrame) -> bool:
    """Whether a frame has an alpha channel that says something; RGB often carries one that is opaque throughout."""
    layout = frame.format
    if not (layout.has_palette or any(component.is_alpha for component in layout.components)):
        return False
    if not (layout.is_rgb or layout.has_palette):
        return True
    return bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)


def read_tags(frame: VideoFrame, layout: Layout, chroma: str = "") -> Tags:
    """The tags of the result, from the first frame."""
    if layout.rgb:
        return Tags(BT709, BT709, SRGB, FULL, "center")
    full = frame.format.name.startswith("yuvj") or frame.color_range == FULL
    range_ = FULL if full else int(frame.color_range)
    matrix = int(frame.colorspace) if not layout.gray or frame.colorspace != 0 else UNKNOWN
    return Tags(matrix, int(frame.color_primaries), int(frame.color_trc), range_, chroma)


class Canvas:
    """Takes planes out of decoded frames and builds the enlarged frames; one for each thread and clip."""

    def __init__(self, layout: Layout, scale: int) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self.layout, self.scale = layout, scale
        self._convert, self._enlarge = VideoReformatter(), VideoReformatter()
        self._bicubic = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
        self._neutral: VideoFrame | None = None

    def split(self, frame: VideoFrame) -> tuple[VideoFrame, Samples]:
        """A decoded frame -> the enlarged frame, its luma still to come, and planes (P, H, W) for the network.

        P is 1, or 2 with alpha. uint8 for 8 bits, uint16 above.
        """
        work = self._work(frame)
        planes = [plane_array(work.planes[0], self.layout.bits)]
        if self.layout.alpha:
            planes.append(plane_array(work.planes[3], self.layout.bits))
        return self._blank(frame, work), np.stack(planes)

    def join(self, enlarged: VideoFrame, planes: Samples) -> None:
        """Write the network's planes (P, scale*H, scale*W) into the enlarged frame, in place."""
        plane_array(enlarged.planes[0], self.layout.bits)[:] = planes[0]
        if self.layout.alpha:
            plane_array(enlarged.planes[3], self.layout.bits)[:] = planes[1]

    def _work(self, frame: VideoFrame) -> VideoFrame:
        name = frame.format.name
        if name in (self.layout.work, self.layout.work.replace("yuv", "yuvj")):
            return frame
        if self.layout.rgb:
            work = self._convert.reformat(
                frame, format=self.layout.work, dst_colorspace=BT709, dst_color_range=FULL, interpolation=self._bicubic
            )
        else:
            range_ = FULL if name.startswith("yuvj") or frame.color_range == FULL else LIMITED
            size = (frame.width, frame.height)
            work = _same_colours(self._convert, frame, *size, self.layout.work, range_, self._bicubic)
        return work

    def _blank(self, frame: VideoFrame, work: VideoFrame) -> VideoFrame:
        width, height = frame.width * self.scale, frame.height * self.scale
        if self.layout.gray:
            blank = self._gray_frame(width, height)
        else:
            range_ = FULL if work.format.name.startswith("yuvj") or work.color_range == FULL else LIMITED
            blank = _same_colours(self._enlarge, work, width, height, self.layout.result, range_, self._bicubic)
        blank.pts, blank.time_base, blank.duration = frame.pts, frame.time_base, frame.duration
        blank.pict_type = 0  # the encoder decides anew where key frames go
        return blank

    def _gray_frame(self, width: int, height: int) -> VideoFrame:
        from av.video.frame import VideoFrame as Frame

        blank = Frame(width, height, self.layout.result)
        for plane in blank.planes[1:]:
            plane_array(plane, self.layout.bits)[:] = 1 << (self.layout.bits - 1)
        return blank


def plane_array(plane: VideoPlane, bits: int) -> Samples:
    """A plane as a writable view (H, W), uint8 up to 8 bits and uint16 above, without the padding of its rows."""
    dtype: type[np.unsignedinteger[Any]] = np.uint8 if bits <= 8 else np.uint16
    samples: Samples = plane_rows(plane).view(dtype)
    return samples[:, : plane.width]


def plane_rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """A plane's bytes (H, bytes of a padded row), top row first, as a writable view."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    return rows[::-1] if plane.line_size < 0 else rows


def copy_frame(frame: VideoFrame) -> VideoFrame:
    """The same picture and colours in a frame of its own, without a time."""
    from av.video.frame import VideoFrame as Frame

    copy = Frame(frame.width, frame.height, frame.format.name)
    for origin, target in zip(frame.planes, copy.planes, strict=True):
        if frame.format.name == "pal8" and origin.index == 1:
            target.update(bytes(origin))
            continue
        from_, to = plane_rows(origin), plane_rows(target)
        width = min(from_.shape[1], to.shape[1])
        to[:, :width] = from_[:, :width]
    copy.color_range, copy.colorspace = frame.color_range, frame.colorspace
    copy.color_trc, copy.color_primaries = frame.color_trc, frame.color_primaries
    return copy


def _same_colours(
    scaler: Any,  # noqa: ANN401 (PyAV's reformatter takes IntFlag, which its stub does not say)
    frame: VideoFrame,
    width: int,
    height: int,
    result: str,
    range_: int,
    flags: int,
) -> VideoFrame:
    """Scale or rearrange samples without touching matrix or range.

    The matrix is hidden from swscale meanwhile: it has no say between two Y'CbCr frames, and swscale refuses some.
    """
    matrix = frame.colorspace
    frame.colorspace = UNKNOWN
    try:
        scaled: VideoFrame = scaler.reformat(
            frame, width, height, result, src_color_range=range_, dst_color_range=range_, interpolation=flags, threads=1
        )
    finally:
        frame.colorspace = matrix
    scaled.colorspace = matrix
    return scaled


def _gray(bits: int) -> str:
    return "gray" if bits == 8 else f"gray{bits}le"
