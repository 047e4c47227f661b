"""Clips with one property each, written frame by frame with PyAV, and readers that know nothing of the product."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BARS = ((235, 128, 128), (180, 100, 160), (81, 90, 240), (145, 54, 34), (41, 240, 110), (60, 160, 90))  # Y, Cb, Cr


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """(height, width, 3) uint8: a window that moves over a photograph."""
    from skimage.data import astronaut

    return np.ascontiguousarray(
        astronaut()[40 + index : 40 + index + height, 120 + 2 * index : 120 + 2 * index + width]
    )


def photo_frame(index: int, width: int = 64, height: int = 48, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture(index, width, height), "rgb24").reformat(format=pix_fmt)


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane (H, W) of a planar frame, a view."""
    found = frame.planes[index]
    wide = frame.format.components[0].bits > 8
    rows = np.frombuffer(found, np.uint16 if wide else np.uint8).reshape(found.height, -1)
    return rows[:, : found.width]


def bars_frame(pix_fmt: str, width: int = 96, height: int = 32) -> av.VideoFrame:
    """Flat patches side by side; BARS are 8-bit code values, shifted up for deeper formats."""
    frame = av.VideoFrame(width, height, pix_fmt)
    up = frame.format.components[0].bits - 8
    for index in range(min(3, len(frame.planes))):
        samples = plane(frame, index)
        step = samples.shape[1] // len(BARS)
        for number, bar in enumerate(BARS):
            samples[:, number * step : (number + 1) * step] = bar[index] << up
    return frame


def bar_centres(frame: av.VideoFrame) -> np.ndarray:
    """(bars, planes) code values in the middle of every patch."""
    values = []
    for number in range(len(BARS)):
        row = []
        for index in range(min(3, len(frame.planes))):
            samples = plane(frame, index)
            step = samples.shape[1] / len(BARS)
            row.append(int(samples[samples.shape[0] // 2, int((number + 0.5) * step)]))
        values.append(row)
    return np.array(values)


def write(
    path: Path,
    frames,
    *,
    times=None,
    time_base: Fraction = Fraction(1, 12800),
    rate: Fraction | int = 25,
    codec: str = "libx264",
    options=None,
    tags=None,
    matrix=None,
    rotation=None,
    aspect=None,
    extra=None,
    container_options=None,
) -> Path:
    """Write `frames` at `times` (ticks; every 1/rate s by default); `extra(container)` adds streams, gives packets."""
    frames = list(frames)
    if times is None:
        times = [round(index / Fraction(rate) / time_base) for index in range(len(frames))]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.options = options or {}
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        if rotation is not None:
            stream.set_display_rotation(**rotation)
        packets = extra(container) if extra is not None else []
        for frame, time in zip(frames, times, strict=True):
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for packet in packets:
            container.mux(packet)
    return path


def tone(
    container,
    *,
    seconds: float = 0.5,
    codec: str = "aac",
    hertz: int = 440,
    language: str = "eng",
    rate=48000,
    bits=None,
):
    """Add a track with a sine to an open container; returns its packets, to be muxed after the header is settled."""
    stream = container.add_stream(codec, rate=rate)
    stream.metadata["language"] = language
    stream.codec_context.bit_rate = bits or 0
    form = stream.codec_context.format.name
    samples = np.sin(2 * np.pi * hertz / rate * np.arange(int(rate * seconds))).astype(np.float32) * 0.3
    resampler = av.AudioResampler(format=form, layout="stereo", rate=rate)
    packets = []
    for start in range(0, len(samples), 960):
        part = np.ascontiguousarray(np.stack([samples[start : start + 960]] * 2))
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for piece in resampler.resample(frame):
            packets += stream.encode(piece)
    return packets + stream.encode(None)


def times(path: Path) -> list[Fraction]:
    """Times of all decoded frames of the first video stream, seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def decoded(path: Path, pix_fmt: str | None = None) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.reformat(format=pix_fmt) for frame in frames] if pix_fmt else frames


def rgb(path: Path, index: int = 0) -> np.ndarray:
    """One frame as (H, W, 3) uint8, as stored."""
    return decoded(path)[index].to_ndarray(format="rgb24")


def packets(path: Path, kind: str) -> list[list[bytes]]:
    """For each stream of a kind the bytes of its packets."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found = {stream.index: [] for stream in streams}
        for packet in container.demux(streams):
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
    return list(found.values())
