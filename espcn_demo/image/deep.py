"""Pictures with 16 bits a channel in several channels, which Pillow reads at 8: FFmpeg's decoders, through PyAV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.upscaler import Codes

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_DECODERS = {"PNG": "png", "TIFF": "tiff", "PPM": "ppm"}
_CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}
_TIFF_EXTRA_SAMPLES, _ASSOCIATED = 338, 1


def is_deep(image: Image.Image) -> bool:
    """Whether the file that Pillow opened, not loaded yet, has 16-bit samples that Pillow would cut to 8."""
    tiles = getattr(image, "tile", None)
    if image.format not in _DECODERS or not tiles:
        return False
    arguments = tiles[0].args  # the raw mode, alone or followed by other arguments
    if image.format == "PPM":
        return image.mode == "RGB" and isinstance(arguments, tuple) and arguments[-1] == 65535
    raw_mode = arguments if isinstance(arguments, str) else str(arguments[0])
    return ";16" in raw_mode and (not image.mode.startswith("I;16") or "transparency" in image.info)


def read_deep(path: Path, image: Image.Image) -> Codes:
    """(H, W, C) uint16 as stored, not turned: grey, grey and alpha, R'G'B' or R'G'B' and alpha.

    Raises:
        InputError: FFmpeg cannot decode it (tiled TIFF, for example).
    """
    import av

    try:
        decoder = av.CodecContext.create(_DECODERS[str(image.format)], "r")
        assert isinstance(decoder, av.VideoCodecContext)
        frames = decoder.decode(av.Packet(path.read_bytes())) or decoder.decode(None)
        frame = frames[0]
        samples = _samples(frame)
    except (av.FFmpegError, IndexError, KeyError) as error:
        raise InputError(f"{path.name} has 16-bit colour stored in an unusual way: save it as a 16-bit PNG.") from error
    extra = getattr(image, "tag_v2", {}).get(_TIFF_EXTRA_SAMPLES, (0,))
    return _unmultiplied(samples) if extra[:1] == (_ASSOCIATED,) else samples


def _samples(frame: VideoFrame) -> Codes:
    """The interleaved samples of a video frame in native byte order."""
    name = frame.format.name
    channels, plane = _CHANNELS[name[:-2]], frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    order = np.dtype(np.uint16).newbyteorder(">" if name.endswith("be") else "<")
    inside = rows[: plane.height, : 2 * channels * plane.width]
    return inside.view(order).astype(np.uint16).reshape(plane.height, plane.width, channels)


def _unmultiplied(samples: Codes) -> Codes:
    """Divide colours by alpha; invisible ones become black."""
    result = samples.copy()
    for row in result:  # by rows, so that the floats stay small
        alpha = row[:, -1:].astype(np.float32)
        straight = row[:, :-1] * (65535 / np.maximum(alpha, 1))
        row[:, :-1] = np.rint(np.clip(straight, 0, 65535))
    return result
