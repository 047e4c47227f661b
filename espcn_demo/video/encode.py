"""Encoders: which one, with which options; the same frames always give the same bytes.

Thread counts are fixed, not taken from the machine, because x264 and libvpx write other bytes for other counts.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .frames import LIMITED, UNKNOWN, Layout, Tags
from .light import Light, svt_parameters, x26x_parameters
from .settings import Settings

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

SOFTWARE = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
HARDWARE = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
PRESETS = {"libx264": "superfast", "libx265": "superfast", "libsvtav1": "10", "libvpx-vp9": "6"}
DEPTHS: dict[str, dict[str, tuple[int, ...]]] = {
    "libx264": {"420": (8, 10), "422": (8, 10), "444": (8, 10)},
    "libx265": {"420": (8, 10, 12), "422": (8, 10, 12), "444": (8, 10, 12)},
    "libsvtav1": {"420": (8, 10)},
    "libvpx-vp9": {"420": (8,), "422": (8,), "444": (8,)},
    "h264_nvenc": {"420": (8,)},
    "hevc_nvenc": {"420": (8, 10)},
    "av1_nvenc": {"420": (8, 10)},
    "ffv1": {"420": (8, 10, 12), "422": (8, 10, 12), "444": (8, 10, 12)},
}
ALPHA_DEPTHS: dict[str, tuple[int, ...]] = {"420": (8,)}  # what libvpx takes together with transparency
_X265_SMALLEST = 16  # pixels a side
_LARGE = 2_200_000  # pixels of an enlarged frame; more get more encoder threads


@dataclass(frozen=True)
class Encoding:
    """Everything that an encoder must know; equal values give equal streams.

    width, height  of the enlarged frame, pixels
    time_base      seconds in a tick of the frames' times
    aspect         sample aspect ratio, None when unknown
    """

    encoder: str
    reason: str
    settings: Settings
    layout: Layout
    tags: Tags
    light: Light
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    aspect: Fraction | None


def choose_encoder(settings: Settings, *, bits: int, alpha: bool, chroma: str = "420") -> tuple[str, str, list[str]]:
    """The encoder's name, why, and notes when it is not the codec that was asked for.

    bits, alpha  of the source: a WebM that must hold more than 8 bits becomes AV1, one with transparency VP9
    chroma       "420", "422" or "444": hardware encoders are used for the first only, which all of them take
    """
    if settings.container == "gif":
        return "ffv1", "kept without loss until the GIF is written", []
    codec, notes = settings.codec, []
    if settings.container == "webm" and codec not in ("av1", "vp9"):
        codec = "av1" if bits > 8 else "vp9"
        notes.append(f"WebM holds no {settings.codec}: {codec} instead")
    if settings.container == "webm" and codec == "vp9" and bits > 8 and not alpha:
        codec = "av1"
        notes.append(f"av1 instead of vp9, which takes 8 of the {bits} bits here")
    if settings.container == "mov" and codec in ("av1", "vp9"):
        codec = "hevc" if bits > 8 else "h264"
        notes.append(f"MOV holds no {settings.codec}: {codec} instead")
    if alpha and codec == "av1" and settings.container in ("webm", "matroska"):
        notes.append("AV1 holds no transparency; vp9 does")
    name = HARDWARE.get(codec)
    if (
        name is not None
        and chroma in DEPTHS[name]
        and bits <= max(DEPTHS[name][chroma])
        and os.path.exists("/dev/nvidiactl")
    ):
        refusal = _refusal(name, bits)
        if refusal is None:
            return name, f"{name} opens on this GPU", notes
        log.info("%s does not open (%s); %s instead", name, refusal, SOFTWARE[codec])
        return SOFTWARE[codec], f"{name} does not open here ({refusal})", notes
    return SOFTWARE[codec], "software: no NVIDIA encoder here" if name else "software", notes


def add_video(container: OutputContainer, encoding: Encoding) -> VideoStream:
    """Add the video stream to a container that is being written; its encoder opens with the first frame.

    Raises:
        InputError: the encoder does not take this size or option.
    """
    from av.error import FFmpegError

    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes its banner to stderr otherwise
    stream: VideoStream = container.add_stream(encoding.encoder, rate=encoding.rate)  # type: ignore[assignment]  # its stub knows a video stream by literal codec names only
    stream.time_base = encoding.time_base
    context = stream.codec_context
    _configure(context, encoding)
    try:
        context.open()
    except FFmpegError as error:
        raise InputError(_advice(encoding)) from error
    finally:
        restore_scheduling()
    if encoding.encoder in ("libx265", "hevc_nvenc") and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # Apple's players know no other
    return stream


def restore_scheduling() -> None:
    """Give every thread of this process ordinary scheduling again.

    SVT-AV1 makes its threads real-time when it runs as root, and the thread that opened it with them: they would
    starve everything else on a small machine.
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    for thread in Path("/proc/self/task").glob("[0-9]*"):
        try:
            if os.sched_getscheduler(int(thread.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
        except OSError as error:  # the thread has ended, or it is not ours to change
            log.debug("scheduling of thread %s stays: %s", thread.name, error)


def _configure(context: VideoCodecContext, encoding: Encoding) -> None:
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.layout.result
    context.time_base, context.framerate = encoding.time_base, encoding.rate
    if encoding.aspect is not None:
        context.sample_aspect_ratio = encoding.aspect
    tags = encoding.tags
    context.color_range, context.colorspace = tags.range, tags.matrix
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    options = _options(encoding)
    if tags.chroma:
        options["chroma_sample_location"] = tags.chroma
    context.options = options


def _options(encoding: Encoding) -> dict[str, str]:
    name, settings = encoding.encoder, encoding.settings
    preset = settings.preset or PRESETS.get(name, "p4")
    crf = str(settings.crf)
    threads = "8" if encoding.width * encoding.height > _LARGE else "4"
    if name == "libx264":
        params = [
            *_plain_range(encoding, "videoformat=component"),
            *x26x_parameters(encoding.light, "mastering-display", "cll"),
        ]
        return {"preset": preset, "crf": crf, "threads": threads, "forced-idr": "1"} | _joined("x264-params", params)
    if name == "libx265":
        params = [
            "log-level=error",
            "frame-threads=2",
            *_plain_range(encoding, "range=limited"),
            *x26x_parameters(encoding.light, "master-display", "max-cll"),
        ]
        return {"preset": preset, "crf": crf} | _joined("x265-params", params)
    if name == "libsvtav1":
        return {"preset": preset, "crf": crf} | _joined("svtav1-params", svt_parameters(encoding.light))
    if name == "libvpx-vp9":
        options = {"deadline": "good", "cpu-used": preset, "crf": crf, "b": "0", "row-mt": "1", "threads": threads}
        return options | ({"auto-alt-ref": "0"} if encoding.layout.alpha else {})
    if name == "ffv1":
        return {"level": "1"}  # without slices, which very small frames cannot have
    return {"preset": settings.preset or "p4", "rc": "vbr", "cq": crf, "b": "0"}


def _plain_range(encoding: Encoding, parameter: str) -> list[str]:
    """What makes x264 and x265 write limited range when no other tag is there: they leave out what is the default."""
    tags = encoding.tags
    colours = {tags.matrix, tags.primaries, tags.transfer} - {UNKNOWN}
    return [parameter] if tags.range == LIMITED and not colours else []


def _joined(option: str, params: list[str]) -> dict[str, str]:
    return {option: ":".join(params)} if params else {}


def _refusal(name: str, bits: int) -> str | None:
    """Why a hardware encoder does not open, or None when it does."""
    import av
    from av.error import FFmpegError

    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = 640, 480, "yuv420p" if bits == 8 else "p010le"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    try:
        context.open()
    except FFmpegError as error:
        return str(error.strerror or error)
    return None


def _advice(encoding: Encoding) -> str:
    if encoding.encoder == "libx265" and min(encoding.width, encoding.height) < _X265_SMALLEST:
        return f"hevc takes no frame of {encoding.width}x{encoding.height} pixels: use codec h264."
    given = f" with preset {encoding.settings.preset!r}" if encoding.settings.preset else ""
    return (
        f"{encoding.encoder} does not open for {encoding.width}x{encoding.height} {encoding.layout.result}{given}: "
        "use another codec or preset."
    )
