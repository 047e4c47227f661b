"""Quality on clips that really were compressed: shrink luma frames by two, encode, decode, enlarge, compare.

The protocol: the first 24 luma frames, shrunk with Pillow's bicubic and rounded to 8 bits, libx264 preset medium at a
constant rate factor, Y-PSNR of every fourth frame with a two-pixel border left out, averaged over those frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espcn_demo.degrade import crop_even, resize, shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from train.codecs import Codes8, luma_plane, round_trip

FRAMES, EVERY = 24, 4
RATES = (18, 23, 30)

Enlarge = Callable[[Codes8], Codes8]  # (H, W) uint8 -> (2H, 2W) uint8


@dataclass(frozen=True)
class ClipPair:
    """One clip at one rate: high-resolution frames and the decoded low-resolution ones, every fourth of them."""

    clip: str
    crf: int
    high: list[Codes8]
    low: list[Codes8]


def read_luma(path: Path, frames: int = FRAMES) -> list[Codes8]:
    """The first luma frames (H, W) uint8 of a video file, sides cropped to multiples of four."""
    import av

    planes: list[Codes8] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                planes.append(crop_even(luma_plane(frame), 4))
                if len(planes) == frames:
                    break
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video: {error}.") from error
    return planes


def clip_pair(path: Path, high: Sequence[Codes8], crf: int, codec: str = "libx264") -> ClipPair:
    """Shrink and encode the frames of one clip."""
    small = [to_codes(shrink(np.asarray(frame, np.float32) / 255)) for frame in high]
    low = round_trip(small, codec=codec, crf=crf)
    return ClipPair(path.name, crf, list(high[::EVERY]), low[::EVERY])


def score(pair: ClipPair, enlarge: Enlarge) -> float:
    """Mean Y-PSNR in dB over the frames of `pair`."""
    return float(
        np.mean([psnr(h, enlarge(low), peak=255, border=2) for h, low in zip(pair.high, pair.low, strict=True)])
    )


def bicubic(low: Codes8) -> Codes8:
    """Pillow's bicubic enlargement by two of a luma plane (H, W) uint8."""
    return to_codes(resize(low.astype(np.float32) / 255, 2 * low.shape[1], 2 * low.shape[0]))
