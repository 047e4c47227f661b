"""What the worker process does for the named endpoints: the library's own functions, reports as plain values."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from .work import engine

if TYPE_CHECKING:
    from ..limits import Limits

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif")


def image(source: Path, folder: Path, scale: int, quality: str, limits: Limits) -> dict[str, Any]:
    """Enlarge a picture; the report of `upscale_image`."""
    from ..image import upscale_image

    suffix = source.suffix.lower() if source.suffix.lower() in SUFFIXES else ".png"
    target = folder / f"{source.stem[:60] or 'picture'}-{scale}x{suffix}"
    return upscale_image(source, target, upscaler=engine(scale, None, quality), limits=limits).as_dict()


def video(
    source: Path,
    folder: Path,
    codec: str,
    crf: int,
    start: float,
    duration: float,
    limits: Limits,
    cancelled: Event,
) -> dict[str, Any]:
    """Enlarge a clip; the report of `upscale_video`."""
    from ..video import upscale_video

    return upscale_video(
        source,
        folder / f"{source.stem[:60] or 'clip'}-2x.mp4",
        upscaler=engine(2, None, "fast"),
        codec=codec,
        crf=crf,
        start=start or None,
        duration=duration or None,
        limits=limits,
        cancelled=cancelled,
    ).as_dict()


def probe(source: Path, limits: Limits) -> dict[str, Any]:
    """What a clip or a picture is, what will be kept, and for a clip the predicted time, size and gain."""
    from ..video.probe import probe as look

    return look(source, upscaler=engine(2, None, "fast"), limits=limits).as_dict()
