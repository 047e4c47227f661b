"""Real compression of luma: encode frames or a picture in memory and decode them again.

PyAV is imported inside the functions, so that training on pictures needs no av.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_demo.video.frames import plane_rows

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Codes8 = NDArray[np.uint8]

DECODERS = {"libx264": "h264", "libx265": "hevc", "libvpx-vp9": "vp9"}
NEUTRAL = 128  # chroma code value of grey


def round_trip(
    frames: Sequence[Codes8], *, codec: str = "libx264", crf: float = 23, preset: str = "medium"
) -> list[Codes8]:
    """Encode luma frames (H, W) uint8 with `codec` at a constant rate factor and decode them: as many frames.

    Sides are even. The frames are limited-range Y with grey chroma, 25 frames a second.
    """
    return decode_packets(encode_packets(frames, codec=codec, crf=crf, preset=preset), codec)


def encode_packets(frames: Sequence[Codes8], *, codec: str, crf: float, preset: str = "medium") -> list[bytes]:
    """The encoded packets of luma frames (H, W) uint8, in decoding order; headers are in the stream."""
    import av

    context: Any = av.CodecContext.create(codec, "w")  # a video context, which PyAV's types do not tell
    context.height, context.width = frames[0].shape
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, 25)
    context.framerate = Fraction(25)
    context.thread_count = 1
    context.options = _options(codec, crf, preset)
    packets = []
    for index, luma in enumerate(frames):
        frame = _grey_frame(luma)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


def decode_packets(packets: Sequence[bytes], codec: str) -> list[Codes8]:
    """The luma planes of packets from `encode_packets`, in display order."""
    import av

    context: Any = av.CodecContext.create(DECODERS[codec], "r")
    context.thread_count = 1
    planes = [luma_plane(frame) for data in packets for frame in context.decode(av.Packet(data))]
    return planes + [luma_plane(frame) for frame in context.decode(None)]


def luma_plane(frame: VideoFrame) -> Codes8:
    """The Y plane of a decoded 8-bit planar frame: (H, W) uint8, code values as stored."""
    return np.array(plane_rows(frame.planes[0])[: frame.height, : frame.width])


def jpeg_round_trip(luma: Codes8, quality: int) -> Codes8:
    """Save one luma plane (H, W) uint8 as a grey JPEG of `quality` and read it again."""
    buffer = io.BytesIO()
    Image.fromarray(luma).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _grey_frame(luma: Codes8) -> VideoFrame:
    import av

    height, width = luma.shape
    chroma = np.full((height // 2, width), NEUTRAL, np.uint8)  # both chroma planes, stacked as yuv420p has them
    return av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")


def _options(codec: str, crf: float, preset: str) -> dict[str, str]:
    if codec == "libx265":
        return {"crf": str(crf), "preset": preset, "x265-params": "log-level=none:pools=none:frame-threads=1"}
    if codec == "libvpx-vp9":
        return {"crf": str(round(crf)), "b": "0", "cpu-used": "5", "deadline": "good"}
    return {"crf": str(crf), "preset": preset}
