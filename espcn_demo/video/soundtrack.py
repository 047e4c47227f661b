"""The sound of a clip as a WAV file from its first frame on: read guarded, for programs that open files freely."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..limits import Limits
from . import source

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

RATE = 48_000  # samples a second, stereo, 16 bits
SLACK = RATE // 20  # samples by which times may jitter before silence is put in or sound left out
Samples = NDArray[np.int16]


def write_wav(path: Path, out: Path, *, start: float, length: float, limits: Limits | None = None) -> bool:
    """Write the first sound track from `start` seconds of the clip's clock on, `length` seconds; False without any.

    Raises:
        InputError: see `source.open_source`.
    """
    with source.open_source(path, limits=limits, part=length) as container:
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            return False
        wanted, done = round(length * RATE), 0
        with wave.open(str(out), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            for moment, samples in _pieces(container.decode(audio=0)):
                piece = _placed(samples, round((moment - start) * RATE) - done)[: wanted - done]
                file.writeframes(piece.tobytes())
                done += len(piece)
                if done >= wanted:
                    break
    return done > 0


def _pieces(frames: Iterator[AudioFrame]) -> Iterator[tuple[float, Samples]]:
    """Time of the first sample in seconds, and (N, 2) samples; until the end or the first error."""
    from av import AudioResampler
    from av.error import FFmpegError

    resampler = AudioResampler(format="s16", layout="stereo", rate=RATE)
    moment = 0.0
    ends: list[Any] = [None]  # flushes the resampler
    try:
        for frame in chain(frames, ends):
            for piece in resampler.resample(frame):
                samples = np.asarray(piece.to_ndarray(), np.int16).reshape(-1, 2)
                moment = moment if piece.time is None else float(piece.time)
                yield moment, samples
                moment += len(samples) / RATE
    except FFmpegError:
        return


def _placed(samples: Samples, gap: int) -> Samples:
    """The samples after `gap` samples of silence, or without as many of their first ones when it is negative."""
    if gap > SLACK:
        return np.concatenate([np.zeros((gap, 2), np.int16), samples])
    return samples[-gap:] if gap < -SLACK else samples
