"""How a clip is to be enlarged: container, codec, quality and the part of the clip."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import InputError

CODECS = ("h264", "hevc", "av1", "vp9")
# File suffix -> FFmpeg's muxer.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".gif": "gif"}
HIGHEST_CRF = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}


@dataclass(frozen=True)
class Settings:
    """What was asked for, checked.

    container  FFmpeg's name of the result's muxer
    codec      one of CODECS
    crf        constant rate factor of the codec's own scale, smaller is better
    preset     the encoder's own word for speed, None for a fast one
    start      seconds from the clip's beginning at which to start
    duration   seconds to take, None for all that follows
    """

    container: str
    codec: str = "h264"
    crf: int = 18
    preset: str | None = None
    start: Fraction = Fraction(0)
    duration: Fraction | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; equal settings give equal dictionaries."""
        return {name: str(value) for name, value in asdict(self).items()}


def check_settings(
    out: Path, *, codec: str | None, crf: int, preset: str | None, start: float | None, duration: float | None
) -> Settings:
    """The settings for a result named `out`; without `codec` its container's usual one.

    Raises:
        InputError: a container, codec, crf or time that is not offered.
    """
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        raise InputError(f"{out.name}: results are written as {', '.join(sorted(CONTAINERS))}; choose one of these.")
    codec = codec or ("vp9" if container == "webm" else "h264")
    if codec not in CODECS:
        raise InputError(f"codec {codec!r} is not offered: use {', '.join(CODECS)}.")
    if not 0 <= crf <= HIGHEST_CRF[codec]:
        raise InputError(f"crf {crf} is outside 0 to {HIGHEST_CRF[codec]}, the scale of {codec}.")
    for name, value, lowest in (("start", start, 0.0), ("duration", duration, 1e-6)):
        if value is not None and not (math.isfinite(value) and value >= lowest):
            raise InputError(f"{name} must be a number of seconds of at least {lowest:g}, not {value}.")
    return Settings(
        container=container,
        codec=codec,
        crf=crf,
        preset=preset,
        start=_exact(start or 0.0),
        duration=None if duration is None else _exact(duration),
    )


def segment_frames(width: int, height: int, batch: int) -> int:
    """Frames in one closed segment of a clip of this size: seconds of work, a multiple of the batch."""
    frames = min(240, max(48, 36_000_000 // (width * height)))
    return max(1, frames // batch) * batch


def batch_frames(width: int, height: int) -> int:
    """Frames that go through the network together: enough for a GPU, few enough to stay in memory."""
    return int(max(1, min(8, 1_500_000 // (width * height))))


def _exact(seconds: float) -> Fraction:
    return Fraction(seconds).limit_denominator(1_000_000)
