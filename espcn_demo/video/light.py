"""HDR's static metadata: the display that the clip was mastered on, and its brightest light.

They go into the video stream through the encoder and into the container's header through the muxer. FFmpeg's muxers
take the latter from a field that PyAV does not offer but copies from a template stream: such a template is made here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from .upright import side_data

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_POINTS, _CANDELAS = 50_000, 10_000  # steps of a chromaticity and of 1 cd/m2
_DISPLAY, _LEVEL = struct.Struct(">8H2I"), struct.Struct(">2H")  # ISO/IEC 14496-12, 12.1.5 and 12.1.6


@dataclass(frozen=True)
class Light:
    """HDR static metadata in the units of SMPTE ST 2086 and CTA-861.3.

    display  G, B, R, white point as x, y in 0.00002 and then highest, lowest luminance in 0.0001 cd/m2
    level    MaxCLL and MaxFALL, cd/m2
    """

    display: tuple[int, ...] = ()
    level: tuple[int, ...] = ()


def read_light(frames: Iterable[VideoFrame]) -> Light:
    """The HDR metadata of the first frame that has any (AVMasteringDisplayMetadata, AVContentLightMetadata)."""
    light = Light()
    for frame in frames:
        for data in side_data(frame):
            if data.type.name == "MASTERING_DISPLAY_METADATA":
                light = replace(light, display=_display(data))
            elif data.type.name == "CONTENT_LIGHT_LEVEL":
                light = replace(light, level=struct.unpack("=II", bytes(data)[:8]))
    return light


def x26x_parameters(light: Light, display: str, level: str) -> list[str]:
    """Parameters of x264 and x265, which call them by different names."""
    parts = []
    if light.display:
        gx, gy, bx, by, rx, ry, wx, wy, high, low = light.display
        parts.append(f"{display}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})")
    if light.level:
        parts.append(f"{level}={light.level[0]},{light.level[1]}")
    return parts


def svt_parameters(light: Light) -> list[str]:
    """Parameters of SVT-AV1."""
    parts = []
    if light.display:
        gx, gy, bx, by, rx, ry, wx, wy = (f"{value / _POINTS:.5f}" for value in light.display[:8])
        high, low = (f"{value / _CANDELAS:.4f}" for value in light.display[8:])
        parts.append(f"mastering-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})")
    if light.level:
        parts.append(f"content-light={light.level[0]},{light.level[1]}")
    return parts


@contextmanager
def lit(template: VideoStream, light: Light) -> Iterator[VideoStream]:
    """The template with `light` in its header: MP4's boxes are written into a copy without frames, which is read."""
    import av

    boxes = b"".join(_boxes(light))
    if not boxes:
        yield template
        return
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", container_options={"movflags": "empty_moov"}) as container:
        container.add_stream_from_template(template, opaque=True)
        container.start_encoding()
    header = bytearray(file.getvalue())
    _insert(header, boxes)
    with av.open(io.BytesIO(header), format="mp4") as container:
        yield container.streams.video[0]


def _display(data: SideData) -> tuple[int, ...]:
    numbers = struct.unpack("=20i2i", bytes(data)[:88])
    values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    if not (numbers[20] and numbers[21]):
        return ()
    red, green, blue, white, (low, high) = (values[i : i + 2] for i in (0, 2, 4, 6, 8))
    points = [round(value * _POINTS) for value in (*green, *blue, *red, *white)]
    return (*points, round(high * _CANDELAS), round(low * _CANDELAS))


def _boxes(light: Light) -> Iterator[bytes]:
    """MasteringDisplayColourVolumeBox and ContentLightLevelBox; none for values beyond their fields (damage)."""
    for kind, form, values in ((b"mdcv", _DISPLAY, light.display), (b"clli", _LEVEL, light.level)):
        try:
            yield struct.pack(">I4s", 8 + form.size, kind) + form.pack(*values) if values else b""
        except struct.error:
            continue


def _insert(header: bytearray, boxes: bytes) -> None:
    """Put boxes at the end of the first sample entry, and make it and the boxes around it as much longer."""
    at, end = 0, len(header)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b""):  # the last is the entry, of any codec
        while at < end:
            size, found = struct.unpack_from(">I4s", header, at)
            if found == kind or not kind:
                break
            at += size
        struct.pack_into(">I", header, at, size + len(boxes))
        end = at + size
        at += 16 if kind == b"stsd" else 8  # version, flags and the number of entries come before the entries
    header[end:end] = boxes
