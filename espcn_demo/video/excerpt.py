"""Which parts of a clip stand for the whole, and how much more happens in the whole than in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..limits import Limits
from . import source
from .facts import Facts
from .timing import MAX_PACKETS

BUDGET = 10.0  # seconds of work that the excerpts may take on a slow machine; they get shorter then
FEWEST = 16  # frames of an excerpt: fewer say nothing about the encoder
PIECES = 2  # excerpts spread over the clip: one misses scenes, more are too short to be like a long run
SETTLE = 4  # packets after a key frame that are smaller than later ones
Part = tuple[float, float]  # start and length in seconds
Sizes = Sequence[tuple[float, float]]  # time in seconds and bytes of packets


def choose_excerpts(facts: Facts, seconds: float, pace: float) -> list[Part]:
    """Parts of `seconds` in all, spread evenly; none when the whole clip is about as short.

    pace  seconds of work for a frame, from which follows how much fits into the budget
    """
    affordable = max(float(FEWEST), BUDGET / (1.5 * pace)) if pace else float(FEWEST)
    frames = min(seconds * facts.fps, affordable)
    whole = facts.duration or 0.0
    if (facts.frames or 0) <= 1.25 * frames or whole <= 0:
        return []
    pieces = int(max(1, min(PIECES, frames // FEWEST)))
    length = max(frames, 1.0) / pieces / facts.fps
    return [(round((index + 0.5) * whole / pieces - length / 2, 3), round(length, 3)) for index in range(pieces)]


def packet_sizes(path: Path, limits: Limits | None = None) -> list[tuple[float, int]]:
    """Time in seconds from the first and size in bytes of the source's video packets: large where much happens."""
    from av.error import FFmpegError

    sizes: list[tuple[float, int]] = []
    with source.open_source(path, limits=limits) as container:
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        try:
            for packet in container.demux(video):
                if packet.pts is not None and packet.size and len(sizes) < MAX_PACKETS:
                    sizes.append((float(packet.pts * (video.time_base or 0)), packet.size))
        except FFmpegError:
            pass  # damaged further on: what there is will do
    first = min((moment for moment, _ in sizes), default=0.0)
    return [(moment - first, bytes_) for moment, bytes_ in sizes]


def complexity(sizes: Sizes, parts: Sequence[Part]) -> float:
    """Square root of the source's mean packet against that inside the parts; outsize ones (key frames) are capped."""
    inside = [bytes_ for moment, bytes_ in sizes if any(start <= moment < start + length for start, length in parts)]
    if len(inside) < FEWEST // 2:
        return 1.0
    limit = 4 * float(np.median([bytes_ for _, bytes_ in sizes]))
    whole = np.minimum([bytes_ for _, bytes_ in sizes], limit).mean()
    # At constant quality an encoder follows the source's bytes only half-way, measured on seven clips.
    return float(np.clip(whole / np.minimum(inside, limit).mean(), 0.25, 4.0) ** 0.5)


def result_sizes(path: Path) -> tuple[list[tuple[bool, int]], int]:
    """(key frame or not, bytes) of each video packet of a result, and the bytes of everything else."""
    with source.open_source(path) as container:
        video = source.video_stream(container)
        assert video is not None  # the result has been verified
        packets = [(packet.is_keyframe, packet.size) for packet in container.demux(video) if packet.size]
    return packets, path.stat().st_size - sum(bytes_ for _, bytes_ in packets)


def settled(packets: Sequence[tuple[bool, int]]) -> list[tuple[bool, int]]:
    """Packets of an excerpt without those that are small for following its key frame closely."""
    if len(packets) < 3 * SETTLE:
        return list(packets)
    return [*packets[:1], *packets[1 + SETTLE :]]


def predict_bytes(packets: Sequence[tuple[bool, int]], frames: int, segment: int, factor: float) -> float:
    """Bytes of `frames` frames: a key frame for each segment, the rest at the excerpts' mean times `factor`."""
    keys = [bytes_ for key, bytes_ in packets if key]
    others = [bytes_ for key, bytes_ in packets if not key]
    if frames <= len(packets) or not others:
        return sum(bytes_ for _, bytes_ in packets) * frames / len(packets)
    expected = max(1, -(-frames // segment))
    return expected * float(np.mean(keys)) + (frames - expected) * float(np.mean(others)) * factor
